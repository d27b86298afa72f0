//! A seeded world in virtual time, and the link model that it shares with the live daemon.
//!
//! [`Link`] is one direction of a cable: it decides what becomes of each frame, without a clock or a thread, so the same
//! code serves the simulator, faults on a live interface and a cable between two TAPs. [`ImpairSpec`] is what a person
//! types to describe its faults.
#![forbid(unsafe_code)]

mod impair;
mod link;
mod share;

pub use impair::{ImpairError, ImpairSpec};
pub use link::{Link, LinkConfig, LinkCounters, LinkDrop};
pub use share::{Share, ShareError};
