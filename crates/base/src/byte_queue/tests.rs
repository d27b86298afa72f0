//! A queue of pieces behaves as a plain stream of bytes.

use proptest::prelude::*;

use super::piece::{LARGEST_PART, POOL_BUFFERS, SMALLEST_PIECE};
use super::*;

pub(super) fn contents(queue: &ByteQueue) -> Vec<u8> {
    queue.parts(0, usize::MAX).flatten().copied().collect()
}

/// Bytes that tell where in the stream they belong.
pub(super) fn stream(from: usize, len: usize) -> Vec<u8> {
    (from..from + len).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

#[derive(Clone, Debug)]
enum Step {
    Append(usize),
    Share(usize),
    /// In a full piece, or in a buffer that has so many bytes more.
    HandIn(usize, Option<usize>),
    /// The oldest loan that was not called back.
    CallBack,
    Consume(usize),
    Take(usize),
    Release,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0usize..5000).prop_map(Step::Append),
        (0usize..200_000).prop_map(Step::Append),
        (0usize..200_000).prop_map(Step::Share),
        (1usize..60_000).prop_map(|len| Step::HandIn(len, None)),
        (1usize..2000).prop_map(|len| Step::HandIn(len, None)),
        (1usize..2000, 66usize..4000).prop_map(|(len, more)| Step::HandIn(len, Some(more))),
        Just(Step::CallBack),
        (0usize..6000).prop_map(Step::Consume),
        (0usize..300_000).prop_map(Step::Consume),
        (0usize..100_000).prop_map(Step::Take),
        Just(Step::Release),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn agrees_with_a_stream(steps in prop::collection::vec(step(), 1..40)) {
        let (mut queue, mut pool) = (ByteQueue::default(), BufferPool::default());
        let (mut start, mut end) = (0, 0);
        let mut loans = VecDeque::new();
        for step in steps {
            match step {
                Step::Append(len) => {
                    queue.append(&stream(end, len), &mut pool);
                    end += len;
                }
                Step::Share(len) => {
                    queue.append_shared(Box::new(stream(end, len)), &mut pool);
                    end += len;
                }
                Step::HandIn(len, more) => {
                    let mut buffer = more.map_or_else(|| pool.take(), |more| vec![0; len + more].into());
                    let is_mostly_empty = match more {
                        None => len < 16_384,
                        Some(_) => len < 128 || len < buffer.len().div_ceil(4),
                    };
                    queue.promise(0, len, buffer.len());
                    prop_assert_eq!(queue.len(), end - start + len);
                    let counted = queue.allocated();
                    buffer[66..66 + len].copy_from_slice(&stream(end, len));
                    let loan = queue.fulfil(buffer, 66);
                    prop_assert_eq!(loan.is_some(), is_mostly_empty);
                    prop_assert_eq!(queue.allocated(), counted);
                    loans.extend(loan);
                    end += len;
                }
                Step::CallBack => {
                    let lent = |queue: &ByteQueue| {
                        let pieces = queue.0.iter().flat_map(|inner| &inner.pieces);
                        pieces.filter(|it| matches!(it.storage, Storage::Lent(_))).count()
                    };
                    let before = (lent(&queue), pool.free.len());
                    if let Some(at) = loans.pop_front() {
                        queue.call_back(at, &mut pool);
                    }
                    let called_back = before.0 - lent(&queue);
                    prop_assert!(lent(&queue) <= loans.len());
                    prop_assert!(pool.free.len() <= before.1 + called_back);
                }
                Step::Consume(len) => {
                    queue.consume(len, &mut pool);
                    start = (start + len).min(end);
                }
                Step::Take(most) => {
                    if let Some(taken) = queue.take_first(most) {
                        let len = taken.as_ref().len();
                        prop_assert!((1..=most).contains(&len));
                        prop_assert_eq!(taken.as_ref(), &stream(start, len));
                        prop_assert!(taken.into_memory().capacity() / 4 <= len, "most of it is used");
                        start += len;
                    }
                }
                Step::Release => queue.release_if_empty(),
            }
            prop_assert_eq!(queue.len(), end - start);
            prop_assert_eq!(&contents(&queue), &stream(start, end - start));
            let held: usize = queue.0.iter().flat_map(|inner| &inner.pieces).map(Piece::size).sum();
            prop_assert_eq!(queue.allocated(), held);
            if start == end {
                prop_assert!(queue.allocated() <= LARGEST_PART, "an empty queue holds one small piece");
            }
        }
    }

    /// What a super-segment takes lies in two pieces.
    #[test]
    fn two_pieces_hold_every_super_segment(steps in prop::collection::vec(step(), 1..40), at in any::<prop::sample::Index>()) {
        let (mut queue, mut pool) = (ByteQueue::default(), BufferPool::default());
        for step in steps {
            match step {
                Step::Append(len) => queue.append(&vec![1; len], &mut pool),
                Step::Share(len) => queue.append_shared(Box::new(vec![2; len]), &mut pool),
                Step::Consume(len) => queue.consume(len, &mut pool),
                Step::HandIn(..) | Step::CallBack | Step::Take(_) | Step::Release => {}
            }
            let offset = if queue.is_empty() { 0 } else { at.index(queue.len()) };
            let [first, second] = queue.slices(offset, SHARED_LEN_MIN);
            prop_assert_eq!(first.len() + second.len(), SHARED_LEN_MIN.min(queue.len() - offset));
        }
    }

    #[test]
    fn what_fits_does_not_grow_the_memory_further(
        pieces in prop::collection::vec((0usize..200_000, 0usize..300_000, 0usize..150_000), 1..20),
    ) {
        let (mut queue, mut pool) = (ByteQueue::default(), BufferPool::default());
        for (count, growth, consumed) in pieces {
            let fitting = queue.fitting(count, growth);
            prop_assert!(fitting <= count);
            prop_assert!(growth < 2 * PIECE_LEN + count || fitting == count, "enough is enough");
            let before = queue.allocated();
            queue.append(&vec![0; fitting], &mut pool);
            prop_assert!(queue.allocated() <= before + growth);
            queue.consume(consumed, &mut pool);
        }
    }
}

