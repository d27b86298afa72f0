//! What a receiver reports beyond its acknowledgment: what has arrived behind a hole (RFC 2018), and what came twice
//! (RFC 2883).
//!
//! # Theory of operation
//! [`Ranges`] knows what has arrived beyond RCV.NXT; a [`SackReport`] only knows in which order to tell of it. Both
//! are part of a connection's [`Disorder`](super::disorder::Disorder).
//!
//! The blocks of an acknowledgment, as many as fit (three beside timestamps, four without):
//! 1. a duplicate, if there is one that was not reported yet, and the range that it lies in;
//! 2. the range of the segment that asked for the acknowledgment, then those reported most recently;
//! 3. the other ranges, lowest first.
//!
//! What was reported is never taken back: it lies in the receive queue, and nothing but RCV.NXT moves past it. [2018-14]
//! [2018-15]
//!
//! # Limits
//! 64 starts of ranges, as many as acknowledgments may wait at once, and eight duplicates are remembered; duplicates that touch are reported as one. Beyond that
//! the order is lost, and the oldest duplicate.
//!
//! # Not here
//! Which segments carry the blocks: `reporting.rs`.

use netloom_wire::{SackBlocks, SeqNumber};

use super::reassembly::Ranges;

/// From the first number up to, and without, the second.
pub(super) type Block = (SeqNumber, SeqNumber);

/// Ranges whose order is remembered.
const MAX_RECENT: usize = 64;
/// Duplicates that wait for an acknowledgment.
const MAX_DUPLICATES: usize = 8;

/// In which order to report what arrived.
#[derive(Clone, Debug, Default)]
pub(super) struct SackReport {
    /// A number in each of the ranges that were added to, newest first.
    recent: Vec<SeqNumber>,
    /// What came twice and was not reported, oldest first.
    duplicates: Vec<Block>,
}

impl SackReport {
    /// A segment came that is now part of `range`. Says whether the one before it is part of another. [2018-06] [2018-08]
    pub(super) fn note_range(&mut self, range: Block) -> bool {
        let is_elsewhere = self.recent.first().is_none_or(|&newest| !is_in(range, newest));
        self.recent.retain(|&known| !is_in(range, known));
        self.recent.insert(0, range.0);
        self.recent.truncate(MAX_RECENT);
        is_elsewhere
    }

    /// RCV.NXT has moved to `rcv_nxt`: what lies before it needs no report.
    pub(super) fn forget_before(&mut self, rcv_nxt: SeqNumber) {
        self.recent.retain(|known| known.after(rcv_nxt));
    }

    /// The bytes of `block` came again. [2883-01] [2883-04]
    pub(super) fn note_duplicate(&mut self, block: Block) {
        if let Some(last) = self.duplicates.last_mut()
            && last.1 == block.0
        {
            last.1 = block.1;
            return;
        }
        if self.duplicates.len() >= MAX_DUPLICATES {
            self.duplicates.remove(0);
        }
        self.duplicates.push(block);
    }

    /// Whether a duplicate waits to be reported.
    pub(super) fn has_duplicates(&self) -> bool {
        !self.duplicates.is_empty()
    }

    /// The blocks of an acknowledgment, at most `capacity`; the duplicate in it counts as reported, and the second value
    /// says whether there is one. `pending`: acknowledgments that are owed, this one included. Each is for a segment of
    /// its own, so that the first of three begins with the third newest range. [2883-02] [2883-03] [2018-07]
    pub(super) fn take_blocks(
        &mut self,
        ranges: &Ranges,
        pending: u8,
        capacity: usize,
    ) -> (SackBlocks, bool) {
        let mut blocks = SackBlocks::default();
        let mut known: Vec<Block> = Vec::with_capacity(SackBlocks::CAPACITY);
        if capacity == 0 {
            return (blocks, false);
        }
        let duplicate = if self.duplicates.is_empty() { None } else { Some(self.duplicates.remove(0)) };
        if let Some(duplicate) = duplicate {
            blocks.push(duplicate);
            known.extend(ranges.containing(duplicate.0));
        }
        let newest = if duplicate.is_some() { 0 } else { usize::from(pending).saturating_sub(1) };
        let first = self.recent.get(newest.min(self.recent.len().saturating_sub(1)));
        let reported = first.into_iter().chain(&self.recent).filter_map(|&it| ranges.containing(it));
        for range in reported.chain(ranges.iter()) {
            if known.len() >= capacity {
                break;
            }
            if !known.contains(&range) {
                known.push(range);
            }
        }
        for block in known {
            blocks.push(block);
        }
        blocks.truncate(capacity);
        (blocks, duplicate.is_some())
    }
}

