//! Loss detection: which bytes were lost, by duplicate acknowledgments (RFC 5681 3.2), limited transmit (RFC 3042),
//! NewReno (RFC 6582) and the retransmission timer.
//!
//! # State
//! | RFC | field |
//! |---|---|
//! | duplicate acknowledgments in a row | `duplicate_acks` |
//! | `recover` (RFC 6582), one past the highest byte sent then | `recover` |
//! | cwnd while fast recovery inflates it | `window` |
//! | what limited transmit has added to the flight | `limited_len` |
//!
//! # Not here
//! How much may fly otherwise (`congestion.rs`), and the bytes (`sender.rs`): this answers with a [`Verdict`].

use netloom_base::Instant;
use netloom_wire::SeqNumber;

use super::congestion::{AckSample, CongestionControl, LossSample};
use super::reason::RetransmitCause;

/// Where loss recovery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecoveryPhase {
    /// Nothing is known to be lost.
    Open,
    /// A loss was found by duplicate acknowledgments and is being repaired.
    FastRecovery,
    /// The timer ran out; everything sent before is sent again as slow start allows.
    Loss,
}

/// What follows from an acknowledgment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing was lost as far as is known.
    Nothing,
    /// The first unacknowledged segment was lost: send it again now, whatever the window says.
    Retransmit(RetransmitCause),
}

/// The duplicate acknowledgments that mean a loss. [5681-18]
const DUPLICATE_THRESHOLD: u32 = 3;

/// Where the sender stands after an acknowledgment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flight {
    pub(super) now: Instant,
    pub(super) snd_una: SeqNumber,
    pub(super) snd_nxt: SeqNumber,
    /// Bytes in flight.
    pub(super) len: u32,
    pub(super) smss: u32,
}

/// The state of one connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recovery {
    phase: RecoveryPhase,
    duplicate_acks: u32,
    recover: SeqNumber,
    window: u32,
    limited_len: u32,
    has_partial_ack: bool,
}

impl Recovery {
    /// For a connection whose first sequence number is `iss`. [6582-01]
    pub(super) const fn new(iss: SeqNumber) -> Self {
        Self {
            phase: RecoveryPhase::Open,
            duplicate_acks: 0,
            recover: iss,
            window: 0,
            limited_len: 0,
            has_partial_ack: false,
        }
    }

    pub(super) const fn phase(&self) -> RecoveryPhase {
        self.phase
    }

    pub(super) const fn duplicate_acks(&self) -> u32 {
        self.duplicate_acks
    }

    /// Bytes that may be in flight now.
    pub(super) fn window(&self, congestion: &CongestionControl, smss: u32) -> u32 {
        match self.phase {
            // [5681-19] [5681-20]: the first two duplicates let a segment each go, beyond a window that stays as it is.
            RecoveryPhase::Open => {
                congestion.window().saturating_add(self.duplicate_acks.min(DUPLICATE_THRESHOLD - 1) * smss)
            }
            RecoveryPhase::FastRecovery => self.window,
            RecoveryPhase::Loss => congestion.window(),
        }
    }

    /// New data of `len` bytes was sent.
    pub(super) fn on_new_data_sent(&mut self, len: u32) {
        if self.phase == RecoveryPhase::Open && self.duplicate_acks > 0 {
            self.limited_len = self.limited_len.saturating_add(len);
        }
    }

    /// An acknowledgment that repeats the last.
    pub(super) fn on_duplicate_ack(&mut self, congestion: &mut CongestionControl, flight: Flight) -> Verdict {
        let Flight { now, snd_una, snd_nxt, len, smss } = flight;
        match self.phase {
            RecoveryPhase::Open => {
                self.duplicate_acks = self.duplicate_acks.saturating_add(1);
                // [6582-01] [6582-04]: not for what was sent before the last recovery.
                if self.duplicate_acks < DUPLICATE_THRESHOLD || !snd_una.after(self.recover) {
                    return Verdict::Nothing;
                }
                // [5681-22] [5681-33] [3042]
                let sample = LossSample { now, flight_len: len.saturating_sub(self.limited_len), smss };
                congestion.on_congestion_event(&sample);
                // [5681-23]
                self.window = congestion.ssthresh().saturating_add(DUPLICATE_THRESHOLD * smss);
                self.phase = RecoveryPhase::FastRecovery;
                self.recover = snd_nxt;
                self.limited_len = 0;
                self.has_partial_ack = false;
                Verdict::Retransmit(RetransmitCause::FastRetransmit)
            }
            RecoveryPhase::FastRecovery => {
                // [5681-24] [5681-25] [5681-34]: never beyond what is really out there.
                self.duplicate_acks = self.duplicate_acks.saturating_add(1);
                self.window = self.window.saturating_add(smss).min(congestion.ssthresh().saturating_add(len));
                Verdict::Nothing
            }
            RecoveryPhase::Loss => Verdict::Nothing,
        }
    }

