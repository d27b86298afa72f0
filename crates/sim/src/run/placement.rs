//! Whether everything is at the shard that it belongs to.

use core::net::SocketAddr;
use std::collections::BTreeMap;

use netloom_base::DropReason;
use netloom_stack::StackCounters;
use netloom_stack::transport::FourTuple;

use crate::failure::{Failure, FailureKind};
use crate::shards::Shards;
use crate::world::World;

/// A connection of a shard that belongs to another, or that another has, too.
pub(super) fn misplaced(shards: &mut Shards) -> Option<(usize, (SocketAddr, SocketAddr))> {
    if shards.is_whole() {
        return None;
    }
    let mut homes = BTreeMap::new();
    for shard in 0..shards.stacks.len() {
        let tcp = shards.stacks.get_mut(shard)?.tcp();
        let tuple = |it: FourTuple| (it.local(), it.remote());
        let mut all: Vec<_> = tcp.connections().map(|(_, info)| (info.local, info.remote)).collect();
        all.extend(tcp.half_open().map(tuple));
        all.extend(tcp.time_waits().map(|(it, _)| tuple(it)));
        for ends in all {
            let home = *homes.entry(ends).or_insert(shard);
            if home != shard || shards.owner_of_flow(ends.0, ends.1) != shard {
                return Some((shard, ends));
            }
        }
    }
    None
}

/// Checks that whatever was handed over came to its owner, or was counted as dropped.
pub(super) fn check_handovers(world: &World<'_>) -> Result<(), Failure> {
    for host in 0..world.host_count() {
        for shards in world.all_shards(host) {
            let sum = |count: fn(&StackCounters) -> u64| {
                shards.stacks.iter().map(|stack| count(stack.counters())).sum::<u64>()
            };
            let (handed_over, taken_over) = (sum(|it| it.handed_over.get()), sum(|it| it.taken_over.get()));
            let dropped = sum(|it| it.drops.get(DropReason::HandoverFull));
            let tally = shards.mail_tally();
            let is_counted = handed_over == tally.posted
                && taken_over == tally.taken
                && dropped >= tally.refused
                && tally.posted == tally.taken + tally.refused + tally.waiting;
            if !is_counted {
                return Err(world.failure(FailureKind::LostHandover {
                    host,
                    handed_over,
                    taken_over,
                    tally,
                }));
            }
        }
    }
    Ok(())
}
