//! What UDP and its sockets are built from, and what is counted.

use core::net::IpAddr;

use netloom_base::{Counter, Sharding};

use crate::ports::PortRange;

/// What a queued datagram counts for beside its data.
pub(super) const DATAGRAM_COST: usize = 128;

/// Entries that an empty queue keeps room for.
pub(super) const KEPT_ENTRIES: usize = 32;

/// The bounds of UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UdpConfig {
    /// Which shard of the host this is: it gives out only ports that are its own.
    pub sharding: Sharding,
    /// Sockets, those included that are closed and still have something to send. Each costs about half a kilobyte
    /// without its queues.
    pub max_sockets: usize,
    /// Bytes that wait in one socket's receive queue, each datagram counted with 128 more, and a train of them that came as one
    /// packet until it is read whole; a datagram that does not fit is dropped.
    pub receive_queue_bytes: usize,
    /// Bytes that wait in one socket's send queue, counted in the same way. An empty queue takes any datagram.
    pub send_queue_bytes: usize,
    /// Datagrams in either queue of one socket.
    pub queue_datagrams: usize,
    /// Bytes that wait in all receive queues together, counted in the same way: the memory that senders can make UDP
    /// take. (Send queues hold only what this host's own programs put there.) Beside it UDP has up to 64 buffers of
    /// [`PIECE_LEN`](netloom_base::PIECE_LEN) bytes free, and 64 on loan to datagrams that are shorter.
    pub max_receive_bytes: usize,
    /// Groups that all sockets together may be members of. Each costs about 64 bytes.
    pub max_groups: usize,
    /// The ports that sockets get that ask for none.
    pub ephemeral_ports: PortRange,
}

impl Default for UdpConfig {
    fn default() -> Self {
        Self {
            sharding: Sharding::default(),
            max_sockets: 4096,
            receive_queue_bytes: 1 << 20,
            send_queue_bytes: 256 << 10,
            queue_datagrams: 4096,
            max_receive_bytes: 64 << 20,
            max_groups: 256,
            ephemeral_ports: PortRange::default(),
        }
    }
}

/// Where a socket listens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UdpBind {
    /// Our address, or a group. `None` is every address of both families; the unspecified address of a family is every
    /// one of that family.
    // [1122-U012] [1122-U013]
    pub address: Option<IpAddr>,
    /// The port; 0 for an ephemeral one.
    pub port: u16,
    /// Whether others that say so too may have the same address and port: each then gets a copy of what is sent to a
    /// group or by broadcast. Of what is sent to us alone, the one that is connected to the sender gets it, or else the
    /// one that was there first.
    pub share: bool,
}

impl UdpBind {
    /// A port of its own at `address`.
    pub const fn new(address: Option<IpAddr>, port: u16) -> Self {
        Self { address, port, share: false }
    }
}

/// What a socket's datagrams are sent with.
// [1122-U018]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UdpOptions {
    /// TTL or hop limit; `None` for the internet layer's own.
    pub hop_limit: Option<u8>,
    /// The same for datagrams to groups; `None` for 1, which does not leave the link (RFC 1112 6.1).
    pub group_hop_limit: Option<u8>,
    /// DSCP (6 bits) and ECN (2 bits).
    pub traffic_class: u8,
    /// Whether a datagram that is too large for its path is refused and not cut into fragments.
    pub dont_fragment: bool,
    /// Whether it may send to broadcast addresses; whoever knows which those are enforces it.
    pub may_broadcast: bool,
    /// Whether this host's own members of a group are to get what the socket sends there, as others' do.
    pub loops_to_groups: bool,
}

impl Default for UdpOptions {
    /// A plain socket's: the only thing that is on is that groups are looped to.
    fn default() -> Self {
        Self {
            hop_limit: None,
            group_hop_limit: None,
            traffic_class: 0,
            dont_fragment: false,
            may_broadcast: false,
            loops_to_groups: true,
        }
    }
}

/// What UDP counts. What [`Udp::input`](super::Udp::input) refuses is counted by its caller, by the reason that it
/// gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UdpCounters {
    /// Datagrams put into a receive queue; one to a group counts for each socket that got it.
    pub received: Counter,
    /// Bytes of data in those.
    pub bytes_received: Counter,
    /// Datagrams handed out to be sent.
    pub sent: Counter,
    /// Bytes of data in those.
    pub bytes_sent: Counter,
    /// Datagrams that a full receive queue did not take.
    pub queue_full: Counter,
    /// ICMP errors that were about a socket's datagram.
    pub icmp_errors: Counter,
}
