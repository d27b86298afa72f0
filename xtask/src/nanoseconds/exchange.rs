//! A packet of the exchanges that `cargo xtask instructions` counts: two stacks back to back, in virtual time.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::perf::{self, KERNEL, Times};
use crate::instructions::LOADS;
use crate::instructions::profile::{ELSEWHERE, EXCHANGE, LAYERS, layer_of};

/// Samples a second.
const FREQUENCY: u32 = 4000;

/// Measures what `program` exchanges so often, with room for perf's file at `profile`; the table.
pub(super) fn measure(program: &Path, profile: &Path, runs: u32) -> Result<String> {
    let mut text = format!(
        "| nanoseconds a packet | {} | together | {ELSEWHERE} | {KERNEL} | {EXCHANGE} |\n|---|",
        LAYERS.join(" | ")
    );
    text += &"---|".repeat(LAYERS.len() + 4);
    text.push('\n');
    for load in LOADS {
        let count = load.count.saturating_mul(load.repeats_of_a_second);
        let runs: Vec<Times> =
            (0..runs).map(|_| times(program, profile, load.name, count)).collect::<Result<_>>()?;
        let of = |parts: &[&str]| format!("{:.0}", perf::median(&runs, parts));
        let layers: Vec<String> = LAYERS.iter().map(|layer| of(&[layer])).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} |",
            load.title,
            layers.join(" | "),
            of(LAYERS),
            of(&[ELSEWHERE]),
            of(&[KERNEL]),
            of(&[EXCHANGE])
        );
    }
    Ok(text)
}

fn times(program: &Path, profile: &Path, load: &str, count: u32) -> Result<Times> {
    let recorded = perf::run(
        Command::new("perf")
            .args(["record", "--quiet", "--no-buildid-cache", "--event", "cpu-clock"])
            .args(["--freq", &FREQUENCY.to_string(), "--output"])
            .arg(profile)
            .arg(program)
            .args([load, &count.to_string()]),
    )?;
    let packets: f64 = String::from_utf8_lossy(&recorded.stdout)
        .trim()
        .parse()
        .context("netloom-packets has printed no number")?;
    Ok(perf::per_packet(perf::read(profile, layer_of)?, packets))
}
