//! Whether a recovery was for nothing: what seemed lost was only late (RFC 3522, RFC 5682, RFC 2883).
//!
//! # Theory of operation
//! Three things tell what was sent again in vain. The echoed timestamp of the acknowledgment that covers it is from before
//! that: then the original has arrived (Eifel, RFC 3522 3.2). D-SACK reports each segment that was sent again as a
//! duplicate. And after a timeout, F-RTO (RFC 5682 2.1, 3.1): two new segments go before anything more goes again, and if
//! then something is acknowledged that was never sent again, the flight was not lost. The window becomes what it was.
//!
//! It is plainest where all that seemed lost has arrived before anything was sent again, because the repair was still waiting
//! for its turn.
//!
//! # Not here
//! What is undone (`loss.rs`).

use netloom_wire::SeqNumber;

/// Where F-RTO stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum ForwardRto {
    /// Not used: there was no timeout, or it was conventional.
    #[default]
    Off,
    /// The first segment went again; its acknowledgment is awaited (step 1).
    Waiting,
    /// New segments go; what comes next decides (step 2).
    Sending,
}

/// What a recovery would be undone by.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Undo {
    /// SND.UNA when it began.
    marker: Option<SeqNumber>,
    /// Our clock when it first sent something again.
    stamp: Option<u32>,
    /// Segments that it sent again and no D-SACK has reported.
    unreported: u32,
    /// Whether it sent something again.
    has_retransmitted: bool,
}

impl Undo {
    /// A recovery begins with `snd_una`.
    pub(super) fn begin(&mut self, snd_una: SeqNumber) {
        *self = Self { marker: Some(snd_una), ..Self::default() };
    }

    /// Nothing can be undone any more.
    pub(super) fn give_up(&mut self) {
        *self = Self::default();
    }

    /// Segments were sent again, at `stamp` by the timestamps' clock.
    pub(super) fn on_sent_again(&mut self, count: u32, stamp: u32) {
        if self.marker.is_some() {
            self.stamp.get_or_insert(stamp);
            self.unreported = self.unreported.saturating_add(count);
            self.has_retransmitted = true;
        }
    }

    /// A D-SACK block of `count` segments that ends at `end`.
    pub(super) fn on_dsack(&mut self, end: SeqNumber, count: u32) {
        if self.marker.is_some_and(|marker| end.after(marker)) {
            self.unreported = self.unreported.saturating_sub(count);
        }
    }

    /// Whether D-SACK has reported all that was sent again.
    pub(super) const fn is_all_reported(&self) -> bool {
        self.marker.is_some() && self.has_retransmitted && self.unreported == 0
    }

    /// Whether there is a recovery to undo in which nothing was sent again.
    pub(super) const fn has_sent_nothing(&self) -> bool {
        self.marker.is_some() && !self.has_retransmitted
    }

    /// Whether an acknowledgment with this echo was caused by an original.
    pub(super) fn is_of_original(&self, echo: u32) -> bool {
        self.stamp.is_some_and(|stamp| SeqNumber(echo).before(SeqNumber(stamp)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d_sack_must_report_every_retransmission() {
        let mut undo = Undo::default();
        undo.on_sent_again(1, 5);
        assert!(!undo.is_all_reported(), "there was no recovery");
        undo.begin(SeqNumber(100));
        assert!(!undo.is_all_reported(), "nothing was sent again");
        undo.on_sent_again(2, 7);
        undo.on_dsack(SeqNumber(90), 2);
        undo.on_dsack(SeqNumber(200), 1);
        assert!(!undo.is_all_reported());
        undo.on_dsack(SeqNumber(300), 1);
        assert!(undo.is_all_reported());
        undo.give_up();
        assert!(!undo.is_all_reported());
    }

    #[test]
    fn an_echo_from_before_the_retransmission_is_of_the_original() {
        let mut undo = Undo::default();
        undo.begin(SeqNumber(100));
        assert!(!undo.is_of_original(0));
        undo.on_sent_again(1, 7);
        undo.on_sent_again(1, 9);
        assert_eq!([6, 7, 8].map(|echo| undo.is_of_original(echo)), [true, false, false]);
    }
}
