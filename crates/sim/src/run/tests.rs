//! Whether the oracles see what they are there for: each is shown a run that breaks its promise.

mod growth;
mod oracles;
mod shards;

use core::time::Duration;

use netloom_stack::transport::TcpError;

use super::*;
use crate::conversation::Side;
use crate::conversation::end::{Outcome, Untruth};
use crate::conversation::plan::{Finish, Order, Plan, Reading};
use crate::scenario::{Change, DatagramPlan, OffloadPlan, Opening, Restart, Weather};
use netloom_impair::LinkConfig;
use netloom_impair::Share;

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn way() -> LinkConfig {
    LinkConfig { delay: millis(5), ..LinkConfig::default() }
}

fn clear(client: Plan, server: Plan) -> Scenario {
    Scenario::pair(1, Weather::Clear, way(), client, server)
}

fn failure_of(scenario: &Scenario) -> FailureKind {
    run(scenario, None, 1).expect_err("a failure").kind
}

#[test]
fn both_ways_at_once_everything_arrives() {
    let report = run(&clear(Plan::bulk(300_000), Plan::bulk(200_000)), None, 1).unwrap();
    assert_eq!((report.delivered_bytes, report.conversation_count, report.broken_count), (500_000, 1, 0));
    assert_eq!(report.dropped_count, 0);
    assert!(report.duration < Duration::from_secs(2), "{:?}", report.duration);
}

#[test]
fn a_slow_reader_gets_everything_in_its_own_time() {
    let reading = Reading::Slow { len: 10_000, every: millis(500) };
    let report = run(&clear(Plan::bulk(100_000), Plan { reading, ..Plan::bulk(0) }), None, 1).unwrap();
    assert_eq!(report.delivered_bytes, 100_000);
    assert!(report.duration >= Duration::from_secs(5));
}

#[test]
fn a_reset_from_the_peer_is_explained() {
    let server = Plan { finish: Finish::AbortAfter { received: 1_000 }, ..Plan::bulk(0) };
    let report = run(&clear(Plan::bulk(50_000), server), None, 1).unwrap();
    assert_eq!(report.broken_count, 1);
}

#[test]
fn a_port_without_listener_refuses() {
    let mut scenario = clear(Plan::bulk(10), Plan::bulk(10));
    scenario.listeners.clear();
    assert_eq!(run(&scenario, None, 1).unwrap().broken_count, 1);
}

#[test]
fn ends_that_open_at_the_same_instant_meet() {
    let mut scenario = clear(Plan::bulk(50_000), Plan::bulk(60_000));
    scenario.conversations[0].opening = Opening::Simultaneous;
    scenario.listeners.clear();
    let report = run(&scenario, None, 1).unwrap();
    assert_eq!((report.delivered_bytes, report.broken_count), (110_000, 0));
}

#[test]
fn acknowledgments_pass_a_shut_window() {
    // The server does not read for a while, so the client probes; the other way everything goes on without a timeout.
    let reading = Reading::Late { by: Duration::from_secs(3) };
    let mut scenario = clear(Plan::bulk(50_000), Plan { reading, ..Plan::bulk(3_000_000) });
    scenario.hosts[0].tcp.receive_buffer = 20_000;
    scenario.hosts[1].tcp.receive_buffer = 5_000;
    assert_eq!(run(&scenario, None, 1).unwrap().delivered_bytes, 3_050_000);
}

#[test]
fn a_host_that_forgets_resets_what_it_does_not_know() {
    let mut scenario = clear(Plan::bulk(1_000_000), Plan::bulk(0));
    scenario.weather = Weather::Mild;
    scenario.restarts.push(Restart { at: millis(60), host: 1 });
    let report = run(&scenario, None, 1).unwrap();
    assert_eq!(report.broken_count, 1);
    assert!(report.duration < Duration::from_secs(2), "{:?}", report.duration);
}

#[test]
fn a_wrong_byte_fails() {
    let scenario = clear(Plan::bulk(10), Plan::bulk(10));
    let mut world = World::new(&scenario, None, 1).unwrap();
    world.deceive(0, Side::Server);
    let kind = follow(&scenario, &mut world).expect_err("a failure").kind;
    let untruth = Untruth::WrongByte { at: 0 };
    assert!(matches!(kind, FailureKind::Untruth { untruth: it, .. } if it == untruth), "{kind}");
}

