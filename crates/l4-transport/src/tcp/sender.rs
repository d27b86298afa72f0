//! The sending half of a connection: what was written, sent, acknowledged, and is to be sent again.
//!
//! # State
//! ```text
//!       1         2          3          4
//!  ----------|----------|----------|----------
//!         SND.UNA    SND.NXT    SND.UNA
//!                              +SND.WND       1 acknowledged  2 in flight  3 may be sent  4 not yet (RFC 9293 figure 3)
//! ```
//! | RFC | field |
//! |---|---|
//! | ISS | `iss` |
//! | SND.UNA | `snd_una` |
//! | SND.NXT, the highest ever sent | `snd_nxt` |
//! | SND.WND, MAX.SND.WND in bytes | `snd_wnd`, `max_snd_wnd` |
//! | SND.WL1, SND.WL2 | `snd_wl1`, `snd_wl2` |
//! | SND.UP | `urgent_end` |
//! | Snd.Wind.Shift | `shift` |
//! | Eff.snd.MSS | `mss` |
//!
//! The queue holds what was written and not acknowledged; its first byte has the number `data_start`. A FIN has the
//! number after the last byte. What became of each segment in flight stands in `scoreboard`.

use netloom_base::{BufferPool, ByteQueue, Instant, SharedBytes};
use netloom_wire::SeqNumber;

use super::auto_cork::Corking;
use super::reason::SendBlockedBy;
use super::scoreboard::{LazyScoreboard, SentSegment};

/// Bytes that a socket takes for sending whatever the congestion window is: enough for a few super-segments.
const LEAST_SEND_BUFFER: u32 = 256 * 1024;

/// Bytes that a socket takes at most beyond what is in flight.
const MOST_AHEAD: u32 = 2 << 20;

/// Room that a writer is always told of.
const WORTHWHILE_ROOM: u32 = 128 << 10;

/// The sending half.
#[derive(Debug)]
pub(super) struct Sender {
    pub(super) iss: SeqNumber,
    pub(super) snd_una: SeqNumber,
    pub(super) snd_nxt: SeqNumber,
    pub(super) snd_wnd: u32,
    pub(super) max_snd_wnd: u32,
    pub(super) snd_wl1: SeqNumber,
    pub(super) snd_wl2: SeqNumber,
    data_start: SeqNumber,
    pub(super) urgent_end: Option<SeqNumber>,
    /// End of the last segment sent that was not full: Nagle holds the next such one until it is acknowledged.
    pub(super) small_end: SeqNumber,
    pub(super) scoreboard: LazyScoreboard,
    /// The end of a segment whose round trip is being measured, and when it left. [6298-09]
    timed_end: SeqNumber,
    timed_at: Option<Instant>,
    pub(super) last_sent_at: Instant,
    pub(super) queue: ByteQueue,
    limit: u32,
    /// Whether the user has said how much it holds: it does not follow the path then.
    is_fixed: bool,
    /// Bytes of text in a full segment.
    pub(super) mss: u32,
    pub(super) shift: u8,
    /// Whether the user has no more to send.
    pub(super) has_fin: bool,
    /// Whether the congestion window kept something back since the last acknowledgment.
    pub(super) is_window_limited: bool,
    /// Whether the last write left no room: more comes as soon as there is some.
    pub(super) is_full: bool,
    /// Whether more is most likely to be written within the round.
    pub(super) corking: Corking,
    /// Whether a writer waits for room.
    pub(super) is_writer_waiting: bool,
}

