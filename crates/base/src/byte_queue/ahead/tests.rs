//! What comes before its turn, in any order and in pieces of any size.

use std::collections::{BTreeSet, VecDeque};

use proptest::prelude::*;

use super::super::ByteQueue;
use super::super::piece::SMALLEST_PIECE;
use super::super::tests::{contents, stream};
use super::*;

#[derive(Clone, Debug)]
enum Arrival {
    /// Copied, so many bytes beyond the end.
    Write(usize, usize),
    /// With its buffer: a full piece, or one that has so many bytes more.
    HandIn(usize, usize, Option<usize>),
    CallBack,
    Consume(usize),
}

fn arrival(places: usize, longest: usize) -> impl Strategy<Value = Arrival> {
    prop_oneof![
        4 => (0..places, 1..longest).prop_map(|(offset, len)| Arrival::Write(offset, len)),
        2 => (0..places, 1..longest).prop_map(|(offset, len)| Arrival::HandIn(offset, len, None)),
        2 => (0..places, 1..longest, 66usize..2000).prop_map(|(offset, len, more)| Arrival::HandIn(offset, len, Some(more))),
        1 => (Just(0), 1..longest).prop_map(|(offset, len)| Arrival::Write(offset, len)),
        1 => (Just(0), 1..longest).prop_map(|(offset, len)| Arrival::HandIn(offset, len, None)),
        1 => Just(Arrival::CallBack),
        1 => (0..places).prop_map(Arrival::Consume),
    ]
}

/// Arrivals of every size: bytes that touch and overlap, and whole frames.
fn arrivals() -> impl Strategy<Value = Vec<Arrival>> {
    prop_oneof![
        prop::collection::vec(arrival(60, 12), 1..120),
        prop::collection::vec(arrival(150_000, 65_000), 1..16),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_comes_before_its_turn_is_in_its_place_when_that_comes(arrivals in arrivals()) {
        let (mut queue, mut pool) = (ByteQueue::default(), BufferPool::default());
        let (mut start, mut end) = (0, 0);
        // The bytes that are here, and not in order.
        let mut waiting = BTreeSet::new();
        let mut loans = VecDeque::new();
        for arrival in arrivals {
            let placed = match arrival {
                Arrival::Write(offset, len) | Arrival::HandIn(offset, len, _) => {
                    let missing = queue.missing(offset, len);
                    let (first, last) = (end + offset, end + offset + len);
                    prop_assert!((first..last).all(|at| waiting.contains(&at) || missing.contains(&(at - first))));
                    Some((offset + missing.start, missing.len())).filter(|_| !missing.is_empty())
                }
                Arrival::CallBack | Arrival::Consume(_) => None,
            };
            let held = queue.allocated() + queue.allocated_ahead();
            match arrival {
                Arrival::Write(..) => if let Some((offset, len)) = placed {
                    let bytes = stream(end + offset, len);
                    if offset == 0 {
                        queue.append(&bytes, &mut pool);
                    } else {
                        let growth = size_for(len);
                        prop_assert!(ByteQueue::fits_ahead(len, growth) && !ByteQueue::fits_ahead(len, growth - 1));
                        queue.write_ahead(offset, &bytes, growth, &mut pool);
                        prop_assert!(queue.allocated() + queue.allocated_ahead() <= held + growth);
                    }
                },
                Arrival::HandIn(_, _, more) => if let Some((offset, len)) = placed {
                    let mut buffer = more.map_or_else(|| pool.take(), |more| vec![0; len + more].into());
                    queue.promise(offset, len, buffer.len());
                    buffer[66..66 + len].copy_from_slice(&stream(end + offset, len));
                    prop_assert!(queue.allocated() + queue.allocated_ahead() <= held + PIECE_LEN);
                    loans.extend(queue.fulfil(buffer, 66));
                },
                Arrival::CallBack => {
                    if let Some(at) = loans.pop_front() {
                        queue.call_back(at, &mut pool);
                        prop_assert!(!queue.call_back(at, &mut pool), "it is a copy now");
                    }
                }
                Arrival::Consume(count) => {
                    queue.consume(count, &mut pool);
                    start = (start + count).min(end);
                }
            }
            if let Some((offset, len)) = placed {
                waiting.extend(end + offset..end + offset + len);
                while waiting.remove(&end) {
                    end += 1;
                }
            }
            prop_assert_eq!(&contents(&queue), &stream(start, end - start));
            prop_assert_eq!(queue.len_ahead(), waiting.len());
            let Some(inner) = &queue.0 else { continue };
            let mut ahead = BTreeSet::new();
            for (&at, piece) in &inner.ahead.pieces {
                let place = usize::try_from(at).unwrap();
                prop_assert_eq!((at, piece.slice(at, usize::MAX)), (piece.at, &stream(place, piece.len)[..]));
                ahead.extend(place..place + piece.len);
            }
            prop_assert_eq!(&ahead, &waiting);
            prop_assert_eq!(queue.allocated_ahead(), inner.ahead.pieces.values().map(Piece::size).sum::<usize>());
            prop_assert_eq!(queue.allocated(), inner.pieces.iter().map(Piece::size).sum::<usize>());
        }
    }
}

#[test]
fn what_waits_ahead_is_not_copied_again_when_it_grows_or_joins() {
    let (mut queue, mut pool) = (ByteQueue::default(), BufferPool::default());
    for at in 0..100 {
        queue.write_ahead(1000 + 1448 * at, &stream(1000 + 1448 * at, 1448), usize::MAX, &mut pool);
    }
    let places = |queue: &ByteQueue| -> Vec<_> {
        let inner = queue.0.as_ref().unwrap();
        inner
            .ahead
            .pieces
            .values()
            .chain(&inner.pieces)
            .map(|it| it.storage.bytes().as_ptr().addr())
            .collect()
    };
    let before = places(&queue);
    assert_eq!(before.len(), 7, "2, 4, 8, 16, 32 and twice 64 KB");
    assert!(queue.allocated_ahead() < 2 * 144_800);
    queue.append(&stream(0, 1000), &mut pool);
    assert_eq!(contents(&queue), stream(0, 145_800));
    assert_eq!(places(&queue)[1..], before, "they are handed on");
    assert_eq!(queue.allocated_ahead(), 0);
}

/// Whoever sends bytes in the worst order and sizes holds little more memory than with good ones.
#[test]
fn single_bytes_do_not_take_a_piece_each() {
    let downwards = (1..20_000).rev().collect::<Vec<_>>();
    let far_apart_then_between = (1..10_000).map(|at| 2 * at).chain((0..9999).map(|at| 2 * at + 1)).collect();
    for (order, runs) in [(downwards, 1), (far_apart_then_between, 9999)] {
        let (mut queue, mut pool) = (ByteQueue::default(), BufferPool::default());
        let mut most: usize = 0;
        for (count, at) in order.iter().enumerate() {
            queue.write_ahead(*at, &stream(*at, 1), usize::MAX, &mut pool);
            most = most.max(queue.allocated_ahead().saturating_sub(4 * count));
        }
        assert!(most <= IDLE_MAX + (runs + 1) * SMALLEST_PIECE, "{most} bytes more");
        queue.append(&stream(0, 1), &mut pool);
        assert_eq!(contents(&queue), stream(0, order.len() + 1));
    }
}