#[test]
fn a_small_stream_stays_in_one_small_piece() {
    let (mut queue, mut pool) = (ByteQueue::default(), BufferPool::default());
    for _ in 0..1000 {
        queue.append(&[1; 100], &mut pool);
        queue.append(&[2; 100], &mut pool);
        queue.consume(200, &mut pool);
    }
    assert_eq!(queue.allocated(), SMALLEST_PIECE);
    queue.release_if_empty();
    assert_eq!(queue.allocated(), 0);
}

#[test]
fn a_stream_in_motion_uses_the_same_buffers_again() {
    let (mut queue, mut pool) = (ByteQueue::default(), BufferPool::default());
    queue.append(&[0; 3 * PIECE_LEN], &mut pool);
    for _ in 0..100 {
        queue.append(&[0; PIECE_LEN], &mut pool);
        queue.consume(PIECE_LEN, &mut pool);
        assert!(queue.allocated() <= 4 * PIECE_LEN);
        assert!(pool.free.len() <= 1);
    }
}

#[test]
fn a_pool_keeps_only_full_pieces_and_few() {
    let mut pool = BufferPool::default();
    pool.put(vec![0; 100].into_boxed_slice());
    (0..100).for_each(|_| pool.put(vec![0; PIECE_LEN].into_boxed_slice()));
    assert_eq!(pool.free.len(), POOL_BUFFERS);
}

#[test]
fn large_blocks_are_kept_as_they_are_and_small_ones_copied() {
    let (mut queue, mut pool) = (ByteQueue::default(), BufferPool::default());
    queue.append_shared(Box::new(vec![1; SHARED_LEN_MIN]), &mut pool);
    assert_eq!(queue.allocated(), SHARED_LEN_MIN);
    queue.append_shared(Box::new(vec![2; SHARED_LEN_MIN - 1]), &mut pool);
    assert_eq!(queue.allocated(), SHARED_LEN_MIN + PIECE_LEN);
}

