//! What a client does in Fast Open: what goes into its SYN, and what it makes of the answer.
//!
//! # Theory of operation
//! With a cookie the user is connected at once, and the SYN waits for what it writes first, for a moment: not for ever, as the
//! server may be the one that speaks first. Without one the SYN asks for it and goes as usual. What the SYN-ACK does
//! not acknowledge of the SYN's data goes with the first acknowledgment. A SYN that goes again has neither data nor option: on
//! that path somebody may not like them.

use core::time::Duration;

use netloom_base::{Instant, SlabId};
use netloom_wire::{FastOpenCookie, OptionTail, TCP_OPTIONS_MAX_LEN, TcpOptions};
use tracing::{debug, trace};

use super::connection::{Connection, Context};
use super::fast_open::{Attempt, FastOpen, Role};
use super::fast_open_cache::{Failure, Known};
use super::layer::Tcp;
use super::negotiation::most_in_syn;
use super::reason::{EndReason, FastOpenFallback, RetransmitCause};
use super::segment::{Segment, Text};
use super::state::State;
use super::timers::Timer;

/// How long a SYN waits for its data: as long as a cork holds, so that a writer that was not scheduled at once is in time.
const LONGEST_WAIT: Duration = Duration::from_millis(200);

/// Timeouts in a row, right after the handshake, that say that the path swallows what follows a SYN with data: as many as Linux
/// waits for.
const BLACK_HOLE_TIMEOUTS: u8 = 2;

impl Tcp {
    /// Does what follows from the end of a handshake in which a connection took part, if it has ended.
    pub(super) fn conclude_fast_open(&mut self, now: Instant, id: SlabId) {
        let Some(connection) = self.connections.get(id) else { return };
        if connection.fast_open.is_some() && !matches!(connection.state, State::SynSent | State::SynReceived)
        {
            self.conclude_fast_server(now, id);
            self.conclude_fast_client(now, id);
        }
    }

    /// Has a connection that is about to begin take part. [7413-13] [7413-17]
    pub(super) fn prepare_fast_open(&mut self, now: Instant, connection: &mut Connection) {
        let (known, fallback) = match self.fast_open_cache.look_up(now, &connection.tuple) {
            Known::Failing => (None, Some(FastOpenFallback::PathFailing)),
            Known::Nothing => (Some((FastOpenCookie::REQUEST, 0)), Some(FastOpenFallback::NoCookie)),
            Known::Cookie(cookie, mss) => (Some((cookie, mss)), None),
        };
        let role = known.map_or(Role::Bystander, |(cookie, mss)| {
            let is_held = !cookie.is_request();
            Role::Client(Attempt { cookie, mss, is_held, data_end: None, learned: None, is_open: true })
        });
        let mut fast_open = FastOpen::new(role);
        if let Some(fallback) = fallback {
            trace!(tuple = %connection.tuple, %fallback, "not opened fast");
            self.counters.count_fallback(fallback);
            fast_open.fallback = Some(fallback);
        }
        connection.fast_open = Some(Box::new(fast_open));
        if connection.is_syn_held() {
            connection.timers.set(Timer::Cork, now + LONGEST_WAIT);
        }
    }

    /// Remembers what came of a client's attempt, once its handshake is over, by its end or the connection's.
    pub(super) fn conclude_fast_client(&mut self, now: Instant, id: SlabId) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        let (tuple, peer_mss, end_reason) = (connection.tuple, connection.peer_mss, connection.end_reason);
        // A SYN that was not sent, for want of a word from the user, has proven nothing.
        let was_sent = connection.sender.last_sent_at > Instant::ZERO;
        let Some(fast_open) = &mut connection.fast_open else { return };
        let Role::Client(attempt) = &mut fast_open.role else { return };
        if !core::mem::take(&mut attempt.is_open) || !was_sent {
            return;
        }
        let is_unanswered = match end_reason {
            Some(EndReason::HandshakeTimeout | EndReason::IcmpRefused | EndReason::UserTimeout) => true,
            Some(_) => return,
            None => false,
        };
        if is_unanswered {
            let fallback = FastOpenFallback::SynLost;
            trace!(%tuple, %fallback, "not opened fast");
            self.counters.count_fallback(fallback);
            fast_open.fallback = Some(fallback);
        }
        let is_black_hole = fast_open.fallback == Some(FastOpenFallback::BlackHole);
        if let Some(cookie) = attempt.learned.filter(|_| !is_black_hole) {
            self.counters.fast_open_cookies_received.increment();
            self.fast_open_cache.learn(&tuple, cookie, peer_mss);
            self.fast_open_cache.on_success(&tuple);
        }
        if fast_open.has_carried_data && !is_black_hole {
            self.counters.fast_opens_sent.increment();
            self.fast_open_cache.on_success(&tuple);
        }
        let failure = match fast_open.fallback {
            None => return,
            Some(FastOpenFallback::SynLost | FastOpenFallback::BlackHole) => Failure::Swallowed,
            Some(FastOpenFallback::NoCookie | FastOpenFallback::DataRefused) if attempt.learned.is_some() => {
                return;
            }
            Some(_) => Failure::Refused,
        };
        let until = self.fast_open_cache.on_failure(now, &tuple, failure);
        debug!(%tuple, ?failure, ?until, "no Fast Open for a while");
    }
}

impl Connection {
    /// A client's attempt.
    pub(super) fn attempt(&mut self) -> Option<&mut Attempt> {
        match &mut self.fast_open.as_mut()?.role {
            Role::Client(attempt) => Some(attempt),
            Role::Server { .. } | Role::Bystander => None,
        }
    }

