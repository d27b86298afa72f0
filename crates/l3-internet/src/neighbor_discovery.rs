//! The host's side of neighbour discovery (RFC 4861): answering and asking, redirects, duplicate detection.
//!
//! # Theory of operation
//! What messages tell about neighbours goes to the link layer's cache as [`InternetEvent::NeighborUpdate`]; that cache
//! asks for solicitations by [`Internet::solicit_neighbor`]. Answers go straight to the asker's link address.
//!
//! # Not here
//! Router discovery: solicitations for routers are not sent; advertisements are verified, tell the cache that their
//! sender is a router, and are otherwise ignored, prefixes and default routes included. Addresses and routes are
//! configured.

use core::net::{IpAddr, Ipv6Addr};

use netloom_base::{DropReason, Instant, InterfaceId, NextHop, TxMeta};
use netloom_wire::{
    CastKind, EthernetAddress, Ipv6Header, NdpMessage, NdpOptions, NeighborFlags, NeighborUpdate,
    NeighborUpdateKind, Protocol, neighbor_advertisement, neighbor_solicitation, solicited_node,
};

use crate::address_table::{AddressState, LocalAddress};
use crate::addressing::ALL_NODES;
use crate::event::InternetEvent;
use crate::input::Received;
use crate::internet::Internet;
use crate::packet::Arrival;

/// What became of the wish to ask a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum SolicitOutcome {
    /// The question is on its way, or there is nobody to ask it.
    Done,
    /// All addresses to ask from are still on trial, and a question from such an address might disturb who has it
    /// (RFC 4429 3.2): ask again at [`InternetEvent::TrialPassed`].
    Postponed,
}

/// No router has forwarded a message with this hop limit (RFC 4861 3.1).
const UNFORWARDED: u8 = 255;

impl Internet {
    /// Asks a neighbour for its link address (RFC 4861 7.2.2): all who might have `target`, or, at
    /// `link_destination`, the one that was known to. Nothing is sent for an IPv4 target, without an address to ask
    /// from, or before one has passed its trial.
    pub fn solicit_neighbor(
        &mut self,
        _now: Instant,
        interface: InterfaceId,
        target: IpAddr,
        link_destination: Option<EthernetAddress>,
    ) -> SolicitOutcome {
        let (IpAddr::V6(target), Some(link_address)) = (target, self.link_address_of(interface)) else {
            return SolicitOutcome::Done;
        };
        let Some(IpAddr::V6(selected)) = self.select_source(interface, target.into(), target.into()) else {
            self.counters.drops.increment(DropReason::IpTentativeAddress);
            return SolicitOutcome::Done;
        };
        let Some(source) = self.proven_source(interface, selected) else {
            return SolicitOutcome::Postponed;
        };
        let destination = if link_destination.is_some() { target } else { solicited_node(target) };
        // [4861-08]
        let message = neighbor_solicitation(source, destination, target, Some(link_address));
        self.counters.neighbor_solicitations_sent.increment();
        self.send_ndp(interface, source, destination, link_destination, &message);
        SolicitOutcome::Done
    }

    /// `selected`, or another address of the interface if that might still be another host's.
    fn proven_source(&self, interface: InterfaceId, selected: Ipv6Addr) -> Option<Ipv6Addr> {
        let is_proven = |entry: &LocalAddress| entry.state == AddressState::Preferred;
        if self.addresses.get(selected.into()).is_some_and(is_proven) {
            return Some(selected);
        }
        self.addresses.iter().find_map(|entry| match entry.cidr.address() {
            IpAddr::V6(address) if entry.interface == interface && is_proven(entry) => Some(address),
            IpAddr::V4(_) | IpAddr::V6(_) => None,
        })
    }

    /// The question of duplicate detection: does anybody have this address? [4861-09] [4862-02]
    pub(crate) fn solicit_for_trial(&mut self, interface: InterfaceId, address: Ipv6Addr) {
        let destination = solicited_node(address);
        let message = neighbor_solicitation(Ipv6Addr::UNSPECIFIED, destination, address, None);
        self.counters.neighbor_solicitations_sent.increment();
        self.send_ndp(interface, Ipv6Addr::UNSPECIFIED, destination, None, &message);
    }

