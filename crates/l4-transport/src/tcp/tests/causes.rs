//! Every typed cause of what we send happens, alone, and is counted once.

use core::net::SocketAddr;
use core::time::Duration;

use netloom_wire::{TcpHeader, TcpOptions, TcpTimestamps};

use super::lab::*;
use super::traces::Traces;
use crate::tcp::*;

const KEEPALIVE: Keepalive =
    Keepalive { idle: Duration::from_secs(100), interval: Duration::from_secs(10), probes: 2 };

/// Does what must be answered by one reset, and gives what is sent.
fn provoke_reset(lab: &mut Lab, cause: ResetCause) -> Vec<Sent> {
    match cause {
        ResetCause::NoListener => {
            let _ = lab.inject(S, IRS, 0, &[]);
        }
        ResetCause::AckInListen => {
            lab.listen();
            let _ = lab.inject(A, IRS, 1, &[]);
        }
        ResetCause::BadAckInHandshake => {
            lab.begin_connect();
            let syn = lab.one();
            let _ = lab.inject(S | A, IRS, syn.sequence(), &[]);
        }
        ResetCause::Refused => {
            let options = ListenOptions { answer: SynAnswer::OnDecision, ..ListenOptions::default() };
            let listener = lab.listen_with(options);
            lab.inject(S, IRS, 0, &[]).unwrap();
            let pending = lab.tcp.next_pending(listener).unwrap();
            lab.tcp.refuse_pending(lab.now, pending.id);
        }
        ResetCause::Aborted => {
            let flow = lab.accept();
            lab.tcp.abort(lab.now, flow.id);
        }
        ResetCause::AddressLost => {
            lab.accept();
            lab.tcp.abort_local(lab.now, lab.local);
        }
        ResetCause::ClosedUnread => {
            let flow = lab.accept();
            lab.inject(A, flow.theirs, flow.ours, b"unread").unwrap();
            lab.tcp.close(lab.now, flow.id);
        }
        ResetCause::DataAfterClose => {
            let flow = lab.accept();
            lab.tcp.close(lab.now, flow.id);
            lab.one();
            let _ = lab.inject(A, flow.theirs, flow.ours.wrapping_add(1), b"late");
        }
        ResetCause::ListenerClosed => {
            let listener = lab.listen();
            lab.inject(S, IRS, 0, &[]).unwrap();
            let ours = lab.one().sequence().wrapping_add(1);
            lab.inject(A, IRS.wrapping_add(1), ours, &[]).unwrap();
            lab.tcp.close_listener(lab.now, listener);
        }
        ResetCause::KeepaliveTimeout => {
            let flow = lab.accept();
            lab.tcp.set_keepalive(lab.now, flow.id, Some(KEEPALIVE)).unwrap();
            return lab.advance(Duration::from_secs(121));
        }
        ResetCause::OrphanTimeout => {
            let flow = lab.accept();
            lab.window = 0;
            lab.ack(flow, 0);
            lab.send(flow, b"nobody takes this");
            lab.tcp.close(lab.now, flow.id);
            loop {
                let sent = lab.advance(ms(1000));
                if lab.tcp.usage().connections == 0 {
                    return sent;
                }
                let _ = lab.inject(A, flow.theirs, flow.ours, &[]);
            }
        }
    }
    lab.sent()
}

#[test]
fn every_reset_has_its_cause() {
    for &cause in ResetCause::ALL {
        let traces = Traces::begin();
        let mut lab = Lab::plain();
        let sent = provoke_reset(&mut lab, cause);
        let resets = sent.iter().filter(|segment| segment.flags().contains(R)).count();
        assert_eq!(resets, 1, "{cause}: {sent:?}");
        let counters = lab.tcp.counters();
        assert_eq!((counters.resets(cause), counters.resets_total()), (1, 1), "{cause}");
        traces.assert_as_counted(counters);
    }
}

