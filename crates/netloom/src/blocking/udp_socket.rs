//! A UDP socket that blocks.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::ReadBuf;

use super::setup::{Patience, Side, first_of};
use super::wait::wait;

/// A UDP socket, as [`std::net::UdpSocket`]. The last clone closes it.
///
/// # Examples
/// ```no_run
/// # fn run(net: netloom::blocking::Net) -> std::io::Result<()> {
/// let socket = net.udp_bind("0.0.0.0:0")?;
/// socket.send_to(b"question", "10.0.0.1:53")?;
/// let mut buffer = [0; 512];
/// let (len, from) = socket.recv_from(&mut buffer)?;
/// println!("{from} has sent {len} bytes");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct UdpSocket {
    shared: Arc<(crate::UdpSocket, Patience)>,
}

impl From<crate::UdpSocket> for UdpSocket {
    fn from(socket: crate::UdpSocket) -> Self {
        Self { shared: Arc::new((socket, Patience::default())) }
    }
}

impl UdpSocket {
    /// Opens a socket, on the process's stack, at the first of the addresses that can be had.
    ///
    /// # Errors
    /// The last address's, as [`Net::udp_bind`](super::Net::udp_bind); `NetworkDown` without a stack.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/blocking_hosts.md")]
    /// use netloom::blocking::UdpSocket;
    ///
    /// server.set_default();
    /// let socket = UdpSocket::bind("10.0.0.1:53")?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn bind(addr: impl ToSocketAddrs) -> io::Result<Self> {
        let net = crate::Net::current()?;
        first_of(addr, |address| wait(net.udp_bind(address)).map(Self::from))
    }

    fn socket(&self) -> &crate::UdpSocket {
        &self.shared.0
    }

    fn receive<R>(
        &self,
        buf: &mut [u8],
        mut poll: impl FnMut(&crate::UdpSocket, &mut Context<'_>, &mut ReadBuf<'_>) -> Poll<io::Result<R>>,
    ) -> io::Result<(usize, R)> {
        let (socket, patience) = &*self.shared;
        patience.wait(Side::Read, |cx| {
            let mut buffer = ReadBuf::new(buf);
            poll(socket, cx, &mut buffer).map_ok(|result| (buffer.filled().len(), result))
        })
    }

    /// Receives one datagram; what does not fit `buf` is lost.
    ///
    /// # Errors
    /// As [`netloom::UdpSocket::recv_from`](crate::UdpSocket::recv_from); `WouldBlock` after the time-out.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/blocking_datagrams.md")]
    /// there.send_to(b"question", "10.0.0.1:53")?;
    /// assert_eq!(here.recv_from(&mut [0; 512])?, (8, there.local_addr()?));
    /// # Ok(())
    /// # }
    /// ```
    pub fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.receive(buf, crate::UdpSocket::poll_recv_from)
    }

    /// Copies the next datagram without taking it.
    ///
    /// # Errors
    /// As [`recv_from`](Self::recv_from).
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/blocking_datagrams.md")]
    /// there.send_to(b"question", "10.0.0.1:53")?;
    /// assert_eq!(here.peek_from(&mut [0; 512])?, (8, there.local_addr()?));
    /// // It is still there.
    /// assert_eq!(here.recv(&mut [0; 512])?, 8);
    /// # Ok(())
    /// # }
    /// ```
    pub fn peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.receive(buf, crate::UdpSocket::poll_peek_from)
    }

    /// Receives one datagram from the connected peer.
    ///
    /// # Errors
    /// As [`recv_from`](Self::recv_from).
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/blocking_datagrams.md")]
    /// there.send_to(b"question", "10.0.0.1:53")?;
    /// assert_eq!(here.recv(&mut [0; 512])?, 8);
    /// # Ok(())
    /// # }
    /// ```
    pub fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(self.recv_from(buf)?.0)
    }

    /// Copies the next datagram without taking it, and without its sender.
    ///
    /// # Errors
    /// As [`recv_from`](Self::recv_from).
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/blocking_datagrams.md")]
    /// there.send_to(b"question", "10.0.0.1:53")?;
    /// assert_eq!(here.peek(&mut [0; 512])?, 8);
    /// # Ok(())
    /// # }
    /// ```
    pub fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(self.peek_from(buf)?.0)
    }

    /// Sends one datagram to the first of the addresses; waits for room in the socket's queue.
    ///
    /// # Errors
    /// As [`netloom::UdpSocket::send_to`](crate::UdpSocket::send_to); `WouldBlock` after the time-out.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/blocking_datagrams.md")]
    /// assert_eq!(there.send_to(b"question", "10.0.0.1:53")?, 8);
    /// # Ok(())
    /// # }
    /// ```
    pub fn send_to(&self, buf: &[u8], addr: impl ToSocketAddrs) -> io::Result<usize> {
        let target = addr.to_socket_addrs()?.next().ok_or_else(crate::error::no_address)?;
        let (socket, patience) = &*self.shared;
        patience.wait(Side::Write, |cx| socket.poll_send_to(cx, buf, target))
    }

    /// Sends one datagram to the connected peer.
    ///
    /// # Errors
    /// As [`netloom::UdpSocket::send`](crate::UdpSocket::send); `WouldBlock` after the time-out.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/blocking_datagrams.md")]
    /// there.connect("10.0.0.1:53")?;
    /// assert_eq!(there.send(b"question")?, 8);
    /// # Ok(())
    /// # }
    /// ```
    pub fn send(&self, buf: &[u8]) -> io::Result<usize> {
        let (socket, patience) = &*self.shared;
        patience.wait(Side::Write, |cx| socket.poll_send(cx, buf))
    }

    /// Receives only from `addr`, the first that can be reached, and sends there with [`send`](Self::send).
    ///
    /// # Errors
    /// `NetworkUnreachable` without a route.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/blocking_datagrams.md")]
    /// there.connect("10.0.0.1:53")?;
    /// there.send(b"question")?;
    /// assert_eq!(there.peer_addr()?, here.local_addr()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn connect(&self, addr: impl ToSocketAddrs) -> io::Result<()> {
        first_of(addr, |address| wait(self.socket().connect(address)))
    }

    /// The socket's own address.
    ///
    /// # Errors
    /// `NotConnected` once the stack has ended.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/blocking_datagrams.md")]
    /// assert_eq!(here.local_addr()?.port(), 53);
    /// # Ok(())
    /// # }
    /// ```
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket().local_addr()
    }

    /// The connected peer's address.
    ///
    /// # Errors
    /// `NotConnected` without one.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/blocking_datagrams.md")]
    /// assert_eq!(there.peer_addr().unwrap_err().kind(), std::io::ErrorKind::NotConnected);
    /// there.connect("10.0.0.1:53")?;
    /// assert_eq!(there.peer_addr()?, here.local_addr()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket().peer_addr()
    }

    /// Another handle to the same socket, with the same time-outs.
    ///
    /// # Errors
    /// Never; the signature is std's.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/blocking_datagrams.md")]
    /// let receiver = here.try_clone()?;
    /// let receiving = std::thread::spawn(move || receiver.recv(&mut [0; 512]));
    /// there.send_to(b"question", "10.0.0.1:53")?;
    /// assert_eq!(receiving.join().expect("it did not panic")?, 8);
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { shared: Arc::clone(&self.shared) })
    }

    /// How long receiving waits; `None`: for ever. It then fails with `WouldBlock`.
    ///
    /// # Errors
    /// `InvalidInput` for zero.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/blocking_datagrams.md")]
    /// use std::time::Duration;
    ///
    /// here.set_read_timeout(Some(Duration::from_millis(20)))?;
    /// let late = here.recv(&mut [0; 512]).unwrap_err();
    /// assert_eq!(late.kind(), std::io::ErrorKind::WouldBlock);
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_read_timeout(&self, dur: Option<Duration>) -> io::Result<()> {
        self.shared.1.set_timeout(Side::Read, dur)
    }

    /// How long sending waits for room; `None`: for ever. It then fails with `WouldBlock`.
    ///
    /// # Errors
    /// `InvalidInput` for zero.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/blocking_datagrams.md")]
    /// use std::time::Duration;
    ///
    /// here.set_write_timeout(Some(Duration::from_secs(1)))?;
    /// assert_eq!(here.write_timeout()?, Some(Duration::from_secs(1)));
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
    #[doc = include_str!("../doc/blocking_datagrams.md")]
    /// assert_eq!(here.read_timeout()?, None);
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
    #[doc = include_str!("../doc/blocking_datagrams.md")]
    /// assert_eq!(here.write_timeout()?, None);
    /// # Ok(())
    /// # }
    /// ```
    pub fn write_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(self.shared.1.timeout(Side::Write))
    }

    /// Whether calls fail with `WouldBlock` instead of waiting, on all clones.
    ///
    /// # Errors
    /// Never; the signature is std's.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/blocking_datagrams.md")]
    /// here.set_nonblocking(true)?;
    /// let nothing = here.recv(&mut [0; 512]).unwrap_err();
    /// assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock);
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.shared.1.set_nonblocking(nonblocking);
        Ok(())
    }

    /// Whether datagrams may be sent to broadcast addresses.
    ///
    /// # Errors
    /// `NotConnected` once the stack has ended.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/blocking_datagrams.md")]
    /// there.set_broadcast(true)?;
    /// assert!(there.broadcast()?);
    /// there.send_to(b"anybody?", "10.0.0.255:7")?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_broadcast(&self, broadcast: bool) -> io::Result<()> {
        self.socket().set_broadcast(broadcast)
    }

    /// What [`set_broadcast`](Self::set_broadcast) set.
    ///
    /// # Errors
    /// `NotConnected` once the stack has ended.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/blocking_datagrams.md")]
    /// assert!(!here.broadcast()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn broadcast(&self) -> io::Result<bool> {
        self.socket().broadcast()
    }

    /// The TTL, or hop limit, of datagrams to one host.
    ///
    /// # Errors
    /// As [`netloom::UdpSocket::ttl`](crate::UdpSocket::ttl).
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/blocking_datagrams.md")]
    /// assert_eq!(here.ttl()?, 64);
    /// # Ok(())
    /// # }
    /// ```
    pub fn ttl(&self) -> io::Result<u32> {
        self.socket().ttl()
    }

    /// Sets what [`ttl`](Self::ttl) says.
    ///
    /// # Errors
    /// As [`netloom::UdpSocket::set_ttl`](crate::UdpSocket::set_ttl).
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/blocking_datagrams.md")]
    /// here.set_ttl(9)?;
    /// assert_eq!(here.ttl()?, 9);
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.socket().set_ttl(ttl)
    }

    /// The TTL, or hop limit, of datagrams to a group.
    ///
    /// # Errors
    /// As [`netloom::UdpSocket::multicast_ttl_v4`](crate::UdpSocket::multicast_ttl_v4).
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/blocking_datagrams.md")]
    /// // They stay on the link.
    /// assert_eq!(here.multicast_ttl_v4()?, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn multicast_ttl_v4(&self) -> io::Result<u32> {
        self.socket().multicast_ttl_v4()
    }

    /// Sets what [`multicast_ttl_v4`](Self::multicast_ttl_v4) says.
    ///
    /// # Errors
    /// As [`netloom::UdpSocket::set_multicast_ttl_v4`](crate::UdpSocket::set_multicast_ttl_v4).
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/blocking_datagrams.md")]
    /// here.set_multicast_ttl_v4(8)?;
    /// assert_eq!(here.multicast_ttl_v4()?, 8);
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_multicast_ttl_v4(&self, multicast_ttl_v4: u32) -> io::Result<()> {
        self.socket().set_multicast_ttl_v4(multicast_ttl_v4)
    }

    /// Whether this host's own members of a group get what the socket sends there.
    ///
    /// # Errors
    /// As [`netloom::UdpSocket::multicast_loop_v4`](crate::UdpSocket::multicast_loop_v4).
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/blocking_datagrams.md")]
    /// assert!(here.multicast_loop_v4()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn multicast_loop_v4(&self) -> io::Result<bool> {
        self.socket().multicast_loop_v4()
    }

    /// Sets what [`multicast_loop_v4`](Self::multicast_loop_v4) says.
    ///
    /// # Errors
    /// As [`netloom::UdpSocket::set_multicast_loop_v4`](crate::UdpSocket::set_multicast_loop_v4).
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/blocking_datagrams.md")]
    /// here.set_multicast_loop_v4(false)?;
    /// assert!(!here.multicast_loop_v4()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_multicast_loop_v4(&self, multicast_loop_v4: bool) -> io::Result<()> {
        self.socket().set_multicast_loop_v4(multicast_loop_v4)
    }

    /// The same by IPv6's name, of a socket for IPv6.
    ///
    /// # Errors
    /// As [`netloom::UdpSocket::multicast_loop_v6`](crate::UdpSocket::multicast_loop_v6).
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/blocking_datagrams.md")]
    /// let socket = server.udp_bind("[::]:0")?;
    /// assert!(socket.multicast_loop_v6()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn multicast_loop_v6(&self) -> io::Result<bool> {
        self.socket().multicast_loop_v6()
    }

    /// Sets what [`multicast_loop_v6`](Self::multicast_loop_v6) says.
    ///
    /// # Errors
    /// As [`netloom::UdpSocket::set_multicast_loop_v6`](crate::UdpSocket::set_multicast_loop_v6).
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/blocking_datagrams.md")]
    /// let socket = server.udp_bind("[::]:0")?;
    /// socket.set_multicast_loop_v6(false)?;
    /// assert!(!socket.multicast_loop_v6()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_multicast_loop_v6(&self, multicast_loop_v6: bool) -> io::Result<()> {
        self.socket().set_multicast_loop_v6(multicast_loop_v6)
    }

    /// As [`netloom::UdpSocket::join_multicast_v4`](crate::UdpSocket::join_multicast_v4).
    ///
    /// # Errors
    /// As there.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/blocking_hosts.md")]
    /// let (group, any) = ("239.1.2.3".parse().expect("a group"), std::net::Ipv4Addr::UNSPECIFIED);
    /// let member = server.udp_bind("0.0.0.0:5353")?;
    /// member.join_multicast_v4(&group, &any)?;
    /// client.udp_bind("0.0.0.0:0")?.send_to(b"hello", (group, 5353))?;
    /// assert_eq!(member.recv(&mut [0; 16])?, 5);
    /// # Ok(())
    /// # }
    /// ```
    pub fn join_multicast_v4(&self, multiaddr: &Ipv4Addr, interface: &Ipv4Addr) -> io::Result<()> {
        self.socket().join_multicast_v4(*multiaddr, *interface)
    }

    /// As [`netloom::UdpSocket::join_multicast_v6`](crate::UdpSocket::join_multicast_v6).
    ///
    /// # Errors
    /// As there.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/blocking_hosts.md")]
    /// # let (server, client) = netloom::blocking::Net::pair("fd00::1/64", "fd00::2/64")?;
    /// let group = "ff02::1234".parse().expect("a group");
    /// let member = server.udp_bind("[::]:5353")?;
    /// member.join_multicast_v6(&group, 1)?;
    /// client.udp_bind("[::]:0")?.send_to(b"hello", (group, 5353))?;
    /// assert_eq!(member.recv(&mut [0; 16])?, 5);
    /// # Ok(())
    /// # }
    /// ```
    pub fn join_multicast_v6(&self, multiaddr: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.socket().join_multicast_v6(multiaddr, interface)
    }

    /// Undoes [`join_multicast_v4`](Self::join_multicast_v4).
    ///
    /// # Errors
    /// As there.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/blocking_datagrams.md")]
    /// let (group, any) = ("239.1.2.3".parse().expect("a group"), std::net::Ipv4Addr::UNSPECIFIED);
    /// here.join_multicast_v4(&group, &any)?;
    /// here.leave_multicast_v4(&group, &any)?;
    /// assert!(here.leave_multicast_v4(&group, &any).is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn leave_multicast_v4(&self, multiaddr: &Ipv4Addr, interface: &Ipv4Addr) -> io::Result<()> {
        self.socket().leave_multicast_v4(*multiaddr, *interface)
    }

    /// Undoes [`join_multicast_v6`](Self::join_multicast_v6).
    ///
    /// # Errors
    /// As there.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/blocking_datagrams.md")]
    /// # let (server, client) = netloom::blocking::Net::pair("fd00::1/64", "fd00::2/64")?;
    /// # let here = server.udp_bind("[::]:0")?;
    /// let group = "ff02::1234".parse().expect("a group");
    /// here.join_multicast_v6(&group, 1)?;
    /// here.leave_multicast_v6(&group, 1)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn leave_multicast_v6(&self, multiaddr: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.socket().leave_multicast_v6(multiaddr, interface)
    }

    /// The error that waits for the next call, which will not tell it then.
    ///
    /// # Errors
    /// `NotConnected` once the stack has ended.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/blocking_datagrams.md")]
    /// assert!(here.take_error()?.is_none());
    /// # Ok(())
    /// # }
    /// ```
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.socket().take_error()
    }
}