#[test]
fn a_conversation_that_waits_for_ever_fails() {
    let waits = |outgoing| Plan {
        order: Order::Turns { sends: outgoing, awaits: 10, begins: false },
        ..Plan::bulk(outgoing)
    };
    let kind = failure_of(&clear(waits(10), waits(10)));
    assert!(matches!(kind, FailureKind::Stuck { sent: (0, 10), .. }), "{kind}");
}

#[test]
fn a_timeout_in_clear_weather_fails() {
    let mut scenario = clear(Plan::bulk(1_000_000), Plan::bulk(0));
    let cut = LinkConfig { is_partitioned: true, ..way() };
    scenario.changes.push(Change { at: millis(20), cable: 0, ways: [cut.clone(), cut] });
    // Without neighbours, who would be the first to be missed.
    scenario.cables[0].medium = netloom_base::Medium::Ip;
    // Nothing is sent to an idle server: it would wait for ever.
    scenario.listeners[0].options.keepalive = Some(netloom_stack::transport::Keepalive {
        idle: millis(60_000),
        interval: millis(10_000),
        probes: 9,
    });
    let kind = failure_of(&scenario);
    let timed_out = Outcome::Failed(TcpError::TimedOut);
    assert!(matches!(kind, FailureKind::Unexplained { outcome, .. } if outcome == timed_out), "{kind}");
    // The same in weather where that happens.
    let broken = run(&Scenario { weather: Weather::Cut, ..scenario }, None, 1).unwrap();
    assert_eq!(broken.broken_count, 1);
}

#[test]
fn an_end_that_gives_up_too_early_fails() {
    // In weather in which connections may time out, and with losses enough.
    let mut scenario = clear(Plan::bulk(1_000_000), Plan::bulk(0));
    scenario.weather = Weather::Cut;
    scenario.cables[0].medium = netloom_base::Medium::Ip;
    scenario.listeners[0].options.keepalive = Some(netloom_stack::transport::Keepalive {
        idle: millis(60_000),
        interval: millis(10_000),
        probes: 9,
    });
    let cut = LinkConfig { is_partitioned: true, ..way() };
    scenario.changes.push(Change { at: millis(20), cable: 0, ways: [cut.clone(), cut.clone()] });
    assert_eq!(run(&scenario, None, 1).unwrap().broken_count, 1);
    let timed_out = Outcome::Failed(TcpError::TimedOut);
    let fails = |scenario: &Scenario| {
        let kind = failure_of(scenario);
        let FailureKind::Unexplained { outcome, side, .. } = kind else { panic!("{kind}") };
        assert_eq!((outcome, side), (timed_out, Side::Client));
    };
    scenario.hosts[0].tcp.retries2 = 3;
    fails(&scenario);
    // A handshake has longer.
    scenario.hosts[0].tcp.retries2 = 15;
    scenario.cables[0].ways = [cut.clone(), cut];
    scenario.changes.clear();
    assert_eq!(run(&scenario, None, 1).unwrap().broken_count, 1);
    scenario.hosts[0].tcp.syn_retries = 6;
    fails(&scenario);
    // Unless its user says so.
    scenario.conversations[0].options.user_timeout = Some(millis(5_000));
    assert_eq!(run(&scenario, None, 1).unwrap().broken_count, 1);
}

#[test]
fn a_retransmission_that_nothing_explains_fails() {
    // Reordered, and said to be clear.
    let way = LinkConfig { reorder: Share::from_percent(10), reorder_by: millis(4), ..way() };
    let kind = failure_of(&Scenario::pair(1, Weather::Clear, way, Plan::bulk(500_000), Plan::bulk(0)));
    assert!(matches!(kind, FailureKind::NeedlessRetransmission { .. }), "{kind}");
}

#[test]
fn what_outlives_its_connection_fails() {
    let mut scenario = clear(Plan::bulk(10), Plan::bulk(10));
    for host in &mut scenario.hosts {
        host.tcp.time_wait = Duration::from_secs(24 * 60 * 60);
    }
    let kind = failure_of(&scenario);
    assert!(matches!(kind, FailureKind::Leak { usage, .. } if usage.time_wait == 1), "{kind}");
}

