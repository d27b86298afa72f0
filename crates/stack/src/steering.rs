//! Whose a frame is, and what becomes of one that belongs to another shard of the host.
//!
//! *Theory of operation.* A device with several queues chooses the queue of a frame by itself, and fragments and packets
//! of the host to itself do not show where they belong before they are whole. So each frame gets a glance
//! ([`Glance`]) and goes to its owner ([`Sharding`]): a flow to the shard that the flow's hash names, an ICMP error to
//! the owner of the flow that it quotes, news about neighbours to all, everything else to the first. The fragments of
//! two hosts are put together by one shard, and the whole packet goes to its owner.
//!
//! What is not this shard's is a [`Handover`], for the caller to bring to [`Stack::take_over`] of the other, which may keep its
//! memory: a copy of the frame as long as that, or the device's buffer itself if that is not mostly empty. A shard that
//! took something over never hands it on as it is, so nothing travels in circles; a packet that it puts together goes
//! on at most once.
//!
//! *Limits.* [`StackConfig::handovers`](crate::StackConfig::handovers) wait to be fetched; the newest is dropped beyond that,
//! as [`DropReason::HandoverFull`].

use std::ops::Range;

use netloom_base::{
    DropReason, Gso, Instant, InterfaceId, Medium, RxChecksum, RxMeta, ShardIndex, Sharding, is_mostly_empty,
};
use netloom_l3_internet::{Arrival, IpSend};
use netloom_wire::{Flow, Glance, Protocol};

use crate::Stack;
use crate::handover::{Handover, Kind, Memory};

/// Whose a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    One(ShardIndex),
    All,
}

fn owner(sharding: &Sharding, glance: Glance) -> Owner {
    match glance {
        Glance::Flow(Flow { protocol, source, destination }) if protocol == Protocol::TCP => {
            Owner::One(sharding.owner_of_flow(source, destination))
        }
        Glance::Flow(Flow { destination, .. }) => Owner::One(sharding.owner_of_port(destination.port())),
        Glance::ErrorAbout(Flow { protocol, source, destination }) if protocol == Protocol::TCP => {
            Owner::One(sharding.owner_of_flow(source, destination))
        }
        // What it quotes is what we sent: our port is the source's.
        Glance::ErrorAbout(Flow { source, .. }) => Owner::One(sharding.owner_of_port(source.port())),
        Glance::Fragment { source, destination } => {
            Owner::One(sharding.owner_of_fragments(source, destination))
        }
        Glance::Neighbor => Owner::All,
        Glance::Other => Owner::One(0),
    }
}

/// Whether the shard that asked is to go on with a frame itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Share {
    Ours,
    /// It is to be handed over to this one.
    Theirs(ShardIndex),
}

impl Stack {
    /// Takes what another shard handed over, in the place of [`handle_frame`](Self::handle_frame).
    pub fn take_over(&mut self, now: Instant, handover: Handover) {
        let Handover { to: _, interface, memory, kind } = handover;
        self.counters.taken_over.increment();
        let len = memory.range.len();
        let result = self.receive_memory(now, memory, |stack, bytes| match kind {
            Kind::Frame(meta) => stack.receive(now, interface, bytes, meta),
            Kind::Packet { cast, link_source, meta } => {
                stack.receive_packet(now, Arrival { interface, packet: bytes, cast, link_source, meta })
            }
            Kind::Overheard(send) => stack.overhear(now, interface, &send, bytes),
        });
        if let Err(reason) = result {
            self.drop_packet(reason, interface, len);
        }
        self.exchange(now);
    }

    /// The next frame or packet that belongs to another shard, if any.
    pub fn poll_handover(&mut self) -> Option<Handover> {
        self.handovers.pop_front()
    }

    /// Counts a handover that its owner has no room for.
    pub fn drop_handover(&mut self, handover: &Handover) {
        self.drop_packet(DropReason::HandoverFull, handover.interface, handover.len());
    }

