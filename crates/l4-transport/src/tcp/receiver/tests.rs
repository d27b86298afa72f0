//! Windows, acknowledgments and timestamps of the receiving half.

use super::timestamps::TS_RECENT_LIFETIME;
use super::*;

fn receiver(limit: u32, shift: u8) -> Receiver {
    let mut receiver = Receiver::new(limit, limit, 1000);
    receiver.synchronize(SeqNumber(u32::MAX - 10), shift, true);
    receiver
}

/// Text in order.
fn take(receiver: &mut Receiver, len: usize) -> TextOutcome {
    receiver.take_text(receiver.rcv_nxt, &vec![0; len], 8, usize::MAX, &mut BufferPool::default())
}

fn read(receiver: &mut Receiver, count: usize) {
    receiver.queue.consume(count, &mut BufferPool::default());
}

#[test]
fn the_promised_edge_never_moves_back() {
    // [9293 SHLD-14] [7323-10] [7323-13] [7323-14] [7323-15]
    let mut receiver = receiver(100_000, 7);
    receiver.announce();
    let mut edge = receiver.announced;
    for _ in 0..90 {
        take(&mut receiver, 1111);
        receiver.announce();
        assert!(receiver.announced.at_or_after(edge));
        edge = receiver.announced;
    }
    assert!(receiver.window() < 1000);
    let window = receiver.window() as usize;
    let TextOutcome::InOrder(taken) = take(&mut receiver, window) else {
        panic!("what was promised is taken");
    };
    assert!(taken > 0);
    assert_eq!(receiver.window(), 0);
}

#[test]
fn a_closed_window_opens_by_a_segment_or_half_the_buffer() {
    // [9293 MUST-39]
    let mut receiver = receiver(10_000, 0);
    take(&mut receiver, 10_000);
    assert_eq!(receiver.announce(), 0);
    read(&mut receiver, 999);
    assert!(!receiver.window_update_is_due());
    assert_eq!(receiver.announce(), 0);
    read(&mut receiver, 1);
    assert!(receiver.window_update_is_due());
    assert_eq!(receiver.announce(), 1000);
}

#[test]
fn an_urgent_pointer_does_not_outlive_its_bytes() {
    // Half a number space later it would hide newer ones.
    let mut receiver = receiver(100_000, 0);
    receiver.urgent_end = Some(receiver.rcv_nxt + 10);
    take(&mut receiver, 20);
    read(&mut receiver, 9);
    receiver.on_read(Instant::ZERO, 9);
    assert_eq!(receiver.urgent_remaining(), Some(1));
    read(&mut receiver, 1);
    receiver.on_read(Instant::ZERO, 1);
    assert_eq!((receiver.urgent_remaining(), receiver.urgent_end), (None, None));
}

#[test]
fn every_second_full_segment_is_acknowledged() {
    // [9293 SHLD-18, SHLD-19] [5681-29] [5681-31] [1122-T060]
    let mut receiver = receiver(100_000, 2);
    (0..16).for_each(|_| receiver.ack_policy.on_ack_sent());
    let mut feed = |len: usize| {
        take(&mut receiver, len);
        receiver.owe_ack_for_text(length(len), false);
        let due = receiver.ack_due();
        if let AckDue::Now(_) = due {
            receiver.on_ack_sent(Instant::ZERO, false);
        }
        due
    };
    assert_eq!(feed(1000), AckDue::Delayed);
    assert_eq!(feed(1000), AckDue::Now(1));
    // And with less than a second one, too; small ones may add up.
    assert_eq!(feed(1000), AckDue::Delayed);
    assert_eq!(feed(1), AckDue::Now(1));
    assert_eq!(feed(100), AckDue::Delayed);
    assert_eq!(feed(900), AckDue::Delayed);
    assert_eq!(feed(1), AckDue::Now(1));
}

#[test]
fn timestamps_are_kept_by_the_rules() {
    // [7323-30] [7323-31] [7323-34] [7323-38] [7323-44]
    let mut receiver = receiver(100_000, 2);
    let now = Instant::from_millis(5);
    receiver.note_timestamp(now, receiver.rcv_nxt, 100);
    receiver.note_timestamp(now, receiver.rcv_nxt, 99);
    assert_eq!(receiver.ts_recent(), 100);
    receiver.note_timestamp(now, receiver.rcv_nxt + 1, 101);
    assert_eq!(receiver.ts_recent(), 100, "not from beyond the last acknowledgment");
    assert!(receiver.is_old_timestamp(now, 99));
    assert!(!receiver.is_old_timestamp(now, 100));
    assert!(!receiver.is_old_timestamp(now + TS_RECENT_LIFETIME, 99));
}
