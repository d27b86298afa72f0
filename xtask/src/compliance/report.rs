//! docs/compliance.md: the trace for people to read.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::trace::{Entry, GATED, Status, Trace, Weight};

/// Links in a cell; the rest is a number.
const MAX_LINKS: usize = 3;

const TITLES: &[(&str, &str)] = &[
    ("768", "User Datagram Protocol"),
    ("791", "Internet Protocol"),
    ("792", "Internet Control Message Protocol"),
    ("815", "IP datagram reassembly algorithms"),
    ("826", "Address Resolution Protocol"),
    ("1122", "Requirements for Internet hosts: communication layers"),
    ("1191", "Path MTU discovery"),
    ("1812", "Requirements for IP version 4 routers"),
    ("2018", "TCP selective acknowledgment options"),
    ("2883", "Duplicate SACK"),
    ("3042", "Limited transmit"),
    ("3168", "Explicit congestion notification"),
    ("4443", "ICMPv6"),
    ("4821", "Packetization layer path MTU discovery"),
    ("4861", "Neighbor discovery for IPv6"),
    ("4862", "IPv6 stateless address autoconfiguration"),
    ("4987", "TCP SYN flooding attacks and common mitigations"),
    ("5227", "IPv4 address conflict detection"),
    ("5482", "TCP user timeout option"),
    ("5681", "TCP congestion control"),
    ("5682", "Forward RTO-recovery"),
    ("5961", "TCP's robustness to blind in-window attacks"),
    ("6056", "Transport-protocol port randomization"),
    ("6298", "TCP's retransmission timer"),
    ("6528", "Defending against sequence number attacks"),
    ("6582", "NewReno"),
    ("6633", "Deprecation of ICMP source quench"),
    ("6675", "SACK-based loss recovery"),
    ("6937", "Proportional rate reduction"),
    ("7323", "TCP extensions for high performance"),
    ("7413", "TCP fast open"),
    ("8200", "Internet Protocol, version 6"),
    ("8201", "Path MTU discovery for IPv6"),
    ("8899", "Packetization layer path MTU discovery for datagrams"),
    ("8985", "RACK-TLP loss detection"),
    ("9293", "Transmission Control Protocol"),
    ("9406", "HyStart++"),
    ("9438", "CUBIC"),
];

/// The whole page.
pub(crate) fn render(trace: &Trace<'_>) -> String {
    let mut by_rfc: BTreeMap<u32, Vec<&Entry<'_>>> = BTreeMap::new();
    for entry in &trace.entries {
        by_rfc.entry(entry.requirement.rfc.parse().unwrap_or(0)).or_default().push(entry);
    }
    // Those that the gate watches stand first.
    let mut rfcs: Vec<u32> = by_rfc.keys().copied().collect();
    rfcs.sort_by_key(|rfc| (!is_gated(*rfc), *rfc));
    let mut page = head();
    for rfc in &rfcs {
        summary_row(&mut page, *rfc, by_rfc.get(rfc).map_or(&[][..], Vec::as_slice));
    }
    let mut names = Names::default();
    for entry in &trace.entries {
        names.learn(entry.places.code.iter().chain(&entry.places.tests));
    }
    for rfc in rfcs {
        section(&mut page, rfc, by_rfc.get(&rfc).map_or(&[][..], Vec::as_slice), &names);
    }
    page
}

fn head() -> String {
    format!(
        "# Compliance\n\n\
        Which requirement of which RFC is met where, and proven where. Written by `cargo xtask compliance` from\n\
        [specs/requirements.tsv](../specs/requirements.tsv), the ids that comments cite, and\n\
        [specs/exceptions.tsv](../specs/exceptions.tsv); do not edit it. `cargo xtask test` fails if it is out of date, or if a MUST\n\
        of RFC {} has neither code and test nor a written exception.\n\n\
        **met**: cited in code and in a test. **not tested**, **not marked in code**: one of the two. **excepted**: not met, and the\n\
        reason is written. **missing**: cited nowhere. MUST and SHOULD include MUST NOT and SHOULD NOT; MUST includes what an RFC\n\
        requires without such a word.\n\n\
        ## Summary\n\n\
        | RFC | | MUST: met | excepted | half | missing | SHOULD: met | excepted | half | missing | MAY: met |\n\
        |---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n",
        GATED.join(", ")
    )
}

