//! Two thousand scenarios, each from its seed, in the ordinary tests. `cargo xtask sim` runs as many as asked.

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use netloom_sim::{Order, Plan, Scenario, Weather, run, write_frames};

/// Seeds of one test; they run side by side.
const SEEDS: u64 = 500;

/// Where the frames of a run that fails are written.
fn captures() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("sim")
}

/// Runs a scenario; if it fails, says so, how to see it again, and where its frames are.
fn check(scenario: &Scenario, directory: &Path) {
    let Err(failure) = run(scenario, None, 1) else { return };
    let seed = scenario.seed;
    let frames = match write_frames(scenario, directory) {
        Ok(path) => path.display().to_string(),
        Err(error) => format!("not written: {error}"),
    };
    panic!(
        "seed {seed} failed {failure}\nits frames: {frames}\nto replay it: cargo xtask sim --seeds 1 --seed {seed}"
    );
}

fn run_from(first: u64) {
    for seed in first..first + SEEDS {
        check(&Scenario::from_seed(seed), &captures());
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

#[test]
fn a_run_that_fails_leaves_its_frames_and_fails_again() {
    // Two ends of which each waits for the other: nothing moves any more.
    let waits = Plan { order: Order::Turns { sends: 10, awaits: 10, begins: false }, ..Plan::bulk(10) };
    let way = netloom_impair::LinkConfig::default();
    let scenario = Scenario::pair(u64::MAX, Weather::Clear, way, waits.clone(), waits);
    let directory = captures().join("expected");
    let [message, again] = [(); 2].map(|()| {
        let panic = catch_unwind(|| check(&scenario, &directory)).expect_err("it fails");
        panic.downcast_ref::<String>().expect("a message").clone()
    });
    assert_eq!(message, again);
    let path = directory.join(format!("seed-{}.pcapng", u64::MAX));
    assert!(message.contains("stuck with 0 of 10 bytes sent"), "{message}");
    assert!(message.contains(&path.display().to_string()), "{message}");
    let file = fs::read(&path).expect("the frames");
    let mut reader = pcap_file::pcapng::PcapNgReader::new(&file[..]).expect("pcapng");
    let mut frame_count = 0;
    while let Some(block) = reader.next_block() {
        let block = block.expect("a block");
        frame_count += usize::from(matches!(block, (pcap_file::pcapng::Block::EnhancedPacket(_), _)));
    }
    assert!(frame_count > 0);
}
