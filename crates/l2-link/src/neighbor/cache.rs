//! The neighbour cache: entries, their timers, and what waits for them.
//!
//! # Theory of operation
//! Every change of an entry goes through [`NeighborCache::apply`], which asks the table in `state.rs` and carries out
//! its answer. What must leave the cache (a request, a packet, an event) is put into a list of [`Effect`]s, which the
//! link layer takes out after every call.
//!
//! # State
//! `entries` by slab index; `by_address` finds them; `deadlines` holds one timer each: the retransmission in
//! INCOMPLETE and PROBE, the first probe in DELAY, ReachableTime in REACHABLE, the lifetime in STALE. A confirmation
//! of a REACHABLE entry only notes the time; its timer finds out when it runs.
//!
//! # Limits
//! A full cache makes room at the cost of the entry that has been STALE and never used for longest, then of the one
//! STALE for longest. If all are in use the new one is refused. There is no negative cache: a neighbour that did not
//! answer has no entry (RFC 4861 7.3.3), so the next packet asks again, and waits (RFC 1122 2.4 forbids to call a
//! host unreachable for want of an entry); the pace of requests stays the same, because an entry is given up only one
//! interval after its last request.

mod postponed;

use core::net::IpAddr;
use core::time::Duration;
use std::collections::VecDeque;

use netloom_base::{DeadlineQueue, DropReason, Instant, KeyedMap, Rng, Slab, SlabId};
use netloom_wire::{EthernetAddress, NeighborUpdate, NeighborUpdateKind};
use tracing::trace;

use super::entry::Entry;
use super::lists::{Lists, Standing};
use super::queue::packet_cost;
use super::state::{Action, NeighborEvent, NeighborState, Told, transition};
use crate::config::NeighborConfig;
use crate::counters::NeighborCounters;
use crate::value::{NeighborEntry, QueuedPacket, Resolution};

/// What the cache wants done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Ask for `target`, all stations or the one.
    Solicit { target: IpAddr, link_destination: Option<EthernetAddress> },
    /// Send a packet that has waited.
    Send { destination: EthernetAddress, packet: QueuedPacket },
    /// Return a packet whose neighbour did not answer.
    Return { next_hop: IpAddr, packet: QueuedPacket },
    /// Count a packet that was dropped.
    Dropped(DropReason),
}

/// The times that a router may set for its link (RFC 4861 6.3.4).
#[derive(Clone, Copy, Debug)]
struct Times {
    reachable_time: Duration,
    retransmit_interval: Duration,
}

/// All neighbours of one link.
#[derive(Debug)]
pub(crate) struct NeighborCache {
    config: NeighborConfig,
    times4: Times,
    times6: Times,
    rng: Rng,
    entries: Slab<Entry>,
    by_address: KeyedMap<IpAddr, SlabId>,
    /// The entry that was last asked for: most packets go where the one before went.
    latest: Option<SlabId>,
    deadlines: DeadlineQueue,
    lists: Lists,
    effects: VecDeque<Effect>,
    /// Bytes of packets that wait here, or that were released and not yet taken.
    queued_bytes: usize,
    pub(crate) counters: NeighborCounters,
}

impl NeighborCache {
    pub(crate) fn new(mut config: NeighborConfig, mut rng: Rng) -> Self {
        // A timer that is due as soon as it is set would never let go of its caller.
        const SHORTEST: Duration = Duration::from_millis(1);
        for time in [
            &mut config.reachable_time,
            &mut config.retransmit_interval,
            &mut config.delay_first_probe,
            &mut config.stale_lifetime,
        ] {
            *time = (*time).max(SHORTEST);
        }
        config.max_incomplete = config.max_incomplete.max(1);
        let times =
            Times { reachable_time: config.reachable_time, retransmit_interval: config.retransmit_interval };
        Self {
            entries: Slab::new(config.max_entries),
            by_address: KeyedMap::with_hasher(rng.hash_key()),
            latest: None,
            deadlines: DeadlineQueue::new(),
            lists: Lists::new(),
            effects: VecDeque::new(),
            queued_bytes: 0,
            counters: NeighborCounters::default(),
            times4: times,
            times6: times,
            config,
            rng,
        }
    }

    /// Takes the times that a router advertised, for IPv6 only.
    // [4861-28]
    pub(crate) fn set_discovery_times(&mut self, reachable: Option<Duration>, retransmit: Option<Duration>) {
        let wanted = |time: Option<Duration>| time.filter(|time| *time >= Duration::from_millis(1));
        if let Some(reachable_time) = wanted(reachable) {
            self.times6.reachable_time = reachable_time;
        }
        if let Some(retransmit_interval) = wanted(retransmit) {
            self.times6.retransmit_interval = retransmit_interval;
        }
    }

