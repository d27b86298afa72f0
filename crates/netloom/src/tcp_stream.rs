//! A TCP connection.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use netloom_stack::NextHop;
use netloom_stack::transport::{SocketOptions, TcpBind, TcpInfo, TcpSocketId};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf, Ready};
use tokio::net::ToSocketAddrs;

use crate::handle::{Handle, Take};
use crate::host::Host;
use crate::names::first_of;
use crate::shard::{Shard, Shared, canonical};
use crate::wakers::{Claim, wait_for};
use crate::{current, error};

/// The shard that a connection from `local` to `remote` is to belong to: without a port the nearest, which will find a port
/// that makes it so.
fn shard_to_connect(host: &Host, local: TcpBind, remote: SocketAddr) -> &Arc<Shared> {
    if local.port == 0 {
        return host.nearest();
    }
    let path = |shard: &Shard| shard.stack.internet().path(local.address, remote.ip());
    match host.first().look(path) {
        Ok(path) => host.owner_of_flow(SocketAddr::new(path.source, local.port), remote),
        // Whoever is asked says so.
        Err(_) => host.first(),
    }
}

/// Whether `remote` is no single host: there is no connection to a group or a broadcast address.
fn is_many(shard: &Shard, local: TcpBind, remote: SocketAddr) -> bool {
    let internet = shard.stack.internet();
    let next_hop = internet.path(local.address, remote.ip()).map(|path| path.next_hop);
    let is_broadcast = match next_hop {
        Ok(NextHop::Neighbor { interface, address: _ }) if !remote.ip().is_unspecified() => {
            internet.is_broadcast(interface, remote.ip())
        }
        Ok(NextHop::Neighbor { .. } | NextHop::Local) | Err(_) => false,
    };
    remote.ip().is_multicast() || is_broadcast
}

/// A TCP connection, as [`tokio::net::TcpStream`].
///
/// Dropping it closes it as `close()` does: what was written is still delivered, then FIN; if data was received that
/// nobody read, the peer is told by a reset.
///
/// # Examples
/// ```
#[doc = include_str!("doc/two_hosts.md")]
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// let listener = server.tcp_listen("10.0.0.1:80").await?;
/// let mut outgoing = client.tcp_connect(listener.local_addr()?).await?;
/// let (mut incoming, from) = listener.accept().await?;
/// assert_eq!(from, outgoing.local_addr()?);
/// outgoing.set_nodelay(true)?;
/// outgoing.set_ttl(32)?;
///
/// outgoing.write_all(b"question").await?;
/// let mut buffer = [0; 8];
/// assert_eq!(incoming.peek(&mut buffer).await?, 8);
/// // What peeking has shown can be read without waiting.
/// assert_eq!(incoming.try_read(&mut buffer)?, 8);
/// let info = outgoing.info().expect("it lives");
/// println!("round trip {:?}, window {} bytes", info.srtt, info.cwnd);
///
/// // The end: FIN one way, which the other reads; a reset would be `abort`.
/// outgoing.shutdown().await?;
/// assert_eq!(incoming.read(&mut buffer).await?, 0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct TcpStream {
    pub(crate) handle: Arc<Handle>,
}

impl TcpStream {
    pub(crate) fn new(
        shared: Arc<Shared>,
        id: TcpSocketId,
        local: SocketAddr,
        remote: SocketAddr,
        linger: Option<Duration>,
    ) -> Self {
        Self { handle: Arc::new(Handle::new(shared, id, local, remote, linger)) }
    }

    pub(crate) async fn connect_on(
        host: &Host,
        local: TcpBind,
        remote: SocketAddr,
        options: &SocketOptions,
        linger: Option<Duration>,
    ) -> io::Result<Self> {
        let remote = canonical(remote);
        if remote.port() == 0 {
            // Nobody listens there, whoever is asked: as the kernel learns from the answer.
            return Err(ErrorKind::ConnectionRefused.into());
        }
        let shared = Arc::clone(shard_to_connect(host, local, remote));
        let (id, local) = shared.with(|shard, now| {
            shard.check_open()?;
            if is_many(shard, local, remote) {
                return Err(ErrorKind::NetworkUnreachable.into());
            }
            let mut tcp = shard.stack.tcp();
            let id = tcp.connect(now, local, remote, options).map_err(error::of_connect)?;
            let local = tcp.local_addr(id).ok_or_else(error::gone)?;
            Ok::<_, io::Error>((id, local))
        })?;
        // Dropped before the handshake ends, the stream closes the connection again: connecting is cancel safe.
        let stream = Self::new(shared, id, local, remote, linger);
        poll_fn(|cx| stream.handle.poll_connected(cx)).await?;
        Ok(stream)
    }

