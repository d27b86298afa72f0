//! `cargo xtask goodput`: what gets through a link with faults, netloom and the kernel in turn, and how fairly two flows
//! share one.
//!
//! *Theory of operation.* Each measurement is one call of `scripts/goodput-lab`: two namespaces, `netloom link` between
//! them, iperf3. Within a round a link is measured with the kernel at both ends and with netloom sending, and the other
//! way with the kernel at both ends and with netloom receiving, with the same seed, so that the faults are the same: in turn
//! where the link carries as much as the machine can, and at the same time where loss is what limits it, as is who shares a
//! bottleneck. The next round has another seed. What is compared are the medians of one run. A whole run writes its tables
//! between the markers in docs/performance.md.

mod table;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow, bail};
use cargo_metadata::MetadataCommand;

use crate::steps::cargo;
use crate::{report, tools};
use table::{FairRow, Row, jain};

/// The link of every row, before its faults.
const LINK: &str = "rate=1gbit,queue=1000,delay=10ms";
/// The bottleneck that two flows share: its queue holds what is in flight in 20 ms. Delays swing by the time that it takes
/// to send one packet, altogether. Without that acknowledgments come in step with departures from the queue, and where it is
/// full, a few microseconds of a sender's own time decide whose packets find no room, every time (docs/performance.md).
const BOTTLENECK: &str = "rate=100mbit,queue=170,delay=10ms,jitter=60us";
/// How long two flows share it.
const FAIR_SECONDS: u32 = 30;
/// What a measurement may take beyond its time.
const OVERHEAD_SECONDS: u32 = 30;

/// One link.
struct Faults {
    /// For `--row` and the table.
    name: &'static str,
    spec: &'static str,
    /// Whether loss leaves so little of the rate that four of them fit the machine at a time.
    is_slow: bool,
}

/// The links.
const ROWS: &[Faults] = &[
    Faults { name: "none", spec: "", is_slow: false },
    Faults { name: "loss 0.1%", spec: ",loss=0.1%", is_slow: true },
    Faults { name: "loss 1%", spec: ",loss=1%", is_slow: true },
    Faults { name: "loss 3%", spec: ",loss=3%", is_slow: true },
    Faults { name: "bursts 1%", spec: ",loss=1%,burst=4", is_slow: true },
    Faults { name: "reorder 1% by 2 ms", spec: ",reorder=1%,reorder-by=2ms", is_slow: false },
];

/// Who shares the bottleneck: a name and the flows in the language of the lab.
const FAIR_ROWS: &[(&str, &str)] = &[
    ("two of netloom's", "nn"),
    ("one of netloom's, one of the kernel's", "nk"),
    ("two of the kernel's", "kk"),
];

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Rounds; the figures are medians.
    #[arg(long, default_value_t = 5)]
    runs: u32,
    /// Seconds that one transfer takes.
    #[arg(long, default_value_t = 10)]
    seconds: u32,
    /// Only rows with this in their name, such as `loss` or `netloom`; docs/performance.md is left as it is.
    #[arg(long)]
    row: Option<String>,
    /// First seed; by default the clock's.
    #[arg(long)]
    seed: Option<u64>,
    /// A netloom that is built already.
    #[arg(long)]
    netloom: Option<PathBuf>,
}

/// Measures and prints; true, as there is nothing that fails but the measuring itself.
pub(crate) fn run(options: &Options) -> Result<bool> {
    tools::ensure_measuring()?;
    let metadata =
        MetadataCommand::new().no_deps().exec().context("cargo metadata does not read the workspace")?;
    let root = metadata.workspace_root.into_std_path_buf();
    let netloom = match &options.netloom {
        Some(path) => path.clone(),
        None => build(metadata.target_directory.as_std_path())?,
    };
    let lab = Lab { script: root.join("scripts/goodput-lab"), netloom };
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let seed = options.seed.unwrap_or(clock);
    let is_wanted = |name: &str| options.row.as_ref().is_none_or(|wanted| name.contains(wanted.as_str()));
    let mut rows: Vec<Row> =
        ROWS.iter().filter(|row| is_wanted(row.name)).map(|row| Row::new(row.name)).collect();
    let mut fair: Vec<FairRow> =
        FAIR_ROWS.iter().filter(|row| is_wanted(row.0)).map(|row| FairRow::new(row.0)).collect();
    for round in 0..options.runs {
        let seed = seed + u64::from(round);
        for row in &mut rows {
            measure_row(&lab, row, options.seconds, seed)?;
        }
        measure_fairness(&lab, &mut fair, seed)?;
    }
    let text = table::render(&rows, &fair, &description(options, seed));
    println!("\n{text}");
    if options.row.is_none() {
        report::write_part(&root.join("docs/performance.md"), "goodput", &text)?;
    }
    Ok(true)
}

