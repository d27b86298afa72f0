//! What waits for a neighbour while the host's own address is on trial.

use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;

use netloom_base::Instant;
use netloom_conformance::{Host, Plan, Sharded};
use netloom_stack::transport::UdpBind;
use netloom_stack::{AddressDetection, StackConfig};
use netloom_wire::{
    EtherType, EthernetAddress, EthernetFrame, EthernetHeader, HeadBuf, Icmpv6Message, Ipv6Header,
    Ipv6Packet, NdpMessage, NeighborFlags, Protocol, neighbor_advertisement,
};

const OUR_LINK: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 1]);
const PEER_LINK: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 2]);
const PEER: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2);

/// What the peer sees of us.
enum Seen {
    /// A question for its link address: by whom, and where to answer.
    Question { source: Ipv6Addr, link: Option<EthernetAddress> },
    /// A datagram with one byte.
    Datagram(u8),
}

fn see(frame: &[u8]) -> Option<Seen> {
    let frame = EthernetFrame::parse(frame).ok()?;
    if frame.header.ether_type != EtherType::IPV6 {
        return None;
    }
    let Ipv6Packet { header, payload, header_bytes: _ } = Ipv6Packet::parse(frame.payload).ok()?;
    if header.next_header == Protocol::UDP {
        assert_eq!((header.destination, frame.header.destination), (PEER, PEER_LINK));
        return payload.last().copied().map(Seen::Datagram);
    }
    let message = Icmpv6Message::parse(payload, header.source, header.destination).ok()?;
    if let Icmpv6Message::Ndp(NdpMessage::NeighborSolicitation { target: PEER, options }) = message {
        return Some(Seen::Question { source: header.source, link: options.source_link() });
    }
    None
}

fn answer(to: Ipv6Addr) -> Vec<u8> {
    let flags = NeighborFlags { router: false, solicited: true, override_: true };
    let message = neighbor_advertisement(PEER, to, PEER, flags, PEER_LINK);
    let mut head = HeadBuf::new();
    Ipv6Header {
        source: PEER,
        destination: to,
        next_header: Protocol::ICMPV6,
        hop_limit: 255,
        traffic_class: 0,
        flow_label: 0,
    }
    .emit(&mut head, message.len());
    EthernetHeader { destination: OUR_LINK, source: PEER_LINK, ether_type: EtherType::IPV6 }.emit(&mut head);
    [head.as_slice(), &message].concat()
}

/// A peer like Linux, which has no answer to a question that does not say where to send it.
#[test]
fn datagrams_wait_until_the_address_has_passed_its_trial() {
    // Of a whole host, and of each of two shards, whichever gets the answer from the device.
    for (shard_count, shard) in [(1, 0), (2, 0), (2, 1)] {
        for turns in 0..shard_count {
            wait_for_the_trial(shard_count, shard, turns);
        }
    }
}

/// The datagrams of this shard of so many; the device has given them `turns` frames before.
fn wait_for_the_trial(shard_count: u16, shard: usize, turns: u16) {
    let mut config = StackConfig::default();
    // The trial takes longer than a neighbour has to answer.
    config.internet.dad_transmits = 10;
    let mut ours = Sharded::new(1, &["10.0.0.1/24"], &Plan { shard_count, config, ..Plan::default() });
    let interface = ours.interface();
    let address = "fd00::1/64".parse().expect("a CIDR");
    let begin = Instant::ZERO;
    let begun = ours.shards.add_address(begin, interface, address, AddressDetection::Optimistic);
    begun.expect("an address");
    for _ in 0..turns {
        ours.handle_frame(begin, &[0; 60]);
    }
    let mut udp = ours.shards.stacks[shard].udp();
    let socket = udp.bind(UdpBind::new(None, 0)).expect("bound");
    for byte in 0..3 {
        let remote = SocketAddr::new(PEER.into(), 9);
        udp.send_to(socket, remote, None, &[byte]).expect("queued");
    }
    let (mut now, mut questions, mut datagrams) = (begin, 0, Vec::new());
    while datagrams.len() < 3 {
        let asked_before = questions;
        for frame in ours.poll(now) {
            match see(&frame) {
                Some(Seen::Question { source, link }) => {
                    // RFC 4429 3.2
                    assert!(now >= begin + Duration::from_secs(10), "asked at {now}, on trial");
                    assert_eq!(link, Some(OUR_LINK));
                    questions += 1;
                    ours.handle_frame(now, &answer(source));
                }
                Some(Seen::Datagram(byte)) => datagrams.push(byte),
                None => {}
            }
        }
        if questions > asked_before {
            continue;
        }
        now = ours.poll_timeout(now).expect("something is going to happen").max(now);
        assert!(now < begin + Duration::from_secs(12), "too late");
    }
    assert_eq!((questions, datagrams), (1, vec![0, 1, 2]));
}
