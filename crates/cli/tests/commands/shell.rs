//! `netloom shell` around a command: status, output, signals, and that nothing survives it.

use std::fs::{read_dir, read_link};
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;

use crate::process::{Finished, Running, eventually, run};
use crate::sandbox::{Sandbox, binary, skip, with_queues};

/// A command in a shell, in the namespace of the test's own machine, which it must not touch.
fn shell(test: &str, flags: &[&str], script: &str) -> Option<Running> {
    if let Err(error) = std::fs::File::options().read(true).write(true).open("/dev/net/tun") {
        skip(test, &format!("needs /dev/net/tun: {error}"));
        return None;
    }
    let arguments = with_queues(&[&["shell"], flags, &["--", "sh", "-c", script]].concat());
    Some(Running::start(std::process::Command::new(binary()).args(arguments)))
}

fn finished(test: &str, flags: &[&str], script: &str) -> Option<Finished> {
    shell(test, flags, script).map(Running::finish)
}

/// Processes in the network namespace that `/proc/PID/ns/net` names so.
fn processes_in(namespace: &Path) -> usize {
    let entries = read_dir("/proc").unwrap().flatten();
    entries.filter(|entry| read_link(entry.path().join("ns/net")).is_ok_and(|link| link == namespace)).count()
}

#[test]
fn its_status_and_output_are_the_commands() {
    let test = "its_status_and_output_are_the_commands";
    for (script, code) in
        [("exit 0", 0), ("exit 7", 7), ("kill -KILL $$", 137), ("kill -TERM $$", 143), ("nosuchcommand", 127)]
    {
        let Some(finished) = finished(test, &[], script) else { return };
        assert_eq!((finished.code(), finished.stdout.as_str()), (code, ""), "{script}: {finished:?}");
    }
    let Some(finished) = finished(test, &[], "echo one; echo two >&2") else { return };
    assert_eq!((finished.stdout.as_str(), finished.stderr.as_str()), ("one\n", "two\n"));
    let finished = run(binary(), &with_queues(&["shell", "--", "/nonexistent"]));
    assert_eq!(finished.code(), 127);
    assert_eq!(finished.stderr, "netloom: /nonexistent: command not found\n");
    assert_eq!(run(binary(), &with_queues(&["shell", "--", "/etc"])).code(), 126);
}

#[test]
fn the_command_finds_an_interface_of_its_own() {
    let test = "the_command_finds_an_interface_of_its_own";
    let script = "ip -o link; ip -o address; ip route; env; readlink /proc/self/ns/net";
    let Some(finished) = finished(test, &["--mtu", "1400"], script) else { return };
    for words in [
        "lo: <LOOPBACK,UP,LOWER_UP>",
        "netloom0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1400",
        "inet 10.0.0.1/24",
        "inet6 fd00::1/64",
        "10.0.0.0/24 dev netloom0",
        "NETLOOM_SHELL=1\n",
        "NETLOOM_ADDRESS=10.0.0.2\n",
        "NETLOOM_ADDRESS6=fd00::2\n",
    ] {
        assert!(finished.stdout.contains(words), "no {words:?} in {}", finished.stdout);
    }
    let ours = read_link("/proc/self/ns/net").unwrap();
    assert!(!finished.stdout.contains(ours.to_str().unwrap()));
}

#[test]
fn the_banner_stays_off_the_commands_stdout() {
    let Some(finished) = finished("the_banner_stays_off_the_commands_stdout", &["-v"], "echo mine") else {
        return;
    };
    assert_eq!(finished.stdout, "mine\n");
    assert!(finished.stderr.contains("  ping 10.0.0.2\n"), "{finished:?}");
}

#[test]
fn a_user_without_privilege_can_have_one() {
    let test = "a_user_without_privilege_can_have_one";
    let Some(sandbox) = Sandbox::new(test) else { return };
    sandbox.set_tun_mode("666");
    let script = "ip -o address show netloom0; id -u; exit 4";
    let mut command = sandbox.netloom_as_nobody(&["shell", "--", "sh", "-c", script]);
    let finished = Running::start(&mut command).finish();
    if finished.stderr.contains("does not let users make user namespaces") {
        return skip(test, "user namespaces are forbidden here");
    }
    assert_eq!(finished.code(), 4, "{finished:?}");
    assert!(finished.stdout.contains("10.0.0.1/24") && finished.stdout.ends_with("\n0\n"), "{finished:?}");
}

