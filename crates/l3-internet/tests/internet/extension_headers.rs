//! IPv6 extension headers at their destination (RFC 8200 4).

use netloom_base::DropReason;
use netloom_wire::{CastKind, Icmpv6Parameter, Protocol};

use crate::support::*;

const V6: Family = Family::V6;

/// A packet whose headers after IPv6's own are `parts`, the first of them a `first`.
fn chained(first: Protocol, parts: &[&[u8]]) -> Vec<u8> {
    packet(V6.peer(), V6.us(), first, 64, &parts.concat())
}

fn delivered(host: &mut Host, bytes: &[u8]) -> bool {
    matches!(host.input(bytes), Ok(Outcome::Delivered { protocol: Protocol::UDP, .. }))
}

const PADDED: [u8; 8] = [17, 0, 1, 4, 0, 0, 0, 0];

#[test]
fn headers_are_walked_in_any_order_and_number() {
    // [8200-02] [8200-04] [8200-06]
    let mut host = Host::tun();
    let udp = udp_payload(V6.peer(), V6.us(), b"x");
    let next = |kind: u8| [kind, 0, 1, 4, 0, 0, 0, 0];
    let finished_route = [60, 0, 7, 0, 0, 0, 0, 0];
    assert!(delivered(&mut host, &chained(Protocol::HOP_BY_HOP, &[&PADDED, &udp])));
    assert!(delivered(&mut host, &chained(Protocol::DESTINATION_OPTIONS, &[&PADDED, &udp])));
    let parts: &[&[u8]] = &[&next(60), &next(43), &finished_route, &next(60), &PADDED, &udp];
    assert!(delivered(&mut host, &chained(Protocol::HOP_BY_HOP, parts)));
    assert!(host.sent().is_empty());
}

#[test]
fn hop_by_hop_options_stand_first_or_not_at_all() {
    // [8200-07]
    let mut host = Host::tun();
    let bytes = chained(Protocol::DESTINATION_OPTIONS, &[&[0, 0, 1, 4, 0, 0, 0, 0], &PADDED, b"12345678"]);
    assert_eq!(host.input(&bytes), Err(DropReason::IpBadExtensionHeader));
    assert_eq!(read_parameter_problem(&host.sent_one().packet), (Icmpv6Parameter::NextHeader, 40));
}

#[test]
fn the_type_of_an_unknown_option_says_what_to_do() {
    // [8200-05]
    let mut host = Host::ethernet();
    let group = V6.all_nodes();
    let mut check = |kind: u8, to_group: bool, passes: bool, is_reported: bool| {
        let (destination, cast) =
            if to_group { (group, CastKind::Multicast) } else { (V6.us(), CastKind::Unicast) };
        let options = [17, 0, 1, 0, kind, 2, 0, 0];
        let udp = udp_payload(V6.peer(), destination, b"x");
        let bytes =
            packet(V6.peer(), destination, Protocol::DESTINATION_OPTIONS, 64, &[&options[..], &udp].concat());
        let outcome = host.input_on(IF0, cast, &bytes);
        if passes {
            assert!(matches!(outcome, Ok(Outcome::Delivered { .. })), "{kind:#x}");
        } else {
            assert_eq!(outcome, Err(DropReason::IpBadExtensionHeader), "{kind:#x}");
        }
        let sent = host.sent();
        assert_eq!(sent.len(), usize::from(is_reported), "{kind:#x} {to_group}");
        for output in sent {
            assert_eq!(read_parameter_problem(&output.packet), (Icmpv6Parameter::Option, 44));
            assert_eq!(read(&output.packet).destination, V6.peer());
        }
    };
    check(0x1e, false, true, false);
    check(0x5e, false, false, false);
    check(0x9e, false, false, true);
    check(0xde, false, false, true);
    check(0x1e, true, true, false);
    check(0x5e, true, false, false);
    // [4443-08] this one may answer a packet to a group.
    check(0x9e, true, false, true);
    check(0xde, true, false, false);
    // A jumbo payload is an option like any other here.
    check(0xc2, false, false, true);
    // A router alert is known.
    check(5, false, true, false);
}

#[test]
fn routes_with_stations_left_are_refused() {
    // [8200-08] [1122-I134] RFC 5095
    let mut host = Host::tun();
    let udp = udp_payload(V6.peer(), V6.us(), b"x");
    for routing_type in [0, 2, 4, 250] {
        let bytes = chained(Protocol::ROUTING, &[&[17, 0, routing_type, 1, 0, 0, 0, 0], &udp]);
        assert_eq!(host.input(&bytes), Err(DropReason::IpSourceRoute));
        assert_eq!(read_parameter_problem(&host.sent_one().packet), (Icmpv6Parameter::HeaderField, 42));
        let bytes = chained(Protocol::ROUTING, &[&[17, 0, routing_type, 0, 0, 0, 0, 0], &udp]);
        assert!(delivered(&mut host, &bytes));
    }
}

#[test]
fn nothing_after_no_next_header_is_looked_at() {
    // [8200-18]
    let mut host = Host::tun();
    let bytes = chained(Protocol::NO_NEXT_HEADER, &[b"whatever"]);
    assert_eq!(host.input(&bytes), Ok(Outcome::Consumed));
    let bytes = chained(Protocol::DESTINATION_OPTIONS, &[&[59, 0, 1, 4, 0, 0, 0, 0], b"more"]);
    assert_eq!(host.input(&bytes), Ok(Outcome::Consumed));
    assert!(host.sent().is_empty());
}

#[test]
fn chains_are_walked_only_so_far() {
    let mut host = Host::tun();
    let udp = udp_payload(V6.peer(), V6.us(), b"x");
    let mut parts: Vec<u8> = [60, 0, 1, 4, 0, 0, 0, 0].repeat(7);
    parts.extend(PADDED);
    assert!(delivered(&mut host, &chained(Protocol::DESTINATION_OPTIONS, &[&parts, &udp])));
    let mut parts: Vec<u8> = [60, 0, 1, 4, 0, 0, 0, 0].repeat(8);
    parts.extend(PADDED);
    let bytes = chained(Protocol::DESTINATION_OPTIONS, &[&parts, &udp]);
    assert_eq!(host.input(&bytes), Err(DropReason::IpExtensionChainTooLong));
}

#[test]
fn malformed_headers_are_dropped() {
    let mut host = Host::tun();
    for parts in [&[17u8, 9, 1, 4, 0, 0, 0, 0][..], &[17, 0, 1, 9, 0, 0, 0, 0], &[17, 0, 1], &[]] {
        let bytes = chained(Protocol::HOP_BY_HOP, &[parts]);
        assert_eq!(host.input(&bytes), Err(DropReason::IpBadExtensionHeader), "{parts:?}");
    }
}
