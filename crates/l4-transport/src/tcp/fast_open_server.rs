//! What a server does in Fast Open: which SYNs open a connection at once, and what those may do before their handshake is done.
//!
//! # Theory of operation
//! A SYN with a good cookie makes a connection in SYN-RECEIVED without a detour over the SYN cache, and has it wait to be
//! accepted with the SYN's data in its queue. Its answers may leave, as far as the initial window goes. Every other SYN is
//! answered as usual: nothing of Fast Open ever refuses one.
//!
//! A SYN-ACK that is lost goes again alone; what was sent behind it is taken for lost and follows when the handshake is
//! done, as Linux has it.
//!
//! # Limits
//! [`ListenOptions::fast_open`](super::ListenOptions::fast_open) connections a listener whose handshake is not done. One that is
//! reset counts for a minute more: resets of those whose addresses an attacker borrows must not make room for more.
//!
//! # Not here
//! A FIN waits for the end of the handshake, and so do the SYNs of listeners that [decide](super::SynAnswer::OnDecision).

use core::time::Duration;

use netloom_base::{DropReason, Instant, SlabId};
use netloom_wire::{FastOpenCookie, SeqNumber};
use tracing::trace;

use super::connection::{Connection, Context};
use super::fast_open::{FastOpen, Role};
use super::fast_open_secret::CookieVerdict;
use super::layer::Tcp;
use super::output::{Decision, Kind};
use super::reason::{EndReason, FastOpenFallback, RetransmitCause, SendBlockedBy};
use super::segment::{Draft, Segment};
use super::state::State;
use super::syn_cache::SynCacheEntry;
use super::timers::Timer;

/// How long a fast connection that was reset before its handshake was done counts as unfinished.
const RESET_PENALTY: Duration = Duration::from_secs(60);

impl Tcp {
    /// The option of a SYN, if its listener takes part. [7413-11]
    pub(super) fn fast_open_option(&self, listener: SlabId, segment: &Segment<'_>) -> Option<FastOpenCookie> {
        let cookie = segment.header.options.fast_open()?;
        self.listeners.get(listener).filter(|it| it.options.fast_open > 0).map(|_| cookie)
    }

    /// Whether a SYN's cookie opens its connection at once: a newer one for the SYN-ACK if it does, why not if it does not.
    pub(super) fn check_fast_open(
        &mut self,
        now: Instant,
        listener: SlabId,
        segment: &Segment<'_>,
        cookie: &FastOpenCookie,
    ) -> Result<Option<FastOpenCookie>, FastOpenFallback> {
        let (local, remote) = (segment.tuple.local_address, segment.tuple.remote_address);
        if cookie.is_request() {
            return Err(FastOpenFallback::CookieAsked);
        }
        // [7413-12]
        if !self.listeners.get_mut(listener).is_some_and(|it| it.has_fast_open_room(now)) {
            return Err(FastOpenFallback::QueueFull);
        }
        if self.connections.is_full() {
            return Err(FastOpenFallback::TableFull);
        }
        match self.fast_open_secret.check(now, local, remote, cookie) {
            CookieVerdict::Current => Ok(None),
            CookieVerdict::Previous => Ok(Some(self.fast_open_secret.make(now, local, remote))),
            CookieVerdict::Bad => Err(FastOpenFallback::BadCookie),
        }
    }

    /// Opens a connection at once. [7413-23]
    pub(super) fn open_fast(
        &mut self,
        now: Instant,
        listener_id: SlabId,
        segment: &Segment<'_>,
        beyond: Option<SeqNumber>,
        offer: Option<FastOpenCookie>,
    ) -> Result<(), DropReason> {
        let mut opening = self.half_opening(now, listener_id, segment)?;
        if let Some(beyond) = beyond {
            // [9293 MAY-2]
            opening.iss = opening.iss.later_of(beyond);
        }
        let mut entry = SynCacheEntry::new(segment, &opening);
        // Its SYN-ACK has not left yet: no round trip is measured from now on.
        entry.is_repeated = true;
        let id = self.admit(now, &entry, None)?;
        if let Some(listener) = self.listeners.get_mut(listener_id) {
            listener.add_fast_open();
        }
        self.counters.fast_opens_received.increment();
        trace!(tuple = %segment.tuple, len = segment.text.len(), "opened fast");
        let role = Role::Server { pending: Some(listener_id), offer };
        self.with_connection(now, id, |connection, cx| {
            connection.fast_open = Some(Box::new(FastOpen::new(role)));
            connection.begin_fast(cx, segment);
        });
        Ok(())
    }

    /// A SYN with Fast Open's option is answered as usual.
    pub(super) fn count_fallback(&mut self, segment: &Segment<'_>, fallback: FastOpenFallback) {
        trace!(tuple = %segment.tuple, %fallback, "not opened fast");
        self.counters.count_fallback(fallback);
    }