fn length(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

impl Sender {
    pub(super) fn new(iss: SeqNumber, limit: u32, is_fixed: bool, mss: u32) -> Self {
        Self {
            iss,
            snd_una: iss,
            // The SYN is as good as sent. [9293 3.10.1]
            snd_nxt: iss + 1,
            snd_wnd: 0,
            max_snd_wnd: 0,
            snd_wl1: SeqNumber(0),
            snd_wl2: SeqNumber(0),
            data_start: iss + 1,
            urgent_end: None,
            small_end: iss,
            scoreboard: LazyScoreboard::default(),
            timed_end: iss,
            timed_at: None,
            last_sent_at: Instant::ZERO,
            queue: ByteQueue::default(),
            limit,
            is_fixed,
            mss,
            shift: 0,
            has_fin: false,
            is_window_limited: false,
            is_full: false,
            corking: Corking::Off,
            is_writer_waiting: false,
        }
    }

    /// The number after the last byte written: the FIN's, if there is one.
    pub(super) fn data_end(&self) -> SeqNumber {
        self.data_start + length(self.queue.len())
    }

    /// The number after everything that there is to send.
    pub(super) fn end(&self) -> SeqNumber {
        self.data_end() + u32::from(self.has_fin)
    }

    /// Whether the FIN has been sent.
    pub(super) fn is_fin_sent(&self) -> bool {
        self.has_fin && self.snd_nxt.after(self.data_end())
    }

    /// Whether the FIN has been acknowledged.
    pub(super) fn is_fin_acked(&self) -> bool {
        self.has_fin && self.snd_una.after(self.data_end())
    }

    /// Whether the SYN has been acknowledged.
    pub(super) fn is_syn_acked(&self) -> bool {
        self.snd_una.after(self.iss)
    }

    /// Bytes written and not sent yet.
    pub(super) fn unsent_len(&self) -> u32 {
        self.snd_nxt.distance_to(self.data_end())
    }

    /// Whether something sent is not acknowledged.
    pub(super) fn is_outstanding(&self) -> bool {
        self.snd_una != self.snd_nxt
    }

    /// The number of a segment without text: SND.NXT, or the end of the peer's window where what was sent, a probe of a
    /// shut window, lies beyond it. A peer takes no acknowledgment from outside its window (RFC 9293 3.10.7.4, first). Where it is
    /// less than a unit of the window that lies beyond, the window has only lost its lowest bits, and the peer has taken what
    /// was sent: then the end lies before its window (RFC 7323 2.4). [7323-13]
    pub(super) fn acceptable_sequence(&self) -> SeqNumber {
        if self.snd_una == self.iss {
            // The SYN is not acknowledged: there is no window yet.
            return self.snd_nxt;
        }
        let edge = self.snd_una + self.snd_wnd;
        let is_beyond = self.snd_nxt.after(edge) && edge.distance_to(self.snd_nxt) >= 1 << self.shift;
        if is_beyond { edge } else { self.snd_nxt }
    }

    /// Bytes in flight: sent, not acknowledged, by SACK neither, and not known to be lost.
    pub(super) fn flight_len(&self) -> u32 {
        self.scoreboard.pipe(self.snd_una.distance_to(self.snd_nxt))
    }

    /// How many numbers from `from` on the peer's window takes. It may have shrunk. [9293 MUST-34]
    /// [7323-13]
    pub(super) fn window_from(&self, from: SeqNumber) -> u32 {
        from.distance_to(self.snd_una + self.snd_wnd)
    }

    /// Where byte `sequence` lies in the queue.
    pub(super) fn offset_of(&self, sequence: SeqNumber) -> u32 {
        self.data_start.distance_to(sequence)
    }

    /// Bytes that the socket takes while the congestion window is `window`: what is in flight, and as much more as the window
    /// can let go before the writer comes again. More would only lie in memory, and push what is in flight out of caches.
    fn capacity(&self, window: u32) -> u32 {
        if self.is_fixed {
            return self.limit;
        }
        let ahead = window.clamp(LEAST_SEND_BUFFER, MOST_AHEAD);
        self.snd_una.distance_to(self.snd_nxt).saturating_add(ahead).min(self.limit)
    }

    /// Bytes that may still be written.
    pub(super) fn room(&self, window: u32) -> u32 {
        self.capacity(window).saturating_sub(length(self.queue.len()))
    }

    /// What a last part of less than `limit` bytes waits for, if more is about to be written. As much as `limit` is in flight or
    /// was when it began to wait: what follows comes before the peer has nothing to do.
    pub(super) fn filler(&self, limit: u32) -> Option<SendBlockedBy> {
        if (!self.is_full && self.corking == Corking::Off) || self.has_fin || self.urgent_end.is_some() {
            return None;
        }
        let is_flying = self.flight_len() >= limit;
        if self.is_full && is_flying {
            Some(SendBlockedBy::Coalescing)
        } else {
            self.corking.holds(is_flying).then_some(SendBlockedBy::AutoCork)
        }
    }

    /// Whether a writer that waits should be told of the room there is: a third is worth it, and so are a few super-segments.
    pub(super) fn is_writable(&self, window: u32) -> bool {
        self.room(window) >= (self.capacity(window) / 3).min(WORTHWHILE_ROOM)
    }

    /// Takes as much of `bytes` as there is room for.
    pub(super) fn write(&mut self, bytes: &[u8], window: u32, buffers: &mut BufferPool) -> usize {
        let room = self.room(window) as usize;
        let fitting = bytes.get(..room).unwrap_or(bytes);
        self.queue.append(fitting, buffers);
        fitting.len()
    }

    /// Takes `bytes` whole, whatever room there is.
    pub(super) fn write_shared(&mut self, bytes: SharedBytes, buffers: &mut BufferPool) {
        self.queue.append_shared(bytes, buffers);
    }

    /// A segment up to `end` leaves, all of it for the first time: its round trip can be measured.
    pub(super) fn advance(&mut self, now: Instant, end: SeqNumber) {
        self.snd_nxt = self.snd_nxt.later_of(end);
        if self.timed_at.is_none() {
            (self.timed_end, self.timed_at) = (end, Some(now));
        }
        self.last_sent_at = now;
    }

    /// A segment from `start` up to `end` leaves, some of it not for the first time: if it may have to do with the
    /// acknowledgment that is waited for, the measurement tells nothing any more. A tail beyond that is another matter:
    /// one that is probed in each round trip would let none be measured. [6298-08] [1122-T050]
    pub(super) fn repeat(&mut self, now: Instant, start: SeqNumber, end: SeqNumber) {
        self.snd_nxt = self.snd_nxt.later_of(end);
        if self.is_timing() && start.before(self.timed_end) {
            self.stop_timing();
        }
        self.last_sent_at = now;
    }

    /// Whether a round trip is being measured.
    pub(super) const fn is_timing(&self) -> bool {
        self.timed_at.is_some()
    }

    /// What is being measured tells nothing any more.
    pub(super) fn stop_timing(&mut self) {
        self.timed_at = None;
    }

    /// Everything before `acknowledgment` has arrived; `each` is told of what was not known to have. Says how long the round
    /// trip took, if one was being measured.
    pub(super) fn acknowledge(
        &mut self,
        now: Instant,
        acknowledgment: SeqNumber,
        buffers: &mut BufferPool,
        each: impl FnMut(&SentSegment),
    ) -> Option<core::time::Duration> {
        // [2018-16]
        let data_acked = self.data_start.distance_to(acknowledgment.earlier_of(self.data_end()));
        self.queue.consume(data_acked as usize, buffers);
        self.data_start += data_acked;
        self.snd_una = acknowledgment;
        if !self.scoreboard.is_empty() {
            self.scoreboard.acknowledge(acknowledgment, each);
        }
        if self.urgent_end.is_some_and(|end| end.at_or_before(acknowledgment)) {
            self.urgent_end = None;
        }
        let sent_at = self.timed_at?;
        if self.timed_end.after(acknowledgment) {
            return None;
        }
        self.timed_at = None;
        Some(now.saturating_since(sent_at))
    }

    /// Gives all memory back: nothing will be sent any more.
    pub(super) fn release(&mut self) {
        self.queue.clear();
        self.data_start = self.snd_nxt;
        self.snd_una = self.snd_nxt;
        self.urgent_end = None;
        self.has_fin = false;
        self.scoreboard.clear();
        self.timed_at = None;
    }

    pub(super) fn assert_invariants(&self) {
        debug_assert!(self.snd_una.at_or_before(self.snd_nxt), "SND.UNA is not beyond SND.NXT");
        debug_assert!(self.snd_nxt.at_or_before(self.end()), "nothing was sent that was not written");
        debug_assert!(
            self.data_start == self.snd_una
                || !self.is_syn_acked()
                || (self.is_fin_acked() && self.data_start + 1 == self.snd_una),
            "the queue begins at SND.UNA"
        );
        self.scoreboard.assert_invariants(self.snd_una, self.snd_nxt);
    }
}
