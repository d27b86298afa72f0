//! The whole table, and the rows of RFC 4861 appendix C.

use core::fmt::Write as _;

use super::NeighborState::{Delay, Incomplete, Probe, Reachable, Stale, Static};
use super::*;

const STATES: [Option<NeighborState>; 7] =
    [None, Some(Incomplete), Some(Reachable), Some(Stale), Some(Delay), Some(Probe), Some(Static)];

const TOLD: [Told; 3] = [Told::Nothing, Told::Same, Told::Different];

fn events() -> Vec<NeighborEvent> {
    let mut events = vec![
        NeighborEvent::Send,
        NeighborEvent::Timeout,
        NeighborEvent::LastTimeout,
        NeighborEvent::Confirmed,
    ];
    events.extend(TOLD.map(NeighborEvent::Heard));
    for solicited in [false, true] {
        for override_ in [false, true] {
            events.extend(TOLD.map(|told| NeighborEvent::Advertised { solicited, override_, told }));
        }
    }
    events
}

fn name(event: NeighborEvent) -> String {
    match event {
        NeighborEvent::Advertised { solicited, override_, told } => {
            format!("NA S={} O={} {told:?}", u8::from(solicited), u8::from(override_))
        }
        NeighborEvent::Heard(told) => format!("NS {told:?}"),
        NeighborEvent::Send
        | NeighborEvent::Timeout
        | NeighborEvent::LastTimeout
        | NeighborEvent::Confirmed => format!("{event:?}"),
    }
}

/// `=` is an unchanged state, `-` no entry, `+` a link address written down, `!` an action.
fn cell(state: Option<NeighborState>, row: Transition) -> String {
    let next = match row.next {
        None => "-".to_owned(),
        next if next == state => "=".to_owned(),
        Some(next) => next.to_string(),
    };
    let record = if row.record { "+" } else { "" };
    let action = match row.action {
        Action::Nothing => "",
        Action::SolicitAll => " !all",
        Action::SolicitNeighbor => " !one",
        Action::Release => " !release",
        Action::GiveUp => " !return",
    };
    format!("{next}{record}{action}")
}

// [4861-10, 4861-13, 4861-14, 4861-16, 4861-20, 4861-21, 4861-23, 4861-24, 4861-25, 4861-26]
#[test]
fn every_state_meets_every_event() {
    let mut table = String::from("\n");
    for event in events() {
        write!(table, "{:22}", name(event)).unwrap();
        for state in STATES {
            write!(table, "|{:20}", cell(state, transition(state, event))).unwrap();
        }
        table.push_str("|\n");
    }
    let heads = ["", "(none)", "INCOMPLETE", "REACHABLE", "STALE", "DELAY", "PROBE", "STATIC"];
    let mut head = format!("\n{:22}", heads[0]);
    for name in &heads[1..] {
        write!(head, "|{name:20}").unwrap();
    }
    head.push('|');
    let expected = include_str!("table.txt");
    assert_eq!(format!("{}{table}", head.trim_start_matches('\n')), expected);
}

