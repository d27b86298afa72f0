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
fn a_hangup_that_cannot_change_the_faults_says_why_and_goes_on() {
    let test = "a_hangup_that_cannot_change_the_faults_says_why_and_goes_on";
    let Some(sandbox) = Sandbox::new(test) else { return };
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("netloom.toml");
    for (at_start, flags, words, delay) in [
        ("mtu = 1400\n", &[][..], "write impair = \"none\" into ", 0.0..20.0),
        (
            "impair = \"none\"\n",
            &["--impair", "in:delay=40ms"],
            "--impair was given as a flag, which wins",
            40.0..60.0,
        ),
    ] {
        std::fs::write(&config, at_start).unwrap();
        let arguments = [&["up", "--config", config.to_str().unwrap()], flags].concat();
        let mut up = Running::start(&mut sandbox.netloom(&arguments));
        up.wait_for_line(|line| line == "ready");
        std::fs::write(&config, "impair = \"in:delay=20ms\"\n").unwrap();
        up.signal(Signal::SIGHUP);
        let warning = up.wait_for_warning("the faults stay as they are");
        assert!(warning.contains(words), "{warning}");
        let measured = round_trip(&sandbox, "10.0.0.2");
        assert!(delay.contains(&measured), "{flags:?}: {measured} ms");
        up.signal(Signal::SIGINT);
        let finished = up.finish();
        assert_eq!((finished.code(), finished.stderr.lines().count()), (0, 1), "{finished:?}");
    }
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
