//! Timers, queues, room and order of the cache, in virtual time.

use core::net::{Ipv4Addr, Ipv6Addr};

use netloom_base::TxMeta;

use super::*;

const MAC_A: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 0xa]);
const MAC_B: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 0xb]);

struct Bench {
    cache: NeighborCache,
    now: Instant,
}

impl Bench {
    fn new(config: NeighborConfig) -> Self {
        Self { cache: NeighborCache::new(config, Rng::from_number(1)), now: Instant::from_millis(1000) }
    }

    fn plain() -> Self {
        Self::new(NeighborConfig::default())
    }

    /// Looks at every entry: its list, its timer and its bytes agree with its state.
    fn check(&self) {
        self.cache.assert_invariants();
        let mut waiting = 0;
        for (id, entry) in self.cache.entries.iter() {
            assert_eq!(self.cache.by_address.get(&entry.address), Some(&id));
            let standing = match entry.state {
                NeighborState::Incomplete if entry.queue.is_empty() => Some(Standing::Resolving),
                NeighborState::Incomplete => Some(Standing::Waiting),
                NeighborState::Stale if entry.used_at.is_some() => Some(Standing::Proven),
                NeighborState::Stale => Some(Standing::Unproven),
                NeighborState::Reachable
                | NeighborState::Delay
                | NeighborState::Probe
                | NeighborState::Static => None,
            };
            assert_eq!(self.cache.lists.standing(id.index()), standing, "{entry:?}");
            let has_deadline = self.cache.deadlines.get(id.index()).is_some();
            assert_eq!(has_deadline, entry.state != NeighborState::Static, "{entry:?}");
            waiting += entry.queue.bytes_len() + entry.queue.len() * packet_cost(0);
        }
        assert!(waiting <= self.cache.queued_bytes);
    }

    fn advance(&mut self, by: Duration) {
        let end = self.now + by;
        while let Some(deadline) = self.cache.poll_timeout().filter(|&deadline| deadline <= end) {
            self.now = self.now.max(deadline);
            self.cache.handle_timeout(self.now);
            self.check();
        }
        self.now = end;
    }

    fn effects(&mut self) -> Vec<Effect> {
        self.check();
        core::iter::from_fn(|| self.cache.pop_effect()).collect()
    }

    /// What the link layer does before a packet goes out.
    fn send(&mut self, address: IpAddr) -> Option<EthernetAddress> {
        let resolution = match self.cache.resolve(self.now, &address) {
            Some(resolution) => resolution,
            None => {
                self.cache.begin(self.now, address).unwrap();
                Resolution::Pending
            }
        };
        match resolution {
            Resolution::Known(link) => Some(link),
            Resolution::Pending | Resolution::Unreachable => None,
        }
    }

    fn update(&mut self, address: IpAddr, link: Option<EthernetAddress>, kind: NeighborUpdateKind) {
        self.cache.update(self.now, &NeighborUpdate { address, link_address: link, kind });
        self.check();
    }

    fn answer(&mut self, address: IpAddr, link: EthernetAddress) {
        self.update(address, Some(link), na(true, true));
    }

    fn state(&self, address: IpAddr) -> Option<NeighborState> {
        self.entry(address).map(|entry| entry.state)
    }

    fn entry(&self, address: IpAddr) -> Option<NeighborEntry> {
        self.cache.entries().find(|entry| entry.address == address)
    }
}

fn na(solicited: bool, override_: bool) -> NeighborUpdateKind {
    NeighborUpdateKind::Advertisement { solicited, override_, router: false }
}

fn v6(number: u16) -> IpAddr {
    Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 1, number).into()
}

fn v4(number: u16) -> IpAddr {
    let [high, low] = number.to_be_bytes();
    Ipv4Addr::new(10, 1, high, low).into()
}

fn packet(number: u8, len: usize) -> QueuedPacket {
    QueuedPacket { meta: TxMeta::default(), bytes: vec![number; len] }
}

