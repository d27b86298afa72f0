//! A TCP socket that listens.

use std::future::ready;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use netloom_stack::transport::{ListenOptions, TcpListenerId};
use tokio::net::ToSocketAddrs;

use crate::binding::ListenerPart;
use crate::hop_limit::{DEFAULT_TTL, hop_limit};
use crate::host::Host;
use crate::names::first_of;
use crate::reservations::{ReservationId, Reuse};
use crate::shard::{Shard, Shared};
use crate::wakers::{Interest, SocketKey, in_turn, wait_for};
use crate::{TcpStream, binding, current, error};

/// Where a listener is said to be that has every address and port.
const EVERYWHERE: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0);

/// A TCP listener with a backlog, as [`tokio::net::TcpListener`].
///
/// When it is dropped, its port is free again, and connections that nobody accepted are reset; accepted ones live on.
///
/// # Examples
/// ```
#[doc = include_str!("doc/two_hosts.md")]
/// use netloom::net::TcpListener;
/// use tokio::io::AsyncWriteExt;
///
/// let listener = server.scope(TcpListener::bind("10.0.0.1:0")).await?;
/// listener.set_ttl(32)?;
/// let address = listener.local_addr()?;
/// tokio::spawn(async move {
///     while let Ok((mut stream, _)) = listener.accept().await {
///         tokio::spawn(async move { stream.write_all(b"hello").await });
///     }
/// });
/// let stream = client.tcp_connect(address).await?;
/// assert_eq!(stream.recv_bytes(5).await?, "hello");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct TcpListener {
    /// One a shard.
    parts: Vec<ListenerPart>,
    /// The part that is looked at first, so that none starves.
    turn: AtomicUsize,
    local: SocketAddr,
    /// What its connections inherit.
    linger: Option<Duration>,
}

impl TcpListener {
    pub(crate) fn listen_on(
        host: &Host,
        address: SocketAddr,
        options: ListenOptions,
        reuse: Reuse,
        own: Option<ReservationId>,
        linger: Option<Duration>,
    ) -> io::Result<Self> {
        let (parts, local) = binding::listen(host, address, options, reuse, own)?;
        Ok(Self { parts, turn: AtomicUsize::new(0), local, linger })
    }

    /// Listens at every address and port that nobody else has.
    pub(crate) fn everywhere_on(host: &Host, options: ListenOptions) -> io::Result<Self> {
        let listen = |shared: &Arc<Shared>| {
            let id = shared.with(|shard, _| {
                shard.check_open()?;
                shard.stack.tcp().listen_any_port(None, options).map_err(error::of_listen)
            })?;
            Ok(ListenerPart { shared: Arc::clone(shared), id })
        };
        // If one refuses, those that did not stop again.
        let parts = host.shards().iter().map(listen).collect::<io::Result<Vec<_>>>()?;
        Ok(Self { parts, turn: AtomicUsize::new(0), local: EVERYWHERE, linger: None })
    }

    /// As tokio's does, it allows reuse: connections of an earlier listener are not in its way.
    pub(crate) fn bind_on(host: &Host, address: SocketAddr) -> io::Result<Self> {
        Self::listen_on(host, address, ListenOptions::default(), Reuse::ADDRESS, None, None)
    }

