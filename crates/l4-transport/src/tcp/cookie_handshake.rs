//! Handshakes by cookie: a SYN is answered and forgotten, and its acknowledgment is a connection or a forgery.

use netloom_base::{DropReason, Instant, SlabId};
use netloom_wire::{TcpFlags, TcpTimestamps};

use super::config::{EcnMode, SynCookieMode};
use super::connection::{Context, buffer_limits, first_window};
use super::isn::timestamp;
use super::layer::Tcp;
use super::negotiation::{Negotiated, mss_of_mtu, shift_for};
use super::reason::ResetCause;
use super::segment::{Reply, Segment};
use super::syn_cache::{HalfOpening, SynCacheEntry};
use super::syn_cookie::{asked_for, may_return, timestamp_of};

impl Tcp {
    /// Whether a SYN for this listener is answered with a cookie. One that reopens a connection in TIME-WAIT never is:
    /// its numbers must lie beyond the old ones.
    pub(super) fn wants_cookie(&self, is_full: bool, reopens: bool) -> bool {
        !reopens
            && match self.config.syn_cookies {
                SynCookieMode::Off => false,
                SynCookieMode::WhenFull => is_full,
                SynCookieMode::Always => true,
            }
    }

    /// Answers a SYN and keeps nothing of it. What does not fit into a timestamp is not granted, and nothing but the
    /// segment size if there are no timestamps.
    pub(super) fn send_cookie(
        &mut self,
        now: Instant,
        listener_id: SlabId,
        segment: &Segment<'_>,
    ) -> Result<(), DropReason> {
        let mut opening = self.half_opening(now, listener_id, segment)?;
        let Some(listener) = self.listeners.get_mut(listener_id) else {
            return Err(DropReason::TcpNoConnection);
        };
        listener.last_cookie_at = Some(now);
        let HalfOpening { ts_offset, peer_mss, .. } = opening;
        opening.iss = self.cookies.make(now, &segment.tuple, segment.header.sequence, peer_mss);
        if !opening.negotiated.timestamps {
            opening.negotiated = Negotiated::default();
        }
        let mut header = SynCacheEntry::new(segment, &opening).syn_ack(now);
        header.options.timestamps = header.options.timestamps.map(|ours| TcpTimestamps {
            value: timestamp_of(timestamp(now, ts_offset), opening.negotiated),
            ..ours
        });
        let reply = Reply { tuple: segment.tuple, header, traffic_class: opening.traffic_class };
        let Self { config, counters, memory, buffers, offer, replies, .. } = self;
        if !(Context { now, config, counters, memory, buffers, offer, replies }.reply(reply)) {
            return Err(DropReason::TcpSynQueueFull);
        }
        self.counters.syn_cookies_sent.increment();
        Ok(())
    }

    /// An acknowledgment for a listener: of a cookie, or of nothing that was ever sent.
    pub(super) fn deliver_ack_to_listener(
        &mut self,
        now: Instant,
        listener_id: SlabId,
        segment: &Segment<'_>,
    ) -> Result<(), DropReason> {
        // Nothing is reckoned for a listener that has sent no cookie lately.
        let is_expected = self
            .listeners
            .get(listener_id)
            .and_then(|listener| listener.last_cookie_at)
            .is_some_and(|sent_at| may_return(now, sent_at));
        if !is_expected || segment.has(TcpFlags::SYN) {
            self.refuse(now, segment, ResetCause::AckInListen);
            return Err(DropReason::TcpNoConnection);
        }
        let Some(entry) = self.entry_of_cookie(now, listener_id, segment) else {
            self.counters.syn_cookies_refused.increment();
            self.refuse(now, segment, ResetCause::BadAckInHandshake);
            return Err(DropReason::TcpBadCookie);
        };
        let connection = match self.admit(now, &entry, None) {
            Ok(connection) => connection,
            Err(reason) => {
                self.keep_waiting(now, entry);
                return Err(reason);
            }
        };
        self.counters.syn_cookies_accepted.increment();
        let mut segment = *segment;
        if let Some(theirs) = &mut segment.header.options.timestamps {
            // What it echoes was not the time. An echo of the future measures nothing.
            theirs.echo_reply = timestamp(now, entry.ts_offset).wrapping_add(1);
        }
        self.deliver_to_connection(now, connection, &segment)
    }

    /// A handshake that is done and finds no room for its connection waits in the SYN cache, which asks the peer for its
    /// acknowledgment again. If there is no room either, what the peer sends next is another.
    fn keep_waiting(&mut self, now: Instant, entry: SynCacheEntry) {
        let has_room =
            self.listeners.get(entry.listener).is_some_and(|listener| !listener.is_half_open_full());
        if has_room && let Ok(id) = self.insert_half_open(entry) {
            self.half_open_deadlines.set(id.index(), Some(entry.timeout_from(now)));
        }
    }

    /// What a SYN cache would hold of this connection, if the acknowledgment is of a cookie of ours.
    fn entry_of_cookie(
        &self,
        now: Instant,
        listener_id: SlabId,
        segment: &Segment<'_>,
    ) -> Option<SynCacheEntry> {
        let (tuple, irs) = (segment.tuple, segment.header.sequence - 1);
        let iss = segment.header.acknowledgment - 1;
        let peer_mss = self.cookies.check(now, &tuple, irs, iss)?;
        let options = self.listeners.get(listener_id)?.options.socket;
        let (_, receive_limit) = buffer_limits(&self.config, &options);
        let ts_offset = self.isn.timestamp_offset(&tuple);
        let theirs = segment.header.options.timestamps.filter(|_| self.config.timestamps);
        let asked = theirs.and_then(|theirs| asked_for(timestamp(now, ts_offset), theirs.echo_reply));
        let opening = HalfOpening {
            listener: listener_id,
            iss,
            ts_offset,
            negotiated: asked.map_or(Negotiated::default(), |asked| self.granted(asked, receive_limit)),
            peer_mss,
            mss: mss_of_mtu(segment.mtu, tuple.remote_address),
            window: first_window(&self.config, &options, receive_limit),
            traffic_class: options.traffic_class,
        };
        // When the SYN-ACK left is not known: no round trip is measured.
        let mut entry = SynCacheEntry::new(segment, &opening);
        entry.irs = irs;
        entry.is_repeated = true;
        Some(entry)
    }

    /// What we granted of that.
    fn granted(&self, asked: Negotiated, receive_limit: u32) -> Negotiated {
        let window_scaling = asked.window_scaling && self.config.window_scaling;
        Negotiated {
            snd_shift: if window_scaling { asked.snd_shift } else { 0 },
            rcv_shift: if window_scaling { shift_for(receive_limit) } else { 0 },
            window_scaling,
            timestamps: true,
            sack: asked.sack && self.config.sack,
            ecn: asked.ecn && self.config.ecn != EcnMode::Off,
        }
    }
}
