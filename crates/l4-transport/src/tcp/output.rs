//! What a connection sends next: first a decision without side effects ([`Connection::decide`]), then its commitment.
//!
//! One decision is one segment of n full parts and at most one smaller part at the end. Without segmentation in the
//! device n is 1, on the same path.

use core::num::NonZeroU16;
use core::time::Duration;

use netloom_base::Instant;
use netloom_wire::{OptionTail, SeqNumber, TcpFlags, TcpHeader, TcpOptions, ip_header_len};
use tracing::trace;

use super::config::TcpConfig;
use super::congestion::{IdleSample, initial_window};
use super::connection::{Connection, Context, Dues};
use super::ecn;
use super::isn::timestamp;
use super::negotiation::{syn_ack_options, syn_options};
use super::reason::{ProbeCause, RetransmitCause, SendBlockedBy};
use super::receiver::AckDue;
use super::segment::{Draft, Text};
use super::state::State;
use super::timers::Timer;

/// Bytes of a TCP header with all options that fit.
const LONGEST_HEADER_LEN: u32 = 60;

/// How long a cork holds at most: as long as Linux's.
const LONGEST_CORK: Duration = Duration::from_millis(200);

/// What to send: numbers `start .. start + len`, and the FIN behind them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decision {
    pub(super) start: SeqNumber,
    pub(super) len: u32,
    pub(super) fin: bool,
    /// Why, if it was sent before.
    pub(super) cause: Option<RetransmitCause>,
    pub(super) kind: Kind,
}

/// What a segment is sent for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The stream.
    Data,
    /// To make a peer with a shut window speak (RFC 9293 3.8.6.1).
    WindowProbe,
    /// To ask for an acknowledgment that is overdue (RFC 8985 7.3).
    LossProbe,
    /// The stream, in a larger packet than the path is known to take (RFC 4821 7.5).
    MtuProbe,
}

impl Decision {
    /// Whether it waits for its time: what is of the stream does, what asks for a sign does not.
    fn is_paced(&self) -> bool {
        matches!(self.kind, Kind::Data | Kind::MtuProbe) && self.len > 0
    }
}

impl Connection {
    /// The next segment, if there is one: it counts as sent.
    pub(super) fn poll_segment(&mut self, cx: &mut Context<'_>) -> Option<Draft> {
        if let Some(cause) = self.dues.reset.take() {
            trace!(tuple = %self.tuple, %cause, "reset");
            cx.counters.count_reset(cause);
            return Some(self.reset_draft(cx.now));
        }
        match self.state {
            State::Closed | State::Listen => None,
            State::SynSent => self.poll_syn(cx),
            State::SynReceived => {
                self.poll_syn(cx).or_else(|| self.poll_early(cx)).or_else(|| self.poll_ack(cx))
            }
            State::TimeWait => self.poll_ack(cx),
            State::Established
            | State::FinWait1
            | State::FinWait2
            | State::CloseWait
            | State::Closing
            | State::LastAck => {
                if self.is_report_due() {
                    return self.poll_ack(cx);
                }
                if let draft @ Some(_) = self.poll_data(cx) {
                    return draft;
                }
                self.poll_keepalive(cx).or_else(|| self.poll_ack(cx))
            }
        }
    }

    /// Whether anything waits to be sent, be it that a window, the pace or a timer holds it back.
    pub(super) fn has_output(&self) -> bool {
        let Dues { syn, reset, keepalive, window_probe: _, loss_probe: _, rest: _ } = self.dues;
        self.has_data()
            || matches!(self.receiver.ack_due(), AckDue::Now(_))
            || (syn || reset.is_some() || keepalive)
    }

    /// Whether a part of the stream waits to be sent.
    fn has_data(&self) -> bool {
        self.sender.snd_nxt != self.sender.end()
            || self.sender.scoreboard.lost_len() > 0
            || (self.dues.window_probe || self.dues.loss_probe)
    }

    fn header(&self, sequence: SeqNumber, flags: TcpFlags, window: u16, options: TcpOptions) -> TcpHeader {
        TcpHeader {
            source_port: self.tuple.local_port,
            destination_port: self.tuple.remote_port,
            sequence,
            acknowledgment: self.receiver.rcv_nxt,
            flags: self.with_echo(flags),
            window,
            urgent_pointer: 0,
            options,
        }
    }

