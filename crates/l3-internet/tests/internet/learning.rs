//! What ICMP teaches about destinations: path MTUs and better first hops.

use core::net::IpAddr;
use core::time::Duration;

use netloom_base::{AddressDetection, DropReason, PathInfo};
use netloom_l3_internet::{InterfaceConfig, InternetConfig, InternetEvent, NoRoute, Route};
use netloom_wire::{IcmpErrorKind, Icmpv4Message, NeighborUpdateKind};

use crate::support::*;

fn too_big(family: Family, quoted_len: usize, mtu: Option<u16>) -> Vec<u8> {
    let data = vec![0; quoted_len - family.header_len() - 8];
    let quote = udp(family.us(), family.far(), &data);
    icmp_error(family.peer(), family.us(), IcmpErrorKind::PacketTooBig { mtu }, &quote[..100])
}

fn mtu_to_far(host: &Host, family: Family) -> u16 {
    host.internet.path(None, family.far()).unwrap().mtu
}

/// What a packet's path is, one change after another; each time it is what the tables say, and stays so.
fn paths_as_things_change(
    family: Family,
    from: Option<IpAddr>,
    to: IpAddr,
) -> Vec<Result<PathInfo, NoRoute>> {
    let mut host = Host::tun();
    host.internet.add_interface(InterfaceConfig { mtu: 1400, link_address: Some(OUR_LINK) });
    let route = *host.internet.routes().lookup(family.far()).unwrap();
    let mut paths = Vec::new();
    for step in 0..10 {
        match step {
            1 => host.add_address(IF1, family.us_too(), AddressDetection::Probe),
            2 => {
                host.internet.routes_mut().remove(route.prefix, route.gateway, route.interface).unwrap();
            }
            3 => host.internet.routes_mut().insert(Route { interface: IF1, ..route }).unwrap(),
            4 => host.internet.mark_ready(host.now, IF1, family.us_too()),
            5 => {
                host.input(&too_big(family, 1380, Some(1300))).unwrap();
            }
            6 => host.internet.set_accept_any(IF1, true),
            7 => host.advance(Duration::from_secs(600)),
            8 => host.internet.set_accept_any(IF1, false),
            9 => host.internet.mark_conflict(host.now, IF1, family.us_too()),
            _ => {}
        }
        let path = host.internet.path(from, to);
        for _ in 0..2 {
            assert_eq!(host.internet.packet_path(from, to), path, "after change {step}");
        }
        paths.push(path);
    }
    paths
}

both_families! {
    // [1191-01] [1191-02] [1191-03] [8201-01] [8201-02] [4443-13]
    fn a_path_mtu_is_lowered_for_ten_minutes(family) {
        let mut host = Host::tun();
        assert_eq!(mtu_to_far(&host, family), 1500);
        assert_eq!(host.input(&too_big(family, 1500, Some(1400))), Ok(Outcome::Consumed));
        assert_eq!(mtu_to_far(&host, family), 1400);
        match &host.events()[..] {
            [InternetEvent::IcmpError(error)] => {
                assert_eq!(error.kind, IcmpErrorKind::PacketTooBig { mtu: Some(1400) });
            }
            other => panic!("{other:?}"),
        }
        // Only this destination, and never up.
        assert_eq!(host.internet.path(None, family.peer()).unwrap().mtu, 1500);
        assert_eq!(host.input(&too_big(family, 1500, Some(1450))), Ok(Outcome::Consumed));
        assert_eq!(mtu_to_far(&host, family), 1400);
        host.advance(Duration::from_millis(599_999));
        assert_eq!(mtu_to_far(&host, family), 1400);
        host.advance(Duration::from_millis(1));
        assert_eq!(mtu_to_far(&host, family), 1500);
        assert_eq!(host.internet.counters().path_mtu_lowered.get(), 1);
        assert_eq!(host.internet.learned_destinations(), 0);
    }

    fn a_packet_takes_the_path_that_there_is_now(family) {
        let sources = [None, Some(family.us()), Some(family.us_too()), Some(family.far())];
        let destinations = [family.peer(), family.other_peer(), family.far()];
        let pairs = sources.into_iter().flat_map(|from| destinations.map(|to| (from, to)));
        let paths: Vec<_> = pairs.map(|(from, to)| paths_as_things_change(family, from, to)).collect();
        for step in 1..paths[0].len() {
            // An address of IPv6 is used while it is on trial (RFC 4429).
            let makes_none = step == 4 && family == Family::V6;
            let is_change = paths.iter().any(|paths| paths[step - 1] != paths[step]);
            assert!(is_change || makes_none, "change {step} makes a difference");
        }
    }

    // [8201-03] [1191-01]
    fn a_path_mtu_never_falls_below_the_floor(family) {
        let mut host = Host::tun();
        let (claim, result, mtu) = match family {
            Family::V4 => (100, Ok(Outcome::Consumed), 552),
            Family::V6 => (1279, Err(DropReason::IcmpUnexpected), 1500),
        };
        assert_eq!(host.input(&too_big(family, 1500, Some(claim))), result);
        assert_eq!(mtu_to_far(&host, family), mtu);
        assert_eq!(host.input(&too_big(family, 1500, Some(67))), Err(DropReason::IcmpUnexpected));
    }

    // [8201-04]
    fn a_claim_that_the_quote_contradicts_is_dropped(family) {
        let mut host = Host::tun();
        assert_eq!(host.input(&too_big(family, 1300, Some(1300))), Err(DropReason::IcmpUnexpected));
        assert_eq!(mtu_to_far(&host, family), 1500);
        assert!(host.events().is_empty());
    }

    fn what_is_learned_is_bounded(family) {
        let config = InternetConfig { max_destinations: 10, ..InternetConfig::default() };
        let mut host = Host::with(config, None, AddressDetection::Off);
        for last in 1..=200 {
            let destination = match family {
                Family::V4 => IpAddr::from([198, 51, 100, last]),
                Family::V6 => IpAddr::from([0x2001, 0xdb8, 1, 0, 0, 0, 0, u16::from(last)]),
            };
            let quote = udp(family.us(), destination, &[0; 1400]);
            let kind = IcmpErrorKind::PacketTooBig { mtu: Some(1300) };
            host.input(&icmp_error(family.peer(), family.us(), kind, &quote[..100])).unwrap();
        }
        assert_eq!(host.internet.learned_destinations(), 10);
    }
}

