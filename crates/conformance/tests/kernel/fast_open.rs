//! Fast Open with the kernel at the other end, on either side.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;

use netloom::Net;
use nix::sys::socket::sockopt::TcpFastOpenConnect;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockProtocol, SockType, SockaddrStorage, connect, setsockopt, socket,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::lab::{self, FAMILIES, Family};

/// Clients, servers, and every listener without a word of its application (`ip-sysctl`, tcp_fastopen).
const ALL_OF_IT: u32 = 1 | 2 | 0x400;

/// Long enough that no buffer takes it at once, and no multiple of anything.
const ANSWER_LEN: usize = 300_007;

fn allow_in_kernel() {
    std::fs::write("/proc/sys/net/ipv4/tcp_fastopen", ALL_OF_IT.to_string())
        .expect("a setting of this namespace");
}

/// What the kernel of this thread's namespace has counted.
fn kernels_count(name: &str) -> u64 {
    let table = std::fs::read_to_string("/proc/thread-self/net/netstat").expect("the kernel's counters");
    let rows: Vec<Vec<&str>> = table
        .lines()
        .filter(|line| line.starts_with("TcpExt:"))
        .map(|line| line.split_whitespace().collect())
        .collect();
    let column = rows[0].iter().position(|&it| it == name).expect("such a counter");
    rows[1][column].parse().expect("a number")
}

/// The question of a round: as much as a SYN may have, and more.
fn question(round: usize) -> Vec<u8> {
    lab::pattern([100, 1000, 5000][round % 3], round as u64)
}

/// The kernel's client, as any program: it connects, asks and reads the answer to the end.
fn ask_as_kernel(address: SocketAddr, question: &[u8]) -> Vec<u8> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let socket = socket(family, SockType::Stream, SockFlag::empty(), SockProtocol::Tcp).expect("a socket");
    setsockopt(&socket, TcpFastOpenConnect, &true).expect("the kernel has it");
    connect(socket.as_raw_fd(), &SockaddrStorage::from(address)).expect("connected, or as good as");
    let mut stream = TcpStream::from(socket);
    stream.write_all(question).expect("written");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("read");
    answer
}

#[test]
fn the_kernel_sends_data_with_its_syn_and_we_take_it() {
    // [7413-23]
    lab::run(async |net| {
        allow_in_kernel();
        for family in FAMILIES {
            serve_kernel(&net, family).await;
        }
        assert!(kernels_count("TCPFastOpenActive") > 0);
        assert_eq!(kernels_count("TCPFastOpenActiveFail"), 0);
    });
}

async fn serve_kernel(net: &Net, family: Family) {
    let address = family.ours(8080);
    let socket = if address.is_ipv4() { net.tcp_socket_v4() } else { net.tcp_socket_v6() };
    socket.bind(address).expect("bound");
    socket.set_fastopen(16).expect("set");
    let listener = socket.listen(16).expect("a listener");
    for round in 0..12 {
        let asked = question(round);
        let client = {
            let asked = asked.clone();
            tokio::task::spawn_blocking(move || ask_as_kernel(address, &asked))
        };
        let (mut stream, _) = listener.accept().await.expect("accepted");
        let mut heard = vec![0; asked.len()];
        stream.read_exact(&mut heard).await.expect("read");
        assert!(heard == asked, "round {round}");
        let info = stream.info().expect("it lives");
        assert_eq!(info.syn_data, round > 0, "round {round}: once it knows a cookie");
        let answer = lab::pattern(ANSWER_LEN, round as u64);
        lab::write_and_finish(&mut stream, &answer).await;
        assert!(client.await.expect("the client ends") == answer, "round {round}");
        assert_eq!(stream.read(&mut [0]).await.expect("the end"), 0);
    }
}

#[test]
fn we_send_data_with_our_syn_and_the_kernel_takes_it() {
    // [7413-17] [7413-21]
    lab::run(async |net| {
        allow_in_kernel();
        let mut expected = 0;
        for family in FAMILIES {
            ask_kernel(&net, family).await;
            expected += 11;
            assert_eq!(kernels_count("TCPFastOpenPassive"), expected);
        }
        assert_eq!(kernels_count("TCPFastOpenPassiveFail"), 0);
    });
}

async fn ask_kernel(net: &Net, family: Family) {
    let address = family.kernels(8081);
    let listener = tokio::net::TcpListener::bind(address).await.expect("a listener");
    // The kernel does not answer the first of all SYNs as long as it looks for us, or looks whether its address is its own; one
    // with a cookie's option that goes again says that the path does not like them.
    let (plain, accepted) = tokio::join!(net.tcp_connect(address), listener.accept());
    drop((plain.expect("connected"), accepted.expect("accepted")));
    for round in 0..12 {
        let asked = question(round);
        let socket = if address.is_ipv4() { net.tcp_socket_v4() } else { net.tcp_socket_v6() };
        socket.set_fastopen_connect(true).expect("set");
        let answer = lab::pattern(ANSWER_LEN, round as u64);
        let serve = async {
            let (mut stream, _) = listener.accept().await.expect("accepted");
            let mut heard = vec![0; asked.len()];
            stream.read_exact(&mut heard).await.expect("read");
            assert!(heard == asked, "round {round}");
            lab::write_and_finish(&mut stream, &answer).await;
            assert_eq!(stream.read(&mut [0]).await.expect("the end"), 0);
        };
        let ask = async {
            let mut stream = socket.connect(address).await.expect("connected, or as good as");
            stream.write_all(&asked).await.expect("written");
            let heard = lab::read_all(&mut stream).await;
            assert!(heard == answer, "round {round}");
            let info = stream.info().expect("it lives");
            assert_eq!(info.syn_data, round > 0, "round {round}: {:?}", info.fast_open_fallback);
        };
        tokio::join!(serve, ask);
    }
}

#[test]
fn a_kernel_that_forgets_its_key_gives_a_new_cookie_and_no_byte_is_lost() {
    // [7413-22]
    lab::run(async |net| {
        allow_in_kernel();
        ask_kernel(&net, FAMILIES[0]).await;
        std::fs::write("/proc/sys/net/ipv4/tcp_fastopen_key", "00000001-00000002-00000003-00000004")
            .expect("a setting of this namespace");
        let listener = tokio::net::TcpListener::bind(FAMILIES[0].kernels(8082)).await.expect("a listener");
        for expected in [false, true] {
            let socket = net.tcp_socket_v4();
            socket.set_fastopen_connect(true).expect("set");
            let mut ours = socket.connect(FAMILIES[0].kernels(8082)).await.expect("connected");
            ours.write_all(b"hello").await.expect("written");
            let (mut theirs, _) = listener.accept().await.expect("accepted");
            let mut heard = [0; 5];
            theirs.read_exact(&mut heard).await.expect("read");
            assert_eq!(&heard, b"hello");
            // With the answer the handshake is done here, too.
            theirs.write_all(b"world").await.expect("written");
            ours.read_exact(&mut heard).await.expect("read");
            let info = ours.info().expect("it lives");
            assert_eq!(info.syn_data, expected, "{:?}", info.fast_open_fallback);
        }
    });
}
