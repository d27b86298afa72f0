//! A device that takes no frame: whom it holds up.

use super::lab::*;
use crate::tcp::*;

/// So many connections, each from a port of its own.
fn flows(lab: &mut Lab, count: u16) -> Vec<Flow> {
    (0..count)
        .map(|number| {
            lab.remote_port = 20_000 + number;
            lab.accept()
        })
        .collect()
}

#[test]
fn who_would_send_is_blocked_by_the_device_until_it_has_sent() {
    let mut lab = Lab::plain();
    let flow = lab.accept();
    lab.send(flow, b"one");
    lab.tcp.note_stall(lab.now);
    assert_eq!(lab.info(flow).blocked_by, SendBlockedBy::Device);
    lab.tcp.note_stall(lab.now);
    assert_eq!(lab.tcp.counters().blocked(SendBlockedBy::Device), 1, "it is the same time");
    assert_eq!(lab.one().text, b"one");
    assert_eq!(lab.info(flow).blocked_by, SendBlockedBy::Application);
    lab.ack(flow, 3);
    lab.send(flow, b"two");
    lab.tcp.note_stall(lab.now);
    assert_eq!(lab.tcp.counters().blocked(SendBlockedBy::Device), 2);
    assert_eq!(lab.one().text, b"two");
}

#[test]
fn who_would_not_send_keeps_its_own_reason() {
    let mut lab = Lab::plain();
    let flow = lab.accept();
    lab.window = 0;
    lab.ack(flow, 0);
    lab.send(flow, b"one");
    lab.none();
    // An acknowledgment is due besides, for which it waits for its turn.
    lab.inject(A, flow.theirs, flow.ours, b"x").unwrap();
    lab.tcp.note_stall(lab.now);
    assert_eq!(lab.info(flow).blocked_by, SendBlockedBy::ReceiveWindow);
    assert_eq!(lab.tcp.counters().blocked(SendBlockedBy::Device), 0);
}

#[test]
fn each_is_noted_once_a_few_at_a_time_and_nobody_loses_its_turn() {
    let mut lab = Lab::plain();
    let flows = flows(&mut lab, 200);
    for &flow in &flows {
        lab.send(flow, b"text");
    }
    for noted in [64, 128, 192, 200, 200] {
        assert_eq!(lab.tcp.note_stall(lab.now), noted < 200, "{noted}");
        assert_eq!(lab.tcp.counters().blocked(SendBlockedBy::Device), noted);
    }
    let sent = lab.sent();
    let ports: Vec<u16> = sent.iter().map(|it| it.header.destination_port).collect();
    assert_eq!(ports, (20_000..20_200).collect::<Vec<_>>());
    // The next time begins with the first again.
    for &flow in &flows {
        lab.tcp.set_nodelay(lab.now, flow.id, true).unwrap();
        lab.send(flow, b"more");
    }
    lab.tcp.note_stall(lab.now);
    assert_eq!(lab.info(flows[0]).blocked_by, SendBlockedBy::Device);
    assert_eq!(lab.tcp.counters().blocked(SendBlockedBy::Device), 264);
}
