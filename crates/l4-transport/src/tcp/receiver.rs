//! The receiving half of a connection: window, reassembly, when to acknowledge.
//!
//! # State
//! ```text
//!       1          2          3
//!  ----------|----------|----------
//!         RCV.NXT    RCV.NXT
//!                   +RCV.WND           1 received  2 may come  3 must not come (RFC 9293 figure 4)
//! ```
//! | RFC | field |
//! |---|---|
//! | IRS | `irs` |
//! | RCV.NXT | `rcv_nxt` |
//! | RCV.NXT + RCV.WND, what the buffer allows to promise | `edge` |
//! | the furthest edge that the peer was ever told (RFC 7323 2.4) | `announced` |
//! | Rcv.Wind.Shift | `shift` |
//! | Last.ACK.sent | `last_ack_sent` |
//! | TS.Recent and when it was set | `ts_recent`, `ts_recent_at` |
//! | RCV.UP | `urgent_end` |
//!
//! `edge` never moves back [9293 SHLD-14], and moves on only by a segment or half the buffer [9293 MUST-39]. The window
//! field is rounded up to its scale, so that `announced` may pass `edge` by less than one unit of it; the buffer has that
//! much to spare.

use core::time::Duration;

use netloom_base::{BufferPool, ByteQueue, Instant, handed_in_size};
use netloom_wire::{SackBlocks, SeqNumber};

use super::ack_policy::AckPolicy;
use super::disorder::Disorder;
use super::window_tuner::WindowTuner;

mod timestamps;

/// What counts as a full segment until one has come: what every host can send.
const FIRST_SEGMENT_LEN: u16 = 536;

/// Segments that a window offers at most while memory is short.
const SHORT_WINDOW_SEGMENTS: u32 = 4;

/// Duplicate acknowledgments that a peer counts. [5681-18]
const DUPLICATE_THRESHOLD: u8 = 3;

/// Acknowledgments that may wait at once: one for each segment that came out of order, up to what a peer's fast
/// retransmit can use.
const MAX_PENDING_ACKS: u8 = 64;

/// Whether the peer is owed an acknowledgment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AckDue {
    /// No.
    None,
    /// Within the delayed-ACK time, or with the next data.
    Delayed,
    /// With the next data, or when whoever reads has had the time to send some.
    WithAnswer,
    /// At once, this many.
    Now(u8),
}

/// What became of a segment's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TextOutcome {
    /// RCV.NXT moved by so many bytes.
    InOrder(u32),
    /// It was kept for later; `is_elsewhere`: in another range than what came last.
    OutOfOrder { is_elsewhere: bool },
    /// There is no room for it.
    NoRoom,
}

/// The receiving half.
#[derive(Debug)]
pub(super) struct Receiver {
    pub(super) irs: SeqNumber,
    pub(super) rcv_nxt: SeqNumber,
    edge: SeqNumber,
    announced: SeqNumber,
    pub(super) last_ack_sent: SeqNumber,
    ts_recent: u32,
    /// `None`: there is none.
    ts_recent_at: Option<Instant>,
    pub(super) urgent_end: Option<SeqNumber>,
    /// Where the peer's FIN is, once it was seen.
    fin: Option<SeqNumber>,
    /// What has come in order and was not read.
    pub(super) queue: ByteQueue,
    disorder: Option<Box<Disorder>>,
    /// Whether the peer understands SACK. [2018-03]
    sacks: bool,
    /// The largest window that may ever be offered, in bytes.
    limit: u32,
    /// The largest window that is offered now.
    offered: u32,
    /// Widens `offered`, from the first text until it has come to `limit`.
    tuner: Option<Box<WindowTuner>>,
    /// Whether the memory that all connections share is short.
    pub(super) is_memory_short: bool,
    /// The MSS that we told the peer.
    pub(super) advertised_mss: u16,
    /// The largest segment that came: RMSS as RFC 1122 4.2.3.2 means it.
    segment_len: u32,
    pub(super) shift: u8,
    pub(super) ack_policy: AckPolicy,
    ack_due: AckDue,
    /// Acknowledgments owed for what came out of order since RCV.NXT moved.
    duplicate_acks: u8,
    /// Whether text is taken and forgotten: nobody will read it.
    pub(super) discards: bool,
}

