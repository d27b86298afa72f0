//! A host under test, packets to it, and an independent reader of what it sends.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;

use etherparse::{Icmpv4Header, Icmpv6Slice, IpHeaders};
use netloom_base::{AddressDetection, DropReason, Instant, InterfaceId, NextHop, Rng, RxMeta};
use netloom_l3_internet::{
    Arrival, Forward, Input, InterfaceConfig, Internet, InternetConfig, InternetEvent, InternetOutput,
};
use netloom_wire::{
    CastKind, EthernetAddress, HeadBuf, IcmpErrorKind, Icmpv4Message, Icmpv6Message, Ipv4Header, Ipv4Packet,
    Ipv6Header, Ipv6Packet, Protocol, UdpHeader,
};

/// Runs a test once for each family.
macro_rules! both_families {
    ($($(#[$attribute:meta])* fn $name:ident($family:ident) $body:block)+) => {
        $(
            mod $name {
                use super::*;
                fn check($family: Family) $body
                #[test]
                fn v4() {
                    check(Family::V4);
                }
                #[test]
                fn v6() {
                    check(Family::V6);
                }
            }
        )+
    };
}
pub(crate) use both_families;

pub(crate) const IF0: InterfaceId = InterfaceId::new(0);
pub(crate) const IF1: InterfaceId = InterfaceId::new(1);
pub(crate) const OUR_LINK: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 2]);
pub(crate) const PEER_LINK: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 1]);

/// One of the families, and who is who in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

impl Family {
    fn pick(self, v4: &str, v6: &str) -> IpAddr {
        match self {
            Self::V4 => v4.parse().unwrap(),
            Self::V6 => v6.parse().unwrap(),
        }
    }

    /// The host under test, on interface 0.
    pub(crate) fn us(self) -> IpAddr {
        self.pick("10.0.0.2", "fd00::2")
    }

    /// Its neighbour there.
    pub(crate) fn peer(self) -> IpAddr {
        self.pick("10.0.0.1", "fd00::1")
    }

    /// Somebody behind the neighbour.
    pub(crate) fn far(self) -> IpAddr {
        self.pick("192.0.2.9", "2001:db8::9")
    }

    /// The host under test, on interface 1, if it has one.
    pub(crate) fn us_too(self) -> IpAddr {
        self.pick("10.1.0.2", "fd01::2")
    }

    /// Its neighbour there.
    pub(crate) fn other_peer(self) -> IpAddr {
        self.pick("10.1.0.1", "fd01::1")
    }

    pub(crate) fn loopback(self) -> IpAddr {
        self.pick("127.0.0.1", "::1")
    }

    pub(crate) fn all_nodes(self) -> IpAddr {
        self.pick("224.0.0.1", "ff02::1")
    }

    pub(crate) fn icmp(self) -> Protocol {
        match self {
            Self::V4 => Protocol::ICMP,
            Self::V6 => Protocol::ICMPV6,
        }
    }

    pub(crate) fn header_len(self) -> usize {
        match self {
            Self::V4 => 20,
            Self::V6 => 40,
        }
    }
}

/// The host, and the time there.
pub(crate) struct Host {
    pub(crate) internet: Internet,
    pub(crate) now: Instant,
}

/// What became of a packet, owned.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Delivered { protocol: Protocol, cast: CastKind, payload: Vec<u8> },
    Forwarded(Forward),
    Consumed,
}

impl Host {
    /// A host without interfaces.
    pub(crate) fn new(config: InternetConfig) -> Self {
        Self { internet: Internet::new(config, Rng::from_number(7)), now: Instant::from_millis(1000) }
    }

    /// One interface of bare IP packets, an address of each family, default routes by the peers.
    pub(crate) fn tun() -> Self {
        let mut host = Self::with(InternetConfig::default(), None, AddressDetection::Off);
        host.events();
        host
    }

    /// The same on Ethernet, its first messages sent.
    pub(crate) fn ethernet() -> Self {
        let mut host = Self::with(InternetConfig::default(), Some(OUR_LINK), AddressDetection::Off);
        host.advance(Duration::from_secs(5));
        host.sent();
        host.events();
        host
    }

