//! One neighbour.

use core::net::IpAddr;
use core::time::Duration;

use netloom_base::Instant;
use netloom_wire::{EthernetAddress, NeighborUpdateKind};

use super::queue::PacketQueue;
use super::state::{NeighborState, Told};
use crate::value::NeighborEntry;

/// What is known about one neighbour, and what waits for it.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) address: IpAddr,
    pub(crate) state: NeighborState,
    /// Unspecified while INCOMPLETE.
    pub(crate) link_address: EthernetAddress,
    pub(crate) is_router: bool,
    /// Requests sent in this state.
    pub(crate) solicit_count: u8,
    /// When it was last asked for.
    pub(crate) solicited_at: Option<Instant>,
    /// Whether the last request is still without an answer.
    pub(crate) unanswered: bool,
    /// Whether the last request could not be sent yet.
    pub(crate) is_postponed: bool,
    pub(crate) since: Instant,
    pub(crate) confirmed_at: Option<Instant>,
    pub(crate) used_at: Option<Instant>,
    /// For how long the present confirmation holds.
    pub(crate) reachable_for: Duration,
    pub(crate) queue: PacketQueue,
}

impl Entry {
    /// A neighbour of which only the address is known.
    pub(crate) fn new(now: Instant, address: IpAddr) -> Self {
        Self {
            address,
            state: NeighborState::Incomplete,
            link_address: EthernetAddress::UNSPECIFIED,
            is_router: false,
            solicit_count: 0,
            solicited_at: None,
            unanswered: false,
            is_postponed: false,
            since: now,
            confirmed_at: None,
            used_at: None,
            reachable_for: Duration::ZERO,
            queue: PacketQueue::default(),
        }
    }

    /// How the link address in a message compares with the cached one.
    pub(crate) fn told(&self, link_address: Option<EthernetAddress>) -> Told {
        match link_address {
            None => Told::Nothing,
            Some(told) if self.state != NeighborState::Incomplete && told == self.link_address => Told::Same,
            Some(_) => Told::Different,
        }
    }

    /// The IsRouter flag of RFC 4861 appendix D; to be called before the message changes the state.
    // [4861-21]
    pub(crate) fn note_router(&mut self, kind: NeighborUpdateKind, told: Told) {
        match kind {
            NeighborUpdateKind::RouterAdvertisement => self.is_router = true,
            NeighborUpdateKind::Advertisement { solicited: _, override_, router } => {
                let is_ignored =
                    self.state != NeighborState::Incomplete && !override_ && told == Told::Different;
                if !is_ignored {
                    self.is_router = router;
                }
            }
            NeighborUpdateKind::Solicitation | NeighborUpdateKind::Redirect => {}
        }
    }

    pub(crate) fn view(&self) -> NeighborEntry {
        NeighborEntry {
            address: self.address,
            link_address: (self.state != NeighborState::Incomplete).then_some(self.link_address),
            state: self.state,
            since: self.since,
            confirmed_at: self.confirmed_at,
            used_at: self.used_at,
            is_router: self.is_router,
            waiting_count: self.queue.len(),
        }
    }
}
