//! Telling a sender that its packet went wrong: when that is due, when it is forbidden, and what is said
//! (RFC 792, RFC 1122 3.2.2, RFC 1812 4.3.2, RFC 4443 2.4).

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netloom_base::{DropReason, Instant};
use netloom_wire::{
    CastKind, Datagram, ICMPV4_HEADER_LEN, ICMPV6_HEADER_LEN, IPV4_HEADER_LEN, IPV6_HEADER_LEN,
    IcmpErrorKind, Icmpv4Message, Icmpv6Message, Icmpv6Parameter, Ipv4Packet, Ipv6Chain, Ipv6Extension,
    Ipv6Packet, Protocol,
};

use crate::culprit::{Culprit, Problem};
use crate::event::{InternetEvent, OwnedIcmpError};
use crate::internet::Internet;
use crate::packet::{IpSend, SendError};

/// An ICMP error over IPv4 is at most this long, as every host takes 576 bytes [1812-06].
const MAX_LEN_V4: usize = 576;

/// The same over IPv6: what every link takes [4443-06].
const MAX_LEN_V6: usize = 1280;

/// What there is to know about a packet that an error is about.
struct Facts {
    source: IpAddr,
    destination: IpAddr,
    protocol: Protocol,
    /// Where the transport's header begins.
    upper_at: usize,
    /// Where the field stands that names the protocol.
    protocol_at: usize,
    is_later_fragment: bool,
    /// Whether it is itself a complaint.
    is_error: bool,
}

impl Internet {
    /// Tells the sender of a datagram that a transport has no use for it [1122-I047] [1122-I152]. Nothing is sent
    /// where that is forbidden; a rate limit that was reached is returned, for the caller to count.
    pub fn send_error(
        &mut self,
        now: Instant,
        kind: IcmpErrorKind,
        about: &Datagram<'_>,
    ) -> Result<(), DropReason> {
        self.complain(
            now,
            kind.into(),
            &Culprit { packet: about.packet, cast: about.cast, interface: Some(about.interface) },
        )
    }

    /// The link could not find the next hop of `packet` [4861-14]: its transport is told if the packet is ours, else its
    /// sender.
    pub fn host_unreachable(&mut self, now: Instant, packet: &[u8]) {
        let Some(facts) = facts_of(packet) else { return };
        // [1122-I110] a first hop that does not answer is not used again.
        self.destinations.forget_first_hop(facts.destination);
        let is_forwarded = if self.config.forwarding {
            !self.is_local(facts.source)
        } else {
            !self.may_send_from(facts.source)
        };
        if is_forwarded {
            let culprit = Culprit { packet, cast: CastKind::Unicast, interface: None };
            self.report(now, IcmpErrorKind::HostUnreachable.into(), &culprit);
            return;
        }
        if facts.is_later_fragment || facts.is_error {
            return;
        }
        let quote = packet.get(facts.upper_at..).unwrap_or_default();
        let quote = quote.get(..OwnedIcmpError::MAX_QUOTE).unwrap_or(quote);
        let error = OwnedIcmpError {
            kind: IcmpErrorKind::HostUnreachable,
            reporter: facts.source,
            source: facts.source,
            destination: facts.destination,
            protocol: facts.protocol,
            quote: quote.to_vec(),
        };
        self.echo_error(&error);
        self.push_event(InternetEvent::IcmpError(error));
    }

    /// Complains about a packet that this layer drops; an error that cannot be sent is counted here.
    pub(crate) fn report(&mut self, now: Instant, problem: Problem, culprit: &Culprit<'_>) {
        let result = self.complain(now, problem, culprit);
        self.count_drop(result);
    }

