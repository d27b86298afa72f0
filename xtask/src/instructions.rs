//! `cargo xtask instructions`: instructions a packet and layer, of a fixed exchange under callgrind.
//!
//! *Theory of operation.* `netloom-packets` exchanges the same packets between two stacks each time, so that callgrind counts
//! the same instructions each time, however busy the machine is. Two runs of different lengths differ by what the
//! packets cost, without the start. An instruction belongs to the layer whose function it was compiled into. The table in
//! docs/performance.md is the budget: `--check` fails where the layers together take more, or where a crowd of connections, sockets,
//! routes and neighbours makes a packet dearer than the logarithm of its size explains. What writes a new budget tells where it is
//! over the old one.

pub(crate) mod profile;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use cargo_metadata::MetadataCommand;
use tempfile::TempDir;

use crate::compliance::Mode;
use crate::report;
use crate::steps::cargo;
use profile::{ELSEWHERE, EXCHANGE, LAYERS, layer_of};

/// What is exchanged.
pub(crate) struct Load {
    /// What the program calls it.
    pub(crate) name: &'static str,
    /// How often in the shorter run under callgrind; the other is twice as long.
    pub(crate) count: u32,
    /// How many of the shorter runs take about a second by themselves.
    pub(crate) repeats_of_a_second: u32,
    pub(crate) title: &'static str,
}

pub(crate) const LOADS: &[Load] = &[
    Load {
        name: "segments",
        count: 50,
        repeats_of_a_second: 400,
        title: "a stream in segments of 1448 bytes",
    },
    Load {
        name: "super-segments",
        count: 100,
        repeats_of_a_second: 500,
        title: "a stream in super-segments",
    },
    Load { name: "round-trips", count: 500, repeats_of_a_second: 1000, title: "round trips of 1 byte" },
    Load {
        name: "connections",
        count: 100,
        repeats_of_a_second: 250,
        title: "connections with one round trip",
    },
    Load { name: "datagrams", count: 500, repeats_of_a_second: 2000, title: "UDP echo, 64 bytes" },
];
/// How many there are of everything, for the loads that look it up or add to it.
const CROWD: u16 = 10_000;
const BESIDE_A_CROWD: &[&str] = &["round-trips", "connections", "datagrams"];
/// What a crowd may add, in percent: trees become deeper. To pass over it once a connection would be more.
const TOLERANCE_BESIDE: f64 = 10.0;
/// What a compiler may make of the same code, in percent.
const TOLERANCE: f64 = 5.0;
/// What another C library may make of the same calls, in percent: less than one copy more of what a stream carries, which is
/// copied four times, twice by what stands for devices.
const TOLERANCE_ELSEWHERE: f64 = 20.0;

/// Instructions a packet, by layer.
type Costs = BTreeMap<&'static str, f64>;

/// Counts, and writes the table or holds the counts against it; false if something has become dearer.
pub(crate) fn run(mode: Mode) -> Result<bool> {
    let Programs { packets, target, page } = Programs::build()?;
    let lab = Lab { program: packets, scratch: report::scratch(&target)? };
    let (mut measured, mut crowds) = (Vec::new(), Vec::new());
    for &Load { name, count, title, .. } in LOADS {
        let costs = lab.costs(name, count, 0)?;
        if BESIDE_A_CROWD.contains(&name) {
            crowds.push(Beside { title, alone: all(&costs), beside: all(&lab.costs(name, count, CROWD)?) });
        }
        measured.push((title, costs));
    }
    let tables = [render(&measured), render_crowds(&crowds)].join("\n");
    println!("{tables}");
    let is_even = crowds.iter().filter(|crowd| !crowd.is_even()).count() == 0;
    let text = std::fs::read_to_string(&page).context("docs/performance.md cannot be read")?;
    let dearer = dearer(&measured, &text);
    for line in &dearer {
        eprintln!("{line}");
    }
    match mode {
        Mode::Write => report::write_part(&page, "instructions", &tables).map(|()| is_even),
        Mode::Check => {
            let unknown: Vec<_> = without_budget(&measured, &text).collect();
            for title in &unknown {
                eprintln!("docs/performance.md has no line for {title}: cargo xtask instructions writes it");
            }
            Ok(dearer.is_empty() && unknown.is_empty() && is_even)
        }
    }
}

/// Instructions a packet of one load, libraries included.
struct Beside {
    title: &'static str,
    alone: f64,
    beside: f64,
}

