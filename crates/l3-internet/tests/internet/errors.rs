//! ICMP errors: those sent, those that must not be, and those received.

use core::time::Duration;

use netloom_base::{DropReason, NextHop};
use netloom_l3_internet::{InternetConfig, InternetEvent};
use netloom_wire::{CastKind, IcmpErrorKind, Icmpv4Message, Icmpv6Message, Icmpv6Parameter, Protocol};

use crate::support::*;

const PORT: IcmpErrorKind = IcmpErrorKind::PortUnreachable;

both_families! {
    // [1122-I047] [1122-I048] [1122-I041] [4443-11] [4443-01] [792-02]
    fn a_closed_port_is_told_to_the_sender(family) {
        let mut host = Host::tun();
        let bytes = udp(family.peer(), family.us(), b"nobody here");
        assert_eq!(host.refuse(CastKind::Unicast, PORT, &bytes), Ok(()));
        let output = host.sent_one();
        assert_eq!(output.next_hop, neighbor(IF0, family.peer()));
        let packet = read(&output.packet);
        assert_eq!((packet.source, packet.destination), (family.us(), family.peer()));
        // [1122-I039] [1812-07] the quote is what came.
        assert_eq!(read_error(&output.packet), (PORT, bytes));
        assert_eq!(host.internet.counters().icmp_errors_sent.get(), 1);
    }

    // [1122-I038] [1812-06] [4443-06]
    fn a_quote_is_as_long_as_it_may_be(family) {
        let mut host = Host::tun();
        let bytes = udp(family.peer(), family.us(), &[7; 1400]);
        host.refuse(CastKind::Unicast, PORT, &bytes).unwrap();
        let output = host.sent_one();
        let expected = match family { Family::V4 => 576, Family::V6 => 1280 };
        assert_eq!(output.packet.len(), expected);
        let (_, quote) = read_error(&output.packet);
        assert_eq!(quote, bytes[..quote.len()]);
    }

    // [1122-I042] [792-01] [4443-08] [1812-10]
    fn an_error_is_not_answered_by_an_error(family) {
        let mut host = Host::tun();
        let quote = udp(family.us(), family.peer(), b"01234567");
        let error = icmp_error(family.peer(), family.us(), PORT, &quote);
        let about = netloom_wire::Datagram {
            interface: IF0,
            source: family.peer(),
            destination: family.us(),
            cast: CastKind::Unicast,
            protocol: family.icmp(),
            hop_limit: 64,
            traffic_class: 0,
            mtu: 1500,
            payload: &error[family.header_len()..],
            packet: &error,
            meta: netloom_base::RxMeta::default(),
        };
        assert_eq!(host.internet.send_error(host.now, PORT, &about), Ok(()));
        assert!(host.sent().is_empty());
        assert_eq!(host.internet.counters().icmp_errors_forbidden.get(), 1);
        // A question is.
        let request = echo_request(family.peer(), family.us(), b"x");
        let about = netloom_wire::Datagram { packet: &request, ..about };
        assert_eq!(host.internet.send_error(host.now, PORT, &about), Ok(()));
        assert_eq!(host.sent().len(), 1);
    }

    // [1122-I043] [1122-I044] [4443-08] [1812-10]
    fn a_packet_to_a_group_is_not_answered_by_an_error(family) {
        let mut host = Host::ethernet();
        let bytes = udp(family.peer(), family.all_nodes(), b"x");
        let arrival = netloom_l3_internet::Arrival {
            interface: IF0,
            packet: &bytes,
            cast: CastKind::Multicast,
            link_source: None,
            meta: netloom_base::RxMeta::default(),
        };
        let Ok(netloom_l3_internet::Input::Deliver(datagram)) = host.internet.input(host.now, arrival) else {
            panic!("not delivered")
        };
        assert_eq!(host.internet.send_error(host.now, PORT, &datagram), Ok(()));
        assert!(host.sent().is_empty());
    }

    // [1812-11] [4443-09] [4443-10]
    fn errors_are_limited_in_rate(family) {
        let config = InternetConfig { icmp_errors_per_second: 10, icmp_error_burst: 3, ..InternetConfig::default() };
        let mut host = Host::with(config, None, netloom_base::AddressDetection::Off);
        let bytes = udp(family.peer(), family.us(), b"x");
        for _ in 0..3 {
            assert_eq!(host.refuse(CastKind::Unicast, PORT, &bytes), Ok(()));
        }
        assert_eq!(host.refuse(CastKind::Unicast, PORT, &bytes), Err(DropReason::IcmpRateLimited));
        host.advance(Duration::from_millis(100));
        assert_eq!(host.refuse(CastKind::Unicast, PORT, &bytes), Ok(()));
        assert_eq!(host.refuse(CastKind::Unicast, PORT, &bytes), Err(DropReason::IcmpRateLimited));
        assert_eq!(host.sent().len(), 4);
    }

    fn errors_to_ourselves_come_back_as_events(family) {
        let mut host = Host::tun();
        let bytes = udp(family.us(), family.us(), b"local");
        let arrival = netloom_l3_internet::Arrival {
            interface: netloom_base::InterfaceId::LOOPBACK,
            packet: &bytes,
            cast: CastKind::Unicast,
            link_source: None,
            meta: netloom_base::RxMeta::default(),
        };
        let Ok(netloom_l3_internet::Input::Deliver(datagram)) = host.internet.input(host.now, arrival) else {
            panic!("not delivered")
        };
        host.internet.send_error(host.now, PORT, &datagram).unwrap();
        let output = host.sent_one();
        assert_eq!(output.next_hop, NextHop::Local);
        host.input_on(netloom_base::InterfaceId::LOOPBACK, CastKind::Unicast, &output.packet).unwrap();
        match &host.events()[..] {
            [InternetEvent::IcmpError(error)] => assert_eq!((error.kind, error.source), (PORT, family.us())),
            other => panic!("{other:?}"),
        }
    }

    // [1122-I040] [1122-I049] [1122-I059] [1122-I061] [1122-I153] [1122-I154] [4443-07] [4443-12] [4443-15] [792-03]
    fn errors_go_to_the_transport_that_sent_the_packet(family) {
        let kinds = [
            IcmpErrorKind::NetworkUnreachable,
            IcmpErrorKind::HostUnreachable,
            IcmpErrorKind::PortUnreachable,
            IcmpErrorKind::Prohibited,
            IcmpErrorKind::HopLimitExceeded,
            IcmpErrorKind::ReassemblyTimeExceeded,
        ];
        let mut host = Host::tun();
        let quote = udp(family.us(), family.far(), b"what we sent");
        for kind in kinds {
            let bytes = icmp_error(family.peer(), family.us(), kind, &quote);
            assert_eq!(host.input(&bytes), Ok(Outcome::Consumed));
            let events = host.events();
            let [InternetEvent::IcmpError(error)] = &events[..] else { panic!("{events:?}") };
            let borrowed = error.borrow();
            assert_eq!((borrowed.kind, borrowed.reporter), (kind, family.peer()));
            assert_eq!((borrowed.source, borrowed.destination), (family.us(), family.far()));
            assert_eq!((borrowed.protocol, borrowed.quote), (Protocol::UDP, &quote[family.header_len()..]));
        }
        assert!(host.sent().is_empty());
    }

    // RFC 5927: an error that quotes what is not ours is not about us.
    fn errors_about_others_packets_are_dropped(family) {
        let mut host = Host::tun();
        let quote = udp(family.far(), family.peer(), b"what we did not send");
        let bytes = icmp_error(family.peer(), family.us(), PORT, &quote);
        assert_eq!(host.input(&bytes), Err(DropReason::IcmpUnexpected));
        let cut = &udp(family.us(), family.far(), b"")[..family.header_len() + 7];
        let bytes = icmp_error(family.peer(), family.us(), PORT, cut);
        assert_eq!(host.input(&bytes), Err(DropReason::IcmpTruncated));
        assert!(host.events().is_empty());
    }

    // [4861-14]
    fn an_unreachable_neighbour_is_told_to_our_own_transport(family) {
        let mut host = Host::ethernet();
        let bytes = udp(family.us(), family.peer(), b"lost");
        host.internet.host_unreachable(host.now, &bytes);
        assert!(host.sent().is_empty());
        match &host.events()[..] {
            [InternetEvent::IcmpError(error)] => {
                assert_eq!(error.kind, IcmpErrorKind::HostUnreachable);
                assert_eq!((error.source, error.destination), (family.us(), family.peer()));
                assert_eq!(error.quote, &bytes[family.header_len()..]);
            }
            other => panic!("{other:?}"),
        }
        // An answer of ICMP's own is nobody's.
        host.internet.host_unreachable(host.now, &icmp_error(family.us(), family.peer(), PORT, &bytes));
        assert!(host.events().is_empty());
    }
}

