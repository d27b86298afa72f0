//! Packets of the internet layer that wait for the device.

use std::collections::VecDeque;

use netloom_base::DropReason;

use crate::packet::InternetOutput;

/// A queue, bounded in packets and bytes. When it is full the newest is refused.
#[derive(Debug)]
pub(crate) struct Outbox {
    packets: VecDeque<InternetOutput>,
    bytes: usize,
    max_packets: usize,
    max_bytes: usize,
}

impl Outbox {
    pub(crate) fn new(max_packets: usize, max_bytes: usize) -> Self {
        Self { packets: VecDeque::new(), bytes: 0, max_packets, max_bytes }
    }

    /// Whether that much more fits.
    pub(crate) fn has_room(&self, packet_count: usize, byte_count: usize) -> bool {
        self.packets.len().saturating_add(packet_count) <= self.max_packets
            && self.bytes.saturating_add(byte_count) <= self.max_bytes
    }

    pub(crate) fn push(&mut self, output: InternetOutput) -> Result<(), DropReason> {
        if !self.has_room(1, output.packet.len()) {
            return Err(DropReason::TransmitQueueFull);
        }
        self.bytes += output.packet.len();
        self.packets.push_back(output);
        Ok(())
    }

    pub(crate) fn pop(&mut self) -> Option<InternetOutput> {
        let output = self.packets.pop_front()?;
        self.bytes = self.bytes.saturating_sub(output.packet.len());
        Some(output)
    }
}
