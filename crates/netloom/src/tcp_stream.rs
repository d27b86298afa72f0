//! A TCP connection.

mod connecting;
mod options;
mod reporting;
mod urgent;

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use netloom_stack::transport::{TcpInfo, TcpSocketId};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf, Ready};

use crate::handle::{Handle, Take};
use crate::shard::Shared;
use crate::wakers::{Claim, wait_for};

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
        remote: SocketAddr,
        linger: Option<Duration>,
    ) -> Self {
        Self { handle: Arc::new(Handle::new(shared, id, remote, linger)) }
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
        self.handle.local()
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
        self.handle.remote()
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
    pub fn try_read(&self, mut buf: &mut [u8]) -> io::Result<usize> {
        self.handle.try_receive(&mut buf)
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

    /// The same into a growing buffer: as many bytes as its next chunk takes. It must not use sockets of this stack meanwhile.
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
        self.handle.try_receive(buf)
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

    /// Receives what is there, at most `limit` bytes; waits until there is some. Empty at the end of the stream, or for a `limit`
    /// of 0. The bytes come with the memory that the stack keeps them in: what fills a quarter of the buffer that the
    /// device gave it in, in that buffer, so that nobody copies it, and it can be [sent on](Self::send_bytes) from there. They are copied out of
    /// that memory, as reading does, where they fill less than a quarter of it, or are more than `limit`: 65,600 is always enough.
    /// Cancel safe. tokio has no such call.
    ///
    /// What was received no longer counts for the connection's window or memory while it is held.
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
