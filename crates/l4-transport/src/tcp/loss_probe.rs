//! The tail loss probe: what asks for an acknowledgment that is overdue (RFC 8985 7).
//!
//! # State
//! | RFC 8985 5.3 | field |
//! |---|---|
//! | TLP.end_seq | `end`, where `sent` is something |
//! | TLP.is_retrans | `sent` |
//! | an RTT sample since the last probe (7.3) | `has_sample` |

use core::time::Duration;

use netloom_wire::SeqNumber;

use super::rtt::RttEstimator;

/// How long a peer may hold back the acknowledgment of a lone segment: TLP.max_ack_delay. Some hosts take 200 ms.
const MAX_ACK_DELAY: Duration = Duration::from_millis(200);
/// What hosts and timers may add to a round trip that is shorter than they are.
const GRANULARITY: Duration = Duration::from_millis(2);
/// Without a round trip to go by. [8985-18]
const INITIAL_TIMEOUT: Duration = Duration::from_secs(1);

/// The probe of one connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct LossProbe {
    end: SeqNumber,
    sent: Sent,
    has_sample: bool,
}

/// What the probe that is out consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    /// None is out.
    Nothing,
    New,
    Again,
}

/// What the acknowledgment of a probe tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProbeOutcome {
    /// Nothing yet, or there is no probe.
    Nothing,
    /// The probe repaired a loss that nothing else will tell of. [8985-27]
    Repaired,
}

impl LossProbe {
    pub(super) const fn new() -> Self {
        Self { end: SeqNumber(0), sent: Sent::Nothing, has_sample: false }
    }

    /// Where the probe's part of the stream ended, while it is not acknowledged.
    pub(super) const fn end(&self) -> Option<SeqNumber> {
        match self.sent {
            Sent::Nothing => None,
            Sent::New | Sent::Again => Some(self.end),
        }
    }

    /// A round trip was measured.
    pub(super) const fn on_sample(&mut self) {
        self.has_sample = true;
    }

    /// A recovery makes progress: what a probe was to tell of is known, and the next silence is worth another.
    pub(super) const fn on_progress_in_recovery(&mut self) {
        self.reset();
        self.on_sample();
    }

    /// A recovery begins: the probe has nothing to tell any more.
    pub(super) const fn reset(&mut self) {
        self.sent = Sent::Nothing;
    }

    /// How long an acknowledgment may take: the PTO. [8985-18] [8985-19]
    /// `may_be_delayed`: the peer may hold it back, as what is out is one segment in order.
    pub(super) fn timeout(may_be_delayed: bool, rtt: &RttEstimator) -> Duration {
        let Some(srtt) = rtt.srtt() else { return INITIAL_TIMEOUT };
        let allowance = if may_be_delayed { MAX_ACK_DELAY } else { GRANULARITY };
        srtt * 2 + allowance
    }

    /// Whether a probe may be sent: none is out, and the path was measured since the last. [8985-21] [8985-22]
    pub(super) const fn is_allowed(&self) -> bool {
        matches!(self.sent, Sent::Nothing) && self.has_sample
    }

    /// The probe leaves; `end` is SND.NXT behind it.
    pub(super) const fn on_sent(&mut self, end: SeqNumber, is_retransmission: bool) {
        self.end = end;
        self.sent = if is_retransmission { Sent::Again } else { Sent::New };
        self.has_sample = false;
    }

    /// An acknowledgment came (RFC 8985 7.4.2). `is_duplicate`: it is a duplicate without SACK; `has_dsack`: it reports
    /// the probe as a duplicate.
    pub(super) fn on_ack(
        &mut self,
        acknowledgment: SeqNumber,
        has_dsack: bool,
        is_duplicate: bool,
    ) -> ProbeOutcome {
        let Some(end) = self.end() else { return ProbeOutcome::Nothing };
        if acknowledgment.before(end) {
            return ProbeOutcome::Nothing;
        }
        if self.sent == Sent::New || has_dsack || (acknowledgment == end && is_duplicate) {
            self.reset();
            return ProbeOutcome::Nothing;
        }
        if acknowledgment.after(end) {
            self.reset();
            return ProbeOutcome::Repaired;
        }
        ProbeOutcome::Nothing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(is_retransmission: bool) -> LossProbe {
        let mut probe = LossProbe::new();
        probe.on_sample();
        assert!(probe.is_allowed());
        probe.on_sent(SeqNumber(1000), is_retransmission);
        assert!(!probe.is_allowed());
        probe
    }

    #[test]
    fn an_acknowledgment_beyond_a_repeated_tail_means_a_loss() {
        // [8985-27]
        let mut probe = sent(true);
        assert_eq!(probe.on_ack(SeqNumber(999), false, false), ProbeOutcome::Nothing);
        assert_eq!(probe.on_ack(SeqNumber(1000), false, false), ProbeOutcome::Nothing, "a D-SACK may follow");
        assert_eq!(probe.on_ack(SeqNumber(2000), false, false), ProbeOutcome::Repaired);
        assert_eq!(probe.on_ack(SeqNumber(3000), false, false), ProbeOutcome::Nothing);
    }

    #[test]
    fn a_duplicate_means_that_both_arrived() {
        for (has_dsack, is_duplicate) in [(true, false), (false, true)] {
            let mut probe = sent(true);
            assert_eq!(probe.on_ack(SeqNumber(1000), has_dsack, is_duplicate), ProbeOutcome::Nothing);
            assert_eq!(probe.end(), None);
        }
        let mut probe = sent(false);
        assert_eq!(
            probe.on_ack(SeqNumber(2000), false, false),
            ProbeOutcome::Nothing,
            "new data tells by itself"
        );
    }

    #[test]
    fn without_a_round_trip_it_waits_for_a_second() {
        // [8985-18]
        for may_be_delayed in [false, true] {
            assert_eq!(LossProbe::timeout(may_be_delayed, &RttEstimator::new()), Duration::from_secs(1));
        }
    }

    #[test]
    fn a_second_probe_needs_a_new_sample() {
        // [8985-21] [8985-22]
        let mut probe = sent(false);
        probe.on_ack(SeqNumber(1000), false, false);
        assert!(!probe.is_allowed());
        probe.on_sample();
        assert!(probe.is_allowed());
    }
}
