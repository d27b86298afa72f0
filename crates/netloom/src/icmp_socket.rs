//! A socket that asks for echoes: `ping`, `traceroute`, whether somebody is there.

use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use netloom_stack::internet::{EchoId, EchoMessage};

use crate::shard::{Shard, Shared};
use crate::wakers::{Interest, SocketKey, in_turn, wait_for};
use crate::{Net, error};

impl Net {
    /// Opens a socket for echo requests from `address`, one of the stack's own; the unspecified address of a version of IP
    /// leaves it to the route.
    ///
    /// # Errors
    /// `AddrNotAvailable` if the address is not the stack's own, `OutOfMemory` beyond 256 such sockets, `NotConnected` after
    /// shutdown.
    ///
    /// # Examples
    /// ```no_run
    /// # async fn ping(net: netloom::Net, host: std::net::IpAddr) -> std::io::Result<()> {
    /// use netloom::IcmpMessage;
    ///
    /// let socket = net.icmp_bind("0.0.0.0".parse().expect("an address")).await?;
    /// let sent = std::time::Instant::now();
    /// socket.send_to(1, b"anybody there?", host)?;
    /// match socket.recv().await? {
    ///     IcmpMessage::Reply { from, hop_limit, .. } => println!("{from}: ttl={hop_limit} time={:?}", sent.elapsed()),
    ///     IcmpMessage::Error { from, kind, .. } => println!("{from}: {kind:?}"),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn icmp_bind(&self, address: IpAddr) -> io::Result<IcmpSocket> {
        IcmpSocket::bind_on(self.host.first(), address)
    }
}

/// A socket that sends ICMP or ICMPv6 echo requests, and hears their replies and the errors about them: what the kernel's
/// "ping sockets" are (`SOCK_DGRAM`, `IPPROTO_ICMP`).
///
/// It has an identifier of its own, so it hears nobody else's replies. Up to 256 messages and 256 KiB of data wait in it;
/// more are dropped. The version of IP is that of the address that it was bound to.
///
/// # Examples
/// ```
#[doc = include_str!("doc/two_hosts.md")]
/// use netloom::IcmpMessage;
///
/// let socket = client.icmp_bind("10.0.0.2".parse().expect("an address")).await?;
/// socket.set_ttl(9)?;
/// socket.send_to(1, b"anybody there?", "10.0.0.1".parse().expect("an address"))?;
/// assert!(matches!(socket.recv().await?, IcmpMessage::Reply { .. }));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct IcmpSocket {
    shared: Arc<Shared>,
    id: EchoId,
}

impl IcmpSocket {
    pub(crate) fn bind_on(shared: &Arc<Shared>, address: IpAddr) -> io::Result<Self> {
        let shared = Arc::clone(shared);
        let id = shared.with(|shard, _| {
            shard.check_open()?;
            shard.check_bindable(address)?;
            shard.stack.icmp().open(address, None).map_err(error::of_echo_open)
        })?;
        Ok(Self { shared, id })
    }

