//! Reassembly: fragments of either family become the packet that they were.
//!
//! # Theory of operation
//! The internet layer hands in every fragment with [`Reassembler::insert`], which gives the whole packet back when the
//! last piece has come: headers from the first fragment, lengths and checksum made right, so that it is processed as if it
//! had never been in pieces. Fragments are kept as they came, sorted, and copied once more at the end. A deadline runs
//! from the first that came; past it [`Reassembler::handle_timeout`] gives up the datagram, with its first fragment for
//! the ICMP error if that is there.
//!
//! # Overlaps
//! In IPv6 any overlap drops the datagram with all that has come and still comes of it (RFC 5722 4). In IPv4 the
//! same is done although RFC 791 lets the later data win: hosts never disagreed about *which* data wins for an honest
//! reason, and every attack that passes a filter in pieces lives on that disagreement (RFC 1858, RFC 3128). An honest sender
//! makes overlaps only by using an identification again while its predecessor is incomplete; mixing the two would be
//! wrong as well. For that sender's sake an IPv4 identification is shunned for one second only, and not for the rest of
//! the timeout. Exact duplicates are not overlaps in either family: links do make them.
//!
//! # Limits
//! All of them stand in [`ReassemblyConfig`]. When one is reached the oldest incomplete datagram goes, first that of
//! the same source, so that one sender cannot starve the others; IPv6 sources count by their /64, since a host can take
//! any address in its own. A datagram comes in at most 1,366 pieces.

mod fragment;
mod partial;

use core::net::{IpAddr, Ipv6Addr};
use core::time::Duration;

use netloom_base::{Counter, DeadlineQueue, HashKey, Instant, KeyedMap, Slab, SlabId};

pub use fragment::{Fragment, FragmentError, FragmentHeader, FragmentKey};
use partial::{Fit, PARTIAL_COST, Partial};

/// How long an IPv4 identification is shunned whose fragments overlapped: far longer than the fragments of one datagram
/// are apart, and shorter than 65,536 identifications last at any rate that fragments are sent at.
const IPV4_SHUNNED_FOR: Duration = Duration::from_secs(1);

/// The least that a source's share may be: a datagram of the largest size in many pieces.
const MIN_SHARE: usize = 192 * 1024;

/// The bounds of reassembly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReassemblyConfig {
    /// Datagrams that may be incomplete at once. Each costs about 400 bytes and what has come of it.
    pub max_datagrams: usize,
    /// Of those, how many from one source.
    pub max_datagrams_per_source: usize,
    /// Memory for all of them, in bytes, what they cost themselves included.
    pub max_bytes: usize,
    /// Of that, how much for one source; at least 192 KiB, so that the largest datagram fits.
    pub max_bytes_per_source: usize,
    /// How long a datagram may take from its first fragment that came: 60 seconds in IPv6 (RFC 8200 4.5), 60 to
    /// 120 in IPv4 (RFC 1122 3.3.2).
    pub timeout: Duration,
}

impl Default for ReassemblyConfig {
    // [1122-I117] [8200-13]
    fn default() -> Self {
        Self {
            max_datagrams: 1024,
            max_datagrams_per_source: 256,
            max_bytes: 4 << 20,
            max_bytes_per_source: 1 << 20,
            timeout: Duration::from_secs(60),
        }
    }
}

/// What reassembly has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReassemblyCounters {
    /// Datagrams made whole.
    pub reassembled: Counter,
    /// Datagrams that were not whole in time.
    pub timed_out: Counter,
    /// Datagrams that gave way when a bound was reached.
    pub evicted: Counter,
    /// Datagrams dropped for what their fragments were: overlapping, too many, contradictory.
    pub abandoned: Counter,
    /// Exact duplicates of a fragment, ignored.
    pub duplicates: Counter,
}

/// A datagram that was not whole in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpiredDatagram {
    /// Which it was.
    pub key: FragmentKey,
    /// The packet that its first fragment came in: what a "time exceeded, code 1" quotes. Without the first fragment no
    /// error is sent (RFC 792, RFC 8200 4.5).
    pub first: Option<Vec<u8>>,
}

/// What one source takes up, and its datagrams by age.
#[derive(Clone, Copy, Debug, Default)]
struct Source {
    datagrams: usize,
    bytes: usize,
    oldest: Option<SlabId>,
    youngest: Option<SlabId>,
}

