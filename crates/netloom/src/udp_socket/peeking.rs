//! Looking at the next datagram without taking it.

use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use tokio::io::ReadBuf;

use super::UdpSocket;
use crate::handle::Take;
use crate::wakers::wait_for;

impl UdpSocket {
    /// Copies the next datagram without taking it. Cancel safe.
    ///
    /// # Errors
    /// As [`recv_from`](Self::recv_from).
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/datagrams.md")]
    /// there.send_to(b"question", "10.0.0.1:53").await?;
    /// assert_eq!(here.peek_from(&mut [0; 512]).await?, (8, there.local_addr()?));
    /// // It is still there.
    /// assert_eq!(here.try_recv(&mut [0; 512])?, 8);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn peek_from(&self, mut buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        wait_for(|cx| self.poll_take(cx, &mut buf, Take::No), |waker| self.give_up(waker)).await
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
    /// let from = std::future::poll_fn(|cx| here.poll_peek_from(cx, &mut buffer)).await?;
    /// assert_eq!((buffer.filled(), from), (&b"question"[..], there.local_addr()?));
    /// # Ok(())
    /// # }
    /// ```
    pub fn poll_peek_from(
        &self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<SocketAddr>> {
        self.poll_take(cx, buf, Take::No).map_ok(|(_, remote)| remote)
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
    /// assert_eq!(here.try_peek_from(&mut [0; 512])?, (8, there.local_addr()?));
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_peek_from(&self, mut buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.with_open(|shard| self.take(shard, &mut buf, Take::No))
    }

    /// Copies the next datagram without taking it, and without its sender. Cancel safe.
    ///
    /// # Errors
    /// As [`recv_from`](Self::recv_from).
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/datagrams.md")]
    /// there.send_to(b"question", "10.0.0.1:53").await?;
    /// assert_eq!(here.peek(&mut [0; 512]).await?, 8);
    /// assert_eq!(here.try_recv(&mut [0; 512])?, 8);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(self.peek_from(buf).await?.0)
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
    /// std::future::poll_fn(|cx| here.poll_peek(cx, &mut buffer)).await?;
    /// assert_eq!(buffer.filled(), b"question");
    /// # Ok(())
    /// # }
    /// ```
    pub fn poll_peek(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.poll_peek_from(cx, buf).map_ok(drop)
    }

    /// The same if one is there.
    ///
    /// # Errors
    /// As [`recv_from`](Self::recv_from), and `WouldBlock`.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/datagrams.md")]
    /// let nothing = here.try_peek(&mut [0; 512]).unwrap_err();
    /// assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock);
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(self.try_peek_from(buf)?.0)
    }

    /// Who sent the next datagram. Cancel safe.
    ///
    /// # Errors
    /// As [`recv_from`](Self::recv_from).
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/datagrams.md")]
    /// there.send_to(b"question", "10.0.0.1:53").await?;
    /// assert_eq!(here.peek_sender().await?, there.local_addr()?);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn peek_sender(&self) -> io::Result<SocketAddr> {
        Ok(self.peek_from(&mut []).await?.1)
    }

    /// The same for `poll` functions.
    ///
    /// # Errors
    /// As [`recv_from`](Self::recv_from).
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/datagrams.md")]
    /// there.send_to(b"question", "10.0.0.1:53").await?;
    /// let from = std::future::poll_fn(|cx| here.poll_peek_sender(cx)).await?;
    /// assert_eq!(from, there.local_addr()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn poll_peek_sender(&self, cx: &mut Context<'_>) -> Poll<io::Result<SocketAddr>> {
        self.poll_peek_from(cx, &mut ReadBuf::new(&mut []))
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
    /// assert_eq!(here.try_peek_sender()?, there.local_addr()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_peek_sender(&self) -> io::Result<SocketAddr> {
        Ok(self.try_peek_from(&mut [])?.1)
    }
}
