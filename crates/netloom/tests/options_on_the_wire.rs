//! What sockets make of the packets that leave: two stacks, of one shard and of two, and a middle that reads along.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use netloom::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};
use netloom::{AddressDetection, InterfaceConfig, Net};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

#[path = "sockets/trunk.rs"]
mod trunk;

use trunk::Trunk;

/// No test takes longer.
const LIMIT: Duration = Duration::from_secs(30);
/// Offset of the data offset in a TCP header.
const TCP_OFFSET: usize = 12;
/// Offset of the flags in a TCP header.
const TCP_FLAGS: usize = 13;
/// Beyond the IP headers, which have no options here.
const IPV4_LEN: usize = 20;
const IPV6_LEN: usize = 40;

/// What was asked for of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    from_server: bool,
    traffic_class: u8,
    hop_limit: u8,
    /// TCP's flags, or 0.
    flags: u8,
    /// Bytes of text behind a TCP header.
    text_len: usize,
}

impl Seen {
    /// `None` for what is neither TCP nor UDP.
    fn read(packet: &[u8], from_server: bool) -> Option<Self> {
        let is_v6 = packet[0] >> 4 == 6;
        let (protocol, hop_limit, traffic_class, len) = if is_v6 {
            (packet[6], packet[7], packet[0] << 4 | packet[1] >> 4, IPV6_LEN)
        } else {
            (packet[9], packet[8], packet[1], IPV4_LEN)
        };
        let (flags, text_len) = match protocol {
            6 => {
                let header_len = usize::from(packet[len + TCP_OFFSET] >> 4) * 4;
                (packet[len + TCP_FLAGS], packet.len() - len - header_len)
            }
            17 => (0, 0),
            _ => return None,
        };
        Some(Self { from_server, traffic_class, hop_limit, flags, text_len })
    }
}

/// Two stacks; what crosses between them can be read.
struct Watched {
    server: Net,
    client: Net,
    seen: UnboundedReceiver<Seen>,
}

/// Carries packets one way and notes each, until a stack ends.
async fn carry(from: &Trunk, to: &Trunk, from_server: bool, seen: &UnboundedSender<Seen>) {
    let mut buffer = [0; 1500];
    while let Ok(len) = from.recv(&mut buffer).await {
        if let Some(packet) = Seen::read(&buffer[..len], from_server)
            && seen.send(packet).is_err()
        {
            return;
        }
        if to.send(&buffer[..len]).await.is_err() {
            return;
        }
    }
}

impl Watched {
    fn start(shard_count: usize) -> Self {
        let host = |number: u8| {
            let (queues, trunk) = Trunk::pair(1400, shard_count);
            let addresses = vec![
                format!("10.0.0.{number}/24").parse().unwrap(),
                format!("fd00::{number}/64").parse().unwrap(),
            ];
            let config =
                InterfaceConfig { addresses, detection: AddressDetection::Off, ..InterfaceConfig::default() };
            (Net::builder().interface_queues(queues, config).spin(Duration::ZERO).start().unwrap(), trunk)
        };
        let ((server, one), (client, other)) = (host(1), host(2));
        let (notes, seen) = unbounded_channel();
        tokio::spawn(async move {
            tokio::join!(carry(&one, &other, true, &notes), carry(&other, &one, false, &notes));
        });
        Self { server, client, seen }
    }

    /// The next packet for which `is_it` says so.
    async fn next(&mut self, is_it: impl Fn(&Seen) -> bool) -> Seen {
        loop {
            let seen = self.seen.recv().await.unwrap();
            if is_it(&seen) {
                return seen;
            }
        }
    }
}

fn run<F: Future<Output = ()>>(test: impl Fn(Watched) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for shard_count in [1, 2] {
        let test = async { timeout(LIMIT, test(Watched::start(shard_count))).await };
        runtime.block_on(test).unwrap_or_else(|_| panic!("of {shard_count} shards it does not end in time"));
    }
}

