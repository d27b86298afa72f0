//! Giving the host addresses, trying them out (RFC 4862 5.4, RFC 4429), and joining groups for them.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;

use netloom_base::{AddressDetection, Instant, InterfaceId};
use netloom_wire::{Cidr, EthernetAddress, is_global_unicast_candidate, solicited_node};

use crate::address_table::{AddressError, AddressState, LocalAddress, Trial};
use crate::event::InternetEvent;
use crate::group_table::Joined;
use crate::internet::Internet;
use crate::routing_table::{Route, RouteError};

/// Every host of a link listens to it (RFC 1112 4, RFC 4291 2.7.1).
const ALL_SYSTEMS: IpAddr = IpAddr::V4(Ipv4Addr::new(224, 0, 0, 1));
pub(crate) const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);

/// The first solicitation of a trial waits up to this long, so that hosts that start together do not all ask at once
/// (RFC 4862 5.4.2).
const MAX_SOLICITATION_DELAY: Duration = Duration::from_secs(1);

impl Internet {
    /// Gives an interface an address, with the on-link route of its network [1122-I012] [1122-I094].
    ///
    /// On a medium without link addresses it can be used at once. On Ethernet `detection` says: with
    /// [`AddressDetection::Probe`] it is tentative until [`InternetEvent::AddressReady`]; IPv6 is tried out here, IPv4
    /// by the link layer, which tells by [`mark_ready`](Self::mark_ready) or [`mark_conflict`](Self::mark_conflict).
    /// The first IPv6 address of an Ethernet interface brings a link-local one with it, made of the link address
    /// (RFC 4291 2.5.1): stable over restarts, and telling nothing that the neighbours do not know already.
    pub fn add_address(
        &mut self,
        now: Instant,
        interface: InterfaceId,
        address: Cidr,
        detection: AddressDetection,
    ) -> Result<(), AddressError> {
        let config = *self.interface(interface).ok_or(AddressError::UnknownInterface)?;
        let ip = address.address();
        let is_network_itself =
            address.broadcast().is_some() && (ip == address.network() || address.broadcast() == Some(ip));
        if !is_global_unicast_candidate(ip) || is_network_itself {
            return Err(AddressError::NotAHostAddress);
        }
        let state = match (config.link_address, detection) {
            (None, _) | (Some(_), AddressDetection::Off) => AddressState::Preferred,
            (Some(_), AddressDetection::Probe) => AddressState::Tentative,
            (Some(_), AddressDetection::Optimistic) => AddressState::Optimistic,
        };
        let state =
            if ip.is_ipv6() && self.config.dad_transmits == 0 { AddressState::Preferred } else { state };
        let trial = (ip.is_ipv6() && state.is_on_trial()).then(|| Trial {
            solicitations_left: self.config.dad_transmits,
            // [4862-03]
            next: now + self.up_to(MAX_SOLICITATION_DELAY),
        });
        self.addresses.insert(LocalAddress { interface, cidr: address, state, trial })?;
        if let Err(error) = self.add_on_link_route(interface, address) {
            self.addresses.remove(ip);
            return Err(error);
        }
        // [4862-03] [4861-11] the groups come before the first solicitation.
        self.join_groups_of(now, interface, ip);
        if state.is_usable() {
            self.announce_ready(interface, ip);
        }
        if ip.is_ipv6() {
            self.add_link_local(now, interface, detection);
        }
        Ok(())
    }

    /// Has an address as another shard of the host has it, that tries it out and answers for it: usable, or not at all.
    /// Says whether that changed what is usable.
    pub fn adopt_address(&mut self, now: Instant, address: LocalAddress) -> Result<bool, AddressError> {
        let LocalAddress { interface, cidr, state, trial: _ } = address;
        let ip = cidr.address();
        match (self.addresses.get(ip).map(|known| known.state), state.is_usable()) {
            (None, false) => Ok(false),
            (None, true) => {
                self.interface(interface).ok_or(AddressError::UnknownInterface)?;
                self.addresses.insert(LocalAddress { trial: None, ..address })?;
                if let Err(error) = self.add_on_link_route(interface, cidr) {
                    self.addresses.remove(ip);
                    return Err(error);
                }
                self.join_groups_of(now, interface, ip);
                Ok(true)
            }
            (Some(known), true) => {
                self.addresses.set(ip, state, None);
                if known != state && state == AddressState::Preferred {
                    self.push_event(InternetEvent::TrialPassed { interface });
                }
                Ok(false)
            }
            (Some(_), false) => self.remove_address(now, ip).map(|_| true),
        }
    }

