//! The suite of sockets over two stacks joined in memory, and what only they can show.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::future::Future;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use netloom::device::MemoryQueue;
use netloom::stack::Medium;
use netloom::{AddressDetection, InterfaceConfig, Net, StackConfig, net};

#[path = "sockets/suite.rs"]
mod suite;
#[path = "sockets/world.rs"]
mod world;

/// Two hosts on a cable.
struct Hosts {
    server: Net,
    client: Net,
}

fn start(device: MemoryQueue, address: &str, config: StackConfig) -> Net {
    let interface = InterfaceConfig {
        addresses: vec![address.parse().unwrap()],
        detection: AddressDetection::Off,
        ..InterfaceConfig::default()
    };
    Net::builder().config(config).interface(Box::new(device), interface).spin(Duration::ZERO).start().unwrap()
}

/// Nothing is left of sockets but what TIME-WAIT keeps.
fn is_clean(net: &Net) -> bool {
    net.inspect(|stack| {
        let usage = stack.tcp().usage();
        let is_quiet = usage.connections == 0 && usage.half_open == 0 && usage.listeners == 0;
        is_quiet && usage.buffer_bytes == 0 && stack.udp().sockets().next().is_none()
    })
}

impl world::World for Hosts {
    const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
    const BROADCAST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 255);

    fn start() -> Self {
        let (left, right) = MemoryQueue::pair(Medium::Ethernet, 1500).unwrap();
        let server = start(left, "10.0.0.1/24", StackConfig::default());
        let client = start(right, "10.0.0.2/24", StackConfig::default());
        Self { server, client }
    }

    async fn server<F: Future>(&self, work: F) -> F::Output {
        self.server.scope(work).await
    }

    async fn client<F: Future>(&self, work: F) -> F::Output {
        self.client.scope(work).await
    }

    async fn until_clean(&self) {
        while !(is_clean(&self.server) && is_clean(&self.client)) {
            tokio::task::yield_now().await;
        }
    }
}

#[test]
fn a_connect_that_nobody_answers_times_out() {
    world::run(|_: Arc<Hosts>| async {
        let (left, silent) = MemoryQueue::pair(Medium::Ip, 1500).unwrap();
        let mut config = StackConfig::default();
        config.tcp.syn_retries = 1;
        let net = start(left, "10.0.0.1/24", config);
        let error = net.tcp_connect("10.0.0.9:9".parse().unwrap()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        drop(silent);
    });
}

#[test]
fn a_socket_needs_a_stack_and_takes_the_default() {
    world::run(|world: Arc<Hosts>| async move {
        let nobody = net::UdpSocket::bind("0.0.0.0:0").await.unwrap_err();
        assert_eq!(nobody.kind(), ErrorKind::NetworkDown);
        world.server.set_default();
        let socket = tokio::spawn(net::UdpSocket::bind("10.0.0.1:0")).await.unwrap().unwrap();
        assert_eq!(socket.local_addr().unwrap().ip().to_string(), "10.0.0.1");
        assert!(Net::take_default().is_some());
    });
}
