//! A generational slab: things with ids that are never mistaken for their successors.

use core::fmt;
use core::num::NonZeroU32;

/// The id of a thing in a [`Slab`]: a position and the generation of its tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SlabId {
    index: u32,
    generation: Generation,
}

const _: () = assert!(size_of::<Option<SlabId>>() == 8, "connections hold some that may be");

/// How many tenants a position has had, the first included; past the last number it is one again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Generation(NonZeroU32);

impl Generation {
    const FIRST: Self = Self(NonZeroU32::MIN);

    fn next(self) -> Self {
        self.0.checked_add(1).map_or(Self::FIRST, Self)
    }
}

impl SlabId {
    /// The position: dense, reused, below the slab's high-water mark.
    pub const fn index(self) -> u32 {
        self.index
    }

    /// The id as one number, for keys of tables outside.
    pub const fn as_u64(self) -> u64 {
        ((self.generation.0.get() as u64) << 32) | self.index as u64
    }
}

impl fmt::Display for SlabId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.index, self.generation.0)
    }
}

#[derive(Clone, Debug)]
struct Entry<T> {
    generation: Generation,
    state: EntryState<T>,
}

#[derive(Clone, Debug)]
enum EntryState<T> {
    Vacant { next_free: Option<u32> },
    Occupied(T),
}

/// A table with O(1) insert, remove and look-up, and a bound.
#[derive(Clone, Debug)]
pub struct Slab<T> {
    entries: Vec<Entry<T>>,
    first_free: Option<u32>,
    len: usize,
    capacity: usize,
}

impl<T> Slab<T> {
    /// An empty table for at most `capacity` things; nothing is allocated yet.
    pub const fn new(capacity: usize) -> Self {
        Self { entries: Vec::new(), first_free: None, len: 0, capacity }
    }

    /// How many things are in it.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is in it.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of memory that it holds, what its things hold themselves not counted.
    pub const fn allocated(&self) -> usize {
        self.entries.capacity() * size_of::<Entry<T>>()
    }

    /// Whether nothing more fits.
    pub const fn is_full(&self) -> bool {
        self.len >= self.capacity
    }

    /// Puts `value` in, or gives it back if the table is full.
    pub fn insert(&mut self, value: T) -> Result<SlabId, T> {
        if self.is_full() {
            return Err(value);
        }
        let index = match self.first_free {
            Some(index) => index,
            None => {
                let Ok(index) = u32::try_from(self.entries.len()) else { return Err(value) };
                self.entries.push(Entry {
                    generation: Generation::FIRST,
                    state: EntryState::Vacant { next_free: None },
                });
                index
            }
        };
        let Some(entry) = self.entries.get_mut(index as usize) else { return Err(value) };
        if let EntryState::Vacant { next_free } = entry.state {
            self.first_free = next_free;
        }
        entry.state = EntryState::Occupied(value);
        self.len += 1;
        Ok(SlabId { index, generation: entry.generation })
    }

    /// Takes the thing out, if it is still there.
    pub fn remove(&mut self, id: SlabId) -> Option<T> {
        let entry = self.entries.get_mut(id.index as usize)?;
        if entry.generation != id.generation || matches!(entry.state, EntryState::Vacant { .. }) {
            return None;
        }
        let old = core::mem::replace(&mut entry.state, EntryState::Vacant { next_free: self.first_free });
        entry.generation = entry.generation.next();
        self.first_free = Some(id.index);
        self.len -= 1;
        match old {
            EntryState::Occupied(value) => Some(value),
            EntryState::Vacant { .. } => None,
        }
    }

    /// The thing with this id, if it is still there.
    pub fn get(&self, id: SlabId) -> Option<&T> {
        match self.entries.get(id.index as usize) {
            Some(Entry { generation, state: EntryState::Occupied(value) })
                if *generation == id.generation =>
            {
                Some(value)
            }
            _ => None,
        }
    }

    /// The same, to change it.
    pub fn get_mut(&mut self, id: SlabId) -> Option<&mut T> {
        match self.entries.get_mut(id.index as usize) {
            Some(Entry { generation, state: EntryState::Occupied(value) })
                if *generation == id.generation =>
            {
                Some(value)
            }
            _ => None,
        }
    }

    /// Whatever lives at `index` now.
    pub fn at(&self, index: u32) -> Option<&T> {
        match self.entries.get(index as usize)? {
            Entry { state: EntryState::Occupied(value), .. } => Some(value),
            Entry { state: EntryState::Vacant { .. }, .. } => None,
        }
    }

    /// The id of whatever lives at `index` now.
    pub fn id_at(&self, index: u32) -> Option<SlabId> {
        match self.entries.get(index as usize) {
            Some(Entry { generation, state: EntryState::Occupied(_) }) => {
                Some(SlabId { index, generation: *generation })
            }
            _ => None,
        }
    }

    /// Everything in it, by position. Walks the whole table: for tools, not for packets.
    pub fn iter(&self) -> impl Iterator<Item = (SlabId, &T)> {
        self.entries.iter().zip(0..).filter_map(|(entry, index)| match &entry.state {
            EntryState::Occupied(value) => Some((SlabId { index, generation: entry.generation }, value)),
            EntryState::Vacant { .. } => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_id_does_not_find_the_new_tenant() {
        let mut slab = Slab::new(2);
        let old = slab.insert("old").unwrap();
        assert_eq!(slab.remove(old), Some("old"));
        let new = slab.insert("new").unwrap();
        assert_eq!(new.index(), old.index());
        assert_eq!(slab.get(old), None);
        assert_eq!(slab.remove(old), None);
        assert_eq!(slab.get(new), Some(&"new"));
        assert_eq!(slab.id_at(new.index()), Some(new));
        assert_eq!(slab.at(new.index()), Some(&"new"));
        assert_eq!(slab.at(new.index() + 1), None);
    }

    #[test]
    fn a_full_slab_gives_the_value_back() {
        let mut slab = Slab::new(1);
        let id = slab.insert(1).unwrap();
        assert_eq!(slab.insert(2), Err(2));
        slab.remove(id);
        assert!(slab.insert(3).is_ok());
        assert_eq!(slab.iter().map(|(_, &value)| value).collect::<Vec<_>>(), [3]);
    }
}
