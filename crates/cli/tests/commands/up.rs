//! `netloom up` from its first line to its last: what it makes, and that nothing of it stays.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Instant;

use nix::sys::signal::Signal;

use crate::process::{DEADLINE, Running, ended_by, eventually};
use crate::sandbox::{NOBODY, Sandbox, binary, queues, queues_flag, with_queues};

/// The number of queues, as the banner has it.
fn queues_in_words() -> &'static str {
    if queues() == 1 { "1 queue" } else { "2 queues" }
}

fn ready(sandbox: &Sandbox, arguments: &[&str]) -> Running {
    let mut up = Running::start(&mut sandbox.netloom(&[&["up"], arguments].concat()));
    up.wait_for_line(|line| line == "ready");
    up
}

#[test]
fn it_makes_an_interface_says_so_and_leaves_nothing() {
    let Some(sandbox) = Sandbox::new("it_makes_an_interface_says_so_and_leaves_nothing") else { return };
    let before = sandbox.state();
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let up = ready(&sandbox, &[]);
        for line in ["  ping 10.0.0.2\n", "  ping fd00::2\n", "  curl http://10.0.0.2/\n"] {
            assert!(up.seen().contains(line), "{}", up.seen());
        }
        let link = sandbox.sh("ip -o link show netloom0");
        for word in ["<BROADCAST,MULTICAST,UP,LOWER_UP>", "mtu 1500", "qlen 2000"] {
            assert!(link.contains(word), "{link}");
        }
        let addresses = sandbox.sh("ip -o address show netloom0");
        assert!(addresses.contains("10.0.0.1/24") && addresses.contains("fd00::1/64"), "{addresses}");
        assert!(!addresses.contains("tentative"), "{addresses}");
        up.signal(signal);
        let finished = up.finish();
        assert_eq!((finished.code(), finished.stderr.as_str()), (0, ""), "{finished:?}");
        assert_eq!(sandbox.state(), before, "after {signal}");
    }
}

#[test]
fn a_hangup_without_a_file_ends_it_unless_it_is_ignored() {
    let Some(sandbox) = Sandbox::new("a_hangup_without_a_file_ends_it_unless_it_is_ignored") else { return };
    let before = sandbox.state();
    for (how, signals) in [
        ("--default-signal=HUP", &[Signal::SIGHUP][..]),
        // What nohup does.
        ("--ignore-signal=HUP", &[Signal::SIGHUP, Signal::SIGINT]),
    ] {
        let mut up = Running::start(sandbox.command("env").args([how, binary()]).args(with_queues(&["up"])));
        up.wait_for_line(|line| line == "ready");
        for &signal in signals {
            sandbox.sh("ping -c 1 -W 2 10.0.0.2");
            up.signal(signal);
        }
        let finished = up.finish();
        assert_eq!((finished.code(), finished.stderr.as_str()), (0, ""), "{how}: {finished:?}");
        assert_eq!((sandbox.state(), sandbox.run_folder()), (before.clone(), String::new()), "{how}");
    }
}

#[test]
fn an_idle_daemon_uses_next_to_no_processor_time() {
    let Some(sandbox) = Sandbox::new("an_idle_daemon_uses_next_to_no_processor_time") else { return };
    let up = ready(&sandbox, &["--queues", "2"]);
    sandbox.sh("ping -c 100 -i 0.002 -q 10.0.0.2");
    let tasks = format!("/proc/{}/task", up.pid());
    let (began, before) = (Instant::now(), nanoseconds_on_processors(Path::new(&tasks)));
    sandbox.sh("sleep 3");
    let used = nanoseconds_on_processors(Path::new(&tasks)) - before;
    let share = used as f64 / began.elapsed().as_nanos() as f64;
    assert!(share < 0.005, "{:.2}% of a processor", share * 100.0);
}

/// What all threads of a process have run.
fn nanoseconds_on_processors(tasks: &Path) -> u64 {
    let run = |task: std::io::Result<std::fs::DirEntry>| -> u64 {
        let statistics = std::fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap();
        statistics.split(' ').next().unwrap().parse().unwrap()
    };
    std::fs::read_dir(tasks).unwrap().map(run).sum()
}

