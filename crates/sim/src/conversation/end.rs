//! One end of a connection: the application that follows a plan, and checks what it is told.

use core::fmt;

use netloom_base::Instant;
use netloom_stack::TcpSockets;
use netloom_stack::transport::{Recv, RecvError, SendError, TcpError, TcpSocketId};

use super::plan::{Finish, Plan, Reading};
use crate::pattern::{MAX_RUN, Stream};

/// How it went for one end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It closed its socket.
    Closed {
        /// Whether it had read all that the peer sends.
        has_read_all: bool,
    },
    /// It reset the connection.
    Aborted,
    /// The connection broke.
    Failed(TcpError),
    /// There never was a connection at this end.
    Absent,
    /// Its host lost its memory.
    Forgotten,
    /// It waited for a peer that had gone without a word that got through, until the run ended it.
    Abandoned,
}

/// What a stack told an application that cannot be true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Untruth {
    /// A byte that the peer did not send there.
    WrongByte {
        /// Its position in the stream.
        at: u64,
    },
    /// The end of the stream, where the peer's is elsewhere or nowhere.
    FalseEnd {
        /// Bytes received.
        at: u64,
        /// Where the peer ended its stream.
        peer_ended_at: Option<u64>,
    },
    /// Urgent data is announced, and the stream has ended before.
    UrgentBeyondEnd {
        /// How many bytes.
        len: u32,
    },
    /// More bytes taken, or given, than there was room for.
    WrongCount,
    /// The socket is gone while its user holds it.
    SocketGone,
    /// The sending side is shut down, and nobody did that.
    FalseShutdown,
}

impl fmt::Display for Untruth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongByte { at } => write!(f, "byte {at} is not what the peer sent"),
            Self::FalseEnd { at, peer_ended_at: Some(end) } => {
                write!(f, "the stream ended after {at} bytes, and the peer sent {end}")
            }
            Self::FalseEnd { at, peer_ended_at: None } => {
                write!(f, "the stream ended after {at} bytes, and the peer has not ended it")
            }
            Self::UrgentBeyondEnd { len } => {
                write!(f, "{len} bytes are urgent, and the stream has ended before them")
            }
            Self::WrongCount => f.write_str("more bytes were taken or given than there was room for"),
            Self::SocketGone => f.write_str("the socket is gone while it is held"),
            Self::FalseShutdown => f.write_str("sending is shut down, and nobody shut it down"),
        }
    }
}

/// The most that a socket held, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Peaks {
    /// Written and not acknowledged.
    pub(crate) send_queue: usize,
    /// Received and not read, but for the rounding of the window's scale.
    pub(crate) receive_queue: usize,
}

/// What an end needs to know of the other to judge what it is told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PeerView {
    /// Where the peer has ended its stream.
    pub(crate) ended_at: Option<u64>,
    /// How much it means to send.
    pub(crate) outgoing: u64,
}

/// One end.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) host: usize,
    /// Of its host, once it has a socket.
    pub(crate) shard: usize,
    pub(crate) socket: Option<TcpSocketId>,
    pub(crate) outcome: Option<Outcome>,
    pub(crate) plan: Plan,
    outgoing: Stream,
    incoming: Stream,
    pub(crate) sent: u64,
    pub(crate) received: u64,
    /// Where its own stream ends, once it has said so.
    pub(crate) ended_at: Option<u64>,
    has_peer_ended: bool,
    /// When a slow or late reader reads next.
    reads_at: Option<Instant>,
    /// The connection broke: what has come is still read.
    error: Option<TcpError>,
    /// The most that its socket held, where its buffers follow path and reader.
    pub(crate) peaks: Option<Peaks>,
    /// When it got its outcome.
    pub(crate) over_at: Option<Instant>,
}

impl End {
    pub(crate) const fn new(host: usize, plan: Plan, outgoing: Stream, incoming: Stream) -> Self {
        Self {
            host,
            shard: 0,
            socket: None,
            outcome: None,
            plan,
            outgoing,
            incoming,
            sent: 0,
            received: 0,
            ended_at: None,
            has_peer_ended: false,
            reads_at: None,
            error: None,
            peaks: None,
            over_at: None,
        }
    }

    /// Has the most that its socket holds written down.
    pub(crate) fn watch(&mut self) {
        self.peaks = Some(Peaks::default());
    }

