//! Sockets for any address and port, and SYNs that wait for a decision, over queues in memory.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::future::Future;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use netloom::device::{MemoryQueue, Queue};
use netloom::stack::Medium;
use netloom::stack::transport::{TcpInfo, TcpState};
use netloom::{AddressDetection, InterfaceConfig, Net, StackConfig, TcpStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Builder;
use tokio::time::timeout;

#[path = "sockets/leaks.rs"]
mod leaks;

/// No test takes longer.
const LIMIT: Duration = Duration::from_secs(30);

/// Somebody in each family who is not there.
const ANYBODY: [&str; 2] = ["203.0.113.7:4321", "[2001:db8::7]:99"];

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn start(queues: Vec<Box<dyn Queue>>, number: u8, config: InterfaceConfig) -> Net {
    let config = InterfaceConfig {
        addresses: [format!("10.0.0.{number}/24"), format!("fd00::{number}/64")]
            .iter()
            .map(|it| it.parse().unwrap())
            .collect(),
        detection: AddressDetection::Off,
        ..config
    };
    let mut stack = StackConfig::default();
    stack.tcp.decision_timeout = Duration::from_millis(200);
    Net::builder().config(stack).interface_queues(queues, config).spin(Duration::ZERO).start().unwrap()
}

/// A gateway that takes what is for anybody, and a client that sends everything through it, each with so many queues.
fn hosts(medium: Medium, queues: usize) -> (Net, Net) {
    let mut left: Vec<Box<dyn Queue>> = Vec::new();
    let mut right: Vec<Box<dyn Queue>> = Vec::new();
    for _ in 0..queues {
        let (one, other) = MemoryQueue::pair(medium, 1500).unwrap();
        left.push(Box::new(one));
        right.push(Box::new(other));
    }
    let accept_any = InterfaceConfig { accept_any: true, ..InterfaceConfig::default() };
    let default_routes = [("0.0.0.0/0", "10.0.0.1"), ("::/0", "fd00::1")];
    let gateways =
        default_routes.map(|(prefix, gateway)| (prefix.parse().unwrap(), gateway.parse().unwrap())).into();
    let client = InterfaceConfig { gateways, ..InterfaceConfig::default() };
    (start(left, 1, accept_any), start(right, 2, client))
}

/// Runs `test` on a TAP's and on a TUN's kind of medium, with one queue and with two; nothing may be left afterwards but
/// TIME-WAIT.
fn run<F: Future<Output = ()>>(test: impl Fn(Net, Net) -> F) {
    for (medium, queues) in [(Medium::Ethernet, 1), (Medium::Ip, 1), (Medium::Ethernet, 2), (Medium::Ip, 2)] {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (gateway, client) = hosts(medium, queues);
            timeout(LIMIT, test(gateway.clone(), client.clone())).await.expect("it ends");
            leaks::end([gateway, client]).await;
        });
    }
}

async fn say(mut from: TcpStream, mut to: TcpStream) {
    from.write_all(b"hello").await.unwrap();
    from.shutdown().await.unwrap();
    let mut text = String::new();
    to.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "hello");
}

#[test]
fn a_stream_has_the_address_and_port_that_the_client_dialled() {
    run(async |gateway, client| {
        let listener = gateway.tcp_listen_any().await.unwrap();
        assert_eq!(listener.local_addr().unwrap(), address("[::]:0"));
        let own = gateway.tcp_listen(address("[::]:80")).await.unwrap();
        for wanted in ANYBODY.map(address) {
            let outgoing = client.tcp_connect(wanted).await.unwrap();
            assert_eq!(outgoing.peer_addr().unwrap(), wanted);
            let (incoming, from) = listener.accept().await.unwrap();
            assert_eq!(incoming.local_addr().unwrap(), wanted);
            assert_eq!(from, outgoing.local_addr().unwrap());
            say(incoming, outgoing).await;
            // A listener with a port of its own goes first, at any address.
            let wanted = SocketAddr::new(wanted.ip(), 80);
            let outgoing = client.tcp_connect(wanted).await.unwrap();
            let (incoming, _) = own.accept().await.unwrap();
            assert_eq!(incoming.local_addr().unwrap(), wanted);
            say(outgoing, incoming).await;
        }
    });
}

