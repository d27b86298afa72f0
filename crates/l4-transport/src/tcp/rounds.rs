//! The rounds of users after which what waits for them leaves: acknowledgments for their answers (`answers.rs`), and text for
//! what they write next (`auto_cork.rs`).

use netloom_base::Instant;

use super::connection::Connection;
use super::layer::Tcp;

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
}
