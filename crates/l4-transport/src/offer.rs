//! A frame's buffer that a connection or socket may keep, so that text is copied only once, to its reader.
//!
//! *Theory of operation.* Whoever hands in a frame whose buffer it can spare [makes](FrameOffer::set) an offer. The connection or
//! socket that the text belongs to takes it, if it is new, and goes on as if it had the bytes. When the frame is
//! through, and nothing is borrowed from it any more, the buffer itself becomes part of its queue.
//!
//! A buffer that is mostly empty, or with UDP longer than what its data counts for, is on loan ([`Loans`]): the reader is expected
//! to run soon. Who has had one for longest gives it back for the next, and its text is copied then.
//!
//! *Limits.* [`LOANS_MAX`] buffers on loan to TCP's connections, and as many to UDP's sockets.

use std::collections::VecDeque;

use netloom_base::SlabId;

/// Buffers on loan at a time: what a driver may read in a turn, before any reader has run.
const LOANS_MAX: usize = 64;

/// Whether there is a buffer to take, and who took it.
#[derive(Debug, Default)]
pub(crate) struct FrameOffer {
    size: Option<usize>,
    taken: Option<usize>,
    by: Option<SlabId>,
}

/// Text that a connection, or a UDP socket, took without copying it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TakenText {
    pub(crate) by: SlabId,
    /// The address of its first byte: where in the frame that is knows who has the frame.
    pub address: usize,
}

impl FrameOffer {
    /// From now on text may be taken out of a frame in a buffer of `size` bytes; with `None` no more.
    pub(crate) const fn set(&mut self, size: Option<usize>) {
        self.size = size;
    }

    /// The size of the buffer that text may be taken in.
    pub(crate) const fn size(&self) -> Option<usize> {
        self.size
    }

    /// Takes `text`, which lies in the frame.
    pub(crate) fn take(&mut self, text: &[u8]) {
        self.size = None;
        self.taken = Some(text.as_ptr().addr());
    }

    /// The connection or socket that just had its turn is the one that took the text, if somebody did.
    pub(crate) fn sign(&mut self, id: SlabId) {
        if self.taken.is_some() {
            self.by = Some(id);
        }
    }

    /// What was taken, once.
    pub(crate) fn result(&mut self) -> Option<TakenText> {
        Some(TakenText { by: self.by.take()?, address: self.taken.take()? })
    }
}

/// A buffer on loan: whose queue it is in, and at which position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Loan {
    pub(crate) by: SlabId,
    pub(crate) at: u64,
}

/// The buffers on loan, the oldest first. Some of them may have come back already.
#[derive(Debug, Default)]
pub(crate) struct Loans(VecDeque<Loan>);

impl Loans {
    /// Remembers one more, and says which is to come back for it.
    pub(crate) fn add(&mut self, loan: Loan) -> Option<Loan> {
        let oldest = if self.0.len() < LOANS_MAX { None } else { self.0.pop_front() };
        self.0.push_back(loan);
        oldest
    }
}
