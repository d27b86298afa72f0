//! The model of a link with faults, in one piece for the simulator, the live daemon and a cable between two TAPs.
//!
//! [`Link`] is one direction of a cable: it decides what becomes of each frame, without a clock or a thread. Its three
//! users differ in who tells it the time: the simulator a number, `netloom --impair` and `netloom link` a monotonic
//! clock. [`ImpairSpec`] is what a person types to describe the faults of both directions.
#![forbid(unsafe_code)]

mod impair;
mod link;
mod share;

pub use impair::{ImpairError, ImpairSpec, TimeSpan, TimeSpanError};
pub use link::{Link, LinkConfig, LinkCounters, LinkDrop};
pub use share::{Share, ShareError};
