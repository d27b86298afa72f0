//! A bounded memory: of what was last asked for, so much is kept.

use core::hash::Hash;
use std::collections::VecDeque;

use netloom_base::{HashKey, KeyedMap};

/// Values by key, at most a fixed number of them: beyond it the one goes that was not asked for the longest. Everything takes
/// O(1) on average.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    entries: KeyedMap<K, Entry<V>>,
    /// Keys as they were asked for, oldest first; those with another turn than their entry's count no more.
    order: VecDeque<(K, u64)>,
    turn: u64,
    capacity: usize,
}

#[derive(Debug)]
struct Entry<V> {
    turn: u64,
    value: V,
}

impl<K: Copy + Eq + Hash, V> Recent<K, V> {
    /// Without anything. `key` must be secret if outsiders can choose keys.
    pub(super) fn new(capacity: usize, key: HashKey) -> Self {
        Self { entries: KeyedMap::with_hasher(key), order: VecDeque::new(), turn: 0, capacity }
    }

    /// What is kept for `key`, which was asked for now.
    pub(super) fn get(&mut self, key: &K) -> Option<&mut V> {
        let turn = self.turn + 1;
        let entry = self.entries.get_mut(key)?;
        entry.turn = turn;
        self.turn = turn;
        self.order.push_back((*key, turn));
        if self.order.len() > 2 * self.capacity {
            let entries = &self.entries;
            self.order.retain(|(key, turn)| entries.get(key).is_some_and(|entry| entry.turn == *turn));
        }
        self.entries.get_mut(key).map(|entry| &mut entry.value)
    }

    /// Keeps `value` for `key`, in place of what was kept for it.
    pub(super) fn put(&mut self, key: K, value: V) {
        if self.capacity == 0 {
            return;
        }
        if let Some(known) = self.get(&key) {
            *known = value;
            return;
        }
        while self.entries.len() >= self.capacity
            && let Some((oldest, turn)) = self.order.pop_front()
        {
            if self.entries.get(&oldest).is_some_and(|entry| entry.turn == turn) {
                self.entries.remove(&oldest);
            }
        }
        self.turn += 1;
        self.entries.insert(key, Entry { turn: self.turn, value });
        self.order.push_back((key, self.turn));
    }

    /// Forgets what is kept for `key`.
    pub(super) fn remove(&mut self, key: &K) {
        self.entries.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_asked_for_the_longest_goes_first() {
        let mut recent = Recent::new(3, HashKey::new(1, 2));
        for key in 0..3 {
            recent.put(key, key * 10);
        }
        assert_eq!(recent.get(&0), Some(&mut 0));
        recent.put(3, 30);
        assert_eq!([0, 1, 2, 3].map(|key| recent.get(&key).copied()), [Some(0), None, Some(20), Some(30)]);
        recent.remove(&0);
        recent.put(4, 40);
        assert_eq!([0, 2, 3, 4].map(|key| recent.get(&key).copied()), [None, Some(20), Some(30), Some(40)]);
    }

    #[test]
    fn it_is_bounded_however_often_it_is_asked() {
        let mut recent = Recent::new(10, HashKey::new(1, 2));
        for number in 0..10_000u32 {
            recent.put(number % 37, number);
            recent.get(&(number % 7));
            assert!(recent.entries.len() <= 10 && recent.order.len() <= 22);
        }
        let mut none = Recent::new(0, HashKey::new(1, 2));
        none.put(1, 1);
        assert_eq!(none.get(&1), None);
    }
}
