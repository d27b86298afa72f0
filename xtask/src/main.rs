//! netloom's own build, test and check commands: `cargo xtask <command>`.
#![forbid(unsafe_code)]

mod bench;
mod compliance;
mod fsm_diagram;
mod goodput;
mod instructions;
mod nanoseconds;
mod report;
mod runner;
mod sim;
mod skips;
mod steps;
mod tidy;
mod tools;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use compliance::Mode;

/// netloom's own build, test and check commands.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check the rules of the house that the compiler and clippy do not know; prints file:line for each breach.
    Tidy,
    /// Trace the RFCs' requirements to code and tests, and write docs/compliance.md; fails on a MUST without either.
    Compliance {
        /// Write nothing: fail if the page is out of date.
        #[arg(long)]
        check: bool,
    },
    /// Draw docs/tcp-state.svg from TCP's table of states.
    FsmDiagram {
        /// Write nothing: fail if the picture is out of date.
        #[arg(long)]
        check: bool,
    },
    /// The one test command: tools, format, tidy, build, clippy, every test. Installs missing Debian packages as root.
    Test {
        /// Leave out the packages whose tests drive real clients in network namespaces.
        #[arg(long)]
        quick: bool,
    },
    /// Run seeded scenarios in virtual time until one fails: `--seeds N --seed S`; `--help` tells the rest.
    #[command(disable_help_flag = true)]
    Sim {
        /// What the simulator is told.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Measure what gets through a link with faults beside the kernel, in namespaces of its own; as root, for a quarter of
    /// an hour and more.
    Goodput(goodput::Options),
    /// Measure netloom beside the kernel and smoltcp, in namespaces of its own, and write docs/performance.md; as root, for half
    /// an hour.
    Bench(bench::Options),
    /// Count instructions a packet and layer under valgrind's callgrind, and write them into docs/performance.md.
    Instructions {
        /// Write nothing: fail if the layers take more than the page says.
        #[arg(long)]
        check: bool,
    },
    /// Measure what a packet takes in each layer, in nanoseconds, with perf, in virtual time and behind a TAP, and write it into
    /// docs/performance.md; as root, for five minutes.
    Nanoseconds(nanoseconds::Options),
    /// What CI runs: the documentation and the licences, then everything that `test` does.
    Ci,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Tidy => tidy::run(),
        Command::Compliance { check } => compliance::run(Mode::new(check)),
        Command::FsmDiagram { check } => fsm_diagram::run(Mode::new(check)),
        Command::Test { quick } => runner::test(quick),
        Command::Sim { arguments } => sim::run(&arguments),
        Command::Goodput(options) => goodput::run(&options),
        Command::Bench(options) => bench::run(&options),
        Command::Instructions { check } => instructions::run(Mode::new(check)),
        Command::Nanoseconds(options) => nanoseconds::run(&options),
        Command::Ci => runner::ci(),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
