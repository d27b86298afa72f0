//! Acknowledgments that ride on the answers of those who are about to run.

use netloom_wire::{TcpFlags, TcpOptions};

use super::lab::{A, F, Flow, Lab, MSS, P, R};
use crate::tcp::TcpConfig;

/// A segment of the peer's, in a batch whose users run afterwards.
fn inject(lab: &mut Lab, flow: Flow, flags: TcpFlags, offset: u32, text: &[u8]) {
    lab.tcp.await_answers(true);
    // What is out of place is an error, and acknowledged.
    let _ = lab.inject(flags, flow.theirs.wrapping_add(offset), flow.ours, text);
    lab.tcp.await_answers(false);
}

fn end_round(lab: &mut Lab) {
    let now = lab.now;
    lab.tcp.end_round(now);
}

#[test]
fn an_answer_carries_the_acknowledgment_of_small_text() {
    let mut lab = Lab::plain();
    let flow = lab.accept();
    inject(&mut lab, flow, P | A, 0, b"x");
    lab.none();
    // The round of the listener; then the connection's own user reads and answers.
    end_round(&mut lab);
    lab.none();
    assert_eq!(lab.read(flow), b"x");
    lab.send(flow, b"y");
    let answer = lab.one();
    assert_eq!((answer.acknowledgment(), &answer.text[..]), (flow.theirs.wrapping_add(1), &b"y"[..]));
    while lab.tcp.awaits_round() {
        end_round(&mut lab);
        lab.none();
    }
}

#[test]
fn without_an_answer_the_acknowledgment_goes_after_two_rounds() {
    let mut lab = Lab::plain();
    let flow = lab.accept();
    inject(&mut lab, flow, P | A, 0, b"x");
    end_round(&mut lab);
    lab.none();
    assert!(lab.tcp.awaits_round());
    end_round(&mut lab);
    let ack = lab.one();
    assert_eq!((ack.flags(), ack.acknowledgment(), ack.len()), (A, flow.theirs.wrapping_add(1), 0));
    assert!(!lab.tcp.awaits_round());
}

#[test]
fn what_asks_for_an_acknowledgment_in_another_way_gets_it_at_once() {
    let long = [0; MSS];
    // The segments of one batch, by where they begin.
    for segments in [
        // More is to come.
        &[(A, 0, &b"x"[..])][..],
        // The peer counts on every second segment.
        &[(P | A, 0, b"x"), (P | A, 1, b"y")],
        &[(A, 0, &long), (P | A, 1460, &long)],
        // The peer has finished.
        &[(F | P | A, 0, b"x")],
        // One is missing; and then not any more.
        &[(P | A, 1, b"y")],
        &[(P | A, 1, b"y"), (P | A, 0, b"x")],
        // It came already.
        &[(P | A, 0, b"x"), (P | A, 0, b"x")],
    ] {
        let mut lab = Lab::plain();
        let flow = lab.accept();
        for &(flags, offset, text) in segments {
            inject(&mut lab, flow, flags, offset, text);
        }
        assert!(!lab.sent().is_empty(), "{segments:?}");
    }
    // Nobody said that users would run.
    let mut lab = Lab::plain();
    let flow = lab.accept();
    lab.inject(P | A, flow.theirs, flow.ours, b"x").unwrap();
    lab.one();
}

#[test]
fn a_wider_window_waits_for_the_answer_as_well() {
    let config = TcpConfig::default();
    let mut answers = [false, true].map(|is_awaited| {
        let mut lab = Lab::new(config.clone());
        let flow =
            lab.accept_with(TcpOptions { mss: Some(1460), window_scale: Some(7), ..TcpOptions::default() });
        lab.tcp.await_answers(is_awaited);
        lab.inject(P | A, flow.theirs, flow.ours, b"x").unwrap();
        let mut sent = lab.sent();
        lab.read(flow);
        sent.extend(lab.sent());
        lab.send(flow, b"y");
        sent.extend(lab.sent());
        sent
    });
    let [at_once, awaited] = answers.each_mut();
    assert_eq!((at_once.len(), awaited.len()), (2, 1));
    assert_eq!(at_once.pop().map(|it| it.header.window), awaited.pop().map(|it| it.header.window));
}

#[test]
fn a_connection_that_ends_meanwhile_is_forgotten() {
    let mut lab = Lab::plain();
    let flow = lab.accept();
    inject(&mut lab, flow, P | A, 0, b"x");
    lab.inject(R | A, flow.theirs.wrapping_add(1), flow.ours, &[]).unwrap();
    for _ in 0..2 {
        end_round(&mut lab);
    }
    lab.none();
    assert!(!lab.tcp.awaits_round());
}

#[test]
fn more_than_a_bounded_number_of_connections_does_not_wait() {
    let mut lab = Lab::plain();
    let mut acknowledged = 0;
    for port in 0..300 {
        lab.remote_port = 40_000 + port;
        let flow = lab.accept();
        inject(&mut lab, flow, P | A, 0, b"x");
        acknowledged += lab.sent().len();
    }
    assert_eq!(acknowledged, 300 - 256);
}
