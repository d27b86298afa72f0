//! What the receiver reports: SACK blocks (RFC 2018) and duplicates (RFC 2883).

use core::time::Duration;

use netloom_base::DropReason;
use netloom_wire::{SeqNumber, TcpHeader, TcpOptions, TcpTimestamps};

use super::lab::*;
use super::pair::{Pair, Script, pattern, with_segmentation};
use crate::tcp::*;

fn permitted() -> TcpOptions {
    TcpOptions { mss: Some(1460), sack_permitted: true, ..TcpOptions::default() }
}

fn sacking() -> (Lab, Flow) {
    let mut lab = Lab::new(TcpConfig { sack: true, ..plain_config() });
    let flow = lab.accept_with(permitted());
    (lab, flow)
}

impl Lab {
    /// Text from the peer at `offset` of its stream.
    #[track_caller]
    fn text(&mut self, flow: Flow, offset: u32, len: usize) {
        self.inject(A, flow.theirs.wrapping_add(offset), flow.ours, &vec![7; len]).unwrap();
    }

    /// The blocks of an acknowledgment, as offsets of the peer's stream, and how far it acknowledges.
    #[track_caller]
    fn report(&mut self, flow: Flow) -> (u32, Vec<(u32, u32)>) {
        let sent = self.one();
        assert_eq!((sent.flags(), sent.len()), (A, 0));
        (sent.acknowledgment().wrapping_sub(flow.theirs), blocks(flow, &sent))
    }
}

fn blocks(flow: Flow, sent: &Sent) -> Vec<(u32, u32)> {
    let offset = |sequence: SeqNumber| sequence.0.wrapping_sub(flow.theirs);
    sent.header.options.sack().as_slice().iter().map(|&(start, end)| (offset(start), offset(end))).collect()
}

#[test]
fn sack_is_permitted_by_the_two_syns_only() {
    // [2018-01] [2018-03]
    for (ours, theirs) in [(true, true), (true, false), (false, true), (false, false)] {
        let config = TcpConfig { sack: ours, ..plain_config() };
        let options = TcpOptions { sack_permitted: theirs, ..permitted() };
        let mut lab = Lab::new(config.clone());
        lab.listen();
        let syn = TcpHeader { options, ..lab.header(S, IRS, 0) };
        lab.inject_header(&syn, &[]).unwrap();
        assert_eq!(lab.one().header.options.sack_permitted, ours && theirs, "in the SYN-ACK");

        let mut lab = Lab::new(config.clone());
        let flow = lab.accept_with(options);
        assert_eq!(lab.info(flow).sack, ours && theirs);
        lab.text(flow, 100, 10);
        let ack = lab.one();
        assert_eq!(!ack.header.options.sack().is_empty(), ours && theirs);
        assert!(!ack.header.options.sack_permitted);

        let mut lab = Lab::new(config);
        lab.begin_connect();
        let syn = lab.one();
        assert_eq!(syn.header.options.sack_permitted, ours, "in the SYN");
        let answer = TcpHeader { options, ..lab.header(S | A, IRS, syn.sequence().wrapping_add(1)) };
        lab.inject_header(&answer, &[]).unwrap();
        lab.one();
        let next = IRS.wrapping_add(101);
        lab.inject(A, next, syn.sequence().wrapping_add(1), b"x").unwrap();
        assert_eq!(!lab.one().header.options.sack().is_empty(), ours && theirs);
    }
}

#[test]
fn each_segment_beyond_a_hole_is_reported_first() {
    // [2018-14] [2018-02] [2018-04] [2018-05] [2018-06] [2018-07] [2018-08] [5681-16]
    let (mut lab, flow) = sacking();
    lab.text(flow, 500, 500);
    assert_eq!(lab.report(flow), (0, vec![(500, 1000)]));
    lab.text(flow, 1000, 500);
    assert_eq!(lab.report(flow), (0, vec![(500, 1500)]));
    for (start, end) in [(2000, 2500), (3000, 3500), (4000, 4500)] {
        lab.text(flow, start, 500);
        assert_eq!(lab.report(flow).1.first(), Some(&(start, end)));
    }
    lab.text(flow, 5000, 500);
    assert_eq!(lab.report(flow), (0, vec![(5000, 5500), (4000, 4500), (3000, 3500), (2000, 2500)]));
    // The first hole fills: the acknowledgment moves, and the others are still told.
    lab.text(flow, 0, 500);
    assert_eq!(lab.report(flow), (1500, vec![(5000, 5500), (4000, 4500), (3000, 3500), (2000, 2500)]));
    lab.text(flow, 1500, 4000);
    assert_eq!(lab.report(flow).0, 5500);
    lab.text(flow, 5500, 500);
    let sent = lab.advance(ms(500));
    assert_eq!(sent.len(), 1);
    assert!(blocks(flow, &sent[0]).is_empty());
}

