//! A network namespace with netloom in it.

mod crossing;
mod transfer;

use std::future::Future;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::process::Command;
use std::time::Duration;

use crossing::Watched;
use netloom::device::{Offload, Queue, TunTap, TunTapConfig};
use netloom::impair::ImpairSpec;
use netloom::stack::Medium;
use netloom::{AddressDetection, Cable, InterfaceConfig, Net, StackConfig, TcpListener, TcpStream};
use nix::sched::{CloneFlags, unshare};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

pub(crate) use crossing::{Crossing, Shapes, Way};
pub(crate) use transfer::{pattern, write_and_finish};

/// Longest that one test may take.
const LIMIT: Duration = Duration::from_secs(100);

/// What netloom and the kernel leave to each other, by which of the test programs this is.
pub(crate) fn offload() -> Offload {
    match env!("CARGO_CRATE_NAME") {
        "kernel_plain" => Offload::Plain,
        "kernel_checksum" => Offload::Checksum,
        _ => Offload::Full,
    }
}

/// How many queues the device has, by the same.
pub(crate) fn queues() -> NonZeroU16 {
    match env!("CARGO_CRATE_NAME") {
        "kernel_queues" => NonZeroU16::MIN.saturating_add(1),
        _ => NonZeroU16::MIN,
    }
}

/// Whether tests over cables with faults are for this test program: their devices are plain in all of them, so once with each number
/// of queues is enough.
pub(crate) fn tries_faults() -> bool {
    offload() == Offload::Full
}

/// netloom's and the kernel's addresses, in both families.
pub(crate) const FAMILIES: [Family; 2] =
    [Family { ours: "10.0.0.2", kernels: "10.0.0.1" }, Family { ours: "fd00::2", kernels: "fd00::1" }];

/// One address family's pair.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Family {
    ours: &'static str,
    kernels: &'static str,
}

impl Family {
    pub(crate) fn ours(self, port: u16) -> SocketAddr {
        SocketAddr::new(self.ours.parse().expect("an address"), port)
    }

    pub(crate) fn kernels(self, port: u16) -> SocketAddr {
        SocketAddr::new(self.kernels.parse().expect("an address"), port)
    }
}

/// What is between the kernel and netloom.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    /// A TAP or a TUN.
    pub(crate) kind: Medium,
    /// Its MTU. Below 1280 bytes IPv6 is left out.
    pub(crate) mtu: u16,
    /// A cable with these faults before netloom.
    pub(crate) faults: Option<ImpairSpec>,
}

impl Setup {
    fn plain(kind: Medium) -> Self {
        Self { kind, mtu: 1500, faults: None }
    }

    fn has_ipv6(&self) -> bool {
        self.mtu >= 1280
    }
}

/// Runs `test` in a fresh namespace for TAP and for TUN, each with a fresh stack. Afterwards nothing may be left in the
/// stack but connections in TIME-WAIT.
pub(crate) fn run<F: Future<Output = ()>>(test: impl Fn(Net) -> F + Send + Sync) {
    run_with(&StackConfig::default(), test);
}

/// The same with another configuration of the stack.
pub(crate) fn run_with<F: Future<Output = ()>>(stack: &StackConfig, test: impl Fn(Net) -> F + Send + Sync) {
    run_on_both(stack, |net, _| test(net));
}

/// As [`run`], for a test that looks at what crosses the device.
pub(crate) fn run_watching<F: Future<Output = ()>>(test: impl Fn(Net, Crossing) -> F + Send + Sync) {
    run_on_both(&StackConfig::default(), test);
}

fn run_on_both<F: Future<Output = ()>>(stack: &StackConfig, test: impl Fn(Net, Crossing) -> F + Send + Sync) {
    for setup in [Medium::Ethernet, Medium::Ip].map(Setup::plain) {
        std::thread::scope(|scope| {
            // The namespace is the thread's, and goes with it.
            let result = scope.spawn(|| run_stack_here(&setup, stack, &test)).join();
            if let Err(panic) = result {
                std::panic::resume_unwind(panic);
            }
        });
    }
}

/// Runs `test` in a fresh namespace, which becomes the calling thread's; as [`run`] else.
pub(crate) fn run_here<F: Future<Output = ()>>(setup: &Setup, test: &impl Fn(Net) -> F) {
    run_stack_here(setup, &StackConfig::default(), &|net, _| test(net));
}

