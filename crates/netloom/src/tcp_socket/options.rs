//! What a socket can be told before it connects or listens.

use std::io::{self, ErrorKind};
use std::time::Duration;

use netloom_stack::transport::Congestion;
use nix::errno::Errno;

use super::TcpSocket;
use crate::hop_limit::hop_limit;
use crate::keepalive::{TcpKeepalive, switched};

/// The bits of a traffic class that are not ECN's.
const DSCP: u8 = !0b11;

impl TcpSocket {
    /// Lets the socket have a port that connections, TIME-WAIT, or other such sockets have, as long as nobody listens.
    ///
    /// # Errors
    /// Never; the signature is tokio's.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/two_hosts.md")]
    /// let socket = client.tcp_socket_v4();
    /// // Listens again while connections of the last time are still in TIME-WAIT.
    /// socket.set_reuseaddr(true)?;
    /// assert!(socket.reuseaddr()?);
    /// socket.bind("10.0.0.2:80".parse().expect("an address"))?;
    /// let listener = socket.listen(128)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_reuseaddr(&self, reuseaddr: bool) -> io::Result<()> {
        self.setup().reuse.address = reuseaddr;
        Ok(())
    }

    /// What [`set_reuseaddr`](Self::set_reuseaddr) set.
    ///
    /// # Errors
    /// Never; the signature is tokio's.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/two_hosts.md")]
    /// let socket = client.tcp_socket_v4();
    /// assert!(!socket.reuseaddr()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn reuseaddr(&self) -> io::Result<bool> {
        Ok(self.setup().reuse.address)
    }

    /// Lets the socket have a port that others have who were told so too before they were bound; they may all listen, and
    /// a hash of its ends says which of them a connection goes to.
    ///
    /// # Errors
    /// Never; the signature is tokio's.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/two_hosts.md")]
    /// let socket = client.tcp_socket_v4();
    /// socket.set_reuseport(true)?;
    /// assert!(socket.reuseport()?);
    /// socket.bind("10.0.0.2:80".parse().expect("an address"))?;
    /// let another = client.tcp_socket_v4();
    /// another.set_reuseport(true)?;
    /// another.bind("10.0.0.2:80".parse().expect("an address"))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_reuseport(&self, reuseport: bool) -> io::Result<()> {
        self.setup().reuse.port = reuseport;
        Ok(())
    }

    /// What [`set_reuseport`](Self::set_reuseport) set.
    ///
    /// # Errors
    /// Never; the signature is tokio's.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/two_hosts.md")]
    /// let socket = client.tcp_socket_v4();
    /// assert!(!socket.reuseport()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn reuseport(&self) -> io::Result<bool> {
        Ok(self.setup().reuse.port)
    }

    /// Probing of the idle connection: after two hours, every 75 seconds, 9 times, unless
    /// [`set_tcp_keepalive`](Self::set_tcp_keepalive) said otherwise and it was not switched off since.
    ///
    /// # Errors
    /// Never; the signature is tokio's.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/two_hosts.md")]
    /// let socket = client.tcp_socket_v4();
    /// socket.set_keepalive(true)?;
    /// assert!(socket.keepalive()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_keepalive(&self, keepalive: bool) -> io::Result<()> {
        let options = &mut self.setup().options;
        options.keepalive = switched(options.keepalive, keepalive);
        Ok(())
    }

    /// What [`set_keepalive`](Self::set_keepalive) set.
    ///
    /// # Errors
    /// Never; the signature is tokio's.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/two_hosts.md")]
    /// let socket = client.tcp_socket_v4();
    /// assert!(!socket.keepalive()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn keepalive(&self) -> io::Result<bool> {
        Ok(self.setup().options.keepalive.is_some())
    }

    /// Switches probing of the idle connection on, after this time, at this interval and so many times (`TCP_KEEPIDLE`,
    /// `TCP_KEEPINTVL`, `TCP_KEEPCNT`); accepted connections inherit it. tokio has no such call, `socket2` has. [9293 MUST-27]
    ///
    /// # Errors
    /// `InvalidInput` for a time or interval of zero, and for no retries or more than 255.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/two_hosts.md")]
    /// use std::time::Duration;
    ///
    /// use netloom::TcpKeepalive;
    ///
    /// let socket = client.tcp_socket_v4();
    /// socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(Duration::from_secs(60)))?;
    /// assert!(socket.keepalive()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_tcp_keepalive(&self, keepalive: &TcpKeepalive) -> io::Result<()> {
        let options = &mut self.setup().options;
        options.keepalive = Some(keepalive.over(options.keepalive)?);
        Ok(())
    }

    /// What [`set_tcp_keepalive`](Self::set_tcp_keepalive) set, and what it left; `None` while probing is off.
    ///
    /// # Errors
    /// Never, so far.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/two_hosts.md")]
    /// let socket = client.tcp_socket_v4();
    /// assert_eq!(socket.tcp_keepalive()?, None);
    /// socket.set_keepalive(true)?;
    /// assert_eq!(socket.tcp_keepalive()?.expect("it is on").retries(), Some(9));
    /// # Ok(())
    /// # }
    /// ```
    pub fn tcp_keepalive(&self) -> io::Result<Option<TcpKeepalive>> {
        Ok(self.setup().options.keepalive.map(TcpKeepalive::of))
    }

    /// Whether small writes leave at once, as [`TcpStream::set_nodelay`](crate::TcpStream::set_nodelay).
    ///
    /// # Errors
    /// Never; the signature is tokio's.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/two_hosts.md")]
    /// let socket = client.tcp_socket_v4();
    /// # let listener = server.tcp_listen("10.0.0.1:80").await?;
    /// socket.set_nodelay(true)?;
    /// assert!(socket.nodelay()?);
    /// let stream = socket.connect("10.0.0.1:80".parse().expect("an address")).await?;
    /// assert!(stream.nodelay()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.setup().options.nodelay = nodelay;
        Ok(())
    }

    /// What [`set_nodelay`](Self::set_nodelay) set.
    ///
    /// # Errors
    /// Never; the signature is tokio's.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/two_hosts.md")]
    /// let socket = client.tcp_socket_v4();
    /// assert!(!socket.nodelay()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn nodelay(&self) -> io::Result<bool> {
        Ok(self.setup().options.nodelay)
    }

    /// Bytes held for sending; unless it is set, as many as the path needs.
    ///
    /// # Errors
    /// Never; the signature is tokio's.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/two_hosts.md")]
    /// let socket = client.tcp_socket_v4();
    /// socket.set_send_buffer_size(64 << 10)?;
    /// assert_eq!(socket.send_buffer_size()?, 65_536);
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_send_buffer_size(&self, size: u32) -> io::Result<()> {
        self.setup().options.send_buffer = Some(size);
        Ok(())
    }

    /// What [`set_send_buffer_size`](Self::set_send_buffer_size) set, or the bound that the stack has.
    ///
    /// # Errors
    /// Never; the signature is tokio's.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/two_hosts.md")]
    /// let socket = client.tcp_socket_v4();
    /// assert_eq!(socket.send_buffer_size()?, u32::MAX);
    /// # Ok(())
    /// # }
    /// ```
    pub fn send_buffer_size(&self) -> io::Result<u32> {
        Ok(self.setup().options.send_buffer.unwrap_or(u32::MAX))
    }

    /// Bytes held for the reader, and the window offered; unless it is set, as many as the reader is worth.
    ///
    /// # Errors
    /// Never; the signature is tokio's.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/two_hosts.md")]
    /// let socket = client.tcp_socket_v4();
    /// socket.set_recv_buffer_size(64 << 10)?;
    /// assert_eq!(socket.recv_buffer_size()?, 65_536);
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_recv_buffer_size(&self, size: u32) -> io::Result<()> {
        self.setup().options.receive_buffer = Some(size);
        Ok(())
    }

    /// What [`set_recv_buffer_size`](Self::set_recv_buffer_size) set; `u32::MAX` while the stack decides.
    ///
    /// # Errors
    /// Never; the signature is tokio's.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/two_hosts.md")]
    /// let socket = client.tcp_socket_v4();
    /// assert_eq!(socket.recv_buffer_size()?, u32::MAX);
    /// # Ok(())
    /// # }
    /// ```
    pub fn recv_buffer_size(&self) -> io::Result<u32> {
        Ok(self.setup().options.receive_buffer.unwrap_or(u32::MAX))
    }

    /// As [`TcpStream::set_linger`](crate::TcpStream::set_linger); accepted connections inherit it.
    ///
    /// # Errors
    /// Never; the signature is tokio's.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/two_hosts.md")]
    /// let socket = client.tcp_socket_v4();
    /// use std::time::Duration;
    ///
    /// socket.set_linger(Some(Duration::from_secs(5)))?;
    /// assert_eq!(socket.linger()?, Some(Duration::from_secs(5)));
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_linger(&self, dur: Option<Duration>) -> io::Result<()> {
        self.setup().linger = dur;
        Ok(())
    }

    /// As [`TcpStream::set_zero_linger`](crate::TcpStream::set_zero_linger).
    ///
    /// # Errors
    /// Never; the signature is tokio's.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/two_hosts.md")]
    /// let socket = client.tcp_socket_v4();
    /// socket.set_zero_linger()?;
    /// assert_eq!(socket.linger()?, Some(std::time::Duration::ZERO));
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_zero_linger(&self) -> io::Result<()> {
        self.set_linger(Some(Duration::ZERO))
    }

    /// What [`set_linger`](Self::set_linger) set.
    ///
    /// # Errors
    /// Never; the signature is tokio's.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/two_hosts.md")]
    /// let socket = client.tcp_socket_v4();
    /// assert_eq!(socket.linger()?, None);
    /// # Ok(())
    /// # }
    /// ```
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        Ok(self.setup().linger)
    }

    /// DSCP of what is sent: the upper six of the lowest eight bits of `tos`. The two of ECN are TCP's own, as on Linux.
    ///
    /// # Errors
    /// Never; the signature is tokio's.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/two_hosts.md")]
    /// let socket = client.tcp_socket_v4();
    /// // Expedited forwarding, DSCP 46.
    /// socket.set_tos_v4(46 << 2)?;
    /// assert_eq!(socket.tos_v4()?, 0xb8);
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_tos_v4(&self, tos: u32) -> io::Result<()> {
        let [traffic_class, ..] = tos.to_le_bytes();
        self.setup().options.traffic_class = traffic_class & DSCP;
        Ok(())
    }

    /// What [`set_tos_v4`](Self::set_tos_v4) set.
    ///
    /// # Errors
    /// Never; the signature is tokio's.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/two_hosts.md")]
    /// let socket = client.tcp_socket_v4();
    /// assert_eq!(socket.tos_v4()?, 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn tos_v4(&self) -> io::Result<u32> {
        Ok(self.setup().options.traffic_class.into())
    }

    /// [`set_tos_v4`](Self::set_tos_v4) by IPv6's name, of a socket for IPv6.
    ///
    /// # Errors
    /// `ENOPROTOOPT` for one for IPv4, `InvalidInput` beyond 255.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/two_hosts.md")]
    /// let socket = client.tcp_socket_v6();
    /// socket.set_tclass_v6(46 << 2)?;
    /// assert_eq!(socket.tclass_v6()?, 0xb8);
    /// assert!(client.tcp_socket_v4().set_tclass_v6(0).is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_tclass_v6(&self, tclass: u32) -> io::Result<()> {
        self.check_v6(Errno::ENOPROTOOPT)?;
        self.set_tos_v4(u8::try_from(tclass).map_err(|_| ErrorKind::InvalidInput)?.into())
    }

    /// [`tos_v4`](Self::tos_v4) by IPv6's name, of a socket for IPv6.
    ///
    /// # Errors
    /// `Unsupported` for one for IPv4.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/two_hosts.md")]
    /// assert_eq!(client.tcp_socket_v6().tclass_v6()?, 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn tclass_v6(&self) -> io::Result<u32> {
        self.check_v6(Errno::EOPNOTSUPP)?;
        self.tos_v4()
    }

    /// The former name of [`tos_v4`](Self::tos_v4).
    ///
    /// # Errors
    /// As there.
    #[deprecated(note = "`tos` related methods have been renamed `tos_v4` since they are IPv4-specific.")]
    #[doc(hidden)]
    pub fn tos(&self) -> io::Result<u32> {
        self.tos_v4()
    }

    /// The former name of [`set_tos_v4`](Self::set_tos_v4).
    ///
    /// # Errors
    /// As there.
    #[deprecated(note = "`tos` related methods have been renamed `tos_v4` since they are IPv4-specific.")]
    #[doc(hidden)]
    pub fn set_tos(&self, tos: u32) -> io::Result<()> {
        self.set_tos_v4(tos)
    }

    /// IPv4's sockets have no options of IPv6's. Linux says so differently to whoever asks and to whoever sets.
    fn check_v6(&self, otherwise: Errno) -> io::Result<()> {
        if self.any.is_ipv6() { Ok(()) } else { Err(otherwise.into()) }
    }

    /// TTL, or hop limit, of what is sent; accepted connections inherit it. tokio has this call on streams and listeners.
    ///
    /// # Errors
    /// `InvalidInput` for 0 and beyond 255.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/two_hosts.md")]
    /// let socket = client.tcp_socket_v4();
    /// # let listener = server.tcp_listen("10.0.0.1:80").await?;
    /// socket.set_ttl(9)?;
    /// let stream = socket.connect("10.0.0.1:80".parse().expect("an address")).await?;
    /// assert_eq!(stream.ttl()?, 9);
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.setup().options.hop_limit = Some(hop_limit(ttl)?);
        Ok(())
    }

    /// Which congestion control the connection uses, in place of the stack's. tokio has no such call.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/two_hosts.md")]
    /// let socket = client.tcp_socket_v4();
    /// use netloom::stack::transport::Congestion;
    ///
    /// socket.set_congestion(Congestion::NewReno);
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_congestion(&self, congestion: Congestion) {
        self.setup().options.congestion = Some(congestion);
    }

    /// How long sent data may go unacknowledged (`TCP_USER_TIMEOUT`). tokio has no such call.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/two_hosts.md")]
    /// let socket = client.tcp_socket_v4();
    /// // Gives up after a minute without an acknowledgment.
    /// socket.set_user_timeout(Some(std::time::Duration::from_secs(60)));
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_user_timeout(&self, patience: Option<Duration>) {
        self.setup().options.user_timeout = patience;
    }

    /// Has the first write go with the SYN where the server is known to take it (`TCP_FASTOPEN_CONNECT`, RFC 7413): a round trip
    /// less. Off by default, for a reason: what was written first may come to the server's application twice, so it must do
    /// no harm when it does.
    ///
    /// The first connection to a server asks it for a cookie and is as slow as any. Later ones are connected at once, and
    /// the SYN leaves with what is written first, or alone when nothing is written for 200 ms. If the server, or the path, has
    /// become another, what was written follows the handshake: nothing is lost. tokio has no such call.
    ///
    /// # Errors
    /// Never, so far.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/two_hosts.md")]
    /// use tokio::io::{AsyncReadExt, AsyncWriteExt};
    ///
    /// let socket = server.tcp_socket_v4();
    /// socket.bind("10.0.0.1:80".parse().expect("an address"))?;
    /// socket.set_fastopen(16)?;
    /// let listener = socket.listen(128)?;
    /// for is_known in [false, true] {
    ///     let socket = client.tcp_socket_v4();
    ///     socket.set_fastopen_connect(true)?;
    ///     let mut outgoing = socket.connect("10.0.0.1:80".parse().expect("an address")).await?;
    ///     outgoing.write_all(b"question").await?;
    ///     let (mut incoming, _) = listener.accept().await?;
    ///     incoming.read_exact(&mut [0; 8]).await?;
    ///     incoming.write_all(b"answer").await?;
    ///     outgoing.read_exact(&mut [0; 6]).await?;
    ///     assert_eq!(outgoing.info().expect("it lives").syn_data, is_known);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_fastopen_connect(&self, fastopen_connect: bool) -> io::Result<()> {
        self.setup().options.fast_open = fastopen_connect;
        Ok(())
    }

    /// What [`set_fastopen_connect`](Self::set_fastopen_connect) set.
    ///
    /// # Errors
    /// Never, so far.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/two_hosts.md")]
    /// let socket = client.tcp_socket_v4();
    /// assert!(!socket.fastopen_connect()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn fastopen_connect(&self) -> io::Result<bool> {
        Ok(self.setup().options.fast_open)
    }

    /// Lets clients that a listener knows send data with their SYN (`TCP_FASTOPEN`, RFC 7413): such a connection is accepted
    /// before its handshake is done, and may be answered at once. Up to `queue` of them may be unfinished in each shard; beyond
    /// that, and by 0, which is the default, the SYN's data waits for the handshake. A SYN that the network delivers twice may be
    /// accepted twice, so what clients send first must do no harm when it comes again. tokio has no such call.
    ///
    /// # Errors
    /// Never, so far.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/two_hosts.md")]
    /// let socket = server.tcp_socket_v4();
    /// socket.bind("10.0.0.1:80".parse().expect("an address"))?;
    /// socket.set_fastopen(256)?;
    /// let listener = socket.listen(1024)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_fastopen(&self, queue: u32) -> io::Result<()> {
        self.setup().fast_open = queue;
        Ok(())
    }

    /// What [`set_fastopen`](Self::set_fastopen) set.
    ///
    /// # Errors
    /// Never, so far.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/two_hosts.md")]
    /// let socket = server.tcp_socket_v4();
    /// assert_eq!(socket.fastopen()?, 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn fastopen(&self) -> io::Result<u32> {
        Ok(self.setup().fast_open)
    }
}
