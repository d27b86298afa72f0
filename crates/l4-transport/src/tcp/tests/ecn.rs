//! Explicit congestion notification: who agrees to it, what is marked, what a mark does.

use netloom_base::{DropReason, RxMeta};
use netloom_wire::{SeqNumber, TcpFlags, TcpHeader, TcpOptions};

use super::lab::*;
use super::pair::{Faults, Pair, Script, pattern, with_segmentation};
use crate::tcp::*;

const E: TcpFlags = TcpFlags::ECE;
const W: TcpFlags = TcpFlags::CWR;
const NOT_ECT: u8 = 0;
const ECT_1: u8 = 1;
const ECT_0: u8 = 2;
const CE: u8 = 3;

fn lab(ecn: EcnMode) -> Lab {
    Lab::new(TcpConfig { ecn, ..plain_config() })
}

fn options() -> TcpOptions {
    TcpOptions { mss: Some(1460), ..TcpOptions::default() }
}

/// A segment from the peer with ECN bits.
fn inject(lab: &mut Lab, codepoint: u8, header: &TcpHeader, text: &[u8]) -> Result<(), DropReason> {
    let bytes = bytes_of(lab.remote, lab.local, header, text);
    let ends = (lab.remote, lab.local);
    deliver_marked(&mut lab.tcp, lab.now, ends, (codepoint, 1500), &bytes, RxMeta::default())
}

/// A connection that a peer with these SYN flags began.
fn accept(lab: &mut Lab, syn_flags: TcpFlags, codepoint: u8) -> (Sent, Flow) {
    accept_with(lab, options(), syn_flags, codepoint)
}

fn accept_with(lab: &mut Lab, options: TcpOptions, syn_flags: TcpFlags, codepoint: u8) -> (Sent, Flow) {
    let known = lab.tcp.listeners().map(|info| info.id).next();
    let listener = known.unwrap_or_else(|| lab.listen());
    let syn = TcpHeader { options, ..lab.header(syn_flags, IRS, 0) };
    inject(lab, codepoint, &syn, &[]).unwrap();
    let syn_ack = lab.one();
    let (ours, theirs) = (syn_ack.sequence().wrapping_add(1), IRS.wrapping_add(1));
    lab.inject(A, theirs, ours, &[]).unwrap();
    let id = lab.tcp.accept(listener).unwrap().id;
    (syn_ack, Flow { id, ours, theirs })
}

/// A connection that uses ECN.
fn capable(mode: EcnMode) -> (Lab, Flow) {
    let mut lab = lab(mode);
    let (_, flow) = accept(&mut lab, S | E | W, NOT_ECT);
    (lab, flow)
}

/// Text of the peer at `offset` of its stream.
fn text(lab: &mut Lab, flow: Flow, codepoint: u8, flags: TcpFlags, offset: u32, len: usize) -> Option<Sent> {
    let header = lab.header(A | flags, flow.theirs.wrapping_add(offset), flow.ours);
    inject(lab, codepoint, &header, &vec![7; len]).unwrap();
    lab.sent().pop()
}

/// The peer acknowledges the first `count` bytes of our stream, and says that it found a mark.
fn echo(lab: &mut Lab, flow: Flow, count: u32) {
    lab.inject(A | E, flow.theirs, flow.ours.wrapping_add(count), &[]).unwrap();
}

#[test]
fn a_syn_that_asks_is_granted_and_no_other() {
    // [3168-02] [3168-04]
    for (mode, flags, codepoint, is_granted) in [
        (EcnMode::Accept, S | E | W, NOT_ECT, true),
        (EcnMode::Request, S | E | W, NOT_ECT, true),
        (EcnMode::Off, S | E | W, NOT_ECT, false),
        (EcnMode::Accept, S, NOT_ECT, false),
        (EcnMode::Accept, S | E, NOT_ECT, false),
        (EcnMode::Accept, S | W, NOT_ECT, false),
        (EcnMode::Accept, S | E | W, ECT_0, false),
        (EcnMode::Accept, S | E | W, CE, false),
    ] {
        let mut lab = lab(mode);
        let (syn_ack, flow) = accept(&mut lab, flags, codepoint);
        let expected = if is_granted { S | A | E } else { S | A };
        assert_eq!((syn_ack.flags(), syn_ack.traffic_class), (expected, 0), "{mode:?} {flags} {codepoint}");
        assert_eq!(lab.info(flow).ecn, is_granted);
        assert_eq!(lab.tcp.counters().ecn_negotiated.get(), u64::from(is_granted));
    }
}

