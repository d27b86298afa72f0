//! Data in both directions: segments, pushes, acknowledgments, Nagle, buffers, events.

use netloom_base::DropReason;

use super::lab::*;
use crate::tcp::*;

#[test]
fn a_write_is_cut_into_full_segments_and_pushed_at_its_end() {
    // [9293 MUST-60, MUST-61, SHLD-27, SHLD-28] [1122-T002] [1122-T004] [1122-T005] [1122-T007]
    let mut lab = Lab::plain();
    let flow = lab.accept();
    lab.send(flow, &[1; 3000]);
    let sent = lab.sent();
    let seen: Vec<_> =
        sent.iter().map(|it| (it.sequence().wrapping_sub(flow.ours), it.len(), it.flags())).collect();
    assert_eq!(seen, [(0, MSS, A), (1460, MSS, A), (2920, 80, P | A)]);
}

#[test]
fn both_families_carry_what_their_packets_hold() {
    let mut lab = Lab::plain().over_six();
    let flow = lab.accept();
    lab.send(flow, &[1; 3000]);
    assert_eq!(lab.sent()[0].len(), 1440);
}

#[test]
fn the_initial_window_is_ten_segments() {
    // [5681-01] [5681-04]
    let mut lab = Lab::plain();
    let flow = lab.accept();
    lab.send(flow, &[1; 60_000]);
    assert_eq!(lab.sent().len(), 10);
    let info = lab.info(flow);
    assert_eq!(
        (info.blocked_by, info.flight_len, info.cwnd),
        (SendBlockedBy::CongestionWindow, 14_600, 14_600)
    );
    // [9293 MUST-19] [5681-03] [1122-T047]: slow start.
    lab.ack(flow, 2 * 1460);
    assert_eq!(lab.sent().len(), 4);
}

#[test]
fn small_writes_wait_for_the_one_before() {
    // [9293 SHLD-7, MUST-17] [1122-T064] [1122-T065]
    let mut lab = Lab::plain();
    let flow = lab.accept();
    lab.send(flow, b"one");
    assert_eq!(lab.one().text, b"one");
    lab.send(flow, b"two");
    lab.send(flow, b"three");
    lab.none();
    assert_eq!(lab.info(flow).blocked_by, SendBlockedBy::Nagle);
    lab.ack(flow, 3);
    assert_eq!(lab.one().text, b"twothree");
    lab.send(flow, b"four");
    lab.none();
    lab.tcp.set_nodelay(lab.now, flow.id, true).unwrap();
    assert_eq!(lab.one().text, b"four");
    lab.send(flow, b"five");
    assert_eq!(lab.one().text, b"five");
    assert_eq!(lab.tcp.nodelay(flow.id), Some(true));
}

#[test]
fn the_tail_of_a_large_write_does_not_wait() {
    let mut lab = Lab::plain();
    let flow = lab.accept();
    lab.send(flow, &[1; 2000]);
    assert_eq!(lab.sent().len(), 2, "only full segments are in flight before it");
    lab.send(flow, &[1; 2000]);
    assert_eq!(lab.sent().len(), 1, "now a small one is");
}

#[test]
fn a_fin_takes_the_small_rest_along() {
    let mut lab = Lab::plain();
    let flow = lab.accept();
    lab.send(flow, b"one");
    lab.sent();
    lab.send(flow, b"two");
    lab.none();
    lab.tcp.shutdown_write(lab.now, flow.id).unwrap();
    let last = lab.one();
    assert_eq!((last.flags(), &last.text[..]), (F | P | A, &b"two"[..]));
}

#[test]
fn full_segments_are_acknowledged_at_once_while_young_then_every_second() {
    // [9293 SHLD-18, SHLD-19, MUST-40] [5681-29] [5681-30] [5681-31] [1122-T058] [1122-T059] [1122-T060]
    let mut lab = Lab::plain();
    let flow = lab.accept();
    let mut at = flow.theirs;
    let mut feed = |lab: &mut Lab| {
        lab.inject(A, at, flow.ours, &[1; MSS]).unwrap();
        at = at.wrapping_add(MSS as u32);
        lab.sent().len()
    };
    let first: usize = (0..16).map(|_| feed(&mut lab)).sum();
    assert_eq!(first, 16);
    assert_eq!([feed(&mut lab), feed(&mut lab), feed(&mut lab), feed(&mut lab)], [0, 1, 0, 1]);
    assert_eq!(feed(&mut lab), 0);
    let held = lab.now;
    assert!(lab.advance(ms(39)).is_empty());
    let late = lab.advance(ms(1));
    assert_eq!((late.len(), lab.now.saturating_since(held)), (1, ms(40)));
}

