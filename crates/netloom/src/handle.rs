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
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use netloom_stack::Instant;
use netloom_stack::transport::{Recv, RecvError, SendError, TcpError, TcpSocketId};
use tokio::io::{Interest, ReadBuf, Ready};

use crate::error;
use crate::shard::{Shard, Shared};
use crate::wakers::{Interest as Wait, SocketKey, in_turn};

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
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    /// What `SO_LINGER` is.
    linger: Mutex<Option<Duration>>,
    /// Somebody was told why the connection broke.
    has_told_error: AtomicBool,
}

impl Handle {
    pub(crate) fn new(
        shared: Arc<Shared>,
        id: TcpSocketId,
        local: SocketAddr,
        remote: SocketAddr,
        linger: Option<Duration>,
    ) -> Self {
        let linger = Mutex::new(linger);
        Self { shared, id, local, remote, linger, has_told_error: AtomicBool::new(false) }
    }

    pub(crate) fn linger(&self) -> Option<Duration> {
        *self.linger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_linger(&self, patience: Option<Duration>) {
        *self.linger.lock().unwrap_or_else(PoisonError::into_inner) = patience;
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

    /// Does `work` once, and lists the task for `waits` if it would block.
    fn poll<R>(
        &self,
        cx: &mut Context<'_>,
        waits: &[Wait],
        work: impl FnOnce(&mut Shard, Instant) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        in_turn(cx, |waker| self.attempt(waker, waits, work))
    }

    fn attempt<R>(
        &self,
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
                        shard.wakers.wait(SocketKey::Tcp(self.id), wait, waker);
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

    /// One attempt to receive; 0 is the end of the stream.
    fn receive(&self, shard: &mut Shard, now: Instant, target: &mut [u8], take: Take) -> io::Result<usize> {
        let mut tcp = shard.stack.tcp();
        let received = match take {
            Take::Yes => tcp.recv(now, self.id, target),
            Take::No => tcp.peek(self.id, target),
        };
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

    fn send_error(&self, shard: &mut Shard, error: SendError) -> io::Error {
        let SendError::Failed(why) = error else { return error::of_send(error) };
        let told = self.tell(why);
        // A reset after the peer's FIN says that it did not want what we sent.
        let has_peer_finished = shard.stack.tcp().peek(self.id, &mut [0]) == Ok(Recv::EndOfStream);
        told.filter(|_| !has_peer_finished).unwrap_or_else(|| ErrorKind::BrokenPipe.into())
    }

    /// Why the connection broke, for the first who asks.
    fn tell(&self, error: TcpError) -> Option<io::Error> {
        (!self.has_told_error.swap(true, Ordering::Relaxed)).then(|| error::of_tcp(error))
    }

    pub(crate) fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.with_open(|shard, _, id| Ok(shard.stack.tcp().error(id).and_then(|error| self.tell(error))))
    }

    pub(crate) fn try_receive(&self, target: &mut [u8]) -> io::Result<usize> {
        if target.is_empty() {
            return Ok(0);
        }
        self.with_open(|shard, now, _| self.receive(shard, now, target, Take::Yes))
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
                let count = self.receive(shard, now, target, Take::Yes)?;
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
            return Ok(0);
        }
        self.with_open(|shard, now, _| self.send(shard, now, pieces))
    }

    pub(crate) fn poll_receive(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
        take: Take,
    ) -> Poll<io::Result<usize>> {
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(0));
        }
        let target = buffer.initialize_unfilled();
        self.poll(cx, &[Wait::Read], |shard, now| self.receive(shard, now, target, take)).map_ok(|count| {
            buffer.advance(count);
            count
        })
    }

    pub(crate) fn poll_send(&self, cx: &mut Context<'_>, pieces: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if pieces.iter().all(|piece| piece.is_empty()) {
            return Poll::Ready(Ok(0));
        }
        self.poll(cx, &[Wait::Write], |shard, now| self.send(shard, now, pieces))
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
        });
    }
}
