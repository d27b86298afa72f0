//! What a stack has to tell its caller.

use core::net::IpAddr;

use netloom_base::InterfaceId;
use netloom_l3_internet::EchoId;
use netloom_l4_transport::{TcpEvent, UdpEvent};

/// Something that happened. Events are edges: they say "look", and looking is a socket call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A TCP socket became readable, writable, connected or done.
    Tcp(TcpEvent),
    /// A UDP socket became readable or writable.
    Udp(UdpEvent),
    /// An echo socket has a reply or an error to read.
    Icmp(EchoId),
    /// An address has passed its duplicate detection.
    AddressReady {
        /// Where it is.
        interface: InterfaceId,
        /// Which.
        address: IpAddr,
    },
    /// Another host uses one of our addresses (RFC 5227 2.4, RFC 4862 5.4).
    AddressConflict {
        /// Where it was seen.
        interface: InterfaceId,
        /// Which.
        address: IpAddr,
    },
    /// An address that was in use already has passed its duplicate detection.
    TrialPassed {
        /// Where it is.
        interface: InterfaceId,
    },
    /// A socket of a shard that is not the first joined a group: tell [`Stack::join_group`](crate::Stack::join_group) of
    /// the first, which reports it.
    GroupJoined {
        /// Where.
        interface: InterfaceId,
        /// Which.
        group: IpAddr,
    },
    /// It left the group again: tell [`Stack::leave_group`](crate::Stack::leave_group) of the first.
    GroupLeft {
        /// Where.
        interface: InterfaceId,
        /// Which.
        group: IpAddr,
    },
}