#[test]
fn damage_is_not_called_nonsense() {
    let way = LinkConfig { corrupt: Share::from_percent(5), ..way() };
    let scenario = Scenario::pair(1, Weather::Rough, way, Plan::bulk(200_000), Plan::bulk(0));
    assert_eq!(run(&scenario, None, 1).unwrap().delivered_bytes, 200_000);
}

#[test]
fn a_run_repeats_frame_by_frame() {
    for seed in [3, 4, 5, 6] {
        let files = [(); 2].map(|()| {
            let mut capture = Capture::default();
            let report = run(&Scenario::from_seed(seed), Some(&mut capture), 1).unwrap();
            let mut file = Vec::new();
            capture.write(&mut file).unwrap();
            (report, capture.frame_count(), file)
        });
        let [(report, frame_count, file), again] = files;
        assert!(frame_count > 0);
        assert!((report, frame_count, file) == again, "seed {seed}");
    }
}

#[test]
fn a_capture_reads_back() {
    let mut capture = Capture::default();
    run(&clear(Plan::bulk(10_000), Plan::bulk(0)), Some(&mut capture), 1).unwrap();
    let mut file = Vec::new();
    capture.write(&mut file).unwrap();
    let mut reader = pcap_file::pcapng::PcapNgReader::new(&file[..]).unwrap();
    let mut count = 0;
    while let Some(block) = reader.next_block() {
        count += usize::from(matches!(block.unwrap(), (pcap_file::pcapng::Block::EnhancedPacket(_), _)));
    }
    assert_eq!(count, capture.frame_count());
}

#[test]
fn a_pause_that_nothing_explains_fails() {
    let mut scenario = clear(Plan::bulk(1_000_000), Plan::bulk(0));
    // The plan of the cable still says 5 ms.
    let far = LinkConfig { delay: millis(3_000), ..way() };
    scenario.changes.push(Change { at: millis(30), cable: 0, ways: [far.clone(), far] });
    let kind = failure_of(&scenario);
    assert!(matches!(kind, FailureKind::Stall { pause, .. } if pause >= millis(2_900)), "{kind}");
}

/// Two hosts on a cable of 10 Mb/s and 10 ms whose queue never overflows.
fn queue(bytes: u64) -> Scenario {
    let way = LinkConfig { rate: core::num::NonZeroU64::new(10_000_000), queue: 100_000, ..way() };
    let mut scenario = Scenario::pair(1, Weather::Clear, way, Plan::bulk(bytes), Plan::bulk(0));
    for host in &mut scenario.hosts {
        (host.tcp.send_buffer, host.tcp.receive_buffer) = (1 << 19, 1 << 19);
    }
    scenario
}

#[test]
fn a_transfer_that_crawls_fails() {
    let mut scenario = queue(2_000_000);
    assert!(run(&scenario, None, 1).unwrap().duration < Duration::from_secs(3));
    // The plan of the cable still says 10 Mb/s.
    let mut slow = scenario.cables[0].ways.clone();
    slow[0].rate = core::num::NonZeroU64::new(1_000_000);
    scenario.changes.push(Change { at: millis(30), cable: 0, ways: slow });
    let kind = failure_of(&scenario);
    assert!(matches!(kind, FailureKind::Slow { conversation: 0, .. }), "{kind}");
}

#[test]
fn devices_that_cut_and_join_change_nothing_but_the_count_of_inputs() {
    let mut scenario = queue(1_000_000);
    scenario.cables[0].ways.iter_mut().for_each(|way| way.rate = core::num::NonZeroU64::new(1_000_000_000));
    let plain = run(&scenario, None, 1).unwrap();
    for host in &mut scenario.hosts {
        host.offload =
            OffloadPlan { segmentation: Some(65_535), moderation: Some(Duration::from_micros(200)) };
    }
    let offloaded = run(&scenario, None, 1).unwrap();
    assert_eq!(offloaded.delivered_bytes, plain.delivered_bytes);
    assert!(offloaded.frame_count < plain.frame_count, "fewer acknowledgments");
}

