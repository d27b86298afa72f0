//! Paths that take less than the interface, and say so or do not.

use core::time::Duration;

use netloom_wire::{TcpOptions, every_hosts_mtu, ip_header_len};

use super::icmp::report_too_big;
use super::lab::*;
use super::pair::{Faults, Pair, Script, pattern, with_segmentation};
use crate::tcp::*;

const LEN: usize = 600_000;

/// What both ends agree on, by turns.
fn configs() -> [TcpConfig; 4] {
    let full = TcpConfig::default();
    [
        full.clone(),
        TcpConfig { sack: false, timestamps: false, ..full.clone() },
        TcpConfig { timestamps: false, congestion: Congestion::NewReno, ..full.clone() },
        with_segmentation(TcpConfig { sack: false, ..full }),
    ]
}

/// Two ends that have opened, and a path that takes `path_mtu` bytes. They send when they are told to.
fn pair(seed: u64, config: &TcpConfig, path_mtu: u16, is_six: bool) -> Pair {
    let silent = Script { half_closes: false, ..Script::sending(Vec::new()) };
    let mut pair = Pair::new(seed, [config.clone(), config.clone()], [silent.clone(), silent]);
    if is_six {
        pair = pair.over_six();
    }
    pair.faults.path_mtu = path_mtu;
    pair.open();
    pair
}

/// One end sends `len` bytes more; how long it took until all had arrived. Then it waits for the acknowledgments.
#[track_caller]
fn send(pair: &mut Pair, from: usize, len: usize) -> Duration {
    let began = pair.now;
    pair.sides[from].script.to_send.extend(pattern(len, 3));
    let total = pair.sides[from].script.to_send.len();
    while pair.sides[1 - from].received.len() < total {
        assert!(pair.step(), "it goes on");
        assert!(pair.now.saturating_since(began) < Duration::from_secs(120), "{:?}", info(pair, from));
    }
    let took = pair.now.saturating_since(began);
    assert!(pair.sides[1 - from].received == pair.sides[from].script.to_send);
    while info(pair, from).outstanding_len > 0 {
        assert!(pair.step());
    }
    took
}

fn info(pair: &Pair, side: usize) -> TcpInfo {
    pair.sides[side].tcp.info(pair.sides[side].id.unwrap()).unwrap()
}

/// One end sends now and then, until there is nothing to search; what it has found.
fn search_to_its_end(pair: &mut Pair, from: usize) -> u16 {
    for _ in 0..40 {
        let Some(search) = info(pair, from).path_mtu_search else { break };
        if search.not_before > pair.now + Duration::from_secs(300) {
            break;
        }
        pair.now = pair.now.max(search.not_before);
        send(pair, from, 50_000);
    }
    info(pair, from).path_mtu
}

/// Both ends finish what they have to say.
#[track_caller]
fn finish(pair: &mut Pair) {
    pair.sides.iter_mut().for_each(|side| side.script.half_closes = true);
    pair.run_and_check(Duration::from_secs(300));
}

#[test]
fn a_black_hole_is_found_and_searched_in_every_variant() {
    // [4821-01] [4821-02] [4821-10] [8899-01]
    for (index, config) in configs().iter().enumerate() {
        for is_six in [false, true] {
            for path_mtu in [1280, 1400, 1492] {
                for from in 0..2 {
                    let mut pair = pair(index as u64, config, path_mtu, is_six);
                    let took = send(&mut pair, from, LEN);
                    let counters = pair.sides[from].tcp.counters();
                    let case = format!("variant {index}, IPv6 {is_six}, {path_mtu}, from {from}: {took:?}");
                    assert_eq!(counters.black_holes.get(), 1, "{case}");
                    assert!(took < ms(4000), "{case}");
                    assert!(counters.probes(ProbeCause::PathMtu) > 0, "{case}");
                    assert!(counters.retransmits(RetransmitCause::MtuProbe) > 0, "{case}");
                    assert_eq!(counters.fast_recoveries.get(), 0, "{case}");
                    let mtu = search_to_its_end(&mut pair, from);
                    assert!(
                        mtu <= path_mtu && path_mtu - mtu < 12,
                        "{case}: found {mtu}, {:#?}",
                        info(&pair, from)
                    );
                    assert_eq!(pair.sides[from].tcp.counters().fast_recoveries.get(), 0, "{case}");
                    finish(&mut pair);
                }
            }
        }
    }
}

