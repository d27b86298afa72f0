//! Finding neighbours and being found.

use super::*;

// [826-06, 5227-18]
#[test]
fn a_request_for_us_is_answered_by_unicast_and_teaches() {
    let mut bench = Bench::ready();
    bench.hear_request("10.0.0.1", "10.0.0.2").unwrap();
    let frames = bench.frames();
    assert_eq!(frames.len(), 1);
    let header = EthernetHeader { destination: PEER, source: OURS, ether_type: EtherType::ARP };
    assert_eq!(frames[0].header, header);
    let answer = ArpPacket::parse(&frames[0].payload).unwrap();
    assert_eq!(
        answer,
        ArpPacket { target_link: PEER, ..arp(ArpOperation::Reply, OURS, "10.0.0.2", "10.0.0.1") }
    );
    // [826-05]
    let entry = bench.neighbor("10.0.0.1").unwrap();
    assert_eq!((entry.state, entry.link_address), (NeighborState::Stale, Some(PEER)));
    assert_eq!(bench.resolve("10.0.0.1"), Resolution::Known(PEER));
}

// [826-02, 1122-L012]
#[test]
fn a_neighbor_is_asked_for_by_broadcast_from_the_address_in_its_network() {
    let mut bench = Bench::ready();
    bench.add("192.168.7.9/24", AddressDetection::Off);
    bench.add("10.0.0.130/25", AddressDetection::Off);
    bench.frames();
    for (target, source) in [
        ("192.168.7.1", "192.168.7.9"),
        ("10.0.0.1", "10.0.0.2"),
        ("10.0.0.200", "10.0.0.130"),
        ("172.16.0.1", "10.0.0.2"),
    ] {
        assert_eq!(bench.resolve(target), Resolution::Pending);
        let frames = bench.frames();
        assert_eq!(frames.len(), 1, "{target}");
        let header = EthernetHeader {
            destination: EthernetAddress::BROADCAST,
            source: OURS,
            ether_type: EtherType::ARP,
        };
        assert_eq!(frames[0].header, header);
        assert_eq!(ArpPacket::parse(&frames[0].payload), Ok(request(OURS, source, target)));
    }
}

// [826-01, 1122-L002, 1122-L006, 1122-L007, 1122-L011]
#[test]
fn three_packets_wait_and_leave_in_order() {
    let mut bench = Bench::ready();
    for number in 1..=3 {
        assert_eq!(bench.resolve("10.0.0.1"), Resolution::Pending);
        bench.enqueue("10.0.0.1", number);
    }
    assert_eq!(bench.arp().len(), 1);
    bench.hear_reply("10.0.0.1", "10.0.0.2").unwrap();
    let frames = bench.frames();
    assert_eq!(frames.iter().map(|output| output.payload[1]).collect::<Vec<_>>(), [1, 2, 3]);
    let header = EthernetHeader { destination: PEER, source: OURS, ether_type: EtherType::IPV4 };
    assert!(frames.iter().all(|output| output.header == header));
    assert_eq!(bench.state("10.0.0.1"), Some(NeighborState::Reachable));
    assert_eq!(bench.resolve("10.0.0.1"), Resolution::Known(PEER));
}

// [1122-L006]
#[test]
fn a_packet_may_be_queued_without_asking_first() {
    let mut bench = Bench::ready();
    bench.enqueue("10.0.0.1", 1);
    assert_eq!(bench.arp(), [request(OURS, "10.0.0.2", "10.0.0.1")]);
    bench.hear_reply("10.0.0.1", "10.0.0.2").unwrap();
    // Known by now, to a group, or to all: it goes at once.
    bench.enqueue("10.0.0.1", 2);
    bench.enqueue("224.0.0.251", 3);
    bench.enqueue("10.0.0.255", 4);
    let sent: Vec<_> =
        bench.frames().iter().map(|output| (output.header.destination, output.payload[1])).collect();
    let group = EthernetAddress::of_group(ip("224.0.0.251"));
    assert_eq!(sent, [(PEER, 1), (PEER, 2), (group, 3), (EthernetAddress::BROADCAST, 4)]);
    let refused = bench.link.enqueue(bench.now, ip("127.0.0.1"), ip_packet(5));
    assert_eq!(refused, Err(DropReason::NeighborUnreachable));
}

