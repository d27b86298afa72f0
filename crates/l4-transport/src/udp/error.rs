//! What a call on a UDP socket can fail with.

use core::fmt;

/// Why a socket was not bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UdpBindError {
    /// Another socket has the port, at this address or at every address.
    AddressInUse,
    /// Every ephemeral port is in use.
    PortsExhausted,
    /// There are as many sockets as there may be.
    TooManySockets,
}

/// Why a socket was not connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UdpConnectError {
    /// There is no such socket.
    NoSocket,
    /// The peer's port is 0, or its address unspecified.
    InvalidRemote,
    /// The peer is of another family than the socket's address.
    FamilyMismatch,
    /// Another socket at the same address and port is connected to the peer.
    AddressInUse,
}

/// What the network said about a connected socket's datagrams. Told once, by whichever call comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UdpSocketError {
    /// Nobody listens on the peer's port.
    ConnectionRefused,
    /// An administrator forbids the way to the peer.
    HostUnreachable,
}

/// Why a datagram was not queued for sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UdpSendError {
    /// The send queue is full: wait for `Writable`.
    WouldBlock,
    /// More than the 65,507 bytes that fit IPv4, or the 65,527 that fit IPv6.
    MessageTooLong,
    /// Data to be sent in datagrams of no bytes, or in more of them than [`MAX_TRAIN_LEN`](super::MAX_TRAIN_LEN).
    TrainTooLong,
    /// The socket is not connected and no peer was named.
    NotConnected,
    /// The peer's port is 0, or its address unspecified.
    InvalidRemote,
    /// The peer is of another family than the source.
    FamilyMismatch,
    /// There is no such socket.
    NoSocket,
    /// What an earlier datagram met; this one was not queued.
    Socket(UdpSocketError),
}

/// Why no datagram was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UdpRecvError {
    /// None is there: wait for `Readable`.
    WouldBlock,
    /// There is no such socket.
    NoSocket,
    /// What an earlier datagram met.
    Socket(UdpSocketError),
}

/// Why a group was not joined or left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UdpGroupError {
    /// There is no such socket.
    NoSocket,
    /// The address is no group's.
    NotMulticast,
    /// The socket is a member already.
    AlreadyJoined,
    /// The socket is no member.
    NotJoined,
    /// The sockets are members of as many groups as they may be.
    TooManyGroups,
}

impl fmt::Display for UdpBindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AddressInUse => "address already in use",
            Self::PortsExhausted => "every ephemeral port is in use",
            Self::TooManySockets => "too many UDP sockets",
        })
    }
}

impl fmt::Display for UdpConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSocket => "no such socket",
            Self::InvalidRemote => "no peer can have this address and port",
            Self::FamilyMismatch => "the peer is of another address family",
            Self::AddressInUse => "another socket is connected to this peer",
        })
    }
}

impl fmt::Display for UdpSocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ConnectionRefused => "connection refused",
            Self::HostUnreachable => "host unreachable",
        })
    }
}

impl fmt::Display for UdpSendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WouldBlock => "the send queue is full",
            Self::MessageTooLong => "message too long",
            Self::TrainTooLong => "datagrams without data, or too many of them at once",
            Self::NotConnected => "the socket is not connected",
            Self::InvalidRemote => "no peer can have this address and port",
            Self::FamilyMismatch => "the peer is of another address family",
            Self::NoSocket => "no such socket",
            Self::Socket(error) => return error.fmt(f),
        })
    }
}

impl fmt::Display for UdpRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WouldBlock => "no datagram is waiting",
            Self::NoSocket => "no such socket",
            Self::Socket(error) => return error.fmt(f),
        })
    }
}

impl fmt::Display for UdpGroupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSocket => "no such socket",
            Self::NotMulticast => "not a multicast address",
            Self::AlreadyJoined => "already a member of the group",
            Self::NotJoined => "not a member of the group",
            Self::TooManyGroups => "too many groups",
        })
    }
}

impl core::error::Error for UdpBindError {}
impl core::error::Error for UdpConnectError {}
impl core::error::Error for UdpSocketError {}
impl core::error::Error for UdpSendError {}
impl core::error::Error for UdpRecvError {}
impl core::error::Error for UdpGroupError {}
