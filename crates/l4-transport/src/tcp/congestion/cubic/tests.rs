//! CUBIC against its own formula, against AIMD, and against itself, in virtual time.

use super::super::{Congestion, CongestionControl, LARGEST_WINDOW};
use super::*;

const SMSS: u32 = 1448;

/// A flow over a path with one round-trip time: each round acknowledges a window in single segments.
struct Flow {
    control: CongestionControl,
    now: Instant,
    rtt: Duration,
}

impl Flow {
    fn new(segments: u32, rtt: Duration) -> Self {
        let mut control = CongestionControl::new(Congestion::Cubic, SMSS);
        control.window.cwnd = segments * SMSS;
        Self { control, now: Instant::from_millis(10_000), rtt }
    }

    fn sample(&self, acked_len: u32) -> AckSample {
        AckSample {
            now: self.now,
            srtt: Some(self.rtt),
            ..AckSample::example(acked_len, self.control.window(), SMSS)
        }
    }

    fn round(&mut self) {
        let count = (self.control.window() / SMSS).max(1);
        let end = self.now + self.rtt;
        for _ in 0..count {
            self.control.on_ack(&self.sample(SMSS));
            self.now += self.rtt / count;
        }
        self.now = end;
    }

    fn lose(&mut self) {
        self.control.on_congestion_event(&LossSample {
            now: self.now,
            flight_len: self.control.window(),
            smss: SMSS,
        });
    }

    fn segments(&self) -> f64 {
        f64::from(self.control.window()) / f64::from(SMSS)
    }

    fn cubic(&self) -> &Cubic {
        match &self.control.algorithm {
            super::super::Algorithm::Cubic(it) => it,
            super::super::Algorithm::NewReno(_) => panic!("not CUBIC"),
        }
    }
}

#[track_caller]
fn near(found: f64, expected: f64, tolerance: f64, what: &str) {
    assert!((found - expected).abs() <= expected * tolerance, "{what}: {found}, not {expected}");
}

#[test]
fn roots_and_cubes_are_exact() {
    for value in [0_u128, 1, 7, 8, 9, 26, 27, 28, 1 << 60, (1 << 93) - 1] {
        let root = u128::from(cube_root(value));
        assert!(root.pow(3) <= value && (root + 1).pow(3) > value, "{value}");
    }
    assert_eq!(units(Duration::from_secs(1)), 1 << 20);
    assert_eq!(units(Duration::from_micros(50)), 52);
    assert_eq!(units(Duration::MAX) >> 20, (1_u64 << 52) / 1_000_000_000);
    // 0.4 segments after a second, 3.2 after two.
    assert_eq!(cube(1 << 20, 1000), 400);
    assert_eq!(cube(2 << 20, 1000), 3200);
    assert_eq!(cube(u64::MAX, 65_535), 2048_u64.pow(3) * 4 * 65_535 / 10);
    // (100 - 70) / 0.4 = 75, whose root is 4.217.
    assert_eq!((u64::from(time_to_cover(30 * 1000, 1000)) * 1000) >> 20, 4217);
}

#[test]
fn the_window_follows_the_cubic_function() {
    // [9438-01] [9438-02] [9438-06] [9438-07] [9438-08] [9438-09] [9438-17]
    for (w_max, rtt_millis) in [(2000_u32, 100), (10_000, 50), (500, 200)] {
        let mut flow = Flow::new(w_max, Duration::from_millis(rtt_millis));
        flow.lose();
        let begin = f64::from(w_max) * 0.7;
        near(flow.segments(), begin, 0.001, "after the loss");
        let start = flow.now;
        let k = (f64::from(w_max) * 0.3 / 0.4).cbrt();
        let mut regions = [false; 2];
        while flow.now.saturating_since(start).as_secs_f64() < 2.0 * k {
            flow.round();
            // A window is that of one round trip ahead of where it was computed.
            let t = flow.now.saturating_since(start).as_secs_f64();
            let expected = 0.4 * (t - k).powi(3) + f64::from(w_max);
            near(flow.segments(), expected, 0.01, &format!("W_max {w_max}, {t} s after the loss"));
            regions[usize::from(t > k)] = true;
        }
        assert_eq!(regions, [true; 2], "concave and convex");
        assert!(flow.segments() > f64::from(w_max) * 1.25);
    }
}

