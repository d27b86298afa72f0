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
    pub fn bind(addr: impl ToSocketAddrs) -> io::Result<Self> {
        let net = crate::Net::current()?;
        first_of(addr, |address| wait(net.tcp_listen(address)).map(Self::from))
    }

    /// Waits for a connection. Several threads may wait on clones.
    ///
    /// # Errors
    /// `NotConnected` once the stack has ended; `WouldBlock` if it does not wait.
    pub fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (listener, patience) = &*self.shared;
        let (stream, from) = patience.wait(Side::Read, |cx| listener.poll_accept(cx))?;
        Ok((stream.into(), from))
    }

    /// Connections without end, as [`accept`](Self::accept) gives them.
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming { listener: self }
    }

    /// The address that is listened on.
    ///
    /// # Errors
    /// Never; the signature is std's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.shared.0.local_addr()
    }

    /// The TTL, or hop limit, of its answers and of what its connections begin with.
    ///
    /// # Errors
    /// `NotConnected` once the stack has ended.
    pub fn ttl(&self) -> io::Result<u32> {
        self.shared.0.ttl()
    }

    /// Sets the TTL, or hop limit, of its answers and of what its next connections begin with.
    ///
    /// # Errors
    /// `InvalidInput` for 0 and beyond 255, `NotConnected` once the stack has ended.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.shared.0.set_ttl(ttl)
    }

    /// Another handle to the same listener.
    ///
    /// # Errors
    /// Never; the signature is std's.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { shared: Arc::clone(&self.shared) })
    }

    /// Whether [`accept`](Self::accept) fails with `WouldBlock` instead of waiting, on all clones.
    ///
    /// # Errors
    /// Never; the signature is std's.
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.shared.1.set_nonblocking(nonblocking);
        Ok(())
    }
}

/// Connections without end: what [`TcpListener::incoming`] gives.
///
/// # Examples
/// ```
/// use netloom::blocking;
/// # use netloom::InterfaceConfig;
/// # use netloom::device::MemoryQueue;
/// # use netloom::stack::Medium;
///
/// # fn main() -> std::io::Result<()> {
/// # let (left, right) = MemoryQueue::pair(Medium::Ip, 1500)?;
/// # let start = |device, address: &str| {
/// #     let config = InterfaceConfig::optimistic(address.parse().expect("a CIDR"));
/// #     blocking::Net::start(netloom::Net::builder().interface(Box::new(device), config))
/// # };
/// # let (server, client) = (start(left, "10.0.0.1/24")?, start(right, "10.0.0.2/24")?);
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
