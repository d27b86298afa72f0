//! A received segment, and one that is to be sent.

use core::net::IpAddr;
use core::num::NonZeroU16;

use netloom_base::{Gso, SlabId};
use netloom_wire::{Datagram, SeqNumber, TcpFlags, TcpHeader, TcpSegment};

use super::ecn;
use super::tuple::FourTuple;

/// A received segment: verified, parsed, and counted as what it stands for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment<'a> {
    pub(super) tuple: FourTuple,
    pub(super) header: TcpHeader,
    pub(super) text: &'a [u8],
    /// How many segments this is, if it is a super-segment.
    pub(super) count: u32,
    /// Bytes of text in each of them.
    pub(super) part_len: u32,
    /// The MTU of the interface that it came in on.
    pub(super) mtu: u16,
    /// The two ECN bits of its IP header.
    pub(super) codepoint: u8,
    /// Whether it had a SYN that was cut off.
    pub(super) was_syn: bool,
}

impl<'a> Segment<'a> {
    pub(super) fn new(datagram: &Datagram<'_>, parsed: TcpSegment<'a>) -> Self {
        let TcpSegment { header, payload: text } = parsed;
        let tuple = FourTuple {
            local_address: datagram.destination,
            remote_address: datagram.source,
            local_port: header.destination_port,
            remote_port: header.source_port,
        };
        let text_len = u32::try_from(text.len()).unwrap_or(u32::MAX);
        let (count, part_len) = match datagram.meta.gso {
            Some(gso) => (
                u32::try_from(gso.segment_count(text.len())).unwrap_or(u32::MAX),
                text_len.min(gso.segment_size.get().into()),
            ),
            None => (1, text_len),
        };
        Self {
            tuple,
            header,
            text,
            count,
            part_len,
            mtu: datagram.mtu,
            codepoint: ecn::codepoint(datagram.traffic_class),
            was_syn: false,
        }
    }

    pub(super) const fn has(&self, flags: TcpFlags) -> bool {
        self.header.flags.contains(flags)
    }

    /// SEG.LEN.
    pub(super) fn sequence_len(&self) -> u32 {
        TcpSegment { header: self.header, payload: self.text }.sequence_len()
    }

    /// The number after the segment's last.
    pub(super) fn end(&self) -> SeqNumber {
        self.header.sequence + self.sequence_len()
    }
}

/// Where a segment's text lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Text {
    pub(super) offset: u32,
    pub(super) len: u32,
}

/// A segment that a connection wants to send; its text is still in the queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Draft {
    pub(super) header: TcpHeader,
    pub(super) text: Text,
    /// Bytes in each part of a super-segment.
    pub(super) part_len: Option<NonZeroU16>,
    /// Whether a router may mark it instead of dropping it.
    pub(super) is_ect: bool,
}

/// A segment without text that belongs to no connection: a reset or a challenge.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reply {
    pub(super) tuple: FourTuple,
    pub(super) header: TcpHeader,
    pub(super) traffic_class: u8,
}

/// Where the text of a [`SegmentPlan`] lies: in a connection's ring, or nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PayloadRef {
    pub(super) place: Option<(SlabId, Text)>,
}

impl PayloadRef {
    /// Bytes of text.
    pub const fn len(&self) -> usize {
        match self.place {
            Some((_, text)) => text.len as usize,
            None => 0,
        }
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One segment to send: decided, and counted as sent.
///
/// Its text is borrowed from the connection by [`Tcp::payload`](super::Tcp::payload) until the next call that changes
/// something.
#[derive(Clone, Copy, Debug)]
pub struct SegmentPlan {
    /// Our address.
    pub source: IpAddr,
    /// The peer's address.
    pub destination: IpAddr,
    /// The header; its checksum is not computed yet.
    pub header: TcpHeader,
    /// DSCP and ECN.
    pub traffic_class: u8,
    /// TTL or hop limit, if a socket asks for one.
    pub hop_limit: Option<u8>,
    /// Set if this is a super-segment, which the device has to cut.
    pub gso: Option<Gso>,
    /// The text.
    pub payload: PayloadRef,
}