#[test]
fn short_paths_are_reno_friendly() {
    // [9438-03] [9438-04] [9438-05]: alpha is 9/17 up to the window before the loss, and one above it.
    let mut flow = Flow::new(100, Duration::from_millis(2));
    flow.lose();
    let mut expected = 70.0;
    for round in 0..200 {
        flow.round();
        expected += if expected < 100.0 { 9.0 / 17.0 } else { 1.0 };
        near(flow.segments(), expected, 0.03, &format!("round {round}"));
    }
    assert!(flow.segments() > 200.0);
}

#[test]
fn the_reno_friendly_average_is_that_of_aimd() {
    // [9438-03]: AIMD(9/17, 0.7) averages as AIMD(1, 0.5): sqrt(3 / (2 p)), RFC 9438 figure 3.
    let average = |which| {
        let mut flow = Flow::new(40, Duration::from_millis(2));
        flow.control.switch(which);
        flow.lose();
        let (mut sum, mut rounds, mut sent, mut next_loss) = (0.0, 0, 0_u64, 2000_u64);
        for _ in 0..20_000 {
            flow.round();
            sent += u64::from(flow.control.window() / SMSS);
            if sent >= next_loss {
                flow.lose();
                next_loss += 2000;
            }
            sum += flow.segments();
            rounds += 1;
        }
        sum / f64::from(rounds)
    };
    let (cubic, reno) = (average(Congestion::Cubic), average(Congestion::NewReno));
    near(reno, (3.0_f64 / 2.0 * 2000.0).sqrt(), 0.06, "Reno");
    near(cubic, reno, 0.06, "CUBIC beside Reno");
}

#[test]
fn a_long_path_holds_the_window_that_the_response_function_says() {
    // RFC 9438 table 1: 187 segments at a loss of 1e-4 and 0.1 s, 1054 at 1e-5. Fast convergence, which the formula leaves
    // out, takes some percent of it.
    for (gap, expected) in [(10_000_u64, 187.0), (100_000, 1054.0)] {
        let mut flow = Flow::new(200, Duration::from_millis(100));
        flow.lose();
        let (mut sum, mut rounds, mut sent, mut next_loss) = (0.0, 0, 0_u64, gap);
        for round in 0..4000 {
            flow.round();
            sent += u64::from(flow.control.window() / SMSS);
            if sent >= next_loss {
                flow.lose();
                next_loss += gap;
            }
            if round >= 1000 {
                sum += flow.segments();
                rounds += 1;
            }
        }
        near(sum / f64::from(rounds), expected, 0.1, &format!("a loss in {gap}"));
    }
}

#[test]
fn a_loss_below_the_last_one_remembers_less() {
    // [9438-11]
    let mut flow = Flow::new(1000, Duration::from_millis(100));
    flow.lose();
    assert_eq!(flow.cubic().w_max, 1000 * SMSS);
    flow.round();
    flow.lose();
    let cwnd = flow.cubic().cwnd_prior;
    assert!(cwnd < 1000 * SMSS);
    assert_eq!(flow.cubic().w_max, part(cwnd, 85, 100));
    // Above it, it remembers all.
    for _ in 0..200 {
        flow.round();
    }
    let cwnd = flow.control.window();
    assert!(cwnd > flow.cubic().w_max);
    flow.lose();
    assert_eq!(flow.cubic().w_max, cwnd);
}

#[test]
fn without_a_loss_to_remember_the_plateau_is_where_it_is() {
    // [9438-12] [9438-15]: HyStart++ has ended slow start.
    let mut flow = Flow::new(1000, Duration::from_millis(100));
    flow.control.window.ssthresh = flow.control.window();
    let start = flow.now;
    for _ in 0..100 {
        flow.round();
        let t = flow.now.saturating_since(start).as_secs_f64();
        // At first a segment a round trip is more: the Reno-friendly region.
        near(flow.segments(), 1000.0 + (0.4 * t.powi(3)).max(10.0 * t), 0.01, "convex from the beginning");
    }
    // [9438-13]: nor after a timeout.
    flow.control.on_rto(&LossSample { now: flow.now, flight_len: flow.control.window(), smss: SMSS }, true);
    let ssthresh = flow.control.ssthresh();
    while flow.control.window.is_in_slow_start() {
        flow.round();
    }
    flow.round();
    let cubic = flow.cubic().clone();
    assert_eq!((cubic.w_max, cubic.epoch.map(|epoch| epoch.k)), (ssthresh, Some(0)));
}

