//! TS.Recent: which of the peer's timestamps is echoed, and which is too old (RFC 7323 4.3, 5.3).

use core::time::Duration;

use netloom_base::Instant;
use netloom_wire::SeqNumber;

use super::Receiver;
use crate::tcp::stragglers::Stragglers;

/// After this long without a segment TS.Recent says nothing any more. [7323-44]
pub(super) const TS_RECENT_LIFETIME: Duration = Duration::from_secs(24 * 24 * 3600);

impl Receiver {
    /// Whether a timestamp is from before what was seen already (RFC 7323 5.3, R1). [7323-38] [7323-44]
    pub(in crate::tcp) fn is_old_timestamp(&self, now: Instant, value: u32) -> bool {
        self.ts_recent_at.is_some_and(|at| {
            SeqNumber(value).before(SeqNumber(self.ts_recent))
                && now.saturating_since(at) < TS_RECENT_LIFETIME
        })
    }

    /// Whether a segment from `start` up to `end` with an old timestamp is only late (`stragglers.rs`).
    pub(in crate::tcp) fn is_straggler(&self, value: u32, start: SeqNumber, end: SeqNumber) -> bool {
        let stragglers = self.disorder.as_ref().and_then(|disorder| disorder.stragglers);
        start.before(end)
            && end.after(self.rcv_nxt)
            && stragglers.is_some_and(|stragglers| stragglers.may_carry(value, self.rcv_nxt))
    }

    /// Remembers the timestamp of an acceptable segment, if it is the one to echo. [7323-30] [7323-31] [7323-32]
    /// [7323-33] [7323-34]
    pub(in crate::tcp) fn note_timestamp(&mut self, now: Instant, sequence: SeqNumber, value: u32) {
        let is_newer = self.ts_recent_at.is_none() || !SeqNumber(value).before(SeqNumber(self.ts_recent));
        let is_stale = self.ts_recent_at.is_some_and(|at| now.saturating_since(at) >= TS_RECENT_LIFETIME);
        if (is_newer || is_stale) && sequence.at_or_before(self.last_ack_sent) {
            let recent = self.ts_recent;
            if let Some(disorder) = &mut self.disorder {
                disorder.stragglers = (!disorder.ranges.is_empty())
                    .then(|| Stragglers::behind_hole(disorder.stragglers, recent, self.rcv_nxt));
            }
            self.set_timestamp(now, value);
        }
    }

    /// TS.Recent, whatever it was before.
    pub(in crate::tcp) fn set_timestamp(&mut self, now: Instant, value: u32) {
        (self.ts_recent, self.ts_recent_at) = (value, Some(now));
    }

    /// What TSecr echoes.
    pub(in crate::tcp) const fn ts_recent(&self) -> u32 {
        self.ts_recent
    }
}
