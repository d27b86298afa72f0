//! `netloom addr` and the control socket that it asks over.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::process::{DEADLINE, Finished, Running, eventually};
use crate::sandbox::{Sandbox, binary, queues, queues_flag, skip, with_queues};

/// The request that `netloom addr` makes.
const REQUEST: &[u8] = b"{\"version\":1,\"request\":\"addr\"}\n";

fn ready(sandbox: &Sandbox, arguments: &[&str]) -> Running {
    started(&mut sandbox.netloom(&[&["up"], arguments].concat()))
}

fn started(command: &mut Command) -> Running {
    let mut up = Running::start(command);
    up.wait_for_line(|line| line == "ready");
    up
}

/// What `netloom addr` prints, in the sandbox's default place.
fn addr(sandbox: &Sandbox) -> String {
    succeeded(sandbox.run(&["addr"]))
}

fn succeeded(finished: Finished) -> String {
    assert_eq!((finished.code(), finished.stderr.as_str()), (0, ""), "{finished:?}");
    finished.stdout
}

/// The one interface of `netloom addr --json`.
fn interface(sandbox: &Sandbox) -> Value {
    parse(&succeeded(sandbox.run(&["addr", "--json"])))
}

fn parse(text: &str) -> Value {
    let Value::Array(mut interfaces) = serde_json::from_str(text).unwrap() else { panic!("{text}") };
    assert_eq!(interfaces.len(), 1, "{text}");
    interfaces.remove(0)
}

/// The addresses of an interface as `ADDRESS/LENGTH`.
fn cidrs(interface: &Value) -> Vec<String> {
    let cidr = |it: &Value| format!("{}/{}", it["address"].as_str().unwrap(), it["prefix_len"]);
    interface["addresses"].as_array().unwrap().iter().map(cidr).collect()
}

/// Runs a command that must fail in one line with these words.
fn refused(command: &mut Command, code: i32, words: &[&str]) {
    let finished = Running::start(command).finish();
    assert_eq!((finished.code(), finished.stdout.as_str()), (code, ""), "{command:?}: {finished:?}");
    assert_eq!(finished.stderr.lines().count(), 1, "{command:?}: {finished:?}");
    for word in words {
        assert!(finished.stderr.contains(word), "{command:?}: no {word:?} in {finished:?}");
    }
}

#[test]
fn it_says_of_each_backend_what_the_banner_said() {
    let Some(sandbox) = Sandbox::new("it_says_of_each_backend_what_the_banner_said") else { return };
    let kinds = ["checksum", "tcp4-segmentation", "tcp6-segmentation", "udp-segmentation"];
    for (flag, levels, kind_counts) in [
        // A kernel before 6.2 cuts no datagrams.
        ("on", &["full", "tcp"][..], &[4, 3][..]),
        ("checksum", &["checksum"], &[1]),
        ("off", &["none"], &[0]),
    ] {
        let up = ready(&sandbox, &["--offload", flag]);
        let banner = up.seen().lines().next().unwrap();
        let words = banner.strip_prefix("netloom0 (tap, MTU 1500, ").and_then(|rest| rest.strip_suffix(')'));
        let words = words.unwrap_or_else(|| panic!("{banner}"));
        let text = addr(&sandbox);
        assert!(text.lines().any(|line| line.trim() == words), "no {words:?} in {text}");
        let interface = interface(&sandbox);
        let level = interface["offload"].as_str().unwrap();
        let index = levels.iter().position(|known| *known == level).unwrap_or_else(|| panic!("{interface}"));
        assert_eq!(interface["offloaded"], json!(kinds[..kind_counts[index]]), "{interface}");
        assert_eq!(interface["backend"], if flag == "off" { "plain" } else { "virtio-header" });
        assert_eq!(interface["queues"], queues());
        let unit = if queues() == 1 { "queue" } else { "queues" };
        assert!(words.starts_with(&format!("{} {unit}, offload {level}: ", queues())), "{words}");
        up.signal(Signal::SIGINT);
        assert_eq!(up.finish().code(), 0);
    }
}

