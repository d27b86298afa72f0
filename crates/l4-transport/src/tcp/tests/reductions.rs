//! How much the sender slows down, whatever finds the loss: the bounds of RFC 5681, not the steps of one algorithm.

use netloom_wire::TcpOptions;

use super::lab::*;
use crate::tcp::*;

/// A flow with more to send than its ten segments in flight.
fn bulk(lab: &mut Lab) -> Flow {
    let flow = lab.accept();
    lab.send(flow, &vec![1; 200 * MSS]);
    assert_eq!(lab.sent().len(), 10);
    flow
}

/// The peer repeats its acknowledgment of the first `acked` segments; what is sent then.
fn duplicate(lab: &mut Lab, flow: Flow, acked: u32) -> Vec<Sent> {
    lab.ack(flow, acked * MSS as u32);
    lab.sent()
}

#[test]
fn the_handshake_does_not_grow_the_window() {
    // [5681-04] [5681-05]
    let mut lab = Lab::plain();
    let flow = lab.accept();
    assert_eq!(lab.info(flow).cwnd, 14_600, "we were connected to");
    let mut lab = Lab::plain();
    let flow = lab.connect_with(TcpOptions { mss: Some(1460), ..TcpOptions::default() });
    assert_eq!(lab.info(flow).cwnd, 14_600, "we connected");
}

#[test]
fn in_recovery_no_more_goes_in_a_round_trip_than_half_of_what_was_out() {
    // [5681-33] [5681-34] [5681-25]
    let mut lab = Lab::plain();
    let flow = bulk(&mut lab);
    let limited: usize = (0..2).map(|_| duplicate(&mut lab, flow, 0).len()).sum();
    assert_eq!(limited, 2);
    let mut sent = 0;
    // The first segment of the flight was lost; each of the others makes a duplicate.
    for _ in 2..9 + limited {
        sent += duplicate(&mut lab, flow, 0).len();
    }
    assert!((1..=(10 + limited) / 2).contains(&sent), "{sent}");
    assert!(lab.info(flow).ssthresh.is_some_and(|ssthresh| ssthresh <= 10 * MSS as u32 * 7 / 10));
}

#[test]
fn a_loss_in_each_of_two_windows_reduces_twice() {
    // [5681-33] [5681-35] [5681-36]
    let mut lab = Lab::plain();
    let flow = bulk(&mut lab);
    let mut slow_down = |acked: u32| {
        duplicate(&mut lab, flow, acked);
        for _ in 0..4 {
            duplicate(&mut lab, flow, acked);
        }
        assert_eq!(lab.info(flow).recovery, RecoveryPhase::FastRecovery);
        let ssthresh = lab.info(flow).ssthresh.unwrap();
        let next = (lab.info(flow).bytes_sent / MSS as u64) as u32;
        duplicate(&mut lab, flow, next);
        (ssthresh, lab.info(flow).cwnd, next)
    };
    let (first, window, next) = slow_down(0);
    assert!(window <= first, "after recovery {window}, ssthresh {first}");
    // The second window begins beyond what was out at the first loss.
    let (second, window, _) = slow_down(next + 1);
    assert!(second < first && window <= first, "{first} then {second}, window {window}");
}

#[test]
fn the_loss_of_a_retransmission_reduces_again() {
    // [5681-15] [5681-36]
    let mut lab = Lab::plain();
    let flow = bulk(&mut lab);
    for _ in 0..4 {
        duplicate(&mut lab, flow, 0);
    }
    let first = lab.info(flow);
    assert_eq!(first.recovery, RecoveryPhase::FastRecovery);
    while lab.info(flow).timeouts == 0 {
        lab.now = lab.tcp.poll_timeout().unwrap();
        lab.tcp.handle_timeout(lab.now);
        lab.sent();
    }
    let second = lab.info(flow);
    assert!(second.cwnd <= MSS as u32 && second.cwnd < first.cwnd, "{}", second.cwnd);
    assert!(second.ssthresh.unwrap() <= 10 * MSS as u32 * 7 / 10);
}