    /// Takes an address away, with its route unless another address needs it; gives back where it was.
    pub fn remove_address(
        &mut self,
        now: Instant,
        address: IpAddr,
    ) -> Result<(InterfaceId, Cidr), AddressError> {
        let entry = self.addresses.remove(address).ok_or(AddressError::Unknown)?;
        self.retire(now, &entry);
        Ok((entry.interface, entry.cidr))
    }

    /// The link layer found that nobody else has the (IPv4) address.
    pub fn mark_ready(&mut self, _now: Instant, interface: InterfaceId, address: IpAddr) {
        let Some(&entry) = self.addresses.get(address) else { return };
        if entry.interface == interface && entry.state.is_on_trial() && entry.trial.is_none() {
            self.addresses.set(address, AddressState::Preferred, None);
            if !entry.state.is_usable() {
                self.announce_ready(interface, address);
            }
        }
    }

    /// The link layer has lost the (IPv4) address to another host, at once or after it was defended in vain (RFC 5227
    /// 2.4): it is given up, which an event tells.
    pub fn mark_conflict(&mut self, now: Instant, interface: InterfaceId, address: IpAddr) {
        let Some(&entry) = self.addresses.get(address) else { return };
        if entry.interface == interface {
            self.give_up_address(now, &entry);
        }
    }

    /// Listens to a group on an interface, once more for each call; false if there are too many groups.
    /// The group is reported over IPv6 (RFC 3810); over IPv4 it is not (IGMP is not implemented), so that a switch that
    /// snoops must be told to flood.
    pub fn join_group(&mut self, now: Instant, interface: InterfaceId, group: IpAddr) -> bool {
        let is_reported = self.is_reported(interface, group);
        match self.groups.join(now, interface, group, is_reported) {
            Joined::First => self.push_event(InternetEvent::JoinGroup { interface, group }),
            Joined::Again => {}
            Joined::Full => return false,
        }
        true
    }

    /// Takes back one [`join_group`](Self::join_group).
    pub fn leave_group(&mut self, _now: Instant, interface: InterfaceId, group: IpAddr) {
        if self.groups.leave(interface, group) {
            self.push_event(InternetEvent::LeaveGroup { interface, group });
            if let IpAddr::V6(left) = group
                && self.is_reported(interface, group)
            {
                self.report_left(interface, left);
            }
        }
    }

    fn is_reported(&self, interface: InterfaceId, group: IpAddr) -> bool {
        self.config.sharding.is_first() && self.link_address_of(interface).is_some() && is_reported(group)
    }

    /// Duplicate detection found another host with the address [4862-07].
    pub(crate) fn give_up_address(&mut self, now: Instant, entry: &LocalAddress) {
        let (interface, address) = (entry.interface, entry.cidr.address());
        self.addresses.set(address, AddressState::Duplicate, None);
        self.retire(now, entry);
        self.push_event(InternetEvent::DuplicateAddress { interface, address });
    }

    /// Takes the next step of every trial that is due.
    pub(crate) fn continue_trials(&mut self, now: Instant) {
        // Each turn moves one trial's deadline beyond `now` or ends it.
        while let Some(entry) = self.addresses.due(now) {
            let (IpAddr::V6(address), Some(trial)) = (entry.cidr.address(), entry.trial) else { return };
            match trial.solicitations_left.checked_sub(1) {
                Some(solicitations_left) => {
                    let next = now + self.config.retransmit_interval.max(Duration::from_millis(1));
                    let trial = Trial { solicitations_left, next };
                    self.addresses.set(address.into(), entry.state, Some(trial));
                    self.solicit_for_trial(entry.interface, address);
                }
                None => {
                    self.addresses.set(address.into(), AddressState::Preferred, None);
                    if entry.state.is_usable() {
                        // It was ready before; now it may override what neighbours believe.
                        self.advertise_unasked(entry.interface, address);
                        self.push_event(InternetEvent::TrialPassed { interface: entry.interface });
                    } else {
                        self.announce_ready(entry.interface, address.into());
                    }
                }
            }
        }
    }

