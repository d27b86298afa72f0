//! A whole run: a scenario from its beginning until nothing is left of it, watched by the oracles.
//!
//! The oracles, each with where it stands:
//!
//! - The bytes that arrive are the bytes sent, in order, and a stream ends where its sender ended it
//!   (`conversation/end.rs`).
//! - A transfer that can make progress does, and ends or reports an error in bounded virtual time; an error has a cause
//!   (`run/judge.rs`).
//! - The stacks' own invariants hold after every step, where debug assertions are compiled in.
//! - Nothing outlives the connections: at the end every table of TCP is empty (`run/judge.rs`).
//! - A connection lives in one shard of its host, a frame comes to the shard that it belongs to, and if it does not, that is
//!   counted (`world/wire.rs`, `run/placement.rs`).
//! - Every frame reads well to etherparse (`frame_check.rs`), and no stack calls another's frame malformed.
//! - Nothing is sent again where nothing was lost or late, and not much more than was lost elsewhere; a transfer on a
//!   clean link takes about as long as it must; datagrams come back as they were sent (`run/measure.rs`).
//! - Nothing is sent beyond the window that its receiver has offered (`world/hearing.rs`).
//! - Windows and buffers never become larger than they may, and become as large as a clean link can use (`run/growth.rs`).

mod growth;
mod judge;
mod measure;
mod patience;
mod placement;
mod report;
#[cfg(test)]
mod tests;

use core::time::Duration;
use std::any::Any;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use netloom_base::Instant;

pub use report::Report;

use crate::capture::Capture;
use crate::failure::{Failure, FailureKind};
use crate::scenario::Scenario;
use crate::world::World;

/// How long nothing may move while there is something to do. Longer than any timeout of TCP in its default
/// configuration: R2 is reached after about fifteen minutes.
const PATIENCE: Duration = Duration::from_secs(30 * 60);
/// Steps after which the stacks' tables are looked at as a whole.
const CHECK_EVERY: u64 = 64;
/// How long a whole run may take.
const LIMIT: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How long after the last conversation something may be left of any.
const DRAIN_LIMIT: Duration = Duration::from_secs(40 * 60);
/// How often it is looked at whether something is left.
const DRAIN_STEP: Duration = Duration::from_secs(30);

/// Runs a scenario; `capture`, if there is one, gets every frame. One frame in `check_every` is read again by etherparse.
///
/// # Errors
/// The first promise that was broken. A panic is one.
pub fn run(scenario: &Scenario, capture: Option<&mut Capture>, check_every: u64) -> Result<Report, Failure> {
    guard(|| run_to_end(scenario, capture, check_every))
}

/// What `work` gives; a panic is a failure.
fn guard(work: impl FnOnce() -> Result<Report, Failure>) -> Result<Report, Failure> {
    // A capture is whole after every frame, so it may be looked at after a panic.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        Err(Failure { at: Instant::ZERO, kind: FailureKind::Panic(message_of(panic.as_ref())) })
    })
}

/// Runs a scenario again, and writes what crosses its cables to `seed-NUMBER.pcapng` in `directory`, which is made if it does
/// not exist; the path of the file.
///
/// # Errors
/// What the file system gave.
pub fn write_frames(scenario: &Scenario, directory: &Path) -> io::Result<PathBuf> {
    let mut capture = Capture::default();
    // It is known how it ends.
    let _ = run(scenario, Some(&mut capture), 1);
    fs::create_dir_all(directory)?;
    let path = directory.join(format!("seed-{}.pcapng", scenario.seed));
    let mut output = BufWriter::new(File::create(&path)?);
    capture.write(&mut output)?;
    output.flush()?;
    Ok(path)
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".to_owned())
}

fn run_to_end(
    scenario: &Scenario,
    capture: Option<&mut Capture>,
    check_every: u64,
) -> Result<Report, Failure> {
    follow(scenario, &mut World::new(scenario, capture, check_every)?)
}

/// Lets a world run to its end and judges it.
fn follow(scenario: &Scenario, world: &mut World<'_>) -> Result<Report, Failure> {
    let last_change = scenario.changes.iter().map(|change| change.at).max().unwrap_or_default();
    let mut step_count = 0_u64;
    while !world.is_over() {
        step_count += 1;
        if step_count.is_multiple_of(CHECK_EVERY) {
            judge::check_tables(world)?;
        }
        let patience_ends = world.progress_at().max(Instant::ZERO + last_change) + PATIENCE;
        if !world.step(patience_ends)? {
            judge::end_what_waits_in_vain(scenario, world)?;
        }
        if world.now() > Instant::ZERO + LIMIT {
            let open_count =
                world.conversations.iter().filter(|conversation| !conversation.is_over()).count();
            return Err(world.failure(FailureKind::TooLong { open_count }));
        }
    }
    let duration = world.now().saturating_since(Instant::ZERO);
    judge::check_outcomes(scenario, world)?;
    world.close_listeners();
    let end = world.now() + DRAIN_LIMIT;
    while !judge::is_empty(world) && world.now() < end {
        let next = world.now() + DRAIN_STEP;
        while world.step(next)? {}
    }
    judge::check_leftovers(world)?;
    placement::check_handovers(world)?;
    judge::check_counters(scenario, world)?;
    growth::check_bounds(scenario, world)?;
    measure::check(scenario, world)?;
    Ok(judge::report(world, duration))
}