    /// Gets its socket, at a shard of its host.
    pub(crate) fn begin(&mut self, now: Instant, shard: usize, socket: TcpSocketId) {
        self.shard = shard;
        self.socket = Some(socket);
        self.reads_at = match self.plan.reading {
            Reading::Eager => None,
            Reading::Slow { every, .. } => Some(now + every),
            Reading::Late { by } => Some(now + by),
        };
    }

    /// Whether it still has a socket and something to do.
    pub(crate) const fn is_running(&self) -> bool {
        self.socket.is_some() && self.outcome.is_none()
    }

    /// Whether the peer has reason to see a reset: this end left while there was more to come, or broke by itself.
    pub(crate) const fn has_left_rudely(&self) -> bool {
        match self.outcome {
            Some(Outcome::Closed { has_read_all }) => !has_read_all,
            Some(Outcome::Aborted | Outcome::Forgotten | Outcome::Abandoned) => true,
            // A reset answers something else: it excuses no other.
            Some(Outcome::Failed(error)) => !matches!(error, TcpError::ConnectionReset),
            Some(Outcome::Absent) | None => false,
        }
    }

    pub(crate) const fn view(&self) -> PeerView {
        PeerView { ended_at: self.ended_at, outgoing: self.plan.outgoing }
    }

    /// When after `now` it wants to run even if nothing happens.
    pub(crate) fn wakes_after(&self, now: Instant) -> Option<Instant> {
        self.reads_at.filter(|at| self.is_running() && *at > now)
    }

    /// Does what can be done now; whether that was something.
    pub(crate) fn run(
        &mut self,
        tcp: &mut TcpSockets<'_>,
        now: Instant,
        peer: PeerView,
        buffer: &mut [u8],
    ) -> Result<bool, Untruth> {
        let Some(socket) = self.socket.filter(|_| self.outcome.is_none()) else { return Ok(false) };
        match tcp.connected(socket) {
            Ok(true) => {}
            Ok(false) => return Ok(false),
            // What came before is read first.
            Err(error) => self.error = Some(error),
        }
        let before = (self.sent, self.received, self.ended_at, self.has_peer_ended);
        self.read(tcp, now, socket, peer, buffer)?;
        if self.outcome.is_none() && self.error.is_none() {
            self.write(tcp, now, socket)?;
        }
        if let (Some(peaks), Some(info)) = (&mut self.peaks, tcp.info(socket)) {
            let (_, scale) = info.window_scales;
            peaks.send_queue = peaks.send_queue.max(info.send_queue_len);
            peaks.receive_queue = peaks.receive_queue.max(info.receive_queue_len.saturating_sub(1 << scale));
        }
        if self.outcome.is_none() && self.error.is_none() {
            self.finish(tcp, now, socket, peer);
        }
        if self.outcome.is_none() && self.error.is_some() {
            // It may have broken at the last call: nothing has been read since.
            self.read(tcp, now, socket, peer, buffer)?;
        }
        if let Some(error) = self.error.filter(|_| self.outcome.is_none()) {
            tcp.close(now, socket);
            self.outcome = Some(Outcome::Failed(error));
        }
        self.over_at = self.outcome.map(|_| now);
        Ok(self.outcome.is_some() || before != (self.sent, self.received, self.ended_at, self.has_peer_ended))
    }

    /// What comes will look wrong.
    #[cfg(test)]
    pub(crate) const fn expect_another_stream(&mut self) {
        self.incoming = Stream::new(1_000_003);
    }

    /// Gives up on a peer that is gone.
    pub(crate) fn abandon(&mut self, tcp: &mut TcpSockets<'_>, now: Instant) {
        self.outcome = Some(match self.socket {
            Some(socket) => {
                tcp.abort(now, socket);
                Outcome::Abandoned
            }
            None => Outcome::Absent,
        });
    }

    /// Its host has lost its memory; an end that has not begun may still begin.
    pub(crate) const fn forget(&mut self) {
        if self.is_running() {
            self.outcome = Some(Outcome::Forgotten);
        }
    }

