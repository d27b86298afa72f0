//! Congestion avoidance as RFC 5681 3.1 has it: a segment more a round trip, half after a loss.
//!
//! # State
//! | RFC | field |
//! |---|---|
//! | bytes acknowledged toward the next increase (RFC 3465) | `acked_len` |

use super::sample::LossSample;

/// The state of one connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewReno {
    acked_len: u32,
}

impl NewReno {
    pub(super) const fn new() -> Self {
        Self { acked_len: 0 }
    }

    /// A segment a window, counted in bytes. [5681-11] [5681-12]
    pub(super) fn grow(&mut self, cwnd: u32, acked_len: u32, smss: u32) -> u32 {
        self.acked_len = self.acked_len.saturating_add(acked_len);
        if self.acked_len < cwnd {
            return cwnd;
        }
        // No more than a segment for one acknowledgment, and no credit for the next beyond a window.
        self.acked_len = (self.acked_len - cwnd).min(cwnd);
        cwnd.saturating_add(smss)
    }

    /// Equation (4) of RFC 5681. Where the window is smaller than the flight, because it fell a moment ago, it counts.
    /// [5681-09] [5681-22]
    pub(super) fn reduce(&mut self, cwnd: u32, sample: &LossSample) -> u32 {
        self.restart();
        sample.flight_len.min(cwnd) / 2
    }

    pub(super) fn restart(&mut self) {
        self.acked_len = 0;
    }
}