#[test]
fn a_refusal_for_which_there_was_no_room_is_not_counted_as_sent() {
    let traces = Traces::begin();
    let mut lab = Lab::new(TcpConfig { max_replies: 1, ..plain_config() });
    for _ in 0..3 {
        let _ = lab.inject(S, IRS, 0, &[]);
    }
    assert_eq!(lab.sent().len(), 1);
    let counters = lab.tcp.counters();
    assert_eq!((counters.resets(ResetCause::NoListener), counters.replies_dropped.get()), (1, 2));
    traces.assert_as_counted(counters);
}

/// Sends what must be challenged, once.
fn provoke_challenge(lab: &mut Lab, flow: Flow, cause: ChallengeCause) {
    let beyond = flow.theirs.wrapping_add(100_000);
    let result = match cause {
        ChallengeCause::InexactReset => {
            lab.inject_stamped(R, (flow.theirs.wrapping_add(1), 0), (5000, 0), &[])
        }
        ChallengeCause::UnexpectedSyn => lab.inject_stamped(S, (flow.theirs, 0), (5000, 0), &[]),
        ChallengeCause::BadAck => {
            lab.inject_stamped(A, (flow.theirs, flow.ours.wrapping_add(9)), (5000, 0), &[])
        }
        ChallengeCause::OutOfWindow => lab.inject_stamped(A, (beyond, flow.ours), (5000, 0), b"x"),
        ChallengeCause::OldTimestamp => lab.inject_stamped(A, (flow.theirs, flow.ours), (4000, 0), b"x"),
    };
    assert!(result.is_err(), "{cause}");
}

fn stamped() -> TcpOptions {
    let timestamps = Some(TcpTimestamps { value: 5000, echo_reply: 0 });
    TcpOptions { mss: Some(1460), timestamps, ..TcpOptions::default() }
}

#[test]
fn every_challenge_has_its_cause() {
    // [5961-04] [5961-07] [5961-12] [7323-38]
    for &cause in ChallengeCause::ALL {
        let traces = Traces::begin();
        let mut lab = Lab::new(TcpConfig { window_scaling: false, ..TcpConfig::default() });
        let flow = lab.accept_with(stamped());
        provoke_challenge(&mut lab, flow, cause);
        assert_eq!(lab.one().flags(), A, "{cause}");
        let counters = lab.tcp.counters();
        assert_eq!((counters.challenges(cause), counters.challenges_total()), (1, 1), "{cause}");
        traces.assert_as_counted(counters);
    }
}

#[test]
fn every_challenge_of_a_handshake_has_its_cause() {
    // [5961-04] [5961-07] [7323-38]
    for &cause in ChallengeCause::ALL {
        let traces = Traces::begin();
        let mut lab = Lab::new(TcpConfig { window_scaling: false, ..TcpConfig::default() });
        lab.listen();
        let syn = TcpHeader { options: stamped(), ..lab.header(S, IRS, 0) };
        lab.inject_header(&syn, &[]).unwrap();
        let ours = lab.one().sequence().wrapping_add(1);
        let (id, theirs) = (lab.begin_other(), IRS.wrapping_add(1));
        let flow = Flow { id, ours, theirs };
        match cause {
            // A bad acknowledgment is refused there; a SYN is of another connection by its number.
            ChallengeCause::BadAck => continue,
            ChallengeCause::UnexpectedSyn => {
                let _ = lab.inject_stamped(S, (theirs.wrapping_add(7), 0), (5000, 0), &[]);
            }
            ChallengeCause::InexactReset | ChallengeCause::OutOfWindow | ChallengeCause::OldTimestamp => {
                provoke_challenge(&mut lab, flow, cause);
            }
        }
        assert_eq!(lab.one().flags(), A, "{cause}");
        let counters = lab.tcp.counters();
        assert_eq!((counters.challenges(cause), counters.challenges_total()), (1, 1), "{cause}");
        traces.assert_as_counted(counters);
    }
}

