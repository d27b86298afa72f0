//! Super-segments: one plan of many parts, one input that counts as many.

use core::num::NonZeroU16;
use core::time::Duration;

use netloom_base::{Gso, GsoKind};
use netloom_wire::TcpOptions;

use super::lab::*;
use super::pair::{Pair, Script, pattern, with_segmentation};
use crate::tcp::*;

#[test]
fn one_plan_is_as_many_parts_as_the_windows_allow() {
    let mut lab = Lab::new(with_segmentation(plain_config()));
    let flow = lab.accept();
    lab.send(flow, &[1; 20_000]);
    let sent = lab.one();
    assert_eq!(sent.len(), 14_600, "the congestion window");
    let gso = Gso { kind: GsoKind::Tcp4, segment_size: NonZeroU16::new(1460).unwrap(), ecn: false };
    assert_eq!(sent.gso, Some(gso));
    assert_eq!(lab.tcp.counters().segments_sent.get(), 11, "SYN-ACK and ten parts");
    lab.ack(flow, 14_600);
    let rest = lab.one();
    assert_eq!((rest.len(), rest.flags()), (5400, P | A));
}

#[test]
fn a_plan_never_passes_what_a_packet_holds() {
    for (lab, headers) in [
        (Lab::new(with_segmentation(TcpConfig::default())), 20 + 60),
        (Lab::new(with_segmentation(TcpConfig::default())).over_six(), 40 + 60),
    ] {
        let mut lab = lab;
        let flow = lab.accept();
        lab.send(flow, &vec![1; 250_000]);
        let mut acked = 0;
        for _ in 0..20 {
            for sent in lab.sent() {
                assert!(sent.len() + headers <= 65_535);
                acked += sent.len() as u32;
            }
            lab.ack(flow, acked);
        }
        assert_eq!(acked, 250_000);
    }
}

#[test]
fn one_part_is_no_super_segment() {
    let mut lab = Lab::new(with_segmentation(plain_config()));
    let flow = lab.accept();
    lab.send(flow, &[1; 1460]);
    assert_eq!(lab.one().gso, None);
}

#[test]
fn a_received_train_counts_its_parts() {
    let mut lab = Lab::plain();
    let flow = lab.accept();
    // A conversation, so that nothing is acknowledged early.
    lab.inject(P | A, flow.theirs, flow.ours, b"hi").unwrap();
    lab.send(flow, b"x");
    lab.sent();
    let before = lab.tcp.counters().segments_received.get();
    lab.inject_train(flow, 2, &[1; 3 * MSS], 1460).unwrap();
    assert_eq!(lab.tcp.counters().segments_received.get() - before, 3);
    assert_eq!(lab.one().acknowledgment(), flow.theirs.wrapping_add(2 + 3 * 1460), "[9293 SHLD-19]: at once");
    lab.inject_train(flow, 2 + 3 * 1460, &[1; MSS], 1460).unwrap();
    lab.none();
}

#[test]
fn bulk_moves_in_large_pieces_and_whole() {
    for merges in [false, true] {
        let config = with_segmentation(TcpConfig::default());
        let scripts = [Script::sending(pattern(3_000_000, 1)), Script::sending(pattern(1_000_000, 2))];
        let mut pair = Pair::new(1, [config.clone(), config], scripts);
        pair.merges = merges;
        pair.open();
        pair.run_and_check(Duration::from_secs(600));
        let plans = pair.sides[0].tcp.counters();
        assert_eq!(plans.retransmits_total(), 0);
    }
}

#[test]
fn what_comes_behind_a_hole_is_acknowledged_once_with_sack_and_part_by_part_without() {
    // [5681-16]
    for (sack, acks, later) in [(true, 1, 2), (false, 3, 3)] {
        let mut lab = Lab::new(TcpConfig { sack, ..plain_config() });
        let flow =
            lab.accept_with(TcpOptions { mss: Some(1460), sack_permitted: true, ..TcpOptions::default() });
        lab.inject_train(flow, 1460, &[1; 3 * MSS], 1460).unwrap();
        let sent = lab.sent();
        assert_eq!(sent.len(), acks, "SACK {sack}");
        assert!(sent.iter().all(|ack| ack.acknowledgment() == flow.theirs && ack.len() == 0));
        // Of segments that come one by one, before anything could leave, the first are each acknowledged. With SACK the third
        // duplicate is the last that goes alone.
        for part in 5..8 {
            lab.inject(A, flow.theirs.wrapping_add(part * 1460), flow.ours, &[1; MSS]).unwrap();
        }
        assert_eq!(lab.sent().len(), later, "SACK {sack}");
    }
}
