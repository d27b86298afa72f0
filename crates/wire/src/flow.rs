//! What flow a frame belongs to, seen at a glance.
//!
//! *Theory of operation.* Whoever has to hand frames to different stacks must know where each belongs before anybody has
//! verified it. So nothing is verified here: the glance follows what the packet says of itself, and what it cannot make
//! out is [`Glance::Other`], for the stack to judge and count.
//!
//! *Limits.* Eight extension headers of IPv6; the headers of one quoted packet.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use netloom_base::Medium;

use crate::{ETHERNET_HEADER_LEN, EtherType, Protocol};

/// Extension headers that are looked past.
const MAX_EXTENSION_HEADERS: usize = 8;

/// What a packet seems to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Glance {
    /// A segment or datagram of TCP or UDP.
    Flow(Flow),
    /// An ICMP error about one that was sent.
    ErrorAbout(Flow),
    /// A fragment, whose ports are not known.
    Fragment {
        /// Who sent it.
        source: IpAddr,
        /// Whom it is for.
        destination: IpAddr,
    },
    /// ARP or neighbour discovery: news about the link.
    Neighbor,
    /// Anything else.
    Other,
}

/// The ends and the protocol of a segment or datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// [`Protocol::TCP`] or [`Protocol::UDP`].
    pub protocol: Protocol,
    /// Its sender.
    pub source: SocketAddr,
    /// Its receiver.
    pub destination: SocketAddr,
}

impl Glance {
    /// At a frame.
    pub fn at_frame(medium: Medium, frame: &[u8]) -> Self {
        match medium {
            Medium::Ip => Self::at_packet(frame),
            Medium::Ethernet => {
                let Some(ether_type) = u16_at(frame, ETHERNET_HEADER_LEN - 2) else { return Self::Other };
                let payload = frame.get(ETHERNET_HEADER_LEN..).unwrap_or_default();
                match EtherType(ether_type) {
                    EtherType::ARP => Self::Neighbor,
                    EtherType::IPV4 | EtherType::IPV6 => Self::at_packet(payload),
                    EtherType(_) => Self::Other,
                }
            }
        }
    }

    /// At an IP packet.
    pub fn at_packet(packet: &[u8]) -> Self {
        Headers::of(packet).map_or(Self::Other, |headers| headers.glance())
    }
}

/// A packet's headers, as far as they tell where it belongs.
struct Headers<'a> {
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    fragment: Part,
    payload: &'a [u8],
}

/// What part of a packet this is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Whole,
    First,
    Later,
}

impl Part {
    /// From the offset in units of 8 bytes, and whether more follows.
    fn new(offset: u16, has_more: bool) -> Self {
        match (offset, has_more) {
            (0, false) => Self::Whole,
            (0, true) => Self::First,
            (_, _) => Self::Later,
        }
    }
}

impl<'a> Headers<'a> {
    fn of(packet: &'a [u8]) -> Option<Self> {
        match packet.first()? >> 4 {
            4 => Self::of_v4(packet),
            6 => Self::of_v6(packet),
            _ => None,
        }
    }

    fn of_v4(packet: &'a [u8]) -> Option<Self> {
        let header_len = usize::from(packet.first()? & 0xf) * 4;
        let place = u16_at(packet, 6)?;
        Some(Self {
            source: Ipv4Addr::from(array_at::<4>(packet, 12)?).into(),
            destination: Ipv4Addr::from(array_at::<4>(packet, 16)?).into(),
            protocol: *packet.get(9)?,
            fragment: Part::new(place & 0x1fff, place & 0x2000 != 0),
            payload: packet.get(header_len..)?,
        })
    }

    fn of_v6(packet: &'a [u8]) -> Option<Self> {
        let mut headers = Self {
            source: Ipv6Addr::from(array_at::<16>(packet, 8)?).into(),
            destination: Ipv6Addr::from(array_at::<16>(packet, 24)?).into(),
            protocol: *packet.get(6)?,
            fragment: Part::Whole,
            payload: packet.get(40..)?,
        };
        for _ in 0..MAX_EXTENSION_HEADERS {
            let len = match Protocol(headers.protocol) {
                Protocol::HOP_BY_HOP | Protocol::ROUTING | Protocol::DESTINATION_OPTIONS => {
                    (usize::from(*headers.payload.get(1)?) + 1) * 8
                }
                Protocol::FRAGMENT => {
                    let place = u16_at(headers.payload, 2)?;
                    headers.fragment = Part::new(place >> 3, place & 1 != 0);
                    8
                }
                Protocol(_) => return Some(headers),
            };
            headers.protocol = *headers.payload.first()?;
            headers.payload = headers.payload.get(len..)?;
            if headers.fragment == Part::Later {
                // What follows is the middle of something.
                return Some(headers);
            }
        }
        None
    }

