//! Loss recovery: its phases, and what may be sent in each.
//!
//! # Theory of operation
//! ```text
//!            ECN echo                    loss
//!   Open ---------------> Reduction ------------> FastRecovery      until SND.UNA reaches `recover`,
//!    |  ^ ------------------------------------------^   |           then Open again
//!    |  |                    loss                       |
//!    |  +--- `recover` acknowledged, or spurious ---+   |
//!    +-------------- RTO --------------> Loss <---------+
//! ```
//! What is lost is told by RACK where the peer sends SACK (`rack.rs`), and else by the third duplicate acknowledgment and
//! partial acknowledgments (RFC 5681 3.2, RFC 6582). How much leaves while a recovery lasts is told by proportional rate
//! reduction (`prr.rs`), and before and after it by congestion control (`congestion.rs`).
//!
//! # State
//! | RFC | field |
//! |---|---|
//! | duplicate acknowledgments in a row | `duplicate_acks` |
//! | `recover` (RFC 6582), RecoveryPoint (RFC 6675) | `recover` |
//! | what limited transmit (RFC 3042) has added to the flight | `limited_len` |
//!
//! # Not here
//! What follows from an acknowledgment (`loss.rs`), and whether a recovery was for nothing (`spurious.rs`).

use netloom_wire::SeqNumber;

use super::congestion::CongestionControl;
use super::prr::Prr;
use super::spurious::{ForwardRto, Undo};

/// Where loss recovery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecoveryPhase {
    /// Nothing is known to be lost.
    Open,
    /// A router has marked a packet (RFC 3168): the flight is being reduced, and nothing is known to be lost.
    Reduction,
    /// A loss was found by acknowledgments and is being repaired.
    FastRecovery,
    /// The timer ran out; what was sent before is sent again as slow start allows.
    Loss,
}

/// What belongs to one recovery, and to its aftermath.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Episode {
    pub(super) prr: Prr,
    pub(super) undo: Undo,
}

/// The state of one connection.
#[derive(Clone, Debug)]
pub(super) struct Recovery {
    pub(super) phase: RecoveryPhase,
    pub(super) duplicate_acks: u32,
    pub(super) recover: SeqNumber,
    /// Exists from a loss on until the connection has been idle: most never have one.
    episode: Option<Box<Episode>>,
    pub(super) forward_rto: ForwardRto,
    limited_len: u32,
    /// Whether a segment goes again whatever the window says.
    pub(super) is_forced: bool,
    pub(super) has_partial_ack: bool,
}

impl Recovery {
    /// For a connection whose first sequence number is `iss`. [6582-01]
    pub(super) fn new(iss: SeqNumber) -> Self {
        Self {
            phase: RecoveryPhase::Open,
            duplicate_acks: 0,
            recover: iss,
            episode: None,
            forward_rto: ForwardRto::Off,
            limited_len: 0,
            is_forced: false,
            has_partial_ack: false,
        }
    }

    /// The account of the recovery, and what would undo it.
    pub(super) fn episode(&mut self) -> &mut Episode {
        self.episode.get_or_insert_default()
    }

    /// What would undo the last recovery, if there was one.
    pub(super) fn undo(&self) -> Option<&Undo> {
        self.episode.as_ref().map(|episode| &episode.undo)
    }

    /// Nothing can be undone any more.
    pub(super) fn forget_undo(&mut self) {
        if let Some(episode) = &mut self.episode {
            episode.undo.give_up();
        }
    }

    /// Gives memory back, outside of a recovery.
    pub(super) fn release(&mut self) {
        if self.phase == RecoveryPhase::Open {
            self.episode = None;
        }
    }

    /// Bytes of memory.
    pub(super) fn allocated(&self) -> usize {
        self.episode.as_ref().map_or(0, |_| size_of::<Episode>())
    }

    /// Bytes that may be in flight now.
    pub(super) fn window(&self, congestion: &CongestionControl) -> u32 {
        match self.phase {
            RecoveryPhase::Open | RecoveryPhase::Loss => congestion.window(),
            RecoveryPhase::Reduction | RecoveryPhase::FastRecovery => {
                self.episode.as_ref().map_or(0, |episode| episode.prr.window())
            }
        }
    }

    /// Whether RACK's reordering window is closed: a loss is being repaired.
    pub(super) const fn is_recovering(&self) -> bool {
        matches!(self.phase, RecoveryPhase::FastRecovery | RecoveryPhase::Loss)
    }

    /// Whether something new goes before what is lost: it tells whether the timeout was spurious.
    pub(super) const fn prefers_new_data(&self) -> bool {
        matches!(self.forward_rto, ForwardRto::Sending)
    }

    /// The flight as congestion control counts it when a loss is found: without what limited transmit has added since
    /// the first sign of it, and in a recovery without what has arrived. `pipe`: what was in flight before this
    /// acknowledgment. [5681-22]
    pub(super) fn flight_before_loss(&self, outstanding: u32, pipe: u32) -> u32 {
        match self.phase {
            RecoveryPhase::Open => outstanding.saturating_sub(self.limited_len).max(pipe),
            RecoveryPhase::Reduction | RecoveryPhase::FastRecovery | RecoveryPhase::Loss => pipe,
        }
    }

    /// Limited transmit (RFC 3042) needs no more than this: what has arrived leaves the pipe, and as much goes after it, while
    /// the window stays as it is. A duplicate that tells nothing new lets nothing go. [5681-20] [5681-21]
    ///
    /// `len` bytes were sent, `is_new`: for the first time; `is_disordered`: while duplicates tell that something is missing.
    pub(super) fn on_sent(&mut self, len: u32, is_new: bool, is_disordered: bool) {
        if let Some(episode) = &mut self.episode {
            episode.prr.on_sent(len);
        }
        if self.phase == RecoveryPhase::Open && is_new && is_disordered {
            self.limited_len = self.limited_len.saturating_add(len);
        }
    }

    /// What arrives is in order again.
    pub(super) const fn on_order(&mut self) {
        self.duplicate_acks = 0;
        self.limited_len = 0;
    }

    /// A recovery begins in `phase`, with `prr` as its account; it lasts until `recover` is acknowledged.
    pub(super) fn begin(&mut self, phase: RecoveryPhase, recover: SeqNumber, prr: Prr) {
        self.phase = phase;
        self.recover = recover;
        self.episode().prr = prr;
        self.limited_len = 0;
        self.has_partial_ack = false;
        self.forward_rto = ForwardRto::Off;
    }

    /// The recovery is over.
    pub(super) const fn finish(&mut self) {
        self.phase = RecoveryPhase::Open;
        self.forward_rto = ForwardRto::Off;
        self.is_forced = false;
        self.on_order();
    }
}
