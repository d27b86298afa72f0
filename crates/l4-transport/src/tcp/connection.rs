//! A connection from SYN-SENT to LAST-ACK: the transmission control block, as a record of small parts.
//!
//! Its behaviour stands in files of their own: `input.rs` and `syn_sent.rs` (what a segment does to it), `ack.rs`,
//! `text.rs`, `output.rs` (what it sends), `timeouts.rs`.

use netloom_base::{BufferPool, Instant, SlabId};
use netloom_wire::{SeqNumber, TcpOptions, TcpTimestamps};
use std::collections::VecDeque;
use tracing::{debug, error, trace};

use super::config::{SocketOptions, TcpConfig};
use super::congestion::{CongestionControl, initial_window};
use super::counters::TcpCounters;
use super::ecn::EcnState;
use super::error::TcpError;
use super::fast_open::FastOpen;
use super::id::PathAdvice;
use super::isn::timestamp;
use super::loss_probe::LossProbe;
use super::memory::Memory;
use super::negotiation::{Negotiated, effective_mss};
use super::pacing::{PacedWindow, Pacer};
use super::path_search::PathSearch;
use super::rack::Rack;
use super::reason::{ChallengeCause, EndReason, ResetCause, SendBlockedBy};
use super::receiver::{AckDue, Receiver};
use super::recovery::Recovery;
use super::rtt::RttEstimator;
use super::segment::Reply;
use super::sender::Sender;
use super::settings::Settings;
use super::state::{Input, State, next};
use super::statistics::{Conditions, Statistics, Totals};
use super::timers::{Timer, Timers};
use super::tuple::FourTuple;
use crate::offer::FrameOffer;

/// Who began a connection. [9293 MUST-11]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// A user here.
    Active,
    /// The peer, through a listener.
    Passive,
}

/// Who holds a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// It waits in this listener's accept queue.
    Listener(SlabId),
    /// A user.
    User,
    /// Nobody: the user has closed it, and it lives until it is done.
    Nobody,
}

/// What a user should look at; a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Notices(u8);

impl Notices {
    pub(super) const CONNECTED: Self = Self(1);
    pub(super) const READABLE: Self = Self(2);
    pub(super) const WRITABLE: Self = Self(4);
    pub(super) const REPORT: Self = Self(8);
    pub(super) const CLOSED: Self = Self(16);

    pub(super) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Takes `other` out; whether it was in.
    pub(super) fn take(&mut self, other: Self) -> bool {
        let was_in = self.0 & other.0 != 0;
        self.0 &= !other.0;
        was_in
    }
}

/// What a connection owes the wire beside data and acknowledgments; a set of flags that `output.rs` works off.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Dues {
    /// A SYN or SYN-ACK.
    pub(super) syn: bool,
    /// A reset, after which nothing more comes, and why.
    pub(super) reset: Option<ResetCause>,
    /// A probe of the peer's window.
    pub(super) window_probe: bool,
    /// A tail loss probe.
    pub(super) loss_probe: bool,
    /// A keep-alive probe.
    pub(super) keepalive: bool,
    /// What was held back for more: it goes now, full segment or not.
    pub(super) rest: bool,
}

/// How a connection is known to the layer's tables.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Membership {
    /// The demux leads to it.
    pub(super) in_demux: bool,
    /// It is in the queue of those that may have something to send.
    pub(super) in_ready: bool,
    /// It is in the queue of those with notices.
    pub(super) in_events: bool,
    /// Something happened after which it may have something to send.
    pub(super) wants_output: bool,
    /// An acknowledgment is due that may ride on an answer.
    pub(super) wants_answer: bool,
    /// Text may wait for the end of the round, and is not remembered yet.
    pub(super) wants_cork: bool,
    /// It is among those of which text waits for the end of the round.
    pub(super) is_corked: bool,
}

/// How often something happened in a row, for limits.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Attempts {
    /// SYNs sent again.
    pub(super) syn: u8,
    /// Timeouts without progress.
    pub(super) timeout: u8,
    /// Window probes without an answer.
    pub(super) unanswered_probe: u8,
    /// Window probes since the window shut.
    pub(super) probe: u8,
    /// Keep-alive probes without an answer.
    pub(super) keepalive: u8,
    /// Challenge acknowledgments since `challenge_since`.
    pub(super) challenge: u8,
}

/// News for the neighbour cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Advice {
    /// Nothing new.
    None,
    /// Retransmissions have passed R1. [9293 MUST-20]
    Suspect,
    /// The peer has acknowledged something new.
    Confirmed,
}

