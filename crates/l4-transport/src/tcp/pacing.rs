//! Pacing: a window goes out spread over its round trip, not as one burst that fills the queue of the next router.
//!
//! # Theory of operation
//! The rate is the window by the smoothed round trip, twice that in slow start (which doubles in a round trip) and 1.2
//! times that afterwards, so that pacing never is what holds the window back. What leaves moves the time of the next
//! departure by its length at that rate. [`Pacer::poll`] says how much may go now, a quantum of about a millisecond, or
//! when to ask again; [`Pacer::on_sent`] is told what went. A departure that comes late, because the timer did or because
//! there was nothing to send, leaves a credit of at most [`CREDIT`] or [`BURST_LEN`], whichever is more: what an
//! acknowledgment lets go in a small window goes at once.
//!
//! # Limits
//! Round trips below [`LEAST_ROUND_TRIP`] are not paced: the gaps would be finer than timers are, and the queues of a LAN
//! take a window of that size. Nor is what is sent before the first measurement, nor the first initial window, which is
//! small by definition (RFC 6928).
//!
//! # Not here
//! The timer, and whether there is anything to send.

use core::time::Duration;

use netloom_base::Instant;

/// The shortest smoothed round trip that is paced.
const LEAST_ROUND_TRIP: Duration = Duration::from_millis(1);
/// How much time a departure that is late may make up for: timers are a millisecond or two late.
const CREDIT: Duration = Duration::from_millis(2);
/// Bytes that may go in a burst whatever the rate: an initial window, which no path minds (RFC 9002 7.7).
const BURST_LEN: u64 = 14_600;
/// Quanta a second.
const QUANTA: u64 = 1000;
/// The most bytes of a quantum: what one super-segment can be.
const LARGEST_QUANTUM: u64 = 65_535;
/// The rate in hundredths of a window a round trip: below half of ssthresh, and above.
const SLOW_START_PERCENT: u64 = 200;
/// See `SLOW_START_PERCENT`.
const AVOIDANCE_PERCENT: u64 = 120;

/// The window that a rate is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct PacedWindow {
    /// Bytes that may be in flight.
    pub(super) cwnd: u32,
    /// Where slow start ends, in bytes.
    pub(super) ssthresh: u32,
    /// The smoothed round-trip time.
    pub(super) srtt: Option<Duration>,
}

impl PacedWindow {
    /// Bytes a second; `None`: as fast as they come.
    fn rate(self) -> Option<u64> {
        let Self { cwnd, ssthresh, srtt } = self;
        let srtt = srtt.filter(|&srtt| srtt >= LEAST_ROUND_TRIP)?;
        let percent = if cwnd < ssthresh / 2 { SLOW_START_PERCENT } else { AVOIDANCE_PERCENT };
        // At most 2^32 * 200 * 10^7, below 2^63.
        let nanos = u64::try_from(srtt.as_nanos()).unwrap_or(u64::MAX);
        Some((u64::from(cwnd) * percent * 10_000_000 / nanos).max(1))
    }
}

/// The pace of one connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pacer {
    next_at: Instant,
    /// Bytes a second; 0: not paced.
    rate: u64,
    /// Bytes that go without a pace.
    free_len: u32,
}

impl Pacer {
    /// For a connection whose first `initial_window` bytes go at once.
    pub(super) const fn new(initial_window: u32) -> Self {
        Self { next_at: Instant::ZERO, rate: 0, free_len: initial_window }
    }

    /// Takes the rate from the window as it is now: after an acknowledgment, and after whatever else moves it.
    pub(super) fn set_window(&mut self, window: PacedWindow) {
        self.rate = window.rate().unwrap_or(0);
    }

    /// The flow has rested for longer than a timeout: an initial window goes at once again.
    pub(super) fn on_idle(&mut self, initial_window: u32) {
        self.free_len = initial_window;
    }

    /// Bytes a second; `None`: as fast as they come.
    pub(super) const fn rate(&self) -> Option<u64> {
        if self.rate == 0 { None } else { Some(self.rate) }
    }

    /// How many bytes may go now, in segments of `smss`: whole ones, and at least two.
    ///
    /// # Errors
    /// When to ask again, if none may.
    pub(super) fn poll(&self, now: Instant, smss: u32) -> Result<u32, Instant> {
        if self.rate == 0 || self.free_len > 0 {
            return Ok(u32::MAX);
        }
        if now < self.next_at {
            return Err(self.next_at);
        }
        let quantum = u32::try_from((self.rate / QUANTA).min(LARGEST_QUANTUM)).unwrap_or(u32::MAX);
        let count = (quantum / smss.max(1)).max(2);
        Ok(count.saturating_mul(smss))
    }

    /// `len` bytes have left.
    pub(super) fn on_sent(&mut self, now: Instant, len: u32) {
        if self.rate == 0 {
            return;
        }
        if self.free_len > 0 {
            self.free_len = self.free_len.saturating_sub(len);
            self.next_at = now;
            return;
        }
        let nanos = u64::from(len).saturating_mul(1_000_000_000) / self.rate;
        let burst_nanos = BURST_LEN.saturating_mul(1_000_000_000) / self.rate;
        let credit = CREDIT.max(Duration::from_nanos(burst_nanos));
        self.next_at = self.next_at.max(now - credit) + Duration::from_nanos(nanos);
    }
}

#[cfg(test)]
mod tests {
    use netloom_base::Rng;

    use super::*;

    const SMSS: u32 = 1448;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn pacer(cwnd: u32, ssthresh: u32, srtt: Duration) -> Pacer {
        let mut pacer = Pacer::new(0);
        pacer.set_window(PacedWindow { cwnd, ssthresh, srtt: Some(srtt) });
        pacer
    }

