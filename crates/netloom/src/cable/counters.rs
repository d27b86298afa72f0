//! What a cable counts.

use netloom_impair::LinkCounters;

/// Numbers of one direction of a cable.
#[derive(Clone, Debug, Default)]
pub struct CableCounters {
    /// What the model did.
    pub link: LinkCounters,
    /// Frames that came through and that the device at the far end did not take: it was down, or out of memory.
    pub refused: u64,
}