#[test]
fn our_syn_asks_and_only_the_right_answer_grants() {
    // [3168-03] [3168-04]
    for (mode, answer, is_granted) in [
        (EcnMode::Request, S | A | E, true),
        (EcnMode::Request, S | A, false),
        (EcnMode::Request, S | A | E | W, false),
        (EcnMode::Request, S | A | W, false),
        (EcnMode::Accept, S | A | E, false),
        (EcnMode::Off, S | A | E, false),
    ] {
        let mut lab = lab(mode);
        let id = lab.begin_connect();
        let syn = lab.one();
        let expected = if mode == EcnMode::Request { S | E | W } else { S };
        assert_eq!((syn.flags(), syn.traffic_class), (expected, 0));
        let ours = syn.sequence().wrapping_add(1);
        lab.inject(answer, IRS, ours, &[]).unwrap();
        assert_eq!(lab.one().flags(), A);
        let flow = Flow { id, ours, theirs: IRS.wrapping_add(1) };
        assert_eq!(lab.info(flow).ecn, is_granted, "{mode:?} {answer}");
        lab.send(flow, b"text");
        assert_eq!(lab.one().traffic_class, if is_granted { ECT_0 } else { NOT_ECT });
    }
}

#[test]
fn the_second_syn_asks_no_more() {
    // [3168-05]
    let mut lab = lab(EcnMode::Request);
    let id = lab.begin_connect();
    let sent = lab.advance(ms(1000));
    assert_eq!(sent.iter().map(Sent::flags).collect::<Vec<_>>(), [S | E | W, S]);
    lab.inject(S | A | E, IRS, sent[0].sequence().wrapping_add(1), &[]).unwrap();
    assert_eq!(lab.one().flags(), A);
    assert!(!lab.tcp.info(id).unwrap().ecn, "[3168-03]: a SYN was sent that did not ask");
}

#[test]
fn a_peer_that_asks_again_without_gets_none() {
    // [3168-02] [3168-05]
    let mut lab = lab(EcnMode::Accept);
    lab.listen();
    lab.inject(S | E | W, IRS, 0, &[]).unwrap();
    assert_eq!(lab.one().flags(), S | A | E);
    lab.inject(S, IRS, 0, &[]).unwrap();
    assert_eq!(lab.one().flags(), S | A);
    lab.inject(S | E | W, IRS, 0, &[]).unwrap();
    assert_eq!(lab.one().flags(), S | A, "once without is for good");
}

#[test]
fn both_ends_that_open_at_once_agree_if_both_ask() {
    // [3168-02] [3168-03]
    for (mode, syn, syn_ack, expected) in [
        (EcnMode::Request, S | E | W, S | A | E, true),
        (EcnMode::Request, S, S | A, false),
        (EcnMode::Request, S | E | W, S | A, false),
        (EcnMode::Accept, S | E | W, S | A | E, false),
    ] {
        let mut lab = lab(mode);
        let id = lab.begin_connect();
        let ours = lab.one().sequence().wrapping_add(1);
        lab.inject(syn, IRS, 0, &[]).unwrap();
        let answer = if mode == EcnMode::Request && syn != S { S | A | E } else { S | A };
        assert_eq!(lab.one().flags(), answer);
        lab.inject(syn_ack, IRS, ours, &[]).unwrap();
        assert_eq!(lab.tcp.info(id).unwrap().ecn, expected, "{mode:?} {syn} {syn_ack}");
    }
}