#[test]
fn a_router_that_does_not_tell_the_mtu_makes_us_take_the_next_plateau() {
    // [1191-03]
    let mut host = Host::tun();
    host.input(&too_big(Family::V4, 1500, None)).unwrap();
    assert_eq!(mtu_to_far(&host, Family::V4), 1492);
    host.input(&too_big(Family::V4, 1492, None)).unwrap();
    assert_eq!(mtu_to_far(&host, Family::V4), 1006);
}

fn redirect4(source: &str, gateway: &str) -> Vec<u8> {
    let quote = udp(Family::V4.us(), Family::V4.far(), b"12345678");
    let message = Icmpv4Message::Redirect { gateway: gateway.parse().unwrap(), quote: &quote };
    icmp4(source.parse().unwrap(), Family::V4.us(), &message)
}

#[test]
fn an_ipv4_redirect_from_the_gateway_in_use_is_followed() {
    // [1122-I053] [1122-I054] [1122-I055] [1122-I096] [1122-I097] [792-06]
    let mut host = Host::tun();
    for (source, gateway) in [
        ("10.0.0.9", "10.0.0.7"),
        ("10.0.0.1", "10.7.0.7"),
        ("10.0.0.1", "10.0.0.2"),
        ("10.0.0.1", "10.0.0.255"),
    ] {
        assert_eq!(
            host.input(&redirect4(source, gateway)),
            Err(DropReason::IcmpBadRedirect),
            "{source} {gateway}"
        );
    }
    assert_eq!(
        host.internet.path(None, Family::V4.far()).unwrap().next_hop,
        neighbor(IF0, Family::V4.peer())
    );
    assert_eq!(host.input(&redirect4("10.0.0.1", "10.0.0.7")), Ok(Outcome::Consumed));
    let via = "10.0.0.7".parse().unwrap();
    assert_eq!(host.internet.path(None, Family::V4.far()).unwrap().next_hop, neighbor(IF0, via));
    // [1122-I105] [1122-I110] a gateway that does not answer is not used again.
    host.internet.host_unreachable(host.now, &udp(Family::V4.us(), Family::V4.far(), b"x"));
    assert_eq!(
        host.internet.path(None, Family::V4.far()).unwrap().next_hop,
        neighbor(IF0, Family::V4.peer())
    );
}

#[test]
fn redirects_are_not_followed_by_routers_or_when_switched_off() {
    let config = InternetConfig { accept_redirects: false, ..InternetConfig::default() };
    let mut host = Host::with(config, None, AddressDetection::Off);
    assert_eq!(host.input(&redirect4("10.0.0.1", "10.0.0.7")), Err(DropReason::IcmpBadRedirect));
    assert_eq!(Host::router().input(&redirect4("10.0.0.1", "10.0.0.7")), Err(DropReason::IcmpBadRedirect));
}

#[test]
fn an_ipv6_redirect_from_the_gateway_in_use_is_followed() {
    // [4861-07] [4861-33]
    let mut host = Host::ethernet();
    let gateway = "fe80::1".parse().unwrap();
    let route = |gateway| Route {
        prefix: "2001:db8::/32".parse().unwrap(),
        gateway: Some(gateway),
        interface: IF0,
        metric: 0,
        source: None,
    };
    host.internet.routes_mut().insert(route(gateway)).unwrap();
    let redirect = |source: &str, hop_limit: u8, target: &str| {
        let mut body = vec![137, 0, 0, 0, 0, 0, 0, 0];
        body.extend(target.parse::<core::net::Ipv6Addr>().unwrap().octets());
        body.extend("2001:db8::9".parse::<core::net::Ipv6Addr>().unwrap().octets());
        body.extend([2, 1, 2, 0, 0, 0, 0, 7]);
        crate::neighbors::finish(source, "fd00::2", hop_limit, body)
    };
    assert_eq!(host.input(&redirect("fe80::9", 255, "fe80::7")), Err(DropReason::IcmpBadRedirect));
    assert_eq!(host.input(&redirect("fd00::1", 255, "fe80::7")), Err(DropReason::NdpMalformed));
    assert_eq!(host.input(&redirect("fe80::1", 254, "fe80::7")), Err(DropReason::NdpMalformed));
    assert_eq!(host.input(&redirect("fe80::1", 255, "fd00::7")), Err(DropReason::NdpMalformed));
    assert!(host.events().is_empty());
    assert_eq!(host.input(&redirect("fe80::1", 255, "fe80::7")), Ok(Outcome::Consumed));
    let via = "fe80::7".parse().unwrap();
    assert_eq!(host.internet.path(None, Family::V6.far()).unwrap().next_hop, neighbor(IF0, via));
    match &host.events()[..] {
        [InternetEvent::NeighborUpdate { update, .. }] => {
            assert_eq!((update.address, update.kind), (via, NeighborUpdateKind::Redirect));
        }
        other => panic!("{other:?}"),
    }
}