#[test]
fn small_segments_that_go_again_as_a_large_one_find_a_black_hole() {
    // [4821-10]: what was lost are small writes; the timer sends them again in one segment.
    let mut pair = pair(12, &TcpConfig::default(), 1000, false);
    send(&mut pair, 0, 100);
    let (now, id) = (pair.now, pair.sides[0].id.unwrap());
    pair.sides[0].tcp.set_nodelay(now, id, true).unwrap();
    pair.faults.loss = 1000;
    let before = info(&pair, 0).text_segments_sent;
    for _ in 0..8 {
        pair.sides[0].script.to_send.extend(pattern(200, 3));
        pair.settle();
    }
    assert_eq!((info(&pair, 0).outstanding_len, info(&pair, 0).text_segments_sent - before), (1600, 8));
    pair.faults.loss = 0;
    send(&mut pair, 0, 0);
    assert!(info(&pair, 0).path_mtu <= 1000);
    finish(&mut pair);
}

#[test]
fn both_ends_find_their_way_at_once() {
    let mut pair = pair(5, &TcpConfig::default(), 1300, false);
    pair.sides[1].script.to_send = pattern(LEN, 1);
    send(&mut pair, 0, LEN);
    finish(&mut pair);
    assert!(pair.sides.iter().all(|side| side.tcp.counters().black_holes.get() == 1));
}

#[test]
fn a_path_narrower_than_most_is_found_in_the_second_step() {
    // [4821-10]
    let mut pair = pair(6, &TcpConfig::default(), 1000, false);
    send(&mut pair, 0, 4 * LEN);
    assert_eq!(pair.sides[0].tcp.counters().black_holes.get(), 2);
    let mtu = search_to_its_end(&mut pair, 0);
    assert!((989..=1000).contains(&mtu), "{mtu}");
    finish(&mut pair);
}

#[test]
fn losses_beside_a_probe_leave_its_size_open() {
    // [4821-06]
    for seed in 0..8 {
        let mut pair = pair(seed, &TcpConfig::default(), 1400, seed % 2 == 1);
        pair.faults.loss = 20;
        send(&mut pair, 0, 3 * LEN);
        let mtu = info(&pair, 0).path_mtu;
        assert!((1200..=1400).contains(&mtu), "{mtu}");
        finish(&mut pair);
    }
}

#[test]
fn an_outage_costs_one_probe_and_no_size() {
    let mut pair = pair(7, &TcpConfig::default(), u16::MAX, false);
    send(&mut pair, 0, LEN);
    assert_eq!(pair.sides[0].tcp.counters().probes(ProbeCause::PathMtu), 0, "nothing to search");
    assert_eq!(info(&pair, 0).path_mtu_search, None);
    pair.faults.loss = 1000;
    pair.sides[0].script.to_send.extend(pattern(LEN, 4));
    while pair.sides[0].tcp.counters().black_holes.get() == 0 {
        assert!(pair.step(), "{:#?}", info(&pair, 0));
    }
    assert_eq!(info(&pair, 0).path_mtu, 1200);
    pair.faults = Faults::default();
    send(&mut pair, 0, LEN);
    let counters = pair.sides[0].tcp.counters();
    assert_eq!((info(&pair, 0).path_mtu, counters.probes(ProbeCause::PathMtu)), (1500, 1));
    assert_eq!(counters.path_mtu_raised.get(), 1);
    finish(&mut pair);
}

#[test]
fn a_path_that_grows_again_is_noticed_after_ten_minutes() {
    // [4821-09] [8899-02]
    for is_six in [false, true] {
        let mut pair = pair(8, &TcpConfig::default(), 1400, is_six);
        send(&mut pair, 0, LEN);
        assert!(search_to_its_end(&mut pair, 0) > 1388);
        let known = info(&pair, 0);
        pair.faults.path_mtu = u16::MAX;
        pair.now += Duration::from_secs(500);
        send(&mut pair, 0, LEN);
        assert_eq!(info(&pair, 0).mss, known.mss, "too early");
        pair.now += Duration::from_secs(120);
        send(&mut pair, 0, LEN);
        assert_eq!(info(&pair, 0).path_mtu, 1500);
        assert_eq!(info(&pair, 0).mss, 1500 - u32::from(ip_header_len(pair.sides[0].address)) - 32);
        finish(&mut pair);
    }
}

#[test]
fn a_size_that_one_probe_passed_and_others_do_not_is_given_up() {
    // [4821-12]
    let mut pair = pair(9, &TcpConfig::default(), 1400, false);
    send(&mut pair, 0, LEN);
    pair.faults.path_mtu = u16::MAX;
    let raised = pair.sides[0].tcp.counters().path_mtu_raised.get();
    pair.now += Duration::from_secs(20);
    pair.sides[0].script.to_send.extend(pattern(LEN, 4));
    while pair.sides[0].tcp.counters().path_mtu_raised.get() == raised {
        assert!(pair.step(), "{:#?}", info(&pair, 0));
    }
    pair.faults.path_mtu = 1400;
    send(&mut pair, 0, 0);
    assert!(info(&pair, 0).path_mtu <= 1400);
    finish(&mut pair);
}

