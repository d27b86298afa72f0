//! The blocking sockets: std's shape over two stacks on threads of their own, beside std's own sockets where both can show
//! the same.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::io::{ErrorKind, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use netloom::device::{MemoryQueue, Queue};
use netloom::stack::Medium;
use netloom::{AddressDetection, InterfaceConfig, Net, Usage, blocking};

/// How long a call may take that has to end.
const LIMIT: Duration = Duration::from_secs(30);
/// A time-out that is to pass.
const SHORT: Duration = Duration::from_millis(30);

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// A server at 10.0.0.1 and a client at 10.0.0.2.
fn hosts() -> (blocking::Net, blocking::Net) {
    hosts_of(1)
}

/// The same, each of so many shards.
fn hosts_of(shards: usize) -> (blocking::Net, blocking::Net) {
    let mut ends: [Vec<Box<dyn Queue>>; 2] = [Vec::new(), Vec::new()];
    for _ in 0..shards {
        let (left, right) = MemoryQueue::pair(Medium::Ethernet, 1500).unwrap();
        ends[0].push(Box::new(left));
        ends[1].push(Box::new(right));
    }
    let [left, right] = ends;
    let start = |queues, address: &str| {
        let config = InterfaceConfig {
            addresses: vec![address.parse().unwrap()],
            detection: AddressDetection::Off,
            ..InterfaceConfig::default()
        };
        blocking::Net::start(Net::builder().interface_queues(queues, config)).unwrap()
    };
    (start(left, "10.0.0.1/24"), start(right, "10.0.0.2/24"))
}

/// Waits until nothing is left of any socket, and ends both stacks.
fn finish(server: blocking::Net, client: blocking::Net) {
    let usage = || [&server, &client].map(|net| net.net().usage()).concat();
    let deadline = Instant::now() + LIMIT;
    while !usage().iter().all(Usage::is_clear) {
        assert!(Instant::now() < deadline, "something is left: {:?}", usage());
        std::thread::yield_now();
    }
    for net in [server, client] {
        net.shutdown(LIMIT).unwrap();
    }
}

fn pair(server: &blocking::Net, client: &blocking::Net) -> (blocking::TcpStream, blocking::TcpStream) {
    let listener = server.tcp_listen("10.0.0.1:0").unwrap();
    let outgoing = client.tcp_connect(listener.local_addr().unwrap()).unwrap();
    (listener.accept().unwrap().0, outgoing)
}

