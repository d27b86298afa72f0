//! What `netloom up` refuses: one line on stderr that says what to type, and nothing left behind.

use std::process::Command;

use crate::process::{Finished, Running};
use crate::sandbox::{Sandbox, queues_flag};

/// An interface of the sandbox's, up, to have something to collide with.
const OTHER_LINK: &str = "ip tuntap add dev other mode tap && ip link set other up";

/// Runs the command, which must be refused in one line and leave everything as it was.
fn refused(sandbox: &Sandbox, command: &mut Command, code: i32, words: &[&str]) -> Finished {
    let before = sandbox.state();
    let finished = Running::start(command).finish();
    assert_eq!(finished.code(), code, "{command:?}: {finished:?}");
    assert_eq!(finished.stdout, "", "{command:?}");
    assert_eq!(finished.stderr.lines().count(), 1, "{command:?}: {finished:?}");
    assert!(finished.stderr.starts_with("netloom: "), "{finished:?}");
    for word in words {
        assert!(finished.stderr.contains(word), "{command:?}: no {word:?} in {}", finished.stderr);
    }
    assert_eq!(sandbox.state(), before, "{command:?}");
    finished
}

#[test]
fn an_address_in_use_is_refused_with_flags_that_work() {
    let Some(sandbox) = Sandbox::new("an_address_in_use_is_refused_with_flags_that_work") else { return };
    sandbox.sh(&format!("{OTHER_LINK} && ip address add 10.0.0.2/24 dev other"));
    let words = ["10.0.0.2 is an address of other already", "type netloom up --address "];
    let finished = refused(&sandbox, &mut sandbox.netloom(&["up"]), 1, &words);
    let typed = finished.stderr.split_once("type netloom ").unwrap().1;
    let mut up = Running::start(&mut sandbox.netloom(&typed.split_whitespace().collect::<Vec<_>>()));
    up.wait_for_line(|line| line == "ready");
}

#[test]
fn an_ipv6_address_in_use_is_refused() {
    let Some(sandbox) = Sandbox::new("an_ipv6_address_in_use_is_refused") else { return };
    sandbox.sh(&format!("{OTHER_LINK} && ip address add fd00::1/64 dev other nodad"));
    refused(
        &sandbox,
        &mut sandbox.netloom(&["up"]),
        1,
        &["fd00::1 is an address of other", "--host-address"],
    );
}

#[test]
fn a_range_that_is_routed_elsewhere_is_refused() {
    let Some(sandbox) = Sandbox::new("a_range_that_is_routed_elsewhere_is_refused") else { return };
    sandbox.sh(OTHER_LINK);
    for (route, family) in [("10.0.0.0/16", "-4"), ("10.0.0.128/25", "-4"), ("fd00::/32", "-6")] {
        sandbox.sh(&format!("ip {family} route add {route} dev other"));
        let words =
            ["is routed to other already", &format!("(route {route})"), "--address", "--host-address"];
        refused(&sandbox, &mut sandbox.netloom(&["up"]), 1, &words);
        sandbox.sh(&format!("ip {family} route del {route} dev other"));
    }
    sandbox.sh("ip route add blackhole 10.0.0.0/24");
    refused(&sandbox, &mut sandbox.netloom(&["up"]), 1, &["10.0.0.0/24", "--address"]);
}

#[test]
fn a_range_routed_in_another_table_is_refused() {
    let Some(sandbox) = Sandbox::new("a_range_routed_in_another_table_is_refused") else { return };
    sandbox.sh(&format!("{OTHER_LINK} && ip route add 10.0.0.0/8 dev other table 51820"));
    refused(&sandbox, &mut sandbox.netloom(&["up"]), 1, &["routed to other", "(route 10.0.0.0/8)"]);
}

#[test]
fn a_taken_name_is_refused() {
    let Some(sandbox) = Sandbox::new("a_taken_name_is_refused") else { return };
    refused(&sandbox, &mut sandbox.netloom(&["up", "--tap", "lo"]), 1, &["lo exists", "choose another name"]);
    sandbox.sh(&format!("ip tuntap add dev tunnel mode tun {}", queues_flag()));
    refused(&sandbox, &mut sandbox.netloom(&["up", "--tap", "tunnel"]), 1, &["--tun tunnel"]);
    let mut first = Running::start(&mut sandbox.netloom(&["up"]));
    first.wait_for_line(|line| line == "ready");
    let words = ["netloom0 is in use", "choose another name"];
    let mut second = sandbox.netloom(&["up", "--address", "10.0.0.9/24"]);
    refused(&sandbox, second.env("NETLOOM_SOCKET", "/run/second.sock"), 1, &words);
}

