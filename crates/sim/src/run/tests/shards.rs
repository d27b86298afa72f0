//! Hosts of several shards, and the oracles that are about them alone.

use super::*;
use crate::scenario::{ShardPlan, SteeringPlan};
use crate::shards::{MailPlan, Shards};
use netloom_base::DropReason;

fn plan(steering: SteeringPlan, mail: MailPlan) -> ShardPlan {
    ShardPlan { count: 3, steering, mail }
}

/// Two hosts of three shards, and 24 conversations both ways between them.
fn sharded(shards: ShardPlan) -> Scenario {
    let mut scenario = clear(Plan::bulk(20_000), Plan::bulk(30_000));
    for host in &mut scenario.hosts {
        host.shards = shards;
    }
    let first = scenario.conversations[0].clone();
    scenario.conversations = (0..24)
        .map(|number| crate::scenario::ConversationPlan {
            at: millis(number * 7),
            opening: if number % 4 == 0 { Opening::Simultaneous } else { Opening::Listener },
            ..first.clone()
        })
        .collect();
    scenario.datagrams.push(DatagramPlan {
        client: 0,
        server: 1,
        is_ipv6: false,
        at: millis(5),
        every: millis(1),
        count: 20,
        len: 500,
    });
    scenario
}

/// Late enough for what the device gives the owner meanwhile.
const LATE: MailPlan = MailPlan { delay: Duration::from_micros(400), room: 1024 };

#[test]
fn every_shard_opens_and_accepts_and_all_that_comes_elsewhere_is_handed_over() {
    for steering in [SteeringPlan::InTurn, SteeringPlan::ByHash, SteeringPlan::LastWriter] {
        let scenario = sharded(plan(steering, MailPlan::default()));
        let mut world = World::new(&scenario, None, 1).unwrap();
        let report = follow(&scenario, &mut world).unwrap();
        assert_eq!((report.delivered_bytes, report.broken_count), (24 * 50_000, 0));
        assert!(report.handover_count > 0, "{steering:?}");
        assert_eq!(world.overtaken_count(), 0, "{steering:?}");
        for host in 0..2 {
            for counters in world.tcp_counters(host) {
                let opens = counters.active_opens.get() + counters.passive_opens.get();
                assert!(opens > 0, "{steering:?}");
            }
        }
    }
}

#[test]
fn what_a_mailbox_has_no_room_for_is_sent_again_and_explained() {
    let scenario = sharded(plan(SteeringPlan::InTurn, MailPlan { room: 2, ..LATE }));
    let mut world = World::new(&scenario, None, 1).unwrap();
    let report = follow(&scenario, &mut world).unwrap();
    assert_eq!((report.delivered_bytes, report.broken_count), (24 * 50_000, 0));
    assert!(world.refused_count() > 0);
    let dropped = (0..2).map(|host| world.dropped(host, &[DropReason::HandoverFull])).sum::<u64>();
    assert_eq!(dropped, world.refused_count());
}

#[test]
fn what_waits_in_a_mailbox_is_overtaken_and_explained() {
    let scenario = sharded(plan(SteeringPlan::InTurn, LATE));
    let mut world = World::new(&scenario, None, 1).unwrap();
    let report = follow(&scenario, &mut world).unwrap();
    assert_eq!((report.delivered_bytes, report.broken_count), (24 * 50_000, 0));
    assert!(world.overtaken_count() > 0);
}

#[test]
fn a_host_of_shards_repeats_frame_by_frame() {
    let scenario = sharded(plan(SteeringPlan::LastWriter, LATE));
    let [one, other] = [(); 2].map(|()| {
        let mut capture = Capture::default();
        let report = run(&scenario, Some(&mut capture), 1).unwrap();
        let mut file = Vec::new();
        capture.write(&mut file).unwrap();
        (report, file)
    });
    assert!(one == other);
}

/// How a scenario fails whose world is tampered with as soon as that can be done.
fn failure_when(scenario: &Scenario, mut tamper: impl FnMut(&mut World<'_>) -> bool) -> FailureKind {
    let mut world = World::new(scenario, None, 1).unwrap();
    while !tamper(&mut world) {
        world.step(Instant::ZERO + LIMIT).unwrap();
    }
    follow(scenario, &mut world).expect_err("a failure").kind
}

#[test]
fn a_handover_that_vanishes_fails() {
    let scenario = sharded(plan(SteeringPlan::InTurn, LATE));
    let kind = failure_when(&scenario, |world| world.shards(1).is_some_and(Shards::lose_letter));
    let FailureKind::LostHandover { host: 1, handed_over, taken_over, .. } = kind else { panic!("{kind}") };
    assert_eq!(handed_over, taken_over + 1);
}

#[test]
fn a_connection_at_a_shard_that_it_does_not_belong_to_fails() {
    let mut scenario = sharded(plan(SteeringPlan::InTurn, MailPlan::default()));
    // A neighbour that answers: the connection lives until it is looked for.
    scenario.conversations[1].client_plan = Plan::bulk(200_000);
    let mut has_begun = false;
    let kind = failure_when(&scenario, |world| {
        if !std::mem::replace(&mut has_begun, true) {
            world.connect_from_wrong_shard(
                0,
                "10.0.0.1:4000".parse().unwrap(),
                "10.0.0.2:80".parse().unwrap(),
            );
        }
        true
    });
    assert!(matches!(kind, FailureKind::Misplaced { host: 0, .. }), "{kind}");
}

#[test]
fn a_shard_that_keeps_what_is_anothers_fails() {
    let scenario = sharded(plan(SteeringPlan::InTurn, MailPlan::default()));
    let kind = failure_when(&scenario, |world| {
        world.unite(1, 2);
        true
    });
    assert!(matches!(kind, FailureKind::Astray { host: 1, shard: 2 }), "{kind}");
}
