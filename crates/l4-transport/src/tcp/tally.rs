//! Counting what a connection does and meets (`statistics.rs`).

use netloom_base::Instant;

use super::connection::Connection;
use super::reason::SendBlockedBy;
use super::recovery::RecoveryPhase;
use super::segment::{Draft, Segment};
use super::statistics::{Conditions, Statistics};

impl Connection {
    /// Adds up how long what was true was so.
    pub(super) fn keep_time(&mut self, now: Instant) {
        let is_busy = self.sender.is_outstanding() || self.sender.unsent_len() > 0;
        if !(is_busy || self.conditions.are_busy()) || !self.totals.has_text() {
            return;
        }
        let mut next = Conditions::NONE;
        if is_busy {
            next.add(Conditions::BUSY);
            if self.blocked_by == SendBlockedBy::ReceiveWindow {
                next.add(Conditions::WINDOW_LIMITED);
            }
            if self.sender.is_full && self.sender.unsent_len() == 0 {
                next.add(Conditions::BUFFER_LIMITED);
            }
        }
        if self.recovery.phase == RecoveryPhase::Loss {
            next.add(Conditions::TIMEOUT_RECOVERY);
        }
        let before = core::mem::replace(&mut self.conditions, next);
        let elapsed = self.totals.advance(now, before);
        if before.are_remarkable() {
            self.statistics().add(before, elapsed);
        }
    }

    /// A segment, or what stands for several, is about to leave.
    pub(super) fn count_sent(&mut self, draft: &Draft) {
        let parts = draft.part_len.map_or(1, |part_len| draft.text.len.div_ceil(part_len.get().into()));
        self.totals.segments_sent = self.totals.segments_sent.wrapping_add(parts);
        if draft.text.len > 0 {
            self.totals.text_segments_sent = self.totals.text_segments_sent.wrapping_add(parts);
        }
    }

    /// A segment, or what stands for several, has come.
    pub(super) fn count_received(&mut self, segment: &Segment<'_>) {
        self.totals.segments_received = self.totals.segments_received.wrapping_add(segment.count);
        if !segment.text.is_empty() {
            self.totals.text_segments_received =
                self.totals.text_segments_received.wrapping_add(segment.count);
        }
    }

    /// The numbers that only some connections need.
    pub(super) fn statistics(&mut self) -> &mut Statistics {
        self.statistics.get_or_insert_default()
    }
}