#[test]
fn a_host_that_fills_no_segment_of_its_own_waits_for_acknowledgments_and_is_explained() {
    // To itself a segment may be as long as 64 KiB, and the send buffer holds less.
    let mut scenario = clear(Plan::bulk(4_000_000), Plan::bulk(0));
    scenario.conversations[0].client = 1;
    scenario.hosts[1].tcp.send_buffer = 55_551;
    scenario.hosts[1].tcp.delayed_ack = millis(102);
    let report = run(&scenario, None, 1).unwrap();
    assert_eq!(report.delivered_bytes, 4_000_000);
    assert!(report.duration > Duration::from_secs(5), "{:?}", report.duration);
}

#[test]
fn a_marking_queue_slows_down_and_loses_nothing() {
    let mut scenario = queue(3_000_000);
    for host in &mut scenario.hosts {
        host.tcp.ecn = netloom_stack::transport::EcnMode::Request;
    }
    for way in &mut scenario.cables[0].ways {
        (way.queue, way.mark_from) = (60, Some(20));
    }
    let report = run(&scenario, None, 1).unwrap();
    assert_eq!((report.delivered_bytes, report.dropped_count), (3_000_000, 0));
    scenario.cables[0].ways[0].mark_from = None;
    assert!(run(&scenario, None, 1).unwrap().dropped_count > 0, "what the marks are for");
}

/// Two hosts of which each has bytes for the other, for some seconds, on a cable whose ends know nothing of `mtu`.
fn black_hole(mtu: Option<u16>) -> Scenario {
    let way = LinkConfig { mtu, rate: core::num::NonZeroU64::new(2_000_000), ..way() };
    Scenario::pair(1, Weather::Mild, way, Plan::bulk(3_000_000), Plan::bulk(2_000_000))
}

/// Runs a scenario in which no connection may fail; how often its hosts have found a black hole, and a larger MTU.
fn path_searches(scenario: &Scenario) -> (u64, u64) {
    let mut world = World::new(scenario, None, 1).unwrap();
    let report = follow(scenario, &mut world).unwrap();
    assert_eq!((report.delivered_bytes, report.broken_count), (5_000_000, 0));
    let counters: Vec<_> = (0..2).flat_map(|host| world.tcp_counters(host)).collect();
    let sum = |count: fn(&netloom_stack::transport::TcpCounters) -> u64| counters.iter().map(count).sum();
    (sum(|it| it.black_holes.get()), sum(|it| it.path_mtu_raised.get()))
}

#[test]
fn a_path_that_swallows_what_its_ends_may_send_is_searched() {
    let (holes, raised) = path_searches(&black_hole(Some(1300)));
    assert_eq!(holes, 2, "one each way");
    assert!(raised > 0, "1300 is more than the base");
    // Twice each way: below the base, too.
    assert_eq!(path_searches(&black_hole(Some(600))).0, 4);

    let mut scenario = black_hole(Some(1300));
    for host in &mut scenario.hosts {
        host.tcp.mtu_probing = false;
    }
    let kind = failure_of(&scenario);
    assert!(matches!(kind, FailureKind::Unexplained { .. }), "{kind}");
}

#[test]
fn a_path_that_narrows_and_widens_again_is_searched() {
    let mut scenario = black_hole(None);
    let wide = scenario.cables[0].ways.clone();
    let narrow = black_hole(Some(900)).cables[0].ways.clone();
    scenario.changes.push(Change { at: millis(300), cable: 0, ways: narrow });
    scenario.changes.push(Change { at: millis(10_000), cable: 0, ways: wide });
    let (holes, raised) = path_searches(&scenario);
    assert!(holes >= 2 && raised >= 2, "{holes} {raised}");
}

#[test]
fn datagrams_come_back_once() {
    let mut scenario = clear(Plan::bulk(10), Plan::bulk(10));
    let flow = DatagramPlan {
        client: 0,
        server: 1,
        is_ipv6: false,
        at: millis(5),
        every: millis(1),
        count: 20,
        len: 500,
    };
    scenario.datagrams.push(flow);
    run(&scenario, None, 1).unwrap();
    // Copied, and said to be clear.
    for way in &mut scenario.cables[0].ways {
        way.duplicate = Share::ALL;
    }
    let kind = failure_of(&scenario);
    assert!(matches!(kind, FailureKind::DatagramCount { flow: 0, count: 20 }), "{kind}");
}

