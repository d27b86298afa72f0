//! A TCP socket that neither listens nor is connected yet.

mod options;

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use netloom_stack::transport::{ListenOptions, SocketOptions, TcpBind};
use nix::errno::Errno;

use crate::host::Host;
use crate::reservations::{ReservationId, Reuse};
use crate::{TcpListener, TcpStream, binding, current};

/// A TCP socket to be set up before it connects or listens, as [`tokio::net::TcpSocket`].
///
/// # Examples
/// ```
#[doc = include_str!("doc/two_hosts.md")]
/// use netloom::net::TcpListener;
///
/// // Two listeners on one port: a connection goes to one of them.
/// let listen = || -> std::io::Result<TcpListener> {
///     let socket = server.tcp_socket_v4();
///     socket.set_reuseport(true)?;
///     socket.bind("10.0.0.1:80".parse().expect("an address"))?;
///     socket.listen(128)
/// };
/// let listeners = (listen()?, listen()?);
///
/// // A client that sets itself up: expedited forwarding, probes while it is idle, and a port of its own.
/// let socket = client.tcp_socket_v4();
/// socket.set_tos_v4(0xb8)?;
/// socket.set_keepalive(true)?;
/// socket.bind("10.0.0.2:5000".parse().expect("an address"))?;
/// let outgoing = socket.connect("10.0.0.1:80".parse().expect("an address")).await?;
/// let (_, from) = tokio::select! {
///     accepted = listeners.0.accept() => accepted?,
///     accepted = listeners.1.accept() => accepted?,
/// };
/// assert_eq!(from, outgoing.local_addr()?);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct TcpSocket {
    host: Arc<Host>,
    /// The unspecified address of its family.
    any: IpAddr,
    setup: Mutex<Setup>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Setup {
    options: SocketOptions,
    linger: Option<Duration>,
    fast_open: u32,
    reuse: Reuse,
    bound: Option<(ReservationId, SocketAddr)>,
}

impl TcpSocket {
    pub(crate) fn on(host: Arc<Host>, any: IpAddr) -> Self {
        Self { host, any, setup: Mutex::default() }
    }