#[test]
fn an_answer_carries_the_acknowledgment() {
    // [5681-32]
    let mut lab = Lab::plain();
    let flow = lab.accept();
    lab.inject(P | A, flow.theirs, flow.ours, b"question").unwrap();
    assert_eq!(lab.one().len(), 0, "nobody knows yet that an answer comes");
    lab.send(flow, b"answer");
    lab.one();
    let flow = Flow { theirs: flow.theirs.wrapping_add(8), ..flow };
    lab.ack(flow, 6);
    lab.inject(P | A, flow.theirs, flow.ours.wrapping_add(6), b"question").unwrap();
    lab.none();
    lab.send(flow, b"answer");
    let answer = lab.one();
    assert_eq!((&answer.text[..], answer.acknowledgment()), (&b"answer"[..], flow.theirs.wrapping_add(8)));
    assert!(lab.advance(ms(100)).is_empty());
}

#[test]
fn the_first_small_segments_are_acknowledged_at_once_and_after_a_silence() {
    // A peer with Nagle's algorithm waits for each of them.
    let mut lab = Lab::plain();
    let flow = lab.accept();
    for offset in 0..16 {
        lab.inject(P | A, flow.theirs.wrapping_add(offset), flow.ours, b"x").unwrap();
        assert_eq!(lab.one().acknowledgment(), flow.theirs.wrapping_add(offset + 1));
    }
    lab.inject(P | A, flow.theirs.wrapping_add(16), flow.ours, b"x").unwrap();
    lab.none();
    assert_eq!(lab.advance(ms(40)).len(), 1);
    lab.advance(ms(3000));
    lab.inject(P | A, flow.theirs.wrapping_add(17), flow.ours, b"x").unwrap();
    lab.one();
}

#[test]
fn a_batch_of_segments_gets_one_acknowledgment() {
    // [9293 MUST-58, MUST-59] [1122-T056]
    let mut lab = Lab::plain();
    let flow = lab.accept();
    for index in 0..8 {
        lab.inject(A, flow.theirs.wrapping_add(index * 1460), flow.ours, &[1; MSS]).unwrap();
    }
    assert_eq!(lab.one().acknowledgment(), flow.theirs.wrapping_add(8 * 1460));
}

#[test]
fn segments_out_of_order_are_kept_and_acknowledged_each() {
    // [9293 SHLD-31, MAY-13] [5681-16] [5681-17] [1122-T055] [1122-T057]
    let mut lab = Lab::plain();
    let flow = lab.accept();
    for (offset, text) in [(10, b"23456"), (5, b"abcde"), (20, b"vwxyz")] {
        lab.inject(A, flow.theirs.wrapping_add(offset), flow.ours, text).unwrap();
    }
    let sent = lab.sent();
    assert_eq!(sent.len(), 3, "each is a duplicate that tells the peer of the hole");
    assert!(sent.iter().all(|ack| ack.acknowledgment() == flow.theirs));
    assert_eq!(lab.recv(flow), Ok(Recv::WouldBlock));
    assert_eq!(lab.info(flow).out_of_order_ranges, 2);
    lab.inject(A, flow.theirs, flow.ours, b"01234").unwrap();
    assert_eq!(lab.one().acknowledgment(), flow.theirs.wrapping_add(15), "at once: a hole was filled");
    lab.inject(A, flow.theirs.wrapping_add(13), flow.ours, b"56FGHIJ").unwrap();
    assert_eq!(lab.one().acknowledgment(), flow.theirs.wrapping_add(25));
    assert_eq!(
        lab.read(flow),
        b"01234abcde23456GHIJ".iter().copied().take(15).chain(*b"FGHIJ").chain(*b"vwxyz").collect::<Vec<_>>()
    );
}

#[test]
fn a_duplicate_is_acknowledged_and_taken_once() {
    let mut lab = Lab::plain();
    let flow = lab.accept();
    lab.inject(A, flow.theirs, flow.ours, b"hello").unwrap();
    lab.one();
    assert_eq!(lab.inject(A, flow.theirs, flow.ours, b"hello"), Err(DropReason::TcpOutOfWindow));
    assert_eq!(lab.one().acknowledgment(), flow.theirs.wrapping_add(5));
    lab.inject(A, flow.theirs, flow.ours, b"hello, world").unwrap();
    assert_eq!(lab.read(flow), b"hello, world");
}

