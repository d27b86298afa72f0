//! What one direction of a link does to frames.

use core::num::{NonZeroU32, NonZeroU64};
use core::time::Duration;

use crate::share::Share;

/// The model's numbers. The default is a perfect cable: nothing is lost or late.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkConfig {
    /// Bits a second that the transmitter puts on the wire; `None`: any number at once. Every byte of a frame counts, its
    /// link header too; preamble and check sequence do not.
    pub rate: Option<NonZeroU64>,
    /// Frames that wait for the transmitter, the one on its way out included; the next is dropped (tail drop). Without a
    /// rate nothing ever waits.
    pub queue: usize,
    /// Frames that wait from which on one that says it can be marked (ECN, RFC 3168) is marked instead of waiting to be
    /// dropped; `None`: none is.
    pub mark_from: Option<usize>,
    /// How long a frame is under way once it has left the transmitter.
    pub delay: Duration,
    /// How far the delay swings to both sides, evenly distributed. It does not reorder: a frame that would overtake the
    /// one before it arrives with it. Reordering is [`reorder`](Self::reorder)'s.
    pub jitter: Duration,
    /// Share of frames lost on the wire, after the transmitter has spent its time on them.
    pub loss: Share,
    /// Mean length of a run of lost frames; 1: each is lost or not by itself (see `link/loss.rs`).
    pub burst: NonZeroU32,
    /// Share of frames that arrive late, so that later ones overtake them.
    pub reorder: Share,
    /// How late those are.
    pub reorder_by: Duration,
    /// Share of frames that arrive twice.
    pub duplicate: Share,
    /// Share of frames of which one bit arrives wrong.
    pub corrupt: Share,
    /// Largest IP packet that passes; a bigger one vanishes, as in a path without ICMP. `None`: any.
    pub mtu: Option<u16>,
    /// Whether the cable is pulled: nothing new gets in. What is under way arrives.
    pub is_partitioned: bool,
    /// Bytes that may be in the link at once, each frame counted with 64 more: the bound on its memory. Beyond that
    /// frames are dropped.
    pub max_in_flight: usize,
}

impl LinkConfig {
    /// The default of [`queue`](Self::queue).
    pub const DEFAULT_QUEUE: usize = 1000;
    /// The default of [`reorder_by`](Self::reorder_by).
    pub const DEFAULT_REORDER_BY: Duration = Duration::from_millis(2);
}

impl Default for LinkConfig {
    fn default() -> Self {
        Self {
            rate: None,
            queue: Self::DEFAULT_QUEUE,
            mark_from: None,
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            loss: Share::NONE,
            burst: NonZeroU32::MIN,
            reorder: Share::NONE,
            reorder_by: Self::DEFAULT_REORDER_BY,
            duplicate: Share::NONE,
            corrupt: Share::NONE,
            mtu: None,
            is_partitioned: false,
            max_in_flight: 64 << 20,
        }
    }
}
