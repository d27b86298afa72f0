//! TIME-WAIT: what it answers, how long it lasts, when it makes room.

use netloom_base::DropReason;
use netloom_wire::{TcpOptions, TcpTimestamps};

use super::lab::*;
use super::traces::Traces;
use crate::tcp::*;

/// A connection that we closed first: where both ends stand in TIME-WAIT.
fn in_time_wait(lab: &mut Lab) -> Flow {
    let flow = lab.accept();
    let stamps = lab.info(flow).timestamps;
    lab.tcp.close(lab.now, flow.id);
    let fin = lab.one();
    let ours = flow.ours.wrapping_add(1);
    if stamps {
        let echo = fin.header.options.timestamps.unwrap().value;
        lab.inject_stamped(F | A, (flow.theirs, ours), (1000, echo), &[]).unwrap();
    } else {
        lab.inject(F | A, flow.theirs, ours, &[]).unwrap();
    }
    assert_eq!(lab.one().flags(), A);
    assert_eq!(lab.tcp.usage().time_wait, 1);
    Flow { ours, theirs: flow.theirs.wrapping_add(1), ..flow }
}

#[test]
fn it_lasts_twice_the_segment_lifetime() {
    // [9293 MUST-13] [1122-T045]
    let mut lab = Lab::plain();
    in_time_wait(&mut lab);
    lab.advance(ms(59_999));
    assert_eq!(lab.tcp.usage().time_wait, 1);
    lab.advance(ms(1));
    assert_eq!(lab.tcp.usage(), TcpUsage { listeners: 1, ..TcpUsage::default() });
}

#[test]
fn a_fin_that_comes_again_is_acknowledged_and_restarts_it() {
    let mut lab = Lab::plain();
    let flow = in_time_wait(&mut lab);
    lab.advance(ms(50_000));
    lab.inject(F | A, flow.theirs.wrapping_sub(1), flow.ours, &[]).unwrap();
    let ack = lab.one();
    assert_eq!((ack.flags(), ack.sequence(), ack.acknowledgment()), (A, flow.ours, flow.theirs));
    lab.advance(ms(59_999));
    assert_eq!(lab.tcp.usage().time_wait, 1);
    lab.advance(ms(1));
    assert_eq!(lab.tcp.usage().time_wait, 0);
}

#[test]
fn a_newer_syn_opens_the_connection_anew() {
    // [9293 MAY-2] [1122-T046]
    let mut lab = Lab::plain();
    let flow = in_time_wait(&mut lab);
    lab.inject(S, flow.theirs.wrapping_add(1000), 0, &[]).unwrap();
    let syn_ack = lab.one();
    assert_eq!(syn_ack.flags(), S | A);
    let ahead = syn_ack.sequence().wrapping_sub(flow.ours);
    assert!((65_535..1 << 31).contains(&ahead), "beyond everything that the old connection sent: {ahead}");
    let usage = lab.tcp.usage();
    assert_eq!((usage.time_wait, usage.half_open), (0, 1));
    assert_eq!(lab.tcp.counters().time_wait_reused.get(), 1);
}

#[test]
fn an_older_syn_is_only_answered() {
    let mut lab = Lab::plain();
    let flow = in_time_wait(&mut lab);
    let old = flow.theirs.wrapping_sub(1000);
    assert_eq!(lab.inject(S, old, 0, &[]), Err(DropReason::TcpUnexpectedSyn));
    let ack = lab.one();
    assert_eq!((ack.flags(), ack.acknowledgment()), (A, flow.theirs));
    assert_eq!(lab.inject(S, old, 0, &[]), Err(DropReason::TcpUnexpectedSyn));
    lab.none();
    assert_eq!(lab.tcp.usage().time_wait, 1);
}