#[test]
fn a_cookie_that_is_lost_leaves_a_client_waiting_and_is_explained() {
    // The client says nothing of itself, and the first acknowledgment meets a pulled cable.
    let mut scenario = clear(Plan::bulk(0), Plan::bulk(1_000));
    scenario.conversations[0].client_plan.order = Order::Turns { sends: 1, awaits: 1_000, begins: false };
    scenario.conversations[0].client_plan.outgoing = 1;
    scenario.cables[0].medium = netloom_base::Medium::Ip;
    scenario.hosts[1].tcp.syn_cookies = netloom_stack::transport::SynCookieMode::Always;
    let ways = scenario.cables[0].ways.clone();
    let cut = LinkConfig { is_partitioned: true, ..way() };
    scenario.changes.push(Change { at: millis(8), cable: 0, ways: [cut, way()] });
    scenario.changes.push(Change { at: millis(50), cable: 0, ways });
    assert_eq!(run(&scenario, None, 1).unwrap().broken_count, 1);
    // Where the handshake is kept, the server asks again.
    scenario.hosts[1].tcp.syn_cookies = netloom_stack::transport::SynCookieMode::Off;
    assert_eq!(run(&scenario, None, 1).unwrap().broken_count, 0);
}

/// Runs a scenario in which the server sends cookies with many seeds; in how many a connection broke.
fn broken_cookies(mut scenario: Scenario) -> usize {
    scenario.weather = Weather::Mild;
    scenario.cables[0].medium = netloom_base::Medium::Ip;
    scenario.hosts[1].tcp.syn_cookies = netloom_stack::transport::SynCookieMode::Always;
    let breaks = |&seed: &u64| run(&Scenario { seed, ..scenario.clone() }, None, 1).unwrap().broken_count > 0;
    (0..100).filter(breaks).count()
}

#[test]
fn a_cookie_that_is_lost_resets_a_client_that_has_closed_and_is_explained() {
    // What comes behind the cookie, and the first text, that were lost tells the server nothing.
    let client = Plan { finish: Finish::CloseWhenSent, ..Plan::bulk(20_000) };
    let mut scenario = clear(client, Plan::bulk(0));
    scenario.cables[0].ways[0].loss = Share::from_percent(30);
    assert!(broken_cookies(scenario) > 0);
}

#[test]
fn a_cookie_that_is_overtaken_leaves_a_server_waiting_and_is_explained() {
    // The client is reset for what came first, and the server then takes what came late for a connection. Its
    // acknowledgment overtakes the reset, so that the client does not contradict.
    let turns = |sends, awaits, begins| Plan {
        order: Order::Turns { sends, awaits, begins },
        ..Plan::bulk(if begins { 2_000 } else { 1_000 })
    };
    let mut scenario = clear(turns(2_000, 1_000, true), turns(1_000, 2_000, false));
    for (way, late) in scenario.cables[0].ways.iter_mut().zip([4, 8]) {
        (way.reorder, way.reorder_by) = (Share::from_percent(40), millis(late));
    }
    assert!(broken_cookies(scenario) > 0);
}

#[test]
fn a_cookie_that_is_overtaken_by_a_reset_leaves_a_server_waiting_and_is_explained() {
    let client = Plan { finish: Finish::AbortAfter { received: 0 }, ..Plan::bulk(0) };
    let mut scenario = clear(client, Plan::bulk(0));
    scenario.conversations[0].server_plan.order = Order::Turns { sends: 1, awaits: 1, begins: false };
    scenario.conversations[0].server_plan.outgoing = 1;
    let way = &mut scenario.cables[0].ways[0];
    (way.reorder, way.reorder_by) = (Share::from_percent(40), millis(4));
    assert!(broken_cookies(scenario) > 0);
}

#[test]
fn a_cookie_that_is_overtaken_resets_a_server_too_and_is_explained_after_it_forgot() {
    // The acknowledgments of the connection that the late cookie opened meet a client that has been reset.
    let mut scenario = clear(Plan::bulk(20_000), Plan::bulk(0));
    for way in &mut scenario.cables[0].ways {
        (way.reorder, way.reorder_by) = (Share::from_percent(40), millis(4));
    }
    assert!(broken_cookies(scenario.clone()) > 0);
    // The server loses its memory before the run is over, and sends no cookie any more.
    scenario.restarts.push(Restart { at: millis(5_000), host: 1 });
    scenario.conversations.push(crate::scenario::ConversationPlan {
        opening: Opening::Simultaneous,
        at: millis(6_000),
        ..scenario.conversations[0].clone()
    });
    assert!(broken_cookies(scenario) > 0);
}

