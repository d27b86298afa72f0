//! Explicit congestion notification (RFC 3168 6.1): routers mark what they would have to drop.
//!
//! # Theory of operation
//! The SYNs agree on it: SYN with ECE and CWR, SYN-ACK with ECE alone. From then on text that is sent for the first time
//! is ECN-capable. A receiver that finds a mark sets ECE on everything it sends until it sees CWR; a sender that finds
//! ECE reduces its window, once a round trip, and says so by CWR on the next new text.
//!
//! # State
//! | RFC 3168 | field |
//! |---|---|
//! | the receiver has seen CE and no CWR since | `EcnState::has_mark` |
//! | the sender has to set CWR | `EcnState::owes_cwr` |
//! | once a window of data | `EcnState::reduced_until` |
//!
//! # Limits
//! The first SYN asks; the second does not, because some networks drop what asks (6.1.1.1).
//!
//! # Not here
//! What a connection does with all that: `ecn_echo.rs`. Marks on fragments (RFC 3168 5.3): `reassembly` of the internet
//! layer. By how much a window is reduced: `congestion.rs`.

use netloom_wire::{SeqNumber, TcpFlags};

use super::config::EcnMode;

/// The two bits of the IP header.
const CODEPOINT_MASK: u8 = 0b11;
/// Not ECN-capable.
const NOT_ECT: u8 = 0b00;
/// ECN-capable.
const ECT_0: u8 = 0b10;
/// Congestion experienced.
pub(super) const CE: u8 = 0b11;

/// Whether the connection that this SYN begins may use ECN. A SYN that is itself marked as ECN-capable, which none may be,
/// says that somebody on the way writes these bits: they would mean nothing. [9293 SHLD-8]
pub(super) fn grants(mode: EcnMode, syn: TcpFlags, codepoint: u8) -> bool {
    mode != EcnMode::Off && codepoint == NOT_ECT && is_setup_syn(syn)
}

/// An ECN-setup SYN: it asks. With one flag of the two it does not.
pub(super) const fn is_setup_syn(syn: TcpFlags) -> bool {
    syn.contains(TcpFlags::ECE) && syn.contains(TcpFlags::CWR)
}

/// An ECN-setup SYN-ACK: it grants. One with both flags comes from a host that sends back what it does not know.
const fn is_setup_syn_ack(syn_ack: TcpFlags) -> bool {
    syn_ack.contains(TcpFlags::ECE) && !syn_ack.contains(TcpFlags::CWR)
}

/// Whether the SYN or SYN-ACK of a peer that was asked, or that asks, takes part.
pub(super) const fn is_setup(flags: TcpFlags) -> bool {
    if flags.contains(TcpFlags::ACK) { is_setup_syn_ack(flags) } else { is_setup_syn(flags) }
}

/// Flags of a SYN-ACK. [3168-02]
pub(super) fn syn_ack_flags(grants: bool) -> TcpFlags {
    let flags = TcpFlags::SYN | TcpFlags::ACK;
    if grants { flags | TcpFlags::ECE } else { flags }
}

/// The two ECN bits of a traffic class.
pub(super) const fn codepoint(traffic_class: u8) -> u8 {
    traffic_class & CODEPOINT_MASK
}

/// A traffic class that is not ECN-capable: of SYNs, pure acknowledgments, resets, and what is sent again. [3168-04]
/// [3168-10] [3168-11]
pub(super) const fn without_codepoint(traffic_class: u8) -> u8 {
    traffic_class & !CODEPOINT_MASK
}

/// The traffic class of a segment.
pub(super) const fn traffic_class(dscp: u8, is_ect: bool) -> u8 {
    let codepoint = if is_ect { ECT_0 } else { NOT_ECT };
    without_codepoint(dscp) | codepoint
}

/// Where one connection stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct EcnState {
    /// Whether a mark came, and no CWR since: all that is sent has ECE.
    pub(super) has_mark: bool,
    /// Whether the next new text has CWR.
    pub(super) owes_cwr: bool,
    /// Whether nothing new is sent until a timer runs out: the window cannot be reduced any further.
    pub(super) is_paused: bool,
    /// SND.NXT when the window was last reduced: ECE on an acknowledgment up to here is about the same congestion.
    pub(super) reduced_until: SeqNumber,
    /// Segments that came marked.
    pub(super) ce_received: u32,
    /// Acknowledgments with ECE.
    pub(super) ece_received: u32,
}

impl EcnState {
    pub(super) const fn new(iss: SeqNumber) -> Self {
        Self {
            has_mark: false,
            owes_cwr: false,
            is_paused: false,
            reduced_until: iss,
            ce_received: 0,
            ece_received: 0,
        }
    }

    /// The congestion window was reduced, for whatever reason. [3168-06] [3168-09]
    pub(super) const fn note_reduction(&mut self, snd_nxt: SeqNumber) {
        self.owes_cwr = true;
        self.is_paused = false;
        self.reduced_until = snd_nxt;
    }

    /// Ends a pause; whether there was one.
    pub(super) const fn resume(&mut self) -> bool {
        core::mem::replace(&mut self.is_paused, false)
    }
}