fn is_in((start, end): Block, sequence: SeqNumber) -> bool {
    sequence.at_or_after(start) && sequence.before(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(start: u32, end: u32) -> Block {
        (SeqNumber(start), SeqNumber(end))
    }

    /// A report after segments came in this order.
    fn report(segments: &[Block]) -> (SackReport, Ranges) {
        let (mut report, mut ranges) = (SackReport::default(), Ranges::default());
        for &(start, end) in segments {
            report.note_range(ranges.insert(start, end, 100).unwrap());
        }
        (report, ranges)
    }

    #[track_caller]
    fn check(report: &mut SackReport, ranges: &Ranges, capacity: usize, expected: &[Block]) {
        assert_eq!(report.take_blocks(ranges, 1, capacity).0.as_slice(), expected);
    }

    #[test]
    fn the_newest_range_comes_first_and_then_the_most_recent() {
        // [2018-06] [2018-07] [2018-08]
        let (mut report, mut ranges) =
            report(&[block(100, 110), block(200, 210), block(300, 310), block(400, 410)]);
        let newest_first = [block(400, 410), block(300, 310), block(200, 210), block(100, 110)];
        check(&mut report, &ranges, 4, &newest_first);
        check(&mut report, &ranges, 3, &newest_first[..3]);
        report.note_range(ranges.insert(SeqNumber(210), SeqNumber(220), 100).unwrap());
        check(&mut report, &ranges, 3, &[block(200, 220), block(400, 410), block(300, 310)]);
        // A segment that joins two makes one of them.
        report.note_range(ranges.insert(SeqNumber(310), SeqNumber(400), 100).unwrap());
        check(&mut report, &ranges, 4, &[block(300, 410), block(200, 220), block(100, 110)]);
        assert_eq!(ranges.advance(SeqNumber(205)), SeqNumber(220));
        check(&mut report, &ranges, 4, &[block(300, 410)]);
    }

    #[test]
    fn acknowledgments_that_wait_together_begin_with_their_own_ranges() {
        // [2018-06]
        let (mut report, ranges) = report(&[block(100, 110), block(200, 210), block(300, 310)]);
        let first = |report: &mut SackReport, pending| {
            report.take_blocks(&ranges, pending, 3).0.as_slice().first().copied()
        };
        assert_eq!(first(&mut report, 3), Some(block(100, 110)));
        assert_eq!(first(&mut report, 2), Some(block(200, 210)));
        assert_eq!(first(&mut report, 1), Some(block(300, 310)));
        assert_eq!(first(&mut report, 32), Some(block(100, 110)));
    }

    #[test]
    fn ranges_whose_order_is_forgotten_fill_what_is_left() {
        // [2018-07]
        let segments: Vec<Block> = (1..=80).map(|n| block(n * 100, n * 100 + 10)).collect();
        let (mut report, mut ranges) = report(&segments);
        assert_eq!(report.recent.len(), MAX_RECENT);
        report.note_range(ranges.insert(SeqNumber(1710), SeqNumber(8000), 100).unwrap());
        let expected = [block(1700, 8010), block(100, 110), block(200, 210), block(300, 310)];
        check(&mut report, &ranges, 4, &expected);
    }

    #[test]
    fn a_duplicate_is_reported_once_with_the_range_around_it() {
        // [2883-01] [2883-02] [2883-03] [2883-04]
        let (mut report, ranges) = report(&[block(100, 200), block(300, 310)]);
        report.note_duplicate(block(120, 140));
        report.note_duplicate(block(140, 150));
        report.note_duplicate(block(20, 30));
        check(&mut report, &ranges, 3, &[block(120, 150), block(100, 200), block(300, 310)]);
        check(&mut report, &ranges, 3, &[block(20, 30), block(300, 310), block(100, 200)]);
        assert!(!report.has_duplicates());
        check(&mut report, &ranges, 3, &[block(300, 310), block(100, 200)]);
    }

    #[test]
    fn the_duplicates_that_wait_are_bounded() {
        let (mut report, ranges) = report(&[]);
        for n in 0..100 {
            report.note_duplicate(block(n * 10, n * 10 + 5));
        }
        assert_eq!(report.duplicates.len(), MAX_DUPLICATES);
        check(&mut report, &ranges, 3, &[block(920, 925)]);
    }

    #[test]
    fn without_room_nothing_counts_as_reported() {
        let (mut report, ranges) = report(&[block(100, 200)]);
        report.note_duplicate(block(20, 30));
        check(&mut report, &ranges, 0, &[]);
        check(&mut report, &ranges, 1, &[block(20, 30)]);
    }
}
