//! Ending connections: in order, half, at once, by force, and under a window that is shut.

use netloom_base::DropReason;

use super::lab::*;
use crate::tcp::*;

#[test]
fn four_segments_close_a_connection() {
    let mut lab = Lab::plain();
    let flow = lab.accept();
    lab.tcp.close(lab.now, flow.id);
    let fin = lab.one();
    assert_eq!((fin.flags(), fin.sequence()), (F | A, flow.ours));
    lab.inject(A, flow.theirs, flow.ours.wrapping_add(1), &[]).unwrap();
    lab.none();
    lab.inject(F | A, flow.theirs, flow.ours.wrapping_add(1), &[]).unwrap();
    let ack = lab.one();
    assert_eq!((ack.flags(), ack.acknowledgment()), (A, flow.theirs.wrapping_add(1)));
    let usage = lab.tcp.usage();
    assert_eq!((usage.connections, usage.time_wait, usage.buffer_bytes), (0, 1, 0));
    assert!(lab.advance(ms(60_000)).is_empty());
    assert_eq!(lab.tcp.usage(), TcpUsage { listeners: 1, ..TcpUsage::default() });
}

#[test]
fn both_ends_may_close_at_once() {
    let mut lab = Lab::plain();
    let flow = lab.accept();
    lab.tcp.close(lab.now, flow.id);
    assert_eq!(lab.one().flags(), F | A);
    lab.inject(F | A, flow.theirs, flow.ours, &[]).unwrap();
    assert_eq!(lab.one().acknowledgment(), flow.theirs.wrapping_add(1));
    let info = lab.tcp.connections().next().unwrap().1;
    assert_eq!((info.state, info.is_held), (TcpState::Closing, false));
    lab.inject(A, flow.theirs.wrapping_add(1), flow.ours.wrapping_add(1), &[]).unwrap();
    let usage = lab.tcp.usage();
    assert_eq!((usage.connections, usage.time_wait), (0, 1));
}

#[test]
fn the_passive_closer_needs_no_time_wait() {
    let mut lab = Lab::plain();
    let flow = lab.accept();
    lab.inject(F | A, flow.theirs, flow.ours, &[]).unwrap();
    assert_eq!(lab.one().flags(), A);
    assert!(lab.events().contains(&TcpEvent::Readable(flow.id)));
    assert_eq!(lab.recv(flow), Ok(Recv::EndOfStream));
    lab.tcp.close(lab.now, flow.id);
    let fin = lab.one();
    assert_eq!(fin.flags(), F | A);
    lab.inject(A, flow.theirs.wrapping_add(1), flow.ours.wrapping_add(1), &[]).unwrap();
    assert_eq!(lab.tcp.usage(), TcpUsage { listeners: 1, ..TcpUsage::default() });
}

#[test]
fn half_closed_here_still_receives() {
    let mut lab = Lab::plain();
    let flow = lab.accept();
    lab.send(flow, b"request");
    lab.tcp.shutdown_write(lab.now, flow.id).unwrap();
    lab.tcp.shutdown_write(lab.now, flow.id).unwrap();
    let request = lab.one();
    assert_eq!((request.flags(), &request.text[..]), (F | P | A, &b"request"[..]));
    assert_eq!(lab.tcp.send(lab.now, flow.id, b"more"), Err(SendError::Shutdown));
    let ours = flow.ours.wrapping_add(8);
    lab.inject(A, flow.theirs, ours, b"part one, ").unwrap();
    // A long pause: nothing times out while the user holds the socket.
    lab.advance(ms(3_600_000));
    lab.inject(A, flow.theirs.wrapping_add(10), ours, b"part two").unwrap();
    lab.inject(F | A, flow.theirs.wrapping_add(18), ours, &[]).unwrap();
    lab.sent();
    assert_eq!(lab.read(flow), b"part one, part two");
    assert_eq!(lab.recv(flow), Ok(Recv::EndOfStream));
    assert_eq!(lab.state(flow), TcpState::TimeWait);
    assert!(lab.events().contains(&TcpEvent::Closed(flow.id)));
    lab.tcp.close(lab.now, flow.id);
    assert_eq!(lab.tcp.usage().connections, 0);
}