#[test]
fn a_timestamp_proves_a_syn_newer_whatever_its_sequence_number() {
    // [9293 SHLD-4] RFC 6191 2
    let stamped = |value| TcpOptions {
        mss: Some(1460),
        timestamps: Some(TcpTimestamps { value, echo_reply: 0 }),
        ..TcpOptions::default()
    };
    let mut lab = Lab::new(TcpConfig { window_scaling: false, ..TcpConfig::default() });
    lab.listen();
    let flow = lab.accept_with(stamped(1000));
    lab.tcp.close(lab.now, flow.id);
    let fin = lab.one();
    let echo = fin.header.options.timestamps.unwrap().value;
    let ours = flow.ours.wrapping_add(1);
    lab.inject_stamped(F | A, (flow.theirs, ours), (1000, echo), &[]).unwrap();
    lab.one();
    let older =
        netloom_wire::TcpHeader { options: stamped(999), ..lab.header(S, flow.theirs.wrapping_add(5000), 0) };
    assert_eq!(lab.inject_header(&older, &[]), Err(DropReason::TcpUnexpectedSyn));
    lab.sent();
    let newer = netloom_wire::TcpHeader {
        options: stamped(1001),
        ..lab.header(S, flow.theirs.wrapping_sub(5000), 0)
    };
    lab.inject_header(&newer, &[]).unwrap();
    let syn_ack = lab.one();
    assert_eq!(syn_ack.flags(), S | A);
    assert!(syn_ack.header.options.timestamps.unwrap().value >= echo, "our clock goes on, too");
}

#[test]
fn resets_end_it_only_if_exact_and_text_is_only_answered() {
    // [9293-u04] [9293-u05]
    let mut lab = Lab::plain();
    let flow = in_time_wait(&mut lab);
    assert_eq!(lab.inject(R, flow.theirs.wrapping_add(1), 0, &[]), Err(DropReason::TcpBadReset));
    assert_eq!(lab.inject(A, flow.theirs, flow.ours, b"late"), Err(DropReason::TcpOutOfWindow));
    assert_eq!(lab.one().flags(), A);
    assert_eq!(lab.inject(A, flow.theirs, flow.ours, &[]), Ok(()));
    lab.none();
    assert_eq!(lab.tcp.usage().time_wait, 1);
    assert_eq!(lab.inject(R, flow.theirs, 0, &[]), Ok(()));
    assert_eq!(lab.tcp.usage().time_wait, 0);
}

#[test]
fn a_full_table_lets_the_oldest_go() {
    let traces = Traces::begin();
    let mut lab = Lab::new(TcpConfig { max_time_wait: 3, ..plain_config() });
    for index in 0..5 {
        lab.remote_port = REMOTE_PORT + index;
        in_time_wait_of_many(&mut lab);
        lab.now += ms(10);
    }
    let usage = lab.tcp.usage();
    assert_eq!((usage.time_wait, usage.timers), (3, 3));
    let left: Vec<u16> = lab.tcp.time_waits().map(|(tuple, _)| tuple.remote_port - REMOTE_PORT).collect();
    assert!([2, 3, 4].iter().all(|port| left.contains(port)), "{left:?}");
    assert_eq!(lab.tcp.counters().time_wait_evicted.get(), 2);
    traces.assert_as_counted(lab.tcp.counters());
}

fn in_time_wait_of_many(lab: &mut Lab) {
    let flow = lab.accept();
    lab.tcp.close(lab.now, flow.id);
    lab.one();
    lab.inject(F | A, flow.theirs, flow.ours.wrapping_add(1), &[]).unwrap();
    lab.one();
}

#[test]
fn an_ephemeral_port_in_time_wait_is_not_taken_again() {
    let ports = crate::PortRange::new(50_000, 50_001).unwrap();
    let mut lab = Lab::new(TcpConfig { ports, ..plain_config() });
    let (path, remote) = (lab.path(), core::net::SocketAddr::new(lab.remote, REMOTE_PORT));
    let options = SocketOptions::default();
    let id = lab.tcp.connect(lab.now, TcpBind::default(), &path, remote, &options).unwrap();
    let port = lab.tcp.local_addr(id).unwrap().port();
    let syn = lab.one();
    let mut header = lab.header(S | A, IRS, syn.sequence().wrapping_add(1));
    header.destination_port = port;
    lab.inject_header(&header, &[]).unwrap();
    lab.tcp.close(lab.now, id);
    lab.sent();
    header = lab.header(F | A, IRS.wrapping_add(1), syn.sequence().wrapping_add(2));
    header.destination_port = port;
    lab.inject_header(&header, &[]).unwrap();
    lab.sent();
    assert_eq!(lab.tcp.usage().time_wait, 1);
    let next = lab.tcp.connect(lab.now, TcpBind::default(), &path, remote, &options).unwrap();
    assert_ne!(lab.tcp.local_addr(next).unwrap().port(), port);
}