    /// Connects from any address and port, with the stack's options.
    pub(crate) async fn connect_plainly(host: &Host, remote: SocketAddr) -> io::Result<Self> {
        Self::connect_on(host, TcpBind::default(), remote, &SocketOptions::default(), None).await
    }

    /// Connects over the [`Net`](crate::Net) of this task to the first of the addresses that answers.
    ///
    /// # Errors
    /// The last address's, as [`Net::tcp_connect`](crate::Net::tcp_connect); `NetworkDown` without a [`Net`](crate::Net).
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/two_hosts.md")]
    /// use netloom::net::TcpStream;
    ///
    /// let listener = server.tcp_listen("10.0.0.1:80").await?;
    /// let stream = client.scope(TcpStream::connect("10.0.0.1:80")).await?;
    /// assert_eq!(stream.peer_addr()?, listener.local_addr()?);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn connect<A: ToSocketAddrs>(addr: A) -> io::Result<Self> {
        let host = current::current()?;
        first_of(addr, |remote| Self::connect_plainly(&host, remote)).await
    }

    /// The connection's own address.
    ///
    /// # Errors
    /// Never; the signature is tokio's.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/connected.md")]
    /// assert_eq!(outgoing.local_addr()?.ip(), client.addresses()[0].address());
    /// # Ok(())
    /// # }
    /// ```
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.handle.local())
    }

    /// The peer's address.
    ///
    /// # Errors
    /// Never; the signature is tokio's.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/connected.md")]
    /// assert_eq!(outgoing.peer_addr()?, incoming.local_addr()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.handle.remote())
    }

    /// Why the connection broke, if it did and nobody was told yet; nobody else will be.
    ///
    /// # Errors
    /// `NotConnected` once the stack has ended.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/connected.md")]
    /// assert!(outgoing.take_error()?.is_none());
    /// incoming.abort();
    /// outgoing.readable().await?;
    /// let error = outgoing.take_error()?.expect("a reset");
    /// assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    /// // It is told once.
    /// assert!(outgoing.take_error()?.is_none());
    /// # Ok(())
    /// # }
    /// ```
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.handle.take_error()
    }

    /// Waits until something of `interest` can be done. Cancel safe.
    ///
    /// # Errors
    /// `NotConnected` once the stack has ended.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/connected.md")]
    /// use tokio::io::Interest;
    ///
    /// // Nothing has come yet, but there is room.
    /// let ready = outgoing.ready(Interest::READABLE | Interest::WRITABLE).await?;
    /// assert!(ready.is_writable() && !ready.is_readable());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        wait_for(|cx| self.handle.poll_ready(cx, interest), |waker| self.handle.give_up(waker)).await
    }

    /// Waits until there is something to read: data, the end of the stream, or an error. Cancel safe.
    ///
    /// # Errors
    /// As [`ready`](Self::ready).
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/connected.md")]
    /// incoming.try_write(b"hello")?;
    /// outgoing.readable().await?;
    /// assert_eq!(outgoing.try_read(&mut [0; 16])?, 5);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn readable(&self) -> io::Result<()> {
        self.ready(Interest::READABLE).await.map(drop)
    }

    /// Waits until there is room to write, or a write would fail. Cancel safe.
    ///
    /// # Errors
    /// As [`ready`](Self::ready).
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/connected.md")]
    /// outgoing.writable().await?;
    /// assert_eq!(outgoing.try_write(b"hello")?, 5);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn writable(&self) -> io::Result<()> {
        self.ready(Interest::WRITABLE).await.map(drop)
    }

    /// [`readable`](Self::readable) for `poll` functions. Any number of tasks may wait.
    ///
    /// # Errors
    /// As [`ready`](Self::ready).
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/connected.md")]
    /// incoming.try_write(b"hello")?;
    /// std::future::poll_fn(|cx| outgoing.poll_read_ready(cx)).await?;
    /// assert_eq!(outgoing.try_read(&mut [0; 16])?, 5);
    /// # Ok(())
    /// # }
    /// ```
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.handle.poll_ready(cx, Interest::READABLE).map_ok(drop)
    }

    /// [`writable`](Self::writable) for `poll` functions. Any number of tasks may wait.
    ///
    /// # Errors
    /// As [`ready`](Self::ready).
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/connected.md")]
    /// std::future::poll_fn(|cx| outgoing.poll_write_ready(cx)).await?;
    /// assert_eq!(outgoing.try_write(b"hello")?, 5);
    /// # Ok(())
    /// # }
    /// ```
    pub fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.handle.poll_ready(cx, Interest::WRITABLE).map_ok(drop)
    }

    /// Reads what is there. 0 is the end of the stream, or an empty buffer.
    ///
    /// # Errors
    /// `WouldBlock` while there is nothing; else as reading.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/connected.md")]
    /// let mut buffer = [0; 16];
    /// let nothing = outgoing.try_read(&mut buffer).unwrap_err();
    /// assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock);
    /// drop(incoming);
    /// outgoing.readable().await?;
    /// assert_eq!(outgoing.try_read(&mut buffer)?, 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.handle.try_receive(buf)
    }

    /// The same into several buffers, one after the other.
    ///
    /// # Errors
    /// As [`try_read`](Self::try_read).
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/connected.md")]
    /// use std::io::IoSliceMut;
    ///
    /// incoming.try_write(b"hello")?;
    /// outgoing.readable().await?;
    /// let (mut one, mut other) = ([0; 2], [0; 16]);
    /// let mut buffers = [IoSliceMut::new(&mut one), IoSliceMut::new(&mut other)];
    /// assert_eq!(outgoing.try_read_vectored(&mut buffers)?, 5);
    /// assert_eq!((&one, &other[..3]), (b"he", &b"llo"[..]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_read_vectored(&self, bufs: &mut [io::IoSliceMut<'_>]) -> io::Result<usize> {
        self.handle.try_receive_vectored(bufs)
    }

    /// The same into a growing buffer: as many bytes as its next chunk takes.
    ///
    /// # Errors
    /// As [`try_read`](Self::try_read).
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/connected.md")]
    /// incoming.try_write(b"hello")?;
    /// outgoing.readable().await?;
    /// let mut text = Vec::with_capacity(16);
    /// assert_eq!(outgoing.try_read_buf(&mut text)?, 5);
    /// assert_eq!(text, b"hello");
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_read_buf<B: BufMut>(&self, buf: &mut B) -> io::Result<usize> {
        fill(buf, |target| self.try_read(target))
    }

    /// Writes as much as there is room for.
    ///
    /// # Errors
    /// `WouldBlock` without room; else as writing.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/connected.md")]
    /// let (block, mut written) = ([7; 4096], 0);
    /// let full = loop {
    ///     match outgoing.try_write(&block) {
    ///         Ok(count) => written += count,
    ///         Err(error) => break error,
    ///     }
    /// };
    /// assert_eq!(full.kind(), std::io::ErrorKind::WouldBlock);
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        self.handle.try_send(&[io::IoSlice::new(buf)])
    }

    /// The same from several buffers, one after the other.
    ///
    /// # Errors
    /// As [`try_write`](Self::try_write).
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/connected.md")]
    /// use std::io::IoSlice;
    ///
    /// let pieces = [IoSlice::new(b"head, "), IoSlice::new(b"body")];
    /// assert_eq!(outgoing.try_write_vectored(&pieces)?, 10);
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_write_vectored(&self, bufs: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.handle.try_send(bufs)
    }

    /// Calls `f` if something of `interest` can be done.
    ///
    /// # Errors
    /// `WouldBlock` if nothing of it can be done; else what `f` returns.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/connected.md")]
    /// use std::io::{Error, ErrorKind};
    /// use tokio::io::Interest;
    ///
    /// let nothing = outgoing.try_io(Interest::READABLE, || Ok(())).unwrap_err();
    /// assert_eq!(nothing.kind(), ErrorKind::WouldBlock);
    /// assert_eq!(outgoing.try_io(Interest::WRITABLE, || outgoing.try_write(b"hello"))?, 5);
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_io<R>(&self, interest: Interest, f: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
        if self.handle.ready_now(interest)?.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        f()
    }

    /// Calls `f` whenever something of `interest` can be done, until it returns something other than `WouldBlock`.
    ///
    /// # Errors
    /// What `f` returns, and those of [`ready`](Self::ready).
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/connected.md")]
    /// use tokio::io::Interest;
    ///
    /// incoming.try_write(b"hello")?;
    /// let read = || outgoing.try_read(&mut [0; 16]);
    /// assert_eq!(outgoing.async_io(Interest::READABLE, read).await?, 5);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn async_io<R>(
        &self,
        interest: Interest,
        mut f: impl FnMut() -> io::Result<R>,
    ) -> io::Result<R> {
        loop {
            self.ready(interest).await?;
            match f() {
                Err(error) if error.kind() == ErrorKind::WouldBlock => tokio::task::yield_now().await,
                result => return result,
            }
        }
    }

    /// Copies received data without taking it; waits until there is some. 0 is the end of the stream. Cancel safe.
    ///
    /// # Errors
    /// As reading.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/connected.md")]
    /// incoming.try_write(b"hello")?;
    /// let mut buffer = [0; 16];
    /// assert_eq!(outgoing.peek(&mut buffer).await?, 5);
    /// // It is still there.
    /// assert_eq!(outgoing.try_read(&mut buffer)?, 5);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        let mut buffer = ReadBuf::new(buf);
        wait_for(|cx| self.poll_peek(cx, &mut buffer), |waker| self.handle.give_up(waker)).await
    }

    /// The same for `poll` functions.
    ///
    /// # Errors
    /// As reading.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/connected.md")]
    /// use tokio::io::ReadBuf;
    ///
    /// incoming.try_write(b"hello")?;
    /// let mut bytes = [0; 16];
    /// let mut buffer = ReadBuf::new(&mut bytes);
    /// std::future::poll_fn(|cx| outgoing.poll_peek(cx, &mut buffer)).await?;
    /// assert_eq!(buffer.filled(), b"hello");
    /// # Ok(())
    /// # }
    /// ```
    pub fn poll_peek(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<usize>> {
        self.handle.poll_receive(Claim::Shared, cx, buf, Take::No)
    }

    /// Whether small writes leave at once (`true`) or wait for the acknowledgment of what is in flight (RFC 9293 3.7.4).
    ///
    /// # Errors
    /// `NotConnected` once the connection is gone.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/connected.md")]
    /// outgoing.set_nodelay(true)?;
    /// assert!(outgoing.nodelay()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.handle.with_open(|shard, now, id| {
            shard.stack.tcp().set_nodelay(now, id, nodelay).map_err(|_| error::gone())
        })
    }

    /// What [`set_nodelay`](Self::set_nodelay) set.
    ///
    /// # Errors
    /// `NotConnected` once the connection is gone.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/connected.md")]
    /// assert!(!outgoing.nodelay()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn nodelay(&self) -> io::Result<bool> {
        self.handle.with_open(|shard, _, id| shard.stack.tcp().nodelay(id).ok_or_else(error::gone))
    }

    /// Sets the cork (TCP_CORK): while it is set only full segments leave, and what is less waits for more, up to 200 ms.
    /// When it is taken out the rest leaves at once.
    ///
    /// # Errors
    /// If the connection is gone.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/connected.md")]
    /// outgoing.set_cork(true)?;
    /// outgoing.try_write(b"HTTP/1.1 200 OK\r\n")?;
    /// outgoing.try_write(b"Content-Length: 0\r\n\r\n")?;
    /// // Now all of it leaves, in one segment.
    /// outgoing.set_cork(false)?;
    /// assert_eq!(incoming.recv_bytes(100).await?.len(), 38);
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_cork(&self, cork: bool) -> io::Result<()> {
        self.handle
            .with_open(|shard, now, id| shard.stack.tcp().set_cork(now, id, cork).map_err(|_| error::gone()))
    }

    /// The TTL, or hop limit, of what is sent; 64 unless it was set.
    ///
    /// # Errors
    /// `NotConnected` once the connection is gone.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/connected.md")]
    /// assert_eq!(outgoing.ttl()?, 64);
    /// # Ok(())
    /// # }
    /// ```
    pub fn ttl(&self) -> io::Result<u32> {
        self.handle.with_open(|shard, _, id| {
            let options = shard.stack.tcp().options(id).ok_or_else(error::gone)?;
            Ok(options.hop_limit.map_or(DEFAULT_TTL, u32::from))
        })
    }

    /// Sets the TTL, or hop limit, of what is sent from now on.
    ///
    /// # Errors
    /// `InvalidInput` for 0 and beyond 255, `NotConnected` once the connection is gone.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/connected.md")]
    /// // No further than the neighbours, as BGP may want it.
    /// outgoing.set_ttl(1)?;
    /// assert_eq!(outgoing.ttl()?, 1);
    /// assert!(outgoing.set_ttl(0).is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        let hop_limit = hop_limit(ttl)?;
        self.handle.with_open(|shard, now, id| {
            shard.stack.tcp().set_hop_limit(now, id, Some(hop_limit)).map_err(|_| error::gone())
        })
    }

    /// Whether the next segment is acknowledged at once.
    ///
    /// # Errors
    /// `NotConnected` once the connection is gone.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/connected.md")]
    /// outgoing.set_quickack(false)?;
    /// assert!(!outgoing.quickack()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn quickack(&self) -> io::Result<bool> {
        self.handle.with_open(|shard, _, id| shard.stack.tcp().quickack(id).ok_or_else(error::gone))
    }

    /// Has what comes acknowledged at once for a while, or leaves acknowledgments to the answers. As on Linux it does not
    /// last.
    ///
    /// # Errors
    /// `NotConnected` once the connection is gone.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/connected.md")]
    /// outgoing.set_quickack(true)?;
    /// assert!(outgoing.quickack()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_quickack(&self, quickack: bool) -> io::Result<()> {
        self.handle.with_open(|shard, now, id| {
            shard.stack.tcp().set_quickack(now, id, quickack).map_err(|_| error::gone())
        })
    }

    /// What happens to unsent data when the stream is dropped: `None` and any time other than zero deliver it in the
    /// background, zero drops it and resets the connection. Dropping never blocks.
    ///
    /// # Errors
    /// Never; the signature is tokio's.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/connected.md")]
    /// use std::time::Duration;
    ///
    /// outgoing.set_linger(Some(Duration::from_secs(5)))?;
    /// assert_eq!(outgoing.linger()?, Some(Duration::from_secs(5)));
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_linger(&self, dur: Option<Duration>) -> io::Result<()> {
        self.handle.set_linger(dur);
        Ok(())
    }

    /// Makes dropping the stream reset the connection.
    ///
    /// # Errors
    /// Never; the signature is tokio's.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/connected.md")]
    /// outgoing.set_zero_linger()?;
    /// drop(outgoing);
    /// let error = incoming.recv_bytes(1).await.unwrap_err();
    /// assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_zero_linger(&self) -> io::Result<()> {
        self.set_linger(Some(Duration::ZERO))
    }

    /// What [`set_linger`](Self::set_linger) set.
    ///
    /// # Errors
    /// Never; the signature is tokio's.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/connected.md")]
    /// assert_eq!(outgoing.linger()?, None);
    /// # Ok(())
    /// # }
    /// ```
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        Ok(self.handle.linger())
    }

    /// Receives what is there, at most `limit` bytes, into memory of its own; waits until there is some. Empty at the end of
    /// the stream, or for a `limit` of 0. One copy, out of the connection's queue, as reading makes. Cancel safe. tokio has no
    /// such call.
    ///
    /// # Errors
    /// As reading.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/connected.md")]
    /// incoming.try_write(b"hello")?;
    /// assert_eq!(outgoing.recv_bytes(1 << 16).await?, "hello");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn recv_bytes(&self, limit: usize) -> io::Result<Bytes> {
        wait_for(|cx| self.handle.poll_receive_bytes(cx, limit), |waker| self.handle.give_up(waker)).await
    }

    /// Sends all of `bytes`, and takes from them what the connection took: dropped before it is done, the future leaves the
    /// rest in them. From 64 KiB on they are not copied: the device takes them from where they are, and they are given back
    /// when they are acknowledged; fewer are copied once. tokio has no such call.
    ///
    /// # Errors
    /// As writing; what was taken before is gone from `bytes`.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/two_hosts.md")]
    /// use bytes::Bytes;
    ///
    /// let listener = server.tcp_listen("10.0.0.1:80").await?;
    /// let outgoing = client.tcp_connect(listener.local_addr()?).await?;
    /// let (incoming, _) = listener.accept().await?;
    /// let mut large = Bytes::from(vec![7; 100_000]);
    /// let sending = tokio::spawn(async move { outgoing.send_bytes(&mut large).await });
    /// let mut len = 0;
    /// while len < 100_000 {
    ///     len += incoming.recv_bytes(64 << 10).await?.len();
    /// }
    /// sending.await??;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn send_bytes(&self, bytes: &mut Bytes) -> io::Result<()> {
        while !bytes.is_empty() {
            let count =
                wait_for(|cx| self.handle.poll_send_bytes(cx, bytes), |waker| self.handle.give_up(waker))
                    .await?;
            bytes.advance(count);
        }
        Ok(())
    }

    /// State, round-trip time, windows, counters.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/connected.md")]
    /// let info = outgoing.info().expect("it lives");
    /// println!("{:?}: round trip {:?}, {} bytes may fly", info.state, info.srtt, info.cwnd);
    /// # Ok(())
    /// # }
    /// ```
    pub fn info(&self) -> Option<TcpInfo> {
        self.handle.shared.with(|shard, _| shard.stack.tcp().info(self.handle.id))
    }

    /// Ends the connection at once with a reset, and drops what was not sent.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/connected.md")]
    /// outgoing.abort();
    /// let error = incoming.recv_bytes(1).await.unwrap_err();
    /// assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    /// # Ok(())
    /// # }
    /// ```
    pub fn abort(self) {
        self.handle.shared.with(|shard, now| shard.stack.tcp().abort(now, self.handle.id));
    }
}

