//! Echo requests and replies.

use core::net::IpAddr;

use netloom_base::{DropReason, InterfaceId, NextHop};
use netloom_l3_internet::InternetEvent;
use netloom_wire::{CastKind, Icmpv4Message, Icmpv6Message, Protocol};

use crate::support::*;

/// Reads a reply to [`echo_request`] and gives its data back.
fn reply_data(bytes: &[u8]) -> Vec<u8> {
    let packet = read(bytes);
    let (identifier, sequence, data) = match (packet.source, packet.destination) {
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            match Icmpv6Message::parse(&packet.payload, source, destination).unwrap() {
                Icmpv6Message::EchoReply { identifier, sequence, data } => {
                    (identifier, sequence, data.to_vec())
                }
                other => panic!("{other:?}"),
            }
        }
        _ => match Icmpv4Message::parse(&packet.payload).unwrap() {
            Icmpv4Message::EchoReply { identifier, sequence, data } => (identifier, sequence, data.to_vec()),
            other => panic!("{other:?}"),
        },
    };
    assert_eq!((identifier, sequence), (77, 3));
    data
}

both_families! {
    // [792-07] [1122-I063] [1122-I067] [1122-I068] [4443-17] [4443-18] [1122-I024]
    fn a_request_is_answered_from_the_address_asked(family) {
        let mut host = Host::router();
        let request = echo_request(family.far(), family.us_too(), b"ping data");
        assert_eq!(host.input(&request), Ok(Outcome::Consumed));
        let output = host.sent_one();
        assert_eq!(output.next_hop, neighbor(IF0, family.peer()));
        let reply = read(&output.packet);
        assert_eq!((reply.source, reply.destination), (family.us_too(), family.far()));
        assert_eq!((reply.protocol, reply.hop_limit), (family.icmp(), 64));
        assert_eq!(reply_data(&output.packet), b"ping data");
        assert_eq!(host.internet.counters().echo_requests_answered.get(), 1);
    }

    fn a_request_to_ourselves_is_answered_inside(family) {
        let mut host = Host::tun();
        for address in [family.loopback(), family.us()] {
            let request = echo_request(address, address, b"me");
            host.input_on(InterfaceId::LOOPBACK, CastKind::Unicast, &request).unwrap();
            let output = host.sent_one();
            assert_eq!(output.next_hop, NextHop::Local);
            host.input_on(InterfaceId::LOOPBACK, CastKind::Unicast, &output.packet).unwrap();
            assert!(matches!(&host.events()[..], [InternetEvent::EchoReply { .. }]));
        }
    }

    // [1122-I112] [1122-I119] [1812-13] [8200-20]
    fn a_large_request_comes_in_pieces_and_its_reply_goes_in_pieces(family) {
        let mut sender = Host::tun();
        let mut host = Host::tun();
        let data: Vec<u8> = (0..8000u16).map(|n| n.to_be_bytes()[1]).collect();
        let whole = echo_request(family.peer(), family.us(), &data);
        // The sender's own layer cuts it.
        let message = read(&whole).payload;
        let path = netloom_base::PathInfo { next_hop: NextHop::Local, source: family.peer(), mtu: 1500 };
        let send = netloom_l3_internet::IpSend {
            source: family.peer(),
            destination: family.us(),
            protocol: family.icmp(),
            hop_limit: None,
            traffic_class: 0,
            dont_fragment: false,
        };
        sender.internet.send(sender.now, &send, &path, &[&message]).unwrap();
        let fragments = sender.sent();
        assert!(fragments.len() >= 6);
        for fragment in &fragments {
            assert_eq!(host.input(&fragment.packet), Ok(Outcome::Consumed));
        }
        let replies = host.sent();
        assert_eq!(replies.len(), fragments.len());
        assert!(replies.iter().all(|output| output.packet.len() <= 1500));
        // The asker puts them together again.
        let mut asker = Host::new(netloom_l3_internet::InternetConfig::default());
        asker.internet.add_interface(netloom_l3_internet::InterfaceConfig { mtu: 1500, link_address: None });
        asker.add_address(IF0, family.peer(), netloom_base::AddressDetection::Off);
        asker.events();
        for reply in replies.iter().rev() {
            asker.input(&reply.packet).unwrap();
        }
        match &asker.events()[..] {
            // [1122-I069] [4443-20]
            [InternetEvent::EchoReply { source, payload, identifier: 77, sequence: 3, .. }] => {
                assert_eq!((*source, payload), (family.us(), &data));
            }
            other => panic!("{other:?}"),
        }
    }

    fn a_request_with_a_bad_checksum_is_dropped(family) {
        let mut host = Host::tun();
        let mut request = echo_request(family.peer(), family.us(), b"data");
        let last = request.len() - 1;
        request[last] ^= 1;
        assert_eq!(host.input(&request), Err(DropReason::IcmpBadChecksum));
        let short = packet(family.peer(), family.us(), family.icmp(), 64, &[8, 0, 0]);
        assert_eq!(host.input(&short), Err(DropReason::IcmpTruncated));
    }

    // [1122-I037] [1812-05] [4443-05] [6633-02] [9293 MUST-55]
    fn unknown_messages_are_dropped_silently(family) {
        let mut host = Host::tun();
        for message_type in [4, 13, 15, 17, 99, 200, 255] {
            let bytes = match family {
                Family::V4 => {
                    let message = Icmpv4Message::Other { message_type, code: 0 };
                    let mut body = message.to_header().to_vec();
                    // Timestamps are longer.
                    body.resize(20, 0);
                    packet(family.peer(), family.us(), Protocol::ICMP, 64, &body)
                }
                Family::V6 => {
                    let message = Icmpv6Message::Other { message_type: message_type | 0x80, code: 9 };
                    icmp6(family.peer(), family.us(), 64, &message)
                }
            };
            assert_eq!(host.input(&bytes), Err(DropReason::IcmpUnknownType), "{message_type}");
        }
        assert!(host.sent().is_empty() && host.events().is_empty());
    }
}

