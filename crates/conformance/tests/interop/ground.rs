//! The ground of a case: network namespaces, a real `netloom link` between two bridges, and netloom on one side of it.
//!
//! ```text
//!   netloom on a TAP nl0 --+-- a0 == netloom link SPEC == b0 --+-- s0, a TAP with smoltcp, or
//!            10.0.0.2      br0                                br1  veth to a namespace with the kernel or a router, 10.0.0.1
//! ```
//! A second cable may lie beside it, to be taken instead. Everything is in
//! namespaces that nothing holds but descriptors of this process and the thread of the case, and goes with them.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::num::NonZeroU16;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use netloom::device::{Offload, Queue, TunTap, TunTapConfig};
use netloom::stack::Medium;
use netloom::{AddressDetection, InterfaceConfig, Net};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Longest that a program or the kernel may take to get ready or to end; far beyond what it does take.
const DEADLINE: Duration = Duration::from_secs(30);

/// The addresses of one family.
#[derive(Clone, Copy)]
pub(crate) struct Family {
    /// netloom's.
    pub(crate) ours: &'static str,
    /// The peer's, or the router's on the way to it.
    pub(crate) far: &'static str,
    /// The network of both.
    pub(crate) network: &'static str,
    /// The length of the prefix of every network.
    pub(crate) prefix_len: u8,
    /// What all addresses are in.
    pub(crate) all: &'static str,
}

/// Both of them.
pub(crate) const FAMILIES: [Family; 2] = [
    Family { ours: "10.0.0.2", far: "10.0.0.1", network: "10.0.0.0/24", prefix_len: 24, all: "0.0.0.0/0" },
    Family { ours: "fd00::2", far: "fd00::1", network: "fd00::/64", prefix_len: 64, all: "::/0" },
];

/// netloom's device: what the kernel does for it, and how many queues it has, and so the stack shards.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Device {
    offload: Offload,
    queues: NonZeroU16,
}

impl Device {
    /// That of the case with this number: with one queue in some modes and with two in the others, which
    /// `NETLOOM_INTEROP_SWAP=1` swaps.
    pub(crate) fn of_case(number: usize, offload: Offload) -> Self {
        let is_swapped = match std::env::var("NETLOOM_INTEROP_SWAP").as_deref() {
            Err(_) | Ok("0") => false,
            Ok("1") => true,
            Ok(other) => panic!("NETLOOM_INTEROP_SWAP is 0 or 1, not {other}"),
        };
        let is_plain = offload == Offload::Plain;
        let has_two = number.is_multiple_of(2) ^ is_plain ^ is_swapped;
        Self { offload, queues: if has_two { TWO } else { NonZeroU16::MIN } }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "queues={} offload={}", self.queues, self.offload)
    }
}

const TWO: NonZeroU16 = NonZeroU16::MIN.saturating_add(1);

/// How many of them there are on an interface with this MTU.
pub(crate) fn family_count(mtu: u16) -> usize {
    if mtu >= 1280 { 2 } else { 1 }
}

/// netloom's address and that of a peer at the other end of the cable, in each family that there is at this MTU.
pub(crate) fn beside_us(mtu: u16) -> Vec<[&'static str; 2]> {
    FAMILIES[..family_count(mtu)].iter().map(|family| [family.ours, family.far]).collect()
}

/// A network namespace.
pub(crate) struct Namespace(File);

impl Namespace {
    /// The calling thread's.
    fn current() -> Self {
        Self(File::open("/proc/thread-self/ns/net").expect("a thread has a namespace"))
    }

    /// A new one, in which nobody is.
    pub(crate) fn new() -> Self {
        let back = Self::current();
        unshare(CloneFlags::CLONE_NEWNET).expect("a namespace, as the thread has one");
        let new = Self::current();
        setns(&back.0, CloneFlags::CLONE_NEWNET).expect("the thread gets back");
        new
    }

    /// Does something with the calling thread in this namespace. Sockets made meanwhile stay there.
    pub(crate) fn enter<T>(&self, action: impl FnOnce() -> T) -> T {
        let back = Self::current();
        setns(&self.0, CloneFlags::CLONE_NEWNET).expect("the thread gets there");
        let result = action();
        setns(&back.0, CloneFlags::CLONE_NEWNET).expect("the thread gets back");
        result
    }

