//! The table of states against its snapshot, and every state against the segments that all must handle.

use std::fmt::Write as _;

use netloom_base::DropReason;

use super::lab::*;
use crate::tcp::state::{Input, State, next};
use crate::tcp::*;

#[test]
fn the_table_is_the_snapshot() {
    let mut table = String::new();
    for state in State::ALL {
        for input in Input::ALL {
            let outcome = next(state, input).map_or("-", State::name);
            writeln!(table, "{:<13} {:<13} {outcome}", state.name(), format!("{input:?}")).unwrap();
        }
    }
    let snapshot = include_str!("states.txt");
    assert!(table == snapshot, "the table has changed; if that is meant, tests/states.txt becomes:\n{table}");
}

/// A connection in `state`, and where both ends stand in it.
fn in_state(state: State) -> (Lab, Flow) {
    let mut lab = Lab::plain();
    let flow = match state {
        State::SynSent => {
            let id = lab.begin_connect();
            let syn = lab.one();
            Flow { id, ours: syn.sequence().wrapping_add(1), theirs: 0 }
        }
        State::SynReceived => {
            let id = lab.begin_connect();
            let syn = lab.one();
            lab.inject(S, IRS, 0, &[]).unwrap();
            assert_eq!(lab.one().flags(), S | A);
            Flow { id, ours: syn.sequence().wrapping_add(1), theirs: IRS.wrapping_add(1) }
        }
        State::Closed
        | State::Listen
        | State::Established
        | State::FinWait1
        | State::FinWait2
        | State::CloseWait
        | State::Closing
        | State::LastAck
        | State::TimeWait => lab.accept(),
    };
    let ours_after_fin = flow.ours.wrapping_add(1);
    let theirs_after_fin = flow.theirs.wrapping_add(1);
    let mut at = flow;
    let shut = |lab: &mut Lab| {
        lab.tcp.shutdown_write(lab.now, flow.id).unwrap();
        assert_eq!(lab.one().flags(), F | A);
    };
    match state {
        State::Closed | State::Listen | State::TimeWait => panic!("not a connection's state"),
        State::SynSent | State::SynReceived | State::Established => {}
        State::FinWait1 => {
            shut(&mut lab);
            at.ours = ours_after_fin;
        }
        State::FinWait2 => {
            shut(&mut lab);
            lab.inject(A, flow.theirs, ours_after_fin, &[]).unwrap();
            at.ours = ours_after_fin;
        }
        State::CloseWait => {
            lab.inject(F | A, flow.theirs, flow.ours, &[]).unwrap();
            assert_eq!(lab.one().flags(), A);
            at.theirs = theirs_after_fin;
        }
        State::Closing => {
            shut(&mut lab);
            lab.inject(F | A, flow.theirs, flow.ours, &[]).unwrap();
            assert_eq!(lab.one().flags(), A);
            at = Flow { ours: ours_after_fin, theirs: theirs_after_fin, ..at };
        }
        State::LastAck => {
            lab.inject(F | A, flow.theirs, flow.ours, &[]).unwrap();
            assert_eq!(lab.one().flags(), A);
            shut(&mut lab);
            at = Flow { ours: ours_after_fin, theirs: theirs_after_fin, ..at };
        }
    }
    assert_eq!(lab.state(at), state);
    lab.events();
    (lab, at)
}

const SYNCHRONIZED: [State; 6] =
    [State::Established, State::FinWait1, State::FinWait2, State::CloseWait, State::Closing, State::LastAck];

const WITH_PEER: [State; 7] = [
    State::SynReceived,
    State::Established,
    State::FinWait1,
    State::FinWait2,
    State::CloseWait,
    State::Closing,
    State::LastAck,
];

#[test]
fn the_exact_reset_ends_every_state() {
    // [9293-u04] [5961-01] [5961-03] [9293 MUST-12, SHLD-2]
    for state in WITH_PEER {
        let (mut lab, flow) = in_state(state);
        assert_eq!(lab.inject(R, flow.theirs, 0, b"with text"), Ok(()), "{state}");
        lab.none();
        assert_eq!(lab.state(flow), State::Closed, "{state}");
        let error = if state == State::SynReceived {
            Some(TcpError::ConnectionRefused)
        } else if matches!(state, State::Closing | State::LastAck) {
            None
        } else {
            Some(TcpError::ConnectionReset)
        };
        assert_eq!(lab.tcp.error(flow.id), error, "{state}");
        assert!(lab.events().contains(&TcpEvent::Closed(flow.id)), "{state}");
        assert_eq!(lab.tcp.usage().timers, 0, "{state}");
    }
}