    fn glance(&self) -> Glance {
        if self.fragment != Part::Whole {
            return Glance::Fragment { source: self.source, destination: self.destination };
        }
        match Protocol(self.protocol) {
            Protocol::ICMP => self.glance_at_icmp4(),
            Protocol::ICMPV6 => self.glance_at_icmp6(),
            Protocol(_) => self.flow().map_or(Glance::Other, Glance::Flow),
        }
    }

    /// The ports, if they are here.
    fn flow(&self) -> Option<Flow> {
        let protocol = Protocol(self.protocol);
        if self.fragment == Part::Later || !matches!(protocol, Protocol::TCP | Protocol::UDP) {
            return None;
        }
        Some(Flow {
            protocol,
            source: SocketAddr::new(self.source, u16_at(self.payload, 0)?),
            destination: SocketAddr::new(self.destination, u16_at(self.payload, 2)?),
        })
    }

    fn glance_at_icmp4(&self) -> Glance {
        match self.payload.first() {
            // Unreachable, source quench, redirect, time exceeded, parameter problem.
            Some(3 | 4 | 5 | 11 | 12) => self.glance_at_quote(),
            Some(_) | None => Glance::Other,
        }
    }

    fn glance_at_icmp6(&self) -> Glance {
        match self.payload.first() {
            // Unreachable, packet too big, time exceeded, parameter problem.
            Some(1..=4) => self.glance_at_quote(),
            Some(133..=137) => Glance::Neighbor,
            Some(_) | None => Glance::Other,
        }
    }

