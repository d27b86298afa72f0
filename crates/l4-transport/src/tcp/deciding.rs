//! Handshakes that wait for their user's word: to answer, to refuse, or to say nothing.
//!
//! # Theory of operation
//! A listener with [`SynAnswer::OnDecision`](super::SynAnswer) answers no SYN by itself. Each makes an entry of the SYN cache
//! that is *undecided*: [`Tcp::next_pending`] hands it out once, and nothing is sent for it until the user says what. The
//! same SYN that comes again is no second one. [`Tcp::answer`] turns the entry into one like any other's, whose connection
//! goes to whoever decided and not to the accept queue; an outcome is kept for him until he takes it.
//!
//! # Limits
//! Undecided entries: the listener's backlog, and with all others [`max_half_open`](super::TcpConfig::max_half_open). At the
//! bound new SYNs are dropped: whoever waits for a decision was first. Each is forgotten after
//! [`decision_timeout`](super::TcpConfig::decision_timeout). No cookies are sent: they would be an answer.

use netloom_base::{DropReason, Instant, SlabId};
use netloom_wire::SeqNumber;
use tracing::debug;

use super::connection::{Context, Notices, Owner};
use super::demux::Slot;
use super::error::TcpError;
use super::id::{Accepted, Outcome, PendingState, TcpListenerId, TcpPending, TcpPendingId, TcpSocketId};
use super::layer::Tcp;
use super::listener::Listener;
use super::reason::{EndReason, ResetCause};
use super::segment::Segment;
use super::syn_cache::{Stage, SynCacheEntry};

impl Tcp {
    /// Keeps a SYN for its listener to decide about. `beyond`: what the connection's numbers must lie beyond.
    pub(super) fn open_pending(
        &mut self,
        now: Instant,
        listener_id: SlabId,
        segment: &Segment<'_>,
        beyond: Option<SeqNumber>,
    ) -> Result<(), DropReason> {
        let has_room = self.listeners.get(listener_id).is_some_and(|listener| !listener.is_pending_full());
        if !has_room || self.half_open.is_full() {
            return Err(DropReason::TcpSynQueueFull);
        }
        let mut opening = self.half_opening(now, listener_id, segment)?;
        if let Some(beyond) = beyond {
            // [9293 MAY-2]
            opening.iss = opening.iss.later_of(beyond);
        }
        let mut entry = SynCacheEntry::new(segment, &opening);
        entry.stage = Stage::Fresh;
        let Ok(id) = self.half_open.insert(entry) else { return Err(DropReason::TcpSynQueueFull) };
        self.demux.insert(&entry.tuple, Slot::HalfOpen(id));
        self.half_open_deadlines.set(id.index(), Some(now + self.config.decision_timeout));
        let Self { listeners, half_open, .. } = self;
        if let Some(listener) = listeners.get_mut(listener_id) {
            listener.add_pending(id, |entry| half_open.get(entry).is_some());
        }
        self.notify_listener(listener_id);
        Ok(())
    }

    /// The next SYN that waits for a decision, each once, oldest first; if there is none, wait for
    /// [`TcpEvent::Acceptable`](super::TcpEvent::Acceptable). Whoever takes it ends it by [`answer`](Self::answer),
    /// [`refuse`](Self::refuse_pending) or [`ignore`](Self::ignore_pending).
    pub fn next_pending(&mut self, listener: TcpListenerId) -> Option<TcpPending> {
        let Self { listeners, half_open, .. } = self;
        let waiting = listeners.get_mut(listener.0)?;
        while let Some(id) = waiting.fresh.pop_front() {
            // One whose peer gave up, or waited too long, is gone by now.
            let Some(entry) = half_open.get_mut(id) else { continue };
            entry.stage = Stage::Undecided;
            let tuple = entry.tuple;
            if !waiting.fresh.is_empty() {
                self.notify_listener(listener.0);
            }
            return Some(TcpPending { id: TcpPendingId(id), local: tuple.local(), remote: tuple.remote() });
        }
        None
    }

    fn undecided(&self, id: TcpPendingId) -> Option<SynCacheEntry> {
        self.half_open.get(id.0).filter(|entry| entry.stage == Stage::Undecided).copied()
    }

