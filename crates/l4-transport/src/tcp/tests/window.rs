//! Windows: full, shut, shrinking, silly, scaled.

use netloom_base::DropReason;
use netloom_wire::{TcpHeader, TcpOptions};

use super::lab::*;
use crate::tcp::*;

fn scaled(shift: u8) -> TcpOptions {
    TcpOptions { mss: Some(1460), window_scale: Some(shift), ..TcpOptions::default() }
}

#[test]
fn nothing_goes_beyond_the_peers_window() {
    // [5681-01] [7323-16] [9293 MUST-1]
    let mut lab = Lab::plain();
    lab.window = 2000;
    let flow = lab.accept();
    lab.send(flow, &[1; 5000]);
    let sent = lab.sent();
    assert_eq!(sent.iter().map(Sent::len).collect::<Vec<_>>(), [MSS]);
    assert_eq!(lab.info(flow).blocked_by, SendBlockedBy::ReceiveWindow);
    lab.ack(flow, 1460);
    assert_eq!(lab.sent().iter().map(Sent::len).collect::<Vec<_>>(), [MSS]);
}

#[test]
fn a_shut_window_is_probed_ever_more_rarely_for_as_long_as_the_peer_answers() {
    // [9293 MUST-36, MUST-37, SHLD-29, SHLD-30, MAY-8] [1122-T013] [1122-T014] [1122-T015] [1122-T016] [1122-T017]
    let mut lab = Lab::plain();
    let flow = lab.accept();
    lab.window = 0;
    lab.ack(flow, 0);
    lab.send(flow, b"hello");
    lab.none();
    let start = lab.now;
    let mut at = Vec::new();
    for _ in 0..40 {
        let deadline = lab.tcp.poll_timeout().unwrap();
        lab.now = deadline;
        lab.tcp.handle_timeout(deadline);
        for probe in lab.sent() {
            assert_eq!((&probe.text[..], probe.sequence()), (&b"h"[..], flow.ours));
            at.push(lab.now.saturating_since(start).as_millis());
            lab.ack(flow, 0);
        }
    }
    assert_eq!(at[..5], [200, 600, 1400, 3000, 6200]);
    assert_eq!(at[30] - at[29], 60_000);
    assert_eq!(lab.state(flow), TcpState::Established);
    lab.window = 1000;
    lab.ack(flow, 0);
    assert_eq!(lab.one().text, b"hello");
    assert!(lab.tcp.counters().probes(ProbeCause::WindowShut) >= 35);
}

#[test]
fn a_peer_that_answers_no_probe_is_given_up() {
    let mut lab = Lab::plain();
    let flow = lab.accept();
    lab.window = 0;
    lab.ack(flow, 0);
    lab.send(flow, b"hello");
    lab.advance(ms(1_000_000));
    assert_eq!(lab.tcp.error(flow.id), Some(TcpError::TimedOut));
    assert_eq!(lab.tcp.counters().ended(EndReason::WindowProbeTimeout), 1);
}

#[test]
fn a_probe_that_was_taken_counts() {
    let mut lab = Lab::plain();
    let flow = lab.accept();
    lab.window = 0;
    lab.ack(flow, 0);
    lab.send(flow, b"hello");
    let probe = lab.advance(ms(200)).pop().unwrap();
    assert_eq!(probe.text, b"h");
    lab.ack(flow, 1);
    let probe = lab.advance(ms(1000)).pop().unwrap();
    assert_eq!((probe.sequence(), &probe.text[..]), (flow.ours.wrapping_add(1), &b"e"[..]));
}

#[test]
fn a_window_that_shrinks_below_what_was_sent_is_survived() {
    // [9293 MUST-34, MUST-35, SHLD-15, SHLD-16, SHLD-17] [1122-T010] [1122-T011]
    let mut lab = Lab::plain();
    let flow = lab.accept();
    lab.send(flow, &[1; 14_600]);
    assert_eq!(lab.sent().len(), 10);
    lab.window = 3000;
    lab.ack(flow, 1460);
    lab.none();
    // What lies within the new edge is sent again, no further.
    let again = lab.advance(ms(200));
    assert_eq!(again.len(), 1);
    assert_eq!(again[0].sequence(), flow.ours.wrapping_add(1460));
    lab.window = 0;
    lab.ack(flow, 1460);
    let probes = lab.advance(ms(30_000));
    assert!(!probes.is_empty() && probes.iter().all(|probe| probe.len() == 1));
    assert_eq!(lab.state(flow), TcpState::Established);
    lab.window = 65_535;
    lab.ack(flow, 1460);
    assert!(lab.sent().iter().map(Sent::len).sum::<usize>() >= MSS);
}