    pub(crate) fn pop_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// A packet that was in an effect has been taken.
    pub(crate) fn forget_packet(&mut self, len: usize) {
        self.queued_bytes = self.queued_bytes.saturating_sub(packet_cost(len));
    }

    // The way of a packet out.

    /// What is known about `address`, which is about to be sent to; `None` if it has no entry.
    pub(crate) fn resolve(&mut self, now: Instant, address: &IpAddr) -> Option<Resolution> {
        let is_latest = |id: &SlabId| self.entries.get(*id).is_some_and(|entry| entry.address == *address);
        let id = self.latest.filter(is_latest).or_else(|| self.by_address.get(address).copied())?;
        self.latest = Some(id);
        let entry = self.entries.get_mut(id)?;
        entry.used_at = Some(now);
        match entry.state {
            NeighborState::Incomplete => Some(Resolution::Pending),
            NeighborState::Reachable
            | NeighborState::Delay
            | NeighborState::Probe
            | NeighborState::Static => Some(Resolution::Known(entry.link_address)),
            NeighborState::Stale => {
                let link_address = entry.link_address;
                self.apply(now, id, NeighborEvent::Send, None);
                Some(Resolution::Known(link_address))
            }
        }
    }

    /// Makes an entry for `address`, which has none, and asks for it.
    // [826-01]
    pub(crate) fn begin(&mut self, now: Instant, address: IpAddr) -> Result<(), DropReason> {
        let searching = self.lists.len(Standing::Resolving) + self.lists.len(Standing::Waiting);
        if searching >= self.config.max_incomplete {
            let oldest =
                self.lists.front(Standing::Resolving).or_else(|| self.lists.front(Standing::Waiting));
            self.evict(oldest);
        }
        let id = self.create(now, address)?;
        if let Some(entry) = self.entries.get_mut(id) {
            entry.used_at = Some(now);
        }
        self.lists.place(id.index(), Some(Standing::Resolving));
        self.solicit(now, id, None);
        Ok(())
    }

    /// Keeps `packet` until its neighbour, which has an entry, has answered; sends it at once if it has.
    // [826-01, 1122-L006, 4861-12]
    pub(crate) fn enqueue(
        &mut self,
        now: Instant,
        address: IpAddr,
        packet: QueuedPacket,
    ) -> Result<(), DropReason> {
        let id = *self.by_address.get(&address).ok_or(DropReason::NeighborCacheFull)?;
        let len = packet.bytes.len();
        self.make_queue_room(id, len);
        self.charge(len)?;
        if let Some(Resolution::Known(destination)) = self.resolve(now, &address) {
            self.effects.push_back(Effect::Send { destination, packet });
            return Ok(());
        }
        let Some(entry) = self.entries.get_mut(id) else { return Err(DropReason::NeighborCacheFull) };
        entry.queue.push(packet);
        self.counters.packets_queued.increment();
        self.lists.keep(id.index(), Some(Standing::Waiting));
        self.assert_invariants();
        Ok(())
    }

    /// Sends a packet that needs no neighbour: to a group or to all.
    pub(crate) fn pass(
        &mut self,
        destination: EthernetAddress,
        packet: QueuedPacket,
    ) -> Result<(), DropReason> {
        self.charge(packet.bytes.len())?;
        self.effects.push_back(Effect::Send { destination, packet });
        Ok(())
    }

    /// Counts a packet in, if there is room. One packet of any size may always wait.
    fn charge(&mut self, len: usize) -> Result<(), DropReason> {
        let queued_bytes = self.queued_bytes.saturating_add(packet_cost(len));
        if self.queued_bytes > 0 && queued_bytes > self.config.queue_total_bytes {
            return Err(DropReason::NeighborQueueFull);
        }
        self.queued_bytes = queued_bytes;
        Ok(())
    }

    /// Drops old packets until one of `len` bytes fits: the neighbour's own, then those of who has waited longest.
    fn make_queue_room(&mut self, id: SlabId, len: usize) {
        while let Some(entry) = self.entries.get(id)
            && !entry.queue.is_empty()
            && (entry.queue.len() >= self.config.queue_max_packets
                || entry.queue.bytes_len() + len > self.config.queue_max_bytes)
        {
            self.drop_oldest(id);
        }
        while self.queued_bytes + packet_cost(len) > self.config.queue_total_bytes
            && let Some(victim) =
                self.lists.front(Standing::Waiting).and_then(|index| self.entries.id_at(index))
        {
            self.drop_oldest(victim);
        }
    }

