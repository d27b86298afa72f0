//! The neighbour cache, part by part.

pub(crate) mod cache;
mod lists;
mod queue;
pub(crate) mod state;