#[test]
fn without_probing_only_routers_say_what_the_path_takes() {
    let config = TcpConfig { mtu_probing: false, ..TcpConfig::default() };
    let mut pair = pair(10, &config, 1400, false);
    pair.sides[0].script.to_send = pattern(LEN, 1);
    while pair.sides[0].tcp.counters().timeouts(RtoCause::Data) < 4 {
        assert!(pair.step(), "{:#?}", info(&pair, 0));
    }
    assert_eq!((info(&pair, 0).path_mtu, pair.sides[0].tcp.counters().black_holes.get()), (1500, 0));
}

#[test]
fn where_the_search_begins_is_configured() {
    // [4821-11] [8899-01]
    for (base, is_six, lowered_to) in
        [(1200, false, 1200), (1000, false, 1000), (1000, true, 1280), (68, false, 552)]
    {
        let config = TcpConfig { base_path_mtu: base, ..TcpConfig::default() };
        let mut pair = pair(11, &config, 500, is_six);
        pair.sides[0].script.to_send = pattern(LEN, 1);
        while pair.sides[0].tcp.counters().black_holes.get() == 0 {
            assert!(pair.step());
        }
        assert_eq!(info(&pair, 0).path_mtu, lowered_to);
    }
}

/// A window's worth of text, all of it acknowledged, until a probe leaves; as many rounds as there are at most.
pub(super) fn until_probe(lab: &mut Lab, flow: Flow, acked: &mut u32, rounds: u32) -> Option<Sent> {
    for _ in 0..rounds {
        lab.send(flow, &[7; 40_000]);
        for sent in lab.sent() {
            if sent.len() > lab.info(flow).mss as usize && sent.gso.is_none() {
                return Some(sent);
            }
            *acked = sent.sequence().wrapping_sub(flow.ours) + sent.len() as u32;
        }
        lab.ack(flow, *acked);
        lab.now += ms(10);
    }
    None
}

#[test]
fn a_routers_word_is_believed_for_ten_minutes() {
    // [1191-02] [8201-02] [4821-07]
    for mut lab in [Lab::plain(), Lab::plain().over_six()] {
        let headers = u32::from(ip_header_len(lab.local)) + 20;
        let flow = lab.accept();
        lab.send(flow, &[1; 5000]);
        lab.sent();
        report_too_big(&mut lab, 1300, flow.ours);
        lab.sent();
        let mut acked = 5000;
        lab.ack(flow, acked);
        assert_eq!(lab.info(flow).path_mtu, 1300);
        assert_eq!(until_probe(&mut lab, flow, &mut acked, 50), None);
        lab.now += Duration::from_secs(590);
        assert_eq!(until_probe(&mut lab, flow, &mut acked, 50), None);
        lab.now += Duration::from_secs(10);
        let probe = until_probe(&mut lab, flow, &mut acked, 50).expect("a probe");
        assert_eq!(probe.len() as u32, 1500 - headers);
        assert_eq!(lab.info(flow).path_mtu_search.unwrap().probing, Some(1500));

        // Somebody who does not see it cannot end it.
        let cwnd = lab.info(flow).cwnd;
        report_too_big(&mut lab, 1400, probe.sequence().wrapping_add(1));
        assert_eq!(lab.info(flow).path_mtu_search.unwrap().probing, Some(1500));
        // A router's word about the probe itself is taken at once.
        report_too_big(&mut lab, 1400, probe.sequence());
        let info = lab.info(flow);
        assert_eq!((info.path_mtu, info.cwnd, info.recovery), (1300, cwnd, RecoveryPhase::Open));
        assert_eq!(info.path_mtu_search.unwrap().limit, 1400);
        let again = lab.sent();
        assert_eq!(again.iter().map(Sent::len).sum::<usize>() as u32, 1500 - headers);
        assert_eq!(again[0].sequence(), probe.sequence());
        lab.now += Duration::from_secs(60);
        let probe = until_probe(&mut lab, flow, &mut acked, 50).expect("another");
        assert_eq!(probe.len() as u32, 1400 - headers);
        lab.ack(flow, probe.sequence().wrapping_sub(flow.ours) + probe.len() as u32);
        assert_eq!(lab.info(flow).path_mtu, 1400);
        assert!(every_hosts_mtu(lab.local) < 1300);
    }
}

