//! The state machine of a neighbour: RFC 4861 7.2, 7.3 and appendix C, as one pure table.
//!
//! Where the appendix is terser than the text, the text holds: an advertisement without Override that names another
//! link address makes a REACHABLE entry STALE whether it is solicited or not, and a solicited advertisement without a
//! link address confirms reachability (both RFC 4861 7.2.5).

use core::fmt;

/// How well a neighbour is known.
///
/// ```text
///            send                  answer                   time passes
///   (none) --------> INCOMPLETE ------------> REACHABLE ------------------> STALE
///      ^                 |                     ^  ^  ^                        | send
///      |  no answer      |                     |  |  |  answer, or            v
///      +-----------------+---------------------|--|--+---------------------- DELAY
///      |                                       |  |     progress above        | 5 s
///      |  no answer                            |  |                           v
///      +---------------------------------------|--+------------------------ PROBE
/// ```
// [4861-23]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NeighborState {
    /// Its link address is being asked for.
    Incomplete,
    /// It was reached a moment ago.
    Reachable,
    /// Its link address is known, but nothing has proved lately that it still holds.
    Stale,
    /// The same, and it is in use: the layers above have some seconds to prove it.
    Delay,
    /// Nothing proved it: the neighbour itself is asked, by unicast.
    Probe,
    /// Entered by hand: it neither ages nor changes.
    Static,
}

impl NeighborState {
    /// The RFC's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Incomplete => "INCOMPLETE",
            Self::Reachable => "REACHABLE",
            Self::Stale => "STALE",
            Self::Delay => "DELAY",
            Self::Probe => "PROBE",
            Self::Static => "STATIC",
        }
    }
}

impl fmt::Display for NeighborState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The link address in a message, beside the one that is cached. Where none is cached, any is `Different`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Nothing,
    Same,
    Different,
}

/// What happens to a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NeighborEvent {
    /// A packet is to be sent to it.
    Send,
    /// The state's timer ran out, and another request may be sent.
    Timeout,
    /// The state's timer ran out, and no request is left.
    LastTimeout,
    /// A layer above made progress that only a working way explains (RFC 4861 7.3.1).
    Confirmed,
    /// It asked or was named in passing: neighbour or router solicitation, router advertisement, redirect, ARP request
    /// or an ARP packet that nobody asked for.
    Heard(Told),
    /// A neighbour advertisement, or an ARP reply that was asked for.
    Advertised { solicited: bool, override_: bool, told: Told },
}

/// What to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Nothing,
    /// Ask everybody (multicast or broadcast).
    SolicitAll,
    /// Ask the neighbour itself at its cached address.
    SolicitNeighbor,
    /// Send what has waited.
    Release,
    /// Return what has waited as undeliverable.
    GiveUp,
}

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Transition {
    /// The state afterwards; `None` is no entry.
    pub(crate) next: Option<NeighborState>,
    /// Whether the link address in the message is written down.
    pub(crate) record: bool,
    pub(crate) action: Action,
}

const fn to(next: NeighborState, action: Action) -> Transition {
    Transition { next: Some(next), record: false, action }
}

const fn recorded(next: NeighborState, action: Action) -> Transition {
    Transition { next: Some(next), record: true, action }
}

const fn gone(action: Action) -> Transition {
    Transition { next: None, record: false, action }
}

/// What `event` makes of a neighbour in `state`; `None` is a neighbour without an entry.
pub(crate) const fn transition(state: Option<NeighborState>, event: NeighborEvent) -> Transition {
    match state {
        None => unknown(event),
        Some(NeighborState::Incomplete) => incomplete(event),
        Some(
            known @ (NeighborState::Reachable
            | NeighborState::Stale
            | NeighborState::Delay
            | NeighborState::Probe),
        ) => complete(known, event),
        Some(NeighborState::Static) => to(NeighborState::Static, Action::Nothing),
    }
}

