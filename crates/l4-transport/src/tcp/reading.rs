//! How a user takes what was received (RFC 9293 3.9.1): as copies, or with the memory that it lies in.

use netloom_base::{Instant, OwnedBytes};

use super::connection::Connection;
use super::error::{NoSuchSocket, RecvError};
use super::id::{Recv, TcpSocketId};
use super::layer::Tcp;
use super::receiver::AckDue;
use super::state::State;

impl Tcp {
    /// Takes received bytes into `target`. Drain `poll_transmit` afterwards: the window may have opened.
    ///
    /// # Errors
    /// If the connection broke, once all that came before has been taken.
    pub fn recv(&mut self, now: Instant, id: TcpSocketId, target: &mut [u8]) -> Result<Recv, RecvError> {
        let mut place = target;
        self.recv_with(now, id, place.len(), |part| {
            if let Some((head, rest)) = std::mem::take(&mut place).split_at_mut_checked(part.len()) {
                head.copy_from_slice(part);
                place = rest;
            }
        })
    }

    /// Shows up to `most` received bytes to `take`, in order and in some pieces, and takes them: for whoever has a better place
    /// for them than a slice of bytes. Drain `poll_transmit` afterwards: the window may have opened.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn recv_with(
        &mut self,
        now: Instant,
        id: TcpSocketId,
        most: usize,
        mut take: impl FnMut(&[u8]),
    ) -> Result<Recv, RecvError> {
        let connection = self.held(id).ok_or(RecvError::NotFound)?;
        let count = most.min(connection.receiver.queue.len());
        if count == 0 {
            return connection.nothing_to_read(most);
        }
        self.with_connection(now, id.0, |connection, cx| {
            let (queue, mut left) = (&mut connection.receiver.queue, count);
            loop {
                let part = queue.first(left);
                if part.is_empty() {
                    break;
                }
                take(part);
                let len = part.len();
                queue.consume(len, cx.buffers);
                left -= len;
            }
            connection.receiver.on_read(now, count);
            connection.open_window();
        });
        Ok(Recv::Data(count))
    }

    /// Hands the first received bytes to `take` with the memory that they lie in: at most `most`, and as many as lie in one piece.
    /// Where that is filled to less than a quarter, or holds more than `most`, they are copied. Drain `poll_transmit` afterwards.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn recv_owned(
        &mut self,
        now: Instant,
        id: TcpSocketId,
        most: usize,
        take: impl FnOnce(OwnedBytes),
    ) -> Result<Recv, RecvError> {
        let connection = self.held(id).ok_or(RecvError::NotFound)?;
        if most == 0 || connection.receiver.queue.is_empty() {
            return connection.nothing_to_read(most);
        }
        let count = self.with_connection(now, id.0, |connection, cx| {
            let queue = &mut connection.receiver.queue;
            let taken = queue.take_first(most).unwrap_or_else(|| {
                let copy = OwnedBytes::from(queue.first(most).to_vec());
                queue.consume(copy.as_ref().len(), cx.buffers);
                copy
            });
            let count = taken.as_ref().len();
            connection.receiver.on_read(now, count);
            connection.open_window();
            take(taken);
            count
        });
        Ok(Recv::Data(count.unwrap_or_default()))
    }

    /// Takes back the memory of bytes that were [received with it](Self::recv_owned), to use it again.
    pub fn give_back(&mut self, memory: Vec<u8>) {
        self.buffers.put(memory.into_boxed_slice());
    }

    /// Copies received bytes into `target` and leaves them where they are.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn peek(&self, id: TcpSocketId, target: &mut [u8]) -> Result<Recv, RecvError> {
        let connection = self.held(id).ok_or(RecvError::NotFound)?;
        match connection.receiver.queue.peek(target) {
            0 => connection.nothing_to_read(target.len()),
            count => Ok(Recv::Data(count)),
        }
    }

    /// Says that no more will be read: what came is dropped, what comes is acknowledged and dropped, and
    /// [`recv`](Self::recv) reports the end of the stream. The peer does not notice.
    ///
    /// # Errors
    /// If the socket does not exist.
    pub fn shutdown_read(&mut self, now: Instant, id: TcpSocketId) -> Result<(), NoSuchSocket> {
        self.with_held(now, id, |connection, _| {
            connection.is_read_shut = true;
            connection.receiver.discard();
            connection.open_window();
        })
        .ok_or(NoSuchSocket)
    }
}

impl Connection {
    /// What a reader of at most `most` bytes is told when it gets none.
    fn nothing_to_read(&self, most: usize) -> Result<Recv, RecvError> {
        if most == 0 && !self.receiver.queue.is_empty() {
            return Ok(Recv::Data(0));
        }
        if self.is_read_shut || self.receiver.has_finished() {
            return Ok(Recv::EndOfStream);
        }
        match (self.error(), self.end_reason) {
            (Some(error), _) => Err(RecvError::Failed(error)),
            (None, Some(_)) => Ok(Recv::EndOfStream),
            (None, None) => Ok(Recv::WouldBlock),
        }
    }

    /// The reader has made room: the peer hears of it if it matters.
    fn open_window(&mut self) {
        if self.state.accepts_text()
            && self.state != State::SynReceived
            // An answer that is awaited tells of the window as well.
            && self.receiver.ack_due() != AckDue::WithAnswer
            && self.receiver.window_update_is_due()
        {
            self.receiver.owe_one_ack();
            self.membership.wants_output = true;
        }
    }
}
