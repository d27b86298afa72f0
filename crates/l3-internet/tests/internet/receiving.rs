//! What is taken in, and what is dropped for its headers.

use netloom_base::{DropReason, InterfaceId};
use netloom_l3_internet::{InterfaceConfig, InternetConfig};
use netloom_wire::{CastKind, Protocol};

use crate::support::*;

both_families! {
    fn a_datagram_for_us_is_delivered_without_the_links_padding(family) {
        let mut host = Host::tun();
        let payload = udp_payload(family.peer(), family.us(), b"hello");
        let mut bytes = packet(family.peer(), family.us(), Protocol::UDP, 64, &payload);
        bytes.extend([0; 13]);
        let expected = Outcome::Delivered { protocol: Protocol::UDP, cast: CastKind::Unicast, payload };
        assert_eq!(host.input(&bytes), Ok(expected));
        assert_eq!(host.internet.counters().datagrams_delivered.get(), 1);
    }

    // [1122-I022] [1812-02] [8200-01]
    fn a_hop_limit_of_zero_does_not_matter_at_the_destination(family) {
        let mut host = Host::tun();
        let bytes = packet(family.peer(), family.us(), Protocol::UDP, 0, b"data data");
        assert!(matches!(host.input(&bytes), Ok(Outcome::Delivered { .. })));
    }

    // [1122-I006] [1122-I007] [1122-I014]
    fn packets_for_others_are_dropped_however_many_interfaces_there_are(family) {
        let mut host = Host::tun();
        host.internet.add_interface(InterfaceConfig { mtu: 1500, link_address: None });
        host.add_address(IF1, family.us_too(), netloom_base::AddressDetection::Off);
        let bytes = udp(family.peer(), family.other_peer(), b"x");
        assert_eq!(host.input(&bytes), Err(DropReason::IpNotForUs));
        assert!(host.sent().is_empty());
    }

    // [1122-I143]
    fn a_link_broadcast_to_a_unicast_address_is_dropped(family) {
        let mut host = Host::ethernet();
        let bytes = udp(family.peer(), family.us(), b"x");
        assert_eq!(host.input_on(IF0, CastKind::Broadcast, &bytes), Err(DropReason::IpLinkBroadcast));
        assert_eq!(host.input_on(IF0, CastKind::Multicast, &bytes), Err(DropReason::IpLinkBroadcast));
    }

    // [1122-I147] [4861-11]
    fn the_group_of_all_nodes_is_joined_and_others_are_not(family) {
        let mut host = Host::ethernet();
        let bytes = udp(family.peer(), family.all_nodes(), b"x");
        let outcome = host.input_on(IF0, CastKind::Multicast, &bytes);
        assert!(matches!(outcome, Ok(Outcome::Delivered { cast: CastKind::Multicast, .. })), "{outcome:?}");
        let other = match family {
            Family::V4 => "224.0.0.251".parse().unwrap(),
            Family::V6 => "ff02::fb".parse().unwrap(),
        };
        let bytes = udp(family.peer(), other, b"x");
        assert_eq!(host.input_on(IF0, CastKind::Multicast, &bytes), Err(DropReason::IpNotForUs));
        assert!(host.internet.join_group(host.now, IF0, other));
        assert!(host.input_on(IF0, CastKind::Multicast, &bytes).is_ok());
        host.internet.leave_group(host.now, IF0, other);
        assert_eq!(host.input_on(IF0, CastKind::Multicast, &bytes), Err(DropReason::IpNotForUs));
    }

    fn loopback_addresses_stay_inside(family) {
        let mut host = Host::tun();
        let bytes = udp(family.loopback(), family.loopback(), b"x");
        assert_eq!(host.input(&bytes), Err(DropReason::IpBadSource));
        let to_loopback = udp(family.peer(), family.loopback(), b"x");
        assert_eq!(host.input(&to_loopback), Err(DropReason::IpBadDestination));
        let looped = host.input_on(InterfaceId::LOOPBACK, CastKind::Unicast, &bytes);
        assert!(matches!(looped, Ok(Outcome::Delivered { .. })), "{looped:?}");
        let from_us = udp(family.us(), family.us(), b"x");
        assert_eq!(host.input(&from_us), Err(DropReason::IpBadSource));
        assert!(host.input_on(InterfaceId::LOOPBACK, CastKind::Unicast, &from_us).is_ok());
    }

    fn a_tentative_address_takes_nothing(family) {
        let mut host =
            Host::with(InternetConfig::default(), Some(OUR_LINK), netloom_base::AddressDetection::Probe);
        let bytes = udp(family.peer(), family.us(), b"x");
        assert_eq!(host.input(&bytes), Err(DropReason::IpTentativeAddress));
        assert!(!host.internet.is_local(family.us()));
    }

    // [1122-I015] [1122-I137] [1812-04]
    fn sources_that_no_host_has_are_dropped(family) {
        let mut host = Host::tun();
        let sources: &[&str] = match family {
            Family::V4 => {
                &["0.0.0.0", "0.1.2.3", "224.0.0.1", "240.0.0.1", "255.255.255.255", "127.0.0.1", "10.0.0.255", "10.0.0.0", "10.0.0.2"]
            }
            Family::V6 => &["ff02::1", "::1", "::ffff:10.0.0.1", "fd00::2", "::"],
        };
        for source in sources {
            let bytes = udp(source.parse().unwrap(), family.us(), b"x");
            assert_eq!(host.input(&bytes), Err(DropReason::IpBadSource), "{source}");
        }
        assert!(host.sent().is_empty());
    }
}

