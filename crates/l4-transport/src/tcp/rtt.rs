//! Round-trip time and the retransmission timeout (RFC 6298).
//!
//! # State
//! | RFC | field |
//! |---|---|
//! | SRTT | `srtt` |
//! | RTTVAR | `rttvar` |
//! | RTO | [`rto`](RttEstimator::rto): `base`, doubled `backoff` times |
//!
//! # Limits
//! The timeout is never below [`MIN_RTO`], 200 ms, where RFC 6298 2.4 says one second (6298-06). One second was to
//! cover coarse clocks and peers that hold acknowledgments back for half a second. Our clock counts nanoseconds, today's
//! peers hold back 40 ms, and every stack of the last twenty years uses 200 ms: with a second, one lost tail segment
//! costs a LAN user a thousand round trips. Never above [`MAX_RTO`], 60 s [6298-07].

use core::time::Duration;

use netloom_base::Instant;

/// The least timeout.
pub(super) const MIN_RTO: Duration = Duration::from_millis(200);
/// The most, backed off or not.
pub(super) const MAX_RTO: Duration = Duration::from_secs(60);
/// Before any sample. [6298-01]
pub(super) const INITIAL_RTO: Duration = Duration::from_secs(1);
/// For data, if the SYN was lost and no sample exists. [6298-16]
const RTO_AFTER_SYN_LOSS: Duration = Duration::from_secs(3);
/// The clock granularity G: a millisecond, that of timestamps.
const GRANULARITY: Duration = Duration::from_millis(1);
/// Half of how long the shortest round trip is remembered.
const MIN_RTT_WINDOW: Duration = Duration::from_secs(150);
/// Doublings that are told apart: 200 ms doubled nine times passes the most.
const MAX_BACKOFF: u8 = 16;

/// A duration in units of 16 ns, rounded up, in a quarter of the space of a [`Duration`]: at most 68.7 seconds, which is more
/// than the longest timeout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticks(u32);

const _: () = assert!(Ticks::MAX_RTO.0 < u32::MAX);

impl Ticks {
    const NANOS: u64 = 16;
    pub(super) const ZERO: Self = Self(0);
    const MAX: Self = Self(u32::MAX);
    const MIN_RTO: Self = Self::of(MIN_RTO);
    const MAX_RTO: Self = Self::of(MAX_RTO);
    const GRANULARITY: Self = Self::of(GRANULARITY);

    #[expect(clippy::cast_possible_truncation, reason = "what is more than the most was told before")]
    pub(super) const fn of(duration: Duration) -> Self {
        let nanos = duration.as_nanos();
        if nanos > Self::MAX.get().as_nanos() {
            return Self::MAX;
        }
        Self((nanos as u64).div_ceil(Self::NANOS) as u32)
    }

    pub(super) const fn get(self) -> Duration {
        Duration::from_nanos(self.0 as u64 * Self::NANOS)
    }

    /// An average that moves by a `share`th towards a new value.
    const fn moved(self, value: Self, share: u32) -> Self {
        Self(self.0 - self.0.div_ceil(share) + value.0 / share)
    }
}

/// The estimator of one connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct RttEstimator {
    srtt: Ticks,
    rttvar: Ticks,
    min_rtt: Ticks,
    /// The least since `min_since`: what `min_rtt` becomes when its window is over.
    recent_min: Ticks,
    min_since: Instant,
    base: Ticks,
    backoff: u8,
    has_sample: bool,
}

impl RttEstimator {
    pub(super) const fn new() -> Self {
        Self {
            srtt: Ticks::ZERO,
            rttvar: Ticks::ZERO,
            min_rtt: Ticks::MAX,
            recent_min: Ticks::MAX,
            min_since: Instant::ZERO,
            base: Ticks::of(INITIAL_RTO),
            backoff: 0,
            has_sample: false,
        }
    }

