//! Connections that peers begin: from a SYN to the accept queue (RFC 9293 3.10.7.2).

use netloom_base::{DropReason, Instant, SlabId};
use netloom_wire::{SeqNumber, TcpFlags, unspecified_like};

use super::config::{ANY_PORT, SocketOptions, SynAnswer, TcpBind};
use super::connection::{Connection, Opening, Origin, Owner, buffer_limits, first_window};
use super::demux::Slot;
use super::ecn;
use super::id::Outcome;
use super::layer::Tcp;
use super::negotiation::{Negotiated, mss_of_mtu, negotiate, peer_mss};
use super::reason::{EndReason, FastOpenFallback, ResetCause};
use super::segment::Segment;
use super::state::Input;
use super::syn_cache::{HalfOpening, Stage, SynCacheEntry};

impl Tcp {
    /// The listener that a segment is for: of its very port first, then of any; for each of its very address first, then
    /// of any of that version of IP, then of any at all. [9293 MUST-42]
    pub(super) fn listener_for(&self, segment: &Segment<'_>) -> Option<SlabId> {
        let address = segment.tuple.local_address;
        let addresses = [Some(address), Some(unspecified_like(address)), None];
        [segment.tuple.local_port, ANY_PORT].into_iter().find_map(|port| {
            let listener = |address| self.bound.listener(&TcpBind { address, port }, &segment.tuple);
            addresses.into_iter().find_map(listener)
        })
    }

    /// LISTEN, or CLOSED if nobody listens. `beyond`: what the new connection's numbers must lie beyond.
    pub(super) fn deliver_to_listener(
        &mut self,
        now: Instant,
        segment: &Segment<'_>,
        beyond: Option<SeqNumber>,
    ) -> Result<(), DropReason> {
        if segment.has(TcpFlags::RST) {
            return Err(DropReason::TcpNoConnection);
        }
        let Some(id) = self.listener_for(segment) else {
            self.refuse(now, segment, ResetCause::NoListener);
            return Err(DropReason::TcpNoConnection);
        };
        if segment.has(TcpFlags::ACK) {
            return self.deliver_ack_to_listener(now, id, segment);
        }
        if !Self::is_opening(segment) {
            return Err(DropReason::TcpMalformed);
        }
        self.counters.syns_received.increment();
        let Some(listener) = self.listeners.get(id) else { return Err(DropReason::TcpNoConnection) };
        match listener.options.answer {
            SynAnswer::AtOnce => {}
            SynAnswer::OnDecision => return self.open_pending(now, id, segment, beyond),
        }
        if listener.is_accept_queue_full() {
            // The peer tries again, by when the application may have accepted one.
            return Err(DropReason::TcpAcceptQueueFull);
        }
        let is_full = listener.is_half_open_full() || self.half_open.is_full();
        let fast_open = self.fast_open_option(id, segment);
        let wants_cookie = self.wants_cookie(is_full, beyond.is_some());
        if (wants_cookie || is_full) && fast_open.is_some() {
            self.count_fallback(segment, FastOpenFallback::SynFlood);
        }
        if wants_cookie {
            return self.send_cookie(now, id, segment);
        }
        if is_full {
            self.make_room(id)?;
        } else if let Some(cookie) = &fast_open {
            match self.check_fast_open(now, id, segment, cookie) {
                Ok(offer) => return self.open_fast(now, id, segment, beyond, offer),
                Err(fallback) => self.count_fallback(segment, fallback),
            }
        }
        self.open_half(now, id, segment, beyond, fast_open.is_some())
    }

    /// Makes room for a half-open connection of a listener: the oldest of its own goes.
    pub(super) fn make_room(&mut self, id: SlabId) -> Result<(), DropReason> {
        let Self { listeners, half_open, .. } = self;
        let Some(listener) = listeners.get_mut(id) else { return Err(DropReason::TcpNoConnection) };
        let Some(oldest) = listener.oldest_half_open(|entry| half_open.get(entry).is_some()) else {
            return Err(DropReason::TcpSynQueueFull);
        };
        self.counters.half_open_evicted.increment();
        self.fail_half_open(oldest, EndReason::Evicted);
        Ok(())
    }

    fn open_half(
        &mut self,
        now: Instant,
        listener_id: SlabId,
        segment: &Segment<'_>,
        beyond: Option<SeqNumber>,
        offers_cookie: bool,
    ) -> Result<(), DropReason> {
        let mut opening = self.half_opening(now, listener_id, segment)?;
        if let Some(beyond) = beyond {
            // [9293 MAY-2]
            opening.iss = opening.iss.later_of(beyond);
        }
        let mut entry = SynCacheEntry::new(segment, &opening);
        entry.offers_cookie = offers_cookie;
        let id = self.insert_half_open(entry)?;
        self.queue_syn_ack(id, None);
        Ok(())
    }

