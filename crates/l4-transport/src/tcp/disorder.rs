//! What has arrived beyond a hole, until the hole is filled, and what there is to report of it. Most connections have none.

use super::reassembly::Ranges;
use super::sack::SackReport;
use super::stragglers::Stragglers;

/// It exists from the first hole, or the first duplicate, until memory is given back.
#[derive(Debug, Default)]
pub(super) struct Disorder {
    /// What of it there is; the bytes are in the receive queue, ahead of its end.
    pub(super) ranges: Ranges,
    pub(super) report: SackReport,
    /// How old text may be that comes late, after a hole was filled.
    pub(super) stragglers: Option<Stragglers>,
}

impl Disorder {
    /// Bytes of memory.
    pub(super) fn allocated(&self) -> usize {
        size_of::<Self>() + self.ranges.allocated()
    }

    /// Whether there is something to report by SACK.
    pub(super) fn has_blocks(&self) -> bool {
        !self.ranges.is_empty() || self.report.has_duplicates()
    }
}