#[test]
fn ipv4_groups_and_broadcasts_are_not_answered() {
    // [1122-I065] [1122-I066]
    let mut host = Host::ethernet();
    for (destination, cast) in [("224.0.0.1", CastKind::Multicast), ("10.0.0.255", CastKind::Broadcast)] {
        let request = echo_request(Family::V4.peer(), destination.parse().unwrap(), b"x");
        assert_eq!(host.input_on(IF0, cast, &request), Err(DropReason::IcmpEchoToGroup), "{destination}");
    }
    assert!(host.sent().is_empty());
}

#[test]
fn ipv6_groups_are_answered_from_a_unicast_address() {
    // [4443-02] [4443-19]
    let mut host = Host::ethernet();
    let request = echo_request("fe80::9".parse().unwrap(), Family::V6.all_nodes(), b"x");
    host.input_on(IF0, CastKind::Multicast, &request).unwrap();
    let output = host.sent_one();
    assert_eq!(output.next_hop, neighbor(IF0, "fe80::9".parse().unwrap()));
    assert_eq!(read(&output.packet).source, "fe80::ff:fe00:2".parse::<IpAddr>().unwrap());
}

#[test]
fn a_link_local_sender_is_answered_on_its_own_link() {
    let mut host = Host::router();
    let request = echo_request("fe80::9".parse().unwrap(), Family::V6.us(), b"x");
    host.input_on(IF1, CastKind::Unicast, &request).unwrap();
    assert_eq!(host.sent_one().next_hop, neighbor(IF1, "fe80::9".parse().unwrap()));
}

#[test]
fn an_unspecified_source_is_not_answered() {
    let mut host = Host::ethernet();
    let request = echo_request("::".parse().unwrap(), Family::V6.us(), b"x");
    assert_eq!(host.input(&request), Err(DropReason::IpBadSource));
}
