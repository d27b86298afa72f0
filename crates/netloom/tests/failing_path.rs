//! What becomes of a connection when the way to its peer fails, and what its user hears of it.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use netloom::stack::Medium;
use netloom::stack::transport::{TcpConfig, TcpError};
use netloom::{Net, StackConfig, TcpStream, Tunnel};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

#[path = "sockets/leaks.rs"]
mod leaks;

/// No test takes longer.
const LIMIT: Duration = Duration::from_secs(30);

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
async fn carry(client: Tunnel, server: Tunnel, mut fate: impl FnMut(&[u8]) -> Fate) {
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
    async fn new(fate: impl FnMut(&[u8]) -> Fate + Send + 'static) -> Self {
        // One timeout is enough to suspect the path.
        let tcp = TcpConfig { retries1: 1, ..TcpConfig::default() };
        let host = |address: &str| {
            let (device, tunnel) = Tunnel::pair(Medium::Ip, 1400).unwrap();
            let stack = StackConfig { tcp: tcp.clone(), ..StackConfig::default() };
            let builder = Net::builder().config(stack).spin(Duration::ZERO);
            (builder.interface(device, address).start().unwrap(), tunnel)
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

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { timeout(LIMIT, test).await.expect("it ends in time") });
}

#[test]
fn who_waits_hears_that_a_router_cannot_reach_the_peer_and_the_connection_goes_on() {
    // [9293 MUST-47] [9293-u11]
    run(async {
        let mut is_first = true;
        let mut line = Line::new(move |packet| {
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
    run(async {
        let is_cut = Arc::new(AtomicBool::new(true));
        let mut line = Line::new({
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
