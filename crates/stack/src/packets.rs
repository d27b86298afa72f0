//! Packets of a peer, for tests.

use netloom_wire::{HeadBuf, Ipv4Header, Protocol, UdpHeader};

/// The peer.
pub(crate) const THEIRS: [u8; 4] = [10, 0, 0, 1];
/// The stack under test.
pub(crate) const OURS: [u8; 4] = [10, 0, 0, 2];

/// A UDP datagram from the peer's port 9.
pub(crate) fn datagram(port: u16, data: &[u8]) -> Vec<u8> {
    let mut head = HeadBuf::new();
    let header = UdpHeader { source_port: 9, destination_port: port };
    header.emit(&mut head, THEIRS.into(), OURS.into(), &[data], false);
    [head.as_slice(), data].concat()
}

/// An IPv4 packet with what begins at `fragment_offset` of a datagram.
pub(crate) fn fragment(bytes: &[u8], fragment_offset: u16, more_fragments: bool) -> Vec<u8> {
    let ip = Ipv4Header {
        source: THEIRS.into(),
        destination: OURS.into(),
        protocol: Protocol::UDP,
        ttl: 64,
        traffic_class: 0,
        identification: 7,
        dont_fragment: false,
        more_fragments,
        fragment_offset,
    };
    let mut head = HeadBuf::new();
    ip.emit(&mut head, bytes.len());
    [head.as_slice(), bytes].concat()
}

/// An IPv4 packet with a whole datagram.
pub(crate) fn packet(port: u16, data: &[u8]) -> Vec<u8> {
    fragment(&datagram(port, data), 0, false)
}