    /// A socket for IPv4 on the [`Net`](crate::Net) of this task.
    ///
    /// # Errors
    /// `NetworkDown` without a [`Net`](crate::Net).
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/two_hosts.md")]
    /// use netloom::net::TcpSocket;
    ///
    /// let socket = client.scope(async { TcpSocket::new_v4() }).await?;
    /// assert_eq!(socket.local_addr()?, "0.0.0.0:0".parse().expect("an address"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn new_v4() -> io::Result<Self> {
        Ok(Self::on(current::current()?, Ipv4Addr::UNSPECIFIED.into()))
    }

    /// A socket for IPv6 on the [`Net`](crate::Net) of this task.
    ///
    /// # Errors
    /// `NetworkDown` without a [`Net`](crate::Net).
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/two_hosts.md")]
    /// use netloom::net::TcpSocket;
    ///
    /// let socket = client.scope(async { TcpSocket::new_v6() }).await?;
    /// assert_eq!(socket.local_addr()?, "[::]:0".parse().expect("an address"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn new_v6() -> io::Result<Self> {
        Ok(Self::on(current::current()?, Ipv6Addr::UNSPECIFIED.into()))
    }

    fn setup(&self) -> MutexGuard<'_, Setup> {
        self.setup.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an address and port; port 0 a free one.
    ///
    /// # Errors
    /// `AddrInUse`, `AddrNotAvailable` if the address is not the stack's own, `InvalidInput` the second time and
    /// `EAFNOSUPPORT` for an address of the other family.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/two_hosts.md")]
    /// let socket = client.tcp_socket_v4();
    /// socket.bind("10.0.0.2:5000".parse().expect("an address"))?;
    /// let error = client.tcp_socket_v4().bind("10.0.0.2:5000".parse().expect("an address")).unwrap_err();
    /// assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    /// # Ok(())
    /// # }
    /// ```
    pub fn bind(&self, addr: SocketAddr) -> io::Result<()> {
        self.check_family(addr)?;
        let mut setup = self.setup();
        if setup.bound.is_some() {
            return Err(ErrorKind::InvalidInput.into());
        }
        let reuse = setup.reuse;
        setup.bound = Some(binding::reserve(&self.host, addr, reuse)?);
        Ok(())
    }

    fn check_family(&self, address: SocketAddr) -> io::Result<()> {
        if address.is_ipv4() == self.any.is_ipv4() { Ok(()) } else { Err(Errno::EAFNOSUPPORT.into()) }
    }

    /// What the socket is bound to; port 0 before that.
    ///
    /// # Errors
    /// Never; the signature is tokio's.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/two_hosts.md")]
    /// let socket = client.tcp_socket_v4();
    /// socket.bind("10.0.0.2:0".parse().expect("an address"))?;
    /// // The port that was found for it.
    /// assert_ne!(socket.local_addr()?.port(), 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.setup().bound.map_or(SocketAddr::new(self.any, 0), |(_, address)| address))
    }

    /// Nothing that was not told at once.
    ///
    /// # Errors
    /// Never; the signature is tokio's.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/two_hosts.md")]
    /// let socket = client.tcp_socket_v4();
    /// assert!(socket.take_error()?.is_none());
    /// # Ok(())
    /// # }
    /// ```
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        Ok(None)
    }

    /// Connects to `addr`. Dropped before it is done, the future leaves nothing behind. After
    /// [`set_fastopen_connect`](Self::set_fastopen_connect) it may be done at once, and the peer's refusal be told by a read or write.
    ///
    /// # Errors
    /// As [`Net::tcp_connect`](crate::Net::tcp_connect).
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/two_hosts.md")]
    /// let socket = client.tcp_socket_v4();
    /// # let listener = server.tcp_listen("10.0.0.1:80").await?;
    /// // From a port of its own.
    /// socket.bind("10.0.0.2:5000".parse().expect("an address"))?;
    /// let stream = socket.connect("10.0.0.1:80".parse().expect("an address")).await?;
    /// assert_eq!(stream.local_addr()?.port(), 5000);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn connect(self, addr: SocketAddr) -> io::Result<TcpStream> {
        self.check_family(addr)?;
        let Setup { options, linger, fast_open: _, reuse: _, bound } = *self.setup();
        let local = bound.map_or(TcpBind::default(), |(_, address)| TcpBind {
            address: Some(address.ip()).filter(|ip| !ip.is_unspecified()),
            port: address.port(),
        });
        TcpStream::connect_on(&self.host, local, addr, &options, linger).await
    }

    /// Listens, with up to `backlog` connections that wait to be accepted.
    ///
    /// # Errors
    /// `AddrInUse` when another listens there by now.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/two_hosts.md")]
    /// let socket = client.tcp_socket_v4();
    /// socket.bind("10.0.0.2:80".parse().expect("an address"))?;
    /// let listener = socket.listen(16)?;
    /// let stream = server.tcp_connect("10.0.0.2:80").await?;
    /// assert_eq!(listener.accept().await?.1, stream.local_addr()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn listen(self, backlog: u32) -> io::Result<TcpListener> {
        let Setup { options, linger, fast_open, reuse, bound } = *self.setup();
        let address = bound.map_or(SocketAddr::new(self.any, 0), |(_, address)| address);
        let backlog = usize::try_from(backlog).unwrap_or(usize::MAX).max(1);
        let fast_open = usize::try_from(fast_open).unwrap_or(usize::MAX);
        let listen = ListenOptions { backlog, fast_open, socket: options, ..ListenOptions::default() };
        let own = bound.map(|(id, _)| id);
        TcpListener::listen_on(&self.host, address, listen, reuse, own, linger)
    }
}

impl Drop for TcpSocket {
    fn drop(&mut self) {
        let bound = self.setup().bound.take();
        if let Some((id, _)) = bound {
            self.host.reservations().remove(id);
        }
    }
}