/// What any stream of std's shape does, netloom's or the kernel's.
macro_rules! behaves_as_std {
    ($name:ident, $setup:expr) => {
        #[test]
        fn $name() {
            let (mut incoming, mut outgoing, finish) = $setup;
            assert_eq!(incoming.peer_addr().unwrap(), outgoing.local_addr().unwrap());
            // Time-outs.
            assert_eq!(outgoing.read_timeout().unwrap(), None);
            let none = outgoing.set_read_timeout(Some(Duration::ZERO)).unwrap_err();
            assert_eq!(none.kind(), ErrorKind::InvalidInput);
            outgoing.set_read_timeout(Some(SHORT)).unwrap();
            let before = Instant::now();
            assert_eq!(outgoing.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
            assert!(before.elapsed() >= SHORT);
            // A clone shares everything.
            let mut clone = outgoing.try_clone().unwrap();
            // The kernel rounds up.
            assert!(clone.read_timeout().unwrap() >= Some(SHORT));
            clone.set_read_timeout(None).unwrap();
            assert_eq!(outgoing.read_timeout().unwrap(), None);
            clone.set_nonblocking(true).unwrap();
            assert_eq!(outgoing.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
            clone.set_nonblocking(false).unwrap();
            // Peeking, vectors, options.
            assert_eq!(incoming.write_vectored(&[IoSlice::new(b"he"), IoSlice::new(b"llo")]).unwrap(), 5);
            let mut buffer = [0; 5];
            while outgoing.peek(&mut buffer).unwrap() < 5 {}
            assert_eq!(&buffer, b"hello");
            clone.read_exact(&mut buffer).unwrap();
            outgoing.set_nodelay(true).unwrap();
            assert!(clone.nodelay().unwrap());
            // A thread that waits is woken; half-close both ways.
            let reader = std::thread::spawn(move || {
                let mut text = String::new();
                incoming.read_to_string(&mut text).unwrap();
                incoming.write_all(b"bye").unwrap();
                text
            });
            outgoing.write_all(b"question").unwrap();
            outgoing.flush().unwrap();
            outgoing.shutdown(Shutdown::Write).unwrap();
            assert_eq!(reader.join().unwrap(), "question");
            let mut text = String::new();
            clone.read_to_string(&mut text).unwrap();
            assert_eq!(text, "bye");
            assert!(clone.take_error().unwrap().is_none());
            drop((clone, outgoing));
            finish();
        }
    };
}

behaves_as_std!(a_stream_behaves_as_std_s, {
    let (server, client) = hosts();
    let (incoming, outgoing) = pair(&server, &client);
    (incoming, outgoing, move || finish(server, client))
});

behaves_as_std!(a_stream_between_shards_behaves_as_std_s, {
    let (server, client) = hosts_of(2);
    let (incoming, outgoing) = pair(&server, &client);
    (incoming, outgoing, move || finish(server, client))
});

behaves_as_std!(std_s_behaves_so, {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let outgoing = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (listener.accept().unwrap().0, outgoing, || ())
});

#[test]
fn many_threads_accept_from_one_listener() {
    accept_by_threads(hosts());
}

#[test]
fn many_threads_accept_what_all_shards_own() {
    accept_by_threads(hosts_of(2));
}

fn accept_by_threads((server, client): (blocking::Net, blocking::Net)) {
    const CLIENTS: usize = 12;
    let listener = server.tcp_listen("10.0.0.1:0").unwrap();
    let target = listener.local_addr().unwrap();
    let (tell, accepted) = channel();
    let acceptors: Vec<_> = (0..3)
        .map(|_| {
            let (listener, tell) = (listener.try_clone().unwrap(), tell.clone());
            std::thread::spawn(move || {
                for stream in listener.incoming().take(CLIENTS / 3) {
                    let mut stream = stream.unwrap();
                    let mut byte = [0];
                    stream.read_exact(&mut byte).unwrap();
                    stream.write_all(&byte).unwrap();
                    tell.send(byte[0]).unwrap();
                }
            })
        })
        .collect();
    for number in 0..CLIENTS {
        let number = u8::try_from(number).unwrap();
        let mut stream = client.tcp_connect(target).unwrap();
        stream.write_all(&[number]).unwrap();
        let mut echo = [0];
        stream.read_exact(&mut echo).unwrap();
        assert_eq!(echo, [number]);
    }
    acceptors.into_iter().for_each(|thread| thread.join().unwrap());
    let mut numbers: Vec<u8> = accepted.try_iter().collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..12).collect::<Vec<u8>>());
    listener.set_nonblocking(true).unwrap();
    assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    drop(listener);
    finish(server, client);
}

#[test]
fn a_slow_reader_lets_a_write_time_out() {
    let (server, client) = hosts();
    let (mut incoming, mut outgoing) = pair(&server, &client);
    outgoing.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    let block = vec![1; 1 << 20];
    let mut written = 0;
    let error = loop {
        match outgoing.write(&block) {
            Ok(count) => written += count,
            Err(error) => break error,
        }
        assert!(written < 256 << 20, "{written} bytes are no bound");
    };
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    outgoing.shutdown(Shutdown::Write).unwrap();
    let mut all = Vec::new();
    incoming.read_to_end(&mut all).unwrap();
    assert_eq!(all.len(), written);
    drop((incoming, outgoing));
    finish(server, client);
}

#[test]
fn reading_can_be_shut_alone() {
    let (server, client) = hosts();
    let (mut incoming, outgoing) = pair(&server, &client);
    let waiting = outgoing.try_clone().unwrap();
    let reader = std::thread::spawn(move || (&waiting).read(&mut [0; 8]).unwrap());
    outgoing.shutdown(Shutdown::Read).unwrap();
    assert_eq!(reader.join().unwrap(), 0, "whoever waits is at the end");
    (&outgoing).write_all(b"still").unwrap();
    let mut five = [0; 5];
    incoming.read_exact(&mut five).unwrap();
    drop((incoming, outgoing));
    finish(server, client);
}