    /// Tells all neighbours about an address that has become ours [4861-22].
    pub(crate) fn advertise_unasked(&mut self, interface: InterfaceId, address: Ipv6Addr) {
        self.advertise(interface, address, ALL_NODES, false, None);
    }

    /// A verified message of neighbour discovery; what it is not for is a drop.
    pub(crate) fn ndp_in(
        &mut self,
        now: Instant,
        arrival: &Arrival<'_>,
        received: &Received<'_>,
        message: &NdpMessage<'_>,
    ) -> Result<(), DropReason> {
        let (IpAddr::V6(source), Some(_)) = (received.source, self.link_address_of(arrival.interface)) else {
            return Err(DropReason::NdpIgnored);
        };
        // [4861-03] [4861-04] [4861-05] [4861-06] [4861-07]
        if received.hop_limit != UNFORWARDED {
            return Err(DropReason::NdpMalformed);
        }
        match *message {
            NdpMessage::NeighborSolicitation { target, options } => {
                self.solicitation_in(now, arrival, received, source, target, options)
            }
            NdpMessage::NeighborAdvertisement { target, router, solicited, override_, options } => {
                if target.is_multicast() || (solicited && received.cast != CastKind::Unicast) {
                    return Err(DropReason::NdpMalformed);
                }
                let kind = NeighborUpdateKind::Advertisement { solicited, override_, router };
                self.advertisement_in(now, arrival.interface, target, kind, options)
            }
            NdpMessage::RouterAdvertisement { options, .. } => {
                if !source.is_unicast_link_local() {
                    return Err(DropReason::NdpMalformed);
                }
                let kind = NeighborUpdateKind::RouterAdvertisement;
                self.tell_cache(arrival.interface, source, options.source_link(), kind);
                Err(DropReason::NdpIgnored)
            }
            NdpMessage::RouterSolicitation { .. } => Err(DropReason::NdpIgnored),
            NdpMessage::Redirect { target, destination, options } => {
                self.redirect_v6(now, arrival, source, target, destination, options)
            }
        }
    }

    fn solicitation_in(
        &mut self,
        now: Instant,
        arrival: &Arrival<'_>,
        received: &Received<'_>,
        source: Ipv6Addr,
        target: Ipv6Addr,
        options: NdpOptions<'_>,
    ) -> Result<(), DropReason> {
        let is_trial = source.is_unspecified();
        // [4861-05]
        let asks_group = received.destination == IpAddr::V6(solicited_node(target));
        if target.is_multicast() || (is_trial && (!asks_group || options.source_link().is_some())) {
            return Err(DropReason::NdpMalformed);
        }
        // [4861-15]
        let entry = self.addresses.get(target.into()).copied();
        let Some(entry) = entry.filter(|entry| entry.interface == arrival.interface) else {
            return Err(DropReason::NdpIgnored);
        };
        if is_trial && self.is_on_trial_here(&entry) {
            // [4862-05] two hosts try the same address: neither gets it.
            self.give_up_address(now, &entry);
            return Ok(());
        }
        if !entry.state.is_usable() {
            // [4862-04]
            return Err(DropReason::IpTentativeAddress);
        }
        if is_trial {
            // [4861-17] [4861-18]
            self.advertise(arrival.interface, target, ALL_NODES, false, None);
            return Ok(());
        }
        // [4861-16]
        let link = options.source_link();
        if link.is_some() {
            self.tell_cache(arrival.interface, source, link, NeighborUpdateKind::Solicitation);
        }
        self.advertise(arrival.interface, target, source, true, link);
        Ok(())
    }