    /// Answers the SYN. Drain `poll_transmit` to send the SYN-ACK; [`TcpEvent::Decided`](super::TcpEvent::Decided) says when
    /// [`pending_state`](Self::pending_state) is worth a look again.
    ///
    /// # Errors
    /// `TimedOut` if nobody decided in time, `ConnectionAborted` if the listener is gone, `ConnectionReset` if the peer gave
    /// up: there is nothing to answer any more.
    pub fn answer(&mut self, now: Instant, id: TcpPendingId) -> Result<(), TcpError> {
        let Some(entry) = self.undecided(id) else {
            return Err(match self.outcomes.get(&id.as_u64()) {
                Some(Outcome::Failed(error)) => *error,
                Some(Outcome::Established(_)) | None => TcpError::ConnectionAborted,
            });
        };
        if self.listeners.get(entry.listener).is_none() {
            return Err(TcpError::ConnectionAborted);
        }
        if self.listeners.get(entry.listener).is_some_and(Listener::is_half_open_full) {
            // Those that were answered and never finished make room, as with any listener.
            let _ = self.make_room(entry.listener);
        }
        // It is sent now, not when the SYN came: the clock has gone on.
        let iss = self.isn.sequence(now, &entry.tuple).later_of(entry.iss);
        let Self { listeners, half_open, .. } = self;
        if let Some(entry) = half_open.get_mut(id.0) {
            (entry.stage, entry.iss) = (Stage::Awaited, iss);
        }
        if let Some(listener) = listeners.get_mut(entry.listener) {
            listener.remove_pending();
            listener.add_half_open(id.0, |entry| half_open.get(entry).is_some());
        }
        self.half_open_deadlines.set(id.0.index(), None);
        self.queue_syn_ack(id.0, None);
        Ok(())
    }

    /// Refuses the SYN by a reset, as if nobody listened, and gives the id back. Nothing, if it is decided already.
    pub fn refuse_pending(&mut self, now: Instant, id: TcpPendingId) {
        let Some(entry) = self.undecided(id) else {
            return self.forget_pending(now, id);
        };
        let reset = entry.refusal();
        let Self { config, counters, memory, buffers, offer, replies, .. } = self;
        Context { now, config, counters, memory, buffers, offer, replies }.refuse(ResetCause::Refused, reset);
        self.remove_half_open(id.0);
    }

    /// Forgets the SYN without a word, and gives the id back: its peer tries again, and is then asked about again.
    pub fn ignore_pending(&mut self, now: Instant, id: TcpPendingId) {
        self.forget_pending(now, id);
    }

    /// Gives an id back, whatever it came to: a handshake that was answered is broken off, and a connection that it made
    /// is reset.
    pub fn forget_pending(&mut self, now: Instant, id: TcpPendingId) {
        self.end_half_open(id.0, EndReason::Aborted);
        if let Some(Outcome::Established(connection)) = self.outcomes.remove(&id.as_u64()) {
            self.with_connection(now, connection, |connection, cx| {
                connection.owner = Owner::Nobody;
                connection.abort(cx, EndReason::Aborted);
                connection.receiver.release();
            });
        }
    }

    /// Where the handshake stands. A connection is handed out once, and the id is void then, as it is after a failure.
    pub fn pending_state(&mut self, id: TcpPendingId) -> PendingState {
        if self.half_open.get(id.0).is_some() {
            return PendingState::Waiting;
        }
        match self.outcomes.remove(&id.as_u64()) {
            None => PendingState::Failed(TcpError::ConnectionAborted),
            Some(Outcome::Failed(error)) => PendingState::Failed(error),
            Some(Outcome::Established(id)) => {
                let Some(connection) = self.connections.get_mut(id) else {
                    return PendingState::Failed(TcpError::ConnectionAborted);
                };
                connection.owner = Owner::User;
                connection.notices.take(Notices::CONNECTED);
                let tuple = connection.tuple;
                self.queue_notices(id);
                let accepted = Accepted { id: TcpSocketId(id), local: tuple.local(), remote: tuple.remote() };
                PendingState::Established(accepted)
            }
        }
    }

    /// Tells whoever waits for a handshake what it came to.
    pub(super) fn conclude(&mut self, id: SlabId, outcome: Outcome) {
        let id = TcpPendingId(id);
        self.outcomes.insert(id.as_u64(), outcome);
        self.pending_events.push_back(id);
    }

    /// Ends a handshake that came to nothing, and tells whoever waits for it.
    pub(super) fn fail_half_open(&mut self, id: SlabId, reason: EndReason) {
        let Some(entry) = self.end_half_open(id, reason) else { return };
        match entry.stage {
            // Nobody has been told of it.
            Stage::Answered | Stage::Fresh => {}
            Stage::Undecided | Stage::Awaited => {
                let error = TcpError::of(reason, None).unwrap_or(TcpError::ConnectionAborted);
                self.conclude(id, Outcome::Failed(error));
            }
        }
    }

    /// Forgets a handshake that came to nothing.
    fn end_half_open(&mut self, id: SlabId, reason: EndReason) -> Option<SynCacheEntry> {
        let entry = self.remove_half_open(id)?;
        debug!(tuple = %entry.tuple, %reason, "over");
        self.counters.count_end(reason);
        Some(entry)
    }
}
