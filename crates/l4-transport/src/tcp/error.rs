//! What a socket call can fail with.

use core::fmt;

use super::reason::EndReason;

/// What became of a connection, in the words of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TcpError {
    /// Nobody listens there.
    ConnectionRefused,
    /// The peer ended it with a reset.
    ConnectionReset,
    /// This end aborted it.
    ConnectionAborted,
    /// The peer did not answer in time.
    TimedOut,
    /// No way to the peer's network.
    NetworkUnreachable,
    /// No way to the peer, or it does not speak TCP.
    HostUnreachable,
}

impl TcpError {
    /// What a user is told who holds a connection that ended for `reason`; `None` if it ended in order. `soft` is the
    /// last ICMP error that was heard about it: a better word than "timed out".
    pub(super) fn of(reason: EndReason, soft: Option<Self>) -> Option<Self> {
        match reason {
            EndReason::Finished => None,
            EndReason::ResetByPeer | EndReason::HandshakeReset | EndReason::Replaced => {
                Some(Self::ConnectionReset)
            }
            EndReason::Refused => Some(Self::ConnectionRefused),
            EndReason::IcmpRefused => Some(soft.unwrap_or(Self::ConnectionRefused)),
            EndReason::HandshakeTimeout
            | EndReason::RetransmissionTimeout
            | EndReason::UserTimeout
            | EndReason::WindowProbeTimeout
            | EndReason::Undecided
            | EndReason::KeepaliveTimeout => Some(soft.unwrap_or(Self::TimedOut)),
            EndReason::Aborted
            | EndReason::AddressLost
            | EndReason::ClosedInHandshake
            | EndReason::ClosedUnread
            | EndReason::DataAfterClose
            | EndReason::ListenerClosed
            | EndReason::FinWait2Timeout
            | EndReason::Evicted
            | EndReason::OrphanTimeout => Some(Self::ConnectionAborted),
        }
    }
}

impl fmt::Display for TcpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ConnectionRefused => "connection refused",
            Self::ConnectionReset => "connection reset by peer",
            Self::ConnectionAborted => "connection aborted",
            Self::TimedOut => "connection timed out",
            Self::NetworkUnreachable => "network is unreachable",
            Self::HostUnreachable => "no route to host",
        })
    }
}

impl core::error::Error for TcpError {}

/// Why a connection was not begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectError {
    /// There is no route to the peer; said by the stack, which asks for the path.
    NoRoute,
    /// The peer's address or port, or the local address, cannot be an end of a connection. [9293 MUST-46]
    InvalidAddress,
    /// A connection between these two ends exists.
    AddressInUse,
    /// Every ephemeral port towards this peer is in use.
    PortsExhausted,
    /// [`TcpConfig::max_connections`](super::TcpConfig::max_connections) is reached.
    TableFull,
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoRoute => "no route to the peer",
            Self::InvalidAddress => "not an address that one can connect to",
            Self::AddressInUse => "a connection between these addresses and ports exists",
            Self::PortsExhausted => "no ephemeral port is free",
            Self::TableFull => "too many connections",
        })
    }
}

impl core::error::Error for ConnectError {}

/// Why nothing listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListenError {
    /// Another listener has this address and port.
    AddressInUse,
    /// No ephemeral port is free.
    PortsExhausted,
    /// [`TcpConfig::max_listeners`](super::TcpConfig::max_listeners) is reached.
    TableFull,
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AddressInUse => "address already in use",
            Self::PortsExhausted => "no ephemeral port is free",
            Self::TableFull => "too many listeners",
        })
    }
}

impl core::error::Error for ListenError {}

/// Why nothing was taken for sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// The socket does not exist (any more).
    NotFound,
    /// The socket's sending side was shut down, or the connection ended in order.
    Shutdown,
    /// The connection broke.
    Failed(TcpError),
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("no such socket"),
            Self::Shutdown => f.write_str("the sending side is shut down"),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for SendError {}

/// Why nothing can be received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecvError {
    /// The socket does not exist (any more).
    NotFound,
    /// The connection broke; everything that came before has been read.
    Failed(TcpError),
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("no such socket"),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for RecvError {}

/// A socket that does not exist (any more).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoSuchSocket;

impl fmt::Display for NoSuchSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no such socket")
    }
}

impl core::error::Error for NoSuchSocket {}
