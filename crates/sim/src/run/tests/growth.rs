//! Windows and buffers that grow, and the oracles that say that they did.

use super::super::growth;
use super::*;

/// Two hosts 100 ms from each other, of which one sends `bytes` in large packets; windows begin with `first_window`.
fn far(bytes: u64, first_window: usize) -> Scenario {
    let way = LinkConfig { delay: millis(50), ..LinkConfig::default() };
    let mut scenario = Scenario::pair(1, Weather::Clear, way, Plan::bulk(bytes), Plan::bulk(0));
    scenario.cables[0].mtu = 9000;
    for host in &mut scenario.hosts {
        host.tcp.first_window = first_window;
        (host.tcp.receive_buffer, host.tcp.send_buffer) = (8 << 20, 8 << 20);
    }
    scenario
}

/// What the oracles of `scenario` say of a run of `other`.
fn judged(scenario: &Scenario, other: &Scenario) -> FailureKind {
    let mut world = World::new(other, None, 1).unwrap();
    follow(other, &mut world).unwrap();
    let failure = growth::check_bounds(scenario, &mut world).and_then(|()| growth::check(scenario, &world));
    failure.expect_err("a failure").kind
}

#[test]
fn a_transfer_from_a_narrow_window_takes_as_many_round_trips_as_from_a_wide_one_and_some_more() {
    let scenario = far(2_000_000, 4_096);
    // 500 of the first windows, and no 50 seconds.
    let report = run(&scenario, None, 1).unwrap();
    assert!(report.duration < Duration::from_secs(3), "{:?}", report.duration);
}

#[test]
fn a_window_that_does_not_grow_fails() {
    let scenario = far(2_000_000, 20_000);
    let mut narrow = scenario.clone();
    narrow.hosts[1].tcp.receive_buffer = 20_000;
    let kind = judged(&scenario, &narrow);
    let FailureKind::Stunted { side: Side::Server, what: "window", expected, .. } = kind else {
        panic!("{kind}")
    };
    assert_eq!(expected, 2 * 20_000 - 9_000);
    // And its transfer took too long.
    let mut world = World::new(&narrow, None, 1).unwrap();
    follow(&narrow, &mut world).unwrap();
    let kind = measure::check(&scenario, &mut world).expect_err("a failure").kind;
    assert!(matches!(kind, FailureKind::Slow { conversation: 0, .. }), "{kind}");
}

#[test]
fn a_window_that_grows_too_far_fails() {
    let scenario = far(2_000_000, 20_000);
    let mut bounded = scenario.clone();
    bounded.hosts[1].tcp.receive_buffer = 30_000;
    let kind = judged(&bounded, &scenario);
    let is_it = |side, what| side == Side::Server && what == "window";
    assert!(
        matches!(kind, FailureKind::Overgrown { side, what, limit: 30_000, .. } if is_it(side, what)),
        "{kind}"
    );
}

#[test]
fn a_send_buffer_that_does_not_grow_fails() {
    let scenario = far(6_000_000, 100_000);
    let mut small = scenario.clone();
    small.hosts[0].tcp.send_buffer = 256 << 10;
    let kind = judged(&scenario, &small);
    assert!(matches!(kind, FailureKind::Stunted { side: Side::Client, what: "send buffer", .. }), "{kind}");
    run(&scenario, None, 1).unwrap();
}

#[test]
fn a_send_buffer_that_grows_too_far_fails() {
    let scenario = far(6_000_000, 100_000);
    let mut bounded = scenario.clone();
    bounded.hosts[0].tcp.send_buffer = 256 << 10;
    let kind = judged(&bounded, &scenario);
    assert!(matches!(kind, FailureKind::Overgrown { side: Side::Client, what: "send buffer", .. }), "{kind}");
}

#[test]
fn a_window_that_cookies_leave_unscaled_need_not_grow_beyond_what_it_can_say() {
    for (first_window, mtu) in [(50_000, 9000), (39_391, 1500)] {
        let mut scenario = far(2_000_000, first_window);
        scenario.cables[0].mtu = mtu;
        // What comes at once is acknowledged before it is read.
        scenario.hosts[0].offload.segmentation = Some(32_000);
        scenario.hosts[1].tcp.delayed_ack = millis(21);
        scenario.hosts[1].tcp.syn_cookies = netloom_stack::transport::SynCookieMode::Always;
        scenario.hosts[1].tcp.timestamps = false;
        run(&scenario, None, 1).unwrap();
    }
}