fn solicit(target: IpAddr, link_destination: Option<EthernetAddress>) -> Effect {
    Effect::Solicit { target, link_destination }
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

macro_rules! both_families {
    ($($(#[$attribute:meta])* $name:ident => $body:ident,)+) => {$(
        mod $name {
            $(#[$attribute])*
            #[test]
            fn over_ipv4() { super::$body(super::v4) }
            $(#[$attribute])*
            #[test]
            fn over_ipv6() { super::$body(super::v6) }
        }
    )+};
}

both_families! {
    // [4861-13, 4861-14, 1122-L004]
    a_silent_neighbor_is_asked_three_times_a_second_apart => silence,
    // [4861-12, 1122-L006, 826-01]
    what_waits_leaves_in_order_when_the_neighbor_answers => order,
    // [4861-24, 4861-25, 826-08, 1122-L003]
    a_neighbor_in_use_is_verified_by_unicast_and_forgotten => verification,
    // [4861-26]
    progress_above_keeps_a_neighbor_reachable => progress,
}

fn silence(address: fn(u16) -> IpAddr) {
    let mut bench = Bench::plain();
    assert_eq!(bench.send(address(1)), None);
    bench.cache.enqueue(bench.now, address(1), packet(1, 100)).unwrap();
    assert_eq!(bench.effects(), [solicit(address(1), None)]);
    for _ in 0..2 {
        // Use does not hasten the next request.
        bench.advance(Duration::from_millis(999));
        assert_eq!(bench.send(address(1)), None);
        assert_eq!(bench.effects(), []);
        bench.advance(Duration::from_millis(1));
        assert_eq!(bench.effects(), [solicit(address(1), None)]);
    }
    bench.advance(secs(1));
    assert_eq!(bench.effects(), [Effect::Return { next_hop: address(1), packet: packet(1, 100) }]);
    assert_eq!(bench.state(address(1)), None);
    assert_eq!(bench.cache.poll_timeout(), None);
    // No negative cache: the next packet asks again, an interval after the last request.
    assert_eq!(bench.send(address(1)), None);
    assert_eq!(bench.effects(), [solicit(address(1), None)]);
}

fn order(address: fn(u16) -> IpAddr) {
    let mut bench = Bench::plain();
    bench.send(address(1));
    for number in 1..=3 {
        bench.cache.enqueue(bench.now, address(1), packet(number, 1500)).unwrap();
    }
    bench.effects();
    assert_eq!(bench.entry(address(1)).unwrap().waiting_count, 3);
    bench.answer(address(1), MAC_A);
    let sent = |number| Effect::Send { destination: MAC_A, packet: packet(number, 1500) };
    assert_eq!(bench.effects(), [sent(1), sent(2), sent(3)]);
    assert_eq!(bench.state(address(1)), Some(NeighborState::Reachable));
    assert_eq!(bench.send(address(1)), Some(MAC_A));
    for _ in 0..3 {
        bench.cache.forget_packet(1500);
    }
    assert_eq!(bench.cache.queued_bytes, 0);
}

fn verification(address: fn(u16) -> IpAddr) {
    let mut bench = Bench::plain();
    bench.send(address(1));
    bench.answer(address(1), MAC_A);
    bench.effects();
    bench.advance(secs(46));
    assert_eq!(bench.state(address(1)), Some(NeighborState::Stale));
    assert_eq!(bench.send(address(1)), Some(MAC_A));
    assert_eq!(bench.state(address(1)), Some(NeighborState::Delay));
    bench.advance(Duration::from_millis(4999));
    assert_eq!(bench.effects(), []);
    bench.advance(Duration::from_millis(1));
    assert_eq!(bench.state(address(1)), Some(NeighborState::Probe));
    assert_eq!(bench.effects(), [solicit(address(1), Some(MAC_A))]);
    assert_eq!(bench.send(address(1)), Some(MAC_A), "packets flow while the neighbour is asked");
    bench.advance(secs(2));
    assert_eq!(bench.effects(), [solicit(address(1), Some(MAC_A)), solicit(address(1), Some(MAC_A))]);
    bench.advance(secs(1));
    assert_eq!(bench.state(address(1)), None);
    assert_eq!(bench.cache.counters.lost.get(), 1);
    // And then everybody is asked.
    assert_eq!(bench.send(address(1)), None);
    assert_eq!(bench.effects(), [solicit(address(1), None)]);
}

fn progress(address: fn(u16) -> IpAddr) {
    let mut bench = Bench::plain();
    bench.send(address(1));
    // No link address is known yet: progress means nothing.
    bench.cache.confirm(bench.now, &address(1));
    assert_eq!(bench.state(address(1)), Some(NeighborState::Incomplete));
    bench.answer(address(1), MAC_A);
    bench.effects();
    for _ in 0..100 {
        bench.advance(secs(10));
        assert_eq!(bench.state(address(1)), Some(NeighborState::Reachable));
        bench.cache.confirm(bench.now, &address(1));
    }
    bench.advance(secs(46));
    assert_eq!(bench.state(address(1)), Some(NeighborState::Stale));
    bench.send(address(1));
    bench.cache.confirm(bench.now, &address(1));
    assert_eq!(bench.state(address(1)), Some(NeighborState::Reachable));
    assert_eq!(bench.effects(), []);
}

#[test]
fn reachable_time_is_spread_between_half_and_one_and_a_half() {
    let mut bench = Bench::plain();
    let mut left = Vec::new();
    for number in 1..=300 {
        bench.send(v6(number));
        bench.answer(v6(number), MAC_A);
        let id = bench.cache.by_address[&v6(number)];
        left.push(bench.cache.deadlines.get(id.index()).unwrap().saturating_since(bench.now));
    }
    assert!(left.iter().all(|&time| time >= secs(15) && time <= secs(45)));
    assert!(left.iter().min() < Some(&secs(17)) && left.iter().max() > Some(&secs(43)));
}

// [826-08, 1122-L003, 1122-L005]
#[test]
fn an_unused_entry_ages_out_and_one_heard_of_stays() {
    let config = NeighborConfig { stale_lifetime: secs(60), ..NeighborConfig::default() };
    let mut bench = Bench::new(config);
    bench.cache.learn(bench.now, v4(1), MAC_A);
    bench.cache.learn(bench.now, v4(2), MAC_B);
    bench.advance(secs(50));
    assert!(bench.cache.merge(bench.now, v4(2), MAC_B, false));
    bench.advance(secs(10));
    assert_eq!(bench.state(v4(1)), None);
    assert_eq!(bench.state(v4(2)), Some(NeighborState::Stale));
    bench.advance(secs(50));
    assert_eq!(bench.state(v4(2)), None);
    assert_eq!(bench.cache.counters.expired.get(), 2);
}

// [4861-12]
#[test]
fn a_full_queue_loses_its_oldest() {
    let config = NeighborConfig { queue_max_packets: 2, queue_max_bytes: 1000, ..NeighborConfig::default() };
    let waiting = |numbers_and_lens: &[(u8, usize)]| {
        let mut bench = Bench::new(config.clone());
        bench.send(v4(1));
        for &(number, len) in numbers_and_lens {
            bench.cache.enqueue(bench.now, v4(1), packet(number, len)).unwrap();
        }
        bench.answer(v4(1), MAC_A);
        let mut sent = Vec::new();
        let mut dropped = 0;
        for effect in bench.effects() {
            match effect {
                Effect::Send { packet, .. } => sent.push(packet.bytes[0]),
                Effect::Dropped(reason) => {
                    assert_eq!(reason, DropReason::NeighborQueueFull);
                    dropped += 1;
                }
                Effect::Solicit { .. } | Effect::Return { .. } => {}
            }
        }
        assert_eq!(sent.len() + dropped, numbers_and_lens.len());
        sent
    };
    assert_eq!(waiting(&[(1, 10), (2, 10)]), [1, 2]);
    assert_eq!(waiting(&[(1, 10), (2, 10), (3, 10)]), [2, 3]);
    assert_eq!(waiting(&[(1, 600), (2, 600)]), [2]);
    // One of any size is kept, and it goes for the next.
    assert_eq!(waiting(&[(1, 60_000)]), [1]);
    assert_eq!(waiting(&[(1, 60_000), (2, 10)]), [2]);
    assert_eq!(waiting(&[(1, 10), (2, 60_000)]), [2]);
}

#[test]
fn all_queues_together_are_bounded_and_the_longest_wait_pays() {
    let config = NeighborConfig { queue_total_bytes: 3 * packet_cost(1000), ..NeighborConfig::default() };
    let mut bench = Bench::new(config);
    for number in 1..=3 {
        bench.send(v4(number));
        bench.cache.enqueue(bench.now, v4(number), packet(1, 1000)).unwrap();
    }
    bench.send(v4(4));
    bench.effects();
    bench.cache.enqueue(bench.now, v4(4), packet(1, 1000)).unwrap();
    assert_eq!(bench.effects(), [Effect::Dropped(DropReason::NeighborQueueFull)]);
    let waiting = |bench: &Bench, number| bench.entry(v4(number)).unwrap().waiting_count;
    assert_eq!([1, 2, 3, 4].map(|number| waiting(&bench, number)), [0, 1, 1, 1]);
    // What was released and not taken counts too, and is not dropped.
    for number in 2..=4 {
        bench.answer(v4(number), MAC_A);
    }
    assert_eq!(bench.cache.enqueue(bench.now, v4(1), packet(2, 1000)), Err(DropReason::NeighborQueueFull));
    assert_eq!(bench.effects().len(), 3);
    bench.cache.forget_packet(1000);
    assert_eq!(bench.cache.enqueue(bench.now, v4(1), packet(2, 1000)), Ok(()));
}

#[test]
fn room_is_made_by_the_unproven_then_by_the_longest_stale() {
    let config = NeighborConfig { max_entries: 4, max_incomplete: 2, ..NeighborConfig::default() };
    let mut bench = Bench::new(config);
    // 1 is proven and stale, 2 proven and reachable, 3 and 4 only heard of.
    bench.send(v4(1));
    bench.answer(v4(1), MAC_A);
    bench.advance(secs(46));
    bench.send(v4(2));
    bench.answer(v4(2), MAC_A);
    bench.cache.learn(bench.now, v4(3), MAC_A);
    bench.cache.learn(bench.now, v4(4), MAC_A);
    // A flood of invented addresses displaces only its own kind.
    for number in 100..200 {
        bench.cache.learn(bench.now, v4(number), MAC_B);
    }
    assert_eq!(bench.state(v4(1)), Some(NeighborState::Stale));
    assert_eq!(bench.state(v4(2)), Some(NeighborState::Reachable));
    assert_eq!(bench.state(v4(3)), None);
    assert_eq!(bench.state(v4(4)), None);
    // What this host wants itself may displace both kinds of stale ones.
    for number in 5..=7 {
        bench.send(v4(number));
        bench.answer(v4(number), MAC_A);
    }
    assert_eq!(bench.state(v4(1)), None);
    assert_eq!(bench.state(v4(2)), Some(NeighborState::Reachable));
    // Now all are in use.
    bench.effects();
    assert_eq!(bench.cache.begin(bench.now, v4(8)), Err(DropReason::NeighborCacheFull));
    bench.cache.learn(bench.now, v4(9), MAC_B);
    assert_eq!(bench.effects(), [Effect::Dropped(DropReason::NeighborCacheFull)]);
    assert_eq!(bench.cache.entries().count(), 4);
}

#[test]
fn a_scan_gives_up_its_own_oldest_searches() {
    let config = NeighborConfig { max_entries: 8, max_incomplete: 4, ..NeighborConfig::default() };
    let mut bench = Bench::new(config);
    bench.cache.add_static(bench.now, v4(1), MAC_A).unwrap();
    for number in 100..200 {
        bench.send(v4(number));
        bench.cache.enqueue(bench.now, v4(number), packet(1, 100)).unwrap();
        bench.check();
    }
    assert_eq!(bench.cache.entries().count(), 5);
    let returned = bench.effects().iter().filter(|effect| matches!(effect, Effect::Return { .. })).count();
    assert_eq!(returned, 96);
    // A neighbour that exists is found in between.
    bench.send(v4(2));
    bench.answer(v4(2), MAC_A);
    assert_eq!(bench.send(v4(2)), Some(MAC_A));
    assert_eq!(bench.send(v4(1)), Some(MAC_A));
}

// [4861-16, 4861-10, 4861-20]
#[test]
fn only_what_names_a_sender_makes_an_entry() {
    let mut bench = Bench::plain();
    bench.update(v6(1), Some(MAC_A), na(true, true));
    bench.update(v6(2), None, NeighborUpdateKind::Solicitation);
    assert_eq!(bench.cache.entries().count(), 0);
    for (number, kind) in [
        (3, NeighborUpdateKind::Solicitation),
        (4, NeighborUpdateKind::RouterAdvertisement),
        (5, NeighborUpdateKind::Redirect),
    ] {
        bench.update(v6(number), Some(MAC_A), kind);
        let entry = bench.entry(v6(number)).unwrap();
        assert_eq!((entry.state, entry.link_address), (NeighborState::Stale, Some(MAC_A)));
        assert_eq!(entry.is_router, number == 4);
    }
}

// [4861-21]
#[test]
fn override_decides_who_may_replace_a_link_address() {
    let mut bench = Bench::plain();
    bench.send(v6(1));
    bench.answer(v6(1), MAC_A);
    let look = |bench: &Bench| {
        let entry = bench.entry(v6(1)).unwrap();
        (entry.state, entry.link_address.unwrap(), entry.is_router)
    };
    let router = |override_| NeighborUpdateKind::Advertisement { solicited: false, override_, router: true };
    bench.update(v6(1), Some(MAC_B), router(false));
    assert_eq!(look(&bench), (NeighborState::Stale, MAC_A, false));
    bench.update(v6(1), Some(MAC_A), router(false));
    assert_eq!(look(&bench), (NeighborState::Stale, MAC_A, true));
    bench.answer(v6(1), MAC_A);
    bench.update(v6(1), Some(MAC_B), router(true));
    assert_eq!(look(&bench), (NeighborState::Stale, MAC_B, true));
    bench.answer(v6(1), MAC_B);
    assert_eq!(look(&bench), (NeighborState::Reachable, MAC_B, false));
}

#[test]
fn packets_released_to_an_unproven_address_have_it_verified() {
    let mut bench = Bench::plain();
    bench.send(v6(1));
    bench.cache.enqueue(bench.now, v6(1), packet(1, 10)).unwrap();
    bench.effects();
    bench.update(v6(1), Some(MAC_A), NeighborUpdateKind::Solicitation);
    assert_eq!(bench.effects(), [Effect::Send { destination: MAC_A, packet: packet(1, 10) }]);
    assert_eq!(bench.state(v6(1)), Some(NeighborState::Delay));
    bench.advance(secs(5));
    assert_eq!(bench.effects(), [solicit(v6(1), Some(MAC_A))]);
}

// [4861-24, 1122-L004]
#[test]
fn a_short_delay_does_not_hasten_requests() {
    let config = NeighborConfig { delay_first_probe: Duration::ZERO, ..NeighborConfig::default() };
    let mut bench = Bench::new(config);
    bench.send(v6(1));
    bench.cache.enqueue(bench.now, v6(1), packet(1, 10)).unwrap();
    bench.update(v6(1), Some(MAC_A), NeighborUpdateKind::Solicitation);
    bench.effects();
    bench.advance(Duration::from_millis(999));
    assert_eq!(bench.effects(), []);
    bench.advance(Duration::from_millis(1));
    assert_eq!(bench.effects(), [solicit(v6(1), Some(MAC_A))]);
}

// [4861-28]
#[test]
fn a_routers_times_hold_for_ipv6_only() {
    let mut bench = Bench::plain();
    bench.cache.set_discovery_times(Some(Duration::ZERO), Some(Duration::from_millis(250)));
    bench.send(v6(1));
    bench.send(v4(1));
    bench.effects();
    bench.advance(Duration::from_millis(500));
    assert_eq!(bench.effects(), [solicit(v6(1), None), solicit(v6(1), None)]);
    bench.advance(Duration::from_millis(500));
    assert_eq!(bench.effects(), [solicit(v4(1), None)]);
}

#[test]
fn a_static_neighbor_stays_and_flush_takes_the_rest() {
    let mut bench = Bench::plain();
    bench.send(v4(1));
    bench.cache.enqueue(bench.now, v4(1), packet(1, 10)).unwrap();
    bench.effects();
    bench.cache.add_static(bench.now, v4(1), MAC_A).unwrap();
    assert_eq!(bench.effects(), [Effect::Send { destination: MAC_A, packet: packet(1, 10) }]);
    bench.send(v4(2));
    bench.cache.enqueue(bench.now, v4(2), packet(2, 10)).unwrap();
    bench.cache.learn(bench.now, v4(3), MAC_B);
    assert!(bench.cache.merge(bench.now, v4(1), MAC_B, true));
    bench.advance(secs(2));
    bench.effects();
    bench.cache.flush();
    assert_eq!(bench.effects(), [Effect::Return { next_hop: v4(2), packet: packet(2, 10) }]);
    assert_eq!(bench.send(v4(1)), Some(MAC_A));
    assert_eq!(bench.cache.entries().count(), 1);
    bench.advance(secs(100_000));
    assert_eq!(bench.send(v4(1)), Some(MAC_A));
    assert!(bench.cache.remove(&v4(1)));
    assert!(!bench.cache.remove(&v4(1)));
}

#[test]
fn timers_of_no_length_still_end() {
    let config = NeighborConfig {
        reachable_time: Duration::ZERO,
        retransmit_interval: Duration::ZERO,
        delay_first_probe: Duration::ZERO,
        stale_lifetime: Duration::ZERO,
        max_solicits: 0,
        max_incomplete: 0,
        queue_max_packets: 0,
        queue_max_bytes: 0,
        queue_total_bytes: 0,
        ..NeighborConfig::default()
    };
    let mut bench = Bench::new(config);
    bench.send(v4(1));
    bench.cache.enqueue(bench.now, v4(1), packet(1, 10)).unwrap();
    bench.answer(v4(1), MAC_A);
    bench.advance(secs(1));
    assert_eq!(bench.state(v4(1)), None);
}

#[test]
fn a_request_that_could_not_be_sent_does_not_count() {
    let mut bench = Bench::plain();
    let target = IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1));
    let asked = [Effect::Solicit { target, link_destination: None }];
    assert_eq!(bench.send(target), None);
    for _ in 0..10 {
        assert_eq!(bench.effects(), asked);
        bench.cache.postpone(&target);
        bench.advance(Duration::from_secs(1));
    }
    assert_eq!(bench.effects(), asked);
    bench.cache.postpone(&target);
    // At once, and only once.
    bench.cache.ask_postponed(bench.now);
    assert_eq!(bench.effects(), asked);
    bench.cache.ask_postponed(bench.now);
    assert_eq!(bench.effects(), []);
    // From then on it counts.
    bench.advance(Duration::from_secs(2));
    assert_eq!(bench.effects().len(), 2);
    assert_eq!(bench.cache.counters.unresolved.get(), 0);
    bench.advance(Duration::from_secs(1));
    assert_eq!(bench.effects(), []);
    assert_eq!(bench.cache.counters.unresolved.get(), 1);
}
