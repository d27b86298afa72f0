//! What becomes of a connection when the way to its peer fails, and what its user hears of it.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use netloom::stack::transport::{TcpConfig, TcpError};
use netloom::{Net, StackConfig, TcpKeepalive, TcpStream, Usage};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

#[path = "sockets/leaks.rs"]
mod leaks;
#[path = "sockets/trunk.rs"]
mod trunk;

use trunk::Trunk;

/// No test takes longer.
const LIMIT: Duration = Duration::from_secs(30);
/// Where TCP's flags are, behind an IP header without options.
const TCP_FLAGS: usize = 20 + 13;
const RST: u8 = 4;

/// What the path does with a packet of the client's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Passes,
    Vanishes,
    /// A router says that its host cannot be reached.
    Unreachable,
}

/// Whether a packet carries text.
fn has_text(packet: &[u8]) -> bool {
    packet.len() > 20 + usize::from(packet[20 + 12] >> 4) * 4
}

/// The Internet's checksum (RFC 1071), of whole words.
fn checksum(bytes: &[u8]) -> [u8; 2] {
    let sum = bytes.chunks(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]]))).sum::<u32>();
    let folded = (sum & 0xffff) + (sum >> 16);
    let [.., high, low] = (!((folded & 0xffff) + (folded >> 16))).to_be_bytes();
    [high, low]
}

/// The ICMP error "host unreachable" about `packet`, from a router at 10.0.0.9.
fn host_unreachable(packet: &[u8]) -> Vec<u8> {
    let mut icmp = [&[3, 1, 0, 0, 0, 0, 0, 0], &packet[..28]].concat();
    let sum = checksum(&icmp);
    icmp[2..4].copy_from_slice(&sum);
    let mut ip = vec![0x45, 0, 0, 20 + 36, 0, 0, 0, 0, 64, 1, 0, 0, 10, 0, 0, 9];
    ip.extend_from_slice(&packet[12..16]);
    let sum = checksum(&ip);
    ip[10..12].copy_from_slice(&sum);
    [ip, icmp].concat()
}

/// Two hosts and their connection.
struct Line {
    incoming: TcpStream,
    outgoing: TcpStream,
    hosts: [Net; 2],
}

/// Carries what comes from the client as `fate` says, and all that goes to it. Either may have ended when something is for it.
async fn carry(client: Trunk, server: Trunk, mut fate: impl FnMut(&[u8]) -> Fate) {
    let (mut there, mut back) = ([0; 1500], [0; 1500]);
    loop {
        tokio::select! {
            Ok(len) = client.recv(&mut there) => match fate(&there[..len]) {
                Fate::Passes => drop(server.send(&there[..len]).await),
                Fate::Vanishes => {}
                Fate::Unreachable => drop(client.send(&host_unreachable(&there[..len])).await),
            },
            Ok(len) = server.recv(&mut back) => drop(client.send(&back[..len]).await),
            else => return,
        }
    }
}

impl Line {
    async fn new(shard_count: usize, fate: impl FnMut(&[u8]) -> Fate + Send + 'static) -> Self {
        // One timeout is enough to suspect the path.
        let tcp = TcpConfig { retries1: 1, ..TcpConfig::default() };
        let host = |address: &str| {
            let (queues, trunk) = Trunk::pair(1400, shard_count);
            let stack = StackConfig { tcp: tcp.clone(), ..StackConfig::default() };
            let builder = Net::builder().config(stack).spin(Duration::ZERO);
            (builder.interface_queues(queues, address).start().unwrap(), trunk)
        };
        let ((server, one), (client, other)) = (host("10.0.0.1/24"), host("10.0.0.2/24"));
        tokio::spawn(carry(other, one, fate));
        let listener = server.tcp_listen("10.0.0.1:80").await.unwrap();
        let outgoing = client.tcp_connect("10.0.0.1:80").await.unwrap();
        let (incoming, _) = listener.accept().await.unwrap();
        Self { incoming, outgoing, hosts: [server, client] }
    }

    /// Drops both ends, and nothing is left of them.
    async fn end(self) {
        let Self { incoming, outgoing, hosts } = self;
        drop((incoming, outgoing));
        leaks::end(hosts).await;
    }
}

/// Runs the test with hosts of one shard and of two.
fn run(test: impl AsyncFn(usize)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for shard_count in [1, 2] {
        let test = async { timeout(LIMIT, test(shard_count)).await };
        runtime.block_on(test).unwrap_or_else(|_| panic!("of {shard_count} shards it does not end in time"));
    }
}

#[test]
fn a_silent_peer_is_given_up_after_as_many_probes_as_were_asked_for() {
    // [9293 MUST-27]
    run(async |shard_count| {
        let (is_cut, probes) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let mut line = Line::new(shard_count, {
            let (is_cut, probes) = (Arc::clone(&is_cut), Arc::clone(&probes));
            move |packet| {
                if !is_cut.load(Ordering::Relaxed) {
                    return Fate::Passes;
                }
                probes.fetch_add(usize::from(packet[TCP_FLAGS] & RST == 0), Ordering::Relaxed);
                Fate::Vanishes
            }
        })
        .await;
        is_cut.store(true, Ordering::Relaxed);
        let keepalive = TcpKeepalive::new()
            .with_time(Duration::from_millis(100))
            .with_interval(Duration::from_millis(50))
            .with_retries(3);
        let started = Instant::now();
        line.outgoing.set_tcp_keepalive(&keepalive).unwrap();
        assert_eq!(line.outgoing.tcp_keepalive().unwrap(), Some(keepalive));
        let error = line.outgoing.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(started.elapsed() >= Duration::from_millis(100 + 3 * 50), "{:?}", started.elapsed());
        assert_eq!(probes.load(Ordering::Relaxed), 3);
        // The other end has not been told to probe, and knows nothing.
        assert!(line.incoming.info().unwrap().error.is_none());
    });
}

