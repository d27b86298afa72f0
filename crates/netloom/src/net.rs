//! A running stack: its sockets, and its end; and the names of `tokio::net`.
//!
//! What was written for tokio's sockets runs over a stack when `use tokio::net` becomes `use netloom::net`; which stack,
//! [`Net::scope`] and [`Net::set_default`] say. Names are looked up as tokio does, by the host's resolver.
//!
//! # Examples
//! ```
//! use netloom::net::{TcpListener, TcpStream}; // was: tokio::net
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! # let (server, client) = netloom::Net::pair("10.0.0.1/24", "10.0.0.2/24")?;
//! let listener = server.scope(TcpListener::bind("10.0.0.1:80")).await?;
//! client.set_default();
//! let stream = TcpStream::connect("10.0.0.1:80").await?;
//! # Ok(())
//! # }
//! ```

use std::future::{Future, ready};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use netloom_stack::internet::{AddressState, LocalAddress};
use netloom_stack::{Cidr, InterfaceId, Stack};
use tokio::task::JoinHandle;

use crate::current;
use crate::host::Host;
use crate::interface_info::InterfaceInfo;
use crate::names::first_of;
use crate::shard::{Ended, Shard};

pub use tokio::net::{ToSocketAddrs, lookup_host};

pub use crate::{TcpListener, TcpSocket, TcpStream, UdpSocket};

/// The halves of connections, where `tokio::net` has them too.
///
/// # Examples
/// ```
/// use netloom::net::TcpStream;
/// use netloom::net::tcp::{OwnedReadHalf, OwnedWriteHalf}; // was: tokio::net::tcp
///
/// fn halves(stream: TcpStream) -> (OwnedReadHalf, OwnedWriteHalf) {
///     stream.into_split()
/// }
/// ```
pub mod tcp {
    pub use crate::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf};
}

/// A TCP/IP stack that runs: an own host behind one or more devices.
///
/// Clones are handles to the same stack. It runs on the tokio runtime that it was started on, until
/// [`shutdown`](Self::shutdown), [`abort`](Self::abort), or the failure of a device.
///
/// *Shards.* With several queues ([`NetBuilder::interface_queues`](crate::NetBuilder::interface_queues)) it is as many stacks
/// that are one host. Each owns the flows whose hash names it, with their sockets; a UDP socket with all its peers belongs to
/// one of them, by its port. Sockets work on every thread, and best on their shard's.
///
/// # Examples
/// ```
#[doc = include_str!("doc/two_hosts.md")]
/// // Several stacks in one process; sockets are asked of one of them, or made in its scope.
/// assert_eq!(server.addresses(), ["10.0.0.1/24".parse().expect("a CIDR")]);
/// let listener = server.scope(netloom::net::TcpListener::bind("10.0.0.1:80")).await?;
/// let stream = client.tcp_connect(listener.local_addr()?).await?;
///
/// // What a stack counts, and what it holds.
/// let connections: usize = client.inspect(|stack| stack.tcp().usage().connections).iter().sum();
/// assert_eq!(connections, 1);
///
/// // The end, as connections like it within a second, or at once.
/// drop((stream, listener));
/// client.shutdown(std::time::Duration::from_secs(1)).await;
/// server.abort();
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Net {
    pub(crate) host: Arc<Host>,
}

