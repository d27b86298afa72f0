//! The scoreboard: what was sent and is not acknowledged, segment by segment, and what became of each (RFC 2018 5,
//! RFC 8985 5.2).
//!
//! # Theory of operation
//! Each transmission of text leaves a record [`SentSegment`]: its numbers, when it was last sent, and its [`Fate`]. A
//! super-segment is one record that knows how long its segments are, and counts as so many; where an acknowledgment or a
//! SACK block ends inside of it, it is split, at a segment's boundary for SACK. Records stand in the order of their numbers,
//! without gaps, from SND.UNA to SND.NXT.
//!
//! Beside them stands a queue of transmissions in the order of time. RACK's question, what was sent long enough ago, is
//! answered from its front, so that an acknowledgment costs what it changes and not what is in flight.
//!
//! # State
//! | RFC | field |
//! |---|---|
//! | Segment.xmit_ts, .retransmitted, .lost (RFC 8985 5.2) | `SentSegment` |
//! | pipe (RFC 6675 2) as bytes | `SND.NXT - SND.UNA - sacked_len - lost_len - assumed_len` |
//! | RACK.segs_sacked, in segments as they went over the path | `sacked_count` |
//!
//! # Limits
//! A record takes 24 bytes and a transmission 16; there are as many as segments fit the send window, plus four for each
//! SACK block that splits one.
//!
//! # Not here
//! When something counts as lost (`rack.rs`, `recovery.rs`).

use core::ops::{Deref, DerefMut};
use std::collections::VecDeque;

use netloom_base::Instant;
use netloom_wire::{SackBlocks, SeqNumber};

use super::reason::RetransmitCause;

mod ranges;

/// What became of a segment's last transmission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It may still arrive.
    InFlight,
    /// The peer has reported it by SACK.
    Sacked,
    /// It is taken for lost, and waits to be sent again.
    Lost,
}

/// What is known of a piece of what was sent. [8985-07]
#[derive(Clone, Copy, Debug)]
pub(super) struct SentSegment {
    pub(super) start: SeqNumber,
    pub(super) end: SeqNumber,
    /// When it was last sent, in nanoseconds. [8985-06]
    pub(super) sent_at: Instant,
    pub(super) fate: Fate,
    /// Why it has to be sent again, if it is lost.
    cause: RetransmitCause,
    /// Bytes of each segment of it as it was last sent, but for a shorter one at the end.
    part_len: u16,
    /// Whether it was ever sent again.
    pub(super) is_retransmitted: bool,
    /// Whether it was SACKed before a timeout made us forget that. [2018-10]
    was_sacked: bool,
}

impl SentSegment {
    pub(super) fn len(&self) -> u32 {
        self.start.distance_to(self.end)
    }

    /// Bytes of the longest segment that it went over the path as.
    pub(super) fn longest_part(&self) -> u32 {
        self.len().min(self.part_len.into())
    }

    /// As how many segments it went over the path. A single number behind whole segments is the FIN of the last of them; a
    /// byte there is too rare to be told from it.
    fn segment_count(&self) -> u32 {
        1 + self.len().saturating_sub(2) / u32::from(self.part_len)
    }
}

fn part(len: u32) -> u16 {
    u16::try_from(len).unwrap_or(u16::MAX).max(1)
}

/// One transmission, for the order of time.
#[derive(Clone, Copy, Debug)]
struct Transmission {
    sent_at: Instant,
    start: SeqNumber,
    end: SeqNumber,
}

/// What has to be sent again next: bytes that follow each other, lost for one cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LostRun {
    pub(super) start: SeqNumber,
    pub(super) end: SeqNumber,
    pub(super) cause: RetransmitCause,
}

/// What a pass over the oldest transmissions found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LossScan {
    /// Bytes that count as lost now and did not before.
    pub(super) lost_len: u32,
    /// When the oldest transmission that may only be late was sent.
    pub(super) waiting_since: Option<Instant>,
}

/// The scoreboard of a connection: it exists only while there is something to write down, and a little longer. One that
/// does not exist reads as an empty one.
#[derive(Clone, Debug, Default)]
pub(super) struct LazyScoreboard(Option<Box<Scoreboard>>);

impl LazyScoreboard {
    /// Forgets everything, and gives the memory back.
    pub(super) fn clear(&mut self) {
        self.0 = None;
    }