#[test]
fn three_blocks_fit_beside_timestamps() {
    // [2018-07]
    let mut lab = Lab::new(TcpConfig { window_scaling: false, ..TcpConfig::default() });
    let stamps = |value| Some(TcpTimestamps { value, echo_reply: 0 });
    let flow = lab.accept_with(TcpOptions { timestamps: stamps(100), ..permitted() });
    for n in 1..=5 {
        lab.inject_stamped(A, (flow.theirs.wrapping_add(n * 100), flow.ours), (101, 0), b"text").unwrap();
    }
    let sent = lab.sent();
    assert_eq!(sent.len(), 5, "one for each segment");
    assert_eq!(blocks(flow, &sent[4]), [(500, 504), (400, 404), (300, 304)]);
    for (n, sent) in (1..).zip(&sent) {
        assert_eq!(blocks(flow, sent).first(), Some(&(n * 100, n * 100 + 4)), "[2018-06]");
    }
}

#[test]
fn each_hole_that_a_batch_fills_is_told_of() {
    // [2018-06] [2018-07] [5681-16]: a repair that no acknowledgment reports is taken for lost.
    let (mut lab, flow) = sacking();
    for n in 1..=20 {
        lab.text(flow, n * 200, 100);
        lab.sent();
    }
    let filled = [2, 5, 8, 11, 14, 17];
    for n in filled {
        lab.text(flow, n * 200 + 100, 100);
    }
    // What only makes the last one longer is told with it.
    lab.text(flow, 3700, 50);
    let sent = lab.sent();
    let first: Vec<_> = sent.iter().filter_map(|sent| blocks(flow, sent).first().copied()).collect();
    let mut expected = filled.map(|n| (n * 200, n * 200 + 300));
    expected[5] = (3400, 3750);
    assert_eq!(first, expected);
}

#[test]
fn reports_go_ahead_of_full_segments_and_ride_on_small_ones() {
    // [2018-02]
    let (mut lab, flow) = sacking();
    lab.send(flow, &[1; 3 * MSS]);
    lab.text(flow, 100, 10);
    let sent = lab.sent();
    assert_eq!(sent.iter().map(Sent::len).collect::<Vec<_>>(), [0, MSS, MSS, MSS]);
    assert_eq!(blocks(flow, &sent[0]), [(100, 110)]);
    assert!(blocks(flow, &sent[3]).is_empty(), "a full segment has no room");
    lab.ack(flow, 3 * MSS as u32);
    // One that is small has room for what is known still.
    lab.send(flow, &[1; MSS - 12]);
    assert_eq!(blocks(flow, &lab.one()), [(100, 110)]);
    lab.ack(flow, 4 * MSS as u32 - 12);
    lab.send(flow, &[1; MSS - 11]);
    assert!(blocks(flow, &lab.one()).is_empty());
}

#[test]
fn super_segments_carry_no_blocks() {
    let mut lab = Lab::new(with_segmentation(TcpConfig { sack: true, ..plain_config() }));
    let flow = lab.accept_with(permitted());
    lab.text(flow, 100, 10);
    assert_eq!(lab.report(flow).1, [(100, 110)]);
    lab.send(flow, &[1; 3 * MSS + 5]);
    let sent = lab.one();
    assert!(sent.gso.is_some() && sent.header.options.sack().is_empty());
}

#[test]
fn what_came_before_the_window_is_reported_as_a_duplicate() {
    // [2883-01] [2883-02] [2883-04]
    let (mut lab, flow) = sacking();
    lab.text(flow, 0, 1000);
    lab.sent();
    let again = lab.inject(A, flow.theirs, flow.ours, &[7; 1000]);
    assert_eq!(again, Err(DropReason::TcpOutOfWindow));
    assert_eq!(lab.report(flow), (1000, vec![(0, 1000)]));
    assert_eq!(lab.tcp.counters().duplicates_reported.get(), 1);
    // Only once, and with what is known besides.
    lab.text(flow, 2000, 500);
    assert_eq!(lab.report(flow), (1000, vec![(2000, 2500)]));
    let _ = lab.inject(A, flow.theirs.wrapping_add(500), flow.ours, &[7; 300]);
    assert_eq!(lab.report(flow), (1000, vec![(500, 800), (2000, 2500)]));
    // A segment that is partly new.
    lab.text(flow, 900, 500);
    assert_eq!(lab.report(flow), (1400, vec![(900, 1000), (2000, 2500)]));
}

