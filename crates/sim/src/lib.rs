//! A seeded world in virtual time: hosts, cables and applications, and the oracles that judge them.
//!
//! [`Scenario`] says what a run consists of, written by hand or drawn from a seed; [`run()`] runs it. The cables are
//! [`netloom_impair::Link`]s, as on a live interface with faults.
#![forbid(unsafe_code)]

mod capture;
mod conversation;
mod failure;
mod frame_check;
pub mod offload;
mod pattern;
mod run;
mod scenario;
mod shards;
mod world;

pub use capture::Capture;
pub use conversation::Side;
pub use conversation::end::{Outcome, Untruth};
pub use conversation::plan::{Finish, Order, Plan, Reading};
pub use failure::{Failure, FailureKind};
pub use frame_check::{FrameFault, check_frame};
pub use run::{Report, run, write_frames};
pub use scenario::{
    CablePlan, Change, ConversationPlan, DatagramPlan, HostPlan, ListenerPlan, OffloadPlan, Opening, Restart,
    Scenario, ShardPlan, SteeringPlan, Weather,
};
pub use shards::{Letter, MailPlan, MailTally, Shards};
