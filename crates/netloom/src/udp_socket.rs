//! A UDP socket.

mod options;
mod peeking;

use std::future::ready;
use std::io::{self, ErrorKind};
use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::BufMut;
use netloom_stack::transport::{UdpBind, UdpReceived, UdpRecvError, UdpSocketId};
use tokio::io::{Interest, ReadBuf, Ready};
use tokio::net::{ToSocketAddrs, lookup_host};

use crate::handle::Take;
use crate::host::Host;
use crate::names::first_of;
use crate::shard::{Shard, Shared, canonical, wildcard};
use crate::tcp_stream::fill;
use crate::wakers::{Interest as Wait, SocketKey, in_turn, wait_for};
use crate::{binding, current, error};

/// A UDP socket, as [`tokio::net::UdpSocket`].
///
/// # Examples
/// ```
#[doc = include_str!("doc/two_hosts.md")]
/// use netloom::net::UdpSocket;
///
/// let here = server.scope(UdpSocket::bind("10.0.0.1:53")).await?;
/// let there = client.scope(UdpSocket::bind("0.0.0.0:0")).await?;
/// there.connect(here.local_addr()?).await?;
/// there.send(b"question").await?;
///
/// let mut buffer = Vec::with_capacity(512);
/// let asker = here.peek_sender().await?;
/// let (len, from) = here.recv_buf_from(&mut buffer).await?;
/// assert_eq!((len, from), (8, asker));
/// here.send_to(b"answer", from).await?;
/// let mut answer = [0; 512];
/// assert_eq!(there.recv(&mut answer).await?, 6);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct UdpSocket {
    shared: Arc<Shared>,
    id: UdpSocketId,
    /// Whether it knows no IPv6, as a socket that was bound to an IPv4 address does not.
    is_ipv4: bool,
}

impl UdpSocket {
    pub(crate) fn bind_on(host: &Host, address: SocketAddr) -> io::Result<Self> {
        let is_ipv4 = address.is_ipv4();
        let address = canonical(address);
        binding::check_bindable(host, address)?;
        // Without a port the nearest shard finds one of its own.
        let owner = match address.port() {
            0 => host.nearest(),
            port => host.owner_of_port(port),
        };
        let shared = Arc::clone(owner);
        let id = shared.with(|shard, _| {
            shard.check_open()?;
            let local = UdpBind::new(wildcard(address.ip()), address.port());
            shard.stack.udp().bind(local).map_err(error::of_udp_bind)
        })?;
        Ok(Self { shared, id, is_ipv4 })
    }

