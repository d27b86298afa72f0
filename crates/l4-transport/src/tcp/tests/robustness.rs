//! Bounds: challenges, answers, queues, memory.

use core::time::Duration;

use netloom_base::DropReason;

use super::lab::*;
use super::pair::{Pair, Script, pattern};
use super::traces::Traces;
use crate::tcp::*;

#[test]
fn challenges_are_limited_for_each_connection() {
    // [5961-13] [5961-14]
    let traces = Traces::begin();
    let mut lab = Lab::plain();
    let (one, other) = (lab.accept(), {
        lab.remote_port += 1;
        lab.accept()
    });
    for _ in 0..100 {
        let _ = lab.inject(S, other.theirs, 0, &[]);
    }
    assert_eq!(lab.sent().len(), 10);
    assert_eq!(lab.tcp.counters().challenge_acks_limited.get(), 90);
    lab.remote_port -= 1;
    let _ = lab.inject(S, one.theirs, 0, &[]);
    assert_eq!(lab.sent().len(), 1, "another's limit is its own");
    lab.remote_port += 1;
    lab.advance(Duration::from_secs(5));
    let _ = lab.inject(S, other.theirs, 0, &[]);
    assert_eq!(lab.sent().len(), 1);
    traces.assert_as_counted(lab.tcp.counters());
}

#[test]
fn two_ends_that_disagree_do_not_answer_each_other_for_ever() {
    let traces = Traces::begin();
    let mut lab = Lab::plain();
    let flow = lab.accept();
    let mut answers = 0;
    for _ in 0..1000 {
        let _ = lab.inject(A, flow.theirs.wrapping_sub(1000), flow.ours, &[]);
        answers += lab.sent().len();
        lab.now += ms(1);
    }
    assert_eq!(answers, 2);
    traces.assert_as_counted(lab.tcp.counters());
}

#[test]
fn answers_without_a_connection_are_bounded() {
    let traces = Traces::begin();
    let mut lab = Lab::new(TcpConfig { max_replies: 10, ..plain_config() });
    for _ in 0..100 {
        assert_eq!(lab.inject(A, 1, 1, &[]), Err(DropReason::TcpNoConnection));
    }
    assert_eq!(lab.sent().len(), 10);
    assert_eq!(lab.tcp.counters().replies_dropped.get(), 90);
    traces.assert_as_counted(lab.tcp.counters());
}

#[test]
fn a_reader_that_never_reads_bounds_the_memory() {
    let mut config = TcpConfig { receive_buffer: 100_000, ..TcpConfig::default() };
    config.send_buffer = 100_000;
    let writer = Script::sending(pattern(1_000_000, 1));
    let reader =
        Script { read_pause: Duration::from_secs(1_000_000), read_len: 1, ..Script::sending(Vec::new()) };
    let mut pair = Pair::new(1, [config.clone(), config], [writer, reader]);
    pair.open();
    for _ in 0..20_000 {
        pair.step();
    }
    let bytes = pair.sides.each_ref().map(|side| side.tcp.usage().buffer_bytes);
    // Two pieces of 65,600 bytes, and what is remembered of the segments in flight.
    assert!(bytes[0] <= 140_000 && bytes[1] <= 131_200, "{bytes:?}");
}

#[test]
fn a_slow_reader_gets_everything() {
    let config = TcpConfig { receive_buffer: 8000, ..TcpConfig::default() };
    let writer = Script::sending(pattern(200_000, 1));
    let reader = Script { read_pause: ms(7), read_len: 900, ..Script::sending(Vec::new()) };
    let mut pair = Pair::new(1, [config.clone(), config], [writer, reader]);
    pair.open();
    pair.run_and_check(Duration::from_secs(3600));
}

#[test]
fn ten_thousand_connections_one_after_another_leave_nothing() {
    let mut lab = Lab::plain();
    lab.listen();
    for round in 0..10_000u32 {
        lab.remote_port = u16::try_from(1024 + round % 50_000).unwrap();
        let flow = lab.accept();
        lab.inject(P | A, flow.theirs, flow.ours, b"GET").unwrap();
        assert_eq!(lab.read(flow), b"GET");
        lab.send(flow, b"answer");
        lab.tcp.close(lab.now, flow.id);
        lab.sent();
        lab.inject(F | A, flow.theirs.wrapping_add(3), flow.ours.wrapping_add(7), &[]).unwrap();
        lab.sent();
        lab.now += ms(1);
    }
    assert_eq!(lab.tcp.usage().connections, 0);
    lab.advance(ms(60_000));
    assert_eq!(lab.tcp.usage(), TcpUsage { listeners: 1, ..TcpUsage::default() });
    assert_eq!(lab.tcp.counters().ended(EndReason::Finished), 10_000);
}

#[test]
fn an_old_id_finds_nothing() {
    let mut lab = Lab::plain();
    let flow = lab.accept();
    lab.tcp.abort(lab.now, flow.id);
    lab.sent();
    let next = lab.accept();
    assert_ne!(next.id, flow.id);
    assert_eq!(lab.tcp.send(lab.now, flow.id, b"x"), Err(SendError::NotFound));
    assert_eq!(lab.recv(flow), Err(RecvError::NotFound));
    assert_eq!(lab.tcp.shutdown_read(lab.now, flow.id), Err(NoSuchSocket));
    assert!(lab.tcp.info(flow.id).is_none());
    lab.tcp.close(lab.now, flow.id);
    assert_eq!(lab.state(next), TcpState::Established);
}

#[test]
fn both_ends_that_open_at_once_talk() {
    let scripts = [Script::sending(pattern(5000, 1)), Script::sending(pattern(7000, 2))];
    let mut pair = Pair::new(3, [TcpConfig::default(), TcpConfig::default()], scripts);
    let ports = [5000, 6000];
    for side in 0..2 {
        let path = pair.path(side);
        let remote = core::net::SocketAddr::new(pair.sides[1 - side].address, ports[1 - side]);
        let local = TcpBind { address: None, port: ports[side] };
        let now = pair.now;
        let id = pair.sides[side].tcp.connect(now, local, &path, remote, &SocketOptions::default());
        pair.sides[side].id = Some(id.unwrap());
    }
    pair.run_and_check(Duration::from_secs(600));
    assert!(pair.sides.iter().all(|side| side.tcp.counters().active_opens.get() == 1));
}

#[test]
fn a_connection_to_itself_talks() {
    // A host may connect a port to itself: a simultaneous open with one end.
    let mut lab = Lab::new(TcpConfig::default());
    lab.remote = lab.local;
    lab.remote_port = LOCAL_PORT;
    let id = lab.begin_connect();
    let exchange = |lab: &mut Lab| {
        for _ in 0..20 {
            for sent in lab.sent() {
                let _ = lab.inject_header(&sent.header, &sent.text);
            }
        }
    };
    exchange(&mut lab);
    assert_eq!(lab.tcp.connected(id), Ok(true));
    lab.tcp.send(lab.now, id, b"echo").unwrap();
    exchange(&mut lab);
    assert_eq!(lab.read(Flow { id, ours: 0, theirs: 0 }), b"echo");
}
