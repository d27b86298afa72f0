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
        let kind = error.kind();
        if kind == io::ErrorKind::WouldBlock {
            Self::Later
        } else if kind == io::ErrorKind::NotConnected {
            Self::Broken
        } else if kind == io::ErrorKind::OutOfMemory {
            Self::Lost(DropReason::DeviceNoMemory)
        } else if kind == io::ErrorKind::NetworkDown {
            Self::Lost(DropReason::DeviceDown)
        } else {
            Self::Lost(DropReason::DeviceRefused)
        }
    }
}