    /// Listens, on the [`Net`](crate::Net) of this task, at the first of the addresses that can be had.
    ///
    /// # Errors
    /// The last address's, as [`Net::tcp_listen`](crate::Net::tcp_listen); `NetworkDown` without a [`Net`](crate::Net).
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/two_hosts.md")]
    /// use netloom::net::TcpListener;
    ///
    /// let listener = server.scope(TcpListener::bind("10.0.0.1:80")).await?;
    /// // Somebody listens there now.
    /// let error = server.tcp_listen("[::]:80").await.unwrap_err();
    /// assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<Self> {
        let host = current::current()?;
        first_of(addr, |address| ready(Self::bind_on(&host, address))).await
    }

    /// Waits for a connection. Cancel safe: a connection is taken off the queue only when it is returned.
    ///
    /// # Errors
    /// `NotConnected` once the stack has ended.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/two_hosts.md")]
    /// let listener = server.tcp_listen("10.0.0.1:80").await?;
    /// let outgoing = client.tcp_connect("10.0.0.1:80").await?;
    /// let (incoming, from) = listener.accept().await?;
    /// assert_eq!((from, incoming.local_addr()?), (outgoing.local_addr()?, listener.local_addr()?));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        wait_for(|cx| self.poll_accept(cx), |waker| self.give_up(waker)).await
    }

    /// The same for `poll` functions. Any number of tasks may wait.
    ///
    /// # Errors
    /// `NotConnected` once the stack has ended.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/two_hosts.md")]
    /// let listener = server.tcp_listen("10.0.0.1:80").await?;
    /// let outgoing = client.tcp_connect("10.0.0.1:80").await?;
    /// let (_, from) = std::future::poll_fn(|cx| listener.poll_accept(cx)).await?;
    /// assert_eq!(from, outgoing.local_addr()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        let accepted = self.poll_parts(cx, |shard, id| shard.stack.tcp().accept(id));
        accepted.map_ok(|(accepted, shared)| {
            let stream = TcpStream::new(shared, accepted.id, accepted.remote, self.linger);
            (stream, accepted.remote)
        })
    }

    /// The task waits for no part any more.
    pub(crate) fn give_up(&self, waker: &Waker) {
        for ListenerPart { shared, id } in &self.parts {
            shared.give_up(SocketKey::Listener(*id), waker);
        }
    }

    /// What the first part has for which `take` finds something, and that part's shard; else the task waits for all.
    pub(crate) fn poll_parts<R>(
        &self,
        cx: &mut Context<'_>,
        take: impl Fn(&mut Shard, TcpListenerId) -> Option<R>,
    ) -> Poll<io::Result<(R, Arc<Shared>)>> {
        in_turn(cx, |waker| self.attempt(waker, take))
    }

    fn attempt<R>(
        &self,
        waker: &Waker,
        take: impl Fn(&mut Shard, TcpListenerId) -> Option<R>,
    ) -> Poll<io::Result<(R, Arc<Shared>)>> {
        let first = match self.parts.len() {
            1 => 0,
            count => self.turn.fetch_add(1, Ordering::Relaxed) % count,
        };
        let (later, sooner) = self.parts.split_at(first);
        for ListenerPart { shared, id } in sooner.iter().chain(later) {
            let mut taken = None;
            // Whoever accepts comes once in vain after each batch: that is told without the stack's having its turn.
            let is_idle = |shard: &mut Shard| {
                taken = if shard.ended.is_none() { take(shard, *id) } else { None };
                let is_idle = shard.ended.is_none() && taken.is_none();
                if is_idle {
                    shard.wakers.wait(SocketKey::Listener(*id), Interest::Read, waker);
                }
                is_idle
            };
            let outcome = shared.with_unless(is_idle, |shard, _| shard.check_open());
            if let Some(outcome) = outcome {
                let taken = outcome.and_then(|()| taken.ok_or_else(error::gone));
                return Poll::Ready(taken.map(|taken| (taken, Arc::clone(shared))));
            }
        }
        Poll::Pending
    }

    /// One listener for each shard of the [`Net`](crate::Net), in their order: each accepts what its shard owns, to be served
    /// there ([`Net::spawn_on`](crate::Net::spawn_on)). All must be served: when one is dropped, its shard refuses.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/two_hosts.md")]
    /// let listener = server.tcp_listen("10.0.0.1:80").await?;
    /// for (shard, listener) in listener.into_shards().into_iter().enumerate() {
    ///     // Each on the thread that its connections belong to.
    ///     server.spawn_on(shard, async move {
    ///         while let Ok((stream, _)) = listener.accept().await {
    ///             tokio::spawn(async move { stream.recv_bytes(100).await });
    ///         }
    ///     });
    /// }
    /// client.tcp_connect("10.0.0.1:80").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn into_shards(self) -> Vec<Self> {
        let Self { parts, turn: _, local, linger } = self;
        let alone = |part| Self { parts: vec![part], turn: AtomicUsize::new(0), local, linger };
        parts.into_iter().map(alone).collect()
    }

    /// The address that is listened on; an unwildcard one stays unwildcard.
    ///
    /// # Errors
    /// Never; the signature is tokio's.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/two_hosts.md")]
    /// let listener = server.tcp_listen("10.0.0.1:0").await?;
    /// // The port that was found for it.
    /// assert_ne!(listener.local_addr()?.port(), 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }

    /// The TTL, or hop limit, of its answers, and of what its connections begin with; 64 unless it was set.
    ///
    /// # Errors
    /// `NotConnected` once the stack has ended.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/two_hosts.md")]
    /// assert_eq!(server.tcp_listen("10.0.0.1:80").await?.ttl()?, 64);
    /// # Ok(())
    /// # }
    /// ```
    pub fn ttl(&self) -> io::Result<u32> {
        let Some(ListenerPart { shared, id }) = self.parts.first() else { return Err(error::gone()) };
        shared.with(|shard, _| {
            shard.check_open()?;
            let options = shard.stack.tcp().listener_options(*id).ok_or_else(error::gone)?;
            Ok(options.socket.hop_limit.map_or(DEFAULT_TTL, u32::from))
        })
    }

    /// Sets the TTL, or hop limit, of its answers and of what its next connections begin with.
    ///
    /// # Errors
    /// `InvalidInput` for 0 and beyond 255, `NotConnected` once the stack has ended.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/two_hosts.md")]
    /// let listener = server.tcp_listen("10.0.0.1:80").await?;
    /// listener.set_ttl(9)?;
    /// assert_eq!(listener.ttl()?, 9);
    /// client.tcp_connect("10.0.0.1:80").await?;
    /// assert_eq!(listener.accept().await?.0.ttl()?, 9);
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        let hop_limit = hop_limit(ttl)?;
        self.parts.iter().try_for_each(|ListenerPart { shared, id }| {
            shared.with(|shard, _| {
                shard.check_open()?;
                let mut tcp = shard.stack.tcp();
                tcp.set_listener_hop_limit(*id, Some(hop_limit)).map_err(|_| error::gone())
            })
        })
    }
}

#[cfg(feature = "axum")]
impl axum::serve::Listener for TcpListener {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match Self::accept(self).await {
            Ok(accepted) => accepted,
            // The stack has ended: nobody will ever connect, and the server is about to be told.
            Err(_) => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        Self::local_addr(self)
    }
}
