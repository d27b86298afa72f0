//! Received text that its reader takes along with the memory that it lies in.

use core::time::Duration;

use netloom_base::{OwnedBytes, PIECE_LEN};
use netloom_wire::TcpOptions;

use super::lab::*;
use super::pair::pattern;
use super::super_segments::{inject_buffer, inject_for_spare};
use crate::tcp::*;

fn scaled() -> (Lab, Flow) {
    let mut lab = Lab::new(TcpConfig { window_scaling: true, ..plain_config() });
    let options = TcpOptions { mss: Some(1460), window_scale: Some(7), ..TcpOptions::default() };
    let flow = lab.accept_with(options);
    (lab, flow)
}

/// Takes up to `most` bytes with their memory.
fn take(lab: &mut Lab, flow: Flow, most: usize) -> OwnedBytes {
    let mut taken = None;
    let received = lab.tcp.recv_owned(lab.now, flow.id, most, |owned| taken = Some(owned)).unwrap();
    let taken = taken.unwrap();
    assert_eq!(received, Recv::Data(taken.as_ref().len()));
    taken
}

#[test]
fn a_super_segment_comes_in_the_buffer_that_it_was_received_into() {
    let (mut lab, flow) = scaled();
    let text = pattern(100_000, 3);
    let before = lab.tcp.usage().buffer_bytes;
    for (at, len) in [(0, 60_000), (60_000, 20_000)] {
        let kept = inject_buffer(&mut lab, flow, at, &text[at..at + len]).unwrap();
        assert!(lab.tcp.usage().buffer_bytes >= before + PIECE_LEN);
        let taken = take(&mut lab, flow, PIECE_LEN);
        assert_eq!(taken.as_ref(), &text[at..at + len]);
        assert_eq!(taken.as_ref().as_ptr().addr(), kept, "nobody has copied it");
        let memory = taken.into_memory();
        assert_eq!(memory.len(), PIECE_LEN);
        lab.tcp.give_back(memory);
        lab.sent();
    }
    assert_eq!(lab.tcp.usage().buffer_bytes, before, "what its reader has is its reader's");
    assert_eq!(lab.info(flow).receive_queue_len, 0);
}

#[test]
fn a_buffer_that_was_given_back_receives_again() {
    let (mut lab, flow) = scaled();
    let text = pattern(60_000, 3);
    inject_buffer(&mut lab, flow, 0, &text).unwrap();
    let memory = take(&mut lab, flow, PIECE_LEN).into_memory();
    let address = memory.as_ptr().addr();
    lab.tcp.give_back(memory);
    lab.sent();
    // The spare that the stack hands out for the next buffer that it keeps.
    let offset = text.len();
    let (_, spare) = inject_for_spare(&mut lab, flow, offset, &text).unwrap();
    assert_eq!(spare.as_ptr().addr(), address);
}

#[test]
fn what_does_not_fill_its_memory_or_is_more_than_is_wanted_is_copied() {
    let (mut lab, flow) = scaled();
    let text = pattern(60_000, 3);
    lab.inject(A, flow.theirs, flow.ours, &text[..100]).unwrap();
    lab.sent();
    assert_eq!(take(&mut lab, flow, PIECE_LEN).into_memory().capacity(), 100);
    inject_buffer(&mut lab, flow, 100, &text[..50_000]).unwrap();
    let part = take(&mut lab, flow, 1000);
    assert_eq!(part.as_ref(), &text[..1000]);
    assert_eq!(part.into_memory().capacity(), 1000);
    let rest = take(&mut lab, flow, PIECE_LEN);
    assert_eq!(rest.as_ref(), &text[1000..50_000]);
    assert_eq!(rest.into_memory().len(), PIECE_LEN);
}

#[test]
fn taking_opens_the_window_as_reading_does_and_the_end_is_told() {
    let (mut lab, flow) = scaled();
    let text = pattern(60_000, 3);
    let mut at = 0;
    while lab.info(flow).rcv_wnd >= 60_000 {
        inject_buffer(&mut lab, flow, at, &text).unwrap();
        at += text.len();
        lab.sent();
    }
    lab.advance(Duration::from_secs(1));
    let mut left = at;
    while left > 0 {
        left -= take(&mut lab, flow, PIECE_LEN).as_ref().len();
    }
    let update = lab.sent();
    assert!(!update.is_empty(), "the peer hears of the room");
    assert!(lab.info(flow).rcv_wnd as usize >= at);
    let nothing =
        |lab: &mut Lab| lab.tcp.recv_owned(lab.now, flow.id, PIECE_LEN, |_| panic!("nothing is there"));
    assert_eq!(nothing(&mut lab), Ok(Recv::WouldBlock));
    let end = flow.theirs.wrapping_add(at as u32);
    lab.inject(F | A, end, flow.ours, &[]).unwrap();
    assert_eq!(nothing(&mut lab), Ok(Recv::EndOfStream));
    let limit_of_none = lab.tcp.recv_owned(lab.now, flow.id, 0, |_| panic!("nothing is wanted"));
    assert_eq!(limit_of_none, Ok(Recv::EndOfStream));
    lab.inject(R, end.wrapping_add(1), 0, &[]).unwrap();
}