// [1122-L004, 1122-L015, 4861-14]
#[test]
fn an_absent_neighbor_returns_its_packets() {
    let mut bench = Bench::ready();
    for number in 1..=2 {
        bench.enqueue("10.0.0.1", number);
    }
    let asked = bench.watch(Duration::from_secs(60));
    assert_eq!(asked.iter().map(|&(at, _)| at).collect::<Vec<_>>(), [0, 1000, 2000]);
    let lost = |number| LinkEvent::Unreachable { next_hop: ip("10.0.0.1"), packet: ip_packet(number) };
    assert_eq!(bench.events(), [lost(1), lost(2)]);
    assert_eq!(bench.link.neighbors().count(), 0);
    assert_eq!(bench.link.neighbor_counters().unresolved.get(), 1);
    // The want of an entry is no verdict.
    assert_eq!(bench.resolve("10.0.0.1"), Resolution::Pending);
}

// [826-07]
#[test]
fn any_packet_updates_a_known_sender_and_none_makes_one_known_but_a_request_for_us() {
    let mut bench = Bench::ready();
    let not_for_us = Err(DropReason::ArpNotForUs);
    // Announcements, requests among others and replies that nobody asked for.
    assert_eq!(bench.hear_request("10.0.0.1", "10.0.0.1"), not_for_us);
    assert_eq!(bench.hear_request("10.0.0.1", "10.0.0.7"), not_for_us);
    assert_eq!(bench.hear_reply("10.0.0.1", "10.0.0.7"), not_for_us);
    assert_eq!(bench.hear_reply("10.0.0.1", "10.0.0.2"), not_for_us);
    assert_eq!(bench.link.neighbors().count(), 0);
    // Nor does a probe, though it is answered.
    bench.hear_request("0.0.0.0", "10.0.0.2").unwrap();
    assert_eq!(bench.link.neighbors().count(), 0);
    assert_eq!(bench.arp().len(), 1);

    // [826-04]
    bench.hear_request("10.0.0.1", "10.0.0.2").unwrap();
    for (operation, target) in [
        (ArpOperation::Request, "10.0.0.1"),
        (ArpOperation::Request, "10.0.0.7"),
        (ArpOperation::Reply, "10.0.0.7"),
    ] {
        for link in [OTHER, PEER] {
            let packet = arp(operation, link, "10.0.0.1", target);
            bench.hear(EthernetAddress::BROADCAST, packet).unwrap();
            assert_eq!(bench.neighbor("10.0.0.1").unwrap().link_address, Some(link));
        }
    }
}

#[test]
fn only_an_answer_to_our_request_proves_the_way() {
    let mut bench = Bench::ready();
    bench.hear_request("10.0.0.1", "10.0.0.2").unwrap();
    bench.hear_reply("10.0.0.1", "10.0.0.2").unwrap();
    assert_eq!(bench.state("10.0.0.1"), Some(NeighborState::Stale));
    // While we ask, the first answer counts, and a second with another address is news to be verified.
    bench.resolve("10.0.0.9");
    bench.hear_reply("10.0.0.9", "10.0.0.2").unwrap();
    assert_eq!(bench.state("10.0.0.9"), Some(NeighborState::Reachable));
    bench.hear(OURS, reply(OTHER, "10.0.0.9", "10.0.0.2")).unwrap();
    let entry = bench.neighbor("10.0.0.9").unwrap();
    assert_eq!((entry.state, entry.link_address), (NeighborState::Stale, Some(OTHER)));
}

// [4861-25, 826-08]
#[test]
fn a_stale_neighbor_is_verified_by_unicast() {
    let mut bench = Bench::ready();
    bench.hear_request("10.0.0.1", "10.0.0.2").unwrap();
    bench.frames();
    bench.resolve("10.0.0.1");
    bench.advance(Duration::from_secs(5));
    let frames = bench.frames();
    assert_eq!(frames.len(), 1);
    assert_eq!(frames[0].header.destination, PEER);
    assert_eq!(ArpPacket::parse(&frames[0].payload), Ok(request(OURS, "10.0.0.2", "10.0.0.1")));
    bench.hear_reply("10.0.0.1", "10.0.0.2").unwrap();
    assert_eq!(bench.state("10.0.0.1"), Some(NeighborState::Reachable));
}