#[test]
fn a_datagram_says_whom_it_was_for_and_is_answered_from_there() {
    run(async |gateway, client| {
        let any = gateway.udp_bind_any().await.unwrap();
        assert_eq!(gateway.udp_bind_any().await.unwrap_err().kind(), ErrorKind::AddrInUse);
        for wanted in ANYBODY.map(address) {
            let bound = SocketAddr::new(if wanted.is_ipv4() { "0.0.0.0" } else { "::" }.parse().unwrap(), 0);
            let socket = client.udp_bind(bound).await.unwrap();
            socket.send_to(b"question", wanted).await.unwrap();
            let mut buffer = [0; 20];
            let (len, from, to) = any.recv_from(&mut buffer).await.unwrap();
            assert_eq!((&buffer[..len], to), (&b"question"[..], wanted));
            any.send_from(b"answer", to, from).await.unwrap();
            let (len, answerer) = socket.recv_from(&mut buffer).await.unwrap();
            assert_eq!((&buffer[..len], answerer), (&b"answer"[..], wanted));
            assert_eq!(any.try_recv_from(&mut buffer).unwrap_err().kind(), ErrorKind::WouldBlock);
        }
        let (four, six) = (address(ANYBODY[0]), address(ANYBODY[1]));
        assert_eq!(any.try_send_from(b"", four, six).unwrap_err().kind(), ErrorKind::InvalidInput);
        let group = address("239.1.1.1:5");
        assert_eq!(any.try_send_from(b"", group, four).unwrap_err().kind(), ErrorKind::AddrNotAvailable);
    });
}

/// More than tokio lets a task do in a turn.
const MANY: usize = 200;

async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::task::yield_now().await;
    }
}

#[test]
fn who_always_finds_a_datagram_for_anybody_lets_others_run() {
    run(async |gateway, client| {
        let any = gateway.udp_bind_any().await.unwrap();
        let wanted = address(ANYBODY[0]);
        let socket = client.udp_bind(address("10.0.0.2:0")).await.unwrap();
        // Until the neighbour is known only a few can wait.
        socket.send_to(b"x", wanted).await.unwrap();
        any.recv_from(&mut [0; 8]).await.unwrap();
        for _ in 0..MANY {
            socket.send_to(b"x", wanted).await.unwrap();
        }
        let received = || gateway.inspect(|stack| stack.udp().counters().received.get()).iter().sum::<u64>();
        until(|| received() == 1 + MANY as u64).await;
        let other = tokio::spawn(async {});
        for _ in 0..MANY {
            any.recv_from(&mut [0; 8]).await.unwrap();
        }
        assert!(other.is_finished());
        let other = tokio::spawn(async {});
        for _ in 0..MANY {
            any.send_from(b"x", wanted, socket.local_addr().unwrap()).await.unwrap();
        }
        assert!(other.is_finished());
    });
}

#[test]
fn who_always_finds_a_client_to_decide_about_lets_others_run() {
    run(async |gateway, client| {
        let incoming = gateway.tcp_incoming_any().await.unwrap();
        let clients: Vec<_> = (0..MANY)
            .map(|_| {
                let client = client.clone();
                tokio::spawn(async move { client.tcp_connect(address(ANYBODY[0])).await.unwrap_err().kind() })
            })
            .collect();
        let undecided = || gateway.usage().iter().map(|usage| usage.tcp.half_open).sum::<usize>();
        until(|| undecided() == MANY).await;
        let other = tokio::spawn(async {});
        for _ in 0..MANY {
            incoming.next().await.unwrap().refuse();
        }
        assert!(other.is_finished());
        for client in clients {
            assert_eq!(client.await.unwrap(), ErrorKind::ConnectionRefused);
        }
    });
}

