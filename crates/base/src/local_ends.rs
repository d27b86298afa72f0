//! Which local addresses and ports are in use, and so in somebody's way.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::collections::BTreeMap;

/// Addresses and ports of this host, and how many have each.
///
/// An unspecified address stands for every one of its family, and `None`, or `[::]`, for every one of both. Adding, removing and
/// asking take O(log n) steps, of those that differ; ten thousand connections to one listener count as one. Memory: about 40
/// bytes for each that differs.
#[derive(Clone, Debug, Default)]
pub struct LocalEnds {
    counts: BTreeMap<(u16, IpAddr), u32>,
}

const EVERY: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
const FIRST_V4: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
const LAST_V4: IpAddr = IpAddr::V4(Ipv4Addr::BROADCAST);
const LAST_V6: IpAddr = IpAddr::V6(Ipv6Addr::from_bits(u128::MAX));

impl LocalEnds {
    /// Without any.
    pub const fn new() -> Self {
        Self { counts: BTreeMap::new() }
    }

    /// One more has this address and port.
    pub fn add(&mut self, address: Option<IpAddr>, port: u16) {
        *self.counts.entry((port, address.unwrap_or(EVERY))).or_default() += 1;
    }

    /// One of those that have it has it no more.
    pub fn remove(&mut self, address: Option<IpAddr>, port: u16) {
        let end = (port, address.unwrap_or(EVERY));
        let Some(count) = self.counts.get_mut(&end) else {
            debug_assert!(false, "{end:?} was added");
            return;
        };
        *count -= 1;
        if *count == 0 {
            self.counts.remove(&end);
        }
    }

    /// Whether somebody has the port at the address, or at one that covers it or is covered by it.
    pub fn overlaps(&self, address: Option<IpAddr>, port: u16) -> bool {
        self.in_the_way(address.unwrap_or(EVERY), port).next().is_some()
    }

    /// Some of those in the way, at most one of each kind: what it covers, and what covers it.
    fn in_the_way(&self, address: IpAddr, port: u16) -> impl Iterator<Item = IpAddr> + '_ {
        // Those of a family stand together, and those of the fourth version before the others.
        let (first, last, family) = match address {
            EVERY => (FIRST_V4, LAST_V6, EVERY),
            FIRST_V4 => (FIRST_V4, LAST_V4, FIRST_V4),
            IpAddr::V4(_) => (address, address, FIRST_V4),
            IpAddr::V6(_) => (address, address, EVERY),
        };
        [(first, last), (family, family), (EVERY, EVERY)].into_iter().filter_map(move |(first, last)| {
            self.counts.range((port, first)..=(port, last)).next().map(|(&(_, address), _)| address)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(address: &str) -> Option<IpAddr> {
        Some(address.parse().unwrap())
    }

    #[test]
    fn a_wildcard_is_in_the_way_of_its_family_and_the_dual_one_of_both() {
        for (one, other, expected) in [
            ("10.0.0.1", "10.0.0.1", true),
            ("10.0.0.1", "10.0.0.2", false),
            ("0.0.0.0", "10.0.0.1", true),
            ("0.0.0.0", "255.255.255.255", true),
            ("0.0.0.0", "fd00::1", false),
            ("::", "fd00::1", true),
            ("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true),
            ("::", "10.0.0.1", true),
            ("::", "0.0.0.0", true),
            ("fd00::1", "fd00::2", false),
        ] {
            for (has, asks) in [(one, other), (other, one)] {
                let mut ends = LocalEnds::new();
                ends.add(ip(has), 80);
                assert_eq!(ends.overlaps(ip(asks), 80), expected, "{has} {asks}");
                assert!(!ends.overlaps(ip(asks), 79) && !ends.overlaps(ip(asks), 81), "another port");
            }
        }
        let mut ends = LocalEnds::new();
        ends.add(None, 80);
        assert!(ends.overlaps(ip("10.0.0.1"), 80) && ends.overlaps(ip("fd00::1"), 80));
        assert!(ends.overlaps(None, 80) && ends.overlaps(ip("::"), 80));
    }

    #[test]
    fn the_last_one_to_go_frees_the_port() {
        let mut ends = LocalEnds::new();
        ends.add(ip("10.0.0.1"), 80);
        ends.add(ip("10.0.0.1"), 80);
        ends.remove(ip("10.0.0.1"), 80);
        assert!(ends.overlaps(ip("0.0.0.0"), 80));
        ends.remove(ip("10.0.0.1"), 80);
        assert!(!ends.overlaps(ip("0.0.0.0"), 80) && ends.counts.is_empty());
    }

    #[test]
    fn asking_looks_at_as_few_among_many() {
        for count in [10, 10_000] {
            let mut ends = LocalEnds::new();
            for number in 0..count {
                ends.add(Some(Ipv4Addr::from_bits(0x0a00_0000 + number).into()), 80);
                ends.add(ip("10.0.0.1"), 443);
            }
            assert_eq!(ends.counts.len(), 1 + count as usize);
            for address in ["0.0.0.0", "::", "10.0.0.1"] {
                for port in [80, 443] {
                    let looked_at = ends.in_the_way(address.parse().unwrap(), port).count();
                    assert_eq!(looked_at, 1, "{address} among {count}");
                }
            }
        }
    }
}
