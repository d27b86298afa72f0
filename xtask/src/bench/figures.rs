//! What is measured, and the figures of a run.

use std::collections::BTreeMap;

use crate::report::median;

/// Whose stack serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    Netloom,
    Kernel,
    Smoltcp,
    /// No stack at all: what the device allows.
    Mirror,
}

impl Side {
    pub(super) const ALL: [Self; 4] = [Self::Netloom, Self::Kernel, Self::Smoltcp, Self::Mirror];

    /// As the lab knows it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Netloom => "netloom",
            Self::Kernel => "kernel",
            Self::Smoltcp => "smoltcp",
            Self::Mirror => "mirror",
        }
    }

    /// Whether the row can be measured: a process has too few descriptors for a crowd.
    pub(super) fn has(self, row: &str) -> bool {
        match self {
            Self::Netloom => true,
            Self::Kernel => row != "crowd",
            Self::Smoltcp => !NOT_ON_SMOLTCP.contains(&row),
            Self::Mirror => MIRRORED.contains(&row),
        }
    }
}

/// Neither axum nor the iperf3 service runs on smoltcp, and its loop does not spin.
const NOT_ON_SMOLTCP: &[&str] =
    &["crowd", "http-axum", "ping-awake", "one-service-bulk-up-1", "one-service-bulk-down-1"];

/// Rows that can be answered without remembering anything.
const MIRRORED: &[&str] = &[
    "bulk-down-1",
    "rr-1",
    "rr-100",
    "rr-1-one-cpu",
    "http-bare",
    "connect",
    "udp-64",
    "udp-1400",
    "ping",
    "ping-awake",
];

/// Which way a figure is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Better {
    More,
    Less,
    /// A share that stands for itself, without a ratio.
    One,
}

/// One line of the table.
pub(super) struct Figure {
    /// The load, as the lab knows it.
    pub(super) row: &'static str,
    /// The figure, as the load prints it.
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) unit: &'static str,
    pub(super) better: Better,
    /// Digits behind the point.
    pub(super) digits: usize,
}

