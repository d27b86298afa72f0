//! Two hosts in one process.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use netloom::device::{MemoryQueue, Offload};
use netloom::stack::Medium;
use netloom::{AddressDetection, InterfaceConfig, Net, TcpListener};
use tokio::runtime::Builder;
use tokio::time::timeout;

use crate::leaks::end;

/// No test takes longer.
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