#[test]
fn a_reset_elsewhere_in_the_window_is_challenged() {
    // [9293-u05] [9293-u06] [5961-04] [5961-05] [5961-09]
    for state in WITH_PEER {
        let (mut lab, flow) = in_state(state);
        assert_eq!(
            lab.inject(R, flow.theirs.wrapping_add(1), 0, &[]),
            Err(DropReason::TcpBadReset),
            "{state}"
        );
        let challenge = lab.one();
        assert_eq!(
            (challenge.flags(), challenge.sequence(), challenge.acknowledgment()),
            (A, flow.ours, flow.theirs),
            "{state}"
        );
        assert_eq!(lab.state(flow), state);
        lab.inject(R, challenge.acknowledgment(), 0, &[]).unwrap();
        assert_eq!(lab.state(flow), State::Closed, "the peer proved itself");
    }
}

#[test]
fn a_reset_outside_the_window_is_ignored() {
    // [9293-u03] [5961-02]
    for state in WITH_PEER {
        for offset in [u32::MAX, 70_000, 1 << 31] {
            let (mut lab, flow) = in_state(state);
            assert_eq!(
                lab.inject(R, flow.theirs.wrapping_add(offset), 0, &[]),
                Err(DropReason::TcpOutOfWindow),
                "{state}"
            );
            lab.none();
            assert_eq!(lab.state(flow), state);
        }
    }
}

#[test]
fn a_syn_in_a_synchronized_state_is_challenged_wherever_it_lies() {
    // [9293-u07] [9293-u08] [5961-06] [5961-07] [5961-08]
    for state in SYNCHRONIZED {
        for offset in [0, 1, u32::MAX, 1 << 31] {
            let (mut lab, flow) = in_state(state);
            assert_eq!(
                lab.inject(S, flow.theirs.wrapping_add(offset), 0, &[]),
                Err(DropReason::TcpUnexpectedSyn),
                "{state}"
            );
            let challenge = lab.one();
            assert_eq!(
                (challenge.flags(), challenge.sequence(), challenge.acknowledgment()),
                (A, flow.ours, flow.theirs),
                "{state}"
            );
            assert_eq!(lab.state(flow), state);
        }
    }
}

#[test]
fn an_acknowledgment_of_what_was_never_sent_is_challenged() {
    // [9293-u09] [9293-u10] [9293 MAY-12] [5961-10] [5961-11] [5961-12]
    for state in SYNCHRONIZED {
        for offset in [1, 100_000, 1 << 31] {
            let (mut lab, flow) = in_state(state);
            let acknowledgment = flow.ours.wrapping_add(offset);
            assert_eq!(
                lab.inject(A, flow.theirs, acknowledgment, &[]),
                Err(DropReason::TcpBadAck),
                "{state}"
            );
            assert_eq!(lab.one().flags(), A);
            assert_eq!(lab.state(flow), state);
        }
    }
}

#[test]
fn an_acknowledgment_older_than_any_window_is_challenged() {
    // [5961-11] [5961-15]
    let (mut lab, flow) = in_state(State::Established);
    assert_eq!(lab.inject(A, flow.theirs, flow.ours.wrapping_sub(65_535), &[]), Ok(()));
    lab.none();
    let too_old = flow.ours.wrapping_sub(65_536);
    assert_eq!(lab.inject(A, flow.theirs, too_old, b"x"), Err(DropReason::TcpBadAck));
    assert_eq!(lab.one().flags(), A);
    assert!(lab.read(flow).is_empty());
}

#[test]
fn a_wrong_acknowledgment_in_syn_received_is_reset() {
    let (mut lab, flow) = in_state(State::SynReceived);
    for acknowledgment in [flow.ours.wrapping_add(1), flow.ours.wrapping_sub(1)] {
        assert_eq!(lab.inject(A, flow.theirs, acknowledgment, &[]), Err(DropReason::TcpBadAck));
        let reset = lab.one();
        assert_eq!((reset.flags(), reset.sequence()), (R, acknowledgment));
        assert_eq!(lab.state(flow), State::SynReceived);
    }
}

#[test]
fn a_segment_without_ack_goes_no_further() {
    for state in SYNCHRONIZED {
        let (mut lab, flow) = in_state(state);
        assert_eq!(lab.inject(P, flow.theirs, 0, b"text"), Err(DropReason::TcpNoAck), "{state}");
        lab.none();
        assert!(lab.read(flow).is_empty());
    }
}