const FIN: u8 = 1;
const SYN: u8 = 2;
const PSH: u8 = 8;
const ACK: u8 = 16;

#[test]
fn datagrams_have_the_traffic_class_and_ttl_of_their_socket() {
    run(|mut watched| async move {
        for (here, there) in [("10.0.0.2:0", "10.0.0.1:9"), ("[fd00::2]:0", "[fd00::1]:9")] {
            let socket = watched.client.scope(UdpSocket::bind(here)).await.unwrap();
            for (traffic_class, hop_limit) in [(0, 64), (0xbb, 9)] {
                socket.set_tos_v4(traffic_class).unwrap();
                socket.set_ttl(hop_limit).unwrap();
                socket.send_to(b"x", there).await.unwrap();
                let seen = watched.next(|seen| !seen.from_server).await;
                assert_eq!(
                    (u32::from(seen.traffic_class), u32::from(seen.hop_limit)),
                    (traffic_class, hop_limit)
                );
            }
        }
    });
}

#[test]
fn what_is_sent_to_many_is_heard_here_too_unless_that_was_forbidden() {
    run(|mut watched| async move {
        let bind = |net: &Net, address: &'static str| {
            let net = net.clone();
            async move { net.scope(UdpSocket::bind(address)).await.unwrap() }
        };
        let groups: [(SocketAddr, &str); 2] = [
            ("239.1.2.3:9".parse().unwrap(), "10.0.0.1:0"),
            ("[ff05::77]:9".parse().unwrap(), "[fd00::1]:0"),
        ];
        let here = bind(&watched.server, "[::]:9").await;
        let there = bind(&watched.client, "[::]:9").await;
        for member in [&here, &there] {
            member.join_multicast_v4("239.1.2.3".parse().unwrap(), "0.0.0.0".parse().unwrap()).unwrap();
            member.join_multicast_v6(&"ff05::77".parse().unwrap(), 1).unwrap();
        }
        let stranger = bind(&watched.server, "0.0.0.0:10").await;
        let mut buffer = [0; 16];
        for (group, source) in groups {
            let sender = bind(&watched.server, source).await;
            let from = sender.local_addr().unwrap();
            sender.set_multicast_ttl_v4(3).unwrap();
            sender.send_to(b"both", group).await.unwrap();
            assert_eq!(here.recv_from(&mut buffer).await.unwrap(), (4, from));
            assert_eq!(there.recv_from(&mut buffer).await.unwrap(), (4, from));
            assert_eq!(watched.next(|seen| seen.from_server && seen.flags == 0).await.hop_limit, 3);
            sender.set_multicast_loop_v4(false).unwrap();
            sender.send_to(b"others", group).await.unwrap();
            sender.set_multicast_loop_v4(true).unwrap();
            // It leaves the host no more.
            sender.set_multicast_ttl_v4(0).unwrap();
            sender.send_to(b"own", group).await.unwrap();
            sender.set_multicast_ttl_v4(1).unwrap();
            sender.send_to(b"both", group).await.unwrap();
            for expected in [3, 4] {
                assert_eq!(here.recv_from(&mut buffer).await.unwrap(), (expected, from));
            }
            for expected in [6, 4] {
                assert_eq!(there.recv_from(&mut buffer).await.unwrap(), (expected, from));
            }
        }
        // Who is in no group hears none of them, but every broadcast.
        stranger.set_broadcast(true).unwrap();
        for broadcast in ["10.0.0.255:10", "255.255.255.255:10"] {
            stranger.send_to(b"broadcast", broadcast).await.unwrap();
            assert_eq!(stranger.recv_from(&mut buffer).await.unwrap().0, 9);
        }
        assert!(stranger.try_recv(&mut buffer).is_err());
    });
}