#[test]
fn what_acknowledges_more_than_any_before_sets_the_window_though_it_was_overtaken() {
    let mut lab = Lab::plain();
    lab.window = 20_000;
    let flow = lab.accept();
    assert_eq!(lab.send(flow, &[1; 30_000]), 30_000);
    let sent = lab.sent().iter().map(|sent| sent.text.len() as u32).sum::<u32>();
    assert!((10_000..20_000).contains(&sent), "{sent}");
    // The second segment comes first, and offers 20,000 bytes from the beginning on.
    lab.inject(A, flow.theirs.wrapping_add(100), flow.ours, &[2; 100]).unwrap();
    // The first, sent again meanwhile, acknowledges all, and offers what was offered before.
    lab.window = 20_000 - sent as u16;
    lab.inject(A, flow.theirs, flow.ours.wrapping_add(sent), &[2; 100]).unwrap();
    assert_eq!(lab.info(flow).snd_wnd, 20_000 - sent);
    let more = lab.sent().iter().map(|sent| sent.text.len() as u32).sum::<u32>();
    assert!(sent + more <= 20_000, "{sent} and {more}");
}

#[test]
fn an_acknowledgment_stays_where_text_was_taken_though_the_window_lost_its_lowest_bits() {
    // [7323-13]
    for (field, number) in [(1, 2920), (0, 1460)] {
        let mut lab = Lab::new(TcpConfig { window_scaling: true, ..plain_config() });
        lab.window = 3;
        let options = TcpOptions { mss: Some(1460), window_scale: Some(10), ..TcpOptions::default() };
        let flow = lab.accept_with(options);
        lab.send(flow, &[1; 2920]);
        assert_eq!(lab.sent().len(), 2, "within 3 KiB");
        // A unit is 1024 bytes: 436 of what was sent lie beyond one, and all 1460 beyond none.
        lab.window = field;
        lab.inject(A, flow.theirs, flow.ours.wrapping_add(1460), &[2; 100]).unwrap();
        lab.inject(A, flow.theirs.wrapping_add(100), flow.ours.wrapping_add(1460), &[2; 100]).unwrap();
        let acknowledgment = lab.sent().pop().unwrap();
        assert_eq!((acknowledgment.len(), acknowledgment.sequence()), (0, flow.ours.wrapping_add(number)));
    }
}

#[test]
fn a_silly_window_is_not_filled_at_once() {
    // [9293 MUST-38] [1122-T063]
    let mut lab = Lab::plain();
    let flow = lab.accept();
    lab.window = 100;
    lab.ack(flow, 0);
    lab.send(flow, &[1; 5000]);
    lab.none();
    assert_eq!(lab.info(flow).blocked_by, SendBlockedBy::ReceiveWindow);
    // After the override time it is better than nothing.
    let forced = lab.advance(ms(200));
    assert_eq!(forced.iter().map(Sent::len).collect::<Vec<_>>(), [100]);
}

#[test]
fn half_of_the_largest_window_is_worth_a_segment() {
    // [9293 MUST-38]: or a peer with a small buffer would never get anything.
    let mut lab = Lab::plain();
    lab.window = 1000;
    let flow = lab.accept();
    lab.send(flow, &[1; 5000]);
    assert_eq!(lab.one().len(), 1000);
    lab.window = 600;
    lab.ack(flow, 1000);
    assert_eq!(lab.one().len(), 600);
}