#[test]
fn time_without_use_does_not_count() {
    // [9438-02] [9438-18]
    let mut flow = Flow::new(2000, Duration::from_millis(100));
    flow.lose();
    for _ in 0..10 {
        flow.round();
    }
    let (mut other, before) = (flow.control.clone(), flow.control.window());
    // One rests for less than a timeout, the other sends little for a while.
    let mut now = flow.now;
    for _ in 0..20 {
        now += Duration::from_millis(900);
        flow.control.on_ack(&AckSample { now, is_window_limited: false, ..flow.sample(SMSS) });
        flow.control.used = WindowUse::new();
    }
    flow.now = now;
    other.on_idle(&super::super::IdleSample {
        now,
        last_sent_at: now,
        rto: Duration::from_secs(1),
        smss: SMSS,
    });
    for control in [&mut flow.control, &mut other] {
        control.on_ack(&AckSample {
            now: now + Duration::from_millis(1),
            srtt: Some(flow.rtt),
            ..AckSample::example(SMSS, before, SMSS)
        });
        assert!(control.window().abs_diff(before) < SMSS, "{} after {before}", control.window());
    }
}

#[test]
fn the_window_never_grows_faster_than_by_half_a_round_trip() {
    // [9438-01]: far behind the function.
    let mut flow = Flow::new(20, Duration::from_millis(100));
    flow.lose();
    flow.round();
    flow.now += Duration::from_secs(60);
    for _ in 0..10 {
        let before = flow.control.window();
        flow.round();
        assert!(flow.control.window() <= before / 2 * 3 + before / 5, "{before}, {}", flow.control.window());
    }
}

#[test]
fn a_wrong_alarm_leaves_no_trace() {
    // [9438-16]
    let mut flow = Flow::new(1000, Duration::from_millis(100));
    flow.lose();
    for _ in 0..30 {
        flow.round();
    }
    let (before, window) = (flow.cubic().clone(), flow.control.window());
    flow.lose();
    flow.control.undo();
    let after = flow.cubic();
    assert_eq!(flow.control.window(), window);
    assert_eq!((after.w_max, after.cwnd_prior), (before.w_max, before.cwnd_prior));
    let epochs = [before, after.clone()].map(|it| it.epoch.map(|epoch| (epoch.start, epoch.k, epoch.w_est)));
    assert_eq!(epochs[0], epochs[1]);
}

#[test]
fn the_tail_of_an_answer_that_is_lost_is_judged_by_the_answer() {
    // [9438-08]
    let mut flow = Flow::new(100, Duration::from_millis(100));
    flow.control.on_ack(&AckSample { acked_len: 97 * SMSS, ..flow.sample(0) });
    flow.control.on_rto(&LossSample { now: flow.now, flight_len: 3 * SMSS, smss: SMSS }, true);
    near(f64::from(flow.control.ssthresh()) / f64::from(SMSS), 70.0, 0.1, "not two segments");
}

#[test]
fn two_flows_come_to_share_evenly() {
    let rtt = Duration::from_millis(50);
    for (first, second) in [(20, 900), (10, 10), (500, 100)] {
        let mut flows = [Flow::new(first, rtt), Flow::new(second, rtt)];
        for flow in &mut flows {
            flow.lose();
        }
        // A path of 800 segments and a queue of 200; whatever does not fit is lost, for both.
        let mut sums = [0.0; 2];
        for round in 0..5000 {
            for flow in &mut flows {
                flow.round();
            }
            if flows.iter().map(Flow::segments).sum::<f64>() > 1000.0 {
                flows.iter_mut().for_each(Flow::lose);
            }
            if round >= 2500 {
                for (sum, flow) in sums.iter_mut().zip(&flows) {
                    *sum += flow.segments();
                }
            }
        }
        let [a, b] = sums;
        let jain = (a + b).powi(2) / (2.0 * (a * a + b * b));
        assert!(jain > 0.95, "{first} and {second}: {jain}");
        assert!((a + b) / 2500.0 > 750.0, "the path is used: {}", (a + b) / 2500.0);
    }
}

#[test]
fn the_largest_window_is_a_bound() {
    let mut flow = Flow::new(LARGEST_WINDOW / SMSS, Duration::from_millis(10));
    flow.lose();
    for _ in 0..100 {
        flow.now += Duration::from_secs(100);
        flow.control.on_ack(&flow.sample(LARGEST_WINDOW));
    }
    assert_eq!(flow.control.window(), LARGEST_WINDOW);
}
