//! RACK: what is lost, told by time (RFC 8985 6).
//!
//! # Theory of operation
//! If something that was sent later has arrived, then what was sent before it and has not arrived is lost, once it has
//! had a little longer than a round trip: the reordering window, which is zero until reordering has been seen.
//!
//! # State
//! | RFC 8985 5.3 | field |
//! |---|---|
//! | RACK.xmit_ts, RACK.end_seq | `newest_at`, `newest_end` |
//! | RACK.rtt | `rtt` |
//! | RACK.fack | `fack` |
//! | RACK.reordering_seen | `has_seen_reordering` |
//! | RACK.dsack_round | `dsack_round` |
//! | RACK.reo_wnd_mult, RACK.reo_wnd_persist | `multiplier`, `persist` |
//! | RACK.min_RTT | the minimum of `rtt.rs` |

use core::time::Duration;

use netloom_base::Instant;
use netloom_wire::SeqNumber;

use super::rtt::{RttEstimator, Ticks};
use super::scoreboard::{LossScan, Scoreboard, SentSegment};

/// The SACKed segments that mean a loss while no reordering has been seen. [5681-18]
pub(super) const DUPLICATE_THRESHOLD: u32 = 3;

/// Recoveries for which a widened reordering window is kept.
const PERSIST: u8 = 16;

/// What RACK knows of one connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rack {
    /// When the newest transmission that has arrived left, and where it ended.
    newest_at: Instant,
    newest_end: SeqNumber,
    /// Its round trip.
    rtt: Ticks,
    fack: SeqNumber,
    dsack_round: Option<SeqNumber>,
    multiplier: u8,
    persist: u8,
    has_seen_reordering: bool,
}

/// What one acknowledgment delivered.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Delivery {
    /// Bytes that are now known to have arrived, and were not before: by number or by SACK.
    pub(super) len: u32,
    /// Of those, by SACK.
    pub(super) sacked_len: u32,
    /// The round trip of the last of them that was sent only once.
    pub(super) round_trip: Option<Duration>,
    /// The highest number among those that were never sent again.
    pub(super) original_end: Option<SeqNumber>,
}

/// How an acknowledgment's echo tells when it was caused: TSecr, and the offset of our clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Echo {
    pub(super) value: u32,
    pub(super) offset: u32,
}

impl Echo {
    /// Whether the echo is of something that was sent before `sent_at`.
    fn is_before(self, sent_at: Instant) -> bool {
        SeqNumber(self.value).before(SeqNumber(super::isn::timestamp(sent_at, self.offset)))
    }
}

impl Rack {
    pub(super) const fn new(iss: SeqNumber) -> Self {
        Self {
            newest_at: Instant::ZERO,
            newest_end: iss,
            rtt: Ticks::ZERO,
            fack: iss,
            dsack_round: None,
            multiplier: 1,
            persist: 0,
            has_seen_reordering: false,
        }
    }

    pub(super) const fn has_seen_reordering(&self) -> bool {
        self.has_seen_reordering
    }

    /// The reordering was seen otherwise: what was sent again had only been late.
    pub(super) const fn note_reordering(&mut self) {
        self.has_seen_reordering = true;
    }

    /// A segment has arrived, as an acknowledgment says (steps 1 to 3). [8985-11] [8985-12]
    pub(super) fn on_delivered(
        &mut self,
        now: Instant,
        segment: &SentSegment,
        echo: Option<Echo>,
        rtt: &RttEstimator,
        delivery: &mut Delivery,
    ) {
        delivery.len += segment.len();
        let round_trip = now.saturating_since(segment.sent_at);
        if segment.end.after(self.fack) {
            self.fack = segment.end;
        } else if segment.end.before(self.fack) && !segment.is_retransmitted {
            self.has_seen_reordering = true;
        }
        if segment.is_retransmitted {
            let is_of_original = echo.is_some_and(|echo| echo.is_before(segment.sent_at))
                || rtt.min_rtt().is_some_and(|least| round_trip < least);
            if is_of_original {
                return;
            }
        } else {
            delivery.round_trip = Some(delivery.round_trip.map_or(round_trip, |known| known.min(round_trip)));
            delivery.original_end =
                Some(delivery.original_end.map_or(segment.end, |known| known.later_of(segment.end)));
        }
        let is_newer = segment.sent_at > self.newest_at
            || (segment.sent_at == self.newest_at && segment.end.after(self.newest_end));
        if is_newer {
            (self.newest_at, self.newest_end) = (segment.sent_at, segment.end);
            self.rtt = Ticks::of(round_trip);
        }
    }

    /// An acknowledgment reported a duplicate by D-SACK (step 4). [8985-03] [8985-08] [8985-13]
    pub(super) fn on_dsack(&mut self, snd_una: SeqNumber, snd_nxt: SeqNumber) {
        if self.dsack_round.is_some_and(|round| snd_una.at_or_after(round)) {
            self.dsack_round = None;
        }
        if self.dsack_round.is_none() {
            self.dsack_round = Some(snd_nxt);
            self.multiplier = self.multiplier.saturating_add(1);
            self.persist = PERSIST;
        }
    }

    /// A recovery has ended.
    pub(super) const fn on_recovery_exit(&mut self) {
        self.persist = self.persist.saturating_sub(1);
        if self.persist == 0 {
            self.multiplier = 1;
        }
    }

    /// RACK.reo_wnd. [8985-01] [8985-02] [8985-04]
    fn reordering_window(&self, is_recovering: bool, sacked_count: u32, rtt: &RttEstimator) -> Duration {
        if !self.has_seen_reordering && (is_recovering || sacked_count >= DUPLICATE_THRESHOLD) {
            return Duration::ZERO;
        }
        let quarter = rtt.min_rtt().unwrap_or_default() / 4;
        quarter.saturating_mul(self.multiplier.into()).min(rtt.srtt().unwrap_or_default())
    }

    /// Step 5: takes for lost what has had its time; and says when to look again, if something may only be late.
    /// [8985-14] [8985-15]
    pub(super) fn detect_losses(
        &self,
        now: Instant,
        is_recovering: bool,
        scoreboard: &mut Scoreboard,
        rtt: &RttEstimator,
    ) -> (LossScan, Option<Instant>) {
        let window = self.reordering_window(is_recovering, scoreboard.sacked_count(), rtt);
        let patience = self.rtt.get() + window;
        let scan =
            scoreboard.lose_older((self.newest_at, self.newest_end), |sent_at| sent_at + patience <= now);
        (scan, scan.waiting_since.map(|since| since + patience))
    }

    /// Whether something sent at `sent_at` has had its time when the retransmission timer runs out. [8985-16]
    pub(super) fn is_overdue(&self, now: Instant, sent_at: Instant, rtt: &RttEstimator) -> bool {
        sent_at + self.rtt.get() + self.reordering_window(true, 0, rtt) <= now
    }
}