#[test]
fn our_window_closes_without_shrinking_and_opens_in_steps() {
    // [9293 SHLD-14, MUST-39] [1122-T010] [1122-T061]
    let mut lab = Lab::new(TcpConfig { receive_buffer: 10_000, ..plain_config() });
    let flow = lab.accept();
    let mut edge = 0;
    for index in 0..7u32 {
        let len = if index == 6 { 10_000 - 6 * MSS } else { MSS };
        lab.inject(A, flow.theirs.wrapping_add(index * 1460), flow.ours, &vec![1; len]).unwrap();
        if let Some(ack) = lab.sent().pop() {
            let now_edge = ack.acknowledgment().wrapping_sub(flow.theirs) + u32::from(ack.header.window);
            assert!(now_edge >= edge);
            edge = now_edge;
        }
    }
    lab.advance(ms(40));
    assert_eq!(lab.info(flow).rcv_wnd, 0);
    assert_eq!(
        lab.inject(A, flow.theirs.wrapping_add(10_000), flow.ours, b"x"),
        Err(DropReason::TcpOutOfWindow)
    );
    let ack = lab.one();
    assert_eq!((ack.header.window, ack.acknowledgment()), (0, flow.theirs.wrapping_add(10_000)));
    lab.tcp.recv(lab.now, flow.id, &mut [0; 1000]).unwrap();
    lab.none();
    lab.tcp.recv(lab.now, flow.id, &mut [0; 1000]).unwrap();
    let update = lab.one();
    assert_eq!((update.flags(), update.header.window), (A, 2000));
}

#[test]
fn acknowledgments_resets_and_fins_pass_a_shut_window() {
    // [9293 MUST-66]
    let shut = || {
        let mut lab = Lab::new(TcpConfig { receive_buffer: 2048, ..plain_config() });
        let flow = lab.accept();
        lab.inject(A, flow.theirs, flow.ours, &[1; 2048]).unwrap();
        lab.sent();
        assert_eq!(lab.info(flow).rcv_wnd, 0);
        (lab, flow, flow.theirs.wrapping_add(2048))
    };
    let (mut lab, flow, at) = shut();
    lab.send(flow, b"hello");
    lab.sent();
    assert_eq!(lab.inject(A, at, flow.ours.wrapping_add(5), b"probe"), Err(DropReason::TcpOutOfWindow));
    assert_eq!(lab.info(flow).send_queue_len, 0, "the acknowledgment counts");
    assert_eq!(lab.one().acknowledgment(), at);

    let (mut lab, flow, at) = shut();
    lab.inject(R, at, 0, &[]).unwrap();
    assert_eq!(lab.state(flow), TcpState::Closed);

    // The peer has probed, and stands behind its byte.
    let (mut lab, flow, at) = shut();
    lab.send(flow, b"hello");
    lab.sent();
    lab.inject(A, at.wrapping_add(1), flow.ours.wrapping_add(5), &[]).unwrap();
    assert_eq!(lab.info(flow).send_queue_len, 0, "the acknowledgment counts");
    lab.none();
    let farther = lab.inject(A, at.wrapping_add(2), flow.ours.wrapping_add(5), &[]);
    assert_eq!(farther, Err(DropReason::TcpOutOfWindow));
    // Its reset has to prove itself: it is asked for one at RCV.NXT.
    lab.sent();
    let reset = lab.inject(R, at.wrapping_add(1), 0, &[]);
    assert_eq!(reset, Err(DropReason::TcpBadReset));
    assert_eq!(lab.one().acknowledgment(), at);

    let (mut lab, flow, at) = shut();
    lab.inject(F | A, at, flow.ours, &[]).unwrap();
    assert_eq!(lab.one().acknowledgment(), at.wrapping_add(1));
    assert_eq!(lab.state(flow), TcpState::CloseWait);
}

#[test]
fn an_acknowledgment_at_the_very_edge_counts() {
    let mut lab = Lab::new(TcpConfig { receive_buffer: 4096, ..plain_config() });
    let flow = lab.accept();
    lab.send(flow, b"hello");
    lab.sent();
    // The peer has filled the window, and its first segment was lost.
    lab.inject(A, flow.theirs.wrapping_add(1000), flow.ours, &[1; 1000]).unwrap();
    lab.sent();
    lab.inject(A, flow.theirs.wrapping_add(4096), flow.ours.wrapping_add(5), &[]).unwrap();
    assert_eq!(lab.info(flow).send_queue_len, 0);
}