    /// What `ip` takes for its name.
    pub(crate) fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }
}

/// Runs a batch of `ip` in the calling thread's namespace.
pub(crate) fn ip(batch: &str) {
    let mut command = Command::new("ip");
    command.args(["-batch", "-"]).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("iproute2 is installed");
    let written = child.stdin.take().expect("piped").write_all(batch.as_bytes());
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "ip: {batch}: {}", String::from_utf8_lossy(&output.stderr));
    written.expect("it read all");
}

/// What `ip address add` is told behind an IPv6 address, so that it is usable at once.
pub(crate) fn nodad(address: &str) -> &'static str {
    if address.contains(':') { " nodad" } else { "" }
}

/// Waits until the kernel of the calling thread's namespace takes packets to its IPv6 address: it makes the route of an address
/// a moment after the address, in a worker of its own, and until then drops what arrives for it.
pub(crate) fn wait_for_ipv6(address: std::net::Ipv6Addr) {
    let route = format!("{:032x} 80 ", u128::from(address));
    let started = Instant::now();
    let has_route = || {
        let routes = std::fs::read_to_string("/proc/thread-self/net/ipv6_route").expect("routes");
        routes.lines().any(|line| line.starts_with(&route))
    };
    while !has_route() {
        assert!(started.elapsed() < DEADLINE, "the kernel's address gets no route");
        std::thread::yield_now();
    }
}

/// The program `netloom`: the one that `cargo xtask test` names, or the one that was built beside this test.
fn program() -> Option<PathBuf> {
    let beside = || Some(std::env::current_exe().ok()?.parent()?.parent()?.join("netloom"));
    std::env::var_os("NETLOOM_BIN").map(PathBuf::from).or_else(beside).filter(|path| path.exists())
}

/// A `netloom link` that runs; killed when dropped, and by the kernel when its thread ends.
pub(crate) struct Link {
    child: Child,
    lines: Receiver<String>,
}

impl Link {
    /// Plugs a cable in, which must be ready by the deadline.
    pub(crate) fn start(faults: &str) -> Self {
        Self::between(["a0", "b0"], faults)
    }

