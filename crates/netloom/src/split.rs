//! The two halves of a TCP connection.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::BufMut;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf, Ready};

use crate::handle::Take;
use crate::tcp_stream::TcpStream;
use crate::wakers::Claim;

/// Reads from a [`TcpStream`] that is borrowed.
///
/// # Examples
/// ```
#[doc = include_str!("doc/two_hosts.md")]
/// # let listener = server.tcp_listen("10.0.0.1:80").await?;
/// # let mut outgoing = client.tcp_connect(listener.local_addr()?).await?;
/// # let (mut incoming, _) = listener.accept().await?;
/// # tokio::io::AsyncWriteExt::write_all(&mut outgoing, b"to and fro").await?;
/// # tokio::io::AsyncWriteExt::shutdown(&mut outgoing).await?;
/// // An echo server's whole work.
/// let (mut reader, mut writer) = incoming.split();
/// assert_eq!(tokio::io::copy(&mut reader, &mut writer).await?, 10);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct ReadHalf<'a>(&'a TcpStream);

/// Writes to a [`TcpStream`] that is borrowed.
///
/// # Examples
/// ```
#[doc = include_str!("doc/two_hosts.md")]
/// # let listener = server.tcp_listen("10.0.0.1:80").await?;
/// # let mut outgoing = client.tcp_connect(listener.local_addr()?).await?;
/// let (_, mut writer) = outgoing.split();
/// tokio::io::AsyncWriteExt::write_all(&mut writer, b"question").await?;
/// assert_eq!(writer.peer_addr()?, listener.local_addr()?);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct WriteHalf<'a>(&'a TcpStream);

/// Reads from a connection; owns its share of it.
///
/// # Examples
/// ```
#[doc = include_str!("doc/two_hosts.md")]
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// let listener = server.tcp_listen("10.0.0.1:80").await?;
/// let (mut reader, _writer) = client.tcp_connect(listener.local_addr()?).await?.into_split();
/// let reading = tokio::spawn(async move {
///     let mut text = [0; 6];
///     reader.read_exact(&mut text).await.map(|_| text)
/// });
/// listener.accept().await?.0.write_all(b"answer").await?;
/// assert_eq!(&reading.await??, b"answer");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct OwnedReadHalf(TcpStream);

/// Writes to a connection; owns its share of it. When it is dropped, FIN is sent, as tokio's does.
///
/// # Examples
/// ```
#[doc = include_str!("doc/two_hosts.md")]
/// use tokio::io::AsyncReadExt;
///
/// let listener = server.tcp_listen("10.0.0.1:80").await?;
/// let (_reader, writer) = client.tcp_connect(listener.local_addr()?).await?.into_split();
/// let (mut incoming, _) = listener.accept().await?;
/// drop(writer);
/// // The end of what the client sends; it can still be answered.
/// assert_eq!(incoming.read(&mut [0]).await?, 0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct OwnedWriteHalf {
    stream: TcpStream,
    /// Cleared when the halves are put together again.
    shutdown_on_drop: bool,
}

