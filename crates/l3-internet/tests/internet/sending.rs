//! Headers and datagrams of transports.

use netloom_base::PathInfo;
use netloom_l3_internet::{InternetConfig, IpSend, SendError};
use netloom_wire::{HeadBuf, Ipv4Packet, Ipv6Packet, Protocol};

use crate::support::*;

fn to(family: Family) -> IpSend {
    IpSend {
        source: family.us(),
        destination: family.peer(),
        protocol: Protocol::UDP,
        hop_limit: None,
        traffic_class: 0,
        dont_fragment: false,
    }
}

fn path(family: Family, mtu: u16) -> PathInfo {
    PathInfo { next_hop: neighbor(IF0, family.peer()), source: family.us(), mtu }
}

both_families! {
    // [1122-I018] [1122-I021] [1122-I023] [1122-I024] [9293 MUST-49] [1122-I149] [1812-03]
    fn the_header_says_what_the_transport_chose(family) {
        let mut host = Host::tun();
        let mut check = |hop_limit: Option<u8>, expected: u8| {
            let send = IpSend { hop_limit, traffic_class: 0xb9, ..to(family) };
            let mut head = HeadBuf::new();
            head.prepend(b"transport");
            host.internet.emit_header(&mut head, &send, 9);
            let packet = read(head.as_slice());
            assert_eq!((packet.source, packet.destination), (family.us(), family.peer()));
            assert_eq!((packet.protocol, packet.hop_limit), (Protocol::UDP, expected));
            assert_eq!(packet.payload, b"transport");
            let class = match family {
                Family::V4 => Ipv4Packet::parse(head.as_slice()).unwrap().header.traffic_class,
                Family::V6 => Ipv6Packet::parse(head.as_slice()).unwrap().header.traffic_class,
            };
            assert_eq!(class, 0xb9);
        };
        check(None, 64);
        check(Some(3), 3);
        check(Some(0), 1);
    }

    fn groups_are_one_hop_away_unless_the_transport_says_more(family) {
        let mut host = Host::tun();
        let send = IpSend { destination: family.all_nodes(), ..to(family) };
        host.internet.send(host.now, &send, &path(family, 1500), &[b"x"]).unwrap();
        assert_eq!(read(&host.sent_one().packet).hop_limit, 1);
    }

    // [1122-I119] [791-06] [8200-09] [8200-10] [8200-11]
    fn a_datagram_that_is_too_long_goes_in_fragments(family) {
        let mut host = Host::tun();
        let data: Vec<u8> = (0..4000u16).map(|n| n.to_be_bytes()[1]).collect();
        let payload = udp_payload(family.us(), family.peer(), &data);
        let (head, rest) = payload.split_at(8);
        host.internet.send(host.now, &to(family), &path(family, 1280), &[head, rest]).unwrap();
        let outputs = host.sent();
        assert_eq!(host.internet.counters().fragments_sent.get(), outputs.len() as u64);
        // The other end puts them together.
        let mut peer = Host::new(InternetConfig::default());
        peer.internet.add_interface(netloom_l3_internet::InterfaceConfig { mtu: 1500, link_address: None });
        peer.add_address(IF0, family.peer(), netloom_base::AddressDetection::Off);
        let mut delivered = None;
        for output in &outputs {
            assert!(output.packet.len() <= 1280);
            delivered = Some(peer.input(&output.packet).unwrap());
        }
        match delivered {
            Some(Outcome::Delivered { payload: whole, .. }) => assert_eq!(whole, payload),
            other => panic!("{other:?}"),
        }
    }

    // [1122-I118] [1122-I120]
    fn a_datagram_that_may_not_be_cut_tells_how_long_it_may_be(family) {
        let mut host = Host::tun();
        let send = IpSend { dont_fragment: true, ..to(family) };
        let result = host.internet.send(host.now, &send, &path(family, 1280), &[&[0; 1261]]);
        assert_eq!(result, Err(SendError::TooBig { mtu: 1280 }));
        let fits = 1280 - family.header_len();
        assert_eq!(host.internet.send(host.now, &send, &path(family, 1280), &[&vec![0; fits]]), Ok(()));
        assert_eq!(host.sent_one().packet.len(), 1280);
    }

    fn a_datagram_beyond_every_header_is_refused(family) {
        let mut host = Host::tun();
        let longest = match family { Family::V4 => 65_515, Family::V6 => 65_535 };
        let result = host.internet.send(host.now, &to(family), &path(family, 1500), &[&vec![0; longest + 1]]);
        assert_eq!(result, Err(SendError::TooLong));
        assert_eq!(host.internet.send(host.now, &to(family), &path(family, 1500), &[&vec![0; longest]]), Ok(()));
    }

    fn the_queue_is_bounded_and_a_datagram_enters_it_whole(family) {
        let config = InternetConfig { max_queued_packets: 5, ..InternetConfig::default() };
        let mut host = Host::with(config, None, netloom_base::AddressDetection::Off);
        let data = vec![0; 4000];
        assert_eq!(host.internet.send(host.now, &to(family), &path(family, 1500), &[&data]), Ok(()));
        let result = host.internet.send(host.now, &to(family), &path(family, 1500), &[&data]);
        assert_eq!(result, Err(SendError::QueueFull));
        assert_eq!(host.sent().len(), 3);
        assert_eq!(host.internet.send(host.now, &to(family), &path(family, 1500), &[&data]), Ok(()));
    }
}

#[test]
fn only_packets_that_may_be_cut_are_numbered() {
    // RFC 6864 4.1, 4.3
    let mut host = Host::tun();
    let mut id = |dont_fragment| {
        let send = IpSend { dont_fragment, ..to(Family::V4) };
        let mut head = HeadBuf::new();
        host.internet.emit_header(&mut head, &send, 0);
        let header = Ipv4Packet::parse(head.as_slice()).unwrap().header;
        assert_eq!(header.dont_fragment, dont_fragment);
        header.identification
    };
    assert_eq!((id(true), id(true)), (0, 0));
    let first = id(false);
    assert_eq!(id(false), first.wrapping_add(1));
}

#[test]
fn a_flow_keeps_its_label() {
    // RFC 6437 3
    let mut host = Host::tun();
    let mut label = |ports: [u8; 4]| {
        let mut head = HeadBuf::new();
        head.prepend(&ports);
        host.internet.emit_header(&mut head, &to(Family::V6), 4);
        Ipv6Packet::parse(head.as_slice()).unwrap().header.flow_label
    };
    let first = label([1, 2, 3, 4]);
    assert_eq!(label([1, 2, 3, 4]), first);
    assert_ne!(label([1, 2, 3, 5]), first);
    assert_ne!(first, 0);
}

#[test]
fn families_do_not_mix() {
    let mut host = Host::tun();
    let send = IpSend { destination: Family::V4.peer(), ..to(Family::V6) };
    let result = host.internet.send(host.now, &send, &path(Family::V4, 1500), &[b"x"]);
    assert_eq!(result, Err(SendError::FamilyMismatch));
}
