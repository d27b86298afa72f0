//! A UDP socket at every address and port.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use netloom_stack::transport::{UdpReceived, UdpSocketId};

use crate::error;
use crate::host::Host;
use crate::shard::{Shard, Shared};
use crate::wakers::{Interest, SocketKey, in_turn, wait_for};

/// A UDP socket for whatever no other socket takes, with the address and port that were asked; it answers from them.
///
/// [`Net::udp_bind_any`](crate::Net::udp_bind_any) makes it. Each datagram that it holds costs its length and 128 bytes of
/// [`receive_queue_bytes`](netloom_stack::transport::UdpConfig::receive_queue_bytes); more are dropped.
///
/// # Examples
/// ```
#[doc = include_str!("doc/any.md")]
/// // A name server for whichever address was asked.
/// let any = server.udp_bind_any().await?;
/// let socket = client.udp_bind("10.0.0.2:0").await?;
/// socket.send_to(b"question", "192.0.2.53:53").await?;
/// let mut buffer = [0; 512];
/// let (len, from, asked) = any.recv_from(&mut buffer).await?;
/// assert_eq!((len, asked), (8, "192.0.2.53:53".parse().expect("an address")));
/// any.send_from(b"answer", asked, from).await?;
/// assert_eq!(socket.recv_from(&mut buffer).await?, (6, asked));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct AnyUdpSocket {
    host: Arc<Host>,
    /// One a shard, in their order: each has the ports that its shard owns.
    parts: Vec<Part>,
    /// The part that is looked at first, so that none starves.
    turn: AtomicUsize,
}

/// A shard's part of the socket.
#[derive(Debug)]
struct Part {
    shared: Arc<Shared>,
    id: UdpSocketId,
}

impl AnyUdpSocket {
    pub(crate) fn bind_on(host: &Arc<Host>) -> io::Result<Self> {
        let bind = |shared: &Arc<Shared>| {
            let id = shared.with(|shard, _| {
                shard.check_open()?;
                shard.stack.udp().bind_any().map_err(error::of_udp_bind)
            })?;
            Ok(Part { shared: Arc::clone(shared), id })
        };
        // If one refuses, those that did not close again.
        let parts = host.shards().iter().map(bind).collect::<io::Result<Vec<_>>>()?;
        Ok(Self { host: Arc::clone(host), parts, turn: AtomicUsize::new(0) })
    }

