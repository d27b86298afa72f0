//! What the application at one end of a connection does: data, not code, so that a scenario can be printed.

use core::time::Duration;

/// One end's script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Bytes that it sends in all.
    pub outgoing: u64,
    /// When it may send them.
    pub order: Order,
    /// Bytes in one write; at least one.
    pub write_len: usize,
    /// Whether every other write is marked as urgent. Its bytes stay where they are in the stream.
    pub is_urgent: bool,
    /// How it reads.
    pub reading: Reading,
    /// How it ends.
    pub finish: Finish,
}

/// When bytes may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// At once.
    Free,
    /// In turns with the peer: `sends` bytes for every `awaits` bytes that came.
    Turns {
        /// Bytes in one turn.
        sends: u64,
        /// Bytes of the peer's turn; at least one.
        awaits: u64,
        /// Whether this end has the first turn.
        begins: bool,
    },
}

/// How an end reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// All that is there, whenever something is.
    Eager,
    /// A little now and then.
    Slow {
        /// Bytes at once.
        len: usize,
        /// How often.
        every: Duration,
    },
    /// Nothing for a while, then all.
    Late {
        /// How long after the connection began.
        by: Duration,
    },
}

/// How an end ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// Shuts down sending after the last byte, reads up to the peer's end, and closes.
    InOrder,
    /// Closes right after the last byte was taken for sending.
    CloseWhenSent,
    /// Closes once it has read so many bytes, whatever there was still to send or to read.
    CloseAfter {
        /// Bytes read.
        received: u64,
    },
    /// Resets once it has read so many bytes.
    AbortAfter {
        /// Bytes read.
        received: u64,
    },
}

impl Plan {
    /// Sends `outgoing` bytes at once, reads all, ends in order.
    pub const fn bulk(outgoing: u64) -> Self {
        Self {
            outgoing,
            order: Order::Free,
            write_len: 16_384,
            is_urgent: false,
            reading: Reading::Eager,
            finish: Finish::InOrder,
        }
    }

    /// How many bytes may have been sent when `received` have come.
    pub(crate) fn may_send(&self, received: u64) -> u64 {
        match self.order {
            Order::Free => self.outgoing,
            Order::Turns { sends, awaits, begins } => {
                let turns = received / awaits.max(1) + u64::from(begins);
                turns.saturating_mul(sends).min(self.outgoing)
            }
        }
    }

    /// How many bytes it wants to read at most.
    pub(crate) const fn may_read(&self) -> u64 {
        match self.finish {
            Finish::InOrder | Finish::CloseWhenSent => u64::MAX,
            Finish::CloseAfter { received } | Finish::AbortAfter { received } => received,
        }
    }
}
