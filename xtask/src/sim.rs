//! `cargo xtask sim`: builds the simulator fast and with every assertion, and runs it.

use anyhow::{Context, Result};

use crate::steps::cargo;

/// Runs the simulator with `arguments`; true if no seed failed.
pub(crate) fn run(arguments: &[String]) -> Result<bool> {
    let mut command = cargo(&["run", "--quiet", "--profile", "sim", "--package", "netloom-sim", "--"]);
    Ok(command.args(arguments).status().context("cargo cannot run the simulator")?.success())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_simulator_is_what_its_package_runs() {
        // There is another program in it.
        assert!(include_str!("../../crates/sim/Cargo.toml").contains("default-run = \"netloom-sim\""));
    }
}
