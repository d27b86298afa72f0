//! The real iperf3 client against our server, in all its modes.

use crate::support::shell;

/// Runs `iperf3 -c` with `arguments` and wants it to end well, having moved something in each direction it asked for.
#[track_caller]
fn moves_bytes(options: &[&str], arguments: &str) {
    let script = format!("iperf3 --json {arguments}");
    let Some(outcome) = shell(&["iperf3"], options, &script) else { return };
    let text = outcome.success();
    assert!(!text.contains("\"error\""), "{text}");
    let moved = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("\"bytes\":"))
        .filter_map(|value| value.trim().trim_end_matches(',').parse::<u64>().ok())
        .max();
    assert!(moved.is_some_and(|bytes| bytes > 100_000), "{text}");
}

#[test]
fn tcp_up() {
    moves_bytes(&[], "-c 10.0.0.2 -t 1");
}

#[test]
fn tcp_down() {
    moves_bytes(&[], "-c 10.0.0.2 -t 1 -R");
}

#[test]
fn tcp_both_ways() {
    moves_bytes(&[], "-c 10.0.0.2 -t 1 --bidir");
}

#[test]
fn tcp_eight_streams() {
    moves_bytes(&[], "-c 10.0.0.2 -t 1 -P 8");
    moves_bytes(&[], "-c 10.0.0.2 -t 1 -P 8 -R");
}

#[test]
fn tcp_over_ipv6() {
    moves_bytes(&[], "-c fd00::2 -t 1");
    moves_bytes(&[], "-c fd00::2 -t 1 -R");
}

#[test]
fn tcp_a_number_of_bytes() {
    moves_bytes(&[], "-c 10.0.0.2 -n 20M");
    moves_bytes(&[], "-c 10.0.0.2 -n 20M -R");
}

#[test]
fn udp_up_and_down() {
    moves_bytes(&[], "-c 10.0.0.2 -u -b 20M -t 1");
    moves_bytes(&[], "-c 10.0.0.2 -u -b 20M -t 1 -R");
    moves_bytes(&[], "-c 10.0.0.2 -u -b 10M -t 1 -P 4");
}

#[test]
fn over_tun() {
    moves_bytes(&["--tun"], "-c 10.0.0.2 -t 1");
    moves_bytes(&["--tun"], "-c 10.0.0.2 -t 1 -R");
}

#[test]
fn with_each_congestion_control() {
    for name in ["cubic", "newreno"] {
        moves_bytes(&["--congestion", name], "-c 10.0.0.2 -t 1 -R");
    }
}

/// How many segments the server has sent again, as the client shows it below `sum`.
#[track_caller]
fn retransmits(options: &[&str], arguments: &str, sum: &str) -> Option<u64> {
    let outcome = shell(&["iperf3"], options, &format!("iperf3 --json {arguments}"))?;
    let text = outcome.success();
    let report: serde_json::Value = serde_json::from_str(&text).expect("the client prints JSON");
    let count = report["end"][sum]["retransmits"].as_u64();
    Some(count.unwrap_or_else(|| panic!("no count in {sum}: {text}")))
}

#[test]
fn what_the_server_sends_again_is_counted() {
    for (arguments, sum) in [
        ("-c 10.0.0.2 -t 1 -R", "sum_sent"),
        ("-c 10.0.0.2 -t 1 -R -P 2 -O 1", "sum_sent"),
        ("-c 10.0.0.2 -t 1 --bidir", "sum_sent_bidir_reverse"),
    ] {
        let Some(count) = retransmits(&["--impair", "out:loss=1%,seed=7"], arguments, sum) else { return };
        assert!((1..1_000_000).contains(&count), "{arguments}: {count}");
    }
    // Nothing is lost on the way to the client.
    let count = retransmits(&["--impair", "in:loss=1%"], "-c 10.0.0.2 -n 1M -R", "sum_sent");
    assert!(count.is_none_or(|count| count < 10), "{count:?}");
}

#[test]
fn one_test_after_another() {
    let script = "for _ in 1 2 3; do iperf3 -c 10.0.0.2 -n 1M > /dev/null || exit 1; done; echo good";
    let Some(outcome) = shell(&["iperf3"], &[], script) else { return };
    assert_eq!(outcome.success(), "good\n");
}
