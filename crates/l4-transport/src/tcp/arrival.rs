//! A segment's way in: verified, parsed, and led to whom it is for.

use netloom_base::{DropReason, Instant, RxChecksum, SlabId};
use netloom_wire::{CastKind, Datagram, ParseError, TcpFlags, TcpSegment, is_global_unicast_candidate};
use tracing::trace;

use super::connection::Context;
use super::demux::Slot;
use super::layer::Tcp;
use super::reason::{EndReason, ResetCause, RetransmitCause};
use super::reset::reset_for;
use super::segment::Segment;
use super::state::State;
use super::syn_cache::HalfOpenVerdict;
use super::time_wait::TimeWaitVerdict;
use super::tuple::FourTuple;

impl Tcp {
    /// Takes a segment. What it causes leaves by [`poll_transmit`](Self::poll_transmit) and
    /// [`poll_event`](Self::poll_event), after a batch of segments if the caller has one.
    ///
    /// # Errors
    /// Why the segment, or its text, went no further. It may still have caused an answer.
    pub fn input(&mut self, now: Instant, datagram: &Datagram<'_>) -> Result<(), DropReason> {
        let segment = Self::verify(datagram)?;
        self.counters.segments_received.add(segment.count.into());
        let result = self.dispatch(now, &segment);
        let header = &segment.header;
        trace!(
            tuple = %segment.tuple, flags = %header.flags, sequence = %header.sequence,
            acknowledgment = %header.acknowledgment, window = header.window, len = segment.text.len(), ?result,
            "segment in"
        );
        result
    }

    /// What must hold before anything in it is believed.
    fn verify<'a>(datagram: &Datagram<'a>) -> Result<Segment<'a>, DropReason> {
        let Datagram { source, destination, payload, .. } = *datagram;
        // [9293 MUST-57, MUST-63] [1122-T040] [1122-T095] [1122-T096]
        let is_host = |address| is_global_unicast_candidate(address) || address.is_loopback();
        if datagram.cast != CastKind::Unicast || !is_host(source) {
            return Err(DropReason::TcpNotUnicast);
        }
        // [9293 MUST-3] [1122-T031]
        let is_trusted = datagram.meta.checksum == RxChecksum::Trusted;
        if !is_trusted && !TcpSegment::checksum_is_valid(payload, source, destination) {
            return Err(DropReason::TcpBadChecksum);
        }
        let parsed = TcpSegment::parse(payload).map_err(|error| match error {
            ParseError::Truncated => DropReason::TcpTruncated,
            ParseError::BadLength | ParseError::BadOption | _ => DropReason::TcpMalformed,
        })?;
        if parsed.header.source_port == 0 || parsed.header.destination_port == 0 {
            return Err(DropReason::TcpMalformed);
        }
        Ok(Segment::new(datagram, parsed))
    }

    fn dispatch(&mut self, now: Instant, segment: &Segment<'_>) -> Result<(), DropReason> {
        match self.latest_slot(&segment.tuple).or_else(|| self.slot_of(&segment.tuple)) {
            Some(Slot::Connection(id)) => {
                self.latest = Some(id);
                self.deliver_to_connection(now, id, segment)
            }
            Some(Slot::HalfOpen(id)) => self.deliver_to_half_open(now, id, segment),
            Some(Slot::TimeWait(id)) => self.deliver_to_time_wait(now, id, segment),
            None => self.deliver_to_listener(now, segment, None),
        }
    }

    /// The connection that the segment before this one was for, if this one is for it, too: mostly segments come in runs.
    fn latest_slot(&self, tuple: &FourTuple) -> Option<Slot> {
        let id = self.latest?;
        let connection = self.connections.get(id)?;
        (connection.membership.in_demux && connection.tuple == *tuple).then_some(Slot::Connection(id))
    }

    pub(super) fn deliver_to_connection(
        &mut self,
        now: Instant,
        id: SlabId,
        segment: &Segment<'_>,
    ) -> Result<(), DropReason> {
        let delivered = self.with_connection(now, id, |connection, cx| {
            let was_opening = !connection.state.is_synchronized();
            let result = match connection.state {
                State::SynSent => connection.on_segment_in_syn_sent(cx, segment),
                State::Closed
                | State::Listen
                | State::SynReceived
                | State::Established
                | State::FinWait1
                | State::FinWait2
                | State::CloseWait
                | State::Closing
                | State::LastAck
                | State::TimeWait => connection.on_segment(cx, segment),
            };
            (was_opening, result)
        });
        let Some((was_opening, result)) = delivered else { return Err(DropReason::TcpNoConnection) };
        if was_opening {
            self.conclude_fast_open(now, id);
        }
        result
    }

    fn deliver_to_half_open(
        &mut self,
        now: Instant,
        id: SlabId,
        segment: &Segment<'_>,
    ) -> Result<(), DropReason> {
        let verdict = self.with_half_open(now, id, |entry, cx| entry.on_segment(cx, segment));
        match verdict {
            Some(HalfOpenVerdict::Stay(result)) => result,
            Some(HalfOpenVerdict::Repeat) => {
                self.queue_syn_ack(id, Some(RetransmitCause::SynRepeated));
                Ok(())
            }
            Some(HalfOpenVerdict::Remove) => {
                self.fail_half_open(id, EndReason::HandshakeReset);
                Ok(())
            }
            Some(HalfOpenVerdict::BeginAnew) => {
                self.fail_half_open(id, EndReason::Replaced);
                self.deliver_to_listener(now, segment, None)
            }
            Some(HalfOpenVerdict::Refuse) => {
                self.refuse(now, segment, ResetCause::AckInListen);
                Err(DropReason::TcpNoConnection)
            }
            Some(HalfOpenVerdict::Promote) => {
                let connection = self.promote(now, id)?;
                self.deliver_to_connection(now, connection, segment)
            }
            None => Err(DropReason::TcpNoConnection),
        }
    }

    fn deliver_to_time_wait(
        &mut self,
        now: Instant,
        id: SlabId,
        segment: &Segment<'_>,
    ) -> Result<(), DropReason> {
        let verdict = self.with_time_wait(now, id, |entry, cx| entry.on_segment(cx, segment));
        match verdict {
            Some(TimeWaitVerdict::Stay(result)) => result,
            Some(TimeWaitVerdict::Restart) => {
                self.time_wait_deadlines.set(id.index(), Some(now + self.config.time_wait));
                Ok(())
            }
            Some(TimeWaitVerdict::End) => {
                self.remove_time_wait(id);
                Ok(())
            }
            Some(TimeWaitVerdict::Reopen { beyond }) => {
                if self.listener_for(segment).is_some() {
                    self.counters.time_wait_reused.increment();
                    self.remove_time_wait(id);
                }
                self.deliver_to_listener(now, segment, Some(beyond))
            }
            None => Err(DropReason::TcpNoConnection),
        }
    }

    /// Neither a connection nor a listener: the peer is told. (RFC 9293 3.10.7.1)
    pub(super) fn refuse(&mut self, now: Instant, segment: &Segment<'_>, cause: ResetCause) {
        if let Some(reset) = reset_for(segment) {
            let Self { config, counters, memory, buffers, offer, replies, .. } = self;
            Context { now, config, counters, memory, buffers, offer, replies }.refuse(cause, reset);
        }
    }

    /// Whether a segment may begin a connection: a SYN, and nothing that contradicts it.
    pub(super) fn is_opening(segment: &Segment<'_>) -> bool {
        segment.has(TcpFlags::SYN)
            && !segment.header.flags.intersects(TcpFlags::ACK | TcpFlags::RST | TcpFlags::FIN)
    }
}
