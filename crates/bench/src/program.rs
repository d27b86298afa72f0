//! Programs of others, run to their end.

use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Runs a program to its end; what it printed.
pub(crate) fn output_of(program: &str, arguments: &[&str]) -> Result<String> {
    let output =
        Command::new(program).args(arguments).output().with_context(|| format!("{program} cannot be run"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program} failed: {complaint}{text}");
    Ok(text)
}
