//! One UDP socket: its ends, its two queues, and what it has to tell.

use core::net::{IpAddr, SocketAddr};
use core::num::NonZeroU16;
use std::collections::VecDeque;

use netloom_base::InterfaceId;
use netloom_wire::{IcmpErrorKind, UdpHeader};

use super::config::{DATAGRAM_COST, KEPT_ENTRIES, UdpBind, UdpOptions};
use super::demux::{Local, Member};
use super::error::UdpSocketError;
use super::groups::Group;
use super::id::UdpSocketId;
use super::receive_queue::ReceiveQueue;

/// Datagrams in one train at most: what the kernel's sockets take as well (`UDP_MAX_SEGMENTS` of Linux before 6.10).
pub const MAX_TRAIN_LEN: usize = 64;

/// ICMP errors that a socket remembers.
const MAX_ICMP_REPORTS: usize = 8;

/// A datagram to be sent. The sender of it knows the path, and makes header and checksum.
// [1122-U009] [1122-U016]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UdpOutput {
    /// Whose it is.
    pub id: UdpSocketId,
    /// The address to send from; `None` leaves it to the path.
    pub source: Option<IpAddr>,
    /// The port to send from.
    pub source_port: u16,
    /// Whom it is for.
    pub remote: SocketAddr,
    /// TTL or hop limit; `None` for the internet layer's own.
    pub hop_limit: Option<u8>,
    /// DSCP (6 bits) and ECN (2 bits).
    pub traffic_class: u8,
    /// Whether it may not be cut into fragments.
    pub dont_fragment: bool,
    /// Whether, if it is for a group, this host's own members are to get it too.
    pub loops_to_groups: bool,
    /// Set if it is a train: as many datagrams as it takes, each but the last with so many bytes of the data.
    pub segment_size: Option<NonZeroU16>,
    /// The data.
    pub data: Vec<u8>,
}

impl UdpOutput {
    /// Datagrams that it is.
    pub fn datagram_count(&self) -> u64 {
        self.segment_size.map_or(1, |size| self.data.len().div_ceil(size.get().into()) as u64)
    }

    /// Puts `data`, a datagram that `other` is to be sent with, at the end of this train, or of what becomes one; `false` if it
    /// cannot be there. Only the last of a train may be shorter than the others.
    fn try_append(&mut self, other: &Self, data: &[u8]) -> bool {
        let Ok(len) = u16::try_from(self.data.len()) else { return false };
        let Some(size) = self.segment_size.or(NonZeroU16::new(len)) else { return false };
        let count = usize::from(len / size);
        let fits = other.segment_size.is_none()
            && (1..=size.get().into()).contains(&data.len())
            && len % size == 0
            && count < MAX_TRAIN_LEN
            && self.data.len() + data.len() <= UdpHeader::max_payload_len(self.remote.ip());
        let Self { id, source, source_port, remote, hop_limit, traffic_class, dont_fragment, .. } = other;
        let is_alike = (self.id, self.source, self.source_port, self.remote)
            == (*id, *source, *source_port, *remote)
            && (self.hop_limit, self.traffic_class, self.dont_fragment, self.loops_to_groups)
                == (*hop_limit, *traffic_class, *dont_fragment, other.loops_to_groups);
        let is_joined = fits && is_alike;
        if is_joined {
            self.segment_size = Some(size);
            self.data.extend_from_slice(data);
        }
        is_joined
    }
}

/// An ICMP error that was about one of a socket's datagrams.
// [1122-U005]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UdpIcmpReport {
    /// What is reported.
    pub kind: IcmpErrorKind,
    /// Who reports it.
    pub reporter: IpAddr,
    /// Where the datagram was going.
    pub remote: SocketAddr,
}

/// What a socket looks like from outside, for tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UdpSocketInfo {
    /// Which it is.
    pub id: UdpSocketId,
    /// Where it listens; without an address at every one.
    pub local: UdpBind,
    /// Whom it is connected to.
    pub remote: Option<SocketAddr>,
    /// Datagrams that wait to be read.
    pub receive_queue_count: usize,
    /// Bytes that those cost, and what was read already of a train that came as one packet.
    pub receive_queue_bytes: usize,
    /// Datagrams that wait to be sent.
    pub send_queue_count: usize,
    /// Bytes that those cost.
    pub send_queue_bytes: usize,
    /// Datagrams that the full receive queue did not take.
    pub dropped: u64,
    /// Whether it is closed and only sends what is left.
    pub is_closing: bool,
}

/// Datagrams to be sent, in the order they came, and what they cost.
#[derive(Debug, Default)]
pub(super) struct SendQueue {
    items: VecDeque<UdpOutput>,
    bytes: usize,
}

/// What a datagram, or a train, of `len` bytes of data costs that is to be sent.
const fn cost_of(len: usize) -> usize {
    len + DATAGRAM_COST
}

