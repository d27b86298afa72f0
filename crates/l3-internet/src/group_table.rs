//! The groups that the host listens to, and which of them are still to be reported.
//!
//! Over IPv6 a group that is joined is reported to switches and routers by MLDv2 (RFC 3810), else a switch that snoops
//! would not forward to us, neighbour solicitations included. A report is sent twice, as its loss would go unnoticed
//! (RFC 3810 9.1), and again when a querier asks.

use core::net::IpAddr;
use core::time::Duration;

use netloom_base::{HashKey, Instant, InterfaceId, KeyedMap, Rng};
use netloom_wire::MldRecord;

/// How often a change is reported: the robustness variable (RFC 3810 9.1).
const ROBUSTNESS: u8 = 2;

/// Between the reports of one change at most this passes (RFC 3810 9.11).
const UNSOLICITED_REPORT_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Membership {
    users: u32,
    pending: Option<PendingReport>,
}

#[derive(Debug)]
struct PendingReport {
    record: MldRecord,
    times_left: u8,
    next: Instant,
}

/// Groups of all interfaces.
#[derive(Debug)]
pub(crate) struct GroupTable {
    memberships: KeyedMap<(InterfaceId, IpAddr), Membership>,
    next_report: Option<Instant>,
    max_groups: usize,
}

/// What joining did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Joined {
    /// The host did not listen before.
    First,
    /// It listened already.
    Again,
    /// There are too many groups.
    Full,
}

impl GroupTable {
    pub(crate) fn new(max_groups: usize, key: HashKey) -> Self {
        Self { memberships: KeyedMap::with_hasher(key), next_report: None, max_groups }
    }

    pub(crate) fn contains(&self, interface: InterfaceId, group: IpAddr) -> bool {
        self.memberships.contains_key(&(interface, group))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (InterfaceId, IpAddr)> {
        self.memberships.keys().copied()
    }

    /// Counts one more user. `is_reported`: the group is to be reported, the first time at once.
    pub(crate) fn join(
        &mut self,
        now: Instant,
        interface: InterfaceId,
        group: IpAddr,
        is_reported: bool,
    ) -> Joined {
        if let Some(membership) = self.memberships.get_mut(&(interface, group)) {
            membership.users = membership.users.saturating_add(1);
            return Joined::Again;
        }
        if self.memberships.len() >= self.max_groups {
            return Joined::Full;
        }
        let pending = is_reported.then_some(PendingReport {
            record: MldRecord::Joined,
            times_left: ROBUSTNESS,
            next: now,
        });
        self.memberships.insert((interface, group), Membership { users: 1, pending });
        self.find_next_report();
        Joined::First
    }

    /// Counts one user less; true if it was the last.
    pub(crate) fn leave(&mut self, interface: InterfaceId, group: IpAddr) -> bool {
        let Some(membership) = self.memberships.get_mut(&(interface, group)) else { return false };
        membership.users -= 1;
        if membership.users > 0 {
            return false;
        }
        self.memberships.remove(&(interface, group));
        self.find_next_report();
        true
    }

    /// A querier asks for `group`, or for all: answer at `answer_at` what is reported at all, unless an answer is due
    /// earlier anyway.
    pub(crate) fn query(
        &mut self,
        interface: InterfaceId,
        group: Option<IpAddr>,
        answer_at: Instant,
        is_reported: impl Fn(IpAddr) -> bool,
    ) {
        for (&(on, joined), membership) in &mut self.memberships {
            if on != interface || group.is_some_and(|group| group != joined) || !is_reported(joined) {
                continue;
            }
            if membership.pending.as_ref().is_none_or(|pending| pending.next > answer_at) {
                let record = MldRecord::IsListening;
                membership.pending = Some(PendingReport { record, times_left: 1, next: answer_at });
            }
        }
        self.find_next_report();
    }

    pub(crate) const fn next_report(&self) -> Option<Instant> {
        self.next_report
    }

    /// Everything that is to be reported by `now` on the first interface that has something, at most `max_records`.
    pub(crate) fn due(
        &mut self,
        now: Instant,
        rng: &mut Rng,
        max_records: usize,
    ) -> Option<(InterfaceId, Vec<(IpAddr, MldRecord)>)> {
        if self.next_report.is_none_or(|next| next > now) {
            return None;
        }
        let is_due =
            |membership: &Membership| membership.pending.as_ref().is_some_and(|pending| pending.next <= now);
        let interface = self
            .memberships
            .iter()
            .filter(|(_, it)| is_due(it))
            .map(|(&(interface, _), _)| interface)
            .min()?;
        let mut records = Vec::new();
        for (&(on, group), membership) in &mut self.memberships {
            if on != interface || !is_due(membership) || records.len() >= max_records {
                continue;
            }
            let Some(pending) = &mut membership.pending else { continue };
            records.push((group, pending.record));
            pending.times_left -= 1;
            let interval = u64::try_from(UNSOLICITED_REPORT_INTERVAL.as_nanos()).unwrap_or(u64::MAX);
            pending.next = now + Duration::from_nanos(rng.below(interval));
            if pending.times_left == 0 {
                membership.pending = None;
            }
        }
        self.find_next_report();
        Some((interface, records))
    }

    fn find_next_report(&mut self) {
        let pending = self.memberships.values().filter_map(|membership| membership.pending.as_ref());
        self.next_report = pending.map(|pending| pending.next).min();
    }
}
