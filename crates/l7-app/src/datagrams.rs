//! UDP as the services see it: a socket, a guard against loops, and a budget of replies.
//!
//! # Limits
//! A datagram's source address can be forged, so every service that answers datagrams could be made to send to a
//! victim. [`may_answer`] keeps two services from answering each other for ever, and [`ReplyBudget`] bounds what a
//! service that answers with more than it got can be made to send.

use std::borrow::Cow;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::task::coop::consume_budget;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, trace, warn};

/// The longest datagram that a service takes, in bytes.
pub(crate) const MAX_DATAGRAM_LEN: usize = 65_535;
/// Failed receives in a row after which a service gives its socket up.
const MAX_RECEIVE_ERRORS: u32 = 64;

/// A bound UDP socket, in the shape of tokio's.
///
/// Receiving must be cancel safe: a dropped `recv_from` has taken no datagram.
pub trait Datagrams: Send + Sync + 'static {
    /// Receives one datagram into `buffer`; returns its length and its sender.
    ///
    /// # Errors
    /// What the socket reports. The services take single errors as news about one peer and go on.
    fn recv_from(&self, buffer: &mut [u8]) -> impl Future<Output = io::Result<(usize, SocketAddr)>> + Send;

    /// Sends `bytes` as one datagram to `target`; returns how many were sent.
    ///
    /// # Errors
    /// What the socket reports, such as a datagram that is too long.
    fn send_to(&self, bytes: &[u8], target: SocketAddr) -> impl Future<Output = io::Result<usize>> + Send;

    /// The address that the socket is bound to.
    ///
    /// # Errors
    /// What the socket reports when it is no longer bound.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

impl Datagrams for netloom::UdpSocket {
    async fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        Self::recv_from(self, buffer).await
    }

    async fn send_to(&self, bytes: &[u8], target: SocketAddr) -> io::Result<usize> {
        Self::send_to(self, bytes, target).await
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Self::local_addr(self)
    }
}

impl Datagrams for UdpSocket {
    async fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        Self::recv_from(self, buffer).await
    }

    async fn send_to(&self, bytes: &[u8], target: SocketAddr) -> io::Result<usize> {
        Self::send_to(self, bytes, target).await
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Self::local_addr(self)
    }
}

impl<D: Datagrams> Datagrams for Arc<D> {
    async fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        D::recv_from(self, buffer).await
    }

    async fn send_to(&self, bytes: &[u8], target: SocketAddr) -> io::Result<usize> {
        D::send_to(self, bytes, target).await
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        D::local_addr(self)
    }
}

/// Receives until `shutdown` and sends what `reply` makes of each datagram, if anything.
///
/// A reply that cannot be sent is a lost datagram.
///
/// # Errors
/// The socket's own, when it failed [`MAX_RECEIVE_ERRORS`] times in a row.
pub(crate) async fn answer_datagrams<D, F>(
    socket: &D,
    shutdown: &CancellationToken,
    mut reply: F,
) -> io::Result<()>
where
    D: Datagrams,
    F: for<'a> FnMut(&'a [u8], SocketAddr) -> Option<Cow<'a, [u8]>>,
{
    let mut buffer = vec![0; MAX_DATAGRAM_LEN];
    let mut error_count = 0;
    loop {
        let received = tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            received = socket.recv_from(&mut buffer) => received,
        };
        let (len, peer) = match received {
            Ok(datagram) => datagram,
            Err(error) if error_count >= MAX_RECEIVE_ERRORS => {
                warn!(%error, "a UDP service gives its socket up");
                return Err(error);
            }
            Err(error) => {
                error_count += 1;
                debug!(%error, "receiving a datagram failed");
                tokio::task::yield_now().await;
                continue;
            }
        };
        error_count = 0;
        consume_budget().await;
        let bytes = buffer.get(..len).unwrap_or_default();
        let Some(answer) = reply(bytes, peer) else { continue };
        if let Err(error) = socket.send_to(&answer, peer).await {
            trace!(%error, %peer, "a reply was not sent");
        }
    }
}

/// Whether a datagram from `peer` may be answered by a service on `local_port`.
///
/// No to the ports of echo, daytime, qotd and chargen (7, 13, 17, 19), to `local_port` itself and to port 0: what
/// comes from there is another service's answer or forged, and an answer to it would start a loop. No to addresses
/// that are not one host's.
pub(crate) fn may_answer(peer: SocketAddr, local_port: u16) -> bool {
    let is_one_host = match peer.ip() {
        IpAddr::V4(address) => {
            !address.is_broadcast() && !address.is_multicast() && !address.is_unspecified()
        }
        IpAddr::V6(address) => !address.is_multicast() && !address.is_unspecified(),
    };
    is_one_host && !matches!(peer.port(), 0 | 7 | 13 | 17 | 19) && peer.port() != local_port
}

/// A bucket of replies that fills at a steady rate.
#[derive(Debug)]
pub(crate) struct ReplyBudget {
    interval: Duration,
    /// When the bucket will be full again; the RFCs call this form a virtual schedule.
    full_at: Instant,
    depth: Duration,
}

impl ReplyBudget {
    /// `per_second` replies a second (at least 1), of which as many may go at once.
    pub(crate) fn new(per_second: u32) -> Self {
        let interval = Duration::from_secs(1) / per_second.max(1);
        Self { interval, full_at: Instant::now(), depth: Duration::from_secs(1) }
    }

    /// Takes one reply out at `now`, if there is one.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let full_at = self.full_at.max(now) + self.interval;
        let is_allowed = full_at <= now + self.depth;
        if is_allowed {
            self.full_at = full_at;
        }
        is_allowed
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{ReplyBudget, may_answer};

    #[test]
    fn services_and_impossible_sources_are_not_answered() {
        for (peer, expected) in [
            ("10.0.0.1:40000", true),
            ("[fd00::1]:1", true),
            ("10.0.0.1:7", false),
            ("10.0.0.1:13", false),
            ("10.0.0.1:17", false),
            ("[fd00::1]:19", false),
            ("10.0.0.1:0", false),
            ("10.0.0.1:7007", false),
            ("255.255.255.255:40000", false),
            ("224.0.0.1:40000", false),
            ("0.0.0.0:40000", false),
            ("[ff02::1]:40000", false),
            ("[::]:40000", false),
        ] {
            let address: SocketAddr = peer.parse().unwrap();
            assert_eq!(may_answer(address, 7007), expected, "{peer}");
        }
    }

    #[test]
    fn the_budget_allows_a_burst_and_then_its_rate() {
        let mut budget = ReplyBudget::new(10);
        let start = Instant::now() + Duration::from_secs(1);
        let allowed_at = |budget: &mut ReplyBudget, ms: u64| {
            (0..100).filter(|_| budget.take(start + Duration::from_millis(ms))).count()
        };
        assert_eq!(allowed_at(&mut budget, 0), 10);
        assert_eq!(allowed_at(&mut budget, 99), 0);
        assert_eq!(allowed_at(&mut budget, 500), 5);
        assert_eq!(allowed_at(&mut budget, 60_000), 10);
    }
}
