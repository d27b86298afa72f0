//! Requests that could not be sent when they were due.
//!
//! A host that tries out its address may use it, but may not ask for neighbours from it (RFC 4429 3.2). Packets wait until
//! it may; the requests that were not sent are not missed answers, so they do not count towards giving the neighbour up.

use core::net::IpAddr;

use netloom_base::{Instant, SlabId};

use super::NeighborCache;
use crate::neighbor::state::NeighborState;

impl NeighborCache {
    /// The last request for `address` was not sent.
    pub(crate) fn postpone(&mut self, address: &IpAddr) {
        let Some(entry) = self.by_address.get(address).and_then(|&id| self.entries.get_mut(id)) else {
            return;
        };
        entry.solicit_count = entry.solicit_count.saturating_sub(1);
        entry.unanswered = false;
        entry.is_postponed = true;
    }

    /// Asks now for all neighbours in INCOMPLETE that should have been asked for before. Walks the table: for rare
    /// occasions.
    pub(crate) fn ask_postponed(&mut self, now: Instant) {
        let due: Vec<SlabId> = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.is_postponed && entry.state == NeighborState::Incomplete)
            .map(|(id, _)| id)
            .collect();
        for id in due {
            self.solicit(now, id, None);
        }
        self.assert_invariants();
    }
}
