//! A TCP connection.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use netloom_stack::Instant;
use netloom_stack::transport::{Recv, SocketOptions, TcpBind, TcpInfo, TcpSocketId};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::error;
use crate::shard::{Shard, Shared};
use crate::wakers::{Interest, SocketKey};

/// A TCP connection, as [`tokio::net::TcpStream`].
///
/// Dropping it closes it as `close()` does: what was written is still delivered, then FIN; if data was received that
/// nobody read, the peer is told by a reset.
#[derive(Debug)]
pub struct TcpStream {
    pub(crate) handle: Arc<Handle>,
}

/// The socket itself; the halves of a split stream share it, and the last one closes it.
#[derive(Debug)]
pub(crate) struct Handle {
    shared: Arc<Shared>,
    id: TcpSocketId,
    local: SocketAddr,
    remote: SocketAddr,
}

impl TcpStream {
    pub(crate) fn new(shared: Arc<Shared>, id: TcpSocketId, local: SocketAddr, remote: SocketAddr) -> Self {
        Self { handle: Arc::new(Handle { shared, id, local, remote }) }
    }

    pub(crate) async fn connect(
        shared: &Arc<Shared>,
        local: TcpBind,
        remote: SocketAddr,
    ) -> io::Result<Self> {
        let shared = Arc::clone(shared);
        let (id, local) = shared.with(|shard, now| {
            shard.check_open()?;
            let mut tcp = shard.stack.tcp();
            let id = tcp.connect(now, local, remote, &SocketOptions::default()).map_err(error::of_connect)?;
            let local = tcp.local_addr(id).ok_or_else(error::gone)?;
            Ok::<_, io::Error>((id, local))
        })?;
        // Dropped before the handshake ends, the stream closes the connection again: connecting is cancel safe.
        let stream = Self::new(shared, id, local, remote);
        poll_fn(|cx| stream.handle.poll_connected(cx)).await?;
        Ok(stream)
    }

    /// The connection's own address.
    ///
    /// # Errors
    /// Never; the signature is tokio's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.handle.local)
    }

    /// The peer's address.
    ///
    /// # Errors
    /// Never; the signature is tokio's.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.handle.remote)
    }

    /// Whether small writes leave at once (`true`) or wait for the acknowledgment of what is in flight (RFC 9293 3.7.4).
    ///
    /// # Errors
    /// `NotConnected` once the connection is gone.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.handle.with_open(|shard, now, id| {
            shard.stack.tcp().set_nodelay(now, id, nodelay).map_err(|_| error::gone())
        })
    }

    /// What [`set_nodelay`](Self::set_nodelay) set.
    ///
    /// # Errors
    /// `NotConnected` once the connection is gone.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.handle.with_open(|shard, _, id| shard.stack.tcp().nodelay(id).ok_or_else(error::gone))
    }

    /// Sets the cork (TCP_CORK): while it is set only full segments leave, and what is less waits for more, up to 200 ms.
    /// When it is taken out the rest leaves at once.
    ///
    /// # Errors
    /// If the connection is gone.
    pub fn set_cork(&self, cork: bool) -> io::Result<()> {
        self.handle
            .with_open(|shard, now, id| shard.stack.tcp().set_cork(now, id, cork).map_err(|_| error::gone()))
    }

    /// State, round-trip time, windows, counters.
    pub fn info(&self) -> Option<TcpInfo> {
        self.handle.shared.with(|shard, _| shard.stack.tcp().info(self.handle.id))
    }

    /// Copies received data without taking it; waits until there is some. 0 is the end of the stream.
    ///
    /// # Errors
    /// As reading.
    pub async fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        poll_fn(|cx| self.handle.poll_receive(cx, |shard, _, id| shard.stack.tcp().peek(id, buffer))).await
    }

    /// Ends the connection at once with a reset, and drops what was not sent.
    pub fn abort(self) {
        self.handle.shared.with(|shard, now| shard.stack.tcp().abort(now, self.handle.id));
    }
}

impl Handle {
    fn with_open<R>(
        &self,
        work: impl FnOnce(&mut Shard, Instant, TcpSocketId) -> io::Result<R>,
    ) -> io::Result<R> {
        self.shared.with(|shard, now| {
            shard.check_open()?;
            work(shard, now, self.id)
        })
    }

    /// Does `work` once, and lists the task for `interest` if there is nothing to do yet.
    fn poll<R>(
        &self,
        cx: &Context<'_>,
        interest: Interest,
        work: impl FnOnce(&mut Shard, Instant, TcpSocketId) -> Poll<io::Result<R>>,
    ) -> Poll<io::Result<R>> {
        self.shared.with(|shard, now| {
            if let Err(error) = shard.check_open() {
                return Poll::Ready(Err(error));
            }
            let result = work(shard, now, self.id);
            if result.is_pending() {
                shard.wakers.wait(SocketKey::Tcp(self.id), interest, cx.waker());
            }
            result
        })
    }

    fn poll_connected(&self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        self.poll(cx, Interest::Write, |shard, _, id| match shard.stack.tcp().connected(id) {
            Ok(true) => Poll::Ready(Ok(())),
            Ok(false) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error::of_tcp(error))),
        })
    }

    /// Receives through `receive`; waits while there is nothing.
    fn poll_receive(
        &self,
        cx: &Context<'_>,
        receive: impl FnOnce(
            &mut Shard,
            Instant,
            TcpSocketId,
        ) -> Result<Recv, netloom_stack::transport::RecvError>,
    ) -> Poll<io::Result<usize>> {
        self.poll(cx, Interest::Read, |shard, now, id| match receive(shard, now, id) {
            Ok(Recv::Data(count)) => Poll::Ready(Ok(count)),
            Ok(Recv::EndOfStream) => Poll::Ready(Ok(0)),
            Ok(Recv::WouldBlock) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error::of_recv(error))),
        })
    }

    pub(crate) fn poll_read(&self, cx: &Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let target = buffer.initialize_unfilled();
        match self.poll_receive(cx, |shard, now, id| shard.stack.tcp().recv(now, id, target)) {
            Poll::Ready(Ok(count)) => {
                buffer.advance(count);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        }
    }

    pub(crate) fn poll_write(&self, cx: &Context<'_>, pieces: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if pieces.iter().all(|piece| piece.is_empty()) {
            return Poll::Ready(Ok(0));
        }
        self.poll(cx, Interest::Write, |shard, now, id| {
            let mut written = 0;
            for piece in pieces {
                match shard.stack.tcp().send(now, id, piece) {
                    Ok(count) => {
                        written += count;
                        if count < piece.len() {
                            break;
                        }
                    }
                    // What went before the error is reported first; the error comes with the next call.
                    Err(_) if written > 0 => break,
                    Err(error) => return Poll::Ready(Err(error::of_send(error))),
                }
            }
            if written == 0 { Poll::Pending } else { Poll::Ready(Ok(written)) }
        })
    }

    pub(crate) fn shutdown_write(&self) -> io::Result<()> {
        self.with_open(|shard, now, id| shard.stack.tcp().shutdown_write(now, id).map_err(error::of_send))
    }

    pub(crate) const fn local(&self) -> SocketAddr {
        self.local
    }

    pub(crate) const fn remote(&self) -> SocketAddr {
        self.remote
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.with(|shard, now| {
            shard.stack.tcp().close(now, self.id);
            shard.wakers.forget(SocketKey::Tcp(self.id));
        });
    }
}

impl AsyncRead for TcpStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.handle.poll_read(cx, buffer)
    }
}

impl AsyncWrite for TcpStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.handle.poll_write(cx, &[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.handle.poll_write(cx, pieces)
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
