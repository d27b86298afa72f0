//! A network namespace with netloom on one end of a TAP, and the kernel and its programs on the other.

use std::future::Future;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use netloom::device::{Offload, Queue, TunTap, TunTapConfig};
use netloom::stack::Medium;
use netloom::{AddressDetection, InterfaceConfig, Net};
use nix::sched::{CloneFlags, unshare};
use tokio::process::Command;
use tokio::runtime::Builder;
use tokio::time::timeout;

use crate::hosts::LIMIT;
use crate::leaks::end;

/// netloom's address and the kernel's, in both families.
pub(crate) const FAMILIES: [Family; 2] =
    [Family { ours: "10.0.0.2", kernels: "10.0.0.1" }, Family { ours: "fd00::2", kernels: "fd00::1" }];

/// What the TAP does for the stack, and with how many queues.
const MODES: [(Offload, u16); 4] =
    [(Offload::Plain, 1), (Offload::Checksum, 1), (Offload::Full, 1), (Offload::Full, 2)];

/// One address family's pair.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Family {
    ours: &'static str,
    kernels: &'static str,
}

impl Family {
    pub(crate) fn ours(self, port: u16) -> SocketAddr {
        SocketAddr::new(self.ours.parse().unwrap(), port)
    }

    pub(crate) fn kernels(self, port: u16) -> SocketAddr {
        SocketAddr::new(self.kernels.parse().unwrap(), port)
    }
}

/// Runs `test` in each mode, in a fresh namespace, or skips it loudly where none can be made or a program is missing.
pub(crate) fn run<F: Future<Output = ()>>(programs: &[&str], test: impl Fn(Net) -> F + Sync) {
    if let Some(missing) = programs.iter().find(|program| !is_here(program)) {
        eprintln!("SKIPPED: no {missing}");
        return;
    }
    for (offload, queues) in MODES {
        std::thread::scope(|scope| {
            // The namespace is the thread's and its children's, and goes with them.
            if let Err(panic) = scope.spawn(|| run_here(offload, queues, &test)).join() {
                std::panic::resume_unwind(panic);
            }
        });
    }
}

fn run_here<F: Future<Output = ()>>(offload: Offload, queues: u16, test: impl Fn(Net) -> F) {
    if let Err(error) = unshare(CloneFlags::CLONE_NEWNET) {
        eprintln!("SKIPPED: no network namespace: {error}");
        return;
    }
    let config = TunTapConfig { kind: Medium::Ethernet, name: "nl0".to_owned(), mtu: 1500 };
    let devices = match TunTap::open_queues(&config, offload, NonZeroU16::new(queues).unwrap()) {
        Ok(devices) => devices,
        Err(error) => {
            eprintln!("SKIPPED: no TAP: {error}");
            return;
        }
    };
    if let Some(other) = devices.iter().map(TunTap::offload).find(|&other| other != offload) {
        eprintln!("SKIPPED: the kernel offloads {other} where {offload} was wanted");
        return;
    }
    let boxed = |device: TunTap| -> Box<dyn Queue> { Box::new(device) };
    let devices = devices.into_iter().map(boxed).collect();
    for arguments in [
        "link set lo up",
        "addr add 10.0.0.1/24 dev nl0",
        "addr add fd00::1/64 dev nl0 nodad",
        // In the moment in which a link-local address becomes usable, the kernel forgets what waits for a neighbour.
        "link set nl0 addrgenmode none",
        "link set nl0 up",
    ] {
        ip(arguments);
    }
    wait_for_ipv6();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let interface = InterfaceConfig {
            addresses: ["10.0.0.2/24", "fd00::2/64"].map(|address| address.parse().unwrap()).to_vec(),
            detection: AddressDetection::Optimistic,
            ..InterfaceConfig::default()
        };
        let net = Net::builder().interface_queues(devices, interface).start().unwrap();
        timeout(LIMIT, test(net.clone())).await.expect("the test ends");
        end([net]).await;
    });
}

/// Whether a program of this name is where programs are looked for.
fn is_here(program: &str) -> bool {
    std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
        .chain(["/usr/sbin", "/sbin"].map(|directory| Path::new(directory).to_owned()))
        .any(|directory| directory.join(program).is_file())
}

fn ip(arguments: &str) {
    let output = std::process::Command::new("ip").args(arguments.split(' ')).output().unwrap();
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The kernel makes the route of an IPv6 address a moment after the address, and until then drops what arrives for it.
fn wait_for_ipv6() {
    let started = Instant::now();
    let has_route = || {
        let routes = std::fs::read_to_string("/proc/thread-self/net/ipv6_route").unwrap();
        routes.lines().any(|route| route.starts_with("fd000000000000000000000000000001 80 "))
    };
    while !has_route() {
        assert!(started.elapsed() < Duration::from_secs(10), "the kernel's address gets no route");
        std::thread::yield_now();
    }
}

/// A program of the kernel's side. It ends when the test does.
pub(crate) fn program(name: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(name);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.kill_on_drop(true);
    command
}

/// Runs a program to its end.
pub(crate) async fn output(name: &str, arguments: &[&str]) -> Output {
    program(name, arguments).output().await.unwrap()
}