#[test]
fn it_counts_the_queues() {
    let Some(sandbox) = Sandbox::new("it_counts_the_queues") else { return };
    let up = ready(&sandbox, &["--queues", "3", "--offload", "off"]);
    assert!(up.seen().starts_with("netloom0 (tap, MTU 1500, 3 queues, offload none"), "{}", up.seen());
    assert!(addr(&sandbox).contains("\n    3 queues, offload none: plain frames\n"));
    assert_eq!(interface(&sandbox)["queues"], 3);
}

#[test]
fn it_shows_every_address_of_both_families_and_its_state() {
    let Some(sandbox) = Sandbox::new("it_shows_every_address_of_both_families_and_its_state") else { return };
    let flags = ["--address", "10.7.0.2/24", "--address", "10.8.0.2/31", "--address", "fd07::2/64"];
    let host =
        ["--host-address", "10.7.0.1/24", "--host-address", "10.8.0.3/31", "--host-address", "fd07::1/64"];
    let _up = ready(&sandbox, &[&flags[..], &host, &["--mtu", "9000"]].concat());
    let seen = interface(&sandbox);
    assert_eq!(
        (&seen["name"], &seen["kind"], &seen["mtu_bytes"]),
        (&json!("netloom0"), &json!("tap"), &json!(9000))
    );
    let cidrs = cidrs(&seen);
    assert_eq!(cidrs[..3], ["10.7.0.2/24", "10.8.0.2/31", "fd07::2/64"]);
    assert!(cidrs[3].starts_with("fe80::") && cidrs[3].ends_with("/64") && cidrs.len() == 4, "{cidrs:?}");
    // They are used at once, and known to be nobody else's soon.
    assert!(seen["addresses"].as_array().unwrap().iter().all(|it| it["is_usable"] == true), "{seen}");
    let states = || {
        let interface = interface(&sandbox);
        let addresses = interface["addresses"].as_array().unwrap().clone();
        addresses.into_iter().map(|it| it["state"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert!(states().iter().all(|state| state == "optimistic" || state == "preferred"));
    eventually("every address has been tried out", || states().iter().all(|state| state == "preferred"));
    // The neighbour is the one that the kernel sees.
    sandbox.sh("ping -c 1 -W 2 10.7.0.2");
    let link_address = seen["link_address"].as_str().unwrap();
    assert!(sandbox.sh("ip neigh show 10.7.0.2").contains(&format!("lladdr {link_address} ")));
    let text = addr(&sandbox);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], "1: netloom0: <TAP> mtu 9000");
    assert_eq!(lines[1], format!("    link/ether {link_address}"));
    assert!(lines[2].starts_with(&format!("    {} queue", queues())), "{text}");
    assert_eq!(
        lines[3..6],
        [
            "    inet 10.7.0.2/24 preferred",
            "    inet 10.8.0.2/31 preferred",
            "    inet6 fd07::2/64 preferred"
        ]
    );
    assert_eq!(lines[6], format!("    inet6 {} preferred", cidrs[3]));
    assert_eq!(lines.len(), 7, "{text}");
}

#[test]
fn a_tun_has_no_link_address() {
    let Some(sandbox) = Sandbox::new("a_tun_has_no_link_address") else { return };
    let _up = ready(&sandbox, &["--tun", "t7", "--mtu", "65535"]);
    let seen = interface(&sandbox);
    assert_eq!(
        (&seen["name"], &seen["kind"], &seen["link_address"]),
        (&json!("t7"), &json!("tun"), &Value::Null)
    );
    assert_eq!(
        (&seen["mtu_bytes"], cidrs(&seen)),
        (&json!(65535), vec!["10.0.0.2/24".to_owned(), "fd00::2/64".to_owned()])
    );
    assert!(addr(&sandbox).starts_with("1: t7: <TUN> mtu 65535\n    link/none\n"));
}

#[test]
fn behind_a_cable_with_faults_it_is_the_interface_that_is_shown() {
    let Some(sandbox) = Sandbox::new("behind_a_cable_with_faults_it_is_the_interface_that_is_shown") else {
        return;
    };
    let _up = ready(&sandbox, &["--impair", "delay=1ms"]);
    let seen = interface(&sandbox);
    assert_eq!((&seen["name"], &seen["offload"]), (&json!("netloom0"), &json!("none")));
}

#[test]
fn another_hosts_address_is_shown_as_a_duplicate() {
    let Some(sandbox) = Sandbox::new("another_hosts_address_is_shown_as_a_duplicate") else { return };
    // Two daemons beside each other, at two ends of a bridge.
    sandbox.sh(&format!(
        "ip link add br0 type bridge forward_delay 0 && ip link set br0 up && ip address add 10.3.0.1/24 dev br0; \
         for name in a0 b0; do ip tuntap add $name mode tap {}; ip link set $name master br0 up; done",
        queues_flag()
    ));
    let arguments = |tap| ["--tap", tap, "--address", "10.3.0.2/24", "--host-address", "10.3.0.1/24"];
    let _first = ready(&sandbox, &arguments("a0"));
    let mut second = sandbox.netloom(&[&["up"], &arguments("b0")[..]].concat());
    let _second = started(second.env("NETLOOM_SOCKET", "/run/second.sock"));
    assert!(addr(&sandbox).contains("    inet 10.3.0.2/24 preferred\n"), "{}", addr(&sandbox));
    let mut ask = sandbox.netloom(&["addr"]);
    let text = succeeded(Running::start(ask.env("NETLOOM_SOCKET", "/run/second.sock")).finish());
    assert!(text.starts_with("1: b0: ") && text.contains("    inet 10.3.0.2/24 duplicate\n"), "{text}");
}

#[test]
fn in_a_shell_it_shows_that_stack() {
    let test = "in_a_shell_it_shows_that_stack";
    if let Err(error) = fs::File::options().read(true).write(true).open("/dev/net/tun") {
        return skip(test, &format!("needs /dev/net/tun: {error}"));
    }
    let script = format!("{} addr --json && echo $NETLOOM_SOCKET", binary());
    let arguments = with_queues(&["shell", "--mtu", "1400", "--", "sh", "-c", &script]);
    // Whatever is set outside, the socket is the shell's own.
    let mut command = Command::new(binary());
    command.args(arguments).env("NETLOOM_SOCKET", "/nonexistent/netloom.sock");
    let text = succeeded(Running::start(&mut command).finish());
    let (json, path) = text.trim_end().rsplit_once('\n').unwrap();
    let seen = parse(json);
    assert_eq!((&seen["mtu_bytes"], &seen["queues"]), (&json!(1400), &json!(queues())));
    assert!(cidrs(&seen).contains(&"10.0.0.2/24".to_owned()), "{seen}");
    let path = Path::new(path);
    assert!(path.ends_with("netloom.sock") && !path.parent().unwrap().exists(), "{path:?} stays");
}

#[test]
fn a_shell_without_privilege_has_it_too() {
    let test = "a_shell_without_privilege_has_it_too";
    let Some(sandbox) = Sandbox::new(test) else { return };
    sandbox.set_tun_mode("666");
    let script = format!("stat -c %a $NETLOOM_SOCKET && {} addr", binary());
    let finished =
        Running::start(&mut sandbox.netloom_as_nobody(&["shell", "--", "sh", "-c", &script])).finish();
    if finished.stderr.contains("does not let users make user namespaces") {
        return skip(test, "user namespaces are forbidden here");
    }
    let text = succeeded(finished);
    assert!(text.starts_with("600\n1: netloom0: <TAP> mtu 1500\n"), "{text}");
    assert!(text.contains("    inet 10.0.0.2/24 "), "{text}");
}

#[test]
fn without_a_daemon_it_says_how_to_start_one() {
    let Some(sandbox) = Sandbox::new("without_a_daemon_it_says_how_to_start_one") else { return };
    for arguments in [&["addr"][..], &["addr", "--json"]] {
        let words = [
            "no netloom runs here",
            "(nobody listens at /run/netloom.sock)",
            "sudo netloom up",
            "netloom shell",
        ];
        refused(&mut sandbox.netloom(arguments), 1, &words);
    }
    let mut command = sandbox.netloom(&["addr"]);
    refused(
        command.env("XDG_RUNTIME_DIR", "/run/user/7"),
        1,
        &["/run/user/7/netloom.sock or /run/netloom.sock"],
    );
    let mut command = sandbox.netloom(&["addr"]);
    refused(command.env("NETLOOM_SOCKET", "/run/x.sock"), 1, &["(nobody listens at /run/x.sock)"]);
}

#[test]
fn wrong_usage_is_2_and_help_has_an_example() {
    let finished = crate::process::run(binary(), &["addr", "--nonsense"]);
    assert_eq!((finished.code(), finished.stdout.as_str()), (2, ""), "{finished:?}");
    assert_eq!(crate::process::run(binary(), &["addr", "netloom0"]).code(), 2);
    let help = crate::process::run(binary(), &["addr", "--help"]);
    assert_eq!(help.code(), 0);
    for word in ["Examples:", "netloom addr --json", "NETLOOM_SOCKET"] {
        assert!(help.stdout.contains(word), "no {word:?} in {}", help.stdout);
    }
}

#[test]
fn a_daemon_that_root_runs_is_found_from_a_session_and_is_roots() {
    let Some(sandbox) = Sandbox::new("a_daemon_that_root_runs_is_found_from_a_session_and_is_roots") else {
        return;
    };
    let _up = ready(&sandbox, &[]);
    assert_eq!(sandbox.sh("stat -c %a /run/netloom.sock"), "600\n");
    let mut command = sandbox.netloom(&["addr"]);
    succeeded(Running::start(command.env("XDG_RUNTIME_DIR", "/run/user/0")).finish());
    refused(&mut sandbox.netloom_as_nobody(&["addr"]), 1, &["/run/netloom.sock", "another user's", "sudo"]);
}

#[test]
fn the_socket_is_there_while_the_daemon_is() {
    let Some(sandbox) = Sandbox::new("the_socket_is_there_while_the_daemon_is") else { return };
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let up = ready(&sandbox, &[]);
        assert_eq!(sandbox.run_folder(), "netloom.sock\nnetloom.sock.lock\n");
        up.signal(signal);
        assert_eq!(up.finish().code(), 0);
        assert_eq!(sandbox.run_folder(), "", "after {signal}");
    }
    // After a start that failed.
    refused(&mut sandbox.netloom(&["up", "--tap", "lo"]), 1, &["lo exists"]);
    assert_eq!(sandbox.run_folder(), "");
    // A session's own directory comes first.
    sandbox.sh("mkdir /run/session");
    let mut command = sandbox.netloom(&["up"]);
    let up = started(command.env("XDG_RUNTIME_DIR", "/run/session"));
    assert_eq!(sandbox.sh("ls -A /run/session"), "netloom.sock\nnetloom.sock.lock\n");
    up.signal(Signal::SIGINT);
    assert_eq!(up.finish().code(), 0);
    assert_eq!(sandbox.sh("ls -A /run /run/session"), "/run:\nsession\n\n/run/session:\n");
}

