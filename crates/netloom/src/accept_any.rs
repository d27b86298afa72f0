//! Taking what is meant for anybody: connections and datagrams for any address and port that reaches an interface, and
//! SYNs that are answered only when the user has decided.
//!
//! *Theory of operation.* An interface with [`InterfaceConfig::accept_any`](crate::InterfaceConfig::accept_any) hands up what
//! has any address as its destination. Here are the sockets that take it at any port; those that are bound to a port of
//! their own go first, as everywhere.

use std::future::{poll_fn, ready};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use netloom_stack::transport::{Accepted, ListenOptions, PendingState, SynAnswer, TcpPendingId};
use tokio::net::ToSocketAddrs;

use crate::names::first_of;
use crate::reservations::Reuse;
use crate::shard::Shared;
use crate::wakers::{Interest, SocketKey, in_turn, wait_for};
use crate::{AnyUdpSocket, Net, TcpListener, TcpStream, error};

impl Net {
    /// Listens at every address and port that no other listener has, over IPv4 and IPv6. Whom a client wanted is its
    /// stream's [`local_addr`](TcpStream::local_addr), and it is answered from there.
    ///
    /// Addresses that are not the stack's own are heard where
    /// [`InterfaceConfig::accept_any`](crate::InterfaceConfig::accept_any) is set.
    ///
    /// # Errors
    /// `AddrInUse` if there is such a listener already, `NotConnected` after shutdown.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/any.md")]
    /// let listener = server.tcp_listen_any().await?;
    /// let outgoing = client.tcp_connect("192.0.2.1:4321").await?;
    /// let (incoming, _) = listener.accept().await?;
    /// // Whom the client wanted.
    /// assert_eq!(incoming.local_addr()?, outgoing.peer_addr()?);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn tcp_listen_any(&self) -> io::Result<TcpListener> {
        TcpListener::everywhere_on(&self.host, ListenOptions::default())
    }

    /// Listens as [`tcp_listen`](Self::tcp_listen), but answers no SYN before [`PendingConnection`] is told to.
    ///
    /// # Errors
    /// As [`tcp_listen`](Self::tcp_listen).
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/two_hosts.md")]
    /// let incoming = server.tcp_incoming("10.0.0.1:80").await?;
    /// let (outgoing, accepted) = tokio::join!(client.tcp_connect("10.0.0.1:80"), async {
    ///     // The client waits for an answer.
    ///     incoming.next().await?.accept().await
    /// });
    /// assert_eq!(outgoing?.local_addr()?, accepted?.peer_addr()?);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn tcp_incoming(&self, addr: impl ToSocketAddrs) -> io::Result<TcpIncoming> {
        let listen = |address| {
            ready(TcpListener::listen_on(&self.host, address, deciding(), Reuse::ADDRESS, None, None))
        };
        Ok(TcpIncoming { listener: first_of(addr, listen).await? })
    }

    /// Listens at every address and port as [`tcp_listen_any`](Self::tcp_listen_any), but answers no SYN before
    /// [`PendingConnection`] is told to: what a proxy needs that connects to the destination first.
    ///
    /// # Errors
    /// As [`tcp_listen_any`](Self::tcp_listen_any).
    ///
    /// # Examples
    /// ```no_run
    /// # async fn forward(net: netloom::Net) -> std::io::Result<()> {
    /// let incoming = net.tcp_incoming_any().await?;
    /// loop {
    ///     let pending = incoming.next().await?;
    ///     tokio::spawn(async move {
    ///         match tokio::net::TcpStream::connect(pending.local_addr()).await {
    ///             Ok(mut there) => {
    ///                 let mut here = pending.accept().await?;
    ///                 tokio::io::copy_bidirectional(&mut here, &mut there).await.map(drop)
    ///             }
    ///             Err(_) => Ok(pending.refuse()),
    ///         }
    ///     });
    /// }
    /// # }
    /// ```
    pub async fn tcp_incoming_any(&self) -> io::Result<TcpIncoming> {
        Ok(TcpIncoming { listener: TcpListener::everywhere_on(&self.host, deciding())? })
    }

    /// Opens a UDP socket for every datagram to any address and port that no other socket takes, over IPv4 and IPv6.
    ///
    /// # Errors
    /// `AddrInUse` if there is such a socket already, `NotConnected` after shutdown.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/any.md")]
    /// let any = server.udp_bind_any().await?;
    /// let socket = client.udp_bind("10.0.0.2:0").await?;
    /// socket.send_to(b"question", "192.0.2.1:53").await?;
    /// let (.., asked) = any.recv_from(&mut [0; 512]).await?;
    /// assert_eq!(asked, "192.0.2.1:53".parse().expect("an address"));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn udp_bind_any(&self) -> io::Result<AnyUdpSocket> {
        AnyUdpSocket::bind_on(&self.host)
    }
}

