//! Our own addresses: probing, announcing and defending IPv4 ones as RFC 5227 asks.
//!
//! # State
//! ```text
//!            0-1 s         1-2 s each        2 s             2 s
//!  add ---> Probing(0) --> Probing(1..3) -----> Announcing(1) ---> Settled
//!               |  conflict   |                     | conflict:       |
//!               +-------------+----> Lost <---------+-- defend, or ---+
//! ```
//! Without probing an address begins at its first announcement. An IPv6 address is only known here, so that nobody
//! teaches it to the cache: its detection is the internet layer's. So is an address that another shard of the host keeps.
//!
//! # Not here
//! Choosing another address after a conflict, and resetting connections on a lost one: the layers above are told.

use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;
use std::collections::VecDeque;

use netloom_base::{AddressDetection, DeadlineQueue, Instant, KeyedMap, Rng, Slab, SlabId};
use netloom_wire::{ArpOperation, ArpPacket, Cidr, EthernetAddress};
use tracing::warn;

use crate::config::AddressDefence;

// RFC 5227 1.1.
const PROBE_WAIT: Duration = Duration::from_secs(1);
const PROBE_NUM: u8 = 3;
const PROBE_MIN: Duration = Duration::from_secs(1);
const PROBE_MAX: Duration = Duration::from_secs(2);
const ANNOUNCE_WAIT: Duration = Duration::from_secs(2);
const ANNOUNCE_NUM: u8 = 2;
const ANNOUNCE_INTERVAL: Duration = Duration::from_secs(2);
const MAX_CONFLICTS: u32 = 10;
const RATE_LIMIT_INTERVAL: Duration = Duration::from_secs(60);
const DEFEND_INTERVAL: Duration = Duration::from_secs(10);

/// What is to be done for an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClaimEffect {
    Probe(Ipv4Addr),
    Announce(Ipv4Addr),
    Ready(IpAddr),
    Lost { address: IpAddr, by: EthernetAddress },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Known, and nothing else: IPv6, and what another shard keeps.
    Registered,
    /// So many probes were sent.
    Probing(u8),
    /// So many announcements were sent.
    Announcing(u8),
    Settled,
    Lost,
}

#[derive(Debug)]
struct Claim {
    cidr: Cidr,
    detection: AddressDetection,
    phase: Phase,
    /// When a conflict was last answered by a defence.
    defended_at: Option<Instant>,
}

impl Claim {
    /// Whether the address may be used and answered for.
    fn is_usable(&self) -> bool {
        match self.phase {
            Phase::Probing(_) => self.detection == AddressDetection::Optimistic,
            Phase::Announcing(_) | Phase::Settled | Phase::Registered => true,
            Phase::Lost => false,
        }
    }
}

/// All our addresses on one link.
#[derive(Debug)]
pub(crate) struct Claims {
    claims: Slab<Claim>,
    by_address: KeyedMap<IpAddr, SlabId>,
    deadlines: DeadlineQueue,
    effects: VecDeque<ClaimEffect>,
    defence: AddressDefence,
    /// Conflicts so far; it never goes back.
    conflict_count: u32,
    /// When probing for an address last began, or will begin.
    probing_since: Option<Instant>,
    rng: Rng,
}

impl Claims {
    /// Addresses of one interface. About 100 bytes each.
    pub(crate) const MAX: usize = 1024;

    pub(crate) fn new(defence: AddressDefence, mut rng: Rng) -> Self {
        Self {
            claims: Slab::new(Self::MAX),
            by_address: KeyedMap::with_hasher(rng.hash_key()),
            deadlines: DeadlineQueue::new(),
            effects: VecDeque::new(),
            defence,
            conflict_count: 0,
            probing_since: None,
            rng,
        }
    }

    pub(crate) fn pop_effect(&mut self) -> Option<ClaimEffect> {
        self.effects.pop_front()
    }

