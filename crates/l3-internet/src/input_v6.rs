//! An IPv6 packet's way up (RFC 8200 3, 4).

use core::net::{IpAddr, Ipv6Addr};

use netloom_base::{DropReason, Instant};
use netloom_wire::{
    CastKind, ICMPV6_HEADER_LEN, Icmpv6Parameter, Ipv6Chain, Ipv6Extension, Ipv6FragmentHeader, Ipv6Options,
    Ipv6Packet, ParseError, Protocol, TCP_HEADER_LEN, UDP_HEADER_LEN, UnknownOptionAction,
};

use crate::addressee::Addressee;
use crate::culprit::{Culprit, Problem, strictest};
use crate::input::Received;
use crate::internet::{Internet, is_link_local};
use crate::packet::{Arrival, Input};
use crate::reassembly::{Fragment, FragmentError, FragmentHeader, FragmentKey};

/// Routers, look at this (RFC 2711): nothing to do for a host, and no reason to complain.
const ROUTER_ALERT: u8 = 5;

/// Where the fixed header tells the payload's length.
const PAYLOAD_LENGTH_AT: usize = 4;

/// Where a fragment header tells its offset.
const FRAGMENT_OFFSET_AT: usize = 2;

/// What a walk along the extension headers came to.
enum Walk {
    /// Its end: the transport's header begins where the chain stands.
    Upper,
    /// A part of a larger packet.
    Fragment(PartOfPacket),
}

/// A fragment header and where it stands.
struct PartOfPacket {
    header: Ipv6FragmentHeader,
    /// Where the header before says that it follows.
    announced_at: usize,
    /// Where it begins.
    begins_at: usize,
}

