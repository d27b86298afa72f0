//! Ids of sockets and listeners, events about them, and news for the neighbour cache.

use core::fmt;
use core::net::{IpAddr, SocketAddr};

use netloom_base::SlabId;

use super::error::TcpError;

/// A TCP socket: a connection that a user holds. Never mistaken for a later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TcpSocketId(pub(super) SlabId);

impl TcpSocketId {
    /// Its position among all sockets: dense, used again by later ones, below
    /// [`TcpConfig::max_connections`](super::TcpConfig::max_connections). For tables outside.
    pub const fn index(self) -> usize {
        self.0.index() as usize
    }

    /// The id as one number, for keys of tables outside.
    pub const fn as_u64(self) -> u64 {
        self.0.as_u64()
    }
}

impl fmt::Display for TcpSocketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tcp{}", self.0)
    }
}

/// A TCP listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TcpListenerId(pub(super) SlabId);

impl TcpListenerId {
    /// The id as one number, for keys of tables outside.
    pub const fn as_u64(self) -> u64 {
        self.0.as_u64()
    }
}

impl fmt::Display for TcpListenerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "listener{}", self.0)
    }
}

/// A SYN that waits for its listener's user to decide, or the handshake that he let it become.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TcpPendingId(pub(super) SlabId);

impl TcpPendingId {
    /// The id as one number, for keys of tables outside.
    pub const fn as_u64(self) -> u64 {
        self.0.as_u64()
    }
}

/// A SYN that waits for a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpPending {
    /// What to decide it by.
    pub id: TcpPendingId,
    /// Whom the peer wants to reach: our end.
    pub local: SocketAddr,
    /// The peer's end.
    pub remote: SocketAddr,
}

/// Where a handshake stands that somebody decided about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PendingState {
    /// It is not decided, or not done.
    Waiting,
    /// It is done: here is the connection.
    Established(Accepted),
    /// It came to nothing.
    Failed(TcpError),
}

/// What became of a handshake whose decider has not asked yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Its connection, which is the decider's to take.
    Established(SlabId),
    /// Why there is none.
    Failed(TcpError),
}

/// Something that a user may want to look at. Edges: each is told once, when it happens; looking is a socket call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TcpEvent {
    /// A connection that was begun here is established.
    Connected(TcpSocketId),
    /// There is data, the end of the stream, or an error to be read.
    Readable(TcpSocketId),
    /// There is room for data again after a write took less than it was offered.
    Writable(TcpSocketId),
    /// A listener has a connection to accept, or a SYN to decide about.
    Acceptable(TcpListenerId),
    /// A handshake that was decided about is done, or came to nothing.
    Decided(TcpPendingId),
    /// Something is worth a look that ends nothing: retransmissions have passed R1, an ICMP error came, the peer's
    /// urgent pointer moved. See [`TcpInfo`](super::TcpInfo). [9293 MUST-47, MUST-32] [9293-u11]
    Report(TcpSocketId),
    /// The connection is over, in order or by an error: nothing more will happen to it. What was received can still be
    /// read. [9293 MUST-12]
    Closed(TcpSocketId),
}

/// News for the neighbour cache, which the stack carries there. It may be lost: it is only a hint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathAdvice {
    /// What was sent to `remote` was not acknowledged again and again: the way there may be gone.
    /// [9293 MUST-20] [1122-T066]
    Suspect {
        /// The peer.
        remote: IpAddr,
    },
    /// `remote` has acknowledged something new: the way there works (RFC 4861 7.3.1).
    Confirmed {
        /// The peer.
        remote: IpAddr,
    },
}

/// A connection that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The socket.
    pub id: TcpSocketId,
    /// Our end.
    pub local: SocketAddr,
    /// The peer's end.
    pub remote: SocketAddr,
}

/// What there is to receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recv {
    /// So many bytes, at least one.
    Data(usize),
    /// Nothing yet: wait for [`TcpEvent::Readable`].
    WouldBlock,
    /// Nothing more: the peer is done, or this end has shut reading down.
    EndOfStream,
}