const fn unknown(event: NeighborEvent) -> Transition {
    match event {
        NeighborEvent::Send => to(NeighborState::Incomplete, Action::SolicitAll),
        // [4861-16]
        NeighborEvent::Heard(Told::Same | Told::Different) => recorded(NeighborState::Stale, Action::Nothing),
        // [4861-10, 4861-20]
        NeighborEvent::Advertised { .. }
        | NeighborEvent::Heard(Told::Nothing)
        | NeighborEvent::Timeout
        | NeighborEvent::LastTimeout
        | NeighborEvent::Confirmed => gone(Action::Nothing),
    }
}

const fn incomplete(event: NeighborEvent) -> Transition {
    use NeighborState::{Incomplete, Reachable, Stale};
    match event {
        // [4861-13]
        NeighborEvent::Timeout => to(Incomplete, Action::SolicitAll),
        // [4861-14]
        NeighborEvent::LastTimeout => gone(Action::GiveUp),
        NeighborEvent::Advertised { solicited: true, override_: _, told: Told::Same | Told::Different } => {
            recorded(Reachable, Action::Release)
        }
        NeighborEvent::Advertised { solicited: false, override_: _, told: Told::Same | Told::Different }
        | NeighborEvent::Heard(Told::Same | Told::Different) => recorded(Stale, Action::Release),
        NeighborEvent::Advertised { told: Told::Nothing, .. }
        | NeighborEvent::Heard(Told::Nothing)
        | NeighborEvent::Send
        | NeighborEvent::Confirmed => to(Incomplete, Action::Nothing),
    }
}

/// REACHABLE, STALE, DELAY and PROBE, which messages treat alike but for one row.
// [4861-21]
const fn complete(state: NeighborState, event: NeighborEvent) -> Transition {
    use NeighborState::{Delay, Probe, Reachable, Stale};
    match event {
        NeighborEvent::Send => match state {
            // [4861-25]
            Stale => to(Delay, Action::Nothing),
            Reachable | Delay | Probe | NeighborState::Incomplete | NeighborState::Static => {
                to(state, Action::Nothing)
            }
        },
        NeighborEvent::Timeout | NeighborEvent::LastTimeout => timeout(state, event),
        // [4861-26]
        NeighborEvent::Confirmed => to(Reachable, Action::Nothing),
        NeighborEvent::Heard(Told::Different) => recorded(Stale, Action::Nothing),
        NeighborEvent::Heard(Told::Same | Told::Nothing) => to(state, Action::Nothing),
        NeighborEvent::Advertised { solicited: _, override_: false, told: Told::Different } => match state {
            Reachable => to(Stale, Action::Nothing),
            Stale | Delay | Probe | NeighborState::Incomplete | NeighborState::Static => {
                to(state, Action::Nothing)
            }
        },
        NeighborEvent::Advertised { solicited: true, override_: true, told: Told::Different } => {
            recorded(Reachable, Action::Nothing)
        }
        NeighborEvent::Advertised { solicited: false, override_: true, told: Told::Different } => {
            recorded(Stale, Action::Nothing)
        }
        NeighborEvent::Advertised { solicited: true, override_: _, told: Told::Same | Told::Nothing } => {
            to(Reachable, Action::Nothing)
        }
        NeighborEvent::Advertised { solicited: false, override_: _, told: Told::Same | Told::Nothing } => {
            to(state, Action::Nothing)
        }
    }
}

const fn timeout(state: NeighborState, event: NeighborEvent) -> Transition {
    use NeighborState::{Delay, Incomplete, Probe, Reachable, Stale, Static};
    match state {
        Reachable => to(Stale, Action::Nothing),
        // [826-08, 1122-L003] nobody used it for its lifetime.
        Stale => gone(Action::Nothing),
        // [4861-25]
        Delay => to(Probe, Action::SolicitNeighbor),
        // [4861-24]
        Probe => match event {
            NeighborEvent::LastTimeout => gone(Action::GiveUp),
            NeighborEvent::Timeout
            | NeighborEvent::Send
            | NeighborEvent::Confirmed
            | NeighborEvent::Heard(_)
            | NeighborEvent::Advertised { .. } => to(Probe, Action::SolicitNeighbor),
        },
        Incomplete | Static => to(state, Action::Nothing),
    }
}

#[cfg(test)]
mod tests;
