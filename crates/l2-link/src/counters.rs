//! What a link counts.

use netloom_base::{Counter, ReasonCounters};

/// Frames of a link. What [`LinkLayer::input`](crate::LinkLayer::input) and
/// [`enqueue`](crate::LinkLayer::enqueue) return as an error is counted by the caller, not here.
#[derive(Clone, Debug, Default)]
pub struct LinkCounters {
    /// ARP requests received, probes included.
    pub arp_requests_received: Counter,
    /// ARP replies received.
    pub arp_replies_received: Counter,
    /// ARP requests sent to find or verify a neighbour.
    pub arp_requests_sent: Counter,
    /// ARP replies sent.
    pub arp_replies_sent: Counter,
    /// ARP probes sent (RFC 5227 2.1).
    pub arp_probes_sent: Counter,
    /// ARP announcements sent, defences included (RFC 5227 2.3, 2.4).
    pub arp_announcements_sent: Counter,
    /// Times that another host was seen to use, or to want, an address of ours.
    pub address_conflicts: Counter,
    /// IPv6 neighbours whose solicitation was asked for.
    pub solicitations: Counter,
    /// Drops inside the layer, which nobody was told of.
    pub drops: ReasonCounters,
}

/// The fates of neighbours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NeighborCounters {
    /// Entries made.
    pub created: Counter,
    /// Searches that found the neighbour.
    pub resolved: Counter,
    /// Searches without an answer.
    pub unresolved: Counter,
    /// Known neighbours that stopped answering.
    pub lost: Counter,
    /// Entries removed to make room for another.
    pub evicted: Counter,
    /// Entries that nobody used any more.
    pub expired: Counter,
    /// Packets that had to wait.
    pub packets_queued: Counter,
}
