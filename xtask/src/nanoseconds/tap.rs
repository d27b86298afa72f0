//! A packet that a server takes from a TAP or hands to it, under the loads of `cargo xtask bench`.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};

use super::perf::{self, KERNEL, Times};
use crate::bench::{self, Lab};
use crate::instructions::profile::{ELSEWHERE, LAYERS, crate_of, layer_of_crate};
use crate::report;

/// The loads, as `scripts/bench-lab` knows them.
const ROWS: &[&str] = &["rr-1", "http-bare", "connect", "udp-64", "bulk-up-1", "bulk-down-1"];
/// Driver, sockets and their tasks.
const SOCKETS: &str = "netloom";
/// The TAP's side of a system call.
const DEVICE: &str = "device";
/// The server, its services, and whatever else is neither a layer nor one of the parts above.
const APPLICATION: &str = "application";
/// What there is beside the layers.
const BESIDE_LAYERS: &[&str] = &[SOCKETS, DEVICE, APPLICATION, ELSEWHERE, KERNEL];

/// One profile.
struct Run {
    /// Of a packet.
    times: Times,
    packets_per_second: f64,
}

/// Measures every load so often, with room for perf's file at `profile`; the table.
pub(super) fn measure(lab: &Lab, profile: &Path, runs: u32) -> Result<String> {
    let mut rows: Vec<(&str, Vec<Run>)> = ROWS.iter().map(|row| (*row, Vec::new())).collect();
    for _ in 0..runs {
        for (row, runs) in &mut rows {
            let figures = lab.profile(row, profile).context(*row)?;
            eprintln!("{row}: {}", figures.trim().replace('\n', ", "));
            runs.push(Run::new(perf::read(profile, part_of)?, &figures).context(*row)?);
        }
    }
    Ok(render(&rows))
}

impl Run {
    /// From what perf has recorded, and what the lab prints.
    fn new(times: Times, figures: &str) -> Result<Self> {
        let figure = |name: &str| -> Option<f64> {
            figures.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
        };
        let packets = figure("window_packets").context("the lab has counted no packets")?;
        let window_us = figure("window_us").context("the lab does not tell how long it counted")?;
        Ok(Self { times: perf::per_packet(times, packets), packets_per_second: packets / (window_us / 1e6) })
    }

    /// How much of one processor the server has used.
    fn share(&self) -> f64 {
        self.times.values().sum::<f64>() * self.packets_per_second / 1e9
    }
}

/// Where a function belongs.
fn part_of(function: &str) -> &'static str {
    match crate_of(function) {
        None => ELSEWHERE,
        Some("netloom") => SOCKETS,
        Some("netloom_device") => DEVICE,
        Some(name) => layer_of_crate(name).unwrap_or(APPLICATION),
    }
}

fn render(rows: &[(&str, Vec<Run>)]) -> String {
    let parts = [LAYERS, BESIDE_LAYERS].concat();
    let mut text = format!(
        "| nanoseconds a packet behind a TAP | {} | all | packets a second | share of a processor |\n|---|",
        parts.join(" | ")
    );
    text += &"---|".repeat(parts.len() + 3);
    text.push('\n');
    for (row, runs) in rows {
        let of = |parts: &[&str]| format!("{:.0}", perf::median(runs.iter().map(|run| &run.times), parts));
        let columns: Vec<String> = parts.iter().map(|part| of(&[part])).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| {} | {} | {} | {:.0} | {:.2} |",
            bench::title(row).unwrap_or(row),
            columns.join(" | "),
            of(&parts),
            report::median(runs.iter().map(|run| run.packets_per_second)),
            report::median(runs.iter().map(Run::share))
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_belongs_to_the_part_that_its_crate_is() {
        for (function, part) in [
            ("netloom::driver::run_held::{{closure}}", SOCKETS),
            ("<netloom::tcp::TcpStream as tokio::io::async_read::AsyncRead>::poll_read", SOCKETS),
            ("<netloom_device::tun_tap::TunTap as netloom_device::queue::Queue>::send", DEVICE),
            ("netloom_l2_link::link::LinkLayer::input", "l2-link"),
            ("netloom_bench::server::bare_http::{{closure}}::{{closure}}", APPLICATION),
            ("netloom_l7_app::iperf3::receive", APPLICATION),
            ("tokio::runtime::task::raw::poll", ELSEWHERE),
            ("__vdso_clock_gettime", ELSEWHERE),
        ] {
            assert_eq!(part_of(function), part, "{function}");
        }
    }

    #[test]
    fn times_are_those_of_a_packet_that_crossed_the_tap_while_perf_recorded() {
        let times = Times::from([("wire", 4e8), (SOCKETS, 2e8), (KERNEL, 12e8)]);
        let figures = "rate 100000.000\nwindow_packets 600000\nwindow_us 2000000\n";
        let run = Run::new(times, figures).unwrap();
        assert!((run.packets_per_second - 300_000.0).abs() < 1e-6);
        assert!((run.share() - 0.9).abs() < 1e-9);
        let text = render(&[("rr-1", vec![run])]);
        let line = text.lines().nth(2).unwrap();
        assert_eq!(
            line,
            "| round trips of 1 byte | 667 | 0 | 0 | 0 | 0 | 0 | 333 | 0 | 0 | 0 | 2000 | 3000 | 300000 | 0.90 |"
        );
        let columns = |line: &str| line.matches('|').count();
        assert!(text.lines().all(|other| columns(other) == columns(line)), "{text}");
    }

    #[test]
    fn packets_that_were_not_counted_are_an_error() {
        assert!(Run::new(Times::new(), "rate 1\nwindow_us 2000000\n").is_err());
        assert!(Run::new(Times::new(), "window_packets 1\n").is_err());
    }

    #[test]
    fn every_load_is_one_of_the_bench() {
        for row in ROWS {
            assert!(bench::title(row).is_some(), "{row}");
        }
    }
}
