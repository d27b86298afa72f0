//! `cargo xtask nanoseconds`: time a packet and layer, of the exchanges that `cargo xtask instructions` counts, and of a server
//! behind a TAP.
//!
//! *Theory of operation.* `perf record` stops a program some thousand times a second of processor time (its `cpu-clock`, which
//! virtual machines have too) and notes the function that ran. A sample stands for the time between two; it belongs to the layer whose
//! function that was. First the program is `netloom-packets`, two stacks and nothing else; then the server that `scripts/bench-lab`
//! puts behind a TAP, in the middle of a load, with its driver, sockets and device. The figure of each layer is the median of
//! several runs, so that their sum may differ a little from the whole.

mod exchange;
mod perf;
mod tap;

use anyhow::Result;
use clap::Args;

use crate::bench::Lab;
use crate::instructions::Programs;
use crate::{report, tools};

/// How long a load behind a TAP takes; perf records all of it but the first second and the last.
const SECONDS: u32 = 5;

/// What is measured how often.
#[derive(Args)]
pub(crate) struct Options {
    /// Runs of each exchange and of each load.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
}

/// Measures, and writes the tables.
pub(crate) fn run(&Options { runs }: &Options) -> Result<bool> {
    tools::ensure_profiling()?;
    let Programs { packets, target, page } = Programs::build()?;
    let lab = Lab::new(None, SECONDS)?;
    let scratch = report::scratch(&target)?;
    let profile = scratch.path().join("perf.data");
    let exchanges = exchange::measure(&packets, &profile, runs)?;
    println!("{exchanges}");
    let loads = tap::measure(&lab, &profile, runs)?;
    println!("{loads}");
    let text = format!(
        "`cargo xtask nanoseconds --runs {runs}`; {}, release build, medians of {runs} runs.\n\n{exchanges}\n{loads}",
        report::machine()
    );
    report::write_part(&page, "nanoseconds", &text).map(|()| true)
}
