//! Echo and discovery: ping, traceroute, arping.

use crate::support::shell;

/// Pings with `arguments`, first thing in a fresh namespace, and wants every answer.
#[track_caller]
fn all_answered(options: &[&str], arguments: &str) {
    let Some(outcome) = shell(&["ping"], options, &format!("ping {arguments}")) else { return };
    let text = outcome.success();
    assert!(text.contains(" 0% packet loss"), "{text}");
    assert!(!text.contains("DUP!"), "{text}");
}

#[test]
fn the_first_ping_of_a_fresh_interface_is_answered() {
    all_answered(&[], "-n -c 1 -W 1 10.0.0.2");
}

#[test]
fn the_first_ping_over_ipv6_is_answered() {
    all_answered(&[], "-n -c 1 -W 1 fd00::2");
}

#[test]
fn a_link_local_address_answers() {
    // The kernel learns the Ethernet address, and RFC 4291 appendix A makes an interface identifier of it.
    let script = "ping -n -c 1 -W 1 fd00::2 > /dev/null
                  IFS=: read -r a b c d e f <<< $(ip neigh show fd00::2 dev netloom0 | sed 's/.*lladdr //; s/ .*//')
                  ping -n -c 2 -i 0.2 -W 1 fe80::$(printf %x $((0x$a ^ 2)))$b:${c}ff:fe$d:$e$f%netloom0";
    let Some(outcome) = shell(&["ping"], &[], script) else { return };
    let text = outcome.success();
    assert!(text.contains(" 0% packet loss"), "{text}");
}

#[test]
fn pings_of_8000_bytes_are_answered() {
    all_answered(&[], "-n -c 3 -i 0.2 -W 1 -s 8000 10.0.0.2");
    all_answered(&[], "-n -c 3 -i 0.2 -W 1 -s 8000 fd00::2");
}

#[test]
fn the_largest_ping_is_answered() {
    all_answered(&[], "-n -c 3 -i 0.2 -W 1 -s 65507 10.0.0.2");
}

#[test]
fn a_thousand_pings_at_once_are_answered() {
    all_answered(&[], "-n -q -c 1000 -f -W 1 10.0.0.2");
    all_answered(&[], "-n -q -c 1000 -f -W 1 fd00::2");
}

#[test]
fn a_tun_interface_answers() {
    all_answered(&["--tun"], "-n -c 2 -i 0.2 -W 1 10.0.0.2");
    all_answered(&["--tun"], "-n -c 2 -i 0.2 -W 1 -s 8000 fd00::2");
}

#[test]
fn every_mtu_works() {
    all_answered(&["--mtu", "9000"], "-n -c 2 -i 0.2 -W 1 -s 8972 -M do 10.0.0.2");
    all_answered(&["--mtu", "1280"], "-n -c 2 -i 0.2 -W 1 -s 3000 fd00::2");
    let v4_only = ["--mtu", "576", "--address", "10.0.0.2/24", "--host-address", "10.0.0.1/24"];
    all_answered(&v4_only, "-n -c 2 -i 0.2 -W 1 -s 3000 10.0.0.2");
}

#[test]
fn other_addresses_of_the_network_do_not_answer() {
    let Some(outcome) = shell(&["ping"], &[], "ping -n -c 1 -W 1 10.0.0.77") else { return };
    assert_eq!(outcome.status, 1, "{}", outcome.stdout);
}

#[test]
fn traceroute_ends_at_the_first_hop() {
    for (arguments, address) in [
        ("-n -q 1 -w 1 -m 3 10.0.0.2", "10.0.0.2"),
        ("-n -q 1 -w 1 -m 3 -I 10.0.0.2", "10.0.0.2"),
        ("-6 -n -q 1 -w 1 -m 3 fd00::2", "fd00::2"),
    ] {
        let Some(outcome) = shell(&["traceroute"], &[], &format!("traceroute {arguments}")) else { return };
        let text = outcome.success();
        let hops: Vec<_> = text.lines().skip(1).collect();
        assert_eq!(hops.len(), 1, "{text}");
        assert!(hops[0].contains(address) && !hops[0].contains('!'), "{text}");
    }
}

#[test]
fn arping_is_answered_with_one_address() {
    let Some(outcome) = shell(
        &["arping"],
        &[],
        "arping -I netloom0 -c 3 -i 0.2 10.0.0.2 2>&1 || arping -I netloom0 -c 3 10.0.0.2",
    ) else {
        return;
    };
    let text = outcome.success();
    assert!(text.contains("Received 3 response") || text.contains("3 packets received"), "{text}");
}

#[test]
fn duplicate_address_detection_finds_the_stack() {
    // iputils' arping -D asks as RFC 5227 probes do, and ends with 1 if somebody answers.
    let script = "arping -D -I netloom0 -c 2 -w 3 10.0.0.2; echo ended $?; arping -D -I netloom0 -c 2 -w 3 10.0.0.9; echo ended $?";
    let Some(outcome) = shell(&["arping"], &[], script) else { return };
    let text = outcome.success();
    let ends: Vec<_> = text.lines().filter(|line| line.starts_with("ended")).collect();
    assert_eq!(ends, ["ended 1", "ended 0"], "{text}");
}

#[test]
fn the_kernel_learns_the_address_and_keeps_it() {
    let script = "ping -n -c 1 -W 1 10.0.0.2 >/dev/null && ping -n -c 1 -W 1 fd00::2 >/dev/null && ip neigh show dev netloom0";
    let Some(outcome) = shell(&["ping", "ip"], &[], script) else { return };
    let text = outcome.success();
    let lladdr = |address: &str| {
        let line = text.lines().find(|line| line.starts_with(address)).unwrap_or_else(|| panic!("{text}"));
        line.split("lladdr ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or_default().to_owned()
    };
    assert_eq!(lladdr("10.0.0.2"), lladdr("fd00::2"), "{text}");
    assert!(text.lines().all(|line| !line.contains("FAILED")), "{text}");
}
