//! ICMP and ICMPv6 messages for this host: echoes are answered, errors go to the transports, redirects and path MTUs are
//! remembered.

use core::net::IpAddr;

use netloom_base::{DropReason, Instant, NextHop};
use netloom_wire::{
    CastKind, IcmpErrorKind, Icmpv4Message, Icmpv6Message, Icmpv6Parameter, Ipv4Options, Ipv4Packet,
    Ipv6Chain, Ipv6Extension, Ipv6Packet, ParseError, Protocol,
};

use crate::event::{InternetEvent, OwnedIcmpError};
use crate::icmp_error::reason_of;
use crate::input::Received;
use crate::internet::Internet;
use crate::packet::{Arrival, Input, IpSend};

/// No IPv4 link takes less (RFC 791 3.2).
const MIN_MTU_V4: u16 = 68;

/// No IPv6 link takes less [8200-19].
const MIN_MTU_V6: u16 = 1280;

/// MTUs that links really have, for routers that do not tell theirs (RFC 1191 7.1).
const PLATEAUS: [u16; 10] = [32_000, 17_914, 8_166, 4_352, 2_002, 1_492, 1_006, 508, 296, MIN_MTU_V4];

/// The packet that an error quotes.
struct Quoted<'a> {
    source: IpAddr,
    destination: IpAddr,
    protocol: Protocol,
    total_len: usize,
    upper: &'a [u8],
}

