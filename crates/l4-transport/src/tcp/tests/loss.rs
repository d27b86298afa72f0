//! Losses: the timer, fast retransmit, NewReno's partial acknowledgments, limited transmit.

use core::time::Duration;

use super::lab::*;
use crate::tcp::*;

/// A flow with `count` full segments in flight.
fn in_flight(lab: &mut Lab, count: usize) -> Flow {
    let flow = lab.accept();
    lab.send(flow, &vec![1; count * MSS]);
    assert_eq!(lab.sent().len(), count);
    flow
}

fn offsets(flow: Flow, sent: &[Sent]) -> Vec<u32> {
    sent.iter().map(|it| it.sequence().wrapping_sub(flow.ours) / 1460).collect()
}

#[test]
fn the_timer_backs_off_and_gives_up_at_r2() {
    // [9293 MUST-19, MUST-20, SHLD-11] [6298-11] [6298-13] [6298-14] [6298-15] [1122-T052] [1122-T067] [1122-T070]
    let mut lab = Lab::new(TcpConfig { mtu_probing: false, ..plain_config() });
    let flow = in_flight(&mut lab, 1);
    let start = lab.now;
    let mut at = Vec::new();
    while lab.tcp.error(flow.id).is_none() {
        lab.now = lab.tcp.poll_timeout().unwrap();
        lab.tcp.handle_timeout(lab.now);
        for again in lab.sent() {
            assert_eq!((again.sequence(), again.len()), (flow.ours, MSS));
            at.push(lab.now.saturating_since(start).as_millis());
        }
    }
    assert_eq!(at[..6], [200, 600, 1400, 3000, 6200, 12_600]);
    assert_eq!(at.len(), 15);
    assert!(lab.now.saturating_since(start) > Duration::from_secs(100));
    assert_eq!(lab.tcp.error(flow.id), Some(TcpError::TimedOut));
    assert_eq!(lab.tcp.counters().ended(EndReason::RetransmissionTimeout), 1);
    assert!(lab.events().contains(&TcpEvent::Closed(flow.id)), "[9293 MUST-12]");
}

#[test]
fn at_r1_the_user_and_the_neighbour_cache_are_told() {
    // [9293 MUST-20, MUST-47, SHLD-9, SHLD-10] [9293-u11] [1122-T066] [1122-T069]
    let mut lab = Lab::plain();
    let flow = in_flight(&mut lab, 1);
    lab.events();
    while lab.tcp.poll_advice().is_some() {}
    lab.advance(ms(600));
    assert_eq!((lab.events(), lab.tcp.poll_advice()), (vec![], None));
    lab.advance(ms(800));
    assert_eq!(lab.events(), [TcpEvent::Report(flow.id)]);
    assert_eq!(lab.tcp.poll_advice(), Some(PathAdvice::Suspect { remote: lab.remote }));
    assert_eq!(lab.info(flow).timeouts, 3);
}

#[test]
fn after_a_timeout_everything_is_sent_again_in_slow_start() {
    // [5681-14] [5681-15] [6298-13] [9293 MUST-19]
    let mut lab = Lab::plain();
    let flow = in_flight(&mut lab, 10);
    assert_eq!(offsets(flow, &lab.advance(ms(200))), [0]);
    let info = lab.info(flow);
    assert_eq!((info.cwnd, info.ssthresh, info.recovery), (1460, Some(7300), RecoveryPhase::Loss));
    lab.ack(flow, 1460);
    assert_eq!(offsets(flow, &lab.sent()), [1, 2]);
    lab.ack(flow, 3 * 1460);
    assert_eq!(offsets(flow, &lab.sent()), [3, 4, 5, 6]);
    // The rest had arrived after all.
    lab.ack(flow, 14_600);
    lab.none();
    assert_eq!(lab.info(flow).recovery, RecoveryPhase::Open);
    assert_eq!(lab.info(flow).send_queue_len, 0);
    assert_eq!(lab.tcp.counters().retransmits(RetransmitCause::Timeout), 7);
}

#[test]
fn what_was_sent_twice_is_not_measured() {
    // [9293 MUST-18] [6298-08] [1122-T050]
    let mut lab = Lab::plain();
    let flow = in_flight(&mut lab, 1);
    let before = lab.info(flow).srtt;
    lab.advance(ms(200));
    lab.now += ms(5);
    lab.ack(flow, 1460);
    assert_eq!(lab.info(flow).srtt, before);
    assert_eq!(lab.info(flow).backoff, 1, "the timeout stays backed off");
    lab.send(flow, &[1; 100]);
    lab.sent();
    lab.now += ms(50);
    lab.ack(flow, 1560);
    assert_ne!(lab.info(flow).srtt, before);
    assert_eq!(lab.info(flow).backoff, 0);
}

#[test]
fn the_round_trip_is_measured() {
    // [6298-02] [6298-05] [6298-09] [1122-T051]
    let mut lab = Lab::plain();
    let id = lab.begin_connect();
    let syn = lab.one();
    lab.now += ms(300);
    lab.inject(S | A, IRS, syn.sequence().wrapping_add(1), &[]).unwrap();
    let info = lab.tcp.info(id).unwrap();
    assert_eq!((info.srtt, info.rto, info.min_rtt), (Some(ms(300)), ms(900), Some(ms(300))));
}

