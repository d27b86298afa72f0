//! The TAP as smoltcp's device: one buffer for what comes and one for what goes, none made anew.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use netloom_base::TxMeta;
use netloom_device::{Queue, RECEIVE_BUFFER_LEN, TunTap};
use smoltcp::phy::{self, DeviceCapabilities, Medium};
use smoltcp::time::Instant;

/// An Ethernet header, which smoltcp's MTU includes.
const HEADER_LEN: usize = 14;

/// A TAP without offloads.
pub(super) struct TapDevice {
    tap: TunTap,
    received: Vec<u8>,
    sent: Vec<u8>,
    failure: Option<io::ErrorKind>,
}

impl TapDevice {
    pub(super) fn new(tap: TunTap) -> Self {
        let buffer = || vec![0; RECEIVE_BUFFER_LEN];
        Self { tap, received: buffer(), sent: buffer(), failure: None }
    }

    /// Why the TAP can no longer be used.
    pub(super) fn failure(&self) -> Option<io::ErrorKind> {
        self.failure
    }
}

impl AsFd for TapDevice {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.tap.as_fd()
    }
}

impl phy::Device for TapDevice {
    type RxToken<'a> = Received<'a>;
    type TxToken<'a> = Sender<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Received<'_>, Sender<'_>)> {
        match self.tap.recv(&mut self.received) {
            Ok((len, _)) => {
                let frame = self.received.get(..len)?;
                Some((Received { frame }, Sender { tap: &mut self.tap, buffer: &mut self.sent }))
            }
            Err(error) => {
                if error.kind() == io::ErrorKind::NotConnected {
                    self.failure = Some(error.kind());
                }
                None
            }
        }
    }

    fn transmit(&mut self, _: Instant) -> Option<Sender<'_>> {
        Some(Sender { tap: &mut self.tap, buffer: &mut self.sent })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = usize::from(self.tap.caps().mtu) + HEADER_LEN;
        capabilities
    }
}

/// A frame that has come.
pub(super) struct Received<'a> {
    frame: &'a [u8],
}

impl phy::RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(self.frame)
    }
}

/// The chance to send one frame.
pub(super) struct Sender<'a> {
    tap: &'a mut TunTap,
    buffer: &'a mut Vec<u8>,
}

impl phy::TxToken for Sender<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, write: F) -> R {
        let Self { tap, buffer } = self;
        if buffer.len() < len {
            buffer.resize(len, 0);
        }
        let frame = buffer.get_mut(..len).unwrap_or_default();
        let result = write(frame);
        // A frame for which there is no room is lost, as with smoltcp's own devices.
        let _ = tap.send(TxMeta::default(), frame, [&[], &[]]);
        result
    }
}
