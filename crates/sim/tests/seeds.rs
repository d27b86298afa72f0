//! Two thousand scenarios, each from its seed, in the ordinary tests. `cargo xtask sim` runs as many as asked.

use netloom_sim::{Scenario, run};

/// Seeds of one test; they run side by side.
const SEEDS: u64 = 500;

fn run_from(first: u64) {
    for seed in first..first + SEEDS {
        if let Err(failure) = run(&Scenario::from_seed(seed), None, 1) {
            panic!("seed {seed} failed {failure}\nto replay it: cargo xtask sim --seeds 1 --seed {seed}");
        }
    }
}

#[test]
fn seeds_from_0() {
    run_from(0);
}

#[test]
fn seeds_from_500() {
    run_from(500);
}

#[test]
fn seeds_from_1000() {
    run_from(1000);
}

#[test]
fn seeds_from_1500() {
    run_from(1500);
}
