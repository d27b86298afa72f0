//! What a run consisted of.

use core::time::Duration;

/// What a run without failure consisted of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Frames that hosts sent.
    pub frame_count: u64,
    /// Bytes of those.
    pub bytes: u64,
    /// Frames that cables lost or refused.
    pub dropped_count: u64,
    /// Frames that shards took over from others of their host.
    pub handover_count: u64,
    /// Bytes that applications received, all of them right.
    pub delivered_bytes: u64,
    /// Conversations that ended as both ends meant them to.
    pub conversation_count: usize,
    /// Conversations that broke, with a reason.
    pub broken_count: usize,
    /// Virtual time.
    pub duration: Duration,
}
