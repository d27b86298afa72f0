//! Randomness that is handed in once.

use rand_chacha::ChaCha12Rng;
use rand_core::{Rng as _, SeedableRng};

use crate::HashKey;

/// A cryptographic generator, ChaCha12, seeded by whoever builds the stack.
///
/// Live, the seed comes from the kernel; in a simulation from the run's seed, and then the whole run repeats.
/// It is cryptographic because initial sequence numbers, ports and hash keys must not be guessed
/// (RFC 6528, RFC 6056).
#[derive(Clone, Debug)]
pub struct Rng(ChaCha12Rng);

impl Rng {
    /// A generator from 32 secret bytes.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(ChaCha12Rng::from_seed(seed))
    }

    /// A generator for tests and simulations, where the seed is a number that a person can type.
    pub fn from_number(seed: u64) -> Self {
        Self(ChaCha12Rng::seed_from_u64(seed))
    }

    /// An independent generator, so that one part's use of randomness does not shift another's.
    pub fn fork(&mut self) -> Self {
        let mut seed = [0; 32];
        self.0.fill_bytes(&mut seed);
        Self::from_seed(seed)
    }

    /// 16 uniform bits.
    pub fn next_u16(&mut self) -> u16 {
        (self.0.next_u32() >> 16) as u16
    }

    /// 32 uniform bits.
    pub fn next_u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// 64 uniform bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A uniform number below `bound`, and 0 if `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        // Widening multiplication; the bias is at most bound / 2^64.
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// Fills `bytes`.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }

    /// A secret key for a hash.
    pub fn hash_key(&mut self) -> HashKey {
        HashKey::new(self.next_u64(), self.next_u64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers() {
        let (mut a, mut b) = (Rng::from_number(7), Rng::from_number(7));
        assert_eq!(a.next_u64(), b.next_u64());
        assert_eq!(a.fork().next_u64(), b.fork().next_u64());
        assert_ne!(a.next_u64(), Rng::from_number(8).next_u64());
    }

    #[test]
    fn below_stays_below() {
        let mut rng = Rng::from_number(1);
        assert_eq!(rng.below(0), 0);
        let mut seen = [false; 10];
        for _ in 0..1000 {
            seen[usize::try_from(rng.below(10)).unwrap()] = true;
        }
        assert!(seen.iter().all(|&seen| seen));
    }
}