    fn drop_oldest(&mut self, id: SlabId) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        if let Some(packet) = entry.queue.pop() {
            self.queued_bytes = self.queued_bytes.saturating_sub(packet_cost(packet.bytes.len()));
            self.effects.push_back(Effect::Dropped(DropReason::NeighborQueueFull));
        }
        if entry.queue.is_empty() {
            self.lists.keep(id.index(), Some(Standing::Resolving));
        }
    }

    // What is heard.

    /// Takes what neighbour discovery heard (RFC 4861 7.2.3 to 7.2.5, 8.3).
    pub(crate) fn update(&mut self, now: Instant, update: &NeighborUpdate) {
        let NeighborUpdate { address, link_address, kind } = *update;
        let Some(&id) = self.by_address.get(&address) else {
            let creates = match kind {
                NeighborUpdateKind::Solicitation
                | NeighborUpdateKind::RouterAdvertisement
                | NeighborUpdateKind::Redirect => true,
                // [4861-10, 4861-20]
                NeighborUpdateKind::Advertisement { .. } => false,
            };
            if let (true, Some(link_address)) = (creates, link_address) {
                self.learn(now, address, link_address);
                self.set_router(address, kind, Told::Different);
            }
            return;
        };
        let Some(entry) = self.entries.get_mut(id) else { return };
        let told = entry.told(link_address);
        let event = match kind {
            NeighborUpdateKind::Solicitation
            | NeighborUpdateKind::RouterAdvertisement
            | NeighborUpdateKind::Redirect => NeighborEvent::Heard(told),
            NeighborUpdateKind::Advertisement { solicited, override_, router: _ } => {
                NeighborEvent::Advertised { solicited, override_, told }
            }
        };
        self.set_router(address, kind, told);
        self.apply(now, id, event, link_address);
    }

    fn set_router(&mut self, address: IpAddr, kind: NeighborUpdateKind, told: Told) {
        let Some(entry) = self.by_address.get(&address).and_then(|&id| self.entries.get_mut(id)) else {
            return;
        };
        entry.note_router(kind, told);
    }

    /// Takes the sender of an ARP packet, if it has an entry; returns whether it has: RFC 826's merge flag.
    ///
    /// `reply_to_us` answers a request of ours if one was sent within the last interval and not answered yet; then it
    /// proves the way to the sender. Anything else only tells an address.
    // [826-04, 1122-L003]
    pub(crate) fn merge(
        &mut self,
        now: Instant,
        address: IpAddr,
        link_address: EthernetAddress,
        reply_to_us: bool,
    ) -> bool {
        let interval = self.times(address).retransmit_interval;
        let Some(&id) = self.by_address.get(&address) else { return false };
        let Some(entry) = self.entries.get_mut(id) else { return false };
        let recently = entry.solicited_at.is_some_and(|at| now.saturating_since(at) <= interval);
        let told = entry.told(Some(link_address));
        let event = if reply_to_us && entry.unanswered && recently {
            entry.unanswered = false;
            NeighborEvent::Advertised { solicited: true, override_: true, told }
        } else {
            NeighborEvent::Heard(told)
        };
        self.apply(now, id, event, Some(link_address));
        true
    }

    /// Makes an entry for a neighbour that told its address, if there is room.
    // [826-05, 4861-16]
    pub(crate) fn learn(&mut self, now: Instant, address: IpAddr, link_address: EthernetAddress) {
        let Ok(id) = self.create(now, address) else {
            self.effects.push_back(Effect::Dropped(DropReason::NeighborCacheFull));
            return;
        };
        let row = transition(None, NeighborEvent::Heard(Told::Different));
        if let (Some(entry), Some(next)) = (self.entries.get_mut(id), row.next) {
            entry.link_address = link_address;
            self.enter(now, id, next);
        }
        self.assert_invariants();
    }

    /// A layer above reached the neighbour a moment ago.
    // [4861-26]
    pub(crate) fn confirm(&mut self, now: Instant, address: &IpAddr) {
        let Some(&id) = self.by_address.get(address) else { return };
        let Some(entry) = self.entries.get_mut(id) else { return };
        match entry.state {
            // Its timer looks at this.
            NeighborState::Reachable => entry.confirmed_at = Some(now),
            NeighborState::Stale | NeighborState::Delay | NeighborState::Probe => {
                self.apply(now, id, NeighborEvent::Confirmed, None);
            }
            NeighborState::Incomplete | NeighborState::Static => {}
        }
    }

    // What people enter.

    pub(crate) fn add_static(
        &mut self,
        now: Instant,
        address: IpAddr,
        link_address: EthernetAddress,
    ) -> Result<(), DropReason> {
        let id = match self.by_address.get(&address) {
            Some(&id) => id,
            None => self.create(now, address)?,
        };
        if let Some(entry) = self.entries.get_mut(id) {
            entry.link_address = link_address;
        }
        self.enter(now, id, NeighborState::Static);
        self.release(id);
        self.assert_invariants();
        Ok(())
    }

    /// Forgets a neighbour; what waits for it is returned.
    pub(crate) fn remove(&mut self, address: &IpAddr) -> bool {
        let Some(&id) = self.by_address.get(address) else { return false };
        self.discard(id);
        true
    }

    /// Forgets all neighbours but the static ones.
    pub(crate) fn flush(&mut self) {
        let learnt: Vec<SlabId> = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.state != NeighborState::Static)
            .map(|(id, _)| id)
            .collect();
        for id in learnt {
            self.discard(id);
        }
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = NeighborEntry> {
        self.entries.iter().map(|(_, entry)| entry.view())
    }

    // Time.

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.next()
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        while let Some(index) = self.deadlines.pop_due(now) {
            if let Some(id) = self.entries.id_at(index) {
                self.handle_entry_timeout(now, id);
            }
        }
        self.assert_invariants();
    }

    fn handle_entry_timeout(&mut self, now: Instant, id: SlabId) {
        let Some(entry) = self.entries.get(id) else { return };
        if entry.state == NeighborState::Reachable
            && let Some(confirmed_at) = entry.confirmed_at
            && confirmed_at + entry.reachable_for > now
        {
            self.deadlines.set(id.index(), Some(confirmed_at + entry.reachable_for));
            return;
        }
        let event = if entry.solicit_count < self.config.max_solicits.max(1) {
            NeighborEvent::Timeout
        } else {
            NeighborEvent::LastTimeout
        };
        match entry.state {
            NeighborState::Stale => self.counters.expired.increment(),
            NeighborState::Incomplete if event == NeighborEvent::LastTimeout => {
                self.counters.unresolved.increment();
            }
            NeighborState::Probe if event == NeighborEvent::LastTimeout => self.counters.lost.increment(),
            NeighborState::Incomplete
            | NeighborState::Probe
            | NeighborState::Reachable
            | NeighborState::Delay
            | NeighborState::Static => {}
        }
        self.apply(now, id, event, None);
    }

    // The table, carried out.

    fn apply(
        &mut self,
        now: Instant,
        id: SlabId,
        event: NeighborEvent,
        link_address: Option<EthernetAddress>,
    ) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        let row = transition(Some(entry.state), event);
        if let (true, Some(link_address)) = (row.record, link_address) {
            entry.link_address = link_address;
        }
        let Some(next) = row.next else {
            trace!(address = %entry.address, from = %entry.state, ?event, "neighbour forgotten");
            self.discard(id);
            return;
        };
        if next != entry.state {
            trace!(address = %entry.address, from = %entry.state, to = %next, ?event, "neighbour");
            self.enter(now, id, next);
        } else if next == NeighborState::Reachable
            && matches!(event, NeighborEvent::Advertised { solicited: true, .. })
        {
            entry.confirmed_at = Some(now);
        } else if next == NeighborState::Stale && (row.record || event == NeighborEvent::Heard(Told::Same)) {
            // Still there: its lifetime begins again (RFC 1122 2.3.2.1).
            let standing = self.lists.standing(id.index());
            self.lists.place(id.index(), standing);
            self.deadlines.set(id.index(), Some(now + self.config.stale_lifetime));
        }
        match row.action {
            // Only an entry that goes is given up, and that returned what waited above.
            Action::Nothing | Action::GiveUp => {}
            Action::SolicitAll => self.solicit(now, id, None),
            Action::SolicitNeighbor => {
                let link_destination = self.entries.get(id).map(|entry| entry.link_address);
                self.solicit(now, id, link_destination);
            }
            Action::Release => {
                self.counters.resolved.increment();
                if self.release(id) && next == NeighborState::Stale {
                    self.apply_send(now, id);
                }
            }
        }
        self.assert_invariants();
    }

    /// Packets were sent to a STALE neighbour.
    fn apply_send(&mut self, now: Instant, id: SlabId) {
        if let Some(next) = transition(Some(NeighborState::Stale), NeighborEvent::Send).next {
            self.enter(now, id, next);
        }
    }

    /// Puts an entry into `next`, and sets what belongs to a state: its timer and its place among those that may go.
    fn enter(&mut self, now: Instant, id: SlabId, next: NeighborState) {
        let Some(address) = self.entries.get(id).map(|entry| entry.address) else { return };
        let times = self.times(address);
        let reachable_for = self.draw_reachable_time(times.reachable_time);
        let Some(entry) = self.entries.get_mut(id) else { return };
        entry.state = next;
        entry.since = now;
        entry.solicit_count = 0;
        let (deadline, standing) = match next {
            NeighborState::Incomplete | NeighborState::Probe => (Some(now + times.retransmit_interval), None),
            NeighborState::Reachable => {
                entry.confirmed_at = Some(now);
                entry.reachable_for = reachable_for;
                (Some(now + reachable_for), None)
            }
            NeighborState::Stale => {
                let standing = if entry.used_at.is_some() { Standing::Proven } else { Standing::Unproven };
                (Some(now + self.config.stale_lifetime), Some(standing))
            }
            NeighborState::Delay => {
                // [4861-24] not within an interval of the last request, however short the delay.
                let earliest = entry.solicited_at.map(|at| at + times.retransmit_interval);
                ((now + self.config.delay_first_probe).max(earliest.unwrap_or(now)).into(), None)
            }
            NeighborState::Static => (None, None),
        };
        self.deadlines.set(id.index(), deadline);
        self.lists.keep(id.index(), standing);
    }

    /// Sends a request and waits an interval.
    // [1122-L004, 4861-13, 4861-24]
    fn solicit(&mut self, now: Instant, id: SlabId, link_destination: Option<EthernetAddress>) {
        let Some(address) = self.entries.get(id).map(|entry| entry.address) else { return };
        let interval = self.times(address).retransmit_interval;
        let Some(entry) = self.entries.get_mut(id) else { return };
        entry.solicit_count = entry.solicit_count.saturating_add(1);
        entry.solicited_at = Some(now);
        entry.unanswered = true;
        entry.is_postponed = false;
        self.effects.push_back(Effect::Solicit { target: address, link_destination });
        self.deadlines.set(id.index(), Some(now + interval));
    }

    /// Sends what waits, in order; returns whether anything did.
    fn release(&mut self, id: SlabId) -> bool {
        let Some(entry) = self.entries.get_mut(id) else { return false };
        let waited = !entry.queue.is_empty();
        while let Some(packet) = entry.queue.pop() {
            self.effects.push_back(Effect::Send { destination: entry.link_address, packet });
        }
        waited
    }

    fn create(&mut self, now: Instant, address: IpAddr) -> Result<SlabId, DropReason> {
        if self.entries.is_full() {
            let victim = self.lists.front(Standing::Unproven).or_else(|| self.lists.front(Standing::Proven));
            self.evict(victim);
        }
        let id = self.entries.insert(Entry::new(now, address)).map_err(|_| DropReason::NeighborCacheFull)?;
        self.by_address.insert(address, id);
        self.counters.created.increment();
        Ok(id)
    }

    fn evict(&mut self, index: Option<u32>) {
        if let Some(id) = index.and_then(|index| self.entries.id_at(index)) {
            self.counters.evicted.increment();
            self.discard(id);
        }
    }

    /// Removes an entry and returns what waits for it.
    fn discard(&mut self, id: SlabId) {
        let Some(mut entry) = self.entries.remove(id) else { return };
        self.by_address.remove(&entry.address);
        self.deadlines.set(id.index(), None);
        self.lists.place(id.index(), None);
        while let Some(packet) = entry.queue.pop() {
            self.effects.push_back(Effect::Return { next_hop: entry.address, packet });
        }
    }

    fn times(&self, address: IpAddr) -> Times {
        match address {
            IpAddr::V4(_) => self.times4,
            IpAddr::V6(_) => self.times6,
        }
    }

    /// Between half and one and a half of `base` (MIN_RANDOM_FACTOR, MAX_RANDOM_FACTOR).
    fn draw_reachable_time(&mut self, base: Duration) -> Duration {
        let base = u64::try_from(base.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos((base / 2).saturating_add(self.rng.below(base)))
    }

    /// Cheap enough for every call; `check` in the tests looks at every entry.
    fn assert_invariants(&self) {
        debug_assert_eq!(self.by_address.len(), self.entries.len());
        debug_assert!(self.entries.len() <= self.config.max_entries);
        debug_assert!(self.deadlines.len() <= self.entries.len());
        debug_assert!(
            self.lists.len(Standing::Resolving) + self.lists.len(Standing::Waiting)
                <= self.config.max_incomplete
        );
    }
}

#[cfg(test)]
mod tests;
