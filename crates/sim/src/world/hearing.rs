//! What each end of a conversation has heard of the other, as the cables brought it: what a timeout is judged by.
//!
//! It is read from the frames that arrive, so it does not depend on what the stack makes of them.

use core::net::{IpAddr, SocketAddr};
use std::collections::BTreeMap;

use netloom_base::{Instant, Medium, RxChecksum, RxMeta};
use netloom_wire::{
    ETHERNET_HEADER_LEN, EtherType, Ipv4Packet, Ipv6Packet, Protocol, SeqNumber, TcpFlags, TcpHeader,
    TcpSegment,
};

use crate::conversation::Side;

/// Text in a segment that probes a shut window.
const PROBE_LEN: u32 = 1;

/// What one end has heard.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heard {
    /// When anything new came last: what was received before may be an echo of long ago, and tells nobody that the peer lives.
    /// At first, when the connection began.
    pub(crate) at: Instant,
    /// Where the furthest segment ended.
    received: Option<SeqNumber>,
    /// The latest timestamp.
    stamp: Option<u32>,
    /// The furthest acknowledgment.
    acknowledged: Option<SeqNumber>,
    /// By how many bits the peer means its windows to be shifted, and the largest of their fields but in SYNs.
    scale: Option<u8>,
    widest_field: u16,
    /// Where the furthest window ended.
    edge: Option<SeqNumber>,
    /// When something was acknowledged for the first time.
    pub(crate) acknowledged_at: Instant,
    /// The same, or when the peer has asked to wait.
    pub(crate) progress_at: Instant,
    /// Frames that all cables had lost by then.
    lost_before: u64,
    /// Frames that they have lost from then until the end was over.
    pub(crate) lost_since: u64,
    /// Whether it is: what comes later is nobody's.
    is_over: bool,
}

impl Heard {
    const fn new(now: Instant, lost: u64) -> Self {
        Self {
            at: now,
            received: None,
            stamp: None,
            acknowledged: None,
            scale: None,
            widest_field: 0,
            edge: None,
            acknowledged_at: now,
            progress_at: now,
            lost_before: lost,
            lost_since: 0,
            is_over: false,
        }
    }

    /// Whether the peer has acknowledged anything, the SYN to begin with.
    pub(crate) const fn is_acknowledged(&self) -> bool {
        self.acknowledged.is_some()
    }

    /// The widest window that the peer has offered after the SYNs, and the unit that it counts in; `peer`: what it has heard.
    pub(crate) fn widest_window(&self, peer: &Self) -> (u64, u64) {
        // Both must have said so (RFC 7323 2.2).
        let scale = self.scale.filter(|_| peer.scale.is_some()).unwrap_or(0);
        (u64::from(self.widest_field) << scale, 1 << scale)
    }

    /// What a segment says of the peer's window. It does so also when the user is done: what he has written may still go.
    /// `is_scaled`: whether the end has told the peer a scale, too.
    fn note_window(&mut self, header: &TcpHeader, is_scaled: bool) {
        if header.flags.contains(TcpFlags::RST) {
            return;
        }
        let mut scale = 0;
        if header.flags.contains(TcpFlags::SYN) {
            // The first is believed: another that answers a copy of a SYN may be no cookie, and say more.
            if self.received.is_none() {
                self.scale = header.options.window_scale;
            }
        } else {
            self.widest_field = self.widest_field.max(header.window);
            scale = self.scale.filter(|_| is_scaled).unwrap_or(0);
        }
        if header.flags.contains(TcpFlags::ACK) {
            let edge = header.acknowledgment + (u32::from(header.window) << scale);
            let is_further = self.edge.is_none_or(|before| before.before(edge));
            if is_further {
                self.edge = Some(edge);
            }
        }
    }