#[test]
fn the_third_duplicate_brings_the_lost_segment() {
    // [5681-18] [5681-19] [5681-20] [5681-22] [5681-23] [5681-24] [5681-26] [5681-33]
    let mut lab = Lab::plain();
    let flow = in_flight(&mut lab, 10);
    lab.send(flow, &[1; 20 * MSS]);
    // RFC 3042: each of the first two lets a new one go.
    lab.ack(flow, 0);
    assert_eq!(offsets(flow, &lab.sent()), [10]);
    lab.ack(flow, 0);
    assert_eq!(offsets(flow, &lab.sent()), [11]);
    assert_eq!(lab.info(flow).recovery, RecoveryPhase::Open);
    lab.ack(flow, 0);
    assert_eq!(offsets(flow, &lab.sent()), [0]);
    let info = lab.info(flow);
    assert_eq!((info.recovery, info.ssthresh), (RecoveryPhase::FastRecovery, Some(7300)));
    // RFC 6937: of two that have left the network one is replaced.
    let sent: Vec<_> = (0..8)
        .map(|_| {
            lab.ack(flow, 0);
            lab.sent().len()
        })
        .collect();
    assert_eq!(sent, [0, 0, 1, 0, 0, 1, 1, 1], "and then each, to keep half of the flight");
    // [5681-27] [5681-35]: the hole is filled, and half of the flight is the window.
    lab.ack(flow, 15 * 1460);
    let info = lab.info(flow);
    assert_eq!(info.recovery, RecoveryPhase::Open);
    assert!(info.cwnd <= 7300, "{}", info.cwnd);
    assert_eq!(lab.tcp.counters().retransmits(RetransmitCause::FastRetransmit), 1);
    assert_eq!(lab.tcp.counters().timeouts_total(), 0);
}

#[test]
fn partial_acknowledgments_bring_hole_after_hole() {
    // [6582-01] [6582-02] [6582-03]
    let mut lab = Lab::plain();
    let flow = in_flight(&mut lab, 10);
    for _ in 0..3 {
        lab.ack(flow, 0);
    }
    assert_eq!(offsets(flow, &lab.sent()), [0]);
    for hole in [3, 5, 8] {
        lab.ack(flow, hole * 1460);
        assert_eq!(offsets(flow, &lab.sent()), [hole]);
        assert_eq!(lab.info(flow).recovery, RecoveryPhase::FastRecovery);
    }
    lab.ack(flow, 14_600);
    assert_eq!(lab.info(flow).recovery, RecoveryPhase::Open);
    assert_eq!(lab.tcp.counters().retransmits(RetransmitCause::PartialAck), 3);
}

#[test]
fn old_duplicates_after_a_timeout_start_no_fast_retransmit() {
    // [6582-04]
    let mut lab = Lab::plain();
    let flow = in_flight(&mut lab, 10);
    lab.advance(ms(200));
    for _ in 0..5 {
        lab.ack(flow, 0);
        lab.none();
    }
    assert_eq!(lab.tcp.counters().retransmits(RetransmitCause::FastRetransmit), 0);
}

#[test]
fn what_is_no_duplicate_is_not_counted_as_one() {
    // RFC 5681 2
    let mut lab = Lab::plain();
    let flow = in_flight(&mut lab, 5);
    lab.inject(A, flow.theirs, flow.ours, b"text").unwrap();
    lab.window -= 1;
    lab.inject(A, flow.theirs.wrapping_add(4), flow.ours, &[]).unwrap();
    assert_eq!(lab.info(flow).duplicate_acks, 0);
    lab.inject(A, flow.theirs.wrapping_add(4), flow.ours, &[]).unwrap();
    assert_eq!(lab.info(flow).duplicate_acks, 1);
    lab.inject(A, flow.theirs.wrapping_add(4), flow.ours.wrapping_add(5 * 1460), &[]).unwrap();
    lab.inject(A, flow.theirs.wrapping_add(4), flow.ours.wrapping_add(5 * 1460), &[]).unwrap();
    assert_eq!(lab.info(flow).duplicate_acks, 0, "nothing is outstanding");
}

#[test]
fn the_timer_runs_only_while_something_is_outstanding() {
    // [6298-12]
    let mut lab = Lab::plain();
    let flow = in_flight(&mut lab, 4);
    lab.now += ms(150);
    lab.ack(flow, 1460);
    assert!(lab.advance(ms(199)).is_empty(), "it started anew");
    lab.ack(flow, 4 * 1460);
    assert!(lab.advance(ms(100_000)).is_empty());
    assert_eq!(lab.tcp.usage().timers, 0);
}

#[test]
fn a_long_pause_falls_back_to_the_initial_window() {
    // [5681-28]
    let mut lab = Lab::plain();
    let flow = in_flight(&mut lab, 10);
    lab.ack(flow, 14_600);
    lab.send(flow, &[1; 20 * MSS]);
    let count = 10 + lab.sent().len() as u32;
    lab.ack(flow, count * 1460);
    lab.sent();
    lab.ack(flow, 30 * 1460);
    let grown = lab.info(flow).cwnd;
    assert!(grown > 14_600);
    lab.now += ms(10_000);
    lab.send(flow, &vec![1; 60 * MSS]);
    assert_eq!(lab.sent().len(), 10);
}