    /// Whose a frame is. What concerns all is handed over to the others besides.
    pub(crate) fn share_frame(&mut self, id: InterfaceId, frame: &[u8], meta: RxMeta) -> Share {
        let sharding = self.config.sharding;
        if sharding.is_whole() {
            return Share::Ours;
        }
        let medium = self.interfaces.get(id.index()).map_or(Medium::Ip, |interface| interface.caps.medium);
        match owner(&sharding, Glance::at_frame(medium, frame)) {
            Owner::One(index) if index == sharding.index() => Share::Ours,
            Owner::One(to) => Share::Theirs(to),
            Owner::All => {
                for to in (0..sharding.count()).filter(|&to| to != sharding.index()) {
                    self.hand_over(to, id, Kind::Frame(meta), |_| frame.into());
                }
                Share::Ours
            }
        }
    }

    /// Hands over a frame in the buffer that the device has filled; if it is not mostly empty, with another in its place.
    pub(crate) fn hand_over_buffer(
        &mut self,
        to: ShardIndex,
        id: InterfaceId,
        buffer: &mut Box<[u8]>,
        range: Range<usize>,
        meta: RxMeta,
    ) {
        self.hand_over(to, id, Kind::Frame(meta), |stack| {
            if is_mostly_empty(buffer.len(), range.len()) {
                return buffer.get(range).unwrap_or_default().into();
            }
            let next = stack.take_buffer(buffer.len());
            Memory { buffer: std::mem::replace(buffer, next), range }
        });
    }

    /// Whose a packet is that was put together here from fragments, or sent by the host to itself. The shard that made it has
    /// verified nothing that the owner does not verify again.
    pub(crate) fn share_packet(&mut self, arrival: &Arrival<'_>) -> Share {
        let sharding = self.config.sharding;
        if sharding.is_whole() {
            return Share::Ours;
        }
        match owner(&sharding, Glance::at_packet(arrival.packet)) {
            Owner::One(to) if to != sharding.index() => Share::Theirs(to),
            // Neighbours do not speak in fragments (RFC 6980), nor does the host to itself.
            Owner::One(_) | Owner::All => Share::Ours,
        }
    }

    /// Lets this host hear itself what it sends to a group or by broadcast on an interface.
    pub(crate) fn share_overheard(&mut self, now: Instant, id: InterfaceId, send: &IpSend, datagram: &[u8]) {
        let port = match datagram {
            &[_, _, high, low, ..] => u16::from_be_bytes([high, low]),
            _ => return,
        };
        let result = match self.config.sharding.owner_of_port(port) {
            owner if owner == self.config.sharding.index() => self.overhear(now, id, send, datagram),
            // Whether anybody listens, its owner knows.
            to => {
                self.hand_over(to, id, Kind::Overheard(*send), |_| datagram.into());
                Ok(())
            }
        };
        if let Err(reason) = result {
            self.drop_packet(reason, id, datagram.len());
        }
    }

    fn overhear(
        &mut self,
        now: Instant,
        id: InterfaceId,
        send: &IpSend,
        datagram: &[u8],
    ) -> Result<(), DropReason> {
        let Some(heard) = self.internet.overheard(id, send, datagram) else { return Ok(()) };
        match self.udp.input(now, &heard) {
            // It was for others.
            Err(DropReason::UdpNoSocket) => Ok(()),
            result => result,
        }
    }

    /// Hands something over, if there is room for it; `memory` tells where it lies.
    pub(crate) fn hand_over(
        &mut self,
        to: ShardIndex,
        interface: InterfaceId,
        kind: Kind,
        memory: impl FnOnce(&mut Self) -> Memory,
    ) {
        if self.handovers.len() >= self.config.handovers {
            self.counters.drops.increment(DropReason::HandoverFull);
            return;
        }
        self.counters.handed_over.increment();
        let memory = memory(self);
        self.handovers.push_back(Handover { to, interface, memory, kind });
    }
}

/// What is known of a packet that never crossed a wire.
pub(crate) fn looped_meta(gso: Option<Gso>) -> RxMeta {
    RxMeta { checksum: RxChecksum::Trusted, gso }
}

#[cfg(test)]
mod tests;
