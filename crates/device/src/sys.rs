//! The unsafe code of the project: a descriptor taken over from the tun-tap package, and one ioctl.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};

use tun_tap::Iface;

nix::ioctl_write_int_bad!(
    /// `TUNSETOFFLOAD`: which offloads the kernel may leave to the reader of the queue.
    tun_set_offload,
    libc::TUNSETOFFLOAD as libc::c_ulong
);

/// The interface's descriptor, closed when the result is dropped.
pub(crate) fn into_owned_fd(interface: Iface) -> OwnedFd {
    let fd = interface.into_raw_fd();
    // SAFETY: `into_raw_fd` consumed the interface and gave up its open descriptor, which nothing else owns now.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Tells the kernel that the reader of this queue wants whole, finished frames.
///
/// A persistent interface remembers what its last holder could take, and would go on handing out super-segments
/// and half-summed checksums to one that has no metadata to recognise them by.
pub(crate) fn clear_offload(queue: BorrowedFd<'_>) -> io::Result<()> {
    set_offload(queue, 0)
}

/// Which offloads (`TUN_F_*`) the reader of this queue can take.
pub(crate) fn set_offload(queue: BorrowedFd<'_>, features: libc::c_int) -> io::Result<()> {
    // SAFETY: the descriptor is open as long as it is borrowed, and this ioctl takes its argument by value: no
    // memory of ours is read or written.
    unsafe { tun_set_offload(queue.as_raw_fd(), features) }?;
    Ok(())
}