#[test]
fn anybody_is_heard_and_answered_by_whichever_shard_owns_him() {
    /// Enough for every shard to have some.
    const COUNT: u16 = 30;
    run(async |gateway, client| {
        let listener = gateway.tcp_listen_any().await.unwrap();
        let any = gateway.udp_bind_any().await.unwrap();
        let mut ends = Vec::new();
        for number in 0..COUNT {
            for wanted in ANYBODY.map(address) {
                let wanted = SocketAddr::new(wanted.ip(), 5000 + number);
                let outgoing = client.tcp_connect(wanted).await.unwrap();
                let (incoming, _) = listener.accept().await.unwrap();
                assert_eq!(incoming.local_addr().unwrap(), wanted);
                ends.push((outgoing, incoming));
                let from = SocketAddr::new(
                    if wanted.is_ipv4() { "10.0.0.2" } else { "fd00::2" }.parse().unwrap(),
                    0,
                );
                let socket = client.udp_bind(from).await.unwrap();
                let mut buffer = [0; 4000];
                // Three kilobytes go in fragments, which one shard puts together for whoever owns them.
                for len in [10, 3000] {
                    socket.send_to(&vec![1; len], wanted).await.unwrap();
                    let (count, from, to) = any.recv_from(&mut buffer).await.unwrap();
                    assert_eq!((count, from, to), (len, socket.local_addr().unwrap(), wanted));
                    any.send_from(&buffer[..count], to, from).await.unwrap();
                    assert_eq!(socket.recv_from(&mut buffer).await.unwrap(), (len, wanted));
                }
            }
        }
        assert!(gateway.usage().iter().all(|usage| usage.tcp.active > 0), "{:?}", gateway.usage());
        for (outgoing, incoming) in ends {
            say(outgoing, incoming).await;
        }
    });
}

#[test]
fn a_client_is_answered_when_that_is_decided() {
    run(async |gateway, client| {
        let incoming = gateway.tcp_incoming_any().await.unwrap();
        for wanted in ANYBODY.map(address) {
            let connecting = client.tcp_connect(wanted);
            let deciding = async {
                let pending = incoming.next().await.unwrap();
                assert_eq!(pending.local_addr(), wanted);
                let has_connection =
                    gateway.inspect(|stack| stack.tcp().connections().any(|(_, info)| info.local == wanted));
                assert!(!has_connection.contains(&true));
                let is_connecting = |info: TcpInfo| info.remote == wanted && info.state == TcpState::SynSent;
                let waits = || {
                    let of_shard = client
                        .inspect(|stack| stack.tcp().connections().any(|(_, info)| is_connecting(info)));
                    of_shard.contains(&true)
                };
                // A SYN-ACK would have come by then.
                for _ in 0..100 {
                    assert!(waits(), "nothing is answered before the decision");
                    tokio::task::yield_now().await;
                }
                let peer = pending.peer_addr();
                let stream = pending.accept().await.unwrap();
                assert_eq!((stream.peer_addr().unwrap(), stream.local_addr().unwrap()), (peer, wanted));
                assert!(!waits());
                stream
            };
            let (outgoing, stream) = tokio::join!(connecting, deciding);
            say(stream, outgoing.unwrap()).await;
            // The next one finds nothing of this one.
            until(|| gateway.usage().iter().all(|usage| usage.tcp.active == 0)).await;
        }
    });
}

#[test]
fn a_client_that_is_refused_or_dropped_sees_a_closed_port() {
    run(async |gateway, client| {
        let incoming = gateway.tcp_incoming(address("10.0.0.1:80")).await.unwrap();
        for is_dropped in [false, true] {
            let connecting = client.tcp_connect(address("10.0.0.1:80"));
            let (outgoing, ()) = tokio::join!(connecting, async {
                let pending = incoming.next().await.unwrap();
                if is_dropped { drop(pending) } else { pending.refuse() }
            });
            assert_eq!(outgoing.unwrap_err().kind(), ErrorKind::ConnectionRefused);
        }
    });
}