#[test]
fn a_killed_daemons_socket_is_replaced() {
    let Some(sandbox) = Sandbox::new("a_killed_daemons_socket_is_replaced") else { return };
    let mut up = ready(&sandbox, &[]);
    up.signal(Signal::SIGKILL);
    up.wait();
    assert_eq!(sandbox.run_folder(), "netloom.sock\nnetloom.sock.lock\n");
    refused(&mut sandbox.netloom(&["addr"]), 1, &["no netloom runs here"]);
    eventually("the interface goes", || !sandbox.has_link("netloom0"));
    let up = ready(&sandbox, &[]);
    addr(&sandbox);
    up.signal(Signal::SIGINT);
    assert_eq!(up.finish().code(), 0);
    assert_eq!(sandbox.run_folder(), "");
}

#[test]
fn a_living_daemons_socket_is_left_alone() {
    let Some(sandbox) = Sandbox::new("a_living_daemons_socket_is_left_alone") else { return };
    let up = ready(&sandbox, &[]);
    let second = ["up", "--tap", "second0", "--address", "10.9.0.2/24", "--host-address", "10.9.0.1/24"];
    let words = ["a netloom runs already", "/run/netloom.sock", "NETLOOM_SOCKET=PATH netloom up"];
    let before = sandbox.state();
    let named = || {
        let mut command = sandbox.netloom(&second);
        command.env("NETLOOM_SOCKET", "/run/netloom.sock");
        command
    };
    refused(&mut named(), 1, &words);
    // Nor one that happens not to run just now.
    up.signal(Signal::SIGSTOP);
    refused(&mut named(), 1, &words);
    up.signal(Signal::SIGCONT);
    assert_eq!(sandbox.state(), before);
    assert!(addr(&sandbox).starts_with("1: netloom0: "));
    // Where nobody has named a place, the second goes without, or gets another.
    for place in [None, Some("/run/second.sock")] {
        let mut command = sandbox.netloom(&second);
        let second = started(command.envs(place.map(|place| ("NETLOOM_SOCKET", place))));
        assert!(addr(&sandbox).starts_with("1: netloom0: "));
        second.signal(Signal::SIGINT);
        assert_eq!(second.finish().code(), 0);
    }
    assert!(addr(&sandbox).starts_with("1: netloom0: "));
}

