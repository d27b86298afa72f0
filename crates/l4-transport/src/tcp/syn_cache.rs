//! Half-open connections: what a peer's SYN leaves here until its handshake is done (RFC 4987 3.6).
//!
//! # Theory of operation
//! A SYN to a listener makes an entry, which sends its SYN-ACK, again and again by its own timer. The acknowledgment of
//! our SYN turns it into a connection. So a flood of SYNs costs entries and not connections, and there is a bound to
//! those, at which cookies are sent instead; without cookies the oldest of the listener goes.
//!
//! # Limits
//! 96 bytes an entry.
//!
//! # Not here
//! The tables that lead to an entry (`layer.rs`), handshakes that take none (`cookie_handshake.rs`), and those that wait
//! for a user's word (`deciding.rs`).

use netloom_base::{DropReason, Instant, SlabId};
use netloom_wire::{SeqNumber, TcpFlags, TcpHeader, TcpOptions, TcpTimestamps};

use super::connection::Context;
use super::ecn;
use super::isn::timestamp;
use super::negotiation::{Negotiated, syn_ack_options};
use super::reason::{ChallengeCause, ResetCause, RetransmitCause};
use super::rtt::{INITIAL_RTO, MAX_RTO};
use super::segment::{Reply, Segment};
use super::tuple::FourTuple;

/// How far its listener's user has come with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It needs nobody's word: it is answered, and its connection is for the accept queue.
    Answered,
    /// It is to be decided about, and nobody has been told of it.
    Fresh,
    /// Somebody has been told of it, and has not decided yet.
    Undecided,
    /// It is answered, and who decided that waits for its connection.
    Awaited,
}

impl Stage {
    /// Whether nothing was sent for it so far.
    pub(super) const fn is_silent(self) -> bool {
        match self {
            Self::Fresh | Self::Undecided => true,
            Self::Answered | Self::Awaited => false,
        }
    }
}

/// One half-open connection: SYN-RECEIVED, passive.
#[derive(Clone, Copy, Debug)]
pub(super) struct SynCacheEntry {
    pub(super) tuple: FourTuple,
    pub(super) mtu: u16,
    pub(super) peer_mss: u16,
    /// The window that our SYN-ACK offers.
    window: u16,
    pub(super) listener: SlabId,
    pub(super) iss: SeqNumber,
    pub(super) irs: SeqNumber,
    pub(super) ts_recent: u32,
    pub(super) ts_offset: u32,
    pub(super) sent_at: Instant,
    pub(super) negotiated: Negotiated,
    pub(super) mss: u16,
    pub(super) traffic_class: u8,
    pub(super) retries: u8,
    challenges: u8,
    /// Whether the SYN-ACK was sent again because the SYN came again.
    pub(super) is_repeated: bool,
    /// Why the SYN-ACK that waits to be sent goes again, if it does.
    pub(super) again: Option<RetransmitCause>,
    /// Whether a SYN-ACK waits to be sent.
    pub(super) is_queued: bool,
    /// Whether the SYN-ACK has a Fast Open cookie for a later connection.
    pub(super) offers_cookie: bool,
    pub(super) stage: Stage,
}

const _: () = assert!(size_of::<SynCacheEntry>() <= 96);

/// What an entry is made from.
#[derive(Clone, Copy, Debug)]
pub(super) struct HalfOpening {
    pub(super) listener: SlabId,
    pub(super) iss: SeqNumber,
    pub(super) ts_offset: u32,
    pub(super) negotiated: Negotiated,
    pub(super) peer_mss: u16,
    pub(super) mss: u16,
    pub(super) window: u32,
    pub(super) traffic_class: u8,
}

/// What a segment does to an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HalfOpenVerdict {
    /// Nothing, or an answer.
    Stay(Result<(), DropReason>),
    /// The SYN came again: so does the SYN-ACK.
    Repeat,
    /// A reset: back to LISTEN.
    Remove,
    /// The handshake is done.
    Promote,
    /// A peer that begins anew before it was answered: this one is gone, and the segment is for the listener.
    BeginAnew,
    /// An acknowledgment of what was never sent.
    Refuse,
}