impl Beside {
    /// Whether the crowd makes a packet hardly dearer; if not, says so.
    fn is_even(&self) -> bool {
        let Self { title, alone, beside } = self;
        let is_even = *beside <= alone * (1.0 + TOLERANCE_BESIDE / 100.0);
        if !is_even {
            eprintln!("{title}: beside a crowd {beside:.0} instructions a packet, {alone:.0} alone");
        }
        is_even
    }
}

/// What is measured, and where it is told.
pub(crate) struct Programs {
    /// The exchange.
    pub(crate) packets: PathBuf,
    /// Where what is built lies.
    pub(crate) target: PathBuf,
    /// The page with the table.
    pub(crate) page: PathBuf,
}

impl Programs {
    /// Builds the exchange.
    pub(crate) fn build() -> Result<Self> {
        let metadata =
            MetadataCommand::new().no_deps().exec().context("cargo metadata does not read the workspace")?;
        let arguments =
            ["build", "--quiet", "--release", "--package", "netloom-sim", "--bin", "netloom-packets"];
        ensure!(cargo(&arguments).status()?.success(), "netloom-packets does not build");
        let target = metadata.target_directory.into_std_path_buf();
        Ok(Self {
            packets: target.join("release/netloom-packets"),
            target,
            page: metadata.workspace_root.as_std_path().join("docs/performance.md"),
        })
    }
}

/// How one load is counted.
struct Lab {
    program: PathBuf,
    scratch: TempDir,
}

impl Lab {
    /// What a packet of the load costs beside so much else.
    fn costs(&self, load: &str, count: u32, beside: u16) -> Result<Costs> {
        let (short_packets, short) = self.count(load, count, beside)?;
        let (long_packets, long) = self.count(load, 2 * count, beside)?;
        ensure!(long_packets > short_packets, "{load}: a longer exchange has no more packets");
        let packets = long_packets - short_packets;
        let cost = |layer: &&'static str| {
            let of = |counts: &BTreeMap<&str, f64>| counts.get(layer).copied().unwrap_or_default();
            (*layer, (of(&long) - of(&short)) / packets)
        };
        Ok(LAYERS.iter().chain(&[ELSEWHERE, EXCHANGE]).map(cost).collect())
    }

    /// Packets, and instructions by layer.
    fn count(&self, load: &str, count: u32, beside: u16) -> Result<(f64, BTreeMap<&'static str, f64>)> {
        let profile = self.scratch.path().join("callgrind.out");
        let output = Command::new("valgrind")
            .args(["--quiet", "--tool=callgrind"])
            .arg(format!("--callgrind-out-file={}", profile.display()))
            .arg(&self.program)
            .args([load, &count.to_string(), "--beside", &beside.to_string()])
            .output()
            .context("valgrind cannot be run; on Debian type: sudo apt-get install valgrind")?;
        if !output.status.success() {
            bail!("valgrind failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        let packets = String::from_utf8_lossy(&output.stdout).trim().parse();
        Ok((packets.context("netloom-packets has printed no number")?, read_profile(&profile)?))
    }
}

fn read_profile(profile: &Path) -> Result<BTreeMap<&'static str, f64>> {
    let text =
        std::fs::read_to_string(profile).with_context(|| format!("{} cannot be read", profile.display()))?;
    let mut counts = BTreeMap::new();
    for (function, count) in profile::self_costs(&text) {
        *counts.entry(layer_of(&function)).or_default() += count;
    }
    Ok(counts)
}

/// What netloom's own layers take together.
fn own(costs: &Costs) -> f64 {
    LAYERS.iter().filter_map(|layer| costs.get(layer)).sum()
}

/// What everything takes but the exchange itself.
fn all(costs: &Costs) -> f64 {
    own(costs) + costs.get(ELSEWHERE).copied().unwrap_or_default()
}

fn render_crowds(crowds: &[Beside]) -> String {
    let mut text = String::from(
        "| instructions a packet, libraries included | alone | beside a crowd |\n|---|---|---|\n",
    );
    for Beside { title, alone, beside } in crowds {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "| {title} | {alone:.0} | {beside:.0} |");
    }
    text
}