    fn bare(header: TcpHeader) -> Draft {
        Draft { header, text: Text { offset: 0, len: 0 }, part_len: None, is_ect: false }
    }

    /// [7323-22] [7323-37]
    fn reset_draft(&self, now: Instant) -> Draft {
        let options = self.segment_options(now);
        let sequence = self.sender.acceptable_sequence();
        Self::bare(self.header(sequence, TcpFlags::RST | TcpFlags::ACK, 0, options))
    }

    /// Our SYN, or SYN-ACK.
    fn poll_syn(&mut self, cx: &mut Context<'_>) -> Option<Draft> {
        if !self.dues.syn || self.holds_syn() {
            return None;
        }
        self.dues.syn = false;
        let (now, mss) = (cx.now, self.receiver.advertised_mss);
        let window = self.syn_window_field();
        let mut text = Text { offset: 0, len: 0 };
        let header = if self.state == State::SynSent {
            let mut options = syn_options(cx.config, now, mss, self.receiver.limit(), self.ts_offset);
            text = self.open_fast_with(cx, &mut options);
            let mut flags = self.syn_flags(cx.config);
            if text.len > 0 && self.sender.unsent_len() == 0 {
                flags = flags | TcpFlags::PSH;
            }
            TcpHeader { acknowledgment: SeqNumber(0), ..self.header(self.sender.iss, flags, window, options) }
        } else {
            let mut options =
                syn_ack_options(self.negotiated, now, mss, self.ts_offset, self.receiver.ts_recent());
            if let Some(cookie) = self.offered_cookie() {
                options.tail = OptionTail::FastOpen(cookie);
                cx.counters.fast_open_cookies_sent.increment();
            }
            self.receiver.on_ack_sent(now, false);
            self.header(self.sender.iss, ecn::syn_ack_flags(self.negotiated.ecn), window, options)
        };
        if self.attempts.syn > 0 {
            self.count_retransmit(cx, RetransmitCause::SynTimeout, 1);
        } else if self.state == State::SynReceived && self.has_sent_syn() {
            self.sender.repeat(now, self.sender.iss, self.sender.iss + 1);
            self.count_retransmit(cx, RetransmitCause::SynRepeated, 1);
        } else {
            self.sender.advance(now, self.sender.iss + 1);
        }
        if !self.timers.is_armed(Timer::Retransmit) {
            self.timers.set(Timer::Retransmit, now + self.rtt.rto());
        }
        Some(Draft { text, ..Self::bare(header) })
    }

    /// An acknowledgment alone.
    pub(super) fn poll_ack(&mut self, cx: &mut Context<'_>) -> Option<Draft> {
        let AckDue::Now(_) = self.receiver.ack_due() else { return None };
        let options = self.ack_options(cx, self.sender.mss);
        let window = self.receiver.announce();
        let sequence = self.sender.acceptable_sequence();
        let draft = Self::bare(self.header(sequence, TcpFlags::ACK, window, options));
        self.note_ack_sent(cx.now, false);
        Some(draft)
    }

    fn note_ack_sent(&mut self, now: Instant, carries_text: bool) {
        self.receiver.on_ack_sent(now, carries_text);
        self.timers.clear(Timer::DelayedAck);
    }

    /// A segment that the peer has acknowledged already: it answers. [9293 SHLD-12, MAY-5]
    fn poll_keepalive(&mut self, cx: &mut Context<'_>) -> Option<Draft> {
        if !self.dues.keepalive {
            return None;
        }
        self.dues.keepalive = false;
        self.count_probe(cx, ProbeCause::Idle);
        let options = self.ack_options(cx, self.sender.mss);
        let window = self.receiver.announce();
        self.note_ack_sent(cx.now, false);
        Some(Self::bare(self.header(self.sender.snd_nxt - 1, TcpFlags::ACK, window, options)))
    }

