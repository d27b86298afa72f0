//! The scoreboard against a map of bytes, and case by case.

use core::time::Duration;

use proptest::prelude::*;

use super::*;

const SMSS: u32 = 10;

fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

fn blocks(ranges: &[(u32, u32)]) -> SackBlocks {
    let mut blocks = SackBlocks::default();
    for &(start, end) in ranges {
        blocks.push((SeqNumber(start), SeqNumber(end)));
    }
    blocks
}

/// `count` segments from number 0 on, one a millisecond.
fn flight(count: u32) -> Scoreboard {
    let mut board = Scoreboard::default();
    for index in 0..count {
        board.on_sent(at(index.into()), SeqNumber(index * SMSS), SeqNumber((index + 1) * SMSS), SMSS);
    }
    board
}

fn fates(board: &Scoreboard) -> String {
    let letter = |segment: &SentSegment| match segment.fate {
        Fate::InFlight => '.',
        Fate::Sacked => 's',
        Fate::Lost => 'L',
    };
    board.segments().map(letter).collect()
}

fn delivered(board: &mut Scoreboard, ranges: &[(u32, u32)]) -> u32 {
    let mut len = 0;
    board.sack(blocks(ranges), |segment| len += segment.len());
    board.assert_invariants(SeqNumber(0), board.segments.back().unwrap().end);
    len
}

#[test]
fn each_byte_is_delivered_once() {
    // [2018-09] [6675-06]
    let mut board = flight(8);
    assert_eq!(delivered(&mut board, &[(20, 30)]), 10);
    assert_eq!(delivered(&mut board, &[(20, 50)]), 20);
    assert_eq!(delivered(&mut board, &[(20, 50), (60, 70)]), 10);
    assert_eq!(fates(&board), "..sss.s.");
    assert_eq!((board.pipe(80), board.sacked_count()), (40, 4));
    let mut len = 0;
    board.acknowledge(SeqNumber(50), |segment| len += segment.len());
    assert_eq!((len, fates(&board).as_str()), (20, ".s."));
}

#[test]
fn a_super_segment_is_split_at_its_segments() {
    let mut board = Scoreboard::default();
    board.on_sent(at(0), SeqNumber(0), SeqNumber(95), SMSS);
    assert_eq!(delivered(&mut board, &[(25, 58)]), 20, "only whole segments: 30 to 50");
    assert_eq!(fates(&board), ".s.");
    assert_eq!(delivered(&mut board, &[(90, 95)]), 5, "the last one is shorter");
    assert_eq!(fates(&board), ".s.s");
    let scan = board.lose_older((at(0), SeqNumber(50)), |_| true);
    assert_eq!(scan.lost_len, 30, "what left before, at the same moment");
    assert_eq!(fates(&board), "Ls.s");
}

#[test]
fn what_was_sacked_counts_in_segments_however_it_was_sent() {
    // [8985-01]
    let mut board = Scoreboard::default();
    board.on_sent(at(0), SeqNumber(0), SeqNumber(95), SMSS);
    // A probe of the path is one large segment; and a FIN goes with the last one.
    board.on_sent(at(1), SeqNumber(95), SeqNumber(110), 15);
    board.on_sent(at(2), SeqNumber(110), SeqNumber(131), SMSS);
    let mut counts = Vec::new();
    for ranges in [&[(20, 40)][..], &[(20, 70)], &[(20, 95)], &[(20, 110)], &[(20, 131)]] {
        delivered(&mut board, ranges);
        counts.push(board.sacked_count());
    }
    assert_eq!(counts, [2, 5, 8, 9, 11]);
    // What lies before an acknowledgment, or goes again, is split, and is as much as before.
    board.acknowledge(SeqNumber(30), |_| {});
    assert_eq!(board.sacked_count(), 10);
    board.split_at(SeqNumber(50));
    assert_eq!(board.sacked_count(), 10);
    board.acknowledge(SeqNumber(60), |_| {});
    assert_eq!(board.sacked_count(), 7);
    board.acknowledge(SeqNumber(131), |_| {});
    assert_eq!(board.sacked_count(), 0);
}

#[test]
fn what_was_sent_long_enough_ago_is_lost_in_order_of_time() {
    // [8985-06] [8985-14] [8985-15]
    let mut board = flight(5);
    delivered(&mut board, &[(40, 50)]);
    let newest = (at(4), SeqNumber(50));
    let scan = board.lose_older(newest, |sent_at| sent_at <= at(1));
    assert_eq!((scan.lost_len, scan.waiting_since), (20, Some(at(2))));
    assert_eq!(
        board.next_lost(100),
        Some(LostRun { start: SeqNumber(0), end: SeqNumber(20), cause: RetransmitCause::Rack })
    );
    board.on_sent_again(at(10), SeqNumber(0), SeqNumber(10), SMSS);
    assert_eq!(fates(&board), ".L..s");
    let scan = board.lose_older(newest, |_| true);
    assert_eq!(scan.lost_len, 20, "what went again is newer");
    board.on_sent_again(at(11), SeqNumber(10), SeqNumber(40), SMSS);
    delivered(&mut board, &[(10, 50)]);
    let scan = board.lose_older((at(11), SeqNumber(40)), |_| true);
    assert_eq!(scan.lost_len, 10, "lost once more");
}

