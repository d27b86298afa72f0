//! IPv4 options at their destination and on their way (RFC 791 3.1, RFC 1122 3.2.1.8, RFC 1812 5.3.13).

use core::net::IpAddr;

use netloom_base::DropReason;
use netloom_wire::{IcmpErrorKind, Icmpv4Message, Ipv4Packet, Protocol};

use crate::support::*;

const V4: Family = Family::V4;

/// A packet with options.
fn optioned(destination: IpAddr, protocol: Protocol, options: &[u8], payload: &[u8]) -> Vec<u8> {
    let (IpAddr::V4(source), IpAddr::V4(destination)) = (V4.peer(), destination) else { panic!("not IPv4") };
    let header = v4_header(source, destination, protocol, 64);
    let mut bytes = header.to_bytes(options.len() + payload.len()).to_vec();
    bytes.extend(options);
    bytes[0] = 0x45 + u8::try_from(options.len() / 4).unwrap();
    bytes[10..12].fill(0);
    let mut checksum = netloom_wire::Checksum::new();
    checksum.add(&bytes);
    bytes[10..12].copy_from_slice(&checksum.finish());
    bytes.extend(payload);
    bytes
}

#[test]
fn unknown_options_are_passed_over() {
    // [1122-I027] [1122-I030] [9293 MUST-50]
    for protocol in [Protocol::UDP, Protocol::TCP] {
        let mut host = Host::tun();
        let bytes = optioned(V4.us(), protocol, &[136, 4, 0, 0, 222, 3, 9, 0], b"12345678");
        assert!(matches!(host.input(&bytes), Ok(Outcome::Delivered { .. })), "{protocol:?}");
    }
}

#[test]
fn malformed_options_are_pointed_at() {
    // [1122-I060] [792-05]
    let mut host = Host::tun();
    let bytes = optioned(V4.us(), Protocol::UDP, &[1, 7, 9, 4], b"12345678");
    assert_eq!(host.input(&bytes), Err(DropReason::IpBadOption));
    let (kind, quote) = read_error(&host.sent_one().packet);
    assert_eq!((kind, quote), (IcmpErrorKind::ParameterProblem { pointer: 22 }, bytes));
}

#[test]
fn source_routes_are_refused_here_and_on_the_way() {
    // [1122-I134] [1122-I136]
    let mut host = Host::router();
    for destination in [V4.us(), V4.other_peer()] {
        let bytes = optioned(destination, Protocol::UDP, &[131, 7, 4, 10, 0, 0, 9, 0], b"12345678");
        assert_eq!(host.input(&bytes), Err(DropReason::IpSourceRoute));
        assert_eq!(read_error(&host.sent_one().packet).0, IcmpErrorKind::SourceRouteFailed);
    }
}

#[test]
fn an_echo_reply_records_the_way_that_its_request_asked_for() {
    // [1122-I031] [1122-I032] [1122-I070]
    let mut host = Host::tun();
    let message = Icmpv4Message::EchoRequest { identifier: 1, sequence: 1, data: b"route" };
    let body = [&message.to_header()[..], b"route"].concat();
    let options = [7, 11, 8, 192, 0, 2, 1, 0, 0, 0, 0, 0];
    host.input(&optioned(V4.us(), Protocol::ICMP, &options, &body)).unwrap();
    let output = host.sent_one();
    let reply = Ipv4Packet::parse(&output.packet).unwrap();
    assert_eq!(reply.options, [7, 11, 12, 192, 0, 2, 1, 10, 0, 0, 2, 0]);
    // Options that ask for nothing stay behind.
    host.input(&optioned(V4.us(), Protocol::ICMP, &[148, 4, 0, 0], &body)).unwrap();
    let output = host.sent_one();
    assert!(Ipv4Packet::parse(&output.packet).unwrap().options.is_empty());
}

#[test]
fn a_router_records_itself() {
    // [1122-I132]
    let mut host = Host::router();
    let options = [7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let bytes = optioned(V4.other_peer(), Protocol::UDP, &options, b"12345678");
    let Ok(Outcome::Forwarded(forward)) = host.input(&bytes) else { panic!("not forwarded") };
    let packet = Ipv4Packet::parse(&forward.packet).unwrap();
    assert!(packet.checksum_is_valid());
    assert_eq!(packet.options, [7, 11, 8, 10, 1, 0, 2, 0, 0, 0, 0, 0]);
    assert_eq!(packet.header.ttl, 63);
}
