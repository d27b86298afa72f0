//! A seeded world in virtual time, and the link model that it shares with the live daemon.
//!
//! [`Link`] is one direction of a cable: it decides what becomes of each frame, without a clock or a thread, so the same
//! code serves the simulator, faults on a live interface and a cable between two TAPs. [`ImpairSpec`] is what a person
//! types to describe its faults.
#![forbid(unsafe_code)]

mod capture;
mod conversation;
mod failure;
mod frame_check;
mod impair;
mod link;
mod pattern;
mod run;
mod scenario;
mod share;
mod world;

pub use capture::Capture;
pub use conversation::Side;
pub use conversation::end::{Outcome, Untruth};
pub use conversation::plan::{Finish, Order, Plan, Reading};
pub use failure::{Failure, FailureKind};
pub use frame_check::{FrameFault, check_frame};
pub use impair::{ImpairError, ImpairSpec};
pub use link::{Link, LinkConfig, LinkCounters, LinkDrop};
pub use run::{Report, run};
pub use scenario::{
    CablePlan, Change, ConversationPlan, HostPlan, ListenerPlan, Opening, Restart, Scenario, Weather,
};
pub use share::{Share, ShareError};
