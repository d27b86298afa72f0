//! Loss recovery with SACK: RACK, the tail loss probe, proportional rate reduction, and what undoes a recovery that was
//! for nothing.

use netloom_wire::{OptionTail, SackBlocks, SeqNumber, TcpHeader, TcpOptions, TcpTimestamps};

use super::lab::*;
use super::pair::with_segmentation;
use crate::tcp::*;

const SMSS: u32 = 1460;

/// A peer that SACKs, with a round trip of `rtt` milliseconds known, and no timestamps.
fn measured(rtt: u64) -> (Lab, Flow) {
    measured_with(rtt, TcpConfig { sack: true, congestion: Congestion::NewReno, ..plain_config() })
}

fn measured_with(rtt: u64, config: TcpConfig) -> (Lab, Flow) {
    let mut lab = Lab::new(config);
    let options = TcpOptions { mss: Some(1460), sack_permitted: true, ..TcpOptions::default() };
    let flow = accept_after(&mut lab, rtt, options);
    (lab, flow)
}

/// The peer connects over a path with this round trip.
pub(super) fn accept_after(lab: &mut Lab, rtt: u64, options: TcpOptions) -> Flow {
    let listener = lab.listen();
    let syn = TcpHeader { options, ..lab.header(S, IRS, 0) };
    lab.inject_header(&syn, &[]).unwrap();
    let syn_ack = lab.one();
    lab.now += ms(rtt);
    let mut ack = lab.header(A, IRS.wrapping_add(1), syn_ack.sequence().wrapping_add(1));
    ack.options.timestamps =
        syn_ack.header.options.timestamps.map(|ours| TcpTimestamps { value: 1, echo_reply: ours.value });
    lab.inject_header(&ack, &[]).unwrap();
    let id = lab.tcp.accept(listener).unwrap().id;
    assert_eq!(lab.tcp.info(id).unwrap().srtt, Some(ms(rtt)));
    Flow { id, ours: syn_ack.sequence().wrapping_add(1), theirs: IRS.wrapping_add(1) }
}

/// The same with `count` full segments in flight.
fn in_flight(rtt: u64, count: usize) -> (Lab, Flow) {
    let (mut lab, flow) = measured(rtt);
    lab.send(flow, &vec![1; count * MSS]);
    assert_eq!(lab.sent().len(), count);
    (lab, flow)
}

fn indices(flow: Flow, sent: &[Sent]) -> Vec<u32> {
    sent.iter().map(|it| it.sequence().wrapping_sub(flow.ours) / SMSS).collect()
}

impl Lab {
    fn sack_header(&self, flow: Flow, smss: u32, acked: u32, blocks: &[(u32, u32)]) -> TcpHeader {
        let mut header = self.header(A, flow.theirs, flow.ours.wrapping_add(acked * smss));
        let mut sack = SackBlocks::default();
        for &(start, end) in blocks {
            let at = |index: u32| SeqNumber(flow.ours.wrapping_add(index.wrapping_mul(smss)));
            sack.push((at(start), at(end)));
        }
        header.options.tail = OptionTail::Sack(sack);
        header
    }

    /// The peer has the first `acked` segments, and those in `blocks`.
    pub(super) fn sack(&mut self, flow: Flow, acked: u32, blocks: &[(u32, u32)]) -> Vec<u32> {
        let header = self.sack_header(flow, SMSS, acked, blocks);
        self.inject_header(&header, &[]).unwrap();
        indices(flow, &self.sent())
    }
}

#[test]
fn what_three_have_overtaken_is_lost_and_sent_again_once() {
    // [8985-01] [8985-14] [6675-08] [2018-09] [9293 MUST-20]
    let (mut lab, flow) = in_flight(100, 10);
    lab.now += ms(100);
    assert!(lab.sack(flow, 0, &[(1, 2)]).is_empty());
    assert!(lab.sack(flow, 0, &[(1, 3)]).is_empty());
    assert_eq!(lab.info(flow).recovery, RecoveryPhase::Open);
    assert_eq!(lab.sack(flow, 0, &[(1, 4)]), [0]);
    let info = lab.info(flow);
    assert_eq!((info.recovery, info.ssthresh), (RecoveryPhase::FastRecovery, Some(5 * SMSS)));
    // Holes that SACK shows are filled; what it covers is not sent again.
    assert!(lab.sack(flow, 0, &[(6, 7), (1, 4)]).iter().all(|index| [4, 5].contains(index)));
    assert_eq!(lab.tcp.counters().retransmits(RetransmitCause::FastRetransmit), 0);
    assert!(lab.tcp.counters().retransmits(RetransmitCause::Rack) >= 1);
    // [6675-09] [5681-27] [5681-35]
    lab.sack(flow, 10, &[]);
    let info = lab.info(flow);
    assert_eq!((info.recovery, info.cwnd), (RecoveryPhase::Open, 5 * SMSS));
}

