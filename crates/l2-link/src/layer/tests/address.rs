//! RFC 5227: probing, announcing, defending.

use super::*;

const ADDRESS: &str = "10.0.0.2";
const CIDR: &str = "10.0.0.2/24";

fn probe() -> ArpPacket {
    request(OURS, "0.0.0.0", ADDRESS)
}

fn announcement() -> ArpPacket {
    request(OURS, ADDRESS, ADDRESS)
}

fn is_ready(events: &[LinkEvent]) -> bool {
    events == [LinkEvent::AddressReady { address: ip(ADDRESS) }]
}

fn is_conflict(events: &[LinkEvent]) -> bool {
    events == [LinkEvent::AddressConflict { address: ip(ADDRESS), by: PEER }]
}

fn starting(detection: AddressDetection, seed: u64) -> Bench {
    let mut bench = Bench::with(NeighborConfig::default(), seed);
    bench.add(CIDR, detection);
    bench
}

fn defending(address_defence: crate::AddressDefence) -> Bench {
    let mut bench = Bench::with(NeighborConfig { address_defence, ..NeighborConfig::default() }, 1);
    bench.add(CIDR, AddressDetection::Off);
    bench.advance(Duration::from_secs(60));
    bench.frames();
    bench.events();
    bench
}

// [5227-01, 5227-02, 5227-03, 5227-05, 5227-09]
#[test]
fn an_address_is_probed_three_times_then_announced_twice() {
    let mut firsts = Vec::new();
    for detection in [AddressDetection::Probe, AddressDetection::Optimistic] {
        for seed in 0..50 {
            let mut bench = starting(detection, seed);
            let seen = bench.watch(Duration::from_secs(60));
            let packets: Vec<_> = seen.iter().map(|&(_, packet)| packet).collect();
            assert_eq!(packets, [probe(), probe(), probe(), announcement(), announcement()]);
            let at: Vec<u64> = seen.iter().map(|&(at, _)| at).collect();
            assert!(at[0] <= 1000, "{at:?}");
            // A millisecond for rounding.
            assert!(
                (999..=2001).contains(&(at[1] - at[0])) && (999..=2001).contains(&(at[2] - at[1])),
                "{at:?}"
            );
            assert!(
                (1999..=2001).contains(&(at[3] - at[2])) && (1999..=2001).contains(&(at[4] - at[3])),
                "{at:?}"
            );
            assert!(is_ready(&bench.events()));
            firsts.push(at[0]);
        }
    }
    assert!(firsts.iter().min() < Some(&100) && firsts.iter().max() > Some(&900));
}

// [5227-04]
#[test]
fn a_settled_address_is_silent() {
    let mut bench = starting(AddressDetection::Probe, 1);
    bench.advance(Duration::from_secs(60));
    bench.frames();
    assert_eq!(bench.link.poll_timeout(), None);
}

// [5227-09]
#[test]
fn without_detection_an_address_is_announced_and_ready_at_once() {
    let mut bench = starting(AddressDetection::Off, 1);
    assert!(is_ready(&bench.events()));
    let seen = bench.watch(Duration::from_secs(60));
    assert_eq!(seen, [(0, announcement()), (2000, announcement())]);
}

// [5227-17]
#[test]
fn an_address_is_answered_for_from_its_first_announcement_on() {
    let mut bench = starting(AddressDetection::Probe, 1);
    let mut answered_at = None;
    let mut announced_at = None;
    for millis in (0..10_000).step_by(100) {
        let packets = bench.arp();
        if packets.contains(&announcement()) && announced_at.is_none() {
            announced_at = Some(millis);
        }
        let heard = bench.hear_request("10.0.0.1", ADDRESS);
        let answered = bench.arp().iter().any(|packet| packet.operation == ArpOperation::Reply);
        assert_eq!(answered, announced_at.is_some());
        assert_eq!(heard, if answered { Ok(()) } else { Err(DropReason::ArpNotForUs) });
        if answered && answered_at.is_none() {
            answered_at = Some(millis);
        }
        bench.advance(Duration::from_millis(100));
    }
    assert!(answered_at.is_some() && answered_at == announced_at);
}

#[test]
fn an_optimistic_address_is_answered_for_while_it_is_probed() {
    let mut bench = starting(AddressDetection::Optimistic, 1);
    bench.hear_request("10.0.0.1", ADDRESS).unwrap();
    assert_eq!(bench.arp().len(), 1);
    bench.resolve("10.0.0.3");
    assert_eq!(bench.arp(), [request(OURS, ADDRESS, "10.0.0.3")]);
}

// [5227-06, 5227-07]
#[test]
fn whoever_has_or_wants_a_probed_address_gets_it() {
    for detection in [AddressDetection::Probe, AddressDetection::Optimistic] {
        for packet in [
            request(PEER, ADDRESS, "10.0.0.9"),
            request(PEER, ADDRESS, ADDRESS),
            reply(PEER, ADDRESS, "0.0.0.0"),
            request(PEER, "0.0.0.0", ADDRESS),
        ] {
            let is_answered_probe =
                detection == AddressDetection::Optimistic && packet.sender_ip.is_unspecified();
            for wait in [0, 500, 2000, 4000] {
                let mut bench = starting(detection, 1);
                bench.advance(Duration::from_millis(wait));
                bench.frames();
                bench.hear(EthernetAddress::BROADCAST, packet).unwrap();
                if is_answered_probe && packet.operation == ArpOperation::Request {
                    // We came first, and say so.
                    assert_eq!(bench.arp().len(), 1, "{packet:?} after {wait} ms");
                    assert!(!is_conflict(&bench.events()), "{packet:?} after {wait} ms");
                    continue;
                }
                assert!(is_conflict(&bench.events()), "{packet:?} after {wait} ms");
                assert_eq!(bench.watch(Duration::from_secs(60)), [], "{packet:?} after {wait} ms");
                assert_eq!(bench.hear_request("10.0.0.1", ADDRESS), Err(DropReason::ArpNotForUs));
                assert_eq!(bench.frames(), []);
                // It is a neighbour's now.
                assert_eq!(bench.resolve(ADDRESS), Resolution::Pending);
            }
        }
    }
}