    /// A router between two links of bare IP packets.
    pub(crate) fn router() -> Self {
        let config = InternetConfig { forwarding: true, ..InternetConfig::default() };
        let mut host = Self::with(config, None, AddressDetection::Off);
        host.internet.add_interface(InterfaceConfig { mtu: 1400, link_address: None });
        for family in [Family::V4, Family::V6] {
            host.add_address(IF1, family.us_too(), AddressDetection::Off);
        }
        host.events();
        host
    }

    pub(crate) fn with(
        config: InternetConfig,
        link_address: Option<EthernetAddress>,
        detection: AddressDetection,
    ) -> Self {
        let mut host = Self::new(config);
        host.internet.add_interface(InterfaceConfig { mtu: 1500, link_address });
        for family in [Family::V4, Family::V6] {
            host.add_address(IF0, family.us(), detection);
            host.internet
                .routes_mut()
                .insert(netloom_l3_internet::Route {
                    prefix: match family {
                        Family::V4 => "0.0.0.0/0".parse().unwrap(),
                        Family::V6 => "::/0".parse().unwrap(),
                    },
                    gateway: Some(family.peer()),
                    interface: IF0,
                    metric: 0,
                    source: None,
                })
                .unwrap();
        }
        host
    }

    pub(crate) fn add_address(
        &mut self,
        interface: InterfaceId,
        address: IpAddr,
        detection: AddressDetection,
    ) {
        let prefix_len = if address.is_ipv4() { 24 } else { 64 };
        let cidr = netloom_wire::Cidr::new(address, prefix_len).unwrap();
        self.internet.add_address(self.now, interface, cidr, detection).unwrap();
    }

    /// Hands in a packet on interface 0 as a stack does.
    pub(crate) fn input(&mut self, packet: &[u8]) -> Result<Outcome, DropReason> {
        self.input_on(IF0, CastKind::Unicast, packet)
    }

    pub(crate) fn input_on(
        &mut self,
        interface: InterfaceId,
        cast: CastKind,
        packet: &[u8],
    ) -> Result<Outcome, DropReason> {
        let arrival = Arrival { interface, packet, cast, link_source: None, meta: RxMeta::default() };
        match self.internet.input(self.now, arrival)? {
            Input::Reassembled(whole) => {
                let arrival = Arrival { packet: &whole, ..arrival };
                let input = self.internet.input_reassembled(self.now, arrival)?;
                Ok(outcome(input))
            }
            other => Ok(outcome(other)),
        }
    }

    /// Hands in a packet and has the transport refuse it.
    pub(crate) fn refuse(
        &mut self,
        cast: CastKind,
        kind: IcmpErrorKind,
        packet: &[u8],
    ) -> Result<(), DropReason> {
        let arrival = Arrival { interface: IF0, packet, cast, link_source: None, meta: RxMeta::default() };
        match self.internet.input(self.now, arrival)? {
            Input::Deliver(datagram) => self.internet.send_error(self.now, kind, &datagram),
            other => panic!("not delivered: {other:?}"),
        }
    }

    /// What the host has to send now, each packet approved by an independent reader.
    pub(crate) fn sent(&mut self) -> Vec<InternetOutput> {
        let outputs: Vec<_> = core::iter::from_fn(|| self.internet.poll_transmit(self.now)).collect();
        for output in &outputs {
            approve(&output.packet);
        }
        outputs
    }

    /// The one packet that the host has to send.
    pub(crate) fn sent_one(&mut self) -> InternetOutput {
        let mut outputs = self.sent();
        assert_eq!(outputs.len(), 1, "{outputs:?}");
        outputs.remove(0)
    }

    pub(crate) fn events(&mut self) -> Vec<InternetEvent> {
        core::iter::from_fn(|| self.internet.poll_event()).collect()
    }

    /// Lets time pass, stopping wherever the host wants to.
    pub(crate) fn advance(&mut self, duration: Duration) {
        let end = self.now + duration;
        let mut stops = 0;
        while let Some(deadline) = self.internet.poll_timeout().filter(|&deadline| deadline <= end) {
            self.now = self.now.max(deadline);
            self.internet.handle_timeout(self.now);
            stops += 1;
            assert!(stops < 10_000, "the host never comes to rest");
        }
        self.now = end;
    }
}

