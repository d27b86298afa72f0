//! Slow start and congestion avoidance (RFC 5681 3.1).
//!
//! # State
//! | RFC | field |
//! |---|---|
//! | cwnd | `cwnd`, bytes |
//! | ssthresh | `ssthresh`, bytes |
//! | bytes acknowledged toward the next increase (RFC 3465) | `acked_len` |

use super::sample::{AckSample, IdleSample, LossSample};

/// Segments by which one acknowledgment may grow the window in slow start. RFC 5681 has one, for peers that acknowledge
/// every second segment; peers behind GRO acknowledge forty at once, and with one the window would hardly grow. Eight
/// is what RFC 9406 4.3 allows a sender without pacing. Beyond [5681-10] [5681-02]; the reasons stand in
/// docs/decisions/0004.
const SLOW_START_LIMIT: u32 = 8;

/// The state of one connection.
#[derive(Clone, Copy, Debug)]
pub(in crate::tcp) struct NewReno {
    cwnd: u32,
    ssthresh: u32,
    acked_len: u32,
    /// cwnd and ssthresh before the last reduction.
    prior: Option<(u32, u32)>,
}

/// RFC 6928 2: ten segments, but no more than 14,600 bytes, or two segments where those are larger. [5681-04]
pub(super) fn initial_window(smss: u32) -> u32 {
    (10 * smss).min((2 * smss).max(14_600))
}

/// Equation (4) of RFC 5681. [5681-09] [5681-22]
fn half_of_flight(sample: &LossSample) -> u32 {
    let LossSample { now: _, flight_len, smss } = *sample;
    (flight_len / 2).max(2 * smss)
}

impl NewReno {
    pub(super) fn new(smss: u32) -> Self {
        // [5681-08]
        Self { cwnd: initial_window(smss), ssthresh: u32::MAX, acked_len: 0, prior: None }
    }

    pub(super) fn on_ack(&mut self, sample: &AckSample) {
        let AckSample { acked_len, flight_len, is_window_limited, smss, .. } = *sample;
        let is_slow_start = self.cwnd < self.ssthresh;
        // A window that is not used says nothing about the path; slow start may run a little ahead of its use.
        let is_used = is_window_limited || (is_slow_start && flight_len.saturating_mul(2) >= self.cwnd);
        if !is_used {
            return;
        }
        if is_slow_start {
            // [5681-03] [5681-10]
            self.cwnd = self.cwnd.saturating_add(acked_len.min(SLOW_START_LIMIT * smss));
        } else {
            // [5681-11] [5681-12]: a segment a window, counted in bytes.
            self.acked_len = self.acked_len.saturating_add(acked_len);
            if self.acked_len >= self.cwnd {
                self.acked_len -= self.cwnd;
                self.cwnd = self.cwnd.saturating_add(smss);
            }
        }
    }

    pub(super) fn on_congestion_event(&mut self, sample: &LossSample) {
        self.prior = Some((self.cwnd, self.ssthresh));
        self.ssthresh = half_of_flight(sample);
        self.cwnd = self.ssthresh;
        self.acked_len = 0;
    }

    pub(super) fn on_rto(&mut self, sample: &LossSample, is_first: bool) {
        // [5681-14]
        if is_first {
            self.prior = Some((self.cwnd, self.ssthresh));
            self.ssthresh = half_of_flight(sample);
        }
        // [5681-15]
        self.cwnd = sample.smss;
        self.acked_len = 0;
    }

    pub(super) fn on_recovery_exit(&mut self, flight_len: u32, smss: u32) {
        // RFC 6582 3.2 step 3, option 1: no burst. [5681-27] [5681-35]
        self.cwnd = self.ssthresh.min(flight_len.max(smss) + smss);
    }

    pub(super) fn undo(&mut self) {
        if let Some((cwnd, ssthresh)) = self.prior.take() {
            self.cwnd = self.cwnd.max(cwnd);
            self.ssthresh = self.ssthresh.max(ssthresh);
        }
    }

    pub(super) fn on_idle(&mut self, sample: &IdleSample) {
        let IdleSample { now, last_sent_at, rto, smss } = *sample;
        // [5681-28]
        if now.saturating_since(last_sent_at) > rto {
            self.cwnd = self.cwnd.min(initial_window(smss));
        }
    }

    pub(super) fn on_syn_loss(&mut self, smss: u32) {
        // [5681-06]
        self.cwnd = smss;
    }