#[test]
fn wrong_values_are_refused_as_wrong_usage() {
    let Some(sandbox) = Sandbox::new("wrong_values_are_refused_as_wrong_usage") else { return };
    for (flags, words) in [
        (&["--address", "10.0.0.256/24"][..], &["--address 10.0.0.256/24", "type --address 10.0.0.2/24"][..]),
        (&["--address", "10.0.0.2"], &["prefix length", "type --address 10.0.0.2/24"]),
        (&["--address", "fd00::2/200"], &["type --address fd00::2/64"]),
        (&["--address", "10.0.0.0/24"], &["network itself"]),
        (&["--address", "10.0.0.255/24"], &["broadcast"]),
        (&["--host-address", "224.0.0.1/24"], &["multicast", "type --host-address"]),
        (&["--address", "10.9.0.2/24"], &["type --host-address 10.9.0.1/24"]),
        (&["--address", "10.0.0.1/24", "--host-address", "10.0.0.1/24"], &["both ends"]),
        (&["--mtu", "1000"], &["type --mtu 1280"]),
        (&["--mtu", "70000"], &["type --mtu 65521"]),
        (&["--spin", "2s"], &["--spin 2s is not possible", "such as --spin 50us"]),
        (
            &["--congestion", "vegas"],
            &["--congestion vegas is unknown", "type --congestion cubic or --congestion newreno"],
        ),
        (&["--tap", "a-name-that-is-too-long"], &["such as netloom0"]),
    ] {
        let arguments = [&["up"], flags].concat();
        refused(&sandbox, &mut sandbox.netloom(&arguments), 2, words);
    }
}

#[test]
fn files_that_cannot_be_used_are_refused() {
    let Some(sandbox) = Sandbox::new("files_that_cannot_be_used_are_refused") else { return };
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("netloom.toml");
    std::fs::write(&config, "mtu = 1500\nadress = []\n").unwrap();
    let config = config.to_str().unwrap();
    refused(&sandbox, &mut sandbox.netloom(&["up", "--config", config]), 2, &[":2: unknown field `adress`"]);
    std::fs::write(config, "offload = true\n").unwrap();
    let words = [":1: offload is \"on\", \"checksum\" or \"off\""];
    refused(&sandbox, &mut sandbox.netloom(&["up", "--config", config]), 2, &words);
    for (flag, code) in [("--config", 1), ("--root", 1), ("--pcap", 1)] {
        let words = [flag, "/absent/file", "name a"];
        refused(&sandbox, &mut sandbox.netloom(&["up", flag, "/absent/file"]), code, &words);
    }
}

#[test]
fn a_missing_device_node_is_refused() {
    let Some(sandbox) = Sandbox::new("a_missing_device_node_is_refused") else { return };
    sandbox.hide_tun();
    for command in ["up", "shell"] {
        let words = ["/dev/net/tun does not exist", "modprobe tun"];
        refused(&sandbox, &mut sandbox.netloom(&[command]), 1, &words);
    }
}

#[test]
fn a_closed_device_node_is_refused() {
    let Some(sandbox) = Sandbox::new("a_closed_device_node_is_refused") else { return };
    sandbox.set_tun_mode("600");
    for command in ["up", "shell"] {
        let words = ["no permission to open /dev/net/tun", "chmod 666"];
        refused(&sandbox, &mut sandbox.netloom_as_nobody(&[command]), 1, &words);
    }
}

#[test]
fn a_user_without_privilege_is_refused() {
    let Some(sandbox) = Sandbox::new("a_user_without_privilege_is_refused") else { return };
    sandbox.set_tun_mode("666");
    refused(&sandbox, &mut sandbox.netloom_as_nobody(&["up"]), 1, &["CAP_NET_ADMIN", "netloom0"]);
}

#[test]
fn another_users_interface_is_refused() {
    let Some(sandbox) = Sandbox::new("another_users_interface_is_refused") else { return };
    sandbox.set_tun_mode("666");
    sandbox.sh(&format!("ip tuntap add dev theirs mode tap user 12345 {}", queues_flag()));
    let mut command = sandbox.netloom_as_nobody(&["up", "--tap", "theirs"]);
    refused(&sandbox, &mut command, 1, &["theirs belongs to another user"]);
}
