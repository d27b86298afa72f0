//! Where packets to one destination go.

use core::net::IpAddr;

use crate::InterfaceId;

/// What the internet layer knows about the way to a destination; the stack carries it to whoever sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathInfo {
    /// Who takes the packet next.
    pub next_hop: NextHop,
    /// The address to send from (RFC 6724), or the one the caller asked for.
    pub source: IpAddr,
    /// Largest IP packet that the way takes, in bytes: the link's MTU or less where the path's is known
    /// (RFC 1191, RFC 8201).
    pub mtu: u16,
}

/// Who takes a packet next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextHop {
    /// This host itself.
    Local,
    /// A neighbour on an interface: the destination or a gateway.
    Neighbor {
        /// The interface to send on.
        interface: InterfaceId,
        /// The neighbour's IP address.
        address: IpAddr,
    },
}