    /// Adds an address, or begins again with one that is there.
    pub(crate) fn add(&mut self, now: Instant, cidr: Cidr, detection: AddressDetection) {
        self.remove(cidr.address());
        let (phase, deadline) = match (cidr.address(), detection) {
            (IpAddr::V6(_), _) => (Phase::Registered, None),
            // [5227-03, 5227-05]
            (IpAddr::V4(_), AddressDetection::Probe | AddressDetection::Optimistic) => {
                let start = self.probing_start(now);
                (Phase::Probing(0), Some(start + self.random(Duration::ZERO, PROBE_WAIT)))
            }
            (IpAddr::V4(_), AddressDetection::Off) => (Phase::Announcing(0), None),
        };
        let Ok(id) = self.claims.insert(Claim { cidr, detection, phase, defended_at: None }) else {
            warn!(address = %cidr.address(), max = Self::MAX, "too many addresses on one link: not answered for");
            return;
        };
        self.by_address.insert(cidr.address(), id);
        match phase {
            Phase::Announcing(_) => self.begin_announcing(now, id),
            Phase::Registered | Phase::Probing(_) | Phase::Settled | Phase::Lost => {
                self.deadlines.set(id.index(), deadline);
            }
        }
    }

    /// Adds an address that somebody else tries out, announces and defends.
    pub(crate) fn adopt(&mut self, cidr: Cidr) {
        self.remove(cidr.address());
        let claim =
            Claim { cidr, detection: AddressDetection::Off, phase: Phase::Registered, defended_at: None };
        if let Ok(id) = self.claims.insert(claim) {
            self.by_address.insert(cidr.address(), id);
        }
    }

    /// Now, or after many conflicts a minute after the last attempt.
    // [5227-08]
    fn probing_start(&mut self, now: Instant) -> Instant {
        let start = match self.probing_since {
            Some(last) if self.conflict_count >= MAX_CONFLICTS => now.max(last + RATE_LIMIT_INTERVAL),
            Some(_) | None => now,
        };
        self.probing_since = Some(start);
        start
    }

    pub(crate) fn remove(&mut self, address: IpAddr) {
        if let Some(id) = self.by_address.remove(&address) {
            self.deadlines.set(id.index(), None);
            self.claims.remove(id);
        }
    }

