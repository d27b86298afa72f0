//! One connection as the script sees it: how its numbers and the wire's belong together.
//!
//! # Theory of operation
//! As packetdrill has it: a segment with SYN carries the script's own numbers, moved only so that the host's first one
//! fits; in every other segment both sides' numbers count from their SYN, so that the first byte of text is number 1. The
//! host's timestamps begin with the value that the script gives the first one.
//!
//! A SYN with another number than the first may begin a second connection between the same ends: if the host's SYN-ACK
//! acknowledges it, both sides count anew.

use std::collections::{BTreeMap, VecDeque};

use netloom_base::Instant;
use netloom_wire::TcpFlags;

use super::segment::Segment;

/// What the host sent, in the wire's numbers.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) at: Instant,
    pub(super) segment: Segment,
    pub(super) payload: Vec<u8>,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Flow {
    /// Ports: the peer's, the host's.
    pub(super) ports: (u16, u16),
    /// What the host sent and the script has not looked at.
    pub(super) sent: VecDeque<Sent>,
    /// Whether the script looks at it at all.
    pub(super) is_watched: bool,
    /// What is added to each number of the peer's on the wire, so that a script can be run close to the wrap.
    peer_offset: u32,
    /// The host's first number on the wire, and in the script.
    local_first: Option<u32>,
    script_first: u32,
    /// The peer's first number in the script.
    remote_first: Option<u32>,
    /// A SYN that may begin a second connection.
    next_remote_first: Option<u32>,
    /// The host's timestamps: from the script's to the wire's.
    stamps: BTreeMap<u32, u32>,
    /// The first of them: the script's, the wire's.
    first_stamp: Option<(u32, u32)>,
}

impl Flow {
    pub(super) const fn new(ports: (u16, u16), peer_offset: u32) -> Self {
        Self {
            ports,
            sent: VecDeque::new(),
            is_watched: false,
            peer_offset,
            local_first: None,
            script_first: 0,
            remote_first: None,
            next_remote_first: None,
            stamps: BTreeMap::new(),
            first_stamp: None,
        }
    }

    fn remote_offset(&self, is_syn: bool) -> u32 {
        let first = if is_syn { 0 } else { self.remote_first.unwrap_or(0) };
        self.peer_offset.wrapping_add(first)
    }

    fn local_offset(&self, is_syn: bool) -> u32 {
        let first = self.local_first.unwrap_or(0);
        if is_syn { first.wrapping_sub(self.script_first) } else { first }
    }

    /// The peer's segment with the wire's numbers. `scales_echoes`: reckon TSecr where it is no TSval of before.
    pub(super) fn inbound(&mut self, segment: &Segment, scales_echoes: bool) -> Result<Segment, String> {
        let is_syn = segment.flags.contains(TcpFlags::SYN);
        let has_ack = segment.flags.contains(TcpFlags::ACK);
        if is_syn {
            match self.remote_first {
                None => self.remote_first = Some(segment.start),
                Some(first) if first != segment.start => self.next_remote_first = Some(segment.start),
                Some(_) => {}
            }
        }
        let mut live = segment.clone();
        live.start = segment.start.wrapping_add(self.remote_offset(is_syn));
        if has_ack {
            live.ack = segment.ack.wrapping_add(self.local_offset(is_syn));
        }
        live.shift_sack_blocks(self.local_offset(is_syn));
        if let Some((_, echo)) = segment.timestamps()
            && has_ack
        {
            let live_echo = match (self.stamps.get(&echo), self.first_stamp) {
                (Some(known), _) => *known,
                (None, Some((script, wire))) if scales_echoes => echo.wrapping_sub(script).wrapping_add(wire),
                (None, _) => return Err(format!("TSecr {echo} was no TSval that the script has seen")),
            };
            live.map_timestamps(|value, _| (value, live_echo));
        }
        Ok(live)
    }

    /// The host sent `segment`: its first number is learned from its SYN.
    pub(super) fn note_sent(&mut self, sent: Sent) {
        let segment = &sent.segment;
        if segment.flags.contains(TcpFlags::SYN) {
            let acknowledges =
                |first: u32| segment.ack == first.wrapping_add(self.peer_offset).wrapping_add(1);
            if let Some(next) = self.next_remote_first.filter(|next| acknowledges(*next)) {
                self.remote_first = Some(next);
                self.next_remote_first = None;
                self.local_first = Some(segment.start);
            }
            self.local_first.get_or_insert(segment.start);
        }
        self.sent.push_back(sent);
    }

    /// The host's segment with the script's numbers.
    pub(super) fn outbound(&self, segment: &Segment) -> Segment {
        let is_syn = segment.flags.contains(TcpFlags::SYN);
        let mut script = segment.clone();
        script.start = segment.start.wrapping_sub(self.local_offset(is_syn));
        if segment.flags.contains(TcpFlags::ACK) {
            script.ack = segment.ack.wrapping_sub(self.remote_offset(is_syn));
        }
        script.shift_sack_blocks(self.remote_offset(is_syn).wrapping_neg());
        if let Some((first, wire)) = self.first_stamp {
            script.map_timestamps(|value, echo| (value.wrapping_sub(wire).wrapping_add(first), echo));
        }
        script
    }

    /// The script expects `expected`, and `seen` came: what the script calls the host's first number and its timestamps.
    pub(super) fn learn(&mut self, expected: &Segment, seen: &Segment) {
        if expected.flags.contains(TcpFlags::SYN) && seen.flags.contains(TcpFlags::SYN) {
            self.script_first = expected.start;
        }
        if let (Some((script, _)), Some((wire, _))) = (expected.timestamps(), seen.timestamps()) {
            self.stamps.insert(script, wire);
            self.first_stamp.get_or_insert((script, wire));
        }
    }

    /// Where the script's number `start` of the host's text lies on the wire.
    pub(super) fn local_number(&self, start: u32) -> u32 {
        start.wrapping_add(self.local_offset(false))
    }
}