impl SynCacheEntry {
    pub(super) fn new(segment: &Segment<'_>, opening: &HalfOpening) -> Self {
        let HalfOpening { listener, iss, ts_offset, negotiated, peer_mss, mss, window, traffic_class } =
            *opening;
        Self {
            tuple: segment.tuple,
            mtu: segment.mtu,
            peer_mss,
            window: u16::try_from(window).unwrap_or(u16::MAX),
            listener,
            iss,
            irs: segment.header.sequence,
            ts_recent: segment.header.options.timestamps.map_or(0, |theirs| theirs.value),
            ts_offset,
            sent_at: Instant::ZERO,
            negotiated,
            mss,
            traffic_class,
            retries: 0,
            challenges: 0,
            is_repeated: false,
            again: None,
            is_queued: false,
            offers_cookie: false,
            stage: Stage::Answered,
        }
    }

    /// The SYN-ACK.
    pub(super) fn syn_ack(&self, now: Instant) -> TcpHeader {
        let options = syn_ack_options(self.negotiated, now, self.mss, self.ts_offset, self.ts_recent);
        self.header(self.iss, ecn::syn_ack_flags(self.negotiated.ecn), options)
    }

    fn header(&self, sequence: SeqNumber, flags: TcpFlags, options: TcpOptions) -> TcpHeader {
        TcpHeader {
            source_port: self.tuple.local_port,
            destination_port: self.tuple.remote_port,
            sequence,
            acknowledgment: self.irs + 1,
            flags,
            window: self.window,
            urgent_pointer: 0,
            options,
        }
    }

    /// When the SYN-ACK that leaves now is sent again. [9293 MUST-22]
    pub(super) fn timeout_from(&self, now: Instant) -> Instant {
        now + INITIAL_RTO.saturating_mul(1 << self.retries.min(16)).min(MAX_RTO)
    }

    /// The reset that refuses the SYN (RFC 9293 3.10.7.1).
    pub(super) fn refusal(&self) -> Reply {
        let header = TcpHeader {
            window: 0,
            ..self.header(SeqNumber(0), TcpFlags::RST | TcpFlags::ACK, TcpOptions::default())
        };
        Reply { tuple: self.tuple, header, traffic_class: 0 }
    }

    /// While nothing has been sent for it: LISTEN, but that one SYN is known (RFC 9293 3.10.7.2).
    fn on_segment_in_silence(&mut self, segment: &Segment<'_>) -> HalfOpenVerdict {
        let sequence = segment.header.sequence;
        if segment.has(TcpFlags::RST) {
            return if sequence == self.irs + 1 {
                HalfOpenVerdict::Remove
            } else {
                HalfOpenVerdict::Stay(Err(DropReason::TcpBadReset))
            };
        }
        if segment.has(TcpFlags::ACK) {
            return HalfOpenVerdict::Refuse;
        }
        if !segment.has(TcpFlags::SYN) {
            return HalfOpenVerdict::Stay(Err(DropReason::TcpNoAck));
        }
        if sequence != self.irs {
            return HalfOpenVerdict::BeginAnew;
        }
        // The answer echoes the last one, so that the peer does not count the wait as a round trip.
        if let Some(theirs) = segment.header.options.timestamps {
            self.ts_recent = theirs.value;
        }
        HalfOpenVerdict::Stay(Ok(()))
    }