    /// Opens a socket, on the [`Net`](crate::Net) of this task, at the first of the addresses that can be had.
    ///
    /// # Errors
    /// The last address's, as [`Net::udp_bind`](crate::Net::udp_bind); `NetworkDown` without a [`Net`](crate::Net).
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/two_hosts.md")]
    /// use netloom::net::UdpSocket;
    ///
    /// let socket = server.scope(UdpSocket::bind("10.0.0.1:53")).await?;
    /// assert_eq!(socket.local_addr()?.port(), 53);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<Self> {
        let host = current::current()?;
        first_of(addr, |address| ready(Self::bind_on(&host, address))).await
    }

    /// Receives only from `addr`, the first that can be reached, and sends there with [`send`](Self::send).
    ///
    /// # Errors
    /// `NetworkUnreachable` without a route, `EAFNOSUPPORT` for an IPv6 address on an IPv4 socket.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/datagrams.md")]
    /// there.connect("10.0.0.1:53").await?;
    /// there.send(b"question").await?;
    /// assert_eq!(there.peer_addr()?, here.local_addr()?);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn connect<A: ToSocketAddrs>(&self, addr: A) -> io::Result<()> {
        first_of(addr, |remote| ready(self.connect_to(remote))).await
    }

    fn connect_to(&self, remote: SocketAddr) -> io::Result<()> {
        self.with_open(|shard| {
            let remote = self.destination(shard, remote)?;
            let mut udp = shard.stack.udp();
            let source = udp.source_towards(remote).ok_or(ErrorKind::NetworkUnreachable)?;
            udp.connect(self.id, remote, Some(source)).map_err(error::of_udp_connect)
        })
    }

    /// Sends one datagram to the first of the addresses; waits for room in the socket's queue. Cancel safe.
    ///
    /// # Errors
    /// `EMSGSIZE` beyond 65,507 bytes, `EAFNOSUPPORT` for an IPv6 address on an IPv4 socket, `NetworkUnreachable` without a route, `PermissionDenied` for a broadcast that
    /// [`set_broadcast`](Self::set_broadcast) did not allow, and on a connected socket `ConnectionRefused` when the last
    /// datagram found no listener.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/datagrams.md")]
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
    #[doc = include_str!("doc/datagrams.md")]
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
    #[doc = include_str!("doc/datagrams.md")]
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
    #[doc = include_str!("doc/datagrams.md")]
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
    #[doc = include_str!("doc/datagrams.md")]
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
    #[doc = include_str!("doc/datagrams.md")]
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
    #[doc = include_str!("doc/two_hosts.md")]
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
    #[doc = include_str!("doc/datagrams.md")]
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
        Ok(data.len())
    }

    /// Receives one datagram; what does not fit `buf` is lost. Cancel safe.
    ///
    /// # Errors
    /// On a connected socket `ConnectionRefused` when the last datagram found no listener.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/datagrams.md")]
    /// there.send_to(b"question", "10.0.0.1:53").await?;
    /// // What does not fit is gone.
    /// let mut buffer = [0; 5];
    /// assert_eq!(here.recv_from(&mut buffer).await?, (5, there.local_addr()?));
    /// assert_eq!(&buffer, b"quest");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        wait_for(|cx| self.poll_take(cx, buf, Take::Yes), |waker| self.give_up(waker)).await
    }

    /// The same for `poll` functions.
    ///
    /// # Errors
    /// As [`recv_from`](Self::recv_from).
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/datagrams.md")]
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
        self.poll_into(cx, buf, Take::Yes)
    }

    /// The same if one is there.
    ///
    /// # Errors
    /// As [`recv_from`](Self::recv_from), and `WouldBlock`.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/datagrams.md")]
    /// let nothing = here.try_recv_from(&mut [0; 512]).unwrap_err();
    /// assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock);
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.shared.take(|shard| {
            shard.check_open()?;
            self.take(shard, buf, Take::Yes)
        })
    }

    /// The same into the next chunk of a growing buffer.
    ///
    /// # Errors
    /// As [`try_recv_from`](Self::try_recv_from).
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/datagrams.md")]
    /// there.send_to(b"question", "10.0.0.1:53").await?;
    /// here.readable().await?;
    /// let mut buffer = Vec::with_capacity(512);
    /// assert_eq!(here.try_recv_buf_from(&mut buffer)?.1, there.local_addr()?);
    /// assert_eq!(buffer, b"question");
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_recv_buf_from<B: BufMut>(&self, buf: &mut B) -> io::Result<(usize, SocketAddr)> {
        fill(buf, |target| self.try_recv_from(target))
    }

    /// The same, and waits for one. Cancel safe.
    ///
    /// # Errors
    /// As [`recv_from`](Self::recv_from).
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/datagrams.md")]
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
    #[doc = include_str!("doc/datagrams.md")]
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
    #[doc = include_str!("doc/datagrams.md")]
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
    #[doc = include_str!("doc/datagrams.md")]
    /// there.send_to(b"question", "10.0.0.1:53").await?;
    /// here.readable().await?;
    /// assert_eq!(here.try_recv(&mut [0; 512])?, 8);
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(self.try_recv_from(buf)?.0)
    }

    /// The same into the next chunk of a growing buffer.
    ///
    /// # Errors
    /// As [`try_recv`](Self::try_recv).
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/datagrams.md")]
    /// there.send_to(b"question", "10.0.0.1:53").await?;
    /// here.readable().await?;
    /// let mut buffer = Vec::with_capacity(512);
    /// assert_eq!(here.try_recv_buf(&mut buffer)?, 8);
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_recv_buf<B: BufMut>(&self, buf: &mut B) -> io::Result<usize> {
        fill(buf, |target| self.try_recv(target))
    }

    /// The same, and waits for one. Cancel safe.
    ///
    /// # Errors
    /// As [`recv_from`](Self::recv_from).
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/datagrams.md")]
    /// there.send_to(b"question", "10.0.0.1:53").await?;
    /// let mut buffer = Vec::with_capacity(512);
    /// assert_eq!(here.recv_buf(&mut buffer).await?, 8);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn recv_buf<B: BufMut>(&self, buf: &mut B) -> io::Result<usize> {
        Ok(self.recv_buf_from(buf).await?.0)
    }

    /// Waits until something of `interest` can be done. Cancel safe.
    ///
    /// # Errors
    /// `NotConnected` once the stack has ended.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/datagrams.md")]
    /// use tokio::io::Interest;
    ///
    /// let ready = here.ready(Interest::READABLE | Interest::WRITABLE).await?;
    /// assert!(ready.is_writable() && !ready.is_readable());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        wait_for(|cx| self.poll_ready(cx, interest), |waker| self.give_up(waker)).await
    }

    /// Waits until there is a datagram, or an error. Cancel safe.
    ///
    /// # Errors
    /// As [`ready`](Self::ready).
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/datagrams.md")]
    /// there.send_to(b"question", "10.0.0.1:53").await?;
    /// here.readable().await?;
    /// assert_eq!(here.try_recv(&mut [0; 512])?, 8);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn readable(&self) -> io::Result<()> {
        self.ready(Interest::READABLE).await.map(drop)
    }

    /// Waits until there is room for a datagram. Cancel safe.
    ///
    /// # Errors
    /// As [`ready`](Self::ready).
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/datagrams.md")]
    /// there.writable().await?;
    /// there.try_send_to(b"question", here.local_addr()?)?;
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
    #[doc = include_str!("doc/datagrams.md")]
    /// there.send_to(b"question", "10.0.0.1:53").await?;
    /// std::future::poll_fn(|cx| here.poll_recv_ready(cx)).await?;
    /// assert_eq!(here.try_recv(&mut [0; 512])?, 8);
    /// # Ok(())
    /// # }
    /// ```
    pub fn poll_recv_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_ready(cx, Interest::READABLE).map_ok(drop)
    }

    /// [`writable`](Self::writable) for `poll` functions. Any number of tasks may wait.
    ///
    /// # Errors
    /// As [`ready`](Self::ready).
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/datagrams.md")]
    /// std::future::poll_fn(|cx| there.poll_send_ready(cx)).await?;
    /// there.try_send_to(b"question", here.local_addr()?)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_ready(cx, Interest::WRITABLE).map_ok(drop)
    }

    /// Calls `f` if something of `interest` can be done.
    ///
    /// # Errors
    /// `WouldBlock` if nothing of it can be done; else what `f` returns.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/datagrams.md")]
    /// use tokio::io::Interest;
    ///
    /// let target = here.local_addr()?;
    /// let sent = there.try_io(Interest::WRITABLE, || there.try_send_to(b"question", target))?;
    /// assert_eq!(sent, 8);
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_io<R>(&self, interest: Interest, f: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
        if self.with_open(|shard| Ok(self.readiness(shard, interest)))?.is_empty() {
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
    #[doc = include_str!("doc/datagrams.md")]
    /// use tokio::io::Interest;
    ///
    /// there.send_to(b"question", "10.0.0.1:53").await?;
    /// let receive = || here.try_recv(&mut [0; 512]);
    /// assert_eq!(here.async_io(Interest::READABLE, receive).await?, 8);
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

    /// The error that waits for the next call, which will not tell it then.
    ///
    /// # Errors
    /// `NotConnected` once the stack has ended.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/datagrams.md")]
    /// # drop(here);
    /// // Nobody is there any more.
    /// there.connect("10.0.0.1:53").await?;
    /// there.send(b"question").await?;
    /// there.readable().await?;
    /// let error = there.take_error()?.expect("an ICMP error");
    /// assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    /// # Ok(())
    /// # }
    /// ```
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.with_open(|shard| Ok(shard.stack.udp().take_error(self.id).map(error::of_udp_socket)))
    }

    /// Which shard of the [`Net`](crate::Net) the socket belongs to, by its port. tokio has no such call.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/datagrams.md")]
    /// // The thread on which it is served best.
    /// server.spawn_on(here.shard(), async move { here.recv(&mut [0; 512]).await });
    /// # Ok(())
    /// # }
    /// ```
    pub fn shard(&self) -> usize {
        self.shared.index()
    }

    /// The socket's own address.
    ///
    /// # Errors
    /// `NotConnected` once the stack has ended.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/two_hosts.md")]
    /// let socket = client.udp_bind("10.0.0.2:0").await?;
    /// // The port that was found for it.
    /// assert_ne!(socket.local_addr()?.port(), 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.with_open(|shard| {
            let bind = shard.stack.udp().local_addr(self.id).ok_or_else(error::gone)?;
            Ok(SocketAddr::new(bind.address.unwrap_or(Ipv6Addr::UNSPECIFIED.into()), bind.port))
        })
    }

    /// The connected peer's address.
    ///
    /// # Errors
    /// `NotConnected` without one.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/datagrams.md")]
    /// assert_eq!(there.peer_addr().unwrap_err().kind(), std::io::ErrorKind::NotConnected);
    /// there.connect("10.0.0.1:53").await?;
    /// assert_eq!(there.peer_addr()?, here.local_addr()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.with_open(|shard| {
            shard.stack.udp().peer_addr(self.id).ok_or_else(|| ErrorKind::NotConnected.into())
        })
    }

    /// One attempt to receive.
    fn take(&self, shard: &mut Shard, target: &mut [u8], take: Take) -> io::Result<(usize, SocketAddr)> {
        let mut udp = shard.stack.udp();
        let received: Result<UdpReceived, UdpRecvError> = match take {
            Take::Yes => udp.recv_from(self.id, target),
            Take::No => udp.peek_from(self.id, target),
        };
        let UdpReceived { len, remote, .. } = received.map_err(error::of_udp_recv)?;
        Ok((len.min(target.len()), remote))
    }

    fn poll_take(
        &self,
        cx: &mut Context<'_>,
        target: &mut [u8],
        take: Take,
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        in_turn(cx, |waker| {
            self.shared.take(|shard| {
                self.attempt_on(shard, waker, &[Wait::Read], |shard| self.take(shard, target, take))
            })
        })
    }

    fn poll_into(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
        take: Take,
    ) -> Poll<io::Result<SocketAddr>> {
        let target = buffer.initialize_unfilled();
        self.poll_take(cx, target, take).map_ok(|(count, remote)| {
            buffer.advance(count);
            remote
        })
    }

    fn readiness(&self, shard: &mut Shard, interest: Interest) -> Ready {
        let mut udp = shard.stack.udp();
        let mut ready = Ready::EMPTY;
        if interest.is_readable() && udp.is_readable(self.id) {
            ready |= Ready::READABLE;
        }
        if interest.is_writable() && udp.has_room(self.id) {
            ready |= Ready::WRITABLE;
        }
        ready
    }

    fn poll_ready(&self, cx: &mut Context<'_>, interest: Interest) -> Poll<io::Result<Ready>> {
        let waits: &[Wait] = match (interest.is_readable(), interest.is_writable()) {
            (true, true) => &[Wait::Read, Wait::Write],
            (false, true) => &[Wait::Write],
            (true | false, false) => &[Wait::Read],
        };
        self.poll(cx, waits, |shard| {
            let ready = self.readiness(shard, interest);
            if ready.is_empty() { Err(ErrorKind::WouldBlock.into()) } else { Ok(ready) }
        })
    }

    fn with_open<R>(&self, work: impl FnOnce(&mut Shard) -> io::Result<R>) -> io::Result<R> {
        self.shared.with(|shard, _| {
            shard.check_open()?;
            work(shard)
        })
    }

    /// The task waits no more.
    fn give_up(&self, waker: &Waker) {
        self.shared.give_up(SocketKey::Udp(self.id), waker);
    }

    /// Does `work` once; `WouldBlock` lists the task for `waits`.
    fn poll<R>(
        &self,
        cx: &mut Context<'_>,
        waits: &[Wait],
        work: impl FnOnce(&mut Shard) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        in_turn(cx, |waker| self.attempt(waker, waits, work))
    }

    fn attempt<R>(
        &self,
        waker: &Waker,
        waits: &[Wait],
        work: impl FnOnce(&mut Shard) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        self.shared.with(|shard, _| self.attempt_on(shard, waker, waits, work))
    }

    fn attempt_on<R>(
        &self,
        shard: &mut Shard,
        waker: &Waker,
        waits: &[Wait],
        work: impl FnOnce(&mut Shard) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        if let Err(error) = shard.check_open() {
            return Poll::Ready(Err(error));
        }
        match work(shard) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                for &wait in waits {
                    shard.wakers.wait(SocketKey::Udp(self.id), wait, waker);
                }
                Poll::Pending
            }
            result => Poll::Ready(result),
        }
    }
}

impl Drop for UdpSocket {
    fn drop(&mut self) {
        self.shared.with(|shard, _| {
            shard.stack.udp().close(self.id);
            shard.wakers.forget(SocketKey::Udp(self.id));
        });
    }
}