    /// By how many bytes text goes beyond all windows that the end has heard of, but for one that probes (RFC 9293 3.8.6.1).
    fn excess(&self, segment: &TcpSegment<'_>) -> u32 {
        let Some(edge) = self.edge.filter(|_| !segment.header.flags.contains(TcpFlags::SYN)) else {
            return 0;
        };
        let end = segment.header.sequence + u32::try_from(segment.payload.len()).unwrap_or(u32::MAX);
        let limit = edge + PROBE_LEN;
        if !segment.payload.is_empty() && end.after(limit) { limit.distance_to(end) } else { 0 }
    }

    /// A segment has arrived when the cables had lost `lost` frames.
    fn note(&mut self, now: Instant, lost: u64, segment: &TcpSegment<'_>) {
        let TcpHeader { sequence, flags, .. } = segment.header;
        // Who believes a reset is over, and who does not has heard nothing. What comes before the peer's SYN is dropped.
        let is_early = self.received.is_none() && !flags.contains(TcpFlags::SYN);
        if flags.contains(TcpFlags::RST) || is_early {
            return;
        }
        let numbers = u32::from(flags.contains(TcpFlags::SYN)) + u32::from(flags.contains(TcpFlags::FIN));
        let len = u32::try_from(segment.payload.len()).unwrap_or(u32::MAX) + numbers;
        let stamp = segment.header.options.timestamps.map(|it| it.value);
        // An acknowledgment that another has overtaken is dropped (RFC 7323 5.3). Text that is late may not be.
        if len == 0 && is_older(stamp, self.stamp) {
            return;
        }
        if !is_older(stamp, self.stamp) {
            self.stamp = stamp.or(self.stamp);
        }
        let is_next =
            |received: SeqNumber| (sequence + len).after(received) || len == 0 && sequence == received;
        let brings_news = self.received.is_none_or(is_next);
        if brings_news {
            self.received = Some(sequence + len);
            self.at = now;
        }
        // What lies before the window is dropped, and its acknowledgment with it (RFC 9293 3.10.7.4); but for a SYN that comes
        // again with one, where both have opened.
        let is_dropped = !brings_news && !flags.contains(TcpFlags::SYN);
        if !flags.contains(TcpFlags::ACK) || is_dropped {
            return;
        }
        let acknowledgment = segment.header.acknowledgment;
        let is_new = self.acknowledged.is_none_or(|before| before.before(acknowledgment));
        let is_shut = segment.header.window == 0 && self.acknowledged == Some(acknowledgment);
        if is_new {
            self.acknowledged_at = now;
        }
        if is_new || is_shut {
            self.acknowledged = Some(acknowledgment);
            self.progress_at = now;
            self.lost_before = lost;
        }
    }
}

/// Whether a timestamp is older than another, if there are both (RFC 7323 5.2).
fn is_older(stamp: Option<u32>, than: Option<u32>) -> bool {
    matches!((stamp, than), (Some(stamp), Some(than)) if SeqNumber(stamp).before(SeqNumber(than)))
}

/// What all ends have heard.
#[derive(Debug, Default)]
pub(super) struct Hearing {
    /// Which end hears what goes from the first address to the second.
    listeners: BTreeMap<(SocketAddr, SocketAddr), (usize, Side)>,
    heard: BTreeMap<(usize, Side), Heard>,
}

impl Hearing {
    /// A conversation begins between two addresses, when the cables have lost `lost` frames.
    pub(super) fn begin(
        &mut self,
        now: Instant,
        lost: u64,
        number: usize,
        client: SocketAddr,
        server: SocketAddr,
    ) {
        self.listeners.insert((server, client), (number, Side::Client));
        self.listeners.insert((client, server), (number, Side::Server));
        for side in [Side::Client, Side::Server] {
            self.heard.insert((number, side), Heard::new(now, lost));
        }
    }

