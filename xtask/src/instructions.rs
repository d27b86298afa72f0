//! `cargo xtask instructions`: instructions a packet and layer, of a fixed exchange under callgrind.
//!
//! *Theory of operation.* `netloom-packets` exchanges the same packets between two stacks each time, so that callgrind counts
//! the same instructions each time, however busy the machine is. Two runs of different lengths differ by what the
//! packets cost, without the start. An instruction belongs to the layer whose function it was compiled into. The table in
//! docs/performance.md is the budget: `--check` fails where the layers together take more.

mod profile;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use cargo_metadata::MetadataCommand;

use crate::compliance::Mode;
use crate::report;
use crate::steps::cargo;
use profile::{ELSEWHERE, EXCHANGE, LAYERS, layer_of};

/// What is exchanged, and how often in the shorter run; the other is twice as long.
const LOADS: &[(&str, u32, &str)] = &[
    ("segments", 50, "a stream in segments of 1448 bytes"),
    ("super-segments", 100, "a stream in super-segments"),
    ("round-trips", 500, "round trips of 1 byte"),
    ("connections", 100, "connections with one round trip"),
    ("datagrams", 500, "UDP echo, 64 bytes"),
];
/// What a compiler may make of the same code, in percent.
const TOLERANCE: f64 = 5.0;

/// Instructions a packet, by layer.
type Costs = BTreeMap<&'static str, f64>;

/// Counts, and writes the table or holds the counts against it; false if something has become dearer.
pub(crate) fn run(mode: Mode) -> Result<bool> {
    let metadata =
        MetadataCommand::new().no_deps().exec().context("cargo metadata does not read the workspace")?;
    let target = metadata.target_directory.as_std_path();
    let page = metadata.workspace_root.as_std_path().join("docs/performance.md");
    let arguments = ["build", "--quiet", "--release", "--package", "netloom-sim", "--bin", "netloom-packets"];
    ensure!(cargo(&arguments).status()?.success(), "netloom-packets does not build");
    let lab = Lab { program: target.join("release/netloom-packets"), profile: target.join("callgrind.out") };
    let mut measured = Vec::new();
    for &(load, count, title) in LOADS {
        measured.push((title, lab.costs(load, count)?));
    }
    let table = render(&measured);
    println!("{table}");
    match mode {
        Mode::Write => report::write_part(&page, "instructions", &table).map(|()| true),
        Mode::Check => {
            let text = std::fs::read_to_string(&page).context("docs/performance.md cannot be read")?;
            Ok(is_within_budget(&measured, &text))
        }
    }
}

/// How one load is counted.
struct Lab {
    program: PathBuf,
    profile: PathBuf,
}

impl Lab {
    fn costs(&self, load: &str, count: u32) -> Result<Costs> {
        let (short_packets, short) = self.count(load, count)?;
        let (long_packets, long) = self.count(load, 2 * count)?;
        ensure!(long_packets > short_packets, "{load}: a longer exchange has no more packets");
        let packets = long_packets - short_packets;
        let cost = |layer: &&'static str| {
            let of = |counts: &BTreeMap<&str, f64>| counts.get(layer).copied().unwrap_or_default();
            (*layer, (of(&long) - of(&short)) / packets)
        };
        Ok(LAYERS.iter().chain(&[ELSEWHERE, EXCHANGE]).map(cost).collect())
    }

    /// Packets, and instructions by layer.
    fn count(&self, load: &str, count: u32) -> Result<(f64, BTreeMap<&'static str, f64>)> {
        let output = Command::new("valgrind")
            .args(["--quiet", "--tool=callgrind"])
            .arg(format!("--callgrind-out-file={}", self.profile.display()))
            .arg(&self.program)
            .args([load, &count.to_string()])
            .output()
            .context("valgrind cannot be run; on Debian type: sudo apt-get install valgrind")?;
        if !output.status.success() {
            bail!("valgrind failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        let packets = String::from_utf8_lossy(&output.stdout).trim().parse();
        Ok((packets.context("netloom-packets has printed no number")?, self.read_profile()?))
    }

    fn read_profile(&self) -> Result<BTreeMap<&'static str, f64>> {
        let shown = Path::display(&self.profile);
        let text =
            std::fs::read_to_string(&self.profile).with_context(|| format!("{shown} cannot be read"))?;
        let mut counts = BTreeMap::new();
        for (function, count) in profile::self_costs(&text) {
            *counts.entry(layer_of(&function)).or_default() += count;
        }
        Ok(counts)
    }
}

/// What netloom's own layers take together.
fn own(costs: &Costs) -> f64 {
    LAYERS.iter().filter_map(|layer| costs.get(layer)).sum()
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

/// Whether no load takes more than the table on the page says, but for what compilers differ in.
fn is_within_budget(measured: &[(&str, Costs)], page: &str) -> bool {
    let mut is_within = true;
    for (title, costs) in measured {
        let own = own(costs);
        match budget(page, title) {
            None => {
                eprintln!("docs/performance.md has no line for {title}: cargo xtask instructions writes it");
            }
            Some(budget) if own > budget * (1.0 + TOLERANCE / 100.0) => {
                eprintln!("{title}: {own:.0} instructions a packet, docs/performance.md says {budget:.0}");
            }
            Some(_) => continue,
        }
        is_within = false;
    }
    is_within
}

/// The sum of the layers in the line of the page that begins with `title`.
fn budget(page: &str, title: &str) -> Option<f64> {
    let begin = format!("| {title} |");
    let line = page.lines().find_map(|line| line.strip_prefix(&begin))?;
    line.split('|').nth(LAYERS.len())?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(transport: f64) -> [(&'static str, Costs); 1] {
        [("a load", Costs::from([("l4-transport", transport), ("wire", 50.0), (ELSEWHERE, 999.0)]))]
    }

    #[test]
    fn what_is_written_is_the_budget() {
        let page = format!("# Performance\n\n{}", render(&measured(1000.0)));
        assert_eq!(budget(&page, "a load"), Some(1050.0));
        assert!(is_within_budget(&measured(1000.0), &page));
        assert!(is_within_budget(&measured(1050.0), &page));
        assert!(is_within_budget(&measured(10.0), &page));
        assert!(!is_within_budget(&measured(1060.0), &page));
        assert!(!is_within_budget(&measured(1.0), "a page without a table"));
    }
}
