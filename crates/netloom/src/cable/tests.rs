//! Frames over a real cable in real time, between queues in memory.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use netloom_base::{Medium, RxMeta, TxMeta};
use netloom_device::{RECEIVE_BUFFER_LEN, RxFrame};
use netloom_impair::LinkDrop;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::*;

fn faults(text: &str) -> ImpairSpec {
    text.parse().expect("faults")
}

/// A cable with a device on the tester's side at both ends.
fn cable(text: &str) -> (Cable, [MemoryQueue; 2]) {
    let (first, far_first) = MemoryQueue::pair(Medium::Ip, 1500).expect("a pair");
    let (second, far_second) = MemoryQueue::pair(Medium::Ip, 1500).expect("a pair");
    let cable = Cable::start([Box::new(far_first), Box::new(far_second)], &faults(text)).expect("a cable");
    (cable, [first, second])
}

fn send(queue: &mut dyn Queue, frame: &[u8]) {
    queue.send(TxMeta::default(), frame, [b"", b""]).expect("sent");
}

/// The next frame, waited for.
fn receive(queue: &mut dyn Queue) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; RECEIVE_BUFFER_LEN];
    loop {
        match queue.recv(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let mut waiting = [PollFd::new(queue.as_fd(), PollFlags::POLLIN)];
                let ready = poll(&mut waiting, PollTimeout::from(10_000_u16));
                assert_eq!(ready, Ok(1), "nothing came");
            }
            outcome => return outcome.map(|received| received.bytes_in(&buffer).to_vec()),
        }
    }
}

/// Sends numbered frames until the queue takes none any more, as nobody reads what they come to; how many those were.
fn fill(queue: &mut dyn Queue) -> u32 {
    let mut sent = 0_u32;
    // Its own socket, the cable's, and the reader's fill up.
    while sent < 2000 {
        match queue.send(TxMeta::default(), &sent.to_be_bytes(), [&[0; 1400], b""]) {
            Ok(()) => sent += 1,
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                let mut waiting = [PollFd::new(queue.as_fd(), PollFlags::POLLOUT)];
                if poll(&mut waiting, PollTimeout::from(200_u16)) == Ok(0) {
                    return sent;
                }
            }
        }
    }
    panic!("nobody stopped the writer");
}

#[test]
fn each_way_has_its_own_delay() {
    let (_cable, [mut first, mut second]) = cable("in:delay=30ms,out:delay=5ms");
    let started = Instant::now();
    send(&mut first, b"there");
    assert_eq!(receive(&mut second).unwrap(), b"there");
    let there = started.elapsed();
    send(&mut second, b"back");
    assert_eq!(receive(&mut first).unwrap(), b"back");
    assert!(there >= Duration::from_millis(30), "{there:?}");
    assert!(started.elapsed() >= Duration::from_millis(35));
}

#[test]
fn a_rate_spreads_frames_out() {
    // Frames of 1000 bytes at 8 Mbit/s: a millisecond each.
    let (cable, [mut first, mut second]) = cable("rate=8mbit,queue=1000");
    let started = Instant::now();
    for number in 0..50_u8 {
        send(&mut first, &[number; 1000]);
    }
    for number in 0..50_u8 {
        assert_eq!(receive(&mut second).unwrap(), [number; 1000]);
    }
    assert!(started.elapsed() >= Duration::from_millis(50), "{:?}", started.elapsed());
    let [there, back] = cable.stop();
    assert_eq!((there.link.frames_offered.get(), there.link.bytes_delivered.get()), (50, 50_000));
    assert_eq!(back.link.frames_offered.get(), 0);
}

#[test]
fn faults_change_while_it_runs() {
    let (cable, [mut first, mut second]) = cable("none");
    send(&mut first, b"before");
    assert_eq!(receive(&mut second).unwrap(), b"before");
    cable.set_faults(&faults("in:loss=100%"));
    send(&mut first, b"lost");
    send(&mut second, b"the other way");
    assert_eq!(receive(&mut first).unwrap(), b"the other way");
    // In the order in which they were given: by now the frame has been offered.
    while cable.counters()[0].link.frames_offered.get() < 2 {}
    cable.set_faults(&ImpairSpec::default());
    send(&mut first, b"after");
    assert_eq!(receive(&mut second).unwrap(), b"after");
    assert_eq!(cable.stop()[0].link.dropped(LinkDrop::Lost), 1);
}

#[test]
fn a_reader_that_does_not_read_stops_the_writer_and_loses_nothing() {
    let (cable, [mut first, mut second]) = cable("none");
    let sent = fill(&mut first);
    for expected in 0..sent {
        assert_eq!(receive(&mut second).unwrap()[..4], expected.to_be_bytes());
    }
    assert_eq!(cable.stop()[0].link.dropped_total(), 0);
}

#[test]
fn what_is_under_way_arrives_though_the_sender_has_gone() {
    let (cable, [mut first, mut second]) = cable("delay=20ms");
    send(&mut first, b"last words");
    drop(first);
    assert_eq!(receive(&mut second).unwrap(), b"last words");
    assert_eq!(receive(&mut second).unwrap_err().kind(), io::ErrorKind::NotConnected);
    assert_eq!(cable.finish()[0].link.frames_delivered.get(), 1);
}

#[tokio::test(flavor = "current_thread")]
async fn the_end_of_a_device_is_told() {
    let (cable, [first, second]) = cable("none");
    drop(second);
    assert_eq!(cable.ended().await, io::ErrorKind::NotConnected);
    drop(first);
}

