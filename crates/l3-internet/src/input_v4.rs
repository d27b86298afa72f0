//! An IPv4 packet's way up (RFC 791, RFC 1122 3.2.1, RFC 1812 5.2).

use core::net::IpAddr;

use netloom_base::{DropReason, Instant};
use netloom_wire::{CastKind, IcmpErrorKind, Ipv4Options, Ipv4Packet, ParseError, Protocol};

use crate::addressee::Addressee;
use crate::culprit::{Culprit, strictest};
use crate::input::Received;
use crate::internet::{Internet, is_link_local};
use crate::packet::{Arrival, Input};
use crate::reassembly::{Fragment, FragmentHeader, FragmentKey};

impl Internet {
    pub(crate) fn input_v4<'a>(
        &mut self,
        now: Instant,
        arrival: Arrival<'a>,
    ) -> Result<Input<'a>, DropReason> {
        // [791-01] [1812-14] [1122-I010]
        let packet = Ipv4Packet::parse(arrival.packet).map_err(reason_of)?;
        // [791-04] [1122-I011] [1812-01]
        if !packet.checksum_is_valid() {
            return Err(DropReason::IpBadChecksum);
        }
        let header_len = packet.header_bytes.len();
        let bytes = arrival.packet.get(..header_len + packet.payload.len()).ok_or(DropReason::IpTruncated)?;
        let (source, destination) = (packet.header.source.into(), packet.header.destination.into());
        self.check_source(arrival.interface, source)?;
        let cast = match self.addressee(arrival.interface, destination)? {
            Addressee::Us(cast) => cast,
            Addressee::Other => return self.forward_v4(now, &arrival, &packet, bytes),
        };
        // [1122-I143]
        if arrival.cast != CastKind::Unicast && cast == CastKind::Unicast {
            return Err(DropReason::IpLinkBroadcast);
        }
        // TTL is not looked at: it has come here [1122-I022] [1812-02].
        let culprit = Culprit {
            packet: bytes,
            cast: strictest(arrival.cast, cast),
            interface: Some(arrival.interface),
        };
        self.check_options(now, packet.options, &culprit)?;
        if packet.header.is_fragment() {
            return self.fragment_in_v4(now, &arrival, &packet, bytes);
        }
        let received = Received {
            source,
            destination,
            cast,
            protocol: packet.header.protocol,
            hop_limit: packet.header.ttl,
            // [1122-I019]
            traffic_class: packet.header.traffic_class,
            payload: packet.payload,
            packet: bytes,
        };
        match received.protocol {
            Protocol::ICMP => self.icmp_v4_in(now, &arrival, &received, packet.options),
            Protocol(_) => Ok(self.deliver(&arrival, &received)),
        }
    }

    /// Refuses options that are malformed [1122-I060], and source routes [1122-I136]: this host is on nobody's
    /// route, and a source route that ends here is only good for passing filters.
    pub(crate) fn check_options(
        &mut self,
        now: Instant,
        options: &[u8],
        culprit: &Culprit<'_>,
    ) -> Result<Ipv4Options, DropReason> {
        if options.is_empty() {
            return Ok(Ipv4Options::default());
        }
        match Ipv4Options::parse(options) {
            Ok(options) if options.has_source_route => {
                self.report(now, IcmpErrorKind::SourceRouteFailed.into(), culprit);
                Err(DropReason::IpSourceRoute)
            }
            Ok(options) => Ok(options),
            Err(bad) => {
                // [792-05]
                let pointer = u32::from(bad.pointer);
                self.report(now, IcmpErrorKind::ParameterProblem { pointer }.into(), culprit);
                Err(DropReason::IpBadOption)
            }
        }
    }

    fn fragment_in_v4<'a>(
        &mut self,
        now: Instant,
        arrival: &Arrival<'a>,
        packet: &Ipv4Packet<'a>,
        bytes: &'a [u8],
    ) -> Result<Input<'a>, DropReason> {
        let header = &packet.header;
        let source = IpAddr::V4(header.source);
        let key = FragmentKey {
            source,
            destination: header.destination.into(),
            protocol: Some(header.protocol),
            identification: u32::from(header.identification),
            scope: is_link_local(source).then_some(arrival.interface),
        };
        let header_len = packet.header_bytes.len();
        let fragment = Fragment {
            packet: bytes,
            header_len,
            data_start: header_len,
            offset: header.fragment_offset,
            more: header.more_fragments,
            header: FragmentHeader::Ipv4,
        };
        self.reassemble(now, key, &fragment).map_err(DropReason::from)
    }
}

fn reason_of(error: ParseError) -> DropReason {
    if error == ParseError::BadVersion {
        DropReason::IpBadVersion
    } else if error == ParseError::BadLength {
        DropReason::IpBadHeaderLength
    } else {
        DropReason::IpTruncated
    }
}
