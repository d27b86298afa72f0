//! Which sequence ranges beyond RCV.NXT have arrived (RFC 9293 3.10.7.4, SHLD-31).
//!
//! The bytes themselves lie in the receive queue, ahead of its end; this is a sorted list of disjoint, not touching
//! ranges, with a bound.

use netloom_wire::SeqNumber;

/// One run of bytes: from `start` up to, and without, `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    start: SeqNumber,
    end: SeqNumber,
}

/// The ranges of one connection; no memory while there are none.
#[derive(Clone, Debug, Default)]
pub(super) struct Ranges(Vec<Range>);

/// The bound was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooManyRanges;

impl Ranges {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The end of the last range.
    pub(super) fn end(&self) -> Option<SeqNumber> {
        self.0.last().map(|range| range.end)
    }

    /// Bytes of memory.
    pub(super) fn allocated(&self) -> usize {
        self.0.capacity() * size_of::<Range>()
    }

    pub(super) fn clear(&mut self) {
        self.0 = Vec::new();
    }

    /// The ranges, lowest first, each from its start up to, and without, its end.
    pub(super) fn iter(&self) -> impl Iterator<Item = (SeqNumber, SeqNumber)> {
        self.0.iter().map(|range| (range.start, range.end))
    }

    /// The range that `sequence` lies in.
    pub(super) fn containing(&self, sequence: SeqNumber) -> Option<(SeqNumber, SeqNumber)> {
        let candidate = self.0.partition_point(|range| range.end.at_or_before(sequence));
        let range = self.0.get(candidate).filter(|range| range.start.at_or_before(sequence))?;
        Some((range.start, range.end))
    }

    /// The first run of bytes of `start .. end` that have arrived before.
    pub(super) fn overlap(&self, start: SeqNumber, end: SeqNumber) -> Option<(SeqNumber, SeqNumber)> {
        let candidate = self.0.partition_point(|range| range.end.at_or_before(start));
        let range = self.0.get(candidate).filter(|range| range.start.before(end))?;
        Some((range.start.later_of(start), range.end.earlier_of(end)))
    }

    /// Adds `start .. end`, joined with whatever it meets, and says what range it has become part of.
    pub(super) fn insert(
        &mut self,
        start: SeqNumber,
        end: SeqNumber,
        max_count: usize,
    ) -> Result<(SeqNumber, SeqNumber), TooManyRanges> {
        let first = self.0.partition_point(|range| range.end.before(start));
        let last = self.0.partition_point(|range| range.start.at_or_before(end));
        if first == last {
            if self.0.len() >= max_count {
                return Err(TooManyRanges);
            }
            self.0.insert(first, Range { start, end });
            return Ok((start, end));
        }
        let mut joined = Range { start, end };
        for met in self.0.drain(first..last) {
            joined.start = joined.start.earlier_of(met.start);
            joined.end = joined.end.later_of(met.end);
        }
        self.0.insert(first, joined);
        Ok((joined.start, joined.end))
    }

    /// RCV.NXT has come to `rcv_nxt`: forgets what lies before, and says up to where everything has arrived.
    pub(super) fn advance(&mut self, rcv_nxt: SeqNumber) -> SeqNumber {
        let reached = self.0.partition_point(|range| range.start.at_or_before(rcv_nxt));
        let end = self.0.drain(..reached).fold(rcv_nxt, |end, range| end.later_of(range.end));
        if self.0.is_empty() {
            self.clear();
        }
        end
    }

    /// Sorted, disjoint, not touching, all beyond `rcv_nxt`.
    pub(super) fn assert_invariants(&self, rcv_nxt: SeqNumber) {
        let mut end = rcv_nxt;
        for range in &self.0 {
            debug_assert!(end.before(range.start), "ranges are sorted and apart");
            debug_assert!(range.start.before(range.end), "no range is empty");
            end = range.end;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// [9293 SHLD-31]
        #[test]
        fn agrees_with_a_set_of_bytes(
            base in any::<u32>(),
            pieces in prop::collection::vec((1u32..200, 1u32..30, any::<bool>()), 0..60),
        ) {
            let mut ranges = Ranges::default();
            let mut model = BTreeSet::new();
            let mut next = 0;
            for (offset, len, fills) in pieces {
                if fills {
                    next += len;
                    model.retain(|&byte| byte >= next);
                    let reached = SeqNumber(base.wrapping_add(next));
                    while model.remove(&next) {
                        next += 1;
                    }
                    prop_assert_eq!(ranges.advance(reached), SeqNumber(base.wrapping_add(next)));
                } else {
                    let start = next + offset;
                    let at = |byte: u32| SeqNumber(base.wrapping_add(byte));
                    let known = (start..start + len).find(|byte| model.contains(byte)).map(|first| {
                        let end = (first..start + len).find(|byte| !model.contains(byte));
                        (at(first), at(end.unwrap_or(start + len)))
                    });
                    prop_assert_eq!(ranges.overlap(at(start), at(start + len)), known);
                    let joined = ranges.insert(at(start), at(start + len), 1000);
                    prop_assert_eq!(joined.ok(), ranges.containing(at(start)));
                    model.extend(start..start + len);
                }
                ranges.assert_invariants(SeqNumber(base.wrapping_add(next)));
                let runs = model.iter().filter(|&&byte| byte == 0 || !model.contains(&(byte - 1))).count();
                prop_assert_eq!(ranges.len(), runs);
            }
        }
    }

    #[test]
    fn the_bound_holds_but_joining_still_works() {
        let mut ranges = Ranges::default();
        for start in [10, 20, 30] {
            let (start, end) = (SeqNumber(start), SeqNumber(start + 5));
            assert_eq!(ranges.insert(start, end, 3), Ok((start, end)));
        }
        assert_eq!(ranges.insert(SeqNumber(40), SeqNumber(45), 3), Err(TooManyRanges));
        assert_eq!(ranges.insert(SeqNumber(15), SeqNumber(30), 3), Ok((SeqNumber(10), SeqNumber(35))));
        assert_eq!(ranges.len(), 1);
        assert_eq!(ranges.advance(SeqNumber(12)), SeqNumber(35));
        assert!(ranges.is_empty());
        assert_eq!(ranges.allocated(), 0);
    }
}