#[test]
fn a_connection_that_a_forgotten_client_left_behind_is_not_taken_for_the_next_one() {
    // It waits to be accepted while the client, who has lost its memory, connects again from the same port.
    let mut scenario = clear(Plan::bulk(0), Plan::bulk(0));
    scenario.weather = Weather::Mild;
    scenario.listeners[0].accept_every = millis(300);
    let first = scenario.conversations[0].clone();
    // One is accepted at once, and keeps the others waiting.
    scenario.conversations = (0..60)
        .map(|number| {
            let at = millis(if number < 30 { number } else { 100 + number });
            crate::scenario::ConversationPlan { at, ..first.clone() }
        })
        .collect();
    scenario.listeners[0].backlog = 128;
    scenario.hosts[0].tcp.ports = netloom_stack::transport::PortRange::new(50_000, 50_063).unwrap();
    scenario.restarts.push(Restart { at: millis(60), host: 0 });
    run(&scenario, None, 1).unwrap();
}

#[test]
fn a_client_that_a_full_queue_kept_out_until_its_users_limit_is_explained() {
    // It has closed, so that nobody hears of it; and nothing was lost.
    let client = Plan { finish: Finish::CloseWhenSent, ..Plan::bulk(31) };
    let mut scenario = clear(client, Plan::bulk(0));
    scenario.conversations[0].options.user_timeout = Some(millis(2_000));
    scenario.conversations = vec![scenario.conversations[0].clone(); 5];
    for (number, plan) in (0..).zip(&mut scenario.conversations) {
        plan.at = millis(number);
    }
    (scenario.listeners[0].backlog, scenario.listeners[0].accept_every) = (1, millis(20_000));
    let report = run(&scenario, None, 1).unwrap();
    assert!(report.broken_count > 0 && report.dropped_count == 0, "{report:?}");
}

#[test]
fn a_full_segment_and_a_small_one_are_not_probed() {
    // The send buffer holds no more than that; what is acknowledged late is probed before.
    let mut scenario = clear(Plan::bulk(100_000), Plan::bulk(0));
    scenario.hosts[0].tcp.send_buffer = 1_700;
    scenario.hosts[1].tcp.delayed_ack = millis(100);
    assert_eq!(run(&scenario, None, 1).unwrap().delivered_bytes, 100_000);
}

#[test]
fn a_receiver_slower_than_a_timeout_is_not_probed_all_along() {
    // A host with itself: each flight is one small segment. Those acknowledged at once bring the round trip down, and the
    // next one is probed.
    let mut scenario = clear(Plan::bulk(2_000_000), Plan::bulk(0));
    scenario.conversations[0].client = 1;
    scenario.hosts[1].tcp.send_buffer = 1_000;
    scenario.hosts[1].tcp.delayed_ack = millis(341);
    assert_eq!(run(&scenario, None, 1).unwrap().delivered_bytes, 2_000_000);
}

#[test]
fn what_a_receiver_has_no_range_for_is_sent_again_and_explained() {
    // Slow start overruns the queue, which then has room for four of five: more holes than the receiver has ranges for.
    let way = LinkConfig {
        rate: core::num::NonZeroU64::new(64_000_000),
        queue: 531,
        delay: Duration::from_micros(32),
        ..LinkConfig::default()
    };
    let mut scenario = Scenario::pair(1, Weather::Clear, way, Plan::bulk(3_000_000), Plan::bulk(0));
    scenario.cables[0].mtu = 576;
    for host in &mut scenario.hosts {
        (host.tcp.send_buffer, host.tcp.receive_buffer) = (1 << 19, 1 << 19);
        (host.tcp.timestamps, host.tcp.congestion) = (false, netloom_stack::transport::Congestion::NewReno);
    }
    scenario.hosts[1].tcp.max_out_of_order_ranges = 5;
    assert_eq!(run(&scenario, None, 1).unwrap().delivered_bytes, 3_000_000);
}