    /// Keeps a half-open connection.
    pub(super) fn insert_half_open(&mut self, entry: SynCacheEntry) -> Result<SlabId, DropReason> {
        let Ok(id) = self.half_open.insert(entry) else { return Err(DropReason::TcpSynQueueFull) };
        self.demux.insert(&entry.tuple, Slot::HalfOpen(id));
        let Self { listeners, half_open, .. } = self;
        if let Some(listener) = listeners.get_mut(entry.listener) {
            listener.add_half_open(id, |entry| half_open.get(entry).is_some());
        }
        Ok(id)
    }

    /// What a SYN and a listener make.
    pub(super) fn half_opening(
        &self,
        now: Instant,
        listener_id: SlabId,
        segment: &Segment<'_>,
    ) -> Result<HalfOpening, DropReason> {
        let Some(listener) = self.listeners.get(listener_id) else { return Err(DropReason::TcpNoConnection) };
        let options = listener.options.socket;
        let remote = segment.tuple.remote_address;
        let (_, receive_limit) = buffer_limits(&self.config, &options);
        let ecn = ecn::grants(self.config.ecn, segment.header.flags, segment.codepoint);
        Ok(HalfOpening {
            listener: listener_id,
            iss: self.isn.sequence(now, &segment.tuple),
            ts_offset: self.isn.timestamp_offset(&segment.tuple),
            negotiated: Negotiated { ecn, ..negotiate(&self.config, receive_limit, &segment.header.options) },
            peer_mss: peer_mss(&segment.header.options, remote),
            mss: mss_of_mtu(segment.mtu, remote),
            window: first_window(&self.config, &options, receive_limit),
            traffic_class: options.traffic_class,
        })
    }

    /// Turns a half-open connection whose handshake is done into one in SYN-RECEIVED that is about to be established.
    /// Without room it stays: the SYN-ACK, sent again, asks the peer for its acknowledgment once more.
    pub(super) fn promote(&mut self, now: Instant, id: SlabId) -> Result<SlabId, DropReason> {
        let Some(&entry) = self.half_open.get(id) else { return Err(DropReason::TcpNoConnection) };
        self.admit(now, &entry, Some(id))
    }

    /// Makes a connection of a finished handshake, if there is room, and has it wait to be accepted. `half_open`: what
    /// it was until now, and is no more.
    pub(super) fn admit(
        &mut self,
        now: Instant,
        entry: &SynCacheEntry,
        half_open: Option<SlabId>,
    ) -> Result<SlabId, DropReason> {
        let Some(listener) = self.listeners.get(entry.listener) else {
            return Err(DropReason::TcpNoConnection);
        };
        let is_awaited = entry.stage == Stage::Awaited;
        if !is_awaited && listener.is_accept_queue_full() {
            return Err(DropReason::TcpAcceptQueueFull);
        }
        if self.connections.is_full() {
            return Err(DropReason::TcpTableFull);
        }
        let connection = self.connection_from(now, entry, listener.options.socket);
        if let Some(id) = half_open {
            self.remove_half_open(id);
        }
        let Ok(connection) = self.connections.insert(connection) else {
            return Err(DropReason::TcpTableFull);
        };
        self.demux.insert(&entry.tuple, Slot::Connection(connection));
        self.connected_from.add(Some(entry.tuple.local_address), entry.tuple.local_port);
        if let Some(id) = half_open.filter(|_| is_awaited) {
            self.conclude(id, Outcome::Established(connection));
            return Ok(connection);
        }
        if let Some(listener) = self.listeners.get_mut(entry.listener) {
            listener.accept_queue.push_back(connection);
        }
        self.notify_listener(entry.listener);
        Ok(connection)
    }

    fn connection_from(&self, now: Instant, entry: &SynCacheEntry, options: SocketOptions) -> Connection {
        let opening = Opening {
            tuple: entry.tuple,
            iss: entry.iss,
            mtu: entry.mtu,
            advertised_mss: entry.mss,
            ts_offset: entry.ts_offset,
            options,
        };
        let owner = Owner::Listener(entry.listener);
        let mut connection = Connection::new(now, &self.config, &opening, Origin::Passive, owner);
        connection.transition(Input::PassiveOpen, "listener");
        connection.transition(Input::Syn, "handshake");
        connection.negotiated = entry.negotiated;
        connection.peer_mss = entry.peer_mss;
        connection.attempts.syn = entry.retries;
        connection.sender.shift = entry.negotiated.snd_shift;
        let Negotiated { rcv_shift, sack, .. } = entry.negotiated;
        connection.receiver.synchronize(entry.irs, rcv_shift, sack);
        if entry.negotiated.timestamps {
            connection.receiver.set_timestamp(now, entry.ts_recent);
        }
        if entry.retries == 0 && !entry.is_repeated {
            connection.sender.advance(entry.sent_at, entry.iss + 1);
        }
        connection.membership.in_demux = true;
        connection
    }
}
