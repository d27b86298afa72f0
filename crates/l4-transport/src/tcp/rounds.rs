//! The rounds of users after which what waits for them leaves: acknowledgments for their answers (`answers.rs`), and text for
//! what they write next (`auto_cork.rs`).

use netloom_base::Instant;

use super::connection::Connection;
use super::layer::Tcp;
use super::reason::SendBlockedBy;

impl Tcp {
    /// Says whether small text that comes from now on may be acknowledged a little later than at once, with an answer. If so,
    /// [`end_round`](Self::end_round) must follow, as long as [`awaits_round`](Self::awaits_round).
    pub const fn await_answers(&mut self, are_awaited: bool) {
        self.answers.open(are_awaited);
    }

    /// Whether something waits for users, or did until they came.
    pub fn awaits_round(&self) -> bool {
        !self.answers.is_empty() || !self.auto_cork.is_empty()
    }

    /// Whoever had news could run once: text that waited leaves now, and what has waited for an answer for two rounds is
    /// acknowledged.
    pub fn end_round(&mut self, now: Instant) {
        if !self.awaits_round() {
            return;
        }
        self.uncork(now);
        self.answers.end_round();
        while let Some(id) = self.answers.pop_due() {
            let has_waited = |it: &mut Connection| it.receiver.stop_awaiting_answer();
            if self.connections.get_mut(id).is_some_and(has_waited) {
                self.with_connection(now, id, |connection, _| connection.membership.wants_output = true);
            }
        }
    }

    /// Says whether the last small part of what a writer in bulk has written may wait for the end of the round. If so,
    /// [`end_round`](Self::end_round) must follow, as long as [`awaits_round`](Self::awaits_round).
    pub const fn auto_cork(&mut self, is_on: bool) {
        self.auto_cork.is_on = is_on;
    }

    /// Lets all text go that waits.
    fn uncork(&mut self, now: Instant) {
        // No more than there are now.
        for _ in 0..self.auto_cork.corked.len() {
            let Some(id) = self.auto_cork.corked.pop_front() else { return };
            self.with_connection(now, id, |connection, _| connection.uncork());
        }
    }
}

impl Connection {
    /// What waits is remembered, or about to leave.
    pub(super) fn assert_not_forgotten(&self) {
        debug_assert!(
            self.blocked_by != SendBlockedBy::AutoCork
                || self.sender.unsent_len() == 0
                || (self.membership.is_corked || self.membership.in_ready),
            "nothing waits longer than the round"
        );
    }

    /// The round is over: what still waits leaves.
    fn uncork(&mut self) {
        self.membership.is_corked = false;
        self.sender.corking = self.sender.corking.after_round();
        self.membership.wants_output |= self.blocked_by == SendBlockedBy::AutoCork;
    }
}
