//! Deadlines of many things, earliest first.

use crate::Instant;

/// One deadline for each dense index (a [`SlabId`](crate::SlabId)'s), as an indexed 4-ary heap.
///
/// Setting, moving and clearing a deadline is O(log n), the earliest is O(1) and exact, so virtual time can jump
/// straight to it. Memory: 16 bytes a pending deadline and 4 bytes an index ever used.
#[derive(Clone, Debug, Default)]
pub struct DeadlineQueue {
    heap: Vec<(Instant, u32)>,
    /// Position in `heap` of each index, or `ABSENT`.
    positions: Vec<u32>,
}

const ABSENT: u32 = u32::MAX;
const ARITY: usize = 4;

impl DeadlineQueue {
    /// Without deadlines.
    pub const fn new() -> Self {
        Self { heap: Vec::new(), positions: Vec::new() }
    }

    /// How many deadlines are pending.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether none is pending.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// Bytes of memory that it holds.
    pub const fn allocated(&self) -> usize {
        self.heap.capacity() * size_of::<(Instant, u32)>() + self.positions.capacity() * size_of::<u32>()
    }

    /// The earliest deadline.
    pub fn next(&self) -> Option<Instant> {
        self.heap.first().map(|&(deadline, _)| deadline)
    }

    /// The deadline of `index`.
    pub fn get(&self, index: u32) -> Option<Instant> {
        let position = self.position(index)?;
        self.heap.get(position).map(|&(deadline, _)| deadline)
    }

    /// Sets, moves or (with `None`) clears the deadline of `index`.
    pub fn set(&mut self, index: u32, deadline: Option<Instant>) {
        match (self.position(index), deadline) {
            (None, None) => {}
            (None, Some(deadline)) => {
                let slot = index as usize;
                if slot >= self.positions.len() {
                    self.positions.resize(slot + 1, ABSENT);
                }
                self.heap.push((deadline, index));
                let last = self.heap.len() - 1;
                self.place(last, (deadline, index));
                self.sift_up(last);
            }
            (Some(position), Some(deadline)) => {
                self.place(position, (deadline, index));
                self.sift_up(position);
                self.sift_down(position);
            }
            (Some(position), None) => self.remove_at(position),
        }
    }

    /// Takes out the earliest index whose deadline is at or before `now`.
    pub fn pop_due(&mut self, now: Instant) -> Option<u32> {
        let &(deadline, index) = self.heap.first()?;
        if deadline > now {
            return None;
        }
        self.remove_at(0);
        Some(index)
    }

    fn position(&self, index: u32) -> Option<usize> {
        self.positions
            .get(index as usize)
            .filter(|&&position| position != ABSENT)
            .map(|&position| position as usize)
    }

    /// Writes `entry` at `position` and remembers where it is.
    fn place(&mut self, position: usize, entry: (Instant, u32)) {
        self.heap[position] = entry;
        self.positions[entry.1 as usize] = u32::try_from(position).unwrap_or(ABSENT);
    }

    fn remove_at(&mut self, position: usize) {
        let (_, removed) = self.heap.swap_remove(position);
        self.positions[removed as usize] = ABSENT;
        if position < self.heap.len() {
            let moved = self.heap[position];
            self.place(position, moved);
            self.sift_up(position);
            self.sift_down(position);
        }
    }

    fn sift_up(&mut self, mut position: usize) {
        while position > 0 {
            let parent = (position - 1) / ARITY;
            if self.heap[parent] <= self.heap[position] {
                break;
            }
            self.swap(parent, position);
            position = parent;
        }
    }

    fn sift_down(&mut self, mut position: usize) {
        loop {
            let first = position * ARITY + 1;
            let Some(least) =
                (first..(first + ARITY).min(self.heap.len())).min_by_key(|&child| self.heap[child])
            else {
                break;
            };
            if self.heap[position] <= self.heap[least] {
                break;
            }
            self.swap(least, position);
            position = least;
        }
    }

    fn swap(&mut self, a: usize, b: usize) {
        let (at_a, at_b) = (self.heap[a], self.heap[b]);
        self.place(a, at_b);
        self.place(b, at_a);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn agrees_with_a_sorted_map(operations in prop::collection::vec((0u32..20, prop::option::of(0u64..50)), 0..200)) {
            let mut queue = DeadlineQueue::new();
            let mut model = BTreeMap::new();
            for (index, deadline) in operations {
                let deadline = deadline.map(Instant::from_nanos);
                queue.set(index, deadline);
                match deadline {
                    Some(deadline) => model.insert(index, deadline),
                    None => model.remove(&index),
                };
                prop_assert_eq!(queue.len(), model.len());
                prop_assert_eq!(queue.next(), model.values().min().copied());
                prop_assert_eq!(queue.get(index), model.get(&index).copied());
            }
            let mut last = Instant::ZERO;
            while let Some(index) = queue.pop_due(Instant::FAR_FUTURE) {
                let deadline = model.remove(&index).unwrap();
                prop_assert!(deadline >= last);
                last = deadline;
            }
            prop_assert!(model.is_empty());
        }
    }

    #[test]
    fn nothing_is_due_before_its_time() {
        let mut queue = DeadlineQueue::new();
        queue.set(3, Some(Instant::from_nanos(10)));
        assert_eq!(queue.pop_due(Instant::from_nanos(9)), None);
        assert_eq!(queue.pop_due(Instant::from_nanos(10)), Some(3));
        assert_eq!(queue.pop_due(Instant::from_nanos(10)), None);
    }
}
