//! Packets for others, when forwarding is on (RFC 1812 5, RFC 8200).
//!
//! # Theory of operation
//! [`Internet::input`] finds the way and makes the packet one hop older, in a copy of its own; the caller may look at it
//! and gives it back to [`Internet::queue_forward`], which cuts it if the way out takes less and queues it. What a device
//! left unfinished in a packet (a checksum, a super-segment) is asked of the device that it goes out by.
//!
//! # Not here
//! Redirects and router advertisements are not sent, groups and directed broadcasts are not forwarded, source routes
//! are not followed.

use core::net::{IpAddr, Ipv4Addr};

use netloom_base::{DropReason, Instant, InterfaceId, NextHop, RxChecksum, RxMeta, TxChecksum, TxMeta};
use netloom_wire::{
    CastKind, Checksum, IcmpErrorKind, Ipv4Options, Ipv4Packet, Ipv6Chain, Ipv6Extension, Ipv6Packet,
    Protocol,
};

use crate::culprit::{Culprit, Problem};
use crate::internet::{Internet, is_link_local};
use crate::output::{fragment_v4, refresh_ipv4_checksum};
use crate::packet::{Arrival, Forward, Input};

/// Where the IPv4 header has its TTL and the IPv6 header its hop limit.
const TTL_AT: usize = 8;
const HOP_LIMIT_AT: usize = 7;

/// The largest header that a transport puts before its data, plus IP's: what a part of a super-segment may add.
const TCP_DATA_OFFSET_AT: usize = 12;

impl Internet {
    pub(crate) fn forward_v4<'a>(
        &mut self,
        now: Instant,
        arrival: &Arrival<'a>,
        packet: &Ipv4Packet<'a>,
        bytes: &'a [u8],
    ) -> Result<Input<'a>, DropReason> {
        let header = &packet.header;
        let (source, destination) = (header.source.into(), header.destination.into());
        self.check_forwardable(arrival, source, destination)?;
        let culprit = Culprit { packet: bytes, cast: CastKind::Unicast, interface: Some(arrival.interface) };
        let options = self.check_options(now, packet.options, &culprit)?;
        let (interface, next_hop) = self.way_out(now, destination, header.ttl, &culprit)?;
        let mut copy = bytes.to_vec();
        // [1812-17] [791-03]
        if let Some(ttl) = copy.get_mut(TTL_AT) {
            *ttl = ttl.saturating_sub(1);
        }
        let header_len = packet.header_bytes.len();
        if options.has_record {
            let us = self.select_source(interface, next_hop, next_hop);
            let us = match us {
                Some(IpAddr::V4(us)) => us,
                Some(IpAddr::V6(_)) | None => Ipv4Addr::UNSPECIFIED,
            };
            let [.., a, b, c, d] = now.as_millis().to_be_bytes();
            if let Some(options) = copy.get_mut(netloom_wire::IPV4_HEADER_LEN..header_len) {
                Ipv4Options::record(options, us, u32::from_be_bytes([a, b, c, d]));
            }
        }
        // [791-04]
        if let Some(header) = copy.get_mut(..header_len) {
            refresh_ipv4_checksum(header);
        }
        let is_whole = !header.is_fragment();
        let meta = finish_checksum(
            &mut copy,
            header_len,
            source,
            destination,
            header.protocol,
            is_whole,
            arrival.meta,
        );
        let mtu = self.mtu_of(interface);
        let parts_len = part_len(&copy, header_len, header.protocol, &meta);
        if parts_len > usize::from(mtu) && header.dont_fragment {
            // [792-03] [1812-16]
            self.report(now, IcmpErrorKind::PacketTooBig { mtu: Some(mtu) }.into(), &culprit);
            return Err(DropReason::IpPacketTooBig);
        }
        let arrived_on = arrival.interface;
        Ok(Input::Forward(Forward { arrived_on, interface, next_hop, mtu, meta, packet: copy }))
    }

    pub(crate) fn forward_v6<'a>(
        &mut self,
        now: Instant,
        arrival: &Arrival<'a>,
        packet: &Ipv6Packet<'a>,
        bytes: &'a [u8],
    ) -> Result<Input<'a>, DropReason> {
        let header = &packet.header;
        let (source, destination) = (header.source.into(), header.destination.into());
        self.check_forwardable(arrival, source, destination)?;
        let culprit = Culprit { packet: bytes, cast: CastKind::Unicast, interface: Some(arrival.interface) };
        let (interface, next_hop) = self.way_out(now, destination, header.hop_limit, &culprit)?;
        let mut copy = bytes.to_vec();
        if let Some(hop_limit) = copy.get_mut(HOP_LIMIT_AT) {
            *hop_limit = hop_limit.saturating_sub(1);
        }
        let Upper { protocol, begins_at, is_whole } = upper_of(packet, bytes);
        let meta =
            finish_checksum(&mut copy, begins_at, source, destination, protocol, is_whole, arrival.meta);
        let mtu = self.mtu_of(interface);
        if part_len(&copy, begins_at, protocol, &meta) > usize::from(mtu) {
            // [4443-13]
            self.report(now, IcmpErrorKind::PacketTooBig { mtu: Some(mtu) }.into(), &culprit);
            return Err(DropReason::IpPacketTooBig);
        }
        let arrived_on = arrival.interface;
        Ok(Input::Forward(Forward { arrived_on, interface, next_hop, mtu, meta, packet: copy }))
    }

    /// Queues a packet that [`Input::Forward`] gave, in fragments if it is too long for the way out [1812-15].
    pub fn queue_forward(&mut self, _now: Instant, forward: Forward) -> Result<(), DropReason> {
        let Forward { arrived_on: _, interface, next_hop, mtu, meta, packet } = forward;
        let next_hop = NextHop::Neighbor { interface, address: next_hop };
        if packet.len() <= usize::from(mtu) || meta.gso.is_some() {
            self.transmit(next_hop, None, meta, packet)?;
        } else {
            let parsed = Ipv4Packet::parse(&packet).map_err(|_| DropReason::IpPacketTooBig)?;
            let parts = fragment_v4(&parsed.header, parsed.options, parsed.payload, usize::from(mtu));
            let bytes = parts.iter().map(Vec::len).sum();
            if !self.outbox.has_room(parts.len(), bytes) {
                return Err(DropReason::TransmitQueueFull);
            }
            self.counters.fragments_sent.add(parts.len() as u64);
            for part in parts {
                self.transmit(next_hop, None, TxMeta::default(), part)?;
            }
        }
        self.counters.packets_forwarded.increment();
        Ok(())
    }

    /// Refuses what no router forwards [1812-18] [1812-19].
    fn check_forwardable(
        &self,
        arrival: &Arrival<'_>,
        source: IpAddr,
        destination: IpAddr,
    ) -> Result<(), DropReason> {
        // [1122-I005]
        if !self.config.forwarding || arrival.interface == InterfaceId::LOOPBACK {
            return Err(DropReason::IpNotForUs);
        }
        if arrival.cast != CastKind::Unicast {
            return Err(DropReason::IpLinkBroadcast);
        }
        if source.is_unspecified() || is_link_local(source) {
            return Err(DropReason::IpBadSource);
        }
        if is_link_local(destination) {
            return Err(DropReason::IpBadDestination);
        }
        Ok(())
    }

    /// The interface and neighbour that a packet leaves by; complains if it is too old, or if there is none.
    fn way_out(
        &mut self,
        now: Instant,
        destination: IpAddr,
        hops_left: u8,
        culprit: &Culprit<'_>,
    ) -> Result<(InterfaceId, IpAddr), DropReason> {
        // [1812-17] [4443-14]
        if hops_left <= 1 {
            self.report(now, Problem::Kind(IcmpErrorKind::HopLimitExceeded), culprit);
            return Err(DropReason::IpTtlExceeded);
        }
        let Some(route) = self.routes.lookup(destination) else {
            // [1812-16]
            self.report(now, Problem::Kind(IcmpErrorKind::NetworkUnreachable), culprit);
            return Err(DropReason::IpNoRoute);
        };
        let (interface, next_hop) = (route.interface, route.next_hop(destination));
        // A directed broadcast of another of our networks would be multiplied there (RFC 2644).
        if self.is_broadcast(interface, destination) {
            return Err(DropReason::IpBadDestination);
        }
        Ok((interface, next_hop))
    }
}