/// The TTL of what no socket asks another for.
pub(crate) const DEFAULT_TTL: u32 = 64;

/// A TTL as the kernel takes it.
pub(crate) fn hop_limit(ttl: u32) -> io::Result<u8> {
    u8::try_from(ttl).ok().filter(|&hops| hops > 0).ok_or_else(|| ErrorKind::InvalidInput.into())
}

/// Reads through `read` into the next chunk of `buffer`, up to 64 KiB of it.
pub(crate) fn fill<R: Count>(
    buffer: &mut impl BufMut,
    read: impl FnOnce(&mut [u8]) -> io::Result<R>,
) -> io::Result<R> {
    const MOST: usize = 64 * 1024;
    let mut chunk = vec![0; buffer.chunk_mut().len().min(MOST)];
    let result = read(&mut chunk)?;
    buffer.put_slice(chunk.get(..result.count()).unwrap_or(&chunk));
    Ok(result)
}

/// What a read returns: how many bytes, and maybe from where.
pub(crate) trait Count {
    /// How many bytes.
    fn count(&self) -> usize;
}

impl Count for usize {
    fn count(&self) -> usize {
        *self
    }
}

impl Count for (usize, SocketAddr) {
    fn count(&self) -> usize {
        self.0
    }
}

impl AsRef<Self> for TcpStream {
    fn as_ref(&self) -> &Self {
        self
    }
}

impl AsyncRead for TcpStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.handle.poll_receive(Claim::Sole, cx, buffer, Take::Yes).map_ok(drop)
    }
}

impl AsyncWrite for TcpStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.handle.poll_send(Claim::Sole, cx, &[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.handle.poll_send(Claim::Sole, cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// At once: what was written is on its way already.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Sends FIN after what was written; reading goes on.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.handle.shutdown_write())
    }
}
