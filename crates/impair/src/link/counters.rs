//! What a link counts, and why it drops.

use core::fmt;

use netloom_base::Counter;

/// Why a frame did not get through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum LinkDrop {
    /// The cable was pulled.
    Partitioned,
    /// Bigger than the link's MTU.
    TooBig,
    /// The transmitter's queue was full.
    QueueFull,
    /// The bound on the link's memory was reached.
    InFlightFull,
    /// Lost on the wire, as configured.
    Lost,
}

impl LinkDrop {
    /// All of them, in the order of their discriminants.
    pub const ALL: &'static [Self] =
        &[Self::Partitioned, Self::TooBig, Self::QueueFull, Self::InFlightFull, Self::Lost];

    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Partitioned => "partitioned",
            Self::TooBig => "too_big",
            Self::QueueFull => "queue_full",
            Self::InFlightFull => "in_flight_full",
            Self::Lost => "lost",
        }
    }
}

impl fmt::Display for LinkDrop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Numbers of one direction of a link.
#[derive(Clone, Debug, Default)]
pub struct LinkCounters {
    /// Frames offered.
    pub frames_offered: Counter,
    /// Bytes of those.
    pub bytes_offered: Counter,
    /// Frames that came out, second copies included.
    pub frames_delivered: Counter,
    /// Bytes of those.
    pub bytes_delivered: Counter,
    /// Frames that were marked as having met congestion.
    pub marked: Counter,
    /// Frames that got a second copy.
    pub duplicated: Counter,
    /// Frames, or copies, that were made late.
    pub reordered: Counter,
    /// Frames, or copies, of which a bit was flipped.
    pub corrupted: Counter,
    drops: [Counter; LinkDrop::ALL.len()],
}

impl LinkCounters {
    /// How many frames were dropped for `reason`. A copy that is lost counts like a frame.
    pub fn dropped(&self, reason: LinkDrop) -> u64 {
        self.drops.get(reason as usize).map_or(0, |counter| counter.get())
    }

    /// All drops together.
    pub fn dropped_total(&self) -> u64 {
        self.drops.iter().map(|counter| counter.get()).sum()
    }

    pub(super) fn count_drop(&mut self, reason: LinkDrop) {
        if let Some(counter) = self.drops.get_mut(reason as usize) {
            counter.increment();
        }
    }
}
