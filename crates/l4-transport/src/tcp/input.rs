//! What a segment does to a connection: RFC 9293 3.10.7.4, step by step, with RFC 7323's and RFC 5961's checks.
//!
//! Each step either lets the segment pass to the next or says why it goes no further; an answer that the RFC asks for is
//! noted in the connection, and leaves with its next output.

use netloom_base::{DropReason, Instant};
use netloom_wire::{SeqNumber, TcpFlags, TcpHeader};
use tracing::trace;

use super::connection::{Connection, Context, Notices, Origin};
use super::reason::{ChallengeCause, EndReason, ResetCause};
use super::segment::{Reply, Segment};
use super::state::{Input, State};

/// Numbers that a probe of a shut window takes.
const PROBE_LEN: u32 = 1;

impl Connection {
    /// Processes a segment in any state but SYN-SENT.
    pub(super) fn on_segment(
        &mut self,
        cx: &mut Context<'_>,
        segment: &Segment<'_>,
    ) -> Result<(), DropReason> {
        self.count_received(segment);
        // [9293 MUST-58, MUST-59]: what the steps owe is sent only after the caller's whole batch.
        if self.is_old_syn(segment) {
            if self.is_fast_server() && !segment.has(TcpFlags::ACK) {
                // What it carries was taken, or will be asked for by its acknowledgment.
                self.without_syn(segment);
                return Ok(());
            }
            let segment = self.without_syn(segment);
            return self.check_segment(cx, &segment);
        }
        self.check_segment(cx, segment)
    }

    fn check_segment(&mut self, cx: &mut Context<'_>, segment: &Segment<'_>) -> Result<(), DropReason> {
        self.check_timestamp(cx, segment)?;
        self.check_sequence(cx, segment)?;
        if segment.has(TcpFlags::RST) {
            return self.check_rst(cx, segment);
        }
        self.check_syn(cx, segment)?;
        self.note_heard(cx);
        self.check_ack(cx, segment)?;
        self.check_urgent(segment);
        let wants_ack = self.note_marks(cx, segment);
        let result = self.process_text(cx, segment);
        if wants_ack {
            self.receiver.owe_one_ack();
            self.membership.wants_output = true;
        }
        self.check_fin(cx, segment);
        result
    }

    fn is_old_syn(&self, segment: &Segment<'_>) -> bool {
        self.state == State::SynReceived
            && segment.has(TcpFlags::SYN)
            && segment.header.sequence == self.receiver.irs
    }