#[test]
fn a_probe_waits_for_text_a_window_and_quiet() {
    // [4821-03] [4821-04] [4821-05]
    let mut lab = Lab::plain();
    let flow = lab.accept();
    lab.send(flow, &[1; 5000]);
    lab.sent();
    report_too_big(&mut lab, 1300, flow.ours);
    lab.sent();
    lab.ack(flow, 5000);
    lab.now += Duration::from_secs(600);
    // Not enough behind it.
    lab.send(flow, &[1; 1460 + 3 * 1260 - 1]);
    assert!(lab.sent().iter().all(|sent| sent.len() <= 1260));
    let acked = 5000 + 1460 + 3 * 1260 - 1;
    // Not enough room in the peer's window.
    lab.window = 5000;
    lab.ack(flow, acked);
    lab.send(flow, &[1; 20_000]);
    assert!(lab.sent().iter().all(|sent| sent.len() <= 1260));
    assert_eq!(lab.tcp.counters().probes(ProbeCause::PathMtu), 0);
    lab.window = 60_000;
    lab.ack(flow, acked + 3 * 1260);
    assert_eq!(lab.sent()[0].len(), 1460);
    assert_eq!(lab.tcp.counters().probes(ProbeCause::PathMtu), 1);
}

#[test]
fn a_lost_probe_is_no_congestion_and_the_next_one_waits() {
    // [4821-02] [4821-07]
    let mut lab = Lab::new(TcpConfig { sack: true, ..plain_config() });
    let flow = lab.accept_with(TcpOptions { mss: Some(1460), sack_permitted: true, ..TcpOptions::default() });
    lab.send(flow, &[1; 5000]);
    lab.sent();
    report_too_big(&mut lab, 1300, flow.ours);
    lab.sent();
    let mut acked = 5000;
    lab.ack(flow, acked);
    lab.now += Duration::from_secs(600);
    lab.send(flow, &[1; 30_000]);
    let sent = lab.sent();
    assert_eq!(sent[0].len(), 1460, "the probe is first: {:?}", lab.info(flow));
    let before = lab.info(flow);
    lab.now += ms(20);
    for followers in 2..=4 {
        let mut header = lab.header(A, flow.theirs, flow.ours.wrapping_add(acked));
        let start = sent[1].header.sequence;
        header.options.tail = one_block(start, start + (followers - 1) * 1260);
        lab.inject_header(&header, &[]).unwrap();
    }
    let again = lab.sent();
    assert_eq!(again[..2].iter().map(Sent::len).collect::<Vec<_>>(), [1260, 200]);
    assert_eq!(again[0].sequence(), sent[0].sequence());
    let info = lab.info(flow);
    assert_eq!((info.recovery, info.ssthresh), (RecoveryPhase::Open, before.ssthresh));
    assert!(info.cwnd >= before.cwnd);
    let counters = lab.tcp.counters();
    assert_eq!((counters.fast_recoveries.get(), counters.retransmits(RetransmitCause::MtuProbe)), (0, 2));
    let search = info.path_mtu_search.unwrap();
    assert_eq!((search.limit, search.probing), (1499, None));
    let wait = search.not_before.saturating_since(lab.now);
    assert!(wait >= info.srtt.unwrap() * (info.cwnd / info.mss - 1), "{wait:?}");
    // What is not the probe is congestion as ever.
    acked += 1460 + 3 * 1260;
    lab.now += ms(20);
    let mut header = lab.header(A, flow.theirs, flow.ours.wrapping_add(acked));
    header.options.tail = one_block(sent[5].header.sequence, sent[7].header.sequence + 1260);
    lab.inject_header(&header, &[]).unwrap();
    lab.advance(ms(20));
    assert_eq!(lab.tcp.counters().fast_recoveries.get(), 1);
}

#[test]
fn a_probe_that_costs_a_timeout_keeps_the_next_one_back_longer() {
    // [4821-08]
    let mut lab = Lab::plain();
    let flow = lab.accept();
    lab.send(flow, &[1; 5000]);
    lab.sent();
    report_too_big(&mut lab, 1300, flow.ours);
    lab.sent();
    lab.ack(flow, 5000);
    lab.now += Duration::from_secs(600);
    lab.send(flow, &[1; 30_000]);
    assert_eq!(lab.sent()[0].len(), 1460);
    let rto = lab.info(flow).rto;
    lab.advance(rto);
    let info = lab.info(flow);
    let search = info.path_mtu_search.unwrap();
    assert_eq!((info.timeouts, search.limit, search.probing), (1, 1499, None));
    assert_eq!(
        search.not_before,
        lab.now + info.srtt.unwrap_or(ms(1000)) * 5,
        "the window is one segment now"
    );
}
