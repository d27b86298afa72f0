//! Taking datagrams that have come, and the buffers that they lie in.

use super::error::UdpRecvError;
use super::id::UdpSocketId;
use super::layer::Udp;
use super::receive_queue::UdpReceived;
use crate::offer::{Loan, TakenText};

impl Udp {
    /// Takes the oldest datagram that has come. What does not fit `buffer` is lost.
    ///
    /// # Errors
    /// When none is there, or when an earlier datagram met an error.
    pub fn recv_from(&mut self, id: UdpSocketId, buffer: &mut [u8]) -> Result<UdpReceived, UdpRecvError> {
        self.recv_with(id, |about, data| {
            fill(buffer, data);
            about
        })
    }

    /// The same, but `read` is handed what is known of the datagram, and its data, where they lie.
    ///
    /// # Errors
    /// As [`recv_from`](Self::recv_from).
    pub fn recv_with<R>(
        &mut self,
        id: UdpSocketId,
        read: impl FnOnce(UdpReceived, &[u8]) -> R,
    ) -> Result<R, UdpRecvError> {
        let result = self.peek_with(id, read)?;
        if let Some(socket) = self.sockets.get_mut(id.0) {
            self.receive_bytes -= socket.received.pop(&mut self.buffers);
        }
        Ok(result)
    }

    /// The same, but the datagram stays. An error is told only once here too.
    ///
    /// # Errors
    /// As [`recv_from`](Self::recv_from).
    pub fn peek_with<R>(
        &mut self,
        id: UdpSocketId,
        read: impl FnOnce(UdpReceived, &[u8]) -> R,
    ) -> Result<R, UdpRecvError> {
        let socket = self.open_socket_mut(id).ok_or(UdpRecvError::NoSocket)?;
        if let Some(error) = socket.error.take() {
            return Err(UdpRecvError::Socket(error));
        }
        let (about, data) = socket.received.front().ok_or(UdpRecvError::WouldBlock)?;
        Ok(read(about, data))
    }

    /// Says whether a datagram may be taken out of the next packet without a copy, and the size of the buffer that the packet
    /// lies in. If it is, [`taken_text`](Self::taken_text) says so, and [`adopt`](Self::adopt) must follow before anything else.
    pub const fn offer_buffer(&mut self, size: Option<usize>) {
        self.offer.set(size);
    }

    /// Which data of the last packet was taken without a copy, if any was.
    pub fn taken_text(&mut self) -> Option<TakenText> {
        self.offer.result()
    }

    /// Hands in the buffer that the data lies in, from `offset` on.
    pub fn adopt(&mut self, text: TakenText, buffer: Box<[u8]>, offset: usize) {
        let Self { sockets, loans, buffers, .. } = self;
        let by = text.by;
        if let Some(socket) = sockets.get_mut(by)
            && let Some(at) = socket.received.fulfil(buffer, offset)
            && let Some(oldest) = loans.add(Loan { by, at })
            && let Some(socket) = sockets.get_mut(oldest.by)
        {
            socket.received.call_back(oldest.at, buffers);
        }
    }

    /// A buffer of `size` bytes that datagrams were read from, if one is free, whatever is in it.
    pub fn spare_buffer(&mut self, size: usize) -> Option<Box<[u8]>> {
        self.buffers.try_take(size)
    }
}

/// Copies as much of `data` as fits.
fn fill(buffer: &mut [u8], data: &[u8]) {
    let count = data.len().min(buffer.len());
    if let (Some(target), Some(data)) = (buffer.get_mut(..count), data.get(..count)) {
        target.copy_from_slice(data);
    }
}
