//! A packet's way up: which family it is, and what is the same for both.

use core::net::IpAddr;

use netloom_base::{DropReason, Instant};
use netloom_wire::{CastKind, Datagram, Protocol};

use crate::address_table::AddressState;
use crate::culprit::Culprit;
use crate::internet::Internet;
use crate::packet::{Arrival, Input};
use crate::reassembly::{Fragment, FragmentError, FragmentKey};

/// What both families know of a packet for this host once its headers are read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received<'a> {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) cast: CastKind,
    pub(crate) protocol: Protocol,
    pub(crate) hop_limit: u8,
    pub(crate) traffic_class: u8,
    pub(crate) payload: &'a [u8],
    /// The whole packet, without the link's padding.
    pub(crate) packet: &'a [u8],
}

impl Internet {
    /// Takes a packet from a link, or from this host itself. What is dropped is returned with its reason, for the
    /// caller to count; an ICMP error may have been queued for its sender.
    pub fn input<'a>(&mut self, now: Instant, arrival: Arrival<'a>) -> Result<Input<'a>, DropReason> {
        match arrival.packet.first() {
            Some(first) if first >> 4 == 4 => self.input_v4(now, arrival),
            Some(first) if first >> 4 == 6 => self.input_v6(now, arrival),
            // [1122-I010]
            Some(_) => Err(DropReason::IpBadVersion),
            None => Err(DropReason::IpTruncated),
        }
    }

    /// Takes the packet that [`Input::Reassembled`] gave, in the place of its last fragment.
    pub fn input_reassembled<'a>(
        &mut self,
        now: Instant,
        arrival: Arrival<'a>,
    ) -> Result<Input<'a>, DropReason> {
        self.input(now, arrival)
    }

    /// Hands a packet to its transport.
    pub(crate) fn deliver<'a>(&mut self, arrival: &Arrival<'a>, received: &Received<'a>) -> Input<'a> {
        self.counters.datagrams_delivered.increment();
        Input::Deliver(Datagram {
            interface: arrival.interface,
            source: received.source,
            destination: received.destination,
            cast: received.cast,
            protocol: received.protocol,
            hop_limit: received.hop_limit,
            traffic_class: received.traffic_class,
            mtu: self.mtu_of(arrival.interface),
            payload: received.payload,
            packet: received.packet,
            meta: arrival.meta,
        })
    }

    /// Keeps a fragment, or gives the packet that it completes.
    pub(crate) fn reassemble<'a>(
        &mut self,
        now: Instant,
        key: FragmentKey,
        fragment: &Fragment<'_>,
    ) -> Result<Input<'a>, FragmentError> {
        self.counters.fragments_received.increment();
        match self.reassembler.insert(now, key, fragment)? {
            Some(packet) => {
                self.counters.datagrams_reassembled.increment();
                Ok(Input::Reassembled(packet))
            }
            None => Ok(Input::Consumed),
        }
    }

    /// Gives up datagrams whose fragments did not all come in time, and tells the sender if the first did
    /// [1122-I116] [792-04] [8200-13].
    pub(crate) fn give_up_reassembly(&mut self, now: Instant) {
        while let Some(expired) = self.reassembler.handle_timeout(now) {
            self.counters.drops.increment(DropReason::FragmentTimeout);
            let Some(packet) = &expired.first else { continue };
            let destination = expired.key.destination;
            let is_ours =
                self.addresses.get(destination).is_some_and(|entry| entry.state != AddressState::Duplicate);
            let cast = if is_ours { CastKind::Unicast } else { CastKind::Multicast };
            self.report(
                now,
                netloom_wire::IcmpErrorKind::ReassemblyTimeExceeded.into(),
                &Culprit { packet, cast, interface: expired.key.scope },
            );
        }
    }
}
