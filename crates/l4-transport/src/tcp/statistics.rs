//! What a connection has done and met, for those who look at it: nothing here decides anything.
//!
//! # Theory of operation
//! What an idle connection needs too is counted in the connection ([`Totals`]); the rest exists from its first text on.
//! Times are added up whenever something has happened to the connection: what was true since the last time counts for all
//! of that while. So they lag behind by what has passed since.
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
}

/// Numbers of a connection that has carried text.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Statistics {
    pub(super) bytes_retransmitted: u64,
    pub(super) text_segments_sent: u32,
    pub(super) text_segments_received: u32,
    pub(super) out_of_order_segments: u32,
    pub(super) dsacks_received: u32,
    pub(super) timeout_recoveries: u32,
    pub(super) busy: Span,
    pub(super) window_limited: Span,
    pub(super) buffer_limited: Span,
    pub(super) timeout_recovery: Span,
    /// What has been true since `since`.
    now_true: Conditions,
    since: Instant,
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

    fn extend(&mut self, by: Duration) {
        self.nanos = self.nanos.saturating_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX));
    }
}

/// What is true of a connection for a while.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Conditions {
    /// Something is to be sent, or to be acknowledged.
    pub(super) busy: bool,
    /// The peer's window keeps it from sending.
    pub(super) window_limited: bool,
    /// All that the buffer holds is sent, and a writer waits for room.
    pub(super) buffer_limited: bool,
    /// The timer ran out, and what was lost is being repaired.
    pub(super) timeout_recovery: bool,
}

impl Statistics {
    /// Whether there was something to be sent or acknowledged.
    pub(super) const fn was_busy(&self) -> bool {
        self.now_true.busy
    }

    /// What was true until `now` was so all the while; from now on `next` is.
    pub(super) fn advance(&mut self, now: Instant, next: Conditions) {
        let elapsed = now.saturating_since(self.since);
        let Conditions { busy, window_limited, buffer_limited, timeout_recovery } = self.now_true;
        for (is_true, time) in [
            (busy, &mut self.busy),
            (window_limited, &mut self.window_limited),
            (buffer_limited, &mut self.buffer_limited),
            (timeout_recovery, &mut self.timeout_recovery),
        ] {
            if is_true {
                time.extend(elapsed);
            }
        }
        self.now_true = next;
        self.since = now;
    }
}
