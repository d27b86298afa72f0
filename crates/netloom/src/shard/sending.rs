//! What a shard sends to its devices: one burst at a time, and nothing past a frame that its device does not take.

use std::io;

use netloom_stack::{Instant, InterfaceId, TxMeta};
use tracing::debug;

use super::Shard;
use crate::batch::Depth;
use crate::burst::{Burst, StalledFrame};
use crate::send_failure::SendFailure;

/// Batches that are read of a device that takes nothing any more: more frames than one holds.
const LAST_BATCHES: usize = 256;

impl Shard {
    /// Sends one burst.
    pub(super) fn transmit(&mut self, now: Instant) {
        self.has_more_to_send = false;
        self.hold.end();
        if self.ended.is_some() {
            return;
        }
        if let Some(StalledFrame { interface, meta, bytes }) = self.stalled.take()
            && !self.send(now, interface, meta, &bytes)
        {
            self.stall(now, StalledFrame { interface, meta, bytes });
            return;
        }
        let mut burst = Burst::default();
        while !burst.is_over() {
            if self.ended.is_some() {
                return;
            }
            let Some(transmit) = self.stack.poll_transmit(now, &mut self.head) else { return };
            burst.add(transmit.len());
            self.unseen.add(transmit.len());
            let Some(device) = self.devices.get_mut(transmit.interface.index()) else { continue };
            let Err(error) = device.send(transmit.meta, transmit.head, transmit.payload) else { continue };
            let (interface, meta, len) = (transmit.interface, transmit.meta, transmit.len());
            match SendFailure::of(&error) {
                SendFailure::Later => {
                    let bytes = transmit.to_vec();
                    self.stall(now, StalledFrame { interface, meta, bytes });
                    return;
                }
                SendFailure::Lost(reason) => self.stack.drop_packet(reason, interface, len),
                SendFailure::Broken => self.read_up(now, interface, &error),
            }
        }
        self.has_more_to_send = true;
    }

    /// Keeps a frame until its device takes it; nothing else is sent before.
    #[cold]
    fn stall(&mut self, now: Instant, frame: StalledFrame) {
        self.stalled = Some(frame);
        self.has_more_to_send = self.stack.note_stall(now);
    }

    /// Sends one frame; false if the device does not take it now.
    fn send(&mut self, now: Instant, interface: InterfaceId, meta: TxMeta, frame: &[u8]) -> bool {
        let Some(device) = self.devices.get_mut(interface.index()) else { return true };
        let Err(error) = device.send(meta, frame, [&[], &[]]) else { return true };
        match SendFailure::of(&error) {
            SendFailure::Later => return false,
            SendFailure::Lost(reason) => self.stack.drop_packet(reason, interface, frame.len()),
            SendFailure::Broken => self.read_up(now, interface, &error),
        }
        true
    }

    /// A device takes nothing any more, and all ends. What it had to say before comes first: that a peer has gone, too, mostly.
    #[cold]
    fn read_up(&mut self, now: Instant, interface: InterfaceId, error: &io::Error) {
        for _ in 0..LAST_BATCHES {
            let (_, found_end) = self.receive(now, interface, Depth::Full);
            if found_end {
                break;
            }
        }
        if self.ended.is_none() {
            self.device_failed(interface, error);
        }
    }

    /// Lets the devices finish what they put off during the batch.
    pub(super) fn flush(&mut self) {
        for device in &mut self.devices {
            if let Err(error) = device.flush() {
                debug!(device = device.name(), %error, "flush failed");
            }
        }
    }
}