fn deciding() -> ListenOptions {
    ListenOptions { answer: SynAnswer::OnDecision, ..ListenOptions::default() }
}

/// A listener that answers no SYN by itself.
///
/// Up to 1024 SYNs wait for a decision; more are dropped, and their clients try again. One that nobody decides about is
/// forgotten after [`decision_timeout`](netloom_stack::transport::TcpConfig::decision_timeout). When this is dropped its port
/// is free; connections that were not established are aborted, and a [`PendingConnection`] can only be refused.
///
/// # Examples
/// ```
#[doc = include_str!("doc/two_hosts.md")]
/// let incoming = server.tcp_incoming_any().await?;
/// // Whatever address and port is wanted: a proxy or a sandbox sees it, and may decide by it.
/// let wanted = "10.0.0.1:4321".parse().expect("an address");
/// let (connected, decided) = tokio::join!(client.tcp_connect(wanted), async {
///     let pending = incoming.next().await?;
///     assert_eq!(pending.local_addr(), wanted);
///     pending.accept().await
/// });
/// assert_eq!(connected?.local_addr()?, decided?.peer_addr()?);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct TcpIncoming {
    listener: TcpListener,
}

impl TcpIncoming {
    /// Waits for a SYN. A SYN that comes again is no second one. Cancel safe.
    ///
    /// # Errors
    /// `NotConnected` once the stack has ended.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/two_hosts.md")]
    /// let incoming = server.tcp_incoming("10.0.0.1:80").await?;
    /// let connecting = tokio::spawn(async move { client.tcp_connect("10.0.0.1:80").await });
    /// let pending = incoming.next().await?;
    /// pending.refuse();
    /// assert!(connecting.await?.is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn next(&self) -> io::Result<PendingConnection> {
        wait_for(|cx| self.poll_next(cx), |waker| self.listener.give_up(waker)).await
    }

    /// The same for `poll` functions. Any number of tasks may wait.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/two_hosts.md")]
    /// let incoming = server.tcp_incoming("10.0.0.1:80").await?;
    /// let connecting = tokio::spawn(async move { client.tcp_connect("10.0.0.1:80").await });
    /// let pending = std::future::poll_fn(|cx| incoming.poll_next(cx)).await?;
    /// pending.accept().await?;
    /// assert!(connecting.await?.is_ok());
    /// # Ok(())
    /// # }
    /// ```
    pub fn poll_next(&self, cx: &mut Context<'_>) -> Poll<io::Result<PendingConnection>> {
        let pending = self.listener.poll_parts(cx, |shard, id| shard.stack.tcp().next_pending(id));
        pending.map_ok(|(pending, shared)| PendingConnection {
            shared,
            id: Some(pending.id),
            local: pending.local,
            remote: pending.remote,
        })
    }

    /// The address that is listened on; `[::]:0` for every address and port.
    ///
    /// # Errors
    /// Never; the signature is a listener's.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/two_hosts.md")]
    /// let incoming = server.tcp_incoming("10.0.0.1:0").await?;
    /// // The port that was found for it.
    /// assert_ne!(incoming.local_addr()?.port(), 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A client whose SYN was not answered yet. Dropping it [refuses](Self::refuse) the client.
///
/// # Examples
/// ```
#[doc = include_str!("doc/two_hosts.md")]
/// let incoming = server.tcp_incoming("10.0.0.1:80").await?;
/// let connecting = client.tcp_connect(incoming.local_addr()?);
/// let deciding = async {
///     let pending = incoming.next().await?;
///     println!("{} wants {}", pending.peer_addr(), pending.local_addr());
///     pending.accept().await
/// };
/// let (outgoing, accepted) = tokio::join!(connecting, deciding);
/// assert_eq!(outgoing?.local_addr()?, accepted?.peer_addr()?);
///
/// // One that is refused is told so.
/// let connecting = client.tcp_connect(incoming.local_addr()?);
/// let (outgoing, pending) = tokio::join!(connecting, async { incoming.next().await.map(|it| it.refuse()) });
/// pending?;
/// assert_eq!(outgoing.unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct PendingConnection {
    shared: Arc<Shared>,
    /// `None` once it is decided and done.
    id: Option<TcpPendingId>,
    local: SocketAddr,
    remote: SocketAddr,
}

