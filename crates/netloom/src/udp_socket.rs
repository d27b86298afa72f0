//! A UDP socket.

use std::future::poll_fn;
use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};

use netloom_stack::Instant;
use netloom_stack::transport::{UdpBind, UdpReceived, UdpRecvError, UdpSocketId};

use crate::error;
use crate::shard::{Shard, Shared, wildcard};
use crate::wakers::{Interest, SocketKey};

/// A UDP socket, as [`tokio::net::UdpSocket`].
#[derive(Debug)]
pub struct UdpSocket {
    shared: Arc<Shared>,
    id: UdpSocketId,
}

impl UdpSocket {
    pub(crate) fn bind(shared: &Arc<Shared>, address: SocketAddr) -> io::Result<Self> {
        let shared = Arc::clone(shared);
        let id = shared.with(|shard, _| {
            shard.check_open()?;
            shard.check_bindable(address.ip())?;
            let local = UdpBind::new(wildcard(address.ip()), address.port());
            shard.stack.udp().bind(local).map_err(error::of_udp_bind)
        })?;
        Ok(Self { shared, id })
    }

    /// Receives only from `remote`, and sends there with [`send`](Self::send).
    ///
    /// # Errors
    /// `NetworkUnreachable` without a route.
    pub async fn connect(&self, remote: SocketAddr) -> io::Result<()> {
        self.with_open(|shard, _| {
            let mut udp = shard.stack.udp();
            let source = udp.source_towards(remote).ok_or(io::ErrorKind::NetworkUnreachable)?;
            udp.connect(self.id, remote, Some(source)).map_err(error::of_udp_connect)
        })
    }

    /// Sends one datagram to `remote`; waits for room in the socket's queue.
    ///
    /// # Errors
    /// `InvalidInput` beyond 65,507 bytes, `NetworkUnreachable` without a route, and on a connected socket
    /// `ConnectionRefused` when the last datagram found no listener.
    pub async fn send_to(&self, data: &[u8], remote: SocketAddr) -> io::Result<usize> {
        poll_fn(|cx| self.poll_send_to(cx, data, remote)).await
    }

    /// The same for `poll` functions.
    ///
    /// # Errors
    /// As [`send_to`](Self::send_to).
    pub fn poll_send_to(
        &self,
        cx: &mut Context<'_>,
        data: &[u8],
        remote: SocketAddr,
    ) -> Poll<io::Result<usize>> {
        self.poll(cx, Interest::Write, |shard, _| {
            let mut udp = shard.stack.udp();
            udp.source_towards(remote).ok_or(io::ErrorKind::NetworkUnreachable)?;
            udp.send_to(self.id, remote, None, data).map_err(error::of_udp_send)?;
            Ok(data.len())
        })
    }

    /// Sends one datagram to the connected peer.
    ///
    /// # Errors
    /// As [`send_to`](Self::send_to), and `NotConnected` without a peer.
    pub async fn send(&self, data: &[u8]) -> io::Result<usize> {
        let remote = self.peer_addr()?;
        self.send_to(data, remote).await
    }

    /// Receives one datagram; what does not fit `buffer` is lost. Cancel safe.
    ///
    /// # Errors
    /// On a connected socket `ConnectionRefused` when the last datagram found no listener.
    pub async fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        poll_fn(|cx| self.poll_recv_from(cx, buffer)).await
    }

    /// The same for `poll` functions.
    ///
    /// # Errors
    /// As [`recv_from`](Self::recv_from).
    pub fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        let capacity = buffer.len();
        self.poll_received(cx, capacity, |shard| shard.stack.udp().recv_from(self.id, buffer))
    }

    /// Receives one datagram from the connected peer.
    ///
    /// # Errors
    /// As [`recv_from`](Self::recv_from).
    pub async fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(self.recv_from(buffer).await?.0)
    }

    /// Copies the next datagram without taking it.
    ///
    /// # Errors
    /// As [`recv_from`](Self::recv_from).
    pub async fn peek_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let capacity = buffer.len();
        poll_fn(|cx| self.poll_received(cx, capacity, |shard| shard.stack.udp().peek_from(self.id, buffer)))
            .await
    }

    /// The socket's own address.
    ///
    /// # Errors
    /// `NotConnected` once the stack has ended.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.with_open(|shard, _| {
            let bind = shard.stack.udp().local_addr(self.id).ok_or_else(error::gone)?;
            Ok(SocketAddr::new(bind.address.unwrap_or(Ipv6Addr::UNSPECIFIED.into()), bind.port))
        })
    }

    /// The connected peer's address.
    ///
    /// # Errors
    /// `NotConnected` without one.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.with_open(|shard, _| {
            shard.stack.udp().peer_addr(self.id).ok_or_else(|| io::ErrorKind::NotConnected.into())
        })
    }

    fn poll_received(
        &self,
        cx: &Context<'_>,
        capacity: usize,
        receive: impl FnOnce(&mut Shard) -> Result<UdpReceived, UdpRecvError>,
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        self.poll(cx, Interest::Read, |shard, _| {
            let received = receive(shard).map_err(error::of_udp_recv)?;
            Ok((received.len.min(capacity), received.remote))
        })
    }

    fn with_open<R>(&self, work: impl FnOnce(&mut Shard, Instant) -> io::Result<R>) -> io::Result<R> {
        self.shared.with(|shard, now| {
            shard.check_open()?;
            work(shard, now)
        })
    }

    /// Does `work` once; `WouldBlock` lists the task for `interest`.
    fn poll<R>(
        &self,
        cx: &Context<'_>,
        interest: Interest,
        work: impl FnOnce(&mut Shard, Instant) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        self.shared.with(|shard, now| {
            if let Err(error) = shard.check_open() {
                return Poll::Ready(Err(error));
            }
            match work(shard, now) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    shard.wakers.wait(SocketKey::Udp(self.id), interest, cx.waker());
                    Poll::Pending
                }
                result => Poll::Ready(result),
            }
        })
    }
}

impl Drop for UdpSocket {
    fn drop(&mut self) {
        self.shared.with(|shard, _| {
            shard.stack.udp().close(self.id);
            shard.wakers.forget(SocketKey::Udp(self.id));
        });
    }
}