#[test]
fn parts_of_a_super_segment_that_overtake_count_each() {
    // [8985-01]
    let config = TcpConfig { sack: true, congestion: Congestion::NewReno, ..plain_config() };
    for (blocks, repaired) in [((1, 3), 0), ((1, 4), 1), ((1, 10), 1)] {
        let (mut lab, flow) = measured_with(100, with_segmentation(config.clone()));
        lab.send(flow, &[1; 10 * MSS]);
        assert_eq!(lab.one().len(), 10 * MSS);
        lab.now += ms(100);
        let sent = lab.sack(flow, 0, &[blocks]);
        assert_eq!(sent.iter().filter(|&&index| index == 0).count(), repaired, "{blocks:?}: {sent:?}");
    }
}

#[test]
fn one_that_was_overtaken_has_a_quarter_of_a_round_trip() {
    // [8985-02] [8985-15]
    let (mut lab, flow) = in_flight(100, 2);
    lab.now += ms(100);
    assert!(lab.sack(flow, 0, &[(1, 2)]).is_empty());
    assert!(lab.advance(ms(24)).is_empty());
    assert_eq!(indices(flow, &lab.advance(ms(1))), [0]);
    assert_eq!(lab.tcp.counters().retransmits(RetransmitCause::Rack), 1);
    assert_eq!(lab.info(flow).recovery, RecoveryPhase::FastRecovery);
}

#[test]
fn a_path_that_reorders_is_given_time() {
    // [8985-30] [8985-12] [8985-02]: after the first late one, three that overtake mean nothing.
    let (mut lab, flow) = in_flight(100, 10);
    lab.now += ms(100);
    lab.sack(flow, 0, &[(1, 2)]);
    lab.sack(flow, 2, &[]);
    assert_eq!(lab.info(flow).recovery, RecoveryPhase::Open);
    for end in 4..8 {
        assert!(lab.sack(flow, 2, &[(3, end)]).iter().all(|&index| index >= 10), "new data only");
    }
    let info = lab.info(flow);
    assert_eq!(info.recovery, RecoveryPhase::Open);
    assert_eq!(info.flight_len, info.outstanding_len - 4 * SMSS, "the hole counts as in flight");
    lab.sack(flow, 8, &[]);
    assert!(lab.advance(ms(50)).is_empty());
    assert_eq!(lab.tcp.counters().fast_recoveries.get(), 0);
}

#[test]
fn a_lost_retransmission_is_found_by_what_was_sent_after_it() {
    // [8985-14] [8985-33]
    let (mut lab, flow) = in_flight(100, 10);
    lab.send(flow, &[2; 20 * MSS]);
    lab.now += ms(100);
    lab.sack(flow, 0, &[(1, 2)]);
    lab.sack(flow, 0, &[(1, 3)]);
    lab.now += ms(1);
    assert_eq!(lab.sack(flow, 0, &[(1, 4)]), [0]);
    lab.now += ms(1);
    let mut new = Vec::new();
    for end in 5..=10 {
        new.extend(lab.sack(flow, 0, &[(1, end)]));
    }
    let newest = *new.last().unwrap();
    assert!(newest > 10, "new data went after it");
    lab.now += ms(100);
    let halved = lab.info(flow).ssthresh.unwrap();
    assert_eq!(lab.sack(flow, 0, &[(newest, newest + 1), (1, 10)])[0], 0, "again");
    assert_eq!(lab.info(flow).ssthresh.unwrap(), halved, "one recovery, one reduction");
    assert_eq!(lab.tcp.counters().timeouts_total(), 0);
}