    /// RFC 9293 3.10.7.4 for a passive SYN-RECEIVED.
    pub(super) fn on_segment(&mut self, cx: &mut Context<'_>, segment: &Segment<'_>) -> HalfOpenVerdict {
        if self.stage.is_silent() {
            return self.on_segment_in_silence(segment);
        }
        let (rcv_nxt, window) = (self.irs + 1, u32::from(self.window).max(1));
        let sequence = segment.header.sequence;
        if segment.has(TcpFlags::RST) {
            return self.on_rst(cx, sequence, rcv_nxt, window);
        }
        if segment.has(TcpFlags::SYN) {
            if sequence == self.irs && !segment.has(TcpFlags::ACK) {
                self.is_repeated = true;
                // A peer that gives up on ECN, or on Fast Open, asks again without.
                self.negotiated.ecn &= ecn::is_setup_syn(segment.header.flags);
                self.offers_cookie &= segment.header.options.fast_open().is_some();
                return HalfOpenVerdict::Repeat;
            }
            // [9293-u07] [5961-07]: a SYN of another connection; its sender resets ours if that is stale.
            self.answer(cx, ChallengeCause::UnexpectedSyn);
            return HalfOpenVerdict::Stay(Err(DropReason::TcpUnexpectedSyn));
        }
        if self.is_old(segment) {
            self.answer(cx, ChallengeCause::OldTimestamp);
            return HalfOpenVerdict::Stay(Err(DropReason::TcpPaws));
        }
        if !sequence.is_within(rcv_nxt, window + 1) {
            self.answer(cx, ChallengeCause::OutOfWindow);
            return HalfOpenVerdict::Stay(Err(DropReason::TcpOutOfWindow));
        }
        if !segment.has(TcpFlags::ACK) {
            return HalfOpenVerdict::Stay(Err(DropReason::TcpNoAck));
        }
        if segment.header.acknowledgment != self.iss + 1 {
            let header = TcpHeader {
                acknowledgment: SeqNumber(0),
                window: 0,
                ..self.header(segment.header.acknowledgment, TcpFlags::RST, TcpOptions::default())
            };
            let reset = Reply { tuple: self.tuple, header, traffic_class: self.traffic_class };
            cx.refuse(ResetCause::BadAckInHandshake, reset);
            return HalfOpenVerdict::Stay(Err(DropReason::TcpBadAck));
        }
        HalfOpenVerdict::Promote
    }

    /// [9293-u03] [9293-u04] [9293-u05] [9293 MUST-11]
    fn on_rst(
        &mut self,
        cx: &mut Context<'_>,
        sequence: SeqNumber,
        rcv_nxt: SeqNumber,
        window: u32,
    ) -> HalfOpenVerdict {
        if sequence == rcv_nxt {
            return HalfOpenVerdict::Remove;
        }
        if sequence.is_within(rcv_nxt, window) {
            self.answer(cx, ChallengeCause::InexactReset);
        }
        HalfOpenVerdict::Stay(Err(DropReason::TcpBadReset))
    }

    /// [7323-38] [7323-24]
    fn is_old(&self, segment: &Segment<'_>) -> bool {
        self.negotiated.timestamps
            && segment
                .header
                .options
                .timestamps
                .is_none_or(|theirs| SeqNumber(theirs.value).before(SeqNumber(self.ts_recent)))
    }

    /// An acknowledgment of the SYN, so many in an entry's life.
    fn answer(&mut self, cx: &mut Context<'_>, cause: ChallengeCause) {
        if self.challenges >= cx.config.challenge_acks {
            cx.note_challenge_limited(self.tuple, cause);
            return;
        }
        self.challenges += 1;
        let timestamps = self
            .negotiated
            .timestamps
            .then(|| TcpTimestamps { value: timestamp(cx.now, self.ts_offset), echo_reply: self.ts_recent });
        let options = TcpOptions { timestamps, ..TcpOptions::default() };
        let header = TcpHeader {
            window: self.window >> self.negotiated.rcv_shift,
            ..self.header(self.iss + 1, TcpFlags::ACK, options)
        };
        let answer = Reply { tuple: self.tuple, header, traffic_class: self.traffic_class };
        cx.challenge(cause, answer);
    }
}