#[test]
fn a_place_that_was_named_must_be_possible() {
    let Some(sandbox) = Sandbox::new("a_place_that_was_named_must_be_possible") else { return };
    let before = sandbox.state();
    sandbox.sh("echo precious > /run/file");
    let long = format!("/run/{}", "x".repeat(120));
    for (path, words) in [
        ("/run/file", "is no socket"),
        ("/run/absent/netloom.sock", "No such file or directory"),
        (long.as_str(), "cannot make the control socket"),
    ] {
        let mut command = sandbox.netloom(&["up"]);
        refused(command.env("NETLOOM_SOCKET", path), 1, &[path, words, "NETLOOM_SOCKET=PATH netloom up"]);
    }
    assert_eq!(sandbox.sh("cat /run/file"), "precious\n");
    assert_eq!((sandbox.run_folder().as_str(), sandbox.state()), ("file\n", before));
}

/// A daemon whose socket this process can open.
struct Open {
    sandbox: Sandbox,
    _folder: tempfile::TempDir,
    path: PathBuf,
    _up: Running,
}

impl Open {
    fn new(test: &str) -> Option<Self> {
        let sandbox = Sandbox::new(test)?;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("netloom.sock");
        let up = started(sandbox.netloom(&["up"]).env("NETLOOM_SOCKET", &path));
        Some(Self { sandbox, _folder: folder, path, _up: up })
    }

