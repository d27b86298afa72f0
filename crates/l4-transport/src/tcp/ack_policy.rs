//! When text is acknowledged: at once, or after a while, with what is sent meanwhile (RFC 9293 3.8.6.3, RFC 5681 4.2).
//!
//! # Theory of operation
//! - *At first*, and after a silence longer than the retransmission timeout, everything is acknowledged at once: the peer
//!   is in slow start and lives on acknowledgments, or holds a small segment back until the one before it is
//!   acknowledged. So is what comes while, and for a while after, segments are missing. For one small segment "at once" is
//!   when those have run who may answer it, if the caller says so (`answers.rs`).
//! - *In a conversation* acknowledgments ride on the answers. It is one from the first answer on that left within the
//!   delay that an acknowledgment would have had; until an acknowledgment had to leave without an answer after all.
//! - Otherwise an acknowledgment waits for a second full segment, or for the delay to pass. The delay follows the time
//!   between segments, so that two of them share one acknowledgment where that takes no longer than a round trip; it is
//!   never shorter than the configured one, nor longer than [`LONGEST_DELAY`].
//! - *An impatient peer* sends again what arrived, because its timer is shorter than the delay. From then on it waits for
//!   [`HURRIED_DELAY`] at most, whatever is configured: a peer may go on from a round trip that it measured while it was
//!   acknowledged at once, and would send a segment twice each time.
//!
//! The rules and numbers are those that hosts on the internet are used to.

use core::time::Duration;

use netloom_base::Instant;

/// Segments that are acknowledged at once at first.
const QUICK_ACKS: u8 = 16;

/// Segments that are acknowledged at once after one was missing.
const QUICK_ACKS_AFTER_DISORDER: u8 = 64;

/// Time between segments from which on every acknowledgment counts: 60 Mbit/s of full ones.
const SLOW_GAP: Duration = Duration::from_micros(200);

/// The longest that an acknowledgment waits, unless more is configured: what peers' retransmission timers allow for.
const LONGEST_DELAY: Duration = Duration::from_millis(200);

/// The longest that an acknowledgment waits for a peer that has lost patience: a fifth of the timeout that none is below.
const HURRIED_DELAY: Duration = Duration::from_millis(40);

/// How eager a receiver acknowledges.
#[derive(Clone, Copy, Debug)]
pub(super) struct AckPolicy {
    quick_acks: u8,
    is_conversation: bool,
    is_hurried: bool,
    /// What the time between segments suggests, in milliseconds; 0: nothing yet.
    delay_millis: u16,
    last_text_at: Option<Instant>,
}

fn millis(duration: Duration) -> u16 {
    u16::try_from(duration.as_millis()).unwrap_or(u16::MAX)
}

impl AckPolicy {
    pub(super) const fn new() -> Self {
        Self {
            quick_acks: QUICK_ACKS,
            is_conversation: false,
            is_hurried: false,
            delay_millis: 0,
            last_text_at: None,
        }
    }

    /// Text came. `least`: the configured delay. [5681-29]
    pub(super) fn on_text(&mut self, now: Instant, least: Duration, rto: Duration) {
        let shortest = millis(least);
        let gap = self.last_text_at.map(|at| now.saturating_since(at));
        self.last_text_at = Some(now);
        let Some(gap) = gap else {
            self.delay_millis = shortest;
            return;
        };
        if gap > rto {
            // The other end begins anew, too.
            self.be_quick();
        }
        let gap = millis(gap);
        if gap <= shortest / 2 {
            self.delay_millis = (self.delay_millis / 2 + shortest / 2).max(shortest);
        } else if gap < self.delay_millis {
            self.delay_millis = (self.delay_millis / 2 + gap).max(shortest);
        }
    }

    /// Something went wrong, or begins again: the peer should hear of the next segments at once.
    pub(super) const fn be_quick(&mut self) {
        self.quick_acks = QUICK_ACKS;
        self.is_conversation = false;
    }

    /// The user wants answers to carry acknowledgments, where there are any.
    pub(super) const fn be_slow(&mut self) {
        self.is_conversation = true;
    }

    /// A segment is missing, or was: the peer's window is small, and every acknowledgment that waits costs it time.
    /// At a high rate there are acknowledgments enough: what comes closer together than [`SLOW_GAP`] changes nothing.
    pub(super) fn on_disorder(&mut self, now: Instant) {
        if self.last_text_at.is_none_or(|at| now.saturating_since(at) >= SLOW_GAP) {
            self.quick_acks = self.quick_acks.max(QUICK_ACKS_AFTER_DISORDER);
        }
    }