impl Internet {
    pub(crate) fn icmp_v4_in<'a>(
        &mut self,
        now: Instant,
        arrival: &Arrival<'a>,
        received: &Received<'a>,
        options: &[u8],
    ) -> Result<Input<'a>, DropReason> {
        match Icmpv4Message::parse(received.payload).map_err(reason_of_parse)? {
            Icmpv4Message::EchoRequest { identifier, sequence, data } => {
                // [1122-I065] [1122-I066] nobody multiplies through us.
                if received.cast != CastKind::Unicast {
                    return Err(DropReason::IcmpEchoToGroup);
                }
                // [792-07] [1122-I068] [1812-13]
                let reply = Icmpv4Message::EchoReply { identifier, sequence, data };
                self.echo_v4(now, arrival, received, options, &reply)?;
            }
            Icmpv4Message::EchoReply { identifier, sequence, data } => {
                self.echo_answered(received, identifier, sequence, data)?;
            }
            Icmpv4Message::Error { kind, quote } => self.error_in(now, received, kind, &quoted_v4(quote)?)?,
            Icmpv4Message::Redirect { gateway, quote } => {
                self.redirect_v4(now, arrival, received, gateway.into(), &quoted_v4(quote)?)?;
            }
            // [1122-I037] [1812-05]; source quench is as good as unknown [6633-02] [9293 MUST-55].
            Icmpv4Message::Other { .. } => return Err(DropReason::IcmpUnknownType),
        }
        Ok(Input::Consumed)
    }

    pub(crate) fn icmp_v6_in<'a>(
        &mut self,
        now: Instant,
        arrival: &Arrival<'a>,
        received: &Received<'a>,
    ) -> Result<Input<'a>, DropReason> {
        let (IpAddr::V6(source), IpAddr::V6(destination)) = (received.source, received.destination) else {
            return Err(DropReason::IpBadVersion);
        };
        let message = Icmpv6Message::parse(received.payload, source, destination).map_err(|error| {
            let message_type = received.payload.first().copied().unwrap_or_default();
            let is_ndp = (133..=137).contains(&message_type);
            if is_ndp && error != ParseError::BadChecksum {
                DropReason::NdpMalformed
            } else {
                reason_of_parse(error)
            }
        })?;
        match message {
            Icmpv6Message::Ndp(message) => self.ndp_in(now, arrival, received, &message)?,
            Icmpv6Message::MldQuery(query) => self.query_in(now, arrival, received, &query)?,
            _ if source.is_unspecified() => return Err(DropReason::IpBadSource),
            Icmpv6Message::EchoRequest { identifier, sequence, data } => {
                let reply = Icmpv6Message::EchoReply { identifier, sequence, data };
                self.echo_v6(now, arrival, received, &reply)?;
            }
            Icmpv6Message::EchoReply { identifier, sequence, data } => {
                self.echo_answered(received, identifier, sequence, data)?;
            }
            Icmpv6Message::Error { kind, quote } => self.error_in(now, received, kind, &quoted_v6(quote)?)?,
            Icmpv6Message::ParameterProblem { parameter, pointer, quote } => {
                let kind = match parameter {
                    Icmpv6Parameter::NextHeader => IcmpErrorKind::ProtocolUnreachable,
                    Icmpv6Parameter::HeaderField
                    | Icmpv6Parameter::Option
                    | Icmpv6Parameter::IncompleteHeaderChain => IcmpErrorKind::ParameterProblem { pointer },
                };
                self.error_in(now, received, kind, &quoted_v6(quote)?)?;
            }
            // [4443-05]
            Icmpv6Message::Other { .. } => return Err(DropReason::IcmpUnknownType),
        }
        Ok(Input::Consumed)
    }

    /// Answers with the asked address as the source [1122-I067], and with the options that ask for the way, which
    /// this host adds itself to [1122-I070].
    fn echo_v4(
        &mut self,
        now: Instant,
        arrival: &Arrival<'_>,
        received: &Received<'_>,
        options: &[u8],
        reply: &Icmpv4Message<'_>,
    ) -> Result<(), DropReason> {
        let path = self
            .path_back(Some(arrival.interface), Some(received.destination), received.source)
            .map_err(|_| DropReason::IpNoRoute)?;
        let mut options = match Ipv4Options::parse(options) {
            Ok(found) if found.has_record => options.to_vec(),
            Ok(_) | Err(_) => Vec::new(),
        };
        if let IpAddr::V4(us) = received.destination {
            let [.., a, b, c, d] = now.as_millis().to_be_bytes();
            Ipv4Options::record(&mut options, us, u32::from_be_bytes([a, b, c, d]));
        }
        let send = self.reply_to(received, path.source, Protocol::ICMP);
        self.send_with_options(&send, &path, &options, &[&reply.to_header(), reply.tail()])
            .map_err(reason_of)?;
        self.counters.echo_requests_answered.increment();
        Ok(())
    }

    /// Answers with the asked address [4443-18], or with one of ours if a group was asked [4443-02] [4443-19]; the
    /// latter under the limit of errors, since one question gets many answers.
    fn echo_v6(
        &mut self,
        now: Instant,
        arrival: &Arrival<'_>,
        received: &Received<'_>,
        reply: &Icmpv6Message<'_>,
    ) -> Result<(), DropReason> {
        let asked = (received.cast == CastKind::Unicast).then_some(received.destination);
        if asked.is_none() && !self.error_limit.take(now) {
            return Err(DropReason::IcmpRateLimited);
        }
        let path = self
            .path_back(Some(arrival.interface), asked, received.source)
            .map_err(|_| DropReason::IpNoRoute)?;
        let (IpAddr::V6(source), IpAddr::V6(destination)) = (path.source, received.source) else {
            return Err(DropReason::IpNoRoute);
        };
        let send = self.reply_to(received, path.source, Protocol::ICMPV6);
        // [4443-17]
        let header = reply.to_header(source, destination);
        self.send(now, &send, &path, &[&header, reply.tail()]).map_err(reason_of)?;
        self.counters.echo_requests_answered.increment();
        Ok(())
    }

    fn reply_to(&self, received: &Received<'_>, source: IpAddr, protocol: Protocol) -> IpSend {
        const ECN: u8 = 0b11;
        IpSend {
            source,
            destination: received.source,
            protocol,
            hop_limit: None,
            // The class of service comes back; what the way said about congestion does not.
            traffic_class: received.traffic_class & !ECN,
            dont_fragment: false,
        }
    }

    fn echo_answered(
        &mut self,
        received: &Received<'_>,
        identifier: u16,
        sequence: u16,
        data: &[u8],
    ) -> Result<(), DropReason> {
        if received.cast != CastKind::Unicast {
            return Err(DropReason::IcmpUnexpected);
        }
        let asked = (identifier, sequence);
        if self.echo_reply(received.destination, received.source, asked, received.hop_limit, data) {
            return Ok(());
        }
        self.push_event(InternetEvent::EchoReply {
            source: received.source,
            destination: received.destination,
            identifier,
            sequence,
            hop_limit: received.hop_limit,
            payload: data.to_vec(),
        });
        Ok(())
    }

    /// An error about a packet that we seem to have sent: the path's MTU is learned here, the rest is the transport's
    /// [1122-I049] [1122-I059] [1122-I061] [4443-07] [4443-12] [4443-13] [4443-15].
    fn error_in(
        &mut self,
        now: Instant,
        received: &Received<'_>,
        kind: IcmpErrorKind,
        quoted: &Quoted<'_>,
    ) -> Result<(), DropReason> {
        if received.cast != CastKind::Unicast || !self.may_send_from(quoted.source) {
            return Err(DropReason::IcmpUnexpected);
        }
        let mut kind = kind;
        if let IcmpErrorKind::PacketTooBig { mtu } = kind {
            kind = self.learn_mtu(now, quoted, mtu)?;
        }
        self.counters.icmp_errors_received.increment();
        let quote = quoted.upper.get(..OwnedIcmpError::MAX_QUOTE).unwrap_or(quoted.upper);
        let error = OwnedIcmpError {
            kind,
            reporter: received.source,
            source: quoted.source,
            destination: quoted.destination,
            protocol: quoted.protocol,
            quote: quote.to_vec(),
        };
        self.echo_error(&error);
        self.push_event(InternetEvent::IcmpError(error));
        Ok(())
    }

    /// Remembers a path's MTU, by RFC 1191 3 or RFC 8201 4, and gives the error with the MTU that counts from now on.
    ///
    /// The quote is all there is to verify here; that what it says was really sent, only the transport knows.
    fn learn_mtu(
        &mut self,
        now: Instant,
        quoted: &Quoted<'_>,
        told: Option<u16>,
    ) -> Result<IcmpErrorKind, DropReason> {
        let (smallest, floor) = match quoted.destination {
            IpAddr::V4(_) => (MIN_MTU_V4, self.config.min_path_mtu4.max(MIN_MTU_V4)),
            // [8201-03]
            IpAddr::V6(_) => (MIN_MTU_V6, MIN_MTU_V6),
        };
        let claimed = match told {
            Some(mtu) if mtu < smallest => return Err(DropReason::IcmpUnexpected),
            Some(mtu) => mtu,
            // [1191-03]
            None => plateau_below(quoted.total_len),
        };
        // [8201-04] a packet that was not longer than that cannot have been too long.
        if usize::from(claimed) >= quoted.total_len {
            return Err(DropReason::IcmpUnexpected);
        }
        // [1191-01]
        let mtu = claimed.max(floor);
        let path =
            self.path(Some(quoted.source), quoted.destination).map_err(|_| DropReason::IcmpUnexpected)?;
        if mtu < path.mtu && self.destinations.lower_mtu(now, quoted.destination, mtu) {
            self.counters.path_mtu_lowered.increment();
        }
        Ok(IcmpErrorKind::PacketTooBig { mtu: Some(mtu.min(path.mtu)) })
    }

    /// A redirect, to a host or to a network, which is taken as to the host [1122-I053] [1122-I054] [1122-I097], if it
    /// comes from the gateway in use and names a neighbour [1122-I055].
    fn redirect_v4(
        &mut self,
        now: Instant,
        arrival: &Arrival<'_>,
        received: &Received<'_>,
        gateway: IpAddr,
        quoted: &Quoted<'_>,
    ) -> Result<(), DropReason> {
        if !self.config.accept_redirects || self.config.forwarding {
            return Err(DropReason::IcmpBadRedirect);
        }
        let in_use = NextHop::Neighbor { interface: arrival.interface, address: received.source };
        let path = self.path(Some(quoted.source), quoted.destination);
        let is_from_gateway =
            received.source != quoted.destination && path.is_ok_and(|path| path.next_hop == in_use);
        let is_neighbor = !self.is_local(gateway)
            && !self.is_broadcast(arrival.interface, gateway)
            && self
                .addresses
                .iter()
                .any(|entry| entry.interface == arrival.interface && entry.cidr.contains(gateway));
        if received.cast != CastKind::Unicast || !is_from_gateway || !is_neighbor {
            return Err(DropReason::IcmpBadRedirect);
        }
        self.destinations.redirect(now, quoted.destination, (arrival.interface, gateway));
        self.counters.redirects_followed.increment();
        Ok(())
    }
}

