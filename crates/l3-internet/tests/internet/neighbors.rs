//! Neighbour discovery and duplicate address detection.

use core::net::{IpAddr, Ipv6Addr};
use core::time::Duration;

use netloom_base::{AddressDetection, DropReason};
use netloom_l3_internet::{AddressState, InternetConfig, InternetEvent, SolicitOutcome};
use netloom_wire::{
    CastKind, Checksum, EthernetAddress, Icmpv6Message, NdpMessage, NeighborFlags, NeighborUpdate,
    NeighborUpdateKind, Protocol, neighbor_advertisement, neighbor_solicitation, solicited_node,
};

use crate::support::*;

const V6: Family = Family::V6;

fn v6(address: &str) -> Ipv6Addr {
    address.parse().unwrap()
}

/// A packet with an ICMPv6 message that lacks only its checksum.
pub(crate) fn finish(source: &str, destination: &str, hop_limit: u8, mut message: Vec<u8>) -> Vec<u8> {
    let (source, destination): (IpAddr, IpAddr) = (source.parse().unwrap(), destination.parse().unwrap());
    let mut checksum = Checksum::pseudo_header(source, destination, Protocol::ICMPV6, message.len());
    checksum.add(&message);
    message[2..4].copy_from_slice(&checksum.finish());
    packet(source, destination, Protocol::ICMPV6, hop_limit, &message)
}

fn ndp(source: &str, destination: &str, message: &[u8]) -> Vec<u8> {
    packet(source.parse().unwrap(), destination.parse().unwrap(), Protocol::ICMPV6, 255, message)
}

/// A question for `target`, asked of the group that it is in.
fn question(source: &str, target: &str, link: Option<EthernetAddress>) -> Vec<u8> {
    let group = solicited_node(v6(target));
    let message = neighbor_solicitation(v6(source), group, v6(target), link);
    ndp(source, &group.to_string(), &message)
}

/// A claim to have `target`.
fn claim(target: &str, destination: &str, flags: NeighborFlags) -> Vec<u8> {
    let message = neighbor_advertisement(v6(target), v6(destination), v6(target), flags, PEER_LINK);
    ndp(target, destination, &message)
}

/// What a neighbour advertisement of ours says.
fn read_advertisement(bytes: &[u8]) -> (IpAddr, Ipv6Addr, NeighborFlags, Option<EthernetAddress>) {
    let packet = read(bytes);
    assert_eq!(packet.hop_limit, 255);
    let (IpAddr::V6(source), IpAddr::V6(destination)) = (packet.source, packet.destination) else {
        panic!("not IPv6")
    };
    match Icmpv6Message::parse(&packet.payload, source, destination).unwrap() {
        Icmpv6Message::Ndp(NdpMessage::NeighborAdvertisement {
            target,
            router,
            solicited,
            override_,
            options,
        }) => (
            packet.destination,
            target,
            NeighborFlags { router, solicited, override_ },
            options.target_link(),
        ),
        other => panic!("{other:?}"),
    }
}