    fn client(&self) -> UnixStream {
        let stream = UnixStream::connect(&self.path).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        stream
    }

    /// Sends bytes, as far as they are taken, and reads a line.
    fn ask(&self, bytes: &[u8]) -> Value {
        let mut stream = self.client();
        let _ = stream.write_all(bytes);
        line(&mut BufReader::new(stream))
    }

    /// Asks until there is room for one more client.
    fn ask_when_there_is_room(&self) {
        eventually("there is room", || self.ask(REQUEST)["answer"]["addr"].is_array());
    }
}

fn line(stream: &mut impl BufRead) -> Value {
    let mut text = String::new();
    stream.read_line(&mut text).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn refusal(answer: &Value) -> &str {
    answer["answer"]["refused"]["kind"].as_str().unwrap_or_else(|| panic!("{answer}"))
}

#[test]
fn what_makes_no_sense_is_refused_by_name() {
    let Some(daemon) = Open::new("what_makes_no_sense_is_refused_by_name") else { return };
    let long = [b"{\"version\":1,\"request\":\"", &[b'x'; 1 << 20][..], b"\"}\n"].concat();
    for (bytes, kind) in [
        (&b"GET / HTTP/1.1\r\n"[..], "bad-request"),
        (b"\xff\x00\xfe\n", "bad-request"),
        (b"{\"version\":1,\"request\":\"dance\"}\n", "unknown-request"),
        (b"{\"version\":2,\"request\":\"addr\"}\n", "unsupported-version"),
        (&long, "request-too-long"),
    ] {
        assert_eq!(
            refusal(&daemon.ask(bytes)),
            kind,
            "{:?}",
            String::from_utf8_lossy(&bytes[..20.min(bytes.len())])
        );
    }
    // One connection, several requests.
    let mut stream = daemon.client();
    stream.write_all(&[b"nonsense\n", REQUEST, REQUEST].concat()).unwrap();
    let mut reader = BufReader::new(stream);
    assert_eq!(refusal(&line(&mut reader)), "bad-request");
    let first = line(&mut reader);
    assert_eq!((&first["version"], &first["answer"]["addr"][0]["name"]), (&json!(1), &json!("netloom0")));
    assert_eq!(line(&mut reader)["answer"]["addr"][0]["name"], "netloom0");
}

#[test]
fn clients_that_misbehave_stop_neither_traffic_nor_others() {
    let Some(daemon) = Open::new("clients_that_misbehave_stop_neither_traffic_nor_others") else { return };
    daemon.sandbox.sh("ping -c 1 -W 2 10.0.0.2");
    // 400 at 100 a second, while the following happens; an answer that is late by a second is lost.
    let ping = "ping -q -n -c 400 -i 0.01 -W 1 10.0.0.2";
    let pinging = Running::start(daemon.sandbox.command("sh").args(["-c", ping]));
    // Asks without end and reads nothing, until the daemon has had enough.
    let mut flood = daemon.client();
    let flooding = thread::spawn(move || while flood.write_all(&REQUEST.repeat(100)).is_ok() {});
    let mut stalled: Vec<_> = (0..15).map(|_| daemon.client()).collect();
    for stream in &mut stalled {
        stream.write_all(b"{\"version\":1,").unwrap();
    }
    eventually("one more is one too many", || {
        let answer = daemon.ask(REQUEST);
        answer["answer"]["refused"]["kind"] == "too-many-clients"
    });
    for stream in stalled {
        assert_eq!(refusal(&line(&mut BufReader::new(stream))), "too-slow");
    }
    flooding.join().unwrap();
    daemon.ask_when_there_is_room();
    let mut command = daemon.sandbox.netloom(&["addr"]);
    succeeded(Running::start(command.env("NETLOOM_SOCKET", &daemon.path)).finish());
    let text = succeeded(pinging.finish());
    assert!(text.contains(" 0% packet loss"), "{text}");
}

#[test]
fn a_daemon_that_makes_no_sense_is_explained_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("netloom.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let lines = [
        (&b"nonsense\n"[..], "cannot be read"),
        (b"", "has just ended"),
        (b"{\"version\":2,\"answer\":{\"addr\":[]}}\n", "speaks version 2"),
        (b"{\"version\":1,\"answer\":{\"dance\":[]}}\n", "not understood"),
        (
            b"{\"version\":1,\"answer\":{\"refused\":{\"kind\":\"too-many-clients\",\"text\":\"come back\"}}}\n",
            "refuses: come back",
        ),
    ];
    let serving = thread::spawn(move || {
        for (line, _) in lines {
            let (mut stream, _) = listener.accept().unwrap();
            stream.read_exact(&mut [0; REQUEST.len()]).unwrap();
            stream.write_all(line).unwrap();
        }
    });
    for (_, words) in lines {
        refused(Command::new(binary()).arg("addr").env("NETLOOM_SOCKET", &path), 1, &[words]);
    }
    serving.join().unwrap();
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o170_000, 0o140_000, "asking leaves it alone");
}
