//! Keep-alive, the user timeout, and what timers cost.

use core::time::Duration;

use netloom_base::{RxChecksum, RxMeta};

use super::lab::*;
use crate::tcp::*;

const KEEPALIVE: Keepalive =
    Keepalive { idle: Duration::from_secs(100), interval: Duration::from_secs(10), probes: 3 };

#[test]
fn keepalive_is_off_unless_it_is_asked_for() {
    // [9293 MUST-24, MUST-25, MUST-28] [1122-T075] [1122-T078]
    let mut lab = Lab::plain();
    let flow = lab.accept();
    assert!(lab.advance(Duration::from_secs(100_000)).is_empty());
    assert_eq!(lab.state(flow), TcpState::Established);
    assert_eq!(Keepalive::default().idle, Duration::from_secs(7200));
}

#[test]
fn an_idle_connection_is_probed_and_one_that_answers_lives() {
    // [9293 MUST-26, MUST-27, SHLD-12, MAY-5] [1122-T073] [1122-T074] [1122-T076] [1122-T077]
    let mut lab = Lab::plain();
    let flow = lab.accept();
    lab.tcp.set_keepalive(lab.now, flow.id, Some(KEEPALIVE)).unwrap();
    lab.now += Duration::from_secs(50);
    lab.inject(A, flow.theirs, flow.ours, b"x").unwrap();
    lab.sent();
    lab.advance(ms(100));
    for _ in 0..10 {
        lab.advance(ms(99_700));
        let sent = lab.advance(ms(300));
        assert_eq!(sent.len(), 1, "{sent:?}");
        let probe = &sent[0];
        assert_eq!((probe.flags(), probe.sequence(), probe.len()), (A, flow.ours.wrapping_sub(1), 0));
        lab.inject(A, flow.theirs.wrapping_add(1), flow.ours, &[]).unwrap();
    }
    assert_eq!(lab.state(flow), TcpState::Established);
}

#[test]
fn a_dead_peer_is_found_by_keepalive() {
    // [9293 MUST-29] [1122-T079]
    let mut lab = Lab::plain();
    let flow = lab.accept();
    lab.tcp.set_keepalive(lab.now, flow.id, Some(KEEPALIVE)).unwrap();
    let probes = lab.advance(Duration::from_secs(129));
    assert_eq!(probes.len(), 3);
    assert_eq!(lab.state(flow), TcpState::Established, "several must stay unanswered");
    let last = lab.advance(Duration::from_secs(1));
    assert_eq!(last.len(), 1);
    assert_eq!(last[0].flags(), R | A);
    assert_eq!(lab.tcp.error(flow.id), Some(TcpError::TimedOut));
    lab.tcp.close(lab.now, flow.id);
    assert_eq!(lab.tcp.usage().connections, 0);
}

#[test]
fn our_own_probe_is_what_others_answer() {
    let mut lab = Lab::plain();
    let flow = lab.accept();
    assert!(lab.inject(A, flow.theirs.wrapping_sub(1), flow.ours, &[]).is_err());
    let answer = lab.one();
    assert_eq!((answer.flags(), answer.acknowledgment()), (A, flow.theirs));
}

#[test]
fn keepalive_can_be_switched_off_again() {
    // [9293 MUST-24]
    let mut lab = Lab::plain();
    let flow = lab.accept();
    lab.tcp.set_keepalive(lab.now, flow.id, Some(KEEPALIVE)).unwrap();
    lab.tcp.set_keepalive(lab.now, flow.id, None).unwrap();
    assert!(lab.advance(Duration::from_secs(100_000)).is_empty());
    assert_eq!(lab.tcp.usage().timers, 0);
}

#[test]
fn the_users_patience_ends_before_r2() {
    // [9293 MUST-21] [1122-T068]
    let mut lab = Lab::plain();
    let flow = lab.accept();
    lab.tcp.set_user_timeout(lab.now, flow.id, Some(Duration::from_secs(5))).unwrap();
    lab.send(flow, b"x");
    lab.sent();
    lab.advance(ms(4900));
    assert_eq!(lab.tcp.error(flow.id), None);
    lab.advance(ms(200));
    assert_eq!(lab.tcp.error(flow.id), Some(TcpError::TimedOut));
    assert_eq!(lab.tcp.counters().ended(EndReason::UserTimeout), 1);
}

#[test]
fn a_peers_word_about_patience_is_not_heeded() {
    // [5482-02]
    let mut lab = Lab::plain();
    let flow = lab.accept();
    lab.tcp.set_user_timeout(lab.now, flow.id, Some(Duration::from_secs(5))).unwrap();
    for (seconds, offset) in [(1, 0), (100, 1)] {
        let header = lab.header(A, flow.theirs.wrapping_add(offset), flow.ours);
        let mut bytes = bytes_of(lab.remote, lab.local, &header, b"x");
        // The user timeout option, of four bytes: the header has six words then.
        bytes.splice(20..20, [28, 4, 0, seconds]);
        bytes[12] = 6 << 4;
        let meta = RxMeta { checksum: RxChecksum::Trusted, gso: None };
        deliver(&mut lab.tcp, lab.now, lab.remote, lab.local, &bytes, meta).unwrap();
    }
    assert_eq!(lab.read(flow), b"xx");
    lab.send(flow, b"x");
    lab.sent();
    lab.advance(ms(4900));
    assert_eq!(lab.tcp.error(flow.id), None);
    lab.advance(ms(200));
    assert_eq!(lab.tcp.error(flow.id), Some(TcpError::TimedOut));
}

