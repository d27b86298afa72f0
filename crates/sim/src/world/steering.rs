//! Which queue of a device with several a frame is given to: anyone's, but for that of its owner by chance.

use core::net::SocketAddr;
use std::collections::BTreeMap;

use netloom_base::{HashKey, Medium, Rng};
use netloom_wire::{Flow, Glance};

use crate::scenario::SteeringPlan;

/// How the devices of a host choose.
#[derive(Debug)]
pub(super) struct Steering {
    plan: SteeringPlan,
    count: usize,
    /// Of the devices: the shards know nothing of it.
    key: HashKey,
    turn: usize,
    /// Which queue has sent to a sender last.
    writers: BTreeMap<(SocketAddr, SocketAddr), usize>,
}

impl Steering {
    pub(super) fn new(plan: SteeringPlan, count: u16, rng: &mut Rng) -> Self {
        Self {
            plan,
            count: usize::from(count.max(1)),
            key: rng.hash_key(),
            turn: 0,
            writers: BTreeMap::new(),
        }
    }

    /// The queue of a frame that has come.
    pub(super) fn queue_of(&mut self, medium: Medium, frame: &[u8]) -> usize {
        if self.count == 1 {
            return 0;
        }
        match self.plan {
            SteeringPlan::InTurn => {
                self.turn += 1;
                self.turn % self.count
            }
            SteeringPlan::ByHash => self.by_hash(Glance::at_frame(medium, frame)),
            SteeringPlan::LastWriter => {
                let glance = Glance::at_frame(medium, frame);
                let known = match glance {
                    Glance::Flow(Flow { source, destination, .. }) => {
                        self.writers.get(&(source, destination))
                    }
                    Glance::ErrorAbout(_) | Glance::Fragment { .. } | Glance::Neighbor | Glance::Other => {
                        None
                    }
                };
                known.copied().unwrap_or_else(|| self.by_hash(glance))
            }
        }
    }

    /// A shard has sent a frame.
    pub(super) fn note_sent(&mut self, shard: usize, medium: Medium, frame: &[u8]) {
        if self.count == 1 || self.plan != SteeringPlan::LastWriter {
            return;
        }
        if let Glance::Flow(Flow { source, destination, .. }) = Glance::at_frame(medium, frame) {
            self.writers.insert((destination, source), shard);
        }
    }

    fn by_hash(&self, glance: Glance) -> usize {
        let hash = match glance {
            Glance::Flow(Flow { source, destination, .. }) => self.key.hash(&(source, destination)),
            Glance::Fragment { source, destination } => self.key.hash(&(source, destination)),
            Glance::ErrorAbout(_) | Glance::Neighbor | Glance::Other => 0,
        };
        usize::try_from(hash % self.count as u64).unwrap_or(0)
    }
}
