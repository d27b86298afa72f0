//! A second opinion on every frame that a stack emits: etherparse reads it again.

use core::fmt;

use etherparse::err::ValueTooBigError;
use etherparse::err::packet::SliceError;
use etherparse::{LinkSlice, NetSlice, SlicedPacket, TransportSlice};
use netloom_base::Medium;

/// What etherparse does not like about a frame.
#[derive(Clone, Debug, PartialEq)]
pub enum FrameFault {
    /// It cannot be taken apart.
    Structure(SliceError),
    /// There is no Ethernet, IP or transport header.
    Missing(&'static str),
    /// A checksum is wrong.
    Checksum {
        /// Whose.
        of: &'static str,
        /// What is in the frame.
        found: u16,
        /// What should be.
        expected: u16,
    },
    /// A length does not fit its field.
    TooLong(ValueTooBigError<usize>),
}

impl fmt::Display for FrameFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Structure(error) => error.fmt(f),
            Self::Missing(what) => write!(f, "no {what} header"),
            Self::Checksum { of, found, expected } => {
                write!(f, "the {of} checksum is {found:#06x} and should be {expected:#06x}")
            }
            Self::TooLong(error) => error.fmt(f),
        }
    }
}

/// Reads a finished frame of `medium` and says what is wrong with it: structure, lengths, any checksum.
///
/// # Errors
/// The first fault. Fragments are read up to their IP header, since their checksum covers the whole datagram.
pub fn check_frame(medium: Medium, frame: &[u8]) -> Result<(), FrameFault> {
    let packet = match medium {
        Medium::Ethernet => SlicedPacket::from_ethernet(frame),
        Medium::Ip => SlicedPacket::from_ip(frame),
    }
    .map_err(FrameFault::Structure)?;
    if medium == Medium::Ethernet && !matches!(packet.link, Some(LinkSlice::Ethernet2(_))) {
        return Err(FrameFault::Missing("Ethernet"));
    }
    let Some(net) = &packet.net else { return Err(FrameFault::Missing("network")) };
    match net {
        NetSlice::Arp(_) => return Ok(()),
        NetSlice::Ipv4(ip) => {
            let header = ip.header().to_header();
            check_sum("IPv4 header", header.header_checksum, header.calc_header_checksum())?;
        }
        NetSlice::Ipv6(_) => {}
    }
    if net.ip_payload_ref().is_some_and(|payload| payload.fragmented) {
        return Ok(());
    }
    match &packet.transport {
        Some(transport) => check_transport(net, transport),
        None => Err(FrameFault::Missing("transport")),
    }
}

fn check_transport(net: &NetSlice<'_>, transport: &TransportSlice<'_>) -> Result<(), FrameFault> {
    match (net, transport) {
        (NetSlice::Ipv4(ip), TransportSlice::Tcp(tcp)) => {
            let header = ip.header();
            let sum = tcp.calc_checksum_ipv4(header.source(), header.destination());
            check_sum("TCP", tcp.checksum(), sum.map_err(FrameFault::TooLong)?)
        }
        (NetSlice::Ipv6(ip), TransportSlice::Tcp(tcp)) => {
            let header = ip.header();
            let sum = tcp.calc_checksum_ipv6(header.source(), header.destination());
            check_sum("TCP", tcp.checksum(), sum.map_err(FrameFault::TooLong)?)
        }
        (NetSlice::Ipv4(ip), TransportSlice::Udp(udp)) => {
            let sum = udp.to_header().calc_checksum_ipv4(&ip.header().to_header(), udp.payload());
            check_sum("UDP", udp.checksum(), sum.map_err(FrameFault::TooLong)?)
        }
        (NetSlice::Ipv6(ip), TransportSlice::Udp(udp)) => {
            let sum = udp.to_header().calc_checksum_ipv6(&ip.header().to_header(), udp.payload());
            check_sum("UDP", udp.checksum(), sum.map_err(FrameFault::TooLong)?)
        }
        (NetSlice::Ipv4(_), TransportSlice::Icmpv4(icmp)) => {
            check_sum("ICMP", icmp.checksum(), icmp.icmp_type().calc_checksum(icmp.payload()))
        }
        (NetSlice::Ipv6(ip), TransportSlice::Icmpv6(icmp)) => {
            let header = ip.header();
            let kind = icmp.icmp_type();
            let sum = kind.calc_checksum(header.source(), header.destination(), icmp.payload());
            check_sum("ICMPv6", icmp.checksum(), sum.map_err(FrameFault::TooLong)?)
        }
        (NetSlice::Ipv4(_) | NetSlice::Ipv6(_) | NetSlice::Arp(_), _) => Ok(()),
    }
}

fn check_sum(of: &'static str, found: u16, expected: u16) -> Result<(), FrameFault> {
    if found == expected { Ok(()) } else { Err(FrameFault::Checksum { of, found, expected }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An echo request with good checksums, as ping sends it.
    const ECHO: [u8; 28] = [
        0x45, 0, 0, 28, 0, 1, 0, 0, 64, 1, 0x66, 0xde, 10, 0, 0, 1, 10, 0, 0, 2, 8, 0, 0xf7, 0xfd, 0, 1, 0, 1,
    ];

    #[test]
    fn a_good_packet_passes_and_any_flipped_checksum_bit_does_not() {
        assert_eq!(check_frame(Medium::Ip, &ECHO), Ok(()));
        for place in [10, 11, 22, 23] {
            let mut bad = ECHO;
            bad[place] ^= 1;
            assert!(
                matches!(check_frame(Medium::Ip, &bad), Err(FrameFault::Checksum { .. })),
                "byte {place}"
            );
        }
    }

    #[test]
    fn a_cut_packet_does_not_pass() {
        assert!(matches!(check_frame(Medium::Ip, &ECHO[..27]), Err(FrameFault::Structure(_))));
        assert!(check_frame(Medium::Ethernet, &ECHO).is_err());
    }
}
