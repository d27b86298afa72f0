//! Small parts at the end of what was written, which wait for the rest of the round.

use core::time::Duration;

use netloom_wire::TcpOptions;

use super::lab::*;
use super::pair::{Pair, Script, pattern, with_segmentation};
use crate::tcp::*;

/// The text of a super-segment of 44 parts.
const LIMIT: usize = 44 * MSS;

/// A stream whose writer has filled all the room there was, and of which everything has been acknowledged.
pub(super) struct Stream {
    pub(super) flow: Flow,
    acked: u32,
}

impl Stream {
    fn new(lab: &mut Lab) -> Self {
        let options = TcpOptions { mss: Some(1460), window_scale: Some(7), ..TcpOptions::default() };
        let mut stream = Self { flow: lab.accept_with(options), acked: 0 };
        stream.fill(lab);
        stream
    }

    /// Writes until there is no room, and has all of it acknowledged.
    fn fill(&mut self, lab: &mut Lab) {
        let text = pattern(1 << 20, 1);
        assert!(lab.send(self.flow, &text) < text.len(), "there is no room for more");
        self.ack_all(lab);
    }

    fn ack_all(&mut self, lab: &mut Lab) {
        for _ in 0..100 {
            let len: usize = lab.sent().iter().map(Sent::len).sum();
            if len == 0 {
                return;
            }
            self.ack(lab, len);
        }
    }

    fn ack(&mut self, lab: &mut Lab, len: usize) {
        self.acked += u32::try_from(len).unwrap();
        lab.ack(self.flow, self.acked);
    }
}

pub(super) fn new_lab() -> Lab {
    let mut lab = Lab::new(with_segmentation(TcpConfig { window_scaling: true, ..plain_config() }));
    lab.tcp.auto_cork(true);
    lab
}

fn end_round(lab: &mut Lab) {
    let now = lab.now;
    lab.tcp.end_round(now);
}

fn lens(sent: &[Sent]) -> Vec<usize> {
    sent.iter().map(Sent::len).collect()
}

/// A stream of which a part waits.
pub(super) fn held(lab: &mut Lab) -> Stream {
    let stream = Stream::new(lab);
    lab.send(stream.flow, &[1; LIMIT + 1000]);
    assert_eq!(lens(&lab.sent()), [LIMIT]);
    assert_eq!(lab.info(stream.flow).blocked_by, SendBlockedBy::AutoCork);
    assert!(lab.tcp.awaits_round());
    stream
}

#[test]
fn a_small_part_leaves_with_what_is_written_next() {
    for nodelay in [false, true] {
        let mut lab = new_lab();
        let mut stream = Stream::new(&mut lab);
        lab.tcp.set_nodelay(lab.now, stream.flow.id, nodelay).unwrap();
        // Until the window has room for as much.
        (0..2).for_each(|_| stream.fill(&mut lab));
        // Whether it is copied or lent.
        lab.send(stream.flow, &[1; LIMIT + 1000]);
        lab.tcp.send_shared(lab.now, stream.flow.id, Box::new(vec![1; LIMIT + 1000])).unwrap();
        assert_eq!(lens(&lab.sent()), [LIMIT; 2], "nodelay {nodelay}");
        // All that is in flight is acknowledged within the round.
        stream.ack(&mut lab, 2 * LIMIT);
        lab.none();
        lab.send(stream.flow, &[1; LIMIT - 2000]);
        assert_eq!(lens(&lab.sent()), [LIMIT]);
        lab.send(stream.flow, &[1; 1000]);
        lab.none();
        assert_eq!(lab.tcp.counters().blocked(SendBlockedBy::AutoCork), 2);
        end_round(&mut lab);
        let rest = lab.one();
        assert_eq!((rest.len(), rest.flags()), (1000, P | A));
        assert!(!lab.tcp.awaits_round());
    }
}

#[test]
fn a_writer_that_goes_on_is_waited_for_in_each_round() {
    let mut lab = new_lab();
    let mut stream = Stream::new(&mut lab);
    for _ in 0..3 {
        for _ in 0..3 {
            lab.send(stream.flow, &[1; LIMIT + 1000]);
            assert_eq!(lens(&lab.sent()), [LIMIT]);
            stream.ack(&mut lab, LIMIT);
        }
        end_round(&mut lab);
        assert_eq!(lens(&lab.sent()), [3000]);
        stream.ack(&mut lab, 3000);
    }
}

#[test]
fn a_writer_that_did_not_go_on_is_not_waited_for_again_until_it_has_filled_the_room() {
    let mut lab = new_lab();
    let mut stream = held(&mut lab);
    end_round(&mut lab);
    assert_eq!(lens(&lab.sent()), [1000]);
    stream.ack(&mut lab, LIMIT + 1000);
    lab.none();
    for _ in 0..3 {
        lab.send(stream.flow, &[1; LIMIT + 1000]);
        assert_eq!(lens(&lab.sent()), [LIMIT, 1000]);
        assert!(!lab.tcp.awaits_round());
        stream.ack(&mut lab, LIMIT + 1000);
    }
    stream.fill(&mut lab);
    lab.send(stream.flow, &[1; LIMIT + 1000]);
    assert_eq!(lens(&lab.sent()), [LIMIT]);
}

#[test]
fn with_less_than_a_super_segment_in_flight_nothing_waits() {
    let mut lab = new_lab();
    let mut stream = Stream::new(&mut lab);
    for len in [1, 1000, MSS, LIMIT - 1] {
        lab.send(stream.flow, &vec![1; len]);
        assert_eq!(lens(&lab.sent()), [len]);
        stream.ack(&mut lab, len);
    }
}

