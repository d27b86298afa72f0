//! Whether the window is used, and what becomes of one that is not (RFC 2861, RFC 5681 4.1).
//!
//! # Theory of operation
//! A window that nothing fills says nothing about the path, so it does not grow. What is not used for a timeout falls
//! half-way towards what is used, and what rests altogether is halved once a timeout, down to the initial window; ssthresh
//! keeps three quarters of what it was, so that slow start comes back quickly. That is what Linux does; RFC 5681 4.1 would
//! fall to the initial window at once (docs/decisions/0005). Flights and deliveries are counted by rounds: a round ends when
//! what was sent at its beginning is acknowledged.
//!
//! # Not here
//! Why the sender sends no more: it says so itself (`AckSample::is_window_limited`).

use core::time::Duration;

use netloom_base::Instant;
use netloom_wire::SeqNumber;

use super::sample::{AckSample, IdleSample};
use super::window::{Window, initial_window};

/// The state of one connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct WindowUse {
    /// Whether the window limited the flight in the last round trip: until this is acknowledged.
    limited_until: Option<SeqNumber>,
    round_end: Option<SeqNumber>,
    round_began_at: Instant,
    round_acked_len: u32,
    /// The largest flight of this round, and of the one before.
    round_flight_len: u32,
    last_flight_len: u32,
    /// The largest flight since `checked_at`.
    used_len: u32,
    /// When the window was last used, or fell because it was not; the origin of time: it never was.
    checked_at: Instant,
    /// When rest was last accounted for.
    rested_at: Instant,
    /// 0: not measured.
    delivery_rate: u64,
}

/// Bytes a second.
fn rate(len: u32, took: Duration) -> Option<u64> {
    let nanos = u64::try_from(took.as_nanos()).ok().filter(|&nanos| nanos > 0)?;
    u64::try_from(u128::from(len) * 1_000_000_000 / u128::from(nanos)).ok()
}

impl WindowUse {
    pub(super) const fn new() -> Self {
        Self {
            limited_until: None,
            round_end: None,
            round_began_at: Instant::ZERO,
            round_acked_len: 0,
            round_flight_len: 0,
            last_flight_len: 0,
            used_len: 0,
            checked_at: Instant::ZERO,
            rested_at: Instant::ZERO,
            delivery_rate: 0,
        }
    }

    /// The largest flight of the last two rounds.
    pub(super) fn flight_len(&self) -> u32 {
        self.round_flight_len.max(self.last_flight_len)
    }

    pub(super) const fn delivery_rate(&self) -> Option<u64> {
        if self.delivery_rate == 0 { None } else { Some(self.delivery_rate) }
    }

    /// Takes an acknowledgment into account. Says whether the window is used, and so may grow.
    pub(super) fn on_ack(&mut self, window: &mut Window, sample: &AckSample) -> bool {
        self.count_round(sample);
        if sample.is_window_limited {
            self.limited_until = Some(sample.snd_nxt);
        } else if self.limited_until.is_some_and(|until| sample.snd_una.at_or_after(until)) {
            self.limited_until = None;
        }
        // Slow start may run ahead of its use, as it doubles.
        let is_used = sample.is_window_limited
            || self.limited_until.is_some()
            || (window.is_in_slow_start() && self.flight_len().saturating_mul(2) > window.cwnd);
        if is_used {
            self.checked_at = sample.now;
            self.used_len = 0;
        } else {
            self.used_len = self.used_len.max(sample.flight_len);
            self.check(window, sample);
        }
        is_used
    }

    /// Lets a window fall that was not used for a timeout.
    fn check(&mut self, window: &mut Window, sample: &AckSample) {
        if self.checked_at == Instant::ZERO {
            self.checked_at = sample.now;
        }
        if sample.now.saturating_since(self.checked_at) < sample.rto {
            return;
        }
        let used_len = self.used_len.max(initial_window(sample.smss));
        if used_len < window.cwnd {
            window.remember();
            window.cwnd = window.cwnd.midpoint(used_len);
        }
        self.used_len = 0;
        self.checked_at = sample.now;
    }

    fn count_round(&mut self, sample: &AckSample) {
        self.round_flight_len = self.round_flight_len.max(sample.flight_len);
        if self.round_began_at == Instant::ZERO {
            // What was acknowledged before is not known to have taken any time.
            self.round_began_at = sample.now;
        } else {
            self.round_acked_len = self.round_acked_len.saturating_add(sample.acked_len);
        }
        let end = *self.round_end.get_or_insert(sample.snd_nxt);
        if sample.snd_una.before(end) {
            return;
        }
        let took = sample.now.saturating_since(self.round_began_at);
        self.delivery_rate = rate(self.round_acked_len, took).unwrap_or(self.delivery_rate);
        // Where nothing is in flight, the next acknowledgment tells how far the round goes.
        self.round_end = sample.snd_una.before(sample.snd_nxt).then_some(sample.snd_nxt);
        self.round_began_at = sample.now;
        self.round_acked_len = 0;
        self.last_flight_len = self.round_flight_len;
        self.round_flight_len = 0;
    }

    /// Lets a window fall of which nothing was used for longer than a timeout. Says whether that was so. [5681-28]
    pub(super) fn on_idle(&mut self, window: &mut Window, sample: &IdleSample) -> bool {
        let IdleSample { now, last_sent_at, rto, smss } = *sample;
        self.round_began_at = now;
        self.round_acked_len = 0;
        let idle = now.saturating_since(last_sent_at.max(self.rested_at));
        if idle <= rto {
            return false;
        }
        self.rested_at = now;
        self.checked_at = now;
        self.used_len = 0;
        window.remember();
        let timeouts = idle.as_nanos().checked_div(rto.as_nanos()).unwrap_or(u128::MAX);
        let shift = u32::try_from(timeouts).unwrap_or(u32::MAX);
        let halved = window.cwnd.checked_shr(shift).unwrap_or(0);
        window.cwnd = halved.max(initial_window(smss).min(window.cwnd));
        true
    }
}
