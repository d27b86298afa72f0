//! `--impair`: faults before the stack.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::process::{Running, eventually};
use crate::sandbox::Sandbox;

/// The smallest round trip of some pings, in milliseconds.
pub(crate) fn round_trip(sandbox: &Sandbox, address: &str) -> f64 {
    let output = sandbox.sh(&format!("ping -q -n -c 20 -i 0.01 {address}"));
    let summary =
        output.lines().find_map(|line| line.strip_prefix("rtt min/avg/max/mdev = ")).expect("a summary");
    summary.split('/').next().unwrap().parse().unwrap()
}

#[test]
fn up_has_faults_and_other_ones_after_a_hangup() {
    let Some(sandbox) = Sandbox::new("up_has_faults_and_other_ones_after_a_hangup") else { return };
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("netloom.toml");
    std::fs::write(&config, "impair = \"in:delay=20ms\"\n").unwrap();
    let before = sandbox.state();
    let mut up = Running::start(&mut sandbox.netloom(&["up", "--config", config.to_str().unwrap()]));
    up.wait_for_line(|line| line == "ready");
    let slow = round_trip(&sandbox, "10.0.0.2");
    assert!((20.0..26.0).contains(&slow), "{slow} ms");
    assert_eq!(sandbox.sh("curl -s http://10.0.0.2/hello"), "Hello, world!");
    std::fs::write(&config, "impair = \"none\"\n").unwrap();
    up.signal(Signal::SIGHUP);
    eventually("the delay goes", || round_trip(&sandbox, "10.0.0.2") < 20.0);
    std::fs::write(&config, "impair = \"dely=1ms\"\n").unwrap();
    up.signal(Signal::SIGHUP);
    let ending = Instant::now();
    up.signal(Signal::SIGINT);
    let finished = up.finish();
    assert_eq!(finished.code(), 0, "{finished:?}");
    assert!(ending.elapsed() < Duration::from_secs(8), "it took {:?}", ending.elapsed());
    assert_eq!(sandbox.state(), before);
}

#[test]
fn a_shell_has_faults() {
    let Some(sandbox) = Sandbox::new("a_shell_has_faults") else { return };
    let script = "ping -q -n -c 20 -i 0.01 10.0.0.2 | grep -o '= [0-9]*'";
    let finished = sandbox.run(&["shell", "--impair", "delay=10ms", "--", "sh", "-c", script]);
    assert_eq!(finished.code(), 0, "{finished:?}");
    let round_trip: u32 = finished.stdout.trim_start_matches("= ").trim().parse().unwrap();
    assert!((20..26).contains(&round_trip), "{finished:?}");
}
