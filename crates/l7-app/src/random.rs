//! A small fast generator for filler bytes and dice, not for secrets.

use std::hash::{BuildHasher, RandomState};

/// `SplitMix64` (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014): eight bytes a step, and
/// the same bytes for the same seed on every machine.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// A generator that repeats itself for the same `seed`.
    pub(crate) fn from_seed(seed: u64) -> Self {
        Self(seed)
    }

    /// A generator that differs from run to run.
    pub(crate) fn new() -> Self {
        Self(RandomState::new().hash_one(0_u8))
    }

    /// 64 uniform bits.
    pub(crate) fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A uniform number below `bound`, and 0 if `bound` is 0; the bias is at most `bound` / 2^32.
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        let high = self.next_u64() >> 32;
        u32::try_from((high * u64::from(bound)) >> 32).unwrap_or(0)
    }

    /// A uniform number in 0.0..1.0.
    pub(crate) fn unit(&mut self) -> f64 {
        f64::from(self.below(u32::MAX)) / f64::from(u32::MAX)
    }

    /// Fills `bytes`.
    pub(crate) fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let word = self.next_u64().to_le_bytes();
            chunk.iter_mut().zip(word).for_each(|(byte, random)| *byte = random);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn the_sequence_of_seed_zero_is_the_published_one() {
        let mut random = Random::from_seed(0);
        assert_eq!(random.next_u64(), 0xe220_a839_7b1d_cdaf);
        assert_eq!(random.next_u64(), 0x6e78_9e6a_a1b9_65f4);
    }

    #[test]
    fn below_stays_below() {
        let mut random = Random::from_seed(7);
        assert!((0..10_000).map(|_| random.below(513)).all(|number| number <= 512));
        assert_eq!(random.below(0), 0);
    }

    #[test]
    fn filling_in_pieces_of_eight_is_filling_at_once() {
        let (mut once, mut pieces) = ([0; 24], [0; 24]);
        Random::from_seed(3).fill(&mut once);
        let mut random = Random::from_seed(3);
        pieces.chunks_mut(8).for_each(|piece| random.fill(piece));
        assert_eq!(once, pieces);
    }
}
