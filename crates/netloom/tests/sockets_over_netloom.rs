//! The suite of sockets over two stacks joined in memory, and what only they can show.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::io::ErrorKind;
use std::sync::Arc;

use netloom::device::MemoryQueue;
use netloom::stack::Medium;
use netloom::{Net, StackConfig, Usage, net};
use netloom_hosts::{NetloomHosts, start};

#[path = "sockets/leaks.rs"]
mod leaks;
#[path = "sockets/netloom_hosts.rs"]
mod netloom_hosts;
#[path = "sockets/suite.rs"]
mod suite;
#[path = "sockets/world.rs"]
mod world;

type Hosts = NetloomHosts<1>;

#[test]
fn a_connect_that_nobody_answers_times_out() {
    world::run(|_: Arc<Hosts>| async {
        let (left, silent) = MemoryQueue::pair(Medium::Ip, 1500).unwrap();
        let mut config = StackConfig::default();
        config.tcp.syn_retries = 1;
        let net = start(vec![Box::new(left)], "10.0.0.1/24", config);
        let error = net.tcp_connect("10.0.0.9:9").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(net.usage().iter().all(Usage::is_clear), "{:?}", net.usage());
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