    /// Takes a measurement of a segment that was sent only once, or that a timestamp told apart. [6298-08]
    /// It ends a backoff: that the timeout stays backed off until then is Karn's algorithm. [9293 MUST-18]
    pub(super) fn sample(&mut self, rtt: Duration) {
        let rtt = Ticks::of(rtt);
        (self.srtt, self.rttvar) = if self.has_sample {
            // [6298-03] [6298-04]
            let deviation = Ticks(self.srtt.0.abs_diff(rtt.0));
            (self.srtt.moved(rtt, 8), self.rttvar.moved(deviation, 4))
        } else {
            // [6298-02]
            (rtt, Ticks(rtt.0 / 2))
        };
        self.has_sample = true;
        self.min_rtt = self.min_rtt.min(rtt);
        self.backoff = 0;
        // [6298-05] [6298-10]
        let margin = self.rttvar.0.saturating_mul(4).max(Ticks::GRANULARITY.0);
        self.base = Ticks(self.srtt.0.saturating_add(margin)).clamp(Ticks::MIN_RTO, Ticks::MAX_RTO);
    }

    /// A segment's round trip: for the least one of the last minutes, which a path that has become longer outgrows.
    /// [8985-10]
    pub(super) fn note_round_trip(&mut self, now: Instant, rtt: Duration) {
        let rtt = Ticks::of(rtt);
        self.recent_min = self.recent_min.min(rtt);
        self.min_rtt = self.min_rtt.min(rtt);
        if now.saturating_since(self.min_since) >= MIN_RTT_WINDOW {
            self.min_rtt = self.recent_min;
            self.recent_min = rtt;
            self.min_since = now;
        }
    }

    /// The timer ran out. [6298-14]
    pub(super) fn back_off(&mut self) {
        self.backoff = (self.backoff + 1).min(MAX_BACKOFF);
    }

    /// Data is about to flow, and the SYN had been lost; a sample, if there is one, overrides this. [6298-16]
    pub(super) fn after_syn_loss(&mut self) {
        self.backoff = 0;
        if !self.has_sample {
            self.base = Ticks::of(RTO_AFTER_SYN_LOSS);
        }
    }

    /// The timeout now.
    pub(super) fn rto(&self) -> Duration {
        self.backed_off(self.backoff)
    }

    /// The timeout doubled `times` times, whatever the backoff is: for probes, which have their own.
    pub(super) fn backed_off(&self, times: u8) -> Duration {
        // Not even the longest overflows by it.
        (self.base.get() * (1 << times.min(MAX_BACKOFF))).min(MAX_RTO)
    }

    pub(super) fn srtt(&self) -> Option<Duration> {
        self.has_sample.then(|| self.srtt.get())
    }

    pub(super) const fn rttvar(&self) -> Duration {
        self.rttvar.get()
    }

    pub(super) fn min_rtt(&self) -> Option<Duration> {
        self.has_sample.then(|| self.min_rtt.get())
    }

    pub(super) const fn backoff(&self) -> u8 {
        self.backoff
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn the_first_samples_follow_the_rfc() {
        // [6298-01] [6298-02] [6298-03] [6298-04] [6298-05]
        let mut rtt = RttEstimator::new();
        assert_eq!(rtt.rto(), ms(1000));
        rtt.sample(ms(400));
        assert_eq!((rtt.srtt(), rtt.rttvar(), rtt.rto()), (Some(ms(400)), ms(200), ms(1200)));
        rtt.sample(ms(800));
        assert_eq!((rtt.srtt(), rtt.rttvar(), rtt.rto()), (Some(ms(450)), ms(250), ms(1450)));
    }

    #[test]
    fn the_timeout_stays_within_its_bounds() {
        // [6298-07] [6298-10]
        let mut rtt = RttEstimator::new();
        for _ in 0..100 {
            rtt.sample(Duration::from_micros(50));
        }
        assert_eq!(rtt.rto(), MIN_RTO);
        rtt.sample(Duration::from_secs(90));
        assert_eq!(rtt.rto(), MAX_RTO);
    }

    #[test]
    fn each_expiry_doubles_until_a_sample_comes() {
        // [6298-14] [9293 MUST-18] [1122-T052]
        let mut rtt = RttEstimator::new();
        rtt.sample(ms(10));
        for expected in [400, 800, 1600, 3200, 6400, 12_800, 25_600, 51_200, 60_000, 60_000] {
            rtt.back_off();
            assert_eq!(rtt.rto(), ms(expected));
        }
        rtt.sample(ms(10));
        assert_eq!(rtt.rto(), ms(200));
    }

    #[test]
    fn data_after_a_lost_syn_begins_with_three_seconds() {
        // [6298-16]
        let mut rtt = RttEstimator::new();
        rtt.back_off();
        rtt.after_syn_loss();
        assert_eq!(rtt.rto(), ms(3000));
    }
}
