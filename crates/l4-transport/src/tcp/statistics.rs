//! What a connection has done and met, for those who look at it: nothing here decides anything.
//!
//! # Theory of operation
//! What every conversation needs is counted in the connection ([`Totals`]); the rest exists from the first loss, disorder or
//! wait for room on. Times are added up whenever something has happened to the connection: what was true since the last time
//! counts for all of that while. So they lag behind by what has passed since.
//!
//! # Source
//! The kernel's `tcp_info` (`linux/tcp.h`), whose numbers these are.

use core::time::Duration;

use netloom_base::Instant;

/// Numbers of every connection.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Totals {
    pub(super) bytes_sent: u64,
    pub(super) bytes_acked: u64,
    pub(super) bytes_received: u64,
    pub(super) retransmits: u32,
    pub(super) timeouts: u32,
    pub(super) segments_sent: u32,
    pub(super) segments_received: u32,
    pub(super) text_segments_sent: u32,
    pub(super) text_segments_received: u32,
    /// How long there was something to be sent or acknowledged.
    pub(super) busy: Span,
    /// What is true has been so since then.
    since: Instant,
}

/// Numbers of a connection that has met something.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Statistics {
    pub(super) bytes_retransmitted: u64,
    pub(super) out_of_order_segments: u32,
    pub(super) dsacks_received: u32,
    pub(super) window_limited: Span,
    pub(super) buffer_limited: Span,
    pub(super) timeout_recovery: Span,
}

/// A [`Duration`] in half its memory; none is longer than five centuries.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Span {
    nanos: u64,
}

impl Span {
    pub(super) const fn duration(self) -> Duration {
        Duration::from_nanos(self.nanos)
    }

    const fn between(since: Instant, now: Instant) -> Self {
        Self { nanos: now.as_nanos().saturating_sub(since.as_nanos()) }
    }

    const fn extend(&mut self, by: Self) {
        self.nanos = self.nanos.saturating_add(by.nanos);
    }
}

/// What is true of a connection for a while; a set.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Conditions(u8);

impl Conditions {
    pub(super) const NONE: Self = Self(0);
    /// Something is to be sent, or to be acknowledged.
    pub(super) const BUSY: Self = Self(1);
    /// The peer's window keeps it from sending.
    pub(super) const WINDOW_LIMITED: Self = Self(2);
    /// All that the buffer holds is sent, and a writer waits for room.
    pub(super) const BUFFER_LIMITED: Self = Self(4);
    /// The timer ran out, and what was lost is being repaired.
    pub(super) const TIMEOUT_RECOVERY: Self = Self(8);

    pub(super) const fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }

    const fn have(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether something is to be sent, or to be acknowledged.
    pub(super) const fn are_busy(self) -> bool {
        self.have(Self::BUSY)
    }

    /// Whether anything is true but that it is busy.
    pub(super) const fn are_remarkable(self) -> bool {
        self.0 & !Self::BUSY.0 != 0
    }
}

impl Totals {
    /// Whether any text has come or gone.
    pub(super) const fn has_text(&self) -> bool {
        self.text_segments_sent != 0 || self.text_segments_received != 0
    }

    /// What `were` true until `now` was so all the while, which it tells.
    pub(super) const fn advance(&mut self, now: Instant, were: Conditions) -> Span {
        let elapsed = Span::between(self.since, now);
        self.since = now;
        if were.are_busy() {
            self.busy.extend(elapsed);
        }
        elapsed
    }
}

impl Statistics {
    /// What `were` true was so for this time.
    pub(super) fn add(&mut self, were: Conditions, time: Span) {
        for (condition, span) in [
            (Conditions::WINDOW_LIMITED, &mut self.window_limited),
            (Conditions::BUFFER_LIMITED, &mut self.buffer_limited),
            (Conditions::TIMEOUT_RECOVERY, &mut self.timeout_recovery),
        ] {
            if were.have(condition) {
                span.extend(time);
            }
        }
    }
}
