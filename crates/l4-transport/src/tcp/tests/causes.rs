//! Every typed cause of what we send, or do not, happens, and is counted and traced as often as it happens.

use core::net::SocketAddr;
use core::time::Duration;

use netloom_wire::{IcmpErrorKind, TcpHeader, TcpOptions, TcpTimestamps};

use super::auto_cork;
use super::ecn;
use super::fast_open::{answer, client, connect};
use super::icmp::{report, report_too_big};
use super::lab::*;
use super::pair::with_segmentation;
use super::path_mtu::until_probe;
use super::rack::accept_after;
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

fn sacking() -> (Lab, Flow) {
    let mut lab = Lab::new(TcpConfig { sack: true, ..plain_config() });
    let options = TcpOptions { mss: Some(1460), sack_permitted: true, ..TcpOptions::default() };
    let flow = lab.accept_with(options);
    (lab, flow)
}

/// Five segments, in flight.
fn sending(lab: &mut Lab, flow: Flow) {
    lab.send(flow, &[1; 5 * MSS]);
    assert_eq!(lab.sent().len(), 5);
}

/// A connection on a path that a router has said to take 1300 bytes, and how many have arrived: in ten minutes it is searched for
/// more.
fn searching() -> (Lab, Flow, u32) {
    let mut lab = Lab::plain();
    let flow = lab.accept();
    sending(&mut lab, flow);
    report_too_big(&mut lab, 1300, flow.ours);
    lab.sent();
    let acked = 5 * MSS as u32;
    lab.ack(flow, acked);
    (lab, flow, acked)
}

/// Has something sent again.
fn provoke_retransmission(cause: RetransmitCause) -> Lab {
    let mut lab = Lab::plain();
    match cause {
        RetransmitCause::SynTimeout => {
            lab.begin_connect();
            lab.one();
            lab.advance(ms(1001));
        }
        RetransmitCause::SynRepeated => {
            lab.listen();
            lab.inject(S, IRS, 0, &[]).unwrap();
            lab.one();
            lab.inject(S, IRS, 0, &[]).unwrap();
        }
        RetransmitCause::Timeout => {
            let flow = lab.accept();
            sending(&mut lab, flow);
            lab.advance(ms(1001));
        }
        RetransmitCause::FastRetransmit | RetransmitCause::PartialAck => {
            let flow = lab.accept();
            lab.send(flow, &[1; 10 * MSS]);
            lab.sent();
            (0..3).for_each(|_| lab.ack(flow, 0));
            lab.sent();
            if cause == RetransmitCause::PartialAck {
                lab.ack(flow, 3 * MSS as u32);
            }
        }
        RetransmitCause::Rack => {
            let (mut lab, flow) = sacking();
            sending(&mut lab, flow);
            lab.now += ms(100);
            assert_eq!(lab.sack(flow, 0, &[(1, 4)]), [0]);
            return lab;
        }
        RetransmitCause::LossProbe => {
            let (mut lab, flow) = sacking();
            sending(&mut lab, flow);
            let deadline = lab.tcp.poll_timeout().unwrap();
            lab.advance(deadline.saturating_since(lab.now));
            return lab;
        }
        RetransmitCause::PathMtu => {
            let flow = lab.accept();
            sending(&mut lab, flow);
            report_too_big(&mut lab, 1280, flow.ours);
        }
        RetransmitCause::MtuProbe => {
            let (mut lab, flow, mut acked) = searching();
            lab.now += Duration::from_secs(600);
            let probe = until_probe(&mut lab, flow, &mut acked, 50).unwrap();
            report_too_big(&mut lab, 1400, probe.sequence());
            lab.sent();
            return lab;
        }
        RetransmitCause::WindowProbe | RetransmitCause::WindowReopened => {
            let flow = lab.accept();
            sending(&mut lab, flow);
            lab.window = 0;
            lab.ack(flow, MSS as u32);
            lab.advance(ms(1000));
            if cause == RetransmitCause::WindowReopened {
                lab.window = 60_000;
                lab.ack(flow, MSS as u32);
            }
        }
        RetransmitCause::FastOpen => {
            let mut lab = client();
            let id = connect(&mut lab);
            lab.tcp.send(lab.now, id, b"hello").unwrap();
            let syn = lab.one();
            answer(&mut lab, &syn, 0, None);
            lab.sent();
            return lab;
        }
    }
    lab.sent();
    lab
}

