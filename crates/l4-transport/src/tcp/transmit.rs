//! Segments on their way out: whose turn it is, and where the text lies.

use netloom_base::{Gso, GsoKind, Instant, SlabId};
use netloom_wire::{OptionTail, TcpFlags};
use tracing::trace;

use super::connection::Connection;
use super::ecn;
use super::layer::Tcp;
use super::segment::{Draft, PayloadRef, Reply, SegmentPlan};

/// Connections that one call notes as held up by the device: as many as a turn sends frames.
const STALLS_PER_CALL: usize = 64;

impl Tcp {
    /// The next segment to send, if any. It counts as sent: numbers have moved, timers run.
    ///
    /// Answers beside any stream go first, then handshakes, then connections in turn.
    #[inline]
    pub fn poll_transmit(&mut self, now: Instant) -> Option<SegmentPlan> {
        if self.replies.is_empty() && self.ready_half_open.is_empty() && self.ready.is_empty() {
            return None;
        }
        self.send_next(now)
    }

    fn send_next(&mut self, now: Instant) -> Option<SegmentPlan> {
        let plan = self.next_plan(now);
        if let Some(plan) = &plan {
            self.note_sent(plan);
        }
        plan
    }

    fn next_plan(&mut self, now: Instant) -> Option<SegmentPlan> {
        if let Some(reply) = self.replies.pop_front() {
            return Some(plan_of_reply(&reply));
        }
        if !self.ready_half_open.is_empty()
            && let Some(plan) = self.next_syn_ack(now)
        {
            return Some(plan);
        }
        self.next_of_connections(now)
    }

    fn note_sent(&mut self, plan: &SegmentPlan) {
        let segments = plan.gso.map_or(1, |gso| gso.segment_count(plan.payload.len()));
        self.counters.segments_sent.add(segments as u64);
        let header = &plan.header;
        trace!(
            source = %plan.source, destination = %plan.destination, ports = ?(header.source_port, header.destination_port),
            flags = %header.flags, sequence = %header.sequence, acknowledgment = %header.acknowledgment,
            window = header.window, len = plan.payload.len(), "segment out"
        );
    }

    /// The text of a plan, in two pieces of which the second may be empty. Only until the next call that changes
    /// something.
    pub fn payload(&self, plan: &SegmentPlan) -> [&[u8]; 2] {
        let Some((id, text)) = plan.payload.place else { return [&[], &[]] };
        match self.connections.get(id) {
            Some(connection) => connection.sender.queue.slices(text.offset as usize, text.len as usize),
            None => [&[], &[]],
        }
    }

    fn next_syn_ack(&mut self, now: Instant) -> Option<SegmentPlan> {
        loop {
            let id = self.ready_half_open.pop_front()?;
            let Some(entry) = self.half_open.get_mut(id) else { continue };
            entry.is_queued = false;
            entry.sent_at = now;
            if let Some(cause) = entry.again.take() {
                trace!(tuple = %entry.tuple, %cause, "sent again");
                self.counters.count_retransmit(cause, 1);
            }
            let deadline = entry.timeout_from(now);
            if self.half_open_deadlines.get(id.index()).is_none() {
                self.half_open_deadlines.set(id.index(), Some(deadline));
            }
            let mut header = entry.syn_ack(now);
            // [7413-14]
            if entry.offers_cookie && entry.retries == 0 {
                let (local, remote) = (entry.tuple.local_address, entry.tuple.remote_address);
                header.options.tail = OptionTail::FastOpen(self.fast_open_secret.make(now, local, remote));
                self.counters.fast_open_cookies_sent.increment();
            }
            return Some(SegmentPlan {
                source: entry.tuple.local_address,
                destination: entry.tuple.remote_address,
                header,
                traffic_class: ecn::without_codepoint(entry.traffic_class),
                hop_limit: self.listeners.get(entry.listener).and_then(|it| it.options.socket.hop_limit),
                gso: None,
                payload: PayloadRef { place: None },
            });
        }
    }

    /// The device takes no frame: connections that would have sent text are blocked by it. For callers that do not ask for
    /// another frame until it does; each call visits up to 64 connections, none of them twice, and says whether there are more.
    pub fn note_stall(&mut self, now: Instant) -> bool {
        for _ in 0..STALLS_PER_CALL {
            let Some(&id) = self.ready.get(self.stalled_count) else { return false };
            self.stalled_count += 1;
            self.with_connection(now, id, Connection::note_stall);
        }
        self.stalled_count < self.ready.len()
    }

    fn next_of_connections(&mut self, now: Instant) -> Option<SegmentPlan> {
        self.stalled_count = 0;
        let mut next = None;
        while next.is_none() {
            let id = self.ready.pop_front()?;
            self.with_connection(now, id, |connection, cx| {
                let draft = connection.poll_segment(cx);
                if let Some(draft) = &draft {
                    connection.count_sent(draft);
                }
                next = draft.map(|draft| plan(id, connection, draft));
                // If it has more, it comes after the others.
                connection.membership.in_ready = false;
                connection.membership.wants_output |= next.is_some() && connection.has_output();
            });
        }
        next
    }
}

fn plan_of_reply(reply: &Reply) -> SegmentPlan {
    let Reply { tuple, header, traffic_class } = *reply;
    SegmentPlan {
        source: tuple.local_address,
        destination: tuple.remote_address,
        header,
        traffic_class: ecn::without_codepoint(traffic_class),
        hop_limit: None,
        gso: None,
        payload: PayloadRef { place: None },
    }
}

fn plan(id: SlabId, connection: &Connection, draft: Draft) -> SegmentPlan {
    let Draft { header, text, part_len, is_ect } = draft;
    let destination = connection.tuple.remote_address;
    // [3168-09]: only the first of the parts has CWR.
    let has_cwr = header.flags.contains(TcpFlags::CWR);
    let gso =
        part_len.map(|segment_size| Gso { kind: GsoKind::tcp(destination), segment_size, ecn: has_cwr });
    SegmentPlan {
        source: connection.tuple.local_address,
        destination,
        header,
        traffic_class: ecn::traffic_class(connection.settings.traffic_class, is_ect),
        hop_limit: connection.settings.hop_limit,
        gso,
        payload: PayloadRef { place: (text.len > 0).then_some((id, text)) },
    }
}