    pub(super) fn on_smss(&mut self, old: u32, new: u32) {
        // [5681-07]: as many segments as before.
        if new < old {
            let scaled = u64::from(self.cwnd) * u64::from(new) / u64::from(old.max(1));
            self.cwnd = u32::try_from(scaled).unwrap_or(self.cwnd).max(new);
        }
    }

    pub(super) const fn cwnd(&self) -> u32 {
        self.cwnd
    }

    pub(super) const fn ssthresh(&self) -> u32 {
        self.ssthresh
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use netloom_base::Instant;

    use super::*;

    const SMSS: u32 = 1000;

    fn ack(acked_len: u32, flight_len: u32) -> AckSample {
        AckSample::example(acked_len, flight_len, SMSS)
    }

    #[test]
    fn the_initial_window_is_ten_segments() {
        // [5681-04]
        assert_eq!(initial_window(1460), 14_600);
        assert_eq!(initial_window(1000), 10_000);
        assert_eq!(initial_window(9000), 18_000);
        assert_eq!(initial_window(1500), 14_600);
    }

    #[test]
    fn slow_start_doubles_and_avoidance_adds_one_segment_a_window() {
        // [5681-03] [5681-08] [5681-10] [5681-11] [5681-12] [9293 MUST-19]
        let mut reno = NewReno::new(SMSS);
        for _ in 0..10 {
            reno.on_ack(&ack(SMSS, 10_000));
        }
        assert_eq!(reno.cwnd(), 20_000);
        reno.on_congestion_event(&LossSample::example(20_000, SMSS));
        assert_eq!((reno.cwnd(), reno.ssthresh()), (10_000, 10_000));
        for acked in 1..=10 {
            assert_eq!(reno.cwnd(), 10_000, "after {acked} acknowledgments");
            reno.on_ack(&ack(SMSS, 10_000));
        }
        assert_eq!(reno.cwnd(), 11_000);
    }

    #[test]
    fn a_timeout_falls_to_one_segment_and_halves_only_once() {
        // [5681-09] [5681-14] [5681-15]
        let mut reno = NewReno::new(SMSS);
        reno.on_rto(&LossSample::example(10_000, SMSS), true);
        assert_eq!((reno.cwnd(), reno.ssthresh()), (1000, 5000));
        reno.on_rto(&LossSample::example(1000, SMSS), false);
        assert_eq!((reno.cwnd(), reno.ssthresh()), (1000, 5000));
    }

    #[test]
    fn what_was_spurious_is_taken_back_once() {
        let mut reno = NewReno::new(SMSS);
        reno.on_congestion_event(&LossSample::example(10_000, SMSS));
        reno.undo();
        assert_eq!((reno.cwnd(), reno.ssthresh()), (10_000, u32::MAX));
        reno.on_congestion_event(&LossSample::example(10_000, SMSS));
        reno.undo();
        reno.on_rto(&LossSample::example(4000, SMSS), true);
        reno.on_rto(&LossSample::example(1000, SMSS), false);
        reno.undo();
        assert_eq!(reno.cwnd(), 10_000);
        reno.cwnd = 1000;
        reno.undo();
        assert_eq!(reno.cwnd(), 1000, "there is nothing to take back");
    }

    #[test]
    fn an_unused_window_does_not_grow() {
        let mut reno = NewReno::new(SMSS);
        reno.on_ack(&AckSample { is_window_limited: false, ..ack(SMSS, 1000) });
        assert_eq!(reno.cwnd(), 10_000);
    }

    #[test]
    fn leaving_recovery_makes_no_burst() {
        // [5681-27] [5681-35]
        let mut reno = NewReno::new(SMSS);
        reno.on_congestion_event(&LossSample::example(20_000, SMSS));
        reno.on_recovery_exit(2000, SMSS);
        assert_eq!(reno.cwnd(), 3000);
        reno.on_recovery_exit(50_000, SMSS);
        assert_eq!(reno.cwnd(), 10_000);
    }

    #[test]
    fn a_smaller_segment_keeps_the_count() {
        // [5681-07] [5681-06] [5681-28]
        let mut reno = NewReno::new(SMSS);
        reno.on_smss(1000, 500);
        assert_eq!(reno.cwnd(), 5000);
        reno.on_ack(&AckSample::example(4000, 5000, 500));
        reno.on_idle(&IdleSample {
            now: Instant::from_millis(9000),
            last_sent_at: Instant::ZERO,
            rto: Duration::from_secs(1),
            smss: 500,
        });
        assert_eq!(reno.cwnd(), 5000);
        reno.on_syn_loss(500);
        assert_eq!(reno.cwnd(), 500);
    }
}
