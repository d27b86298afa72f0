//! What a device's error means for the frame that it was given.

use std::io;

use netloom_stack::DropReason;

/// What becomes of the frame, and of the device.
pub(crate) enum SendFailure {
    /// Try again when it is writable.
    Later,
    /// The frame is gone, as on any link.
    Lost(DropReason),
    /// The device is gone.
    Broken,
}

impl SendFailure {
    /// What `error`, which sending gave, means.
    pub(crate) fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::WouldBlock => Self::Later,
            io::ErrorKind::NotConnected => Self::Broken,
            io::ErrorKind::OutOfMemory => Self::Lost(DropReason::DeviceNoMemory),
            io::ErrorKind::NetworkDown => Self::Lost(DropReason::DeviceDown),
            _ => Self::Lost(DropReason::DeviceRefused),
        }
    }
}