#[test]
fn ends_that_open_at_once_reduce_nothing() {
    for options in [options(), TcpOptions { timestamps: None, ..options() }] {
        let mut lab = lab(EcnMode::Request);
        let id = lab.begin_connect();
        let ours = lab.one().sequence().wrapping_add(1);
        let initial = lab.tcp.info(id).unwrap().cwnd;
        lab.advance(ms(70));
        lab.inject_header(&TcpHeader { options, ..lab.header(S | E | W, IRS, 0) }, &[]).unwrap();
        assert_eq!(lab.one().flags(), S | A | E);
        lab.advance(ms(70));
        lab.inject_header(&TcpHeader { options, ..lab.header(S | A | E, IRS, ours) }, &[]).unwrap();
        lab.sent();
        let flow = Flow { id, ours, theirs: IRS.wrapping_add(1) };
        lab.send(flow, &[1; 3 * MSS]);
        assert!(lab.sent().iter().all(|sent| !sent.flags().contains(W)));
        let info = lab.info(flow);
        assert_eq!((info.cwnd, info.ssthresh, info.recovery), (initial, None, RecoveryPhase::Open));
    }
}

#[test]
fn only_new_text_is_capable() {
    // [3168-03] [3168-10] [3168-11]
    let (mut lab, flow) = capable(EcnMode::Accept);
    lab.send(flow, &[1; 2000]);
    let sent = lab.sent();
    assert_eq!(sent.iter().map(|it| it.traffic_class).collect::<Vec<_>>(), [ECT_0, ECT_0]);
    let again = lab.advance(ms(1100));
    assert_eq!((again[0].len(), again[0].traffic_class), (1460, NOT_ECT), "sent again");
    lab.ack(flow, 2000);
    let ack = text(&mut lab, flow, ECT_0, P, 0, 2920).unwrap();
    assert_eq!((ack.flags(), ack.traffic_class), (A, NOT_ECT));
    lab.tcp.close(lab.now, flow.id);
    let last = lab.sent().pop().unwrap();
    assert_eq!(last.traffic_class, NOT_ECT, "without text: {}", last.flags());
}

#[test]
fn a_window_probe_is_not_capable_and_says_nothing() {
    // [3168-13]
    let (mut lab, flow) = capable(EcnMode::Accept);
    lab.send(flow, &[1; 1460]);
    lab.one();
    lab.window = 0;
    echo(&mut lab, flow, 1460);
    lab.send(flow, &[1; 1460]);
    let probe = lab.advance(ms(1500)).remove(0);
    assert_eq!((probe.len(), probe.traffic_class), (1, NOT_ECT));
    assert!(!probe.flags().intersects(W), "[3168-13]");
    lab.window = 65_535;
    lab.ack(flow, 1461);
    let next = lab.one();
    assert_eq!((next.len(), next.flags(), next.traffic_class), (1459, P | A | W, ECT_0), "[3168-09]");
}

#[test]
fn a_mark_is_echoed_until_the_peer_has_reduced() {
    // [3168-01] [3168-12]
    let (mut lab, flow) = capable(EcnMode::Accept);
    lab.inject(P | A, flow.theirs, flow.ours, b"a conversation").unwrap();
    lab.one();
    lab.send(flow, b"a conversation");
    lab.one();
    let flow = Flow { ours: flow.ours.wrapping_add(14), theirs: flow.theirs.wrapping_add(14), ..flow };
    lab.ack(flow, 0);
    assert_eq!(text(&mut lab, flow, ECT_0, P, 0, 100), None, "held back");
    let ack = text(&mut lab, flow, CE, P, 100, 100).expect("a mark does not wait");
    assert_eq!((ack.flags(), ack.acknowledgment()), (A | E, flow.theirs.wrapping_add(200)));
    lab.send(flow, b"text");
    let sent = lab.one();
    assert_eq!(sent.flags(), P | A | E, "on text too");
    let flow = Flow { ours: flow.ours.wrapping_add(4), ..flow };
    assert_eq!(text(&mut lab, flow, ECT_1, P, 200, 100), None);
    let late = lab.advance(ms(40)).remove(0);
    assert_eq!(late.flags(), A | E, "still");
    let reduced = text(&mut lab, flow, ECT_0, P | W, 300, 100).expect("the peer's window is small now");
    assert_eq!(reduced.flags(), A);
    let both = text(&mut lab, flow, CE, P | W, 400, 100).unwrap();
    assert_eq!(both.flags(), A | E, "a mark after the reduction");
    assert_eq!((lab.info(flow).ce_received, lab.tcp.counters().ce_received.get()), (2, 2));
}