/// What a connection's rules need besides the connection.
#[derive(Debug)]
pub(super) struct Context<'a> {
    pub(super) now: Instant,
    pub(super) config: &'a TcpConfig,
    pub(super) counters: &'a mut TcpCounters,
    pub(super) memory: &'a Memory,
    pub(super) buffers: &'a mut BufferPool,
    pub(super) offer: &'a mut FrameOffer,
    pub(super) replies: &'a mut VecDeque<Reply>,
}

impl Context<'_> {
    /// Queues an answer beside the stream; whether there was room.
    pub(super) fn reply(&mut self, reply: Reply) -> bool {
        let has_room = self.replies.len() < self.config.max_replies;
        if has_room {
            self.replies.push_back(reply);
        } else {
            trace!(tuple = %reply.tuple, flags = %reply.header.flags, "reply dropped");
            self.counters.replies_dropped.increment();
        }
        has_room
    }

    /// Queues a reset that answers a segment and ends nothing here.
    pub(super) fn refuse(&mut self, cause: ResetCause, reset: Reply) {
        if self.reply(reset) {
            trace!(tuple = %reset.tuple, %cause, "reset");
            self.counters.count_reset(cause);
        }
    }

    /// A challenge is kept back by a limit.
    pub(super) fn note_challenge_limited(&mut self, tuple: FourTuple, cause: ChallengeCause) {
        trace!(%tuple, %cause, "challenge limited");
        self.counters.challenge_acks_limited.increment();
    }

    /// Queues a challenge of something that is no `Connection`.
    pub(super) fn challenge(&mut self, cause: ChallengeCause, acknowledgment: Reply) {
        if self.reply(acknowledgment) {
            trace!(tuple = %acknowledgment.tuple, %cause, "challenge");
            self.counters.count_challenge(cause);
        }
    }
}

/// One connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) tuple: FourTuple,
    pub(super) state: State,
    pub(super) origin: Origin,
    pub(super) owner: Owner,
    pub(super) settings: Settings,
    pub(super) negotiated: Negotiated,
    pub(super) mtu: u16,
    /// Whether as much as a segment of this size has arrived.
    pub(super) carries_mtu: bool,
    pub(super) peer_mss: u16,
    /// Exists once the path takes less than the interface.
    pub(super) path_search: Option<Box<PathSearch>>,
    pub(super) ts_offset: u32,
    pub(super) sender: Sender,
    pub(super) receiver: Receiver,
    pub(super) recovery: Recovery,
    pub(super) rack: Rack,
    pub(super) loss_probe: LossProbe,
    pub(super) congestion: CongestionControl,
    pub(super) pacer: Pacer,
    pub(super) rtt: RttEstimator,
    pub(super) timers: Timers,
    pub(super) ecn: EcnState,
    pub(super) dues: Dues,
    pub(super) membership: Membership,
    pub(super) attempts: Attempts,
    pub(super) totals: Totals,
    /// What has been true since they were last added up.
    pub(super) conditions: Conditions,
    /// How often a timeout began to repair what was lost.
    pub(super) timeout_recoveries: u16,
    pub(super) statistics: Option<Box<Statistics>>,
    /// Exists if it takes part.
    pub(super) fast_open: Option<Box<FastOpen>>,
    pub(super) notices: Notices,
    pub(super) blocked_by: SendBlockedBy,
    pub(super) end_reason: Option<EndReason>,
    pub(super) soft_error: Option<TcpError>,
    /// Whether the user wants no more to read.
    pub(super) is_read_shut: bool,
    pub(super) advice: Advice,
    pub(super) confirmed_at: Instant,
    pub(super) last_heard: Instant,
    pub(super) challenge_since: Instant,
    pub(super) out_of_window_ack_at: Option<Instant>,
    pub(super) opened_at: Instant,
    /// Bytes of its buffers, as the stack has counted them.
    pub(super) accounted: usize,
}

/// What a connection begins with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opening {
    pub(super) tuple: FourTuple,
    pub(super) iss: SeqNumber,
    pub(super) mtu: u16,
    pub(super) advertised_mss: u16,
    pub(super) ts_offset: u32,
    pub(super) options: SocketOptions,
}

/// The buffers that a socket gets, in bytes: for sending, for receiving.
pub(super) fn buffer_limits(config: &TcpConfig, options: &SocketOptions) -> (u32, u32) {
    let bounded = |limit: usize| u32::try_from(limit).unwrap_or(u32::MAX).clamp(2048, 1 << 30);
    let wanted = |asked: Option<u32>, default: usize| bounded(asked.map_or(default, |asked| asked as usize));
    (wanted(options.send_buffer, config.send_buffer), wanted(options.receive_buffer, config.receive_buffer))
}