/// Builds netloom as a user does.
fn build(target: &Path) -> Result<PathBuf> {
    if !cargo(&["build", "--release", "--package", "netloom-cli"]).status()?.success() {
        bail!("netloom does not build");
    }
    Ok(target.join("release/netloom"))
}

fn measure_row(lab: &Lab, row: &mut Row, seconds: u32, seed: u64) -> Result<()> {
    let Some(faults) = ROWS.iter().find(|faults| faults.name == row.name) else { return Ok(()) };
    let link = format!("{LINK}{},seed={seed}", faults.spec);
    let Row { name, kernel, kernel_back, sending, receiving } = row;
    let all = [("k", kernel), ("n", sending), ("K", kernel_back), ("N", receiving)];
    let flows = all.each_ref().map(|(flow, _)| *flow);
    let measured = if faults.is_slow {
        at_once(&flows, |flow| lab.measure(&link, flow, seconds))
    } else {
        flows.iter().map(|flow| lab.measure(&link, flow, seconds)).collect()
    };
    for ((flow, figures), shares) in all.into_iter().zip(measured) {
        let figure = shares?.first().copied().unwrap_or(0.0);
        eprintln!("{name}, seed {seed}: {flow} {figure} Mb/s");
        figures.push(figure);
    }
    Ok(())
}

fn measure_fairness(lab: &Lab, rows: &mut [FairRow], seed: u64) -> Result<()> {
    let flows = |row: &FairRow| FAIR_ROWS.iter().find(|(name, _)| *name == row.name).map_or("", |it| it.1);
    let flows: Vec<&str> = rows.iter().map(flows).collect();
    let link = format!("{BOTTLENECK},seed={seed}");
    let measured = at_once(&flows, |flows| lab.measure(&link, flows, FAIR_SECONDS));
    for (row, shares) in rows.iter_mut().zip(measured) {
        let shares = shares?;
        eprintln!("{}, seed {seed}: {shares:?} Mb/s, Jain's index {:.3}", row.name, jain(&shares));
        row.runs.push(shares);
    }
    Ok(())
}

/// What `measure` says of each of `flows`, asked at the same time.
fn at_once<R: Send>(flows: &[&str], measure: impl Fn(&str) -> Result<R> + Sync) -> Vec<Result<R>> {
    let measure = &measure;
    thread::scope(|scope| {
        let threads: Vec<_> = flows.iter().map(|flow| scope.spawn(move || measure(flow))).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, Result<R>>| {
            thread.join().unwrap_or_else(|_| Err(anyhow!("a measurement panicked")))
        };
        threads.into_iter().map(join).collect()
    })
}

/// What the tables are of.
fn description(options: &Options, seed: u64) -> String {
    let Options { runs, seconds, .. } = options;
    format!(
        "`cargo xtask goodput --runs {runs} --seconds {seconds} --seed {seed}`; {}, release build. \
         Medians of {runs} rounds, Mb/s, in brackets the ratio to the kernel over the same \
         link in the same direction. Every row is a link with \
         `{LINK}` (20 ms there and back) and its faults both ways; all senders use CUBIC.",
        report::machine()
    )
}

/// Where one measurement takes place.
struct Lab {
    script: PathBuf,
    netloom: PathBuf,
}

impl Lab {
    /// Mb/s of each flow.
    fn measure(&self, link: &str, flows: &str, seconds: u32) -> Result<Vec<f64>> {
        let limit = (seconds + OVERHEAD_SECONDS).to_string();
        let output = Command::new("timeout")
            .args(["--kill-after=5", &limit])
            .arg(&self.script)
            .arg(&self.netloom)
            .args([link, flows, &seconds.to_string()])
            .output()
            .context("the lab cannot be run")?;
        if !output.status.success() {
            bail!("the lab failed at {flows} over {link}:\n{}", String::from_utf8_lossy(&output.stderr));
        }
        let figures = parse(&String::from_utf8_lossy(&output.stdout), flows);
        figures.with_context(|| format!("the lab did not tell of every flow of {flows} over {link}"))
    }
}

/// The figures of as many flows as there are letters in `flows`, or none.
fn parse(output: &str, flows: &str) -> Option<Vec<f64>> {
    let figures: Option<Vec<f64>> =
        output.lines().map(|line| line.split_once(' ').and_then(|(_, figure)| figure.parse().ok())).collect();
    figures.filter(|figures| figures.len() == flows.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flow_must_be_told() {
        assert_eq!(parse("n 48.5\nk 51\n", "nk"), Some(vec![48.5, 51.0]));
        assert_eq!(parse("n 48.5\n", "nk"), None);
        assert_eq!(parse("n fast\nk 51\n", "nk"), None);
    }
}
