//! Questions about a part of what was sent, and the loss of one.

use netloom_wire::SeqNumber;

use super::{Fate, Scoreboard};
use crate::tcp::reason::RetransmitCause;

impl Scoreboard {
    /// The last part of at most `smss` bytes of what was sent and is not known to have arrived.
    pub(in crate::tcp) fn last_part(&self, smss: u32) -> Option<(SeqNumber, SeqNumber)> {
        let last = self.segments.iter().rev().find(|segment| segment.fate != Fate::Sacked)?;
        let parts_before = last.len().saturating_sub(1) / smss;
        Some((last.start + parts_before * smss, last.end))
    }

    /// Bytes of `start .. end` that are lost.
    pub(in crate::tcp) fn lost_len_in(&self, start: SeqNumber, end: SeqNumber) -> u32 {
        self.segments
            .iter()
            .skip(self.index_of(start))
            .take_while(|segment| segment.start.before(end))
            .filter(|segment| segment.fate == Fate::Lost)
            .map(|segment| segment.start.later_of(start).distance_to(segment.end.earlier_of(end)))
            .sum()
    }

    /// Takes what of `start .. end` has not arrived for lost, because of `cause`.
    pub(in crate::tcp) fn lose_range(&mut self, start: SeqNumber, end: SeqNumber, cause: RetransmitCause) {
        self.split_at(start);
        self.split_at(end);
        let mut index = self.index_of(start);
        while let Some(segment) = self.segments.get_mut(index).filter(|segment| segment.start.before(end)) {
            segment.cause = cause;
            self.mark_lost(index, cause);
            index += 1;
        }
    }
}
