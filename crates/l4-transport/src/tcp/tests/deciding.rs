//! Listeners whose user decides about each SYN, and listeners at every port.

use netloom_base::DropReason;
use netloom_wire::{TcpOptions, TcpTimestamps};

use super::lab::*;
use super::traces::Traces;
use crate::tcp::*;

fn deciding(lab: &mut Lab) -> TcpListenerId {
    lab.listen_with(ListenOptions { answer: SynAnswer::OnDecision, backlog: 4, ..ListenOptions::default() })
}

/// A SYN from `port`, and who it is.
fn pend(lab: &mut Lab, listener: TcpListenerId, port: u16) -> TcpPending {
    lab.remote_port = port;
    lab.inject(S, IRS, 0, &[]).unwrap();
    lab.none();
    lab.tcp.next_pending(listener).expect("a SYN to decide about")
}

/// The peer's acknowledgment of a SYN-ACK.
fn finish(lab: &mut Lab, syn_ack: &Sent) {
    lab.inject(A, IRS.wrapping_add(1), syn_ack.sequence().wrapping_add(1), &[]).unwrap();
}

/// Nothing is left but the listener.
fn assert_clean(lab: &Lab) {
    let usage = lab.tcp.usage();
    assert_eq!((usage.half_open, usage.timers, usage.active), (0, 0, 0));
    assert!(lab.tcp.listeners().all(|it| (it.pending, it.half_open, it.waiting) == (0, 0, 0)));
    assert!(lab.tcp.outcomes.is_empty());
}

#[test]
fn nothing_is_answered_before_the_decision_and_then_the_connection_is_the_deciders() {
    let mut lab = Lab::plain();
    let listener = deciding(&mut lab);
    let pending = pend(&mut lab, listener, 1000);
    assert_eq!((pending.local.port(), pending.remote.port()), (LOCAL_PORT, 1000));
    assert_eq!(lab.events(), [TcpEvent::Acceptable(listener)]);
    assert_eq!(lab.tcp.pending_state(pending.id), PendingState::Waiting);
    lab.tcp.answer(lab.now, pending.id).unwrap();
    let syn_ack = lab.one();
    assert_eq!((syn_ack.flags(), syn_ack.acknowledgment()), (S | A, IRS.wrapping_add(1)));
    assert_eq!(lab.tcp.pending_state(pending.id), PendingState::Waiting);
    finish(&mut lab, &syn_ack);
    assert_eq!(lab.events(), [TcpEvent::Decided(pending.id)]);
    assert_eq!(lab.tcp.accept(listener), None, "it is not for the accept queue");
    let PendingState::Established(accepted) = lab.tcp.pending_state(pending.id) else { panic!("it is done") };
    assert_eq!((accepted.local, accepted.remote), (pending.local, pending.remote));
    lab.inject(A | P, IRS.wrapping_add(1), syn_ack.sequence().wrapping_add(1), b"hello").unwrap();
    let mut buffer = [0; 10];
    assert_eq!(lab.tcp.recv(lab.now, accepted.id, &mut buffer), Ok(Recv::Data(5)));
    lab.tcp.abort(lab.now, accepted.id);
    lab.sent();
    assert_clean(&lab);
}

#[test]
fn a_syn_that_comes_again_while_it_waits_is_no_second_one() {
    let mut lab = Lab::new(TcpConfig { timestamps: true, ..plain_config() });
    let listener = deciding(&mut lab);
    let mut syn = lab.header(S, IRS, 0);
    let stamp = |value| Some(TcpTimestamps { value, echo_reply: 0 });
    syn.options = TcpOptions { timestamps: stamp(100), ..TcpOptions::default() };
    lab.inject_header(&syn, &[]).unwrap();
    let pending = lab.tcp.next_pending(listener).unwrap();
    lab.advance(ms(1000));
    syn.options.timestamps = stamp(1100);
    lab.inject_header(&syn, &[]).unwrap();
    assert_eq!(lab.tcp.next_pending(listener), None);
    lab.none();
    lab.tcp.answer(lab.now, pending.id).unwrap();
    assert_eq!(lab.one().header.options.timestamps.unwrap().echo_reply, 1100, "the last one is echoed");
    // Answered, it is like any other: the SYN-ACK goes again by its own timer.
    assert_eq!(lab.advance(ms(1000))[0].flags(), S | A);
}

#[test]
fn a_refused_syn_is_reset_as_if_nobody_listened() {
    let mut lab = Lab::plain();
    let listener = deciding(&mut lab);
    let pending = pend(&mut lab, listener, 1000);
    lab.tcp.refuse_pending(lab.now, pending.id);
    let reset = lab.one();
    assert_eq!((reset.flags(), reset.sequence(), reset.acknowledgment()), (R | A, 0, IRS.wrapping_add(1)));
    assert_eq!(lab.tcp.counters().resets(ResetCause::Refused), 1);
    assert_eq!(lab.tcp.answer(lab.now, pending.id), Err(TcpError::ConnectionAborted));
    assert_clean(&lab);
}

