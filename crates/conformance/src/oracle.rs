//! A second opinion on every frame that netloom emits: etherparse reads it again.

use etherparse::{LinkSlice, NetSlice, SlicedPacket, TransportSlice};

/// Reads `frame` as Ethernet and says what is wrong with it: structure, lengths, any checksum.
pub fn check_ethernet(frame: &[u8]) -> Result<(), String> {
    let packet = SlicedPacket::from_ethernet(frame).map_err(|error| error.to_string())?;
    if !matches!(packet.link, Some(LinkSlice::Ethernet2(_))) {
        return Err("no Ethernet header".to_owned());
    }
    check_sliced(&packet)
}

/// The same for a bare IP packet.
pub fn check_ip(packet: &[u8]) -> Result<(), String> {
    check_sliced(&SlicedPacket::from_ip(packet).map_err(|error| error.to_string())?)
}

fn check_sliced(packet: &SlicedPacket<'_>) -> Result<(), String> {
    let Some(net) = &packet.net else { return Err("no network layer".to_owned()) };
    match net {
        NetSlice::Arp(_) => return Ok(()),
        NetSlice::Ipv4(ip) => {
            let header = ip.header().to_header();
            if header.calc_header_checksum() != header.header_checksum {
                return Err("IPv4 header checksum".to_owned());
            }
        }
        NetSlice::Ipv6(_) => {}
    }
    if net.ip_payload_ref().is_some_and(|payload| payload.fragmented) {
        // The transport checksum covers the whole datagram, not the part.
        return Ok(());
    }
    match &packet.transport {
        Some(transport) => check_transport(net, transport),
        None => Err("no transport layer".to_owned()),
    }
}

fn check_transport(net: &NetSlice<'_>, transport: &TransportSlice<'_>) -> Result<(), String> {
    let error = |error: etherparse::err::ValueTooBigError<usize>| error.to_string();
    let (found, expected) = match (net, transport) {
        (NetSlice::Ipv4(ip), TransportSlice::Tcp(tcp)) => {
            let header = ip.header();
            (tcp.checksum(), tcp.calc_checksum_ipv4(header.source(), header.destination()).map_err(error)?)
        }
        (NetSlice::Ipv6(ip), TransportSlice::Tcp(tcp)) => {
            let header = ip.header();
            (tcp.checksum(), tcp.calc_checksum_ipv6(header.source(), header.destination()).map_err(error)?)
        }
        (NetSlice::Ipv4(ip), TransportSlice::Udp(udp)) => {
            let header = udp.to_header();
            (
                header.checksum,
                header.calc_checksum_ipv4(&ip.header().to_header(), udp.payload()).map_err(error)?,
            )
        }
        (NetSlice::Ipv6(ip), TransportSlice::Udp(udp)) => {
            let header = udp.to_header();
            (
                header.checksum,
                header.calc_checksum_ipv6(&ip.header().to_header(), udp.payload()).map_err(error)?,
            )
        }
        (NetSlice::Ipv4(_), TransportSlice::Icmpv4(icmp)) => {
            (icmp.checksum(), icmp.icmp_type().calc_checksum(icmp.payload()))
        }
        (NetSlice::Ipv6(ip), TransportSlice::Icmpv6(icmp)) => {
            let header = ip.header();
            let sum = icmp
                .icmp_type()
                .calc_checksum(header.source(), header.destination(), icmp.payload())
                .map_err(error)?;
            (icmp.checksum(), sum)
        }
        (NetSlice::Ipv4(_) | NetSlice::Ipv6(_) | NetSlice::Arp(_), _) => return Ok(()),
    };
    if found == expected {
        Ok(())
    } else {
        Err(format!("transport checksum is {found:#06x}, should be {expected:#06x}"))
    }
}