#[test]
fn segments_have_the_traffic_class_of_their_socket_from_the_syn_on() {
    for (address, traffic_class) in [("10.0.0.1:80", 0xb8), ("[fd00::1]:80", 0x28)] {
        run(|mut watched| async move {
            let address: SocketAddr = address.parse().unwrap();
            let listener = watched.server.tcp_listen(address).await.unwrap();
            let client = &watched.client;
            let socket = if address.is_ipv4() { client.tcp_socket_v4() } else { client.tcp_socket_v6() };
            socket.set_tos_v4(traffic_class).unwrap();
            let mut outgoing = socket.connect(address).await.unwrap();
            let (mut incoming, _) = listener.accept().await.unwrap();
            outgoing.write_all(b"x").await.unwrap();
            incoming.read_u8().await.unwrap();
            let syn = watched.next(|seen| seen.flags & SYN != 0 && !seen.from_server).await;
            let data = watched.next(|seen| seen.flags & SYN == 0 && !seen.from_server).await;
            for seen in [syn, data] {
                assert_eq!(u32::from(seen.traffic_class & !0b11), traffic_class, "{seen:?}");
            }
        });
    }
}

#[test]
fn a_listener_s_traffic_class_and_ttl_are_its_answers_and_its_connections() {
    run(|mut watched| async move {
        let listener: TcpListener = watched
            .server
            .scope(async {
                let socket = TcpSocket::new_v4().unwrap();
                socket.set_tos_v4(0x48).unwrap();
                socket.bind("10.0.0.1:80".parse().unwrap()).unwrap();
                socket.listen(8).unwrap()
            })
            .await;
        listener.set_ttl(7).unwrap();
        let mut outgoing = watched.client.tcp_connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut incoming, _) = listener.accept().await.unwrap();
        incoming.write_all(b"x").await.unwrap();
        outgoing.read_u8().await.unwrap();
        let answer = watched.next(|seen| seen.from_server && seen.flags & (SYN | ACK) == SYN | ACK).await;
        let data = watched.next(|seen| seen.from_server && seen.flags & SYN == 0).await;
        for seen in [answer, data] {
            assert_eq!((seen.traffic_class & !0b11, seen.hop_limit), (0x48, 7), "{seen:?}");
        }
    });
}

/// A listener that takes data with SYNs, and a connection to it that sends some as soon as it may.
async fn fast_pair(watched: &Watched, listener: &TcpListener) -> (TcpStream, TcpStream) {
    let address = listener.local_addr().unwrap();
    let client = &watched.client;
    let socket = if address.is_ipv4() { client.tcp_socket_v4() } else { client.tcp_socket_v6() };
    socket.set_fastopen_connect(true).unwrap();
    assert!(socket.fastopen_connect().unwrap());
    let mut outgoing = socket.connect(address).await.unwrap();
    outgoing.write_all(b"hello").await.unwrap();
    let (mut incoming, _) = listener.accept().await.unwrap();
    let mut buffer = [0; 5];
    incoming.read_exact(&mut buffer).await.unwrap();
    assert_eq!(&buffer, b"hello");
    incoming.write_all(b"world").await.unwrap();
    outgoing.read_exact(&mut buffer).await.unwrap();
    assert_eq!(&buffer, b"world");
    (outgoing, incoming)
}

fn fast_listener(net: &Net, address: SocketAddr) -> TcpListener {
    let socket = if address.is_ipv4() { net.tcp_socket_v4() } else { net.tcp_socket_v6() };
    socket.bind(address).unwrap();
    socket.set_fastopen(16).unwrap();
    assert_eq!(socket.fastopen().unwrap(), 16);
    socket.listen(16).unwrap()
}

#[test]
fn the_first_write_to_a_server_that_is_known_goes_with_the_syn() {
    for address in ["10.0.0.1:80", "[fd00::1]:80"] {
        run(|mut watched| async move {
            let listener = fast_listener(&watched.server, address.parse().unwrap());
            for (round, len) in [0, 5, 5].into_iter().enumerate() {
                let (outgoing, incoming) = fast_pair(&watched, &listener).await;
                let syn = watched.next(|seen| seen.flags & SYN != 0 && !seen.from_server).await;
                assert_eq!(syn.text_len, len, "connection {round}");
                for stream in [&outgoing, &incoming] {
                    assert_eq!(stream.info().unwrap().syn_data, len > 0, "connection {round}");
                }
            }
        });
    }
}