#[test]
fn the_bound_of_separate_runs_holds() {
    let mut lab = Lab::new(TcpConfig { max_out_of_order_ranges: 4, ..plain_config() });
    let flow = lab.accept();
    for index in 0..4 {
        lab.inject(A, flow.theirs.wrapping_add(10 + 10 * index), flow.ours, b"x").unwrap();
    }
    assert_eq!(
        lab.inject(A, flow.theirs.wrapping_add(90), flow.ours, b"x"),
        Err(DropReason::TcpReceiveBufferFull)
    );
    assert_eq!(lab.info(flow).out_of_order_ranges, 4);
}

#[test]
fn sequence_numbers_wrap() {
    let mut lab = Lab::plain();
    let flow = lab.accept();
    let mut offset = 0u32;
    while offset < 3000 {
        lab.inject(A, flow.theirs.wrapping_add(offset), flow.ours, &[offset as u8; 100]).unwrap();
        offset += 100;
    }
    assert!(flow.theirs.wrapping_add(offset) < flow.theirs, "the test crosses the wrap");
    assert_eq!(lab.read(flow).len(), 3000);
}

#[test]
fn events_are_edges() {
    let mut lab = Lab::plain();
    let flow = lab.accept();
    lab.events();
    lab.inject(A, flow.theirs, flow.ours, b"a").unwrap();
    lab.inject(A, flow.theirs.wrapping_add(1), flow.ours, b"b").unwrap();
    assert_eq!(lab.events(), [TcpEvent::Readable(flow.id)]);
    assert_eq!(lab.events(), []);
    lab.inject(A, flow.theirs.wrapping_add(2), flow.ours, b"c").unwrap();
    assert_eq!(lab.events(), [TcpEvent::Readable(flow.id)]);
}

#[test]
fn a_full_buffer_takes_no_more_until_there_is_room_again() {
    let mut lab = Lab::new(TcpConfig { send_buffer: 20_000, ..plain_config() });
    let flow = lab.accept();
    lab.events();
    assert_eq!(lab.send(flow, &[1; 30_000]), 20_000);
    assert_eq!(lab.send(flow, &[1; 1]), 0);
    assert_eq!(lab.sent().len(), 10);
    lab.ack(flow, 1460);
    assert_eq!(lab.events(), [], "a little room is not worth a wake-up");
    lab.ack(flow, 8000);
    assert_eq!(lab.events(), [TcpEvent::Writable(flow.id)]);
    assert_eq!(lab.send(flow, &[1; 30_000]), 8000);
}

#[test]
fn a_sender_is_not_given_more_memory_than_the_path_uses() {
    let mut lab = Lab::plain();
    let flow = lab.accept();
    assert_eq!(lab.send(flow, &vec![1; 4 << 20]), 256 * 1024);
}

#[test]
fn peeking_leaves_what_is_there() {
    let mut lab = Lab::plain();
    let flow = lab.accept();
    let mut buffer = [0; 3];
    assert_eq!(lab.tcp.peek(flow.id, &mut buffer), Ok(Recv::WouldBlock));
    lab.inject(A, flow.theirs, flow.ours, b"hello").unwrap();
    assert_eq!(lab.tcp.peek(flow.id, &mut buffer), Ok(Recv::Data(3)));
    assert_eq!(&buffer, b"hel");
    assert_eq!(lab.read(flow), b"hello");
}

#[test]
fn urgent_bytes_are_told_until_they_are_read() {
    // [9293 MUST-30, MUST-31, MUST-32, MUST-33]
    let mut lab = Lab::plain();
    let flow = lab.accept();
    lab.events();
    let mut header = lab.header(A | U, flow.theirs, flow.ours);
    header.urgent_pointer = 8;
    lab.inject_header(&header, b"hello").unwrap();
    assert_eq!(lab.events(), [TcpEvent::Readable(flow.id), TcpEvent::Report(flow.id)]);
    assert_eq!(lab.info(flow).urgent_remaining, Some(8));
    assert_eq!(lab.read(flow), b"hello");
    assert_eq!(lab.info(flow).urgent_remaining, Some(3));
    lab.inject(A, flow.theirs.wrapping_add(5), flow.ours, b"world").unwrap();
    assert_eq!(lab.info(flow).urgent_remaining, Some(3), "received, and not read");
    assert_eq!(lab.read(flow), b"world");
    assert_eq!(lab.info(flow).urgent_remaining, None);
    // The same again says nothing new.
    let again = lab.inject_header(&header, b"hello");
    assert_eq!((again, lab.info(flow).urgent_remaining), (Err(DropReason::TcpOutOfWindow), None));
}