/// The datagrams of which some fragments have come, of both families.
// [1122-I016] [1122-I112] [1122-I113] [1122-I114] [8200-20] whatever an IP header can express
#[derive(Debug)]
pub struct Reassembler {
    config: ReassemblyConfig,
    partials: Slab<Partial>,
    by_key: KeyedMap<FragmentKey, SlabId>,
    by_source: KeyedMap<IpAddr, Source>,
    /// All of one timeout, so the earliest is the oldest, but for those that are only shunned any more.
    deadlines: DeadlineQueue,
    used_bytes: usize,
    counters: ReassemblyCounters,
}

impl Reassembler {
    /// Without datagrams; nothing is allocated yet. `key` keeps senders from aiming at the tables.
    pub fn new(mut config: ReassemblyConfig, key: HashKey) -> Self {
        config.max_bytes_per_source = config.max_bytes_per_source.max(MIN_SHARE);
        config.max_bytes = config.max_bytes.max(config.max_bytes_per_source);
        Self {
            config,
            partials: Slab::new(config.max_datagrams),
            by_key: KeyedMap::with_hasher(key),
            by_source: KeyedMap::with_hasher(key),
            deadlines: DeadlineQueue::new(),
            used_bytes: 0,
            counters: ReassemblyCounters::default(),
        }
    }

    /// Takes a fragment; the whole packet comes back if it was the last that was missing.
    ///
    /// The deadline of [`poll_timeout`](Self::poll_timeout) may have changed.
    pub fn insert(
        &mut self,
        now: Instant,
        key: FragmentKey,
        fragment: &Fragment<'_>,
    ) -> Result<Option<Vec<u8>>, FragmentError> {
        let data = fragment.checked_data()?;
        if fragment.is_whole() {
            // [8200-12] alone, whatever else has come under its key
            return Partial::new(key).assemble(fragment, data).map(Some);
        }
        let id = match self.by_key.get(&key) {
            Some(&id) => id,
            None => self.open(now, key)?,
        };
        let Some(partial) = self.partials.get(id) else { return Err(FragmentError::Limit) };
        if partial.is_abandoned {
            return Err(FragmentError::Overlap);
        }
        let result = match partial.fit(fragment, data) {
            Ok(Fit::Duplicate) => {
                self.counters.duplicates.increment();
                Ok(None)
            }
            Ok(Fit::New { cost }) => self.store(id, fragment, data, cost).map(|()| None),
            Ok(Fit::Completes) => {
                let whole = partial.assemble(fragment, data);
                self.close(id);
                if whole.is_ok() {
                    self.counters.reassembled.increment();
                } else {
                    self.counters.abandoned.increment();
                }
                whole.map(Some)
            }
            Err(error) => {
                self.abandon(now, id);
                Err(error)
            }
        };
        self.assert_invariants();
        result
    }