#[test]
fn a_later_fragment_is_not_answered_by_an_error() {
    // [1122-I045] [792-01]
    let mut host = Host::router();
    let (from, to) = ("10.0.0.1".parse().unwrap(), "198.51.100.1".parse().unwrap());
    let mut header = v4_header(from, to, Protocol::UDP, 1);
    header.fragment_offset = 800;
    let bytes = [&header.to_bytes(16)[..], &[0; 16]].concat();
    assert_eq!(host.input(&bytes), Err(DropReason::IpTtlExceeded));
    header.fragment_offset = 0;
    header.more_fragments = true;
    assert!(host.sent().is_empty());
    let bytes = [&header.to_bytes(16)[..], &[0; 16]].concat();
    assert_eq!(host.input(&bytes), Err(DropReason::IpTtlExceeded));
    assert_eq!(read_error(&host.sent_one().packet).0, IcmpErrorKind::HopLimitExceeded);
}

#[test]
fn an_unknown_protocol_is_told_in_the_familys_own_way() {
    // [1122-I048] [8200-03] [4443-16]
    let mut host = Host::tun();
    let kind = IcmpErrorKind::ProtocolUnreachable;
    let bytes = packet(Family::V4.peer(), Family::V4.us(), Protocol(200), 64, b"12345678");
    host.refuse(CastKind::Unicast, kind, &bytes).unwrap();
    let message = read(&host.sent_one().packet).payload;
    assert_eq!(&message[..2], [3, 2]);
    assert!(
        matches!(Icmpv4Message::parse(&message), Ok(Icmpv4Message::Error { kind: it, .. }) if it == kind)
    );

    let bytes = packet(Family::V6.peer(), Family::V6.us(), Protocol(200), 64, b"12345678");
    host.refuse(CastKind::Unicast, kind, &bytes).unwrap();
    assert_eq!(read_parameter_problem(&host.sent_one().packet), (Icmpv6Parameter::NextHeader, 6));
    // Behind a destination options header the pointer is there.
    let body = [&[200, 0, 1, 4, 0, 0, 0, 0][..], b"12345678"].concat();
    let bytes = packet(Family::V6.peer(), Family::V6.us(), Protocol::DESTINATION_OPTIONS, 64, &body);
    host.refuse(CastKind::Unicast, kind, &bytes).unwrap();
    assert_eq!(read_parameter_problem(&host.sent_one().packet), (Icmpv6Parameter::NextHeader, 40));
}

#[test]
fn a_refused_next_header_reaches_the_transport_as_an_unknown_protocol() {
    let mut host = Host::tun();
    let quote = udp(Family::V6.us(), Family::V6.far(), b"12345678");
    let message =
        Icmpv6Message::ParameterProblem { parameter: Icmpv6Parameter::NextHeader, pointer: 6, quote: &quote };
    host.input(&icmp6(Family::V6.peer(), Family::V6.us(), 64, &message)).unwrap();
    match &host.events()[..] {
        [InternetEvent::IcmpError(error)] => assert_eq!(error.kind, IcmpErrorKind::ProtocolUnreachable),
        other => panic!("{other:?}"),
    }
}
