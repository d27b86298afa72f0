//! Oracles that no stack of ours sets off: each is shown a world that was tampered with.

use super::*;

/// A scenario of a short conversation that begins after a second, and 20 datagrams before it.
fn datagrams_first() -> Scenario {
    let mut scenario = clear(Plan::bulk(10), Plan::bulk(10));
    scenario.conversations[0].at = millis(1_000);
    scenario.cables[0].medium = netloom_base::Medium::Ip;
    scenario.datagrams.push(DatagramPlan {
        client: 0,
        server: 1,
        is_ipv6: false,
        at: Duration::ZERO,
        every: millis(1),
        count: 20,
        len: 500,
    });
    scenario
}

/// Runs a scenario up to the first step after which `is_time`, tampers with its world, and goes on; how that fails.
fn failure_after(
    scenario: &Scenario,
    is_time: fn(&World<'_>) -> bool,
    tamper: fn(&mut World<'_>),
) -> FailureKind {
    let mut world = World::new(scenario, None, 1).unwrap();
    while !is_time(&world) {
        world.step(Instant::ZERO + LIMIT).unwrap();
    }
    tamper(&mut world);
    follow(scenario, &mut world).expect_err("a failure").kind
}

#[test]
fn an_assertion_that_fails_is_a_failure_of_the_run() {
    let failure = guard(|| panic!("{} is not what it should be", "something")).unwrap_err();
    let is_said = |message: &str| message == "something is not what it should be";
    assert!(matches!(&failure.kind, FailureKind::Panic(message) if is_said(message)), "{failure}");
}

#[test]
fn a_run_without_end_fails() {
    let reading = Reading::Slow { len: 1, every: Duration::from_secs(20 * 60) };
    let kind = failure_of(&clear(Plan::bulk(1_000), Plan { reading, ..Plan::bulk(0) }));
    assert!(matches!(kind, FailureKind::TooLong { open_count: 1 }), "{kind}");
}

#[test]
fn time_that_stands_still_fails() {
    // A cable that takes no time: each window is acknowledged at the instant at which it was sent.
    let scenario =
        Scenario::pair(1, Weather::Clear, LinkConfig::default(), Plan::bulk(1 << 30), Plan::bulk(0));
    let mut scenario = scenario;
    for host in &mut scenario.hosts {
        (host.tcp.send_buffer, host.tcp.receive_buffer) = (8_000, 8_000);
    }
    let kind = failure_of(&scenario);
    assert!(matches!(kind, FailureKind::Livelock { .. }), "{kind}");
}

#[test]
fn too_much_sent_again_fails() {
    // Nothing is lost or overtaken, but the way becomes longer than the timeout time and again.
    let mut scenario = clear(Plan::bulk(30_000_000), Plan::bulk(0));
    scenario.weather = Weather::Mild;
    for host in &mut scenario.hosts {
        (host.tcp.send_buffer, host.tcp.receive_buffer) = (20_000, 20_000);
    }
    let near = LinkConfig { rate: core::num::NonZeroU64::new(1_000_000), ..way() };
    let far = LinkConfig { delay: millis(3_000), ..near.clone() };
    scenario.cables[0].ways = [near.clone(), near.clone()];
    for round in 0..200 {
        let at = millis(1_000 + round * 6_000);
        scenario.changes.push(Change { at, cable: 0, ways: [far.clone(), near.clone()] });
        scenario.changes.push(Change {
            at: at + millis(1_000),
            cable: 0,
            ways: [near.clone(), near.clone()],
        });
    }
    let kind = failure_of(&scenario);
    assert!(matches!(kind, FailureKind::TooManyRetransmissions { .. }), "{kind}");
}

#[test]
fn a_datagram_that_comes_back_changed_fails() {
    let has_sent = |world: &World<'_>| world.traffic.frames > 0;
    let kind = failure_after(&datagrams_first(), has_sent, |world| world.deceive_flow(0));
    assert!(matches!(kind, FailureKind::WrongDatagram { flow: 0 }), "{kind}");
}

#[test]
fn text_beyond_the_window_fails() {
    let scenario = clear(Plan::bulk(1_000_000), Plan::bulk(0));
    let mut world = World::new(&scenario, None, 1).unwrap();
    // A megabyte is offered, and the judge hears of two kilobytes.
    while !world.mistake_scale(0, Side::Client) {
        world.step(Instant::ZERO + LIMIT).unwrap();
    }
    let kind = follow(&scenario, &mut world).expect_err("a failure").kind;
    assert!(matches!(kind, FailureKind::BeyondWindow { conversation: 0, side: Side::Client, .. }), "{kind}");
}

#[test]
fn a_connection_of_nobody_fails() {
    let has_begun = |world: &World<'_>| world.traffic.frames > 0;
    let kind =
        failure_after(&clear(Plan::bulk(10), Plan::bulk(10)), has_begun, |world| world.forget_client(0));
    assert!(matches!(kind, FailureKind::UnknownPeer { host: 1, .. }), "{kind}");
}

#[test]
fn a_frame_that_is_none_fails() {
    let kind =
        failure_after(&clear(Plan::bulk(10), Plan::bulk(10)), |_| true, |world| world.mistake_medium(0));
    assert!(matches!(kind, FailureKind::BadFrame { .. }), "{kind}");
}

#[test]
fn a_packet_that_the_peer_calls_malformed_fails() {
    // The first bytes of an IPv4 header.
    let cut_short = |world: &mut World<'_>| world.hand_over(1, &[0x45, 0, 0, 40, 0, 0]);
    let mut scenario = clear(Plan::bulk(10), Plan::bulk(10));
    scenario.cables[0].medium = netloom_base::Medium::Ip;
    let kind = failure_after(&scenario, |_| true, cut_short);
    assert!(
        matches!(kind, FailureKind::Nonsense { host: 1, reason: netloom_base::DropReason::IpTruncated }),
        "{kind}"
    );
}

#[test]
fn a_port_without_listener_that_says_nothing_fails() {
    let mut scenario = clear(Plan::bulk(10), Plan::bulk(10));
    scenario.listeners.clear();
    scenario.weather = Weather::Mild;
    scenario.cables[0].medium = netloom_base::Medium::Ip;
    scenario.cables[0].ways[1].is_partitioned = true;
    let kind = failure_of(&scenario);
    let timed_out = Some(Outcome::Failed(TcpError::TimedOut));
    assert!(matches!(kind, FailureKind::NotRefused { outcome, .. } if outcome == timed_out), "{kind}");
}

#[test]
fn an_end_of_the_stream_that_is_elsewhere_fails() {
    let has_ended = |world: &World<'_>| world.conversations[0].client.ended_at.is_some();
    let kind = failure_after(&clear(Plan::bulk(10), Plan::bulk(10)), has_ended, |world| {
        world.conversations[0].client.ended_at = Some(11);
    });
    let untruth = Untruth::FalseEnd { at: 10, peer_ended_at: Some(11) };
    assert!(matches!(kind, FailureKind::Untruth { untruth: it, .. } if it == untruth), "{kind}");
}