#[test]
fn broadcasts_of_every_form_are_ours() {
    // [1122-I138] [1122-I141]
    let mut host = Host::tun();
    for destination in ["255.255.255.255", "10.0.0.255", "10.0.0.0", "0.0.0.0"] {
        let bytes = udp(Family::V4.peer(), destination.parse().unwrap(), b"x");
        let outcome = host.input_on(IF0, CastKind::Broadcast, &bytes);
        assert!(
            matches!(outcome, Ok(Outcome::Delivered { cast: CastKind::Broadcast, .. })),
            "{destination}: {outcome:?}"
        );
    }
    let bytes = udp(Family::V4.peer(), "10.9.0.255".parse().unwrap(), b"x");
    assert_eq!(host.input(&bytes), Err(DropReason::IpNotForUs));
}

#[test]
fn destinations_that_no_packet_has_are_dropped() {
    let mut host = Host::router();
    for (family, destination) in [
        (Family::V4, "240.0.0.1"),
        (Family::V4, "0.0.0.1"),
        (Family::V6, "::"),
        (Family::V6, "::ffff:1.2.3.4"),
    ] {
        let bytes = udp(family.peer(), destination.parse().unwrap(), b"x");
        assert_eq!(host.input(&bytes), Err(DropReason::IpBadDestination), "{destination}");
    }
}

#[test]
fn malformed_headers_are_dropped_by_their_fault() {
    // [791-01] [791-04] [1122-I010] [1122-I011] [1812-01] [1812-14]
    let good4 = udp(Family::V4.peer(), Family::V4.us(), b"hello");
    let good6 = udp(Family::V6.peer(), Family::V6.us(), b"hello");
    let with = |bytes: &[u8], at: usize, value: u8| {
        let mut bytes = bytes.to_vec();
        bytes[at] = value;
        bytes
    };
    let cases = [
        (Vec::new(), DropReason::IpTruncated),
        (vec![0x45], DropReason::IpTruncated),
        (vec![0x60; 39], DropReason::IpTruncated),
        (with(&good4, 0, 0x55), DropReason::IpBadVersion),
        (with(&good4, 0, 0x44), DropReason::IpBadHeaderLength),
        (with(&good4, 3, 19), DropReason::IpBadHeaderLength),
        (with(&good4, 3, 200), DropReason::IpTruncated),
        (with(&good4, 8, 9), DropReason::IpBadChecksum),
        (good4[..good4.len() - 1].to_vec(), DropReason::IpTruncated),
        (good6[..good6.len() - 1].to_vec(), DropReason::IpTruncated),
        (with(&good6, 4, 1), DropReason::IpTruncated),
    ];
    let mut host = Host::tun();
    for (bytes, reason) in cases {
        assert_eq!(host.input(&bytes), Err(reason), "{bytes:02x?}");
    }
    assert!(host.sent().is_empty() && host.events().is_empty());
}

#[test]
fn a_link_local_address_is_ours_on_its_link_only() {
    let mut host = Host::ethernet();
    host.internet.add_interface(InterfaceConfig { mtu: 1500, link_address: None });
    let ours = "fe80::ff:fe00:2".parse().unwrap();
    assert!(host.internet.is_local(ours));
    let bytes = udp("fe80::9".parse().unwrap(), ours, b"x");
    assert!(host.input(&bytes).is_ok());
    assert_eq!(host.input_on(IF1, CastKind::Unicast, &bytes), Err(DropReason::IpNotForUs));
}