    /// Sends all that it can until `end`, by a timer that is `late`. Says how much went, and the most within a millisecond
    /// and a bit.
    fn run(pacer: &mut Pacer, end: Instant, late: Duration) -> (u64, u64) {
        let (mut now, mut total, mut largest_burst) = (Instant::from_millis(1000), 0, 0);
        while now < end {
            let mut burst = 0;
            let again = loop {
                match pacer.poll(now, SMSS) {
                    Ok(len) => {
                        pacer.on_sent(now, len);
                        burst += u64::from(len);
                    }
                    Err(at) => break at,
                }
            };
            assert!(again > now);
            total += burst;
            largest_burst = largest_burst.max(burst);
            now = again + late;
        }
        (total, largest_burst)
    }

    #[test]
    fn the_rate_is_a_window_a_round_trip_and_a_bit_more() {
        assert_eq!(pacer(1_000_000, u32::MAX, ms(100)).rate(), Some(20_000_000));
        assert_eq!(pacer(1_000_000, 1_000_000, ms(100)).rate(), Some(12_000_000));
        assert_eq!(pacer(u32::MAX, u32::MAX, ms(1)).rate(), Some(5_153_960_754_000), "nothing overflows");
        assert_eq!(pacer(1, 1, Duration::from_secs(100)).rate(), Some(1), "it always moves");
    }

    #[test]
    fn a_simulated_second_carries_what_the_rate_says() {
        for (cwnd, srtt) in [(14_480, 100), (1_000_000, 100), (4_000_000, 10), (100_000_000, 20)] {
            for late in [0, 300, 1100] {
                let mut pacer = pacer(cwnd, 0, ms(srtt));
                let rate = pacer.rate().unwrap();
                let (total, burst) = run(&mut pacer, Instant::from_millis(2000), Duration::from_micros(late));
                // The credit at the beginning, and what the last quantum goes beyond the end.
                let quantum = (rate / 1000).max(2 * u64::from(SMSS));
                let error = total.abs_diff(rate);
                assert!(error <= rate / 400 + quantum * 2 + BURST_LEN, "{total} of {rate}, {late} us late");
                assert!(
                    burst <= (rate / 500).max(BURST_LEN) + 2 * quantum,
                    "{burst} at once, {rate} a second"
                );
            }
        }
    }

    #[test]
    fn rest_gives_no_credit_for_a_burst() {
        let mut pacer = pacer(1_000_000, 0, ms(100));
        run(&mut pacer, Instant::from_millis(1100), Duration::ZERO);
        let now = Instant::from_millis(60_000);
        let mut burst = 0;
        while let Ok(len) = pacer.poll(now, SMSS) {
            pacer.on_sent(now, len);
            burst += u64::from(len);
        }
        // 2 ms of 12 MB/s, and the quantum that crosses the line.
        assert!(burst <= 24_000 + 12_000, "{burst}");
    }

    #[test]
    fn quanta_are_whole_segments_and_never_fewer_than_two() {
        let at = Instant::from_millis(5);
        assert_eq!(pacer(14_480, 0, ms(100)).poll(at, SMSS), Ok(2 * SMSS));
        assert_eq!(pacer(1_000_000, 0, ms(100)).poll(at, SMSS), Ok(8 * SMSS));
        assert_eq!(pacer(100_000_000, 0, ms(10)).poll(at, SMSS), Ok(45 * SMSS));
    }

    #[test]
    fn a_lan_and_the_first_window_are_not_paced() {
        let now = Instant::from_millis(5);
        let mut lan = pacer(1_000_000, 0, Duration::from_micros(999));
        assert_eq!((lan.rate(), lan.poll(now, SMSS)), (None, Ok(u32::MAX)));
        lan.on_sent(now, 1 << 30);
        assert_eq!(lan.poll(now, SMSS), Ok(u32::MAX));

        let mut fresh = Pacer::new(10 * SMSS);
        fresh.set_window(PacedWindow { cwnd: 10 * SMSS, ssthresh: u32::MAX, srtt: Some(ms(100)) });
        fresh.on_sent(now, 9 * SMSS);
        assert_eq!(fresh.poll(now, SMSS), Ok(u32::MAX));
        fresh.on_sent(now, SMSS);
        fresh.on_sent(now, 2 * SMSS);
        // 20 segments in 100 ms: two of them take 10.
        assert_eq!(fresh.poll(now, SMSS), Err(now + ms(10)));
        fresh.on_idle(10 * SMSS);
        assert_eq!(fresh.poll(now, SMSS), Ok(u32::MAX));
    }

    #[test]
    fn no_sequence_of_calls_panics() {
        let mut rng = Rng::from_number(7);
        let mut pacer = Pacer::new(14_480);
        let mut now = Instant::ZERO;
        for _ in 0..10_000 {
            let shift = rng.below(64);
            match rng.below(4) {
                0 => pacer.set_window(PacedWindow {
                    cwnd: rng.next_u32() >> (shift / 2),
                    ssthresh: rng.next_u32(),
                    srtt: (shift > 4).then(|| Duration::from_nanos(rng.next_u64() >> shift)),
                }),
                1 => pacer.on_sent(now, rng.next_u32() >> (shift / 2)),
                2 => now += Duration::from_nanos(rng.next_u64() >> shift),
                _ => match pacer.poll(now, rng.next_u32() >> (shift / 2)) {
                    Ok(_) => {}
                    Err(at) => assert!(at > now && pacer.rate().is_some()),
                },
            }
        }
    }
}