#[test]
fn what_is_sent_again_is_in_flight_again_and_known_to_be_a_repetition() {
    // [8985-07] [8985-09]
    let mut board = flight(3);
    let state = |board: &Scoreboard, index: usize| {
        let segment = board.segments[index];
        (segment.sent_at, segment.end, segment.is_retransmitted, segment.fate)
    };
    assert_eq!(state(&board, 1), (at(1), SeqNumber(20), false, Fate::InFlight));
    board.lose_where(RetransmitCause::Timeout, |segment| segment.end.at_or_before(SeqNumber(20)));
    assert_eq!(state(&board, 1), (at(1), SeqNumber(20), false, Fate::Lost));
    board.on_sent_again(at(7), SeqNumber(10), SeqNumber(20), SMSS);
    assert_eq!(state(&board, 1), (at(7), SeqNumber(20), true, Fate::InFlight));
    assert_eq!(state(&board, 0), (at(0), SeqNumber(10), false, Fate::Lost), "the others are as they were");
    assert_eq!(state(&board, 2), (at(2), SeqNumber(30), false, Fate::InFlight));
    board.assert_invariants(SeqNumber(0), SeqNumber(30));
}

#[test]
fn after_a_timeout_sacks_count_anew_but_deliver_nothing() {
    // [2018-10] [2018-13]
    let mut board = flight(4);
    delivered(&mut board, &[(20, 40)]);
    board.forget_sacks();
    assert_eq!(fates(&board), "....");
    board.lose_where(RetransmitCause::Timeout, |_| true);
    assert_eq!(delivered(&mut board, &[(20, 40)]), 0);
    assert_eq!(fates(&board), "LLss");
    board.restore();
    assert_eq!((fates(&board).as_str(), board.lost_len()), ("..ss", 0));
    let scan = board.lose_older((at(3), SeqNumber(40)), |_| true);
    assert_eq!(scan.lost_len, 20, "the order of time was kept");
}

#[test]
fn the_order_of_time_does_not_grow_with_retransmissions() {
    let mut board = flight(4);
    for round in 0..10_000u64 {
        board.on_sent_again(at(10 + round), SeqNumber(0), SeqNumber(10), SMSS);
    }
    assert!(board.transmissions.len() < 100, "{}", board.transmissions.len());
}

#[derive(Clone, Debug)]
enum Step {
    Send(u32),
    Sack(u32, u32),
    Acknowledge(u32),
    Lose(u64),
    LoseFirst,
    LoseAll,
    Retransmit(u32),
    Restore,
    Forget,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1u32..60).prop_map(Step::Send),
        6 => (0u32..300, 1u32..80).prop_map(|(start, len)| Step::Sack(start, len)),
        3 => (1u32..50).prop_map(Step::Acknowledge),
        3 => (0u64..20).prop_map(Step::Lose),
        1 => Just(Step::LoseFirst),
        1 => Just(Step::LoseAll),
        4 => (1u32..60).prop_map(Step::Retransmit),
        1 => Just(Step::Restore),
        1 => Just(Step::Forget),
    ]
}

proptest! {
    /// Whatever happens, the records tile the flight, the sums are right, and no byte is delivered twice.
    #[test]
    fn invariants_hold(base in any::<u32>(), steps in prop::collection::vec(step(), 0..120)) {
        let mut board = Scoreboard::default();
        let (mut una, mut nxt) = (SeqNumber(base), SeqNumber(base));
        let (mut delivered, mut sent) = (0u32, 0u32);
        for (step, time) in steps.into_iter().zip(1..) {
            let now = at(time);
            match step {
                Step::Send(len) => {
                    board.on_sent(now, nxt, nxt + len, SMSS);
                    nxt += len;
                    sent += len;
                }
                Step::Sack(offset, len) => {
                    let (start, end) = (una + 1 + offset, (una + 1 + offset + len).earlier_of(nxt));
                    if start.before(end) {
                        board.sack(blocks(&[(start.0, end.0)]), |segment| delivered += segment.len());
                    }
                }
                Step::Acknowledge(len) => {
                    una = (una + len).earlier_of(nxt);
                    board.acknowledge(una, |segment| delivered += segment.len());
                }
                Step::Lose(ago) => {
                    let since = now - Duration::from_millis(ago.min(time));
                    board.lose_older((now, nxt), |sent_at| sent_at <= since);
                }
                Step::LoseFirst => {
                    board.lose_first(SMSS, RetransmitCause::FastRetransmit);
                }
                Step::LoseAll => {
                    board.lose_where(RetransmitCause::Timeout, |_| true);
                }
                Step::Retransmit(limit) => {
                    if let Some(run) = board.next_lost(limit) {
                        let end = run.end.earlier_of(run.start + limit);
                        board.on_sent_again(now, run.start, end, SMSS);
                    }
                }
                Step::Restore => board.restore(),
                Step::Forget => board.forget_sacks(),
            }
            board.assert_invariants(una, nxt);
            prop_assert!(delivered <= sent);
            prop_assert_eq!(board.lost_len() > 0, board.next_lost(1).is_some());
        }
        board.acknowledge(nxt, |segment| delivered += segment.len());
        prop_assert_eq!(delivered, sent);
        prop_assert_eq!(board.pipe(0), 0);
        prop_assert!(board.is_empty());
    }
}