fn is_gated(rfc: u32) -> bool {
    GATED.contains(&rfc.to_string().as_str())
}

fn title(rfc: u32) -> &'static str {
    let rfc = rfc.to_string();
    TITLES.iter().find(|(number, _)| *number == rfc).map_or("", |(_, title)| title)
}

fn summary_row(page: &mut String, rfc: u32, entries: &[&Entry<'_>]) {
    let count = |weight: Weight, wanted: &[Status]| {
        entries.iter().filter(|entry| entry.weight() == weight && wanted.contains(&entry.status())).count()
    };
    let mark = if is_gated(rfc) { "**" } else { "" };
    let mut row = format!("| [{mark}{rfc}{mark}](#rfc-{rfc}) | {} |", title(rfc));
    for weight in [Weight::Must, Weight::Should] {
        for wanted in [
            &[Status::Met][..],
            &[Status::Excepted],
            &[Status::Untested, Status::OnlyTested],
            &[Status::Missing],
        ] {
            let number = count(weight, wanted);
            let shown = if number == 0 { String::new() } else { number.to_string() };
            let _ = write!(row, " {shown} |");
        }
    }
    let may = entries.iter().filter(|entry| entry.weight() == Weight::May).count();
    if may > 0 {
        let _ = write!(row, " {} of {may} |", count(Weight::May, &[Status::Met]));
    } else {
        row.push_str(" |");
    }
    page.push_str(&row);
    page.push('\n');
}

fn section(page: &mut String, rfc: u32, entries: &[&Entry<'_>], names: &Names) {
    // The heading is the anchor; the title stands below it.
    let _ = write!(
        page,
        "\n## RFC {rfc}\n\n{}\n\n| id | section | level | what | | code | tests |\n|---|---|---|---|---|---|---|\n",
        title(rfc)
    );
    for entry in entries {
        let requirement = entry.requirement;
        let status = match (entry.status(), entry.exception) {
            (Status::Excepted, Some(exception)) => {
                let decision = exception.decision.as_ref().map_or(String::new(), |path| {
                    format!(" ([decision]({}))", path.strip_prefix("docs/").unwrap_or(path))
                });
                format!("excepted: {}{decision}", cell(&exception.reason))
            }
            (Status::Met, _) => "met".to_owned(),
            (Status::Missing, _) if entry.weight() == Weight::May => "not done".to_owned(),
            (status, _) => format!("**{}**", status.word()),
        };
        let id = requirement.id.strip_prefix(&format!("{rfc} ")).unwrap_or(&requirement.id);
        let _ = writeln!(
            page,
            "| {id} | {} | {} | {} | {status} | {} | {} |",
            requirement.section,
            requirement.level,
            cell(&requirement.text),
            names.links(&entry.places.code),
            names.links(&entry.places.tests),
        );
    }
}

/// Text that does not end its cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;")
}

/// What files are called: by their own name, and by as much of the path before it as makes it theirs alone.
#[derive(Default)]
struct Names {
    by_name: BTreeMap<PathBuf, BTreeSet<PathBuf>>,
}

impl Names {
    fn learn<'a>(&mut self, paths: impl Iterator<Item = &'a PathBuf>) {
        for path in paths {
            for depth in 1..=path.iter().count() {
                self.by_name.entry(last(path, depth)).or_default().insert(path.clone());
            }
        }
    }

    fn links(&self, paths: &BTreeSet<PathBuf>) -> String {
        let mut links: Vec<String> = paths
            .iter()
            .take(MAX_LINKS)
            .map(|path| format!("[{}](../{})", self.short(path).display(), path.display()))
            .collect();
        if paths.len() > MAX_LINKS {
            links.push(format!("and {} more", paths.len() - MAX_LINKS));
        }
        links.join(", ")
    }

    fn short(&self, path: &Path) -> PathBuf {
        (1..=path.iter().count())
            .map(|depth| last(path, depth))
            .find(|name| self.by_name.get(name).is_none_or(|files| files.len() == 1))
            .unwrap_or_else(|| path.to_owned())
    }
}

/// The last `depth` parts of a path.
fn last(path: &Path, depth: usize) -> PathBuf {
    let count = path.iter().count();
    path.iter().skip(count.saturating_sub(depth)).collect()
}
