//! The rounds of users after which what waits for their answers is acknowledged (`answers.rs`).

use netloom_base::Instant;

use super::connection::Connection;
use super::layer::Tcp;

impl Tcp {
    /// Says whether small text that comes from now on may be acknowledged a little later than at once, with an answer. If so,
    /// [`end_round`](Self::end_round) must follow, as long as [`awaits_answers`](Self::awaits_answers).
    pub const fn await_answers(&mut self, are_awaited: bool) {
        self.answers.open(are_awaited);
    }

    /// Whether acknowledgments wait for answers, or did until they came.
    pub fn awaits_answers(&self) -> bool {
        !self.answers.is_empty()
    }

    /// Whoever had news could run once: what has waited for two rounds is acknowledged now.
    pub fn end_round(&mut self, now: Instant) {
        if !self.awaits_answers() {
            return;
        }
        self.answers.end_round();
        while let Some(id) = self.answers.pop_due() {
            let has_waited = |it: &mut Connection| it.receiver.stop_awaiting_answer();
            if self.connections.get_mut(id).is_some_and(has_waited) {
                self.with_connection(now, id, |connection, _| connection.membership.wants_output = true);
            }
        }
    }
}
