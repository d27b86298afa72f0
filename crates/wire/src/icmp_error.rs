//! ICMP errors of either family, as the transports see them.

use core::net::IpAddr;

use crate::Protocol;

/// What an ICMP or ICMPv6 error reports (RFC 792, RFC 1122 3.2.2, RFC 4443 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IcmpErrorKind {
    /// No route to the network (v4 code 0, 6, 11; v6 code 0).
    NetworkUnreachable,
    /// No answer from the host (v4 code 1, 7, 8, 12; v6 code 3).
    HostUnreachable,
    /// The host has no such protocol (v4 code 2; v6 parameter problem code 1).
    ProtocolUnreachable,
    /// Nobody listens on the port (v4 code 3; v6 code 4).
    PortUnreachable,
    /// The packet is larger than the next link takes (v4 code 4; v6 type 2).
    PacketTooBig {
        /// The next link's MTU in bytes; `None` from a router that does not tell (RFC 1191 5).
        mtu: Option<u16>,
    },
    /// A source route could not be followed (v4 code 5).
    SourceRouteFailed,
    /// Forbidden by an administrator (v4 code 9, 10, 13, 14, 15; v6 code 1, 5, 6).
    Prohibited,
    /// TTL or hop limit ran out on the way.
    HopLimitExceeded,
    /// Not all fragments arrived in time.
    ReassemblyTimeExceeded,
    /// A header field was not understood.
    ParameterProblem {
        /// Which byte of the packet.
        pointer: u32,
    },
}

/// An ICMP error that came in about a packet that we seem to have sent.
///
/// Whoever it is for must verify that it really did send it (RFC 5927): the quote is all there is to go by.
#[derive(Clone, Copy, Debug)]
pub struct IcmpError<'a> {
    /// What is reported.
    pub kind: IcmpErrorKind,
    /// Who reports it.
    pub reporter: IpAddr,
    /// Our address, from the quoted header.
    pub source: IpAddr,
    /// Where the packet was going, from the quoted header.
    pub destination: IpAddr,
    /// What the packet carried.
    pub protocol: Protocol,
    /// The quoted beginning of the transport header: at least 8 bytes.
    pub quote: &'a [u8],
}