fn render(measured: &[(&str, Costs)]) -> String {
    let mut text =
        format!("| instructions a packet | {} | together | libraries |\n|---|", LAYERS.join(" | "));
    text += &"---|".repeat(LAYERS.len() + 2);
    text.push('\n');
    for (title, costs) in measured {
        let of = |layer: &&str| format!("{:.0}", costs.get(*layer).copied().unwrap_or_default());
        let layers: Vec<String> = LAYERS.iter().map(of).collect();
        // Writing to a String cannot fail.
        let _ =
            writeln!(text, "| {title} | {} | {:.0} | {} |", layers.join(" | "), own(costs), of(&ELSEWHERE));
    }
    text
}

/// A line for each load that takes more than the table on the page says, but for what compilers and C libraries differ in.
fn dearer(measured: &[(&str, Costs)], page: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for (title, costs) in measured {
        let Some((own_budget, elsewhere_budget)) = budget(page, title) else { continue };
        let elsewhere = costs.get(ELSEWHERE).copied().unwrap_or_default();
        for (whose, count, budget, tolerance) in [
            ("the layers", own(costs), own_budget, TOLERANCE),
            (ELSEWHERE, elsewhere, elsewhere_budget, TOLERANCE_ELSEWHERE),
        ] {
            if count > budget * (1.0 + tolerance / 100.0) {
                let percent = (count / budget - 1.0) * 100.0;
                lines.push(format!(
                    "{title}: {whose} take {count:.0} instructions a packet, \
                     {percent:.0}% over the {budget:.0} of docs/performance.md"
                ));
            }
        }
    }
    lines
}

/// The loads that the table on the page does not have.
fn without_budget<'a>(measured: &[(&'a str, Costs)], page: &str) -> impl Iterator<Item = &'a str> {
    measured.iter().map(|(title, _)| *title).filter(|title| budget(page, title).is_none())
}

/// What the line of the page that begins with `title` says of the layers together, and of libraries.
fn budget(page: &str, title: &str) -> Option<(f64, f64)> {
    let begin = format!("| {title} |");
    // The other table on the page has the same lines.
    let (_, table) = page.split_once("| instructions a packet |")?;
    let line = table.lines().find_map(|line| line.strip_prefix(&begin))?;
    let mut cells = line.split('|').skip(LAYERS.len()).map(|cell| cell.trim().parse().ok());
    Some((cells.next()??, cells.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(transport: f64, libraries: f64) -> [(&'static str, Costs); 1] {
        [("a load", Costs::from([("l4-transport", transport), ("wire", 50.0), (ELSEWHERE, libraries)]))]
    }

    #[test]
    fn what_is_written_is_the_budget() {
        let page = format!("# Performance\n\n{}", render(&measured(1000.0, 500.0)));
        assert_eq!(budget(&page, "a load"), Some((1050.0, 500.0)));
        assert_eq!(without_budget(&measured(1.0, 1.0), &page).count(), 0);
        let alone = "a page without a table";
        assert_eq!(without_budget(&measured(1.0, 1.0), alone).collect::<Vec<_>>(), ["a load"]);
        assert!(dearer(&measured(1.0, 1.0), alone).is_empty());
    }

    #[test]
    fn what_is_over_the_budget_is_told_with_how_much_it_is() {
        let page = render(&measured(1000.0, 500.0));
        let dearer = |transport, libraries| dearer(&measured(transport, libraries), &page);
        for (transport, libraries) in [(1000.0, 500.0), (1050.0, 590.0), (10.0, 10.0)] {
            assert!(dearer(transport, libraries).is_empty(), "{transport}, {libraries}");
        }
        assert_eq!(
            dearer(1060.0, 500.0),
            ["a load: the layers take 1110 instructions a packet, 6% over the 1050 of docs/performance.md"]
        );
        // A fifth copy of a stream.
        assert_eq!(
            dearer(1060.0, 625.0)[1..],
            ["a load: libraries take 625 instructions a packet, 25% over the 500 of docs/performance.md"]
        );
    }

    #[test]
    fn a_crowd_may_cost_what_a_deeper_tree_does_and_no_more() {
        let beside = |beside| Beside { title: "a load", alone: 8000.0, beside };
        assert!(beside(8700.0).is_even() && beside(7000.0).is_even());
        assert!(!beside(8900.0).is_even());
        let page = render(&measured(1000.0, 500.0)) + "\n" + &render_crowds(&[beside(8700.0)]);
        assert_eq!(budget(&page, "a load"), Some((1050.0, 500.0)), "the budget is the first table's");
    }
}