/// Halves of different streams were put together: here they are back.
///
/// # Examples
/// ```
#[doc = include_str!("doc/two_hosts.md")]
/// let listener = server.tcp_listen("10.0.0.1:80").await?;
/// let (reader, _) = client.tcp_connect(listener.local_addr()?).await?.into_split();
/// let (_, writer) = client.tcp_connect(listener.local_addr()?).await?.into_split();
/// let netloom::ReuniteError(reader, writer) = reader.reunite(writer).expect_err("two connections");
/// assert_ne!(reader.local_addr()?, writer.local_addr()?);
/// # Ok(())
/// # }
/// ```
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
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/connected.md")]
    /// use tokio::io::AsyncWriteExt;
    ///
    /// let (reader, mut writer) = outgoing.split();
    /// writer.write_all(b"hello").await?;
    /// assert_eq!(incoming.recv_bytes(100).await?, "hello");
    /// # Ok(())
    /// # }
    /// ```
    pub fn split(&mut self) -> (ReadHalf<'_>, WriteHalf<'_>) {
        (ReadHalf(self), WriteHalf(self))
    }

    /// Both halves, to be moved to different tasks.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/two_hosts.md")]
    /// use tokio::io::{AsyncReadExt, AsyncWriteExt};
    ///
    /// let listener = server.tcp_listen("10.0.0.1:80").await?;
    /// let (mut read, mut write) = client.tcp_connect(listener.local_addr()?).await?.into_split();
    /// let (mut echo, _) = listener.accept().await?;
    /// tokio::spawn(async move {
    ///     let (mut from, mut to) = echo.split();
    ///     tokio::io::copy(&mut from, &mut to).await
    /// });
    /// write.write_all(b"there and back").await?;
    /// // Dropping this half is the end of the stream for the peer; `reunite` would put both together again.
    /// drop(write);
    /// let mut text = String::new();
    /// read.read_to_string(&mut text).await?;
    /// assert_eq!(text, "there and back");
    /// # Ok(())
    /// # }
    /// ```
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        let stream = Self { handle: Arc::clone(&self.handle) };
        (OwnedReadHalf(self), OwnedWriteHalf { stream, shutdown_on_drop: true })
    }
}

impl OwnedReadHalf {
    /// Puts the halves together again.
    ///
    /// # Errors
    /// If they are not of one stream.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/connected.md")]
    /// let (reader, writer) = outgoing.into_split();
    /// let outgoing = reader.reunite(writer).expect("halves of one stream");
    /// outgoing.try_write(b"hello")?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn reunite(self, mut other: OwnedWriteHalf) -> Result<TcpStream, ReuniteError> {
        if !Arc::ptr_eq(&self.0.handle, &other.stream.handle) {
            return Err(ReuniteError(self, other));
        }
        other.shutdown_on_drop = false;
        Ok(self.0)
    }
}

impl OwnedWriteHalf {
    /// Puts the halves together again.
    ///
    /// # Errors
    /// If they are not of one stream.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/connected.md")]
    /// let (reader, writer) = outgoing.into_split();
    /// let outgoing = writer.reunite(reader).expect("halves of one stream");
    /// outgoing.try_write(b"hello")?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn reunite(self, other: OwnedReadHalf) -> Result<TcpStream, ReuniteError> {
        other.reunite(self)
    }

    /// Drops this half without sending FIN; that is left to the other half.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/connected.md")]
    /// let (reader, writer) = outgoing.into_split();
    /// writer.forget();
    /// // No FIN was sent.
    /// let nothing = incoming.try_read(&mut [0]).unwrap_err();
    /// assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock);
    /// # Ok(())
    /// # }
    /// ```
    pub fn forget(mut self) {
        self.shutdown_on_drop = false;
    }
}

impl AsRef<TcpStream> for OwnedReadHalf {
    fn as_ref(&self) -> &TcpStream {
        &self.0
    }
}

impl AsRef<TcpStream> for OwnedWriteHalf {
    fn as_ref(&self) -> &TcpStream {
        &self.stream
    }
}

impl AsRef<TcpStream> for ReadHalf<'_> {
    fn as_ref(&self) -> &TcpStream {
        self.0
    }
}

impl AsRef<TcpStream> for WriteHalf<'_> {
    fn as_ref(&self) -> &TcpStream {
        self.0
    }
}

impl Drop for OwnedWriteHalf {
    fn drop(&mut self) {
        if self.shutdown_on_drop {
            // A connection that has ended already needs no FIN.
            let _ = self.stream.handle.shutdown_write();
        }
    }
}