#[test]
fn connections_inherit_what_their_sockets_were_told_about_probes() {
    // [9293 MUST-27]
    run(async |_| {
        let (server, client) = Net::pair("10.0.0.1/24", "10.0.0.2/24").unwrap();
        let address = "10.0.0.1:80".parse().unwrap();
        let told = TcpKeepalive::new().with_time(Duration::from_secs(7)).with_retries(5);
        let socket = server.tcp_socket_v4();
        socket.bind(address).unwrap();
        socket.set_tcp_keepalive(&told).unwrap();
        // Neither of them says anything new.
        socket.set_keepalive(true).unwrap();
        socket.set_tcp_keepalive(&TcpKeepalive::new()).unwrap();
        let all = socket.tcp_keepalive().unwrap().unwrap();
        assert_eq!(all, told.with_interval(Duration::from_secs(75)));
        let listener = socket.listen(8).unwrap();
        let outgoing = client.tcp_connect(address).await.unwrap();
        let (incoming, _) = listener.accept().await.unwrap();
        assert_eq!(incoming.tcp_keepalive().unwrap(), Some(all));
        assert_eq!(outgoing.tcp_keepalive().unwrap(), None);
        incoming.set_keepalive(false).unwrap();
        assert!(!incoming.keepalive().unwrap());
        let error = incoming.set_tcp_keepalive(&TcpKeepalive::new().with_time(Duration::ZERO)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(!incoming.keepalive().unwrap());
    });
}

#[test]
fn who_waits_hears_that_a_router_cannot_reach_the_peer_and_the_connection_goes_on() {
    // [9293 MUST-47] [9293-u11]
    run(async |shard_count| {
        let mut is_first = true;
        let mut line = Line::new(shard_count, move |packet| {
            if has_text(packet) && std::mem::take(&mut is_first) { Fate::Unreachable } else { Fate::Passes }
        })
        .await;
        let Line { incoming, outgoing, hosts: _ } = &mut line;
        outgoing.write_all(b"hello").await.unwrap();
        let report = outgoing.reported().await.unwrap();
        assert_eq!((report.soft_error, report.urgent_remaining), (Some(TcpError::HostUnreachable), None));
        let mut text = [0; 5];
        incoming.read_exact(&mut text).await.unwrap();
        assert_eq!(&text, b"hello");
        incoming.write_all(b"still").await.unwrap();
        outgoing.read_exact(&mut text).await.unwrap();
        assert_eq!(&text, b"still");
        line.end().await;
    });
}

#[test]
fn a_path_on_which_nothing_gets_through_is_reported_once() {
    // [9293 MUST-20, MUST-47]
    run(async |shard_count| {
        let is_cut = Arc::new(AtomicBool::new(true));
        let mut line = Line::new(shard_count, {
            let is_cut = Arc::clone(&is_cut);
            move |packet| {
                let is_lost = has_text(packet) && is_cut.load(Ordering::Relaxed);
                if is_lost { Fate::Vanishes } else { Fate::Passes }
            }
        })
        .await;
        line.outgoing.write_all(b"x").await.unwrap();
        let report = line.outgoing.reported().await.unwrap();
        assert_eq!((report.backoff, report.soft_error), (1, None));
        is_cut.store(false, Ordering::Relaxed);
        // It gets through by the next timeout, which is no news.
        tokio::select! {
            byte = line.incoming.read_u8() => assert_eq!(byte.unwrap(), b'x'),
            again = line.outgoing.reported() => panic!("{again:?}"),
        }
        line.end().await;
    });
}

#[test]
fn a_report_waits_for_whoever_asks_and_the_end_is_told_to_all_who_wait() {
    // [9293 MUST-32, MUST-47]
    run(async |shard_count| {
        let mut line = Line::new(shard_count, |_| Fate::Passes).await;
        let Line { incoming, outgoing, hosts } = &mut line;
        // Nobody waits, and the reader goes beyond it.
        outgoing.send_urgent(b"now").await.unwrap();
        incoming.read_exact(&mut [0; 3]).await.unwrap();
        assert_eq!(incoming.urgent_remaining().unwrap(), None);
        assert!(!hosts[0].usage().iter().all(Usage::is_clear));
        assert_eq!(incoming.reported().await.unwrap().urgent_remaining, Some(3));
        // It was told once; who gives up waiting leaves nothing.
        let waits = || hosts[0].usage().iter().map(|usage| usage.waits).sum::<usize>();
        let waits_before = waits();
        tokio::select! {
            biased;
            again = incoming.reported() => panic!("{again:?}"),
            () = std::future::ready(()) => {}
        }
        assert_eq!(waits(), waits_before);

        outgoing.set_zero_linger().unwrap();
        let incoming = &line.incoming;
        let (one, other, ()) = tokio::join!(incoming.reported(), incoming.reported(), async {
            drop(line.outgoing);
        });
        for ended in [one, other] {
            assert_eq!(ended.unwrap_err().kind(), ErrorKind::ConnectionReset);
        }
        // It is a reader's to be told, still.
        assert_eq!(line.incoming.read_u8().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(line.incoming.reported().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        drop(line.incoming);
        leaks::end(line.hosts).await;
    });
}
