//! TCP as a service sees it that sends the same memory again and again.

use std::io;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

/// A TCP connection that may send memory from where it is.
pub trait Connection: AsyncRead + AsyncWrite + Send + Unpin + 'static {
    /// Sends all of `bytes`, and takes from them what was sent: dropped before it is done, the future leaves the rest in
    /// them.
    ///
    /// # Errors
    /// As writing.
    fn send_bytes(&mut self, bytes: &mut Bytes) -> impl Future<Output = io::Result<()>> + Send;
}

impl Connection for netloom::TcpStream {
    async fn send_bytes(&mut self, bytes: &mut Bytes) -> io::Result<()> {
        Self::send_bytes(self, bytes).await
    }
}

impl Connection for TcpStream {
    async fn send_bytes(&mut self, bytes: &mut Bytes) -> io::Result<()> {
        while bytes.has_remaining() {
            if self.write_buf(bytes).await? == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
        Ok(())
    }
}
