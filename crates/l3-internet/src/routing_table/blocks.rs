//! Short runs of things in one arena, that grow and shrink by one.

/// A run: where it begins in the arena, and how many things are in it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Run {
    pub(super) start: u32,
    pub(super) len: u8,
}

/// How many places a run takes up: the least of these that its length needs.
const SIZES: [u8; 13] = [0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64];

/// The arena. A run has at most 64 things; places that are given back are used again for runs of their size.
#[derive(Clone, Debug)]
pub(super) struct Blocks<T> {
    items: Vec<T>,
    free: [Vec<u32>; SIZES.len()],
    used: usize,
}

fn class_of(len: usize) -> usize {
    SIZES.partition_point(|&size| usize::from(size) < len)
}

fn size_of_class(class: usize) -> usize {
    SIZES.get(class).copied().map_or(0, usize::from)
}

impl<T: Copy + Default> Blocks<T> {
    pub(super) const fn new() -> Self {
        Self { items: Vec::new(), free: [const { Vec::new() }; SIZES.len()], used: 0 }
    }

    #[inline]
    pub(super) fn get(&self, position: u32) -> Option<&T> {
        self.items.get(position as usize)
    }

    pub(super) fn get_mut(&mut self, position: u32) -> Option<&mut T> {
        self.items.get_mut(position as usize)
    }

    /// Puts `item` at `rank` of the run, which may move.
    pub(super) fn insert(&mut self, run: Run, rank: usize, item: T) -> Run {
        let (old, len) = (usize::from(run.len), usize::from(run.len) + 1);
        let start = self.resize(run, old, len);
        let first = start as usize;
        if let Some(places) = self.items.get_mut(first..first + len) {
            places.copy_within(rank.min(old)..old, rank.min(old) + 1);
            if let Some(place) = places.get_mut(rank) {
                *place = item;
            }
        }
        Run { start, len: run.len.saturating_add(1) }
    }

    /// Takes out what is at `rank` of the run, which may move.
    pub(super) fn remove(&mut self, run: Run, rank: usize) -> Run {
        let (old, len) = (usize::from(run.len), usize::from(run.len).saturating_sub(1));
        let first = run.start as usize;
        if let Some(places) = self.items.get_mut(first..first + old) {
            places.copy_within((rank + 1).min(old)..old, rank.min(len));
        }
        Run { start: self.resize(run, len, len), len: run.len.saturating_sub(1) }
    }

    /// Gives the run the places that `len` things need, moves its first `keep` things there, and says where.
    fn resize(&mut self, run: Run, keep: usize, len: usize) -> u32 {
        let (from, to) = (class_of(usize::from(run.len)), class_of(len));
        if from == to {
            return run.start;
        }
        let start = self.allocate(to);
        let (source, target) = (run.start as usize, start as usize);
        if source + keep <= self.items.len() && target + keep <= self.items.len() {
            self.items.copy_within(source..source + keep, target);
        }
        self.release(run.start, from);
        start
    }

    fn allocate(&mut self, class: usize) -> u32 {
        let size = size_of_class(class);
        self.used += size;
        if let Some(start) = self.free.get_mut(class).and_then(Vec::pop) {
            return start;
        }
        // The owner's bound on routes keeps the arena far below 2^32 places.
        let start = u32::try_from(self.items.len()).unwrap_or(u32::MAX);
        self.items.resize(self.items.len() + size, T::default());
        start
    }

    fn release(&mut self, start: u32, class: usize) {
        let size = size_of_class(class);
        self.used -= size.min(self.used);
        if size > 0
            && let Some(free) = self.free.get_mut(class)
        {
            free.push(start);
        }
    }

    /// Places in use, and places there are, for tests of leaks and of memory.
    #[cfg(test)]
    pub(super) fn usage(&self) -> (usize, usize) {
        (self.used, self.items.len())
    }
}