/// Where a packet's transport begins.
struct Upper {
    protocol: Protocol,
    begins_at: usize,
    /// It is there as a whole, and not in fragments.
    is_whole: bool,
}

fn upper_of(packet: &Ipv6Packet<'_>, bytes: &[u8]) -> Upper {
    let mut chain = Ipv6Chain::new(bytes, packet.header.next_header);
    let mut is_whole = true;
    // Each step is at least eight bytes long, so this ends; a chain that breaks off leads to no transport.
    while let Ok(Some(extension)) = chain.advance() {
        is_whole &= !matches!(extension, Ipv6Extension::Fragment(header) if !header.is_atomic());
    }
    Upper { protocol: chain.next_header(), begins_at: chain.offset(), is_whole }
}

/// Length of the largest packet on the wire that the packet stands for.
pub(crate) fn part_len(packet: &[u8], header_len: usize, protocol: Protocol, meta: &TxMeta) -> usize {
    let Some(gso) = meta.gso else { return packet.len() };
    let transport_len = match protocol {
        Protocol::TCP => {
            packet.get(header_len + TCP_DATA_OFFSET_AT).map_or(0, |byte| usize::from(byte >> 4) * 4)
        }
        Protocol(_) => netloom_wire::UDP_HEADER_LEN,
    };
    (header_len + transport_len + usize::from(gso.segment_size.get())).min(packet.len())
}

/// Makes right what the device that received the packet may have left unfinished: a trusted checksum may be a sum of
/// the pseudo-header only. A super-segment goes on as one, to be finished by the device that cuts it.
fn finish_checksum(
    packet: &mut [u8],
    header_len: usize,
    source: IpAddr,
    destination: IpAddr,
    protocol: Protocol,
    is_whole: bool,
    meta: RxMeta,
) -> TxMeta {
    let field_at: u16 = match protocol {
        Protocol::TCP => 16,
        Protocol::UDP => 6,
        Protocol(_) => return TxMeta::default(),
    };
    if meta.checksum != RxChecksum::Trusted || !is_whole {
        return TxMeta::default();
    }
    let Some(transport) = packet.get_mut(header_len..) else { return TxMeta::default() };
    let len = transport.len();
    let place = usize::from(field_at)..usize::from(field_at) + 2;
    let Some(field) = transport.get_mut(place.clone()) else { return TxMeta::default() };
    let pseudo = Checksum::pseudo_header(source, destination, protocol, len);
    if meta.gso.is_some() {
        field.copy_from_slice(&pseudo.partial());
        let start = u16::try_from(header_len).unwrap_or(u16::MAX);
        return TxMeta { checksum: TxChecksum::Partial { start, offset: field_at }, gso: meta.gso };
    }
    field.fill(0);
    let mut checksum = pseudo;
    checksum.add(transport);
    let sum = match checksum.finish() {
        [0, 0] if protocol == Protocol::UDP => [0xff, 0xff],
        sum => sum,
    };
    if let Some(field) = transport.get_mut(place) {
        field.copy_from_slice(&sum);
    }
    TxMeta::default()
}
