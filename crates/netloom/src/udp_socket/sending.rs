//! Sending datagrams, one by one and in trains.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::task::{Context, Poll};

use tokio::net::{ToSocketAddrs, lookup_host};

use super::UdpSocket;
use crate::error;
use crate::hold::Outlook;
use crate::shard::Shard;
use crate::wakers::{Interest as Wait, wait_for};

impl UdpSocket {
    /// Sends one datagram to the first of the addresses; waits for room in the socket's queue. Cancel safe.
    ///
    /// # Errors
    /// `EMSGSIZE` beyond 65,507 bytes, `EAFNOSUPPORT` for an IPv6 address on an IPv4 socket, `NetworkUnreachable` without a
    /// route, `PermissionDenied` for a broadcast that [`set_broadcast`](Self::set_broadcast) did not allow, and on a connected socket `ConnectionRefused` when the last
    /// datagram found no listener.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/datagrams.md")]
    /// assert_eq!(there.send_to(b"question", "10.0.0.1:53").await?, 8);
    /// let (len, from) = here.recv_from(&mut [0; 512]).await?;
    /// assert_eq!((len, from), (8, there.local_addr()?));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn send_to<A: ToSocketAddrs>(&self, buf: &[u8], addr: A) -> io::Result<usize> {
        let target = lookup_host(addr).await?.next().ok_or_else(error::no_address)?;
        wait_for(|cx| self.poll_send_to(cx, buf, target), |waker| self.give_up(waker)).await
    }

    /// The same for `poll` functions.
    ///
    /// # Errors
    /// As [`send_to`](Self::send_to).
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/datagrams.md")]
    /// let target = here.local_addr()?;
    /// std::future::poll_fn(|cx| there.poll_send_to(cx, b"question", target)).await?;
    /// assert_eq!(here.recv(&mut [0; 512]).await?, 8);
    /// # Ok(())
    /// # }
    /// ```
    pub fn poll_send_to(
        &self,
        cx: &mut Context<'_>,
        buf: &[u8],
        target: SocketAddr,
    ) -> Poll<io::Result<usize>> {
        self.poll(cx, &[Wait::Write], |shard| self.transmit(shard, buf, usize::MAX, Some(target)))
    }

    /// The same if there is room now.
    ///
    /// # Errors
    /// As [`send_to`](Self::send_to), and `WouldBlock`.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/datagrams.md")]
    /// assert_eq!(there.try_send_to(b"question", here.local_addr()?)?, 8);
    /// // Broadcasts only for who has asked for them.
    /// let refused = there.try_send_to(b"", "10.0.0.255:53".parse().expect("an address"));
    /// assert_eq!(refused.unwrap_err().kind(), std::io::ErrorKind::PermissionDenied);
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_send_to(&self, buf: &[u8], target: SocketAddr) -> io::Result<usize> {
        self.with_open(|shard| self.transmit(shard, buf, usize::MAX, Some(target)))
    }

    /// Sends one datagram to the connected peer. Cancel safe.
    ///
    /// # Errors
    /// As [`send_to`](Self::send_to), and `EDESTADDRREQ` without a peer.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/datagrams.md")]
    /// there.connect("10.0.0.1:53").await?;
    /// assert_eq!(there.send(b"question").await?, 8);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn send(&self, buf: &[u8]) -> io::Result<usize> {
        wait_for(|cx| self.poll_send(cx, buf), |waker| self.give_up(waker)).await
    }

    /// The same for `poll` functions.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/datagrams.md")]
    /// there.connect("10.0.0.1:53").await?;
    /// std::future::poll_fn(|cx| there.poll_send(cx, b"question")).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn poll_send(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll(cx, &[Wait::Write], |shard| self.transmit(shard, buf, usize::MAX, None))
    }

    /// The same if there is room now.
    ///
    /// # Errors
    /// As [`send`](Self::send), and `WouldBlock`.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/datagrams.md")]
    /// there.connect("10.0.0.1:53").await?;
    /// assert_eq!(there.try_send(b"question")?, 8);
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_send(&self, buf: &[u8]) -> io::Result<usize> {
        self.with_open(|shard| self.transmit(shard, buf, usize::MAX, None))
    }

    /// Sends `buf` in datagrams of `segment_size` bytes, of which the last may have fewer, to `target`: what QUIC and the like
    /// send at once. A device with offloads takes them as one packet, which costs little more than one datagram; others are
    /// given one after the other. They are queued together or not at all. Cancel safe. tokio has no such call; Linux has
    /// `UDP_SEGMENT`.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/two_hosts.md")]
    /// let receiver = server.udp_bind("10.0.0.1:7000").await?;
    /// let sender = client.udp_bind("0.0.0.0:0").await?;
    /// sender.send_train_to(b"onetwosix!", 3, receiver.local_addr()?).await?;
    /// let mut buffer = [0; 16];
    /// for expected in ["one", "two", "six", "!"] {
    ///     let (len, _) = receiver.recv_from(&mut buffer).await?;
    ///     assert_eq!(&buffer[..len], expected.as_bytes());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`send_to`](Self::send_to), all of `buf` counting as one datagram, and `InvalidInput` when it would be more than
    /// 64 datagrams, or datagrams without data.
    pub async fn send_train_to(
        &self,
        buf: &[u8],
        segment_size: usize,
        target: SocketAddr,
    ) -> io::Result<usize> {
        self.send_parts(buf, segment_size, Some(target)).await
    }

    /// The same to the connected peer.
    ///
    /// # Errors
    /// As [`send_train_to`](Self::send_train_to), and `EDESTADDRREQ` without a peer.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/datagrams.md")]
    /// there.connect("10.0.0.1:53").await?;
    /// there.send_train(b"onetwo", 3).await?;
    /// let mut buffer = [0; 16];
    /// assert_eq!(here.recv(&mut buffer).await?, 3);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn send_train(&self, buf: &[u8], segment_size: usize) -> io::Result<usize> {
        self.send_parts(buf, segment_size, None).await
    }

    async fn send_parts(
        &self,
        buf: &[u8],
        segment_size: usize,
        target: Option<SocketAddr>,
    ) -> io::Result<usize> {
        wait_for(
            |cx| self.poll(cx, &[Wait::Write], |shard| self.transmit(shard, buf, segment_size, target)),
            |waker| self.give_up(waker),
        )
        .await
    }

    fn transmit(
        &self,
        shard: &mut Shard,
        data: &[u8],
        segment_size: usize,
        target: Option<SocketAddr>,
    ) -> io::Result<usize> {
        let target = target.map(|remote| self.destination(shard, remote)).transpose()?;
        let mut udp = shard.stack.udp();
        if let Some(remote) = target {
            udp.source_towards(remote).ok_or(ErrorKind::NetworkUnreachable)?;
        }
        udp.send_train(self.id, target, None, segment_size, data).map_err(error::of_udp_send)?;
        let is_followed = udp.makes_trains() && udp.is_readable(self.id);
        shard.hold.offer(if is_followed { Outlook::More } else { Outlook::Nothing });
        Ok(data.len())
    }
}
