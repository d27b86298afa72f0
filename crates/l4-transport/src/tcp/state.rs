//! The eleven states of RFC 9293 3.3.2 and what moves a connection from one to the next.
//!
//! A pure table: no side effects and no data. Whoever owns a connection asks [`next`] and then acts.
//!
//! # How the phases map to it
//! LISTEN is a `Listener`, a passive SYN-RECEIVED an entry of the SYN cache until its handshake ends, TIME-WAIT a
//! small entry of its own; everything else is a `Connection`. Where RFC 9293 sends a passive SYN-RECEIVED back to
//! LISTEN, the entry vanishes and the listener, which never went away, remains: the table says `Closed`.

use core::fmt;

/// A connection's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// No connection.
    Closed,
    /// Waiting for a connection from anywhere.
    Listen,
    /// Our SYN is out.
    SynSent,
    /// Both SYNs are out, ours is not acknowledged.
    SynReceived,
    /// Data flows.
    Established,
    /// We are done sending; our FIN is not acknowledged.
    FinWait1,
    /// We are done sending, and the peer knows; it may still send.
    FinWait2,
    /// The peer is done sending; we may still send.
    CloseWait,
    /// Both are done, both FINs crossed; ours is not acknowledged.
    Closing,
    /// Both are done, the peer first; our FIN is not acknowledged.
    LastAck,
    /// Waiting until no segment of the connection can be on its way any more.
    TimeWait,
}

impl State {
    /// All of them, in the RFC's order.
    pub const ALL: [Self; 11] = [
        Self::Closed,
        Self::Listen,
        Self::SynSent,
        Self::SynReceived,
        Self::Established,
        Self::FinWait1,
        Self::FinWait2,
        Self::CloseWait,
        Self::Closing,
        Self::LastAck,
        Self::TimeWait,
    ];

    /// The RFC's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "CLOSED",
            Self::Listen => "LISTEN",
            Self::SynSent => "SYN-SENT",
            Self::SynReceived => "SYN-RECEIVED",
            Self::Established => "ESTABLISHED",
            Self::FinWait1 => "FIN-WAIT-1",
            Self::FinWait2 => "FIN-WAIT-2",
            Self::CloseWait => "CLOSE-WAIT",
            Self::Closing => "CLOSING",
            Self::LastAck => "LAST-ACK",
            Self::TimeWait => "TIME-WAIT",
        }
    }

    /// Whether both ends know each other's initial sequence number, and ours is acknowledged.
    pub const fn is_synchronized(self) -> bool {
        match self {
            Self::Closed | Self::Listen | Self::SynSent | Self::SynReceived => false,
            Self::Established
            | Self::FinWait1
            | Self::FinWait2
            | Self::CloseWait
            | Self::Closing
            | Self::LastAck
            | Self::TimeWait => true,
        }
    }

    /// Whether the peer may still send text.
    pub const fn accepts_text(self) -> bool {
        match self {
            Self::SynReceived | Self::Established | Self::FinWait1 | Self::FinWait2 => true,
            Self::Closed
            | Self::Listen
            | Self::SynSent
            | Self::CloseWait
            | Self::Closing
            | Self::LastAck
            | Self::TimeWait => false,
        }
    }

    /// Whether the user's abort tells the peer by a reset (RFC 9293 3.10.5). `Connection::abort` knows of two more cases, which
    /// are not to be seen from the state.
    pub const fn abort_sends_reset(self) -> bool {
        match self {
            Self::SynReceived | Self::Established | Self::FinWait1 | Self::FinWait2 | Self::CloseWait => true,
            Self::Closed | Self::Listen | Self::SynSent | Self::Closing | Self::LastAck | Self::TimeWait => {
                false
            }
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What moves a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// The user listens.
    PassiveOpen,
    /// The user connects: our SYN goes out.
    ActiveOpen,
    /// The peer's SYN, which does not acknowledge ours.
    Syn,
    /// The peer's SYN, which acknowledges ours.
    SynAck,
    /// The acknowledgment of our SYN.
    AckOfSyn,
    /// The user has no more to send.
    Close,
    /// The peer has no more to send, and all before it has arrived.
    Fin,
    /// The acknowledgment of our FIN.
    AckOfFin,
    /// A valid reset.
    Reset,
    /// We give up: the user aborts, or a limit is reached.
    Abort,
    /// Two maximum segment lifetimes have passed.
    TimeWaitOver,
}

impl Input {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::PassiveOpen,
        Self::ActiveOpen,
        Self::Syn,
        Self::SynAck,
        Self::AckOfSyn,
        Self::Close,
        Self::Fin,
        Self::AckOfFin,
        Self::Reset,
        Self::Abort,
        Self::TimeWaitOver,
    ];
}