    /// Data, new or again, and the FIN.
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Option<Draft> {
        if !self.has_data() {
            self.note_blocked(cx, self.nothing_left());
            return None;
        }
        self.restart_after_idle(cx.now);
        let pace = self.pacer.poll(cx.now, self.sender.mss);
        match self.decide(cx, pace.unwrap_or(u32::MAX)) {
            Ok(decision) => {
                if decision.is_paced()
                    && let Err(at) = pace
                {
                    self.timers.set(Timer::Pacing, at);
                    self.note_blocked(cx, SendBlockedBy::Pacing);
                    return None;
                }
                self.note_blocked(cx, SendBlockedBy::Nothing);
                let draft = self.commit(cx, decision);
                if !self.has_data() {
                    self.note_blocked(cx, self.nothing_left());
                }
                Some(draft)
            }
            Err(blocked) => {
                if blocked.is_by_congestion() {
                    self.sender.is_window_limited = true;
                }
                if blocked == SendBlockedBy::Cork && !self.timers.is_armed(Timer::Cork) {
                    self.timers.set(Timer::Cork, cx.now + LONGEST_CORK);
                }
                self.membership.wants_cork = blocked == SendBlockedBy::AutoCork && !self.membership.is_corked;
                self.note_blocked(cx, blocked);
                self.dues.window_probe = false;
                self.dues.loss_probe = false;
                self.rearm_send_timers(cx.now);
                None
            }
        }
    }

    /// Its turn would come, but the device takes no frame.
    pub(super) fn note_stall(&mut self, cx: &mut Context<'_>) {
        if self.state.is_synchronized() && self.has_data() && self.decide(cx, u32::MAX).is_ok() {
            self.note_blocked(cx, SendBlockedBy::Device);
        }
    }

    #[inline]
    pub(super) fn note_blocked(&mut self, cx: &mut Context<'_>, blocked: SendBlockedBy) {
        if self.blocked_by != blocked {
            trace!(tuple = %self.tuple, was = %self.blocked_by, now = %blocked, "blocked by");
            self.blocked_by = blocked;
            cx.counters.count_blocked(blocked);
        }
    }

    /// [5681-28]
    fn restart_after_idle(&mut self, now: Instant) {
        if !self.sender.is_outstanding() && self.sender.unsent_len() > 0 {
            if now.saturating_since(self.sender.last_sent_at) > self.rtt.rto() {
                self.pacer.on_idle(initial_window(self.sender.mss));
            }
            self.congestion.on_idle(&IdleSample {
                now,
                last_sent_at: self.sender.last_sent_at,
                rto: self.rtt.rto(),
                smss: self.sender.mss,
            });
        }
    }

    /// The most text of one segment: a full part, or as many as the device cuts.
    fn segment_limit(&self, config: &TcpConfig) -> u32 {
        let mss = self.sender.mss;
        let Some(limit) = config.tx_segmentation.towards(self.tuple.remote_address) else { return mss };
        let headers = u32::from(ip_header_len(self.tuple.remote_address)) + LONGEST_HEADER_LEN;
        let room = limit.min(u16::MAX.into()).saturating_sub(headers);
        // What is urgent points from its own header only.
        if self.sender.urgent_end.is_some() { mss } else { (room / mss).max(1) * mss }
    }

    /// What to send now, at most `allowed` bytes, or why nothing.
    fn decide(&self, cx: &Context<'_>, allowed: u32) -> Result<Decision, SendBlockedBy> {
        let config = cx.config;
        if self.dues.window_probe
            && let Some(probe) = self.decide_probe()
        {
            return Ok(probe);
        }
        if self.dues.loss_probe
            && let Some(probe) = self.decide_loss_probe()
        {
            return Ok(probe);
        }
        if !self.recovery.prefers_new_data()
            && let Some(again) = self.decide_again(config, allowed)?
        {
            return Ok(again);
        }
        if let Some(len) = self.mtu_probe_len(cx) {
            return self.decide_mtu_probe(len);
        }
        self.decide_new(config, allowed)
    }

    /// A larger packet of what is new, of `len` bytes. It waits for a window to fit into, and the rest behind it.
    /// [4821-03]
    fn decide_mtu_probe(&self, len: u32) -> Result<Decision, SendBlockedBy> {
        let room = self.congestion_window().saturating_sub(self.sender.flight_len());
        if self.ecn.is_paused {
            return Err(SendBlockedBy::EcnPause);
        }
        if room < len {
            return Err(SendBlockedBy::MtuProbe);
        }
        Ok(Decision { start: self.sender.snd_nxt, len, fin: false, cause: None, kind: Kind::MtuProbe })
    }