fn outcome(input: Input<'_>) -> Outcome {
    match input {
        Input::Deliver(datagram) => Outcome::Delivered {
            protocol: datagram.protocol,
            cast: datagram.cast,
            payload: datagram.payload.to_vec(),
        },
        Input::Forward(forward) => Outcome::Forwarded(forward),
        Input::Consumed => Outcome::Consumed,
        Input::Reassembled(_) => panic!("a whole packet is a fragment again"),
    }
}

/// A packet with the given payload.
pub(crate) fn packet(
    source: IpAddr,
    destination: IpAddr,
    protocol: Protocol,
    hop_limit: u8,
    payload: &[u8],
) -> Vec<u8> {
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            [&v4_header(source, destination, protocol, hop_limit).to_bytes(payload.len()), payload].concat()
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            [&v6_header(source, destination, protocol, hop_limit).to_bytes(payload.len())[..], payload]
                .concat()
        }
        _ => panic!("{source} and {destination} are of different families"),
    }
}

pub(crate) fn v4_header(source: Ipv4Addr, destination: Ipv4Addr, protocol: Protocol, ttl: u8) -> Ipv4Header {
    Ipv4Header {
        source,
        destination,
        protocol,
        ttl,
        traffic_class: 0,
        identification: 0x1234,
        dont_fragment: false,
        more_fragments: false,
        fragment_offset: 0,
    }
}

pub(crate) fn v6_header(
    source: Ipv6Addr,
    destination: Ipv6Addr,
    next_header: Protocol,
    hop_limit: u8,
) -> Ipv6Header {
    Ipv6Header { source, destination, next_header, hop_limit, traffic_class: 0, flow_label: 0 }
}

/// A UDP datagram from port 1000 to port 2000.
pub(crate) fn udp(source: IpAddr, destination: IpAddr, data: &[u8]) -> Vec<u8> {
    packet(source, destination, Protocol::UDP, 64, &udp_payload(source, destination, data))
}

pub(crate) fn udp_payload(source: IpAddr, destination: IpAddr, data: &[u8]) -> Vec<u8> {
    let mut head = HeadBuf::new();
    UdpHeader { source_port: 1000, destination_port: 2000 }.emit(
        &mut head,
        source,
        destination,
        &[data],
        false,
    );
    [head.as_slice(), data].concat()
}

/// An ICMP message over whatever family the addresses are of.
pub(crate) fn echo_request(source: IpAddr, destination: IpAddr, data: &[u8]) -> Vec<u8> {
    let (identifier, sequence) = (77, 3);
    match (source, destination) {
        (IpAddr::V4(_), IpAddr::V4(_)) => {
            icmp4(source, destination, &Icmpv4Message::EchoRequest { identifier, sequence, data })
        }
        _ => icmp6(source, destination, 64, &Icmpv6Message::EchoRequest { identifier, sequence, data }),
    }
}

/// An ICMP error that quotes `quote`.
pub(crate) fn icmp_error(source: IpAddr, destination: IpAddr, kind: IcmpErrorKind, quote: &[u8]) -> Vec<u8> {
    match (source, destination) {
        (IpAddr::V4(_), IpAddr::V4(_)) => icmp4(source, destination, &Icmpv4Message::Error { kind, quote }),
        _ => icmp6(source, destination, 64, &Icmpv6Message::Error { kind, quote }),
    }
}

pub(crate) fn icmp4(source: IpAddr, destination: IpAddr, message: &Icmpv4Message<'_>) -> Vec<u8> {
    let bytes = [&message.to_header(), message.tail()].concat();
    packet(source, destination, Protocol::ICMP, 64, &bytes)
}

pub(crate) fn icmp6(
    source: IpAddr,
    destination: IpAddr,
    hop_limit: u8,
    message: &Icmpv6Message<'_>,
) -> Vec<u8> {
    let (IpAddr::V6(from), IpAddr::V6(to)) = (source, destination) else { panic!("not IPv6") };
    let bytes = [&message.to_header(from, to), message.tail()].concat();
    packet(source, destination, Protocol::ICMPV6, hop_limit, &bytes)
}

