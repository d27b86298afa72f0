//! A TCP socket that listens.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use netloom_stack::transport::{ListenOptions, TcpListenerId};
use tokio::net::{ToSocketAddrs, lookup_host};

use crate::reservations::{ReservationId, Reuse};
use crate::shard::Shared;
use crate::wakers::{Interest, SocketKey};
use crate::{TcpStream, binding, current, error};

/// Where a listener is said to be that has every address and port.
const EVERYWHERE: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0);

/// A TCP listener with a backlog, as [`tokio::net::TcpListener`].
///
/// When it is dropped, its port is free again, and connections that nobody accepted are reset; accepted ones live on.
#[derive(Debug)]
pub struct TcpListener {
    pub(crate) shared: Arc<Shared>,
    pub(crate) id: TcpListenerId,
    local: SocketAddr,
    /// What its connections inherit.
    linger: Option<Duration>,
}

impl TcpListener {
    pub(crate) fn listen_on(
        shared: &Arc<Shared>,
        address: SocketAddr,
        options: ListenOptions,
        reuse: Reuse,
        own: Option<ReservationId>,
        linger: Option<Duration>,
    ) -> io::Result<Self> {
        let shared = Arc::clone(shared);
        let (id, local) = shared.with(|shard, _| binding::listen(shard, address, options, reuse, own))?;
        Ok(Self { shared, id, local, linger })
    }

    /// Listens at every address and port that nobody else has.
    pub(crate) fn everywhere_on(shared: &Arc<Shared>, options: ListenOptions) -> io::Result<Self> {
        let shared = Arc::clone(shared);
        let id = shared.with(|shard, _| {
            shard.check_open()?;
            shard.stack.tcp().listen_any_port(None, options).map_err(error::of_listen)
        })?;
        Ok(Self { shared, id, local: EVERYWHERE, linger: None })
    }

    /// As tokio's does, it allows reuse: connections of an earlier listener are not in its way.
    pub(crate) fn bind_on(shared: &Arc<Shared>, address: SocketAddr) -> io::Result<Self> {
        Self::listen_on(shared, address, ListenOptions::default(), Reuse::Yes, None, None)
    }

    /// Listens, on the [`Net`](crate::Net) of this task, at the first of the addresses that can be had.
    ///
    /// # Errors
    /// The last address's, as [`Net::tcp_listen`](crate::Net::tcp_listen); `NetworkDown` without a [`Net`](crate::Net).
    pub async fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<Self> {
        let shared = current::current()?;
        let mut last = None;
        for address in lookup_host(addr).await? {
            match Self::bind_on(&shared, address) {
                Ok(listener) => return Ok(listener),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(error::no_address))
    }

    /// Waits for a connection. Cancel safe: a connection is taken off the queue only when it is returned.
    ///
    /// # Errors
    /// `NotConnected` once the stack has ended.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        poll_fn(|cx| self.poll_accept(cx)).await
    }

    /// The same for `poll` functions. Any number of tasks may wait.
    ///
    /// # Errors
    /// `NotConnected` once the stack has ended.
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        let accepted = self.shared.with(|shard, _| {
            if let Err(error) = shard.check_open() {
                return Poll::Ready(Err(error));
            }
            match shard.stack.tcp().accept(self.id) {
                Some(accepted) => Poll::Ready(Ok(accepted)),
                None => {
                    shard.wakers.wait(SocketKey::Listener(self.id), Interest::Read, cx.waker());
                    Poll::Pending
                }
            }
        });
        accepted.map_ok(|accepted| {
            let (shared, linger) = (Arc::clone(&self.shared), self.linger);
            let stream = TcpStream::new(shared, accepted.id, accepted.local, accepted.remote, linger);
            (stream, accepted.remote)
        })
    }

    /// The address that is listened on; an unwildcard one stays unwildcard.
    ///
    /// # Errors
    /// Never; the signature is tokio's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }
}

impl Drop for TcpListener {
    fn drop(&mut self) {
        self.shared.with(|shard, now| {
            shard.stack.tcp().close_listener(now, self.id);
            shard.wakers.forget(SocketKey::Listener(self.id));
        });
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
