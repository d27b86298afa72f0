//! Echo, discard, chargen and daytime over TCP and UDP.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use netloom_l7_app::{CancellationToken, ConnectionLimits, Datagrams, Service, ServiceOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::support::{PATIENCE, is_installed, read_to_end, read_until, shell};

struct Running {
    tcp: SocketAddr,
    udp: SocketAddr,
    shutdown: CancellationToken,
    task: JoinHandle<io::Result<()>>,
}

async fn start(service: Service) -> Running {
    start_with(service, ConnectionLimits::default()).await
}

async fn start_with(service: Service, limits: ConnectionLimits) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let (tcp, udp) = (listener.local_addr().unwrap(), socket.local_addr().unwrap());
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    let options = ServiceOptions { limits, ..ServiceOptions::default() };
    let task = tokio::spawn(async move { service.run(listener, Some(socket), &options, stop).await });
    Running { tcp, udp, shutdown, task }
}

async fn client() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").await.unwrap()
}

async fn receive(socket: &UdpSocket) -> Vec<u8> {
    let mut buffer = vec![0; 65_536];
    let len = timeout(PATIENCE, socket.recv(&mut buffer)).await.expect("no datagram came").unwrap();
    buffer.truncate(len);
    buffer
}

#[tokio::test]
async fn echo_sends_everything_back_and_then_its_fin() {
    let echo = start(Service::Echo).await;
    let mut stream = TcpStream::connect(echo.tcp).await.unwrap();
    stream.write_all(b"first").await.unwrap();
    read_until(&mut stream, "first").await;

    // Far more than fits in both directions' buffers, so it works only if both move.
    let sent: Vec<u8> = (0..20_000_000_u32).map(|index| index.to_le_bytes()[index as usize % 3]).collect();
    let (mut reader, mut writer) = stream.into_split();
    let copy = sent.clone();
    let writing = tokio::spawn(async move {
        writer.write_all(&copy).await.unwrap();
        writer.shutdown().await.unwrap();
    });
    let mut received = Vec::new();
    timeout(PATIENCE, reader.read_to_end(&mut received)).await.expect("no FIN came").unwrap();
    writing.await.unwrap();
    assert!(received == sent, "{} bytes of {} came back", received.len(), sent.len());
}

#[tokio::test]
async fn nc_gets_its_bytes_back_after_its_own_fin() {
    if !is_installed("nc") {
        return;
    }
    let echo = start(Service::Echo).await;
    let (ip, port) = (echo.tcp.ip(), echo.tcp.port());
    let sums = shell(&format!(
        "head -c 30000000 /dev/zero | tr '\\0' 'x' | nc -N {ip} {port} | sha256sum; head -c 30000000 /dev/zero | tr '\\0' 'x' | sha256sum"
    ))
    .await;
    let lines: Vec<_> = sums.lines().collect();
    assert_eq!(lines[0], lines[1]);
}

#[tokio::test]
async fn echo_answers_datagrams_of_every_length() {
    let echo = start(Service::Echo).await;
    let socket = client().await;
    socket.connect(echo.udp).await.unwrap();
    for len in [0, 1, 1472, 9000, 65_507] {
        let sent = vec![b'e'; len];
        socket.send(&sent).await.unwrap();
        assert_eq!(receive(&socket).await, sent);
    }
}

#[tokio::test]
async fn discard_takes_all_and_says_nothing() {
    let discard = start(Service::Discard).await;
    let mut stream = TcpStream::connect(discard.tcp).await.unwrap();
    stream.write_all(&vec![0; 5_000_000]).await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(read_to_end(&mut stream).await, "");
    let socket = client().await;
    socket.connect(discard.udp).await.unwrap();
    // A refused port would make the second of the two fail.
    socket.send(b"one").await.unwrap();
    socket.send(b"two").await.unwrap();
    assert!(timeout(Duration::from_millis(100), socket.recv(&mut [0])).await.is_err());
}

#[tokio::test]
async fn chargen_goes_on_after_the_peer_s_fin_and_ends_with_the_connection() {
    let chargen = start(Service::Chargen).await;
    let mut stream = TcpStream::connect(chargen.tcp).await.unwrap();
    stream.write_all(b"what is sent is dropped").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut lines = vec![0; 74 * 10_000];
    timeout(PATIENCE, stream.read_exact(&mut lines)).await.expect("too few lines").unwrap();
    for (index, line) in lines.chunks(74).enumerate() {
        assert_eq!(usize::from(line[0]), 32 + index % 95, "line {index}");
        assert!(
            line.ends_with(b"\r\n") && line[..72].iter().all(|byte| (32..127).contains(byte)),
            "line {index}"
        );
    }
    drop(stream);
    // The service's task for the connection ends too, or the shutdown would take its grace period.
    chargen.shutdown.cancel();
    timeout(Duration::from_secs(4), chargen.task).await.expect("a connection is left").unwrap().unwrap();
}

#[tokio::test]
async fn chargen_s_datagrams_are_short_and_bounded_in_number() {
    let chargen = start(Service::Chargen).await;
    let socket = client().await;
    socket.connect(chargen.udp).await.unwrap();
    let mut lens = Vec::new();
    for _ in 0..80 {
        socket.send(b"?").await.unwrap();
        lens.push(receive(&socket).await.len());
    }
    assert!(lens.iter().all(|len| *len <= 512));
    assert!(lens.iter().min() != lens.iter().max(), "{lens:?}");
    // The rest of the second's budget goes quickly; then questions go unanswered.
    for _ in 0..1000 {
        socket.send(b"?").await.unwrap();
    }
    let mut answer_count = 0;
    while timeout(Duration::from_millis(5), socket.recv(&mut [0; 512])).await.is_ok() {
        answer_count += 1;
    }
    assert!(answer_count < 500, "{answer_count} answers to a thousand datagrams at once");
}

