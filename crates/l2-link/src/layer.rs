//! One Ethernet interface's link layer: frames in and out, and who says what to whom.

mod arp;

use core::net::IpAddr;
use core::time::Duration;
use std::collections::VecDeque;

use netloom_base::{AddressDetection, DropReason, Instant, Rng, TxMeta};
use netloom_wire::{
    CastKind, Cidr, EtherType, EthernetAddress, EthernetFrame, EthernetHeader, NeighborUpdate,
    is_global_unicast_candidate,
};
use tracing::trace;

use crate::claims::{ClaimEffect, Claims};
use crate::config::LinkConfig;
use crate::counters::{LinkCounters, NeighborCounters};
use crate::groups::Groups;
use crate::neighbor::cache::{Effect, NeighborCache};
use crate::value::{LinkEvent, LinkInput, LinkOutput, NeighborEntry, QueuedPacket, Resolution};

/// The link layer of one Ethernet interface.
#[derive(Debug)]
pub struct LinkLayer {
    address: EthernetAddress,
    speaks_for_host: bool,
    claims: Claims,
    groups: Groups,
    cache: NeighborCache,
    outputs: VecDeque<LinkOutput>,
    /// ARP frames in `outputs`.
    arp_pending_count: usize,
    events: VecDeque<LinkEvent>,
    max_pending: usize,
    counters: LinkCounters,
}

impl LinkLayer {
    /// A link without neighbours. `rng` keys the tables and spreads the timers.
    pub fn new(config: LinkConfig, mut rng: Rng) -> Self {
        let LinkConfig { address, neighbors, speaks_for_host } = config;
        Self {
            address,
            speaks_for_host,
            claims: Claims::new(neighbors.address_defence, rng.fork()),
            groups: Groups::new(&mut rng),
            max_pending: neighbors.max_pending,
            cache: NeighborCache::new(neighbors, rng),
            outputs: VecDeque::new(),
            arp_pending_count: 0,
            events: VecDeque::new(),
            counters: LinkCounters::default(),
        }
    }

    /// Our address on the link.
    pub fn address(&self) -> EthernetAddress {
        self.address
    }

    /// Takes an address, with the prefix of its network, or begins again with one that is there.
    ///
    /// For an IPv4 address this probes as `detection` says, announces it (RFC 5227 2.1, 2.3), answers for it and
    /// defends it; [`LinkEvent::AddressReady`] and [`LinkEvent::AddressConflict`] tell what comes of it. The prefix
    /// gives the directed broadcast address, which [`resolve`](Self::resolve) maps to link broadcast. For an IPv6
    /// address nothing is sent: neighbour discovery is the internet layer's.
    ///
    /// At most 1024 addresses fit; one more is not answered for.
    pub fn add_address(&mut self, now: Instant, address: Cidr, detection: AddressDetection) {
        self.cache.remove(&address.address());
        if let Some(broadcast) = address.broadcast() {
            self.cache.remove(&broadcast);
        }
        self.claims.add(now, address, detection);
        self.carry();
    }

    /// Takes an address that another shard of the host has tried out, announces and defends.
    pub fn adopt_address(&mut self, address: Cidr) {
        self.cache.remove(&address.address());
        if let Some(broadcast) = address.broadcast() {
            self.cache.remove(&broadcast);
        }
        self.claims.adopt(address);
        self.carry();
    }

    /// Forgets an address: it is not answered for any more.
    pub fn remove_address(&mut self, address: IpAddr) {
        self.claims.remove(address);
    }

    /// Listens to an IP group's frames, until it is left as often as it was joined.
    pub fn join_group(&mut self, group: IpAddr) {
        self.groups.join(group);
    }

    /// Leaves a group.
    pub fn leave_group(&mut self, group: IpAddr) {
        self.groups.leave(group);
    }

