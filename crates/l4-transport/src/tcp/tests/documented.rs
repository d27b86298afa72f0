//! docs/tcp.md lists every cause, and no other.

use netloom_base::DropReason;

use crate::tcp::timers::Timer;
use crate::tcp::*;

const PAGE: &str = include_str!("../../../../../docs/tcp.md");

/// The names in the table below a heading.
fn listed(heading: &str) -> Vec<&'static str> {
    let (_, section) = PAGE.split_once(heading).unwrap_or_else(|| panic!("docs/tcp.md has no {heading}"));
    let section = section.split("\n##").next().unwrap();
    section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect()
}

#[track_caller]
fn check(cause: &str, names: impl IntoIterator<Item = &'static str>) {
    assert_eq!(
        listed(&format!("### `{cause}`\n")),
        names.into_iter().collect::<Vec<_>>(),
        "docs/tcp.md, {cause}"
    );
}

#[test]
fn every_cause_is_documented() {
    check("RetransmitCause", RetransmitCause::ALL.iter().map(|cause| cause.name()));
    check("SendBlockedBy", SendBlockedBy::ALL.iter().map(|cause| cause.name()));
    check("FastOpenFallback", FastOpenFallback::ALL.iter().map(|fallback| fallback.name()));
    check("EndReason", EndReason::ALL.iter().map(|cause| cause.name()));
    check("IcmpIgnored", IcmpIgnored::ALL.iter().map(|reason| reason.name()));
    check("RtoCause", RtoCause::ALL.iter().map(|cause| cause.name()));
    check("ProbeCause", ProbeCause::ALL.iter().map(|cause| cause.name()));
    check("ResetCause", ResetCause::ALL.iter().map(|cause| cause.name()));
    check("ChallengeCause", ChallengeCause::ALL.iter().map(|cause| cause.name()));
    let drops = DropReason::ALL.iter().map(|reason| reason.name());
    check("DropReason", drops.filter(|name| name.starts_with("tcp.")));
}

#[test]
fn every_timer_is_documented() {
    let names: Vec<String> = Timer::ALL.iter().map(|timer| format!("{timer:?}")).collect();
    assert_eq!(listed("## Timers\n"), names);
}
