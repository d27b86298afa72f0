//! TIME-WAIT: what is left of a connection until none of its segments can be on its way any more (RFC 9293 3.6.1).
//!
//! # Limits
//! 64 bytes an entry. It lasts [`TcpConfig::time_wait`](super::TcpConfig::time_wait), longer if the peer sends its FIN
//! again, and ends early if a new connection between the same ends proves to be newer (RFC 6191).

use netloom_base::DropReason;
use netloom_wire::{SeqNumber, TcpFlags, TcpHeader, TcpOptions, TcpTimestamps};

use super::connection::{Connection, Context};
use super::isn::timestamp;
use super::reason::ChallengeCause;
use super::segment::{Reply, Segment};
use super::tuple::FourTuple;

/// One connection in TIME-WAIT. [9293 MUST-13]
#[derive(Clone, Copy, Debug)]
pub(super) struct TimeWait {
    pub(super) tuple: FourTuple,
    /// The window that was offered last, as on the wire.
    window: u16,
    snd_nxt: SeqNumber,
    rcv_nxt: SeqNumber,
    ts_recent: u32,
    ts_offset: u32,
    /// When it last answered, in milliseconds: answers are rate limited.
    answered_at: u32,
    rcv_shift: u8,
    timestamps: bool,
    has_answered: bool,
}

const _: () = assert!(size_of::<TimeWait>() <= 64);

/// What a segment does to an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimeWaitVerdict {
    /// Nothing, or an answer.
    Stay(Result<(), DropReason>),
    /// The peer sent its FIN again: wait anew.
    Restart,
    /// A reset: it ends.
    End,
    /// A new connection between the same ends; its own first sequence number must lie beyond this.
    Reopen {
        /// Beyond everything that the old one sent.
        beyond: SeqNumber,
    },
}

impl TimeWait {
    pub(super) fn of(connection: &Connection) -> Self {
        Self {
            tuple: connection.tuple,
            window: connection.receiver.window_field(),
            snd_nxt: connection.sender.snd_nxt,
            rcv_nxt: connection.receiver.rcv_nxt,
            ts_recent: connection.receiver.ts_recent(),
            ts_offset: connection.ts_offset,
            answered_at: 0,
            rcv_shift: connection.negotiated.rcv_shift,
            timestamps: connection.negotiated.timestamps,
            has_answered: false,
        }
    }

    /// RFC 9293 3.10.7.4 for TIME-WAIT.
    pub(super) fn on_segment(&mut self, cx: &mut Context<'_>, segment: &Segment<'_>) -> TimeWaitVerdict {
        let sequence = segment.header.sequence;
        let window = (u32::from(self.window) << self.rcv_shift).max(1);
        if segment.has(TcpFlags::RST) {
            // [9293-u04] [5961-03]
            if sequence == self.rcv_nxt {
                return TimeWaitVerdict::End;
            }
            // [9293-u05] [5961-04]
            if sequence.is_within(self.rcv_nxt, window) {
                self.answer_within_limit(cx, ChallengeCause::InexactReset);
            }
            return TimeWaitVerdict::Stay(Err(DropReason::TcpBadReset));
        }
        if segment.has(TcpFlags::SYN) && !segment.has(TcpFlags::ACK) && self.is_newer(segment) {
            // [9293 MAY-2, SHLD-4] [1122-T046]
            return TimeWaitVerdict::Reopen { beyond: self.snd_nxt + u32::from(u16::MAX) };
        }
        if segment.has(TcpFlags::SYN) {
            self.answer_within_limit(cx, ChallengeCause::UnexpectedSyn);
            return TimeWaitVerdict::Stay(Err(DropReason::TcpUnexpectedSyn));
        }
        if segment.has(TcpFlags::FIN) && segment.end() == self.rcv_nxt {
            let answer = self.answer(cx);
            cx.reply(answer);
            return TimeWaitVerdict::Restart;
        }
        if segment.sequence_len() > 0 || !sequence.is_within(self.rcv_nxt, window) {
            self.answer_within_limit(cx, ChallengeCause::OutOfWindow);
            return TimeWaitVerdict::Stay(Err(DropReason::TcpOutOfWindow));
        }
        TimeWaitVerdict::Stay(Ok(()))
    }

    /// Whether a SYN is certainly of a later connection: by its timestamp, or its sequence number (RFC 6191 2).
    fn is_newer(&self, segment: &Segment<'_>) -> bool {
        let is_beyond = segment.header.sequence.after(self.rcv_nxt);
        match segment.header.options.timestamps.filter(|_| self.timestamps) {
            Some(timestamps) if timestamps.value == self.ts_recent => is_beyond,
            Some(timestamps) => SeqNumber(timestamps.value).after(SeqNumber(self.ts_recent)),
            None => is_beyond,
        }
    }

    /// Answers at most once in the interval of answers out of the window.
    fn answer_within_limit(&mut self, cx: &mut Context<'_>, cause: ChallengeCause) {
        let now = timestamp(cx.now, 0);
        let interval = u32::try_from(cx.config.out_of_window_ack_interval.as_millis()).unwrap_or(u32::MAX);
        if self.has_answered && now.wrapping_sub(self.answered_at) < interval {
            cx.note_challenge_limited(self.tuple, cause);
            return;
        }
        self.has_answered = true;
        self.answered_at = now;
        let answer = self.answer(cx);
        cx.challenge(cause, answer);
    }

    /// What acknowledges once more what was acknowledged before.
    fn answer(&self, cx: &Context<'_>) -> Reply {
        let timestamps = self
            .timestamps
            .then(|| TcpTimestamps { value: timestamp(cx.now, self.ts_offset), echo_reply: self.ts_recent });
        let header = TcpHeader {
            source_port: self.tuple.local_port,
            destination_port: self.tuple.remote_port,
            sequence: self.snd_nxt,
            acknowledgment: self.rcv_nxt,
            flags: TcpFlags::ACK,
            window: self.window,
            urgent_pointer: 0,
            options: TcpOptions { timestamps, ..TcpOptions::default() },
        };
        Reply { tuple: self.tuple, header, traffic_class: 0 }
    }
}