/// The window that a socket begins with which gets a buffer of `receive_limit` bytes.
pub(super) fn first_window(config: &TcpConfig, options: &SocketOptions, receive_limit: u32) -> u32 {
    match options.receive_buffer {
        Some(_) => receive_limit,
        None => u32::try_from(config.first_window).unwrap_or(u32::MAX).clamp(2048, receive_limit),
    }
}

impl Connection {
    /// A connection in CLOSED.
    pub(super) fn new(
        now: Instant,
        config: &TcpConfig,
        opening: &Opening,
        origin: Origin,
        owner: Owner,
    ) -> Self {
        let Opening { tuple, iss, mtu, advertised_mss, ts_offset, options } = *opening;
        let (send_limit, receive_limit) = buffer_limits(config, &options);
        let negotiated = Negotiated::default();
        let mss = effective_mss(u16::MAX, mtu, tuple.remote_address, negotiated);
        Self {
            tuple,
            state: State::Closed,
            origin,
            owner,
            settings: Settings::new(&options),
            negotiated,
            mtu,
            carries_mtu: false,
            peer_mss: u16::MAX,
            path_search: None,
            ts_offset,
            sender: Sender::new(iss, send_limit, options.send_buffer.is_some(), mss),
            receiver: Receiver::new(
                receive_limit,
                first_window(config, &options, receive_limit),
                advertised_mss,
            ),
            recovery: Recovery::new(iss),
            rack: Rack::new(iss),
            loss_probe: LossProbe::new(),
            congestion: CongestionControl::new(options.congestion.unwrap_or(config.congestion), mss),
            pacer: Pacer::new(initial_window(mss)),
            rtt: RttEstimator::new(),
            timers: Timers::new(),
            ecn: EcnState::new(iss),
            dues: Dues::default(),
            membership: Membership::default(),
            attempts: Attempts::default(),
            totals: Totals::default(),
            conditions: Conditions::NONE,
            timeout_recoveries: 0,
            statistics: None,
            fast_open: None,
            notices: Notices::default(),
            blocked_by: SendBlockedBy::Handshake,
            end_reason: None,
            soft_error: None,
            is_read_shut: false,
            advice: Advice::None,
            confirmed_at: Instant::ZERO,
            last_heard: now,
            challenge_since: now,
            out_of_window_ack_at: None,
            opened_at: now,
            accounted: 0,
        }
    }

    /// The only writer of `state`. An input without a rule is a mistake of ours: it is reported, and changes nothing.
    pub(super) fn transition(&mut self, input: Input, cause: &'static str) {
        match next(self.state, input) {
            Ok(state) => {
                debug!(tuple = %self.tuple, from = %self.state, to = %state, ?input, cause, "state");
                self.state = state;
            }
            Err(invalid) => {
                error!(tuple = %self.tuple, %invalid, cause, "no such transition");
                debug_assert!(false, "{invalid} ({cause})");
            }
        }
    }

    /// Ends the connection for `reason`: nothing will be sent or received any more. What was received stays readable.
    pub(super) fn end(&mut self, cx: &mut Context<'_>, input: Input, reason: EndReason) {
        self.transition(input, reason.name());
        self.note_end(cx, reason);
    }

    /// The same in LAST-ACK and TIME-WAIT, where it ends in order.
    pub(super) fn note_end(&mut self, cx: &mut Context<'_>, reason: EndReason) {
        debug!(tuple = %self.tuple, %reason, "over");
        cx.counters.count_end(reason);
        self.end_reason = Some(reason);
        self.timers.clear_all();
        self.sender.release();
        self.path_search = None;
        self.receiver.forget_disorder();
        self.dues = Dues { reset: self.dues.reset, ..Dues::default() };
        self.notices.add(Notices::CLOSED);
        self.notices.add(Notices::READABLE);
        self.notices.add(Notices::WRITABLE);
    }

    /// Ends the connection and tells the peer by a reset, where the peer knows of it. [9293 SHLD-3]
    pub(super) fn abort(&mut self, cx: &mut Context<'_>, reason: EndReason) {
        if self.state == State::Closed || self.state == State::TimeWait {
            return;
        }
        // Where both ends have said all there is no need to, but a FIN that still waits will never come, and text that
        // nobody read is lost.
        let has_said_all = self.sender.is_fin_sent() && reason != EndReason::ClosedUnread;
        let is_due = self.state.abort_sends_reset() || (self.state.is_synchronized() && !has_said_all);
        self.dues.reset = ResetCause::of(reason).filter(|_| is_due);
        self.membership.wants_output = true;
        self.end(cx, Input::Abort, reason);
    }

    /// The error that a user is told, if the connection broke.
    pub(super) fn error(&self) -> Option<TcpError> {
        TcpError::of(self.end_reason?, self.soft_error)
    }