#[test]
fn marks_that_mean_nothing_are_ignored() {
    // [3168-12] [3168-03]
    let (mut lab, flow) = capable(EcnMode::Accept);
    lab.window = 65_535;
    let outside = lab.header(A, flow.theirs.wrapping_sub(3000), flow.ours);
    assert_eq!(inject(&mut lab, CE, &outside, &[1; 100]), Err(DropReason::TcpOutOfWindow));
    assert_eq!(lab.one().flags(), A, "outside the window");
    let empty = lab.header(A, flow.theirs, flow.ours);
    inject(&mut lab, CE, &empty, &[]).unwrap();
    lab.none();
    let (_, plain) = {
        lab.remote_port = 9;
        accept(&mut lab, S, NOT_ECT)
    };
    let ack = text(&mut lab, plain, CE, P, 0, 1460).unwrap();
    assert_eq!(ack.flags(), A, "not negotiated");
    lab.send(plain, &[1; 14_600]);
    lab.sent();
    echo(&mut lab, Flow { theirs: plain.theirs.wrapping_add(1460), ..plain }, 1460);
    assert_eq!(lab.tcp.counters().ece_received.get(), 0);
    assert_eq!(lab.info(plain).ssthresh, None);
}

#[test]
fn an_echo_halves_the_window_once_a_round_trip() {
    // [9293 SHLD-8] [3168-06] [3168-07] [3168-09]
    let (mut lab, flow) = capable(EcnMode::Accept);
    lab.send(flow, &[1; 60_000]);
    assert_eq!(lab.sent().len(), 10);
    echo(&mut lab, flow, 1460);
    assert_eq!(lab.info(flow).ssthresh, Some(7300));
    lab.none();
    echo(&mut lab, flow, 2920);
    echo(&mut lab, flow, 7300);
    echo(&mut lab, flow, 10_220);
    assert_eq!(lab.info(flow).cwnd, 7300, "once, and no growth meanwhile");
    let next: Vec<_> = lab.sent().iter().map(|it| (it.len(), it.flags(), it.traffic_class)).collect();
    assert_eq!(next, [(1460, A | W, ECT_0), (1460, A, ECT_0)]);
    assert_eq!(lab.info(flow).retransmits, 0);
    lab.ack(flow, 13_140);
    assert!(lab.sent().iter().all(|sent| !sent.flags().intersects(W)), "CWR only once");
    echo(&mut lab, flow, 14_600);
    assert_eq!(lab.info(flow).cwnd, 7300, "all of this was sent before the reduction");
    lab.sent();
    echo(&mut lab, flow, 14_600 + 1460);
    assert_eq!(lab.info(flow).ssthresh, Some(3650), "this was not");
    assert_eq!(lab.tcp.counters().ecn_reductions.get(), 2);
    assert_eq!(lab.tcp.counters().ece_received.get(), 6);
    assert_eq!(lab.info(flow).ece_received, 6);
}

#[test]
fn what_a_mark_has_reduced_stays_reduced_when_a_loss_beside_it_was_none() {
    // [3168-06]
    let mut lab = Lab::new(TcpConfig { ecn: EcnMode::Accept, sack: true, ..plain_config() });
    let options = TcpOptions { sack_permitted: true, ..options() };
    let (_, flow) = accept_with(&mut lab, options, S | E | W, NOT_ECT);
    lab.send(flow, &[1; 60_000]);
    assert_eq!(lab.sent().len(), 10);
    echo(&mut lab, flow, 1460);
    assert_eq!(lab.info(flow).recovery, RecoveryPhase::Reduction);
    // The second is overtaken by three, and comes before it is sent again.
    let mut overtaken = lab.header(A, flow.theirs, flow.ours.wrapping_add(1460));
    let at = |offset: u32| SeqNumber(flow.ours.wrapping_add(offset));
    overtaken.options.tail = one_block(at(2 * 1460), at(5 * 1460));
    lab.inject_header(&overtaken, &[]).unwrap();
    assert_eq!(lab.info(flow).recovery, RecoveryPhase::FastRecovery);
    lab.inject(A, flow.theirs, flow.ours.wrapping_add(5 * 1460), &[]).unwrap();
    lab.inject(A, flow.theirs, flow.ours.wrapping_add(14_600), &[]).unwrap();
    let info = lab.info(flow);
    assert_eq!((info.recovery, info.cwnd), (RecoveryPhase::Open, 7300));
}

