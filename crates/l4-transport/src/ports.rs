//! Ephemeral ports: the one that a socket gets if it asks for none (RFC 6056).
//!
//! # Theory of operation
//! For a known peer the port comes from RFC 6056's algorithm 4, the double hash: one keyed hash of addresses and peer says
//! where in the range that peer's ports begin, another which of 1,024 counters goes on from there. Somebody who sees our
//! ports towards himself learns nothing about those towards others, and one peer sees each port again only after all
//! the others: an old connection in TIME-WAIT is not met by accident. Without a peer the port is random (algorithm 1).
//!
//! # Limits
//! A search tries each port of the range once, from where it begins, and then gives up. The counters take 4 KiB.
//!
//! # Not here
//! Whether a port is free: the asker knows, since for TCP that depends on the whole four-tuple.

use core::fmt;
use core::net::{IpAddr, SocketAddr};

use netloom_base::{HashKey, Rng};

/// Counters of algorithm 4: with more of them, fewer peers share one (RFC 6056 3.3.4).
const COUNTERS: usize = 1024;

/// The ports that may be given out, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    /// The ports from `first` to `last`; `None` if there is none, or if port 0 would be one.
    pub const fn new(first: u16, last: u16) -> Option<Self> {
        if first == 0 || first > last { None } else { Some(Self { first, last }) }
    }

    /// How many ports there are: at least one.
    pub const fn count(self) -> u32 {
        (self.last - self.first) as u32 + 1
    }

    /// Whether `port` is one of them.
    pub const fn contains(self, port: u16) -> bool {
        self.first <= port && port <= self.last
    }

    /// The port `offset` places after the first, around the end if it must be.
    fn at(self, offset: u64) -> u16 {
        // A remainder of at most 65,535 fits.
        let offset = u16::try_from(offset % u64::from(self.count())).unwrap_or(0);
        self.first.saturating_add(offset)
    }
}

impl Default for PortRange {
    /// 32768 to 65535.
    ///
    /// RFC 6056 3.2 wants the range as large as can be. This is half of all ports: more than the dynamic ones of
    /// IANA, and yet none that a well-known service would find taken by accident when it is started later.
    // [6056-01] [6056-02]
    fn default() -> Self {
        Self { first: 32_768, last: u16::MAX }
    }
}

/// Every port of the range is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortsExhausted;

impl fmt::Display for PortsExhausted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("every ephemeral port is in use")
    }
}

impl core::error::Error for PortsExhausted {}

/// Gives out ephemeral ports that an outsider cannot foresee.
// [6056-03]
#[derive(Clone, Debug)]
pub struct EphemeralPorts {
    range: PortRange,
    offset_key: HashKey,
    counter_key: HashKey,
    counters: Box<[u32; COUNTERS]>,
    rng: Rng,
}

impl EphemeralPorts {
    /// Ports of `range`, in an order that only `rng` knows.
    pub fn new(range: PortRange, mut rng: Rng) -> Self {
        let mut counters = Box::new([0; COUNTERS]);
        for counter in counters.iter_mut() {
            // With the upper half left to count: it then never wraps, where the order would jump.
            *counter = u32::from(rng.next_u16());
        }
        Self { range, offset_key: rng.hash_key(), counter_key: rng.hash_key(), counters, rng }
    }

    /// The ports that are given out.
    pub const fn range(&self) -> PortRange {
        self.range
    }

    /// A port towards `remote`, from the address `local`, that `is_used` does not claim.
    ///
    /// # Errors
    /// When `is_used` has claimed every port of the range.
    pub fn pick_towards(
        &mut self,
        local: IpAddr,
        remote: SocketAddr,
        is_used: impl FnMut(u16) -> bool,
    ) -> Result<u16, PortsExhausted> {
        let peer = (local, remote.ip(), remote.port());
        let begin = self.offset_key.hash(&peer);
        let slot = self.counter_key.hash(&peer) % COUNTERS as u64;
        let counter = usize::try_from(slot).ok().and_then(|slot| self.counters.get_mut(slot));
        let Some(counter) = counter else { return Err(PortsExhausted) };
        let (port, tried) = search(self.range, (begin >> 1) + u64::from(*counter), is_used)?;
        *counter = counter.wrapping_add(tried);
        Ok(port)
    }

