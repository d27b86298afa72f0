//! cwnd and ssthresh, and their bounds.

/// The largest window that counts: a peer cannot offer more (RFC 7323 2.3).
pub(super) const LARGEST_WINDOW: u32 = 1 << 30;

/// RFC 6928 2: ten segments, but no more than 14,600 bytes, or two segments where those are larger. [5681-04]
pub(in crate::tcp) fn initial_window(smss: u32) -> u32 {
    smss.saturating_mul(10).min(smss.saturating_mul(2).max(14_600))
}

/// The two numbers that all algorithms move, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) cwnd: u32,
    pub(super) ssthresh: u32,
}

impl Window {
    /// Slow start before anything was ever lost: only there HyStart++ looks for the end. [9406-05]
    pub(super) const fn is_in_first_slow_start(self) -> bool {
        self.ssthresh == u32::MAX
    }

    pub(super) const fn is_in_slow_start(self) -> bool {
        self.cwnd < self.ssthresh
    }

    /// Remembers, before the window falls for want of use, how large it was good for (RFC 2861 3.1).
    pub(super) fn remember(&mut self) {
        self.ssthresh = self.ssthresh.max(self.cwnd / 4 * 3);
    }
}
