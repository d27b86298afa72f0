//! What a connection can be told: when small segments leave, hop limit, acknowledgments, keep-alive, linger.

use std::io;
use std::time::Duration;

use netloom_stack::transport::Keepalive;

use super::TcpStream;
use crate::error;
use crate::hop_limit::{DEFAULT_TTL, hop_limit};
use crate::keepalive::{TcpKeepalive, switched};

impl TcpStream {
    /// Whether small writes leave at once (`true`) or wait for the acknowledgment of what is in flight (RFC 9293 3.7.4). Either
    /// way, with 64 KB and more in flight the end of what a stream has written may wait until the tasks that are ready have run.
    ///
    /// # Errors
    /// `NotConnected` once the connection is gone.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/connected.md")]
    /// outgoing.set_nodelay(true)?;
    /// assert!(outgoing.nodelay()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.handle.with_open(|shard, now, id| {
            shard.stack.tcp().set_nodelay(now, id, nodelay).map_err(|_| error::gone())
        })
    }

    /// What [`set_nodelay`](Self::set_nodelay) set.
    ///
    /// # Errors
    /// `NotConnected` once the connection is gone.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/connected.md")]
    /// assert!(!outgoing.nodelay()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn nodelay(&self) -> io::Result<bool> {
        self.handle.with_open(|shard, _, id| shard.stack.tcp().nodelay(id).ok_or_else(error::gone))
    }

    /// Sets the cork (TCP_CORK): while it is set only full segments leave, and what is less waits for more, up to 200 ms.
    /// When it is taken out the rest leaves at once.
    ///
    /// # Errors
    /// If the connection is gone.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/connected.md")]
    /// outgoing.set_cork(true)?;
    /// outgoing.try_write(b"HTTP/1.1 200 OK\r\n")?;
    /// outgoing.try_write(b"Content-Length: 0\r\n\r\n")?;
    /// // Now all of it leaves, in one segment.
    /// outgoing.set_cork(false)?;
    /// assert_eq!(incoming.recv_bytes(100).await?.len(), 38);
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_cork(&self, cork: bool) -> io::Result<()> {
        self.handle
            .with_open(|shard, now, id| shard.stack.tcp().set_cork(now, id, cork).map_err(|_| error::gone()))
    }

    /// The TTL, or hop limit, of what is sent; 64 unless it was set.
    ///
    /// # Errors
    /// `NotConnected` once the connection is gone.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/connected.md")]
    /// assert_eq!(outgoing.ttl()?, 64);
    /// # Ok(())
    /// # }
    /// ```
    pub fn ttl(&self) -> io::Result<u32> {
        self.handle.with_open(|shard, _, id| {
            let options = shard.stack.tcp().options(id).ok_or_else(error::gone)?;
            Ok(options.hop_limit.map_or(DEFAULT_TTL, u32::from))
        })
    }

    /// Sets the TTL, or hop limit, of what is sent from now on.
    ///
    /// # Errors
    /// `InvalidInput` for 0 and beyond 255, `NotConnected` once the connection is gone.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/connected.md")]
    /// // No further than the neighbours, as BGP may want it.
    /// outgoing.set_ttl(1)?;
    /// assert_eq!(outgoing.ttl()?, 1);
    /// assert!(outgoing.set_ttl(0).is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        let hop_limit = hop_limit(ttl)?;
        self.handle.with_open(|shard, now, id| {
            shard.stack.tcp().set_hop_limit(now, id, Some(hop_limit)).map_err(|_| error::gone())
        })
    }

    /// Whether the next segment is acknowledged at once.
    ///
    /// # Errors
    /// `NotConnected` once the connection is gone.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/connected.md")]
    /// outgoing.set_quickack(false)?;
    /// assert!(!outgoing.quickack()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn quickack(&self) -> io::Result<bool> {
        self.handle.with_open(|shard, _, id| shard.stack.tcp().quickack(id).ok_or_else(error::gone))
    }

    /// Has what comes acknowledged at once for a while, or leaves acknowledgments to the answers. As on Linux it does not
    /// last.
    ///
    /// # Errors
    /// `NotConnected` once the connection is gone.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/connected.md")]
    /// outgoing.set_quickack(true)?;
    /// assert!(outgoing.quickack()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_quickack(&self, quickack: bool) -> io::Result<()> {
        self.handle.with_open(|shard, now, id| {
            shard.stack.tcp().set_quickack(now, id, quickack).map_err(|_| error::gone())
        })
    }

    /// Switches probing of the idle connection on or off, as [`TcpSocket::set_keepalive`](crate::TcpSocket::set_keepalive) does
    /// before there is a connection. tokio has this call on sockets only.
    ///
    /// # Errors
    /// `NotConnected` once the connection is gone.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/connected.md")]
    /// assert!(!outgoing.keepalive()?);
    /// outgoing.set_keepalive(true)?;
    /// assert!(outgoing.keepalive()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_keepalive(&self, keepalive: bool) -> io::Result<()> {
        self.change_keepalive(|before| Ok(switched(before, keepalive)))
    }

    /// Whether the idle connection is probed.
    ///
    /// # Errors
    /// `NotConnected` once the connection is gone.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/connected.md")]
    /// assert!(!outgoing.keepalive()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn keepalive(&self) -> io::Result<bool> {
        self.tcp_keepalive().map(|keepalive| keepalive.is_some())
    }

    /// Switches probing of the idle connection on, after this time, at this interval and so many times. If none of them is
    /// answered the connection ends with `TimedOut`. tokio has no such call, `socket2` has. [9293 MUST-27]
    ///
    /// # Errors
    /// `InvalidInput` for a time or interval of zero, and for no retries or more than 255; `NotConnected` once the connection is
    /// gone.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/connected.md")]
    /// use std::time::Duration;
    ///
    /// use netloom::TcpKeepalive;
    ///
    /// outgoing.set_tcp_keepalive(&TcpKeepalive::new().with_time(Duration::from_secs(60)).with_retries(4))?;
    /// // What was not told is the default.
    /// let interval = outgoing.tcp_keepalive()?.and_then(|it| it.interval());
    /// assert_eq!(interval, Some(Duration::from_secs(75)));
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_tcp_keepalive(&self, keepalive: &TcpKeepalive) -> io::Result<()> {
        self.change_keepalive(|before| keepalive.over(before).map(Some))
    }

    /// What [`set_tcp_keepalive`](Self::set_tcp_keepalive) set, and what it left; `None` while probing is off.
    ///
    /// # Errors
    /// `NotConnected` once the connection is gone.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/connected.md")]
    /// assert_eq!(outgoing.tcp_keepalive()?, None);
    /// # Ok(())
    /// # }
    /// ```
    pub fn tcp_keepalive(&self) -> io::Result<Option<TcpKeepalive>> {
        self.handle.with_open(|shard, _, id| {
            let options = shard.stack.tcp().options(id).ok_or_else(error::gone)?;
            Ok(options.keepalive.map(TcpKeepalive::of))
        })
    }

    fn change_keepalive(
        &self,
        change: impl FnOnce(Option<Keepalive>) -> io::Result<Option<Keepalive>>,
    ) -> io::Result<()> {
        self.handle.with_open(|shard, now, id| {
            let mut tcp = shard.stack.tcp();
            let before = tcp.options(id).ok_or_else(error::gone)?.keepalive;
            tcp.set_keepalive(now, id, change(before)?).map_err(|_| error::gone())
        })
    }

    /// What happens to unsent data when the stream is dropped: `None` and any time other than zero deliver it in the
    /// background, zero drops it and resets the connection. Dropping never blocks.
    ///
    /// # Errors
    /// Never; the signature is tokio's.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/connected.md")]
    /// use std::time::Duration;
    ///
    /// outgoing.set_linger(Some(Duration::from_secs(5)))?;
    /// assert_eq!(outgoing.linger()?, Some(Duration::from_secs(5)));
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_linger(&self, dur: Option<Duration>) -> io::Result<()> {
        self.handle.set_linger(dur);
        Ok(())
    }

    /// Makes dropping the stream reset the connection.
    ///
    /// # Errors
    /// Never; the signature is tokio's.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/connected.md")]
    /// outgoing.set_zero_linger()?;
    /// drop(outgoing);
    /// let error = incoming.recv_bytes(1).await.unwrap_err();
    /// assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
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
    #[doc = include_str!("../doc/connected.md")]
    /// assert_eq!(outgoing.linger()?, None);
    /// # Ok(())
    /// # }
    /// ```
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        Ok(self.handle.linger())
    }
}
