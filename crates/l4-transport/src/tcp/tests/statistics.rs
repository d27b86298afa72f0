//! What a connection says that it has done and met.

use netloom_wire::{SeqNumber, TcpOptions};

use super::lab::*;
use crate::tcp::*;

#[test]
fn segments_and_what_was_repeated_are_counted() {
    let mut lab = Lab::new(plain_config());
    let flow = lab.accept();
    let before = lab.info(flow);
    assert_eq!((before.busy_time, before.timeout_recoveries), (ms(0), 0));
    lab.now += ms(5);
    let began = lab.now;
    lab.send(flow, &[1; 3 * MSS]);
    assert_eq!(lab.sent().len(), 3);
    // Nothing is answered: the timer runs out, and the first goes again.
    let rto = lab.info(flow).rto;
    assert_eq!(lab.advance(rto).len(), 1);
    let during = lab.info(flow);
    assert_eq!(during.retransmitted_len, MSS as u32);
    lab.now += ms(100);
    lab.ack(flow, 3 * MSS as u32);
    lab.sent();
    // Text out of order, then what was missing.
    lab.inject(A, flow.theirs + 100, flow.ours + 3 * MSS as u32, &[2; 100]).unwrap();
    lab.inject(A, flow.theirs, flow.ours + 3 * MSS as u32, &[2; 100]).unwrap();
    lab.sent();
    let after = lab.info(flow);
    let sent = |info: &TcpInfo| [info.segments_sent, info.text_segments_sent].map(u64::from);
    let received = |info: &TcpInfo| [info.segments_received, info.text_segments_received];
    assert_eq!(sent(&during)[1], 4, "each transmission counts");
    assert!(sent(&after)[0] > 4 && sent(&after)[1] == 4, "acknowledgments have no text");
    assert_eq!(received(&after)[0] - received(&before)[0], 3);
    assert_eq!(received(&after)[1], 2);
    assert_eq!((after.out_of_order_segments, after.retransmits), (1, 1));
    assert_eq!((after.bytes_sent, after.bytes_retransmitted), (3 * MSS as u64, MSS as u64));
    assert_eq!((after.retransmitted_len, after.timeout_recoveries, after.timeouts), (0, 1, 1));
    assert_eq!(after.last_sent, Some(began + rto));
    assert_eq!(after.busy_time, rto + ms(100), "from the first byte to its acknowledgment");
    assert_eq!(after.timeout_recovery_time, ms(100));
    assert_eq!((after.window_limited_time, after.buffer_limited_time), (ms(0), ms(0)));
    assert_eq!(usize::from(after.advertised_mss), MSS);
}

#[test]
fn what_limits_a_sender_is_timed() {
    let mut lab = Lab::new(TcpConfig { send_buffer: 4 * MSS, ..plain_config() });
    let flow = lab.accept();
    // More than the buffer takes: all of it is sent, and the writer waits.
    assert_eq!(lab.send(flow, &[1; 8 * MSS]), 4 * MSS);
    assert_eq!(lab.sent().len(), 4);
    lab.now += ms(30);
    // All is acknowledged, and the window shuts.
    lab.window = 0;
    lab.ack(flow, 4 * MSS as u32);
    lab.sent();
    assert_eq!(lab.info(flow).buffer_limited_time, ms(30));
    lab.now += ms(500);
    lab.send(flow, &[1; MSS]);
    lab.none();
    lab.now += ms(70);
    lab.window = 10_000;
    lab.ack(flow, 4 * MSS as u32);
    assert_eq!(lab.sent().len(), 1);
    lab.ack(flow, 5 * MSS as u32);
    lab.sent();
    let info = lab.info(flow);
    assert_eq!(info.window_limited_time, ms(70));
    assert_eq!((info.busy_time, info.buffer_limited_time), (ms(30 + 70), ms(30)), "rest is no work");
}

#[test]
fn reported_duplicates_and_unanswered_probes_are_counted() {
    let permitted = TcpOptions { mss: Some(1460), sack_permitted: true, ..TcpOptions::default() };
    let mut lab = Lab::new(TcpConfig { sack: true, ..plain_config() });
    let flow = lab.accept_with(permitted);
    lab.send(flow, &[1; MSS]);
    lab.sent();
    lab.ack(flow, MSS as u32);
    let mut header = lab.header(A, flow.theirs, flow.ours + MSS as u32);
    header.options.tail = one_block(SeqNumber(flow.ours), SeqNumber(flow.ours + MSS as u32));
    lab.inject_header(&header, &[]).unwrap();
    assert_eq!(lab.info(flow).dsacks_received, 1);

    lab.window = 0;
    lab.ack(flow, MSS as u32);
    lab.send(flow, &[1; 10]);
    lab.sent();
    lab.advance(ms(3000));
    assert!(lab.info(flow).unanswered_probes > 0);
    lab.ack(flow, MSS as u32);
    assert_eq!(lab.info(flow).unanswered_probes, 0);
}
