//! Clients of the kernel's that dial addresses which are nobody's: sockets for any address and port, and SYNs that wait
//! for a decision.

use std::io::ErrorKind;
use std::net::SocketAddr;

use netloom::Net;
use netloom::stack::{InterfaceId, Stack};

use crate::lab::{self, exchange};

/// Somebody in each family who is not there.
const ANYBODY: [&str; 2] = ["203.0.113.7:4321", "[2001:db8::7]:4321"];

/// Has netloom take what is for anybody, and the kernel send it there.
fn become_a_gateway(net: &Net) -> [SocketAddr; 2] {
    net.inspect(|stack| stack.set_accept_any(InterfaceId::new(0), true));
    lab::ip("route add 203.0.113.0/24 via 10.0.0.2");
    lab::ip("-6 route add 2001:db8::/32 via fd00::2");
    ANYBODY.map(|text| text.parse().expect("an address"))
}

#[test]
fn the_kernel_reaches_anybody() {
    lab::run(async |net| {
        let listener = net.tcp_listen_any().await.expect("a listener");
        for wanted in become_a_gateway(&net) {
            let (theirs, ours) = lab::connect_kernel_to(wanted, &listener).await;
            assert_eq!(ours.local_addr().expect("an address"), wanted);
            assert_eq!(theirs.peer_addr().expect("an address"), wanted);
            exchange(theirs, ours, 300_000).await;
        }
    });
}

#[test]
fn the_kernel_s_datagrams_are_answered_by_whom_they_were_for() {
    lab::run(async |net| {
        let any = net.udp_bind_any().await.expect("a socket");
        for wanted in become_a_gateway(&net) {
            let bound = if wanted.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            let theirs = tokio::net::UdpSocket::bind(bound).await.expect("a socket");
            // Connected: the kernel takes an answer from nobody else.
            theirs.connect(wanted).await.expect("connected");
            for len in [0, 100, 1472, 9000] {
                let bytes = lab::pattern(len, 3);
                theirs.send(&bytes).await.expect("sent");
                let mut buffer = vec![0; 65_535];
                let (len, from, to) = any.recv_from(&mut buffer).await.expect("received");
                assert_eq!(to, wanted);
                any.send_from(&buffer[..len], to, from).await.expect("sent");
                let len = theirs.recv(&mut buffer).await.expect("received");
                assert!(buffer[..len] == bytes);
            }
        }
    });
}

#[test]
fn the_kernel_connects_when_it_is_decided() {
    lab::run(async |net| {
        let incoming = net.tcp_incoming_any().await.expect("a listener");
        for wanted in become_a_gateway(&net) {
            let (theirs, ours) = tokio::join!(tokio::net::TcpStream::connect(wanted), async {
                let pending = incoming.next().await.expect("a SYN");
                assert_eq!(pending.local_addr(), wanted);
                pending.accept().await.expect("established")
            });
            exchange(theirs.expect("connected"), ours, 100_000).await;

            let (theirs, ()) = tokio::join!(tokio::net::TcpStream::connect(wanted), async {
                incoming.next().await.expect("a SYN").refuse();
            });
            assert_eq!(theirs.expect_err("refused").kind(), ErrorKind::ConnectionRefused);

            // The kernel's SYN comes again after a second; while it is pending it is no second one.
            let (theirs, ours) = tokio::join!(tokio::net::TcpStream::connect(wanted), async {
                incoming.next().await.expect("a SYN").ignore();
                let pending = incoming.next().await.expect("a SYN");
                let syns = || {
                    net.inspect(|stack| stack.tcp().counters().segments_received.get())
                        .into_iter()
                        .sum::<u64>()
                };
                let before = syns();
                while syns() == before {
                    tokio::task::yield_now().await;
                }
                let pending_of =
                    |stack: &mut Stack| stack.tcp().listeners().map(|it| it.pending).sum::<usize>();
                assert_eq!(net.inspect(pending_of).into_iter().sum::<usize>(), 1);
                pending.accept().await.expect("established")
            });
            exchange(theirs.expect("connected"), ours, 1000).await;
        }
    });
}

#[test]
fn the_kernel_pings_anybody() {
    lab::run(async |net| {
        for wanted in become_a_gateway(&net) {
            let host = wanted.ip().to_string();
            let ping = std::thread::spawn(move || {
                std::process::Command::new("ping").args(["-c", "2", "-i", "0.01", "-w", "10", &host]).output()
            });
            while !ping.is_finished() {
                tokio::task::yield_now().await;
            }
            let output = ping.join().expect("it ran").expect("ping is installed");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        }
    });
}