#[test]
fn windows_are_scaled_by_what_both_syns_said() {
    // [7323-02] [7323-05] [7323-06] [7323-08] [7323-09] [7323-10]
    let config = TcpConfig { timestamps: false, ..TcpConfig::default() };
    let mut lab = Lab::new(config);
    lab.window = 100;
    let flow = lab.accept_with(scaled(3));
    let info = lab.info(flow);
    assert_eq!((info.snd_wnd, info.window_scales), (800, (3, 9)), "the ACK's window is scaled");
    lab.inject(P | A, flow.theirs, flow.ours, &[1; 100]).unwrap();
    let ack = lab.advance(ms(40)).pop().unwrap();
    assert_eq!(u32::from(ack.header.window) << 9, 1 << 20, "100 bytes less, rounded up to the scale");
    assert_eq!(lab.info(flow).rcv_wnd, u32::from(ack.header.window) << 9);
}

#[test]
fn the_window_of_a_syn_that_comes_again_is_not_scaled_either() {
    // [7323-05]: both have opened at once, and the peer's answer repeats its SYN.
    let mut lab = Lab::new(TcpConfig { timestamps: false, ..TcpConfig::default() });
    lab.window = 3000;
    let id = lab.begin_connect();
    let ours = lab.one().sequence().wrapping_add(1);
    lab.inject_header(&TcpHeader { options: scaled(7), ..lab.header(S, IRS, 0) }, &[]).unwrap();
    assert_eq!(lab.one().flags(), S | A);
    lab.inject_header(&TcpHeader { options: scaled(7), ..lab.header(S | A, IRS, ours) }, &[]).unwrap();
    lab.sent();
    let flow = Flow { id, ours, theirs: IRS.wrapping_add(1) };
    assert_eq!(lab.info(flow).snd_wnd, 3000);
    lab.send(flow, &[1; 10 * MSS]);
    let len = lab.sent().iter().map(|sent| sent.text.len()).sum::<usize>();
    assert!(len <= 3000, "{len}");
    lab.inject(A, flow.theirs, flow.ours, &[]).unwrap();
    assert_eq!(lab.info(flow).snd_wnd, 3000 << 7, "what follows is");
}

#[test]
fn the_window_of_a_syn_is_never_scaled() {
    // [7323-01] [7323-05] [7323-17]
    let mut lab = Lab::new(TcpConfig { timestamps: false, ..TcpConfig::default() });
    lab.window = 500;
    let id = lab.begin_connect();
    let syn = lab.one();
    assert_eq!((syn.header.options.window_scale, syn.header.window), (Some(9), 65_535));
    let mut header = lab.header(S | A, IRS, syn.sequence().wrapping_add(1));
    header.options = scaled(5);
    lab.inject_header(&header, &[]).unwrap();
    assert_eq!(lab.tcp.info(id).unwrap().snd_wnd, 500);
    let ack = lab.one();
    assert!(u32::from(ack.header.window) << 9 > 65_535, "what follows is");
}

#[test]
fn scaling_that_the_peer_does_not_know_is_not_used() {
    // [7323-02] [7323-03] [7323-04]
    let mut lab = Lab::new(TcpConfig { timestamps: false, ..TcpConfig::default() });
    lab.listen();
    let syn = lab.header(S, IRS, 0);
    lab.inject_header(&syn, &[]).unwrap();
    let syn_ack = lab.one();
    assert_eq!(syn_ack.header.options.window_scale, None);
    let mut ack = lab.header(A, IRS.wrapping_add(1), syn_ack.sequence().wrapping_add(1));
    ack.options.window_scale = Some(9);
    lab.inject_header(&ack, &[]).unwrap();
    let info = lab.tcp.connections().next().unwrap().1;
    assert_eq!((info.window_scales, info.snd_wnd, info.rcv_wnd), ((0, 0), 65_535, 65_535));
}

#[test]
fn a_shift_beyond_the_limit_is_the_limit() {
    // [7323-11] [7323-12]
    let mut lab = Lab::new(TcpConfig { timestamps: false, ..TcpConfig::default() });
    let flow = lab.accept_with(scaled(200));
    let info = lab.info(flow);
    // [9293 REC-1]
    assert_eq!((info.window_scales.0, info.snd_wnd), (14, 65_535 << 14));
}