/// An input that a state has no rule for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidTransition {
    /// The state.
    pub state: State,
    /// What does not go with it.
    pub input: Input,
}

impl fmt::Display for InvalidTransition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} has no place in {}", self.input, self.state)
    }
}

impl core::error::Error for InvalidTransition {}

/// The state after `input` (RFC 9293 figure 5 and 3.10).
///
/// # Errors
/// If the RFC knows no such step.
pub const fn next(state: State, input: Input) -> Result<State, InvalidTransition> {
    use Input as I;
    use State as S;
    let invalid = Err(InvalidTransition { state, input });
    match state {
        S::Closed => match input {
            I::PassiveOpen => Ok(S::Listen),
            I::ActiveOpen => Ok(S::SynSent),
            I::Syn
            | I::SynAck
            | I::AckOfSyn
            | I::Close
            | I::Fin
            | I::AckOfFin
            | I::Reset
            | I::Abort
            | I::TimeWaitOver => invalid,
        },
        S::Listen => match input {
            I::ActiveOpen => Ok(S::SynSent),
            I::Syn => Ok(S::SynReceived),
            I::Close | I::Abort => Ok(S::Closed),
            I::PassiveOpen | I::SynAck | I::AckOfSyn | I::Fin | I::AckOfFin | I::Reset | I::TimeWaitOver => {
                invalid
            }
        },
        S::SynSent => match input {
            // [9293 MUST-10]
            I::Syn => Ok(S::SynReceived),
            I::SynAck => Ok(S::Established),
            I::Close | I::Reset | I::Abort => Ok(S::Closed),
            I::PassiveOpen | I::ActiveOpen | I::AckOfSyn | I::Fin | I::AckOfFin | I::TimeWaitOver => invalid,
        },
        S::SynReceived => match input {
            I::AckOfSyn => Ok(S::Established),
            I::Close => Ok(S::FinWait1),
            I::Fin => Ok(S::CloseWait),
            I::Reset | I::Abort => Ok(S::Closed),
            I::PassiveOpen | I::ActiveOpen | I::Syn | I::SynAck | I::AckOfFin | I::TimeWaitOver => invalid,
        },
        S::Established => match input {
            I::Close => Ok(S::FinWait1),
            I::Fin => Ok(S::CloseWait),
            I::Reset | I::Abort => Ok(S::Closed),
            I::PassiveOpen
            | I::ActiveOpen
            | I::Syn
            | I::SynAck
            | I::AckOfSyn
            | I::AckOfFin
            | I::TimeWaitOver => invalid,
        },
        S::FinWait1 => match input {
            I::AckOfFin => Ok(S::FinWait2),
            I::Fin => Ok(S::Closing),
            I::Reset | I::Abort => Ok(S::Closed),
            I::PassiveOpen
            | I::ActiveOpen
            | I::Syn
            | I::SynAck
            | I::AckOfSyn
            | I::Close
            | I::TimeWaitOver => invalid,
        },
        S::FinWait2 => match input {
            I::Fin => Ok(S::TimeWait),
            I::Reset | I::Abort => Ok(S::Closed),
            I::PassiveOpen
            | I::ActiveOpen
            | I::Syn
            | I::SynAck
            | I::AckOfSyn
            | I::Close
            | I::AckOfFin
            | I::TimeWaitOver => invalid,
        },
        S::CloseWait => match input {
            I::Close => Ok(S::LastAck),
            I::Reset | I::Abort => Ok(S::Closed),
            I::PassiveOpen
            | I::ActiveOpen
            | I::Syn
            | I::SynAck
            | I::AckOfSyn
            | I::Fin
            | I::AckOfFin
            | I::TimeWaitOver => invalid,
        },
        S::Closing => match input {
            I::AckOfFin => Ok(S::TimeWait),
            I::Reset | I::Abort => Ok(S::Closed),
            I::PassiveOpen
            | I::ActiveOpen
            | I::Syn
            | I::SynAck
            | I::AckOfSyn
            | I::Close
            | I::Fin
            | I::TimeWaitOver => invalid,
        },
        S::LastAck => match input {
            I::AckOfFin | I::Reset | I::Abort => Ok(S::Closed),
            I::PassiveOpen
            | I::ActiveOpen
            | I::Syn
            | I::SynAck
            | I::AckOfSyn
            | I::Close
            | I::Fin
            | I::TimeWaitOver => invalid,
        },
        S::TimeWait => match input {
            I::TimeWaitOver | I::Reset | I::Abort => Ok(S::Closed),
            I::PassiveOpen
            | I::ActiveOpen
            | I::Syn
            | I::SynAck
            | I::AckOfSyn
            | I::Close
            | I::Fin
            | I::AckOfFin => invalid,
        },
    }
}
