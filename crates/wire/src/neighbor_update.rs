//! What neighbour discovery tells the neighbour cache.

use core::net::IpAddr;

use crate::EthernetAddress;

/// One message of RFC 4861, reduced to what the neighbour cache must know of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeighborUpdate {
    /// Which neighbour it is about.
    pub address: IpAddr,
    /// The link address that the message's option told, if it had one.
    pub link_address: Option<EthernetAddress>,
    /// Which message it was.
    pub kind: NeighborUpdateKind,
}

/// The message that a [`NeighborUpdate`] came from: each changes an entry in its own way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NeighborUpdateKind {
    /// The neighbour asked for somebody, or for routers (RFC 4861 7.2.3, 6.2.6).
    Solicitation,
    /// The neighbour is a router and said so (RFC 4861 6.3.4).
    RouterAdvertisement,
    /// The neighbour told about itself (RFC 4861 7.2.5).
    Advertisement {
        /// It answers a question of ours: the way to it works in both directions.
        solicited: bool,
        /// The link address may replace one that is known already.
        override_: bool,
        /// The neighbour is a router.
        router: bool,
    },
    /// A router named the neighbour as the better first hop (RFC 4861 8.3).
    Redirect,
}
