//! `cargo xtask nanoseconds`: time a packet and layer, of the exchanges that `cargo xtask instructions` counts.
//!
//! *Theory of operation.* `perf record` stops `netloom-packets` some thousand times a second of processor time (its `cpu-clock`, which
//! virtual machines have too) and notes the function that ran. A sample stands for the time between two; it belongs to the layer whose
//! function that was. The figure of each layer is the median of several runs, so that their sum may differ a little from the whole.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::instructions::profile::{ELSEWHERE, EXCHANGE, LAYERS, layer_of};
use crate::instructions::{LOADS, Programs};
use crate::report;

/// Samples a second.
const FREQUENCY: u32 = 4000;
/// What the kernel does for the program: memory above all.
const KERNEL: &str = "kernel";

/// What is measured how often.
#[derive(Args)]
pub(crate) struct Options {
    /// Runs of each exchange.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
}

/// Nanoseconds a packet, by layer.
type Times = BTreeMap<&'static str, f64>;

/// Measures, and writes the table.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let programs = Programs::build()?;
    let profile = programs.target.join("perf.data");
    let mut text = format!(
        "| nanoseconds a packet | {} | together | libraries | kernel | exchange |\n|---|",
        LAYERS.join(" | ")
    );
    text += &"---|".repeat(LAYERS.len() + 4);
    text.push('\n');
    for load in LOADS {
        let count = load.count.saturating_mul(load.repeats_of_a_second);
        let runs: Vec<Times> = (0..options.runs)
            .map(|_| times(&programs.packets, &profile, load.name, count))
            .collect::<Result<_>>()?;
        let of =
            |layer: &str| report::median(runs.iter().map(|times| times.get(layer).copied().unwrap_or(0.0)));
        let own = report::median(
            runs.iter().map(|times| LAYERS.iter().filter_map(|layer| times.get(layer)).sum::<f64>()),
        );
        let layers: Vec<String> = LAYERS.iter().map(|layer| format!("{:.0}", of(layer))).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| {} | {} | {own:.0} | {:.0} | {:.0} | {:.0} |",
            load.title,
            layers.join(" | "),
            of(ELSEWHERE),
            of(KERNEL),
            of(EXCHANGE)
        );
    }
    let text = format!(
        "`cargo xtask nanoseconds --runs {}`; {}, release build, medians of {} runs.\n\n{text}",
        options.runs,
        report::machine(),
        options.runs
    );
    println!("{text}");
    report::write_part(&programs.page, "nanoseconds", &text).map(|()| true)
}

fn times(program: &Path, profile: &PathBuf, load: &str, count: u32) -> Result<Times> {
    let recorded = perf(
        Command::new("perf")
            .args(["record", "--quiet", "--event", "cpu-clock", "--freq", &FREQUENCY.to_string(), "--output"])
            .arg(profile)
            .arg(program)
            .args([load, &count.to_string()]),
    )?;
    let packets: f64 = String::from_utf8_lossy(&recorded.stdout)
        .trim()
        .parse()
        .context("netloom-packets has printed no number")?;
    let shown = perf(
        Command::new("perf")
            .args(["report", "--stdio", "--fields", "sample,sym", "--field-separator", ";", "--input"])
            .arg(profile),
    )?;
    let nanos = 1e9 / f64::from(FREQUENCY) / packets;
    let mut times = Times::new();
    for (layer, samples) in samples(&String::from_utf8_lossy(&shown.stdout)) {
        *times.entry(layer).or_default() += samples * nanos;
    }
    ensure!(!times.is_empty(), "perf has taken no sample");
    Ok(times)
}

fn perf(command: &mut Command) -> Result<Output> {
    let output =
        command.output().context("perf cannot be run; on Debian type: sudo apt-get install linux-perf")?;
    ensure!(output.status.success(), "perf failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(output)
}

/// Whose samples there are, from lines as `12;[.] function;` in which `k` stands for the kernel's.
fn samples(report: &str) -> impl Iterator<Item = (&'static str, f64)> {
    report.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let (count, symbol) = line.split_once(';')?;
        let layer = match symbol.strip_prefix("[.] ") {
            Some(function) => layer_of(function),
            None if symbol.starts_with("[k] ") => KERNEL,
            None => return None,
        };
        Some((layer, count.trim().parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_belongs_to_the_layer_whose_function_ran() {
        let report = "# Samples: 2K of event 'cpu-clock'\n#\n\
                      172;[.] netloom_l4_transport::tcp::ack::<impl Connection>::process_ack;    -\n\
                      \x20 7;[k] clear_page_erms;-\n3;[.] __memmove_avx512;-\n\n";
        let samples: Vec<_> = samples(report).collect();
        assert_eq!(samples, [("l4-transport", 172.0), (KERNEL, 7.0), (ELSEWHERE, 3.0)]);
    }
}
