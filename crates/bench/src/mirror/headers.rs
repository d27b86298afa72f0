//! What all frames have in common.

use std::net::Ipv4Addr;

use netloom_wire::{EtherType, EthernetAddress, EthernetHeader, Ipv4Header, Protocol, SeqNumber};

pub(super) const OUR_LINK: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 1]);
/// Our first number in every connection.
pub(super) const ISS: SeqNumber = SeqNumber(0x6e65_7400);
/// Bytes of text in a full segment.
pub(super) const MSS: u16 = 1460;

pub(super) fn link_header(destination: EthernetAddress, ether_type: EtherType) -> EthernetHeader {
    EthernetHeader { destination, source: OUR_LINK, ether_type }
}

pub(super) fn ip_header(source: Ipv4Addr, destination: Ipv4Addr, protocol: Protocol) -> Ipv4Header {
    Ipv4Header {
        source,
        destination,
        protocol,
        ttl: 64,
        traffic_class: 0,
        identification: 0,
        dont_fragment: true,
        more_fragments: false,
        fragment_offset: 0,
    }
}