    /// One byte, or the FIN, into a window that is shut; what the window takes, if it is only too small. It is sent
    /// even where silly-window avoidance would wait. [9293 MUST-36, MUST-38]
    fn decide_probe(&self) -> Option<Decision> {
        let sender = &self.sender;
        let (start, cause) = if sender.is_outstanding() {
            (sender.snd_una, Some(RetransmitCause::WindowProbe))
        } else {
            (sender.snd_nxt, None)
        };
        let room = sender.window_from(start).clamp(1, sender.mss);
        let len = start.distance_to(sender.data_end()).min(room);
        let fin = len == 0 && sender.has_fin;
        (len > 0 || fin).then_some(Decision { start, len, fin, cause, kind: Kind::WindowProbe })
    }

    /// A segment that was never sent, if the peer's window takes it; else the last that may not have arrived. [8985-23]
    /// [8985-24]
    fn decide_loss_probe(&self) -> Option<Decision> {
        let sender = &self.sender;
        let kind = Kind::LossProbe;
        let start = sender.snd_nxt;
        let len = sender.unsent_len().min(sender.mss);
        if len > 0 && sender.window_from(start) >= len {
            let fin = sender.has_fin && len == sender.unsent_len() && sender.window_from(start) > len;
            return Some(Decision { start, len, fin, cause: None, kind });
        }
        let (start, end) = sender.scoreboard.last_part(sender.mss)?;
        let len = start.distance_to(end.earlier_of(sender.data_end()));
        Some(Decision {
            start,
            len,
            fin: end.after(sender.data_end()),
            cause: Some(RetransmitCause::LossProbe),
            kind,
        })
    }

    /// What was lost, and what is new behind it as far as the last segment has room. [9293 SHLD-16]: only as far as the
    /// window goes now. [5681-01]
    fn decide_again(&self, config: &TcpConfig, allowed: u32) -> Result<Option<Decision>, SendBlockedBy> {
        let sender = &self.sender;
        let limit = self.segment_limit(config).min(allowed);
        let Some(lost) = sender.scoreboard.next_lost(limit) else { return Ok(None) };
        let window = sender.window_from(lost.start);
        if window == 0 {
            return Err(SendBlockedBy::ReceiveWindow);
        }
        let flight_len = sender.flight_len();
        let room = if self.recovery.is_forced || flight_len == 0 {
            sender.mss
        } else {
            self.congestion_window().saturating_sub(flight_len)
        };
        let until =
            if lost.end == sender.snd_nxt { lost.end.later_of(lost.start + sender.mss) } else { lost.end };
        let wanted = lost.start.distance_to(until.earlier_of(sender.data_end()));
        let most = wanted.min(window).min(limit);
        // [8985-31]
        if room < most.min(sender.mss) {
            return Err(SendBlockedBy::CongestionWindow);
        }
        let len = most.min(room.max(sender.mss) / sender.mss * sender.mss);
        let reaches_end = lost.start + len == sender.data_end();
        let fin = sender.has_fin && reaches_end && until.after(sender.data_end()) && window > len;
        if len == 0 && !fin {
            return Ok(None);
        }
        Ok(Some(Decision { start: lost.start, len, fin, cause: Some(lost.cause), kind: Kind::Data }))
    }

    /// What was never sent. [5681-01] [7323-16] [9293 SHLD-15, SHLD-28]
    fn decide_new(&self, config: &TcpConfig, allowed: u32) -> Result<Decision, SendBlockedBy> {
        let sender = &self.sender;
        let available = sender.unsent_len();
        let fin_waits = sender.has_fin && !sender.is_fin_sent();
        if available == 0 && !fin_waits {
            return Err(self.nothing_left());
        }
        if self.ecn.is_paused {
            return Err(SendBlockedBy::EcnPause);
        }
        let window = sender.window_from(sender.snd_nxt);
        let room = self.congestion_window().saturating_sub(sender.flight_len());
        let (usable, blocked) = if window <= room {
            (window, SendBlockedBy::ReceiveWindow)
        } else {
            (room, SendBlockedBy::CongestionWindow)
        };
        let (mss, limit) = (sender.mss, self.segment_limit(config));
        let most = available.min(usable).min(limit).min(allowed);
        if limit > mss
            && most == available
            && available < limit
            && let Some(waits_for) = sender.filler(limit)
        {
            return Err(waits_for);
        }
        let full = most / mss * mss;
        let len = if most == available {
            // The small part at the end, if there is one, is the last that there is to send.
            if most == full || self.holder().is_none() { most } else { full }
        } else if full > 0 {
            full
        } else if window < mss && window <= room && most > 0 && most >= sender.max_snd_wnd / 2 {
            // [9293 MUST-38] [1122-T063]: half of the largest window seen is worth a segment.
            most
        } else {
            0
        };
        // The FIN takes a number of the window, but nothing of the congestion window.
        let fin = fin_waits && len == available && window > len;
        if len == 0 && !fin {
            let held = available <= usable && available > 0;
            return Err(self.holder().filter(|_| held).unwrap_or(blocked));
        }
        Ok(Decision { start: sender.snd_nxt, len, fin, cause: None, kind: Kind::Data })
    }

