//! CUBIC (RFC 9438): after a loss the window follows a cubic function of time, so that long paths recover as fast as
//! short ones.
//!
//! ```text
//!   cwnd                                      ╱  convex: looking for more
//!     │ W_max ───╮               ___________╱
//!     │          │        _____╱      ▲
//!     │          │    __╱   concave   │ K seconds after the loss it is back at W_max
//!     │          ╰─╱ 0.7 W_max
//!     └──────────────────────────────────────── t
//!                ▲ epoch
//! ```
//!
//! # Theory of operation
//! The first acknowledgment after a loss begins an *epoch*: it fixes K, the time that the function takes from the window as
//! it is back to W_max. Each one after it moves the window towards W(t + RTT), by as much of the way as it acknowledges of
//! the window. Where a window of RFC 5681 would be larger (short round trips, small windows), that one is taken: the
//! Reno-friendly region. Time in which the window is not used does not count.
//!
//! All is integers: the window in bytes, time in units of 2^-20 s, so that equal input gives equal windows on every
//! machine. An acknowledgment costs two cubes and one division; the cube root is taken once an epoch.
//!
//! # State
//! | RFC | field |
//! |---|---|
//! | W_max, cwnd_prior, in bytes | `w_max` (0: none), `cwnd_prior` |
//! | t_epoch, K | `Epoch::start`, `Epoch::k` |
//! | W_est, in bytes | `Epoch::w_est`, with what was acknowledged toward its next segment in `Epoch::w_est_credit` |
//! | what of the window's growth is not a whole byte yet | `Epoch::credit`, in bytes times the window |

use core::time::Duration;

use netloom_base::Instant;

use super::sample::{AckSample, LossSample};
use super::validation::WindowUse;

/// beta: what is left of a window after a loss, in tenths. [9438-09]
const BETA_TENTHS: u64 = 7;
/// What fast convergence leaves of W_max, (1 + beta) / 2, in hundredths.
const CONVERGENCE_HUNDREDTHS: u64 = 85;
/// C: segments a cubed second, in tenths. [9438-17]
const C_TENTHS: u64 = 4;
/// alpha = 3 (1 - beta) / (1 + beta), as a fraction.
const ALPHA: (u64, u64) = (9, 17);

/// A second is 2^20 units of time.
const UNIT_BITS: u32 = 20;
/// The longest time that counts, 2048 s: the cube of it is more than any window.
const LONGEST: u64 = 1 << 31;

/// The state of one connection.
#[derive(Clone, Debug)]
pub(super) struct Cubic {
    w_max: u32,
    cwnd_prior: u32,
    /// Exists from the first growth after a loss on: most connections never have one.
    epoch: Option<Box<Epoch>>,
}

/// A stage of congestion avoidance.
#[derive(Clone, Copy, Debug)]
struct Epoch {
    start: Instant,
    /// The last acknowledgment that was counted.
    seen_at: Instant,
    w_est_credit: u64,
    k: u32,
    credit: u32,
    w_est: u32,
}

/// `duration` in units of 2^-20 s: 2^20 / 10^9 = 2^11 / 5^9.
fn units(duration: Duration) -> u64 {
    let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX).min(1 << 52);
    (nanos << 11) / 1_953_125
}

/// The largest number whose cube is not above `value`, if that is below 2^96.
fn cube_root(value: u128) -> u32 {
    let mut root = 0_u128;
    for bit in (0..32).rev() {
        let larger = root | 1 << bit;
        if larger * larger * larger <= value {
            root = larger;
        }
    }
    u32::try_from(root).unwrap_or(u32::MAX)
}

/// A part of a window.
fn part(len: u32, numerator: u64, denominator: u64) -> u32 {
    u32::try_from(u64::from(len) * numerator / denominator).unwrap_or(len)
}

/// Figure 2 of RFC 9438: the time that C t^3 takes to cover `distance` bytes, in units.
fn time_to_cover(distance: u32, smss: u32) -> u32 {
    let scaled = (u128::from(distance) * 10) << (3 * UNIT_BITS);
    cube_root(scaled / u128::from(C_TENTHS * u64::from(smss.max(1))))
}

/// C t^3 in bytes, for t in units.
fn cube(time: u64, smss: u32) -> u64 {
    let time = time.min(LONGEST);
    let cubed = u128::from(time * time) * u128::from(time);
    let scaled = (cubed * u128::from(C_TENTHS * u64::from(smss))) >> (3 * UNIT_BITS);
    u64::try_from(scaled).unwrap_or(u64::MAX) / 10
}

