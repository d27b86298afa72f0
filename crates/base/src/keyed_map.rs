//! Hash tables whose order an outsider cannot aim at: SipHash-1-3 under a key from the stack's [`Rng`](crate::Rng).
//!
//! `std`'s own seed comes from the operating system, which the core does not ask.

use core::hash::{BuildHasher, Hash};
use std::collections::{HashMap, HashSet};

use siphasher::sip::SipHasher13;

/// The secret of a hash table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashKey(u64, u64);

impl HashKey {
    /// A key from 128 random bits.
    pub const fn new(k0: u64, k1: u64) -> Self {
        Self(k0, k1)
    }

    /// The keyed hash of `value`.
    pub fn hash<T: Hash>(&self, value: &T) -> u64 {
        self.hash_one(value)
    }
}

impl BuildHasher for HashKey {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.0, self.1)
    }
}

/// A map that an outsider cannot make collide; build it with `KeyedMap::with_hasher(rng.hash_key())`.
pub type KeyedMap<K, V> = HashMap<K, V, HashKey>;

/// A set that an outsider cannot make collide.
pub type KeyedSet<K> = HashSet<K, HashKey>;