    /// Gives the memory of an empty one back.
    pub(super) fn release_if_empty(&mut self) {
        if self.is_empty() {
            self.clear();
        }
    }

    /// Bytes of memory.
    pub(super) fn allocated(&self) -> usize {
        self.0.as_ref().map_or(0, |board| size_of::<Scoreboard>() + board.queues_len())
    }
}

impl Deref for LazyScoreboard {
    type Target = Scoreboard;

    fn deref(&self) -> &Scoreboard {
        static EMPTY: Scoreboard = Scoreboard::new();
        self.0.as_deref().unwrap_or(&EMPTY)
    }
}

impl DerefMut for LazyScoreboard {
    fn deref_mut(&mut self) -> &mut Scoreboard {
        self.0.get_or_insert_default()
    }
}

/// The records of one connection.
#[derive(Clone, Debug)]
pub(super) struct Scoreboard {
    segments: VecDeque<SentSegment>,
    transmissions: VecDeque<Transmission>,
    sacked_len: u32,
    /// Segments, not records.
    sacked_count: u32,
    lost_len: u32,
    /// Bytes that have left the network as duplicate acknowledgments without SACK tell: which ones is not known.
    assumed_len: u32,
    /// Nothing before it is lost.
    lost_from: SeqNumber,
    /// The last acknowledgment's blocks: what they cover is marked already.
    known: SackBlocks,
}

impl Default for Scoreboard {
    fn default() -> Self {
        Self::new()
    }
}

impl Scoreboard {
    const fn new() -> Self {
        Self {
            segments: VecDeque::new(),
            transmissions: VecDeque::new(),
            sacked_len: 0,
            sacked_count: 0,
            lost_len: 0,
            assumed_len: 0,
            lost_from: SeqNumber(0),
            known: SackBlocks::new(),
        }
    }

    /// Bytes that are neither acknowledged nor taken for lost nor known to have arrived, of `outstanding`. What is lost RACK
    /// says, and not how much was SACKed above it as in RFC 6675. [8985-30]
    pub(super) const fn pipe(&self, outstanding: u32) -> u32 {
        outstanding
            .saturating_sub(self.sacked_len)
            .saturating_sub(self.lost_len)
            .saturating_sub(self.assumed_len)
    }

    pub(super) const fn sacked_len(&self) -> u32 {
        self.sacked_len
    }

    /// RACK.segs_sacked. [8985-01]
    pub(super) const fn sacked_count(&self) -> u32 {
        self.sacked_count
    }

    pub(super) const fn lost_len(&self) -> u32 {
        self.lost_len
    }

