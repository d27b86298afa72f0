//! Timestamps and PAWS (RFC 7323).

use netloom_base::DropReason;
use netloom_wire::{SeqNumber, TcpHeader, TcpOptions, TcpTimestamps};

use super::lab::*;
use crate::tcp::*;

#[test]
fn an_option_may_stand_in_any_segment() {
    // [9293 MUST-5] [7323-04] [2018-01]
    let mut lab = Lab::plain();
    let flow = lab.accept();
    let before = lab.info(flow);
    let options = TcpOptions {
        mss: Some(100),
        window_scale: Some(9),
        sack_permitted: true,
        timestamps: Some(TcpTimestamps { value: 1, echo_reply: 2 }),
        ..TcpOptions::default()
    };
    let mut next = flow.theirs;
    for (flags, text) in [(A, &b"text"[..]), (A, b""), (A | P, b"more"), (A | F, b"end")] {
        lab.inject_header(&TcpHeader { options, ..lab.header(flags, next, flow.ours) }, text).unwrap();
        next = next.wrapping_add(text.len() as u32);
    }
    assert_eq!(lab.read(flow), b"textmoreend");
    let after = lab.info(flow);
    assert_eq!(after.state, TcpState::CloseWait);
    let meaning = |info: &TcpInfo| (info.mss, info.window_scales, info.timestamps, info.snd_wnd);
    assert_eq!(meaning(&after), meaning(&before), "only a SYN says these");
}

fn stamped(value: u32) -> TcpOptions {
    TcpOptions {
        mss: Some(1460),
        timestamps: Some(TcpTimestamps { value, echo_reply: 0 }),
        ..TcpOptions::default()
    }
}

/// A lab whose peer stamps its segments, beginning with 100.
fn stamping() -> (Lab, Flow) {
    let mut lab = Lab::new(TcpConfig { window_scaling: false, ..TcpConfig::default() });
    let flow = lab.accept_with(stamped(100));
    (lab, flow)
}

#[test]
fn every_segment_is_stamped_once_both_have_agreed() {
    // [7323-17] [7323-18] [7323-20] [7323-21] [7323-23] [7323-22] [7323-27] [7323-37]
    let mut lab = Lab::new(TcpConfig { window_scaling: false, ..TcpConfig::default() });
    let id = lab.begin_connect();
    let syn = lab.one();
    let first = syn.header.options.timestamps.unwrap();
    assert_eq!(first.echo_reply, 0);
    lab.now += ms(25);
    let mut header = lab.header(S | A, IRS, syn.sequence().wrapping_add(1));
    header.options = TcpOptions {
        timestamps: Some(TcpTimestamps { value: 7777, echo_reply: first.value }),
        ..TcpOptions::default()
    };
    lab.inject_header(&header, &[]).unwrap();
    let ack = lab.one().header.options.timestamps.unwrap();
    assert_eq!((ack.value.wrapping_sub(first.value), ack.echo_reply), (25, 7777));
    lab.tcp.send(lab.now, id, b"x").unwrap();
    assert!(lab.one().header.options.timestamps.is_some());
    assert_eq!(lab.tcp.info(id).unwrap().mss, 524, "the option takes 12 bytes");
    lab.tcp.abort(lab.now, id);
    assert!(lab.one().header.options.timestamps.is_some());
}

#[test]
fn stamps_that_were_not_agreed_on_are_ignored() {
    // [7323-20] [7323-26]
    let mut lab = Lab::plain();
    let flow = lab.accept();
    lab.inject_stamped(A, (flow.theirs, flow.ours), (500, 0), b"a").unwrap();
    lab.inject_stamped(A, (flow.theirs.wrapping_add(1), flow.ours), (1, 0), b"b").unwrap();
    assert_eq!(lab.read(flow), b"ab");
    lab.send(flow, b"x");
    assert_eq!(lab.one().header.options.timestamps, None);
}

#[test]
fn an_old_stamp_is_acknowledged_and_dropped() {
    // [7323-34] [7323-38] [7323-39] [7323-40]
    let (mut lab, flow) = stamping();
    lab.inject_stamped(A, (flow.theirs, flow.ours), (200, 0), b"new").unwrap();
    lab.advance(ms(40));
    let at = flow.theirs.wrapping_add(3);
    assert_eq!(lab.inject_stamped(A, (at, flow.ours), (199, 0), b"old"), Err(DropReason::TcpPaws));
    let ack = lab.one();
    assert_eq!((ack.flags(), ack.acknowledgment()), (A, at));
    assert_eq!(ack.header.options.timestamps.unwrap().echo_reply, 200);
    assert_eq!(lab.read(flow), b"new");
    lab.inject_stamped(A, (at, flow.ours), (200, 0), b"same tick").unwrap();
    assert_eq!(lab.read(flow), b"same tick");
}

