//! What the layers have to tell each other, carried over.

use core::net::IpAddr;

use netloom_base::{DropReason, Instant, InterfaceId, NextHop, PathInfo};
use netloom_l2_link::{LinkEvent, LinkLayer};
use netloom_l3_internet::{InternetEvent, SolicitOutcome};
use netloom_l4_transport::{PathAdvice, UdpGroupChange};
use netloom_wire::Protocol;

use crate::interface::Interface;
use crate::{Event, Stack};

impl Stack {
    /// Carries the layers' events to whom they concern, until none is left. Each event is answered by at most one
    /// other, so this ends.
    pub(crate) fn exchange(&mut self, now: Instant) {
        self.exchange_link_events(now);
        while let Some(event) = self.internet.poll_event() {
            self.carry_internet_event(now, event);
        }
        self.exchange_advice(now);
    }

    fn exchange_link_events(&mut self, now: Instant) {
        for index in 0..self.interfaces.len() {
            while let Some((interface, event)) =
                self.interfaces.get_mut(index).and_then(Interface::poll_event)
            {
                self.carry_link_event(now, interface, event);
            }
        }
    }

    /// Tells the neighbour caches which ways work and which may not.
    fn exchange_advice(&mut self, now: Instant) {
        while let Some(advice) = self.tcp.poll_advice() {
            match advice {
                PathAdvice::Confirmed { remote } => {
                    if let Ok(PathInfo { next_hop: NextHop::Neighbor { interface, address }, .. }) =
                        self.internet.path(None, remote)
                        && let Some(link) = self.link_mut(interface)
                    {
                        link.confirm(now, address);
                    }
                }
                // An entry that is not confirmed ages, and is then asked again by itself (RFC 4861 7.3.3).
                PathAdvice::Suspect { .. } => {}
            }
        }
    }

    /// Tells the internet layer which groups the sockets have joined and left.
    pub(crate) fn exchange_groups(&mut self, now: Instant) {
        while let Some(change) = self.udp.poll_group_change() {
            match change {
                UdpGroupChange::Join { group, interface } => {
                    if let Some(interface) = interface.or_else(|| self.interface_towards(group)) {
                        self.internet.join_group(now, interface, group);
                        self.tell_first(Event::GroupJoined { interface, group });
                    }
                }
                UdpGroupChange::Leave { group, interface } => {
                    if let Some(interface) = interface.or_else(|| self.interface_towards(group)) {
                        self.internet.leave_group(now, interface, group);
                        self.tell_first(Event::GroupLeft { interface, group });
                    }
                }
            }
            self.exchange(now);
        }
    }

    /// What the first shard must know; from that itself it is no news.
    fn tell_first(&mut self, event: Event) {
        if !self.config.sharding.is_first() {
            self.push_event(event);
        }
    }

    /// The interface that packets to `group` leave by.
    fn interface_towards(&self, group: IpAddr) -> Option<InterfaceId> {
        match self.internet.path(None, group).ok()?.next_hop {
            NextHop::Neighbor { interface, .. } => Some(interface),
            NextHop::Local => None,
        }
    }

    // Few packets come with one.
    #[cold]
    fn carry_link_event(&mut self, now: Instant, interface: InterfaceId, event: LinkEvent) {
        match event {
            LinkEvent::SolicitNeighbor { target, link_destination } => {
                match self.internet.solicit_neighbor(now, interface, target, link_destination) {
                    SolicitOutcome::Done => {}
                    SolicitOutcome::Postponed => {
                        if let Some(link) = self.link_mut(interface) {
                            link.postpone(target);
                        }
                    }
                }
            }
            LinkEvent::Unreachable { next_hop: _, packet } => {
                self.counters.drops.increment(DropReason::NeighborUnreachable);
                self.internet.host_unreachable(now, &packet.bytes);
            }
            LinkEvent::AddressReady { address } => {
                self.internet.mark_ready(now, interface, address);
            }
            LinkEvent::AddressConflict { address, by: _ } => {
                self.internet.mark_conflict(now, interface, address);
            }
        }
    }

    #[cold]
    fn carry_internet_event(&mut self, now: Instant, event: InternetEvent) {
        match event {
            InternetEvent::NeighborUpdate { interface, update } => {
                if let Some(link) = self.link_mut(interface) {
                    link.update(now, update);
                }
            }
            InternetEvent::JoinGroup { interface, group } => {
                if let Some(link) = self.link_mut(interface) {
                    link.join_group(group);
                }
            }
            InternetEvent::LeaveGroup { interface, group } => {
                if let Some(link) = self.link_mut(interface) {
                    link.leave_group(group);
                }
            }
            InternetEvent::AddressReady { interface, address } => {
                self.push_event(Event::AddressReady { interface, address });
            }
            InternetEvent::TrialPassed { interface } => {
                if let Some(link) = self.link_mut(interface) {
                    link.ask_postponed(now);
                    self.exchange_link_events(now);
                }
                self.push_event(Event::TrialPassed { interface });
            }
            InternetEvent::DuplicateAddress { interface, address } => {
                // An address that is only contested stays ours.
                if !self.internet.is_local(address) {
                    self.tcp.abort_local(now, address);
                }
                self.push_event(Event::AddressConflict { interface, address });
            }
            InternetEvent::IcmpError(error) => {
                let error = error.borrow();
                match error.protocol {
                    Protocol::TCP => self.tcp.handle_icmp(now, &error),
                    Protocol::UDP => self.udp.handle_icmp(&error),
                    Protocol(_) => {}
                }
            }
            InternetEvent::EchoReply { .. } => {}
        }
    }

    pub(crate) fn link_mut(&mut self, interface: InterfaceId) -> Option<&mut LinkLayer> {
        self.interfaces.get_mut(interface.index()).and_then(|it| it.link.as_mut())
    }
}
