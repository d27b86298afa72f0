//! How wide a window a reader is worth: receive-buffer tuning.
//!
//! # Theory of operation
//! A window as wide as the path needs costs memory only if the reader does not keep up: bytes lie in the queue while they
//! wait for the reader or for a hole to fill, and the queue takes memory as it fills. So a window may begin wide, at
//! `TcpConfig::first_window`, which fills any local network from the first round trip. What tuning has to prevent is that a peer
//! piles up megabytes for a reader that is slow; what it has to allow is that a path with a long round trip is filled.
//! Both follow from one measurement, the bytes that the reader *takes* within a round trip:
//!
//! - the peer can only send as much in the next one as it was granted, and in slow start it doubles. Twice what was taken
//!   (and a few segments) is what it can use next; where the amount grew, the window grows ahead of it by that share.
//! - A reader that takes little in a round trip leaves the window as it is. It never becomes narrower: promises are kept,
//!   and a slow reader has had at most the first window.
//!
//! The round trip is measured where the peer's segments show it: by the timestamp that they echo, or by how long
//! it takes until more arrives than a window allowed, of which the shortest counts. Until then the handshake's own counts.
//!
//! # Limits
//! It ends when the window has reached the buffer's limit. An explicit buffer size is taken as it is: no tuner.

use core::time::Duration;

use netloom_base::Instant;
use netloom_wire::SeqNumber;

/// Segments that are granted beyond what was measured.
const SPARE_SEGMENTS: u32 = 16;

/// What a reader takes in a round trip.
#[derive(Clone, Debug)]
pub(super) struct WindowTuner {
    /// The path's round trip as far as it is known.
    rtt: Option<Duration>,
    /// When the reader's current round trip began, and what it has taken in it.
    since: Instant,
    read_len: u32,
    /// The most that it took in one.
    most_read: u32,
    /// Where the window ended at `mark_since`: what lies beyond arrives a round trip later at the earliest.
    mark: SeqNumber,
    mark_since: Instant,
}

impl WindowTuner {
    /// `rtt`: the handshake's. `edge`: where the current window ends, and `window`: how wide it is. `mss`: of the peer's
    /// segments.
    pub(super) fn new(now: Instant, rtt: Option<Duration>, edge: SeqNumber, window: u32, mss: u32) -> Self {
        // Whoever takes more than a quarter of a narrow window is worth a wider one: up to half of it may be taken without the
        // peer's hearing of it, who then uses the other half only.
        let most_read = mss.saturating_mul(10).min(window / 4);
        Self { rtt, since: now, read_len: 0, most_read, mark: edge, mark_since: now }
    }

    /// The path's round trip as far as it is known.
    pub(super) const fn rtt(&self) -> Option<Duration> {
        self.rtt
    }

    /// The most that the reader took in one, in bytes.
    pub(super) const fn most_read(&self) -> u32 {
        self.most_read
    }

    /// Text has arrived up to `rcv_nxt`; the window ends at `edge` now. `echo`: how long ago what it answers left here.
    pub(super) fn on_text(
        &mut self,
        now: Instant,
        rcv_nxt: SeqNumber,
        edge: SeqNumber,
        echo: Option<Duration>,
    ) {
        if let Some(sample) = echo {
            self.rtt = Some(self.rtt.map_or(sample, |rtt| (rtt * 7 + sample) / 8));
            return;
        }
        // What lies beyond was allowed after `mark_since` only.
        if rcv_nxt.after(self.mark) {
            let sample = now.saturating_since(self.mark_since);
            self.rtt = Some(self.rtt.map_or(sample, |rtt| rtt.min(sample)));
            self.mark = edge;
            self.mark_since = now;
        }
    }

    /// The reader has taken `len` bytes. Says how wide a window it is worth, if that may be wider than before.
    pub(super) fn on_read(&mut self, now: Instant, len: u32, mss: u32) -> Option<u32> {
        self.read_len = self.read_len.saturating_add(len);
        let rtt = self.rtt?.max(Duration::from_millis(1));
        let elapsed = now.saturating_since(self.since);
        if elapsed < rtt {
            return None;
        }
        // What came in one piece after a long pause was not taken within a round trip.
        let round_trips = u32::try_from(elapsed.as_micros() / rtt.as_micros().max(1)).unwrap_or(u32::MAX);
        let copied = self.read_len / round_trips.max(1);
        self.since = now;
        self.read_len = 0;
        let before = self.most_read;
        self.most_read = before.max(copied);
        if copied <= before {
            return None;
        }
        let window = u64::from(copied) * 2 + u64::from(mss) * u64::from(SPARE_SEGMENTS);
        let ahead = window * u64::from(copied - before) / u64::from(before.max(1));
        Some(u32::try_from(window + ahead * 2).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MSS: u32 = 1000;

    fn tuner() -> WindowTuner {
        WindowTuner::new(Instant::ZERO, Some(Duration::from_millis(100)), SeqNumber(50_000), 50_000, MSS)
    }

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    #[test]
    fn a_window_grows_ahead_of_a_reader_that_takes_more_each_round_trip() {
        let mut tuner = tuner();
        assert_eq!(tuner.on_read(at(50), 15_000, MSS), None, "the round trip is not over");
        // Twice as much as before: twice that for the next, and as much ahead again, twice.
        assert_eq!(tuner.on_read(at(100), 5000, MSS), Some(56_000 + 2 * 56_000));
        assert_eq!(tuner.on_read(at(200), 20_000, MSS), None, "no more than before");
        assert_eq!(tuner.on_read(at(300), 30_000, MSS), Some(76_000 + 76_000));
    }

    #[test]
    fn a_reader_of_less_than_half_a_narrow_window_is_worth_a_wider_one() {
        let rtt = Some(Duration::from_millis(100));
        let mut tuner = WindowTuner::new(Instant::ZERO, rtt, SeqNumber(0), 80_000, 9000);
        assert!(tuner.on_read(at(100), 36_000, 9000).is_some_and(|window| window > 80_000));
    }

    #[test]
    fn a_reader_that_pauses_is_not_taken_for_a_fast_one() {
        let mut tuner = tuner();
        assert_eq!(tuner.on_read(at(1000), 100_000, MSS), None);
        assert!(tuner.on_read(at(2000), 200_000, MSS).is_some());
    }

    #[test]
    fn the_round_trip_is_an_echos_age_or_the_time_of_a_window() {
        let mut tuner = tuner();
        tuner.on_text(at(20), SeqNumber(50_000), SeqNumber(60_000), None);
        assert_eq!(tuner.rtt, Some(Duration::from_millis(100)));
        tuner.on_text(at(40), SeqNumber(50_001), SeqNumber(99_000), None);
        assert_eq!(tuner.rtt, Some(Duration::from_millis(40)), "the shortest");
        tuner.on_text(at(50), SeqNumber(50_002), SeqNumber(99_000), Some(Duration::from_millis(120)));
        assert_eq!(tuner.rtt, Some(Duration::from_millis(50)), "an eighth of the way");
        let mut blind = WindowTuner { rtt: None, ..tuner };
        assert_eq!(blind.on_read(at(9000), 1 << 20, MSS), None);
    }
}
