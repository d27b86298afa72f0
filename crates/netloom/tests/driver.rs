//! Two stacks in one process: runtimes of one thread and of many, devices with and without offloads, and the end.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::future::Future;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use netloom::device::{MemoryQueue, Offload, Queue, RECEIVE_BUFFER_LEN, RxFrame};
use netloom::stack::{DeviceCaps, Medium, TxMeta};
use netloom::{AddressDetection, InterfaceConfig, Net, TcpStream};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

#[path = "sockets/leaks.rs"]
mod leaks;

/// Bytes each way.
const LEN: usize = 3_000_000;
/// No test takes longer.
const LIMIT: Duration = Duration::from_secs(60);

fn runtimes() -> [Runtime; 2] {
    [Builder::new_current_thread(), Builder::new_multi_thread()]
        .map(|mut builder| builder.worker_threads(2).enable_all().build().unwrap())
}

fn within_limit<T>(runtime: &Runtime, test: impl Future<Output = T>) -> T {
    runtime.block_on(async { timeout(LIMIT, test).await.unwrap() })
}

fn start(device: impl Queue + 'static, address: &str, spin: Duration) -> Net {
    start_shards(vec![Box::new(device)], address, spin)
}

/// The same with a shard for each queue.
fn start_shards(queues: Vec<Box<dyn Queue>>, address: &str, spin: Duration) -> Net {
    let config = InterfaceConfig {
        addresses: vec![address.parse().unwrap()],
        detection: AddressDetection::Off,
        ..InterfaceConfig::default()
    };
    Net::builder().interface_queues(queues, config).spin(spin).start().unwrap()
}

async fn connect(server: &Net, client: &Net, address: &str) -> (TcpStream, TcpStream) {
    let listener = server.tcp_listen(address).await.unwrap();
    let outgoing = client.tcp_connect(listener.local_addr().unwrap()).await.unwrap();
    (listener.accept().await.unwrap().0, outgoing)
}

fn pattern(seed: usize) -> Vec<u8> {
    (0..LEN).map(|index| ((index + seed) % 251).to_le_bytes()[0]).collect()
}

async fn send_all(mut to: impl AsyncWrite + Unpin, bytes: &[u8]) {
    to.write_all(bytes).await.unwrap();
    to.shutdown().await.unwrap();
}

async fn read_all(mut from: impl AsyncRead + Unpin) -> Vec<u8> {
    let mut bytes = Vec::new();
    from.read_to_end(&mut bytes).await.unwrap();
    bytes
}

/// Sends both ways at once, between hosts of so many shards; how many frames the server got.
async fn exchange(
    (offload, medium, shards): (Offload, Medium, usize),
    spin: Duration,
    networks: [&str; 3],
) -> u64 {
    let [server_address, client_address, listen] = networks;
    let mut ends: [Vec<Box<dyn Queue>>; 2] = [Vec::new(), Vec::new()];
    for _ in 0..shards {
        let (left, right) = MemoryQueue::pair_offloading(medium, 1500, offload).unwrap();
        ends[0].push(Box::new(left));
        ends[1].push(Box::new(right));
    }
    let [left, right] = ends;
    let server = start_shards(left, server_address, spin);
    let client = start_shards(right, client_address, spin);
    let (incoming, outgoing) = connect(&server, &client, listen).await;
    let (incoming_read, incoming_write) = tokio::io::split(incoming);
    let (outgoing_read, outgoing_write) = tokio::io::split(outgoing);
    let (down, up) = (pattern(1), pattern(2));
    let ((), (), at_server, at_client) = tokio::join!(
        send_all(incoming_write, &down),
        send_all(outgoing_write, &up),
        read_all(incoming_read),
        read_all(outgoing_read),
    );
    assert!(at_client == down && at_server == up, "{offload} over {medium:?}");
    let frames = server.inspect(|stack| stack.counters().frames_received.get()).iter().sum();
    leaks::end([server, client]).await;
    frames
}

#[test]
fn every_byte_arrives_on_each_runtime_with_each_offload() {
    const V4: [&str; 3] = ["10.0.0.1/24", "10.0.0.2/24", "10.0.0.1:80"];
    const V6: [&str; 3] = ["fd00::1/64", "fd00::2/64", "[fd00::1]:80"];
    for runtime in runtimes() {
        for offload in [Offload::Plain, Offload::Checksum, Offload::Full] {
            for (medium, shards, spin, networks) in [
                (Medium::Ethernet, 1, Duration::from_micros(50), V4),
                (Medium::Ip, 1, Duration::ZERO, V6),
                (Medium::Ethernet, 2, Duration::ZERO, V6),
            ] {
                let frames = within_limit(&runtime, exchange((offload, medium, shards), spin, networks));
                let segments = u64::try_from(LEN / 1460).unwrap();
                if offload == Offload::Full {
                    assert!(frames < segments / 2, "{frames} frames are no super-segments");
                } else {
                    assert!(frames >= segments, "{frames} frames of at most 1500 bytes");
                }
            }
        }
    }
}

#[test]
fn a_device_is_closed_when_shutdown_returns() {
    for runtime in runtimes() {
        within_limit(&runtime, async {
            let (ours, mut theirs) = MemoryQueue::pair(Medium::Ip, 1500).unwrap();
            let net = start(ours, "10.0.0.1/24", Duration::ZERO);
            net.clone().shutdown(Duration::ZERO).await;
            // Whatever it sent can still be read; then there is nobody.
            let mut buffer = vec![0; RECEIVE_BUFFER_LEN];
            let end = loop {
                if let Err(error) = theirs.recv(&mut buffer) {
                    break error.kind();
                }
            };
            assert_eq!(end, ErrorKind::NotConnected);
            leaks::end([net]).await;
        });
    }
}

