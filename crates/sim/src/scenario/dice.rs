//! Draws that scenarios are made of.

use core::time::Duration;

use netloom_base::Rng;

use netloom_impair::Share;

/// A generator with the draws of a scenario.
pub(super) struct Dice(Rng);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(Rng::from_number(seed))
    }

    /// Whether something happens that does in `percent` of all cases.
    pub(super) fn chance(&mut self, percent: u32) -> bool {
        Share::from_percent(percent).happens(&mut self.0)
    }

    /// A number from `low` to `high`.
    pub(super) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.0.below(high.saturating_sub(low) + 1)
    }

    /// A number from `low` (at least 1) to `high`, small ones as often as big ones: each doubling is as likely.
    pub(super) fn spread(&mut self, low: u64, high: u64) -> u64 {
        let low = low.max(1);
        let doublings = (high.max(low) / low).ilog2();
        let base = low << self.0.below(u64::from(doublings) + 1);
        self.between(base, (2 * base).min(high).max(base))
    }

    pub(super) fn size(&mut self, low: usize, high: usize) -> usize {
        usize::try_from(self.spread(low as u64, high as u64)).unwrap_or(low)
    }

    pub(super) fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.0.below(len as u64)).unwrap_or(0)
    }

    pub(super) fn pick<T: Copy>(&mut self, choices: &[T], fallback: T) -> T {
        choices.get(self.index(choices.len())).copied().unwrap_or(fallback)
    }

    pub(super) fn micros(&mut self, low: u64, high: u64) -> Duration {
        Duration::from_micros(self.spread(low, high))
    }

    /// A share from nothing to `percent`.
    pub(super) fn share(&mut self, percent: u32) -> Share {
        let most = Share::from_percent(percent).parts_per_billion();
        Share::from_parts_per_billion(u32::try_from(self.between(0, most.into())).unwrap_or(0))
    }
}
