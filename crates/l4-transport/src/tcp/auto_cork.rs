//! Small parts at the end of what was written that wait a moment for what their writers write next.
//!
//! # Theory of operation
//! Whoever sends in bulk hands its text over in blocks, and few blocks are whole super-segments: each would end in a small one,
//! with a system call and an acknowledgment of its own. So the last part of what was written waits if it does not fill a
//! super-segment, as much as one is in flight, and its writer has been filling what room there was. What it writes next goes
//! along. When those have run who were about to (`rounds.rs`), what is left leaves as it is; if its writer did not go on,
//! nothing of its waits again until it has filled the room once more. A full socket is another matter: its writer waits
//! for room, so that the last part waits for the acknowledgment which makes some (`SendBlockedBy::Coalescing`).
//! Whether Nagle's algorithm is on plays no part, as with automatic corking on Linux; a FIN, urgent text and a cork that
//! is taken out make it leave at once. Time plays none either.
//!
//! # Limits
//! One round; at most [`CORKED_MAX`] connections at the same time, of 8 bytes each. What comes beyond does not wait.

use std::collections::VecDeque;

use netloom_base::SlabId;

/// Connections of which something may wait.
const CORKED_MAX: usize = 256;

/// Of which connections something waits for the end of the round.
#[derive(Debug, Default)]
pub(super) struct AutoCork {
    pub(super) is_on: bool,
    pub(super) corked: VecDeque<SlabId>,
}

/// Whether the last part of what a writer has written waits for what it writes next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Corking {
    /// No: it has not filled the room there was, or not gone on when it was waited for.
    #[default]
    Off,
    /// It will, if enough is in flight.
    Ready,
    /// Yes.
    Waiting,
    /// Yes, and more has been written meanwhile.
    Joined,
    /// No: the round is over. What is written next may.
    Over,
}

impl Corking {
    /// More has been written; `is_full`: there is no room left.
    pub(super) fn after_write(self, is_full: bool) -> Self {
        match self {
            Self::Off if is_full => Self::Ready,
            Self::Off => Self::Off,
            Self::Ready | Self::Over => Self::Ready,
            Self::Waiting | Self::Joined => Self::Joined,
        }
    }

    /// Something waits.
    pub(super) fn after_hold(self) -> Self {
        if self == Self::Joined { Self::Joined } else { Self::Waiting }
    }

    /// The round is over.
    pub(super) fn after_round(self) -> Self {
        match self {
            Self::Off | Self::Waiting => Self::Off,
            Self::Ready | Self::Joined | Self::Over => Self::Over,
        }
    }

    /// Whether a part waits that does not fill a super-segment; `is_flying`: as much is in flight.
    pub(super) fn holds(self, is_flying: bool) -> bool {
        match self {
            Self::Off | Self::Over => false,
            Self::Ready => is_flying,
            // What made it wait may have been acknowledged meanwhile: the round is as short as it was.
            Self::Waiting | Self::Joined => true,
        }
    }
}

impl AutoCork {
    /// Remembers `id` until the end of the round; whether there was room.
    pub(super) fn hold(&mut self, id: SlabId) -> bool {
        let holds = self.corked.len() < CORKED_MAX;
        if holds {
            self.corked.push_back(id);
        }
        holds
    }

    /// Whether somebody is remembered.
    pub(super) fn is_empty(&self) -> bool {
        self.corked.is_empty()
    }
}
