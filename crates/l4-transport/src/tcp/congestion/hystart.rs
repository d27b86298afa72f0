//! Slow start, and HyStart++, which ends it when round trips grow and not only when something is lost (RFC 9406).
//!
//! # Theory of operation
//! Rounds are told apart by sequence number. When the shortest round trip of a round is clearly longer than that of the
//! round before, a queue builds up somewhere: the window goes on growing, but at a quarter of the pace (the
//! conservative phase). If the round trips get shorter again it was a false alarm, and slow start resumes; after five
//! rounds without that, slow start is over.
//!
//! # State
//! | RFC | field |
//! |---|---|
//! | windowEnd | `round_end` |
//! | lastRoundMinRTT, currentRoundMinRTT | `last_min`, `current_min`, microseconds |
//! | rttSampleCount | `sample_count` |
//! | cssBaselineMinRtt | `Phase::Conservative::baseline` |
//!
//! # Limits
//! A rise below 4 ms goes unnoticed, on purpose: on a path of some microseconds, noise is many times the round trip. And
//! a round needs eight measurements; a peer that acknowledges sixty-four kilobytes at once gives as many only above half
//! a megabyte in flight. Below that, slow start ends at the first loss, as it always did.

use core::time::Duration;

use netloom_wire::SeqNumber;

use super::sample::AckSample;

/// The least rise of the round trip that counts, in microseconds.
const MIN_RTT_THRESH: u32 = 4_000;
/// The most that is asked for.
const MAX_RTT_THRESH: u32 = 16_000;
/// The part of a round trip that is asked for in between.
const MIN_RTT_DIVISOR: u32 = 8;
/// Measurements without which a round says nothing.
const N_RTT_SAMPLE: u8 = 8;
/// How much slower the conservative phase grows.
const CSS_GROWTH_DIVISOR: u32 = 4;
/// Rounds that it lasts.
const CSS_ROUNDS: u8 = 5;

/// L of RFC 9406: segments by which one acknowledgment may grow the window where nothing paces what leaves. RFC 5681 has
/// one, for peers that acknowledge every second segment; peers behind GRO acknowledge forty at once, and with one the
/// window would hardly grow. With pacing there is no bound. Beyond 5681-10 and 5681-02; the reasons stand in
/// docs/decisions/0004. [9406-01]
const UNPACED_LIMIT: u32 = 8;

/// By how many bytes an acknowledgment grows the window in slow start.
pub(super) fn growth(sample: &AckSample) -> u32 {
    if sample.is_paced {
        sample.acked_len
    } else {
        sample.acked_len.min(UNPACED_LIMIT.saturating_mul(sample.smss))
    }
}

/// What an acknowledgment means for slow start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SlowStart {
    /// The window grows by so many bytes.
    Standard(u32),
    /// So many bytes, in the conservative phase.
    Conservative(u32),
    /// It ends at the window as it is.
    Over,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Standard,
    Conservative { baseline: u32, rounds: u8 },
}

/// The state of one connection in its first slow start.
#[derive(Clone, Copy, Debug)]
pub(super) struct HyStart {
    /// Means something in a round.
    round_end: SeqNumber,
    /// `u32::MAX`: not measured.
    last_min: u32,
    current_min: u32,
    sample_count: u8,
    is_in_round: bool,
    phase: Phase,
}

const _: () = assert!(size_of::<HyStart>() <= 24);

fn micros(rtt: Duration) -> u32 {
    u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX - 1).min(u32::MAX - 1)
}

impl HyStart {
    pub(super) const fn new() -> Self {
        Self {
            round_end: SeqNumber(0),
            last_min: u32::MAX,
            current_min: u32::MAX,
            sample_count: 0,
            is_in_round: false,
            phase: Phase::Standard,
        }
    }

    pub(super) fn on_ack(&mut self, sample: &AckSample) -> SlowStart {
        if let Some(rtt) = sample.rtt {
            self.current_min = self.current_min.min(micros(rtt));
            self.sample_count = self.sample_count.saturating_add(1);
        }
        let growth = growth(sample);
        let answer = match self.phase {
            Phase::Standard => {
                if self.has_risen() {
                    // The round in which it begins counts.
                    self.phase = Phase::Conservative { baseline: self.current_min, rounds: 1 };
                }
                SlowStart::Standard(growth)
            }
            Phase::Conservative { baseline, rounds: _ } => {
                if self.sample_count >= N_RTT_SAMPLE && self.current_min < baseline {
                    // A false alarm. [9406-03]
                    self.phase = Phase::Standard;
                }
                // [9406-02]
                SlowStart::Conservative(growth / CSS_GROWTH_DIVISOR)
            }
        };
        if self.end_round(sample) { SlowStart::Over } else { answer }
    }

    /// Whether this round's trips are clearly longer than the last's.
    fn has_risen(&self) -> bool {
        let threshold = (self.last_min / MIN_RTT_DIVISOR).clamp(MIN_RTT_THRESH, MAX_RTT_THRESH);
        self.sample_count >= N_RTT_SAMPLE
            && self.last_min != u32::MAX
            && self.current_min != u32::MAX
            && self.current_min >= self.last_min.saturating_add(threshold)
    }

    /// Begins the next round if this one is over. Says whether slow start ends with it.
    fn end_round(&mut self, sample: &AckSample) -> bool {
        if !self.is_in_round {
            self.is_in_round = true;
            self.round_end = sample.snd_nxt;
        }
        if sample.snd_una.before(self.round_end) {
            return false;
        }
        // Where nothing is in flight, the next acknowledgment tells how far the round goes.
        self.is_in_round = sample.snd_una.before(sample.snd_nxt);
        self.round_end = sample.snd_nxt;
        self.last_min = self.current_min;
        self.current_min = u32::MAX;
        self.sample_count = 0;
        match &mut self.phase {
            Phase::Conservative { baseline: _, rounds } => {
                *rounds = rounds.saturating_add(1);
                *rounds > CSS_ROUNDS
            }
            Phase::Standard => false,
        }
    }
}

#[cfg(test)]
mod tests;