#[test]
fn the_tail_is_probed_after_two_round_trips() {
    // [8985-17] [8985-19] [8985-24] [8985-25] [8985-26]
    let (mut lab, flow) = in_flight(100, 4);
    assert!(lab.advance(ms(201)).is_empty());
    assert_eq!(indices(flow, &lab.advance(ms(1))), [3], "the last one");
    assert_eq!(lab.tcp.counters().retransmits(RetransmitCause::LossProbe), 1);
    assert_eq!(lab.tcp.counters().probes(ProbeCause::Tail), 1);
    // Its acknowledgment shows what was lost before it.
    lab.now += ms(100);
    assert_eq!(lab.sack(flow, 0, &[(3, 4)])[0], 0);
    assert_eq!(lab.info(flow).recovery, RecoveryPhase::FastRecovery);
    assert_eq!(lab.tcp.counters().timeouts_total(), 0);
}

#[test]
fn a_probe_of_the_tail_leaves_the_measurement_before_it_alone() {
    // [6298-08]: the path has become ten times as long, and nothing measures but the clock.
    let (mut lab, flow) = in_flight(10, 4);
    assert_eq!(indices(flow, &lab.advance(ms(22))), [3]);
    lab.now += ms(78);
    lab.sack(flow, 1, &[]);
    assert_eq!(lab.info(flow).srtt, Some(ms(10) * 7 / 8 + ms(100) / 8));
}

#[test]
fn a_repair_before_the_measured_segment_ends_the_measurement() {
    // [6298-08] [1122-T050]: what is acknowledged with it has waited for it.
    let (mut lab, flow) = in_flight(100, 4);
    lab.now += ms(100);
    assert_eq!(lab.sack(flow, 0, &[(1, 4)]), [0]);
    let srtt = lab.info(flow).srtt;
    lab.now += ms(100);
    lab.sack(flow, 4, &[]);
    assert_eq!(lab.info(flow).srtt, srtt);
}

#[test]
fn new_data_is_a_better_probe() {
    // [8985-23]
    let (mut lab, flow) = in_flight(100, 10);
    lab.send(flow, &[2; 2 * MSS]);
    lab.none();
    assert_eq!(indices(flow, &lab.advance(ms(202))), [10], "one beyond the window");
    assert_eq!(lab.tcp.counters().retransmits_total(), 0);
    // [8985-21] [8985-22]: no second probe before this one is answered.
    let sent = lab.advance(ms(90));
    assert!(sent.is_empty(), "{sent:?}");
}

#[test]
fn a_lone_segment_waits_for_a_delayed_acknowledgment() {
    // [8985-19] [8985-20]: 2 * 100 + 200 ms is beyond the timeout, which comes first.
    let (mut lab, flow) = in_flight(100, 1);
    let rto = lab.info(flow).rto;
    assert!(rto < ms(400));
    let start = lab.now;
    while lab.tcp.counters().probes(ProbeCause::Tail) == 0 {
        lab.now = lab.tcp.poll_timeout().unwrap();
        lab.tcp.handle_timeout(lab.now);
        lab.sent();
    }
    assert_eq!(lab.now.saturating_since(start), rto);
    assert_eq!(lab.tcp.counters().timeouts_total(), 0, "the probe went first");
}

#[test]
fn a_loss_that_only_the_probe_repaired_still_counts() {
    // [8985-27] [8985-28]
    let (mut lab, flow) = in_flight(100, 4);
    lab.now += ms(100);
    lab.sack(flow, 3, &[]);
    let probe = lab.advance(ms(400));
    assert_eq!(indices(flow, &probe)[0], 3);
    let before = lab.info(flow).cwnd;
    lab.now += ms(10);
    lab.sack(flow, 4, &[]);
    lab.send(flow, &[1; MSS]);
    lab.one();
    lab.now += ms(100);
    lab.sack(flow, 5, &[]);
    assert!(lab.info(flow).cwnd < before);
}

#[test]
fn a_probe_that_arrived_twice_tells_of_no_loss() {
    // [8985-27] [2883-01]
    let (mut lab, flow) = in_flight(100, 4);
    lab.now += ms(100);
    lab.sack(flow, 3, &[]);
    lab.advance(ms(400));
    let before = lab.info(flow).cwnd;
    lab.sack(flow, 4, &[(3, 4)]);
    lab.send(flow, &[1; MSS]);
    lab.one();
    lab.now += ms(100);
    lab.sack(flow, 5, &[]);
    assert!(lab.info(flow).cwnd >= before);
}