impl SendQueue {
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether one with `len` bytes of data still fits the bounds.
    pub(super) fn fits(&self, len: usize, max_bytes: usize, max_count: usize) -> bool {
        self.items.len() < max_count && self.bytes.saturating_add(cost_of(len)) <= max_bytes
    }

    /// Puts `data`, which `output` is to be sent with, at the end of the train that comes last, or of what becomes one; `false` if it
    /// cannot be there.
    pub(super) fn try_append(&mut self, output: &UdpOutput, data: &[u8]) -> bool {
        let is_joined = self.items.back_mut().is_some_and(|last| last.try_append(output, data));
        if is_joined {
            self.bytes += data.len();
        }
        is_joined
    }

    pub(super) fn push(&mut self, output: UdpOutput) {
        self.bytes += cost_of(output.data.len());
        self.items.push_back(output);
    }

    /// Takes the oldest out.
    pub(super) fn pop(&mut self) -> Option<UdpOutput> {
        let output = self.items.pop_front()?;
        self.bytes = self.bytes.saturating_sub(cost_of(output.data.len()));
        if self.items.is_empty() {
            debug_assert_eq!(self.bytes, 0, "an empty queue costs nothing");
            if self.items.capacity() > KEPT_ENTRIES {
                self.items = VecDeque::new();
            }
        }
        Some(output)
    }
}

/// What a socket has to tell, until it is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct News {
    pub(super) readable: bool,
    pub(super) writable: bool,
    pub(super) error: bool,
}

#[derive(Debug)]
pub(super) struct Socket {
    pub(super) local: Local,
    pub(super) share: bool,
    /// Which of all sockets that there have been.
    number: u64,
    /// The address that `connect` chose, where `local` names none.
    pub(super) source: Option<IpAddr>,
    pub(super) remote: Option<SocketAddr>,
    pub(super) options: UdpOptions,
    pub(super) received: ReceiveQueue,
    pub(super) outgoing: SendQueue,
    pub(super) error: Option<UdpSocketError>,
    pub(super) icmp_reports: VecDeque<UdpIcmpReport>,
    pub(super) groups: Vec<Group>,
    pub(super) news: News,
    /// Whether it stands in the queue of sockets that have something to tell.
    pub(super) is_announced: bool,
    /// Whether it stands in the queue of sockets that have something to send.
    pub(super) is_ready: bool,
    /// Whether a send was refused since the queue was last found open.
    pub(super) wants_to_send: bool,
    /// Closed, with something left to send.
    pub(super) is_closing: bool,
    pub(super) dropped: u64,
}

impl Socket {
    pub(super) fn new(local: Local, share: bool, number: u64) -> Self {
        Self {
            local,
            share,
            number,
            source: None,
            remote: None,
            options: UdpOptions::default(),
            received: ReceiveQueue::default(),
            outgoing: SendQueue::default(),
            error: None,
            icmp_reports: VecDeque::new(),
            groups: Vec::new(),
            news: News { readable: false, writable: false, error: false },
            is_announced: false,
            is_ready: false,
            wants_to_send: false,
            is_closing: false,
            dropped: 0,
        }
    }

    /// What it is among the sockets at its address and port.
    pub(super) const fn member(&self, id: UdpSocketId) -> Member {
        Member { number: self.number, id }
    }

    /// The address that it is bound to, if that is one address.
    pub(super) fn bound_address(&self) -> Option<IpAddr> {
        self.local.address.filter(|address| !address.is_unspecified())
    }

    /// The address that it sends from, if it has one.
    pub(super) fn source_address(&self) -> Option<IpAddr> {
        // A group that it is bound to is nobody's source.
        self.bound_address().or(self.source).filter(|address| !address.is_multicast())
    }

    /// Whether it is in `group`, for a datagram that came in at `interface`.
    pub(super) fn is_member(&self, group: IpAddr, interface: InterfaceId) -> bool {
        self.groups.iter().any(|&(address, at)| address == group && at.is_none_or(|at| at == interface))
    }

    /// Remembers an ICMP error; the oldest goes if there are too many.
    pub(super) fn report(&mut self, report: UdpIcmpReport) {
        if self.icmp_reports.len() >= MAX_ICMP_REPORTS {
            self.icmp_reports.pop_front();
        }
        self.icmp_reports.push_back(report);
    }

    pub(super) fn info(&self, id: UdpSocketId) -> UdpSocketInfo {
        UdpSocketInfo {
            id,
            local: UdpBind {
                address: self.source_address().or(self.local.address),
                port: self.local.port,
                share: self.share,
            },
            remote: self.remote,
            receive_queue_count: self.received.len(),
            receive_queue_bytes: self.received.bytes(),
            send_queue_count: self.outgoing.len(),
            send_queue_bytes: self.outgoing.bytes(),
            dropped: self.dropped,
            is_closing: self.is_closing,
        }
    }
}