    /// What the error is about. The quote's own headers are all that is read, so this goes one level deep.
    fn glance_at_quote(&self) -> Glance {
        let quote = self.payload.get(8..).and_then(Headers::of);
        quote.and_then(|quote| quote.flow()).map_or(Glance::Other, Glance::ErrorAbout)
    }
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    array_at(bytes, at).map(u16::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{EthernetAddress, EthernetHeader, HeadBuf, Ipv4Header, Ipv6Header};

    const PORTS: [u8; 8] = [0, 80, 0x9c, 0x40, 0, 0, 0, 0];

    fn v4(protocol: Protocol, payload: &[u8]) -> Vec<u8> {
        let header = Ipv4Header {
            source: Ipv4Addr::new(10, 0, 0, 1),
            destination: Ipv4Addr::new(10, 0, 0, 2),
            protocol,
            ttl: 64,
            traffic_class: 0,
            identification: 0,
            dont_fragment: true,
            more_fragments: false,
            fragment_offset: 0,
        };
        let mut head = HeadBuf::new();
        header.emit(&mut head, payload.len());
        [head.as_slice(), payload].concat()
    }

    fn v6(next_header: Protocol, payload: &[u8]) -> Vec<u8> {
        let header = Ipv6Header {
            source: "fd00::1".parse().unwrap(),
            destination: "fd00::2".parse().unwrap(),
            next_header,
            hop_limit: 64,
            traffic_class: 0,
            flow_label: 0,
        };
        [&header.to_bytes(payload.len())[..], payload].concat()
    }

    fn flow(protocol: Protocol, source: &str, destination: &str) -> Flow {
        Flow { protocol, source: source.parse().unwrap(), destination: destination.parse().unwrap() }
    }

    fn tcp4() -> Flow {
        flow(Protocol::TCP, "10.0.0.1:80", "10.0.0.2:40000")
    }

    fn udp6() -> Flow {
        flow(Protocol::UDP, "[fd00::1]:80", "[fd00::2]:40000")
    }

    #[test]
    fn flows_are_seen_in_frames_and_packets_of_both_families() {
        let packet = v4(Protocol::TCP, &PORTS);
        assert_eq!(Glance::at_packet(&packet), Glance::Flow(tcp4()));
        assert_eq!(Glance::at_frame(Medium::Ip, &packet), Glance::Flow(tcp4()));
        let mut head = HeadBuf::new();
        let (source, destination) = (EthernetAddress([2; 6]), EthernetAddress([4; 6]));
        EthernetHeader { destination, source, ether_type: EtherType::IPV4 }.emit(&mut head);
        let frame = [head.as_slice(), &packet].concat();
        assert_eq!(Glance::at_frame(Medium::Ethernet, &frame), Glance::Flow(tcp4()));
        assert_eq!(Glance::at_packet(&v6(Protocol::UDP, &PORTS)), Glance::Flow(udp6()));
        assert_eq!(Glance::at_packet(&v4(Protocol(47), &PORTS)), Glance::Other);
    }

    #[test]
    fn extension_headers_are_looked_past_but_not_without_end() {
        let nested = |count: usize| {
            let mut payload = PORTS.to_vec();
            let mut next = Protocol::UDP;
            for _ in 0..count {
                payload = [&[next.0, 0, 1, 4, 0, 0, 0, 0], &payload[..]].concat();
                next = Protocol::DESTINATION_OPTIONS;
            }
            v6(next, &payload)
        };
        for count in [0, 1, MAX_EXTENSION_HEADERS - 1] {
            assert_eq!(Glance::at_packet(&nested(count)), Glance::Flow(udp6()), "{count}");
        }
        assert_eq!(Glance::at_packet(&nested(MAX_EXTENSION_HEADERS)), Glance::Other);
    }

    #[test]
    fn fragments_are_told_by_their_addresses_and_atomic_ones_are_whole() {
        let fragment = Glance::Fragment {
            source: "10.0.0.1".parse().unwrap(),
            destination: "10.0.0.2".parse().unwrap(),
        };
        for place in [0x2000_u16, 0x2005, 5] {
            let mut packet = v4(Protocol::TCP, &PORTS);
            packet[6..8].copy_from_slice(&place.to_be_bytes());
            assert_eq!(Glance::at_packet(&packet), fragment, "{place:x}");
        }
        for (place, expected) in [(0_u16, true), (1, false), (8, false)] {
            let [high, low] = place.to_be_bytes();
            let payload = [&[Protocol::UDP.0, 0, high, low, 0, 0, 0, 1], &PORTS[..]].concat();
            let glance = Glance::at_packet(&v6(Protocol::FRAGMENT, &payload));
            assert_eq!(glance == Glance::Flow(udp6()), expected, "{place:x}");
            assert_eq!(matches!(glance, Glance::Fragment { .. }), !expected, "{place:x}");
        }
    }

    #[test]
    fn errors_belong_to_what_they_quote() {
        let quote = v4(Protocol::TCP, &PORTS);
        for (kind, expected) in
            [(3, Glance::ErrorAbout(tcp4())), (11, Glance::ErrorAbout(tcp4())), (8, Glance::Other)]
        {
            let message = [&[kind, 0, 0, 0, 0, 0, 0, 0], &quote[..]].concat();
            assert_eq!(Glance::at_packet(&v4(Protocol::ICMP, &message)), expected, "{kind}");
        }
        let message = [&[2, 0, 0, 0, 0, 0, 5, 0], &v6(Protocol::UDP, &PORTS)[..]].concat();
        assert_eq!(Glance::at_packet(&v6(Protocol::ICMPV6, &message)), Glance::ErrorAbout(udp6()));
        // An error about an error is nobody's.
        let nested = [&[3, 0, 0, 0, 0, 0, 0, 0], &v4(Protocol::ICMP, &message)[..]].concat();
        assert_eq!(Glance::at_packet(&v4(Protocol::ICMP, &nested)), Glance::Other);
    }

    #[test]
    fn news_about_neighbours_is_told_from_the_rest_of_icmp() {
        let mut arp = vec![0; 42];
        arp[12..14].copy_from_slice(&EtherType::ARP.0.to_be_bytes());
        assert_eq!(Glance::at_frame(Medium::Ethernet, &arp), Glance::Neighbor);
        for (kind, expected) in
            [(135, Glance::Neighbor), (136, Glance::Neighbor), (128, Glance::Other), (130, Glance::Other)]
        {
            assert_eq!(Glance::at_packet(&v6(Protocol::ICMPV6, &[kind, 0, 0, 0])), expected, "{kind}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            Glance::at_packet(&bytes);
            Glance::at_frame(Medium::Ethernet, &bytes);
        }
    }
}
