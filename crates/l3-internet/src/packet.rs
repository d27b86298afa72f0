//! Packets on their way in, through and out, as the internet layer and its caller exchange them.

use core::fmt;
use core::net::IpAddr;

use netloom_base::{InterfaceId, NextHop, RxMeta, TxMeta};
use netloom_wire::{CastKind, Datagram, EthernetAddress, Protocol};

/// An IP packet as a link delivered it.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// Where it came in; [`InterfaceId::LOOPBACK`] for a packet that this host sent to itself.
    pub interface: InterfaceId,
    /// The packet, perhaps with the link's padding behind it.
    pub packet: &'a [u8],
    /// Whom the frame was addressed to.
    pub cast: CastKind,
    /// Who sent the frame, where links have addresses.
    pub link_source: Option<EthernetAddress>,
    /// What the device knew about it.
    pub meta: RxMeta,
}

/// What became of a packet that came in and was not dropped.
#[derive(Debug)]
pub enum Input<'a> {
    /// It is for a transport.
    Deliver(Datagram<'a>),
    /// It was the last fragment: here is the whole packet, for `Internet::input_reassembled`.
    Reassembled(Vec<u8>),
    /// It is for another host, by way of `Internet::queue_forward`.
    Forward(Forward),
    /// It was for this layer itself, or waits for other fragments. There may be something to transmit, and events.
    Consumed,
}

/// A packet for another host: its TTL is one less, and it is checked, but for its size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// Where it came in.
    pub arrived_on: InterfaceId,
    /// Where it goes out.
    pub interface: InterfaceId,
    /// The neighbour that takes it.
    pub next_hop: IpAddr,
    /// Largest packet that the way out takes, in bytes.
    pub mtu: u16,
    /// What the device must still do to it.
    pub meta: TxMeta,
    /// The packet.
    pub packet: Vec<u8>,
}

/// What a transport says about a packet that it sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpSend {
    /// Our address, as [`PathInfo::source`](netloom_base::PathInfo) told [1122-I013].
    pub source: IpAddr,
    /// Whom it is for; of the same family.
    pub destination: IpAddr,
    /// What it carries.
    pub protocol: Protocol,
    /// TTL or hop limit [1122-I023]; `None`: the configured one, or 1 to a group (RFC 1112 6.1).
    pub hop_limit: Option<u8>,
    /// DSCP and ECN [1122-I018].
    pub traffic_class: u8,
    /// Nobody may fragment it, we neither.
    pub dont_fragment: bool,
}

/// Why a datagram was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// No IP packet can be that long.
    TooLong,
    /// It would have to be fragmented, and must not be.
    TooBig {
        /// Largest packet that the path takes, in bytes.
        mtu: u16,
    },
    /// The queue to the device is full.
    QueueFull,
    /// Source and destination are of different families.
    FamilyMismatch,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => f.write_str("the datagram is longer than an IP packet can be"),
            Self::TooBig { mtu } => write!(f, "the packet is larger than the path's MTU of {mtu} bytes"),
            Self::QueueFull => f.write_str("the queue of packets to send is full"),
            Self::FamilyMismatch => f.write_str("source and destination are of different address families"),
        }
    }
}

impl core::error::Error for SendError {}

/// Why there is no path to a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoRoute {
    /// No route leads there.
    Destination,
    /// No address of ours can be the source.
    NoSource,
    /// The source asked for is none of our usable addresses [1122-I013].
    ForeignSource,
}

impl fmt::Display for NoRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Destination => "no route to the destination",
            Self::NoSource => "no address to send from",
            Self::ForeignSource => "the source address is not one of this host's",
        })
    }
}

impl core::error::Error for NoRoute {}

/// A packet to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InternetOutput {
    /// Who takes it: a neighbour, or this host itself.
    pub next_hop: NextHop,
    /// The link address to send it to, where it is known without asking: neighbour discovery's own answers and probes.
    pub link_destination: Option<EthernetAddress>,
    /// What the device must still do.
    pub meta: TxMeta,
    /// The packet.
    pub packet: Vec<u8>,
}