    /// Why nothing is sent when there is nothing.
    const fn nothing_left(&self) -> SendBlockedBy {
        if self.sender.has_fin { SendBlockedBy::Finished } else { SendBlockedBy::Application }
    }

    /// What a segment that is not full waits for, if it waits.
    pub(super) fn holder(&self) -> Option<SendBlockedBy> {
        if self.dues.rest || self.sender.has_fin || self.sender.urgent_end.is_some() {
            return None;
        }
        if self.settings.cork {
            return Some(SendBlockedBy::Cork);
        }
        self.nagle_holds().then_some(SendBlockedBy::Nagle)
    }

    /// Whether a small segment waits: another small one is in flight (RFC 9293 3.7.4, as Minshall's variant has it, which
    /// looks at small segments only, so that the tail of a large write does not wait). [9293 SHLD-7, MUST-17]
    fn nagle_holds(&self) -> bool {
        !self.settings.nodelay && self.sender.small_end.after(self.sender.snd_una)
    }

    /// Makes a decision true: numbers move, timers are armed.
    pub(super) fn commit(&mut self, cx: &mut Context<'_>, decision: Decision) -> Draft {
        let Decision { start, len, fin, cause, kind } = decision;
        let end = start + len + u32::from(fin);
        let mss = self.sender.mss;
        let parts = len.div_ceil(mss).max(1);
        if let Some(cause) = cause {
            self.count_retransmit(cx, cause, parts);
        }
        let old_nxt = self.sender.snd_nxt;
        let new_len = old_nxt.later_of(start).distance_to(start + len);
        cx.counters.bytes_sent.add(new_len.into());
        self.totals.bytes_sent += u64::from(new_len);
        if new_len < len {
            self.statistics().bytes_retransmitted += u64::from(len - new_len);
        }
        if !self.sender.is_outstanding() {
            self.restart_user_timeout_at_send(cx.now);
        }
        if cause.is_none() {
            self.sender.advance(cx.now, end);
        } else {
            self.sender.repeat(cx.now, start, end);
        }
        if len % mss != 0 && kind != Kind::MtuProbe {
            self.sender.small_end = self.sender.small_end.later_of(end);
        }
        self.record(cx.now, decision, old_nxt);
        if cause.is_some() && start == self.sender.snd_una && kind != Kind::WindowProbe {
            // [6298-11]: never again earlier than a timeout from now.
            self.timers.set(Timer::Retransmit, cx.now + self.rtt.rto());
        }
        if self.sender.unsent_len() == 0 {
            self.dues.rest = false;
        }
        if new_len > 0 {
            self.timers.clear(Timer::Cork);
        }
        self.rearm_send_timers(cx.now);
        match kind {
            Kind::Data => self.schedule_loss_probe(cx.now),
            Kind::MtuProbe => {
                self.note_mtu_probe_sent(cx.now, start, end);
                self.count_probe(cx, ProbeCause::PathMtu);
                self.schedule_loss_probe(cx.now);
            }
            Kind::WindowProbe => {
                self.dues.window_probe = false;
                let is_shut = self.sender.snd_wnd == 0;
                self.count_probe(
                    cx,
                    if is_shut { ProbeCause::WindowShut } else { ProbeCause::WindowTooSmall },
                );
            }
            Kind::LossProbe => {
                self.dues.loss_probe = false;
                self.count_probe(cx, ProbeCause::Tail);
                self.loss_probe.on_sent(self.sender.snd_nxt, cause.is_some());
            }
        }
        let mut header = self.data_header(cx, decision);
        let is_new = cause.is_none() && decision.is_paced();
        let is_ect = is_new && self.mark_capable(&mut header);
        self.note_ack_sent(cx.now, len > 0);
        let is_cut = len > mss && kind != Kind::MtuProbe;
        let part_len = if is_cut { u16::try_from(mss).ok().and_then(NonZeroU16::new) } else { None };
        Draft { header, text: Text { offset: self.sender.offset_of(start), len }, part_len, is_ect }
    }