    /// Text came again whose acknowledgment is waiting still. A copy made on the way comes sooner, and tells nothing.
    pub(super) fn on_impatience(&mut self, now: Instant) {
        self.is_hurried |= self.last_text_at.is_some_and(|at| now.saturating_since(at) > HURRIED_DELAY);
    }

    /// Whether the next segment is acknowledged at once, whatever its size.
    pub(super) const fn is_quick(&self) -> bool {
        self.quick_acks > 0 && !self.is_conversation
    }

    /// How long an acknowledgment waits. [9293 MUST-40] [5681-30]
    pub(super) fn delay(&self, least: Duration, srtt: Option<Duration>) -> Duration {
        if self.is_hurried {
            return least.min(HURRIED_DELAY);
        }
        let longest = srtt.unwrap_or(LONGEST_DELAY).clamp(least, LONGEST_DELAY.max(least));
        Duration::from_millis(self.delay_millis.into()).clamp(least, longest)
    }

    /// An acknowledgment left without text.
    pub(super) const fn on_ack_sent(&mut self) {
        self.quick_acks = self.quick_acks.saturating_sub(1);
    }

    /// Text left: it is an answer, if it left soon after what came.
    pub(super) fn on_text_sent(&mut self, now: Instant) {
        let delay = Duration::from_millis(self.delay_millis.into());
        if self.last_text_at.is_some_and(|at| now.saturating_since(at) < delay) {
            self.is_conversation = true;
        }
    }

    /// The delay has passed, and there was no answer.
    pub(super) fn on_delay_over(&mut self, least: Duration, rto: Duration) {
        if self.is_conversation {
            self.is_conversation = false;
            self.delay_millis = millis(least);
        } else {
            self.delay_millis = self.delay_millis.saturating_mul(2).min(millis(rto));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: Duration = Duration::from_millis(40);
    const RTO: Duration = Duration::from_secs(1);

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    #[test]
    fn a_young_connection_is_quick_and_one_that_was_silent_again() {
        let mut policy = AckPolicy::new();
        for n in 0..16 {
            policy.on_text(at(n), LEAST, RTO);
            assert!(policy.is_quick());
            policy.on_ack_sent();
        }
        assert!(!policy.is_quick());
        policy.on_text(at(1015), LEAST, RTO);
        assert!(!policy.is_quick(), "a timeout, and not more");
        policy.on_text(at(2016), LEAST, RTO);
        assert!(policy.is_quick());
    }

    #[test]
    fn an_answer_within_the_delay_makes_a_conversation() {
        let mut policy = AckPolicy::new();
        policy.on_text_sent(at(0));
        assert!(policy.is_quick(), "who speaks first does not answer");
        policy.on_text(at(0), LEAST, RTO);
        policy.on_text_sent(at(40));
        assert!(policy.is_quick(), "too late for an answer");
        policy.on_text(at(100), LEAST, RTO);
        policy.on_text_sent(at(139));
        assert!(!policy.is_quick());
        // An acknowledgment had to go alone after all.
        policy.on_delay_over(LEAST, RTO);
        assert!(policy.is_quick());
    }

    #[test]
    fn a_peer_that_repeats_what_arrived_waits_no_longer() {
        let asked = Duration::from_millis(341);
        let mut policy = AckPolicy::new();
        policy.on_text(at(0), asked, RTO);
        policy.on_impatience(at(40));
        assert_eq!(policy.delay(asked, None), asked, "so early it is a copy");
        policy.on_impatience(at(41));
        assert_eq!(policy.delay(asked, None), HURRIED_DELAY);
        assert_eq!(policy.delay(Duration::from_millis(5), None), Duration::from_millis(5));
    }

    #[test]
    fn the_delay_follows_the_segments_within_its_bounds() {
        // [9293 MUST-40] [5681-30]
        let mut policy = AckPolicy::new();
        let long = Some(Duration::from_secs(3));
        policy.on_text(at(0), LEAST, RTO);
        assert_eq!(policy.delay(LEAST, long), LEAST);
        for _ in 0..10 {
            policy.on_delay_over(LEAST, RTO);
        }
        assert_eq!(policy.delay(LEAST, long), LONGEST_DELAY);
        assert_eq!(policy.delay(LEAST, None), LONGEST_DELAY);
        assert_eq!(policy.delay(LEAST, Some(Duration::from_millis(90))), Duration::from_millis(90));
        assert_eq!(policy.delay(LEAST, Some(Duration::from_millis(1))), LEAST, "no shorter than asked");
        for n in 1..20 {
            policy.on_text(at(n), LEAST, RTO);
        }
        assert_eq!(policy.delay(LEAST, long), LEAST);
        assert_eq!(policy.delay(RTO, long), RTO, "a longer one was asked for");
    }
}
