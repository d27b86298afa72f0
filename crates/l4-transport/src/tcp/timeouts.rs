//! What a connection does when one of its timers runs out.

use core::time::Duration;

use netloom_base::Instant;
use tracing::trace;

use super::config::TcpConfig;
use super::connection::{Advice, Connection, Context, Notices, Owner};
use super::reason::{EndReason, ResetCause, RtoCause};
use super::state::{Input, State};
use super::timers::Timer;

/// How long the memory of empty buffers is kept: a busy connection does not allocate, and an idle one holds nothing.
const RELEASE_DELAY: Duration = Duration::from_secs(1);

impl Connection {
    /// Does what is due at `cx.now`.
    pub(super) fn on_timeout(&mut self, cx: &mut Context<'_>) {
        while let Some(timer) = self.timers.pop_due(cx.now) {
            match timer {
                Timer::LossProbe => self.on_loss_probe_timeout(cx),
                Timer::Reorder => self.on_reorder_timeout(cx),
                Timer::Retransmit => self.on_retransmit_timeout(cx),
                Timer::Pacing => self.membership.wants_output = true,
                Timer::Cork => {
                    self.dues.rest = true;
                    self.membership.wants_output = true;
                }
                Timer::Persist => self.on_persist_timeout(cx),
                Timer::DelayedAck => {
                    self.receiver.stop_delaying();
                    self.receiver.ack_policy.on_delay_over(cx.config.delayed_ack, self.rtt.rto());
                    self.membership.wants_output = true;
                }
                Timer::Keepalive => self.on_keepalive_timeout(cx),
                Timer::UserTimeout => self.end(cx, Input::Abort, EndReason::UserTimeout),
                Timer::Lifetime => self.on_lifetime_over(cx),
                Timer::Release => self.on_release_timeout(cx.now),
            }
        }
    }

    /// RFC 6298 5.4 to 5.7: the timer was set when something was sent, so nothing goes again earlier. [6298-11]
    fn on_retransmit_timeout(&mut self, cx: &mut Context<'_>) {
        self.count_timeout(cx);
        self.totals.timeouts = self.totals.timeouts.saturating_add(1);
        self.sender.stop_timing();
        if matches!(self.state, State::SynSent | State::SynReceived) {
            self.on_syn_timeout(cx);
            return;
        }
        // [9293 MUST-20] [1122-T067] [1122-T070]
        if self.attempts.timeout >= cx.config.retries2 {
            self.end(cx, Input::Abort, EndReason::RetransmissionTimeout);
            return;
        }
        let is_first = self.attempts.timeout == 0;
        if is_first {
            self.timeout_recoveries = self.timeout_recoveries.saturating_add(1);
        }
        self.attempts.timeout += 1;
        self.suspect_fast_open(cx);
        self.note_retries(cx.config, self.attempts.timeout);
        // [6298-13] [6298-14] [6298-15] [9293 MUST-19]
        self.lose_on_timeout(cx, is_first);
        self.suspect_black_hole(cx, self.attempts.timeout);
        self.rtt.back_off();
        self.timers.set(Timer::Retransmit, cx.now + self.rtt.rto());
        self.membership.wants_output = true;
    }

    fn count_timeout(&self, cx: &mut Context<'_>) {
        let cause = match self.state {
            State::SynSent => RtoCause::Syn,
            State::SynReceived => RtoCause::SynAck,
            State::Closed
            | State::Listen
            | State::Established
            | State::FinWait1
            | State::FinWait2
            | State::CloseWait
            | State::Closing
            | State::LastAck
            | State::TimeWait => {
                let is_fin_alone = self.sender.has_fin && self.sender.snd_una == self.sender.data_end();
                if is_fin_alone { RtoCause::Fin } else { RtoCause::Data }
            }
        };
        trace!(tuple = %self.tuple, %cause, attempts = self.attempts.timeout, rto = ?self.rtt.rto(), "timeout");
        cx.counters.count_timeout(cause);
    }

    /// [9293 MUST-22, MUST-23] [1122-T053] [1122-T071] [1122-T072]
    fn on_syn_timeout(&mut self, cx: &mut Context<'_>) {
        if self.attempts.syn >= cx.config.syn_retries {
            self.end(cx, Input::Abort, EndReason::HandshakeTimeout);
            return;
        }
        self.attempts.syn += 1;
        self.lose_early();
        self.note_retries(cx.config, self.attempts.syn);
        self.rtt.back_off();
        self.timers.set(Timer::Retransmit, cx.now + self.rtt.rto());
        self.dues.syn = true;
        self.membership.wants_output = true;
    }

    /// At R1 the user and the neighbour cache are told. [9293 MUST-20, SHLD-9, SHLD-10] [1122-T066] [1122-T069]
    fn note_retries(&mut self, config: &TcpConfig, count: u8) {
        if count == config.retries1 {
            self.advice = Advice::Suspect;
            self.notices.add(Notices::REPORT);
        }
    }