#[test]
fn each_queue_has_a_thread() {
    let Some(sandbox) = Sandbox::new("each_queue_has_a_thread") else { return };
    let up = ready(&sandbox, &["--queues", "3"]);
    let tasks = format!("/proc/{}/task", up.pid());
    let name = |task: std::io::Result<std::fs::DirEntry>| {
        std::fs::read_to_string(task.unwrap().path().join("comm")).unwrap()
    };
    for shard in ["netloom-1\n", "netloom-2\n"] {
        // A thread names itself.
        eventually("it is there beside the first one's", || {
            std::fs::read_dir(&tasks).unwrap().map(name).any(|name| name == shard)
        });
    }
}

#[test]
fn sigkill_leaves_nothing() {
    let Some(sandbox) = Sandbox::new("sigkill_leaves_nothing") else { return };
    let before = sandbox.state();
    let up = ready(&sandbox, &[]);
    up.signal(Signal::SIGKILL);
    assert_eq!(ended_by(&up.finish()), Some(Signal::SIGKILL as i32));
    eventually("the interface goes", || sandbox.state() == before);
}

#[test]
fn flags_choose_kind_name_size_and_addresses() {
    let Some(sandbox) = Sandbox::new("flags_choose_kind_name_size_and_addresses") else { return };
    let flags =
        ["--tun", "t7", "--mtu", "65535", "--address", "10.7.0.2/31", "--host-address", "10.7.0.3/31"];
    let up = ready(&sandbox, &flags);
    let begin = format!("t7 (tun, MTU 65535, {}, offload ", queues_in_words());
    assert!(up.seen().starts_with(&begin), "{}", up.seen());
    assert!(!up.seen().contains("fd00"), "{}", up.seen());
    let link = sandbox.sh("ip -d -o link show t7");
    assert!(link.contains("mtu 65535") && link.contains("tun type tun"), "{link}");
    assert!(sandbox.sh("ip -o address show t7").contains("10.7.0.3/31"));
}

#[test]
fn a_file_holds_the_same_options() {
    let Some(sandbox) = Sandbox::new("a_file_holds_the_same_options") else { return };
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("netloom.toml");
    std::fs::write(
        &config,
        "tap = \"t8\"\nmtu = 9000\npcap = \"out.pcapng\"\noffload = \"off\"\nspin = \"20us\"\n",
    )
    .unwrap();
    let up = ready(&sandbox, &["--config", config.to_str().unwrap(), "--mtu", "1400"]);
    let begin = format!("t8 (tap, MTU 1400, {}, offload none: plain frames)\n", queues_in_words());
    assert!(up.seen().starts_with(&begin), "{}", up.seen());
    up.signal(Signal::SIGINT);
    assert_eq!(up.finish().code(), 0);
    // A pcapng file begins with a section header block.
    let capture = std::fs::read(folder.path().join("out.pcapng")).unwrap();
    assert_eq!(capture.get(..4), Some(&[0x0a, 0x0d, 0x0d, 0x0a][..]));
}

#[test]
fn a_default_route_is_not_in_the_way() {
    let Some(sandbox) = Sandbox::new("a_default_route_is_not_in_the_way") else { return };
    sandbox.sh(
        "ip tuntap add dev other mode tap && ip link set other up && ip address add 192.0.2.2/24 dev other",
    );
    sandbox.sh("ip route add default via 192.0.2.1 && ip route add 0.0.0.0/1 dev other && ip route add 128.0.0.0/1 dev other");
    ready(&sandbox, &[]);
}

