//! A received IP datagram on its way from the internet layer to a transport.

use core::net::IpAddr;

use netloom_base::{InterfaceId, RxMeta};

use crate::Protocol;

/// Whom a packet was addressed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CastKind {
    /// One host.
    Unicast,
    /// All hosts of a link or network.
    Broadcast,
    /// A group.
    Multicast,
}

/// A whole, verified datagram for this host: not a fragment, options and extension headers dealt with.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// Where it came in.
    pub interface: InterfaceId,
    /// Who sent it.
    pub source: IpAddr,
    /// Which of our addresses, or groups, it is for.
    pub destination: IpAddr,
    /// What kind of address `destination` is.
    pub cast: CastKind,
    /// Which transport it is for.
    pub protocol: Protocol,
    /// TTL or hop limit as received.
    pub hop_limit: u8,
    /// DSCP (6 bits) and ECN (2 bits).
    pub traffic_class: u8,
    /// Largest IP packet that the interface takes, in bytes: what an answer's MSS is computed from.
    pub mtu: u16,
    /// The transport's header and data.
    pub payload: &'a [u8],
    /// The whole IP packet, for an ICMP error to quote.
    pub packet: &'a [u8],
    /// What the device knew about the frame.
    pub meta: RxMeta,
}
