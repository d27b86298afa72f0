//! Giving the host addresses and taking them away.

use core::net::IpAddr;

use netloom_base::{AddressDetection, InterfaceId};
use netloom_l3_internet::{AddressError, AddressState, InternetConfig, InternetEvent};

use crate::support::*;

both_families! {
    // [1122-I012] [1122-I111] [1122-I147] [4861-11]
    fn an_address_brings_its_route_and_its_groups(family) {
        let mut host = Host::with(InternetConfig::default(), Some(OUR_LINK), AddressDetection::Off);
        let events = host.events();
        let joined = InternetEvent::JoinGroup { interface: IF0, group: family.all_nodes() };
        assert_eq!(events.iter().filter(|&event| *event == joined).count(), 1);
        assert!(events.contains(&InternetEvent::AddressReady { interface: IF0, address: family.us() }));
        assert!(host.internet.routes().lookup(family.peer()).is_some_and(|route| route.gateway.is_none()));
        let (interface, cidr) = host.internet.remove_address(host.now, family.us()).unwrap();
        assert_eq!((interface, cidr.address()), (IF0, family.us()));
        assert!(!host.internet.is_local(family.us()));
        assert!(host.internet.routes().lookup(family.peer()).is_some_and(|route| route.gateway.is_some()));
        assert_eq!(host.internet.remove_address(host.now, family.us()), Err(AddressError::Unknown));
    }

    fn a_route_stays_while_another_address_needs_it(family) {
        let mut host = Host::tun();
        let another: IpAddr = if family == Family::V4 { "10.0.0.3" } else { "fd00::3" }.parse().unwrap();
        host.add_address(IF0, another, AddressDetection::Off);
        host.internet.remove_address(host.now, family.us()).unwrap();
        assert!(host.internet.routes().lookup(family.peer()).is_some_and(|route| route.gateway.is_none()));
        host.internet.remove_address(host.now, another).unwrap();
        assert!(host.internet.routes().lookup(family.peer()).is_some_and(|route| route.gateway.is_some()));
    }
}

#[test]
fn impossible_addresses_are_refused() {
    let mut host = Host::tun();
    let mut add = |interface: InterfaceId, text: &str| {
        host.internet.add_address(host.now, interface, text.parse().unwrap(), AddressDetection::Off)
    };
    for text in [
        "224.0.0.1/24",
        "255.255.255.255/32",
        "127.0.0.1/8",
        "0.0.0.0/0",
        "10.5.0.0/24",
        "10.5.0.255/24",
        "ff02::1/64",
        "::1/128",
        "::/0",
    ] {
        assert_eq!(add(IF0, text), Err(AddressError::NotAHostAddress), "{text}");
    }
    assert_eq!(add(IF0, "10.0.0.2/16"), Err(AddressError::InUse));
    assert_eq!(add(IF1, "10.5.0.1/24"), Err(AddressError::UnknownInterface));
    assert_eq!(add(IF0, "10.5.0.0/31"), Ok(()));
    assert_eq!(add(IF0, "10.6.0.0/32"), Ok(()));
}

#[test]
fn addresses_are_bounded() {
    let config = InternetConfig { max_addresses: 3, ..InternetConfig::default() };
    let mut host = Host::with(config, None, AddressDetection::Off);
    host.add_address(IF0, "10.7.0.1".parse().unwrap(), AddressDetection::Off);
    let cidr = "10.8.0.1/24".parse().unwrap();
    let result = host.internet.add_address(host.now, IF0, cidr, AddressDetection::Off);
    assert_eq!(result, Err(AddressError::Full));
    assert!(
        host.internet.routes().lookup("10.8.0.9".parse().unwrap()).is_some_and(|it| it.gateway.is_some())
    );
}

#[test]
fn an_ethernet_interface_gets_a_link_local_address_with_its_first_ipv6_address() {
    // [4862-01]
    let mut host = Host::ethernet();
    let ours = "fe80::ff:fe00:2".parse().unwrap();
    assert!(host.internet.is_local(ours));
    host.add_address(IF0, "fd07::1".parse().unwrap(), AddressDetection::Off);
    let count = host.internet.addresses().filter(|entry| entry.cidr.address() == ours).count();
    assert_eq!(count, 1);
    assert!(!Host::tun().internet.is_local(ours));
}

fn v4_state(host: &Host) -> AddressState {
    let is_ours = |entry: &&netloom_l3_internet::LocalAddress| entry.cidr.address() == Family::V4.us();
    host.internet.addresses().find(is_ours).unwrap().state
}

#[test]
fn the_link_layer_says_what_became_of_an_ipv4_address() {
    let mut host = Host::with(InternetConfig::default(), Some(OUR_LINK), AddressDetection::Probe);
    let us = Family::V4.us();
    let ready = InternetEvent::AddressReady { interface: IF0, address: us };
    assert!(!host.events().contains(&ready));
    host.internet.mark_ready(host.now, IF1, us);
    assert_eq!(v4_state(&host), AddressState::Tentative);
    host.internet.mark_ready(host.now, IF0, us);
    assert_eq!((v4_state(&host), host.events()), (AddressState::Preferred, vec![ready]));
    // Later the link layer has defended it in vain.
    host.internet.mark_conflict(host.now, IF0, us);
    assert!(host.events().contains(&InternetEvent::DuplicateAddress { interface: IF0, address: us }));
    assert_eq!(v4_state(&host), AddressState::Duplicate);
    assert!(!host.internet.is_local(us));

    let mut host = Host::with(InternetConfig::default(), Some(OUR_LINK), AddressDetection::Probe);
    host.events();
    host.internet.mark_conflict(host.now, IF0, us);
    assert_eq!(v4_state(&host), AddressState::Duplicate);
    assert!(host.events().contains(&InternetEvent::DuplicateAddress { interface: IF0, address: us }));
    host.internet.mark_ready(host.now, IF0, us);
    assert!(!host.internet.is_local(us));
}
