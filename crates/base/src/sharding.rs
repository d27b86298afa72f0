//! Which of several stacks that are one host a flow belongs to.
//!
//! # Theory of operation
//! The owner is a pure function of the flow under a secret key, so that no shard keeps a table of what belongs to the
//! others. TCP's flows are spread by both ends, in either order: both ends of a connection of the host with itself have
//! the same owner. UDP's datagrams are spread by the host's own port, since one socket takes them from everybody; a
//! socket is served by one shard. What belongs to no flow is the first shard's, and that alone speaks for the host to
//! its neighbours.

use core::net::{IpAddr, SocketAddr};

use crate::HashKey;

/// Names a shard: 0 is the first.
pub type ShardIndex = u16;

/// What one shard knows of all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sharding {
    key: HashKey,
    index: ShardIndex,
    count: u16,
}

impl Default for Sharding {
    /// One shard, which is the whole host.
    fn default() -> Self {
        Self { key: HashKey::new(0, 0), index: 0, count: 1 }
    }
}

impl Sharding {
    /// Shard `index` of `count`; `None` unless it is one of them. All must have the same key, which must be secret:
    /// who knows it can aim all his flows at one shard.
    pub const fn new(key: HashKey, index: ShardIndex, count: u16) -> Option<Self> {
        if index < count { Some(Self { key, index, count }) } else { None }
    }

    /// Which shard this is.
    pub const fn index(&self) -> ShardIndex {
        self.index
    }

    /// How many there are.
    pub const fn count(&self) -> u16 {
        self.count
    }

    /// Whether there is only one.
    pub const fn is_whole(&self) -> bool {
        self.count == 1
    }

    /// Whether this shard speaks for the host: answers neighbours and echoes, tries addresses out, reports groups.
    pub const fn is_first(&self) -> bool {
        self.index == 0
    }

    /// The shard of a TCP connection between these ends.
    pub fn owner_of_flow(&self, one: SocketAddr, other: SocketAddr) -> ShardIndex {
        let key = |end: SocketAddr| (end.ip(), end.port());
        let (one, other) = (key(one), key(other));
        self.spread(&if one <= other { (one, other) } else { (other, one) })
    }

    /// The shard of a UDP port of this host.
    pub fn owner_of_port(&self, port: u16) -> ShardIndex {
        self.spread(&port)
    }

    /// The shard that puts the fragments from one address to another together.
    pub fn owner_of_fragments(&self, source: IpAddr, destination: IpAddr) -> ShardIndex {
        self.spread(&(source, destination))
    }

    /// Whether the connection is this shard's.
    pub fn owns_flow(&self, one: SocketAddr, other: SocketAddr) -> bool {
        self.is_whole() || self.owner_of_flow(one, other) == self.index
    }

    /// Whether the UDP port is this shard's.
    pub fn owns_port(&self, port: u16) -> bool {
        self.is_whole() || self.owner_of_port(port) == self.index
    }

    fn spread<T: core::hash::Hash>(&self, value: &T) -> ShardIndex {
        if self.is_whole() {
            return 0;
        }
        // A remainder by a `u16` fits one.
        ShardIndex::try_from(self.key.hash(value) % u64::from(self.count)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rng;

    fn sharding(count: u16) -> Sharding {
        Sharding::new(Rng::from_number(3).hash_key(), 0, count).unwrap()
    }

    fn end(host: u8, port: u16) -> SocketAddr {
        SocketAddr::new([10, 0, 0, host].into(), port)
    }

    #[test]
    fn a_shard_is_one_of_those_that_there_are() {
        let key = HashKey::new(1, 2);
        assert!(Sharding::new(key, 0, 0).is_none());
        assert!(Sharding::new(key, 2, 2).is_none());
        assert!(Sharding::new(key, 1, 2).is_some_and(|it| !it.is_first() && !it.is_whole()));
        assert!(Sharding::default().is_first() && Sharding::default().is_whole());
    }

    #[test]
    fn every_shard_gets_its_share_and_all_agree() {
        for count in [1, 2, 3, 7] {
            let sharding = sharding(count);
            let mut flows = vec![0_u32; count.into()];
            let mut ports = vec![0_u32; count.into()];
            for port in 0..20_000 {
                let owner = sharding.owner_of_flow(end(1, 80), end(2, port));
                assert_eq!(sharding.owner_of_flow(end(2, port), end(1, 80)), owner);
                flows[usize::from(owner)] += 1;
                ports[usize::from(sharding.owner_of_port(port))] += 1;
                let owners = (0..count)
                    .filter(|&index| Sharding { index, ..sharding }.owns_flow(end(1, 80), end(2, port)));
                assert_eq!(owners.count(), 1);
            }
            let fair = 20_000 / u32::from(count);
            for share in flows.iter().chain(&ports) {
                assert!((fair * 9 / 10..=fair * 11 / 10).contains(share), "{count}: {share} of {fair}");
            }
        }
    }
}