#[test]
fn half_closed_there_still_sends() {
    let mut lab = Lab::plain();
    let flow = lab.accept();
    lab.inject(F | A, flow.theirs, flow.ours, b"request").unwrap();
    lab.sent();
    assert_eq!(lab.read(flow), b"request");
    assert_eq!(lab.recv(flow), Ok(Recv::EndOfStream));
    lab.advance(ms(3_600_000));
    assert_eq!(lab.send(flow, b"answer"), 6);
    let answer = lab.one();
    assert_eq!((&answer.text[..], answer.acknowledgment()), (&b"answer"[..], flow.theirs.wrapping_add(8)));
    lab.inject(A, flow.theirs.wrapping_add(8), flow.ours.wrapping_add(6), &[]).unwrap();
    lab.tcp.close(lab.now, flow.id);
    assert_eq!(lab.one().flags(), F | A);
}

#[test]
fn close_delivers_what_was_written() {
    // The field's complaint: data lost at close.
    let mut lab = Lab::plain();
    let flow = lab.accept();
    let data: Vec<u8> = (0..50_000u32).map(|byte| byte as u8).collect();
    assert_eq!(lab.send(flow, &data), data.len());
    lab.tcp.close(lab.now, flow.id);
    let mut received = Vec::new();
    let mut fin = false;
    for _ in 0..100 {
        for segment in lab.sent() {
            assert_eq!(segment.sequence(), flow.ours.wrapping_add(received.len() as u32));
            received.extend_from_slice(&segment.text);
            fin |= segment.flags().contains(F);
        }
        if fin {
            break;
        }
        lab.inject(A, flow.theirs, flow.ours.wrapping_add(received.len() as u32), &[]).unwrap();
    }
    assert!(fin);
    assert_eq!(received, data);
}

#[test]
fn close_with_unread_data_resets() {
    // [9293 SHLD-3, MAY-1] [1122-T043] [1122-T044]
    let mut lab = Lab::plain();
    let flow = lab.accept();
    lab.inject(A, flow.theirs, flow.ours, b"never read").unwrap();
    lab.tcp.close(lab.now, flow.id);
    let reset = lab.sent().pop().unwrap();
    assert_eq!(
        (reset.flags(), reset.sequence(), reset.acknowledgment()),
        (R | A, flow.ours, flow.theirs.wrapping_add(10))
    );
    assert_eq!(lab.tcp.counters().ended(EndReason::ClosedUnread), 1);
    assert_eq!(lab.tcp.usage(), TcpUsage { listeners: 1, ..TcpUsage::default() });
}

#[test]
fn data_after_close_is_answered_by_a_reset() {
    // [9293 SHLD-3]
    for acknowledges_fin in [false, true] {
        let mut lab = Lab::plain();
        let flow = lab.accept();
        lab.tcp.close(lab.now, flow.id);
        lab.sent();
        let ours = flow.ours.wrapping_add(u32::from(acknowledges_fin));
        assert_eq!(lab.inject(A, flow.theirs, ours, b"late"), Err(DropReason::TcpReceiverClosed));
        let reset = lab.one();
        assert_eq!((reset.flags(), reset.sequence()), (R | A, flow.ours.wrapping_add(1)));
        assert_eq!(lab.tcp.counters().ended(EndReason::DataAfterClose), 1);
        assert_eq!(lab.tcp.usage().connections, 0);
    }
}

#[test]
fn reading_shut_down_takes_and_forgets() {
    let mut lab = Lab::plain();
    let flow = lab.accept();
    lab.inject(A, flow.theirs, flow.ours, b"before").unwrap();
    lab.tcp.shutdown_read(lab.now, flow.id).unwrap();
    assert_eq!(lab.recv(flow), Ok(Recv::EndOfStream));
    lab.inject(A, flow.theirs.wrapping_add(6), flow.ours, &[7; 1460]).unwrap();
    lab.inject(A, flow.theirs.wrapping_add(1466), flow.ours, &[7; 1460]).unwrap();
    let ack = lab.sent().pop().unwrap();
    assert_eq!((ack.acknowledgment(), ack.header.window), (flow.theirs.wrapping_add(2926), 65_535));
    assert_eq!(lab.info(flow).receive_queue_len, 0);
    lab.tcp.close(lab.now, flow.id);
    assert_eq!(lab.one().flags(), F | A, "nothing is unread");
}

