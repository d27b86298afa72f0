//! `netloom link` between two namespaces.

use nix::sys::signal::Signal;

use crate::faults::round_trip;
use crate::process::Running;
use crate::sandbox::Sandbox;

/// A cable from `left` to `right`, both with an address of 10.8.0.0/24.
fn cable(left: &Sandbox, right: &Sandbox, faults: &str) -> Running {
    let arguments = ["link", "--tap", "a0", "--tap", "b0", "--impair", faults];
    let mut link = Running::start(&mut left.netloom(&arguments));
    link.wait_for_line(|line| line == "ready");
    left.sh(&format!("ip link set b0 netns {}", right.holder()));
    left.sh("ip address add 10.8.0.1/24 dev a0");
    right.sh("ip address add 10.8.0.2/24 dev b0; ip link set b0 up");
    link
}

/// A number of the report: the one behind `name` in the line of the direction.
fn counted(report: &str, direction: &str, name: &str) -> u64 {
    let line = report.lines().rfind(|line| line.starts_with(direction)).unwrap_or_else(|| panic!("{report}"));
    let mut words = line.split(' ').skip_while(|word| *word != name);
    words.nth(1).unwrap_or_else(|| panic!("{name}: {report}")).parse().unwrap()
}

#[test]
fn it_delays_and_counts_between_two_namespaces_and_leaves_nothing() {
    let test = "it_delays_and_counts_between_two_namespaces_and_leaves_nothing";
    let (Some(left), Some(right)) = (Sandbox::new(test), Sandbox::new(test)) else { return };
    let before = (left.state(), right.state());
    let link = cable(&left, &right, "in:delay=7ms,out:delay=3ms,dup=100%");
    let round_trip = round_trip(&left, "10.8.0.2");
    // On a busy machine the best of twenty is still near.
    assert!((10.0..14.0).contains(&round_trip), "{round_trip} ms");
    link.signal(Signal::SIGINT);
    let finished = link.finish();
    assert_eq!(finished.code(), 0, "{finished:?}");
    for (direction, duplicated) in [("a0 -> b0:", 0), ("b0 -> a0:", 20)] {
        assert!(counted(&finished.stdout, direction, "frames") >= 20, "{}", finished.stdout);
        assert_eq!(counted(&finished.stdout, direction, "lost"), 0);
        assert!(counted(&finished.stdout, direction, "duplicated") >= duplicated, "{}", finished.stdout);
    }
    assert_eq!((left.state(), right.state()), before);
}

#[test]
fn it_loses_as_many_as_it_says() {
    let test = "it_loses_as_many_as_it_says";
    let (Some(left), Some(right)) = (Sandbox::new(test), Sandbox::new(test)) else { return };
    let link = cable(&left, &right, "in:loss=30%,seed=1");
    // Nobody need answer: the address is resolved by hand, and what goes in is counted.
    left.sh("ip neigh replace 10.8.0.2 lladdr 02:00:00:00:00:02 dev a0");
    left.sh("ping -q -n -c 400 -i 0.002 -W 0.1 10.8.0.2 || true");
    link.signal(Signal::SIGTERM);
    let report = link.finish().stdout;
    let (frames, lost) = (counted(&report, "a0 -> b0:", "frames"), counted(&report, "a0 -> b0:", "lost"));
    assert!(frames >= 400 && (frames / 5..frames * 2 / 5).contains(&lost), "{report}");
}

#[test]
fn it_attaches_to_taps_that_exist_and_leaves_them() {
    let Some(sandbox) = Sandbox::new("it_attaches_to_taps_that_exist_and_leaves_them") else { return };
    sandbox.sh("for tap in t0 t1; do ip tuntap add $tap mode tap; ip link set $tap up; done");
    let mut link = Running::start(&mut sandbox.netloom(&["link", "--tap", "t0", "--tap", "t1", "-v"]));
    link.wait_for_line(|line| line == "ready");
    link.wait_for_line(|line| line.starts_with("t1 -> t0: "));
    link.signal(Signal::SIGINT);
    assert_eq!(link.finish().code(), 0);
    assert!(sandbox.has_link("t0") && sandbox.has_link("t1"));
}

#[test]
fn the_end_of_a_tap_is_told() {
    let Some(sandbox) = Sandbox::new("the_end_of_a_tap_is_told") else { return };
    let mut link = Running::start(&mut sandbox.netloom(&["link", "--tap", "a0", "--tap", "b0"]));
    link.wait_for_line(|line| line == "ready");
    sandbox.sh("ip link delete a0");
    let finished = link.finish();
    assert_eq!(
        (finished.code(), finished.stderr.as_str()),
        (1, "netloom: a0 or b0 is gone: start netloom again\n")
    );
    assert!(!sandbox.has_link("b0"));
}

#[test]
fn wrong_usage_is_told_in_one_line() {
    let Some(sandbox) = Sandbox::new("wrong_usage_is_told_in_one_line") else { return };
    for (arguments, told) in [
        (
            &["link", "--tap", "a", "--tap", "b", "--impair", "lose=1%"][..],
            "there is no fault `lose`; the keys are delay,",
        ),
        (&["link", "--tap", "a"], "a cable has two ends"),
        (&["link", "--tap", "a", "--tap", "a"], "both ends are a"),
        (&["link", "--tap", "a", "--tap", "b", "--mtu", "100"], "--mtu 100 is too small"),
        (&["up", "--impair", "loss=1"], "--impair loss=1: loss takes a percentage"),
    ] {
        let finished = sandbox.run(arguments);
        assert_eq!(finished.code(), 2, "{finished:?}");
        assert!(finished.stderr.contains(told) && finished.stderr.lines().count() == 1, "{finished:?}");
    }
    assert!(!sandbox.has_link("a"));
}
