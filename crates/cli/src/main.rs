//! The `netloom` command: `up` runs the stack as a daemon, `shell` tries it in a private network namespace,
//! `link` is a cable with faults, `addr` shows what a running one has.
//!
//! *Theory of operation.* `main` is synchronous and single-threaded until a command builds its runtime, because
//! `shell` must move the whole process into a new network namespace first, and only a process of one thread can.
//! A command turns flags and file into [`settings::Settings`], checks everything that can be checked, and only then
//! changes something: [`host`] does what `ip` would do, [`endpoint`] joins an interface and a stack. What runs then answers
//! over the [`control`] socket.
//!
//! *Exit status.* 0; 1 for a failure, explained in one line on stderr; 2 for wrong usage; and for `shell` the
//! status of what ran in it.
#![forbid(unsafe_code)]

mod addr;
mod args;
mod banner;
mod control;
mod device_access;
mod endpoint;
mod failure;
mod host;
mod interface_report;
mod link;
mod logging;
mod namespace;
mod runtime;
mod settings;
mod shell;
mod shell_exec;
mod shell_supervisor;
mod signals;
mod stack_host;
mod up;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Command};

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Up(options) => up::run(options),
        Command::Shell(options) => shell::run(options),
        Command::Link(options) => link::run(options),
        Command::Addr(options) => addr::run(&options),
        Command::Supervise(options) => shell_supervisor::run(&options),
        Command::Exec(options) => shell_exec::run(&options),
    };
    outcome.unwrap_or_else(|failure| {
        // If stderr is gone too, the exit status is all that is left to say it with.
        let _ = writeln!(std::io::stderr(), "netloom: {failure}");
        failure.exit_code()
    })
}