    /// Whether `address` is ours, or may become so: no neighbour has it.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        self.get(address).is_some_and(|claim| claim.phase != Phase::Lost)
    }

    /// Whether ARP requests for `address` are answered.
    pub(crate) fn is_usable(&self, address: IpAddr) -> bool {
        self.get(address).is_some_and(Claim::is_usable)
    }

    /// Whether `address` is a directed broadcast address of one of our networks.
    pub(crate) fn is_broadcast(&self, address: IpAddr) -> bool {
        self.claims.iter().any(|(_, claim)| claim.cidr.broadcast() == Some(address))
    }

    /// The address to ask for `target` from: in its network if there is one, else any.
    pub(crate) fn source_for(&self, target: Ipv4Addr) -> Option<Ipv4Addr> {
        let rank =
            |cidr: Cidr| if cidr.contains(target.into()) { 1 + u16::from(cidr.prefix_len()) } else { 0 };
        self.claims
            .iter()
            .filter(|(_, claim)| claim.is_usable())
            .filter_map(|(_, claim)| match claim.cidr.address() {
                IpAddr::V4(address) => Some((rank(claim.cidr), address)),
                IpAddr::V6(_) => None,
            })
            // The first of equals.
            .reduce(|best, other| if other.0 > best.0 { other } else { best })
            .map(|(_, address)| address)
    }

    /// Looks whether an ARP packet of another station concerns an address of ours; if it does it says nothing about
    /// the neighbour.
    pub(crate) fn handle_arp(&mut self, now: Instant, packet: &ArpPacket) -> bool {
        // [5227-07] another host probes for what we probe for.
        let rival = packet.sender_ip.is_unspecified() && packet.operation == ArpOperation::Request;
        let address = IpAddr::V4(if rival { packet.target_ip } else { packet.sender_ip });
        let Some(&id) = self.by_address.get(&address) else { return false };
        let Some(claim) = self.claims.get(id) else { return false };
        match claim.phase {
            // An address that is used already is answered for: the rival learns from the reply that it came second.
            Phase::Probing(_) if rival && claim.is_usable() => false,
            // [5227-06, 5227-07]
            Phase::Probing(_) => {
                self.lose(id, packet.sender_link);
                true
            }
            // [5227-10] a probe for an address in use is no conflict: it is answered.
            Phase::Announcing(_) | Phase::Settled if rival => false,
            Phase::Announcing(_) | Phase::Settled => {
                self.defend(now, id, packet.sender_link);
                true
            }
            // The conflict is another shard's to answer; a rival's probe names nobody else's address.
            Phase::Registered => !rival,
            // Whoever won it is a neighbour.
            Phase::Lost => false,
        }
    }

    /// Conflicts that were noticed.
    pub(crate) fn conflict_count(&self) -> u32 {
        self.conflict_count
    }

    // [5227-11, 5227-12, 5227-13, 5227-14, 5227-15]
    fn defend(&mut self, now: Instant, id: SlabId, by: EthernetAddress) {
        let Some(claim) = self.claims.get_mut(id) else { return };
        let recently = claim.defended_at.is_some_and(|at| now.saturating_since(at) < DEFEND_INTERVAL);
        match (self.defence, recently) {
            (AddressDefence::Never, _) | (AddressDefence::Once, true) => self.lose(id, by),
            (AddressDefence::Always, true) => self.conflict_count = self.conflict_count.saturating_add(1),
            (AddressDefence::Once | AddressDefence::Always, false) => {
                claim.defended_at = Some(now);
                self.conflict_count = self.conflict_count.saturating_add(1);
                if let IpAddr::V4(address) = claim.cidr.address() {
                    warn!(%address, %by, "another host uses our address; announcing it again");
                    self.effects.push_back(ClaimEffect::Announce(address));
                }
            }
        }
    }

    // [5227-06]
    fn lose(&mut self, id: SlabId, by: EthernetAddress) {
        let Some(claim) = self.claims.get_mut(id) else { return };
        let address = claim.cidr.address();
        claim.phase = Phase::Lost;
        self.deadlines.set(id.index(), None);
        self.conflict_count = self.conflict_count.saturating_add(1);
        warn!(%address, %by, "another host has our address; no longer using it");
        self.effects.push_back(ClaimEffect::Lost { address, by });
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.next()
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        while let Some(index) = self.deadlines.pop_due(now) {
            let Some(id) = self.claims.id_at(index) else { continue };
            let Some(claim) = self.claims.get_mut(id) else { continue };
            let IpAddr::V4(address) = claim.cidr.address() else { continue };
            match claim.phase {
                Phase::Probing(sent) if sent < PROBE_NUM => {
                    claim.phase = Phase::Probing(sent + 1);
                    self.effects.push_back(ClaimEffect::Probe(address));
                    let wait =
                        if sent + 1 == PROBE_NUM { ANNOUNCE_WAIT } else { self.random(PROBE_MIN, PROBE_MAX) };
                    self.deadlines.set(index, Some(now + wait));
                }
                Phase::Probing(_) => self.begin_announcing(now, id),
                Phase::Announcing(sent) => self.announce(now, id, address, sent),
                // [5227-04] nothing more is sent unasked.
                Phase::Registered | Phase::Settled | Phase::Lost => {}
            }
        }
    }

    /// The address is ours.
    // [5227-09]
    fn begin_announcing(&mut self, now: Instant, id: SlabId) {
        let Some(claim) = self.claims.get(id) else { return };
        if let IpAddr::V4(address) = claim.cidr.address() {
            self.announce(now, id, address, 0);
            self.effects.push_back(ClaimEffect::Ready(address.into()));
        }
    }

    fn announce(&mut self, now: Instant, id: SlabId, address: Ipv4Addr, sent: u8) {
        self.effects.push_back(ClaimEffect::Announce(address));
        let sent = sent.saturating_add(1);
        let (phase, deadline) = if sent < ANNOUNCE_NUM {
            (Phase::Announcing(sent), Some(now + ANNOUNCE_INTERVAL))
        } else {
            (Phase::Settled, None)
        };
        if let Some(claim) = self.claims.get_mut(id) {
            claim.phase = phase;
        }
        self.deadlines.set(id.index(), deadline);
    }

    fn get(&self, address: IpAddr) -> Option<&Claim> {
        self.by_address.get(&address).and_then(|&id| self.claims.get(id))
    }

    fn random(&mut self, from: Duration, to: Duration) -> Duration {
        let span = u64::try_from(to.saturating_sub(from).as_nanos()).unwrap_or(u64::MAX);
        from + Duration::from_nanos(self.rng.below(span.saturating_add(1)))
    }
}
