//! Two hosts in one process, and what every test ends with: nothing is left.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use netloom::device::{MemoryQueue, Offload};
use netloom::stack::Medium;
use netloom::{AddressDetection, InterfaceConfig, Net, TcpListener, Usage};
use tokio::runtime::{Builder, Handle};
use tokio::task::yield_now;
use tokio::time::timeout;

/// No test takes longer, nor its end.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// A server and a client on a cable.
#[derive(Clone)]
pub(crate) struct Hosts {
    /// The host that listens.
    pub(crate) server: Net,
    /// The host that connects.
    pub(crate) client: Net,
    address: SocketAddr,
}

impl Hosts {
    /// A listener of the server at a port of its own, and its address.
    pub(crate) async fn listen(&self) -> (TcpListener, SocketAddr) {
        let listener = self.server.tcp_listen(self.address).await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }
}

/// Runs `test` twice, with fresh hosts: over IPv4 in Ethernet frames of 1500 bytes, and over bare IPv6 in super-segments.
pub(crate) fn run<F: Future<Output = ()>>(test: impl Fn(Hosts) -> F) {
    for (medium, offload, [server, client]) in [
        (Medium::Ethernet, Offload::Plain, ["10.0.0.1/24", "10.0.0.2/24"]),
        (Medium::Ip, Offload::Full, ["fd00::1/64", "fd00::2/64"]),
    ] {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let (left, right) = MemoryQueue::pair_offloading(medium, 1500, offload).unwrap();
            let (server, client) = (start(left, server), start(right, client));
            let address = SocketAddr::new(server.addresses()[0].address(), 0);
            let hosts = Hosts { server: server.clone(), client: client.clone(), address };
            timeout(LIMIT, test(hosts)).await.expect("the test ends");
            end([server, client]).await;
        });
    }
}

fn start(device: MemoryQueue, address: &str) -> Net {
    let interface = InterfaceConfig {
        addresses: vec![address.parse().unwrap()],
        detection: AddressDetection::Off,
        ..InterfaceConfig::default()
    };
    Net::builder().interface(Box::new(device), interface).spin(Duration::ZERO).start().unwrap()
}

/// Checks that the stacks hold nothing any more, ends them, and checks that no task of the runtime is left.
pub(crate) async fn end<const N: usize>(nets: [Net; N]) {
    let usage = || nets.iter().flat_map(Net::usage).collect::<Vec<_>>();
    // All of them before any ends: one may wait for another's last segment.
    if timeout(LIMIT, until(|| usage().iter().all(Usage::is_clear))).await.is_err() {
        panic!("something is left: {:?}", usage());
    }
    for net in nets {
        net.shutdown(Duration::ZERO).await;
    }
    let has_no_task = || Handle::current().metrics().num_alive_tasks() == 0;
    timeout(LIMIT, until(has_no_task)).await.expect("no task is left");
}

async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        yield_now().await;
    }
}

/// Bytes that differ from place to place, so that a shift, loss or repetition shows.
pub(crate) fn pattern(len: usize, seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut bytes = Vec::with_capacity(len + 4);
    while bytes.len() < len {
        state = state.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}