#[test]
fn every_retransmission_timeout_has_its_cause() {
    // [6298-14]
    for &cause in RtoCause::ALL {
        let traces = Traces::begin();
        let mut lab = Lab::plain();
        match cause {
            RtoCause::Syn => {
                lab.begin_connect();
            }
            RtoCause::SynAck => {
                lab.listen();
                lab.inject(S, IRS, 0, &[]).unwrap();
            }
            RtoCause::Data => {
                let flow = lab.accept();
                lab.send(flow, b"data");
                lab.tcp.shutdown_write(lab.now, flow.id).unwrap();
            }
            RtoCause::Fin => {
                let flow = lab.accept();
                lab.tcp.shutdown_write(lab.now, flow.id).unwrap();
            }
        }
        assert_eq!(lab.sent().len(), 1);
        assert_eq!(lab.advance(ms(1001)).pop().map(|again| again.len() > 0), Some(cause == RtoCause::Data));
        let counters = lab.tcp.counters();
        assert!(counters.timeouts(cause) >= 1, "{cause}");
        assert_eq!(counters.timeouts(cause), counters.timeouts_total(), "{cause}");
        assert!(counters.retransmits_total() >= 1, "{cause}");
        traces.assert_as_counted(counters);
    }
}

#[test]
fn a_syn_that_comes_again_and_a_timer_are_told_apart() {
    let mut lab = Lab::plain();
    lab.listen();
    lab.inject(S, IRS, 0, &[]).unwrap();
    lab.one();
    lab.inject(S, IRS, 0, &[]).unwrap();
    assert_eq!(lab.one().flags(), S | A);
    assert_eq!(lab.tcp.counters().retransmits(RetransmitCause::SynRepeated), 1);
    assert_eq!(lab.advance(ms(1001)).len(), 1);
    assert_eq!(lab.tcp.counters().retransmits(RetransmitCause::SynTimeout), 1);
    assert_eq!(lab.tcp.counters().retransmits_total(), 2);
}

#[test]
fn every_probe_has_its_cause() {
    for &cause in ProbeCause::ALL {
        let traces = Traces::begin();
        let mut lab = Lab::new(TcpConfig { sack: true, ..plain_config() });
        let options = TcpOptions { mss: Some(1460), sack_permitted: true, ..TcpOptions::default() };
        let flow = lab.accept_with(options);
        match cause {
            ProbeCause::Tail => {
                lab.send(flow, &[1; 5000]);
                lab.sent();
            }
            ProbeCause::WindowShut | ProbeCause::WindowTooSmall => {
                lab.window = if cause == ProbeCause::WindowShut { 0 } else { 10 };
                lab.ack(flow, 0);
                lab.send(flow, &[1; 5000]);
                lab.none();
            }
            ProbeCause::Idle => {
                lab.tcp.set_keepalive(lab.now, flow.id, Some(KEEPALIVE)).unwrap();
                lab.now += Duration::from_secs(100);
            }
            // It waits for nothing but text: see `path_mtu`.
            ProbeCause::PathMtu => continue,
        }
        let deadline = lab.tcp.poll_timeout().unwrap().max(lab.now);
        let sent = lab.advance(deadline.saturating_since(lab.now));
        assert_eq!(sent.len(), 1, "{cause}: {sent:?}");
        assert_eq!(lab.tcp.counters().probes(cause), 1, "{cause}");
        traces.assert_as_counted(lab.tcp.counters());
    }
}

#[test]
fn what_is_written_during_the_handshake_is_blocked_by_it() {
    let traces = Traces::begin();
    let mut lab = Lab::plain();
    let id = lab.begin_connect();
    assert_eq!(lab.tcp.send(lab.now, id, b"early"), Ok(5));
    assert_eq!(lab.tcp.send(lab.now, id, b"birds"), Ok(5));
    assert_eq!(lab.tcp.counters().blocked(SendBlockedBy::Handshake), 1);
    assert_eq!(lab.tcp.info(id).unwrap().blocked_by, SendBlockedBy::Handshake);
    traces.assert_as_counted(lab.tcp.counters());
}

impl Lab {
    /// A connection of ours to another port of the peer, only for its id.
    fn begin_other(&mut self) -> TcpSocketId {
        let remote = SocketAddr::new(self.remote, self.remote_port + 1);
        let local = TcpBind { address: None, port: LOCAL_PORT + 1 };
        let id = self.tcp.connect(self.now, local, &self.path(), remote, &SocketOptions::default()).unwrap();
        self.one();
        id
    }
}
