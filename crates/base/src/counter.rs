//! Counters: plain numbers, owned by whoever counts.

use crate::DropReason;

/// A number that only grows, and wraps after 2^64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counter(u64);

impl Counter {
    /// Adds one.
    pub fn increment(&mut self) {
        self.add(1);
    }

    /// Adds `count`.
    pub fn add(&mut self, count: u64) {
        self.0 = self.0.wrapping_add(count);
    }

    /// The count so far.
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// One [`Counter`] for each [`DropReason`].
#[derive(Clone, Debug)]
pub struct ReasonCounters([Counter; DropReason::ALL.len()]);

impl Default for ReasonCounters {
    fn default() -> Self {
        Self([Counter::default(); DropReason::ALL.len()])
    }
}

impl ReasonCounters {
    /// Counts one drop.
    pub fn increment(&mut self, reason: DropReason) {
        if let Some(counter) = self.0.get_mut(reason as usize) {
            counter.increment();
        }
    }

    /// How often this reason has dropped something.
    pub fn get(&self, reason: DropReason) -> u64 {
        self.0.get(reason as usize).map_or(0, |counter| counter.get())
    }

    /// Every reason that has counted something, with its count.
    pub fn nonzero(&self) -> impl Iterator<Item = (DropReason, u64)> + '_ {
        DropReason::ALL.iter().map(|&reason| (reason, self.get(reason))).filter(|&(_, count)| count > 0)
    }

    /// All drops together.
    pub fn total(&self) -> u64 {
        self.0.iter().map(|counter| counter.get()).fold(0, u64::wrapping_add)
    }
}
