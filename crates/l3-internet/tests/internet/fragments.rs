//! Fragments for this host: put together, refused, given up.

use core::net::IpAddr;
use core::time::Duration;

use netloom_base::DropReason;
use netloom_wire::{CastKind, IcmpErrorKind, Icmpv6Parameter, Ipv6FragmentHeader, Protocol};

use crate::support::*;

/// A fragment of a UDP datagram to us.
fn fragment(family: Family, id: u16, offset: u16, more: bool, data: &[u8]) -> Vec<u8> {
    match (family.peer(), family.us()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let mut header = v4_header(source, destination, Protocol::UDP, 64);
            header.identification = id;
            header.fragment_offset = offset;
            header.more_fragments = more;
            [&header.to_bytes(data.len())[..], data].concat()
        }
        (source, destination) => {
            let header = Ipv6FragmentHeader {
                next_header: Protocol::UDP,
                offset,
                more_fragments: more,
                identification: id.into(),
            };
            let body = [&header.to_bytes()[..], data].concat();
            packet(source, destination, Protocol::FRAGMENT, 64, &body)
        }
    }
}

both_families! {
    // [1122-I016] [1122-I112] [791-07]
    fn a_datagram_is_whole_whatever_the_order_of_its_fragments(family) {
        let mut host = Host::tun();
        let whole = udp_payload(family.peer(), family.us(), &[9; 100]);
        let pieces = [(0, true, 0..40), (40, true, 40..80), (80, false, 80..108)];
        for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2], [2, 0, 1]] {
            let mut last = Ok(Outcome::Consumed);
            for index in order {
                assert_eq!(last, Ok(Outcome::Consumed));
                let (offset, more, range) = pieces[index].clone();
                last = host.input(&fragment(family, 5, offset, more, &whole[range]));
            }
            let expected =
                Outcome::Delivered { protocol: Protocol::UDP, cast: CastKind::Unicast, payload: whole.clone() };
            assert_eq!(last, Ok(expected), "{order:?}");
        }
        assert_eq!(host.internet.counters().datagrams_reassembled.get(), 4);
        assert!(host.internet.reassembler().is_empty());
    }

    // [1122-I116] [792-04] [8200-13] [1122-I117]
    fn a_datagram_that_stays_in_pieces_is_told_if_its_first_came(family) {
        let mut host = Host::tun();
        let first = fragment(family, 6, 0, true, &[1; 40]);
        assert_eq!(host.input(&first), Ok(Outcome::Consumed));
        assert_eq!(host.input(&fragment(family, 7, 40, true, &[1; 40])), Ok(Outcome::Consumed));
        host.advance(Duration::from_millis(59_999));
        assert!(host.sent().is_empty());
        host.advance(Duration::from_millis(1));
        let (kind, quote) = read_error(&host.sent_one().packet);
        assert_eq!(kind, IcmpErrorKind::ReassemblyTimeExceeded);
        assert_eq!(quote, first);
        assert_eq!(host.internet.counters().drops.get(DropReason::FragmentTimeout), 2);
        assert!(host.internet.reassembler().is_empty());
        assert_eq!(host.internet.poll_timeout(), None);
    }

    // [8200-17] RFC 5722 4
    fn overlapping_fragments_drop_the_datagram(family) {
        let mut host = Host::tun();
        host.input(&fragment(family, 8, 0, true, &[1; 40])).unwrap();
        assert_eq!(host.input(&fragment(family, 8, 32, false, &[2; 40])), Err(DropReason::FragmentOverlap));
        assert_eq!(host.input(&fragment(family, 8, 40, false, &[2; 40])), Err(DropReason::FragmentOverlap));
        host.advance(Duration::from_secs(61));
        assert!(host.sent().is_empty());
    }
}

#[test]
fn lengths_that_cannot_be_are_told_over_ipv6() {
    // [8200-14] [8200-15]
    let mut host = Host::tun();
    let bytes = fragment(Family::V6, 9, 0, true, &[1; 41]);
    assert_eq!(host.input(&bytes), Err(DropReason::FragmentMalformed));
    assert_eq!(read_parameter_problem(&host.sent_one().packet), (Icmpv6Parameter::HeaderField, 4));
    let bytes = fragment(Family::V6, 9, 65_528, false, &[1; 16]);
    assert_eq!(host.input(&bytes), Err(DropReason::FragmentMalformed));
    // Not the first fragment, so only its own host would know; nothing is said about it.
    assert!(host.sent().is_empty());
    let bytes = fragment(Family::V4, 9, 0, true, &[1; 41]);
    assert_eq!(host.input(&bytes), Err(DropReason::FragmentMalformed));
    assert!(host.sent().is_empty());
}

#[test]
fn a_first_fragment_holds_the_whole_chain_of_headers() {
    // [8200-16] RFC 7112
    let mut host = Host::tun();
    let header =
        Ipv6FragmentHeader { next_header: Protocol::TCP, offset: 0, more_fragments: true, identification: 1 };
    let body = [&header.to_bytes()[..], &[0; 16]].concat();
    let bytes = packet(Family::V6.peer(), Family::V6.us(), Protocol::FRAGMENT, 64, &body);
    assert_eq!(host.input(&bytes), Err(DropReason::FragmentMalformed));
    let problem = read_parameter_problem(&host.sent_one().packet);
    assert_eq!(problem, (Icmpv6Parameter::IncompleteHeaderChain, 0));
}

#[test]
fn an_atomic_fragment_is_a_whole_packet() {
    // [8200-12] RFC 6946
    let mut host = Host::tun();
    host.input(&fragment(Family::V6, 3, 0, true, &[1; 40])).unwrap();
    let whole = udp_payload(Family::V6.peer(), Family::V6.us(), b"atom");
    let outcome = host.input(&fragment(Family::V6, 3, 0, false, &whole));
    let expected = Outcome::Delivered { protocol: Protocol::UDP, cast: CastKind::Unicast, payload: whole };
    assert_eq!(outcome, Ok(expected));
    assert_eq!(host.internet.reassembler().len(), 1);
}