#[test]
fn an_ignored_syn_is_asked_about_again() {
    let mut lab = Lab::plain();
    let listener = deciding(&mut lab);
    let pending = pend(&mut lab, listener, 1000);
    lab.tcp.ignore_pending(lab.now, pending.id);
    lab.none();
    assert_clean(&lab);
    let again = pend(&mut lab, listener, 1000);
    assert_ne!(again.id, pending.id);
}

#[test]
fn a_decision_comes_too_late() {
    let traces = Traces::begin();
    let mut lab = Lab::plain();
    let listener = deciding(&mut lab);
    let pending = pend(&mut lab, listener, 1000);
    lab.remote_port = 1001;
    lab.inject(S, IRS, 0, &[]).unwrap();
    assert!(lab.advance(ms(63_000)).is_empty());
    assert_eq!(lab.tcp.usage().half_open, 2);
    assert!(lab.advance(ms(2000)).is_empty());
    let counters = lab.tcp.counters();
    assert_eq!((counters.decisions_expired.get(), counters.ended(EndReason::Undecided)), (2, 2));
    assert_eq!(lab.tcp.next_pending(listener), None, "one that nobody was told of is simply gone");
    assert_eq!(lab.tcp.answer(lab.now, pending.id), Err(TcpError::TimedOut));
    lab.tcp.forget_pending(lab.now, pending.id);
    assert_clean(&lab);
    traces.assert_as_counted(lab.tcp.counters());
}

#[test]
fn undecided_syns_are_bounded_and_those_who_wait_were_first() {
    let mut lab = Lab::plain();
    let listener = deciding(&mut lab);
    for port in 1000..1004 {
        lab.remote_port = port;
        lab.inject(S, IRS, 0, &[]).unwrap();
    }
    lab.remote_port = 1004;
    assert_eq!(lab.inject(S, IRS, 0, &[]), Err(DropReason::TcpSynQueueFull));
    lab.none();
    let first = lab.tcp.next_pending(listener).unwrap();
    assert_eq!(first.remote.port(), 1000);
    // Being told of one makes no room; deciding does.
    assert_eq!(lab.inject(S, IRS, 0, &[]), Err(DropReason::TcpSynQueueFull));
    lab.tcp.answer(lab.now, first.id).unwrap();
    assert_eq!(lab.one().flags(), S | A);
    assert_eq!(lab.inject(S, IRS, 0, &[]), Ok(()));
    let info = lab.tcp.listeners().next().unwrap();
    assert_eq!((info.pending, info.half_open), (4, 1));
}

#[test]
fn syns_that_nobody_asks_for_leave_no_list_behind() {
    let mut lab = Lab::plain();
    let listener = deciding(&mut lab);
    for round in 0..1000u32 {
        lab.remote_port = 1000 + (round % 4) as u16;
        let _ = lab.inject(S, IRS.wrapping_add(round), 0, &[]);
    }
    assert_eq!(lab.tcp.usage().half_open, 4);
    let waiting = lab.tcp.listeners.get(listener.0).unwrap().fresh.len();
    assert!(waiting < 40, "{waiting} names of what is mostly gone");
    lab.advance(ms(65_000));
    assert_clean(&lab);
}

#[test]
fn peers_that_give_up_begin_anew_or_talk_nonsense() {
    let traces = Traces::begin();
    let mut lab = Lab::plain();
    let listener = deciding(&mut lab);
    let pending = pend(&mut lab, listener, 1000);
    assert_eq!(lab.inject(R, 12_345, 0, &[]), Err(DropReason::TcpBadReset));
    assert_eq!(lab.inject(A, IRS.wrapping_add(1), 77, &[]), Err(DropReason::TcpNoConnection));
    assert_eq!(lab.one().flags(), R, "an acknowledgment of what was never sent");
    lab.inject(S, IRS.wrapping_add(5000), 0, &[]).unwrap();
    let newer = lab.tcp.next_pending(listener).unwrap();
    assert_eq!(lab.tcp.answer(lab.now, pending.id), Err(TcpError::ConnectionReset));
    lab.tcp.forget_pending(lab.now, pending.id);
    lab.inject(R, IRS.wrapping_add(5001), 0, &[]).unwrap();
    assert_eq!(lab.tcp.answer(lab.now, newer.id), Err(TcpError::ConnectionReset));
    lab.tcp.forget_pending(lab.now, newer.id);
    lab.none();
    assert_clean(&lab);
    let counters = lab.tcp.counters();
    assert_eq!((counters.ended(EndReason::Replaced), counters.ended(EndReason::HandshakeReset)), (1, 1));
    traces.assert_as_counted(lab.tcp.counters());
}

