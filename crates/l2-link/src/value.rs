//! The values that go in and out of a link.

use core::net::IpAddr;

use netloom_base::{Instant, TxMeta};
use netloom_wire::{CastKind, EtherType, EthernetAddress, EthernetHeader};

use crate::neighbor::state::NeighborState;

/// What became of a received frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkInput<'a> {
    /// It carries an IP packet for the internet layer.
    Ip {
        /// The packet, perhaps followed by link padding.
        packet: &'a [u8],
        /// Whom the frame was addressed to.
        // [1122-L013]
        cast: CastKind,
        /// Who sent the frame.
        source: EthernetAddress,
        /// What the frame says the packet is: [`EtherType::IPV4`] or [`EtherType::IPV6`].
        ether_type: EtherType,
    },
    /// It was ARP, and has been dealt with.
    Consumed,
}

/// A packet that waits for its neighbour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedPacket {
    /// What the device must do with it; offsets count from the IP header.
    pub meta: TxMeta,
    /// The IP packet.
    pub bytes: Vec<u8>,
}

/// A frame to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkOutput {
    /// Its Ethernet header.
    pub header: EthernetHeader,
    /// What the device must do with it; offsets count from the end of the Ethernet header.
    pub meta: TxMeta,
    /// What follows the header.
    pub payload: Vec<u8>,
}

/// Whether a next hop's link address is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// It is: send there.
    Known(EthernetAddress),
    /// It is being asked for: give the packet to [`LinkLayer::enqueue`](crate::LinkLayer::enqueue).
    Pending,
    /// The next hop is no address that a neighbour can have.
    Unreachable,
}

/// Something that the layers above must know or do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkEvent {
    /// Neighbour discovery should send a neighbour solicitation.
    SolicitNeighbor {
        /// The IPv6 address to ask for.
        target: IpAddr,
        /// The one station to ask (RFC 4861 7.3.3); `None` asks the solicited-node group.
        link_destination: Option<EthernetAddress>,
    },
    /// Probing found nobody with the address, or there was no probing: it is ours.
    AddressReady {
        /// The address.
        address: IpAddr,
    },
    /// Another host has the address: it is neither used nor answered for any more. Connections on it should be reset
    /// (RFC 5227 2.4).
    AddressConflict {
        /// The address.
        address: IpAddr,
        /// Who has it.
        by: EthernetAddress,
    },
    /// A neighbour did not answer, and this packet waited for it. Its sender is to be told (RFC 4861 7.2.2).
    Unreachable {
        /// The neighbour.
        next_hop: IpAddr,
        /// The packet.
        packet: QueuedPacket,
    },
}

/// One neighbour, for people to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeighborEntry {
    /// Its IP address.
    pub address: IpAddr,
    /// Its link address, if known.
    pub link_address: Option<EthernetAddress>,
    /// How well it is known.
    pub state: NeighborState,
    /// Since when it is in that state.
    pub since: Instant,
    /// When it last proved that it can be reached.
    pub confirmed_at: Option<Instant>,
    /// When a packet was last sent to it.
    pub used_at: Option<Instant>,
    /// Whether it said that it is a router (IPv6 only).
    pub is_router: bool,
    /// Packets that wait for it.
    pub waiting_count: usize,
}