#[test]
fn urgent_data_is_pointed_at_both_ways() {
    // [9293 MUST-30, MUST-31, MUST-32, MUST-33, MUST-62] [1122-T018] [1122-T019] [1122-T020] [1122-T021]
    let mut lab = Lab::plain();
    let flow = lab.accept();
    lab.send(flow, b"calm");
    lab.tcp.send_urgent(lab.now, flow.id, b"now!").unwrap();
    let sent = lab.one();
    assert_eq!((sent.flags(), sent.header.urgent_pointer), (U | P | A, 8));
    lab.ack(flow, 8);
    lab.send(flow, b"calm again");
    assert_eq!(lab.one().flags(), P | A);

    lab.events();
    let mut header = lab.header(U | A, flow.theirs, flow.ours.wrapping_add(8));
    header.urgent_pointer = 6;
    lab.inject_header(&header, b"abc").unwrap();
    assert!(lab.events().contains(&TcpEvent::Report(flow.id)));
    assert_eq!(lab.info(flow).urgent_remaining, Some(6));
    lab.inject(A, flow.theirs.wrapping_add(3), flow.ours.wrapping_add(8), b"def").unwrap();
    assert_eq!(lab.read(flow), b"abcdef", "in line");
    assert_eq!(lab.info(flow).urgent_remaining, None);
}

#[test]
fn the_traffic_class_is_the_users() {
    // [9293 MUST-48, SHLD-21, SHLD-22] [1122-T099]
    let mut lab = Lab::plain();
    let flow = lab.accept();
    lab.tcp.set_traffic_class(lab.now, flow.id, 0xb8).unwrap();
    lab.send(flow, b"x");
    assert_eq!(lab.tcp.poll_transmit(lab.now).unwrap().traffic_class, 0xb8);
}

#[test]
fn connections_take_turns() {
    let mut lab = Lab::plain();
    let flows: Vec<Flow> = (0..3u16)
        .map(|index| {
            lab.remote_port = REMOTE_PORT + index;
            lab.accept()
        })
        .collect();
    for &flow in &flows {
        lab.send(flow, &[1; 5000]);
    }
    let ports: Vec<u16> = lab.sent().iter().map(|sent| sent.header.destination_port - REMOTE_PORT).collect();
    assert_eq!(ports, [0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2]);
}

#[test]
fn an_idle_connection_holds_no_buffers() {
    let mut lab = Lab::plain();
    let flow = lab.accept();
    lab.inject(A, flow.theirs, flow.ours, &[1; 1000]).unwrap();
    lab.send(flow, &[1; 1000]);
    lab.sent();
    assert!(lab.tcp.usage().buffer_bytes > 0);
    lab.read(flow);
    lab.inject(A, flow.theirs.wrapping_add(1000), flow.ours.wrapping_add(1000), &[]).unwrap();
    assert!(lab.tcp.usage().buffer_bytes > 0, "kept for what may follow at once");
    assert!(lab.advance(ms(1000)).is_empty());
    let usage = lab.tcp.usage();
    assert_eq!((usage.buffer_bytes, usage.timers), (0, 0));
}

#[test]
fn a_busy_connection_does_not_allocate_for_each_burst() {
    let mut lab = Lab::plain();
    let flow = lab.accept();
    let mut at = 0;
    for _ in 0..100 {
        lab.inject(A, flow.theirs.wrapping_add(at), flow.ours, &[1; 1000]).unwrap();
        at += 1000;
        lab.read(flow);
        lab.advance(ms(900));
        assert!(lab.tcp.usage().buffer_bytes > 0);
    }
}

#[test]
fn progress_is_told_to_the_neighbour_cache_but_not_each_time() {
    let mut lab = Lab::plain();
    let flow = lab.accept();
    while lab.tcp.poll_advice().is_some() {}
    lab.now += ms(1000);
    for count in 1..=5 {
        lab.send(flow, b"x");
        lab.sent();
        lab.ack(flow, count);
    }
    assert_eq!(lab.tcp.poll_advice(), Some(PathAdvice::Confirmed { remote: lab.remote }));
    assert_eq!(lab.tcp.poll_advice(), None);
}