#[test]
fn a_stream_that_is_dropped_after_its_first_write_has_said_it() {
    run(|watched| async move {
        let listener = fast_listener(&watched.server, "10.0.0.1:80".parse().unwrap());
        fast_pair(&watched, &listener).await;
        let socket = watched.client.tcp_socket_v4();
        socket.set_fastopen_connect(true).unwrap();
        let mut outgoing = socket.connect("10.0.0.1:80".parse().unwrap()).await.unwrap();
        outgoing.write_all(b"farewell").await.unwrap();
        drop(outgoing);
        let (mut incoming, _) = listener.accept().await.unwrap();
        let mut text = Vec::new();
        incoming.read_to_end(&mut text).await.unwrap();
        assert_eq!(text, b"farewell");
    });
}

#[test]
fn a_server_that_speaks_first_is_heard_although_nothing_is_written() {
    run(|watched| async move {
        let listener = fast_listener(&watched.server, "10.0.0.1:80".parse().unwrap());
        fast_pair(&watched, &listener).await;
        let socket = watched.client.tcp_socket_v4();
        socket.set_fastopen_connect(true).unwrap();
        let mut outgoing = socket.connect("10.0.0.1:80".parse().unwrap()).await.unwrap();
        let greet = async { listener.accept().await.unwrap().0.write_all(b"welcome").await.unwrap() };
        let mut buffer = [0; 7];
        let (read, ()) = tokio::join!(outgoing.read_exact(&mut buffer), greet);
        read.unwrap();
        assert_eq!(&buffer, b"welcome");
    });
}

#[test]
fn a_refusal_is_told_by_the_first_read_where_connecting_did_not_wait() {
    run(|watched| async move {
        let address: SocketAddr = "10.0.0.1:80".parse().unwrap();
        let listener = fast_listener(&watched.server, address);
        fast_pair(&watched, &listener).await;
        drop(listener);
        let socket = watched.client.tcp_socket_v4();
        socket.set_fastopen_connect(true).unwrap();
        let mut outgoing = socket.connect(address).await.unwrap();
        outgoing.write_all(b"hello").await.unwrap();
        let error = outgoing.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    });
}

#[test]
fn the_first_answer_carries_the_acknowledgment_of_what_it_answers() {
    run(|mut watched| async move {
        let listener = watched.server.tcp_listen("10.0.0.1:80").await.unwrap();
        let address = listener.local_addr().unwrap();
        // On the thread of its shard, which acknowledges once it has been heard.
        for (shard, part) in listener.into_shards().into_iter().enumerate() {
            watched.server.spawn_on(shard, async move {
                while let Ok((mut stream, _)) = part.accept().await {
                    tokio::spawn(async move {
                        let byte = stream.read_u8().await?;
                        stream.write_u8(byte).await
                    });
                }
            });
        }
        for _ in 0..10 {
            let mut outgoing = watched.client.tcp_connect(address).await.unwrap();
            outgoing.write_u8(b'x').await.unwrap();
            assert_eq!(outgoing.read_u8().await.unwrap(), b'x');
            let syn_ack = watched.next(|seen| seen.from_server).await;
            let answer = watched.next(|seen| seen.from_server).await;
            assert_eq!((syn_ack.flags, answer.flags), (SYN | ACK, PSH | ACK));
            // Its FIN, and what follows from ours.
            outgoing.shutdown().await.unwrap();
            assert_eq!(outgoing.read(&mut [0]).await.unwrap(), 0);
            watched.next(|seen| seen.from_server && seen.flags & FIN != 0).await;
            watched.next(|seen| seen.from_server && seen.flags & FIN == 0).await;
        }
    });
}