#[test]
fn every_retransmission_has_its_cause() {
    for &cause in RetransmitCause::ALL {
        let traces = Traces::begin();
        let lab = provoke_retransmission(cause);
        let counters = lab.tcp.counters();
        assert!(counters.retransmits(cause) >= 1, "{cause}");
        traces.assert_as_counted(counters);
    }
}

/// A connection that has something to send, or has sent it all, and what it does not send for `reason`.
fn provoke_block(reason: SendBlockedBy) -> (Lab, TcpSocketId) {
    let mut lab = Lab::plain();
    if reason == SendBlockedBy::Handshake {
        let id = lab.begin_connect();
        lab.tcp.send(lab.now, id, b"early").unwrap();
        lab.one();
        return (lab, id);
    }
    if reason == SendBlockedBy::Device {
        let flow = lab.accept();
        lab.send(flow, b"one");
        lab.tcp.note_stall(lab.now);
        return (lab, flow.id);
    }
    let flow = match reason {
        SendBlockedBy::EcnPause => {
            let (paused, flow) = ecn::paused();
            lab = paused;
            flow
        }
        SendBlockedBy::MtuProbe => {
            let (mut searching, flow, acked) = searching();
            // The window is full before it is time, and a part of a segment makes no room for a probe.
            searching.send(flow, &[1; 60_000]);
            searching.sent();
            searching.now += Duration::from_secs(600);
            searching.ack(flow, acked + 100);
            lab = searching;
            flow
        }
        SendBlockedBy::Pacing => {
            let flow = accept_after(&mut lab, 100, TcpOptions { mss: Some(1460), ..TcpOptions::default() });
            lab.send(flow, &[1; 100_000]);
            assert_eq!(lab.sent().len(), 10);
            lab.now += ms(100);
            lab.ack(flow, 14_600);
            flow
        }
        SendBlockedBy::Coalescing => {
            lab = Lab::new(with_segmentation(TcpConfig { window_scaling: true, ..plain_config() }));
            let options = TcpOptions { mss: Some(1460), window_scale: Some(7), ..TcpOptions::default() };
            let flow = lab.accept_with(options);
            let mut acked = 0;
            for _ in 0..1000 {
                lab.send(flow, &[1; 1 << 20]);
                acked += lab.sent().iter().map(Sent::len).sum::<usize>();
                if lab.info(flow).blocked_by == reason {
                    break;
                }
                lab.ack(flow, acked as u32);
            }
            flow
        }
        SendBlockedBy::AutoCork => {
            lab = auto_cork::new_lab();
            auto_cork::held(&mut lab).flow
        }
        SendBlockedBy::Handshake
        | SendBlockedBy::Device
        | SendBlockedBy::Nothing
        | SendBlockedBy::Application
        | SendBlockedBy::ReceiveWindow
        | SendBlockedBy::CongestionWindow
        | SendBlockedBy::Nagle
        | SendBlockedBy::Cork
        | SendBlockedBy::Finished => {
            let flow = lab.accept();
            match reason {
                SendBlockedBy::ReceiveWindow => {
                    lab.window = 0;
                    lab.ack(flow, 0);
                }
                SendBlockedBy::CongestionWindow => {
                    lab.send(flow, &[1; 60_000]);
                }
                SendBlockedBy::Nagle => {
                    lab.send(flow, b"one");
                    lab.one();
                }
                SendBlockedBy::Cork => lab.tcp.set_cork(lab.now, flow.id, true).unwrap(),
                SendBlockedBy::Finished => lab.tcp.shutdown_write(lab.now, flow.id).unwrap(),
                SendBlockedBy::Handshake
                | SendBlockedBy::Device
                | SendBlockedBy::Nothing
                | SendBlockedBy::Application
                | SendBlockedBy::EcnPause
                | SendBlockedBy::MtuProbe
                | SendBlockedBy::Pacing
                | SendBlockedBy::Coalescing
                | SendBlockedBy::AutoCork => {}
            }
            if reason != SendBlockedBy::Finished {
                lab.send(flow, b"two");
            }
            flow
        }
    };
    lab.sent();
    (lab, flow.id)
}

#[test]
fn every_time_that_a_sender_does_not_send_has_its_reason() {
    for &reason in SendBlockedBy::ALL {
        let traces = Traces::begin();
        let (lab, id) = provoke_block(reason);
        let counters = lab.tcp.counters();
        assert!(counters.blocked(reason) >= 1, "{reason}");
        // What sends is blocked again as soon as it has sent.
        if reason != SendBlockedBy::Nothing {
            assert_eq!(lab.tcp.info(id).unwrap().blocked_by, reason);
        }
        traces.assert_as_counted(counters);
    }
}

