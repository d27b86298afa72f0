//! A TCP socket itself; a stream and the halves of a split one share it, and the last of them closes it.
//!
//! *Theory of operation.* Each operation is one attempt under the shard's lock that may say `WouldBlock`. The `try_` calls
//! hand that on; the `poll_` calls list the task and wait. So readiness is a question about the connection as it is now,
//! and never a memory that could be stale.
//!
//! *Errors.* A connection breaks once, and as with the kernel's sockets one call is told of it: whoever reads afterwards is
//! at the end of the stream, and whoever writes has a broken pipe.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{BufMut, Bytes};
use netloom_stack::transport::{Recv, RecvError, SendError, TcpError, TcpSocketId};
use netloom_stack::{Instant, SHARED_LEN_MIN};
use tokio::io::{Interest, ReadBuf, Ready};

use crate::error;
use crate::report::Report;
use crate::shard::{Shard, Shared};
use crate::wakers::{Claim, Interest as Wait, SocketKey, in_turn};

/// Bytes that a connection takes at once without copying them. It takes all of such a part as soon as there is room for any
/// of it, so this is what it may hold beyond its buffer.
const SHARED_PART_LEN: usize = SHARED_LEN_MIN;

/// Whether received bytes are taken or left where they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Take {
    /// They are gone from the socket.
    Yes,
    /// They will be read again.
    No,
}

#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) shared: Arc<Shared>,
    pub(crate) id: TcpSocketId,
    /// Of the peer's address: the connection knows both ends, but no zone.
    zone: u32,
    /// What `SO_LINGER` is, in milliseconds, or [`NO_LINGER`]; what is longer than 24 days is cut. And [`HAS_TOLD_ERROR`].
    linger: AtomicU32,
}

/// Somebody was told why the connection broke.
const HAS_TOLD_ERROR: u32 = 1 << 31;
const NO_LINGER: u32 = HAS_TOLD_ERROR - 1;

// With the counts of an `Arc` 40 bytes, for which allocators take 48: idle connections should be cheap.
const _: () = assert!(size_of::<Handle>() <= 24);

/// The zone of an address that has one.
const fn zone(of: SocketAddr) -> u32 {
    match of {
        SocketAddr::V4(_) => 0,
        SocketAddr::V6(of) => of.scope_id(),
    }
}

impl Handle {
    pub(crate) fn new(
        shared: Arc<Shared>,
        id: TcpSocketId,
        remote: SocketAddr,
        linger: Option<Duration>,
    ) -> Self {
        let handle = Self { shared, id, zone: zone(remote), linger: AtomicU32::new(NO_LINGER) };
        handle.set_linger(linger);
        handle
    }

    /// The connection's own end. It lives as long as this does, over or not.
    pub(crate) fn local(&self) -> io::Result<SocketAddr> {
        self.shared.take(|shard| shard.stack.tcp().local_addr(self.id)).ok_or_else(error::gone)
    }

    /// The peer's end.
    pub(crate) fn remote(&self) -> io::Result<SocketAddr> {
        let mut remote =
            self.shared.take(|shard| shard.stack.tcp().peer_addr(self.id)).ok_or_else(error::gone)?;
        if let SocketAddr::V6(remote) = &mut remote {
            remote.set_scope_id(self.zone);
        }
        Ok(remote)
    }

    pub(crate) fn linger(&self) -> Option<Duration> {
        let millis = self.linger.load(Ordering::Relaxed) & NO_LINGER;
        (millis != NO_LINGER).then(|| Duration::from_millis(millis.into()))
    }

    pub(crate) fn set_linger(&self, patience: Option<Duration>) {
        // What is left of a millisecond is still time: only zero is zero.
        let millis = |patience: Duration| {
            u32::try_from(patience.as_nanos().div_ceil(1_000_000))
                .map_or(NO_LINGER - 1, |it| it.min(NO_LINGER - 1))
        };
        let millis = patience.map_or(NO_LINGER, millis);
        let exchange = |old| Some(old & HAS_TOLD_ERROR | millis);
        let _ = self.linger.fetch_update(Ordering::Relaxed, Ordering::Relaxed, exchange);
    }

    /// Does `work` if the stack has not ended.
    pub(crate) fn with_open<R>(
        &self,
        work: impl FnOnce(&mut Shard, Instant, TcpSocketId) -> io::Result<R>,
    ) -> io::Result<R> {
        self.shared.with(|shard, now| {
            shard.check_open()?;
            work(shard, now, self.id)
        })
    }

    /// The task waits no more.
    pub(crate) fn give_up(&self, waker: &Waker) {
        self.shared.give_up(SocketKey::Tcp(self.id), waker);
    }