#[test]
fn a_fin_is_not_lost_under_a_shut_window() {
    let mut lab = Lab::plain();
    let flow = lab.accept();
    lab.window = 0;
    lab.inject(A, flow.theirs, flow.ours, &[]).unwrap();
    lab.tcp.close(lab.now, flow.id);
    lab.none();
    // The FIN itself probes the window.
    let probe = lab.advance(ms(1000)).pop().unwrap();
    assert_eq!((probe.flags(), probe.sequence()), (F | A, flow.ours));
    lab.inject(A, flow.theirs, flow.ours, &[]).unwrap();
    lab.none();
    lab.window = 1000;
    lab.inject(A, flow.theirs, flow.ours, &[]).unwrap();
    let fin = lab.one();
    assert_eq!((fin.flags(), fin.sequence()), (F | A, flow.ours));
    lab.inject(F | A, flow.theirs, flow.ours.wrapping_add(1), &[]).unwrap();
    lab.sent();
    assert_eq!(lab.tcp.usage().connections, 0);
}

#[test]
fn data_and_fin_wait_for_the_window_to_open() {
    let mut lab = Lab::plain();
    let flow = lab.accept();
    lab.window = 0;
    lab.inject(A, flow.theirs, flow.ours, &[]).unwrap();
    lab.send(flow, b"0123456789");
    lab.tcp.close(lab.now, flow.id);
    lab.none();
    let probes = lab.advance(ms(4000));
    assert!(!probes.is_empty() && probes.iter().all(|probe| probe.text == b"0"), "{probes:?}");
    lab.window = 1000;
    lab.inject(A, flow.theirs, flow.ours.wrapping_add(1), &[]).unwrap();
    let rest = lab.one();
    assert_eq!((&rest.text[..], rest.flags()), (&b"123456789"[..], F | P | A));
}

#[test]
fn an_orphan_under_a_shut_window_ends_at_last() {
    // The field's complaint: close() stuck under a zero window.
    let mut lab = Lab::plain();
    let flow = lab.accept();
    lab.window = 0;
    lab.inject(A, flow.theirs, flow.ours, &[]).unwrap();
    lab.send(flow, b"nobody takes this");
    lab.tcp.close(lab.now, flow.id);
    let mut last = Vec::new();
    for _ in 0..200 {
        let sent = lab.advance(ms(1000));
        if !sent.is_empty() {
            last = sent;
            if lab.tcp.usage().connections == 0 {
                break;
            }
            // The peer answers each probe: the window stays shut.
            let _ = lab.inject(A, flow.theirs, flow.ours, &[]);
        }
    }
    assert_eq!(last.pop().unwrap().flags(), R | A);
    assert_eq!(lab.tcp.counters().ended(EndReason::OrphanTimeout), 1);
    assert_eq!(lab.tcp.usage().connections, 0);
}

#[test]
fn an_orphan_in_fin_wait_2_ends_at_last() {
    let mut lab = Lab::plain();
    let flow = lab.accept();
    lab.tcp.close(lab.now, flow.id);
    lab.sent();
    lab.inject(A, flow.theirs, flow.ours.wrapping_add(1), &[]).unwrap();
    lab.advance(ms(59_000));
    assert_eq!(lab.tcp.usage().connections, 1);
    lab.advance(ms(1000));
    assert_eq!(lab.tcp.counters().ended(EndReason::FinWait2Timeout), 1);
    assert_eq!(lab.tcp.usage(), TcpUsage { listeners: 1, ..TcpUsage::default() });
}