    fn between(taps: [&str; 2], faults: &str) -> Self {
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(program().expect("looked for before"))
            .args(["link", "--tap", taps[0], "--tap", taps[1], "--impair", faults])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("setpriv of util-linux is installed");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let (tell, lines) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if tell.send(line).is_err() {
                    return;
                }
            }
        });
        let link = Self { child, lines };
        assert_eq!(link.lines.recv_timeout(DEADLINE).as_deref(), Ok("ready"), "netloom link {faults}");
        link
    }

    /// Pulls it, and tells what it has counted: on the way from netloom, and on the way back.
    pub(crate) fn stop(mut self) -> [HashMap<String, u64>; 2] {
        kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGINT).expect("it runs");
        // `a0 -> b0: frames 12 bytes 3456 ...`, and the same for the way back.
        let counted = [(); 2].map(|()| {
            let line = self.lines.recv_timeout(DEADLINE).expect("a report");
            let (_, numbers) = line.split_once(": ").expect("a direction");
            let words: Vec<&str> = numbers.split(' ').collect();
            let pairs = words.chunks_exact(2);
            pairs.map(|pair| (pair[0].to_owned(), pair[1].parse().expect("a number"))).collect()
        });
        assert!(self.lines.recv_timeout(DEADLINE).is_err(), "it says no more");
        assert!(self.child.wait().expect("waited").success(), "netloom link ends well");
        counted
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Takes the second cable instead of the first, in the calling thread's namespace. Hardly a frame is lost.
pub(crate) fn change_cable() {
    ip("link set a0 nomaster
        link set c0 master br0
        link set b0 nomaster
        link set d0 master br1");
}

/// The interfaces of a case, in the calling thread's namespace.
pub(crate) struct Ground {
    mtu: u16,
    /// The queues of netloom's TAP.
    ours: Vec<TunTap>,
}

impl Ground {
    /// Moves the calling thread to a fresh namespace and makes them there, `None`, said loudly, where that is not possible.
    pub(crate) fn new(mtu: u16, Device { offload, queues }: Device) -> Option<Self> {
        if program().is_none() {
            eprintln!("SKIPPED: no program netloom: cargo build, and name it in NETLOOM_BIN");
            return None;
        }
        if let Err(error) = unshare(CloneFlags::CLONE_NEWNET) {
            eprintln!("SKIPPED: no network namespace: {error}");
            return None;
        }
        // What is too large for the cable, as it is with offloads, the bridge cuts.
        let config = TunTapConfig { kind: Medium::Ethernet, name: "nl0".to_owned(), mtu };
        let ours = match TunTap::open_queues(&config, offload, queues) {
            Ok(queues) => queues,
            Err(error) => {
                eprintln!("SKIPPED: no TUN/TAP: {error}");
                return None;
            }
        };
        if let Some(other) = ours.iter().map(TunTap::offload).find(|&other| other != offload) {
            eprintln!("SKIPPED: the kernel offloads {other} where {offload} was wanted");
            return None;
        }
        ip("link set lo up
            tuntap add a0 mode tap
            tuntap add b0 mode tap
            link add br0 type bridge forward_delay 0 mcast_snooping 0
            link add br1 type bridge forward_delay 0 mcast_snooping 0
            link set br0 addrgenmode none
            link set br1 addrgenmode none
            link set br0 up
            link set br1 up");
        let ground = Self { mtu, ours };
        for (device, bridge) in [("nl0", "br0"), ("a0", "br0"), ("b0", "br1")] {
            ground.attach(device, bridge);
        }
        Some(ground)
    }

    /// Makes an interface a port of a bridge.
    fn attach(&self, device: &str, bridge: &str) {
        let mtu = self.mtu;
        // The mode first: once it is up, or too narrow for IPv6, it is too late.
        ip(&format!(
            "link set {device} addrgenmode none
            link set {device} mtu {mtu} txqueuelen 5000 master {bridge}
            link set {device} up"
        ));
    }

    /// A second cable, which lies beside the first: [`change_cable`] takes it instead.
    pub(crate) fn spare_link(&self, faults: &str) -> Link {
        let mtu = self.mtu;
        for tap in ["c0", "d0"] {
            ip(&format!(
                "tuntap add {tap} mode tap
                link set {tap} addrgenmode none
                link set {tap} mtu {mtu} txqueuelen 5000
                link set {tap} up"
            ));
        }
        Link::between(["c0", "d0"], faults)
    }

    /// Another namespace at the far side of the cable, where the interface `v1` leads to it.
    pub(crate) fn far_namespace(&self) -> Namespace {
        let far = Namespace::new();
        ip(&format!("link add v0 type veth peer name v1 netns {}", far.path()));
        self.attach("v0", "br1");
        let mtu = self.mtu;
        far.enter(|| {
            ip(&format!(
                "link set lo up
                link set v1 addrgenmode none
                link set v1 mtu {mtu} txqueuelen 5000"
            ));
            for &Family { far: address, prefix_len, .. } in &FAMILIES[..family_count(mtu)] {
                ip(&format!("address add {address}/{prefix_len} dev v1{}", nodad(address)));
            }
            ip("link set v1 up");
            if family_count(mtu) == 2 {
                wait_for_ipv6(FAMILIES[1].far.parse().expect("an address"));
            }
        });
        far
    }

    /// A TAP for a stack at the far side of the cable.
    pub(crate) fn far_tap(&self) -> TunTap {
        let config = TunTapConfig { kind: Medium::Ethernet, name: "s0".to_owned(), mtu: self.mtu };
        let tap = TunTap::open(&config).expect("a second TAP");
        self.attach("s0", "br1");
        tap
    }

    /// Starts netloom on its TAP, with the peer as gateway to everywhere. Inside a runtime.
    pub(crate) fn start(self) -> io::Result<Net> {
        let families = &FAMILIES[..family_count(self.mtu)];
        let interface = InterfaceConfig {
            addresses: families
                .iter()
                .map(|family| format!("{}/{}", family.ours, family.prefix_len).parse().expect("a CIDR"))
                .collect(),
            gateways: families
                .iter()
                .map(|family| (family.all.parse().expect("a CIDR"), family.far.parse().expect("an address")))
                .collect(),
            detection: AddressDetection::Off,
            ..InterfaceConfig::default()
        };
        let boxed = |queue: TunTap| -> Box<dyn Queue> { Box::new(queue) };
        let queues = self.ours.into_iter().map(boxed).collect();
        Net::builder().interface_queues(queues, interface).start()
    }
}