    fn advertisement_in(
        &mut self,
        now: Instant,
        interface: InterfaceId,
        target: Ipv6Addr,
        kind: NeighborUpdateKind,
        options: NdpOptions<'_>,
    ) -> Result<(), DropReason> {
        match self.addresses.get(target.into()).copied() {
            // [4862-06]
            Some(entry) if entry.interface == interface && self.is_on_trial_here(&entry) => {
                self.give_up_address(now, &entry);
                Ok(())
            }
            // Somebody claims what is ours already: it stays so, but people should know (RFC 4862 5.4.4).
            Some(LocalAddress { state: AddressState::Preferred, .. }) if self.config.sharding.is_first() => {
                self.push_event(InternetEvent::DuplicateAddress { interface, address: target.into() });
                Ok(())
            }
            Some(_) => Err(DropReason::NdpIgnored),
            None => {
                self.tell_cache(interface, target, options.target_link(), kind);
                Ok(())
            }
        }
    }

    /// Whether this shard tries the address out.
    fn is_on_trial_here(&self, entry: &LocalAddress) -> bool {
        self.config.sharding.is_first() && entry.state.is_on_trial()
    }

    /// [4861-07] [4861-33]
    fn redirect_v6(
        &mut self,
        now: Instant,
        arrival: &Arrival<'_>,
        source: Ipv6Addr,
        target: Ipv6Addr,
        destination: Ipv6Addr,
        options: NdpOptions<'_>,
    ) -> Result<(), DropReason> {
        let names_neighbor = target.is_unicast_link_local() || target == destination;
        if !source.is_unicast_link_local() || destination.is_multicast() || !names_neighbor {
            return Err(DropReason::NdpMalformed);
        }
        let in_use = NextHop::Neighbor { interface: arrival.interface, address: source.into() };
        let is_from_gateway = self.path(None, destination.into()).is_ok_and(|path| path.next_hop == in_use);
        if !self.config.accept_redirects
            || self.config.forwarding
            || !is_from_gateway
            || self.is_local(target.into())
        {
            return Err(DropReason::IcmpBadRedirect);
        }
        self.destinations.redirect(now, destination.into(), (arrival.interface, target.into()));
        self.counters.redirects_followed.increment();
        if let Some(link) = options.target_link() {
            self.tell_cache(arrival.interface, target, Some(link), NeighborUpdateKind::Redirect);
        }
        Ok(())
    }

    fn tell_cache(
        &mut self,
        interface: InterfaceId,
        address: Ipv6Addr,
        link_address: Option<EthernetAddress>,
        kind: NeighborUpdateKind,
    ) {
        // A group address is no station's.
        let link_address = link_address.filter(|link| link.is_unicast());
        let update = NeighborUpdate { address: address.into(), link_address, kind };
        self.push_event(InternetEvent::NeighborUpdate { interface, update });
    }

    fn advertise(
        &mut self,
        interface: InterfaceId,
        target: Ipv6Addr,
        destination: Ipv6Addr,
        solicited: bool,
        link_destination: Option<EthernetAddress>,
    ) {
        let Some(link) = self.link_address_of(interface).filter(|_| self.config.sharding.is_first()) else {
            return;
        };
        // [4861-19]; while it might be another's it overrides nothing (RFC 4429 3.3).
        let override_ =
            self.addresses.get(target.into()).is_some_and(|entry| entry.state == AddressState::Preferred);
        let flags = NeighborFlags { router: self.config.forwarding, solicited, override_ };
        let message = neighbor_advertisement(target, destination, target, flags, link);
        self.counters.neighbor_advertisements_sent.increment();
        let link_destination = link_destination.filter(|link| link.is_unicast());
        self.send_ndp(interface, target, destination, link_destination, &message);
    }

    fn send_ndp(
        &mut self,
        interface: InterfaceId,
        source: Ipv6Addr,
        destination: Ipv6Addr,
        link_destination: Option<EthernetAddress>,
        message: &[u8],
    ) {
        let header = Ipv6Header {
            source,
            destination,
            next_header: Protocol::ICMPV6,
            hop_limit: UNFORWARDED,
            traffic_class: 0,
            flow_label: 0,
        };
        let packet = [&header.to_bytes(message.len())[..], message].concat();
        let next_hop = NextHop::Neighbor { interface, address: destination.into() };
        let sent = self.transmit(next_hop, link_destination, TxMeta::default(), packet);
        self.count_drop(sent);
    }
}
