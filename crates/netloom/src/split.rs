//! The two halves of a TCP connection.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::tcp_stream::{Handle, TcpStream};

/// Reads from a [`TcpStream`] that is borrowed.
#[derive(Debug)]
pub struct ReadHalf<'a>(&'a TcpStream);

/// Writes to a [`TcpStream`] that is borrowed.
#[derive(Debug)]
pub struct WriteHalf<'a>(&'a TcpStream);

/// Reads from a connection; owns its share of it.
#[derive(Debug)]
pub struct OwnedReadHalf(Arc<Handle>);

/// Writes to a connection; owns its share of it. When it is dropped, FIN is sent, as tokio's does.
#[derive(Debug)]
pub struct OwnedWriteHalf {
    handle: Arc<Handle>,
    /// Cleared when the halves are put together again.
    shutdown_on_drop: bool,
}

/// Halves of different streams were put together: here they are back.
#[derive(Debug)]
pub struct ReuniteError(pub OwnedReadHalf, pub OwnedWriteHalf);

impl std::fmt::Display for ReuniteError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("tried to reunite halves that are not from the same socket")
    }
}

impl std::error::Error for ReuniteError {}

impl TcpStream {
    /// Both halves, for as long as the stream is borrowed.
    pub fn split(&mut self) -> (ReadHalf<'_>, WriteHalf<'_>) {
        (ReadHalf(self), WriteHalf(self))
    }

    /// Both halves, to be moved to different tasks.
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        let write = OwnedWriteHalf { handle: Arc::clone(&self.handle), shutdown_on_drop: true };
        (OwnedReadHalf(self.handle), write)
    }
}

impl OwnedReadHalf {
    /// Puts the halves together again.
    ///
    /// # Errors
    /// If they are not of one stream.
    pub fn reunite(self, mut other: OwnedWriteHalf) -> Result<TcpStream, ReuniteError> {
        if !Arc::ptr_eq(&self.0, &other.handle) {
            return Err(ReuniteError(self, other));
        }
        other.shutdown_on_drop = false;
        Ok(TcpStream { handle: self.0 })
    }

    /// The connection's own address.
    ///
    /// # Errors
    /// Never; the signature is tokio's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.0.local())
    }

    /// The peer's address.
    ///
    /// # Errors
    /// Never; the signature is tokio's.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.0.remote())
    }
}

impl OwnedWriteHalf {
    /// Closes the connection's last handle without FIN from this half: the other half decides.
    pub fn forget(mut self) {
        self.shutdown_on_drop = false;
    }

    /// The connection's own address.
    ///
    /// # Errors
    /// Never; the signature is tokio's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.handle.local())
    }

    /// The peer's address.
    ///
    /// # Errors
    /// Never; the signature is tokio's.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.handle.remote())
    }
}

impl Drop for OwnedWriteHalf {
    fn drop(&mut self) {
        if self.shutdown_on_drop {
            // A connection that has ended already needs no FIN.
            let _ = self.handle.shutdown_write();
        }
    }
}

macro_rules! read_half {
    ($half:ty, |$this:ident| $handle:expr) => {
        impl AsyncRead for $half {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buffer: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                let $this = self;
                $handle.poll_read(cx, buffer)
            }
        }
    };
}

macro_rules! write_half {
    ($half:ty, |$this:ident| $handle:expr) => {
        impl AsyncWrite for $half {
            fn poll_write(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bytes: &[u8],
            ) -> Poll<io::Result<usize>> {
                let $this = self;
                $handle.poll_write(cx, &[io::IoSlice::new(bytes)])
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                pieces: &[io::IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                let $this = self;
                $handle.poll_write(cx, pieces)
            }

            fn is_write_vectored(&self) -> bool {
                true
            }

            fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }

            fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                let $this = self;
                Poll::Ready($handle.shutdown_write())
            }
        }
    };
}

read_half!(ReadHalf<'_>, |this| this.0.handle);
read_half!(OwnedReadHalf, |this| this.0);
write_half!(WriteHalf<'_>, |this| this.0.handle);
write_half!(OwnedWriteHalf, |this| this.handle);
