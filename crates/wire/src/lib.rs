//! Protocol headers: bytes to typed values and back, and nothing that remembers or decides.
//!
//! Received headers are read through etherparse's slices, which check lengths once and then only look; what we send
//! is written here, front to back into a [`HeadBuf`], so that a payload is never copied to get its headers.
//!
//! **Architecture invariant:** `parse` of anything returns a value or a [`ParseError`]; it never panics and never
//! allocates. `parse` of what `emit` wrote gives the value back.
#![forbid(unsafe_code)]

mod address;
mod arp;
mod checksum;
mod datagram;
mod error;
mod ethernet;
mod fast_open_cookie;
mod flow;
mod head_buf;
mod icmp_error;
mod icmpv4;
mod icmpv6;
mod ip_size;
mod ipv4;
mod ipv4_options;
mod ipv6;
mod ipv6_extensions;
mod mld;
mod ndp;
mod neighbor_update;
mod protocol;
mod seq_number;
mod tcp;
mod tcp_options;
mod udp;

pub use address::{
    Cidr, CidrError, EthernetAddress, address_number, hash_address, is_global_unicast_candidate,
    is_same_family, solicited_node, unspecified_like,
};
pub use arp::{ARP_PACKET_LEN, ArpOperation, ArpPacket};
pub use checksum::Checksum;
pub use datagram::{CastKind, Datagram};
pub use error::ParseError;
pub use ethernet::{ETHERNET_HEADER_LEN, EtherType, EthernetFrame, EthernetHeader};
pub use fast_open_cookie::FastOpenCookie;
pub use flow::{Flow, Glance};
pub use head_buf::HeadBuf;
pub use icmp_error::{IcmpError, IcmpErrorKind};
pub use icmpv4::{ICMPV4_HEADER_LEN, Icmpv4Message};
pub use icmpv6::{ICMPV6_HEADER_LEN, Icmpv6Message, Icmpv6Parameter};
pub use ip_size::{every_hosts_mtu, ip_header_len};
pub use ipv4::{IPV4_HEADER_LEN, Ipv4Header, Ipv4Packet};
pub use ipv4_options::{BadIpv4Option, Ipv4Options};
pub use ipv6::{IPV6_HEADER_LEN, Ipv6Header, Ipv6Packet};
pub use ipv6_extensions::{
    IPV6_FRAGMENT_HEADER_LEN, Ipv6Chain, Ipv6Extension, Ipv6FragmentHeader, Ipv6Option, Ipv6Options,
    UnknownOptionAction, router_alert_header,
};
pub use mld::{MldQuery, MldRecord, mld_report};
pub use ndp::{
    NdpMessage, NdpOptions, NdpPrefix, NeighborFlags, neighbor_advertisement, neighbor_solicitation,
};
pub use neighbor_update::{NeighborUpdate, NeighborUpdateKind};
pub use protocol::Protocol;
pub use seq_number::SeqNumber;
pub use tcp::{TCP_HEADER_LEN, TcpFlags, TcpHeader, TcpSegment};
pub use tcp_options::{OptionTail, SackBlocks, TCP_OPTIONS_MAX_LEN, TcpOptions, TcpTimestamps};
pub use udp::{UDP_HEADER_LEN, UdpDatagram, UdpHeader};