impl Epoch {
    /// Figure 1 of RFC 9438, in bytes.
    fn w_cubic(&self, w_max: u32, time: u64, smss: u32) -> u64 {
        let k = u64::from(self.k);
        let distance = cube(time.abs_diff(k), smss);
        if time < k {
            u64::from(w_max).saturating_sub(distance)
        } else {
            u64::from(w_max).saturating_add(distance)
        }
    }

    /// Figure 4 of RFC 9438, in whole segments. [9438-04] [9438-05]
    fn grow_w_est(&mut self, cwnd: u32, cwnd_prior: u32, acked_len: u32, smss: u32) {
        let (numerator, denominator) = if self.w_est >= cwnd_prior { (1, 1) } else { ALPHA };
        self.w_est_credit = self.w_est_credit.saturating_add(u64::from(acked_len) * numerator);
        let price = (u64::from(cwnd) * denominator).max(1);
        if self.w_est_credit >= price {
            let count = u32::try_from(self.w_est_credit / price).unwrap_or(u32::MAX);
            self.w_est_credit %= price;
            self.w_est = self.w_est.saturating_add(count.saturating_mul(smss));
        }
    }
}

impl Cubic {
    pub(super) const fn new() -> Self {
        Self { w_max: 0, cwnd_prior: 0, epoch: None }
    }

    /// The window after an acknowledgment of `acked_len` bytes.
    pub(super) fn grow(&mut self, cwnd: u32, acked_len: u32, sample: &AckSample) -> u32 {
        let AckSample { now, smss, srtt, .. } = *sample;
        let mut epoch = self.epoch.take().unwrap_or_else(|| Box::new(self.begin(cwnd, now, smss)));
        epoch.seen_at = now;
        let elapsed = units(now.saturating_since(epoch.start));
        epoch.grow_w_est(cwnd, self.cwnd_prior, acked_len, smss);
        let grown = if epoch.w_cubic(self.w_max, elapsed, smss) < u64::from(epoch.w_est) {
            // [9438-03]
            cwnd.max(epoch.w_est)
        } else {
            // [9438-01] [9438-06] [9438-07]: concave or convex, the rule is the same.
            let ahead = epoch.w_cubic(self.w_max, elapsed + units(srtt.unwrap_or_default()), smss);
            let target = ahead.clamp(cwnd.into(), u64::from(cwnd) / 2 * 3);
            let distance = target.saturating_sub(cwnd.into());
            let divisor = u64::from(cwnd.max(1));
            let credit = (distance * u64::from(acked_len.min(cwnd))).saturating_add(epoch.credit.into());
            let whole = u32::try_from(credit / divisor).unwrap_or(u32::MAX);
            epoch.credit = u32::try_from(credit % divisor).unwrap_or(0);
            cwnd.saturating_add(whole)
        };
        self.epoch = Some(epoch);
        grown
    }

    /// Begins an epoch. Without a W_max (HyStart++ ended slow start, or the timer ran out) and above it, K is 0.
    /// [9438-12] [9438-13] [9438-15]
    fn begin(&mut self, cwnd: u32, now: Instant, smss: u32) -> Epoch {
        if self.w_max == 0 {
            self.cwnd_prior = cwnd;
        }
        self.w_max = self.w_max.max(cwnd);
        let k = time_to_cover(self.w_max - cwnd, smss);
        Epoch { start: now, seen_at: now, k, credit: 0, w_est_credit: 0, w_est: cwnd }
    }

    /// The window was not used since the last acknowledgment, or did not grow by this function. [9438-02] [9438-18]
    pub(super) fn skip_to(&mut self, now: Instant) {
        if let Some(epoch) = &mut self.epoch {
            epoch.start += now.saturating_since(epoch.seen_at);
            epoch.seen_at = now;
        }
    }

    /// A loss: remembers where it happened, a little below if it happened lower than the last time, and says what is left
    /// of the flight. A flow that does not fill its window at this moment (the tail of an answer) is judged by what it
    /// filled in the last two round trips, as RFC 7661 4.4.1 has it. [9438-08] [9438-09] [9438-11]
    pub(super) fn reduce(&mut self, cwnd: u32, used: WindowUse, sample: &LossSample) -> u32 {
        self.epoch = None;
        self.cwnd_prior = cwnd;
        self.w_max = if cwnd < self.w_max { part(cwnd, CONVERGENCE_HUNDREDTHS, 100) } else { cwnd };
        let flight_len = sample.flight_len.max(used.flight_len()).min(cwnd);
        part(flight_len, BETA_TENTHS, 10)
    }

    /// The timer ran out: the next epoch begins where slow start ends. [9438-13]
    pub(super) fn restart(&mut self) {
        self.epoch = None;
        self.w_max = 0;
    }
}

#[cfg(test)]
mod tests;
