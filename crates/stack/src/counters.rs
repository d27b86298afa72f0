//! What a stack counts itself, beside what its layers count.

use netloom_base::{Counter, ReasonCounters};

/// Frames, bytes and drops of one stack.
#[derive(Clone, Debug, Default)]
pub struct StackCounters {
    /// Frames handed in.
    pub frames_received: Counter,
    /// Bytes of those frames.
    pub bytes_received: Counter,
    /// Frames handed out.
    pub frames_sent: Counter,
    /// Bytes of those frames.
    pub bytes_sent: Counter,
    /// Packets that this host sent to itself.
    pub packets_looped: Counter,
    /// Frames and packets given to the shards that own them; copies for several count each.
    pub handed_over: Counter,
    /// Frames and packets that other shards gave to this one.
    pub taken_over: Counter,
    /// What went no further, by reason.
    pub drops: ReasonCounters,
}
