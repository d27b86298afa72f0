//! Runs scenarios from seeds until one fails: what `cargo xtask sim` calls.
#![forbid(unsafe_code)]

use std::io;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use netloom_sim::{Failure, Report, Scenario, run, write_frames};

/// Run scenarios in virtual time, one for each seed, until one fails.
#[derive(Parser)]
#[command(
    after_help = "A failing seed is printed with the command that replays it, and its frames are written as pcapng."
)]
struct Arguments {
    /// How many scenarios.
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// How many threads [default: one a core].
    #[arg(long)]
    jobs: Option<NonZeroUsize>,
    /// Read one frame in so many again with etherparse.
    #[arg(long, default_value_t = 1)]
    check_every: u64,
    /// Go on after a failure, and list all failing seeds.
    #[arg(long)]
    keep_going: bool,
    /// Print the scenario of the first seed before running it.
    #[arg(long)]
    show: bool,
    /// Where the frames of a failing seed are written.
    #[arg(long, value_name = "DIR", default_value = "target/sim")]
    captures: PathBuf,
}

/// What the threads share.
struct Progress {
    next: AtomicU64,
    end: u64,
    must_stop: AtomicBool,
    results: Mutex<Results>,
}

#[derive(Default)]
struct Results {
    run_count: u64,
    total: Report,
    failures: Vec<(u64, Failure)>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run_all(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("sim: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs all seeds; true if none failed.
fn run_all(arguments: &Arguments) -> io::Result<bool> {
    let Some(end) = arguments.seed.checked_add(arguments.seeds) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no seed is above 2^64 - 1: take fewer"));
    };
    if arguments.show {
        println!("{:#?}", Scenario::from_seed(arguments.seed));
    }
    let jobs = arguments.jobs.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get);
    let progress = Progress {
        next: AtomicU64::new(arguments.seed),
        end,
        must_stop: AtomicBool::new(false),
        results: Mutex::default(),
    };
    let started = Instant::now();
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| work(arguments, &progress));
        }
    });
    let mut results = progress.results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.failures.sort_by_key(|(seed, _)| *seed);
    print_results(&results, started.elapsed());
    for (seed, failure) in &results.failures {
        println!("\nseed {seed} failed {failure}");
        match write_frames(&Scenario::from_seed(*seed), &arguments.captures) {
            Ok(path) => println!("its frames: {}", path.display()),
            Err(error) => println!("its frames could not be written: {error}"),
        }
        println!("to replay it: cargo xtask sim --seeds 1 --seed {seed}");
    }
    Ok(results.failures.is_empty())
}

/// Takes seed after seed.
fn work(arguments: &Arguments, progress: &Progress) {
    while !progress.must_stop.load(Ordering::Relaxed) {
        let seed = progress.next.fetch_add(1, Ordering::Relaxed);
        if seed >= progress.end {
            return;
        }
        let result = run(&Scenario::from_seed(seed), None, arguments.check_every);
        let mut results = progress.results.lock().unwrap_or_else(PoisonError::into_inner);
        results.run_count += 1;
        match result {
            Ok(report) => add(&mut results.total, &report),
            Err(failure) => {
                // At once, in case the rest is interrupted.
                eprintln!("seed {seed} failed {failure}");
                results.failures.push((seed, failure));
                progress.must_stop.fetch_or(!arguments.keep_going, Ordering::Relaxed);
            }
        }
        if results.run_count.is_multiple_of(10_000) {
            eprintln!("{} runs", results.run_count);
        }
    }
}

fn add(total: &mut Report, report: &Report) {
    total.frame_count += report.frame_count;
    total.bytes += report.bytes;
    total.dropped_count += report.dropped_count;
    total.handover_count += report.handover_count;
    total.delivered_bytes += report.delivered_bytes;
    total.conversation_count += report.conversation_count;
    total.broken_count += report.broken_count;
    total.duration += report.duration;
}

fn print_results(results: &Results, elapsed: Duration) {
    let Results { run_count, total, failures } = results;
    let seconds = elapsed.as_secs_f64();
    println!(
        "{run_count} runs in {seconds:.1} s ({:.0} a second), {} failed",
        *run_count as f64 / seconds.max(f64::MIN_POSITIVE),
        failures.len()
    );
    println!(
        "{} conversations, {} more that broke with a reason; {} bytes delivered in {} frames, {} of them lost, {} handed over \
         between shards; {} h of virtual time",
        total.conversation_count,
        total.broken_count,
        total.delivered_bytes,
        total.frame_count,
        total.dropped_count,
        total.handover_count,
        total.duration.as_secs() / 3600
    );
}