    /// Whether nothing will happen on the wire any more.
    pub(super) const fn is_over(&self) -> bool {
        matches!(self.state, State::Closed | State::TimeWait)
    }

    /// Whether a connection that is over has a last word to say.
    pub(super) fn owes_output(&self) -> bool {
        let owes_ack = self.state == State::TimeWait && matches!(self.receiver.ack_due(), AckDue::Now(_));
        self.dues.reset.is_some() || owes_ack
    }

    /// News for the neighbour cache, once.
    pub(super) fn take_advice(&mut self) -> Option<PathAdvice> {
        let remote = self.tuple.remote_address;
        match core::mem::replace(&mut self.advice, Advice::None) {
            Advice::None => None,
            Advice::Suspect => Some(PathAdvice::Suspect { remote }),
            Advice::Confirmed => Some(PathAdvice::Confirmed { remote }),
        }
    }

    /// Bytes that may be in flight now.
    pub(super) fn congestion_window(&self) -> u32 {
        self.recovery.window(&self.congestion)
    }

    /// The pace follows the window and the round trip.
    pub(super) fn update_pace(&mut self, config: &TcpConfig) {
        if !config.pacing {
            return;
        }
        self.pacer.set_window(PacedWindow {
            // Not what a recovery allows at this moment, but where it leads.
            cwnd: self.congestion.window(),
            ssthresh: self.congestion.ssthresh(),
            srtt: self.rtt.srtt(),
        });
    }

    /// Full segments have another size from now on.
    pub(super) fn update_mss(&mut self) {
        let old = self.sender.mss;
        let mss = effective_mss(self.peer_mss, self.mtu, self.tuple.remote_address, self.negotiated);
        self.sender.mss = mss;
        self.carries_mtu &= mss == old;
        if self.state.is_synchronized() {
            self.congestion.on_smss(old, mss);
        }
    }

    /// The handshake has said how large segments are: congestion control begins. [5681-05] [5681-06]
    pub(super) fn start_congestion_control(&mut self) {
        self.update_mss();
        self.congestion = CongestionControl::new(self.congestion.which(), self.sender.mss);
        if self.attempts.syn > 0 {
            self.congestion.on_syn_loss(self.sender.mss);
            self.rtt.after_syn_loss();
        }
    }

    /// Options of a segment that is no SYN. [7323-18] [7323-21] [9293 MUST-65]
    pub(super) fn segment_options(&self, now: Instant) -> TcpOptions {
        let timestamps = self.negotiated.timestamps.then(|| TcpTimestamps {
            value: timestamp(now, self.ts_offset),
            echo_reply: self.receiver.ts_recent(),
        });
        TcpOptions { timestamps, ..TcpOptions::default() }
    }

    /// Keep-alive starts to wait anew: something was heard, or it was switched. [9293 MUST-26]
    pub(super) fn restart_keepalive(&mut self, now: Instant) {
        self.attempts.keepalive = 0;
        match self.settings.keepalive() {
            Some(keepalive) if self.state.is_synchronized() && !self.is_over() => {
                self.timers.set(Timer::Keepalive, now + keepalive.idle);
            }
            Some(_) | None => self.timers.clear(Timer::Keepalive),
        }
    }

    /// The user's patience with unacknowledged data starts anew, or ends with it.
    pub(super) fn restart_user_timeout(&mut self, now: Instant) {
        match self.settings.user_timeout() {
            Some(patience) if self.sender.is_outstanding() || self.sender.unsent_len() > 0 => {
                self.timers.set(Timer::UserTimeout, now + patience);
            }
            Some(_) | None => self.timers.clear(Timer::UserTimeout),
        }
    }

    /// Bytes of memory beside the connection itself.
    pub(super) fn allocated(&self) -> usize {
        self.sender.queue.allocated()
            + self.sender.scoreboard.allocated()
            + self.recovery.allocated()
            + self.receiver.allocated()
    }

    /// What must hold between any two calls.
    pub(super) fn assert_invariants(&self) {
        if !cfg!(debug_assertions) {
            return;
        }
        self.sender.assert_invariants();
        if self.state.is_synchronized() || self.state == State::SynReceived {
            self.receiver.assert_invariants();
        }
        if self.is_over() {
            debug_assert_eq!(self.timers.next(), None, "a connection that is over waits for nothing");
            return;
        }
        let waits = self.timers.is_armed(Timer::Retransmit) || self.timers.is_armed(Timer::Persist);
        debug_assert!(
            waits
                || !self.sender.is_outstanding()
                || self.is_syn_held()
                || self.membership.wants_output
                || self.membership.in_ready,
            "what is outstanding has a timer: {self:?}"
        );
    }
}

const _: () =
    assert!(size_of::<Connection>() <= 792, "an idle connection, all included, costs less than a kilobyte");