/// The appendix, row by row. Where it contradicts 7.2.5 the row follows 7.2.5 and says so.
// [4861-21, 4861-23]
#[test]
fn appendix_c_holds() {
    use Action::{GiveUp, Nothing, Release, SolicitAll, SolicitNeighbor};
    use NeighborEvent::{Advertised, Confirmed, Heard, LastTimeout, Send, Timeout};
    const COMPLETE: &[Option<NeighborState>] = &[Some(Reachable), Some(Stale), Some(Delay), Some(Probe)];
    const UNCHANGED: Option<Option<NeighborState>> = None;
    let na = |solicited, override_, told| Advertised { solicited, override_, told };
    let check =
        |states: &[Option<NeighborState>], event, next: Option<Option<NeighborState>>, record, action| {
            for &state in states {
                let expected = Transition { next: next.unwrap_or(state), record, action };
                assert_eq!(transition(state, event), expected, "{state:?} {event:?}");
            }
        };
    let incomplete = &[Some(Incomplete)][..];
    check(&[None], Send, Some(Some(Incomplete)), false, SolicitAll);
    check(incomplete, Timeout, UNCHANGED, false, SolicitAll);
    check(incomplete, LastTimeout, Some(None), false, GiveUp);
    for override_ in [false, true] {
        check(incomplete, na(false, override_, Told::Different), Some(Some(Stale)), true, Release);
        check(incomplete, na(true, override_, Told::Different), Some(Some(Reachable)), true, Release);
        for solicited in [false, true] {
            check(incomplete, na(solicited, override_, Told::Nothing), UNCHANGED, false, Nothing);
        }
        // 7.2.5: a solicited one without a link address confirms.
        check(COMPLETE, na(true, override_, Told::Nothing), Some(Some(Reachable)), false, Nothing);
        check(COMPLETE, na(false, override_, Told::Nothing), UNCHANGED, false, Nothing);
    }
    check(&[None], Heard(Told::Nothing), Some(None), false, Nothing);
    check(COMPLETE, na(true, false, Told::Same), Some(Some(Reachable)), false, Nothing);
    check(&COMPLETE[..1], na(true, false, Told::Different), Some(Some(Stale)), false, Nothing);
    check(&COMPLETE[1..], na(true, false, Told::Different), UNCHANGED, false, Nothing);
    check(COMPLETE, na(true, true, Told::Same), Some(Some(Reachable)), false, Nothing);
    check(COMPLETE, na(true, true, Told::Different), Some(Some(Reachable)), true, Nothing);
    check(COMPLETE, na(false, false, Told::Same), UNCHANGED, false, Nothing);
    // 7.2.5 I.a: REACHABLE becomes STALE whether the advertisement is solicited or not.
    check(&COMPLETE[..1], na(false, false, Told::Different), Some(Some(Stale)), false, Nothing);
    check(&COMPLETE[1..], na(false, false, Told::Different), UNCHANGED, false, Nothing);
    check(COMPLETE, na(false, true, Told::Same), UNCHANGED, false, Nothing);
    check(COMPLETE, na(false, true, Told::Different), Some(Some(Stale)), true, Nothing);
    check(COMPLETE, Confirmed, Some(Some(Reachable)), false, Nothing);
    check(&[Some(Reachable)], Timeout, Some(Some(Stale)), false, Nothing);
    check(&[Some(Stale)], Send, Some(Some(Delay)), false, Nothing);
    check(&[Some(Delay)], Timeout, Some(Some(Probe)), false, SolicitNeighbor);
    check(&[Some(Probe)], Timeout, UNCHANGED, false, SolicitNeighbor);
    check(&[Some(Probe)], LastTimeout, Some(None), false, GiveUp);
    check(&[None], Heard(Told::Different), Some(Some(Stale)), true, Nothing);
    check(incomplete, Heard(Told::Different), Some(Some(Stale)), true, Release);
    check(COMPLETE, Heard(Told::Different), Some(Some(Stale)), true, Nothing);
    check(incomplete, Heard(Told::Nothing), UNCHANGED, false, Nothing);
    check(COMPLETE, Heard(Told::Same), UNCHANGED, false, Nothing);
}

#[test]
fn a_static_entry_never_changes() {
    for event in events() {
        let row = transition(Some(Static), event);
        assert_eq!(
            row,
            Transition { next: Some(Static), record: false, action: Action::Nothing },
            "{event:?}"
        );
    }
}

#[test]
fn a_link_address_is_written_down_only_if_one_was_told() {
    for event in events() {
        let told = match event {
            NeighborEvent::Advertised { told, .. } | NeighborEvent::Heard(told) => told,
            NeighborEvent::Send
            | NeighborEvent::Timeout
            | NeighborEvent::LastTimeout
            | NeighborEvent::Confirmed => Told::Nothing,
        };
        for state in STATES {
            let row = transition(state, event);
            assert!(!row.record || told != Told::Nothing, "{state:?} {event:?}");
            assert!(!row.record || row.next.is_some(), "{state:?} {event:?}");
        }
    }
}
