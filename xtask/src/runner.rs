//! `cargo xtask test`, the one test command, and `cargo xtask ci`, which adds the docs and the licences.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use cargo_metadata::MetadataCommand;

use crate::compliance::Mode;
use crate::skips::Skips;
use crate::steps::{Steps, cargo, has_cargo};
use crate::{compliance, fsm_diagram, instructions, tidy, tools};

/// Packages whose tests drive real clients; `--quick` leaves them out, as the profile `quick` of nextest does.
const LIVE_PACKAGES: &[&str] = &["netloom-cli", "netloom-conformance", "netloom-ecosystem"];

/// Tells the tests where the program `netloom` is that was built for them.
const PROGRAM_VARIABLE: &str = "NETLOOM_BIN";

/// Runs every check; true if all passed.
pub(crate) fn test(quick: bool) -> Result<bool> {
    let mut steps = Steps::new();
    let skips = run_tests(&mut steps, quick)?;
    Ok(finish(&steps, skips.as_ref()))
}

/// Checks the docs and the licences, and then all that [`test()`] does; true if all passed.
pub(crate) fn ci() -> Result<bool> {
    let mut steps = Steps::new();
    steps
        .command("lock file", cargo(&["metadata", "--locked", "--format-version=1"]).stdout(Stdio::null()))?;
    let mut docs = cargo(&["doc", "--workspace", "--no-deps", "--document-private-items", "--quiet"]);
    steps.command("docs", docs.env("RUSTDOCFLAGS", "-D warnings"))?;
    if has_cargo("deny") {
        steps.command(
            "licences",
            &mut cargo(&["deny", "check", "--hide-inclusion-graph", "bans", "licenses", "sources"]),
        )?;
    } else {
        eprintln!(
            "SKIPPED: cargo-deny is not here, so the licences were not checked: cargo install cargo-deny"
        );
    }
    let skips = run_tests(&mut steps, false)?;
    if tools::has_or_installs("valgrind")? {
        steps.run("instructions", || instructions::run(Mode::Check))?;
    } else {
        eprintln!(
            "SKIPPED: valgrind is not here, so no instructions were counted: sudo apt-get install valgrind"
        );
    }
    Ok(finish(&steps, skips.as_ref()))
}

fn finish(steps: &Steps, skips: Option<&Skips>) -> bool {
    if let Some(skips) = skips {
        eprintln!();
        for line in skips.lines() {
            eprintln!("{line}");
        }
    }
    steps.sum_up()
}

/// The steps of `test`; what was skipped, or none if the tests were not reached.
fn run_tests(steps: &mut Steps, quick: bool) -> Result<Option<Skips>> {
    if !steps.run("tools", tools::ensure)? {
        return Ok(None);
    }
    steps.command("format", &mut cargo(&["fmt", "--all", "--check"]))?;
    steps.run("tidy", tidy::run)?;
    steps.run("compliance", || compliance::run(Mode::Check))?;
    if !steps.command("build", &mut cargo(&["build", "--workspace", "--bins"]))? {
        return Ok(None);
    }
    steps.run("diagram", || fsm_diagram::run(Mode::Check))?;
    steps
        .command("clippy", &mut cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    steps.command("doc tests", &mut cargo(&["test", "--workspace", "--doc", "--quiet"]))?;
    let metadata =
        MetadataCommand::new().no_deps().exec().context("cargo metadata does not read the workspace")?;
    let program = metadata.target_directory.as_std_path().join("debug/netloom");
    let skips = if has_cargo("nextest") {
        run_nextest(steps, quick, metadata.workspace_root.as_std_path(), &program)?
    } else {
        run_cargo_test(steps, quick, &program)?
    };
    Ok(Some(skips))
}

fn run_nextest(steps: &mut Steps, quick: bool, root: &Path, program: &Path) -> Result<Skips> {
    let profile = if quick { "quick" } else { "default" };
    // Below the workspace, wherever cargo's own target directory is.
    let report = root.join("target/nextest").join(profile).join("junit.xml");
    if report.exists() {
        fs::remove_file(&report).context("the report of the last run cannot be removed")?;
    }
    let mut command = cargo(&["nextest", "run", "--workspace", "--profile", profile]);
    steps.command("tests", with_environment(&mut command, program)?)?;
    match fs::read_to_string(&report) {
        Ok(text) => Skips::from_junit(&text),
        // The tests did not compile: there is nothing to tell.
        Err(_) => Ok(Skips::default()),
    }
}

fn run_cargo_test(steps: &mut Steps, quick: bool, program: &Path) -> Result<Skips> {
    let mut command =
        cargo(&["test", "--workspace", "--lib", "--bins", "--examples", "--tests", "--no-fail-fast"]);
    if quick {
        command.args(LIVE_PACKAGES.iter().flat_map(|package| ["--exclude", package]));
    }
    with_environment(command.args(["--", "--show-output"]), program)?;
    let mut output = String::new();
    steps.run("tests", || run_and_keep(&mut command, &mut output))?;
    Ok(Skips::from_test_output(&output))
}

/// What the tests find in their environment.
fn with_environment<'a>(command: &'a mut Command, program: &Path) -> Result<&'a mut Command> {
    let path = std::env::join_paths(tools::directories()).context("PATH holds a directory with a colon")?;
    Ok(command.env(PROGRAM_VARIABLE, program).env("PATH", path))
}

/// Runs `command`, showing its standard output as it comes, and keeping it.
fn run_and_keep(command: &mut Command, kept: &mut String) -> Result<bool> {
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            let line = line?;
            println!("{line}");
            kept.push_str(&line);
            kept.push('\n');
        }
    }
    Ok(child.wait()?.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_kept_and_the_exit_status_told() {
        let mut kept = String::new();
        let passed =
            run_and_keep(Command::new("sh").args(["-c", "echo a; echo b; exit 1"]), &mut kept).unwrap();
        assert_eq!((kept.as_str(), passed), ("a\nb\n", false));
    }
}
