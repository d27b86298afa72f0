//! Taking datagrams that have come.

use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use bytes::BufMut;
use netloom_stack::transport::UdpReceived;
use tokio::io::{Interest, ReadBuf};

use super::UdpSocket;
use crate::error;
use crate::handle::Take;
use crate::shard::Shard;
use crate::wakers::{Interest as Wait, in_turn, wait_for};

impl UdpSocket {
    /// Receives one datagram; what does not fit `buf` is lost. Cancel safe.
    ///
    /// # Errors
    /// On a connected socket `ConnectionRefused` when the last datagram found no listener.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/datagrams.md")]
    /// there.send_to(b"question", "10.0.0.1:53").await?;
    /// // What does not fit is gone.
    /// let mut buffer = [0; 5];
    /// assert_eq!(here.recv_from(&mut buffer).await?, (5, there.local_addr()?));
    /// assert_eq!(&buffer, b"quest");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn recv_from(&self, mut buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        wait_for(|cx| self.poll_take(cx, &mut buf, Take::Yes), |waker| self.give_up(waker)).await
    }

    /// The same for `poll` functions.
    ///
    /// # Errors
    /// As [`recv_from`](Self::recv_from).
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/datagrams.md")]
    /// use tokio::io::ReadBuf;
    ///
    /// there.send_to(b"question", "10.0.0.1:53").await?;
    /// let mut bytes = [0; 512];
    /// let mut buffer = ReadBuf::new(&mut bytes);
    /// let from = std::future::poll_fn(|cx| here.poll_recv_from(cx, &mut buffer)).await?;
    /// assert_eq!((buffer.filled(), from), (&b"question"[..], there.local_addr()?));
    /// # Ok(())
    /// # }
    /// ```
    pub fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<SocketAddr>> {
        self.poll_take(cx, buf, Take::Yes).map_ok(|(_, remote)| remote)
    }

    /// The same if one is there.
    ///
    /// # Errors
    /// As [`recv_from`](Self::recv_from), and `WouldBlock`.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/datagrams.md")]
    /// let nothing = here.try_recv_from(&mut [0; 512]).unwrap_err();
    /// assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock);
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_recv_from(&self, mut buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.try_recv_buf_from(&mut buf)
    }

    /// The same into the next chunk of a growing buffer, which must not use sockets of this stack meanwhile.
    ///
    /// # Errors
    /// As [`try_recv_from`](Self::try_recv_from).
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/datagrams.md")]
    /// there.send_to(b"question", "10.0.0.1:53").await?;
    /// here.readable().await?;
    /// let mut buffer = Vec::with_capacity(512);
    /// assert_eq!(here.try_recv_buf_from(&mut buffer)?.1, there.local_addr()?);
    /// assert_eq!(buffer, b"question");
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_recv_buf_from<B: BufMut>(&self, buf: &mut B) -> io::Result<(usize, SocketAddr)> {
        self.shared.take(|shard| {
            shard.check_open()?;
            self.take(shard, buf, Take::Yes)
        })
    }

    /// The same, and waits for one. Cancel safe.
    ///
    /// # Errors
    /// As [`recv_from`](Self::recv_from).
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/datagrams.md")]
    /// there.send_to(b"question", "10.0.0.1:53").await?;
    /// let mut buffer = Vec::with_capacity(512);
    /// assert_eq!(here.recv_buf_from(&mut buffer).await?, (8, there.local_addr()?));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn recv_buf_from<B: BufMut>(&self, buf: &mut B) -> io::Result<(usize, SocketAddr)> {
        self.async_io(Interest::READABLE, || self.try_recv_buf_from(buf)).await
    }

    /// Receives one datagram from the connected peer. Cancel safe.
    ///
    /// # Errors
    /// As [`recv_from`](Self::recv_from).
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/datagrams.md")]
    /// here.connect("10.0.0.2:5000").await?;
    /// there.send_to(b"answer", "10.0.0.1:53").await?;
    /// assert_eq!(here.recv(&mut [0; 512]).await?, 6);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(self.recv_from(buf).await?.0)
    }

    /// The same for `poll` functions.
    ///
    /// # Errors
    /// As [`recv_from`](Self::recv_from).
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/datagrams.md")]
    /// use tokio::io::ReadBuf;
    ///
    /// there.send_to(b"question", "10.0.0.1:53").await?;
    /// let mut bytes = [0; 512];
    /// let mut buffer = ReadBuf::new(&mut bytes);
    /// std::future::poll_fn(|cx| here.poll_recv(cx, &mut buffer)).await?;
    /// assert_eq!(buffer.filled(), b"question");
    /// # Ok(())
    /// # }
    /// ```
    pub fn poll_recv(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.poll_recv_from(cx, buf).map_ok(drop)
    }

    /// The same if one is there.
    ///
    /// # Errors
    /// As [`recv_from`](Self::recv_from), and `WouldBlock`.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/datagrams.md")]
    /// there.send_to(b"question", "10.0.0.1:53").await?;
    /// here.readable().await?;
    /// assert_eq!(here.try_recv(&mut [0; 512])?, 8);
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(self.try_recv_from(buf)?.0)
    }

    /// The same into the next chunk of a growing buffer, which must not use sockets of this stack meanwhile.
    ///
    /// # Errors
    /// As [`try_recv`](Self::try_recv).
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/datagrams.md")]
    /// there.send_to(b"question", "10.0.0.1:53").await?;
    /// here.readable().await?;
    /// let mut buffer = Vec::with_capacity(512);
    /// assert_eq!(here.try_recv_buf(&mut buffer)?, 8);
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_recv_buf<B: BufMut>(&self, buf: &mut B) -> io::Result<usize> {
        Ok(self.try_recv_buf_from(buf)?.0)
    }

    /// The same, and waits for one. Cancel safe.
    ///
    /// # Errors
    /// As [`recv_from`](Self::recv_from).
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/datagrams.md")]
    /// there.send_to(b"question", "10.0.0.1:53").await?;
    /// let mut buffer = Vec::with_capacity(512);
    /// assert_eq!(here.recv_buf(&mut buffer).await?, 8);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn recv_buf<B: BufMut>(&self, buf: &mut B) -> io::Result<usize> {
        Ok(self.recv_buf_from(buf).await?.0)
    }

    /// One attempt to receive as much of a datagram as the next chunk of `target` holds.
    pub(super) fn take<B: BufMut>(
        &self,
        shard: &mut Shard,
        target: &mut B,
        take: Take,
    ) -> io::Result<(usize, SocketAddr)> {
        let mut udp = shard.stack.udp();
        let read = |about: UdpReceived, data: &[u8]| {
            let count = data.len().min(target.chunk_mut().len());
            target.put_slice(data.get(..count).unwrap_or(data));
            (count, about.remote)
        };
        match take {
            Take::Yes => udp.recv_with(self.id, read),
            Take::No => udp.peek_with(self.id, read),
        }
        .map_err(error::of_udp_recv)
    }

    pub(super) fn poll_take<B: BufMut>(
        &self,
        cx: &mut Context<'_>,
        target: &mut B,
        take: Take,
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        in_turn(cx, |waker| {
            self.shared.take(|shard| {
                self.attempt_on(shard, waker, &[Wait::Read], |shard| self.take(shard, target, take))
            })
        })
    }
}
