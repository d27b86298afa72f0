//! The bounds and times of a link.

use core::time::Duration;

use netloom_wire::EthernetAddress;

/// What a [`LinkLayer`](crate::LinkLayer) is built from.
#[derive(Clone, Debug)]
pub struct LinkConfig {
    /// Our address on the link.
    pub address: EthernetAddress,
    /// The neighbour cache, and how addresses are kept.
    pub neighbors: NeighborConfig,
    /// Whether ARP requests are answered here. If not, another shard of the host does that, and tries out, announces
    /// and defends its addresses; this one only listens and asks.
    pub speaks_for_host: bool,
}

/// Bounds and times of a neighbour cache. The times are RFC 4861's (section 10), for ARP too.
#[derive(Clone, Debug)]
pub struct NeighborConfig {
    /// Neighbours that are remembered, static ones included. About 250 bytes each.
    pub max_entries: usize,
    /// Of these, neighbours that may be asked for at once. Beyond it the search that began first is given up, so that
    /// a scan of a whole network leaves room for neighbours that exist.
    pub max_incomplete: usize,
    /// Packets that wait for one neighbour; beyond it the oldest goes. At least one is kept.
    pub queue_max_packets: usize,
    /// Bytes that wait for one neighbour; beyond it the oldest packets go, but one packet of any size is kept.
    pub queue_max_bytes: usize,
    /// Bytes that wait for all neighbours, with 40 more for each packet; beyond it the neighbour that has been waited
    /// for longest loses its oldest packet. This bounds the memory of all queues; one packet of any size is kept.
    pub queue_total_bytes: usize,
    /// For how long an answer proves that a neighbour can be reached, on average: each time it is drawn from half of
    /// it to one and a half (REACHABLE_TIME).
    pub reachable_time: Duration,
    /// Between two requests for one neighbour (RETRANS_TIMER). Less than a second is more than RFC 1122 2.3.2.1
    /// recommends; less than a millisecond counts as one.
    pub retransmit_interval: Duration,
    /// Requests before a neighbour is given up, first by broadcast or multicast, and again by unicast when an entry
    /// is verified (MAX_MULTICAST_SOLICIT, MAX_UNICAST_SOLICIT). At least 1.
    pub max_solicits: u8,
    /// Between the use of a stale entry and the first unicast request that verifies it (DELAY_FIRST_PROBE_TIME).
    pub delay_first_probe: Duration,
    /// For how long an entry that is neither used nor heard from is remembered.
    pub stale_lifetime: Duration,
    /// What happens when another host uses one of our IPv4 addresses.
    pub address_defence: AddressDefence,
    /// ARP frames, and separately events, that may wait for the caller; beyond it the newest are dropped, and asked
    /// again by timer. Waiting packets that were released have their own bound, `queue_total_bytes`.
    pub max_pending: usize,
}

impl Default for NeighborConfig {
    /// A cache of at most about 256 KiB, and 4 MiB of waiting packets.
    fn default() -> Self {
        Self {
            max_entries: 1024,
            max_incomplete: 512,
            queue_max_packets: 128,
            queue_max_bytes: 256 * 1024,
            queue_total_bytes: 4 * 1024 * 1024,
            // [1122-L005]
            reachable_time: Duration::from_secs(30),
            // [1122-L004]
            retransmit_interval: Duration::from_secs(1),
            max_solicits: 3,
            delay_first_probe: Duration::from_secs(5),
            stale_lifetime: Duration::from_secs(20 * 60),
            address_defence: AddressDefence::Once,
            max_pending: 1024,
        }
    }
}

/// What is done about another host's use of an IPv4 address that is in use here (RFC 5227 2.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AddressDefence {
    /// Give the address up at once.
    Never,
    /// Announce it again once; at the next conflict within ten seconds give it up.
    #[default]
    Once,
    /// Keep it whatever happens, and announce it at most once in ten seconds: for hosts that others must find at a
    /// known address.
    Always,
}
