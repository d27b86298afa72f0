//! A UDP socket at every address and port.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use netloom_stack::transport::{UdpReceived, UdpSocketId};

use crate::error;
use crate::shard::{Shard, Shared};
use crate::wakers::{Interest, SocketKey};

/// A UDP socket for whatever no other socket takes, with the address and port that were asked; it answers from them.
///
/// [`Net::udp_bind_any`](crate::Net::udp_bind_any) makes it. Each datagram that it holds costs its length and 128 bytes of
/// [`receive_queue_bytes`](netloom_stack::transport::UdpConfig::receive_queue_bytes); more are dropped.
#[derive(Debug)]
pub struct AnyUdpSocket {
    shared: Arc<Shared>,
    id: UdpSocketId,
}

impl AnyUdpSocket {
    pub(crate) fn bind_on(shared: &Arc<Shared>) -> io::Result<Self> {
        let shared = Arc::clone(shared);
        let id = shared.with(|shard, _| {
            shard.check_open()?;
            shard.stack.udp().bind_any().map_err(error::of_udp_bind)
        })?;
        Ok(Self { shared, id })
    }

    /// Receives one datagram: its length, who sent it, and whom it was sent to. What does not fit `buf` is lost. Cancel
    /// safe.
    ///
    /// # Errors
    /// `NotConnected` once the stack has ended.
    pub async fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr, SocketAddr)> {
        poll_fn(|cx| self.poll_recv_from(cx, buf)).await
    }

    /// The same for `poll` functions.
    ///
    /// # Errors
    /// As [`recv_from`](Self::recv_from).
    pub fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr, SocketAddr)>> {
        self.poll(cx, Interest::Read, |shard| self.take(shard, buf))
    }

    /// The same if one is there.
    ///
    /// # Errors
    /// As [`recv_from`](Self::recv_from), and `WouldBlock`.
    pub fn try_recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr, SocketAddr)> {
        self.shared.with(|shard, _| {
            shard.check_open()?;
            self.take(shard, buf)
        })
    }

    /// Sends one datagram from `local`, which may be anybody's address and port, to `remote`; waits for room in the
    /// socket's queue. Cancel safe.
    ///
    /// # Errors
    /// `AddrNotAvailable` if no interface takes packets for `local`, `NetworkUnreachable` without a route, `EMSGSIZE` beyond
    /// 65,507 bytes, `InvalidInput` for ends of two families or ports of 0.
    pub async fn send_from(&self, buf: &[u8], local: SocketAddr, remote: SocketAddr) -> io::Result<usize> {
        poll_fn(|cx| self.poll_send_from(cx, buf, local, remote)).await
    }

    /// The same for `poll` functions.
    ///
    /// # Errors
    /// As [`send_from`](Self::send_from).
    pub fn poll_send_from(
        &self,
        cx: &mut Context<'_>,
        buf: &[u8],
        local: SocketAddr,
        remote: SocketAddr,
    ) -> Poll<io::Result<usize>> {
        self.poll(cx, Interest::Write, |shard| self.transmit(shard, buf, local, remote))
    }

    /// The same if there is room now.
    ///
    /// # Errors
    /// As [`send_from`](Self::send_from), and `WouldBlock`.
    pub fn try_send_from(&self, buf: &[u8], local: SocketAddr, remote: SocketAddr) -> io::Result<usize> {
        self.shared.with(|shard, _| {
            shard.check_open()?;
            self.transmit(shard, buf, local, remote)
        })
    }

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

    fn poll<R>(
        &self,
        cx: &Context<'_>,
        wait: Interest,
        work: impl FnOnce(&mut Shard) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        self.shared.with(|shard, _| {
            if let Err(error) = shard.check_open() {
                return Poll::Ready(Err(error));
            }
            match work(shard) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    shard.wakers.wait(SocketKey::Udp(self.id), wait, cx.waker());
                    Poll::Pending
                }
                result => Poll::Ready(result),
            }
        })
    }
}

impl Drop for AnyUdpSocket {
    fn drop(&mut self) {
        self.shared.with(|shard, _| {
            shard.stack.udp().close(self.id);
            shard.wakers.forget(SocketKey::Udp(self.id));
        });
    }
}