impl Net {
    /// Waits until the stack has ended: by [`shutdown`](Self::shutdown) or [`abort`](Self::abort), or because a device
    /// failed, whose error this is.
    ///
    /// # Errors
    /// The kind of the device's error.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/two_hosts.md")]
    /// let watched = server.clone();
    /// let watching = tokio::spawn(async move { watched.ended().await });
    /// server.abort();
    /// // By itself it would have ended with the device's error.
    /// assert!(watching.await?.is_ok());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn ended(&self) -> io::Result<()> {
        self.host.wait_for(|shard| shard.ended.is_some()).await;
        match self.host.first().look(|shard| shard.ended) {
            Some(Ended::DeviceFailed(kind)) => Err(kind.into()),
            Some(Ended::ShutDown) | None => Ok(()),
        }
    }

    /// Waits until no address is being probed for duplicates any more. At once with
    /// [`AddressDetection::Optimistic`](crate::AddressDetection::Optimistic) and `Off`.
    ///
    /// # Examples
    /// ```no_run
    /// # async fn start(config: netloom::InterfaceConfig) -> std::io::Result<()> {
    /// let net = netloom::Net::tap("nl0", config)?;
    /// // Nobody else has the address: after some seconds that is known.
    /// net.addresses_ready().await;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn addresses_ready(&self) {
        let is_settled = |address: &LocalAddress| address.state != AddressState::Tentative;
        let usable = |shard: &Shard| {
            shard.stack.internet().addresses().filter(|address| address.state.is_usable()).count()
        };
        self.host
            .wait_until(|| {
                let first = self.host.first();
                first.look(|shard| shard.stack.internet().addresses().all(is_settled))
                    && self.host.shards().iter().all(|shard| shard.look(usable) == first.look(usable))
            })
            .await;
    }

    /// Listens at the first of the addresses that can be had; an unspecified IP address is all of the stack's own, of that
    /// family or, for `[::]`, of both. Port 0 takes a free one.
    ///
    /// # Errors
    /// The last address's: `AddrInUse`, `AddrNotAvailable` if it is not the stack's own, or `NotConnected` after shutdown. A
    /// name's that cannot be looked up.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/two_hosts.md")]
    /// let listener = server.tcp_listen("10.0.0.1:80").await?;
    /// let error = server.tcp_listen("[::]:80").await.unwrap_err();
    /// assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn tcp_listen(&self, addr: impl ToSocketAddrs) -> io::Result<TcpListener> {
        first_of(addr, |address| ready(TcpListener::bind_on(&self.host, address))).await
    }

    /// Connects to the first of the addresses that answers. Cancel safe: dropped before, the future leaves no connection.
    ///
    /// # Errors
    /// The last address's, those of `std::net::TcpStream::connect`: `ConnectionRefused`, `TimedOut`, `NetworkUnreachable`,
    /// `HostUnreachable`, `AddrNotAvailable` when no port is free. `NotConnected` after shutdown. A name's that cannot be
    /// looked up.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/two_hosts.md")]
    /// let listener = server.tcp_listen("10.0.0.1:80").await?;
    /// let stream = client.tcp_connect(("10.0.0.1", 80)).await?;
    /// let error = client.tcp_connect("10.0.0.1:81").await.unwrap_err();
    /// assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn tcp_connect(&self, addr: impl ToSocketAddrs) -> io::Result<TcpStream> {
        first_of(addr, |remote| TcpStream::connect_plainly(&self.host, remote)).await
    }

    /// Opens a UDP socket at the first of the addresses that can be had; the rules are [`tcp_listen`](Self::tcp_listen)'s.
    ///
    /// # Errors
    /// As [`tcp_listen`](Self::tcp_listen).
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/two_hosts.md")]
    /// let socket = server.udp_bind("0.0.0.0:0").await?;
    /// // The port that was found for it.
    /// assert_ne!(socket.local_addr()?.port(), 0);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn udp_bind(&self, addr: impl ToSocketAddrs) -> io::Result<UdpSocket> {
        first_of(addr, |address| ready(UdpSocket::bind_on(&self.host, address))).await
    }

    /// A TCP socket for IPv4, to be set up before it connects or listens.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/two_hosts.md")]
    /// let socket = server.tcp_socket_v4();
    /// socket.set_reuseport(true)?;
    /// socket.bind("10.0.0.1:80".parse().expect("an address"))?;
    /// let listener = socket.listen(1024)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn tcp_socket_v4(&self) -> TcpSocket {
        TcpSocket::on(Arc::clone(&self.host), Ipv4Addr::UNSPECIFIED.into())
    }

    /// A TCP socket for IPv6, to be set up before it connects or listens.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/two_hosts.md")]
    /// let socket = server.tcp_socket_v6();
    /// socket.bind("[::]:80".parse().expect("an address"))?;
    /// let listener = socket.listen(1024)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn tcp_socket_v6(&self) -> TcpSocket {
        TcpSocket::on(Arc::clone(&self.host), Ipv6Addr::UNSPECIFIED.into())
    }

    /// Runs `future` with this stack under the sockets that it makes without naming one. What it spawns does not inherit
    /// that.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/two_hosts.md")]
    /// use netloom::net::{TcpListener, TcpStream};
    ///
    /// let listener = server.scope(TcpListener::bind("10.0.0.1:80")).await?;
    /// let stream = client.scope(TcpStream::connect("10.0.0.1:80")).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn scope<F: Future>(&self, future: F) -> F::Output {
        current::scope(Arc::clone(&self.host), future).await
    }

    /// Makes this stack the one of all tasks of the process that have no [`scope`](Self::scope).
    ///
    /// # Examples
    /// ```no_run
    /// # async fn run(net: netloom::Net) -> std::io::Result<()> {
    /// use netloom::net::TcpStream;
    ///
    /// net.set_default();
    /// // Tasks that are spawned find it as well.
    /// tokio::spawn(async { TcpStream::connect("10.0.0.1:80").await });
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_default(&self) {
        current::replace_default(Some(Arc::clone(&self.host)));
    }

    /// Takes the process's stack away again, and returns it.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/two_hosts.md")]
    /// server.set_default();
    /// assert!(netloom::Net::take_default().is_some());
    /// assert!(netloom::Net::take_default().is_none());
    /// # Ok(())
    /// # }
    /// ```
    pub fn take_default() -> Option<Self> {
        current::replace_default(None).map(|host| Self { host })
    }

    /// The stack of this task, or else of the process.
    ///
    /// # Errors
    /// `NetworkDown` if there is neither.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/two_hosts.md")]
    /// use netloom::Net;
    ///
    /// assert_eq!(Net::current().unwrap_err().kind(), std::io::ErrorKind::NetworkDown);
    /// let net = client.scope(async { Net::current() }).await?;
    /// assert_eq!(net.addresses(), client.addresses());
    /// # Ok(())
    /// # }
    /// ```
    pub fn current() -> io::Result<Self> {
        current::current().map(|host| Self { host })
    }

    /// The stack's own addresses.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/two_hosts.md")]
    /// assert_eq!(client.addresses(), ["10.0.0.2/24".parse().expect("a CIDR")]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn addresses(&self) -> Vec<Cidr> {
        self.host.first().look(|shard| shard.stack.internet().addresses().map(|it| it.cidr).collect())
    }

    /// The interfaces as they are now, in the order in which they were added.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/two_hosts.md")]
    /// for interface in server.interfaces() {
    ///     for address in &interface.addresses {
    ///         println!("{}: {} {}", interface.name, address.cidr, address.state);
    ///     }
    /// }
    /// # drop(client);
    /// # Ok(())
    /// # }
    /// ```
    pub fn interfaces(&self) -> Vec<InterfaceInfo> {
        // The first shard tries addresses out and answers for them: the others know only what can be used.
        let addresses: Vec<LocalAddress> =
            self.host.first().look(|shard| shard.stack.internet().addresses().copied().collect());
        let mut interfaces = self.host.interfaces().to_vec();
        for (index, interface) in (0..).zip(&mut interfaces) {
            let id = InterfaceId::new(index);
            interface.addresses = addresses.iter().filter(|it| it.interface == id).copied().collect();
        }
        interfaces
    }

    /// Looks at each shard's stack in turn: its counters, tables, connections. `look` runs under the shard's lock: be brief.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/two_hosts.md")]
    /// let received = server.inspect(|stack| stack.counters().frames_received.get());
    /// println!("{} frames by the first shard", received[0]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn inspect<R>(&self, mut look: impl FnMut(&mut Stack) -> R) -> Vec<R> {
        self.host.shards().iter().map(|shard| shard.with(|shard, _| look(&mut shard.stack))).collect()
    }

    /// How many shards there are: as many as each interface has queues.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/two_hosts.md")]
    /// assert_eq!(server.shard_count(), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn shard_count(&self) -> usize {
        self.host.shards().len()
    }

    /// Spawns a task on the thread of a shard, where that shard's sockets are served best; counted from 0, and around. The
    /// first shard's is the runtime that the stack was started on. On the other threads tasks end with the stack.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/two_hosts.md")]
    /// let net = server.clone();
    /// let serving = server.spawn_on(0, async move { net.udp_bind("10.0.0.1:53").await });
    /// assert_eq!(serving.await??.shard(), 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn spawn_on<F>(&self, shard: usize, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.host.runtime(shard).spawn(task)
    }

    /// Waits until all connections have ended, but no longer than `patience`; then ends the stack, resetting what is
    /// left. Drop listeners and streams first: an open stream keeps its connection. The devices are closed when this
    /// returns, and an interface that was made by opening one is gone.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/connected.md")]
    /// use std::time::Duration;
    ///
    /// outgoing.try_write(b"the last words")?;
    /// drop((outgoing, listener));
    /// assert_eq!(incoming.recv_bytes(100).await?, "the last words");
    /// drop(incoming);
    /// client.shutdown(Duration::from_secs(1)).await;
    /// server.shutdown(Duration::from_secs(1)).await;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn shutdown(self, patience: Duration) {
        for shard in self.host.shards() {
            shard.with(|shard, _| shard.is_draining = true);
        }
        let connections_ended =
            self.host.wait_for(|shard| shard.ended.is_some() || shard.stack.transport_usage().live() == 0);
        // What is left after that is reset below.
        let _ = tokio::time::timeout(patience, connections_ended).await;
        self.abort();
        self.host.wait_for(|shard| shard.has_no_driver).await;
    }

    /// Ends the stack now: open connections are reset, sockets fail with `NotConnected`, devices are closed.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/connected.md")]
    /// server.abort();
    /// let error = incoming.recv_bytes(1).await.unwrap_err();
    /// assert_eq!(error.kind(), std::io::ErrorKind::NotConnected);
    /// # Ok(())
    /// # }
    /// ```
    pub fn abort(&self) {
        for shard in self.host.shards() {
            shard.with(|shard, now| shard.stack.tcp().abort_all(now));
        }
        self.host.end(Ended::ShutDown);
    }
}