    /// Writes a transmission into the scoreboard and the account of the recovery; SND.NXT was `old_nxt` before it.
    fn record(&mut self, now: Instant, decision: Decision, old_nxt: SeqNumber) {
        let Decision { start, len, fin, cause, kind } = decision;
        let end = start + len + u32::from(fin);
        let old_end = end.earlier_of(old_nxt);
        let part_len = if kind == Kind::MtuProbe { len } else { self.sender.mss };
        let scoreboard = &mut self.sender.scoreboard;
        let is_disordered = scoreboard.sacked_len() > 0 || self.recovery.duplicate_acks > 0;
        if start.before(old_end) {
            match kind {
                Kind::WindowProbe => scoreboard.on_probed(start, old_end),
                Kind::Data | Kind::LossProbe | Kind::MtuProbe => {
                    scoreboard.on_sent_again(now, start, old_end, part_len);
                }
            }
            self.note_sent_again(start, old_end);
        }
        if old_nxt.before(end) {
            self.sender.scoreboard.on_sent(now, old_nxt, end, part_len);
        }
        match kind {
            Kind::Data | Kind::MtuProbe => {
                self.recovery.is_forced = false;
                self.pacer.on_sent(now, len);
                self.recovery.on_sent(end.0.wrapping_sub(start.0), cause.is_none(), is_disordered);
                if cause.is_some() && self.recovery.undo().is_some() {
                    let stamp = timestamp(now, self.ts_offset);
                    self.recovery.episode().undo.on_sent_again(len.div_ceil(self.sender.mss).max(1), stamp);
                }
            }
            Kind::LossProbe => self.account_for_probe(now, decision),
            Kind::WindowProbe => {}
        }
    }

    /// In a recovery a loss probe is one of the segments that what arrives pays for, and may undo it.
    fn account_for_probe(&mut self, now: Instant, decision: Decision) {
        if self.recovery.is_recovering() {
            self.recovery.on_sent(decision.len, false, false);
            if decision.cause.is_some() {
                self.recovery.episode().undo.on_sent_again(1, timestamp(now, self.ts_offset));
            }
        }
    }

    fn restart_user_timeout_at_send(&mut self, now: Instant) {
        if let Some(patience) = self.settings.user_timeout()
            && !self.timers.is_armed(Timer::UserTimeout)
        {
            self.timers.set(Timer::UserTimeout, now + patience);
        }
    }

    fn data_header(&mut self, cx: &mut Context<'_>, decision: Decision) -> TcpHeader {
        let Decision { start, len, fin, .. } = decision;
        let mut flags = TcpFlags::ACK;
        // [9293 MUST-60, MUST-61, SHLD-27]
        if len > 0 && start + len == self.sender.data_end() {
            flags = flags | TcpFlags::PSH;
        }
        if fin {
            flags = flags | TcpFlags::FIN;
        }
        // [9293 MUST-31, MUST-62]
        let urgent = self.sender.urgent_end.map_or(0, |end| start.distance_to(end));
        if urgent > 0 {
            flags = flags | TcpFlags::URG;
        }
        let options = self.ack_options(cx, self.sender.mss.saturating_sub(len));
        let window = self.receiver.announce();
        let header = self.header(start, flags, window, options);
        TcpHeader { urgent_pointer: u16::try_from(urgent).unwrap_or(u16::MAX), ..header }
    }

    fn count_probe(&self, cx: &mut Context<'_>, cause: ProbeCause) {
        trace!(tuple = %self.tuple, %cause, "probe");
        cx.counters.count_probe(cause);
    }

    fn count_retransmit(&mut self, cx: &mut Context<'_>, cause: RetransmitCause, parts: u32) {
        trace!(tuple = %self.tuple, %cause, parts, "sent again");
        cx.counters.count_retransmit(cause, parts.into());
        self.totals.retransmits = self.totals.retransmits.saturating_add(parts);
    }
}