#[test]
fn every_reduction_is_told() {
    // [3168-06] [3168-09]
    let (mut lab, flow) = capable(EcnMode::Accept);
    lab.send(flow, &[1; 1460]);
    lab.one();
    let again = lab.advance(ms(1100));
    assert!(!again[0].flags().intersects(W), "only new text says so");
    echo(&mut lab, flow, 1460);
    assert_eq!(lab.tcp.counters().ecn_reductions.get(), 0, "the timeout has reduced it already");
    lab.send(flow, &[1; 100]);
    assert_eq!(lab.one().flags(), P | A | W);
}

/// A connection whose window is one segment, and was marked.
pub(super) fn paused() -> (Lab, Flow) {
    let mut lab = lab(EcnMode::Accept);
    let listener = lab.listen();
    let syn = TcpHeader { options: options(), ..lab.header(S | E | W, IRS, 0) };
    lab.inject_header(&syn, &[]).unwrap();
    let ours = lab.advance(ms(1000))[0].sequence().wrapping_add(1);
    lab.inject(A, IRS.wrapping_add(1), ours, &[]).unwrap();
    let id = lab.tcp.accept(listener).unwrap().id;
    let flow = Flow { id, ours, theirs: IRS.wrapping_add(1) };
    assert_eq!(lab.info(flow).cwnd, 1460, "a SYN-ACK was lost");
    lab.send(flow, &[1; 2920]);
    lab.one();
    echo(&mut lab, flow, 1460);
    lab.none();
    (lab, flow)
}

#[test]
fn a_window_of_one_segment_waits_for_a_timeout() {
    // [3168-08]
    let (mut lab, flow) = paused();
    assert_eq!(lab.info(flow).blocked_by, SendBlockedBy::EcnPause);
    let wait = lab.info(flow).rto;
    assert_eq!(lab.advance(wait - ms(1)), []);
    let next = lab.advance(ms(1)).remove(0);
    assert_eq!((next.len(), next.flags(), next.traffic_class), (1460, P | A | W, ECT_0));
    assert_eq!(lab.tcp.counters().probes(ProbeCause::WindowTooSmall), 0);
    lab.ack(flow, 2920);
    assert!(lab.info(flow).cwnd > 1460);
}

#[test]
fn a_super_segment_says_so_in_its_first_part() {
    // [3168-09]
    let mut lab = Lab::new(with_segmentation(plain_config()));
    let (_, flow) = accept(&mut lab, S | E | W, NOT_ECT);
    lab.send(flow, &[1; 60_000]);
    let first = lab.one();
    assert_eq!((first.gso.map(|gso| gso.ecn), first.traffic_class), (Some(false), ECT_0));
    echo(&mut lab, flow, 14_600);
    let next = lab.one();
    assert_eq!((next.gso.map(|gso| gso.ecn), next.flags(), next.len()), (Some(true), A | W, 7300));
}

#[test]
fn a_socket_cannot_set_the_bits_itself() {
    // [3168-03] [3168-04] [3168-10]
    let mut lab = lab(EcnMode::Accept);
    let socket = SocketOptions { traffic_class: 0xff, ..SocketOptions::default() };
    lab.listen_with(ListenOptions { socket, ..ListenOptions::default() });
    let (syn_ack, flow) = accept(&mut lab, S, NOT_ECT);
    assert_eq!(syn_ack.traffic_class, 0xfc);
    lab.send(flow, b"text");
    assert_eq!(lab.one().traffic_class, 0xfc);
}

#[test]
fn a_path_that_marks_loses_nothing_and_sends_nothing_again() {
    // [3168-01] [3168-06]
    for seed in 0..8 {
        let config = TcpConfig { ecn: EcnMode::Request, ..with_segmentation(TcpConfig::default()) };
        let scripts = [0, 1].map(|side| Script::sending(pattern(300_000, seed * 2 + side)));
        let mut pair = Pair::new(seed, [config.clone(), config], scripts);
        pair.faults = Faults { mark: 20, ..Faults::default() };
        pair.open();
        pair.run_and_check(ms(600_000));
        for side in &pair.sides {
            let counters = side.tcp.counters();
            assert_eq!(counters.retransmits_total(), 0);
            assert!(counters.ce_received.get() > 0 && counters.ecn_reductions.get() > 0, "seed {seed}");
        }
    }
}
