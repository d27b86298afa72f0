//! A TCP listener that blocks.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use super::TcpStream;
use super::setup::{Patience, Side, first_of};
use super::wait::wait;

/// A TCP listener, as [`std::net::TcpListener`].
///
/// # Examples
/// ```no_run
/// # fn run(net: netloom::blocking::Net) -> std::io::Result<()> {
/// let listener = net.tcp_listen("0.0.0.0:7")?;
/// for stream in listener.incoming() {
///     let mut stream = stream?;
///     // One thread a client.
///     std::thread::spawn(move || std::io::copy(&mut stream.try_clone()?, &mut stream));
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct TcpListener {
    shared: Arc<(crate::TcpListener, Patience)>,
}

impl From<crate::TcpListener> for TcpListener {
    fn from(listener: crate::TcpListener) -> Self {
        Self { shared: Arc::new((listener, Patience::default())) }
    }
}

impl TcpListener {
    /// Listens, on the process's stack, at the first of the addresses that can be had.
    ///
    /// # Errors
    /// The last address's, as [`Net::tcp_listen`](super::Net::tcp_listen); `NetworkDown` without a stack.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/blocking_hosts.md")]
    /// use netloom::blocking::TcpListener;
    ///
    /// server.set_default();
    /// let listener = TcpListener::bind("10.0.0.1:80")?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn bind(addr: impl ToSocketAddrs) -> io::Result<Self> {
        let net = crate::Net::current()?;
        first_of(addr, |address| wait(net.tcp_listen(address)).map(Self::from))
    }

    /// Waits for a connection. Several threads may wait on clones.
    ///
    /// # Errors
    /// `NotConnected` once the stack has ended; `WouldBlock` if it does not wait.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/blocking_hosts.md")]
    /// let listener = server.tcp_listen("10.0.0.1:80")?;
    /// let outgoing = client.tcp_connect("10.0.0.1:80")?;
    /// let (incoming, from) = listener.accept()?;
    /// assert_eq!(from, outgoing.local_addr()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (listener, patience) = &*self.shared;
        let (stream, from) = patience.wait(Side::Read, |cx| listener.poll_accept(cx))?;
        Ok((stream.into(), from))
    }

    /// Connections without end, as [`accept`](Self::accept) gives them.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/blocking_hosts.md")]
    /// let listener = server.tcp_listen("10.0.0.1:80")?;
    /// let outgoing = client.tcp_connect("10.0.0.1:80")?;
    /// let first = listener.incoming().next().expect("it has no end")?;
    /// assert_eq!(first.peer_addr()?, outgoing.local_addr()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming { listener: self }
    }

    /// The address that is listened on.
    ///
    /// # Errors
    /// Never; the signature is std's.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/blocking_hosts.md")]
    /// let listener = server.tcp_listen("10.0.0.1:0")?;
    /// assert_ne!(listener.local_addr()?.port(), 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.shared.0.local_addr()
    }

    /// The TTL, or hop limit, of its answers and of what its connections begin with.
    ///
    /// # Errors
    /// `NotConnected` once the stack has ended.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/blocking_hosts.md")]
    /// let listener = server.tcp_listen("10.0.0.1:80")?;
    /// assert_eq!(listener.ttl()?, 64);
    /// # Ok(())
    /// # }
    /// ```
    pub fn ttl(&self) -> io::Result<u32> {
        self.shared.0.ttl()
    }

    /// Sets the TTL, or hop limit, of its answers and of what its next connections begin with.
    ///
    /// # Errors
    /// `InvalidInput` for 0 and beyond 255, `NotConnected` once the stack has ended.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/blocking_hosts.md")]
    /// let listener = server.tcp_listen("10.0.0.1:80")?;
    /// listener.set_ttl(9)?;
    /// assert_eq!(listener.ttl()?, 9);
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.shared.0.set_ttl(ttl)
    }

    /// Another handle to the same listener.
    ///
    /// # Errors
    /// Never; the signature is std's.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/blocking_hosts.md")]
    /// let listener = server.tcp_listen("10.0.0.1:80")?;
    /// let clone = listener.try_clone()?;
    /// std::thread::spawn(move || clone.accept());
    /// assert!(client.tcp_connect("10.0.0.1:80").is_ok());
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { shared: Arc::clone(&self.shared) })
    }

    /// Whether [`accept`](Self::accept) fails with `WouldBlock` instead of waiting, on all clones.
    ///
    /// # Errors
    /// Never; the signature is std's.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/blocking_hosts.md")]
    /// let listener = server.tcp_listen("10.0.0.1:80")?;
    /// listener.set_nonblocking(true)?;
    /// let nobody = listener.accept().unwrap_err();
    /// assert_eq!(nobody.kind(), std::io::ErrorKind::WouldBlock);
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.shared.1.set_nonblocking(nonblocking);
        Ok(())
    }
}

/// Connections without end: what [`TcpListener::incoming`] gives.
///
/// # Examples
/// ```
#[doc = include_str!("../doc/blocking_hosts.md")]
/// let listener = server.tcp_listen("10.0.0.1:80")?;
/// let outgoing = client.tcp_connect("10.0.0.1:80")?;
/// for stream in listener.incoming() {
///     assert_eq!(stream?.peer_addr()?, outgoing.local_addr()?);
///     break;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Incoming<'a> {
    listener: &'a TcpListener,
}

impl Iterator for Incoming<'_> {
    type Item = io::Result<TcpStream>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.listener.accept().map(|(stream, _)| stream))
    }
}

impl std::iter::FusedIterator for Incoming<'_> {}
