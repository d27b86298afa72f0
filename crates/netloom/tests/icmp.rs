//! Echo sockets, TTLs and what else a socket can be told, over queues in memory.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::future::Future;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::time::Duration;

use netloom::device::{MemoryQueue, Queue};
use netloom::stack::{IcmpErrorKind, Medium};
use netloom::{AddressDetection, IcmpMessage, InterfaceConfig, Net, StackConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

#[path = "sockets/leaks.rs"]
mod leaks;

/// No test takes longer.
const LIMIT: Duration = Duration::from_secs(30);

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn interface(addresses: &[&str], gateways: &[(&str, &str)]) -> InterfaceConfig {
    InterfaceConfig {
        addresses: addresses.iter().map(|it| it.parse().unwrap()).collect(),
        gateways: gateways.iter().map(|(prefix, by)| (prefix.parse().unwrap(), ip(by))).collect(),
        detection: AddressDetection::Off,
        ..InterfaceConfig::default()
    }
}

/// Two devices joined in memory, each with so many queues.
fn wire(queues: usize) -> [Vec<Box<dyn Queue>>; 2] {
    let mut ends = [Vec::new(), Vec::new()];
    for _ in 0..queues {
        let (one, other) = MemoryQueue::pair(Medium::Ethernet, 1500).unwrap();
        for (end, queue) in ends.iter_mut().zip([one, other]) {
            end.push(Box::new(queue) as Box<dyn Queue>);
        }
    }
    ends
}

/// A host, a router, and another host behind it, all of so many shards.
fn line(shards: usize) -> [Net; 3] {
    let [left, left_router] = wire(shards);
    let [right_router, right] = wire(shards);
    let mut forwarding = StackConfig::default();
    forwarding.internet.forwarding = true;
    let defaults = |by: &'static str, by6: &'static str| [("0.0.0.0/0", by), ("::/0", by6)];
    let host = interface(&["10.0.0.2/24", "fd00::2/64"], &defaults("10.0.0.1", "fd00::1"));
    let far = interface(&["10.1.0.2/24", "fd01::2/64"], &defaults("10.1.0.1", "fd01::1"));
    let near_side = interface(&["10.0.0.1/24", "fd00::1/64"], &[]);
    let far_side = interface(&["10.1.0.1/24", "fd01::1/64"], &[]);
    let router = Net::builder()
        .config(forwarding)
        .interface_queues(left_router, near_side)
        .interface_queues(right_router, far_side);
    [Net::builder().interface_queues(left, host), router, Net::builder().interface_queues(right, far)]
        .map(|builder| builder.spin(Duration::ZERO).start().unwrap())
}

/// Runs `test` with one shard and with two.
fn run<F: Future<Output = ()>>(test: impl Fn([Net; 3]) -> F) {
    for shards in [1, 2] {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let line = line(shards);
            timeout(LIMIT, test(line.clone())).await.expect("it ends in time");
            leaks::end(line).await;
        });
    }
}

#[test]
fn an_echo_comes_back_and_a_short_way_is_reported() {
    run(async |[host, _router, _far]| {
        for [any, to, first_hop] in [["0.0.0.0", "10.1.0.2", "10.0.0.1"], ["::", "fd01::2", "fd00::1"]] {
            let socket = host.icmp_bind(ip(any)).await.unwrap();
            assert_eq!((socket.local_addr().unwrap(), socket.ttl().unwrap()), (ip(any), 64));
            assert_eq!(socket.try_recv().unwrap_err().kind(), ErrorKind::WouldBlock);
            let data = vec![9; 4000];
            socket.send_to(1, &data, ip(to)).unwrap();
            let expected = IcmpMessage::Reply { from: ip(to), sequence: 1, hop_limit: 63, data };
            assert_eq!(socket.recv().await.unwrap(), expected);
            // As traceroute does it.
            socket.set_ttl(1).unwrap();
            socket.send_to(2, b"probe", ip(to)).unwrap();
            let IcmpMessage::Error { from, sequence, remote, kind } = socket.recv().await.unwrap() else {
                panic!("a router must report")
            };
            assert_eq!((from, sequence, remote), (ip(first_hop), 2, ip(to)));
            assert_eq!(kind, IcmpErrorKind::HopLimitExceeded);
            // Each hears its own.
            let other = host.icmp_bind(ip(any)).await.unwrap();
            assert_ne!(socket.identifier().unwrap(), other.identifier().unwrap());
            other.send_to(3, b"", ip(to)).unwrap();
            other.recv().await.unwrap();
            assert_eq!(socket.try_recv().unwrap_err().kind(), ErrorKind::WouldBlock);
            // Itself.
            let own =
                host.addresses().iter().map(|it| it.address()).find(|it| it.is_ipv4() == ip(to).is_ipv4());
            other.send_to(4, b"me", own.unwrap()).unwrap();
            assert!(matches!(other.recv().await.unwrap(), IcmpMessage::Reply { sequence: 4, .. }));
        }
        let socket = host.icmp_bind(ip("0.0.0.0")).await.unwrap();
        assert_eq!(socket.send_to(1, b"", ip("fd00::1")).unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(socket.set_ttl(0).unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(socket.set_ttl(256).unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(socket.send_to(1, &[0; 65_508], ip("10.0.0.1")).unwrap_err().raw_os_error(), Some(90));
        assert_eq!(host.icmp_bind(ip("10.7.7.7")).await.unwrap_err().kind(), ErrorKind::AddrNotAvailable);
    });
}

#[test]
fn who_always_finds_an_echo_lets_others_run() {
    const COUNT: u16 = 200;
    run(async |[host, _router, _far]| {
        let socket = host.icmp_bind(ip("0.0.0.0")).await.unwrap();
        for sequence in 0..COUNT {
            socket.send_to(sequence, b"", ip("10.0.0.2")).unwrap();
        }
        let other = tokio::spawn(async {});
        for _ in 0..COUNT {
            socket.recv().await.unwrap();
        }
        assert!(other.is_finished());
    });
}

#[test]
fn whoever_waits_for_an_echo_is_told_of_the_end() {
    run(async |[host, _router, _far]| {
        let socket = host.icmp_bind(ip("0.0.0.0")).await.unwrap();
        let (received, ()) = tokio::join!(socket.recv(), async { host.abort() });
        assert_eq!(received.unwrap_err().kind(), ErrorKind::NotConnected);
    });
}

#[test]
fn a_stream_s_ttl_is_what_its_packets_carry() {
    run(async |[host, router, far]| {
        let listener = far.tcp_listen("10.1.0.2:80").await.unwrap();
        let mut outgoing = host.tcp_connect("10.1.0.2:80").await.unwrap();
        let (mut incoming, _) = listener.accept().await.unwrap();
        assert_eq!(outgoing.ttl().unwrap(), 64);
        let dropped =
            || router.inspect(|stack| stack.internet().counters().icmp_errors_sent.get()).iter().sum::<u64>();
        let before = dropped();
        outgoing.set_ttl(1).unwrap();
        outgoing.write_all(b"x").await.unwrap();
        while dropped() == before {
            tokio::task::yield_now().await;
        }
        outgoing.set_ttl(2).unwrap();
        let mut byte = [0];
        incoming.read_exact(&mut byte).await.unwrap();
        assert_eq!(outgoing.set_ttl(0).unwrap_err().kind(), ErrorKind::InvalidInput);
        outgoing.set_quickack(true).unwrap();
        assert!(outgoing.quickack().unwrap());
        outgoing.set_quickack(false).unwrap();
        assert!(!outgoing.quickack().unwrap());
    });
}