/// The largest MTU that a link really has below a packet's length.
fn plateau_below(total_len: usize) -> u16 {
    PLATEAUS.into_iter().find(|&plateau| usize::from(plateau) < total_len).unwrap_or(MIN_MTU_V4)
}

fn quoted_v4(quote: &[u8]) -> Result<Quoted<'_>, DropReason> {
    let packet = Ipv4Packet::parse_quoted(quote).map_err(reason_of_parse)?;
    // RFC 792 promises 64 bits of the transport's header; a later fragment has none of it.
    if packet.payload.len() < 8 || packet.header.fragment_offset != 0 {
        return Err(DropReason::IcmpTruncated);
    }
    let total_len = match packet.header_bytes {
        [_, _, high, low, ..] => usize::from(u16::from_be_bytes([*high, *low])),
        _ => 0,
    };
    Ok(Quoted {
        source: packet.header.source.into(),
        destination: packet.header.destination.into(),
        protocol: packet.header.protocol,
        total_len,
        upper: packet.payload,
    })
}

fn quoted_v6(quote: &[u8]) -> Result<Quoted<'_>, DropReason> {
    let packet = Ipv6Packet::parse_quoted(quote).map_err(reason_of_parse)?;
    let mut chain = Ipv6Chain::new(quote, packet.header.next_header);
    while let Some(extension) = chain.advance().map_err(|_| DropReason::IcmpTruncated)? {
        if matches!(extension, Ipv6Extension::Fragment(header) if header.offset != 0) {
            return Err(DropReason::IcmpTruncated);
        }
    }
    let total_len = match packet.header_bytes {
        [_, _, _, _, high, low, ..] => {
            usize::from(u16::from_be_bytes([*high, *low])) + packet.header_bytes.len()
        }
        _ => 0,
    };
    if chain.rest().len() < 8 {
        return Err(DropReason::IcmpTruncated);
    }
    Ok(Quoted {
        source: packet.header.source.into(),
        destination: packet.header.destination.into(),
        protocol: chain.next_header(),
        total_len,
        upper: chain.rest(),
    })
}

fn reason_of_parse(error: ParseError) -> DropReason {
    if error == ParseError::BadChecksum {
        DropReason::IcmpBadChecksum
    } else if matches!(error, ParseError::BadValue | ParseError::BadVersion) {
        DropReason::IcmpUnknownType
    } else {
        DropReason::IcmpTruncated
    }
}
