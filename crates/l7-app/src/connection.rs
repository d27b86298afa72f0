//! TCP as a service sees it that sends the same memory again and again, and forgets what it receives.

use std::io;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

/// A TCP connection that may send memory from where it is, and leave what it receives where that is.
pub trait Connection: AsyncRead + AsyncWrite + Send + Unpin + 'static {
    /// Sends all of `bytes`, and takes from them what was sent: dropped before it is done, the future leaves the rest in
    /// them.
    ///
    /// # Errors
    /// As writing.
    fn send_bytes(&mut self, bytes: &mut Bytes) -> impl Future<Output = io::Result<()>> + Send;

    /// Receives some bytes, at most as many as `scratch` has, and says how many: none at the end of the stream. What is in `scratch`
    /// then is of no use.
    ///
    /// # Errors
    /// As reading.
    fn skip(&mut self, scratch: &mut [u8]) -> impl Future<Output = io::Result<usize>> + Send;

    /// How many segments were sent again; `None` if that is not known, or not any more.
    fn retransmits(&self) -> Option<u32>;
}

impl Connection for netloom::TcpStream {
    async fn send_bytes(&mut self, bytes: &mut Bytes) -> io::Result<()> {
        Self::send_bytes(self, bytes).await
    }

    async fn skip(&mut self, scratch: &mut [u8]) -> io::Result<usize> {
        Ok(self.recv_bytes(scratch.len()).await?.len())
    }

    fn retransmits(&self) -> Option<u32> {
        self.info().map(|info| info.retransmits)
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

    async fn skip(&mut self, scratch: &mut [u8]) -> io::Result<usize> {
        self.read(scratch).await
    }

    /// The kernel knows; to ask it takes unsafe code.
    fn retransmits(&self) -> Option<u32> {
        None
    }
}
