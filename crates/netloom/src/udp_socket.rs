//! A UDP socket.

mod options;
mod peeking;
mod receiving;
mod sending;

use std::future::ready;
use std::io::{self, ErrorKind};
use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use netloom_stack::transport::{UdpBind, UdpSocketId};
use tokio::io::{Interest, Ready};
use tokio::net::ToSocketAddrs;

use crate::address::{canonical, wildcard};
use crate::host::Host;
use crate::names::first_of;
use crate::shard::{Shard, Shared};
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