#[test]
fn what_came_beyond_the_hole_is_reported_with_its_range() {
    // [2883-03]: RFC 2883 4.2.3
    let (mut lab, flow) = sacking();
    for (start, len) in [(3500, 500), (1500, 500), (2500, 500)] {
        lab.text(flow, start, len);
        lab.report(flow);
    }
    lab.text(flow, 1500, 1500);
    assert_eq!(lab.report(flow), (0, vec![(1500, 2000), (1500, 3000), (3500, 4000)]));
    lab.text(flow, 3600, 100);
    assert_eq!(lab.report(flow), (0, vec![(3600, 3700), (3500, 4000), (1500, 3000)]));
    // In order, and over what was there.
    lab.text(flow, 0, 2000);
    assert_eq!(lab.report(flow), (3000, vec![(1500, 2000), (3500, 4000)]));
}

#[test]
fn probes_with_a_byte_of_garbage_are_reported_and_others_are_not() {
    // RFC 2883 4: a keep-alive with text, a probe of a shut window; one without text has nothing to report.
    let (mut lab, flow) = sacking();
    lab.text(flow, 0, 100);
    lab.advance(ms(500));
    let _ = lab.inject(A, flow.theirs.wrapping_add(99), flow.ours, b"x");
    assert_eq!(lab.report(flow), (100, vec![(99, 100)]));
    let _ = lab.inject(A, flow.theirs.wrapping_add(99), flow.ours, &[]);
    assert_eq!(lab.report(flow), (100, vec![]));
}

#[test]
fn each_of_several_duplicates_in_a_batch_is_reported() {
    // [2883-02]
    let (mut lab, flow) = sacking();
    lab.text(flow, 0, 3000);
    lab.sent();
    for offset in [0, 1000, 2500] {
        let _ = lab.inject(A, flow.theirs.wrapping_add(offset), flow.ours, &[7; 500]);
    }
    let sent = lab.sent();
    let reported: Vec<_> = sent.iter().map(|sent| blocks(flow, sent)).collect();
    assert_eq!(reported, [vec![(0, 500)], vec![(1000, 1500)], vec![(2500, 3000)]]);
}

#[test]
fn an_old_timestamp_does_not_hide_a_duplicate() {
    // RFC 2883 4.3
    let mut lab = Lab::new(TcpConfig { window_scaling: false, ..TcpConfig::default() });
    let stamps = Some(TcpTimestamps { value: 100, echo_reply: 0 });
    let flow = lab.accept_with(TcpOptions { timestamps: stamps, ..permitted() });
    lab.inject_stamped(A, (flow.theirs, flow.ours), (200, 0), &[7; 500]).unwrap();
    lab.sent();
    let old = lab.inject_stamped(A, (flow.theirs, flow.ours), (150, 0), &[7; 500]);
    assert_eq!(old, Err(DropReason::TcpPaws));
    assert_eq!(lab.report(flow), (500, vec![(0, 500)]));
}

#[test]
fn a_reset_carries_no_blocks() {
    let (mut lab, flow) = sacking();
    lab.text(flow, 100, 10);
    lab.sent();
    lab.tcp.abort(lab.now, flow.id);
    assert!(lab.one().header.options.sack().is_empty());
}

/// Two stacks that lose, repeat and swap packets: the oracle is the bytes, and that there was something to report.
#[test]
fn a_stream_over_a_bad_link_is_reported_and_arrives() {
    for seed in 0..8 {
        let scripts = [Script::sending(pattern(300_000, 1)), Script::sending(pattern(200_000, 2))];
        let mut pair = Pair::new(seed, [TcpConfig::default(), TcpConfig::default()], scripts);
        pair.faults.loss = 20;
        pair.faults.duplicate = 20;
        pair.faults.reorder = 30;
        pair.open();
        pair.run_and_check(Duration::from_secs(600));
        let reported: u64 = pair.sides.iter().map(|side| side.tcp.counters().duplicates_reported.get()).sum();
        assert!(reported > 0, "seed {seed}");
    }
}

/// An acknowledgment has room for one duplicate. What was left is told no more when the connection is idle, and keeps nothing.
#[test]
fn a_duplicate_that_was_not_told_of_is_forgotten_in_the_end() {
    let (mut lab, flow) = sacking();
    lab.text(flow, 0, 10);
    lab.sent();
    lab.text(flow, 0, 12);
    lab.text(flow, 5, 15);
    assert_eq!(lab.report(flow), (20, vec![(0, 10)]));
    assert_eq!(lab.read(flow).len(), 20);
    lab.advance(Duration::from_secs(5));
    assert_eq!((lab.tcp.usage().buffer_bytes, lab.tcp.usage().timers), (0, 0));
}