/// Counts how often it is asked for a frame.
struct Counting {
    queue: MemoryQueue,
    looks: Arc<AtomicU64>,
}

impl AsFd for Counting {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.queue.as_fd()
    }
}

impl Queue for Counting {
    fn caps(&self) -> DeviceCaps {
        self.queue.caps()
    }

    fn recv(&mut self, buffer: &mut [u8]) -> io::Result<RxFrame> {
        self.looks.fetch_add(1, Ordering::Relaxed);
        self.queue.recv(buffer)
    }

    fn send(&mut self, meta: TxMeta, head: &[u8], payload: [&[u8]; 2]) -> io::Result<()> {
        self.queue.send(meta, head, payload)
    }
}

/// Sends a frame every 5 ms, and says how often the driver was looking for it before.
fn frames_that_were_expected(runtime: &Runtime, spin: Duration) -> usize {
    const COUNT: u32 = 60;
    const PACE: Duration = Duration::from_millis(5);
    let looks = Arc::new(AtomicU64::new(0));
    let (ours, mut theirs) = MemoryQueue::pair(Medium::Ip, 1500).unwrap();
    let device = Counting { queue: ours, looks: Arc::clone(&looks) };
    let net = runtime.block_on(async { start(device, "10.0.0.1/24", spin) });
    let begin = Instant::now();
    let until = |at: Instant| {
        thread::sleep(at.saturating_duration_since(Instant::now() + Duration::from_millis(1)));
        while Instant::now() < at {}
    };
    let expected = (1..=COUNT).filter(|&count| {
        until(begin + PACE * count - PACE / 2);
        let asleep = looks.load(Ordering::Relaxed);
        until(begin + PACE * count);
        let is_awake = looks.load(Ordering::Relaxed) > asleep;
        theirs.send(TxMeta::default(), &[0; 20], [b"", b""]).unwrap();
        is_awake
    });
    let expected = expected.count();
    runtime.block_on(leaks::end([net]));
    expected
}

#[test]
fn a_frame_of_a_steady_pace_finds_the_driver_awake() {
    let [_, runtime] = runtimes();
    let [asleep, awake] =
        [0, 50].map(|micros| frames_that_were_expected(&runtime, Duration::from_micros(micros)));
    assert!(
        awake > asleep,
        "of the frames {awake} were expected, and {asleep} by a driver that was told to sleep"
    );
}

#[test]
fn abort_resets_more_connections_than_a_burst_has_frames() {
    // Three bursts and some.
    const COUNT: u64 = 200;
    for runtime in runtimes() {
        within_limit(&runtime, async {
            let (left, right) = MemoryQueue::pair(Medium::Ip, 1500).unwrap();
            let server = start(left, "10.0.0.1/24", Duration::ZERO);
            let client = start(right, "10.0.0.2/24", Duration::ZERO);
            let listener = server.tcp_listen("10.0.0.1:80").await.unwrap();
            let mut ends = Vec::new();
            for _ in 0..COUNT {
                let outgoing = client.tcp_connect(listener.local_addr().unwrap()).await.unwrap();
                ends.push((outgoing, listener.accept().await.unwrap().0));
            }
            let sent = || server.inspect(|stack| stack.counters().frames_sent.get())[0];
            let before = sent();
            server.abort();
            assert!(sent() - before >= COUNT, "a reset for each");
            drop((listener, ends));
            leaks::end([server, client]).await;
        });
    }
}

/// Answers requests in rounds, of which it leaves one unread each time; until answers were held back in one, and all came.
async fn answer_some(server: &Net, client: &Net) {
    const COUNT: u8 = 40;
    let service = server.udp_bind("10.0.0.1:7").await.unwrap();
    let socket = client.udp_bind("10.0.0.2:7").await.unwrap();
    let frames_sent = || server.inspect(|stack| stack.counters().frames_sent.get())[0];
    let mut buffer = [0; 16];
    let mut is_held = false;
    while !is_held {
        for number in 0..COUNT {
            socket.send_to(&[number; 8], service.local_addr().unwrap()).await.unwrap();
        }
        service.readable().await.unwrap();
        let before = frames_sent();
        for _ in 1..COUNT {
            let (len, peer) = service.recv_from(&mut buffer).await.unwrap();
            service.send_to(&buffer[..len], peer).await.unwrap();
        }
        for number in 1..COUNT {
            assert_eq!(socket.recv_from(&mut buffer).await.unwrap().0, 8);
            assert_eq!(buffer[..8], [number - 1; 8]);
        }
        assert_eq!(service.recv_from(&mut buffer).await.unwrap().0, 8);
        is_held = frames_sent() - before < u64::from(COUNT - 1);
    }
}

#[test]
fn answers_that_wait_for_more_all_leave_though_no_more_comes() {
    for runtime in runtimes() {
        within_limit(&runtime, async {
            let (left, right) = MemoryQueue::pair_offloading(Medium::Ip, 1500, Offload::Full).unwrap();
            let server = start(left, "10.0.0.1/24", Duration::ZERO);
            let client = start(right, "10.0.0.2/24", Duration::ZERO);
            answer_some(&server, &client).await;
            leaks::end([server, client]).await;
        });
    }
}
