//! The memory of all buffers of a stack, against its bound.
//!
//! # Theory of operation
//! Buffers take memory as bytes come and give it back when they are empty, so that most of the time a window costs
//! nothing, however wide it is. What is promised to all peers together is many times what there is; the bound
//! ([`TcpConfig::max_buffer_bytes`](super::TcpConfig::max_buffer_bytes)) is kept in two steps:
//!
//! 1. *Shortage* begins at three quarters of the bound and ends at half of it. While it lasts, no window is promised that
//!    is wider than four segments (what was promised before stays), sockets take no more than the congestion window (or
//!    16 KiB), and empty buffers are given back at once. So peers and writers become slower, and nothing is lost.
//! 2. At the bound no buffer grows any more. Text that the peer was once told that it may send is dropped where it would
//!    need memory, and comes again; the acknowledgment says how wide the window really is.
//!
//! No connection is ended, and none starves: whatever the others hold, each buffer may have [`RESERVED`] bytes. A reader
//! that keeps up therefore always gets the next segment, and a writer whose data is acknowledged always has room.
//!
//! # Limits
//! `max_buffer_bytes`, and beyond it `RESERVED` for each buffer of those connections that came when it was full.
//!
//! Each change of a connection costs one addition here: nothing walks the table.

/// Bytes that each buffer may hold however much the others do.
pub(super) const RESERVED: usize = 4096;

/// What all buffers hold together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Memory {
    used: usize,
    limit: usize,
    is_short: bool,
}

impl Memory {
    pub(super) const fn new(limit: usize) -> Self {
        Self { used: 0, limit, is_short: false }
    }

    /// Bytes that all buffers hold.
    pub(super) const fn used(&self) -> usize {
        self.used
    }

    /// Whether there is little left.
    pub(super) const fn is_short(&self) -> bool {
        self.is_short
    }

    /// By how many bytes a buffer that holds `held` may grow.
    pub(super) const fn growth_of(&self, held: usize) -> usize {
        let free = self.limit.saturating_sub(self.used);
        let reserved = RESERVED.saturating_sub(held);
        if free > reserved { free } else { reserved }
    }

    /// The buffers of a connection held `before` bytes and hold `after`. Says whether a shortage begins.
    pub(super) const fn account(&mut self, before: usize, after: usize) -> bool {
        self.used = self.used.saturating_sub(before).saturating_add(after);
        let was_short = self.is_short;
        let threshold = if was_short { self.limit / 2 } else { self.limit / 4 * 3 };
        self.is_short = self.used > threshold;
        self.is_short && !was_short
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortage_begins_late_and_ends_early() {
        let mut memory = Memory::new(100_000);
        assert!(!memory.account(0, 75_000));
        assert!(memory.account(0, 1));
        assert!(memory.is_short());
        assert!(!memory.account(0, 1), "it has begun already");
        assert!(!memory.account(25_000, 0) && memory.is_short());
        assert!(!memory.account(2, 0) && !memory.is_short());
        assert!(!memory.account(0, 25_000) && !memory.is_short());
    }

    #[test]
    fn at_the_bound_only_the_reserve_is_given() {
        let mut memory = Memory::new(100_000);
        assert_eq!(memory.growth_of(0), 100_000);
        memory.account(0, 99_000);
        assert_eq!((memory.growth_of(0), memory.growth_of(3500), memory.growth_of(8192)), (4096, 1000, 1000));
        memory.account(0, 5000);
        assert_eq!((memory.growth_of(0), memory.growth_of(4096)), (4096, 0));
    }
}