#[test]
fn whoever_gives_up_after_his_answer_breaks_the_connection_off() {
    let traces = Traces::begin();
    let mut lab = Lab::plain();
    let listener = deciding(&mut lab);
    // Before the handshake is done.
    let pending = pend(&mut lab, listener, 1000);
    lab.tcp.answer(lab.now, pending.id).unwrap();
    let syn_ack = lab.one();
    lab.tcp.refuse_pending(lab.now, pending.id);
    lab.none();
    assert!(lab.inject(A, IRS.wrapping_add(1), syn_ack.sequence().wrapping_add(1), &[]).is_err());
    assert_eq!(lab.one().flags(), R);
    // And after.
    let pending = pend(&mut lab, listener, 1001);
    lab.tcp.answer(lab.now, pending.id).unwrap();
    let syn_ack = lab.one();
    finish(&mut lab, &syn_ack);
    lab.tcp.refuse_pending(lab.now, pending.id);
    assert!(lab.one().flags().contains(R));
    lab.events();
    assert_clean(&lab);
    traces.assert_as_counted(lab.tcp.counters());
}

#[test]
fn an_answer_that_is_never_acknowledged_times_out() {
    let mut lab = Lab::plain();
    let listener = deciding(&mut lab);
    let pending = pend(&mut lab, listener, 1000);
    lab.tcp.answer(lab.now, pending.id).unwrap();
    lab.advance(ms(600_000));
    assert_eq!(lab.tcp.pending_state(pending.id), PendingState::Failed(TcpError::TimedOut));
    assert_clean(&lab);
}

#[test]
fn a_listener_that_is_gone_leaves_only_what_somebody_was_told_of() {
    let traces = Traces::begin();
    let mut lab = Lab::plain();
    let listener = deciding(&mut lab);
    let told = pend(&mut lab, listener, 1000);
    let answered = pend(&mut lab, listener, 1001);
    lab.tcp.answer(lab.now, answered.id).unwrap();
    lab.sent();
    lab.remote_port = 1002;
    lab.inject(S, IRS, 0, &[]).unwrap();
    lab.tcp.close_listener(lab.now, listener);
    assert_eq!(lab.tcp.pending_state(answered.id), PendingState::Failed(TcpError::ConnectionAborted));
    assert_eq!(lab.tcp.usage().half_open, 1);
    assert_eq!(lab.tcp.answer(lab.now, told.id), Err(TcpError::ConnectionAborted));
    lab.tcp.refuse_pending(lab.now, told.id);
    assert_eq!(lab.one().flags(), R | A);
    assert_clean(&lab);
    traces.assert_as_counted(lab.tcp.counters());
}

#[test]
fn a_listener_at_every_port_gets_what_no_other_takes() {
    for lab in [Lab::plain(), Lab::plain().over_six()] {
        let mut lab = lab;
        let any = lab.tcp.listen_any_port(None, ListenOptions::default()).unwrap();
        assert_eq!(lab.tcp.listen_any_port(None, ListenOptions::default()), Err(ListenError::AddressInUse));
        let own = lab.listen();
        let connect = |lab: &mut Lab, port: u16| {
            let mut syn = lab.header(S, IRS, 0);
            syn.destination_port = port;
            lab.inject_header(&syn, &[]).unwrap();
            let syn_ack = lab.one();
            let mut ack = lab.header(A, IRS.wrapping_add(1), syn_ack.sequence().wrapping_add(1));
            ack.destination_port = port;
            lab.inject_header(&ack, &[]).unwrap();
        };
        connect(&mut lab, LOCAL_PORT);
        connect(&mut lab, 4444);
        assert_eq!(lab.tcp.accept(own).unwrap().local.port(), LOCAL_PORT);
        assert_eq!(lab.tcp.accept(own), None);
        let accepted = lab.tcp.accept(any).unwrap();
        assert_eq!((accepted.local.ip(), accepted.local.port()), (lab.local, 4444));
    }
}

#[test]
fn a_listener_on_an_unspecified_address_takes_its_version_of_ip_and_no_other() {
    let zero = |text: &str| TcpBind { address: Some(text.parse().unwrap()), port: LOCAL_PORT };
    for (bind, v4, v6) in [("0.0.0.0", true, false), ("::", false, true)] {
        for (lab, expected) in [(Lab::plain(), v4), (Lab::plain().over_six(), v6)] {
            let mut lab = lab;
            lab.tcp.listen(zero(bind), ListenOptions::default()).unwrap();
            let _ = lab.inject(S, IRS, 0, &[]);
            assert_eq!(lab.one().flags() == S | A, expected, "{bind}");
        }
    }
}