#[test]
fn a_d_sack_of_all_that_went_again_undoes_the_recovery() {
    // [2883-05] [8985-03] [8985-08] [8985-13]
    let (mut lab, flow) = in_flight(100, 10);
    let before = lab.info(flow).cwnd;
    lab.now += ms(100);
    for end in 2..=4 {
        lab.sack(flow, 0, &[(1, end)]);
    }
    assert!(lab.info(flow).cwnd < before);
    lab.sack(flow, 4, &[]);
    lab.sack(flow, 4, &[(0, 1)]);
    let info = lab.info(flow);
    assert_eq!(info.recovery, RecoveryPhase::Open);
    assert!(info.cwnd >= before, "{} < {before}", info.cwnd);
    assert_eq!(lab.tcp.counters().spurious_recoveries.get(), 1);
    // From now on the path is known to reorder.
    for end in 6..=9 {
        assert!(lab.sack(flow, 4, &[(5, end)]).iter().all(|&index| index >= 10));
    }
    assert_eq!(lab.tcp.counters().fast_recoveries.get(), 1);
}

#[test]
fn a_recovery_ends_as_if_it_had_not_been_when_what_seemed_lost_comes_before_its_repair() {
    // RFC 9438 4.9
    let (mut lab, flow) = in_flight(100, 10);
    let before = lab.info(flow);
    lab.now += ms(100);
    let overtaken = lab.sack_header(flow, SMSS, 0, &[(1, 4)]);
    lab.inject_header(&overtaken, &[]).unwrap();
    assert_eq!(lab.info(flow).recovery, RecoveryPhase::FastRecovery);
    // The repair has not left yet: other connections had their turn, or its pace held it back.
    assert!(lab.sack(flow, 4, &[]).is_empty());
    let info = lab.info(flow);
    assert_eq!((info.recovery, info.ssthresh), (RecoveryPhase::Open, before.ssthresh));
    assert!(info.cwnd >= before.cwnd);
    assert_eq!(lab.tcp.counters().spurious_recoveries.get(), 1);
    // Where one of two is missing still, nothing is undone.
    let (mut lab, flow) = in_flight(100, 10);
    lab.now += ms(100);
    for (acked, block) in [(0, (2, 5)), (1, (2, 5))] {
        let header = lab.sack_header(flow, SMSS, acked, &[block]);
        lab.inject_header(&header, &[]).unwrap();
    }
    assert_eq!(lab.info(flow).recovery, RecoveryPhase::FastRecovery);
    assert_eq!(lab.tcp.counters().spurious_recoveries.get(), 0);
}

fn stamped(lab: &mut Lab, flow: Flow, acked: u32, blocks: &[(u32, u32)], echo: u32) -> Vec<u32> {
    let mut header = lab.sack_header(flow, SMSS - 12, acked, blocks);
    header.options.timestamps = Some(TcpTimestamps { value: 1, echo_reply: echo });
    lab.inject_header(&header, &[]).unwrap();
    indices(flow, &lab.sent())
}

#[test]
fn an_echo_of_the_original_undoes_fast_recovery_and_timeouts() {
    // RFC 3522 3.2, RFC 5682 3
    for by_timeout in [false, true] {
        let config =
            TcpConfig { timestamps: true, sack: true, congestion: Congestion::NewReno, ..plain_config() };
        let mut lab = Lab::new(config);
        let timestamps = Some(TcpTimestamps { value: 1, echo_reply: 0 });
        let options =
            TcpOptions { mss: Some(1460), sack_permitted: true, timestamps, ..TcpOptions::default() };
        let flow = accept_after(&mut lab, 100, options);
        lab.send(flow, &[1; 8 * (MSS - 12)]);
        let sent = lab.sent();
        let echo = sent[0].header.options.timestamps.unwrap().value;
        let before = lab.info(flow).cwnd;
        if by_timeout {
            lab.advance(ms(250));
            assert_eq!(lab.tcp.counters().probes(ProbeCause::Tail), 1);
            lab.advance(ms(400));
            assert_eq!(lab.info(flow).recovery, RecoveryPhase::Loss);
        } else {
            lab.now += ms(100);
            for end in 2..=4 {
                stamped(&mut lab, flow, 0, &[(1, end)], echo);
            }
            assert_eq!(lab.info(flow).recovery, RecoveryPhase::FastRecovery);
        }
        assert!(lab.info(flow).cwnd < before);
        stamped(&mut lab, flow, 4, &[], echo);
        let info = lab.info(flow);
        assert_eq!(info.recovery, RecoveryPhase::Open);
        assert!(info.cwnd >= before);
        let counters = lab.tcp.counters();
        let spurious = (counters.spurious_timeouts.get(), counters.spurious_recoveries.get());
        assert_eq!(spurious, if by_timeout { (1, 0) } else { (0, 1) });
        lab.now += ms(10);
        assert!(stamped(&mut lab, flow, 8, &[], echo).is_empty(), "nothing more goes again");
    }
}

