//! A TCP socket that listens.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use netloom_stack::transport::{ListenOptions, TcpBind, TcpListenerId};

use crate::shard::{Shared, wildcard};
use crate::wakers::{Interest, SocketKey};
use crate::{TcpStream, error};

/// A TCP listener with a backlog, as [`tokio::net::TcpListener`].
///
/// When it is dropped, its port is free again, and connections that nobody accepted are reset; accepted ones live on.
#[derive(Debug)]
pub struct TcpListener {
    shared: Arc<Shared>,
    id: TcpListenerId,
    local: SocketAddr,
}

impl TcpListener {
    pub(crate) fn bind(shared: &Arc<Shared>, address: SocketAddr) -> io::Result<Self> {
        let shared = Arc::clone(shared);
        let (id, local) = shared.with(|shard, _| {
            shard.check_open()?;
            shard.check_bindable(address.ip())?;
            let bind = TcpBind { address: wildcard(address.ip()), port: address.port() };
            let mut tcp = shard.stack.tcp();
            let id = tcp.listen(bind, ListenOptions::default()).map_err(error::of_listen)?;
            let port = tcp.listener_port(id).unwrap_or(address.port());
            Ok::<_, io::Error>((id, SocketAddr::new(address.ip(), port)))
        })?;
        Ok(Self { shared, id, local })
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
            let stream =
                TcpStream::new(Arc::clone(&self.shared), accepted.id, accepted.local, accepted.remote);
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