fn length(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

impl Receiver {
    /// For a buffer of `limit` bytes, of which `offered` are offered from the start; the peer's SYN is not known yet.
    pub(super) fn new(limit: u32, offered: u32, advertised_mss: u16) -> Self {
        Self {
            irs: SeqNumber(0),
            rcv_nxt: SeqNumber(0),
            edge: SeqNumber(0),
            announced: SeqNumber(0),
            last_ack_sent: SeqNumber(0),
            ts_recent: 0,
            ts_recent_at: None,
            urgent_end: None,
            fin: None,
            queue: ByteQueue::default(),
            disorder: None,
            sacks: false,
            limit,
            offered: offered.min(limit),
            tuner: None,
            is_memory_short: false,
            advertised_mss,
            segment_len: u32::from(advertised_mss.min(FIRST_SEGMENT_LEN)),
            shift: 0,
            ack_policy: AckPolicy::new(),
            ack_due: AckDue::None,
            duplicate_acks: 0,
            discards: false,
        }
    }

    /// The peer's SYN came. `shift`, `sacks`: what was negotiated. What our SYN promised, or our SYN-ACK will, is never
    /// scaled. [7323-05] [7323-08]
    pub(super) fn synchronize(&mut self, irs: SeqNumber, shift: u8, sacks: bool) {
        self.irs = irs;
        self.shift = shift;
        self.sacks = sacks;
        self.limit = self.limit.min(u32::from(u16::MAX) << shift);
        self.offered = self.offered.min(self.limit);
        self.rcv_nxt = irs + 1;
        self.last_ack_sent = self.rcv_nxt;
        self.edge = self.rcv_nxt + self.syn_window();
        self.announced = self.edge;
    }

    fn syn_window(&self) -> u32 {
        self.offered.min(u16::MAX.into())
    }

    /// The window field of a SYN.
    pub(super) fn syn_window_field(&self) -> u16 {
        u16::try_from(self.syn_window()).unwrap_or(u16::MAX)
    }

    /// The window field of a SYN-ACK that acknowledges text: not scaled, as in any SYN. [7323-05]
    pub(super) fn announce_in_syn(&mut self) -> u16 {
        let possible = self.possible_edge().earlier_of(self.rcv_nxt + u32::from(u16::MAX));
        self.edge = self.edge.later_of(possible);
        self.announced = self.announced.later_of(self.edge);
        u16::try_from(self.rcv_nxt.distance_to(self.edge)).unwrap_or(u16::MAX)
    }

    /// Bytes from RCV.NXT on that the peer may send because it was told so once. [7323-14] [7323-15]
    pub(super) fn window(&self) -> u32 {
        self.rcv_nxt.distance_to(self.announced)
    }

    /// The largest window that may ever be offered.
    pub(super) const fn limit(&self) -> u32 {
        self.limit
    }

    /// The largest window that is offered now.
    pub(super) const fn offered(&self) -> u32 {
        self.offered
    }

    /// What widens it, if anything does.
    pub(super) fn tuner(&self) -> Option<&WindowTuner> {
        self.tuner.as_deref()
    }

    /// The window that is offered while nothing waits for the reader.
    fn widest(&self) -> u32 {
        if self.is_memory_short {
            self.offered.min(u32::from(self.advertised_mss) * SHORT_WINDOW_SEGMENTS)
        } else {
            self.offered
        }
    }

    /// How far the promise could go now.
    fn possible_edge(&self) -> SeqNumber {
        self.rcv_nxt + self.widest().saturating_sub(length(self.queue.len()))
    }

    /// Text came in order. `handshake`, `echo`: a round trip as the handshake measured it, and as this text does.
    pub(super) fn tune_on_text(&mut self, now: Instant, handshake: Option<Duration>, echo: Option<Duration>) {
        if self.offered >= self.limit {
            return;
        }
        let (announced, offered, mss) = (self.announced, self.offered, self.advertised_mss.into());
        let new = || Box::new(WindowTuner::new(now, handshake, announced, offered, mss));
        let tuner = self.tuner.get_or_insert_with(new);
        tuner.on_text(now, self.rcv_nxt, announced, echo);
    }

    /// Bytes up to the end of what is urgent that were not read yet, if there are any. [9293 MUST-33]
    pub(super) fn urgent_remaining(&self) -> Option<u32> {
        let unread = length(self.queue.len()) + u32::from(self.has_finished());
        let remaining = (self.rcv_nxt - unread).distance_to(self.urgent_end?);
        (remaining > 0).then_some(remaining)
    }

    /// What was urgent is no more once it was read; the pointer would mean something else half a number space later.
    fn forget_urgent(&mut self) {
        if self.urgent_remaining().is_none() {
            self.urgent_end = None;
        }
    }

    /// The reader has taken `len` bytes.
    pub(super) fn on_read(&mut self, now: Instant, len: usize) {
        self.forget_urgent();
        let Some(tuner) = &mut self.tuner else { return };
        if let Some(window) = tuner.on_read(now, length(len), self.advertised_mss.into()) {
            self.offered = self.offered.max(window.min(self.limit));
            if self.offered == self.limit {
                self.tuner = None;
            }
        }
    }

    /// A step of the window that is worth telling. [9293 MUST-39]
    fn worthwhile(&self) -> u32 {
        (self.widest() / 2).min(self.segment_len.max(self.advertised_mss.into())).max(1)
    }

    /// The window field of a segment that is about to be sent. [7323-10]
    pub(super) fn announce(&mut self) -> u16 {
        let possible = self.possible_edge();
        if self.edge.distance_to(possible) >= self.worthwhile() {
            self.edge = possible;
        }
        let unit = 1u32 << self.shift;
        let field = self.rcv_nxt.distance_to(self.edge).div_ceil(unit);
        let field = u16::try_from(field).unwrap_or(u16::MAX);
        self.announced = self.announced.later_of(self.rcv_nxt + (u32::from(field) << self.shift));
        field
    }

    /// The window field without a promise that goes further: for answers beside the stream.
    pub(super) fn window_field(&self) -> u16 {
        u16::try_from(self.window() >> self.shift).unwrap_or(u16::MAX)
    }

    /// Whether the reader has made so much room that the peer should hear of it.
    pub(super) fn window_update_is_due(&self) -> bool {
        let gain = self.announced.distance_to(self.possible_edge());
        let remaining = self.window();
        let worthwhile = self.worthwhile();
        if gain < worthwhile {
            return false;
        }
        remaining < worthwhile
            || gain >= self.widest() / 2
            || (remaining < self.widest() / 8 && gain >= worthwhile.saturating_mul(2))
    }

    /// Takes text whose first byte is `start`; what lies outside the window must be cut off already. `growth`: how many
    /// bytes of memory may be added.
    pub(super) fn take_text(
        &mut self,
        start: SeqNumber,
        text: &[u8],
        max_ranges: usize,
        growth: usize,
        buffers: &mut BufferPool,
    ) -> TextOutcome {
        let offset = self.rcv_nxt.distance_to(start) as usize;
        let room = self.room().saturating_sub(offset);
        let text = text.get(..room).unwrap_or(text);
        let text = if offset == 0 && !self.discards {
            text.get(..self.queue.fitting(text.len(), growth)).unwrap_or(text)
        } else {
            text
        };
        if text.is_empty() {
            return TextOutcome::NoRoom;
        }
        let missing = self.queue.missing(offset, text.len());
        let new = text.get(missing.clone()).unwrap_or_default();
        if offset == 0 {
            if self.discards {
                self.forget_urgent();
            } else {
                self.queue.append(new, buffers);
            }
            return self.on_in_order(new.len());
        }
        if !ByteQueue::fits_ahead(new.len(), growth) {
            return TextOutcome::NoRoom;
        }
        let Some(outcome) = self.note_out_of_order(start, text.len(), max_ranges) else {
            return TextOutcome::NoRoom;
        };
        if !self.discards {
            self.queue.write_ahead(offset + missing.start, new, growth, buffers);
        }
        outcome
    }

    /// Takes text without copying it, if that is possible: its buffer is handed in to the [queue](ByteQueue::fulfil) later. Tells
    /// the part that is to be handed in; what is not in it had come before. `size`: of the buffer, in bytes of memory; `growth`: by how
    /// much the queue may grow.
    pub(super) fn adopt_text<'a>(
        &mut self,
        start: SeqNumber,
        text: &'a [u8],
        max_ranges: usize,
        (size, growth): (usize, usize),
    ) -> Option<(TextOutcome, &'a [u8])> {
        let offset = self.rcv_nxt.distance_to(start) as usize;
        if self.discards || offset + text.len() > self.room() {
            return None;
        }
        let missing = self.queue.missing(offset, text.len());
        let new = text.get(missing.clone()).filter(|new| !new.is_empty())?;
        if handed_in_size(size, new.len()) > growth {
            return None;
        }
        let outcome = if offset == 0 {
            self.on_in_order(new.len())
        } else {
            self.note_out_of_order(start, text.len(), max_ranges)?
        };
        self.queue.promise(offset + missing.start, new.len(), size);
        Some((outcome, new))
    }

    /// Text of `len` bytes from `start` on waits for what is before it; `None` if that would be one run too many.
    /// [9293 SHLD-31]
    fn note_out_of_order(&mut self, start: SeqNumber, len: usize, max_ranges: usize) -> Option<TextOutcome> {
        let disorder = self.disorder.get_or_insert_default();
        let range = disorder.ranges.insert(start, start + length(len), max_ranges).ok()?;
        let is_elsewhere = self.sacks && disorder.report.note_range(range);
        Some(TextOutcome::OutOfOrder { is_elsewhere })
    }

    /// Bytes that may be here at most: the widest window, rounded up to its scale.
    fn capacity(&self) -> usize {
        self.limit as usize + (1 << self.shift)
    }

    /// Bytes beyond RCV.NXT that there may be room for.
    fn room(&self) -> usize {
        self.capacity().saturating_sub(self.queue.len())
    }

    /// RCV.NXT moves over `len` bytes of text, and over what has come behind them.
    fn on_in_order(&mut self, len: usize) -> TextOutcome {
        self.duplicate_acks = 0;
        let before = self.rcv_nxt;
        self.rcv_nxt = before + length(len);
        if let Some(disorder) = &mut self.disorder {
            self.rcv_nxt = disorder.ranges.advance(self.rcv_nxt);
            disorder.report.forget_before(self.rcv_nxt);
        }
        TextOutcome::InOrder(before.distance_to(self.rcv_nxt))
    }

    /// Bytes of memory.
    pub(super) fn allocated(&self) -> usize {
        let noted = self.disorder.as_ref().map_or(0, |disorder| disorder.allocated());
        self.queue.allocated() + self.queue.allocated_ahead() + noted
    }

    /// Bytes of memory that text at `start` adds to: what waits for a hole to be filled does not take the room of what fills it.
    pub(super) fn allocated_for(&self, start: SeqNumber) -> usize {
        let ahead = if start == self.rcv_nxt { 0 } else { self.queue.allocated_ahead() };
        self.queue.allocated() + ahead
    }

    /// Whether there is neither text to read nor text beyond a hole.
    pub(super) fn holds_nothing(&self) -> bool {
        self.queue.is_empty() && !self.has_hole()
    }

    /// Whether [`release_if_empty`](Self::release_if_empty) would give memory back.
    pub(super) fn is_wasteful(&self) -> bool {
        self.holds_nothing() && !self.is_released()
    }

    /// Whether it holds no memory beside itself.
    pub(super) fn is_released(&self) -> bool {
        self.queue.is_released() && self.disorder.is_none() && self.tuner.is_none()
    }

    /// Whether text has arrived beyond a hole.
    pub(super) fn has_hole(&self) -> bool {
        self.disorder.as_ref().is_some_and(|disorder| !disorder.ranges.is_empty())
    }

    /// Runs of text that wait for a hole before them.
    pub(super) fn range_count(&self) -> usize {
        self.disorder.as_ref().map_or(0, |disorder| disorder.ranges.len())
    }

    pub(super) fn forget_disorder(&mut self) {
        self.disorder = None;
        self.queue.drop_ahead();
    }

    /// Gives memory back that holds nothing.
    pub(super) fn release_if_empty(&mut self) {
        self.queue.release_if_empty();
        // A duplicate that no acknowledgment had room for is told no more once none is owed: the peer has gone on.
        let owes_none = self.ack_due == AckDue::None;
        self.disorder.take_if(|disorder| disorder.ranges.is_empty() && (owes_none || !disorder.has_blocks()));
        // What it has measured says little about what comes after a pause.
        self.tuner = None;
    }

    /// A segment from `start` up to `end` came: remembers the first part of it that had come before, if there is one, and
    /// says whether. [2883-01] [2883-04]
    pub(super) fn note_duplicate(&mut self, start: SeqNumber, end: SeqNumber) -> bool {
        if !self.sacks || !start.before(end) {
            return false;
        }
        let duplicate = if start.before(self.rcv_nxt) {
            (start, end.earlier_of(self.rcv_nxt))
        } else if let Some(known) = self.disorder.as_ref().and_then(|it| it.ranges.overlap(start, end)) {
            known
        } else {
            return false;
        };
        let disorder = self.disorder.get_or_insert_default();
        disorder.report.note_duplicate(duplicate);
        true
    }

    /// Whether there is something to report beyond RCV.NXT.
    pub(super) fn has_blocks(&self) -> bool {
        self.sacks && self.disorder.as_ref().is_some_and(|disorder| disorder.has_blocks())
    }

    /// The SACK blocks of a segment that is about to be sent, at most `capacity`, and whether a duplicate is the first.
    pub(super) fn take_blocks(&mut self, capacity: usize) -> (SackBlocks, bool) {
        let pending = match self.ack_due {
            AckDue::None | AckDue::Delayed | AckDue::WithAnswer => 1,
            AckDue::Now(pending) => pending,
        };
        let Some(disorder) = &mut self.disorder else { return (SackBlocks::default(), false) };
        disorder.report.take_blocks(&disorder.ranges, pending, capacity)
    }

    /// The peer's FIN was seen at `sequence`. A peer that contradicts itself is believed in what it said first: the FIN
    /// does not move, and there is none before text that has arrived.
    pub(super) fn note_fin(&mut self, sequence: SeqNumber) {
        let arrived = self.disorder.as_ref().and_then(|it| it.ranges.end()).unwrap_or(self.rcv_nxt);
        if self.fin.is_none() && sequence.at_or_after(arrived) {
            self.fin = Some(sequence);
        }
    }

    /// Where acceptable text ends: at the window's edge, or at the FIN.
    pub(super) fn text_end(&self) -> SeqNumber {
        self.fin.map_or(self.announced, |fin| fin.earlier_of(self.announced))
    }

    /// Steps over the FIN if all before it has arrived and it was not stepped over yet.
    pub(super) fn take_fin(&mut self) -> bool {
        if self.fin != Some(self.rcv_nxt) {
            return false;
        }
        self.rcv_nxt += 1;
        // Nothing comes after it.
        self.edge = self.edge.later_of(self.rcv_nxt);
        self.announced = self.announced.later_of(self.rcv_nxt);
        true
    }

    /// Whether the peer's FIN and everything before it has arrived.
    pub(super) fn has_finished(&self) -> bool {
        self.fin.is_some_and(|fin| fin.before(self.rcv_nxt))
    }

    /// Owes `count` acknowledgments more, at once. [5681-16]
    pub(super) fn owe_ack_now(&mut self, count: u8) {
        let pending = match self.ack_due {
            AckDue::None | AckDue::Delayed | AckDue::WithAnswer => 0,
            AckDue::Now(pending) => pending,
        };
        self.ack_due = AckDue::Now(pending.saturating_add(count).min(MAX_PENDING_ACKS));
    }

    /// Text of `count` segments came out of order. The first few are acknowledged one by one, as fast retransmit counts them,
    /// and so is each that goes elsewhere than the one before it, which no other acknowledgment may have room to report. What
    /// then only makes the same range longer is told together, once a batch. Without SACK the peer goes on counting.
    pub(super) fn owe_ack_for_disorder(&mut self, count: u32, is_elsewhere: bool) {
        let count = u8::try_from(count).unwrap_or(u8::MAX);
        if !self.sacks {
            self.owe_ack_now(count);
        } else if is_elsewhere || self.duplicate_acks < DUPLICATE_THRESHOLD {
            self.duplicate_acks = self.duplicate_acks.saturating_add(1);
            self.owe_ack_now(1);
        } else {
            self.owe_one_ack();
        }
    }

    /// Owes one acknowledgment at once, or what is owed already.
    pub(super) fn owe_one_ack(&mut self) {
        match self.ack_due {
            AckDue::None | AckDue::Delayed | AckDue::WithAnswer => self.ack_due = AckDue::Now(1),
            AckDue::Now(_) => {}
        }
    }

    /// Text in the peer's full segments, as far as they were seen.
    pub(super) const fn segment_len(&self) -> u32 {
        self.segment_len
    }

    /// Text came in order: decides whether its acknowledgment waits. `segment_len` is a segment's part of a
    /// super-segment.
    pub(super) fn owe_ack_for_text(&mut self, segment_len: u32, filled_gap: bool) {
        self.segment_len = self.segment_len.max(segment_len.min(self.advertised_mss.into()));
        // [5681-17] [9293 SHLD-19] [5681-31]: on a gap, with what comes after a full segment, and where the policy says so.
        // The second need not be full: a peer that waits for a flight of two takes its tail for lost.
        if filled_gap || !self.owes_one_segment() || self.ack_policy.is_quick() {
            self.owe_one_ack();
        } else if self.ack_due == AckDue::None {
            // [9293 SHLD-18] [5681-29]
            self.ack_due = AckDue::Delayed;
        }
    }

    /// Whether what waits for an acknowledgment is no longer than a full segment.
    pub(super) fn owes_one_segment(&self) -> bool {
        self.last_ack_sent.distance_to(self.rcv_nxt) <= self.segment_len
    }

    pub(super) const fn ack_due(&self) -> AckDue {
        self.ack_due
    }

    /// Whether the acknowledgment of text that has arrived up to `end` waits.
    pub(super) fn holds_back_ack_of(&self, end: SeqNumber) -> bool {
        self.ack_due == AckDue::Delayed && end.after(self.last_ack_sent) && end.at_or_before(self.rcv_nxt)
    }

    /// The delayed-ACK time is over.
    pub(super) fn stop_delaying(&mut self) {
        if self.ack_due == AckDue::Delayed {
            self.ack_due = AckDue::Now(1);
        }
    }

    /// The one acknowledgment that is owed may wait for an answer.
    pub(super) fn await_answer(&mut self) {
        if self.ack_due == AckDue::Now(1) {
            self.ack_due = AckDue::WithAnswer;
        }
    }

    /// Whether an acknowledgment still waited for an answer; it is owed at once now.
    pub(super) fn stop_awaiting_answer(&mut self) -> bool {
        let has_waited = self.ack_due == AckDue::WithAnswer;
        if has_waited {
            self.ack_due = AckDue::Now(1);
        }
        has_waited
    }

    /// A segment with RCV.NXT in it is on its way. [5681-32]
    pub(super) fn on_ack_sent(&mut self, now: Instant, carries_text: bool) {
        self.last_ack_sent = self.rcv_nxt;
        self.ack_due = match self.ack_due {
            AckDue::Now(count) if count > 1 => AckDue::Now(count - 1),
            AckDue::None | AckDue::Delayed | AckDue::WithAnswer | AckDue::Now(_) => AckDue::None,
        };
        if carries_text {
            self.ack_policy.on_text_sent(now);
        } else {
            self.ack_policy.on_ack_sent();
        }
    }

    /// Stops keeping text: what is there goes, and what comes is acknowledged and forgotten.
    pub(super) fn discard(&mut self) {
        self.discards = true;
        self.queue.clear();
    }

    /// Gives all memory back: the connection is over and nobody reads.
    pub(super) fn release(&mut self) {
        self.tuner = None;
        self.queue.clear();
        self.disorder = None;
    }

    pub(super) fn assert_invariants(&self) {
        debug_assert!(
            self.rcv_nxt.at_or_before(self.announced) || self.irs == self.rcv_nxt,
            "RCV.NXT is in the window"
        );
        let mut beyond_holes = 0;
        if let Some(disorder) = &self.disorder {
            disorder.ranges.assert_invariants(self.rcv_nxt);
            beyond_holes = disorder.ranges.iter().map(|(start, end)| start.distance_to(end)).sum();
        }
        debug_assert!(
            self.discards || self.queue.len_ahead() == beyond_holes as usize,
            "what is noted is here"
        );
    }
}

#[cfg(test)]
mod tests;
