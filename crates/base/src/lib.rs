//! Ground floor of netloom: the small types that every layer shares, and nothing that does IO.
//!
//! Time is a value ([`Instant`]), randomness is handed in once ([`Rng`]), and what a device knows about a frame
//! travels beside it ([`RxMeta`], [`TxMeta`]).
//!
//! **Architecture invariant:** nothing here, or in any crate up to `netloom-stack`, reads a clock, starts a
//! thread, opens a file or seeds itself.
#![forbid(unsafe_code)]

mod address_detection;
mod byte_queue;
mod counter;
mod deadline_queue;
mod device;
mod drop_reason;
mod index_table;
mod keyed_map;
mod local_ends;
mod path;
mod rng;
mod sharding;
mod slab;
mod time;

pub use address_detection::AddressDetection;
pub use byte_queue::{
    BufferPool, ByteQueue, OwnedBytes, PIECE_LEN, SHARED_LEN_MIN, SharedBytes, handed_in_size,
    is_mostly_empty,
};
pub use counter::{Counter, ReasonCounters};
pub use deadline_queue::DeadlineQueue;
pub use device::{DeviceCaps, Gso, GsoKind, InterfaceId, Medium, RxChecksum, RxMeta, TxChecksum, TxMeta};
pub use drop_reason::DropReason;
pub use index_table::IndexTable;
pub use keyed_map::{HashKey, KeyedMap, KeyedSet};
pub use local_ends::LocalEnds;
pub use path::{NextHop, PathInfo};
pub use rng::Rng;
pub use sharding::{ShardIndex, Sharding};
pub use slab::{Slab, SlabId};
pub use time::Instant;