    /// A frame arrives at the host of address `to`, if it is one; `lost`: how many frames the cables have lost, and of how many
    /// they have flipped a bit.
    pub(super) fn note(
        &mut self,
        now: Instant,
        medium: Medium,
        frame: &[u8],
        meta: RxMeta,
        lost: (u64, u64),
    ) {
        let Some((source, destination, bytes)) = text_of(medium, frame) else { return };
        let Ok(segment) = TcpSegment::parse(bytes) else { return };
        let path = path_of(source, destination, &segment.header);
        let Some(&(number, side)) = self.listeners.get(&path) else { return };
        let is_scaled = self.heard.get(&(number, side.other())).is_some_and(|peer| peer.scale.is_some());
        let Some(heard) = self.heard.get_mut(&(number, side)) else { return };
        let (lost, corrupted) = lost;
        // A device that joins segments has looked at their checksums.
        let is_sound = || {
            meta.checksum == RxChecksum::Trusted || TcpSegment::checksum_is_valid(bytes, source, destination)
        };
        if corrupted > 0 && !is_sound() {
            return;
        }
        heard.note_window(&segment.header, is_scaled);
        if !heard.is_over {
            heard.note(now, lost, &segment);
        }
    }

    /// Whose text goes beyond what its peer has offered it, and by how many bytes, if that of a frame about to be sent does.
    pub(super) fn excess(&self, medium: Medium, frame: &[u8]) -> Option<(usize, Side, u32)> {
        let (source, destination, bytes) = text_of(medium, frame)?;
        let segment = TcpSegment::parse(bytes).ok()?;
        let &(number, peer) = self.listeners.get(&path_of(source, destination, &segment.header))?;
        let side = peer.other();
        let excess = self.heard.get(&(number, side))?.excess(&segment);
        (excess > 0).then_some((number, side, excess))
    }

    /// Takes a scale that an end has heard of for none; whether there was one.
    #[cfg(test)]
    pub(super) fn mistake_scale(&mut self, number: usize, side: Side) -> bool {
        self.heard.get_mut(&(number, side)).is_some_and(|heard| heard.scale.take().is_some())
    }

    /// An end is over.
    pub(super) fn end(&mut self, number: usize, side: Side, lost: u64) {
        if let Some(heard) = self.heard.get_mut(&(number, side)) {
            heard.lost_since = lost.saturating_sub(heard.lost_before);
            heard.is_over = true;
        }
    }

    pub(super) fn of(&self, number: usize, side: Side) -> Option<&Heard> {
        self.heard.get(&(number, side))
    }
}

/// Between whom the TCP segment in a frame goes, if there is one.
pub(super) fn path_of_frame(medium: Medium, frame: &[u8]) -> Option<(SocketAddr, SocketAddr)> {
    let (source, destination, bytes) = text_of(medium, frame)?;
    let segment = TcpSegment::parse(bytes).ok()?;
    Some(path_of(source, destination, &segment.header))
}

const fn path_of(source: IpAddr, destination: IpAddr, header: &TcpHeader) -> (SocketAddr, SocketAddr) {
    (SocketAddr::new(source, header.source_port), SocketAddr::new(destination, header.destination_port))
}