    /// The window has been shut, or too small, for one timeout more. [9293 SHLD-29, SHLD-30, MUST-36]
    fn on_persist_timeout(&mut self, cx: &mut Context<'_>) {
        if self.ecn.resume() {
            // The window is open: what waited goes now.
            self.membership.wants_output = true;
            return;
        }
        // [9293 MUST-37, MAY-8]: as long as the peer answers there is no limit.
        if self.attempts.unanswered_probe >= cx.config.retries2 {
            self.end(cx, Input::Abort, EndReason::WindowProbeTimeout);
            return;
        }
        self.attempts.unanswered_probe += 1;
        self.note_retries(cx.config, self.attempts.unanswered_probe);
        self.attempts.probe = self.attempts.probe.saturating_add(1);
        self.dues.window_probe = true;
        self.timers.set(Timer::Persist, cx.now + self.rtt.backed_off(self.attempts.probe));
        self.membership.wants_output = true;
    }

    /// [9293 MUST-24, MUST-26, MUST-27, MUST-29] [1122-T076] [1122-T079]
    fn on_keepalive_timeout(&mut self, cx: &mut Context<'_>) {
        let Some(keepalive) = self.settings.keepalive() else { return };
        if self.sender.is_outstanding() || self.sender.unsent_len() > 0 {
            // It is not idle: the other timers watch over it.
            self.timers.set(Timer::Keepalive, cx.now + keepalive.idle);
            return;
        }
        if self.attempts.keepalive >= keepalive.probes.max(2) {
            self.abort(cx, EndReason::KeepaliveTimeout);
            return;
        }
        self.attempts.keepalive += 1;
        self.dues.keepalive = true;
        self.timers.set(Timer::Keepalive, cx.now + keepalive.interval);
        self.membership.wants_output = true;
    }

    /// Nobody holds the connection, and the peer takes too long.
    fn on_lifetime_over(&mut self, cx: &mut Context<'_>) {
        if self.owner != Owner::Nobody {
            return;
        }
        if self.state == State::FinWait2 {
            self.end(cx, Input::Abort, EndReason::FinWait2Timeout);
        } else if self.sender.snd_wnd > 0 {
            // The peer would take something: R2 says when to give up on it.
            self.timers.set(Timer::Lifetime, cx.now + cx.config.orphan_timeout);
        } else {
            self.dues.reset = ResetCause::of(EndReason::OrphanTimeout);
            self.membership.wants_output = true;
            self.end(cx, Input::Abort, EndReason::OrphanTimeout);
        }
    }

    /// Gives the memory of empty buffers back, unless the connection is busy: then it waits again.
    fn on_release_timeout(&mut self, now: Instant) {
        let last_used = self.last_heard.max(self.sender.last_sent_at);
        if now.saturating_since(last_used) >= RELEASE_DELAY {
            self.sender.queue.release_if_empty();
            self.sender.scoreboard.release_if_empty();
            self.recovery.release();
            self.release_path_search();
            self.receiver.release_if_empty();
            if !self.sender.is_outstanding() {
                self.congestion.release();
            }
        }
    }

    /// Memory of buffers that are empty now is given back when the connection has been idle for a while; at once, if it
    /// is over or memory is short.
    pub(super) fn plan_release(&mut self, now: Instant, is_memory_short: bool) {
        let is_urgent = self.is_over() || is_memory_short;
        if self.timers.is_armed(Timer::Release) && !is_urgent {
            return;
        }
        let (sending, receiving) = (&self.sender.queue, &self.receiver);
        let scoreboard = &self.sender.scoreboard;
        let is_wasteful = (sending.is_empty() && !sending.is_released())
            || (scoreboard.is_empty() && scoreboard.allocated() + self.recovery.allocated() > 0)
            || receiving.is_wasteful();
        if !is_wasteful {
            return;
        }
        if is_urgent {
            self.sender.queue.release_if_empty();
            self.receiver.release_if_empty();
        } else {
            self.timers.set(Timer::Release, now + RELEASE_DELAY);
        }
    }

    /// In FIN-WAIT-2 a connection that nobody holds has limited time.
    pub(super) fn limit_fin_wait2(&mut self, now: Instant, config: &TcpConfig) {
        if self.state == State::FinWait2 && self.owner == Owner::Nobody {
            self.timers.set(Timer::Lifetime, now + config.fin_wait2_timeout);
        } else {
            self.timers.clear(Timer::Lifetime);
        }
    }

    /// Arms whichever of the two timers watches over what is outstanding or waits, and disarms the other. One that runs
    /// already goes on. [6298-12] [9293 MUST-35, MUST-36, SHLD-17]
    pub(super) fn rearm_send_timers(&mut self, now: Instant) {
        if self.is_over() || !self.state.is_synchronized() {
            return;
        }
        let is_outstanding = self.sender.is_outstanding();
        // What is held back has a timer of its own.
        let has_more = self.sender.end().after(self.sender.snd_nxt) && !self.timers.is_armed(Timer::Cork);
        let is_shut = self.sender.snd_wnd == 0;
        if is_outstanding && !is_shut {
            self.timers.clear(Timer::Persist);
            if !self.timers.is_armed(Timer::Retransmit) {
                self.timers.set(Timer::Retransmit, now + self.rtt.rto());
            }
        } else if is_outstanding || has_more {
            self.timers.clear(Timer::Retransmit);
            if !self.timers.is_armed(Timer::Persist) {
                self.timers.set(Timer::Persist, now + self.rtt.backed_off(self.attempts.probe));
            }
        } else {
            self.timers.clear(Timer::Retransmit);
            self.timers.clear(Timer::Persist);
        }
    }
}
