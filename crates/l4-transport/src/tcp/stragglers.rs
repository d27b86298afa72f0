//! Segments that the repair of a hole has overtaken: late, but not old.
//!
//! # Theory of operation
//! What is sent again carries the time of its second departure, and TS.Recent follows it. What had left before and is still
//! under way then, because the path has reordered it, fails PAWS when it comes (RFC 7323 5.3, R1). The RFC calls that
//! unnecessary, and takes it for unlikely; on a path that reorders it is neither, and each such drop is a hole whose repair
//! makes the next. So while TS.Recent stands for a segment that filled a hole, text beyond RCV.NXT may be as old as what
//! TS.Recent was before. A segment that finds no hole ends that: what lies beyond it left after it.
//!
//! # Limits
//! It ends after [`REACH`] bytes of the stream, too. So what is let in left within the last turn of the sequence numbers, and
//! what PAWS is for, a duplicate of an earlier turn, is refused as ever.

use netloom_wire::SeqNumber;

/// Bytes of the stream for which one stamp says how old a straggler may be.
const REACH: u32 = 1 << 30;

/// How old text may be that comes late.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stragglers {
    /// TS.Recent before the first of the holes was filled.
    oldest: u32,
    /// The RCV.NXT from which on that says nothing.
    until: SeqNumber,
}

impl Stragglers {
    /// The hole at `rcv_nxt` is being filled. `known`: from the holes before it; `recent`: TS.Recent so far.
    pub(super) fn behind_hole(known: Option<Self>, recent: u32, rcv_nxt: SeqNumber) -> Self {
        known
            .filter(|known| rcv_nxt.before(known.until))
            .unwrap_or(Self { oldest: recent, until: rcv_nxt + REACH })
    }

    /// Whether text beyond `rcv_nxt` may carry this stamp.
    pub(super) fn may_carry(self, stamp: u32, rcv_nxt: SeqNumber) -> bool {
        SeqNumber(stamp).at_or_after(SeqNumber(self.oldest)) && rcv_nxt.before(self.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_several_holes_says_how_old_text_may_be() {
        let first = Stragglers::behind_hole(None, 100, SeqNumber(1000));
        let second = Stragglers::behind_hole(Some(first), 200, SeqNumber(2000));
        for (stamp, may) in [(99, false), (100, true), (150, true)] {
            assert_eq!(second.may_carry(stamp, SeqNumber(2000)), may, "{stamp}");
        }
    }

    #[test]
    fn a_stamp_is_not_believed_a_turn_of_the_numbers_later() {
        let first = Stragglers::behind_hole(None, 100, SeqNumber(1000));
        let end = SeqNumber(1000) + REACH;
        assert!(first.may_carry(100, end - 1));
        assert!(!first.may_carry(100, end));
        let next = Stragglers::behind_hole(Some(first), 200, end);
        assert!(!next.may_carry(199, end) && next.may_carry(200, end));
    }
}
