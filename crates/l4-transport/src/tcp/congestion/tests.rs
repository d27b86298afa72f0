//! What all congestion controls share, and each of them under arbitrary calls.

use core::time::Duration;

use netloom_base::{Instant, Rng};
use netloom_wire::SeqNumber;

use super::*;

const SMSS: u32 = 1000;

fn reno() -> CongestionControl {
    CongestionControl::new(Congestion::NewReno, SMSS)
}

fn ack(acked_len: u32, flight_len: u32) -> AckSample {
    AckSample::example(acked_len, flight_len, SMSS)
}

fn loss(flight_len: u32) -> LossSample {
    LossSample::example(flight_len, SMSS)
}

fn windows(control: &CongestionControl) -> (u32, u32) {
    (control.window(), control.ssthresh())
}

const fn ms(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

#[test]
fn the_initial_window_is_ten_segments() {
    // [5681-04]
    assert_eq!(initial_window(1460), 14_600);
    assert_eq!(initial_window(1000), 10_000);
    assert_eq!(initial_window(9000), 18_000);
    assert_eq!(initial_window(1500), 14_600);
}

#[test]
fn slow_start_doubles_and_avoidance_adds_one_segment_a_window() {
    // [5681-03] [5681-08] [5681-11] [5681-12] [9293 MUST-19]
    let mut control = reno();
    for _ in 0..10 {
        control.on_ack(&ack(SMSS, 10_000));
    }
    assert_eq!(control.window(), 20_000);
    control.on_congestion_event(&loss(20_000));
    assert_eq!(windows(&control), (10_000, 10_000));
    for acked in 1..=10 {
        assert_eq!(control.window(), 10_000, "after {acked} acknowledgments");
        control.on_ack(&ack(SMSS, 10_000));
    }
    assert_eq!(control.window(), 11_000);
}

#[test]
fn a_timeout_falls_to_one_segment_and_reduces_only_once() {
    // [5681-09] [5681-14] [5681-15] [9438-13]
    for (which, ssthresh) in [(Congestion::NewReno, 5000), (Congestion::Cubic, 7000)] {
        let mut control = CongestionControl::new(which, SMSS);
        control.on_rto(&loss(10_000), true);
        assert_eq!(windows(&control), (1000, ssthresh));
        control.on_rto(&loss(1000), false);
        assert_eq!(windows(&control), (1000, ssthresh));
    }
}

#[test]
fn slow_start_after_a_timeout_stops_at_ssthresh_and_the_rest_counts_for_avoidance() {
    // [5681-03] [9438-14]
    let mut control = reno();
    control.on_rto(&loss(10_000), true);
    for (acked, cwnd) in [(1, 2000), (2, 4000), (4, 5000), (1, 5000), (1, 6000)] {
        control.on_ack(&ack(acked * SMSS, 10_000));
        assert_eq!(control.window(), cwnd, "{acked} acknowledged");
    }
}

#[test]
fn an_unused_window_does_not_grow() {
    // [9438-18]
    for which in Congestion::ALL {
        let mut control = CongestionControl::new(*which, SMSS);
        control.on_ack(&AckSample { is_window_limited: false, ..ack(SMSS, 1000) });
        assert_eq!(control.window(), 10_000);
        control.on_congestion_event(&loss(10_000));
        let before = control.window();
        for at in 0..100 {
            control.on_ack(&AckSample { is_window_limited: false, now: ms(at), ..ack(SMSS, 10_000) });
        }
        assert_eq!(control.window(), before);
    }
}

#[test]
fn a_window_that_limits_once_counts_as_used_for_a_round_trip() {
    let mut control = reno();
    control.on_congestion_event(&loss(10_000));
    let at = |una: u32, is_window_limited| AckSample {
        snd_una: SeqNumber(una),
        snd_nxt: SeqNumber(una + 5000),
        is_window_limited,
        ..ack(SMSS, 5000)
    };
    control.on_ack(&at(1000, true));
    for una in 2..6 {
        control.on_ack(&at(una * 1000, false));
    }
    assert_eq!(control.window(), 6000, "five acknowledgments are a window");
    for una in 6..60 {
        control.on_ack(&at(una * 1000, false));
    }
    assert_eq!(control.window(), 6000);
}

#[test]
fn leaving_recovery_makes_no_burst() {
    // [5681-27] [5681-35]
    let mut control = reno();
    control.window.cwnd = 20_000;
    control.on_congestion_event(&loss(20_000));
    control.on_recovery_exit(2000, SMSS);
    assert_eq!(control.window(), 3000);
    control.on_recovery_exit(50_000, SMSS);
    assert_eq!(control.window(), 10_000);
}

#[test]
fn a_smaller_segment_keeps_the_count() {
    // [5681-06] [5681-07]
    let mut control = reno();
    control.on_smss(1000, 500);
    assert_eq!(control.window(), 5000);
    control.on_syn_loss(500);
    assert_eq!(control.window(), 500);
}

#[test]
fn rest_halves_the_window_each_timeout_down_to_the_initial_one() {
    // [5681-28]
    let idle = |now| IdleSample { now, last_sent_at: ms(1000), rto: Duration::from_millis(200), smss: SMSS };
    let begin = || {
        let mut control = reno();
        control.window = Window { cwnd: 100_000, ssthresh: 30_000 };
        control
    };
    for (after, cwnd) in [(200, 100_000), (201, 50_000), (399, 50_000), (401, 25_000), (9000, 10_000)] {
        let mut control = begin();
        for _ in 0..3 {
            control.on_idle(&idle(ms(1000 + after)));
            assert_eq!(control.window(), cwnd, "after {after} ms, whatever often it is told");
        }
        assert_eq!(control.ssthresh(), if after > 200 { 75_000 } else { 30_000 });
    }
    let mut small = begin();
    small.window.cwnd = 4000;
    small.on_idle(&idle(ms(60_000)));
    assert_eq!(small.window(), 4000, "it does not grow");
}

#[test]
fn a_window_that_is_hardly_used_falls_half_way_a_timeout() {
    let mut control = reno();
    control.window = Window { cwnd: 100_000, ssthresh: 50_000 };
    let sample = |now| AckSample {
        now,
        is_window_limited: false,
        rto: Duration::from_millis(200),
        ..ack(SMSS, 20_000)
    };
    let mut fallen = Vec::new();
    for at in (1000..=1600).step_by(50) {
        control.on_ack(&sample(ms(at)));
        fallen.push(control.window());
    }
    assert_eq!(fallen[..4], [100_000; 4]);
    assert_eq!((fallen[4], fallen[8], fallen[12]), (60_000, 40_000, 30_000));
    assert_eq!(control.ssthresh(), 75_000);
}

#[test]
fn what_was_spurious_is_taken_back_once() {
    // [9438-16]
    for which in Congestion::ALL {
        let mut control = CongestionControl::new(*which, SMSS);
        control.on_congestion_event(&loss(10_000));
        assert!(control.window() < 10_000);
        control.undo();
        assert_eq!(windows(&control), (10_000, u32::MAX));
        control.on_rto(&loss(10_000), true);
        control.on_rto(&loss(1000), false);
        control.undo();
        assert_eq!(windows(&control), (10_000, u32::MAX));
        control.on_congestion_event(&loss(10_000));
        control.window.cwnd = 12_000;
        control.undo();
        assert_eq!(control.window(), 12_000, "it never shrinks");
        control.window.cwnd = 2000;
        control.undo();
        assert_eq!(control.window(), 2000, "there is nothing to take back");
    }
}

#[test]
fn marks_bring_the_window_down_to_one_segment_and_losses_to_two() {
    // [9438-10] [5681-09]
    for which in Congestion::ALL {
        let mut control = CongestionControl::new(*which, SMSS);
        for _ in 0..20 {
            control.on_congestion_event(&loss(control.window()));
        }
        assert_eq!(windows(&control), (2000, 2000));
        for _ in 0..20 {
            control.on_ecn_echo(&loss(control.window()));
        }
        assert_eq!(windows(&control), (1000, 2000));
    }
}

#[test]
fn a_second_reduction_counts_from_the_window_and_not_from_a_flight_that_is_still_large() {
    let mut control = reno();
    control.window.cwnd = 40_000;
    control.on_congestion_event(&loss(40_000));
    control.on_congestion_event(&loss(40_000));
    assert_eq!(windows(&control), (10_000, 10_000));
}

#[test]
fn another_algorithm_goes_on_with_the_window() {
    let mut control = reno();
    control.on_congestion_event(&loss(10_000));
    control.switch(Congestion::Cubic);
    assert_eq!((control.which(), windows(&control)), (Congestion::Cubic, (5000, 5000)));
    control.undo();
    assert_eq!(control.window(), 5000);
}

#[test]
fn the_delivery_rate_is_what_a_round_brought() {
    let mut control = reno();
    assert_eq!(control.delivery_rate(), None);
    for step in 0..100_u32 {
        control.on_ack(&AckSample {
            now: ms(step.into()),
            snd_una: SeqNumber(step * 1000),
            snd_nxt: SeqNumber(step * 1000 + 20_000),
            ..ack(1000, 20_000)
        });
    }
    // A segment a millisecond.
    assert_eq!(control.delivery_rate(), Some(1_000_000));
}

#[test]
fn no_sequence_of_calls_panics_or_leaves_the_bounds() {
    for seed in 0..64 {
        let mut rng = Rng::from_number(seed);
        let which = Congestion::ALL[rng.next_u32() as usize % Congestion::ALL.len()];
        let mut smss = 1 + rng.next_u32() % 65_535;
        let mut control = CongestionControl::new(which, smss);
        let mut now = Instant::ZERO;
        for _ in 0..2000 {
            now += Duration::from_nanos(rng.next_u64() >> rng.below(64));
            let (first, second) = (rng.next_u32() >> rng.below(32), rng.next_u32() >> rng.below(32));
            let loss = LossSample { now, flight_len: first, smss };
            let rtt = Duration::from_nanos(rng.next_u64() >> rng.below(64));
            match rng.below(16) {
                0 => control.on_congestion_event(&loss),
                1 => control.on_ecn_echo(&loss),
                2 => control.on_rto(&loss, second % 2 == 0),
                3 => control.on_recovery_exit(second, smss),
                4 => control.undo(),
                5 => control.on_idle(&IdleSample {
                    now,
                    last_sent_at: Instant::from_nanos(rng.next_u64() >> rng.below(64)),
                    rto: rtt,
                    smss,
                }),
                6 => control.on_syn_loss(smss),
                7 => {
                    let new = 1 + second % 65_535;
                    control.on_smss(smss, new);
                    smss = new;
                }
                8 => control.switch(Congestion::ALL[first as usize % Congestion::ALL.len()]),
                _ => control.on_ack(&AckSample {
                    now,
                    acked_len: first,
                    flight_len: second,
                    is_window_limited: rng.below(2) == 0,
                    is_paced: rng.below(2) == 0,
                    smss,
                    rtt: (rng.below(2) == 0).then_some(rtt),
                    srtt: (rng.below(4) > 0).then_some(rtt),
                    min_rtt: None,
                    rto: Duration::from_nanos(rng.next_u64() >> rng.below(64)),
                    snd_una: SeqNumber(rng.next_u32()),
                    snd_nxt: SeqNumber(rng.next_u32()),
                }),
            }
            assert!(control.window() >= 1 && control.window() <= LARGEST_WINDOW.max(2 * smss), "{control:?}");
            assert!(control.ssthresh() >= 2, "{control:?}");
        }
    }
}

#[test]
fn only_the_first_slow_start_ends_because_round_trips_grow() {
    // [9406-04] [9406-05]
    for is_first in [true, false] {
        let mut control = reno();
        if !is_first {
            control.window = Window { cwnd: 10_000, ssthresh: 1_000_000_000 };
        }
        let (mut una, mut millis) = (0_u32, 10);
        for _ in 0..12 {
            let count = control.window() / SMSS;
            let nxt = una + count * SMSS;
            for _ in 0..count {
                una += SMSS;
                control.on_ack(&AckSample {
                    rtt: Some(Duration::from_millis(millis)),
                    snd_una: SeqNumber(una),
                    snd_nxt: SeqNumber(nxt),
                    ..ack(SMSS, count * SMSS)
                });
            }
            millis += 10;
        }
        if is_first {
            assert!(control.window() < 1_000_000 && !control.window.is_in_slow_start(), "{control:?}");
        } else {
            assert_eq!(control.window(), 10_000 << 12);
        }
    }
}
