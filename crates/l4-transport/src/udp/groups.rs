//! Which groups the sockets are members of, together.

use core::net::IpAddr;
use std::collections::VecDeque;

use netloom_base::{HashKey, InterfaceId, KeyedMap};

/// A group, on one interface or wherever its route leads.
pub(super) type Group = (IpAddr, Option<InterfaceId>);

/// A change that the layers below must know of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UdpGroupChange {
    /// The first socket has joined.
    Join {
        /// The group.
        group: IpAddr,
        /// Where; `None` leaves it to the route.
        interface: Option<InterfaceId>,
    },
    /// The last socket has left.
    Leave {
        /// The group.
        group: IpAddr,
        /// Where, as it was joined.
        interface: Option<InterfaceId>,
    },
}

#[derive(Clone, Copy, Debug, Default)]
struct Membership {
    socket_count: usize,
    /// Whether the layers below have been told to join.
    is_told: bool,
    is_queued: bool,
}

/// Members by group. A group is kept until the layers below know that it has none any more.
#[derive(Debug)]
pub(super) struct Groups {
    memberships: KeyedMap<Group, Membership>,
    /// Those that may have changed, each once.
    changed: VecDeque<Group>,
    max_groups: usize,
}

impl Groups {
    pub(super) fn new(max_groups: usize, key: HashKey) -> Self {
        Self { memberships: KeyedMap::with_hasher(key), changed: VecDeque::new(), max_groups }
    }

    /// Counts a socket in; `false` if there are too many groups.
    pub(super) fn join(&mut self, group: Group) -> bool {
        if self.memberships.len() >= self.max_groups && !self.memberships.contains_key(&group) {
            return false;
        }
        self.memberships.entry(group).or_default().socket_count += 1;
        self.note(group);
        true
    }

    /// Counts a socket out.
    pub(super) fn leave(&mut self, group: Group) {
        if let Some(membership) = self.memberships.get_mut(&group) {
            membership.socket_count = membership.socket_count.saturating_sub(1);
            self.note(group);
        }
    }

    /// Whether there may be a change to tell.
    pub(super) fn has_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    pub(super) fn poll_change(&mut self) -> Option<UdpGroupChange> {
        loop {
            let (group, interface) = self.changed.pop_front()?;
            let membership = self.memberships.get_mut(&(group, interface))?;
            membership.is_queued = false;
            match (membership.socket_count > 0, membership.is_told) {
                (true, true) => {}
                (true, false) => {
                    membership.is_told = true;
                    return Some(UdpGroupChange::Join { group, interface });
                }
                (false, is_told) => {
                    self.memberships.remove(&(group, interface));
                    if is_told {
                        return Some(UdpGroupChange::Leave { group, interface });
                    }
                }
            }
        }
    }

    fn note(&mut self, group: Group) {
        if let Some(membership) = self.memberships.get_mut(&group)
            && !membership.is_queued
        {
            membership.is_queued = true;
            self.changed.push_back(group);
        }
    }
}
