//! How a connection is begun: on which shard, to whom, until the handshake is done.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use netloom_stack::NextHop;
use netloom_stack::transport::{SocketOptions, TcpBind};
use tokio::net::ToSocketAddrs;

use super::TcpStream;
use crate::address::canonical;
use crate::host::Host;
use crate::names::first_of;
use crate::shard::{Shard, Shared};
use crate::{current, error};

/// The shard that a connection from `local` to `remote` is to belong to: without a port the nearest, which will find a port
/// that makes it so.
fn shard_to_connect(host: &Host, local: TcpBind, remote: SocketAddr) -> &Arc<Shared> {
    if local.port == 0 {
        return host.nearest();
    }
    let path = |shard: &Shard| shard.stack.internet().path(local.address, remote.ip());
    match host.first().look(path) {
        Ok(path) => host.owner_of_flow(SocketAddr::new(path.source, local.port), remote),
        // Whoever is asked says so.
        Err(_) => host.first(),
    }
}

/// Whether `remote` is no single host: there is no connection to a group or a broadcast address.
fn is_many(shard: &Shard, local: TcpBind, remote: SocketAddr) -> bool {
    let internet = shard.stack.internet();
    let next_hop = internet.path(local.address, remote.ip()).map(|path| path.next_hop);
    let is_broadcast = match next_hop {
        Ok(NextHop::Neighbor { interface, address: _ }) if !remote.ip().is_unspecified() => {
            internet.is_broadcast(interface, remote.ip())
        }
        Ok(NextHop::Neighbor { .. } | NextHop::Local) | Err(_) => false,
    };
    remote.ip().is_multicast() || is_broadcast
}

impl TcpStream {
    pub(crate) async fn connect_on(
        host: &Host,
        local: TcpBind,
        remote: SocketAddr,
        options: &SocketOptions,
        linger: Option<Duration>,
    ) -> io::Result<Self> {
        let remote = canonical(remote);
        if remote.port() == 0 {
            // Nobody listens there, whoever is asked: as the kernel learns from the answer.
            return Err(ErrorKind::ConnectionRefused.into());
        }
        let shared = Arc::clone(shard_to_connect(host, local, remote));
        let id = shared.with(|shard, now| {
            shard.check_open()?;
            if is_many(shard, local, remote) {
                return Err(ErrorKind::NetworkUnreachable.into());
            }
            shard.stack.tcp().connect(now, local, remote, options).map_err(error::of_connect)
        })?;
        // Dropped before the handshake ends, the stream closes the connection again: connecting is cancel safe.
        let stream = Self::new(shared, id, remote, linger);
        poll_fn(|cx| stream.handle.poll_connected(cx)).await?;
        Ok(stream)
    }

    /// Connects from any address and port, with the stack's options.
    pub(crate) async fn connect_plainly(host: &Host, remote: SocketAddr) -> io::Result<Self> {
        Self::connect_on(host, TcpBind::default(), remote, &SocketOptions::default(), None).await
    }

    /// Connects over the [`Net`](crate::Net) of this task to the first of the addresses that answers.
    ///
    /// # Errors
    /// The last address's, as [`Net::tcp_connect`](crate::Net::tcp_connect); `NetworkDown` without a [`Net`](crate::Net).
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/two_hosts.md")]
    /// use netloom::net::TcpStream;
    ///
    /// let listener = server.tcp_listen("10.0.0.1:80").await?;
    /// let stream = client.scope(TcpStream::connect("10.0.0.1:80")).await?;
    /// assert_eq!(stream.peer_addr()?, listener.local_addr()?);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn connect<A: ToSocketAddrs>(addr: A) -> io::Result<Self> {
        let host = current::current()?;
        first_of(addr, |remote| Self::connect_plainly(&host, remote)).await
    }
}