#[test]
fn an_ignored_client_asks_again() {
    run(async |gateway, client| {
        let incoming = gateway.tcp_incoming_any().await.unwrap();
        let (outgoing, stream) = tokio::join!(client.tcp_connect(address(ANYBODY[0])), async {
            incoming.next().await.unwrap().ignore();
            let again = incoming.next().await.unwrap();
            again.accept().await.unwrap()
        });
        say(outgoing.unwrap(), stream).await;
    });
}

#[test]
fn a_decision_that_is_broken_off_resets_the_client() {
    run(async |gateway, client| {
        let incoming = gateway.tcp_incoming_any().await.unwrap();
        let (outgoing, ()) = tokio::join!(client.tcp_connect(address(ANYBODY[0])), async {
            let pending = incoming.next().await.unwrap();
            let mut accepting = Box::pin(pending.accept());
            // One poll sends the SYN-ACK.
            let polled =
                std::future::poll_fn(|cx| std::task::Poll::Ready(accepting.as_mut().poll(cx).is_pending()));
            assert!(polled.await);
        });
        // The client took the SYN-ACK for a connection, and learns better.
        let mut outgoing = outgoing.unwrap();
        assert_eq!(outgoing.read(&mut [0]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_decision_that_comes_too_late_finds_nothing() {
    run(async |gateway, client| {
        let incoming = gateway.tcp_incoming_any().await.unwrap();
        let connecting = client.tcp_connect(address(ANYBODY[0]));
        let too_late = async {
            let pending = incoming.next().await.unwrap();
            let expired = || gateway.inspect(|stack| stack.tcp().counters().decisions_expired.get());
            until(|| expired().iter().sum::<u64>() > 0).await;
            pending.accept().await.unwrap_err()
        };
        tokio::select! {
            _ = connecting => panic!("nobody has answered"),
            error = too_late => assert_eq!(error.kind(), ErrorKind::TimedOut),
        }
    });
}

#[test]
fn a_socket_may_be_bound_to_anybodys_address_where_anybodys_is_taken() {
    run(async |gateway, client| {
        let foreign = address("203.0.113.7:0");
        assert_eq!(client.udp_bind(foreign).await.unwrap_err().kind(), ErrorKind::AddrNotAvailable);
        let listener = client.tcp_listen(address("10.0.0.2:80")).await.unwrap();
        let socket = gateway.tcp_socket_v4();
        socket.bind(foreign).unwrap();
        let outgoing = socket.connect(address("10.0.0.2:80")).await.unwrap();
        let (incoming, from) = listener.accept().await.unwrap();
        assert_eq!(from.ip(), foreign.ip());
        say(outgoing, incoming).await;
    });
}

#[test]
fn one_family_s_listener_leaves_the_other_s_port_alone() {
    run(async |gateway, client| {
        let four = gateway.tcp_listen(address("0.0.0.0:80")).await.unwrap();
        let outgoing = client.tcp_connect(address("10.0.0.1:80")).await.unwrap();
        say(four.accept().await.unwrap().0, outgoing).await;
        let refused = client.tcp_connect(address("[fd00::1]:80")).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn bytes_are_taken_and_given_as_they_are() {
    run(async |gateway, client| {
        let listener = gateway.tcp_listen(address("10.0.0.1:80")).await.unwrap();
        let outgoing = client.tcp_connect(address("10.0.0.1:80")).await.unwrap();
        let (incoming, _) = listener.accept().await.unwrap();
        let text: Vec<u8> = (0..300_000u32).map(|at| (at % 251).to_le_bytes()[0]).collect();
        let mut bytes = bytes::Bytes::from(text.clone());
        let sending = async {
            outgoing.send_bytes(&mut bytes).await.unwrap();
            assert!(bytes.is_empty());
            drop(outgoing);
        };
        let receiving = async {
            let mut all = Vec::new();
            assert!(incoming.recv_bytes(0).await.unwrap().is_empty());
            loop {
                let piece = incoming.recv_bytes(10_000).await.unwrap();
                assert!(piece.len() <= 10_000);
                if piece.is_empty() {
                    return all;
                }
                all.extend_from_slice(&piece);
            }
        };
        let ((), all) = tokio::join!(sending, receiving);
        assert!(all == text);
    });
}