// [5227-17]
#[test]
fn anothers_probe_for_an_address_in_use_is_answered() {
    let mut bench = defending(crate::AddressDefence::Never);
    bench.hear_request("0.0.0.0", ADDRESS).unwrap();
    assert_eq!(
        bench.arp(),
        [ArpPacket { target_link: PEER, ..arp(ArpOperation::Reply, OURS, ADDRESS, "0.0.0.0") }]
    );
    assert_eq!(bench.events(), []);
}

// [5227-10, 5227-11]
#[test]
fn an_undefended_address_is_given_up_at_once() {
    let mut bench = defending(crate::AddressDefence::Never);
    bench.hear_request(ADDRESS, "10.0.0.9").unwrap();
    assert_eq!(bench.frames(), []);
    assert!(is_conflict(&bench.events()));
}

// [5227-12, 5227-13]
#[test]
fn an_address_is_defended_once_in_ten_seconds_and_then_given_up() {
    let mut bench = defending(crate::AddressDefence::Once);
    for _ in 0..3 {
        bench.hear_request(ADDRESS, "10.0.0.9").unwrap();
        assert_eq!(bench.arp(), [announcement()]);
        bench.advance(Duration::from_secs(10));
    }
    assert_eq!(bench.events(), []);
    bench.hear_request(ADDRESS, "10.0.0.9").unwrap();
    bench.advance(Duration::from_millis(9999));
    bench.frames();
    bench.hear_reply(ADDRESS, "10.0.0.9").unwrap();
    assert!(is_conflict(&bench.events()));
    assert_eq!(bench.frames(), []);
    assert_eq!(bench.link.counters().address_conflicts.get(), 5);
}

// [5227-14, 5227-15]
#[test]
fn a_kept_address_is_announced_at_most_once_in_ten_seconds() {
    let mut bench = defending(crate::AddressDefence::Always);
    let mut announced = 0;
    for _ in 0..1000 {
        bench.hear_request(ADDRESS, "10.0.0.9").unwrap();
        announced += bench.arp().len();
        bench.advance(Duration::from_millis(100));
    }
    assert_eq!(announced, 10);
    assert_eq!(bench.events(), []);
    assert_eq!(bench.link.counters().address_conflicts.get(), 1000);
}

// [5227-10]
#[test]
fn a_conflicting_packet_neither_teaches_nor_is_answered() {
    let mut bench = defending(crate::AddressDefence::Always);
    bench.hear_request(ADDRESS, ADDRESS).unwrap();
    assert_eq!(bench.arp(), [announcement()]);
    assert_eq!(bench.link.neighbors().count(), 0);
}

// [5227-08]
#[test]
fn after_ten_conflicts_probing_begins_once_a_minute() {
    let mut bench = Bench::with(NeighborConfig::default(), 1);
    let try_address = |bench: &mut Bench, number: u8| {
        let address = format!("10.0.0.{number}");
        bench.add(&format!("{address}/24"), AddressDetection::Probe);
        let first = bench.link.poll_timeout().unwrap().saturating_since(bench.now);
        bench.hear_request(&address, &address).unwrap();
        first
    };
    for number in 1..=10 {
        assert!(try_address(&mut bench, number) <= Duration::from_secs(1));
    }
    let minute = Duration::from_secs(60);
    let second = Duration::from_secs(1);
    assert!((minute..=minute + second).contains(&try_address(&mut bench, 11)));
    // An attempt that has not begun counts too.
    assert!((2 * minute..=2 * minute + second).contains(&try_address(&mut bench, 12)));
    bench.advance(10 * minute);
    assert!(try_address(&mut bench, 13) <= second);
}

#[test]
fn a_removed_address_is_not_answered_for_and_may_come_back() {
    let mut bench = Bench::ready();
    bench.link.remove_address(ip(ADDRESS));
    assert_eq!(bench.hear_request("10.0.0.1", ADDRESS), Err(DropReason::ArpNotForUs));
    bench.add(CIDR, AddressDetection::Probe);
    bench.link.remove_address(ip(ADDRESS));
    assert_eq!(bench.watch(Duration::from_secs(60)), []);
    bench.add(CIDR, AddressDetection::Off);
    assert!(is_ready(&bench.events()));
}

#[test]
fn an_address_given_twice_begins_again() {
    let mut bench = starting(AddressDetection::Probe, 1);
    bench.hear_request(ADDRESS, ADDRESS).unwrap();
    assert!(is_conflict(&bench.events()));
    bench.add(CIDR, AddressDetection::Probe);
    bench.advance(Duration::from_secs(10));
    assert!(is_ready(&bench.events()));
}

#[test]
fn addresses_beyond_the_bound_are_refused_quietly() {
    let mut bench = Bench::with(NeighborConfig::default(), 1);
    for number in 0..2000_u32 {
        let address = core::net::Ipv4Addr::from_bits(0x0a00_0001 + number);
        bench.link.add_address(bench.now, Cidr::host(address.into()), AddressDetection::Off);
    }
    assert_eq!(bench.events().len(), Claims::MAX);
}