#[test]
fn a_lost_fin_is_sent_again() {
    let mut lab = Lab::plain();
    let flow = lab.accept();
    lab.tcp.close(lab.now, flow.id);
    let fin = lab.one();
    let again = lab.advance(ms(1000)).pop().unwrap();
    assert_eq!((again.flags(), again.sequence()), (fin.flags(), fin.sequence()));
    lab.inject(A, flow.theirs, flow.ours.wrapping_add(1), &[]).unwrap();
    lab.none();
}

#[test]
fn a_fin_before_its_turn_waits() {
    let mut lab = Lab::plain();
    let flow = lab.accept();
    lab.inject(F | A, flow.theirs.wrapping_add(5), flow.ours, b"world").unwrap();
    assert_eq!(lab.one().acknowledgment(), flow.theirs);
    assert_eq!(lab.state(flow), TcpState::Established);
    lab.inject(A, flow.theirs, flow.ours, b"hello").unwrap();
    assert_eq!(lab.one().acknowledgment(), flow.theirs.wrapping_add(11));
    assert_eq!(lab.state(flow), TcpState::CloseWait);
    assert_eq!(lab.read(flow), b"helloworld");
    assert_eq!(lab.recv(flow), Ok(Recv::EndOfStream));
}

#[test]
fn a_reset_leaves_what_came_before_it_readable() {
    let mut lab = Lab::plain();
    let flow = lab.accept();
    lab.inject(A, flow.theirs, flow.ours, b"kept").unwrap();
    lab.inject(R, flow.theirs.wrapping_add(4), 0, &[]).unwrap();
    assert_eq!(lab.read(flow), b"kept");
    assert_eq!(lab.recv(flow), Err(RecvError::Failed(TcpError::ConnectionReset)));
    assert_eq!(lab.tcp.send(lab.now, flow.id, b"x"), Err(SendError::Failed(TcpError::ConnectionReset)));
    lab.tcp.close(lab.now, flow.id);
    assert_eq!(lab.recv(flow), Err(RecvError::NotFound));
    assert_eq!(lab.tcp.usage(), TcpUsage { listeners: 1, ..TcpUsage::default() });
}

#[test]
fn abort_all_leaves_nothing() {
    let mut lab = Lab::plain();
    let flow = lab.accept();
    lab.remote_port += 1;
    lab.inject(S, IRS, 0, &[]).unwrap();
    lab.sent();
    lab.tcp.abort_all(lab.now);
    assert_eq!(lab.one().flags(), R | A);
    assert_eq!(lab.tcp.usage().live(), 0);
    assert_eq!(lab.recv(flow), Err(RecvError::Failed(TcpError::ConnectionAborted)));
    lab.tcp.close(lab.now, flow.id);
    assert_eq!(lab.tcp.usage(), TcpUsage { listeners: 1, ..TcpUsage::default() });
}

#[test]
fn nothing_lies_beyond_a_fin() {
    let mut lab = Lab::plain();
    let flow = lab.accept();
    let at = |offset: u32| flow.theirs.wrapping_add(offset);
    lab.inject(F | A, at(5), flow.ours, b"world").unwrap();
    assert_eq!(lab.inject(A, at(10), flow.ours, b"beyond"), Err(DropReason::TcpOutOfWindow));
    lab.inject(A, at(0), flow.ours, b"hello, all of you").unwrap();
    assert_eq!(lab.state(flow), TcpState::CloseWait);
    assert_eq!(lab.read(flow), b"hello, all");
    assert_eq!(lab.recv(flow), Ok(Recv::EndOfStream));
}

#[test]
fn a_fin_before_text_that_has_arrived_is_none() {
    let mut lab = Lab::plain();
    let flow = lab.accept();
    let at = |offset: u32| flow.theirs.wrapping_add(offset);
    lab.inject(A, at(5), flow.ours, b"world").unwrap();
    lab.inject(F | A, at(7), flow.ours, &[]).unwrap();
    lab.inject(A, at(0), flow.ours, b"hello").unwrap();
    assert_eq!(lab.state(flow), TcpState::Established);
    assert_eq!(lab.read(flow), b"helloworld");
    lab.inject(F | A, at(10), flow.ours, &[]).unwrap();
    assert_eq!(lab.state(flow), TcpState::CloseWait);
}
