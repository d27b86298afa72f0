//! What a device with offloads does between a stack and a wire: it finishes checksums, cuts super-segments, and joins
//! segments that come in a row.
//!
//! *Limits.* What is joined is an IP packet of at most 65,535 bytes.

#[cfg(test)]
mod tests;

use core::net::IpAddr;
use core::num::NonZeroU16;

use netloom_base::{Gso, GsoKind, Medium, RxChecksum, RxMeta, TxChecksum, TxMeta};
use netloom_wire::{
    Checksum, ETHERNET_HEADER_LEN, IPV4_HEADER_LEN, IPV6_HEADER_LEN, Ipv4Packet, Ipv6Packet, Protocol,
    TCP_HEADER_LEN, TcpFlags, TcpSegment,
};

/// Where a TCP header's fields are.
const SEQUENCE_AT: usize = 4;
const FLAGS_AT: usize = 13;
/// Where the checksum is in UDP's header.
const UDP_CHECKSUM_AT: usize = 6;
const CHECKSUM_AT: usize = 16;
/// The largest IP packet.
const MAX_PACKET_LEN: usize = 65_535;

/// Where the parts of a frame with a TCP segment are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Layout {
    source: IpAddr,
    destination: IpAddr,
    ip_at: usize,
    tcp_at: usize,
    payload_at: usize,
    end: usize,
    sequence: u32,
    flags: TcpFlags,
}

impl Layout {
    /// That of a frame that is a whole TCP segment under a plain IP header; the checksum of TCP is not looked at.
    fn of(medium: Medium, frame: &[u8]) -> Option<Self> {
        let ip_at = match medium {
            Medium::Ethernet => ETHERNET_HEADER_LEN,
            Medium::Ip => 0,
        };
        let packet = frame.get(ip_at..)?;
        let (source, destination, tcp_at, bytes): (IpAddr, IpAddr, usize, &[u8]) = match packet.first()? >> 4
        {
            4 => {
                let it = Ipv4Packet::parse(packet).ok()?;
                let is_plain = it.header.protocol == Protocol::TCP
                    && it.options.is_empty()
                    && it.checksum_is_valid()
                    && !it.header.more_fragments
                    && it.header.fragment_offset == 0;
                let ends = (it.header.source.into(), it.header.destination.into());
                is_plain.then_some((ends.0, ends.1, ip_at + IPV4_HEADER_LEN, it.payload))?
            }
            6 => {
                let it = Ipv6Packet::parse(packet).ok()?;
                let ends = (it.header.source.into(), it.header.destination.into());
                let is_plain = it.header.next_header == Protocol::TCP;
                is_plain.then_some((ends.0, ends.1, ip_at + IPV6_HEADER_LEN, it.payload))?
            }
            _ => return None,
        };
        let segment = TcpSegment::parse(bytes).ok()?;
        let end = tcp_at + bytes.len();
        let payload_at = end - segment.payload.len();
        let (sequence, flags) = (segment.header.sequence.0, segment.header.flags);
        Some(Self { source, destination, ip_at, tcp_at, payload_at, end, sequence, flags })
    }

    const fn payload_len(&self) -> usize {
        self.end - self.payload_at
    }

    fn has_good_checksum(&self, frame: &[u8]) -> bool {
        let segment = frame.get(self.tcp_at..self.end).unwrap_or_default();
        TcpSegment::checksum_is_valid(segment, self.source, self.destination)
    }
}

/// The frames that leave a device which is handed `frame` with `meta`.
pub fn cut(medium: Medium, meta: TxMeta, mut frame: Vec<u8>) -> Vec<Vec<u8>> {
    let layout = meta.gso.and_then(|gso| Some((gso, Layout::of(medium, &frame)?)));
    let Some((gso, layout)) = layout else {
        if let TxChecksum::Partial { start, offset } = meta.checksum {
            finish_checksum(&mut frame, start.into(), offset.into());
        }
        return vec![frame];
    };
    let (head, payload) = frame.split_at(layout.payload_at);
    let part_len = usize::from(gso.segment_size.get());
    let part_count = payload.len().div_ceil(part_len);
    let parts = payload.chunks(part_len).enumerate();
    parts.map(|(index, part)| cut_part(head, &layout, gso, (index, part_count), part)).collect()
}