impl Internet {
    pub(crate) fn input_v6<'a>(
        &mut self,
        now: Instant,
        arrival: Arrival<'a>,
    ) -> Result<Input<'a>, DropReason> {
        let packet = Ipv6Packet::parse(arrival.packet).map_err(|error| {
            if error == ParseError::BadVersion { DropReason::IpBadVersion } else { DropReason::IpTruncated }
        })?;
        let len = packet.header_bytes.len() + packet.payload.len();
        let bytes = arrival.packet.get(..len).ok_or(DropReason::IpTruncated)?;
        let (source, destination) = (IpAddr::V6(packet.header.source), packet.header.destination.into());
        self.check_source(arrival.interface, source)?;
        let cast = match self.addressee(arrival.interface, destination)? {
            Addressee::Us(cast) => cast,
            Addressee::Other => return self.forward_v6(now, &arrival, &packet, bytes),
        };
        if arrival.cast != CastKind::Unicast && cast == CastKind::Unicast {
            return Err(DropReason::IpLinkBroadcast);
        }
        // The hop limit is not looked at: it has come here [8200-01].
        let culprit = Culprit {
            packet: bytes,
            cast: strictest(arrival.cast, cast),
            interface: Some(arrival.interface),
        };
        let mut chain = Ipv6Chain::new(bytes, packet.header.next_header);
        match self.walk(now, &mut chain, &culprit)? {
            Walk::Fragment(part) => {
                self.fragment_in_v6(now, &arrival, packet.header.source, &part, chain, &culprit)
            }
            Walk::Upper => {
                let received = Received {
                    source,
                    destination,
                    cast,
                    protocol: chain.next_header(),
                    hop_limit: packet.header.hop_limit,
                    traffic_class: packet.header.traffic_class,
                    payload: chain.rest(),
                    packet: bytes,
                };
                self.upper_in_v6(now, &arrival, &received)
            }
        }
    }

    fn upper_in_v6<'a>(
        &mut self,
        now: Instant,
        arrival: &Arrival<'a>,
        received: &Received<'a>,
    ) -> Result<Input<'a>, DropReason> {
        match received.protocol {
            Protocol::ICMPV6 => self.icmp_v6_in(now, arrival, received),
            // [8200-18]
            Protocol::NO_NEXT_HEADER => Ok(Input::Consumed),
            Protocol(_) if received.source.is_unspecified() => Err(DropReason::IpBadSource),
            Protocol(_) => Ok(self.deliver(arrival, received)),
        }
    }

    /// Walks along the extension headers strictly in order [8200-02], in whatever order and number they come
    /// [8200-04], up to the configured number.
    fn walk(
        &mut self,
        now: Instant,
        chain: &mut Ipv6Chain<'_>,
        culprit: &Culprit<'_>,
    ) -> Result<Walk, DropReason> {
        for step in 0..=self.config.max_extension_headers {
            let announced_at = chain.next_header_at();
            let begins_at = chain.offset();
            // [8200-07]
            if chain.next_header() == Protocol::HOP_BY_HOP && step > 0 {
                let parameter = Icmpv6Parameter::NextHeader;
                self.report(now, Problem::Parameter { parameter, pointer: announced_at }, culprit);
                return Err(DropReason::IpBadExtensionHeader);
            }
            let extension = chain.advance().map_err(|_| DropReason::IpBadExtensionHeader)?;
            let Some(extension) = extension else { return Ok(Walk::Upper) };
            match extension {
                Ipv6Extension::HopByHop(options) | Ipv6Extension::DestinationOptions(options) => {
                    self.check_options_v6(now, options, culprit)?;
                }
                Ipv6Extension::Routing { routing_type: _, segments_left, type_at } => {
                    // No type is known here, type 0 no more than others (RFC 5095 3): one that has done its
                    // work is passed over, any other refused [8200-08].
                    if segments_left > 0 {
                        let parameter = Icmpv6Parameter::HeaderField;
                        self.report(now, Problem::Parameter { parameter, pointer: type_at }, culprit);
                        return Err(DropReason::IpSourceRoute);
                    }
                }
                // [8200-12] an atomic fragment is a whole packet, whatever else came under its number.
                Ipv6Extension::Fragment(header) if header.is_atomic() => {}
                Ipv6Extension::Fragment(header) => {
                    return Ok(Walk::Fragment(PartOfPacket { header, announced_at, begins_at }));
                }
            }
        }
        Err(DropReason::IpExtensionChainTooLong)
    }

    /// [8200-05] [8200-06]
    fn check_options_v6(
        &mut self,
        now: Instant,
        options: Ipv6Options<'_>,
        culprit: &Culprit<'_>,
    ) -> Result<(), DropReason> {
        for option in options {
            let option = option.map_err(|_| DropReason::IpBadExtensionHeader)?;
            if option.kind == ROUTER_ALERT {
                continue;
            }
            let is_reported = match option.unknown_action() {
                UnknownOptionAction::Skip => continue,
                UnknownOptionAction::Discard => false,
                UnknownOptionAction::Report => true,
                UnknownOptionAction::ReportUnlessMulticast => culprit.cast == CastKind::Unicast,
            };
            if is_reported {
                let parameter = Icmpv6Parameter::Option;
                self.report(now, Problem::Parameter { parameter, pointer: option.at }, culprit);
            }
            return Err(DropReason::IpBadExtensionHeader);
        }
        Ok(())
    }

    fn fragment_in_v6<'a>(
        &mut self,
        now: Instant,
        arrival: &Arrival<'a>,
        source: Ipv6Addr,
        part: &PartOfPacket,
        after: Ipv6Chain<'a>,
        culprit: &Culprit<'a>,
    ) -> Result<Input<'a>, DropReason> {
        let header = part.header;
        let packet = Ipv6Packet::parse(culprit.packet).map_err(|_| DropReason::IpTruncated)?;
        // [8200-16]
        if header.offset == 0 && header.more_fragments && !has_upper_header(after) {
            let parameter = Icmpv6Parameter::IncompleteHeaderChain;
            self.report(now, Problem::Parameter { parameter, pointer: 0 }, culprit);
            return Err(DropReason::FragmentMalformed);
        }
        let source = IpAddr::V6(source);
        let key = FragmentKey {
            source,
            destination: packet.header.destination.into(),
            protocol: None,
            identification: header.identification,
            scope: is_link_local(source).then_some(arrival.interface),
        };
        let fragment = Fragment {
            packet: culprit.packet,
            header_len: part.begins_at,
            data_start: after.offset(),
            offset: header.offset,
            more: header.more_fragments,
            header: FragmentHeader::Ipv6 {
                next_header_at: part.announced_at,
                next_header: header.next_header,
            },
        };
        self.reassemble(now, key, &fragment).map_err(|error| {
            let pointer = match error {
                // [8200-14]
                FragmentError::UnevenLength => Some(PAYLOAD_LENGTH_AT),
                // [8200-15]
                FragmentError::TooLong => Some(part.begins_at + FRAGMENT_OFFSET_AT),
                FragmentError::Malformed
                | FragmentError::Overlap
                | FragmentError::MixedEcn
                | FragmentError::Limit => None,
            };
            if let Some(pointer) = pointer {
                let parameter = Icmpv6Parameter::HeaderField;
                self.report(now, Problem::Parameter { parameter, pointer }, culprit);
            }
            error.into()
        })
    }
}

/// Whether the rest of a first fragment holds all headers up to and with the transport's (RFC 7112 5).
fn has_upper_header(mut chain: Ipv6Chain<'_>) -> bool {
    // Each step is at least eight bytes long, so this ends.
    loop {
        match chain.advance() {
            Ok(Some(_)) => {}
            Ok(None) => break,
            Err(_) => return false,
        }
    }
    let needed = match chain.next_header() {
        Protocol::TCP => TCP_HEADER_LEN,
        Protocol::UDP => UDP_HEADER_LEN,
        Protocol::ICMPV6 => ICMPV6_HEADER_LEN,
        Protocol(_) => 0,
    };
    chain.rest().len() >= needed
}
