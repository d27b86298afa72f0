//! Initial sequence numbers (RFC 6528) and timestamp offsets (RFC 7323 7.1).
//!
//! ISN = M + F(four-tuple, secret): M is a clock of 4 microseconds, F is SipHash-2-4 under a key that only this stack
//! knows. Two incarnations of one connection get numbers that follow each other; an outsider learns nothing about those
//! of others.

use core::hash::{Hash, Hasher};

use netloom_base::{Instant, Rng};
use netloom_wire::SeqNumber;
use siphasher::sip::SipHasher24;

use super::tuple::FourTuple;

/// The secrets.
#[derive(Clone, Debug)]
pub(super) struct IsnGenerator {
    sequence_key: (u64, u64),
    timestamp_key: (u64, u64),
}

impl IsnGenerator {
    pub(super) fn new(rng: &mut Rng) -> Self {
        let mut key = || (rng.next_u64(), rng.next_u64());
        Self { sequence_key: key(), timestamp_key: key() }
    }

    /// The initial sequence number of a connection that begins now. [9293 MUST-8, MUST-9, SHLD-1]
    pub(super) fn sequence(&self, now: Instant, tuple: &FourTuple) -> SeqNumber {
        // [6528-01] [6528-02]
        let clock = low_half(now.as_micros() / 4);
        SeqNumber(clock.wrapping_add(keyed(self.sequence_key, tuple)))
    }

    /// What is added to the timestamp clock: the same for each incarnation, so that the clock of a four-tuple never
    /// runs backwards (RFC 6191). [7323-46]
    pub(super) fn timestamp_offset(&self, tuple: &FourTuple) -> u32 {
        keyed(self.timestamp_key, tuple)
    }
}

/// The timestamp clock: a tick a millisecond. It wraps after 49 days, and passes 2^31 bytes in one tick only beyond
/// 17 Tb/s. [7323-27] [7323-41] [7323-42] [7323-43]
pub(super) fn timestamp(now: Instant, offset: u32) -> u32 {
    low_half(now.as_millis()).wrapping_add(offset)
}

#[expect(clippy::cast_possible_truncation, reason = "clocks of 32 bits wrap")]
const fn low_half(number: u64) -> u32 {
    number as u32
}

fn keyed(key: (u64, u64), tuple: &FourTuple) -> u32 {
    let mut hasher = SipHasher24::new_with_keys(key.0, key.1);
    tuple.hash(&mut hasher);
    low_half(hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tuple(remote_port: u16) -> FourTuple {
        FourTuple {
            local_address: "10.0.0.2".parse().unwrap(),
            remote_address: "10.0.0.1".parse().unwrap(),
            local_port: 80,
            remote_port,
        }
    }

    #[test]
    fn numbers_of_one_tuple_follow_the_clock() {
        // [9293 MUST-8] [6528-01]
        let isn = IsnGenerator::new(&mut Rng::from_number(1));
        let first = isn.sequence(Instant::ZERO, &tuple(1));
        assert_eq!(isn.sequence(Instant::from_millis(1), &tuple(1)), first + 250);
        assert_eq!(isn.sequence(Instant::from_millis(5000), &tuple(1)), first + 1_250_000);
    }

    #[test]
    fn another_tuple_or_secret_gives_an_unrelated_number() {
        // [9293 MUST-9, SHLD-1] [6528-02] [7323-46]
        let (mut one, mut two) = (Rng::from_number(1), Rng::from_number(2));
        let (one, two) = (IsnGenerator::new(&mut one), IsnGenerator::new(&mut two));
        assert_ne!(one.sequence(Instant::ZERO, &tuple(1)), one.sequence(Instant::ZERO, &tuple(2)));
        assert_ne!(one.sequence(Instant::ZERO, &tuple(1)), two.sequence(Instant::ZERO, &tuple(1)));
        assert_ne!(one.timestamp_offset(&tuple(1)), one.timestamp_offset(&tuple(2)));
    }

    #[test]
    fn the_timestamp_clock_ticks_once_a_millisecond() {
        // [7323-27] [7323-41] [7323-42] [7323-43]
        let (start, offset) = (Instant::from_millis(123_456), u32::MAX - 10);
        let ticks = |millis: u64| {
            timestamp(Instant::from_millis(123_456 + millis), offset).wrapping_sub(timestamp(start, offset))
        };
        assert_eq!([ticks(0), ticks(1), ticks(1000), ticks(120_000)], [0, 1, 1000, 120_000]);
        // A segment lives for two minutes at most; half the circle, beyond which old looks new, takes 24 days.
        assert!(u64::from(u32::MAX / 2) > 120_000 * 10_000);
        assert_eq!(ticks(1 << 32), 0, "the circle is 49 days");
    }
}
