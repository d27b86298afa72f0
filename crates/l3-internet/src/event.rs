//! What the internet layer has to tell the others.

use core::net::IpAddr;
use std::collections::VecDeque;

use netloom_base::InterfaceId;
use netloom_wire::{IcmpError, IcmpErrorKind, NeighborUpdate, Protocol};

/// Something that concerns another layer; the stack carries it there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InternetEvent {
    /// For the neighbour cache.
    NeighborUpdate {
        /// Whose cache.
        interface: InterfaceId,
        /// What neighbour discovery heard.
        update: NeighborUpdate,
    },
    /// For the link: take frames for this group.
    JoinGroup {
        /// Which link.
        interface: InterfaceId,
        /// The group.
        group: IpAddr,
    },
    /// For the link: no longer take frames for this group.
    LeaveGroup {
        /// Which link.
        interface: InterfaceId,
        /// The group.
        group: IpAddr,
    },
    /// An address can be used. Told once: at once, unless it is probed first.
    AddressReady {
        /// Where it is.
        interface: InterfaceId,
        /// The address.
        address: IpAddr,
    },
    /// An address that was in use already has passed its trial: solicitations that were postponed can be sent.
    TrialPassed {
        /// Where it is.
        interface: InterfaceId,
    },
    /// Another host uses the address, so we do not.
    DuplicateAddress {
        /// Where the other was heard.
        interface: InterfaceId,
        /// The address.
        address: IpAddr,
    },
    /// For the transport that sent the packet in question [1122-I040] [4443-12].
    IcmpError(OwnedIcmpError),
    /// For whoever sent the request [1122-I069] [4443-20].
    EchoReply {
        /// Who answered.
        source: IpAddr,
        /// Which of our addresses asked.
        destination: IpAddr,
        /// As asked.
        identifier: u16,
        /// As asked.
        sequence: u16,
        /// TTL or hop limit of the answer.
        hop_limit: u8,
        /// As asked, if the answerer is honest.
        payload: Vec<u8>,
    },
}

/// An [`IcmpError`] that owns its quote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedIcmpError {
    /// What is reported.
    pub kind: IcmpErrorKind,
    /// Who reports it.
    pub reporter: IpAddr,
    /// Our address, from the quoted header.
    pub source: IpAddr,
    /// Where the packet was going, from the quoted header.
    pub destination: IpAddr,
    /// What the packet carried.
    pub protocol: Protocol,
    /// The quoted beginning of the transport header: from 8 to [`Self::MAX_QUOTE`] bytes.
    pub quote: Vec<u8>,
}

impl OwnedIcmpError {
    /// More of a quote is not kept: a TCP header with all its options fits.
    pub const MAX_QUOTE: usize = 64;

    /// The same, borrowed.
    pub fn borrow(&self) -> IcmpError<'_> {
        IcmpError {
            kind: self.kind,
            reporter: self.reporter,
            source: self.source,
            destination: self.destination,
            protocol: self.protocol,
            quote: &self.quote,
        }
    }
}

/// Events on their way, bounded in number and in bytes of their payloads.
#[derive(Debug)]
pub(crate) struct EventQueue {
    events: VecDeque<InternetEvent>,
    payload_bytes: usize,
    max_events: usize,
}

impl EventQueue {
    /// Bytes of echo payloads that may wait: enough for a few of the largest.
    const MAX_PAYLOAD_BYTES: usize = 256 << 10;

    pub(crate) fn new(max_events: usize) -> Self {
        Self { events: VecDeque::new(), payload_bytes: 0, max_events }
    }

    /// False if there was no room.
    pub(crate) fn push(&mut self, event: InternetEvent) -> bool {
        let bytes = payload_len(&event);
        if self.events.len() >= self.max_events || self.payload_bytes + bytes > Self::MAX_PAYLOAD_BYTES {
            return false;
        }
        self.payload_bytes += bytes;
        self.events.push_back(event);
        true
    }

    pub(crate) fn pop(&mut self) -> Option<InternetEvent> {
        let event = self.events.pop_front()?;
        self.payload_bytes = self.payload_bytes.saturating_sub(payload_len(&event));
        Some(event)
    }
}

const fn payload_len(event: &InternetEvent) -> usize {
    match event {
        InternetEvent::EchoReply { payload, .. } => payload.len(),
        InternetEvent::IcmpError(error) => error.quote.len(),
        InternetEvent::NeighborUpdate { .. }
        | InternetEvent::JoinGroup { .. }
        | InternetEvent::LeaveGroup { .. }
        | InternetEvent::AddressReady { .. }
        | InternetEvent::TrialPassed { .. }
        | InternetEvent::DuplicateAddress { .. } => 0,
    }
}