#[test]
fn what_is_written_and_is_no_stream_does_not_wait() {
    let mut lab = new_lab();
    let flow =
        lab.accept_with(TcpOptions { mss: Some(1460), window_scale: Some(7), ..TcpOptions::default() });
    let mut stream = Stream { flow, acked: 0 };
    // The window grows, and the room is never filled.
    for _ in 0..10 {
        lab.send(flow, &[1; LIMIT + 1000]);
        stream.ack_all(&mut lab);
    }
    lab.send(flow, &[1; LIMIT + 1000]);
    assert_eq!(lens(&lab.sent()), [LIMIT, 1000]);
}

#[test]
fn where_nobody_tells_of_rounds_nothing_waits() {
    let mut lab = new_lab();
    lab.tcp.auto_cork(false);
    let Stream { flow, .. } = Stream::new(&mut lab);
    lab.send(flow, &[1; LIMIT + 1000]);
    assert_eq!(lens(&lab.sent()), [LIMIT, 1000]);
    assert!(!lab.tcp.awaits_round());
}

#[test]
fn a_fin_urgent_text_and_a_cork_taken_out_make_it_leave() {
    let mut lab = new_lab();
    let stream = held(&mut lab);
    lab.tcp.shutdown_write(lab.now, stream.flow.id).unwrap();
    let last = lab.one();
    assert_eq!((last.len(), last.flags()), (1000, F | P | A));
    end_round(&mut lab);
    lab.none();

    let mut lab = new_lab();
    let stream = held(&mut lab);
    lab.tcp.send_urgent(lab.now, stream.flow.id, b"!").unwrap();
    assert_eq!(lens(&lab.sent()), [1001]);

    let mut lab = new_lab();
    let stream = held(&mut lab);
    for cork in [true, false] {
        lab.none();
        lab.tcp.set_cork(lab.now, stream.flow.id, cork).unwrap();
    }
    assert_eq!(lens(&lab.sent()), [1000]);
}

#[test]
fn a_cork_and_nagle_go_on_after_the_round() {
    let mut lab = new_lab();
    let stream = held(&mut lab);
    lab.tcp.set_cork(lab.now, stream.flow.id, true).unwrap();
    end_round(&mut lab);
    lab.none();
    assert_eq!(lab.info(stream.flow).blocked_by, SendBlockedBy::Cork);

    let mut lab = new_lab();
    let mut stream = Stream::new(&mut lab);
    // A small segment is in flight, and a stream behind it.
    lab.send(stream.flow, b"small");
    assert_eq!(lens(&lab.sent()), [5]);
    lab.send(stream.flow, &[1; LIMIT + 1000]);
    assert_eq!(lens(&lab.sent()), [LIMIT]);
    end_round(&mut lab);
    lab.none();
    assert_eq!(lab.info(stream.flow).blocked_by, SendBlockedBy::Nagle);
    stream.ack(&mut lab, 5);
    assert_eq!(lens(&lab.sent()), [1000]);
}

#[test]
fn a_connection_that_ends_meanwhile_is_forgotten() {
    let mut lab = new_lab();
    let Stream { flow, acked } = held(&mut lab);
    lab.inject(R | A, flow.theirs, flow.ours.wrapping_add(acked), &[]).unwrap();
    end_round(&mut lab);
    lab.none();
    assert!(!lab.tcp.awaits_round());
}

#[test]
fn of_more_than_a_bounded_number_of_connections_nothing_waits() {
    let mut lab = new_lab();
    let mut gone = 0;
    for port in 0..300 {
        lab.remote_port = 40_000 + port;
        let Stream { flow, .. } = Stream::new(&mut lab);
        lab.send(flow, &[1; LIMIT + 1000]);
        gone += lab.sent().len() - 1;
    }
    assert_eq!(gone, 300 - 256);
    end_round(&mut lab);
    assert_eq!(lens(&lab.sent()), [1000; 256]);
}

#[test]
fn whatever_the_link_does_all_arrives_and_nothing_waits_beyond_the_round() {
    let mut waits = 0;
    for seed in 0..30 {
        let config = with_segmentation(TcpConfig { pacing: false, ..TcpConfig::default() });
        let scripts = [2_000_000, 500_000].map(|len| Script {
            // For each super-segment that is acknowledged a little less than one, once the room has been filled.
            write_len: 12_000 + 300 * seed as usize,
            write_count: 3,
            ..Script::sending(pattern(len, seed))
        });
        let mut pair = Pair::new(seed, [config.clone(), config], scripts);
        (pair.faults.loss, pair.faults.reorder) = ([0, 1, 20][seed as usize % 3], [0, 20][seed as usize % 2]);
        pair.merges = true;
        pair.sides.iter_mut().for_each(|side| side.tcp.auto_cork(true));
        pair.open();
        let end = pair.now + Duration::from_secs(600);
        while pair.step() {
            assert!(pair.now < end);
            let blocked: Vec<_> = pair
                .sides
                .iter()
                .flat_map(|side| side.tcp.connections())
                .map(|(_, info)| info.blocked_by)
                .collect();
            assert!(!blocked.contains(&SendBlockedBy::AutoCork), "{blocked:?}");
        }
        pair.run_and_check(Duration::ZERO);
        waits += pair
            .sides
            .each_ref()
            .map(|it| it.tcp.counters().blocked(SendBlockedBy::AutoCork))
            .iter()
            .sum::<u64>();
    }
    assert!(waits > 100, "{waits}");
}
