//! The neighbour cache, part by part.

pub(crate) mod cache;
mod entry;
mod lists;
mod queue;
pub(crate) mod state;