#[test]
fn a_cable_before_a_device_is_a_device() {
    let (mut outside, device) = MemoryQueue::pair(Medium::Ethernet, 9000).expect("a pair");
    let (cable, mut queue) = Cable::before(Box::new(device), &faults("in:dup=100%")).expect("a cable");
    assert_eq!(queue.caps(), DeviceCaps::plain(Medium::Ethernet, 9000));
    send(&mut outside, b"in");
    let mut descriptor = [PollFd::new(queue.as_fd(), PollFlags::POLLIN)];
    assert_eq!(poll(&mut descriptor, PollTimeout::from(10_000_u16)), Ok(1));
    let mut buffer = vec![0; RECEIVE_BUFFER_LEN];
    assert_eq!(queue.recv(&mut buffer).unwrap(), RxFrame { range: 0..2, meta: RxMeta::default() });
    queue.send(TxMeta::default(), b"out", [b"", b""]).expect("sent");
    assert_eq!(receive(&mut outside).unwrap(), b"out");
    assert_eq!(cable.stop()[0].link.duplicated.get(), 1);
}

/// A cable before a device with two queues; on the outside, and on the stack's side.
fn cable_of_two(text: &str) -> (Cable, [MemoryQueue; 2], Vec<Box<dyn Queue>>) {
    let pair = || MemoryQueue::pair(Medium::Ip, 1500).expect("a pair");
    let ((one, far_one), (other, far_other)) = (pair(), pair());
    let device: Vec<Box<dyn Queue>> = vec![Box::new(far_one), Box::new(far_other)];
    let (cable, queues) = Cable::before_queues(device, &faults(text)).expect("a cable");
    (cable, [one, other], queues)
}

#[test]
fn each_queue_has_its_own_frames_and_all_meet_the_same_link() {
    // Frames of 1000 bytes at 8 Mbit/s: a millisecond each.
    let (cable, mut outside, mut inside) = cable_of_two("rate=8mbit,dup=100%");
    let started = Instant::now();
    for number in 0..20_u8 {
        for (queue, outside) in (0..).zip(&mut outside) {
            send(outside, &[[queue, number]; 500].concat());
        }
    }
    send(&mut *inside[1], b"back");
    for (queue, inside) in (0..).zip(&mut inside) {
        for number in (0..20_u8).flat_map(|number| [number; 2]) {
            assert_eq!(receive(&mut **inside).unwrap()[..2], [queue, number]);
        }
    }
    assert!(started.elapsed() >= Duration::from_millis(40), "{:?}", started.elapsed());
    assert_eq!(receive(&mut outside[1]).unwrap(), b"back");
    let [in_, out] = cable.counters();
    assert_eq!((in_.link.frames_offered.get(), in_.link.duplicated.get()), (40, 40));
    assert_eq!(out.link.frames_offered.get(), 1);
}

#[test]
fn the_last_words_of_every_queue_arrive() {
    for _ in 0..20 {
        let (cable, outside, mut inside) = cable_of_two("none");
        for (queue, inside) in (0..).zip(&mut inside) {
            send(&mut **inside, &[queue; 100]);
        }
        // One after the other.
        inside.into_iter().for_each(drop);
        assert_eq!(cable.finish()[1].link.frames_delivered.get(), 2);
        for (queue, mut outside) in (0..).zip(outside) {
            assert_eq!(receive(&mut outside).unwrap(), [queue; 100]);
        }
    }
}

#[test]
fn a_cable_before_a_device_that_is_stuck_ends_with_its_stack() {
    let (_stuck, device) = MemoryQueue::pair(Medium::Ip, 1500).expect("a pair");
    let (cable, mut queue) = Cable::before(Box::new(device), &faults("none")).expect("a cable");
    fill(&mut *queue);
    drop(queue);
    let (tell, ended) = channel();
    std::thread::spawn(move || {
        cable.finish();
        let _ = tell.send(());
    });
    ended.recv_timeout(Duration::from_secs(20)).expect("it gives up what nobody takes");
}

#[test]
fn a_queue_that_is_not_read_does_not_hold_up_the_others() {
    let (cable, [mut one, mut other], mut inside) = cable_of_two("none");
    let stuck = fill(&mut one);
    for number in 0..100_u8 {
        send(&mut other, &[number; 1400]);
        assert_eq!(receive(&mut *inside[1]).unwrap(), [number; 1400]);
    }
    for expected in 0..stuck {
        assert_eq!(receive(&mut *inside[0]).unwrap()[..4], expected.to_be_bytes());
    }
    assert_eq!(cable.stop()[0].link.dropped_total(), 0);
}

#[test]
fn when_one_queue_goes_all_do() {
    let (cable, [one, mut other], mut inside) = cable_of_two("delay=20ms");
    send(&mut other, b"last words");
    while cable.counters()[0].link.frames_offered.get() < 1 {}
    drop(one);
    assert_eq!(receive(&mut *inside[1]).unwrap(), b"last words");
    assert_eq!(receive(&mut *inside[0]).unwrap_err().kind(), io::ErrorKind::NotConnected);
    assert_eq!(cable.finish()[0].link.frames_delivered.get(), 1);
}

#[test]
fn a_cable_has_queues_at_both_ends() {
    let error = Cable::before_queues(Vec::new(), &ImpairSpec::default()).err().expect("no cable");
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
}

#[test]
fn unequal_ends_are_refused() {
    let (first, _a) = MemoryQueue::pair(Medium::Ip, 1500).expect("a pair");
    let (second, _b) = MemoryQueue::pair(Medium::Ethernet, 1500).expect("a pair");
    let error = Cable::start([Box::new(first), Box::new(second)], &ImpairSpec::default()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
}