    fn complain(&mut self, now: Instant, problem: Problem, culprit: &Culprit<'_>) -> Result<(), DropReason> {
        let Some(facts) = facts_of(culprit.packet).filter(|facts| is_allowed(problem, culprit, facts)) else {
            self.counters.icmp_errors_forbidden.increment();
            return Ok(());
        };
        // [792-02] [4443-01] [1812-08] the address that was asked, or the one of the way back.
        let was_asked = self.is_local(facts.destination)
            || culprit.interface.is_some_and(|interface| self.accepts_any(interface));
        let asked = (culprit.cast == CastKind::Unicast && was_asked).then_some(facts.destination);
        let path =
            self.path_back(culprit.interface, asked, facts.source).map_err(|_| DropReason::IpNoRoute)?;
        // [1812-11] [4443-09] errors to ourselves cost nobody else anything.
        if !self.is_local(facts.source) && !self.error_limit.take(now) {
            return Err(DropReason::IcmpRateLimited);
        }
        let (protocol, header, quote) = match (path.source, facts.source) {
            (IpAddr::V4(_), IpAddr::V4(_)) => {
                let (header, quote) = message_v4(problem, culprit.packet);
                (Protocol::ICMP, header, quote)
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let (header, quote) = message_v6(problem, culprit.packet, &facts, source, destination);
                (Protocol::ICMPV6, header, quote)
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {
                return Err(DropReason::IpNoRoute);
            }
        };
        let send = IpSend {
            source: path.source,
            destination: facts.source,
            protocol,
            hop_limit: None,
            // [1122-I041]
            traffic_class: 0,
            dont_fragment: false,
        };
        self.send(now, &send, &path, &[&header, quote]).map_err(reason_of)?;
        self.counters.icmp_errors_sent.increment();
        Ok(())
    }
}

/// Why an answer of this layer's own was dropped.
pub(crate) const fn reason_of(error: SendError) -> DropReason {
    match error {
        SendError::QueueFull => DropReason::TransmitQueueFull,
        SendError::TooLong | SendError::TooBig { .. } => DropReason::IpPacketTooBig,
        SendError::FamilyMismatch => DropReason::IpNoRoute,
    }
}

/// The rules that keep errors from answering errors and from being multiplied.
fn is_allowed(problem: Problem, culprit: &Culprit<'_>, facts: &Facts) -> bool {
    // [1122-I046] [4443-08] [1812-10]
    let has_one_source = match facts.source {
        IpAddr::V4(source) => is_one_host_v4(source),
        IpAddr::V6(source) => !source.is_unspecified() && !source.is_multicast(),
    };
    // [1122-I043] [1122-I044] [4443-08]
    let may_be_group = facts.source.is_ipv6()
        && match problem {
            Problem::Kind(kind) => matches!(kind, IcmpErrorKind::PacketTooBig { .. }),
            Problem::Parameter { parameter, .. } => parameter == Icmpv6Parameter::Option,
        };
    let is_to_one = culprit.cast == CastKind::Unicast || may_be_group;
    // [1122-I042] [1122-I045] [792-01]
    has_one_source && is_to_one && !facts.is_later_fragment && !facts.is_error
}

fn is_one_host_v4(address: Ipv4Addr) -> bool {
    let [first, ..] = address.octets();
    first != 0 && first < 224
}

/// Reads as much of a packet as an error about it must know; `None` if it is none.
fn facts_of(packet: &[u8]) -> Option<Facts> {
    match packet.first()? >> 4 {
        4 => facts_of_v4(packet),
        6 => facts_of_v6(packet),
        _ => None,
    }
}

fn facts_of_v4(packet: &[u8]) -> Option<Facts> {
    const PROTOCOL_AT: usize = 9;
    let parsed = Ipv4Packet::parse_quoted(packet).ok()?;
    let is_icmp = parsed.header.protocol == Protocol::ICMP;
    let is_later_fragment = parsed.header.fragment_offset != 0;
    Some(Facts {
        source: parsed.header.source.into(),
        destination: parsed.header.destination.into(),
        protocol: parsed.header.protocol,
        upper_at: parsed.header_bytes.len(),
        protocol_at: PROTOCOL_AT,
        is_later_fragment,
        is_error: is_icmp && !is_later_fragment && !Icmpv4Message::is_query(parsed.payload),
    })
}

fn facts_of_v6(packet: &[u8]) -> Option<Facts> {
    let parsed = Ipv6Packet::parse_quoted(packet).ok()?;
    let mut chain = Ipv6Chain::new(packet, parsed.header.next_header);
    let mut is_later_fragment = false;
    // Each step is at least eight bytes long, so this ends. A chain that breaks off is taken as far as it goes.
    while let Ok(Some(extension)) = chain.advance() {
        if let Ipv6Extension::Fragment(header) = extension
            && header.offset != 0
        {
            is_later_fragment = true;
            break;
        }
    }
    let protocol = chain.next_header();
    let is_icmp = protocol == Protocol::ICMPV6 && !is_later_fragment;
    Some(Facts {
        source: parsed.header.source.into(),
        destination: parsed.header.destination.into(),
        protocol,
        upper_at: chain.offset(),
        protocol_at: chain.next_header_at(),
        is_later_fragment,
        is_error: is_icmp && !Icmpv6Message::may_be_complained_about(chain.rest()),
    })
}

/// The message's first bytes and its quote, which is as it was received [1122-I038] [1122-I039] [1812-07].
fn message_v4(problem: Problem, packet: &[u8]) -> ([u8; ICMPV4_HEADER_LEN], &[u8]) {
    let quote = packet.get(..MAX_LEN_V4 - IPV4_HEADER_LEN - ICMPV4_HEADER_LEN).unwrap_or(packet);
    let kind = match problem {
        Problem::Kind(kind) => kind,
        Problem::Parameter { parameter: _, pointer } => {
            IcmpErrorKind::ParameterProblem { pointer: u32::try_from(pointer).unwrap_or(u32::MAX) }
        }
    };
    (Icmpv4Message::Error { kind, quote }.to_header(), quote)
}

fn message_v6<'a>(
    problem: Problem,
    packet: &'a [u8],
    facts: &Facts,
    source: Ipv6Addr,
    destination: Ipv6Addr,
) -> ([u8; ICMPV6_HEADER_LEN], &'a [u8]) {
    let quote = packet.get(..MAX_LEN_V6 - IPV6_HEADER_LEN - ICMPV6_HEADER_LEN).unwrap_or(packet);
    let pointed = |parameter, pointer: usize| Icmpv6Message::ParameterProblem {
        parameter,
        pointer: u32::try_from(pointer).unwrap_or(u32::MAX),
        quote,
    };
    let message = match problem {
        // [8200-03] over IPv6 an unknown protocol is an unknown next header.
        Problem::Kind(IcmpErrorKind::ProtocolUnreachable) => {
            pointed(Icmpv6Parameter::NextHeader, facts.protocol_at)
        }
        Problem::Kind(kind) => Icmpv6Message::Error { kind, quote },
        // [4443-16]
        Problem::Parameter { parameter, pointer } => pointed(parameter, pointer),
    };
    (message.to_header(source, destination), quote)
}