    /// Whether its user takes it for connected although its SYN is not answered: it has a cookie to show.
    pub(super) fn is_fast_client(&self) -> bool {
        self.fast_open
            .as_ref()
            .is_some_and(|it| matches!(it.role, Role::Client(attempt) if !attempt.cookie.is_request()))
    }

    /// Whether its SYN waits for the user to write something.
    pub(super) fn is_syn_held(&self) -> bool {
        self.state == State::SynSent
            && self
                .fast_open
                .as_ref()
                .is_some_and(|it| matches!(it.role, Role::Client(Attempt { is_held: true, .. })))
    }

    /// Whether our SYN stays here for now. It goes with the first data, without any if there will be none, and when it has
    /// waited long enough.
    pub(super) fn holds_syn(&mut self) -> bool {
        let may_go = self.sender.unsent_len() > 0 || self.sender.has_fin || self.dues.rest;
        if !self.is_syn_held() {
            return false;
        }
        if may_go {
            if let Some(attempt) = self.attempt() {
                attempt.is_held = false;
            }
            self.timers.clear(Timer::Cork);
            self.dues.rest = false;
        }
        !may_go
    }

    /// Puts the cookie, or the request of one, into the first SYN, and says which text goes with it. [7413-14] [7413-15]
    /// [7413-17] [7413-18]
    pub(super) fn open_fast_with(&mut self, cx: &mut Context<'_>, options: &mut TcpOptions) -> Text {
        let nothing = Text { offset: 0, len: 0 };
        let is_again = self.attempts.syn > 0;
        let (mtu, remote, iss) = (self.mtu, self.tuple.remote_address, self.sender.iss);
        let unsent_len = self.sender.unsent_len();
        let Some(attempt) = self.attempt().filter(|_| !is_again) else { return nothing };
        options.tail = OptionTail::FastOpen(attempt.cookie);
        if attempt.cookie.is_request() {
            return nothing;
        }
        let options_len = u16::try_from(options.emitted_len().min(TCP_OPTIONS_MAX_LEN)).unwrap_or(u16::MAX);
        let len = unsent_len.min(most_in_syn(attempt.mss, mtu, remote).saturating_sub(options_len).into());
        if len == 0 {
            return nothing;
        }
        let (start, end) = (iss + 1, iss + 1 + len);
        attempt.data_end = Some(end);
        self.sender.advance(cx.now, start);
        self.sender.advance(cx.now, end);
        self.sender.scoreboard.on_sent(cx.now, start, end, self.sender.mss);
        cx.counters.bytes_sent.add(len.into());
        self.totals.bytes_sent += u64::from(len);
        trace!(tuple = %self.tuple, len, "data in the SYN");
        Text { offset: self.sender.offset_of(start), len }
    }

    /// The handshake is done: what of the SYN's data did not arrive goes again now. [7413-22]
    #[cold]
    pub(super) fn follow_fast_open(&mut self, cx: &mut Context<'_>, segment: &Segment<'_>) {
        let (snd_una, was_repeated, tuple) = (self.sender.snd_una, self.attempts.syn > 0, self.tuple);
        let iss = self.sender.iss;
        let Some(fast_open) = &mut self.fast_open else { return };
        let Role::Client(attempt) = &mut fast_open.role else { return };
        attempt.learned = segment.header.options.fast_open().filter(|cookie| !cookie.is_request());
        let is_unacked = attempt.data_end.is_some_and(|end| snd_una.before(end));
        fast_open.has_carried_data = attempt.data_end.is_some() && snd_una.after(iss + 1);
        // Only SYNs without anything seem to have arrived.
        let is_lost = was_repeated && attempt.learned.is_none() && !fast_open.has_carried_data;
        let fallback = if is_lost {
            Some(FastOpenFallback::SynLost)
        } else if attempt.data_end.is_some() && !fast_open.has_carried_data {
            Some(FastOpenFallback::DataRefused)
        } else {
            None
        };
        if let Some(fallback) = fallback {
            trace!(%tuple, %fallback, "not opened fast");
            cx.counters.count_fallback(fallback);
            fast_open.fallback = Some(fallback);
        }
        if is_unacked {
            self.sender.scoreboard.lose_where(RetransmitCause::FastOpen, |_| true);
            self.membership.wants_output = true;
        }
    }

    /// The timer ran out once more: if nothing at all has arrived since the SYN's data, the path swallows what follows it.
    #[cold]
    pub(super) fn suspect_fast_open(&mut self, cx: &mut Context<'_>) {
        let (timeouts, snd_una, state, tuple) =
            (self.attempts.timeout, self.sender.snd_una, self.state, self.tuple);
        let Some(fast_open) = &mut self.fast_open else { return };
        let Role::Client(attempt) = &mut fast_open.role else { return };
        let is_first_flight = state == State::Established && attempt.data_end == Some(snd_una);
        if fast_open.has_carried_data && is_first_flight && timeouts == BLACK_HOLE_TIMEOUTS {
            let fallback = FastOpenFallback::BlackHole;
            trace!(%tuple, %fallback, "not opened fast");
            cx.counters.count_fallback(fallback);
            fast_open.fallback = Some(fallback);
            attempt.is_open = true;
        }
    }

    /// Whether closing it ends it, as its handshake is not done: its user knows that, unless it was told otherwise and has
    /// written something.
    pub(super) fn ends_by_closing(&self) -> bool {
        self.state == State::SynSent && (!self.is_fast_client() || self.sender.queue.is_empty())
    }
}
