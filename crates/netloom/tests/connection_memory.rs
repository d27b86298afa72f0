//! What connections cost that do nothing. Idle ones: the stack's state, the tables that lead there, the socket, and who waits to
//! read. Half-open ones: no more than the configured bound allows, however many there are.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::future::poll_fn;
use std::ops::Range;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use allocation_counter::measure;
use netloom::device::MemoryQueue;
use netloom::impair::ImpairSpec;
use netloom::stack::link::AddressDetection;
use netloom::stack::transport::{ListenOptions, SynCookieMode, TcpBind};
use netloom::stack::{
    DeviceCaps, EthernetAddress, HeadBuf, Instant, InterfaceSetup, Medium, Rng, RxChecksum, RxMeta, Stack,
    StackConfig,
};
use netloom::{Cable, Net, TcpListener, TcpStream};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// No test takes longer.
const LIMIT: Duration = Duration::from_secs(120);
/// What a connection may cost.
const BOUND: i64 = 1024;
/// What glibc adds to a block of 24 or 40 bytes, as those are that a connection has beside the tables.
const BLOCK_OVERHEAD: i64 = 8;
/// A power of two: twice as many fill tables that double.
const CONNECTIONS: usize = 1 << 9;
/// Bytes of a text of which some segments are lost.
const LONG_LEN: usize = 30_000;

/// A connection between `client` and `server`, both ends.
async fn open(client: &Net, listener: &mut TcpListener) -> [TcpStream; 2] {
    let address = listener.local_addr().unwrap();
    let (outgoing, incoming) = tokio::join!(client.tcp_connect(address), listener.accept());
    [outgoing.unwrap(), incoming.unwrap().0]
}

/// A request and its answer.
async fn converse([asking, answering]: &mut [TcpStream; 2]) {
    let mut text = [0; 100];
    asking.write_all(&[1; 100]).await.unwrap();
    answering.read_exact(&mut text).await.unwrap();
    answering.write_all(&text).await.unwrap();
    asking.read_exact(&mut text).await.unwrap();
}

/// Lists this task as the one that waits to read.
async fn wait_to_read(stream: &mut TcpStream) {
    let mut byte = [0; 1];
    poll_fn(|cx| {
        let polled = Pin::new(&mut *stream).poll_read(cx, &mut ReadBuf::new(&mut byte));
        assert!(polled.is_pending(), "nothing is there to be read");
        Poll::Ready(())
    })
    .await;
}

/// Waits until each host has as many connections with timers.
async fn settle(hosts: [&Net; 2], timers: usize) {
    while hosts.iter().any(|host| host.usage().iter().any(|usage| usage.tcp.timers != timers)) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Opens so many connections that carry a request and its answer.
async fn open_all(client: &Net, listener: &mut TcpListener, count: usize) -> Vec<[TcpStream; 2]> {
    let mut pairs = Vec::with_capacity(count);
    for _ in 0..count {
        let mut pair = open(client, listener).await;
        converse(&mut pair).await;
        pairs.push(pair);
    }
    pairs
}

/// Text each way, of which some is lost, and some comes twice.
async fn converse_in_trouble(pair: [TcpStream; 2]) -> [TcpStream; 2] {
    let [one, other] = pair.map(|mut stream| async move {
        let mut text = vec![0; LONG_LEN];
        let (mut read, mut write) = stream.split();
        let (sent, received) = tokio::join!(write.write_all(&[1; LONG_LEN]), read.read_exact(&mut text));
        sent.and(received.map(|_| ())).unwrap();
        stream
    });
    let (one, other) = tokio::join!(one, other);
    [one, other]
}

/// Two hosts at the ends of a cable.
fn hosts(addresses: [&str; 2]) -> ([Net; 2], Cable) {
    let (near, far) = MemoryQueue::pair(Medium::Ip, 1500).unwrap();
    let (other_near, other_far) = MemoryQueue::pair(Medium::Ip, 1500).unwrap();
    let cable = Cable::start([Box::new(far), Box::new(other_far)], &ImpairSpec::default()).unwrap();
    let [one, other] = addresses;
    let host = |queue, address| Net::builder().interface(Box::new(queue), address).start().unwrap();
    ([host(near, one), host(other_near, other)], cable)
}

/// What a connection has been through, or is asked for.
#[derive(Clone, Copy, Debug)]
struct Life {
    /// Whether the path had faults for a while.
    has_met_faults: bool,
    /// Whether both ends probe it, after the usual times.
    has_keepalive: bool,
}

/// Bytes that each end of such a connection between hosts with these addresses takes.
fn cost_of_an_end(runtime: &Runtime, addresses: [&str; 2], life: Life) -> i64 {
    let ([server, client], cable) = {
        let _entered = runtime.enter();
        hosts(addresses)
    };
    let faults: ImpairSpec = "loss=10%,dup=5%,seed=7".parse().unwrap();
    let mut pairs = Vec::with_capacity(2 * CONNECTIONS);
    let address = (server.addresses()[0].address(), 80);
    let mut listener = runtime.block_on(server.tcp_listen(address)).unwrap();
    let mut open = |count| {
        let all = async {
            let mut new = open_all(&client, &mut listener, count).await;
            if life.has_met_faults {
                cable.set_faults(&faults);
                new = new.into_iter().map(converse_in_trouble).collect::<JoinSet<_>>().join_all().await;
                cable.set_faults(&ImpairSpec::default());
            }
            for end in new.iter_mut().flatten() {
                wait_to_read(end).await;
            }
            let hosts = [&server, &client];
            // Nothing is held for a time only any more.
            settle(hosts, if life.has_keepalive { pairs.len() } else { 0 }).await;
            pairs.append(&mut new);
            if life.has_keepalive {
                for end in pairs.iter().flatten() {
                    end.set_keepalive(true).unwrap();
                }
                settle(hosts, pairs.len()).await;
            }
        };
        runtime.block_on(async { timeout(LIMIT, all).await }).unwrap();
    };
    // What a host makes once, free buffers among it, it makes for the first ones.
    open(CONNECTIONS);
    let taken = measure(|| open(CONNECTIONS));
    assert_eq!(pairs.len(), 2 * CONNECTIONS);
    let bytes = taken.bytes_current + taken.count_current * BLOCK_OVERHEAD;
    bytes / i64::try_from(2 * CONNECTIONS).unwrap()
}

#[test]
fn an_idle_connection_takes_less_than_a_kilobyte_also_after_loss_and_with_keepalive() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    for addresses in [["10.0.0.1/24", "10.0.0.2/24"], ["fd00::1/64", "fd00::2/64"]] {
        for (has_met_faults, has_keepalive) in [(false, false), (true, true)] {
            let life = Life { has_met_faults, has_keepalive };
            let cost = cost_of_an_end(&runtime, addresses, life);
            println!("{cost} bytes between {addresses:?}, {life:?}");
            assert!(cost < BOUND, "{cost} bytes between {addresses:?}, {life:?}");
        }
    }
}

