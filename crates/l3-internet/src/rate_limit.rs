//! A token bucket: how often something may happen, and how much of it at once.
//!
//! It keeps ICMP errors from becoming somebody's weapon or our own flood (RFC 4443 2.4(f), RFC 1812 4.3.2.8).

use netloom_base::Instant;

/// Tokens are counted in billionths, so that one nanosecond at one token a second is one unit and nothing is ever
/// rounded: over any span of time exactly `rate_per_second` tokens a second come in.
const UNITS_PER_TOKEN: u64 = 1_000_000_000;

/// A bucket that fills at a steady rate, and from which each event takes one token.
///
/// It begins full. A rate of zero never refills it; a burst of zero never lets anything pass.
#[derive(Clone, Debug)]
pub struct TokenBucket {
    rate_per_second: u32,
    /// What a full bucket holds, in units.
    capacity: u64,
    /// What it holds now, in units.
    level: u64,
    /// When `level` was true.
    updated: Instant,
}

impl TokenBucket {
    /// A full bucket of `burst` tokens that gains `rate_per_second` tokens a second.
    pub fn new(rate_per_second: u32, burst: u32) -> Self {
        let capacity = u64::from(burst) * UNITS_PER_TOKEN;
        Self { rate_per_second, capacity, level: capacity, updated: Instant::ZERO }
    }

    /// Takes a token if there is one: whether the event may happen.
    ///
    /// Time that runs backwards adds nothing.
    // [4443-09] [1812-11]
    pub fn take(&mut self, now: Instant) -> bool {
        let elapsed = now.as_nanos().saturating_sub(self.updated.as_nanos());
        self.updated = self.updated.max(now);
        let gained = elapsed.saturating_mul(u64::from(self.rate_per_second));
        self.level = self.level.saturating_add(gained).min(self.capacity);
        match self.level.checked_sub(UNITS_PER_TOKEN) {
            Some(level) => {
                self.level = level;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    fn taken(bucket: &mut TokenBucket, now: Instant) -> usize {
        (0..1000).take_while(|_| bucket.take(now)).count()
    }

    // [4443-09] [1812-11]
    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let mut bucket = TokenBucket::new(10, 5);
        let mut now = Instant::from_millis(700);
        assert_eq!(taken(&mut bucket, now), 5);
        now += Duration::from_millis(99);
        assert_eq!(taken(&mut bucket, now), 0);
        now += Duration::from_millis(1);
        assert_eq!(taken(&mut bucket, now), 1);
        now += Duration::from_secs(3600);
        assert_eq!(taken(&mut bucket, now), 5);
    }

    #[test]
    fn a_rate_that_does_not_divide_a_second_does_not_drift() {
        let mut bucket = TokenBucket::new(7, 1);
        assert!(bucket.take(Instant::ZERO));
        // A seventh of a second is not a whole number of nanoseconds, nor of ticks of 13 microseconds. A bucket of one
        // loses what comes while it is full, so it is asked often.
        let ticks = 1_000_000_000 * 100 / 13_000;
        let passed = (1..=ticks).filter(|tick| bucket.take(Instant::from_nanos(tick * 13_000))).count();
        assert!((699..=700).contains(&passed), "{passed}");
    }

    #[test]
    fn time_that_runs_backwards_adds_nothing() {
        let mut bucket = TokenBucket::new(1, 1);
        assert!(bucket.take(Instant::from_millis(5_000)));
        assert!(!bucket.take(Instant::from_millis(1_000)));
        assert!(!bucket.take(Instant::from_millis(5_999)));
        assert!(bucket.take(Instant::from_millis(6_000)));
    }

    #[test]
    fn nothing_passes_an_empty_bucket_that_never_fills() {
        assert!(!TokenBucket::new(u32::MAX, 0).take(Instant::FAR_FUTURE));
        let mut bucket = TokenBucket::new(0, 1);
        assert!(bucket.take(Instant::ZERO));
        assert!(!bucket.take(Instant::FAR_FUTURE));
    }
}