#[test]
fn an_administrators_interface_is_attached_to_and_left_as_it_was() {
    let Some(sandbox) = Sandbox::new("an_administrators_interface_is_attached_to_and_left_as_it_was") else {
        return;
    };
    sandbox.set_tun_mode("666");
    sandbox.sh(&format!(
        "ip tuntap add dev admin0 mode tap user {NOBODY} {}; ip link set admin0 mtu 1400 up; \
         ip address add 10.3.0.1/24 dev admin0",
        queues_flag()
    ));
    let before = sandbox.state();
    let arguments = ["up", "--tap", "admin0", "--address", "10.3.0.2/24", "--host-address", "10.3.0.1/24"];
    let mut up = Running::start(&mut sandbox.netloom_as_nobody(&arguments));
    // It takes seconds, and says so first.
    up.wait_for_warning("trying out 10.3.0.2, which somebody else on the link might have: 4 to 7 s");
    up.wait_for_line(|line| line == "ready");
    let begin = format!("admin0 (tap, MTU 1400, {}, offload ", queues_in_words());
    assert!(up.seen().starts_with(&begin), "{}", up.seen());
    up.signal(Signal::SIGINT);
    let finished = up.finish();
    assert_eq!(finished.code(), 0);
    // This user has no directory for a control socket: that is said, and nothing else is the worse for it.
    assert!(finished.stderr.contains("netloom addr will not find this daemon"), "{finished:?}");
    // The kernel makes a link-local address once the interface has had a carrier.
    let without_link_local = |state: &str| {
        let kept = state.lines().filter(|line| !line.contains("fe80:") && !line.contains("ff00:"));
        kept.map(str::to_owned).collect::<Vec<_>>()
    };
    eventually("the interface is as it was", || {
        without_link_local(&sandbox.state()) == without_link_local(&before)
    });
    assert!(sandbox.has_link("admin0"));
}

#[test]
fn what_the_kernel_does_not_find_is_not_to_be_typed() {
    let Some(sandbox) = Sandbox::new("what_the_kernel_does_not_find_is_not_to_be_typed") else { return };
    sandbox.sh(&format!(
        "ip tuntap add dev admin0 mode tun {}; ip link set admin0 up; ip address add 10.0.0.1/24 dev admin0",
        queues_flag()
    ));
    let up = ready(&sandbox, &["--tun", "admin0"]);
    let next = up.seen().split_once("Type next, in another terminal:\n").unwrap().1;
    assert_eq!(next, "  ping 10.0.0.2\n  curl http://10.0.0.2/\nready\n");
    up.signal(Signal::SIGINT);
    let finished = up.finish();
    assert!(finished.stderr.contains("no address in the network of fd00::2/64"), "{finished:?}");
    // On a TUN there is nobody to ask, and so nothing to wait for.
    assert!(!finished.stderr.contains("trying out"), "{finished:?}");
}

#[test]
fn an_existing_interface_keeps_its_mtu() {
    let Some(sandbox) = Sandbox::new("an_existing_interface_keeps_its_mtu") else { return };
    sandbox
        .sh(&format!("ip tuntap add dev admin0 mode tap {} && ip link set admin0 mtu 1400", queues_flag()));
    let finished = sandbox.run(&["up", "--tap", "admin0", "--mtu", "1500"]);
    assert_eq!((finished.code(), finished.stderr.lines().count()), (1, 1), "{finished:?}");
    assert!(finished.stderr.contains("ip link set admin0 mtu 1500"), "{finished:?}");
}

#[test]
fn the_service_manager_is_told() {
    let Some(sandbox) = Sandbox::new("the_service_manager_is_told") else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(DEADLINE)).unwrap();
    let up = Running::start(sandbox.netloom(&["up"]).env("NOTIFY_SOCKET", &path));
    let told = || {
        let mut buffer = [0; 256];
        let len = manager.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..len]).into_owned()
    };
    assert_eq!(told().trim(), "READY=1");
    up.signal(Signal::SIGTERM);
    assert_eq!(told().trim(), "STOPPING=1");
    assert_eq!(up.finish().code(), 0);
}

#[test]
fn help_shows_an_example() {
    for command in ["up", "shell"] {
        let finished = crate::process::run(env!("CARGO_BIN_EXE_netloom"), &[command, "--help"]);
        assert_eq!(finished.code(), 0);
        assert!(finished.stdout.contains("Examples:") && finished.stdout.contains("ping 10.0.0.2"));
        assert!(!finished.stdout.contains("__"), "hidden commands stay hidden");
        let words: Vec<_> = finished.stdout.split_whitespace().collect();
        for sentence in ["576..65521 on a TAP, 576..65535 on a TUN", "tcpdump calls them incorrect"] {
            assert!(words.join(" ").contains(sentence), "no {sentence:?} in {}", finished.stdout);
        }
        assert_eq!(finished.stdout.contains("SIGHUP without --config"), command == "up");
    }
    assert_eq!(crate::process::run(env!("CARGO_BIN_EXE_netloom"), &["up", "--nonsense"]).code(), 2);
}