#[test]
fn forward_rto_tells_a_late_flight_from_a_lost_one() {
    // RFC 5682 2.1
    for is_late in [true, false] {
        let (mut lab, flow) = in_flight(10, 10);
        lab.send(flow, &[2; 20 * MSS]);
        lab.advance(ms(30));
        assert_eq!(lab.tcp.counters().probes(ProbeCause::Tail), 1);
        lab.advance(ms(220));
        assert_eq!(lab.info(flow).recovery, RecoveryPhase::Loss);
        // The first acknowledgment lets two new ones go, and nothing again.
        lab.now += ms(5);
        assert_eq!(lab.sack(flow, 1, &[]), [11, 12]);
        lab.now += ms(5);
        if is_late {
            lab.sack(flow, 2, &[]);
            assert_eq!(lab.info(flow).recovery, RecoveryPhase::Open);
            assert_eq!(lab.tcp.counters().spurious_timeouts.get(), 1);
            assert!(lab.info(flow).cwnd >= 10 * SMSS);
        } else {
            assert_eq!(lab.sack(flow, 1, &[(11, 12)])[0], 1, "conventional recovery");
            assert_eq!(lab.tcp.counters().spurious_timeouts.get(), 0);
        }
    }
}

#[test]
fn a_timeout_takes_for_lost_what_has_had_its_time_and_no_more() {
    // [8985-16]
    let (mut lab, flow) = in_flight(100, 1);
    lab.now += ms(100);
    lab.ack(flow, SMSS);
    lab.send(flow, &[1; 5 * MSS]);
    // The probe, after two round trips, has the timer begin anew.
    assert_eq!(indices(flow, &lab.advance(ms(430))), [1, 2, 3, 4, 5, 5]);
    lab.send(flow, &[1; 2 * MSS]);
    assert_eq!(indices(flow, &lab.sent()), [6, 7]);
    assert_eq!(lab.info(flow).lost_len, 0);
    assert_eq!(indices(flow, &lab.advance(ms(40))), [1], "SND.UNA goes again");
    let info = lab.info(flow);
    assert_eq!(info.recovery, RecoveryPhase::Loss);
    assert_eq!(info.lost_len, 4 * SMSS, "the two of 40 ms ago may still arrive");
}

#[test]
fn a_timeout_forgets_what_was_reported() {
    // [2018-10] [2018-11] [2018-13] [6675-11]
    let (mut lab, flow) = in_flight(100, 4);
    lab.now += ms(50);
    assert!(lab.sack(flow, 0, &[(2, 3)]).is_empty());
    // What goes again by the reordering timer is lost too, and nothing comes back.
    lab.advance(ms(2000));
    assert!(lab.tcp.counters().timeouts_total() >= 1);
    assert_eq!(lab.info(flow).recovery, RecoveryPhase::Loss);
    let sent = lab.sack(flow, 2, &[]);
    assert!(sent.contains(&2), "the peer may have dropped it: {sent:?}");
}

#[test]
fn blocks_that_cannot_be_are_ignored() {
    // [5961-10]: outside of what is in flight, upside down, empty.
    let (mut lab, flow) = in_flight(100, 4);
    for blocks in [[(4, 9)], [(3, 2)], [(2, 2)], [(0, 1)], [(u32::MAX - 3, u32::MAX - 1)]] {
        assert!(lab.sack(flow, 0, &blocks).is_empty());
        assert_eq!(lab.info(flow).flight_len, 4 * SMSS, "{blocks:?}");
    }
}
