//! A byte ring that costs nothing while it is not used.

/// A FIFO of bytes with a limit: allocated when the first byte comes, grown by doubling up to the limit, given back
/// by [`release_if_empty`](Self::release_if_empty).
///
/// It does not give its memory back by itself each time it runs empty: a stream that is read as fast as it comes would
/// allocate, clear and copy for every burst.
///
/// Besides the bytes that are in it, it can hold bytes *beyond* its end ([`write_ahead`](Self::write_ahead)), which
/// [`commit`](Self::commit) makes part of it: that is how out-of-order data waits for the hole before it to fill.
#[derive(Clone, Debug, Default)]
pub struct RingBuffer {
    storage: Box<[u8]>,
    /// Position of the first byte.
    start: usize,
    /// Bytes in the ring.
    len: usize,
    /// How far beyond `len` bytes have been written ahead: storage may not shrink or move below it.
    ahead: usize,
    limit: usize,
}

const SMALLEST_ALLOCATION: usize = 2048;

impl RingBuffer {
    /// An empty ring for at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit, ..Self::default() }
    }

    /// Bytes in it.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether no byte is in it.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes it may hold.
    pub const fn limit(&self) -> usize {
        self.limit
    }

    /// Bytes that still fit.
    pub const fn free(&self) -> usize {
        self.limit.saturating_sub(self.len)
    }

    /// Bytes of memory it holds.
    pub const fn allocated(&self) -> usize {
        self.storage.len()
    }

    /// How many of `count` bytes can be written at `offset` bytes past the end if the memory may grow by at most `growth`
    /// bytes.
    pub fn fitting(&self, offset: usize, count: usize, growth: usize) -> usize {
        let used = self.len.saturating_add(offset);
        let wanted = count.min(self.free().saturating_sub(offset));
        let most = self.storage.len().saturating_add(growth);
        if self.capacity_for(used.saturating_add(wanted)) <= most {
            return wanted;
        }
        // The largest allocation that is a power of two, or what there is.
        let largest = if most < SMALLEST_ALLOCATION { 0 } else { 1 << most.ilog2() };
        wanted.min(largest.max(self.storage.len()).saturating_sub(used))
    }

    /// Changes the limit. Bytes that are in it stay, even past a smaller limit.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Appends as much of `bytes` as fits, and says how much that was.
    pub fn write(&mut self, bytes: &[u8]) -> usize {
        debug_assert_eq!(self.ahead, 0, "a ring is either written at its end or ahead of it");
        let written = self.write_ahead(0, bytes);
        self.commit(written);
        written
    }

    /// Writes as much of `bytes` as fits at `offset` bytes past the end, and says how much that was.
    /// The bytes are not in the ring until [`commit`](Self::commit) reaches them.
    pub fn write_ahead(&mut self, offset: usize, bytes: &[u8]) -> usize {
        let count = bytes.len().min(self.free().saturating_sub(offset));
        if count == 0 {
            return 0;
        }
        let (bytes, _) = bytes.split_at(count);
        self.reserve(self.len + offset + count);
        self.ahead = self.ahead.max(offset + count);
        let position = (self.start + self.len + offset) % self.storage.len();
        let first = count.min(self.storage.len() - position);
        let (head, tail) = bytes.split_at(first);
        self.storage[position..position + first].copy_from_slice(head);
        self.storage[..tail.len()].copy_from_slice(tail);
        count
    }

    /// Makes the next `count` bytes past the end, which must have been written ahead, part of the ring.
    pub fn commit(&mut self, count: usize) {
        debug_assert!(count <= self.ahead, "only bytes that were written can be committed");
        let count = count.min(self.ahead);
        self.len += count;
        self.ahead -= count;
    }

    /// Moves the end of an empty ring over `count` bytes that will not be in it: what was written ahead comes so much
    /// earlier, and what was written ahead within them is gone.
    pub fn skip_ahead(&mut self, count: usize) {
        debug_assert_eq!(self.len, 0, "nothing is skipped behind bytes that are in the ring");
        if count >= self.ahead {
            self.start = 0;
            self.ahead = 0;
        } else {
            self.start = (self.start + count) % self.storage.len();
            self.ahead -= count;
        }
    }

    /// The bytes from `offset` on, at most `count` of them, in order, as at most two pieces.
    pub fn slices(&self, offset: usize, count: usize) -> [&[u8]; 2] {
        let offset = offset.min(self.len);
        let count = count.min(self.len - offset);
        if count == 0 {
            return [&[], &[]];
        }
        let position = (self.start + offset) % self.storage.len();
        let first = count.min(self.storage.len() - position);
        [&self.storage[position..position + first], &self.storage[..count - first]]
    }

    /// Copies from the start into `target` and drops what was copied; says how much that was.
    pub fn read(&mut self, target: &mut [u8]) -> usize {
        let count = self.peek(target);
        self.consume(count);
        count
    }

    /// Copies from the start into `target` without dropping it; says how much that was.
    pub fn peek(&self, target: &mut [u8]) -> usize {
        let [first, second] = self.slices(0, target.len());
        let (head, rest) = target.split_at_mut(first.len());
        head.copy_from_slice(first);
        rest[..second.len()].copy_from_slice(second);
        first.len() + second.len()
    }

    /// Drops the first `count` bytes, or all if there are fewer.
    pub fn consume(&mut self, count: usize) {
        let count = count.min(self.len);
        if count == 0 {
            return;
        }
        self.start = (self.start + count) % self.storage.len();
        self.len -= count;
        if self.len == 0 && self.ahead == 0 {
            self.start = 0;
        }
    }

    /// Gives the memory back if no byte is in it.
    pub fn release_if_empty(&mut self) {
        if self.len == 0 && self.ahead == 0 {
            self.start = 0;
            self.storage = Box::default();
        }
    }

    /// Drops everything and gives the memory back.
    pub fn clear(&mut self) {
        *self = Self::new(self.limit);
    }

    /// What is allocated for `needed` bytes from the start: never beyond the limit, unless what is in it already is.
    fn capacity_for(&self, needed: usize) -> usize {
        if needed <= self.storage.len() {
            return self.storage.len();
        }
        needed.next_power_of_two().max(SMALLEST_ALLOCATION).min(self.limit.max(needed))
    }

    /// Makes room for `needed` bytes from the start.
    fn reserve(&mut self, needed: usize) {
        if needed <= self.storage.len() {
            return;
        }
        let capacity = self.capacity_for(needed);
        let mut storage = vec![0; capacity].into_boxed_slice();
        let used = self.len + self.ahead;
        if used > 0 {
            let first = used.min(self.storage.len() - self.start);
            storage[..first].copy_from_slice(&self.storage[self.start..self.start + first]);
            storage[first..used].copy_from_slice(&self.storage[..used - first]);
        }
        self.storage = storage;
        self.start = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    fn contents(ring: &RingBuffer) -> Vec<u8> {
        ring.slices(0, usize::MAX).concat()
    }

    proptest! {
        #[test]
        fn agrees_with_a_deque(operations in prop::collection::vec((any::<bool>(), 0usize..3000), 0..60), limit in 1usize..9000) {
            let mut ring = RingBuffer::new(limit);
            let mut model = VecDeque::new();
            let mut next = 0u8;
            for (is_write, count) in operations {
                if is_write {
                    let bytes: Vec<u8> = (0..count).map(|_| { next = next.wrapping_add(1); next }).collect();
                    let written = ring.write(&bytes);
                    prop_assert_eq!(written, count.min(limit - model.len()));
                    model.extend(&bytes[..written]);
                } else {
                    let mut target = vec![0; count];
                    let read = ring.read(&mut target);
                    let expected: Vec<u8> = model.drain(..count.min(model.len())).collect();
                    prop_assert_eq!(&target[..read], &expected[..]);
                }
                prop_assert_eq!(contents(&ring), model.iter().copied().collect::<Vec<_>>());
                prop_assert!(ring.allocated() <= limit);
                ring.release_if_empty();
                prop_assert!(!ring.is_empty() || ring.allocated() == 0);
            }
        }
    }

    proptest! {
        #[test]
        fn what_fits_does_not_grow_the_memory_further(
            limit in 1usize..50_000,
            pieces in prop::collection::vec((0usize..3000, 0usize..9000, 0usize..20_000), 1..20),
        ) {
            let mut ring = RingBuffer::new(limit);
            for (offset, count, growth) in pieces {
                let fitting = ring.fitting(offset, count, growth);
                prop_assert!(fitting <= count);
                let before = ring.allocated();
                prop_assert_eq!(ring.write_ahead(offset, &vec![0; fitting]), fitting);
                prop_assert!(ring.allocated() <= before + growth);
                ring.commit(fitting.min(100));
            }
        }
    }

    #[test]
    fn an_empty_ring_takes_something_if_the_smallest_allocation_is_allowed() {
        let ring = RingBuffer::new(1 << 20);
        assert_eq!((ring.fitting(0, 9000, 4096), ring.fitting(0, 9000, 2047)), (4096, 0));
        assert_eq!(ring.fitting(0, 9000, 1 << 20), 9000);
    }

    #[test]
    fn bytes_written_ahead_appear_when_the_hole_is_filled() {
        let mut ring = RingBuffer::new(10_000);
        assert_eq!(ring.write_ahead(3000, b"world"), 5);
        assert!(ring.is_empty());
        assert_eq!(ring.write_ahead(0, &[7; 3000]), 3000);
        ring.commit(3005);
        assert_eq!(&contents(&ring)[3000..], b"world");
    }

    #[test]
    fn what_is_skipped_brings_the_rest_nearer() {
        let mut ring = RingBuffer::new(10_000);
        ring.write_ahead(1500, b"hello");
        ring.skip_ahead(1502);
        ring.write_ahead(3, b"p");
        ring.commit(4);
        assert_eq!(contents(&ring), b"llop");
        ring.consume(4);
        ring.write_ahead(7, b"x");
        ring.skip_ahead(8);
        ring.write_ahead(0, b"y");
        ring.commit(1);
        assert_eq!(contents(&ring), b"y");
    }

    #[test]
    fn reading_empty_keeps_what_was_written_ahead() {
        let mut ring = RingBuffer::new(100);
        ring.write_ahead(0, b"ab");
        ring.commit(2);
        ring.write_ahead(1, b"d");
        assert_eq!(ring.read(&mut [0; 2]), 2);
        ring.write_ahead(0, b"c");
        ring.commit(2);
        assert_eq!(contents(&ring), b"cd");
    }

    #[test]
    fn an_empty_ring_gives_its_memory_back_when_asked() {
        let mut ring = RingBuffer::new(1 << 20);
        assert_eq!(ring.allocated(), 0);
        ring.write(&[1; 5000]);
        assert!(ring.allocated() >= 5000);
        ring.consume(4999);
        ring.release_if_empty();
        assert!(ring.allocated() >= 5000);
        ring.consume(1);
        assert!(ring.allocated() >= 5000);
        ring.release_if_empty();
        assert_eq!(ring.allocated(), 0);
    }
}
