//! Packets that wait for one neighbour.

use std::collections::VecDeque;

use crate::value::QueuedPacket;

/// Memory that a waiting packet of `len` bytes takes.
pub(crate) const fn packet_cost(len: usize) -> usize {
    size_of::<QueuedPacket>() + len
}

/// A queue that knows how many bytes are in it. Nothing is allocated while it is empty.
#[derive(Debug, Default)]
pub(crate) struct PacketQueue {
    packets: VecDeque<QueuedPacket>,
    bytes_len: usize,
}

impl PacketQueue {
    pub(crate) fn len(&self) -> usize {
        self.packets.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    pub(crate) fn bytes_len(&self) -> usize {
        self.bytes_len
    }

    pub(crate) fn push(&mut self, packet: QueuedPacket) {
        self.bytes_len += packet.bytes.len();
        self.packets.push_back(packet);
    }

    /// Takes the oldest packet out, and the memory back with the last.
    pub(crate) fn pop(&mut self) -> Option<QueuedPacket> {
        let packet = self.packets.pop_front()?;
        self.bytes_len -= packet.bytes.len();
        if self.packets.is_empty() {
            self.packets = VecDeque::new();
        }
        Some(packet)
    }
}