    /// Receives one datagram: its length, who sent it, and whom it was sent to. What does not fit `buf` is lost. Cancel
    /// safe.
    ///
    /// # Errors
    /// `NotConnected` once the stack has ended.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/any.md")]
    /// let any = server.udp_bind_any().await?;
    /// let socket = client.udp_bind("10.0.0.2:5000").await?;
    /// socket.send_to(b"question", "192.0.2.1:53").await?;
    /// let (len, from, asked) = any.recv_from(&mut [0; 512]).await?;
    /// assert_eq!((len, from), (8, socket.local_addr()?));
    /// assert_eq!(asked, "192.0.2.1:53".parse().expect("an address"));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr, SocketAddr)> {
        wait_for(|cx| self.poll_recv_from(cx, buf), |waker| self.give_up(waker)).await
    }

    /// The same for `poll` functions.
    ///
    /// # Errors
    /// As [`recv_from`](Self::recv_from).
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/any.md")]
    /// let any = server.udp_bind_any().await?;
    /// let socket = client.udp_bind("10.0.0.2:5000").await?;
    /// socket.send_to(b"question", "192.0.2.1:53").await?;
    /// let mut buffer = [0; 512];
    /// let (len, ..) = std::future::poll_fn(|cx| any.poll_recv_from(cx, &mut buffer)).await?;
    /// assert_eq!(len, 8);
    /// # Ok(())
    /// # }
    /// ```
    pub fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr, SocketAddr)>> {
        in_turn(cx, |waker| {
            for part in self.parts_by_turns() {
                let received = part.attempt(waker, Interest::Read, |shard| part.take(shard, buf));
                if received.is_ready() {
                    return received;
                }
            }
            Poll::Pending
        })
    }

    /// The same if one is there.
    ///
    /// # Errors
    /// As [`recv_from`](Self::recv_from), and `WouldBlock`.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/any.md")]
    /// let any = server.udp_bind_any().await?;
    /// let nothing = any.try_recv_from(&mut [0; 512]).unwrap_err();
    /// assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock);
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr, SocketAddr)> {
        for part in self.parts_by_turns() {
            let received = part.shared.with(|shard, _| {
                shard.check_open()?;
                part.take(shard, buf)
            });
            if received.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock) {
                continue;
            }
            return received;
        }
        Err(ErrorKind::WouldBlock.into())
    }

    /// The parts, another one first each time.
    fn parts_by_turns(&self) -> impl Iterator<Item = &Part> {
        let first = match self.parts.len() {
            1 => 0,
            count => self.turn.fetch_add(1, Ordering::Relaxed) % count,
        };
        let (later, sooner) = self.parts.split_at(first);
        sooner.iter().chain(later)
    }

    /// The task waits for no part any more.
    fn give_up(&self, waker: &Waker) {
        for part in &self.parts {
            part.shared.give_up(SocketKey::Udp(part.id), waker);
        }
    }

    /// The part that sends from `local`: the one that hears the answers.
    fn part_of(&self, local: SocketAddr) -> io::Result<&Part> {
        let owner = self.host.owner_of_port(local.port()).index();
        self.parts.get(owner).ok_or_else(error::gone)
    }

    /// Sends one datagram from `local`, which may be anybody's address and port, to `remote`; waits for room in the
    /// socket's queue. Cancel safe.
    ///
    /// # Errors
    /// `AddrNotAvailable` if no interface takes packets for `local`, `NetworkUnreachable` without a route, `EMSGSIZE` beyond
    /// 65,507 bytes, `InvalidInput` for ends of two families or ports of 0.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/any.md")]
    /// let any = server.udp_bind_any().await?;
    /// let socket = client.udp_bind("10.0.0.2:5000").await?;
    /// let nobody = "192.0.2.1:53".parse().expect("an address");
    /// any.send_from(b"news", nobody, socket.local_addr()?).await?;
    /// assert_eq!(socket.recv_from(&mut [0; 512]).await?, (4, nobody));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn send_from(&self, buf: &[u8], local: SocketAddr, remote: SocketAddr) -> io::Result<usize> {
        wait_for(|cx| self.poll_send_from(cx, buf, local, remote), |waker| self.give_up(waker)).await
    }

    /// The same for `poll` functions.
    ///
    /// # Errors
    /// As [`send_from`](Self::send_from).
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/any.md")]
    /// let any = server.udp_bind_any().await?;
    /// let socket = client.udp_bind("10.0.0.2:5000").await?;
    /// let (nobody, to) = ("192.0.2.1:53".parse().expect("an address"), socket.local_addr()?);
    /// std::future::poll_fn(|cx| any.poll_send_from(cx, b"news", nobody, to)).await?;
    /// assert_eq!(socket.recv_from(&mut [0; 512]).await?, (4, nobody));
    /// # Ok(())
    /// # }
    /// ```
    pub fn poll_send_from(
        &self,
        cx: &mut Context<'_>,
        buf: &[u8],
        local: SocketAddr,
        remote: SocketAddr,
    ) -> Poll<io::Result<usize>> {
        let part = match self.part_of(local) {
            Ok(part) => part,
            Err(error) => return Poll::Ready(Err(error)),
        };
        in_turn(cx, |waker| {
            part.attempt(waker, Interest::Write, |shard| part.transmit(shard, buf, local, remote))
        })
    }

    /// The same if there is room now.
    ///
    /// # Errors
    /// As [`send_from`](Self::send_from), and `WouldBlock`.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/any.md")]
    /// let any = server.udp_bind_any().await?;
    /// let [nobody, to] = ["192.0.2.1:53", "10.0.0.2:5000"].map(|end| end.parse().expect("an address"));
    /// assert_eq!(any.try_send_from(b"news", nobody, to)?, 4);
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_send_from(&self, buf: &[u8], local: SocketAddr, remote: SocketAddr) -> io::Result<usize> {
        let part = self.part_of(local)?;
        part.shared.with(|shard, _| {
            shard.check_open()?;
            part.transmit(shard, buf, local, remote)
        })
    }
}

impl Part {
    fn take(&self, shard: &mut Shard, target: &mut [u8]) -> io::Result<(usize, SocketAddr, SocketAddr)> {
        let received = shard.stack.udp().recv_from(self.id, target).map_err(error::of_udp_recv)?;
        let UdpReceived { len, remote, local, .. } = received;
        Ok((len.min(target.len()), remote, local))
    }

    fn transmit(
        &self,
        shard: &mut Shard,
        data: &[u8],
        local: SocketAddr,
        remote: SocketAddr,
    ) -> io::Result<usize> {
        if !shard.stack.internet().may_send_from(local.ip()) {
            return Err(ErrorKind::AddrNotAvailable.into());
        }
        if local.is_ipv4() != remote.is_ipv4() {
            return Err(ErrorKind::InvalidInput.into());
        }
        if shard.stack.internet().path(Some(local.ip()), remote.ip()).is_err() {
            return Err(ErrorKind::NetworkUnreachable.into());
        }
        shard.stack.udp().send_from(self.id, local, remote, data).map_err(error::of_udp_send)?;
        Ok(data.len())
    }

    /// Does `work` once; `WouldBlock` lists the task for `wait`.
    fn attempt<R>(
        &self,
        waker: &Waker,
        wait: Interest,
        work: impl FnOnce(&mut Shard) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        self.shared.with(|shard, _| {
            if let Err(error) = shard.check_open() {
                return Poll::Ready(Err(error));
            }
            match work(shard) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    shard.wakers.wait(SocketKey::Udp(self.id), wait, waker);
                    Poll::Pending
                }
                result => Poll::Ready(result),
            }
        })
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.shared.with(|shard, _| {
            shard.stack.udp().close(self.id);
            shard.wakers.forget(SocketKey::Udp(self.id));
        });
    }
}
