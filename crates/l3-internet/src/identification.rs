//! Identifications of fragmentable packets (RFC 6864) and flow labels (RFC 6437).

use core::hash::{Hash, Hasher};
use core::net::IpAddr;

use netloom_base::{HashKey, Rng, Sharding};
use netloom_wire::{Protocol, hash_address};

/// Counters, each shared by the few (source, destination, protocol) triples that hash to it.
///
/// A triple's counter starts at random and steps by one, so that an identification comes back only after 65,536 packets
/// (IPv4) or 2^32 (IPv6), as RFC 6864 4.3 and RFC 8200 4.5 want, and tells an outsider nothing about packets to
/// others. Shards that are one host share the numbers out, a run of them to each, so that two of them never send the same to
/// one peer: each comes back as many times sooner. What is cut into several leaves out those at the
/// end of the run that are too few for it. 4 KiB.
#[derive(Debug)]
pub(crate) struct Identifications {
    counters: Vec<u32>,
    key: HashKey,
    label_key: HashKey,
    sharding: Sharding,
}

const COUNTERS: usize = 1024;

/// What has numbers of its own.
struct Triple {
    source: IpAddr,
    destination: IpAddr,
    protocol: Protocol,
}

impl Hash for Triple {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash_address(self.source, state);
        hash_address(self.destination, state);
        state.write_u8(self.protocol.0);
    }
}

impl Identifications {
    pub(crate) fn new(rng: &mut Rng, sharding: Sharding) -> Self {
        let counters = (0..COUNTERS).map(|_| rng.next_u32()).collect();
        Self { counters, key: rng.hash_key(), label_key: rng.hash_key(), sharding }
    }

    /// The next identification for a packet that may be fragmented [791-02] [8200-09]; the first of `count` in a row, if whoever
    /// gets the packet makes so many of it and numbers them.
    pub(crate) fn next(
        &mut self,
        source: IpAddr,
        destination: IpAddr,
        protocol: Protocol,
        count: u64,
    ) -> u32 {
        // The first bits tell the shard.
        let shard_bits = u32::from(self.sharding.count()).next_power_of_two().ilog2();
        let own_bits = if source.is_ipv4() { u16::BITS } else { u32::BITS } - shard_bits;
        let last = (1_u64 << own_bits) - 1;
        let shard = u64::from(self.sharding.index());
        let Some(counter) = self.counter(source, destination, protocol) else { return 0 };
        // It goes on over all 32 bits, as a triple of the other version of IP may count with it.
        let mut next = u64::from(*counter) + 1;
        if (next & last) + count > last + 1 {
            next = (next | last) + 1;
        }
        *counter = low_bits(next + count - 1);
        low_bits(shard << own_bits | next & last)
    }

    fn counter(&mut self, source: IpAddr, destination: IpAddr, protocol: Protocol) -> Option<&mut u32> {
        let hash = self.key.hash(&Triple { source, destination, protocol });
        self.counters.get_mut(usize::try_from(hash % COUNTERS as u64).unwrap_or_default())
    }

    /// A flow's label: 20 bits of a keyed hash over its addresses, protocol and first four transport bytes, which are
    /// the ports where there are ports.
    pub(crate) fn flow_label(
        &self,
        source: IpAddr,
        destination: IpAddr,
        protocol: Protocol,
        ports: [u8; 4],
    ) -> u32 {
        let ports = match protocol {
            Protocol::TCP | Protocol::UDP => ports,
            Protocol(_) => [0; 4],
        };
        let hash = self.label_key.hash(&(source, destination, protocol, ports));
        u32::try_from(hash & 0x000f_ffff).unwrap_or_default()
    }
}

fn low_bits(number: u64) -> u32 {
    u32::try_from(number & u64::from(u32::MAX)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_flow_repeats_only_after_all_numbers() {
        // [791-02] [8200-09]
        let mut ids = Identifications::new(&mut Rng::from_number(1), Sharding::default());
        let (a, b): (IpAddr, IpAddr) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        let first = ids.next(a, b, Protocol::UDP, 1);
        assert_eq!(ids.next(a, b, Protocol::UDP, 1), (first + 1) % 65_536);
        // What a device makes of one packet has those after its own.
        assert_eq!(ids.next(a, b, Protocol::UDP, 8), (first + 2) % 65_536);
        assert_eq!(ids.next(a, b, Protocol::UDP, 1), (first + 10) % 65_536);
        let label = ids.flow_label(a, b, Protocol::UDP, [1, 2, 3, 4]);
        assert_eq!(ids.flow_label(a, b, Protocol::UDP, [1, 2, 3, 4]), label);
        assert_ne!(ids.flow_label(a, b, Protocol::UDP, [1, 2, 3, 5]), label);
        assert_eq!(
            ids.flow_label(a, b, Protocol::ICMPV6, [1; 4]),
            ids.flow_label(a, b, Protocol::ICMPV6, [2; 4])
        );
    }

    #[test]
    fn a_flow_of_the_other_version_of_ip_does_not_bring_numbers_back() {
        // [8200-09]
        let mut ids = Identifications::new(&mut Rng::from_number(1), Sharding::default());
        let six: [IpAddr; 2] = ["fd00::1".parse().unwrap(), "fd00::2".parse().unwrap()];
        let mut place =
            |[a, b]: [IpAddr; 2]| std::ptr::from_mut(ids.counter(a, b, Protocol::UDP).unwrap()).addr();
        let shared = place(six);
        let mut pairs =
            (0..).map(|host: u32| [[10, 0, 0, 1].into(), std::net::Ipv4Addr::from_bits(host).into()]);
        let four = pairs.find(|&pair| place(pair) == shared).unwrap();
        let mut next = |[a, b]: [IpAddr; 2]| ids.next(a, b, Protocol::UDP, 1);
        let first = next(six);
        for step in 1..100_000 {
            assert_eq!(next(six), first.wrapping_add(step));
        }
        next(four);
        assert_eq!(next(six), first.wrapping_add(100_001));
    }

    #[test]
    fn shards_never_give_out_the_same_numbers() {
        // [791-02]
        const SHARDS: u16 = 4;
        let (a, b): (IpAddr, IpAddr) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        let key = Rng::from_number(1).hash_key();
        let mut owners = vec![None; 65_536];
        for index in 0..SHARDS {
            let sharding = Sharding::new(key, index, SHARDS).unwrap();
            let mut ids = Identifications::new(&mut Rng::from_number(2), sharding);
            for round in 0..20_000 {
                let count = if round % 100 == 0 { 64 } else { 1 };
                let first = ids.next(a, b, Protocol::UDP, count);
                for id in u64::from(first)..u64::from(first) + count {
                    let owner = owners
                        .get_mut(usize::try_from(id).unwrap())
                        .expect("numbers of 16 bits, all of a train's");
                    assert_eq!(*owner.get_or_insert(index), index, "{id}");
                }
            }
        }
        let unused = owners.iter().filter(|owner| owner.is_none()).count();
        assert!(unused < 64 * usize::from(SHARDS), "{unused}");
    }
}