    /// Does `work` once, and lists the task, one of any number, for `waits` if it would block.
    fn poll<R>(
        &self,
        cx: &mut Context<'_>,
        waits: &[Wait],
        work: impl FnOnce(&mut Shard, Instant) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        self.poll_as(Claim::Shared, cx, waits, work)
    }

    /// The same with this claim.
    fn poll_as<R>(
        &self,
        claim: Claim,
        cx: &mut Context<'_>,
        waits: &[Wait],
        work: impl FnOnce(&mut Shard, Instant) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        in_turn(cx, |waker| self.attempt(claim, waker, waits, work))
    }

    fn attempt<R>(
        &self,
        claim: Claim,
        waker: &Waker,
        waits: &[Wait],
        work: impl FnOnce(&mut Shard, Instant) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        self.shared.with(|shard, now| {
            if let Err(error) = shard.check_open() {
                return Poll::Ready(Err(error));
            }
            match work(shard, now) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    for &wait in waits {
                        shard.wakers.wait_as(claim, SocketKey::Tcp(self.id), wait, waker);
                    }
                    Poll::Pending
                }
                result => Poll::Ready(result),
            }
        })
    }

    pub(crate) fn poll_connected(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(cx, &[Wait::Write], |shard, _| match shard.stack.tcp().connected(self.id) {
            Ok(true) => Ok(()),
            Ok(false) => Err(ErrorKind::WouldBlock.into()),
            Err(error) => Err(error::of_tcp(error)),
        })
    }

    /// What a reader is told; 0 is the end of the stream.
    fn count_of(&self, received: Result<Recv, RecvError>) -> io::Result<usize> {
        match received {
            Ok(Recv::Data(count)) => Ok(count),
            Ok(Recv::EndOfStream) => Ok(0),
            Ok(Recv::WouldBlock) => Err(ErrorKind::WouldBlock.into()),
            Err(RecvError::Failed(error)) => self.tell(error).map_or(Ok(0), Err),
            Err(error) => Err(error::of_recv(error)),
        }
    }

    /// One attempt to send.
    fn send(&self, shard: &mut Shard, now: Instant, pieces: &[io::IoSlice<'_>]) -> io::Result<usize> {
        let mut written = 0;
        for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
            match shard.stack.tcp().send(now, self.id, piece) {
                Ok(count) => {
                    written += count;
                    if count < piece.len() {
                        break;
                    }
                }
                // What went before the error is reported first; the error comes with the next call.
                Err(_) if written > 0 => break,
                Err(error) => return Err(self.send_error(shard, error)),
            }
        }
        if written == 0 { Err(ErrorKind::WouldBlock.into()) } else { Ok(written) }
    }

    /// Sends no bytes: what would keep some from being sent is said all the same.
    fn send_nothing(&self) -> io::Result<usize> {
        self.with_open(|shard, now, _| match shard.stack.tcp().has_room(now, self.id) {
            Ok(_) => Ok(0),
            Err(error) => Err(self.send_error(shard, error)),
        })
    }

    fn send_error(&self, shard: &mut Shard, error: SendError) -> io::Error {
        let SendError::Failed(why) = error else { return error::of_send(error) };
        let told = self.tell(why);
        // A reset after the peer's FIN says that it did not want what we sent.
        let has_peer_finished = shard.stack.tcp().peek(self.id, &mut [0]) == Ok(Recv::EndOfStream);
        told.filter(|_| !has_peer_finished).unwrap_or_else(|| ErrorKind::BrokenPipe.into())
    }

    /// Why the connection broke, for the first who asks.
    fn tell(&self, error: TcpError) -> Option<io::Error> {
        let before = self.linger.fetch_or(HAS_TOLD_ERROR, Ordering::Relaxed);
        (before & HAS_TOLD_ERROR == 0).then(|| error::of_tcp(error))
    }

    pub(crate) fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.with_open(|shard, _, id| Ok(shard.stack.tcp().error(id).and_then(|error| self.tell(error))))
    }

    /// As much as the next chunk of `target` holds.
    pub(crate) fn try_receive(&self, target: &mut impl BufMut) -> io::Result<usize> {
        let most = target.chunk_mut().len();
        if most == 0 {
            return Ok(0);
        }
        self.with_open(|shard, now, _| {
            self.count_of(shard.stack.tcp().recv_with(now, self.id, most, |part| target.put_slice(part)))
        })
    }

    pub(crate) fn try_receive_vectored(&self, targets: &mut [io::IoSliceMut<'_>]) -> io::Result<usize> {
        if targets.iter().all(|target| target.is_empty()) {
            return Ok(0);
        }
        self.with_open(|shard, now, _| {
            let mut read = 0;
            for target in targets.iter_mut().filter(|target| !target.is_empty()) {
                // Only bytes follow bytes: the end of the stream, or an error, is the next call's.
                if read > 0 && !matches!(shard.stack.tcp().peek(self.id, target), Ok(Recv::Data(_))) {
                    break;
                }
                let count = self.count_of(shard.stack.tcp().recv(now, self.id, target))?;
                read += count;
                if count < target.len() {
                    break;
                }
            }
            Ok(read)
        })
    }

    pub(crate) fn try_send(&self, pieces: &[io::IoSlice<'_>]) -> io::Result<usize> {
        if pieces.iter().all(|piece| piece.is_empty()) {
            return self.send_nothing();
        }
        self.with_open(|shard, now, _| self.send(shard, now, pieces))
    }

    pub(crate) fn poll_receive(
        &self,
        claim: Claim,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
        take: Take,
    ) -> Poll<io::Result<usize>> {
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(0));
        }
        // Most readers come once in vain after each success: that is told without the stack's having its turn.
        let is_idle = |shard: &mut Shard, waker: &Waker| {
            let is_idle =
                shard.ended.is_none() && shard.stack.tcp().peek(self.id, &mut [0]) == Ok(Recv::WouldBlock);
            if is_idle {
                shard.wakers.wait_as(claim, SocketKey::Tcp(self.id), Wait::Read, waker);
            }
            is_idle
        };
        let receive = |shard: &mut Shard, now| {
            shard.check_open()?;
            let mut tcp = shard.stack.tcp();
            let received = match take {
                // Straight to where it is wanted, without clearing that place first.
                Take::Yes => tcp.recv_with(now, self.id, buffer.remaining(), |part| buffer.put_slice(part)),
                Take::No => {
                    let peeked = tcp.peek(self.id, buffer.initialize_unfilled());
                    if let Ok(Recv::Data(count)) = peeked {
                        buffer.advance(count);
                    }
                    peeked
                }
            };
            self.count_of(received)
        };
        in_turn(cx, |waker| match self.shared.with_unless(|shard| is_idle(shard, waker), receive) {
            Some(received) => Poll::Ready(received),
            None => Poll::Pending,
        })
    }

    pub(crate) fn poll_send(
        &self,
        claim: Claim,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if pieces.iter().all(|piece| piece.is_empty()) {
            return Poll::Ready(self.send_nothing());
        }
        self.poll_as(claim, cx, &[Wait::Write], |shard, now| self.send(shard, now, pieces))
    }

    /// One attempt to receive with the memory that the bytes lie in.
    pub(crate) fn poll_receive_bytes(&self, cx: &mut Context<'_>, limit: usize) -> Poll<io::Result<Bytes>> {
        if limit == 0 {
            return Poll::Ready(Ok(Bytes::new()));
        }
        let mut bytes = Bytes::new();
        let polled = self.poll(cx, &[Wait::Read], |shard, now| {
            let tray = &shard.tray;
            let take = |owned| bytes = tray.lend(owned);
            let received = shard.stack.tcp().recv_owned(now, self.id, limit, take);
            self.count_of(received)
        });
        polled.map_ok(|_| bytes)
    }

    /// One attempt to send some of `bytes`, without a copy where there are enough of them.
    pub(crate) fn poll_send_bytes(&self, cx: &mut Context<'_>, bytes: &Bytes) -> Poll<io::Result<usize>> {
        let part = bytes.slice(..bytes.len().min(SHARED_PART_LEN));
        self.poll(cx, &[Wait::Write], |shard, now| {
            match shard.stack.tcp().send_shared(now, self.id, Box::new(part)) {
                Ok(0) => Err(ErrorKind::WouldBlock.into()),
                Ok(count) => Ok(count),
                Err(error) => Err(self.send_error(shard, error)),
            }
        })
    }

    /// One attempt to send bytes as urgent.
    pub(crate) fn poll_send_urgent(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if bytes.is_empty() {
            return Poll::Ready(self.send_nothing());
        }
        self.poll(cx, &[Wait::Write], |shard, now| match shard.stack.tcp().send_urgent(now, self.id, bytes) {
            Ok(0) => Err(ErrorKind::WouldBlock.into()),
            Ok(count) => Ok(count),
            Err(error) => Err(self.send_error(shard, error)),
        })
    }

    /// What of `interest` is true now.
    fn readiness(&self, shard: &mut Shard, now: Instant, interest: Interest) -> Ready {
        let mut ready = Ready::EMPTY;
        let mut tcp = shard.stack.tcp();
        if interest.is_readable() {
            ready |= match tcp.peek(self.id, &mut [0]) {
                Ok(Recv::Data(_)) => Ready::READABLE,
                Ok(Recv::EndOfStream) | Err(_) => Ready::READABLE | Ready::READ_CLOSED,
                Ok(Recv::WouldBlock) => Ready::EMPTY,
            };
        }
        if interest.is_writable() {
            ready |= match tcp.has_room(now, self.id) {
                Ok(true) => Ready::WRITABLE,
                Ok(false) => Ready::EMPTY,
                Err(_) => Ready::WRITABLE | Ready::WRITE_CLOSED,
            };
        }
        if interest.is_error() && tcp.error(self.id).is_some() {
            ready |= Ready::ERROR;
        }
        ready
    }

    pub(crate) fn ready_now(&self, interest: Interest) -> io::Result<Ready> {
        self.with_open(|shard, now, _| Ok(self.readiness(shard, now, interest)))
    }

    pub(crate) fn poll_ready(&self, cx: &mut Context<'_>, interest: Interest) -> Poll<io::Result<Ready>> {
        let waits: &[Wait] = match (interest.is_readable() || interest.is_error(), interest.is_writable()) {
            (true, true) => &[Wait::Read, Wait::Write],
            (false, true) => &[Wait::Write],
            (true | false, false) => &[Wait::Read],
        };
        self.poll(cx, waits, |shard, now| {
            let ready = self.readiness(shard, now, interest);
            if ready.is_empty() { Err(ErrorKind::WouldBlock.into()) } else { Ok(ready) }
        })
    }

    /// What has happened that ends nothing. An end is said, and yet left for others to be told.
    pub(crate) fn poll_report(&self, cx: &mut Context<'_>) -> Poll<io::Result<Report>> {
        self.poll(cx, &[Wait::Report], |shard, _| {
            if let Some(report) = shard.reports.take(self.id) {
                return Ok(report);
            }
            let info = shard.stack.tcp().info(self.id).ok_or_else(error::gone)?;
            Err(match (info.error, info.end_reason) {
                (Some(why), _) => error::of_tcp(why),
                (None, Some(_)) => ErrorKind::NotConnected.into(),
                (None, None) => ErrorKind::WouldBlock.into(),
            })
        })
    }

    /// Drops what came and what comes: reads are at the end of the stream.
    pub(crate) fn shutdown_read(&self) -> io::Result<()> {
        self.with_open(|shard, now, id| {
            shard.stack.tcp().shutdown_read(now, id).map_err(|_| error::gone())?;
            shard.wakers.ready(SocketKey::Tcp(id), Wait::Read);
            Ok(())
        })
    }

    /// Sends FIN after what was written. A connection that has ended already needs none, which is no error.
    pub(crate) fn shutdown_write(&self) -> io::Result<()> {
        self.with_open(|shard, now, id| {
            match shard.stack.tcp().shutdown_write(now, id) {
                Ok(()) | Err(SendError::Failed(_)) => {}
                Err(error) => return Err(error::of_send(error)),
            }
            // Whoever waits for room on this socket will never have any.
            shard.wakers.ready(SocketKey::Tcp(id), Wait::Write);
            Ok(())
        })
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let aborts = self.linger() == Some(Duration::ZERO);
        self.shared.with(|shard, now| {
            let mut tcp = shard.stack.tcp();
            if aborts {
                tcp.abort(now, self.id);
            } else {
                tcp.close(now, self.id);
            }
            shard.wakers.forget(SocketKey::Tcp(self.id));
            shard.reports.take(self.id);
        });
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddrV6;

    use tokio::io::AsyncReadExt;

    use super::*;
    use crate::Net;

    #[test]
    fn both_ends_and_the_linger_are_known_when_the_connection_and_the_stack_are_over() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (server, client) = Net::pair("fe80::1/64", "fe80::2/64").unwrap();
            let address = SocketAddr::from(SocketAddrV6::new("fe80::1".parse().unwrap(), 80, 0, 3));
            let listener = server.tcp_listen("[fe80::1]:80").await.unwrap();
            let mut outgoing = client.tcp_connect(address).await.unwrap();
            let (incoming, from) = listener.accept().await.unwrap();
            let patience = Some(Duration::from_millis(5));
            let check = |outgoing: &crate::TcpStream| {
                let ends = (outgoing.local_addr().unwrap(), outgoing.peer_addr().unwrap());
                assert_eq!((ends, outgoing.linger().unwrap()), ((from, address), patience));
            };
            outgoing.set_linger(patience).unwrap();
            check(&outgoing);
            incoming.set_zero_linger().unwrap();
            drop(incoming);
            assert_eq!(outgoing.read_u8().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
            check(&outgoing);
            outgoing.set_linger(None).unwrap();
            assert_eq!(outgoing.linger().unwrap(), None);
            outgoing.set_linger(patience).unwrap();
            assert_eq!(outgoing.read(&mut [0]).await.unwrap(), 0, "one call is told of it");
            client.shutdown(Duration::ZERO).await;
            check(&outgoing);
            outgoing.set_linger(Some(Duration::MAX)).unwrap();
            assert!(outgoing.linger().unwrap() > Some(Duration::from_secs(24 * 24 * 60 * 60)));
        });
    }
}
