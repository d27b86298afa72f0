//! Steps of a check, run one after another, timed, and summed up at the end.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// What was run so far and how it went.
pub(crate) struct Steps {
    started: Instant,
    done: Vec<Step>,
}

struct Step {
    name: &'static str,
    duration: Duration,
    passed: bool,
}

impl Steps {
    pub(crate) fn new() -> Self {
        Self { started: Instant::now(), done: Vec::new() }
    }

    /// Runs `action` as the step `name`; true if it passed.
    pub(crate) fn run(&mut self, name: &'static str, action: impl FnOnce() -> Result<bool>) -> Result<bool> {
        eprintln!("\n==> {name}");
        let started = Instant::now();
        let passed = action().with_context(|| format!("the step `{name}` could not be run"))?;
        self.done.push(Step { name, duration: started.elapsed(), passed });
        Ok(passed)
    }

    /// Runs `command` as the step `name`; it passes if it exits with 0.
    pub(crate) fn command(&mut self, name: &'static str, command: &mut Command) -> Result<bool> {
        self.run(name, || Ok(command.status()?.success()))
    }

    /// Prints each step with its time, and the total; true if all passed.
    pub(crate) fn sum_up(&self) -> bool {
        eprintln!();
        for Step { name, duration, passed } in &self.done {
            let verdict = if *passed { "ok" } else { "FAILED" };
            eprintln!("{name:>12}  {:>7.1} s  {verdict}", duration.as_secs_f64());
        }
        let passed = self.done.iter().all(|step| step.passed);
        let verdict = if passed { "ok" } else { "FAILED" };
        eprintln!("{:>12}  {:>7.1} s  {verdict}", "total", self.started.elapsed().as_secs_f64());
        passed
    }
}

/// A call of the cargo that runs this program.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments);
    command
}

/// Whether `cargo <subcommand>` is there.
pub(crate) fn has_cargo(subcommand: &str) -> bool {
    cargo(&[subcommand, "--version"]).output().is_ok_and(|output| output.status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failed_step_fails_the_whole() {
        let mut steps = Steps::new();
        assert!(steps.run("first", || Ok(true)).unwrap());
        assert!(steps.sum_up());
        assert!(!steps.run("second", || Ok(false)).unwrap());
        assert!(steps.run("third", || Ok(true)).unwrap());
        assert!(!steps.sum_up());
    }

    #[test]
    fn a_command_that_is_not_there_is_an_error_and_not_a_failure() {
        let mut steps = Steps::new();
        let error = steps.command("gone", &mut Command::new("netloom-no-such-command")).unwrap_err();
        assert!(error.to_string().contains("`gone`"), "{error}");
    }
}
