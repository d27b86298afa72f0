//! Slow start over simulated paths.

use core::time::Duration;

use netloom_base::Instant;

use super::*;

const SMSS: u32 = 1448;

/// Plays rounds of slow start from ten segments on; `round_trip` says how long a trip is, by round and segment in it.
/// Each segment is acknowledged by itself. Returns the windows at the beginning of each round, in segments, and whether
/// slow start ended.
fn play(rounds: u32, round_trip: impl Fn(u32, u32) -> Duration) -> (Vec<u32>, bool) {
    let mut hystart = HyStart::new();
    let (mut una, mut cwnd) = (0, 10 * SMSS);
    let mut windows = Vec::new();
    for round in 0..rounds {
        let count = cwnd / SMSS;
        windows.push(count);
        let mut nxt = una + count * SMSS;
        for segment in 0..count {
            una += SMSS;
            let sample = AckSample {
                rtt: Some(round_trip(round, segment)),
                snd_una: SeqNumber(una),
                snd_nxt: SeqNumber(nxt),
                ..AckSample::example(SMSS, count * SMSS, SMSS)
            };
            match hystart.on_ack(&sample) {
                SlowStart::Standard(growth) | SlowStart::Conservative(growth) => {
                    cwnd += growth;
                    nxt += SMSS + growth;
                }
                SlowStart::Over => return (windows, true),
            }
        }
    }
    (windows, false)
}

const fn us(micros: u64) -> Duration {
    Duration::from_micros(micros)
}

#[test]
fn steady_round_trips_double_the_window_for_ever() {
    // [9406-01]
    let (windows, is_over) = play(8, |_, _| us(40_000));
    assert_eq!((windows, is_over), (vec![10, 20, 40, 80, 160, 320, 640, 1280], false));
}

#[test]
fn noise_of_a_fast_path_ends_nothing() {
    // Round trips of 50 us that now and then are twenty times as long, and whole rounds of 3 ms.
    let (windows, is_over) =
        play(10, |round, segment| us(if round % 3 == 2 || segment % 5 == 0 { 3000 } else { 50 }));
    assert_eq!((windows[9], is_over), (5120, false));
}

#[test]
fn round_trips_that_grow_end_it_after_five_conservative_rounds() {
    // [9406-02] [9406-04]: a queue grows by 10 ms a round from the fifth on.
    let (windows, is_over) = play(40, |round, _| us(40_000 + 10_000 * u64::from(round.saturating_sub(3))));
    assert!(is_over);
    // The rise is there from 160 segments on, and shows when eight of them were measured that no earlier one hides.
    assert_eq!((windows.len(), windows[4]), (10, 160), "{windows:?}");
    assert!(windows.windows(2).skip(5).all(|pair| pair[1] <= pair[0] * 5 / 4 + 1), "{windows:?}");
    assert!(windows[9] < 800, "slow start would be at 5120: {windows:?}");
}

#[test]
fn a_false_alarm_resumes_slow_start() {
    // [9406-03]: one round is slow, and the next as before.
    let (windows, is_over) = play(9, |round, _| us(if round == 4 { 60_000 } else { 40_000 }));
    assert!(!is_over);
    assert!(windows[5] < 320, "{windows:?}");
    assert!(windows[8] >= windows[7] * 19 / 10, "{windows:?}");
}

#[test]
fn a_rise_must_be_an_eighth_within_four_and_sixteen_milliseconds() {
    // RFC 9406 4.2
    for (base, rise, ends) in [
        (1000, 3900, false),
        (1000, 4000, true),
        (80_000, 9900, false),
        (80_000, 10_000, true),
        (400_000, 15_900, false),
        (400_000, 16_000, true),
    ] {
        let (_, is_over) = play(10, |round, _| us(base + if round > 3 { rise } else { 0 }));
        assert_eq!(is_over, ends, "{base} us and {rise} more");
    }
}

#[test]
fn few_measurements_say_nothing() {
    let mut hystart = HyStart::new();
    for round in 1..40 {
        for _ in 0..7 {
            let sample = AckSample {
                rtt: Some(us(u64::from(round) * 10_000)),
                snd_una: SeqNumber(round * 1000),
                snd_nxt: SeqNumber(round * 1000 + 999),
                ..AckSample::example(SMSS, SMSS, SMSS)
            };
            assert_eq!(hystart.on_ack(&sample), SlowStart::Standard(SMSS));
        }
    }
}

#[test]
fn one_acknowledgment_counts_for_eight_segments_unless_what_leaves_is_paced() {
    // [9406-01]
    let many = AckSample::example(44 * SMSS, 88 * SMSS, SMSS);
    assert_eq!(growth(&many), 8 * SMSS);
    assert_eq!(growth(&AckSample { is_paced: true, ..many }), 44 * SMSS);
    assert_eq!(many.now, Instant::ZERO);
}