    fn announce_ready(&mut self, interface: InterfaceId, address: IpAddr) {
        self.push_event(InternetEvent::AddressReady { interface, address });
        if let IpAddr::V6(address) = address {
            self.advertise_unasked(interface, address);
        }
    }

    /// [4862-01]
    fn add_link_local(&mut self, now: Instant, interface: InterfaceId, detection: AddressDetection) {
        let Some(link_address) = self.link_address_of(interface) else { return };
        let has_one = self.addresses.iter().any(|entry| {
            entry.interface == interface
                && matches!(entry.cidr.address(), IpAddr::V6(address) if address.is_unicast_link_local())
        });
        let address = link_local(link_address);
        if let (false, Ok(cidr)) = (has_one, Cidr::new(address.into(), 64)) {
            // One level deep: the address added now is itself link-local. If it is in use already or the table
            // is full, the interface goes without.
            let _ = self.add_address(now, interface, cidr, detection);
        }
    }

    fn add_on_link_route(&mut self, interface: InterfaceId, address: Cidr) -> Result<(), AddressError> {
        if address == Cidr::host(address.address()) {
            return Ok(());
        }
        match self.routes_mut().insert(Route::on_link(address, interface)) {
            Err(RouteError::Full) => Err(AddressError::RoutesFull),
            // It is there already: another address of the network.
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// The groups that having an address means (RFC 4291 2.8, RFC 1112 7.2).
    fn join_groups_of(&mut self, now: Instant, interface: InterfaceId, address: IpAddr) {
        match address {
            // [1122-I147]
            IpAddr::V4(_) => {
                self.join_group(now, interface, ALL_SYSTEMS);
            }
            IpAddr::V6(address) => {
                self.join_group(now, interface, ALL_NODES.into());
                if self.config.forwarding {
                    self.join_group(now, interface, ALL_ROUTERS.into());
                }
                self.join_group(now, interface, solicited_node(address).into());
            }
        }
    }

    /// Undoes what came with an address.
    fn retire(&mut self, now: Instant, entry: &LocalAddress) {
        if entry.state == AddressState::Duplicate {
            // It was retired when it proved to be one.
            return;
        }
        let (interface, address) = (entry.interface, entry.cidr.address());
        match address {
            IpAddr::V4(_) => self.leave_group(now, interface, ALL_SYSTEMS),
            IpAddr::V6(address) => {
                self.leave_group(now, interface, solicited_node(address).into());
                if self.config.forwarding {
                    self.leave_group(now, interface, ALL_ROUTERS.into());
                }
                self.leave_group(now, interface, ALL_NODES.into());
            }
        }
        let network = entry.cidr.network();
        let is_needed = self.addresses.iter().any(|other| {
            other.interface == interface
                && other.cidr.network() == network
                && other.cidr.prefix_len() == entry.cidr.prefix_len()
                && other.state != AddressState::Duplicate
        });
        if !is_needed {
            self.routes_mut().remove(entry.cidr, None, interface);
        }
    }

    /// A random time below `limit`.
    pub(crate) fn up_to(&mut self, limit: Duration) -> Duration {
        let nanos = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(self.rng.below(nanos))
    }
}

/// Whether listening to a group is reported: not over IPv4, and not for the groups that everybody is in or that do not
/// leave the host (RFC 3810 6).
pub(crate) fn is_reported(group: IpAddr) -> bool {
    match group {
        IpAddr::V4(_) => false,
        IpAddr::V6(group) => {
            let scope = group.octets().get(1).map_or(0, |byte| byte & 0xf);
            group != ALL_NODES && scope > 1
        }
    }
}

/// The link-local address of an Ethernet address: its modified EUI-64 (RFC 4291 A, RFC 2464 4).
fn link_local(EthernetAddress([a, b, c, d, e, f]): EthernetAddress) -> Ipv6Addr {
    let id = u64::from_be_bytes([a ^ 2, b, c, 0xff, 0xfe, d, e, f]);
    Ipv6Addr::from_bits((0xfe80 << 112) | u128::from(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_local_addresses_are_modified_eui_64() {
        // [4862-01] RFC 2464 4's own example.
        let address = link_local(EthernetAddress([0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde]));
        assert_eq!(address, "fe80::3656:78ff:fe9a:bcde".parse::<Ipv6Addr>().unwrap());
    }
}