/// What a packet of either family says, as far as tests ask.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) protocol: Protocol,
    pub(crate) hop_limit: u8,
    pub(crate) payload: Vec<u8>,
}

pub(crate) fn read(bytes: &[u8]) -> Read {
    if bytes[0] >> 4 == 4 {
        let packet = Ipv4Packet::parse(bytes).unwrap();
        let header = packet.header;
        Read {
            source: header.source.into(),
            destination: header.destination.into(),
            protocol: header.protocol,
            hop_limit: header.ttl,
            payload: packet.payload.to_vec(),
        }
    } else {
        let packet = Ipv6Packet::parse(bytes).unwrap();
        let header = packet.header;
        Read {
            source: header.source.into(),
            destination: header.destination.into(),
            protocol: header.next_header,
            hop_limit: header.hop_limit,
            payload: packet.payload.to_vec(),
        }
    }
}

/// The ICMP error in a packet: what it says, and what it quotes.
pub(crate) fn read_error(bytes: &[u8]) -> (IcmpErrorKind, Vec<u8>) {
    let packet = read(bytes);
    match (packet.source, packet.destination) {
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            match Icmpv6Message::parse(&packet.payload, source, destination).unwrap() {
                Icmpv6Message::Error { kind, quote } => (kind, quote.to_vec()),
                Icmpv6Message::ParameterProblem { parameter, pointer, quote } => {
                    let kind = match parameter {
                        netloom_wire::Icmpv6Parameter::NextHeader => IcmpErrorKind::ProtocolUnreachable,
                        _ => IcmpErrorKind::ParameterProblem { pointer },
                    };
                    (kind, quote.to_vec())
                }
                other => panic!("no error: {other:?}"),
            }
        }
        _ => match Icmpv4Message::parse(&packet.payload).unwrap() {
            Icmpv4Message::Error { kind, quote } => (kind, quote.to_vec()),
            other => panic!("no error: {other:?}"),
        },
    }
}

/// The ICMPv6 parameter problem in a packet.
pub(crate) fn read_parameter_problem(bytes: &[u8]) -> (netloom_wire::Icmpv6Parameter, u32) {
    let packet = read(bytes);
    let (IpAddr::V6(source), IpAddr::V6(destination)) = (packet.source, packet.destination) else {
        panic!("not IPv6");
    };
    match Icmpv6Message::parse(&packet.payload, source, destination).unwrap() {
        Icmpv6Message::ParameterProblem { parameter, pointer, .. } => (parameter, pointer),
        other => panic!("no parameter problem: {other:?}"),
    }
}

pub(crate) fn neighbor(interface: InterfaceId, address: IpAddr) -> NextHop {
    NextHop::Neighbor { interface, address }
}

/// Has etherparse read a packet that we sent: its lengths, checksums and chain of headers.
fn approve(bytes: &[u8]) {
    let (headers, payload) = IpHeaders::from_slice(bytes).expect("etherparse reads what we send");
    let (source, destination, total) = match &headers {
        IpHeaders::Ipv4(header, _) => {
            assert_eq!(header.header_checksum, header.calc_header_checksum());
            assert!(header.time_to_live > 0);
            (header.source.to_vec(), header.destination.to_vec(), usize::from(header.total_len))
        }
        IpHeaders::Ipv6(header, _) => {
            assert!(header.hop_limit > 0);
            let total = usize::from(header.payload_length) + 40;
            (header.source.to_vec(), header.destination.to_vec(), total)
        }
    };
    assert_eq!(total, bytes.len());
    if payload.fragmented {
        return;
    }
    match payload.ip_number.0 {
        1 => {
            let (icmp, rest) = Icmpv4Header::from_slice(payload.payload).unwrap();
            assert_eq!(icmp.checksum, icmp.icmp_type.calc_checksum(rest));
        }
        58 => {
            let icmp = Icmpv6Slice::from_slice(payload.payload).unwrap();
            let to16 = |bytes: Vec<u8>| <[u8; 16]>::try_from(bytes).unwrap();
            assert!(icmp.is_checksum_valid(to16(source), to16(destination)));
        }
        _ => {}
    }
}
