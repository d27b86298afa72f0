//! A UDP socket.

mod options;
mod peeking;

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
use crate::shard::{Shard, Shared, canonical, wildcard};
use crate::tcp_stream::fill;
use crate::wakers::{Interest as Wait, SocketKey, in_turn, wait_for};
use crate::{binding, current, error};

/// A UDP socket, as [`tokio::net::UdpSocket`].
///
/// # Examples
/// ```
#[doc = include_str!("two_hosts.md")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// # let (server, client) = hosts()?;
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
    pub async fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<Self> {
        let host = current::current()?;
        let mut last = None;
        for address in lookup_host(addr).await? {
            match Self::bind_on(&host, address) {
                Ok(socket) => return Ok(socket),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(error::no_address))
    }

    /// Receives only from `addr`, the first that can be reached, and sends there with [`send`](Self::send).
    ///
    /// # Errors
    /// `NetworkUnreachable` without a route, `EAFNOSUPPORT` for an IPv6 address on an IPv4 socket.
    pub async fn connect<A: ToSocketAddrs>(&self, addr: A) -> io::Result<()> {
        let mut last = None;
        for remote in lookup_host(addr).await? {
            match self.connect_to(remote) {
                Ok(()) => return Ok(()),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(error::no_address))
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
    pub async fn send_to<A: ToSocketAddrs>(&self, buf: &[u8], addr: A) -> io::Result<usize> {
        let target = lookup_host(addr).await?.next().ok_or_else(error::no_address)?;
        wait_for(|cx| self.poll_send_to(cx, buf, target), |waker| self.give_up(waker)).await
    }

    /// The same for `poll` functions.
    ///
    /// # Errors
    /// As [`send_to`](Self::send_to).
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
    pub fn try_send_to(&self, buf: &[u8], target: SocketAddr) -> io::Result<usize> {
        self.with_open(|shard| self.transmit(shard, buf, usize::MAX, Some(target)))
    }

    /// Sends one datagram to the connected peer. Cancel safe.
    ///
    /// # Errors
    /// As [`send_to`](Self::send_to), and `EDESTADDRREQ` without a peer.
    pub async fn send(&self, buf: &[u8]) -> io::Result<usize> {
        wait_for(|cx| self.poll_send(cx, buf), |waker| self.give_up(waker)).await
    }

    /// The same for `poll` functions.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn poll_send(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll(cx, &[Wait::Write], |shard| self.transmit(shard, buf, usize::MAX, None))
    }

    /// The same if there is room now.
    ///
    /// # Errors
    /// As [`send`](Self::send), and `WouldBlock`.
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
    #[doc = include_str!("two_hosts.md")]
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (server, client) = hosts()?;
    /// let receiver = server.udp_bind("10.0.0.1:7000".parse().expect("an address")).await?;
    /// let sender = client.udp_bind("0.0.0.0:0".parse().expect("an address")).await?;
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
    pub async fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        wait_for(|cx| self.poll_take(cx, buf, Take::Yes), |waker| self.give_up(waker)).await
    }

    /// The same for `poll` functions.
    ///
    /// # Errors
    /// As [`recv_from`](Self::recv_from).
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
    pub fn try_recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.with_open(|shard| self.take(shard, buf, Take::Yes))
    }

    /// The same into the next chunk of a growing buffer.
    ///
    /// # Errors
    /// As [`try_recv_from`](Self::try_recv_from).
    pub fn try_recv_buf_from<B: BufMut>(&self, buf: &mut B) -> io::Result<(usize, SocketAddr)> {
        fill(buf, |target| self.try_recv_from(target))
    }

    /// The same, and waits for one. Cancel safe.
    ///
    /// # Errors
    /// As [`recv_from`](Self::recv_from).
    pub async fn recv_buf_from<B: BufMut>(&self, buf: &mut B) -> io::Result<(usize, SocketAddr)> {
        self.async_io(Interest::READABLE, || self.try_recv_buf_from(buf)).await
    }

    /// Receives one datagram from the connected peer. Cancel safe.
    ///
    /// # Errors
    /// As [`recv_from`](Self::recv_from).
    pub async fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(self.recv_from(buf).await?.0)
    }

    /// The same for `poll` functions.
    ///
    /// # Errors
    /// As [`recv_from`](Self::recv_from).
    pub fn poll_recv(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.poll_recv_from(cx, buf).map_ok(drop)
    }

    /// The same if one is there.
    ///
    /// # Errors
    /// As [`recv_from`](Self::recv_from), and `WouldBlock`.
    pub fn try_recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(self.try_recv_from(buf)?.0)
    }

    /// The same into the next chunk of a growing buffer.
    ///
    /// # Errors
    /// As [`try_recv`](Self::try_recv).
    pub fn try_recv_buf<B: BufMut>(&self, buf: &mut B) -> io::Result<usize> {
        fill(buf, |target| self.try_recv(target))
    }

    /// The same, and waits for one. Cancel safe.
    ///
    /// # Errors
    /// As [`recv_from`](Self::recv_from).
    pub async fn recv_buf<B: BufMut>(&self, buf: &mut B) -> io::Result<usize> {
        Ok(self.recv_buf_from(buf).await?.0)
    }

    /// Waits until something of `interest` can be done. Cancel safe.
    ///
    /// # Errors
    /// `NotConnected` once the stack has ended.
    pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        wait_for(|cx| self.poll_ready(cx, interest), |waker| self.give_up(waker)).await
    }

    /// Waits until there is a datagram, or an error. Cancel safe.
    ///
    /// # Errors
    /// As [`ready`](Self::ready).
    pub async fn readable(&self) -> io::Result<()> {
        self.ready(Interest::READABLE).await.map(drop)
    }

    /// Waits until there is room for a datagram. Cancel safe.
    ///
    /// # Errors
    /// As [`ready`](Self::ready).
    pub async fn writable(&self) -> io::Result<()> {
        self.ready(Interest::WRITABLE).await.map(drop)
    }

    /// [`readable`](Self::readable) for `poll` functions. Any number of tasks may wait.
    ///
    /// # Errors
    /// As [`ready`](Self::ready).
    pub fn poll_recv_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_ready(cx, Interest::READABLE).map_ok(drop)
    }

    /// [`writable`](Self::writable) for `poll` functions. Any number of tasks may wait.
    ///
    /// # Errors
    /// As [`ready`](Self::ready).
    pub fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_ready(cx, Interest::WRITABLE).map_ok(drop)
    }

    /// Calls `f` if something of `interest` can be done.
    ///
    /// # Errors
    /// `WouldBlock` if nothing of it can be done; else what `f` returns.
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
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.with_open(|shard| Ok(shard.stack.udp().take_error(self.id).map(error::of_udp_socket)))
    }

    /// Which shard of the [`Net`](crate::Net) the socket belongs to, by its port. tokio has no such call.
    pub fn shard(&self) -> usize {
        self.shared.index()
    }

    /// The socket's own address.
    ///
    /// # Errors
    /// `NotConnected` once the stack has ended.
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
        self.poll(cx, &[Wait::Read], |shard| self.take(shard, target, take))
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
        self.shared.with(|shard, _| {
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
        })
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