fn read_solicitation(bytes: &[u8]) -> (IpAddr, IpAddr, Ipv6Addr, Option<EthernetAddress>) {
    let packet = read(bytes);
    assert_eq!(packet.hop_limit, 255);
    let (IpAddr::V6(source), IpAddr::V6(destination)) = (packet.source, packet.destination) else {
        panic!("not IPv6")
    };
    match Icmpv6Message::parse(&packet.payload, source, destination).unwrap() {
        Icmpv6Message::Ndp(NdpMessage::NeighborSolicitation { target, options }) => {
            (packet.source, packet.destination, target, options.source_link())
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_question_for_our_address_is_answered_to_the_asker() {
    // [4861-15] [4861-16] [4861-18] [4861-19]
    let mut host = Host::ethernet();
    let bytes = question("fd00::1", "fd00::2", Some(PEER_LINK));
    assert_eq!(host.input_on(IF0, CastKind::Multicast, &bytes), Ok(Outcome::Consumed));
    let output = host.sent_one();
    assert_eq!((output.next_hop, output.link_destination), (neighbor(IF0, V6.peer()), Some(PEER_LINK)));
    let flags = NeighborFlags { router: false, solicited: true, override_: true };
    let (to, target, told, link) = read_advertisement(&output.packet);
    assert_eq!((to, target, told, link), (V6.peer(), v6("fd00::2"), flags, Some(OUR_LINK)));
    let update = NeighborUpdate {
        address: V6.peer(),
        link_address: Some(PEER_LINK),
        kind: NeighborUpdateKind::Solicitation,
    };
    assert_eq!(host.events(), [InternetEvent::NeighborUpdate { interface: IF0, update }]);
}

#[test]
fn somebody_who_tries_our_address_hears_it_from_all() {
    // [4861-17] [4861-18]
    let mut host = Host::ethernet();
    let bytes = question("::", "fd00::2", None);
    assert_eq!(host.input_on(IF0, CastKind::Multicast, &bytes), Ok(Outcome::Consumed));
    let output = host.sent_one();
    let (to, target, flags, _) = read_advertisement(&output.packet);
    assert_eq!((to, target, flags.solicited), (V6.all_nodes(), v6("fd00::2"), false));
    assert_eq!(output.next_hop, neighbor(IF0, V6.all_nodes()));
    assert!(host.events().is_empty());
}

#[test]
fn questions_are_verified() {
    // [4861-01] [4861-05] [4861-09]
    let mut host = Host::ethernet();
    let group = "ff02::1:ff00:2";
    let body = |code: u8, target: &str, options: &[u8]| {
        let mut body = vec![135, code, 0, 0, 0, 0, 0, 0];
        body.extend(v6(target).octets());
        body.extend(options);
        body
    };
    let link = [1, 1, 2, 0, 0, 0, 0, 1];
    let malformed = [
        finish("fd00::1", group, 254, body(0, "fd00::2", &link)),
        finish("fd00::1", group, 255, body(1, "fd00::2", &link)),
        finish("fd00::1", group, 255, body(0, "ff02::1:ff00:2", &link)),
        finish("fd00::1", group, 255, body(0, "fd00::2", &[1, 0, 2, 0, 0, 0, 0, 1])),
        finish("fd00::1", group, 255, body(0, "fd00::2", &[1, 2, 2, 0, 0, 0, 0, 1])),
        finish("fd00::1", group, 255, body(0, "fd00::2", &[])[..20].to_vec()),
        finish("::", "fd00::2", 255, body(0, "fd00::2", &[])),
        finish("::", group, 255, body(0, "fd00::2", &link)),
    ];
    for bytes in &malformed {
        let cast = if bytes[24] == 0xff { CastKind::Multicast } else { CastKind::Unicast };
        assert_eq!(host.input_on(IF0, cast, bytes), Err(DropReason::NdpMalformed), "{bytes:02x?}");
    }
    let mut bad_sum = finish("fd00::1", group, 255, body(0, "fd00::2", &link));
    bad_sum[42] ^= 1;
    assert_eq!(host.input_on(IF0, CastKind::Multicast, &bad_sum), Err(DropReason::IcmpBadChecksum));
    // Another's address in our group.
    let other = question("fd00::1", "fd01::aa00:2", Some(PEER_LINK));
    assert_eq!(host.input_on(IF0, CastKind::Multicast, &other), Err(DropReason::NdpIgnored));
    assert!(host.sent().is_empty() && host.events().is_empty());
    // [4861-02] an unknown option is no reason.
    let good = finish("fd00::1", group, 255, body(0, "fd00::2", &[200, 1, 0, 0, 0, 0, 0, 0]));
    assert_eq!(host.input_on(IF0, CastKind::Multicast, &good), Ok(Outcome::Consumed));
    assert_eq!(host.sent_one().link_destination, None);
}

#[test]
fn answers_are_verified_and_told_to_the_cache() {
    // [4861-06]
    let mut host = Host::ethernet();
    let flags = NeighborFlags { router: true, solicited: true, override_: false };
    assert_eq!(host.input(&claim("fd00::1", "fd00::2", flags)), Ok(Outcome::Consumed));
    let kind = NeighborUpdateKind::Advertisement { solicited: true, override_: false, router: true };
    let update = NeighborUpdate { address: V6.peer(), link_address: Some(PEER_LINK), kind };
    assert_eq!(host.events(), [InternetEvent::NeighborUpdate { interface: IF0, update }]);
    let to_all = claim("fd00::1", "ff02::1", flags);
    assert_eq!(host.input_on(IF0, CastKind::Multicast, &to_all), Err(DropReason::NdpMalformed));
    let group = claim("ff02::7", "fd00::2", flags);
    assert_eq!(host.input(&group), Err(DropReason::IpBadSource));
    assert!(host.events().is_empty());
}

#[test]
fn messages_of_and_for_routers_are_verified_and_ignored() {
    // [4861-03] [4861-04] [4861-34] [4861-35]
    let mut host = Host::ethernet();
    let solicitation = finish("fe80::1", "ff02::1", 255, vec![133, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(host.input_on(IF0, CastKind::Multicast, &solicitation), Err(DropReason::NdpIgnored));
    let advertisement = |source: &str| {
        let mut body = vec![134, 0, 0, 0, 64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0];
        body.extend([1, 1, 2, 0, 0, 0, 0, 1]);
        finish(source, "ff02::1", 255, body)
    };
    let from_global = advertisement("fd00::1");
    assert_eq!(host.input_on(IF0, CastKind::Multicast, &from_global), Err(DropReason::NdpMalformed));
    assert!(host.events().is_empty());
    let good = advertisement("fe80::1");
    assert_eq!(host.input_on(IF0, CastKind::Multicast, &good), Err(DropReason::NdpIgnored));
    match &host.events()[..] {
        [InternetEvent::NeighborUpdate { update, .. }] => {
            assert_eq!(update.kind, NeighborUpdateKind::RouterAdvertisement);
        }
        other => panic!("{other:?}"),
    }
    assert!(host.sent().is_empty());
}

#[test]
fn a_medium_without_link_addresses_has_no_neighbours_to_discover() {
    let mut host = Host::tun();
    let bytes = question("fd00::1", "fd00::2", Some(PEER_LINK));
    assert_eq!(host.input(&bytes), Err(DropReason::NdpIgnored));
    assert!(host.sent().is_empty() && host.internet.poll_timeout().is_none());
}

#[test]
fn the_cache_asks_through_us() {
    // [4861-08] [4861-13]
    let mut host = Host::ethernet();
    assert_eq!(host.internet.solicit_neighbor(host.now, IF0, V6.peer(), None), SolicitOutcome::Done);
    let output = host.sent_one();
    let group: IpAddr = solicited_node(v6("fd00::1")).into();
    assert_eq!(read_solicitation(&output.packet), (V6.us(), group, v6("fd00::1"), Some(OUR_LINK)));
    assert_eq!((output.next_hop, output.link_destination), (neighbor(IF0, group), None));
    // A probe goes to the address that is known.
    let outcome = host.internet.solicit_neighbor(host.now, IF0, V6.peer(), Some(PEER_LINK));
    assert_eq!(outcome, SolicitOutcome::Done);
    let output = host.sent_one();
    assert_eq!(read_solicitation(&output.packet).1, V6.peer());
    assert_eq!(output.link_destination, Some(PEER_LINK));
    let outcome = host.internet.solicit_neighbor(host.now, IF0, Family::V4.peer(), None);
    assert_eq!(outcome, SolicitOutcome::Done);
    assert!(host.sent().is_empty());
}

/// What was sent about the trial of `address`: how many questions, how many announcements.
fn trial_messages(host: &mut Host, address: Ipv6Addr) -> (usize, usize) {
    let (mut questions, mut announcements) = (0, 0);
    for output in host.sent() {
        let packet = read(&output.packet);
        match (packet.protocol, packet.payload.first()) {
            (Protocol::ICMPV6, Some(135)) => {
                let (source, group, target, link) = read_solicitation(&output.packet);
                if target == address {
                    assert_eq!((source, link), (IpAddr::V6(Ipv6Addr::UNSPECIFIED), None));
                    assert_eq!(group, IpAddr::V6(solicited_node(address)));
                    questions += 1;
                }
            }
            (Protocol::ICMPV6, Some(136)) => {
                let (to, target, flags, _) = read_advertisement(&output.packet);
                if target == address {
                    assert_eq!((to, flags.solicited), (V6.all_nodes(), false));
                    announcements += 1;
                }
            }
            _ => {}
        }
    }
    (questions, announcements)
}

fn probing(detection: AddressDetection, dad_transmits: u8) -> Host {
    let config = InternetConfig { dad_transmits, ..InternetConfig::default() };
    Host::with(config, Some(OUR_LINK), detection)
}

fn state(host: &Host, address: &str) -> AddressState {
    let address: IpAddr = address.parse().unwrap();
    host.internet.addresses().find(|entry| entry.cidr.address() == address).unwrap().state
}

#[test]
fn an_address_is_asked_for_before_it_is_used() {
    // [4862-02] [4862-03] [4861-22]
    let mut host = probing(AddressDetection::Probe, 2);
    let ours = v6("fd00::2");
    assert_eq!(state(&host, "fd00::2"), AddressState::Tentative);
    assert_eq!(trial_messages(&mut host, ours), (0, 0));
    host.advance(Duration::from_secs(1));
    assert_eq!(trial_messages(&mut host, ours), (1, 0));
    host.advance(Duration::from_secs(1));
    assert_eq!(trial_messages(&mut host, ours), (1, 0));
    assert!(!host.internet.is_local(V6.us()));
    let ready = InternetEvent::AddressReady { interface: IF0, address: V6.us() };
    assert!(!host.events().contains(&ready));
    host.advance(Duration::from_secs(1));
    assert_eq!(trial_messages(&mut host, ours), (0, 1));
    assert_eq!(host.events().iter().filter(|&event| *event == ready).count(), 1);
    assert!(host.internet.is_local(V6.us()));
}

#[test]
fn an_optimistic_address_is_used_while_it_is_asked_for() {
    // RFC 4429 3.3
    let mut host = probing(AddressDetection::Optimistic, 1);
    let ready = InternetEvent::AddressReady { interface: IF0, address: V6.us() };
    assert!(host.events().contains(&ready));
    assert!(host.internet.is_local(V6.us()));
    host.sent();
    let bytes = question("fd00::1", "fd00::2", Some(PEER_LINK));
    host.input_on(IF0, CastKind::Multicast, &bytes).unwrap();
    let (_, _, flags, _) = read_advertisement(&host.sent_one().packet);
    assert!(flags.solicited && !flags.override_);
    host.advance(Duration::from_secs(3));
    assert_eq!(trial_messages(&mut host, v6("fd00::2")), (1, 1));
    assert_eq!(state(&host, "fd00::2"), AddressState::Preferred);
    assert!(!host.events().contains(&ready));
    host.input_on(IF0, CastKind::Multicast, &bytes).unwrap();
    let (_, _, flags, _) = read_advertisement(&host.sent_one().packet);
    assert!(flags.override_);
}

#[test]
fn nobody_is_asked_from_an_address_on_trial() {
    // RFC 4429 3.2
    let mut host = probing(AddressDetection::Optimistic, 1);
    host.sent();
    host.events();
    for link_destination in [None, Some(PEER_LINK)] {
        let outcome = host.internet.solicit_neighbor(host.now, IF0, V6.peer(), link_destination);
        assert_eq!(outcome, SolicitOutcome::Postponed);
        assert!(host.sent().is_empty());
    }
    // The link-local address has one too; either of them will do.
    host.advance(Duration::from_secs(3));
    let passed = InternetEvent::TrialPassed { interface: IF0 };
    assert_eq!(host.events(), [passed.clone(), passed]);
    host.sent();
    let outcome = host.internet.solicit_neighbor(host.now, IF0, V6.peer(), None);
    assert_eq!(outcome, SolicitOutcome::Done);
    assert_eq!(read_solicitation(&host.sent_one().packet).3, Some(OUR_LINK));
}

#[test]
fn a_rival_takes_the_address_away_during_the_trial() {
    // [4862-05] [4862-06] [4862-07]
    let rivals = [
        (CastKind::Multicast, question("::", "fd00::2", None)),
        (CastKind::Multicast, claim("fd00::2", "ff02::1", NeighborFlags::default())),
    ];
    for detection in [AddressDetection::Probe, AddressDetection::Optimistic] {
        for (cast, bytes) in &rivals {
            let mut host = probing(detection, 1);
            host.events();
            assert_eq!(host.input_on(IF0, *cast, bytes), Ok(Outcome::Consumed), "{detection:?}");
            let duplicate = InternetEvent::DuplicateAddress { interface: IF0, address: V6.us() };
            assert!(host.events().contains(&duplicate));
            assert_eq!(state(&host, "fd00::2"), AddressState::Duplicate);
            host.sent();
            host.advance(Duration::from_secs(10));
            assert_eq!(trial_messages(&mut host, v6("fd00::2")), (0, 0));
            assert!(!host.internet.is_local(V6.us()));
            let datagram = udp(V6.peer(), V6.us(), b"x");
            assert_eq!(host.input(&datagram), Err(DropReason::IpTentativeAddress));
            // It can be taken away and tried again.
            host.internet.remove_address(host.now, V6.us()).unwrap();
            host.add_address(IF0, V6.us(), AddressDetection::Off);
            assert!(host.internet.is_local(V6.us()));
        }
    }
}

#[test]
fn a_tentative_address_is_not_answered_for() {
    // [4862-04]
    let mut host = probing(AddressDetection::Probe, 1);
    host.events();
    let bytes = question("fd00::1", "fd00::2", Some(PEER_LINK));
    assert_eq!(host.input_on(IF0, CastKind::Multicast, &bytes), Err(DropReason::IpTentativeAddress));
    assert_eq!(state(&host, "fd00::2"), AddressState::Tentative);
    assert!(host.sent().is_empty() && host.events().is_empty());
}

#[test]
fn a_claim_to_a_settled_address_is_reported_and_does_not_take_it() {
    let mut host = Host::ethernet();
    let message = neighbor_advertisement(
        v6("fd00::9"),
        v6("ff02::1"),
        v6("fd00::2"),
        NeighborFlags::default(),
        PEER_LINK,
    );
    let bytes = ndp("fd00::9", "ff02::1", &message);
    assert_eq!(host.input_on(IF0, CastKind::Multicast, &bytes), Ok(Outcome::Consumed));
    assert_eq!(host.events(), [InternetEvent::DuplicateAddress { interface: IF0, address: V6.us() }]);
    assert!(host.internet.is_local(V6.us()));
}
