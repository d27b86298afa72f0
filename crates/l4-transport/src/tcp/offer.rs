//! A frame's buffer that a connection may keep, so that large text is not copied on its way to the reader.
//!
//! *Theory of operation.* Whoever hands in a frame whose buffer it can spare [opens](FrameOffer::open) an offer. The connection
//! that the text belongs to takes it, if the text comes next in its stream and fills a good part of the buffer, and
//! goes on as if it had the bytes. When the frame is through, and nothing is borrowed from it any more, the buffer itself
//! becomes a piece of the connection's queue.

use netloom_base::SlabId;

/// Text that is shorter is copied: its buffer would be mostly empty.
const ADOPTED_LEN_MIN: usize = 16 << 10;

/// Whether there is a buffer to take, and who took it.
#[derive(Debug, Default)]
pub(super) struct FrameOffer {
    is_open: bool,
    taken: Option<usize>,
    by: Option<SlabId>,
}

/// Text that a connection took without copying it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TakenText {
    pub(super) by: SlabId,
    /// The address of its first byte: where in the frame that is knows who has the frame.
    pub address: usize,
}

impl FrameOffer {
    /// From now on text may be taken out of a frame.
    pub(super) const fn open(&mut self) {
        self.is_open = true;
    }

    /// No text may be taken any more.
    pub(super) const fn close(&mut self) {
        self.is_open = false;
    }

    /// Whether text of `len` bytes may be taken.
    pub(super) const fn takes(&self, len: usize) -> bool {
        self.is_open && len >= ADOPTED_LEN_MIN
    }

    /// Takes `text`, which lies in the frame.
    pub(super) fn take(&mut self, text: &[u8]) {
        self.is_open = false;
        self.taken = Some(text.as_ptr().addr());
    }

    /// The connection that just had its turn is the one that took the text, if somebody did.
    pub(super) fn sign(&mut self, id: SlabId) {
        if self.taken.is_some() {
            self.by = Some(id);
        }
    }

    /// What was taken, once.
    pub(super) fn result(&mut self) -> Option<TakenText> {
        Some(TakenText { by: self.by.take()?, address: self.taken.take()? })
    }
}