/// What both kinds of a half can do: as the stream. `$split` is how examples come by one.
macro_rules! half {
    ($half:ty, $split:literal) => {
        impl $half {
            /// As [`TcpStream::local_addr`].
            ///
            /// # Errors
            /// Never; the signature is tokio's.
            ///
            /// # Examples
            /// ```
            #[doc = include_str!("doc/connected.md")]
            #[doc = $split]
            /// assert_eq!(half.local_addr()?, incoming.peer_addr()?);
            /// # Ok(())
            /// # }
            /// ```
            pub fn local_addr(&self) -> io::Result<SocketAddr> {
                self.as_ref().local_addr()
            }

            /// As [`TcpStream::peer_addr`].
            ///
            /// # Errors
            /// Never; the signature is tokio's.
            ///
            /// # Examples
            /// ```
            #[doc = include_str!("doc/connected.md")]
            #[doc = $split]
            /// assert_eq!(half.peer_addr()?, incoming.local_addr()?);
            /// # Ok(())
            /// # }
            /// ```
            pub fn peer_addr(&self) -> io::Result<SocketAddr> {
                self.as_ref().peer_addr()
            }

            /// As [`TcpStream::ready`].
            ///
            /// # Errors
            /// As there.
            ///
            /// # Examples
            /// ```
            #[doc = include_str!("doc/connected.md")]
            #[doc = $split]
            /// let ready = half.ready(tokio::io::Interest::WRITABLE).await?;
            /// assert!(ready.is_writable());
            /// # Ok(())
            /// # }
            /// ```
            pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
                self.as_ref().ready(interest).await
            }
        }
    };
}

macro_rules! read_half {
    ($half:ty, $split:literal) => {
        half!($half, $split);

        impl $half {
            /// As [`TcpStream::readable`].
            ///
            /// # Errors
            /// As there.
            ///
            /// # Examples
            /// ```
            #[doc = include_str!("doc/connected.md")]
            #[doc = $split]
            /// incoming.try_write(b"hello")?;
            /// half.readable().await?;
            /// assert_eq!(half.try_read(&mut [0; 16])?, 5);
            /// # Ok(())
            /// # }
            /// ```
            pub async fn readable(&self) -> io::Result<()> {
                self.as_ref().readable().await
            }

            /// As [`TcpStream::peek`].
            ///
            /// # Errors
            /// As there.
            ///
            /// # Examples
            /// ```
            #[doc = include_str!("doc/connected.md")]
            #[doc = $split]
            /// incoming.try_write(b"hello")?;
            /// assert_eq!(half.peek(&mut [0; 16]).await?, 5);
            /// assert_eq!(half.try_read(&mut [0; 16])?, 5);
            /// # Ok(())
            /// # }
            /// ```
            pub async fn peek(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                self.as_ref().peek(buf).await
            }

            /// As [`TcpStream::poll_peek`].
            ///
            /// # Errors
            /// As there.
            ///
            /// # Examples
            /// ```
            #[doc = include_str!("doc/connected.md")]
            #[doc = $split]
            /// incoming.try_write(b"hello")?;
            /// let mut bytes = [0; 16];
            /// let mut buffer = tokio::io::ReadBuf::new(&mut bytes);
            /// std::future::poll_fn(|cx| half.poll_peek(cx, &mut buffer)).await?;
            /// assert_eq!(buffer.filled(), b"hello");
            /// # Ok(())
            /// # }
            /// ```
            pub fn poll_peek(
                &mut self,
                cx: &mut Context<'_>,
                buf: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<usize>> {
                self.as_ref().poll_peek(cx, buf)
            }

            /// As [`TcpStream::try_read`].
            ///
            /// # Errors
            /// As there.
            ///
            /// # Examples
            /// ```
            #[doc = include_str!("doc/connected.md")]
            #[doc = $split]
            /// incoming.try_write(b"hello")?;
            /// half.readable().await?;
            /// assert_eq!(half.try_read(&mut [0; 16])?, 5);
            /// # Ok(())
            /// # }
            /// ```
            pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
                self.as_ref().try_read(buf)
            }

            /// As [`TcpStream::try_read_vectored`].
            ///
            /// # Errors
            /// As there.
            ///
            /// # Examples
            /// ```
            #[doc = include_str!("doc/connected.md")]
            #[doc = $split]
            /// incoming.try_write(b"hello")?;
            /// half.readable().await?;
            /// let (mut one, mut other) = ([0; 2], [0; 16]);
            /// let mut buffers = [&mut one[..], &mut other].map(std::io::IoSliceMut::new);
            /// assert_eq!(half.try_read_vectored(&mut buffers)?, 5);
            /// # Ok(())
            /// # }
            /// ```
            pub fn try_read_vectored(&self, bufs: &mut [io::IoSliceMut<'_>]) -> io::Result<usize> {
                self.as_ref().try_read_vectored(bufs)
            }

            /// As [`TcpStream::try_read_buf`].
            ///
            /// # Errors
            /// As there.
            ///
            /// # Examples
            /// ```
            #[doc = include_str!("doc/connected.md")]
            #[doc = $split]
            /// incoming.try_write(b"hello")?;
            /// half.readable().await?;
            /// let mut text = Vec::with_capacity(16);
            /// assert_eq!(half.try_read_buf(&mut text)?, 5);
            /// # Ok(())
            /// # }
            /// ```
            pub fn try_read_buf<B: BufMut>(&self, buf: &mut B) -> io::Result<usize> {
                self.as_ref().try_read_buf(buf)
            }
        }

        impl AsyncRead for $half {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buffer: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                let stream: &TcpStream = (*self).as_ref();
                stream.handle.poll_receive(Claim::Sole, cx, buffer, Take::Yes).map_ok(drop)
            }
        }
    };
}

