//! Cutting a super-segment that goes on by a device that does not do it.
//!
//! *Theory of operation.* One device hands in a train of segments as one packet, and the way out takes only finished
//! ones. Each part gets the train's headers, its own lengths, IPv4 identification, TCP sequence number and checksum;
//! what is said once for the whole train (FIN and PSH; CWR, RFC 3168 6.1.2) stays at its end or its beginning.
//!
//! *Limits.* The parts of one train together are as long as the train and a header for each part.
//!
//! *Not here.* What this host sends itself: TCP makes no segments that a device does not take.

use core::net::IpAddr;

use netloom_base::{DeviceCaps, GsoKind, TxChecksum, TxMeta};
use netloom_wire::{Checksum, Ipv4Packet, Ipv6Packet, Protocol, TcpFlags, UDP_HEADER_LEN};

use crate::forwarding::part_len;
use crate::output::refresh_ipv4_checksum;
use crate::packet::Forward;

// Places in an IPv4 header (RFC 791 3.1), an IPv6 header (RFC 8200 3), TCP's (RFC 9293 3.1) and UDP's (RFC 768).
const TOTAL_LENGTH_AT: usize = 2;
const IDENTIFICATION_AT: usize = 4;
const PAYLOAD_LENGTH_AT: usize = 4;
const IPV6_HEADER_LEN: usize = 40;
const SEQUENCE_AT: usize = 4;
const DATA_OFFSET_AT: usize = 12;
const FLAGS_AT: usize = 13;
const TCP_CHECKSUM_AT: u16 = 16;
const UDP_LENGTH_AT: usize = 4;

impl Forward {
    /// Whether the device on the way out must be given finished segments: it cuts no such trains, or the parts have
    /// to be fragmented.
    pub fn must_be_cut(&self, caps: &DeviceCaps) -> bool {
        let Some(gso) = self.meta.gso else { return false };
        let is_cut_there = match gso.kind {
            GsoKind::Tcp4 => caps.tcp4_segmentation.is_some(),
            GsoKind::Tcp6 => caps.tcp6_segmentation.is_some(),
            GsoKind::Udp => caps.udp_segmentation,
        };
        let TxChecksum::Partial { start, .. } = self.meta.checksum else { return false };
        let protocol = if gso.kind == GsoKind::Udp { Protocol::UDP } else { Protocol::TCP };
        let longest = part_len(&self.packet, start.into(), protocol, &self.meta);
        !is_cut_there || longest > usize::from(self.mtu)
    }

    /// The segments of the train, finished; the packet as it is if it is none.
    pub fn into_segments(self) -> Vec<Self> {
        let Some(parts) = cut(&self.packet, self.meta) else { return vec![self] };
        parts.into_iter().map(|packet| Self { meta: TxMeta::default(), packet, ..self }).collect()
    }
}

fn cut(packet: &[u8], meta: TxMeta) -> Option<Vec<Vec<u8>>> {
    let gso = meta.gso?;
    let TxChecksum::Partial { start, offset } = meta.checksum else { return None };
    let start = usize::from(start);
    let is_tcp = offset == TCP_CHECKSUM_AT;
    let transport_len =
        if is_tcp { usize::from(packet.get(start + DATA_OFFSET_AT)? >> 4) * 4 } else { UDP_HEADER_LEN };
    let (headers, payload) = packet.split_at_checked(start + transport_len)?;
    let (source, destination) = addresses(packet)?;
    let size = usize::from(gso.segment_size.get());
    let last = payload.len().div_ceil(size).saturating_sub(1);
    let protocol = if is_tcp { Protocol::TCP } else { Protocol::UDP };
    let mut parts = Vec::with_capacity(last + 1);
    for (index, text) in payload.chunks(size).enumerate() {
        let mut part = [headers, text].concat();
        refresh_ip(&mut part, start, index)?;
        let transport = part.get_mut(start..)?;
        let len = transport.len();
        if is_tcp {
            refresh_tcp(transport, index * size, index == 0, index == last)?;
        } else {
            let length = u16::try_from(len).ok()?;
            transport.get_mut(UDP_LENGTH_AT..UDP_LENGTH_AT + 2)?.copy_from_slice(&length.to_be_bytes());
        }
        let place = usize::from(offset)..usize::from(offset) + 2;
        transport.get_mut(place.clone())?.fill(0);
        let mut checksum = Checksum::pseudo_header(source, destination, protocol, len);
        checksum.add(transport);
        let sum = match checksum.finish() {
            [0, 0] if !is_tcp => [0xff, 0xff],
            sum => sum,
        };
        transport.get_mut(place)?.copy_from_slice(&sum);
        parts.push(part);
    }
    (!parts.is_empty()).then_some(parts)
}

fn addresses(packet: &[u8]) -> Option<(IpAddr, IpAddr)> {
    if let Ok(parsed) = Ipv4Packet::parse(packet) {
        return Some((parsed.header.source.into(), parsed.header.destination.into()));
    }
    let parsed = Ipv6Packet::parse(packet).ok()?;
    Some((parsed.header.source.into(), parsed.header.destination.into()))
}

/// The part's own length, and on IPv4 its own identification.
fn refresh_ip(part: &mut [u8], header_len: usize, index: usize) -> Option<()> {
    let len = part.len();
    if part.first()? >> 4 == 6 {
        let length = u16::try_from(len - IPV6_HEADER_LEN).ok()?;
        part.get_mut(PAYLOAD_LENGTH_AT..PAYLOAD_LENGTH_AT + 2)?.copy_from_slice(&length.to_be_bytes());
        return Some(());
    }
    let length = u16::try_from(len).ok()?;
    part.get_mut(TOTAL_LENGTH_AT..TOTAL_LENGTH_AT + 2)?.copy_from_slice(&length.to_be_bytes());
    let field = part.get_mut(IDENTIFICATION_AT..IDENTIFICATION_AT + 2)?;
    let first = u16::from_be_bytes((*field).try_into().ok()?);
    let own = first.wrapping_add(u16::try_from(index).ok()?);
    field.copy_from_slice(&own.to_be_bytes());
    refresh_ipv4_checksum(part.get_mut(..header_len)?);
    Some(())
}

/// The part's own sequence number and flags.
fn refresh_tcp(header: &mut [u8], offset: usize, is_first: bool, is_last: bool) -> Option<()> {
    let field = header.get_mut(SEQUENCE_AT..SEQUENCE_AT + 4)?;
    let first = u32::from_be_bytes((*field).try_into().ok()?);
    let own = first.wrapping_add(u32::try_from(offset).ok()?);
    field.copy_from_slice(&own.to_be_bytes());
    let flags = header.get_mut(FLAGS_AT)?;
    if !is_first {
        *flags &= !TcpFlags::CWR.0;
    }
    if !is_last {
        *flags &= !(TcpFlags::FIN | TcpFlags::PSH).0;
    }
    Some(())
}