    /// The handshake of a connection that a cookie has opened is over, by its end or the connection's. [7413-24]
    pub(super) fn conclude_fast_server(&mut self, now: Instant, id: SlabId) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        let was_reset = connection.end_reason == Some(EndReason::ResetByPeer);
        let Some(Role::Server { pending, offer: _ }) = connection.fast_open.as_mut().map(|it| &mut it.role)
        else {
            return;
        };
        let Some(listener) = pending.take().and_then(|listener| self.listeners.get_mut(listener)) else {
            return;
        };
        if was_reset {
            listener.keep_fast_open_until(now + RESET_PENALTY);
        } else {
            listener.remove_fast_open();
        }
    }
}

impl Connection {
    /// Whether a good cookie has opened it here.
    pub(super) fn is_fast_server(&self) -> bool {
        self.fast_open.as_ref().is_some_and(|it| matches!(it.role, Role::Server { .. }))
    }

    /// Whether what is written may leave, or make a SYN leave, before the handshake is done.
    pub(super) fn may_send_early(&self) -> bool {
        match self.state {
            State::SynSent => self.is_syn_held(),
            State::SynReceived => self.is_fast_server(),
            State::Closed
            | State::Listen
            | State::Established
            | State::FinWait1
            | State::FinWait2
            | State::CloseWait
            | State::Closing
            | State::LastAck
            | State::TimeWait => false,
        }
    }

    /// The SYN's own window and size count already, and its data is the user's.
    fn begin_fast(&mut self, cx: &mut Context<'_>, segment: &Segment<'_>) {
        self.count_received(segment);
        self.set_window(segment);
        self.sender.snd_wl2 = self.sender.iss;
        // [7413-20]
        self.start_congestion_control();
        self.dues.syn = true;
        self.membership.wants_output = true;
        // What there is no room for is not acknowledged, and comes again.
        let _ = self.process_text(cx, segment);
        self.timers.clear(Timer::DelayedAck);
        let has_carried_data = self.receiver.rcv_nxt.after(self.receiver.irs + 1);
        if let Some(fast_open) = &mut self.fast_open {
            fast_open.has_carried_data = has_carried_data;
        }
    }

    /// What goes into the SYN-ACK beside the usual: a newer cookie. One that is sent again has none. [7413-14] [7413-19]
    pub(super) fn offered_cookie(&self) -> Option<FastOpenCookie> {
        match &self.fast_open.as_ref()?.role {
            Role::Server { offer, pending: _ } => offer.filter(|_| self.attempts.syn == 0),
            Role::Client(_) | Role::Bystander => None,
        }
    }

    /// The next segment with text before the handshake is done: what is new, up to the initial window. The SYN takes nothing of
    /// either window.
    #[cold]
    pub(super) fn poll_early(&mut self, cx: &mut Context<'_>) -> Option<Draft> {
        if !self.is_fast_server() || self.attempts.syn > 0 || self.sender.unsent_len() == 0 {
            return None;
        }
        let sender = &self.sender;
        let flight_len = (sender.iss + 1).distance_to(sender.snd_nxt);
        let window = sender.snd_wnd.saturating_sub(flight_len);
        let room = self.congestion_window().saturating_sub(flight_len);
        let most = sender.unsent_len().min(window).min(room).min(sender.mss);
        let blocked = if most < sender.unsent_len().min(sender.mss) {
            // Half a segment would not be worth it: the handshake is over before long.
            Some(if window <= room { SendBlockedBy::ReceiveWindow } else { SendBlockedBy::CongestionWindow })
        } else if most < sender.mss {
            self.holder()
        } else {
            None
        };
        self.note_blocked(cx, blocked.unwrap_or(SendBlockedBy::Nothing));
        if blocked.is_some() {
            return None;
        }
        let start = self.sender.snd_nxt;
        Some(self.commit(cx, Decision { start, len: most, fin: false, cause: None, kind: Kind::Data }))
    }

    /// The window field of a SYN or SYN-ACK. Data of the peer's SYN takes its part of what the first window promises.
    pub(super) fn syn_window_field(&mut self) -> u16 {
        if self.is_fast_server() { self.receiver.announce_in_syn() } else { self.receiver.syn_window_field() }
    }

    /// Whether our SYN has left: a passive connection's may have done so before it was one.
    pub(super) fn has_sent_syn(&self) -> bool {
        !self.is_fast_server() || self.timers.is_armed(Timer::Retransmit)
    }

    /// The SYN-ACK was not acknowledged in time: neither was what followed it, which goes again after the handshake.
    pub(super) fn lose_early(&mut self) {
        if self.is_fast_server() {
            self.sender.scoreboard.lose_where(RetransmitCause::Timeout, |_| true);
        }
    }

    /// The handshake is done: congestion control has begun before, and learns of what the SYN-ACK met.
    pub(super) fn go_on_from_early(&mut self) {
        if self.attempts.syn > 0 {
            self.congestion.on_syn_loss(self.sender.mss);
            self.rtt.after_syn_loss();
        }
    }
}
