//! `cargo xtask compliance`: which requirement of which RFC is met where, and proven where.
//!
//! # Theory of operation
//! The rows of specs/requirements.tsv ([`crate::tidy::requirements`]) are joined with the ids that comments cite in
//! brackets ([`marks`]), told apart by whether they stand in code or in a test, and with the written exceptions of
//! specs/exceptions.tsv ([`exceptions`]) into a [`trace`]. What comes of it is written to docs/compliance.md ([`report`]). It names files and no
//! lines, so that it changes only when what is met does.
//!
//! # The gate
//! A MUST of an RFC that is [`GATED`] needs code and a test, or an exception with its reason. An exception for what is met, or for what
//! does not exist, is as wrong as a hole.

mod exceptions;
mod marks;
mod report;
mod trace;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use cargo_metadata::MetadataCommand;

use crate::tidy::requirements::Table;

use exceptions::{Exceptions, FILE as EXCEPTIONS};
use marks::Marks;
use trace::{GATED, Trace};

const TABLE: &str = "specs/requirements.tsv";
const REPORT: &str = "docs/compliance.md";

/// What a command does with the page that it makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Writes it.
    Write,
    /// Compares it with what is there.
    Check,
}

impl Mode {
    /// As `--check` says.
    pub(crate) const fn new(check: bool) -> Self {
        if check { Self::Check } else { Self::Write }
    }
}

/// Joins requirements, marks and exceptions; true if the gate holds, and the report is up to date.
pub(crate) fn run(mode: Mode) -> Result<bool> {
    let metadata =
        MetadataCommand::new().no_deps().exec().context("cargo metadata does not read the workspace")?;
    let root = metadata.workspace_root.as_std_path();
    let read =
        |path: &str| fs::read_to_string(root.join(path)).with_context(|| format!("{path} cannot be read"));
    let (table, _) = Table::parse(Path::new(TABLE), &read(TABLE)?);
    let (exceptions, mut problems) = Exceptions::parse(&read(EXCEPTIONS)?, &|path| root.join(path).is_file());
    let (marks, unknown) = Marks::collect(root, &table)?;
    problems.extend(unknown);
    let trace = Trace::join(&table, &marks, &exceptions);
    problems.extend(trace.problems(&table, TABLE, &exceptions));
    let text = report::render(&trace);
    match mode {
        Mode::Write => {
            fs::write(root.join(REPORT), &text).with_context(|| format!("{REPORT} cannot be written"))?;
            println!("compliance: {REPORT} written");
        }
        Mode::Check if fs::read_to_string(root.join(REPORT)).ok().as_deref() != Some(&text) => {
            problems.push(format!("{REPORT} is not what the marks say now: cargo xtask compliance"));
        }
        Mode::Check => {}
    }
    for problem in &problems {
        println!("{problem}");
    }
    match problems.len() {
        0 => println!("compliance: every MUST of RFC {} is met or excepted", GATED.join(", ")),
        count => println!("compliance: {count} problems"),
    }
    Ok(problems.is_empty())
}

#[cfg(test)]
mod tests;