    /// When the next datagram is given up.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.next()
    }

    /// Gives up one datagram whose time is over at `now`. Call it until there is none.
    // [1122-I116] [8200-13] [792-04]
    pub fn handle_timeout(&mut self, now: Instant) -> Option<ExpiredDatagram> {
        loop {
            let index = self.deadlines.pop_due(now)?;
            let Some(partial) = self.partials.id_at(index).and_then(|id| self.close(id)) else { continue };
            if !partial.is_abandoned {
                self.counters.timed_out.increment();
                return Some(ExpiredDatagram { key: partial.key, first: partial.into_first() });
            }
        }
    }

    /// Incomplete datagrams, those included whose fragments overlapped and that are still shunned.
    pub fn len(&self) -> usize {
        self.partials.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.partials.is_empty()
    }

    /// Memory that they account for, in bytes; never more than [`ReassemblyConfig::max_bytes`].
    pub fn used_bytes(&self) -> usize {
        self.used_bytes
    }

    /// What was counted.
    pub fn counters(&self) -> &ReassemblyCounters {
        &self.counters
    }

    /// Begins a datagram, for which another may have to go.
    fn open(&mut self, now: Instant, key: FragmentKey) -> Result<SlabId, FragmentError> {
        let share = share_of(key.source);
        while self.source(share).datagrams >= self.config.max_datagrams_per_source.max(1) {
            self.evict(self.source(share).oldest)?;
        }
        while self.partials.is_full() {
            let victim = self.oldest();
            self.evict(victim)?;
        }
        self.make_room(share, PARTIAL_COST, None)?;
        let id = self.partials.insert(Partial::new(key)).map_err(|_| FragmentError::Limit)?;
        self.by_key.insert(key, id);
        self.deadlines.set(id.index(), Some(now + self.config.timeout));
        let source = self.by_source.entry(share).or_default();
        source.datagrams += 1;
        source.oldest = source.oldest.or(Some(id));
        let older = source.youngest.replace(id);
        self.charge(share, PARTIAL_COST);
        if let Some(older) = older.and_then(|older| self.partials.get_mut(older)) {
            older.younger = Some(id);
        }
        if let Some(partial) = self.partials.get_mut(id) {
            partial.older = older;
        }
        Ok(id)
    }

    fn store(
        &mut self,
        id: SlabId,
        fragment: &Fragment<'_>,
        data: &[u8],
        cost: usize,
    ) -> Result<(), FragmentError> {
        let Some(partial) = self.partials.get(id) else { return Err(FragmentError::Limit) };
        let share = share_of(partial.key.source);
        self.make_room(share, cost, Some(id))?;
        if let Some(partial) = self.partials.get_mut(id) {
            partial.store(fragment, data, cost);
            self.charge(share, cost);
        }
        Ok(())
    }

    /// Drops a datagram whose fragments cannot all be true, and shuns what still comes of it.
    fn abandon(&mut self, now: Instant, id: SlabId) {
        let Some(partial) = self.partials.get_mut(id) else { return };
        let freed = partial.cost.saturating_sub(PARTIAL_COST);
        partial.abandon();
        let source = partial.key.source;
        self.refund(share_of(source), freed);
        if source.is_ipv4() {
            let deadline = self.deadlines.get(id.index()).unwrap_or(now);
            self.deadlines.set(id.index(), Some(deadline.min(now + IPV4_SHUNNED_FOR)));
        }
        self.counters.abandoned.increment();
    }

    /// Evicts the oldest, first of the same source, until `cost` more bytes fit; fails if `wanted` itself had to go.
    fn make_room(&mut self, share: IpAddr, cost: usize, wanted: Option<SlabId>) -> Result<(), FragmentError> {
        loop {
            let victim = if self.source(share).bytes + cost > self.config.max_bytes_per_source {
                self.source(share).oldest
            } else if self.used_bytes + cost > self.config.max_bytes {
                self.oldest()
            } else {
                return Ok(());
            };
            self.evict(victim)?;
            if victim == wanted {
                return Err(FragmentError::Limit);
            }
        }
    }

    fn oldest(&mut self) -> Option<SlabId> {
        let deadline = self.deadlines.next();
        let index = self.deadlines.pop_due(Instant::FAR_FUTURE)?;
        self.deadlines.set(index, deadline);
        self.partials.id_at(index)
    }

    /// Drops `victim` to make room; fails if there is none, so that no loop goes on for nothing.
    fn evict(&mut self, victim: Option<SlabId>) -> Result<(), FragmentError> {
        let victim = victim.and_then(|id| self.close(id)).ok_or(FragmentError::Limit)?;
        if !victim.is_abandoned {
            self.counters.evicted.increment();
        }
        Ok(())
    }

    /// Takes a datagram out of every table.
    fn close(&mut self, id: SlabId) -> Option<Partial> {
        let partial = self.partials.remove(id)?;
        self.by_key.remove(&partial.key);
        self.deadlines.set(id.index(), None);
        let share = share_of(partial.key.source);
        self.refund(share, partial.cost);
        if let Some(older) = partial.older.and_then(|older| self.partials.get_mut(older)) {
            older.younger = partial.younger;
        }
        if let Some(younger) = partial.younger.and_then(|younger| self.partials.get_mut(younger)) {
            younger.older = partial.older;
        }
        if let Some(source) = self.by_source.get_mut(&share) {
            source.datagrams -= 1;
            if source.oldest == Some(id) {
                source.oldest = partial.younger;
            }
            if source.youngest == Some(id) {
                source.youngest = partial.older;
            }
            if source.datagrams == 0 {
                self.by_source.remove(&share);
            }
        }
        Some(partial)
    }

    fn source(&self, share: IpAddr) -> Source {
        self.by_source.get(&share).copied().unwrap_or_default()
    }

    fn charge(&mut self, share: IpAddr, cost: usize) {
        self.used_bytes += cost;
        if let Some(source) = self.by_source.get_mut(&share) {
            source.bytes += cost;
        }
    }

    fn refund(&mut self, share: IpAddr, cost: usize) {
        self.used_bytes -= cost;
        if let Some(source) = self.by_source.get_mut(&share) {
            source.bytes -= cost;
        }
    }

    fn assert_invariants(&self) {
        if cfg!(debug_assertions) {
            assert_eq!(self.partials.len(), self.by_key.len());
            assert_eq!(self.partials.len(), self.deadlines.len());
            assert!(self.used_bytes <= self.config.max_bytes);
            assert!(self.by_source.len() <= self.partials.len());
        }
    }
}

/// Whom a datagram's memory is charged to.
fn share_of(source: IpAddr) -> IpAddr {
    match source {
        IpAddr::V4(_) => source,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests;
