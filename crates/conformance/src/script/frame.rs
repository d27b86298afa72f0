//! Packets as bytes, made and read by etherparse: what the host is given and what it sends pass no code of netloom's own.

use core::net::IpAddr;

use etherparse::{NetSlice, PacketBuilder, SlicedPacket, TcpHeader, TcpSlice, TransportSlice};
use netloom_wire::TcpFlags;

use super::option::TcpOption;
use super::segment::Segment;

/// Both ends of a packet on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ends {
    pub(super) source: (IpAddr, u16),
    pub(super) destination: (IpAddr, u16),
}

/// A TCP segment in an IP packet. `segment`'s numbers are those on the wire.
pub(super) fn build_tcp(ends: Ends, segment: &Segment, payload: &[u8]) -> Result<Vec<u8>, String> {
    let has = |flag| segment.flags.contains(flag);
    let window = segment.window.unwrap_or_default();
    let mut header = TcpHeader::new(ends.source.1, ends.destination.1, segment.start, window);
    header.acknowledgment_number = segment.ack;
    header.urgent_pointer = segment.urgent;
    header.fin = has(TcpFlags::FIN);
    header.syn = has(TcpFlags::SYN);
    header.rst = has(TcpFlags::RST);
    header.psh = has(TcpFlags::PSH);
    header.ack = has(TcpFlags::ACK);
    header.urg = has(TcpFlags::URG);
    header.ece = has(TcpFlags::ECE);
    header.cwr = has(TcpFlags::CWR);
    let options = segment.options.as_deref().unwrap_or_default();
    header.set_options_raw(&TcpOption::emit_all(options)).map_err(|error| error.to_string())?;
    let mut packet = Vec::new();
    let written = match (ends.source.0, ends.destination.0) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let mut ip = etherparse::Ipv4Header::new(
                0,
                64,
                etherparse::IpNumber::TCP,
                source.octets(),
                destination.octets(),
            )
            .map_err(|error| error.to_string())?;
            ip.ecn = ecn(segment)?;
            ip.dont_fragment = true;
            let ip = etherparse::IpHeaders::Ipv4(ip, Default::default());
            PacketBuilder::ip(ip).tcp_header(header).write(&mut packet, payload)
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let ip = etherparse::Ipv6Header {
                traffic_class: segment.ecn.unwrap_or_default(),
                hop_limit: 64,
                next_header: etherparse::IpNumber::TCP,
                source: source.octets(),
                destination: destination.octets(),
                ..etherparse::Ipv6Header::default()
            };
            let ip = etherparse::IpHeaders::Ipv6(ip, Default::default());
            PacketBuilder::ip(ip).tcp_header(header).write(&mut packet, payload)
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {
            return Err("both ends of a packet have one family".to_owned());
        }
    };
    written.map_err(|error| error.to_string())?;
    Ok(packet)
}

fn ecn(segment: &Segment) -> Result<etherparse::IpEcn, String> {
    etherparse::IpEcn::try_new(segment.ecn.unwrap_or_default()).map_err(|error| error.to_string())
}

/// An ICMP error of `kind` (type, code) from `source` to `destination` that quotes the beginning of `quote`.
pub(super) fn build_icmp(
    source: IpAddr,
    destination: IpAddr,
    kind: (u8, u8),
    mtu: u16,
    quote: &[u8],
) -> Result<Vec<u8>, String> {
    let [high, low] = mtu.to_be_bytes();
    let mut packet = Vec::new();
    let written = match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            // The header of the quoted packet, and 8 bytes of what it carried (RFC 792).
            let quote = quote.get(..28).unwrap_or(quote);
            PacketBuilder::ipv4(source.octets(), destination.octets(), 64)
                .icmpv4_raw(kind.0, kind.1, [0, 0, high, low])
                .write(&mut packet, quote)
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let quote = quote.get(..1232).unwrap_or(quote);
            PacketBuilder::ipv6(source.octets(), destination.octets(), 64)
                .icmpv6_raw(kind.0, kind.1, [0, 0, high, low])
                .write(&mut packet, quote)
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {
            return Err("both ends of a packet have one family".to_owned());
        }
    };
    written.map_err(|error| error.to_string())?;
    Ok(packet)
}

/// Reads a TCP segment that the host sent: its ends, itself in the wire's numbers, its text. `None`: it is no TCP.
pub(super) fn read_tcp(packet: &[u8]) -> Result<Option<(Ends, Segment, Vec<u8>)>, String> {
    let sliced = SlicedPacket::from_ip(packet).map_err(|error| error.to_string())?;
    let Some(TransportSlice::Tcp(tcp)) = &sliced.transport else { return Ok(None) };
    let (source, destination, ecn): (IpAddr, IpAddr, u8) = match &sliced.net {
        Some(NetSlice::Ipv4(ip)) => {
            let header = ip.header();
            (header.source_addr().into(), header.destination_addr().into(), header.ecn().value())
        }
        Some(NetSlice::Ipv6(ip)) => {
            let header = ip.header();
            (header.source_addr().into(), header.destination_addr().into(), header.traffic_class() & 3)
        }
        Some(NetSlice::Arp(_)) | None => return Ok(None),
    };
    let ends =
        Ends { source: (source, tcp.source_port()), destination: (destination, tcp.destination_port()) };
    Ok(Some((ends, read_segment(tcp, ecn)?, tcp.payload().to_vec())))
}

fn read_segment(tcp: &TcpSlice<'_>, ecn: u8) -> Result<Segment, String> {
    let bits = [
        (tcp.fin(), TcpFlags::FIN),
        (tcp.syn(), TcpFlags::SYN),
        (tcp.rst(), TcpFlags::RST),
        (tcp.psh(), TcpFlags::PSH),
        (tcp.ack(), TcpFlags::ACK),
        (tcp.urg(), TcpFlags::URG),
        (tcp.ece(), TcpFlags::ECE),
        (tcp.cwr(), TcpFlags::CWR),
    ];
    let set = bits.into_iter().filter(|(is_set, _)| *is_set);
    Ok(Segment {
        ecn: Some(ecn),
        flags: set.fold(TcpFlags::NONE, |flags, (_, flag)| flags | flag),
        start: tcp.sequence_number(),
        len: u32::try_from(tcp.payload().len()).map_err(|error| error.to_string())?,
        ack: tcp.acknowledgment_number(),
        window: Some(tcp.window_size()),
        urgent: tcp.urgent_pointer(),
        options: Some(TcpOption::parse_all(tcp.options())?),
    })
}