impl PendingConnection {
    /// Whom the client wants to reach.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/two_hosts.md")]
    /// let incoming = server.tcp_incoming("10.0.0.1:80").await?;
    /// let connecting = tokio::spawn(async move { client.tcp_connect("10.0.0.1:80").await });
    /// assert_eq!(incoming.next().await?.local_addr(), incoming.local_addr()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// The client.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/two_hosts.md")]
    /// let incoming = server.tcp_incoming("10.0.0.1:80").await?;
    /// let connecting = tokio::spawn(async move { client.tcp_connect("10.0.0.1:80").await });
    /// let pending = incoming.next().await?;
    /// println!("{} waits for an answer", pending.peer_addr());
    /// # Ok(())
    /// # }
    /// ```
    pub fn peer_addr(&self) -> SocketAddr {
        self.remote
    }

    /// Answers the SYN, and waits until the handshake is done. Dropped before, the future breaks the handshake off, and
    /// the client sees a reset.
    ///
    /// # Errors
    /// `TimedOut` if nobody decided in time or the client does not finish the handshake, `ConnectionReset` if it gave up,
    /// `ConnectionAborted` if the listener is gone, `NotConnected` once the stack has ended.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/two_hosts.md")]
    /// let incoming = server.tcp_incoming("10.0.0.1:80").await?;
    /// let connecting = tokio::spawn(async move { client.tcp_connect("10.0.0.1:80").await });
    /// let stream = incoming.next().await?.accept().await?;
    /// assert_eq!(connecting.await??.local_addr()?, stream.peer_addr()?);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn accept(mut self) -> io::Result<TcpStream> {
        let Some(id) = self.id else { return Err(error::gone()) };
        self.shared.with(|shard, now| {
            shard.check_open()?;
            shard.stack.tcp().answer(now, id).map_err(error::of_tcp)
        })?;
        let accepted = poll_fn(|cx| in_turn(cx, |waker| self.attempt(waker, id))).await?;
        self.id = None;
        Ok(TcpStream::new(Arc::clone(&self.shared), accepted.id, accepted.remote, None))
    }

    fn attempt(&self, waker: &Waker, id: TcpPendingId) -> Poll<io::Result<Accepted>> {
        self.shared.with(|shard, _| {
            if let Err(error) = shard.check_open() {
                return Poll::Ready(Err(error));
            }
            match shard.stack.tcp().pending_state(id) {
                PendingState::Established(accepted) => {
                    shard.wakers.forget(SocketKey::Pending(id));
                    Poll::Ready(Ok(accepted))
                }
                PendingState::Failed(error) => Poll::Ready(Err(error::of_tcp(error))),
                PendingState::Waiting => {
                    shard.wakers.wait(SocketKey::Pending(id), Interest::Read, waker);
                    Poll::Pending
                }
            }
        })
    }

    /// Refuses the client by a reset, as if nobody listened there. So does dropping.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/two_hosts.md")]
    /// let incoming = server.tcp_incoming("10.0.0.1:80").await?;
    /// let connecting = tokio::spawn(async move { client.tcp_connect("10.0.0.1:80").await });
    /// incoming.next().await?.refuse();
    /// let error = connecting.await?.unwrap_err();
    /// assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    /// # Ok(())
    /// # }
    /// ```
    pub fn refuse(self) {}

    /// Forgets the SYN without a word. The client sends it again, and is asked about again, until it gives up.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/two_hosts.md")]
    /// let incoming = server.tcp_incoming("10.0.0.1:80").await?;
    /// let connecting = tokio::spawn(async move { client.tcp_connect("10.0.0.1:80").await });
    /// incoming.next().await?.ignore();
    /// // A second later it asks again.
    /// incoming.next().await?.accept().await?;
    /// assert!(connecting.await?.is_ok());
    /// # Ok(())
    /// # }
    /// ```
    pub fn ignore(mut self) {
        if let Some(id) = self.id.take() {
            self.shared.with(|shard, now| shard.stack.tcp().ignore_pending(now, id));
        }
    }
}

impl Drop for PendingConnection {
    fn drop(&mut self) {
        let Some(id) = self.id else { return };
        self.shared.with(|shard, now| {
            shard.stack.tcp().refuse_pending(now, id);
            shard.wakers.forget(SocketKey::Pending(id));
        });
    }
}
