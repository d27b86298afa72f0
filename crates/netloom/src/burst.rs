//! What is sent in a row, and the frame at which a row ends early.

use netloom_stack::{InterfaceId, TxMeta};

/// Frames that are sent before somebody looks at what has come. Small ones are answered many at a time: each side then finds a
/// batch, and neither wakes the other for one.
const FRAMES_PER_BURST: usize = 64;
/// Bytes of frames after which somebody looks: what is acknowledged may change what is sent next, and its memory is still in
/// the cache.
const BYTES_PER_BURST: usize = 256 << 10;

/// A frame that its device did not take.
#[derive(Debug)]
pub(crate) struct StalledFrame {
    pub(crate) interface: InterfaceId,
    pub(crate) meta: TxMeta,
    pub(crate) bytes: Vec<u8>,
}

/// What was sent in a row.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Burst {
    frame_count: usize,
    byte_count: usize,
}

impl Burst {
    pub(crate) fn add(&mut self, len: usize) {
        self.frame_count += 1;
        self.byte_count += len;
    }

    /// Whether it is time to look at what has come.
    pub(crate) fn is_over(self) -> bool {
        self.frame_count >= FRAMES_PER_BURST || self.byte_count >= BYTES_PER_BURST
    }
}
