//! What a connection that uses explicit congestion notification says and hears: flags, marks, echoes (RFC 3168 6.1).

use netloom_wire::{SeqNumber, TcpFlags, TcpHeader};

use super::config::{EcnMode, TcpConfig};
use super::connection::{Connection, Context};
use super::ecn;
use super::segment::Segment;
use super::state::State;
use super::timers::Timer;

impl Connection {
    /// Flags of our SYN: the first one asks, if it is to. [3168-05]
    pub(super) fn syn_flags(&self, config: &TcpConfig) -> TcpFlags {
        if self.has_asked_for_ecn(config) {
            TcpFlags::SYN | TcpFlags::ECE | TcpFlags::CWR
        } else {
            TcpFlags::SYN
        }
    }

    /// Whether every SYN that was sent asked.
    fn has_asked_for_ecn(&self, config: &TcpConfig) -> bool {
        config.ecn == EcnMode::Request && self.attempts.syn == 0
    }

    /// Whether the SYN or SYN-ACK that answers our SYN makes ECN usable. [3168-03]
    pub(super) fn is_ecn_granted(&self, config: &TcpConfig, segment: &Segment<'_>) -> bool {
        ecn::is_setup(segment.header.flags) && self.has_asked_for_ecn(config)
    }

    /// The peer's SYN came again, in SYN-RECEIVED: alone, or as the SYN-ACK of a peer that opened at the same time. One
    /// that does not take part undoes what was agreed.
    pub(super) fn renegotiate_ecn(&mut self, segment: &Segment<'_>) {
        self.negotiated.ecn &= ecn::is_setup(segment.header.flags);
    }

    /// Flags of a segment that is no SYN, with ECE as long as a mark is to be told of. [3168-01]
    pub(super) fn with_echo(&self, flags: TcpFlags) -> TcpFlags {
        let is_ack = flags.contains(TcpFlags::ACK) && !flags.intersects(TcpFlags::SYN | TcpFlags::RST);
        if self.ecn.has_mark && is_ack { flags | TcpFlags::ECE } else { flags }
    }

    /// Whether text that is sent for the first time is ECN-capable. The first after a reduction says so, and only that.
    /// [3168-03] [3168-09] [3168-13]
    pub(super) fn mark_capable(&mut self, header: &mut TcpHeader) -> bool {
        if !self.negotiated.ecn {
            return false;
        }
        if self.ecn.owes_cwr {
            self.ecn.owes_cwr = false;
            header.flags = header.flags | TcpFlags::CWR;
        }
        true
    }

    /// The receiver's part: takes the mark and the CWR of a segment that lies in the window. Whether its acknowledgment
    /// should not wait: the peer's window depends on it. [3168-01] [3168-12]
    pub(super) fn note_marks(&mut self, cx: &mut Context<'_>, segment: &Segment<'_>) -> bool {
        if !self.negotiated.ecn || segment.sequence_len() == 0 || !self.state.accepts_text() {
            return false;
        }
        let had_mark = self.ecn.has_mark;
        let has_cwr = segment.has(TcpFlags::CWR);
        if has_cwr {
            self.ecn.has_mark = false;
        }
        if segment.codepoint == ecn::CE && !segment.text.is_empty() {
            self.ecn.has_mark = true;
            self.ecn.ce_received = self.ecn.ce_received.saturating_add(segment.count);
            cx.counters.ce_received.add(segment.count.into());
        }
        has_cwr || had_mark != self.ecn.has_mark
    }

    /// The sender's part: whether an acknowledgment tells of a mark. Then it does not open the window. [3168-07]
    pub(super) fn note_echo(&mut self, cx: &mut Context<'_>, segment: &Segment<'_>) -> bool {
        let has_echo = self.has_echo(segment);
        if has_echo {
            self.ecn.ece_received = self.ecn.ece_received.saturating_add(1);
            cx.counters.ece_received.increment();
        }
        has_echo
    }

    fn has_echo(&self, segment: &Segment<'_>) -> bool {
        self.negotiated.ecn && segment.has(TcpFlags::ECE) && !segment.has(TcpFlags::SYN)
    }

    /// Reacts to ECE on an acknowledgment up to `acknowledgment`, unless it is about a congestion that was reacted to:
    /// once a window of data. [3168-06]
    pub(super) fn follow_echo(&mut self, cx: &mut Context<'_>, acknowledgment: SeqNumber) {
        if acknowledgment.after(self.ecn.reduced_until) && self.state != State::SynReceived {
            self.on_ecn_echo(cx);
        }
    }

    /// Congestion on the way to the peer. Nothing was lost, so nothing is sent again.
    fn on_ecn_echo(&mut self, cx: &mut Context<'_>) {
        let (cwnd, smss) = (self.congestion.window(), self.sender.mss);
        tracing::trace!(tuple = %self.tuple, cwnd, "congestion echoed");
        cx.counters.ecn_reductions.increment();
        self.ecn.note_reduction(self.sender.snd_nxt);
        if cwnd > smss {
            self.reduce_for_mark(cx.now);
            return;
        }
        // [3168-08]: less than one segment at a time is one segment a timeout.
        self.ecn.is_paused = true;
        if self.sender.is_outstanding() {
            self.timers.set(Timer::Retransmit, cx.now + self.rtt.rto());
        }
    }
}