/// One frame of a train: `head` made to fit `part`, which is number `index` of `part_count`.
fn cut_part(
    head: &[u8],
    layout: &Layout,
    gso: Gso,
    (index, part_count): (usize, usize),
    part: &[u8],
) -> Vec<u8> {
    let mut frame = [head, part].concat();
    let mut flags = layout.flags;
    if index + 1 < part_count {
        flags = flags.without(TcpFlags::FIN | TcpFlags::PSH);
    }
    if index > 0 && gso.ecn {
        flags = flags.without(TcpFlags::CWR);
    }
    let before = index * usize::from(gso.segment_size.get());
    let sequence = layout.sequence.wrapping_add(u32::try_from(before).unwrap_or(u32::MAX));
    put(&mut frame, layout.tcp_at + SEQUENCE_AT, &sequence.to_be_bytes());
    put(&mut frame, layout.tcp_at + FLAGS_AT, &[flags.0]);
    fit_ip_header(&mut frame, layout, u16::try_from(index).unwrap_or(u16::MAX));
    let segment = frame.get(layout.tcp_at..).unwrap_or_default();
    let mut sum = Checksum::pseudo_header(layout.source, layout.destination, Protocol::TCP, segment.len());
    // The field itself counts as zero.
    let (before, after) = segment.split_at(CHECKSUM_AT.min(segment.len()));
    sum.add(before);
    sum.add(after.get(2..).unwrap_or_default());
    put(&mut frame, layout.tcp_at + CHECKSUM_AT, &sum.finish());
    frame
}

/// Makes the lengths, the identification and the checksum of a frame's IP header fit; `index`: which part it is.
fn fit_ip_header(frame: &mut [u8], layout: &Layout, index: u16) {
    let packet_len = frame.len() - layout.ip_at;
    let at = layout.ip_at;
    if layout.source.is_ipv6() {
        let len = u16::try_from(packet_len - IPV6_HEADER_LEN).unwrap_or(u16::MAX);
        put(frame, at + 4, &len.to_be_bytes());
        return;
    }
    put(frame, at + 2, &u16::try_from(packet_len).unwrap_or(u16::MAX).to_be_bytes());
    let number = frame.get(at + 4..).and_then(|it| it.first_chunk()).copied().map_or(0, u16::from_be_bytes);
    put(frame, at + 4, &number.wrapping_add(index).to_be_bytes());
    put(frame, at + 10, &[0, 0]);
    let mut sum = Checksum::new();
    sum.add(frame.get(at..at + IPV4_HEADER_LEN).unwrap_or_default());
    put(frame, at + 10, &sum.finish());
}

/// Adds what is missing to a checksum that holds only the pseudo-header's sum.
fn finish_checksum(frame: &mut [u8], start: usize, offset: usize) {
    let mut sum = Checksum::new();
    sum.add(frame.get(start..).unwrap_or_default());
    let field = match sum.finish() {
        // It would say that there is none.
        [0, 0] if offset == UDP_CHECKSUM_AT => [0xff, 0xff],
        sum => sum,
    };
    put(frame, start + offset, &field);
}