    fn read(
        &mut self,
        tcp: &mut TcpSockets<'_>,
        now: Instant,
        socket: TcpSocketId,
        peer: PeerView,
        buffer: &mut [u8],
    ) -> Result<(), Untruth> {
        let mut budget = self.read_budget(now);
        while !self.has_peer_ended && budget > 0 {
            let len = buffer.len().min(usize::try_from(budget).unwrap_or(usize::MAX));
            let target = buffer.get_mut(..len).unwrap_or_default();
            match tcp.recv(now, socket, target) {
                Ok(Recv::Data(count)) => {
                    let bytes = target.get(..count).ok_or(Untruth::WrongCount)?;
                    if let Some(at) = self.incoming.mismatch(self.received, bytes) {
                        return Err(Untruth::WrongByte { at });
                    }
                    self.received += count as u64;
                    budget -= count as u64;
                }
                Ok(Recv::EndOfStream) => {
                    if peer.ended_at != Some(self.received) {
                        return Err(Untruth::FalseEnd { at: self.received, peer_ended_at: peer.ended_at });
                    }
                    let urgent = tcp.info(socket).and_then(|info| info.urgent_remaining);
                    if let Some(len) = urgent {
                        return Err(Untruth::UrgentBeyondEnd { len });
                    }
                    self.has_peer_ended = true;
                    self.reads_at = None;
                }
                Ok(Recv::WouldBlock) => {
                    // The next byte wakes it.
                    self.reads_at = None;
                    return Ok(());
                }
                Err(RecvError::Failed(error)) => {
                    self.error = Some(error);
                    return Ok(());
                }
                Err(_) => return Err(Untruth::SocketGone),
            }
        }
        Ok(())
    }

    /// How many bytes may be read now.
    fn read_budget(&mut self, now: Instant) -> u64 {
        let wanted = self.plan.may_read().saturating_sub(self.received);
        if self.error.is_some() {
            // Nothing is left to be slow for.
            return wanted.max(1);
        }
        let is_due = self.reads_at.is_none_or(|at| at <= now);
        match self.plan.reading {
            Reading::Eager => wanted,
            Reading::Slow { .. } | Reading::Late { .. } if !is_due => 0,
            Reading::Slow { len, every } => {
                self.reads_at = Some(now + every);
                wanted.min(len as u64)
            }
            Reading::Late { .. } => {
                self.reads_at = None;
                wanted
            }
        }
    }

    fn write(&mut self, tcp: &mut TcpSockets<'_>, now: Instant, socket: TcpSocketId) -> Result<(), Untruth> {
        let allowed = self.plan.may_send(self.received);
        while self.ended_at.is_none() && self.sent < allowed {
            let len = usize::try_from(allowed - self.sent).unwrap_or(usize::MAX);
            let bytes = self.outgoing.at(self.sent, len.min(self.plan.write_len).min(MAX_RUN));
            let is_urgent = self.plan.is_urgent && (self.sent / self.plan.write_len.max(1) as u64) % 2 == 1;
            let taken =
                if is_urgent { tcp.send_urgent(now, socket, bytes) } else { tcp.send(now, socket, bytes) };
            match taken {
                Ok(count) if count > bytes.len() => return Err(Untruth::WrongCount),
                Ok(count) => {
                    self.sent += count as u64;
                    if count < bytes.len() {
                        return Ok(());
                    }
                }
                Err(SendError::Failed(error)) => {
                    self.error = Some(error);
                    return Ok(());
                }
                Err(SendError::Shutdown) => return Err(Untruth::FalseShutdown),
                Err(_) => return Err(Untruth::SocketGone),
            }
        }
        Ok(())
    }

    fn finish(&mut self, tcp: &mut TcpSockets<'_>, now: Instant, socket: TcpSocketId, peer: PeerView) {
        // Whose turn never comes, because the peer has ended, has no more to say.
        let has_sent_all = self.sent == self.plan.outgoing
            || self.has_peer_ended && self.sent >= self.plan.may_send(self.received);
        if has_sent_all && self.ended_at.is_none() {
            match self.plan.finish {
                Finish::InOrder => match tcp.shutdown_write(now, socket) {
                    Ok(()) => self.ended_at = Some(self.sent),
                    Err(_) => {
                        self.error = tcp.error(socket);
                        return;
                    }
                },
                Finish::CloseWhenSent | Finish::CloseAfter { .. } | Finish::AbortAfter { .. } => {}
            }
        }
        let is_over = match self.plan.finish {
            Finish::InOrder => self.ended_at.is_some() && self.has_peer_ended,
            Finish::CloseWhenSent => has_sent_all,
            Finish::CloseAfter { received } | Finish::AbortAfter { received } => {
                self.received >= received || self.has_peer_ended
            }
        };
        if !is_over {
            return;
        }
        if let Finish::AbortAfter { .. } = self.plan.finish {
            tcp.abort(now, socket);
            self.outcome = Some(Outcome::Aborted);
            return;
        }
        tcp.close(now, socket);
        self.ended_at = self.ended_at.or(Some(self.sent));
        self.outcome = Some(Outcome::Closed { has_read_all: self.received == peer.outgoing });
    }
}