#[test]
fn a_piece_is_taken_with_its_memory_if_that_is_well_filled() {
    let (mut queue, mut pool) = (ByteQueue::default(), BufferPool::default());
    queue.append(&stream(0, 100), &mut pool);
    assert!(queue.take_first(usize::MAX).is_none(), "100 bytes of 512");
    queue.append(&stream(100, 60), &mut pool);
    assert!(queue.take_first(159).is_none(), "more than may be taken");
    let first = queue.first(1).as_ptr();
    let taken = queue.take_first(160).unwrap();
    assert_eq!((taken.as_ref(), taken.as_ref().as_ptr()), (&stream(0, 160)[..], first));
    assert_eq!((queue.len(), queue.allocated()), (0, 0));
    assert!(queue.take_first(usize::MAX).is_none());
    queue.append(&stream(0, 10), &mut pool);
    queue.consume(10, &mut pool);
    assert!(queue.take_first(usize::MAX).is_none(), "nothing waits");
    queue.append_shared(Box::new(stream(0, SHARED_LEN_MIN)), &mut pool);
    assert!(queue.take_first(usize::MAX).is_none(), "it is somebody else's");
    assert_eq!(queue.len(), SHARED_LEN_MIN);
}

#[test]
fn a_buffer_with_little_in_it_is_lent_until_it_is_called_back() {
    let (mut queue, mut pool) = (ByteQueue::default(), BufferPool::default());
    let hand_in = |queue: &mut ByteQueue, at, len| {
        queue.promise(0, len, PIECE_LEN);
        let mut buffer = vec![0; PIECE_LEN].into_boxed_slice();
        buffer[54..54 + len].copy_from_slice(&stream(at, len));
        let address = buffer.as_ptr().addr();
        (queue.fulfil(buffer, 54), address)
    };
    let (first, first_address) = hand_in(&mut queue, 0, 1000);
    let (second, second_address) = hand_in(&mut queue, 1000, 1400);
    assert_eq!((first, second), (Some(0), Some(1000)));
    assert_eq!(queue.first(usize::MAX).as_ptr().addr(), first_address + 54, "it lies where it came");
    assert_eq!(queue.allocated(), 1024 + 2048);
    queue.consume(1010, &mut pool);
    let back = pool.take();
    assert_eq!(back.as_ptr().addr(), first_address, "what was read comes back");
    queue.call_back(0, &mut pool);
    assert_eq!(queue.first(usize::MAX).as_ptr().addr(), second_address + 64, "the first was back already");
    assert_eq!(hand_in(&mut queue, 2400, 20_000).0, None, "what is well filled stays");
    let (last, _) = hand_in(&mut queue, 22_400, 1);
    assert_eq!(last, Some(22_400));
    queue.call_back(1000, &mut pool);
    assert_eq!(pool.free.len(), 2, "the later ones come with it");
    assert_eq!(queue.allocated(), 2048 + PIECE_LEN);
    assert_eq!(contents(&queue), stream(1010, 21_391));
}

#[test]
fn a_list_that_was_long_is_given_back() {
    let (mut queue, mut pool) = (ByteQueue::default(), BufferPool::default());
    for at in (1..2000).rev() {
        queue.write_ahead(128 * at, &stream(128 * at, 128), PIECE_LEN, &mut pool);
    }
    queue.append(&stream(0, 128), &mut pool);
    let list_len = |queue: &ByteQueue| queue.0.as_ref().map_or(0, |inner| inner.pieces.capacity());
    assert!(list_len(&queue) > 400, "{}", list_len(&queue));
    queue.consume(128 * 2000, &mut pool);
    queue.append(b"a", &mut pool);
    assert!(list_len(&queue) <= 64, "{}", list_len(&queue));
}

#[test]
fn a_list_whose_pieces_are_taken_is_given_back_though_a_hole_follows() {
    let mut queue = ByteQueue::default();
    for _ in 0..1000 {
        queue.promise(0, 1400, 2048);
        queue.fulfil(vec![0; 2048].into(), 54);
    }
    queue.write_ahead(100, &[1; 100], PIECE_LEN, &mut BufferPool::default());
    while queue.take_first(usize::MAX).is_some() {}
    queue.release_if_empty();
    let list_len = queue.0.as_ref().map(|inner| inner.pieces.capacity());
    assert!(list_len.is_some_and(|len| len <= 64), "{list_len:?}");
}
