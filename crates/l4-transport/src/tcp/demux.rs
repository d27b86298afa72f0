//! Where a segment's four-tuple leads: to a connection, one in TIME-WAIT, or one that is half open.
//!
//! # Limits
//! 11 to 21 bytes for each: the four-tuple itself is where it leads to.

use netloom_base::{HashKey, IndexTable, Slab, SlabId};

use super::connection::Connection;
use super::syn_cache::SynCacheEntry;
use super::time_wait::TimeWait;
use super::tuple::FourTuple;

/// Where a four-tuple leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    Connection(SlabId),
    TimeWait(SlabId),
    HalfOpen(SlabId),
}

/// The tables that it leads into.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tables<'a> {
    pub(super) connections: &'a Slab<Connection>,
    pub(super) time_waits: &'a Slab<TimeWait>,
    pub(super) half_open: &'a Slab<SynCacheEntry>,
}

/// Things that each of the tables may hold at most: beside a position there are two bits for which of them it is in.
pub(super) const MOST_ENTRIES: usize = 1 << KIND_SHIFT;

const KIND_SHIFT: u32 = 30;
const CONNECTION: u32 = 0;
const TIME_WAIT: u32 = 1;
const HALF_OPEN: u32 = 2;

fn pack(slot: Slot) -> u32 {
    let (kind, id) = match slot {
        Slot::Connection(id) => (CONNECTION, id),
        Slot::TimeWait(id) => (TIME_WAIT, id),
        Slot::HalfOpen(id) => (HALF_OPEN, id),
    };
    kind << KIND_SHIFT | id.index()
}

/// The kind of a packed slot, and its position.
fn unpack(packed: u32) -> (u32, u32) {
    (packed >> KIND_SHIFT, packed & ((1 << KIND_SHIFT) - 1))
}

impl<'a> Tables<'a> {
    fn tuple(self, packed: u32) -> Option<&'a FourTuple> {
        let (kind, index) = unpack(packed);
        match kind {
            CONNECTION => self.connections.at(index).map(|it| &it.tuple),
            TIME_WAIT => self.time_waits.at(index).map(|it| &it.tuple),
            _ => self.half_open.at(index).map(|it| &it.tuple),
        }
    }

    fn slot(self, packed: u32) -> Option<Slot> {
        let (kind, index) = unpack(packed);
        match kind {
            CONNECTION => self.connections.id_at(index).map(Slot::Connection),
            TIME_WAIT => self.time_waits.id_at(index).map(Slot::TimeWait),
            _ => self.half_open.id_at(index).map(Slot::HalfOpen),
        }
    }
}

/// What leads there.
#[derive(Debug)]
pub(super) struct Demux {
    key: HashKey,
    table: IndexTable,
}

impl Demux {
    /// `key` must be secret.
    pub(super) fn new(key: HashKey) -> Self {
        Self { key, table: IndexTable::new() }
    }

    /// How many four-tuples lead anywhere.
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// Bytes of memory.
    pub(super) fn allocated(&self) -> usize {
        self.table.allocated()
    }

    pub(super) fn find(&self, tables: Tables<'_>, tuple: &FourTuple) -> Option<Slot> {
        let packed = self.table.find(self.key.hash(tuple), |packed| tables.tuple(packed) == Some(tuple))?;
        tables.slot(packed)
    }

    /// A four-tuple that leads nowhere leads to `slot` from now on.
    pub(super) fn insert(&mut self, tuple: &FourTuple, slot: Slot) {
        self.table.insert(self.key.hash(tuple), pack(slot));
    }

    /// It leads to `slot` no more, which may be gone already.
    pub(super) fn remove(&mut self, tuple: &FourTuple, slot: Slot) {
        let was_there = self.table.remove(self.key.hash(tuple), pack(slot));
        debug_assert!(was_there, "{tuple} led to {slot:?}");
    }
}
