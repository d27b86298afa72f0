//! Acknowledgments that wait until those have run who may answer.
//!
//! # Theory of operation
//! Most of what opens a conversation is one small segment that is answered at once: its acknowledgment then rides on the
//! answer, which spares a segment. A caller that runs the users of a batch of segments says before it that their
//! acknowledgments may wait, and after each round of users that it was one (`rounds.rs`). Whatever else makes a connection
//! send, and a second segment, takes the acknowledgment along.
//! Time plays no part: nobody is in doubt how long users take, so the peer waits no longer than they do.
//!
//! # Limits
//! Two rounds: the first may be that of a listener, which has a user begin in the second. At most [`WAITING_MAX`]
//! connections at the same time, of 12 bytes each; what comes beyond is acknowledged at once.

use std::collections::VecDeque;

use netloom_base::SlabId;

/// Rounds that an acknowledgment waits.
const ROUNDS: u8 = 2;

/// Connections whose acknowledgments may wait.
const WAITING_MAX: usize = 256;

/// Whose acknowledgments wait, in the order in which they began to.
#[derive(Debug, Default)]
pub(super) struct Answers {
    is_open: bool,
    waiting: VecDeque<(SlabId, u8)>,
    /// Rounds that there have been, modulo 256.
    round: u8,
}

impl Answers {
    /// Whether the acknowledgment that `id` owes may wait; it is remembered then.
    pub(super) fn hold(&mut self, id: SlabId) -> bool {
        let holds = self.is_open && self.waiting.len() < WAITING_MAX;
        if holds {
            self.waiting.push_back((id, self.round));
        }
        holds
    }

    /// Whether somebody is remembered.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// From now on some may wait, or none.
    pub(super) const fn open(&mut self, is_open: bool) {
        self.is_open = is_open;
    }

    pub(super) const fn end_round(&mut self) {
        self.round = self.round.wrapping_add(1);
    }

    /// One that has waited long enough.
    pub(super) fn pop_due(&mut self) -> Option<SlabId> {
        let &(id, since) = self.waiting.front()?;
        if self.round.wrapping_sub(since) < ROUNDS {
            return None;
        }
        self.waiting.pop_front();
        Some(id)
    }
}