    /// The records, oldest number first.
    #[cfg(test)]
    fn segments(&self) -> impl ExactSizeIterator<Item = &SentSegment> + '_ {
        self.segments.iter()
    }

    /// `start .. end` is sent for the first time, in segments of `part_len` bytes. [8985-09]
    pub(super) fn on_sent(&mut self, now: Instant, start: SeqNumber, end: SeqNumber, part_len: u32) {
        self.segments.push_back(SentSegment {
            start,
            end,
            sent_at: now,
            fate: Fate::InFlight,
            cause: RetransmitCause::Timeout,
            part_len: part(part_len),
            is_retransmitted: false,
            was_sacked: false,
        });
        self.note_transmission(Transmission { sent_at: now, start, end });
    }

    /// `start .. end` is sent again, in segments of `part_len` bytes: it is in flight once more. [8985-09] [8985-25]
    pub(super) fn on_sent_again(&mut self, now: Instant, start: SeqNumber, end: SeqNumber, part_len: u32) {
        self.split_at(start);
        self.split_at(end);
        let first = self.index_of(start);
        let mut recovered_len = 0;
        for segment in self.segments.iter_mut().skip(first).take_while(|segment| segment.start.before(end)) {
            segment.is_retransmitted = true;
            if segment.fate == Fate::Sacked {
                continue;
            }
            if segment.fate == Fate::Lost {
                recovered_len += segment.len();
            }
            segment.fate = Fate::InFlight;
            segment.sent_at = now;
            segment.part_len = part(part_len);
        }
        self.lost_len -= recovered_len;
        if self.lost_from.at_or_after(start) {
            self.lost_from = self.lost_from.later_of(end);
        }
        self.note_transmission(Transmission { sent_at: now, start, end });
    }

    /// `start .. end` is sent again to make the peer speak, into a window that does not take it: nothing is known of its
    /// round trip any more, and whether it is lost stays as it is.
    pub(super) fn on_probed(&mut self, start: SeqNumber, end: SeqNumber) {
        let first = self.index_of(start);
        for segment in self.segments.iter_mut().skip(first).take_while(|segment| segment.start.before(end)) {
            segment.is_retransmitted = true;
        }
    }

    fn note_transmission(&mut self, transmission: Transmission) {
        // What is settled is swept out once it is as much as the rest: constant work a transmission.
        if self.transmissions.len() > 2 * self.segments.len() + 64 {
            self.order_by_time();
        }
        self.transmissions.push_back(transmission);
    }

    /// Makes the order of time anew from the records.
    fn order_by_time(&mut self) {
        self.transmissions.clear();
        self.transmissions.extend(
            self.segments
                .iter()
                .filter(|segment| segment.fate == Fate::InFlight)
                .map(|&SentSegment { start, end, sent_at, .. }| Transmission { sent_at, start, end }),
        );
        self.transmissions.make_contiguous().sort_by_key(|transmission| transmission.sent_at);
    }

    /// The first record that ends beyond `sequence`.
    fn index_of(&self, sequence: SeqNumber) -> usize {
        self.segments.partition_point(|segment| segment.end.at_or_before(sequence))
    }

    /// Makes a boundary between records at `sequence`, if it lies inside of one.
    fn split_at(&mut self, sequence: SeqNumber) {
        let index = self.index_of(sequence);
        let Some(segment) = self.segments.get_mut(index) else { return };
        if !segment.start.before(sequence) {
            return;
        }
        let rest = SentSegment { start: sequence, ..*segment };
        let whole_count = segment.segment_count();
        segment.end = sequence;
        if segment.fate == Fate::Sacked {
            let count = self.sacked_count + segment.segment_count() + rest.segment_count();
            self.sacked_count = count - whole_count;
        }
        self.segments.insert(index + 1, rest);
    }

    /// Everything before `acknowledgment` has arrived; `each` is told of what was not known to have.
    pub(super) fn acknowledge(&mut self, acknowledgment: SeqNumber, mut each: impl FnMut(&SentSegment)) {
        let mut acked_len = 0;
        while let Some(first) = self.segments.front_mut() {
            if !first.start.before(acknowledgment) {
                break;
            }
            let mut acked = *first;
            let mut sacked_count = acked.segment_count();
            if acked.end.after(acknowledgment) {
                acked.end = acknowledgment;
                first.start = acknowledgment;
                sacked_count -= first.segment_count();
            } else {
                self.segments.pop_front();
            }
            if acked.fate == Fate::Sacked {
                self.sacked_count -= sacked_count;
            }
            acked_len += acked.len();
            self.forget(acked, &mut each);
        }
        self.lost_from = self.lost_from.later_of(acknowledgment);
        self.assumed_len = self.assumed_len.saturating_sub(acked_len);
        if self.segments.is_empty() {
            self.transmissions.clear();
            self.known = SackBlocks::default();
            self.assumed_len = 0;
        }
    }

    fn forget(&mut self, acked: SentSegment, each: &mut impl FnMut(&SentSegment)) {
        match acked.fate {
            Fate::InFlight => {}
            Fate::Sacked => self.sacked_len -= acked.len(),
            Fate::Lost => self.lost_len -= acked.len(),
        }
        if acked.fate != Fate::Sacked && !acked.was_sacked {
            each(&acked);
        }
    }

    /// Whether the peer has dropped what it had SACKed: what begins the flight was reported, and yet is not
    /// acknowledged (RFC 2018 8).
    pub(super) fn has_reneged(&self) -> bool {
        self.segments.front().is_some_and(|first| first.fate == Fate::Sacked)
    }

    /// Takes the blocks of one acknowledgment, which lie between SND.UNA and SND.NXT and are sorted; `each` is told of
    /// what they report for the first time. [2018-09] [6675-06]
    pub(super) fn sack(&mut self, blocks: SackBlocks, mut each: impl FnMut(&SentSegment)) {
        for &(start, end) in blocks.as_slice() {
            // A block grows by a segment an acknowledgment: only what is new in it is looked at.
            let mut start = start;
            for &(known_start, known_end) in self.known.as_slice() {
                if known_start.at_or_before(start) {
                    start = start.later_of(known_end);
                }
            }
            if start.before(end) {
                self.sack_range(start, end, &mut each);
            }
        }
        self.known = blocks;
    }

    fn sack_range(&mut self, start: SeqNumber, end: SeqNumber, each: &mut impl FnMut(&SentSegment)) {
        let mut index = self.index_of(start);
        while let Some(&segment) = self.segments.get(index) {
            if !segment.start.before(end) {
                return;
            }
            index += 1;
            if segment.fate == Fate::Sacked {
                continue;
            }
            // Only whole segments of a super-segment count: nobody can split it into bytes.
            let part_len = u32::from(segment.part_len);
            let from = segment.start + segment.start.distance_to(start).div_ceil(part_len) * part_len;
            let until = if end.at_or_after(segment.end) {
                segment.end
            } else {
                segment.start + segment.start.distance_to(end) / part_len * part_len
            };
            if !from.before(until) {
                continue;
            }
            if from != segment.start {
                self.split_at(from);
                continue;
            }
            self.split_at(until);
            self.mark_sacked(index - 1, each);
        }
    }

    fn mark_sacked(&mut self, index: usize, each: &mut impl FnMut(&SentSegment)) {
        let Some(segment) = self.segments.get_mut(index) else { return };
        if segment.fate == Fate::Lost {
            self.lost_len -= segment.len();
        }
        segment.fate = Fate::Sacked;
        self.sacked_len += segment.len();
        self.sacked_count += segment.segment_count();
        if !segment.was_sacked {
            each(segment);
        }
    }

    /// Forgets what was SACKed: the peer may have dropped it. [2018-10] [2018-13]
    pub(super) fn forget_sacks(&mut self) {
        self.known = SackBlocks::default();
        if self.sacked_len == 0 {
            return;
        }
        for segment in self.segments.iter_mut().filter(|segment| segment.fate == Fate::Sacked) {
            segment.fate = Fate::InFlight;
            segment.was_sacked = true;
        }
        self.sacked_len = 0;
        self.sacked_count = 0;
        self.order_by_time();
    }

    /// A duplicate acknowledgment without SACK: one more segment has left the network.
    pub(super) fn assume_delivered(&mut self, len: u32, outstanding: u32) -> u32 {
        let most = self.pipe(outstanding).saturating_sub(1);
        let len = len.min(most);
        self.assumed_len += len;
        len
    }

    /// Bytes that duplicate acknowledgments have told of.
    pub(super) const fn assumed_len(&self) -> u32 {
        self.assumed_len
    }

    pub(super) const fn stop_assuming(&mut self) {
        self.assumed_len = 0;
    }

    fn mark_lost(&mut self, index: usize, cause: RetransmitCause) -> u32 {
        let Some(segment) = self.segments.get_mut(index) else { return 0 };
        if segment.fate != Fate::InFlight {
            return 0;
        }
        segment.fate = Fate::Lost;
        segment.cause = cause;
        let len = segment.len();
        let was_none = self.lost_len == 0;
        self.lost_len += len;
        self.lost_from = if was_none { segment.start } else { self.lost_from.earlier_of(segment.start) };
        len
    }

    /// Goes through what was sent before the transmission at `newest`, oldest first, and takes for lost what `is_lost`
    /// says was sent too long ago. [8985-14]
    pub(super) fn lose_older(
        &mut self,
        newest: (Instant, SeqNumber),
        is_lost: impl Fn(Instant) -> bool,
    ) -> LossScan {
        let mut scan = LossScan::default();
        let (newest_at, newest_end) = newest;
        while let Some(&transmission) = self.transmissions.front() {
            let Transmission { sent_at, start, end } = transmission;
            if sent_at > newest_at {
                break;
            }
            let is_lost = is_lost(sent_at);
            let mut is_settled = true;
            let mut index = self.index_of(start);
            while let Some(&segment) = self.segments.get(index).filter(|segment| segment.start.before(end)) {
                if segment.sent_at == sent_at && segment.fate == Fate::InFlight {
                    // Of one moment, the numbers tell the order: a super-segment's parts left one after another.
                    let is_older = sent_at < newest_at || segment.end.before(newest_end);
                    if is_older && is_lost {
                        scan.lost_len += self.mark_lost(index, RetransmitCause::Rack);
                    } else {
                        is_settled = false;
                        if is_older {
                            scan.waiting_since = Some(sent_at);
                            return scan;
                        }
                    }
                }
                index += 1;
            }
            if !is_settled {
                break;
            }
            self.transmissions.pop_front();
        }
        scan
    }

    /// Takes the first `smss` bytes of the flight for lost.
    pub(super) fn lose_first(&mut self, smss: u32, cause: RetransmitCause) -> u32 {
        let Some(&first) = self.segments.front() else { return 0 };
        if first.len() > smss {
            self.split_at(first.start + smss);
        }
        self.mark_lost(0, cause)
    }

    /// Takes for lost what is in flight and fulfils `is_lost`.
    pub(super) fn lose_where(
        &mut self,
        cause: RetransmitCause,
        is_lost: impl Fn(&SentSegment) -> bool,
    ) -> u32 {
        let mut lost_len = 0;
        for index in 0..self.segments.len() {
            if self.segments.get(index).is_some_and(&is_lost) {
                lost_len += self.mark_lost(index, cause);
            }
        }
        lost_len
    }

    /// Nothing was lost after all: it was late.
    pub(super) fn restore(&mut self) {
        for segment in self.segments.iter_mut().filter(|segment| segment.fate == Fate::Lost) {
            segment.fate = Fate::InFlight;
        }
        self.lost_len = 0;
        self.order_by_time();
    }

    /// What has to be sent again next, at most `limit` bytes.
    pub(super) fn next_lost(&self, limit: u32) -> Option<LostRun> {
        if self.lost_len == 0 {
            return None;
        }
        let mut lost = self
            .segments
            .iter()
            .skip(self.index_of(self.lost_from))
            .skip_while(|segment| segment.fate != Fate::Lost);
        let first = lost.next()?;
        let mut run = LostRun { start: first.start, end: first.end, cause: first.cause };
        for segment in lost {
            if segment.fate != Fate::Lost
                || segment.cause != run.cause
                || run.start.distance_to(run.end) >= limit
            {
                break;
            }
            run.end = segment.end;
        }
        Some(run)
    }

    /// Bytes of memory that the queues take.
    fn queues_len(&self) -> usize {
        self.segments.capacity() * size_of::<SentSegment>()
            + self.transmissions.capacity() * size_of::<Transmission>()
    }

    /// Bytes that were sent again and may still arrive. Walks the records.
    pub(super) fn retransmitted_len(&self) -> u32 {
        let is_meant = |it: &&SentSegment| it.is_retransmitted && it.fate == Fate::InFlight;
        self.segments.iter().filter(is_meant).map(SentSegment::len).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// The records lie one after another up to `snd_nxt`, and the sums are theirs.
    pub(super) fn assert_invariants(&self, snd_una: SeqNumber, snd_nxt: SeqNumber) {
        let (Some(first), Some(last)) = (self.segments.front(), self.segments.back()) else {
            debug_assert_eq!((self.sacked_len, self.lost_len, self.assumed_len), (0, 0, 0));
            return;
        };
        debug_assert_eq!(last.end, snd_nxt, "the records end at SND.NXT");
        debug_assert!(first.start.at_or_after(snd_una), "the records begin at SND.UNA");
        // Long flights are checked in samples, or debug builds would be quadratic.
        if self.segments.len() > 64 && !snd_una.0.is_multiple_of(64) {
            return;
        }
        let mut next = first.start;
        let (mut sacked, mut lost, mut count) = (0, 0, 0);
        for segment in &self.segments {
            debug_assert_eq!(segment.start, next, "no gap between records");
            debug_assert!(segment.start.before(segment.end), "no record is empty");
            next = segment.end;
            match segment.fate {
                Fate::InFlight => {}
                Fate::Sacked => {
                    sacked += segment.len();
                    count += segment.segment_count();
                }
                Fate::Lost => {
                    lost += segment.len();
                    debug_assert!(
                        segment.start.at_or_after(self.lost_from),
                        "nothing before `lost_from` is lost"
                    );
                }
            }
        }
        debug_assert_eq!((sacked, count, lost), (self.sacked_len, self.sacked_count, self.lost_len));
    }
}

#[cfg(test)]
mod tests;