const fn figure(
    [row, name]: [&'static str; 2],
    title: &'static str,
    unit: &'static str,
    better: Better,
    digits: usize,
) -> Figure {
    Figure { row, name, title, unit, better, digits }
}

/// Every line of the table, the lines of a row together.
pub(super) const FIGURES: &[Figure] = &[
    figure(["bulk-up-1", "mbps"], "upload, 1 stream", "Mb/s", Better::More, 0),
    figure(["bulk-up-1", "cpu_s_per_gb"], "upload, processor, both ends", "s/GB", Better::Less, 3),
    figure(["bulk-up-1", "server_cpu_s_per_gb"], "upload, processor, server", "s/GB", Better::Less, 3),
    figure(["bulk-up-8", "mbps"], "upload, 8 streams", "Mb/s", Better::More, 0),
    figure(["bulk-up-8", "jain"], "upload, 8 streams, Jain's index", "", Better::One, 3),
    figure(["bulk-down-1", "mbps"], "download, 1 stream", "Mb/s", Better::More, 0),
    figure(["bulk-down-1", "cpu_s_per_gb"], "download, processor, both ends", "s/GB", Better::Less, 3),
    figure(["bulk-down-1", "server_cpu_s_per_gb"], "download, processor, server", "s/GB", Better::Less, 3),
    figure(["bulk-down-8", "mbps"], "download, 8 streams", "Mb/s", Better::More, 0),
    figure(["bulk-down-8", "jain"], "download, 8 streams, Jain's index", "", Better::One, 3),
    figure(["one-service-bulk-up-1", "mbps"], "upload to the same service on both", "Mb/s", Better::More, 0),
    figure(
        ["one-service-bulk-down-1", "mbps"],
        "download from the same service on both",
        "Mb/s",
        Better::More,
        0,
    ),
    figure(["rr-1", "rate"], "round trips of 1 byte", "1/s", Better::More, 0),
    figure(["rr-1", "p50_us"], "the same, half within", "us", Better::Less, 1),
    figure(["rr-1", "p99_us"], "the same, 99% within", "us", Better::Less, 1),
    figure(["rr-100", "rate"], "round trips of 100 bytes", "1/s", Better::More, 0),
    figure(["rr-100", "p50_us"], "the same, half within", "us", Better::Less, 1),
    figure(["rr-100", "p99_us"], "the same, 99% within", "us", Better::Less, 1),
    figure(["rr-1-one-cpu", "rate"], "round trips of 1 byte, all on one CPU", "1/s", Better::More, 0),
    figure(["http-axum", "rate"], "HTTP, the same axum application", "1/s", Better::More, 0),
    figure(["http-bare", "rate"], "HTTP, bare responder", "1/s", Better::More, 0),
    figure(["connect", "rate"], "new connections", "1/s", Better::More, 0),
    figure(["udp-64", "rate"], "UDP echo, 64 bytes", "1/s", Better::More, 0),
    figure(["udp-1400", "rate"], "UDP echo, 1400 bytes", "1/s", Better::More, 0),
    figure(["ping", "p50_us"], "ping, half within", "us", Better::Less, 0),
    figure(["ping", "p99_us"], "ping, 99% within", "us", Better::Less, 0),
    figure(["ping-awake", "p50_us"], "ping of a driver that is awake, half within", "us", Better::Less, 0),
    figure(["ping-awake", "p99_us"], "the same, 99% within", "us", Better::Less, 0),
    figure(["idle", "bytes_each"], "memory of one of 10,000 idle connections", "bytes", Better::Less, 0),
    figure(["idle", "rate"], "round trips of 1 byte beside them", "1/s", Better::More, 0),
    figure(["idle", "rate_alone"], "the same alone", "1/s", Better::More, 0),
    figure(["idle", "share"], "what is left of the rate beside them", "", Better::One, 2),
    figure(["crowd", "rate_alone"], "HTTP, bare responder, 64 connections alone", "1/s", Better::More, 0),
    figure(["crowd", "rate"], "the same on 64 of 100,000, the others idle", "1/s", Better::More, 0),
    figure(["crowd", "share"], "what is left of the rate beside them", "", Better::One, 2),
    figure(["crowd", "bytes_each"], "memory of one of these connections", "bytes", Better::Less, 0),
];

/// Every figure of every round.
#[derive(Default)]
pub(super) struct Measured {
    values: BTreeMap<(Side, &'static str, String), Vec<f64>>,
}

impl Measured {
    /// Takes the lines `NAME VALUE` of one measurement.
    pub(super) fn add(&mut self, side: Side, row: &'static str, lines: &str) {
        for (name, value) in lines.lines().filter_map(|line| line.split_once(' ')) {
            if let Ok(value) = value.parse() {
                self.values.entry((side, row, name.to_owned())).or_default().push(value);
            }
        }
    }

    /// The median, if there is anything.
    pub(super) fn median(&self, side: Side, figure: &Figure) -> Option<f64> {
        let values = self.values.get(&(side, figure.row, figure.name.to_owned()))?;
        Some(median(values.iter().copied()))
    }

    /// The ratio to another side, as it is: of times and costs less is better.
    pub(super) fn ratio(&self, side: Side, to: Side, figure: &Figure) -> Option<f64> {
        let other = self.median(to, figure).filter(|other| *other > 0.0)?;
        Some(self.median(side, figure)? / other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_of_medians() {
        let mut measured = Measured::default();
        for (netloom, kernel) in [(3.0, 1.0), (4.0, 2.0), (90.0, 50.0)] {
            measured.add(Side::Netloom, "rr-1", &format!("rate {netloom}\np50_us 7\nnonsense\n"));
            measured.add(Side::Kernel, "rr-1", &format!("rate {kernel}\n"));
        }
        let rate = FIGURES.iter().find(|figure| figure.row == "rr-1").unwrap();
        assert_eq!(measured.median(Side::Netloom, rate), Some(4.0));
        assert_eq!(measured.ratio(Side::Netloom, Side::Kernel, rate), Some(2.0));
        assert_eq!(measured.ratio(Side::Smoltcp, Side::Kernel, rate), None);
    }

    #[test]
    fn the_figures_of_a_row_stand_together() {
        let mut rows: Vec<&str> = FIGURES.iter().map(|figure| figure.row).collect();
        rows.dedup();
        let count = rows.len();
        rows.sort_unstable();
        rows.dedup();
        assert_eq!(rows.len(), count);
    }
}