    /// Opens a socket on the [`Net`] of this task; as [`Net::icmp_bind`] else.
    ///
    /// # Errors
    /// As there, and `NetworkDown` without a [`Net`].
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/two_hosts.md")]
    /// use netloom::IcmpSocket;
    ///
    /// let address = "10.0.0.2".parse().expect("an address");
    /// let socket = client.scope(IcmpSocket::bind(address)).await?;
    /// assert_eq!(socket.local_addr()?, address);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn bind(address: IpAddr) -> io::Result<Self> {
        Net::current()?.icmp_bind(address).await
    }

    /// Sends an echo request with this sequence number and data. It does not wait.
    ///
    /// # Errors
    /// `InvalidInput` for an address of the other version of IP, `NetworkUnreachable` without a route, `EMSGSIZE` beyond
    /// 65,507 bytes, `ENOBUFS` while too many packets wait to be sent, `NotConnected` once the stack has ended.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/two_hosts.md")]
    /// let socket = client.icmp_bind("10.0.0.2".parse().expect("an address")).await?;
    /// // The first request, of 56 bytes of data, as ping sends them.
    /// socket.send_to(1, &[0; 56], "10.0.0.1".parse().expect("an address"))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn send_to(&self, sequence: u16, data: &[u8], to: IpAddr) -> io::Result<()> {
        self.shared.with(|shard, now| {
            shard.check_open()?;
            shard.stack.icmp().send(now, self.id, to, sequence, data).map_err(error::of_echo_send)
        })
    }

    /// Waits for a reply, or an error that somebody reports. Cancel safe.
    ///
    /// # Errors
    /// `NotConnected` once the stack has ended.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/two_hosts.md")]
    /// use netloom::IcmpMessage;
    ///
    /// let socket = client.icmp_bind("10.0.0.2".parse().expect("an address")).await?;
    /// socket.send_to(1, b"anybody there?", "10.0.0.1".parse().expect("an address"))?;
    /// let IcmpMessage::Reply { data, .. } = socket.recv().await? else { panic!("an error") };
    /// assert_eq!(data, b"anybody there?");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn recv(&self) -> io::Result<EchoMessage> {
        let give_up = |waker: &Waker| self.shared.give_up(SocketKey::Icmp(self.id), waker);
        wait_for(|cx| self.poll_recv(cx), give_up).await
    }

    /// The same for `poll` functions. Any number of tasks may wait.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/two_hosts.md")]
    /// use netloom::IcmpMessage;
    ///
    /// let socket = client.icmp_bind("10.0.0.2".parse().expect("an address")).await?;
    /// socket.send_to(1, b"anybody there?", "10.0.0.1".parse().expect("an address"))?;
    /// let message = std::future::poll_fn(|cx| socket.poll_recv(cx)).await?;
    /// assert!(matches!(message, IcmpMessage::Reply { sequence: 1, .. }));
    /// # Ok(())
    /// # }
    /// ```
    pub fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<io::Result<EchoMessage>> {
        in_turn(cx, |waker| self.attempt(waker))
    }

    fn attempt(&self, waker: &Waker) -> Poll<io::Result<EchoMessage>> {
        self.shared.with(|shard, _| {
            if let Err(error) = shard.check_open() {
                return Poll::Ready(Err(error));
            }
            match shard.stack.icmp().recv(self.id) {
                Some(message) => Poll::Ready(Ok(message)),
                None => {
                    shard.wakers.wait(SocketKey::Icmp(self.id), Interest::Read, waker);
                    Poll::Pending
                }
            }
        })
    }

    /// The same if one is there.
    ///
    /// # Errors
    /// As [`recv`](Self::recv), and `WouldBlock`.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/two_hosts.md")]
    /// let socket = client.icmp_bind("10.0.0.2".parse().expect("an address")).await?;
    /// assert_eq!(socket.try_recv().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_recv(&self) -> io::Result<EchoMessage> {
        self.with_open(|shard| shard.stack.icmp().recv(self.id).ok_or_else(|| ErrorKind::WouldBlock.into()))
    }

    /// The identifier that its requests carry.
    ///
    /// # Errors
    /// `NotConnected` once the stack has ended.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/two_hosts.md")]
    /// let socket = client.icmp_bind("10.0.0.2".parse().expect("an address")).await?;
    /// let other = client.icmp_bind("10.0.0.2".parse().expect("an address")).await?;
    /// assert_ne!(socket.identifier()?, other.identifier()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn identifier(&self) -> io::Result<u16> {
        self.with_open(|shard| Ok(shard.stack.icmp().addr(self.id).ok_or_else(error::gone)?.1))
    }

    /// The address that it is bound to.
    ///
    /// # Errors
    /// `NotConnected` once the stack has ended.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/two_hosts.md")]
    /// let socket = client.icmp_bind("10.0.0.2".parse().expect("an address")).await?;
    /// assert_eq!(socket.local_addr()?, client.addresses()[0].address());
    /// # Ok(())
    /// # }
    /// ```
    pub fn local_addr(&self) -> io::Result<IpAddr> {
        self.with_open(|shard| Ok(shard.stack.icmp().addr(self.id).ok_or_else(error::gone)?.0))
    }

    /// TTL or hop limit of the requests from now on: with 1, 2, 3 the routers on the way report themselves.
    ///
    /// # Errors
    /// `InvalidInput` for 0 and beyond 255, `NotConnected` once the stack has ended.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/two_hosts.md")]
    /// let socket = client.icmp_bind("10.0.0.2".parse().expect("an address")).await?;
    /// socket.set_ttl(1)?;
    /// assert_eq!(socket.ttl()?, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        let hop_limit = u8::try_from(ttl).ok().filter(|&ttl| ttl > 0).ok_or(ErrorKind::InvalidInput)?;
        self.with_open(|shard| {
            shard.stack.icmp().set_hop_limit(self.id, Some(hop_limit));
            Ok(())
        })
    }

    /// What [`set_ttl`](Self::set_ttl) set, or else the stack's own.
    ///
    /// # Errors
    /// `NotConnected` once the stack has ended.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/two_hosts.md")]
    /// let socket = client.icmp_bind("10.0.0.2".parse().expect("an address")).await?;
    /// assert_eq!(socket.ttl()?, 64);
    /// # Ok(())
    /// # }
    /// ```
    pub fn ttl(&self) -> io::Result<u32> {
        self.with_open(|shard| shard.stack.icmp().hop_limit(self.id).map(u32::from).ok_or_else(error::gone))
    }

    fn with_open<R>(&self, work: impl FnOnce(&mut Shard) -> io::Result<R>) -> io::Result<R> {
        self.shared.with(|shard, _| {
            shard.check_open()?;
            work(shard)
        })
    }
}

impl Drop for IcmpSocket {
    fn drop(&mut self) {
        self.shared.with(|shard, _| {
            shard.stack.icmp().close(self.id);
            shard.wakers.forget(SocketKey::Icmp(self.id));
        });
    }
}