fn put(frame: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(place) = frame.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

/// A train that may still grow.
struct Train {
    frame: Vec<u8>,
    layout: Layout,
    part_len: usize,
    count: usize,
    /// Whether nothing may follow: the last part was short, or asked to be handed on.
    is_closed: bool,
}

impl Train {
    /// A frame that others may join; gives it back if none can.
    fn begin(medium: Medium, mut frame: Vec<u8>) -> Result<Self, Vec<u8>> {
        let Some(layout) = Layout::of(medium, &frame) else { return Err(frame) };
        let is_alone = layout.flags.intersects(TcpFlags::SYN | TcpFlags::RST | TcpFlags::URG)
            || layout.payload_len() == 0
            || !layout.has_good_checksum(&frame);
        if is_alone {
            return Err(frame);
        }
        frame.truncate(layout.end);
        let is_closed = layout.flags.intersects(TcpFlags::FIN | TcpFlags::PSH);
        Ok(Self { part_len: layout.payload_len(), frame, layout, count: 1, is_closed })
    }

    /// Takes another in, or gives it back.
    fn join(&mut self, next: Self) -> Result<(), Self> {
        let expected = u32::try_from(self.layout.payload_len()).unwrap_or(u32::MAX);
        let is_next = !self.is_closed
            && next.layout.sequence == self.layout.sequence.wrapping_add(expected)
            && next.part_len <= self.part_len
            && !next.layout.flags.contains(TcpFlags::CWR)
            && self.frame.len() - self.layout.ip_at + next.part_len <= MAX_PACKET_LEN
            && has_same_head(self, &next);
        if !is_next {
            return Err(next);
        }
        self.frame.extend_from_slice(next.frame.get(next.layout.payload_at..).unwrap_or_default());
        self.layout.end = self.frame.len();
        let ends = next.layout.flags.0 & (TcpFlags::FIN | TcpFlags::PSH).0;
        self.layout.flags = self.layout.flags | TcpFlags(ends);
        self.is_closed = next.is_closed || next.part_len < self.part_len;
        self.count += 1;
        Ok(())
    }

    /// The frame as a stack gets it.
    fn finish(self) -> (Vec<u8>, RxMeta) {
        let Self { mut frame, layout, part_len, count, is_closed: _ } = self;
        let checksum = RxChecksum::Trusted;
        let segment_size = u16::try_from(part_len).ok().and_then(NonZeroU16::new);
        let Some(segment_size) = segment_size.filter(|_| count > 1) else {
            return (frame, RxMeta { checksum, gso: None });
        };
        put(&mut frame, layout.tcp_at + FLAGS_AT, &[layout.flags.0]);
        fit_ip_header(&mut frame, &layout, 0);
        let ecn = layout.flags.contains(TcpFlags::CWR);
        let gso = Gso { kind: GsoKind::tcp(layout.destination), segment_size, ecn };
        (frame, RxMeta { checksum, gso: Some(gso) })
    }
}

/// Whether two segments differ only in what parts of one train differ in.
fn has_same_head(first: &Train, next: &Train) -> bool {
    let (a, b) = (&first.layout, &next.layout);
    let heads = first.frame.get(..a.payload_at).zip(next.frame.get(..b.payload_at));
    let (Some((one, other)), true) = (heads, a.payload_at == b.payload_at) else { return false };
    let ip_skips: &[usize] = if a.source.is_ipv6() { &[4, 5] } else { &[2, 3, 4, 5, 10, 11] };
    let may_differ = |at: usize| {
        let in_tcp = at.checked_sub(a.tcp_at);
        in_tcp.is_some_and(|at| (SEQUENCE_AT..SEQUENCE_AT + 4).contains(&at) || at == FLAGS_AT)
            || in_tcp.is_some_and(|at| (CHECKSUM_AT..TCP_HEADER_LEN).contains(&at))
            || in_tcp.is_none() && at.checked_sub(a.ip_at).is_some_and(|at| ip_skips.contains(&at))
    };
    let ignored = TcpFlags::FIN | TcpFlags::PSH | TcpFlags::CWR;
    a.flags.without(ignored) == b.flags.without(ignored)
        && one.iter().zip(other).enumerate().all(|(at, (one, other))| one == other || may_differ(at))
}

/// What a device hands over that found `frames` at once: those that follow on each other as one.
pub fn join(medium: Medium, frames: Vec<Vec<u8>>) -> Vec<(Vec<u8>, RxMeta)> {
    let mut joined = Vec::with_capacity(frames.len());
    let mut train: Option<Train> = None;
    for frame in frames {
        let next = match Train::begin(medium, frame) {
            Ok(next) => next,
            Err(frame) => {
                joined.extend(train.take().map(Train::finish));
                joined.push((frame, RxMeta::default()));
                continue;
            }
        };
        train = match train {
            None => Some(next),
            Some(mut current) => match current.join(next) {
                Ok(()) => Some(current),
                Err(next) => {
                    joined.push(current.finish());
                    Some(next)
                }
            },
        };
    }
    joined.extend(train.map(Train::finish));
    joined
}