#[test]
fn groups_and_broadcasts_are_mapped_and_nonsense_is_unreachable() {
    let mut bench = Bench::ready();
    bench.add("fd00::2/64", AddressDetection::Probe);
    for (next_hop, expected) in [
        ("224.0.0.251", Resolution::Known(EthernetAddress([1, 0, 0x5e, 0, 0, 0xfb]))),
        ("ff02::1:ff00:1", Resolution::Known(EthernetAddress([0x33, 0x33, 0xff, 0, 0, 1]))),
        ("255.255.255.255", Resolution::Known(EthernetAddress::BROADCAST)),
        ("10.0.0.255", Resolution::Known(EthernetAddress::BROADCAST)),
        ("127.0.0.1", Resolution::Unreachable),
        ("0.0.0.0", Resolution::Unreachable),
        ("::", Resolution::Unreachable),
        ("::1", Resolution::Unreachable),
        ("10.0.0.2", Resolution::Unreachable),
        ("fd00::2", Resolution::Unreachable),
    ] {
        assert_eq!(bench.resolve(next_hop), expected, "{next_hop}");
    }
    assert_eq!(bench.frames(), []);
    assert_eq!(bench.events(), []);
}

// [4861-12, 4861-13, 4861-14]
#[test]
fn neighbor_discovery_is_asked_for_by_event() {
    let mut bench = Bench::ready();
    let target = ip("fd00::1");
    let packet = QueuedPacket { meta: TxMeta::default(), bytes: vec![0x60, 1] };
    bench.link.enqueue(bench.now, target, packet.clone()).unwrap();
    assert_eq!(bench.events(), [LinkEvent::SolicitNeighbor { target, link_destination: None }]);
    let kind = NeighborUpdateKind::Advertisement { solicited: true, override_: true, router: true };
    bench.link.update(bench.now, NeighborUpdate { address: target, link_address: Some(PEER), kind });
    let frames = bench.frames();
    let header = EthernetHeader { destination: PEER, source: OURS, ether_type: EtherType::IPV6 };
    assert_eq!(frames, [LinkOutput { header, meta: packet.meta, payload: packet.bytes }]);
    assert!(bench.neighbor("fd00::1").unwrap().is_router);
    bench.advance(Duration::from_secs(46));
    assert_eq!(bench.resolve("fd00::1"), Resolution::Known(PEER));
    bench.advance(Duration::from_secs(5));
    assert_eq!(bench.events(), [LinkEvent::SolicitNeighbor { target, link_destination: Some(PEER) }]);
    bench.link.confirm(bench.now, target);
    assert_eq!(bench.state("fd00::1"), Some(NeighborState::Reachable));
}

// [4861-17]
#[test]
fn implausible_updates_do_not_touch_the_cache() {
    let mut bench = Bench::ready();
    bench.add("fd00::2/64", AddressDetection::Off);
    let kind = NeighborUpdateKind::Solicitation;
    for (address, link) in [
        ("::", PEER),
        ("ff02::1", PEER),
        ("::1", PEER),
        ("fd00::2", PEER),
        ("fd00::1", EthernetAddress::BROADCAST),
        ("fd00::1", EthernetAddress::UNSPECIFIED),
        ("fd00::1", EthernetAddress([0x33, 0x33, 0, 0, 0, 1])),
        ("fd00::1", OURS),
    ] {
        let update = NeighborUpdate { address: ip(address), link_address: Some(link), kind };
        bench.link.update(bench.now, update);
    }
    assert_eq!(bench.link.neighbors().count(), 0);
}

#[test]
fn an_address_that_becomes_ours_is_no_neighbor_any_more() {
    let mut bench = Bench::ready();
    bench.hear_request("10.0.1.5", "10.0.0.2").unwrap();
    bench.hear_request("10.0.1.255", "10.0.0.2").unwrap();
    bench.add("10.0.1.5/24", AddressDetection::Off);
    assert_eq!(bench.link.neighbors().count(), 0);
    assert_eq!(bench.resolve("10.0.1.255"), Resolution::Known(EthernetAddress::BROADCAST));
}

#[test]
fn without_an_address_nothing_is_asked() {
    let mut bench = Bench::with(NeighborConfig::default(), 1);
    bench.add("10.0.0.2/24", AddressDetection::Probe);
    bench.enqueue("10.0.0.1", 1);
    assert_eq!(bench.frames(), []);
    bench.advance(Duration::from_millis(3000));
    assert!(bench.arp().iter().all(|packet| packet.sender_ip.is_unspecified()));
    let events = bench.events();
    assert!(matches!(events[..], [LinkEvent::Unreachable { .. }]), "{events:?}");
}
