//! A hash table that holds positions only: what lies there, and its key, is in a table of its own.

/// Leads from hashes to positions of things elsewhere, in 8 bytes a place, of which at most three quarters are taken: 11 to 21
/// bytes a thing.
///
/// Looking up, inserting and removing take O(1) steps on average, if an outsider cannot aim at the hash
/// ([`HashKey::hash`](crate::HashKey::hash)). It is open addressing with linear probing: whoever looks for a thing compares 32
/// bits of hash in places that lie beside each other, and then looks at the thing itself, which it wants anyway.
#[derive(Clone, Debug, Default)]
pub struct IndexTable {
    /// A power of two of them, or none.
    places: Box<[Place]>,
    len: usize,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    hash: u32,
    position: u32,
}

const FREE: Place = Place { hash: 0, position: u32::MAX };

impl Place {
    const fn is_free(self) -> bool {
        self.position == FREE.position
    }
}

/// Places of the smallest table.
const LEAST_PLACES: usize = 8;

/// The part of a hash that a place holds: it says where a thing belongs, however large the table becomes.
#[expect(clippy::cast_possible_truncation, reason = "any 32 bits of a hash will do")]
const fn short(hash: u64) -> u32 {
    hash as u32
}

impl IndexTable {
    /// Without things; nothing is allocated yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many things it leads to.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether it leads nowhere.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of memory that it holds.
    pub const fn allocated(&self) -> usize {
        self.places.len() * size_of::<Place>()
    }

    /// The position of the thing with this hash that `is_it` knows again.
    pub fn find(&self, hash: u64, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        self.search(short(hash), &mut is_it).map(|(_, position)| position)
    }

    /// Leads from `hash` to `position`, which must be none that it leads to already, nor `u32::MAX`.
    pub fn insert(&mut self, hash: u64, position: u32) {
        debug_assert_ne!(position, FREE.position, "that one stands for a free place");
        if self.len >= self.places.len() / 4 * 3 {
            self.grow();
        }
        self.put(Place { hash: short(hash), position });
        self.len += 1;
    }

    /// Leads no longer from `hash` to `position`; whether it did.
    pub fn remove(&mut self, hash: u64, position: u32) -> bool {
        let Some((mut hole, _)) = self.search(short(hash), &mut |it| it == position) else { return false };
        self.len -= 1;
        // Whatever follows and would be sought from before the hole moves into it.
        let mut next = self.after(hole);
        while let Some(&place) = self.places.get(next).filter(|place| !place.is_free()) {
            let (from_home, from_hole) = (self.steps(self.home(place.hash), next), self.steps(hole, next));
            if from_home >= from_hole {
                self.set(hole, place);
                hole = next;
            }
            next = self.after(next);
        }
        self.set(hole, FREE);
        true
    }

    /// Which place a thing is in, and its position.
    fn search(&self, hash: u32, is_it: &mut impl FnMut(u32) -> bool) -> Option<(usize, u32)> {
        let mut index = self.home(hash);
        loop {
            let place = self.places.get(index).filter(|place| !place.is_free())?;
            if place.hash == hash && is_it(place.position) {
                return Some((index, place.position));
            }
            index = self.after(index);
        }
    }

    fn grow(&mut self) {
        let places = vec![FREE; (self.places.len() * 2).max(LEAST_PLACES)].into_boxed_slice();
        for place in core::mem::replace(&mut self.places, places) {
            if !place.is_free() {
                self.put(place);
            }
        }
    }

    /// Into the first free place from where it belongs; there is one.
    fn put(&mut self, place: Place) {
        let mut index = self.home(place.hash);
        while self.places.get(index).is_some_and(|place| !place.is_free()) {
            index = self.after(index);
        }
        self.set(index, place);
    }

    fn set(&mut self, index: usize, place: Place) {
        if let Some(it) = self.places.get_mut(index) {
            *it = place;
        }
    }

    const fn mask(&self) -> usize {
        self.places.len().wrapping_sub(1)
    }

    const fn home(&self, hash: u32) -> usize {
        hash as usize & self.mask()
    }

    const fn after(&self, index: usize) -> usize {
        (index + 1) & self.mask()
    }

    /// Places from `start` on to `end`, around the end of the table.
    const fn steps(&self, start: usize, end: usize) -> usize {
        end.wrapping_sub(start) & self.mask()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Few hashes, so that many collide, and runs go around the end.
        #[test]
        fn agrees_with_a_map(operations in prop::collection::vec((0u32..60, any::<bool>(), 0u64..12), 0..300)) {
            let mut table = IndexTable::new();
            let mut model = BTreeMap::new();
            for (position, adds, hash) in operations {
                if adds && !model.contains_key(&position) {
                    table.insert(hash, position);
                    model.insert(position, hash);
                } else if !adds {
                    let was = model.remove(&position);
                    prop_assert_eq!(table.remove(was.unwrap_or(hash), position), was.is_some());
                }
                prop_assert_eq!(table.len(), model.len());
                prop_assert!(table.len() * 4 <= table.places.len() * 3, "a free place ends every search");
            }
            for position in 0..60 {
                for hash in 0..12 {
                    let expected = (model.get(&position) == Some(&hash)).then_some(position);
                    prop_assert_eq!(table.find(hash, |it| it == position), expected);
                }
            }
        }
    }

    #[test]
    fn an_empty_one_takes_no_memory_and_finds_nothing() {
        let mut table = IndexTable::new();
        assert_eq!(table.allocated(), 0);
        assert_eq!(table.find(7, |_| true), None);
        assert!(!table.remove(7, 0));
        table.insert(7, 0);
        assert!(table.remove(7, 0) && table.is_empty());
    }

    #[test]
    fn a_search_looks_at_what_has_its_hash_however_much_there_is() {
        let key = crate::Rng::from_number(1).hash_key();
        for count in [10, 10_000] {
            let mut table = IndexTable::new();
            (0..count).for_each(|position| table.insert(key.hash(&position), position));
            let mut looked_at = 0;
            for position in 0..count {
                let found = table.find(key.hash(&position), |it| {
                    looked_at += 1;
                    it == position
                });
                assert_eq!(found, Some(position));
            }
            assert!(looked_at <= count + 1, "{looked_at} of {count}");
        }
    }
}