#[test]
fn text_before_the_window_is_acknowledged_again() {
    for state in SYNCHRONIZED {
        let (mut lab, flow) = in_state(state);
        let old = flow.theirs.wrapping_sub(4);
        assert_eq!(lab.inject(A, old, flow.ours, b"oldy"), Err(DropReason::TcpOutOfWindow), "{state}");
        let ack = lab.one();
        assert_eq!((ack.flags(), ack.acknowledgment()), (A, flow.theirs), "{state}");
    }
}

#[test]
fn text_is_taken_only_before_the_peers_fin() {
    for state in SYNCHRONIZED {
        let (mut lab, flow) = in_state(state);
        let result = lab.inject(A, flow.theirs, flow.ours, b"text");
        let accepts = matches!(state, State::Established | State::FinWait1 | State::FinWait2);
        assert_eq!(result, if accepts { Ok(()) } else { Err(DropReason::TcpDataAfterFin) }, "{state}");
        assert_eq!(lab.read(flow), if accepts { b"text".to_vec() } else { Vec::new() }, "{state}");
    }
}

#[test]
fn a_fin_moves_every_state_that_waits_for_one() {
    for (state, after) in [
        (State::Established, State::CloseWait),
        (State::FinWait1, State::Closing),
        (State::FinWait2, State::TimeWait),
    ] {
        let (mut lab, flow) = in_state(state);
        let ours = if state == State::FinWait1 { flow.ours.wrapping_sub(1) } else { flow.ours };
        lab.inject(F | A, flow.theirs, ours, b"last").unwrap();
        let ack = lab.one();
        assert_eq!((ack.flags(), ack.acknowledgment()), (A, flow.theirs.wrapping_add(5)), "{state}");
        assert_eq!(lab.state(flow), after);
        assert_eq!(lab.read(flow), b"last");
        assert_eq!(lab.recv(flow), Ok(Recv::EndOfStream));
    }
}

#[test]
fn a_fin_with_the_acknowledgment_of_ours_goes_two_steps() {
    let (mut lab, flow) = in_state(State::FinWait1);
    lab.inject(F | A, flow.theirs, flow.ours, &[]).unwrap();
    assert_eq!(lab.one().flags(), A);
    assert_eq!(lab.state(flow), State::TimeWait);
}

#[test]
fn the_acknowledgment_of_our_fin_moves_every_state_that_waits_for_it() {
    for (state, after) in [
        (State::FinWait1, State::FinWait2),
        (State::Closing, State::TimeWait),
        (State::LastAck, State::Closed),
    ] {
        let (mut lab, flow) = in_state(state);
        lab.inject(A, flow.theirs, flow.ours, &[]).unwrap();
        lab.none();
        assert_eq!(lab.state(flow), after);
        assert_eq!(lab.tcp.error(flow.id), None);
    }
}

#[test]
fn abort_resets_where_the_peer_knows_of_the_connection() {
    for state in [
        State::SynSent,
        State::SynReceived,
        State::Established,
        State::FinWait1,
        State::FinWait2,
        State::CloseWait,
        State::Closing,
        State::LastAck,
    ] {
        let (mut lab, flow) = in_state(state);
        lab.tcp.abort(lab.now, flow.id);
        let sent = lab.sent();
        if state.abort_sends_reset() {
            let [reset] = &sent[..] else { panic!("{state}: {sent:?}") };
            assert_eq!((reset.flags(), reset.sequence()), (R | A, flow.ours), "{state}");
        } else {
            assert!(sent.is_empty(), "{state}");
        }
        let usage = lab.tcp.usage();
        assert_eq!((usage.connections, usage.timers, usage.time_wait), (0, 0, 0), "{state}");
    }
}

#[test]
fn nothing_listens_nothing_is_connected() {
    // RFC 9293 3.10.7.1
    let mut lab = Lab::plain();
    assert_eq!(lab.inject(S, 77, 0, b"abc"), Err(DropReason::TcpNoConnection));
    let reset = lab.one();
    assert_eq!((reset.flags(), reset.sequence(), reset.acknowledgment()), (R | A, 0, 81));
    assert_eq!(lab.inject(A, 77, 1234, &[]), Err(DropReason::TcpNoConnection));
    let reset = lab.one();
    assert_eq!((reset.flags(), reset.sequence()), (R, 1234));
    assert_eq!(lab.inject(R, 77, 0, &[]), Err(DropReason::TcpNoConnection));
    lab.none();
}