    /// A port for whoever may come, that `is_used` does not claim.
    ///
    /// # Errors
    /// When `is_used` has claimed every port of the range.
    pub fn pick(&mut self, is_used: impl FnMut(u16) -> bool) -> Result<u16, PortsExhausted> {
        let begin = u64::from(self.rng.next_u32());
        search(self.range, begin, is_used).map(|(port, _)| port)
    }
}

/// The first free port from `begin` on, and how many were tried.
fn search(
    range: PortRange,
    begin: u64,
    mut is_used: impl FnMut(u16) -> bool,
) -> Result<(u16, u32), PortsExhausted> {
    let mut tried: u32 = 0;
    for step in 0..u64::from(range.count()) {
        let port = range.at(begin.wrapping_add(step));
        tried = tried.wrapping_add(1);
        if !is_used(port) {
            return Ok((port, tried));
        }
    }
    Err(PortsExhausted)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn ports(first: u16, last: u16) -> EphemeralPorts {
        EphemeralPorts::new(PortRange::new(first, last).unwrap(), Rng::from_number(5))
    }

    fn remote(host: u8) -> SocketAddr {
        SocketAddr::new([10, 0, 0, host].into(), 80)
    }

    fn local() -> IpAddr {
        [10, 0, 0, 1].into()
    }

    #[test]
    fn a_range_has_its_ends_and_never_port_zero() {
        assert_eq!(PortRange::new(0, 5), None);
        assert_eq!(PortRange::new(6, 5), None);
        let one = PortRange::new(7, 7).unwrap();
        assert_eq!((one.count(), one.contains(7), one.contains(8)), (1, true, false));
        assert_eq!(PortRange::new(1, u16::MAX).unwrap().count(), 65_535);
    }

    // [6056-03]
    #[test]
    fn one_peer_sees_every_port_before_any_again() {
        let mut ports = ports(1000, 1999);
        let seen: Vec<u16> =
            (0..1000).map(|_| ports.pick_towards(local(), remote(2), |_| false).unwrap()).collect();
        assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), 1000);
    }

    // [6056-03] [6056-01]
    #[test]
    fn different_peers_begin_at_places_spread_over_the_range() {
        let mut ports = EphemeralPorts::new(PortRange::default(), Rng::from_number(9));
        let mut buckets = [0u32; 16];
        for number in 0..16_000u16 {
            let remote = SocketAddr::new(local(), number);
            let port = ports.pick_towards(local(), remote, |_| false).unwrap();
            assert!(PortRange::default().contains(port));
            buckets[usize::from(port - 32_768) / 2048] += 1;
        }
        // 1000 in each on average; five standard deviations are 150.
        assert!(buckets.iter().all(|count| (850..1150).contains(count)), "{buckets:?}");
        let mut random = [0u32; 16];
        for _ in 0..16_000 {
            random[usize::from(ports.pick(|_| false).unwrap() - 32_768) / 2048] += 1;
        }
        assert!(random.iter().all(|count| (850..1150).contains(count)), "{random:?}");
    }

    #[test]
    fn one_peer_s_ports_say_nothing_about_another_s() {
        let mut ports = EphemeralPorts::new(PortRange::default(), Rng::from_number(9));
        let mut steps = BTreeSet::new();
        for host in 0..=200 {
            let mine = ports.pick_towards(local(), remote(250), |_| false).unwrap();
            let theirs = ports.pick_towards(local(), remote(host), |_| false).unwrap();
            steps.insert(theirs.wrapping_sub(mine));
        }
        assert!(steps.len() > 190);
    }

    #[test]
    fn ports_in_use_are_passed_over_and_exhaustion_is_told() {
        let mut ports = ports(1, 8);
        let mut used = BTreeSet::new();
        for _ in 0..8 {
            let port = ports.pick_towards(local(), remote(2), |port| used.contains(&port)).unwrap();
            assert!(used.insert(port));
        }
        assert_eq!(used, (1..=8).collect());
        assert_eq!(ports.pick_towards(local(), remote(2), |port| used.contains(&port)), Err(PortsExhausted));
        let mut asked = 0;
        let everything = |_| {
            asked += 1;
            true
        };
        assert_eq!(ports.pick(everything), Err(PortsExhausted));
        assert_eq!(asked, 8);
        assert_eq!(ports.pick(|port| port != 3), Ok(3));
    }
}