#[test]
fn what_a_repair_has_overtaken_is_late_and_not_old() {
    // [7323-38]
    let (mut lab, flow) = stamping();
    let at = |offset: u32| (flow.theirs.wrapping_add(offset), flow.ours);
    for (offset, stamp, text) in [(0, 200, b"a"), (2, 201, b"c"), (5, 203, b"f"), (1, 250, b"b")] {
        lab.inject_stamped(A, at(offset), (stamp, 0), text).unwrap();
        lab.sent();
    }
    let refused = Err(DropReason::TcpPaws);
    assert_eq!(lab.inject_stamped(A, at(3), (199, 0), b"!"), refused, "from before the hole");
    assert_eq!(lab.inject_stamped(A, at(1), (201, 0), b"!"), refused, "nothing new");
    assert_eq!(lab.inject_stamped(A, at(9), (201, 0), b""), refused, "no text");
    assert_eq!(lab.inject_stamped(A | S, at(3), (201, 0), b"!"), refused, "no text, but a SYN");
    lab.sent();
    lab.inject_stamped(A, at(3), (201, 0), b"d").unwrap();
    lab.sent();
    lab.inject_stamped(A, at(4), (202, 0), b"e").unwrap();
    assert_eq!(lab.one().header.options.timestamps.unwrap().echo_reply, 250, "the echo never goes back");
    assert_eq!(lab.read(flow), b"abcdef");
    // A segment that finds no hole: what lies behind it left after it.
    lab.inject_stamped(A, at(6), (260, 0), b"g").unwrap();
    assert_eq!(lab.inject_stamped(A, at(7), (255, 0), b"!"), refused);
}

#[test]
fn stamps_wrap() {
    let (mut lab, flow) = stamping();
    let mut value = 100u32;
    for index in 0..8 {
        value = value.wrapping_add(0x3000_0000);
        lab.inject_stamped(A, (flow.theirs.wrapping_add(index), flow.ours), (value, 0), b"x").unwrap();
        lab.advance(ms(40));
    }
    assert_eq!(lab.read(flow).len(), 8);
}

#[test]
fn after_24_idle_days_an_old_stamp_is_believed() {
    // [7323-44]
    let (mut lab, flow) = stamping();
    lab.advance(core::time::Duration::from_secs(25 * 24 * 3600));
    lab.inject_stamped(A, (flow.theirs, flow.ours), (50, 0), b"x").unwrap();
    assert_eq!(lab.read(flow), b"x");
}

#[test]
fn a_reset_needs_no_stamp() {
    // [7323-35]
    let (mut lab, flow) = stamping();
    assert_eq!(lab.inject_stamped(R, (flow.theirs, 0), (1, 0), &[]), Ok(()));
    assert_eq!(lab.state(flow), TcpState::Closed);
}

#[test]
fn a_segment_without_the_agreed_stamp_is_dropped_but_ends_nothing() {
    // [7323-24] [7323-25]
    let (mut lab, flow) = stamping();
    assert_eq!(lab.inject(A, flow.theirs, flow.ours, b"x"), Err(DropReason::TcpPaws));
    lab.none();
    assert_eq!(lab.state(flow), TcpState::Established);
}

#[test]
fn the_echo_is_of_the_first_segment_that_waits_for_its_acknowledgment() {
    // [7323-30] [7323-31] [7323-32] [7323-33]
    let (mut lab, flow) = stamping();
    lab.send(flow, b"x");
    lab.sent();
    let at = |offset: u32| (flow.theirs.wrapping_add(offset), flow.ours);
    lab.inject_stamped(A, at(0), (101, 0), b"a").unwrap();
    lab.inject_stamped(A, at(1), (105, 0), b"b").unwrap();
    let ack = lab.advance(ms(40)).pop().unwrap();
    assert_eq!(ack.header.options.timestamps.unwrap().echo_reply, 101, "the delay is part of the round trip");
    lab.inject_stamped(A, at(3), (110, 0), b"d").unwrap();
    assert_eq!(lab.one().header.options.timestamps.unwrap().echo_reply, 101, "not one beyond the hole");
    lab.inject_stamped(A, at(2), (112, 0), b"c").unwrap();
    assert_eq!(lab.one().header.options.timestamps.unwrap().echo_reply, 112, "the one that fills it");
}

#[test]
fn a_stamp_measures_what_was_sent_twice() {
    // [6298-08] [7323-19] [7323-28]
    let (mut lab, flow) = stamping();
    lab.send(flow, b"x");
    lab.sent();
    let again = lab.advance(ms(1000)).pop().unwrap();
    let echo = again.header.options.timestamps.unwrap().value;
    let sent_ago = lab.now.as_millis() as u32;
    lab.now += ms(30);
    let ticks = (lab.now.as_millis() as u32).wrapping_sub(sent_ago);
    assert_eq!(ticks, 30);
    lab.inject_stamped(A, (flow.theirs, flow.ours.wrapping_add(1)), (100, echo), &[]).unwrap();
    assert_eq!(lab.info(flow).backoff, 0);
    assert!(lab.info(flow).srtt.is_some());
}

#[test]
fn a_reset_for_nobody_echoes_the_stamp() {
    // [7323-36]
    let mut lab = Lab::plain();
    assert!(lab.inject_stamped(A, (1, 2), (300, 0), &[]).is_err());
    assert_eq!(lab.one().header.options.timestamps, Some(TcpTimestamps { value: 0, echo_reply: 300 }));
}

#[test]
fn each_connection_has_its_own_clock() {
    // [7323-46]
    let mut lab = Lab::new(TcpConfig::default());
    let mut stamp = |port| {
        lab.remote_port = port;
        lab.begin_connect();
        SeqNumber(lab.one().header.options.timestamps.unwrap().value)
    };
    assert_ne!(stamp(1), stamp(2));
}