fn run_stack_here<F: Future<Output = ()>>(
    setup: &Setup,
    stack: &StackConfig,
    test: &impl Fn(Net, Crossing) -> F,
) {
    if let Err(error) = unshare(CloneFlags::CLONE_NEWNET) {
        eprintln!("SKIPPED: no network namespace: {error}");
        return;
    }
    let config = TunTapConfig { kind: setup.kind, name: "nl0".to_owned(), mtu: setup.mtu };
    // Faults happen to frames: a cable takes no super-segments.
    let offload = if setup.faults.is_some() { Offload::Plain } else { offload() };
    let devices = match TunTap::open_queues(&config, offload, queues()) {
        Ok(devices) => devices,
        Err(error) => {
            eprintln!("SKIPPED: no TUN/TAP: {error}");
            return;
        }
    };
    if let Some(other) = devices.iter().map(TunTap::offload).find(|&other| other != offload) {
        eprintln!("SKIPPED: the kernel offloads {other} where {offload} was wanted");
        return;
    }
    let crossing = Crossing::default();
    let boxed =
        |device: TunTap| -> Box<dyn Queue> { Box::new(Watched::new(Box::new(device), crossing.clone())) };
    let devices: Vec<_> = devices.into_iter().map(boxed).collect();
    ip("link set lo up");
    ip("addr add 10.0.0.1/24 dev nl0");
    ip(&format!("link set nl0 mtu {} txqueuelen 4000", setup.mtu));
    if setup.has_ipv6() {
        ip("addr add fd00::1/64 dev nl0 nodad");
        // In the moment in which a link-local address becomes usable, the kernel forgets what waits for a neighbour.
        ip("link set nl0 addrgenmode none");
    }
    ip("link set nl0 up");
    if setup.has_ipv6() {
        wait_for_ipv6();
    }
    let (_cable, devices) = match &setup.faults {
        None => (None, devices),
        Some(faults) => {
            let (cable, devices) = Cable::before_queues(devices, faults).expect("a cable");
            (Some(cable), devices)
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let addresses = ["10.0.0.2/24", "fd00::2/64"].iter().take(if setup.has_ipv6() { 2 } else { 1 });
        let interface = InterfaceConfig {
            addresses: addresses.map(|address| address.parse().expect("a CIDR")).collect(),
            detection: AddressDetection::Optimistic,
            ..InterfaceConfig::default()
        };
        let net = Net::builder()
            .config(stack.clone())
            .interface_queues(devices, interface)
            .start()
            .expect("a stack");
        tokio::time::timeout(LIMIT, test(net.clone(), crossing.clone()))
            .await
            .expect("the test ends in time");
        let started = std::time::Instant::now();
        net.clone().shutdown(Duration::from_secs(20)).await;
        assert!(started.elapsed() < Duration::from_secs(20), "connections were left over");
    });
}

/// Waits until the kernel takes packets to its IPv6 address. It makes the route of an address a moment after the address,
/// in a worker of its own, and until then drops what arrives for it.
fn wait_for_ipv6() {
    const ROUTE: &str = "fd000000000000000000000000000001 80 ";
    let started = std::time::Instant::now();
    let has_route = || {
        let routes = std::fs::read_to_string("/proc/thread-self/net/ipv6_route").expect("routes");
        routes.lines().any(|route| route.starts_with(ROUTE))
    };
    while !has_route() {
        assert!(started.elapsed() < LIMIT, "the kernel's address gets no route");
        std::thread::yield_now();
    }
}

/// Runs `ip` in the calling thread's namespace.
pub(crate) fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split(' ')).output().expect("iproute2 is installed");
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A stream either of netloom's or of the kernel's.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for T {}

/// A connection from the kernel to netloom: `(kernel's end, ours)`.
pub(crate) async fn from_kernel(net: &Net, family: Family) -> (tokio::net::TcpStream, TcpStream) {
    let listener = net.tcp_listen(family.ours(0)).await.expect("a listener");
    let (theirs, ours) = connect_kernel(&listener).await;
    (theirs, ours)
}

/// The kernel connects to `listener`.
pub(crate) async fn connect_kernel(listener: &TcpListener) -> (tokio::net::TcpStream, TcpStream) {
    connect_kernel_to(listener.local_addr().expect("an address"), listener).await
}

/// The kernel connects to `address`, where `listener` listens.
pub(crate) async fn connect_kernel_to(
    address: SocketAddr,
    listener: &TcpListener,
) -> (tokio::net::TcpStream, TcpStream) {
    let (theirs, ours) = tokio::join!(tokio::net::TcpStream::connect(address), listener.accept());
    (theirs.expect("the kernel connects"), ours.expect("we accept").0)
}

/// A connection from netloom to the kernel: `(kernel's end, ours)`.
pub(crate) async fn to_kernel(net: &Net, family: Family) -> (tokio::net::TcpStream, TcpStream) {
    let listener = tokio::net::TcpListener::bind(family.kernels(0)).await.expect("a listener");
    let address = listener.local_addr().expect("an address");
    let (theirs, ours) = tokio::join!(listener.accept(), net.tcp_connect(address));
    (theirs.expect("the kernel accepts").0, ours.expect("we connect"))
}

/// Both ends send `len` bytes at the same time, each closes its half when it is through, and all arrives.
pub(crate) async fn exchange(one: impl Stream, other: impl Stream, len: usize) {
    let (from_one, from_other) = (pattern(len, 1), pattern(len, 2));
    let (one_read, one_write) = tokio::io::split(one);
    let (other_read, other_write) = tokio::io::split(other);
    let ((), (), at_one, at_other) = tokio::join!(
        write_and_finish(one_write, &from_one),
        write_and_finish(other_write, &from_other),
        read_all(one_read),
        read_all(other_read),
    );
    assert!(at_other == from_one, "what one sent arrived at the other");
    assert!(at_one == from_other, "what the other sent arrived at one");
}

/// Reads up to the end of the stream.
pub(crate) async fn read_all(mut stream: impl AsyncRead + Unpin) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.expect("read");
    bytes
}
