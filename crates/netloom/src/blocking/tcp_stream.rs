//! A TCP connection that blocks.

use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::net::{Shutdown, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::ReadBuf;

use super::setup::{Patience, Side, first_of};
use super::wait::{wait, wait_until};
use crate::handle::Take;
use crate::wakers::Claim;

/// A TCP connection, as [`std::net::TcpStream`]. The last clone closes it.
///
/// # Examples
/// ```no_run
/// # fn run(net: netloom::blocking::Net) -> std::io::Result<()> {
/// use std::io::{Read, Write};
/// use std::time::Duration;
///
/// let mut stream = net.tcp_connect("10.0.0.1:7")?;
/// stream.set_read_timeout(Some(Duration::from_secs(1)))?;
/// stream.write_all(b"echo")?;
/// stream.read_exact(&mut [0; 4])?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct TcpStream {
    shared: Arc<(crate::TcpStream, Patience)>,
}

impl From<crate::TcpStream> for TcpStream {
    fn from(stream: crate::TcpStream) -> Self {
        Self { shared: Arc::new((stream, Patience::default())) }
    }
}

impl TcpStream {
    /// Connects over the process's stack to the first of the addresses that answers.
    ///
    /// # Errors
    /// The last address's, as [`Net::tcp_connect`](super::Net::tcp_connect); `NetworkDown` without a stack.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/blocking_hosts.md")]
    /// use netloom::blocking::TcpStream;
    ///
    /// let listener = server.tcp_listen("10.0.0.1:80")?;
    /// client.set_default();
    /// let stream = TcpStream::connect("10.0.0.1:80")?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn connect(addr: impl ToSocketAddrs) -> io::Result<Self> {
        let net = crate::Net::current()?;
        first_of(addr, |address| wait(net.tcp_connect(address)).map(Self::from))
    }

    /// Connects to one address, within `timeout`.
    ///
    /// # Errors
    /// As [`connect`](Self::connect); `TimedOut` after `timeout`, `InvalidInput` if that is zero.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/blocking_hosts.md")]
    /// use netloom::blocking::TcpStream;
    /// use std::time::Duration;
    ///
    /// client.set_default();
    /// // Nobody has that address.
    /// let nobody = "10.0.0.77:80".parse().expect("an address");
    /// let error = TcpStream::connect_timeout(&nobody, Duration::from_millis(20)).unwrap_err();
    /// assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    /// # Ok(())
    /// # }
    /// ```
    pub fn connect_timeout(addr: &SocketAddr, timeout: Duration) -> io::Result<Self> {
        if timeout.is_zero() {
            return Err(io::Error::new(ErrorKind::InvalidInput, "cannot set a 0 duration timeout"));
        }
        let net = crate::Net::current()?;
        let mut connecting = std::pin::pin!(net.tcp_connect(*addr));
        wait_until(Instant::now().checked_add(timeout), |cx| connecting.as_mut().poll(cx))
            .unwrap_or_else(|| Err(ErrorKind::TimedOut.into()))
            .map(Self::from)
    }

    fn stream(&self) -> &crate::TcpStream {
        &self.shared.0
    }

    /// The connection under it, for what std's has not: `info`, `set_cork`.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/blocking_connected.md")]
    /// let info = outgoing.get_ref().info().expect("it lives");
    /// println!("{:?}, {} bytes may fly", info.state, info.cwnd);
    /// # Ok(())
    /// # }
    /// ```
    pub fn get_ref(&self) -> &crate::TcpStream {
        self.stream()
    }

    /// The peer's address.
    ///
    /// # Errors
    /// Never; the signature is std's.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/blocking_connected.md")]
    /// assert_eq!(outgoing.peer_addr()?, listener.local_addr()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream().peer_addr()
    }

    /// The connection's own address.
    ///
    /// # Errors
    /// Never; the signature is std's.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/blocking_connected.md")]
    /// assert_eq!(outgoing.local_addr()?, incoming.peer_addr()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.stream().local_addr()
    }

    /// Ends the sending side (a FIN after what was written), the receiving side (reads are at the end of the stream, and
    /// what comes is dropped), or both.
    ///
    /// # Errors
    /// `NotConnected` once the stack has ended.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/blocking_connected.md")]
    /// use std::net::Shutdown;
    ///
    /// outgoing.shutdown(Shutdown::Write)?;
    /// assert_eq!(incoming.read(&mut [0])?, 0);
    /// // The other way goes on.
    /// incoming.write_all(b"bye")?;
    /// outgoing.read_exact(&mut [0; 3])?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        let handle = &self.stream().handle;
        match how {
            Shutdown::Write => handle.shutdown_write(),
            Shutdown::Read => handle.shutdown_read(),
            Shutdown::Both => {
                handle.shutdown_read()?;
                handle.shutdown_write()
            }
        }
    }

    /// Another handle to the same connection, with the same time-outs.
    ///
    /// # Errors
    /// Never; the signature is std's.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/blocking_connected.md")]
    /// let mut writer = outgoing.try_clone()?;
    /// let writing = std::thread::spawn(move || writer.write_all(b"hello"));
    /// incoming.read_exact(&mut [0; 5])?;
    /// writing.join().expect("it did not panic")?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { shared: Arc::clone(&self.shared) })
    }

    /// How long a read waits; `None`: for ever. It then fails with `WouldBlock`.
    ///
    /// # Errors
    /// `InvalidInput` for zero.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/blocking_connected.md")]
    /// use std::time::Duration;
    ///
    /// outgoing.set_read_timeout(Some(Duration::from_millis(20)))?;
    /// let late = outgoing.read(&mut [0]).unwrap_err();
    /// assert_eq!(late.kind(), std::io::ErrorKind::WouldBlock);
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_read_timeout(&self, dur: Option<Duration>) -> io::Result<()> {
        self.shared.1.set_timeout(Side::Read, dur)
    }

    /// How long a write waits for room; `None`: for ever. It then fails with `WouldBlock`.
    ///
    /// # Errors
    /// `InvalidInput` for zero.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/blocking_connected.md")]
    /// use std::time::Duration;
    ///
    /// outgoing.set_write_timeout(Some(Duration::from_secs(1)))?;
    /// assert_eq!(outgoing.write_timeout()?, Some(Duration::from_secs(1)));
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_write_timeout(&self, dur: Option<Duration>) -> io::Result<()> {
        self.shared.1.set_timeout(Side::Write, dur)
    }

    /// What [`set_read_timeout`](Self::set_read_timeout) set.
    ///
    /// # Errors
    /// Never; the signature is std's.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/blocking_connected.md")]
    /// assert_eq!(outgoing.read_timeout()?, None);
    /// # Ok(())
    /// # }
    /// ```
    pub fn read_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(self.shared.1.timeout(Side::Read))
    }

    /// What [`set_write_timeout`](Self::set_write_timeout) set.
    ///
    /// # Errors
    /// Never; the signature is std's.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/blocking_connected.md")]
    /// assert_eq!(outgoing.write_timeout()?, None);
    /// # Ok(())
    /// # }
    /// ```
    pub fn write_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(self.shared.1.timeout(Side::Write))
    }

    /// Whether reads and writes fail with `WouldBlock` instead of waiting, on all clones.
    ///
    /// # Errors
    /// Never; the signature is std's.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/blocking_connected.md")]
    /// outgoing.set_nonblocking(true)?;
    /// let nothing = outgoing.read(&mut [0]).unwrap_err();
    /// assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock);
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.shared.1.set_nonblocking(nonblocking);
        Ok(())
    }

    /// Copies received data without taking it; waits until there is some. 0 is the end of the stream.
    ///
    /// # Errors
    /// As reading.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/blocking_connected.md")]
    /// incoming.write_all(b"x")?;
    /// assert_eq!(outgoing.peek(&mut [0; 16])?, 1);
    /// // It is still there.
    /// assert_eq!(outgoing.read(&mut [0; 16])?, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        let (stream, patience) = &*self.shared;
        patience.wait(Side::Read, |cx| stream.poll_peek(cx, &mut ReadBuf::new(buf)))
    }

    /// As [`netloom::TcpStream::set_nodelay`](crate::TcpStream::set_nodelay).
    ///
    /// # Errors
    /// `NotConnected` once the connection is gone.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/blocking_connected.md")]
    /// outgoing.set_nodelay(true)?;
    /// assert!(outgoing.nodelay()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.stream().set_nodelay(nodelay)
    }

    /// What [`set_nodelay`](Self::set_nodelay) set.
    ///
    /// # Errors
    /// `NotConnected` once the connection is gone.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/blocking_connected.md")]
    /// assert!(!outgoing.nodelay()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn nodelay(&self) -> io::Result<bool> {
        self.stream().nodelay()
    }

    /// The TTL, or hop limit, of what is sent; 64 unless it was set.
    ///
    /// # Errors
    /// `NotConnected` once the connection is gone.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/blocking_connected.md")]
    /// assert_eq!(outgoing.ttl()?, 64);
    /// # Ok(())
    /// # }
    /// ```
    pub fn ttl(&self) -> io::Result<u32> {
        self.stream().ttl()
    }

    /// Sets the TTL, or hop limit, of what is sent from now on.
    ///
    /// # Errors
    /// As [`netloom::TcpStream::set_ttl`](crate::TcpStream::set_ttl).
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/blocking_connected.md")]
    /// outgoing.set_ttl(9)?;
    /// assert_eq!(outgoing.ttl()?, 9);
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.stream().set_ttl(ttl)
    }

    /// Why the connection broke, if it did and nobody was told yet.
    ///
    /// # Errors
    /// `NotConnected` once the stack has ended.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/blocking_connected.md")]
    /// assert!(outgoing.take_error()?.is_none());
    /// # Ok(())
    /// # }
    /// ```
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.stream().take_error()
    }
}

impl Read for &TcpStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let (stream, patience) = &*self.shared;
        patience.wait(Side::Read, |cx| {
            stream.handle.poll_receive(Claim::Shared, cx, &mut ReadBuf::new(buf), Take::Yes)
        })
    }

    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let (stream, patience) = &*self.shared;
        patience.wait(Side::Read, |cx| {
            loop {
                match stream.try_read_vectored(bufs) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        ready!(stream.poll_read_ready(cx))?;
                    }
                    result => return Poll::Ready(result),
                }
            }
        })
    }
}

impl Write for &TcpStream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(buf)])
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let (stream, patience) = &*self.shared;
        patience.wait(Side::Write, |cx| stream.handle.poll_send(Claim::Shared, cx, bufs))
    }

    /// At once: what was written is on its way already.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for TcpStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buf)
    }

    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        (&*self).read_vectored(bufs)
    }
}

impl Write for TcpStream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        (&*self).write(buf)
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        (&*self).write_vectored(bufs)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
