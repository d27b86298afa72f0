//! Every name that `tokio::net` and ours share, with its signature: what is missing on either side, or takes or gives
//! something else, does not compile. What only tokio has, and why, is a table in `docs/sockets.md`.
//!
//! Calls are functions of a type that is spelled out; of those that are `async`, the future's output is, and that it may
//! move between threads. Nothing here runs.
#![expect(clippy::type_complexity, reason = "spelled out they are harder to get wrong")]

use std::error::Error;
use std::fmt::{Debug, Display};
use std::future::Future;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf, Ready};

use crate::net::tcp::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf};
use crate::net::{TcpListener, TcpSocket, TcpStream, ToSocketAddrs, UdpSocket, lookup_host};

/// A getter.
type Get<S, T> = fn(&S) -> io::Result<T>;
/// A setter.
type Set<S, T> = fn(&S, T) -> io::Result<()>;
/// Looks whether something is ready.
type PollReady<S> = fn(&S, &mut Context<'_>) -> Poll<io::Result<()>>;
/// Fills a buffer.
type Fill<S, T> = fn(&S, &mut [u8]) -> io::Result<T>;
/// Fills what is left of a buffer.
type PollFill<S, T> = fn(&S, &mut Context<'_>, &mut ReadBuf<'_>) -> Poll<io::Result<T>>;
/// An `f` of `try_io`.
type Work = fn() -> io::Result<u8>;

/// A future that gives a `T`.
fn gives<T>(_: impl Future<Output = T> + Send) {}

/// Code that is compiled and not run.
fn compiles<T>(_: T) {}

#[test]
fn listeners_have_tokio_s_signatures() {
    compiles(|listener: &'static TcpListener| {
        gives::<io::Result<TcpListener>>(TcpListener::bind("127.0.0.1:0"));
        gives::<io::Result<(TcpStream, SocketAddr)>>(listener.accept());
    });
    let _: fn(&TcpListener, &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> =
        TcpListener::poll_accept;
    let _: Get<TcpListener, SocketAddr> = TcpListener::local_addr;
    let _: Get<TcpListener, u32> = TcpListener::ttl;
    let _: Set<TcpListener, u32> = TcpListener::set_ttl;
}

#[test]
#[expect(deprecated, reason = "they are names, too")]
fn sockets_to_be_set_up_have_tokio_s_signatures() {
    let _: [fn() -> io::Result<TcpSocket>; 2] = [TcpSocket::new_v4, TcpSocket::new_v6];
    let _: [Get<TcpSocket, bool>; 4] =
        [TcpSocket::keepalive, TcpSocket::reuseaddr, TcpSocket::reuseport, TcpSocket::nodelay];
    let _: [Set<TcpSocket, bool>; 4] = [
        TcpSocket::set_keepalive,
        TcpSocket::set_reuseaddr,
        TcpSocket::set_reuseport,
        TcpSocket::set_nodelay,
    ];
    let _: [Get<TcpSocket, u32>; 5] = [
        TcpSocket::send_buffer_size,
        TcpSocket::recv_buffer_size,
        TcpSocket::tclass_v6,
        TcpSocket::tos_v4,
        TcpSocket::tos,
    ];
    let _: [Set<TcpSocket, u32>; 5] = [
        TcpSocket::set_send_buffer_size,
        TcpSocket::set_recv_buffer_size,
        TcpSocket::set_tclass_v6,
        TcpSocket::set_tos_v4,
        TcpSocket::set_tos,
    ];
    let _: Get<TcpSocket, Option<Duration>> = TcpSocket::linger;
    let _: Set<TcpSocket, Option<Duration>> = TcpSocket::set_linger;
    // Only tokio's is deprecated: it blocks when it is dropped.
    let _: Set<TcpStream, Option<Duration>> = TcpStream::set_linger;
    let _: Get<TcpSocket, ()> = TcpSocket::set_zero_linger;
    let _: Get<TcpSocket, SocketAddr> = TcpSocket::local_addr;
    let _: Get<TcpSocket, Option<io::Error>> = TcpSocket::take_error;
    let _: Set<TcpSocket, SocketAddr> = TcpSocket::bind;
    let _: fn(TcpSocket, u32) -> io::Result<TcpListener> = TcpSocket::listen;
    compiles(|socket: TcpSocket, remote: SocketAddr| {
        gives::<io::Result<TcpStream>>(socket.connect(remote));
    });
}

#[test]
fn streams_have_tokio_s_signatures() {
    compiles(|stream: &'static TcpStream, buffer: &'static mut [u8]| {
        gives::<io::Result<TcpStream>>(TcpStream::connect("127.0.0.1:1"));
        gives::<io::Result<Ready>>(stream.ready(Interest::READABLE));
        gives::<io::Result<()>>(stream.readable());
        gives::<io::Result<()>>(stream.writable());
        gives::<io::Result<usize>>(stream.peek(buffer));
        gives::<io::Result<u8>>(stream.async_io(Interest::READABLE, || Ok(1)));
    });
    let _: [Get<TcpStream, SocketAddr>; 2] = [TcpStream::local_addr, TcpStream::peer_addr];
    let _: Get<TcpStream, Option<io::Error>> = TcpStream::take_error;
    let _: PollFill<TcpStream, usize> = TcpStream::poll_peek;
    let _: [PollReady<TcpStream>; 2] = [TcpStream::poll_read_ready, TcpStream::poll_write_ready];
    let _: Fill<TcpStream, usize> = TcpStream::try_read;
    let _: fn(&TcpStream, &mut [IoSliceMut<'_>]) -> io::Result<usize> = TcpStream::try_read_vectored;
    let _: fn(&TcpStream, &mut Vec<u8>) -> io::Result<usize> = TcpStream::try_read_buf;
    let _: fn(&TcpStream, &[u8]) -> io::Result<usize> = TcpStream::try_write;
    let _: fn(&TcpStream, &[IoSlice<'_>]) -> io::Result<usize> = TcpStream::try_write_vectored;
    compiles(|stream: &TcpStream, work: Work| -> io::Result<u8> { stream.try_io(Interest::READABLE, work) });
    let _: [Get<TcpStream, bool>; 2] = [TcpStream::nodelay, TcpStream::quickack];
    let _: [Set<TcpStream, bool>; 2] = [TcpStream::set_nodelay, TcpStream::set_quickack];
    let _: Get<TcpStream, u32> = TcpStream::ttl;
    let _: Set<TcpStream, u32> = TcpStream::set_ttl;
    let _: Get<TcpStream, Option<Duration>> = TcpStream::linger;
    let _: Get<TcpStream, ()> = TcpStream::set_zero_linger;
    let _: for<'a> fn(&'a mut TcpStream) -> (ReadHalf<'a>, WriteHalf<'a>) = TcpStream::split;
    let _: fn(TcpStream) -> (OwnedReadHalf, OwnedWriteHalf) = TcpStream::into_split;
}

/// The calls of a half that reads.
macro_rules! check_read_half {
    ($half:ty) => {
        compiles(|half: &'static mut $half, buffer: &'static mut [u8]| {
            gives::<io::Result<usize>>(half.peek(buffer));
        });
        compiles(|half: &'static $half| {
            gives::<io::Result<Ready>>(half.ready(Interest::READABLE));
            gives::<io::Result<()>>(half.readable());
        });
        let _: fn(&mut $half, &mut Context<'_>, &mut ReadBuf<'_>) -> Poll<io::Result<usize>> =
            <$half>::poll_peek;
        let _: Fill<$half, usize> = <$half>::try_read;
        let _: fn(&$half, &mut [IoSliceMut<'_>]) -> io::Result<usize> = <$half>::try_read_vectored;
        let _: fn(&$half, &mut Vec<u8>) -> io::Result<usize> = <$half>::try_read_buf;
        let _: [Get<$half, SocketAddr>; 2] = [<$half>::local_addr, <$half>::peer_addr];
    };
}

/// The calls of a half that writes.
macro_rules! check_write_half {
    ($half:ty) => {
        compiles(|half: &'static $half| {
            gives::<io::Result<Ready>>(half.ready(Interest::WRITABLE));
            gives::<io::Result<()>>(half.writable());
        });
        let _: fn(&$half, &[u8]) -> io::Result<usize> = <$half>::try_write;
        let _: fn(&$half, &[IoSlice<'_>]) -> io::Result<usize> = <$half>::try_write_vectored;
        let _: [Get<$half, SocketAddr>; 2] = [<$half>::local_addr, <$half>::peer_addr];
    };
}

#[test]
fn halves_have_tokio_s_signatures() {
    check_read_half!(OwnedReadHalf);
    check_read_half!(ReadHalf<'static>);
    check_write_half!(OwnedWriteHalf);
    check_write_half!(WriteHalf<'static>);
    let _: fn(OwnedReadHalf, OwnedWriteHalf) -> Result<TcpStream, ReuniteError> = OwnedReadHalf::reunite;
    let _: fn(OwnedWriteHalf, OwnedReadHalf) -> Result<TcpStream, ReuniteError> = OwnedWriteHalf::reunite;
    let _: fn(OwnedWriteHalf) = OwnedWriteHalf::forget;
    let _: fn(OwnedReadHalf, OwnedWriteHalf) -> ReuniteError = ReuniteError;
}

#[test]
fn datagram_sockets_wait_with_tokio_s_signatures() {
    type Sender = SocketAddr;
    compiles(
        |socket: &'static UdpSocket,
         buffer: fn() -> &'static mut [u8],
         growing: fn() -> &'static mut Vec<u8>| {
            gives::<io::Result<UdpSocket>>(UdpSocket::bind("127.0.0.1:0"));
            gives::<io::Result<()>>(socket.connect("127.0.0.1:1"));
            gives::<io::Result<Ready>>(socket.ready(Interest::READABLE));
            gives::<io::Result<()>>(socket.readable());
            gives::<io::Result<()>>(socket.writable());
            gives::<io::Result<usize>>(socket.send(b"x"));
            gives::<io::Result<usize>>(socket.send_to(b"x", "127.0.0.1:1"));
            gives::<io::Result<usize>>(socket.recv(buffer()));
            gives::<io::Result<(usize, Sender)>>(socket.recv_from(buffer()));
            gives::<io::Result<usize>>(socket.recv_buf(growing()));
            gives::<io::Result<(usize, Sender)>>(socket.recv_buf_from(growing()));
            gives::<io::Result<usize>>(socket.peek(buffer()));
            gives::<io::Result<(usize, Sender)>>(socket.peek_from(buffer()));
            gives::<io::Result<Sender>>(socket.peek_sender());
            gives::<io::Result<u8>>(socket.async_io(Interest::READABLE, || Ok(1)));
        },
    );
    let _: [PollReady<UdpSocket>; 2] = [UdpSocket::poll_send_ready, UdpSocket::poll_recv_ready];
    let _: fn(&UdpSocket, &mut Context<'_>, &[u8]) -> Poll<io::Result<usize>> = UdpSocket::poll_send;
    let _: fn(&UdpSocket, &mut Context<'_>, &[u8], SocketAddr) -> Poll<io::Result<usize>> =
        UdpSocket::poll_send_to;
    let _: [PollFill<UdpSocket, ()>; 2] = [UdpSocket::poll_recv, UdpSocket::poll_peek];
    let _: [PollFill<UdpSocket, Sender>; 2] = [UdpSocket::poll_recv_from, UdpSocket::poll_peek_from];
    let _: fn(&UdpSocket, &mut Context<'_>) -> Poll<io::Result<Sender>> = UdpSocket::poll_peek_sender;
    let _: fn(&UdpSocket, &[u8]) -> io::Result<usize> = UdpSocket::try_send;
    let _: fn(&UdpSocket, &[u8], SocketAddr) -> io::Result<usize> = UdpSocket::try_send_to;
    let _: [Fill<UdpSocket, usize>; 2] = [UdpSocket::try_recv, UdpSocket::try_peek];
    let _: [Fill<UdpSocket, (usize, Sender)>; 2] = [UdpSocket::try_recv_from, UdpSocket::try_peek_from];
    let _: fn(&UdpSocket, &mut Vec<u8>) -> io::Result<usize> = UdpSocket::try_recv_buf;
    let _: fn(&UdpSocket, &mut Vec<u8>) -> io::Result<(usize, Sender)> = UdpSocket::try_recv_buf_from;
    compiles(|socket: &UdpSocket, work: Work| -> io::Result<u8> { socket.try_io(Interest::READABLE, work) });
}

#[test]
#[expect(deprecated, reason = "they are names, too")]
fn datagram_sockets_are_told_with_tokio_s_signatures() {
    let _: [Get<UdpSocket, SocketAddr>; 3] =
        [UdpSocket::local_addr, UdpSocket::peer_addr, UdpSocket::try_peek_sender];
    let _: Get<UdpSocket, Option<io::Error>> = UdpSocket::take_error;
    let _: [Get<UdpSocket, bool>; 3] =
        [UdpSocket::broadcast, UdpSocket::multicast_loop_v4, UdpSocket::multicast_loop_v6];
    let _: [Set<UdpSocket, bool>; 3] =
        [UdpSocket::set_broadcast, UdpSocket::set_multicast_loop_v4, UdpSocket::set_multicast_loop_v6];
    let _: [Get<UdpSocket, u32>; 5] = [
        UdpSocket::multicast_ttl_v4,
        UdpSocket::tclass_v6,
        UdpSocket::ttl,
        UdpSocket::tos_v4,
        UdpSocket::tos,
    ];
    let _: [Set<UdpSocket, u32>; 5] = [
        UdpSocket::set_multicast_ttl_v4,
        UdpSocket::set_tclass_v6,
        UdpSocket::set_ttl,
        UdpSocket::set_tos_v4,
        UdpSocket::set_tos,
    ];
    let _: [fn(&UdpSocket, Ipv4Addr, Ipv4Addr) -> io::Result<()>; 2] =
        [UdpSocket::join_multicast_v4, UdpSocket::leave_multicast_v4];
    let _: [fn(&UdpSocket, &Ipv6Addr, u32) -> io::Result<()>; 2] =
        [UdpSocket::join_multicast_v6, UdpSocket::leave_multicast_v6];
}

#[test]
fn names_are_looked_up_with_tokio_s_signatures() {
    fn names<T: ToSocketAddrs + ?Sized>() {}
    let _: [fn(); 12] = [
        names::<SocketAddr>,
        names::<SocketAddrV4>,
        names::<SocketAddrV6>,
        names::<(IpAddr, u16)>,
        names::<(Ipv4Addr, u16)>,
        names::<(Ipv6Addr, u16)>,
        names::<&[SocketAddr]>,
        names::<str>,
        names::<String>,
        names::<(&str, u16)>,
        names::<(String, u16)>,
        names::<&&str>,
    ];
    compiles(|| async {
        lookup_host("localhost:1").await.map(|mut all| -> Option<SocketAddr> { all.next() })
    });
}

#[test]
fn all_have_tokio_s_traits() {
    fn reads<T: AsyncRead + AsRef<TcpStream> + Debug + Send + Sync + Unpin>() {}
    fn writes<T: AsyncWrite + AsRef<TcpStream> + Debug + Send + Sync + Unpin>() {}
    fn is_a_socket<T: Debug + Send + Sync + Unpin + 'static>() {}
    fn is_an_error<T: Error + Display + Debug + Send + Sync + 'static>() {}
    let _: [fn(); 10] = [
        reads::<TcpStream>,
        reads::<OwnedReadHalf>,
        reads::<ReadHalf<'_>>,
        writes::<TcpStream>,
        writes::<OwnedWriteHalf>,
        writes::<WriteHalf<'_>>,
        is_a_socket::<TcpListener>,
        is_a_socket::<TcpSocket>,
        is_a_socket::<UdpSocket>,
        is_an_error::<ReuniteError>,
    ];
}
