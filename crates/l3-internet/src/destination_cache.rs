//! What was learned about single destinations: the MTU of the path, and a better first hop.
//!
//! This is RFC 4861's destination cache and RFC 1122's route cache, for both families, reduced to what the routing table
//! does not know already. An entry lives for the configured time after it was last confirmed, and then the path is as
//! good as new: that is how a path MTU grows again (RFC 1191 6.3, RFC 8201 4). The cache is bounded; when it is full
//! the entry that would expire first makes room.

use core::net::IpAddr;
use core::time::Duration;

use netloom_base::{DeadlineQueue, HashKey, Instant, InterfaceId, KeyedMap, Slab, SlabId};

/// What is known about one destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Destination {
    address: IpAddr,
    /// Largest packet that the path takes, in bytes, where that is less than the first link's.
    pub(crate) mtu: Option<u16>,
    /// The first hop that a router named [1122-I096].
    pub(crate) first_hop: Option<(InterfaceId, IpAddr)>,
}

#[derive(Debug)]
pub(crate) struct DestinationCache {
    entries: Slab<Destination>,
    ids: KeyedMap<IpAddr, SlabId>,
    deadlines: DeadlineQueue,
    lifetime: Duration,
    /// How often it has changed.
    version: u64,
}

impl DestinationCache {
    pub(crate) fn new(max_entries: usize, lifetime: Duration, key: HashKey) -> Self {
        Self {
            entries: Slab::new(max_entries),
            ids: KeyedMap::with_hasher(key),
            deadlines: DeadlineQueue::new(),
            lifetime,
            version: 0,
        }
    }

    /// How often it has changed.
    pub(crate) const fn version(&self) -> u64 {
        self.version
    }

    pub(crate) fn get(&self, address: IpAddr) -> Option<&Destination> {
        // An empty map does not hash.
        self.entries.get(*self.ids.get(&address)?)
    }

    /// Remembers that the path takes no more than `mtu`, unless it is known to take less already
    /// [1191-01] [8201-01]; true if that is news.
    pub(crate) fn lower_mtu(&mut self, now: Instant, address: IpAddr, mtu: u16) -> bool {
        let lifetime = self.lifetime;
        let Some((id, entry)) = self.entry(address) else { return false };
        let is_news = entry.mtu.is_none_or(|known| mtu < known);
        if is_news {
            entry.mtu = Some(mtu);
            self.version += 1;
            // [1191-02] [8201-02] only a decrease starts the clock anew.
            self.deadlines.set(id.index(), Some(now + lifetime));
        }
        is_news
    }

    /// Remembers a better first hop [1122-I053] [4861-33].
    pub(crate) fn redirect(&mut self, now: Instant, address: IpAddr, first_hop: (InterfaceId, IpAddr)) {
        let deadline = now + self.lifetime;
        let Some((id, entry)) = self.entry(address) else { return };
        entry.first_hop = Some(first_hop);
        self.version += 1;
        self.deadlines.set(id.index(), Some(deadline));
    }

    /// Forgets the better first hop: it does not answer [1122-I104].
    pub(crate) fn forget_first_hop(&mut self, address: IpAddr) {
        if let Some(&id) = self.ids.get(&address)
            && let Some(entry) = self.entries.get_mut(id)
        {
            entry.first_hop = None;
            self.version += 1;
        }
    }

    /// Forgets what has not been confirmed for its lifetime.
    pub(crate) fn expire(&mut self, now: Instant) {
        while let Some(index) = self.deadlines.pop_due(now) {
            self.remove_at(index);
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.next()
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    fn entry(&mut self, address: IpAddr) -> Option<(SlabId, &mut Destination)> {
        let id = match self.ids.get(&address) {
            Some(&id) => id,
            None => {
                if self.entries.is_full()
                    && let Some(index) = self.deadlines.pop_due(Instant::FAR_FUTURE)
                {
                    self.remove_at(index);
                }
                let id = self.entries.insert(Destination { address, mtu: None, first_hop: None }).ok()?;
                self.ids.insert(address, id);
                id
            }
        };
        self.entries.get_mut(id).map(|entry| (id, entry))
    }

    fn remove_at(&mut self, index: u32) {
        let removed = self.entries.id_at(index).and_then(|id| self.entries.remove(id));
        if let Some(entry) = removed {
            self.version += 1;
            self.ids.remove(&entry.address);
        }
    }
}

#[cfg(test)]
mod tests {
    use netloom_base::Rng;

    use super::*;

    fn cache(max_entries: usize) -> DestinationCache {
        DestinationCache::new(max_entries, Duration::from_secs(600), Rng::from_number(1).hash_key())
    }

    fn address(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    #[test]
    fn a_path_mtu_only_shrinks_until_it_is_forgotten() {
        // [1191-01] [1191-02] [8201-01] [8201-02]
        let mut cache = cache(4);
        assert!(cache.lower_mtu(Instant::ZERO, address(1), 1400));
        assert!(!cache.lower_mtu(Instant::from_millis(500_000), address(1), 1450));
        assert!(!cache.lower_mtu(Instant::from_millis(500_000), address(1), 1400));
        assert_eq!(cache.get(address(1)).and_then(|entry| entry.mtu), Some(1400));
        assert_eq!(cache.next_deadline(), Some(Instant::from_millis(600_000)));
        cache.expire(Instant::from_millis(600_000));
        assert_eq!(cache.get(address(1)), None);
        assert_eq!((cache.len(), cache.next_deadline()), (0, None));
    }

    #[test]
    fn a_full_cache_forgets_what_expires_first() {
        let mut cache = cache(2);
        for last in 1..=3 {
            cache.lower_mtu(Instant::from_millis(u64::from(last)), address(last), 1300);
        }
        assert_eq!(cache.len(), 2);
        assert_eq!(cache.get(address(1)), None);
        assert!(cache.get(address(2)).is_some() && cache.get(address(3)).is_some());
    }

    #[test]
    fn a_dead_first_hop_is_forgotten() {
        let mut cache = cache(2);
        cache.redirect(Instant::ZERO, address(1), (InterfaceId::new(0), address(9)));
        assert!(cache.get(address(1)).unwrap().first_hop.is_some());
        cache.forget_first_hop(address(1));
        assert_eq!(cache.get(address(1)).unwrap().first_hop, None);
    }
}