/// The TCP segment in a frame, as bytes, with whom it goes from and to.
fn text_of(medium: Medium, frame: &[u8]) -> Option<(IpAddr, IpAddr, &[u8])> {
    let (packet, said) = match medium {
        Medium::Ethernet => {
            let (head, packet) = frame.split_at_checked(ETHERNET_HEADER_LEN)?;
            let said = u16::from_be_bytes(*head.last_chunk()?);
            (packet, Some(EtherType(said)))
        }
        Medium::Ip => (frame, None),
    };
    let version = packet.first()? >> 4;
    // What damage has made another protocol's is dropped, whatever is in it.
    let is_said = match said {
        Some(said) => said == if version == 6 { EtherType::IPV6 } else { EtherType::IPV4 },
        None => true,
    };
    match version {
        _ if !is_said => None,
        4 => {
            let it = Ipv4Packet::parse(packet).ok()?;
            let is_whole = !it.header.more_fragments && it.header.fragment_offset == 0;
            let is_tcp = it.header.protocol == Protocol::TCP && is_whole && it.checksum_is_valid();
            is_tcp.then_some((it.header.source.into(), it.header.destination.into(), it.payload))
        }
        6 => {
            let it = Ipv6Packet::parse(packet).ok()?;
            let is_tcp = it.header.next_header == Protocol::TCP;
            is_tcp.then_some((it.header.source.into(), it.header.destination.into(), it.payload))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use netloom_wire::{TcpOptions, TcpTimestamps};

    use super::*;

    #[test]
    fn the_first_syn_says_the_scale() {
        let mut heard = Heard::new(Instant::ZERO, 0);
        let mut note = |flags: TcpFlags, window_scale: Option<u8>, window: u16| {
            let header = TcpHeader {
                source_port: 80,
                destination_port: 1,
                sequence: SeqNumber(1),
                acknowledgment: SeqNumber(10),
                flags,
                window,
                urgent_pointer: 0,
                options: TcpOptions { window_scale, ..TcpOptions::default() },
            };
            heard.note_window(&header, true);
            heard.note(Instant::ZERO, 0, &TcpSegment { header, payload: b"" });
            (heard.widest_window(&Heard { scale: Some(0), ..heard }), heard.edge)
        };
        let syn_ack = TcpFlags::SYN | TcpFlags::ACK;
        assert_eq!(note(syn_ack, Some(2), 50_000), ((0, 4), Some(SeqNumber(50_010))));
        assert_eq!(note(syn_ack, None, 50_000), ((0, 4), Some(SeqNumber(50_010))));
        assert_eq!(note(TcpFlags::ACK, None, 30_000), ((120_000, 4), Some(SeqNumber(120_010))));
        assert_eq!(note(TcpFlags::ACK, None, 20_000), ((120_000, 4), Some(SeqNumber(120_010))));
    }

    #[test]
    fn an_acknowledgment_that_was_overtaken_is_not_heard() {
        let mut heard = Heard { received: Some(SeqNumber(100)), ..Heard::new(Instant::ZERO, 0) };
        let mut note = |seconds: u64, stamp: u32, payload: &[u8]| {
            let timestamps = Some(TcpTimestamps { value: stamp, echo_reply: 0 });
            let header = TcpHeader {
                source_port: 80,
                destination_port: 1,
                sequence: SeqNumber(100),
                acknowledgment: SeqNumber(10),
                flags: TcpFlags::ACK,
                window: 1000,
                urgent_pointer: 0,
                options: TcpOptions { timestamps, ..TcpOptions::default() },
            };
            heard.note(Instant::from_millis(seconds * 1000), 0, &TcpSegment { header, payload });
            heard.at
        };
        assert_eq!(note(1, 5, b""), Instant::from_millis(1000));
        assert_eq!(note(2, 5, b""), Instant::from_millis(2000));
        assert_eq!(note(3, 4, b""), Instant::from_millis(2000), "PAWS drops it");
        assert_eq!(note(4, 4, b"late text"), Instant::from_millis(4000), "it may be taken");
    }

    #[test]
    fn an_acknowledgment_that_comes_with_old_text_is_not_heard() {
        let mut heard = Heard { received: Some(SeqNumber(100)), ..Heard::new(Instant::ZERO, 0) };
        let mut note = |seconds: u64, sequence: u32, acknowledgment: u32| {
            let header = TcpHeader {
                source_port: 80,
                destination_port: 1,
                sequence: SeqNumber(sequence),
                acknowledgment: SeqNumber(acknowledgment),
                flags: TcpFlags::ACK,
                window: 1000,
                urgent_pointer: 0,
                options: TcpOptions::default(),
            };
            let now = Instant::from_millis(seconds * 1000);
            heard.note(now, 0, &TcpSegment { header, payload: b"text" });
            (heard.at, heard.acknowledged_at, heard.progress_at)
        };
        let first = Instant::from_millis(1000);
        assert_eq!(note(1, 100, 10), (first, first, first));
        assert_eq!(note(2, 100, 20), (first, first, first));
        let third = Instant::from_millis(3000);
        assert_eq!(note(3, 104, 20), (third, third, third));
    }
}