    /// In SYN-RECEIVED the peer's SYN may come again, alone or with the acknowledgment of ours (RFC 9293 figure 8). It
    /// lies before the window and is cut off, as anything is that was received before; alone it means that our SYN-ACK
    /// was lost. Its ECN bits go with it: in a SYN they ask and grant, and tell of no mark (RFC 3168 6.1.1). Its window is still
    /// a SYN's.
    fn without_syn<'a>(&mut self, segment: &Segment<'a>) -> Segment<'a> {
        if !segment.has(TcpFlags::ACK) {
            self.dues.syn = true;
            self.membership.wants_output = true;
        }
        self.renegotiate_ecn(segment);
        let flags = segment.header.flags.without(TcpFlags::SYN | TcpFlags::ECE | TcpFlags::CWR);
        let header = TcpHeader { flags, sequence: segment.header.sequence + 1, ..segment.header };
        Segment { header, was_syn: true, ..*segment }
    }

    /// RFC 7323 5.3, R1: before the check of the sequence number. [7323-39] [7323-40]
    fn check_timestamp(&mut self, cx: &mut Context<'_>, segment: &Segment<'_>) -> Result<(), DropReason> {
        // [7323-26] [7323-35]
        if !self.negotiated.timestamps || segment.has(TcpFlags::RST) {
            return Ok(());
        }
        match segment.header.options.timestamps {
            Some(theirs) if self.is_too_old(cx.now, segment, theirs.value) => {
                self.answer_out_of_window(cx, segment, ChallengeCause::OldTimestamp);
                Err(DropReason::TcpPaws)
            }
            Some(_) => Ok(()),
            // [7323-24] [7323-25]
            None => Err(DropReason::TcpPaws),
        }
    }

    /// Whether a segment with this stamp is of another time, and not one that has only been overtaken. [7323-38]
    fn is_too_old(&self, now: Instant, segment: &Segment<'_>, stamp: u32) -> bool {
        self.receiver.is_old_timestamp(now, stamp)
            && (segment.has(TcpFlags::SYN)
                || !self.receiver.is_straggler(stamp, segment.header.sequence, segment.end()))
    }

    /// First: is it in the window?
    fn check_sequence(&mut self, cx: &mut Context<'_>, segment: &Segment<'_>) -> Result<(), DropReason> {
        let is_acceptable = if segment.has(TcpFlags::RST) {
            // [9293 MUST-66] [9293-u03] [5961-02]: also if the window is shut, and from behind a probe of it.
            let window = self.receiver.window();
            let numbers = if window == 0 { 1 + PROBE_LEN } else { window };
            segment.header.sequence.is_within(self.receiver.rcv_nxt, numbers)
        } else if segment.has(TcpFlags::SYN) && self.state.is_synchronized() {
            // Answered below, wherever it lies.
            true
        } else {
            self.is_in_window(segment)
        };
        if is_acceptable {
            if let Some(theirs) = segment.header.options.timestamps
                && self.negotiated.timestamps
                && !segment.has(TcpFlags::RST)
            {
                self.receiver.note_timestamp(cx.now, segment.header.sequence, theirs.value);
            }
            return Ok(());
        }
        if !segment.has(TcpFlags::RST) {
            self.answer_out_of_window(cx, segment, ChallengeCause::OutOfWindow);
        }
        Err(DropReason::TcpOutOfWindow)
    }

    /// The four cases of RFC 9293 3.10.7.4, and three allowances. A segment without length may stand at the very edge:
    /// there a peer stands that has filled the window, and its acknowledgments count. So do those of a peer that stands
    /// behind the byte by which it has probed a shut window. A segment with length at RCV.NXT passes a shut window for its
    /// ACK, URG and FIN; its text is cut off later. [9293 MUST-66]
    fn is_in_window(&self, segment: &Segment<'_>) -> bool {
        let (sequence, len) = (segment.header.sequence, segment.sequence_len());
        let (rcv_nxt, window) = (self.receiver.rcv_nxt, self.receiver.window());
        if len == 0 && window == 0 {
            return sequence.is_within(rcv_nxt, 1 + PROBE_LEN);
        }
        if len == 0 || window == 0 {
            return sequence.is_within(rcv_nxt, window + 1);
        }
        sequence.is_within(rcv_nxt, window) || (sequence + (len - 1)).is_within(rcv_nxt, window)
    }

    /// Acknowledges a segment that is not acceptable. One without text is answered only so often, or two ends that
    /// disagree would answer each other for ever.
    fn answer_out_of_window(&mut self, cx: &mut Context<'_>, segment: &Segment<'_>, cause: ChallengeCause) {
        if segment.text.is_empty() && !segment.has(TcpFlags::FIN) {
            let interval = cx.config.out_of_window_ack_interval;
            if self.out_of_window_ack_at.is_some_and(|at| cx.now.saturating_since(at) < interval) {
                cx.note_challenge_limited(self.tuple, cause);
                return;
            }
            self.out_of_window_ack_at = Some(cx.now);
        }
        if !segment.text.is_empty() && self.receiver.holds_back_ack_of(segment.end()) {
            self.receiver.ack_policy.on_impatience(cx.now);
        }
        self.note_duplicate(segment);
        self.owe_challenge(cx, cause);
    }

    /// Second: a reset. [9293 SHLD-2]: with text or without.
    fn check_rst(&mut self, cx: &mut Context<'_>, segment: &Segment<'_>) -> Result<(), DropReason> {
        if segment.header.sequence != self.receiver.rcv_nxt {
            // [9293-u05] [9293-u06] [5961-04] [5961-05]
            self.challenge(cx, ChallengeCause::InexactReset);
            return Err(DropReason::TcpBadReset);
        }
        // [9293-u04] [5961-01] [5961-03] [5961-09] [9293 MUST-12]
        let reason = match self.state {
            State::SynReceived if self.origin == Origin::Active => EndReason::Refused,
            State::Closing | State::LastAck | State::TimeWait => EndReason::Finished,
            State::Closed
            | State::Listen
            | State::SynSent
            | State::SynReceived
            | State::Established
            | State::FinWait1
            | State::FinWait2
            | State::CloseWait => EndReason::ResetByPeer,
        };
        self.end(cx, Input::Reset, reason);
        Ok(())
    }

    /// Fourth: a SYN where none belongs.
    fn check_syn(&mut self, cx: &mut Context<'_>, segment: &Segment<'_>) -> Result<(), DropReason> {
        if segment.has(TcpFlags::SYN) {
            // [9293-u07] [9293-u08] [5961-06] [5961-07] [5961-08]
            self.challenge(cx, ChallengeCause::UnexpectedSyn);
            return Err(DropReason::TcpUnexpectedSyn);
        }
        Ok(())
    }

    /// The peer lives.
    fn note_heard(&mut self, cx: &Context<'_>) {
        self.last_heard = cx.now;
        self.attempts.unanswered_probe = 0;
        if self.settings.keepalive().is_some() {
            self.restart_keepalive(cx.now);
        }
    }

    /// Fifth: the acknowledgment.
    fn check_ack(&mut self, cx: &mut Context<'_>, segment: &Segment<'_>) -> Result<(), DropReason> {
        if !segment.has(TcpFlags::ACK) {
            return Err(DropReason::TcpNoAck);
        }
        let was_opening = self.state == State::SynReceived;
        if was_opening {
            let acknowledgment = segment.header.acknowledgment;
            let is_acceptable =
                acknowledgment.after(self.sender.snd_una) && acknowledgment.at_or_before(self.sender.snd_nxt);
            if !is_acceptable {
                cx.refuse(ResetCause::BadAckInHandshake, self.reset_at(segment.header.acknowledgment));
                return Err(DropReason::TcpBadAck);
            }
            // Their SYN may still wait for its answer: both came in one turn.
            let is_answer_due = self.dues.syn;
            self.establish(cx, segment, Input::AckOfSyn);
            if is_answer_due {
                self.receiver.owe_ack_now(1);
            }
        }
        self.process_ack(cx, segment)?;
        if was_opening {
            self.follow_fast_open(cx, segment);
        }
        self.follow_fin_ack(cx);
        Ok(())
    }

    /// A reset that does not end this connection: it answers a segment that is not of it.
    pub(super) fn reset_at(&self, sequence: SeqNumber) -> Reply {
        let header = TcpHeader {
            source_port: self.tuple.local_port,
            destination_port: self.tuple.remote_port,
            sequence,
            acknowledgment: SeqNumber(0),
            flags: TcpFlags::RST,
            window: 0,
            urgent_pointer: 0,
            options: netloom_wire::TcpOptions::default(),
        };
        Reply { tuple: self.tuple, header, traffic_class: self.settings.traffic_class }
    }

    /// The handshake is done.
    pub(super) fn establish(&mut self, cx: &mut Context<'_>, segment: &Segment<'_>, input: Input) {
        self.transition(input, "handshake done");
        let is_fast = self.is_fast_server();
        if is_fast {
            self.go_on_from_early();
        } else {
            self.start_congestion_control();
        }
        self.dues.syn = false;
        if self.negotiated.ecn {
            cx.counters.ecn_negotiated.increment();
        }
        match self.origin {
            Origin::Active => {}
            Origin::Passive => cx.counters.passive_opens.increment(),
        }
        // The SYN's own window counts until a later segment's does.
        self.set_window(segment);
        if !is_fast {
            self.notices.add(Notices::CONNECTED);
        }
        self.notices.add(Notices::WRITABLE);
        self.restart_keepalive(cx.now);
        self.membership.wants_output = true;
        if self.sender.has_fin {
            // It was closed while the handshake ran.
            self.transition(Input::Close, "closed in handshake");
        }
    }

    /// Our FIN may have been acknowledged.
    fn follow_fin_ack(&mut self, cx: &mut Context<'_>) {
        if !self.sender.is_fin_acked() {
            return;
        }
        match self.state {
            State::FinWait1 => {
                self.transition(Input::AckOfFin, "FIN acknowledged");
                self.limit_fin_wait2(cx.now, cx.config);
            }
            State::Closing => {
                self.transition(Input::AckOfFin, "FIN acknowledged");
                self.note_end(cx, EndReason::Finished);
            }
            State::LastAck => self.end(cx, Input::AckOfFin, EndReason::Finished),
            State::Closed
            | State::Listen
            | State::SynSent
            | State::SynReceived
            | State::Established
            | State::FinWait2
            | State::CloseWait
            | State::TimeWait => {}
        }
    }

    /// An acknowledgment that makes the peer prove that it is the peer; so many an interval. [5961-13] [5961-14]
    pub(super) fn challenge(&mut self, cx: &mut Context<'_>, cause: ChallengeCause) {
        if cx.now.saturating_since(self.challenge_since) >= cx.config.challenge_ack_interval {
            self.challenge_since = cx.now;
            self.attempts.challenge = 0;
        }
        if self.attempts.challenge >= cx.config.challenge_acks {
            cx.note_challenge_limited(self.tuple, cause);
            return;
        }
        self.attempts.challenge += 1;
        self.owe_challenge(cx, cause);
    }

    fn owe_challenge(&mut self, cx: &mut Context<'_>, cause: ChallengeCause) {
        trace!(tuple = %self.tuple, %cause, "challenge");
        cx.counters.count_challenge(cause);
        self.receiver.owe_ack_now(1);
        self.membership.wants_output = true;
    }
}