    /// Takes one frame. The error is the caller's to count.
    // [1122-L007]
    pub fn input<'a>(&mut self, now: Instant, frame: &'a [u8]) -> Result<LinkInput<'a>, DropReason> {
        let EthernetFrame { header, payload } =
            EthernetFrame::parse(frame).map_err(|_| DropReason::LinkTruncated)?;
        let EthernetHeader { destination, source, ether_type } = header;
        let cast = if destination == self.address {
            CastKind::Unicast
        } else if destination.is_broadcast() {
            CastKind::Broadcast
        } else if destination.is_group() && self.groups.contains(destination) {
            CastKind::Multicast
        } else {
            return Err(DropReason::LinkNotForUs);
        };
        if source.is_group() {
            return Err(DropReason::LinkBadSource);
        }
        match ether_type {
            EtherType::IPV4 | EtherType::IPV6 => {
                Ok(LinkInput::Ip { packet: payload, cast, source, ether_type })
            }
            EtherType::ARP => {
                let result = self.handle_arp(now, payload);
                self.carry();
                result.map(|()| LinkInput::Consumed)
            }
            EtherType::VLAN | EtherType::SERVICE_VLAN => Err(DropReason::LinkUnexpectedVlan),
            // Also a length: IEEE 802.3, and so RFC 1042's encapsulation.
            EtherType(_) => Err(DropReason::LinkUnknownEtherType),
        }
    }

    /// The link address of `next_hop`, to which a packet is about to be sent. Groups and broadcast addresses are
    /// mapped; for a neighbour that is not known a search begins, and poll transmissions and events then.
    pub fn resolve(&mut self, now: Instant, next_hop: IpAddr) -> Resolution {
        if next_hop.is_multicast() {
            return Resolution::Known(EthernetAddress::of_group(next_hop));
        }
        if let Some(resolution) = self.cache.resolve(now, &next_hop) {
            return resolution;
        }
        if is_limited_broadcast(next_hop) || self.claims.is_broadcast(next_hop) {
            return Resolution::Known(EthernetAddress::BROADCAST);
        }
        if !is_global_unicast_candidate(next_hop) || self.claims.contains(next_hop) {
            return Resolution::Unreachable;
        }
        // A full cache is told by `enqueue`, where the packet is: the neighbour may well exist.
        // [1122-L015]
        let _ = self.cache.begin(now, next_hop);
        self.carry();
        Resolution::Pending
    }

    /// Keeps a packet until its next hop is known, and starts the search if none is under way. If a queue is full the
    /// oldest packet goes and is counted in [`LinkCounters::drops`]; an error means that this one was not taken, and is
    /// the caller's to count. Poll transmissions and events then.
    ///
    /// # Errors
    /// [`DropReason::NeighborCacheFull`] if all entries are in use; [`DropReason::NeighborQueueFull`] if all that may
    /// wait has been released and was not yet taken; [`DropReason::NeighborUnreachable`] if the next hop is no address
    /// of a neighbour.
    pub fn enqueue(
        &mut self,
        now: Instant,
        next_hop: IpAddr,
        packet: QueuedPacket,
    ) -> Result<(), DropReason> {
        let result = match self.resolve(now, next_hop) {
            Resolution::Unreachable => Err(DropReason::NeighborUnreachable),
            Resolution::Known(destination) if next_hop.is_multicast() || destination.is_broadcast() => {
                self.cache.pass(destination, packet)
            }
            Resolution::Known(_) | Resolution::Pending => self.cache.enqueue(now, next_hop, packet),
        };
        self.carry();
        result
    }

    /// Takes what neighbour discovery heard, already validated (RFC 4861 7.1): the entry follows 7.2.3 to 7.2.5. Poll
    /// transmissions then.
    // [4861-17]
    pub fn update(&mut self, now: Instant, update: NeighborUpdate) {
        let plausible = is_global_unicast_candidate(update.address)
            && !self.claims.contains(update.address)
            && update.link_address.is_none_or(|link| link.is_unicast() && link != self.address);
        if plausible {
            self.cache.update(now, &update);
            self.carry();
        }
    }

    /// A layer above has proof that `next_hop` received what was sent to it: new data were acknowledged (RFC 4861
    /// 7.3.1). Cheap enough for every acknowledgement.
    pub fn confirm(&mut self, now: Instant, next_hop: IpAddr) {
        self.cache.confirm(now, &next_hop);
    }

    /// Takes ReachableTime and RetransTimer from a router advertisement; zero says nothing (RFC 4861 6.3.4). They hold
    /// for IPv6 only.
    pub fn set_discovery_times(&mut self, reachable: Option<Duration>, retransmit: Option<Duration>) {
        self.cache.set_discovery_times(reachable, retransmit);
    }

    /// The question for `target` that [`LinkEvent::SolicitNeighbor`] wanted could not be asked yet. It does not count
    /// against the number of questions; it comes again after an interval, or by
    /// [`ask_postponed`](Self::ask_postponed).
    pub fn postpone(&mut self, target: IpAddr) {
        self.cache.postpone(&target);
    }

    /// What kept questions from being asked is over: those that wait to find a neighbour are due now. Poll events then.
    pub fn ask_postponed(&mut self, now: Instant) {
        self.cache.ask_postponed(now);
        self.carry();
    }

    /// Enters a neighbour by hand: it neither ages nor changes. What waits for it is sent.
    ///
    /// # Errors
    /// [`DropReason::NeighborCacheFull`] if all entries are in use.
    pub fn add_static(
        &mut self,
        now: Instant,
        address: IpAddr,
        link_address: EthernetAddress,
    ) -> Result<(), DropReason> {
        let result = self.cache.add_static(now, address, link_address);
        self.carry();
        result
    }

    /// Forgets a neighbour; what waits for it is returned as unreachable. Says whether it was there.
    pub fn remove(&mut self, address: IpAddr) -> bool {
        let removed = self.cache.remove(&address);
        self.carry();
        removed
    }

    /// Forgets every neighbour that was not entered by hand.
    pub fn flush(&mut self) {
        self.cache.flush();
        self.carry();
    }

    /// Does what is due at `now`: requests again, ages entries, goes on probing and announcing.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.claims.handle_timeout(now);
        self.cache.handle_timeout(now);
        self.carry();
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        [self.claims.poll_timeout(), self.cache.poll_timeout()].into_iter().flatten().min()
    }

    /// The next frame to send: ARP, or a packet whose neighbour has answered, in the order they came about.
    pub fn poll_transmit(&mut self, _now: Instant) -> Option<LinkOutput> {
        let output = self.outputs.pop_front()?;
        if output.header.ether_type == EtherType::ARP {
            self.arp_pending_count = self.arp_pending_count.saturating_sub(1);
        } else {
            self.cache.forget_packet(output.payload.len());
        }
        Some(output)
    }

    /// The next thing that the layers above must know or do.
    pub fn poll_event(&mut self) -> Option<LinkEvent> {
        let event = self.events.pop_front()?;
        match &event {
            LinkEvent::Unreachable { next_hop: _, packet } => self.cache.forget_packet(packet.bytes.len()),
            LinkEvent::SolicitNeighbor { .. }
            | LinkEvent::AddressReady { .. }
            | LinkEvent::AddressConflict { .. } => {}
        }
        Some(event)
    }

    /// All neighbours, in no order. Walks the table: for tools.
    pub fn neighbors(&self) -> impl Iterator<Item = NeighborEntry> {
        self.cache.entries()
    }

    /// What was counted of frames.
    pub fn counters(&self) -> &LinkCounters {
        &self.counters
    }

    /// What was counted of neighbours.
    pub fn neighbor_counters(&self) -> &NeighborCounters {
        &self.cache.counters
    }

    /// Carries out what the address table and the cache want.
    fn carry(&mut self) {
        while let Some(effect) = self.claims.pop_effect() {
            match effect {
                ClaimEffect::Probe(address) => self.send_probe(address),
                ClaimEffect::Announce(address) => self.send_announcement(address),
                ClaimEffect::Ready(address) => self.push_event(LinkEvent::AddressReady { address }),
                ClaimEffect::Lost { address, by } => {
                    self.push_event(LinkEvent::AddressConflict { address, by });
                }
            }
        }
        while let Some(effect) = self.cache.pop_effect() {
            match effect {
                Effect::Solicit { target: IpAddr::V4(target), link_destination } => {
                    self.send_request(target, link_destination);
                }
                Effect::Solicit { target: target @ IpAddr::V6(_), link_destination } => {
                    self.counters.solicitations.increment();
                    self.push_event(LinkEvent::SolicitNeighbor { target, link_destination });
                }
                Effect::Send { destination, packet } => self.send_packet(destination, packet),
                // [4861-14]
                Effect::Return { next_hop, packet } => {
                    self.push_event(LinkEvent::Unreachable { next_hop, packet });
                }
                Effect::Dropped(reason) => self.drop_inside(reason),
            }
        }
    }

    fn send_packet(&mut self, destination: EthernetAddress, packet: QueuedPacket) {
        let QueuedPacket { meta, bytes: payload } = packet;
        let ether_type = match payload.first() {
            Some(first) if first >> 4 == 6 => EtherType::IPV6,
            Some(_) | None => EtherType::IPV4,
        };
        self.push_frame(destination, ether_type, meta, payload);
    }

    /// RFC 894's encapsulation, and no other.
    // [1122-L002, 1122-L007, 1122-L011]
    fn push_frame(
        &mut self,
        destination: EthernetAddress,
        ether_type: EtherType,
        meta: TxMeta,
        payload: Vec<u8>,
    ) {
        let header = EthernetHeader { destination, source: self.address, ether_type };
        self.outputs.push_back(LinkOutput { header, meta, payload });
    }

    /// The fates of addresses may pass the bound: there are few, and nobody would tell them again.
    fn push_event(&mut self, event: LinkEvent) {
        let bound = match &event {
            LinkEvent::SolicitNeighbor { .. } | LinkEvent::Unreachable { .. } => self.max_pending,
            LinkEvent::AddressReady { .. } | LinkEvent::AddressConflict { .. } => {
                self.max_pending.saturating_add(2 * Claims::MAX)
            }
        };
        if self.events.len() < bound {
            self.events.push_back(event);
            return;
        }
        match event {
            LinkEvent::Unreachable { next_hop: _, packet } => {
                self.cache.forget_packet(packet.bytes.len());
                self.drop_inside(DropReason::NeighborUnreachable);
            }
            LinkEvent::SolicitNeighbor { .. }
            | LinkEvent::AddressReady { .. }
            | LinkEvent::AddressConflict { .. } => self.drop_inside(DropReason::TransmitQueueFull),
        }
    }

    fn drop_inside(&mut self, reason: DropReason) {
        self.counters.drops.increment(reason);
        trace!(%reason, "dropped");
    }
}

fn is_limited_broadcast(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_broadcast(),
        IpAddr::V6(_) => false,
    }
}

#[cfg(test)]
mod tests;
