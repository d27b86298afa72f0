//! Where packets go, from which address, and how large they may be.

use core::net::IpAddr;

use netloom_base::{AddressDetection, NextHop, PathInfo};
use netloom_l3_internet::{InterfaceConfig, InternetConfig, NoRoute};

use crate::support::*;

both_families! {
    // [1122-I094] [1122-I095] [1122-I098]
    fn neighbours_are_reached_directly_and_others_by_the_gateway(family) {
        let host = Host::router();
        let to = |destination| host.internet.path(None, destination).unwrap();
        let direct = PathInfo { next_hop: neighbor(IF0, family.peer()), source: family.us(), mtu: 1500 };
        assert_eq!(to(family.peer()), direct);
        assert_eq!(to(family.far()), direct);
        let other = PathInfo { next_hop: neighbor(IF1, family.other_peer()), source: family.us_too(), mtu: 1400 };
        assert_eq!(to(family.other_peer()), other);
    }

    fn own_addresses_lead_back_to_us(family) {
        let host = Host::router();
        for own in [family.us(), family.us_too(), family.loopback()] {
            let path = host.internet.path(None, own).unwrap();
            assert_eq!((path.next_hop, path.source, path.mtu), (NextHop::Local, own, u16::MAX));
            let path = host.internet.path(Some(family.us()), own).unwrap();
            assert_eq!((path.next_hop, path.source), (NextHop::Local, family.us()));
        }
    }

    // [1122-I013] [1122-I124]
    fn the_source_is_one_of_ours(family) {
        let host = Host::router();
        let path = host.internet.path(Some(family.us_too()), family.peer()).unwrap();
        assert_eq!((path.source, path.next_hop), (family.us_too(), neighbor(IF0, family.peer())));
        let with = |source| host.internet.path(Some(source), family.peer());
        assert_eq!(with(family.far()), Err(NoRoute::ForeignSource));
        assert_eq!(with(family.loopback()), Err(NoRoute::Destination));
        let other_family = if family == Family::V4 { Family::V6 } else { Family::V4 };
        assert_eq!(with(other_family.us()), Err(NoRoute::ForeignSource));
    }

    fn without_a_route_there_is_no_path(family) {
        let mut host = Host::new(InternetConfig::default());
        assert_eq!(host.internet.path(None, family.far()), Err(NoRoute::Destination));
        host.internet.add_interface(InterfaceConfig { mtu: 1500, link_address: None });
        host.add_address(IF0, family.us(), AddressDetection::Off);
        assert_eq!(host.internet.path(None, family.far()), Err(NoRoute::Destination));
        assert!(host.internet.path(None, family.peer()).is_ok());
        let nobody: IpAddr = if family == Family::V4 { "0.0.0.0" } else { "::" }.parse().unwrap();
        assert_eq!(host.internet.path(None, nobody), Err(NoRoute::Destination));
    }

    fn a_tentative_address_is_no_source(family) {
        let host = Host::with(InternetConfig::default(), Some(OUR_LINK), AddressDetection::Probe);
        assert_eq!(host.internet.path(None, family.peer()), Err(NoRoute::NoSource));
        assert_eq!(host.internet.path(Some(family.us()), family.peer()), Err(NoRoute::ForeignSource));
    }

    // [1122-I142] [1122-I144]
    fn groups_are_their_own_next_hop(family) {
        let host = Host::router();
        let groups: &[&str] = match family {
            Family::V4 => &["224.0.0.1", "239.1.2.3", "255.255.255.255"],
            Family::V6 => &["ff02::1", "ff05::7", "ff0e::9"],
        };
        for group in groups {
            let group = group.parse().unwrap();
            assert_eq!(host.internet.path(None, group).unwrap().next_hop, neighbor(IF0, group), "{group}");
        }
        // On a link of its own only the source tells which.
        let link_group = groups[0].parse().unwrap();
        let path = host.internet.path(Some(family.us_too()), link_group).unwrap();
        assert_eq!(path.next_hop, neighbor(IF1, link_group));
    }
}

#[test]
fn a_link_local_source_tells_the_link() {
    let mut host = Host::ethernet();
    host.internet.add_interface(InterfaceConfig { mtu: 1400, link_address: Some(PEER_LINK) });
    host.add_address(IF1, Family::V6.us_too(), AddressDetection::Off);
    let to = "fe80::77".parse().unwrap();
    let path = host.internet.path(Some("fe80::ff:fe00:1".parse().unwrap()), to).unwrap();
    assert_eq!((path.next_hop, path.mtu), (neighbor(IF1, to), 1400));
    let path = host.internet.path(Some("fe80::ff:fe00:2".parse().unwrap()), to).unwrap();
    assert_eq!(path.next_hop, neighbor(IF0, to));
}

#[test]
fn many_addresses_are_found_as_few_are() {
    let mut host = Host::tun();
    let address = |last: u8| IpAddr::from([10, 9, 0, last]);
    for last in 1..=40 {
        host.add_address(IF0, address(last), AddressDetection::Off);
    }
    assert!((1..=40).all(|last| host.internet.is_local(address(last))));
    assert!(!host.internet.is_local(address(41)));
    for last in (1..=40).step_by(2) {
        host.internet.remove_address(host.now, address(last)).unwrap();
    }
    for last in 1..=40 {
        assert_eq!(host.internet.is_local(address(last)), last % 2 == 0, "{last}");
    }
}