#[test]
fn a_machine_that_allows_no_namespaces_is_explained_in_one_line() {
    let test = "a_machine_that_allows_no_namespaces_is_explained_in_one_line";
    let Some(sandbox) = Sandbox::new(test) else { return };
    // The limits of a user namespace of the test's own; and no right to do without one.
    let script = "echo 0 > /proc/sys/user/max_user_namespaces && \
                  exec setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin \"$0\" shell -- true";
    let mut command = sandbox.command("unshare");
    let finished =
        Running::start(command.args(["--user", "--map-root-user", "sh", "-c", script, binary()])).finish();
    assert_eq!((finished.code(), finished.stderr.lines().count()), (1, 1), "{finished:?}");
    assert!(finished.stderr.contains("sudo netloom shell"), "{finished:?}");
    assert!(finished.stderr.contains("max_user_namespaces"), "{finished:?}");
}

#[test]
fn signals_sent_to_it_reach_the_command() {
    let test = "signals_sent_to_it_reach_the_command";
    for (signal, name) in [
        (Signal::SIGTERM, "TERM"),
        (Signal::SIGHUP, "HUP"),
        (Signal::SIGINT, "INT"),
        (Signal::SIGQUIT, "QUIT"),
    ] {
        // The shell waits for a child that it leaves behind.
        let script = format!("trap 'echo {name}; exit 5' {name}; echo up; tail -f /dev/null & wait");
        let Some(mut running) = shell(test, &[], &script) else { return };
        running.wait_for_line(|line| line == "up");
        running.signal(signal);
        let finished = running.finish();
        assert_eq!((finished.code(), finished.stdout), (5, format!("up\n{name}\n")));
    }
}

#[test]
fn the_second_interrupt_kills_a_deaf_command() {
    let test = "the_second_interrupt_kills_a_deaf_command";
    // It says what it hears, so that the second signal is not sent before the first has arrived.
    let script = "trap 'echo deaf' INT; echo up; while :; do tail -f /dev/null & wait; done";
    let Some(mut running) = shell(test, &[], script) else { return };
    running.wait_for_line(|line| line == "up");
    running.signal(Signal::SIGINT);
    running.wait_for_line(|line| line == "deaf");
    running.signal(Signal::SIGINT);
    assert_eq!(running.finish().code(), 137);
}

#[test]
fn what_the_command_leaves_running_ends_with_it() {
    let test = "what_the_command_leaves_running_ends_with_it";
    let script = "readlink /proc/self/ns/net; setsid tail -f /dev/null >/dev/null 2>&1 & \
                  trap '' TERM; tail -f /dev/null >/dev/null 2>&1 & exit 3";
    let Some(finished) = finished(test, &[], script) else { return };
    assert_eq!(finished.code(), 3);
    assert_eq!(processes_in(Path::new(finished.stdout.trim())), 0);
}

#[test]
fn sigkill_takes_the_command_and_its_namespace_along() {
    let test = "sigkill_takes_the_command_and_its_namespace_along";
    let script =
        "trap '' TERM HUP; setsid tail -f /dev/null & echo $NETLOOM_SOCKET; readlink /proc/self/ns/net; wait";
    let Some(mut running) = shell(test, &[], script) else { return };
    let socket = PathBuf::from(running.wait_for_line(|line| line.ends_with("/netloom.sock")));
    let folder = socket.parent().unwrap();
    assert!(socket.exists());
    let namespace = PathBuf::from(running.wait_for_line(|line| line.starts_with("net:")));
    // netloom, its supervisor, sh and tail; sh may not have started tail yet.
    assert!(processes_in(&namespace) >= 3);
    running.signal(Signal::SIGKILL);
    running.wait();
    eventually("every process of the namespace ends", || processes_in(&namespace) == 0);
    eventually("the control socket and its folder go", || !folder.exists());
}

#[test]
fn a_killed_supervisor_takes_the_command_along() {
    let test = "a_killed_supervisor_takes_the_command_along";
    let script = "readlink /proc/self/ns/net; exec tail -f /dev/null";
    let Some(mut running) = shell(test, &[], script) else { return };
    let namespace = PathBuf::from(running.wait_for_line(|line| line.starts_with("net:")));
    let children = format!("/proc/{0}/task/{0}/children", running.pid());
    let supervisor = std::fs::read_to_string(children).unwrap().trim().parse().unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(supervisor), Signal::SIGKILL).unwrap();
    assert_eq!(running.finish().code(), 137);
    eventually("every process of the namespace ends", || processes_in(&namespace) == 0);
}

#[test]
fn the_machines_own_network_is_not_touched() {
    let Some(sandbox) = Sandbox::new("the_machines_own_network_is_not_touched") else { return };
    // The addresses that the private namespace uses may be in use outside.
    sandbox.sh("ip tuntap add dev netloom0 mode tap && ip address add 10.0.0.2/24 dev netloom0");
    let before = sandbox.state();
    let finished = sandbox.run(&["shell", "--", "ip", "-o", "address"]);
    assert_eq!(finished.code(), 0, "{finished:?}");
    assert!(finished.stdout.contains("10.0.0.1/24") && !finished.stdout.contains("10.0.0.2/24"));
    assert_eq!(sandbox.state(), before);
}
