//! `cargo xtask bench`: netloom beside the kernel over veth, and beside smoltcp on the same TAP.
//!
//! *Theory of operation.* Each measurement is one call of `scripts/bench-lab`: namespaces of its own, one server, one load
//! for some seconds. Within a round every load is put on all sides before the next load, so that what is compared was
//! measured within seconds; the order of the sides is turned round every other round. A whole run writes the medians and
//! their ratios between the markers in docs/performance.md, and draws docs/performance.svg of them; then it counts
//! instructions a packet as `cargo xtask instructions` does.

mod chart;
mod figures;
mod table;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use cargo_metadata::MetadataCommand;

use crate::compliance::Mode;
use crate::steps::cargo;
use crate::{instructions, report, tools};
use figures::{FIGURES, Measured, Side};

/// How many loads of a time a measurement consists of at most: what is measured beside others is measured before they come and when they have
/// left, too.
const LOADS_MAX: u32 = 3;
/// What a measurement may take beyond its time.
const OVERHEAD_SECONDS: u32 = 60;

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Rounds; the figures are medians.
    #[arg(long, default_value_t = 5)]
    runs: u32,
    /// Seconds that one load takes.
    #[arg(long, default_value_t = 3)]
    seconds: u32,
    /// Only rows with this in their name, such as `bulk` or `rr-1`; docs/performance.md is left as it is.
    #[arg(long)]
    row: Option<String>,
    /// A netloom-bench that is built already.
    #[arg(long)]
    bench: Option<PathBuf>,
}

/// Measures and prints; false if a load failed on netloom or on the kernel.
pub(crate) fn run(options: &Options) -> Result<bool> {
    tools::ensure_measuring()?;
    let is_whole = options.row.is_none();
    if is_whole && !tools::has_or_installs("valgrind")? {
        bail!("instructions are counted by valgrind; on Debian type: sudo apt-get install valgrind");
    }
    let lab = Lab::new(options.bench.as_deref(), options.seconds)?;
    let rows: Vec<&str> = rows(options.row.as_deref());
    if rows.is_empty() {
        bail!("no row has this in its name");
    }
    let mut measured = Measured::default();
    let mut is_complete = true;
    for round in 0..options.runs {
        for row in &rows {
            is_complete &= measure(&lab, row, round, &mut measured);
        }
    }
    let description = description(options);
    let text = table::render(&measured, &description);
    println!("\n{text}");
    if is_whole {
        std::fs::write(lab.root.join("docs/performance.svg"), chart::draw(&measured))
            .context("docs/performance.svg cannot be written")?;
        report::write_part(&lab.root.join("docs/performance.md"), "bench", &text)?;
        is_complete &= instructions::run(Mode::Write)?;
    }
    Ok(is_complete)
}

/// The rows that are wanted, each once.
fn rows(wanted: Option<&str>) -> Vec<&'static str> {
    let mut rows: Vec<&str> = Vec::new();
    for figure in FIGURES {
        let is_wanted = wanted.is_none_or(|wanted| figure.row.contains(wanted));
        if is_wanted && !rows.contains(&figure.row) {
            rows.push(figure.row);
        }
    }
    rows
}

/// Puts one load on every side; false if it failed where it should not.
fn measure(lab: &Lab, row: &'static str, round: u32, measured: &mut Measured) -> bool {
    let mut sides = Side::ALL.to_vec();
    if round % 2 == 1 {
        sides.reverse();
    }
    let mut passed = true;
    for side in sides.into_iter().filter(|side| side.has(row)) {
        match lab.measure(side, row) {
            Ok(figures) => {
                eprintln!("{row}, {}: {}", side.name(), figures.trim().replace('\n', ", "));
                measured.add(side, row, &figures);
            }
            Err(error) => {
                eprintln!("{row}, {}: {error:#}", side.name());
                passed &= side == Side::Smoltcp;
            }
        }
    }
    passed
}

/// What the table is of.
fn description(options: &Options) -> String {
    let Options { runs, seconds, .. } = options;
    format!(
        "`cargo xtask bench --runs {runs} --seconds {seconds}`; {}, release build, medians of {runs} rounds.",
        report::machine()
    )
}

/// Where one measurement takes place.
pub(crate) struct Lab {
    root: PathBuf,
    bench: PathBuf,
    seconds: u32,
}

impl Lab {
    /// Of loads that take so long; builds them and the servers, unless they are built already.
    pub(crate) fn new(bench: Option<&Path>, seconds: u32) -> Result<Self> {
        let metadata =
            MetadataCommand::new().no_deps().exec().context("cargo metadata does not read the workspace")?;
        let root = metadata.workspace_root.into_std_path_buf();
        if let Some(bench) = bench {
            return Ok(Self { root, bench: bench.to_owned(), seconds });
        }
        if !cargo(&["build", "--release", "--package", "netloom-bench"]).status()?.success() {
            bail!("netloom-bench does not build");
        }
        Ok(Self { root, bench: metadata.target_directory.join("release/netloom-bench").into(), seconds })
    }

    /// Lines of `NAME VALUE`.
    fn measure(&self, side: Side, row: &str) -> Result<String> {
        figures(&mut self.command(side, row))
    }

    /// The same of netloom, while perf records its server into `profile`.
    pub(crate) fn profile(&self, row: &str, profile: &Path) -> Result<String> {
        figures(self.command(Side::Netloom, row).env("NETLOOM_BENCH_PROFILE", profile))
    }

    fn command(&self, side: Side, row: &str) -> Command {
        let limit = (LOADS_MAX * self.seconds + OVERHEAD_SECONDS).to_string();
        let mut command = Command::new("timeout");
        command
            .args(["--kill-after=5", &limit])
            .arg(self.root.join("scripts/bench-lab"))
            .arg(&self.bench)
            .args([side.name(), row, &self.seconds.to_string()]);
        command
    }
}

/// What the lab prints.
fn figures(lab: &mut Command) -> Result<String> {
    let output = lab.output().context("the lab cannot be run")?;
    if !output.status.success() {
        bail!("the lab failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What the table calls the first figure of a row.
pub(crate) fn title(row: &str) -> Option<&'static str> {
    FIGURES.iter().find(|figure| figure.row == row).map(|figure| figure.title)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_measured_once_for_all_its_figures() {
        let rows = rows(Some("rr-1"));
        assert_eq!(rows, ["rr-1", "rr-100", "rr-1-one-cpu"]);
        assert!(super::rows(Some("no such row")).is_empty());
    }

    #[test]
    fn every_row_is_in_the_lab() {
        let lab = include_str!("../../scripts/bench-lab");
        for row in rows(None) {
            let known = row.split_inclusive('-').next().unwrap_or(row);
            assert!(["  ", "*-"].iter().any(|before| lab.contains(&format!("{before}{known}"))), "{row}");
        }
    }
}