/// A SYN from one of many clients to port 80 of 10.0.0.1, without an Ethernet header.
fn syn(client: u32) -> [u8; 40] {
    let mut packet = [0; 40];
    let [_, high, middle, low] = client.to_be_bytes();
    packet[..10].copy_from_slice(&[0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6]);
    packet[12..20].copy_from_slice(&[10, 1 + high, middle, low, 10, 0, 0, 1]);
    let sum: u32 = packet.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let folded = !u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
    packet[10..12].copy_from_slice(&folded.to_be_bytes());
    // Ports, number, nothing acknowledged, five words, SYN, a window.
    packet[20..24].copy_from_slice(&[4, 210, 0, 80]);
    packet[24..28].copy_from_slice(&client.to_be_bytes());
    packet[32..36].copy_from_slice(&[0x50, 0x02, 0xff, 0xff]);
    packet
}

#[test]
fn a_million_half_open_connections_stay_within_the_bound() {
    const HALF_OPEN: usize = 4096;
    for syn_cookies in [SynCookieMode::WhenFull, SynCookieMode::Off] {
        let mut config = StackConfig::default();
        (config.tcp.max_half_open, config.tcp.syn_cookies) = (HALF_OPEN, syn_cookies);
        let mut stack = Stack::new(config, Rng::from_number(7));
        let setup = InterfaceSetup {
            caps: DeviceCaps::plain(Medium::Ip, 1500),
            link_address: EthernetAddress([2, 0, 0, 0, 0, 1]),
        };
        let interface = stack.add_interface(setup);
        let now = Instant::ZERO + Duration::from_secs(1);
        stack.add_address(now, interface, "10.0.0.1/8".parse().unwrap(), AddressDetection::Off).unwrap();
        let options = ListenOptions { backlog: usize::MAX, ..ListenOptions::default() };
        stack.tcp().listen(TcpBind { address: None, port: 80 }, options).unwrap();

        let mut head = HeadBuf::new();
        let mut flood = |clients: Range<u32>| {
            let meta = RxMeta { checksum: RxChecksum::Trusted, gso: None };
            for client in clients {
                stack.handle_frame(now, interface, &syn(client), meta);
                assert!(stack.poll_transmit(now, &mut head).is_some(), "{client} has no SYN-ACK");
                while stack.poll_event().is_some() || stack.poll_transmit(now, &mut head).is_some() {}
            }
        };
        let filling = measure(|| flood(0..10_000));
        let going_on = measure(|| flood(10_000..1_000_000));
        println!("{syn_cookies:?}: {} bytes, then {}", filling.bytes_current, going_on.bytes_current);
        assert_eq!(stack.transport_usage().half_open, HALF_OPEN);
        assert!(filling.bytes_current < BOUND * i64::try_from(HALF_OPEN).unwrap());
        assert!(going_on.bytes_current < BOUND, "what comes goes");
    }
}
