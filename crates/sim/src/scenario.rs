//! What a run consists of, written by hand or drawn from a seed.

mod dice;
mod draw;
mod model;

pub use model::{
    CablePlan, Change, ConversationPlan, DatagramPlan, HostPlan, ListenerPlan, OffloadPlan, Opening, Restart,
    Scenario, ShardPlan, SteeringPlan, Weather,
};