#[test]
fn datagrams_come_and_go_and_time_out() {
    let (server, client) = hosts();
    let socket = server.udp_bind("10.0.0.1:0").unwrap();
    let other = client.udp_bind("10.0.0.2:0").unwrap();
    socket.set_read_timeout(Some(SHORT)).unwrap();
    assert_eq!(socket.recv_from(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
    socket.set_read_timeout(None).unwrap();
    assert_eq!(other.send_to(b"hello", socket.local_addr().unwrap()).unwrap(), 5);
    let mut buffer = [0; 8];
    assert_eq!(socket.peek_from(&mut buffer).unwrap(), (5, other.local_addr().unwrap()));
    let (len, from) = socket.recv_from(&mut buffer[..3]).unwrap();
    assert_eq!((len, &buffer[..3]), (3, &b"hel"[..]), "what does not fit is gone");
    socket.connect(from).unwrap();
    assert_eq!(socket.peer_addr().unwrap(), from);
    socket.try_clone().unwrap().send(b"back").unwrap();
    assert_eq!(other.recv(&mut buffer).unwrap(), 4);
    drop((socket, other));
    finish(server, client);
}

#[test]
fn options_are_what_was_set() {
    let (server, client) = hosts();
    let listener = server.tcp_listen("10.0.0.1:0").unwrap();
    assert_eq!(listener.ttl().unwrap(), 64);
    listener.set_ttl(9).unwrap();
    assert_eq!(listener.ttl().unwrap(), 9);
    let outgoing = client.tcp_connect(listener.local_addr().unwrap()).unwrap();
    let (incoming, _) = listener.accept().unwrap();
    assert_eq!(incoming.ttl().unwrap(), 9);
    drop((listener, outgoing, incoming));
    let socket = server.udp_bind("10.0.0.1:0").unwrap();
    socket.set_ttl(7).unwrap();
    socket.set_multicast_ttl_v4(3).unwrap();
    assert_eq!((socket.ttl().unwrap(), socket.multicast_ttl_v4().unwrap()), (7, 3));
    assert!(socket.multicast_loop_v4().unwrap());
    socket.set_multicast_loop_v4(false).unwrap();
    assert!(!socket.multicast_loop_v4().unwrap());
    assert!(socket.multicast_loop_v6().is_err() && socket.set_multicast_loop_v6(true).is_err());
    drop(socket);
    finish(server, client);
}

#[test]
fn a_refusal_and_a_silence_are_told_apart() {
    let (server, client) = hosts();
    server.net();
    assert_eq!(client.tcp_connect("10.0.0.1:9").unwrap_err().kind(), ErrorKind::ConnectionRefused);
    // Nobody of that address is there; the process's stack is this test's alone to set.
    client.set_default();
    let silence = blocking::TcpStream::connect_timeout(&address("10.0.0.77:9"), SHORT).unwrap_err();
    assert_eq!(silence.kind(), ErrorKind::TimedOut);
    let none = blocking::TcpStream::connect_timeout(&address("10.0.0.77:9"), Duration::ZERO).unwrap_err();
    assert_eq!(none.kind(), ErrorKind::InvalidInput);
    let listener = blocking::TcpListener::bind("10.0.0.2:0").unwrap();
    let stream = blocking::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    assert!(blocking::UdpSocket::bind("10.0.0.2:0").is_ok());
    drop((listener, stream));
    Net::take_default();
    finish(server, client);
}

#[test]
fn whoever_waits_is_told_when_the_stack_ends() {
    let (server, client) = hosts();
    let listener = server.tcp_listen("10.0.0.1:0").unwrap();
    let waiting = std::thread::spawn(move || listener.accept().unwrap_err());
    // The last handle of this kind: the stack and its thread end with it.
    let net = server.net().clone();
    drop(server);
    assert_eq!(waiting.join().unwrap().kind(), ErrorKind::NotConnected);
    finish(net.into(), client);
}

#[test]
fn the_stack_of_a_runtime_has_blocking_sockets_too() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (left, right) = MemoryQueue::pair(Medium::Ip, 1500).unwrap();
    let start = |device, address: &str| {
        let addresses = vec![address.parse().unwrap()];
        let config = InterfaceConfig { addresses, ..InterfaceConfig::default() };
        Net::builder().interface(Box::new(device), config)
    };
    let _context = runtime.enter();
    let server = start(left, "10.0.0.1/24").start().unwrap();
    let client = blocking::Net::start(start(right, "10.0.0.2/24")).unwrap();
    let server = blocking::Net::from(server);
    let (mut incoming, mut outgoing) = pair(&server, &client);
    outgoing.write_all(b"x").unwrap();
    incoming.read_exact(&mut [0]).unwrap();
    drop((incoming, outgoing));
    finish(server, client);
}
