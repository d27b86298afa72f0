//! TUN/TAP devices and packet capture for netloom.
//!
//! *Theory of operation.* A [`Queue`] moves whole frames and what is known about them; the driver above owns it,
//! waits for its descriptor and feeds a stack. [`TunTap`] is a queue into the Linux kernel, [`MemoryQueue`] one
//! end of a cable inside the process, and [`Captured`] wraps any of them and writes what crosses it as pcapng.
//!
//! Frames may be handed over unfinished ([`Offload`]): [`RxMeta`](netloom_base::RxMeta) and
//! [`TxMeta`](netloom_base::TxMeta) say what is left to do, and only `vnet_hdr.rs` knows how the kernel says it.
//!
//! *Limits.* One system call a frame, frames up to [`RECEIVE_BUFFER_LEN`] bytes; nothing is queued here, what
//! waits is in the kernel's queue or in the stack's rings.
//!
//! *Not here.* Addresses, routes, the interface's MTU and raising it (rtnetlink, in the command); any protocol.
//!
//! **Architecture invariant:** all unsafe code of the project is in `sys.rs`.
#![deny(unsafe_code)]

mod captured;
mod link_info;
mod memory;
mod name;
mod offload;
mod open_error;
mod pcapng;
mod queue;
#[expect(unsafe_code, reason = "the one file that owns raw descriptors and makes ioctls of its own")]
mod sys;
mod tun_tap;
mod vnet_hdr;

pub use captured::{Captured, SharedCapture};
pub use memory::MemoryQueue;
pub use name::{NAME_MAX_LEN, NameError, check_name};
pub use offload::Offload;
pub use open_error::OpenError;
pub use pcapng::{CaptureInterface, CaptureWriter, CapturedFrame, Direction};
pub use queue::{Queue, RECEIVE_BUFFER_LEN, RxFrame};
pub use tun_tap::{TunTap, TunTapConfig};