#[tokio::test]
async fn daytime_tells_the_time_and_closes() {
    let daytime = start(Service::Daytime).await;
    let mut stream = TcpStream::connect(daytime.tcp).await.unwrap();
    let line = read_to_end(&mut stream).await;
    assert!(line.ends_with("-UTC\r\n") && line.contains("day, ") && line.lines().count() == 1, "{line:?}");
    let socket = client().await;
    socket.connect(daytime.udp).await.unwrap();
    socket.send(b"").await.unwrap();
    let datagram = String::from_utf8(receive(&socket).await).unwrap();
    assert_eq!(datagram.split(' ').next(), line.split(' ').next());
}

/// A UDP socket that receives what is put into it and shows what is sent.
struct Scripted {
    received: Mutex<mpsc::Receiver<SocketAddr>>,
    sent: mpsc::Sender<SocketAddr>,
}

impl Datagrams for Scripted {
    async fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let Some(peer) = self.received.lock().await.recv().await else { return std::future::pending().await };
        buffer[0] = b'?';
        Ok((1, peer))
    }

    async fn send_to(&self, bytes: &[u8], target: SocketAddr) -> io::Result<usize> {
        self.sent.send(target).await.unwrap();
        Ok(bytes.len())
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok("10.0.0.2:7007".parse().unwrap())
    }
}

#[tokio::test]
async fn a_datagram_that_could_start_a_loop_is_not_answered() {
    for service in [Service::Echo, Service::Chargen, Service::Daytime] {
        let (script, received) = mpsc::channel(16);
        let (sent, mut answers) = mpsc::channel(16);
        let socket = Scripted { received: Mutex::new(received), sent };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let options = ServiceOptions::default();
        let stop = CancellationToken::new();
        let task = tokio::spawn({
            let stop = stop.clone();
            async move { service.run(listener, Some(socket), &options, stop).await }
        });
        let peers =
            ["10.0.0.1:7", "10.0.0.1:13", "10.0.0.1:17", "10.0.0.1:19", "10.0.0.1:0", "10.0.0.1:7007"];
        for peer in peers.into_iter().chain(["10.0.0.1:9999"]) {
            script.send(peer.parse().unwrap()).await.unwrap();
        }
        let answered = timeout(PATIENCE, answers.recv()).await.expect("no answer").unwrap();
        assert_eq!(answered.to_string(), "10.0.0.1:9999", "{service}");
        stop.cancel();
        timeout(PATIENCE, task).await.expect("the service does not end").unwrap().unwrap();
    }
}

#[tokio::test]
async fn silence_ends_a_connection() {
    let limits = ConnectionLimits { idle: Duration::from_millis(200), ..ConnectionLimits::default() };
    for service in [Service::Echo, Service::Discard] {
        let running = start_with(service, limits).await;
        let mut stream = TcpStream::connect(running.tcp).await.unwrap();
        stream.write_all(b"x").await.unwrap();
        let mut received = Vec::new();
        // Ended by a reset or a FIN, but ended.
        let _ =
            timeout(PATIENCE, stream.read_to_end(&mut received)).await.expect("the connection stays open");
    }
}

#[tokio::test]
async fn connections_beyond_the_bound_wait_their_turn() {
    let limits = ConnectionLimits { max_connections: 1, ..ConnectionLimits::default() };
    let echo = start_with(Service::Echo, limits).await;
    let mut first = TcpStream::connect(echo.tcp).await.unwrap();
    first.write_all(b"one").await.unwrap();
    read_until(&mut first, "one").await;
    let mut second = TcpStream::connect(echo.tcp).await.unwrap();
    second.write_all(b"two").await.unwrap();
    assert!(
        timeout(Duration::from_millis(200), second.read(&mut [0])).await.is_err(),
        "the second was served"
    );
    drop(first);
    read_until(&mut second, "two").await;
}

#[tokio::test]
async fn a_thousand_connections_one_after_another_leave_nothing() {
    let echo = start(Service::Echo).await;
    for _ in 0..1000 {
        let mut stream = TcpStream::connect(echo.tcp).await.unwrap();
        stream.write_all(b"x").await.unwrap();
        stream.shutdown().await.unwrap();
        assert_eq!(read_to_end(&mut stream).await, "x");
    }
    echo.shutdown.cancel();
    timeout(PATIENCE, echo.task).await.expect("the service does not end").unwrap().unwrap();
}

#[tokio::test]
async fn a_part_of_a_service_has_no_udp_and_iperf3_has_no_parts() {
    // A host of several shards has one UDP socket and a listener each.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (options, stop) = (ServiceOptions::default(), CancellationToken::new());
    let part = tokio::spawn({
        let stop = stop.clone();
        async move { Service::Echo.run(listener, None::<UdpSocket>, &options, stop).await }
    });
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"part").await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(read_to_end(&mut stream).await, "part");
    stop.cancel();
    timeout(PATIENCE, part).await.expect("the service does not end").unwrap().unwrap();

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = ServiceOptions::default();
    let error = Service::Iperf3.run(listener, None::<UdpSocket>, &options, stop).await.unwrap_err();
    assert_eq!(error.to_string(), "iperf3 needs a UDP socket");
}
