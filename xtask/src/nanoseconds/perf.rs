//! perf: what ran for how long.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};

use crate::report;

/// What the kernel does for the program: system calls and memory.
pub(super) const KERNEL: &str = "kernel";

/// Nanoseconds, by the part of the program that ran.
pub(super) type Times = BTreeMap<&'static str, f64>;

/// Runs perf, which `command` begins with.
pub(super) fn run(command: &mut Command) -> Result<Output> {
    let output =
        command.output().context("perf cannot be run; on Debian type: sudo apt-get install linux-perf")?;
    ensure!(output.status.success(), "perf failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(output)
}

/// What was recorded; `part_of` tells where a function belongs.
pub(super) fn read(profile: &Path, part_of: fn(&str) -> &'static str) -> Result<Times> {
    let shown = run(Command::new("perf")
        .args(["report", "--stdio", "--fields", "period,sym", "--field-separator", ";", "--input"])
        .arg(profile))?;
    let mut times = Times::new();
    for (part, nanos) in periods(&String::from_utf8_lossy(&shown.stdout), part_of) {
        *times.entry(part).or_default() += nanos;
    }
    ensure!(!times.is_empty(), "perf has taken no sample");
    Ok(times)
}

/// Whose time it was, from lines as `12;[.] function` in which `k` stands for the kernel's.
fn periods(report: &str, part_of: fn(&str) -> &'static str) -> impl Iterator<Item = (&'static str, f64)> {
    report.lines().filter(|line| !line.starts_with('#')).filter_map(move |line| {
        let (nanos, symbol) = line.split_once(';')?;
        let part = match symbol.strip_prefix("[.] ") {
            Some(function) => part_of(function),
            None if symbol.starts_with("[k] ") => KERNEL,
            None => return None,
        };
        Some((part, nanos.trim().parse().ok()?))
    })
}

/// What each of so many packets took.
pub(super) fn per_packet(times: Times, packets: f64) -> Times {
    times.into_iter().map(|(part, nanos)| (part, nanos / packets)).collect()
}

/// What `parts` took together in the median of the runs.
pub(super) fn median<'a>(runs: impl IntoIterator<Item = &'a Times>, parts: &[&str]) -> f64 {
    let of = |times: &Times, part: &str| times.get(part).copied().unwrap_or(0.0);
    report::median(runs.into_iter().map(|times| parts.iter().map(|part| of(times, part)).sum()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instructions::profile::{ELSEWHERE, layer_of};

    #[test]
    fn time_belongs_to_the_part_whose_function_ran() {
        let report = "# Samples: 2K of event 'cpu-clock'\n#\n\
                      43000000;[.] netloom_l4_transport::tcp::ack::<impl Connection>::process_ack;    -\n\
                      \x20 7;[k] clear_page_erms;-\n3;[.] __memmove_avx512;-\n\n";
        let periods: Vec<_> = periods(report, layer_of).collect();
        assert_eq!(periods, [("l4-transport", 43_000_000.0), (KERNEL, 7.0), (ELSEWHERE, 3.0)]);
    }

    #[test]
    fn what_parts_take_together_is_added_in_each_run() {
        let runs = [
            Times::from([("wire", 1.0), ("base", 9.0)]),
            Times::from([("wire", 2.0), ("base", 2.0)]),
            Times::from([("wire", 8.0)]),
        ];
        assert!((median(&runs, &["wire", "base"]) - 8.0).abs() < 1e-9);
        assert!((median(&runs, &["wire"]) - 2.0).abs() < 1e-9);
        assert!(median(&runs, &["stack"]).abs() < 1e-9);
    }
}