/// Has a connection, or a half-open one, end.
fn provoke_end(lab: &mut Lab, reason: EndReason) {
    let deciding = ListenOptions { answer: SynAnswer::OnDecision, ..ListenOptions::default() };
    match reason {
        EndReason::Aborted
        | EndReason::AddressLost
        | EndReason::ClosedUnread
        | EndReason::DataAfterClose
        | EndReason::ListenerClosed
        | EndReason::KeepaliveTimeout
        | EndReason::OrphanTimeout => {
            provoke_reset(lab, ResetCause::of(reason).unwrap());
        }
        EndReason::Finished => {
            let flow = lab.accept();
            lab.inject(F | A, flow.theirs, flow.ours, &[]).unwrap();
            lab.tcp.close(lab.now, flow.id);
            lab.sent();
            lab.inject(A, flow.theirs.wrapping_add(1), flow.ours.wrapping_add(1), &[]).unwrap();
        }
        EndReason::ResetByPeer => {
            let flow = lab.accept();
            lab.inject(R, flow.theirs, 0, &[]).unwrap();
        }
        EndReason::Refused => {
            lab.begin_connect();
            let syn = lab.one();
            lab.inject(R | A, 0, syn.sequence().wrapping_add(1), &[]).unwrap();
        }
        EndReason::HandshakeTimeout => {
            lab.begin_connect();
            lab.advance(ms(400_000));
        }
        EndReason::RetransmissionTimeout => {
            let flow = lab.accept();
            sending(lab, flow);
            lab.advance(ms(2_000_000));
        }
        EndReason::UserTimeout => {
            let flow = lab.accept();
            lab.tcp.set_user_timeout(lab.now, flow.id, Some(Duration::from_secs(5))).unwrap();
            sending(lab, flow);
            lab.advance(ms(5100));
        }
        EndReason::WindowProbeTimeout => {
            let flow = lab.accept();
            lab.window = 0;
            lab.ack(flow, 0);
            lab.send(flow, b"hello");
            lab.advance(ms(1_000_000));
        }
        EndReason::ClosedInHandshake => {
            let id = lab.begin_connect();
            lab.one();
            lab.tcp.close(lab.now, id);
        }
        EndReason::IcmpRefused => {
            lab.begin_connect();
            let syn = lab.one();
            report(lab, IcmpErrorKind::PortUnreachable, syn.sequence());
        }
        EndReason::FinWait2Timeout => {
            let flow = lab.accept();
            lab.tcp.close(lab.now, flow.id);
            lab.one();
            lab.inject(A, flow.theirs, flow.ours.wrapping_add(1), &[]).unwrap();
            lab.advance(ms(60_000));
        }
        EndReason::HandshakeReset => {
            lab.listen();
            lab.inject(S, IRS, 0, &[]).unwrap();
            lab.one();
            lab.inject(R, IRS.wrapping_add(1), 0, &[]).unwrap();
        }
        EndReason::Evicted => {
            lab.listen();
            lab.inject(S, IRS, 0, &[]).unwrap();
            lab.remote_port += 1;
            lab.inject(S, IRS, 0, &[]).unwrap();
        }
        EndReason::Undecided => {
            lab.listen_with(deciding);
            lab.inject(S, IRS, 0, &[]).unwrap();
            lab.advance(ms(65_000));
        }
        EndReason::Replaced => {
            lab.listen_with(deciding);
            lab.inject(S, IRS, 0, &[]).unwrap();
            lab.inject(S, IRS.wrapping_add(5000), 0, &[]).unwrap();
        }
    }
    lab.sent();
}

#[test]
fn every_end_has_its_reason() {
    for &reason in EndReason::ALL {
        let traces = Traces::begin();
        let config = TcpConfig { max_half_open: 1, syn_cookies: SynCookieMode::Off, ..plain_config() };
        let mut lab = Lab::new(config);
        provoke_end(&mut lab, reason);
        let counters = lab.tcp.counters();
        for &other in EndReason::ALL {
            assert_eq!(counters.ended(other), u64::from(other == reason), "{reason}: {other}");
        }
        traces.assert_as_counted(counters);
    }
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
