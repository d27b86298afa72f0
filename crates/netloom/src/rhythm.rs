//! When the next frame is expected, if frames come at a steady pace.
//!
//! *Theory of operation.* Waking a sleeping processor takes longer than all that a stack does for a request. Whoever asks every 20 ms,
//! a game, a call or `ping`, finds it asleep each time, and no [spin](crate::spin) that is worth its price lasts so long. But the
//! next request can be foreseen: if the time between two was the same before, the driver wakes up a [leeway](LEEWAY_MAX) before the
//! next is due, and looks for it until as long after. A beat is the first frame after a silence of [`SILENCE`].
//!
//! *Limits.* Periods from [`PERIOD_MIN`] to [`PERIOD_MAX`]; about a twentieth of a processor at most, while it holds. After
//! [`MISSES_MAX`] beats without a frame nothing is expected any more: an idle stack never wakes up for this.

use std::time::Duration;

use tokio::time::Instant;

/// How long before a beat the driver wakes up at most, and how long it looks for one that is late: what a wake-up takes, and what
/// the pace of others swings by.
const LEEWAY_MAX: Duration = Duration::from_micros(250);
/// A leeway is the period divided by this, at most.
const LEEWAY_DIVISOR: u32 = 20;
/// Frames that come sooner after each other belong to the same beat.
const SILENCE: Duration = Duration::from_micros(500);
const PERIOD_MIN: Duration = Duration::from_millis(1);
const PERIOD_MAX: Duration = Duration::from_secs(2);

/// Beats in a row that may fail to come.
const MISSES_MAX: u32 = 3;

/// Trust grows with each beat in time and shrinks with each that is not; from the first of these on the pace is relied on.
const TRUST_MIN: u8 = 2;
const TRUST_MAX: u8 = 4;

/// Remembers when frames came.
#[derive(Debug)]
pub(crate) struct Rhythm {
    is_off: bool,
    last_frame: Option<Instant>,
    last_beat: Option<Instant>,
    last_gap: Duration,
    period: Duration,
    trust: u8,
}

fn leeway(period: Duration) -> Duration {
    (period / LEEWAY_DIVISOR).min(LEEWAY_MAX)
}

impl Rhythm {
    /// Never expects anything if it `is_off`.
    pub(crate) fn new(is_off: bool) -> Self {
        let [last_gap, period] = [Duration::ZERO; 2];
        Self { is_off, last_frame: None, last_beat: None, last_gap, period, trust: 0 }
    }

    /// Frames have come.
    pub(crate) fn on_frames(&mut self, now: Instant) {
        let Some(last_frame) = self.last_frame.replace(now) else {
            self.last_beat = Some(now);
            return;
        };
        if now.saturating_duration_since(last_frame) >= SILENCE
            && let Some(last_beat) = self.last_beat.replace(now)
        {
            self.on_gap(now.saturating_duration_since(last_beat));
        }
    }

    /// Two beats were so far apart.
    fn on_gap(&mut self, gap: Duration) {
        let is_repeated = gap.abs_diff(self.last_gap) <= leeway(gap);
        self.last_gap = gap;
        if self.is_periods(1, gap) {
            self.trust = (self.trust + 1).min(TRUST_MAX);
            self.period = (self.period * 3 + gap) / 4;
        } else if is_repeated {
            (self.period, self.trust) = (gap, TRUST_MIN);
        } else if !(2..=MISSES_MAX).any(|count| self.is_periods(count, gap)) {
            self.trust = self.trust.saturating_sub(1);
        }
    }

    /// Whether `gap` is so many periods.
    fn is_periods(&self, count: u32, gap: Duration) -> bool {
        gap.abs_diff(self.period * count) <= leeway(self.period)
    }

    /// The next beat that may still come at `now`.
    fn next(&self, now: Instant) -> Option<Instant> {
        let is_steady = self.trust >= TRUST_MIN && (PERIOD_MIN..=PERIOD_MAX).contains(&self.period);
        let last_beat = self.last_beat.filter(|_| is_steady && !self.is_off)?;
        (1..=MISSES_MAX)
            .map(|count| last_beat + self.period * count)
            .find(|&beat| beat + leeway(self.period) > now)
    }

    /// Whether a frame may come at any moment.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.next(now).is_some_and(|beat| now + leeway(self.period) >= beat)
    }

    /// When to wake up for the next frame.
    pub(crate) fn wake_up(&self, now: Instant) -> Option<Instant> {
        self.next(now).map(|beat| beat - leeway(self.period)).filter(|&at| at > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(count: u64) -> Duration {
        Duration::from_micros(count)
    }

    /// Frames so many microseconds after each other; when the driver wakes up after the last, in microseconds.
    fn wakes_after(gaps: &[u64]) -> Option<u64> {
        let mut rhythm = Rhythm::new(false);
        let mut now = Instant::now();
        rhythm.on_frames(now);
        for &gap in gaps {
            now += micros(gap);
            rhythm.on_frames(now);
        }
        rhythm.wake_up(now).map(|at| u64::try_from((at - now).as_micros()).unwrap())
    }

    #[test]
    fn it_wakes_up_once_two_gaps_are_alike() {
        for (gaps, expected) in [
            (&[2000][..], None),
            (&[2000, 2000], Some(1900)),
            (&[2000, 2100], Some(1995)),
            (&[2000, 2120], None),
            // A request and what follows it are one beat.
            (&[2000, 30, 1970, 30], Some(1870)),
            // One that was lost, and one that came late.
            (&[2000, 2000, 2000, 4000], Some(1900)),
            (&[2000, 2000, 2000, 2000, 2300], Some(1900)),
            // Another pace.
            (&[2000, 2000, 2000, 3500, 3500], Some(3325)),
            (&[2000, 2000, 2000, 4000, 4000], Some(3800)),
            // Too fast to sleep in between, and too slow to be worth it.
            (&[600, 600, 600], None),
            (&[3_000_000, 3_000_000, 3_000_000], None),
            (&[1000, 1700, 2500, 900, 4000], None),
        ] {
            assert_eq!(wakes_after(gaps), expected, "{gaps:?}");
        }
    }

    #[test]
    fn it_looks_out_around_each_beat_and_for_three_that_do_not_come() {
        let mut rhythm = Rhythm::new(false);
        let begin = Instant::now();
        (0..4).for_each(|count| rhythm.on_frames(begin + micros(10_000 * count)));
        let is_due: Vec<_> = (30_001..200_000).filter(|&at| rhythm.is_due(begin + micros(at))).collect();
        let expected: Vec<_> =
            [40_000, 50_000, 60_000].into_iter().flat_map(|beat| beat - 250..beat + 250).collect();
        assert_eq!(is_due, expected);
        assert_eq!(rhythm.wake_up(begin + micros(40_250)), Some(begin + micros(49_750)), "the second");
        assert_eq!(rhythm.wake_up(begin + micros(60_250)), None, "nobody is there any more");
    }

    #[test]
    fn switched_off_it_expects_nothing() {
        let mut rhythm = Rhythm::new(true);
        let begin = Instant::now();
        (0..9).for_each(|count| rhythm.on_frames(begin + micros(2000 * count)));
        assert_eq!(rhythm.wake_up(begin + micros(16_000)), None);
    }
}