#[test]
fn progress_restores_the_users_patience() {
    let mut lab = Lab::plain();
    let flow = lab.accept();
    lab.tcp.set_user_timeout(lab.now, flow.id, Some(Duration::from_secs(5))).unwrap();
    for count in 1..=5 {
        lab.send(flow, b"x");
        lab.sent();
        lab.advance(ms(4000));
        lab.ack(flow, count);
    }
    lab.advance(ms(100_000));
    assert_eq!(lab.tcp.error(flow.id), None);
}

#[test]
fn an_acknowledgment_does_not_move_a_deadline_that_only_recedes() {
    let mut lab = Lab::plain();
    let flow = lab.accept();
    lab.send(flow, &[1; 5 * MSS]);
    lab.sent();
    let first = lab.tcp.poll_timeout();
    for count in 1..5 {
        lab.now += ms(1);
        lab.ack(flow, count * 1460);
        assert_eq!(lab.tcp.poll_timeout(), first, "the old one wakes us once for nothing");
    }
    assert!(lab.advance(ms(199)).is_empty());
    assert_eq!(lab.advance(ms(1)).len(), 1, "the new one holds");
}

#[test]
fn a_peer_that_repeats_what_waits_for_its_acknowledgment_waits_no_longer() {
    // [9293 MUST-40] [5681-30]
    let ms = Duration::from_millis;
    let mut lab = Lab::new(TcpConfig { delayed_ack: ms(341), ..plain_config() });
    let flow = lab.accept();
    let inject = |lab: &mut Lab, number: u32| {
        let _ = lab.inject(A, flow.theirs + number * 10, flow.ours, &[0; 10]);
    };
    // At first everything is acknowledged at once.
    let mut number = 0;
    inject(&mut lab, number);
    while !lab.sent().is_empty() {
        number += 1;
        inject(&mut lab, number);
    }
    // A copy from the network does not count; the peer's timer does.
    lab.now += ms(5);
    inject(&mut lab, number);
    lab.one();
    number += 1;
    inject(&mut lab, number);
    assert!(lab.advance(ms(150)).is_empty(), "the delay that was asked for");
    inject(&mut lab, number);
    lab.one();
    number += 1;
    inject(&mut lab, number);
    assert!(lab.advance(ms(39)).is_empty());
    let acks = lab.advance(ms(1));
    assert_eq!(acks.len(), 1);
    assert_eq!(acks[0].acknowledgment(), flow.theirs + (number + 1) * 10);
}

#[test]
fn timers_that_run_out_together_are_looked_after_in_bounded_parts() {
    const COUNT: u16 = 2500;
    let mut lab = Lab::plain();
    lab.listen_with(ListenOptions { backlog: COUNT.into(), ..ListenOptions::default() });
    for number in 0..COUNT {
        lab.remote_port = 10_000 + number;
        lab.inject_header(&lab.header(S, 1, 0), &[]).unwrap();
    }
    assert_eq!(lab.sent().len(), usize::from(COUNT), "half-open each");
    lab.now = lab.tcp.poll_timeout().unwrap();
    for done in [1024, 2048, 2500] {
        assert!(lab.tcp.poll_timeout().unwrap() <= lab.now, "there is more to do");
        lab.tcp.handle_timeout(lab.now);
        assert_eq!(lab.tcp.counters().timeouts(RtoCause::SynAck), done);
    }
    assert_eq!(lab.sent().len(), usize::from(COUNT));
    assert!(lab.tcp.poll_timeout().unwrap() > lab.now);

    let mut lab = Lab::plain();
    let mut flows = Vec::new();
    for number in 0..COUNT {
        lab.remote_port = 10_000 + number;
        flows.push(lab.accept());
    }
    for &flow in &flows {
        lab.tcp.set_keepalive(lab.now, flow.id, Some(KEEPALIVE)).unwrap();
    }
    lab.now += KEEPALIVE.idle;
    let mut probed = 0;
    for count in [1024, 1024, 452] {
        assert!(lab.tcp.poll_timeout().unwrap() <= lab.now, "there is more to do");
        lab.tcp.handle_timeout(lab.now);
        probed += count;
        lab.sent();
        assert_eq!(lab.tcp.counters().probes(ProbeCause::Idle), probed);
    }
    assert!(lab.tcp.poll_timeout().unwrap() > lab.now);
}
