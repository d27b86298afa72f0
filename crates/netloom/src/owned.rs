//! Received bytes that are their reader's, in the memory that they were received into.
//!
//! *Theory of operation.* The stack keeps a few large buffers, and receives a super-segment into one of them. A reader that takes the
//! bytes takes the buffer with them, and drops it when and where it likes, without the shard's lock. So it comes back by a tray
//! beside the shard, which the shard empties before it receives again.
//!
//! *Limits.* A tray holds 16 buffers, about a megabyte; what finds no room is freed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use netloom_stack::{OwnedBytes, PIECE_LEN};

/// Buffers that a tray holds: what is in a processor's cache is worth keeping, more is not.
const TRAY_BUFFERS: usize = 16;

/// Where buffers wait for their shard.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tray(Arc<Place>);

#[derive(Debug, Default)]
struct Place {
    buffers: Mutex<Vec<Vec<u8>>>,
    /// Whether it is worth looking: mostly nobody takes buffers at all.
    holds_some: AtomicBool,
}

/// Bytes on loan.
struct Loan {
    /// There until it is dropped.
    bytes: Option<OwnedBytes>,
    tray: Tray,
}

impl Tray {
    /// The bytes, whose buffer comes back to this tray when the last of their users has dropped them.
    pub(crate) fn lend(&self, bytes: OwnedBytes) -> Bytes {
        Bytes::from_owner(Loan { bytes: Some(bytes), tray: self.clone() })
    }

    /// One that came back.
    pub(crate) fn take(&self) -> Option<Vec<u8>> {
        if self.0.holds_some.load(Ordering::Relaxed) { self.with_buffers(Vec::pop) } else { None }
    }

    fn put(&self, buffer: Vec<u8>) {
        self.with_buffers(|buffers| {
            if buffer.len() == PIECE_LEN && buffers.len() < TRAY_BUFFERS {
                buffers.push(buffer);
            }
        });
    }

    /// There is no state that a panic could have left half done.
    fn with_buffers<R>(&self, work: impl FnOnce(&mut Vec<Vec<u8>>) -> R) -> R {
        let mut buffers = self.0.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        let result = work(&mut buffers);
        self.0.holds_some.store(!buffers.is_empty(), Ordering::Relaxed);
        result
    }
}

impl AsRef<[u8]> for Loan {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_ref().map_or(&[], AsRef::as_ref)
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        if let Some(bytes) = self.bytes.take() {
            self.tray.put(bytes.into_memory());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_buffer_comes_back_with_the_last_of_its_bytes() {
        let tray = Tray::default();
        let bytes = tray.lend(OwnedBytes::from(vec![7; PIECE_LEN]));
        let (part, address) = (bytes.slice(100..200), bytes.as_ptr());
        drop(bytes);
        assert_eq!(tray.take(), None, "a part is still in use");
        assert_eq!(part, [7; 100][..]);
        drop(part);
        let back = tray.take().unwrap();
        assert_eq!(back.as_ptr(), address);
        drop(tray.lend(OwnedBytes::from(vec![7; 100])));
        assert_eq!(tray.take(), None, "small ones are the allocator's");
        let many: Vec<_> = (0..100).map(|_| tray.lend(OwnedBytes::from(vec![7; PIECE_LEN]))).collect();
        drop(many);
        assert_eq!(std::iter::from_fn(|| tray.take()).count(), TRAY_BUFFERS);
    }
}