macro_rules! write_half {
    ($half:ty, $split:literal) => {
        half!($half, $split);

        impl $half {
            /// As [`TcpStream::writable`].
            ///
            /// # Errors
            /// As there.
            ///
            /// # Examples
            /// ```
            #[doc = include_str!("doc/connected.md")]
            #[doc = $split]
            /// half.writable().await?;
            /// assert_eq!(half.try_write(b"hello")?, 5);
            /// # Ok(())
            /// # }
            /// ```
            pub async fn writable(&self) -> io::Result<()> {
                self.as_ref().writable().await
            }

            /// As [`TcpStream::try_write`].
            ///
            /// # Errors
            /// As there.
            ///
            /// # Examples
            /// ```
            #[doc = include_str!("doc/connected.md")]
            #[doc = $split]
            /// assert_eq!(half.try_write(b"hello")?, 5);
            /// assert_eq!(incoming.recv_bytes(100).await?, "hello");
            /// # Ok(())
            /// # }
            /// ```
            pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
                self.as_ref().try_write(buf)
            }

            /// As [`TcpStream::try_write_vectored`].
            ///
            /// # Errors
            /// As there.
            ///
            /// # Examples
            /// ```
            #[doc = include_str!("doc/connected.md")]
            #[doc = $split]
            /// let pieces = [b"he", &b"llo"[..]].map(std::io::IoSlice::new);
            /// assert_eq!(half.try_write_vectored(&pieces)?, 5);
            /// # Ok(())
            /// # }
            /// ```
            pub fn try_write_vectored(&self, bufs: &[io::IoSlice<'_>]) -> io::Result<usize> {
                self.as_ref().try_write_vectored(bufs)
            }
        }

        impl AsyncWrite for $half {
            fn poll_write(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bytes: &[u8],
            ) -> Poll<io::Result<usize>> {
                let stream: &TcpStream = (*self).as_ref();
                stream.handle.poll_send(Claim::Sole, cx, &[io::IoSlice::new(bytes)])
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                pieces: &[io::IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                let stream: &TcpStream = (*self).as_ref();
                stream.handle.poll_send(Claim::Sole, cx, pieces)
            }

            fn is_write_vectored(&self) -> bool {
                true
            }

            fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }

            fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                let stream: &TcpStream = (*self).as_ref();
                Poll::Ready(stream.handle.shutdown_write())
            }
        }
    };
}

read_half!(ReadHalf<'_>, "let (mut half, _other) = outgoing.split();");
read_half!(OwnedReadHalf, "let (mut half, _other) = outgoing.into_split();");
write_half!(WriteHalf<'_>, "let (_other, half) = outgoing.split();");
write_half!(OwnedWriteHalf, "let (_other, half) = outgoing.into_split();");