    /// An acknowledgment of new data; `flight` is what remains. The flag says whether the retransmission timer starts
    /// anew.
    pub(super) fn on_new_ack(
        &mut self,
        congestion: &mut CongestionControl,
        sample: &AckSample,
        flight: Flight,
    ) -> (Verdict, bool) {
        let Flight { now: _, snd_una, snd_nxt: _, len, smss } = flight;
        match self.phase {
            RecoveryPhase::Open => {
                self.duplicate_acks = 0;
                self.limited_len = 0;
                congestion.on_ack(sample);
                (Verdict::Nothing, true)
            }
            RecoveryPhase::FastRecovery if snd_una.at_or_after(self.recover) => {
                self.duplicate_acks = 0;
                self.phase = RecoveryPhase::Open;
                congestion.on_recovery_exit(len, smss);
                (Verdict::Nothing, true)
            }
            RecoveryPhase::FastRecovery => {
                // [6582-02]
                let deflated = self.window.saturating_sub(sample.acked_len);
                self.window = if sample.acked_len >= smss { deflated + smss } else { deflated }.max(smss);
                // [6582-03]
                let restarts_timer = !self.has_partial_ack;
                self.has_partial_ack = true;
                (Verdict::Retransmit(RetransmitCause::PartialAck), restarts_timer)
            }
            RecoveryPhase::Loss => {
                if snd_una.at_or_after(self.recover) {
                    self.phase = RecoveryPhase::Open;
                }
                self.duplicate_acks = 0;
                congestion.on_ack(sample);
                (Verdict::Nothing, true)
            }
        }
    }

    /// The retransmission timer ran out, `is_first`: for the first time for this segment.
    pub(super) fn on_rto(&mut self, congestion: &mut CongestionControl, flight: Flight, is_first: bool) {
        let Flight { now, snd_una: _, snd_nxt, len, smss } = flight;
        // [5681-36]: a loss in recovery halves again.
        congestion
            .on_rto(&LossSample { now, flight_len: len.saturating_sub(self.limited_len), smss }, is_first);
        self.phase = RecoveryPhase::Loss;
        self.duplicate_acks = 0;
        self.limited_len = 0;
        // [6582-04]
        self.recover = snd_nxt;
    }
}

#[cfg(test)]
mod tests {
    use super::super::congestion::Congestion;
    use super::*;

    const SMSS: u32 = 1000;

    fn flight(una: u32, nxt: u32) -> Flight {
        Flight {
            now: Instant::ZERO,
            snd_una: SeqNumber(una),
            snd_nxt: SeqNumber(nxt),
            len: nxt - una,
            smss: SMSS,
        }
    }

    fn sample(acked_len: u32) -> AckSample {
        AckSample::example(acked_len, 10_000, SMSS)
    }

    #[test]
    fn the_third_duplicate_halves_and_retransmits() {
        // [5681-18] [5681-19] [5681-20] [5681-22] [5681-23] [5681-24] [5681-33]
        let mut congestion = CongestionControl::new(Congestion::NewReno, SMSS);
        let mut recovery = Recovery::new(SeqNumber(0));
        assert_eq!(recovery.on_duplicate_ack(&mut congestion, flight(1, 10_001)), Verdict::Nothing);
        assert_eq!(recovery.window(&congestion, SMSS), 11_000);
        recovery.on_new_data_sent(1000);
        assert_eq!(recovery.on_duplicate_ack(&mut congestion, flight(1, 11_001)), Verdict::Nothing);
        assert_eq!((recovery.window(&congestion, SMSS), congestion.window()), (12_000, 10_000));
        recovery.on_new_data_sent(1000);
        let verdict = recovery.on_duplicate_ack(&mut congestion, flight(1, 12_001));
        assert_eq!(verdict, Verdict::Retransmit(RetransmitCause::FastRetransmit));
        assert_eq!(congestion.ssthresh(), 5000, "without what limited transmit sent");
        assert_eq!(recovery.window(&congestion, SMSS), 8000);
        recovery.on_duplicate_ack(&mut congestion, flight(1, 12_001));
        assert_eq!(recovery.window(&congestion, SMSS), 9000);
    }

    #[test]
    fn partial_acknowledgments_repair_hole_after_hole() {
        // [6582-01] [6582-02] [6582-03] [5681-35]
        let mut congestion = CongestionControl::new(Congestion::NewReno, SMSS);
        let mut recovery = Recovery::new(SeqNumber(0));
        for _ in 0..3 {
            recovery.on_duplicate_ack(&mut congestion, flight(1, 10_001));
        }
        let partial = Verdict::Retransmit(RetransmitCause::PartialAck);
        let mut on_ack =
            |acked, una| recovery.on_new_ack(&mut congestion, &sample(acked), flight(una, 10_001));
        assert_eq!(on_ack(2000, 2001), (partial, true));
        assert_eq!(on_ack(3000, 5001), (partial, false), "the timer starts anew only at the first");
        assert_eq!(on_ack(5000, 10_001), (Verdict::Nothing, true));
        assert_eq!(recovery.phase(), RecoveryPhase::Open);
        assert_eq!(congestion.window(), 2000);
    }

    #[test]
    fn what_was_sent_before_a_timeout_is_not_fast_retransmitted() {
        // [6582-04]
        let mut congestion = CongestionControl::new(Congestion::NewReno, SMSS);
        let mut recovery = Recovery::new(SeqNumber(0));
        recovery.on_rto(&mut congestion, flight(1, 10_001), true);
        for _ in 0..9 {
            assert_eq!(recovery.on_duplicate_ack(&mut congestion, flight(1, 10_001)), Verdict::Nothing);
        }
        recovery.on_new_ack(&mut congestion, &sample(10_000), flight(10_001, 12_001));
        assert_eq!(recovery.phase(), RecoveryPhase::Open);
        for _ in 0..9 {
            assert_eq!(recovery.on_duplicate_ack(&mut congestion, flight(10_001, 12_001)), Verdict::Nothing);
        }
    }
}
