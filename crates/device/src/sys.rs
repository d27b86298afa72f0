//! The unsafe code of the project: a descriptor taken over from the tun-tap package, and the ioctls of TUN and TAP.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};

use tun_tap::Iface;

nix::ioctl_write_int_bad!(
    /// `TUNSETOFFLOAD`: which offloads the kernel may leave to the reader of the queue.
    tun_set_offload,
    libc::TUNSETOFFLOAD as libc::c_ulong
);
nix::ioctl_read_bad!(
    /// `TUNGETFEATURES`: which flags `TUNSETIFF` knows.
    tun_get_features,
    libc::TUNGETFEATURES as libc::c_ulong,
    libc::c_uint
);
nix::ioctl_write_ptr_bad!(
    /// `TUNSETIFF`: makes the descriptor a queue of an interface.
    tun_set_interface,
    libc::TUNSETIFF as libc::c_ulong,
    libc::ifreq
);
nix::ioctl_write_ptr_bad!(
    /// `TUNSETVNETHDRSZ`: bytes of the header before each frame.
    tun_set_header_len,
    libc::TUNSETVNETHDRSZ as libc::c_ulong,
    libc::c_int
);
nix::ioctl_write_ptr_bad!(
    /// `TUNSETVNETLE`: whether that header is little-endian.
    tun_set_little_endian,
    libc::TUNSETVNETLE as libc::c_ulong,
    libc::c_int
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

/// Which flags (`IFF_*`) [`set_interface`] may be given.
pub(crate) fn features(tun_file: BorrowedFd<'_>) -> io::Result<libc::c_uint> {
    let mut features: libc::c_uint = 0;
    // SAFETY: the descriptor is open as long as it is borrowed; the kernel writes one unsigned int, to a place of that
    // type that lives until the call returns.
    unsafe { tun_get_features(tun_file.as_raw_fd(), &raw mut features) }?;
    Ok(features)
}

/// Makes a descriptor of `/dev/net/tun` a queue of the interface of this name, which is created if there is none.
/// A name that does not fit with its closing zero is refused.
pub(crate) fn set_interface(tun_file: BorrowedFd<'_>, name: &str, flags: libc::c_short) -> io::Result<()> {
    let mut request = libc::ifreq {
        ifr_name: [0; libc::IFNAMSIZ],
        ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_flags: flags },
    };
    if name.len() >= request.ifr_name.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (place, byte) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *place = byte as libc::c_char;
    }
    // SAFETY: the descriptor is open as long as it is borrowed; the kernel reads, and writes back, one ifreq, and this
    // one is wholly ours until the call returns. Its name ends in a zero, and the union holds the flags that are read.
    unsafe { tun_set_interface(tun_file.as_raw_fd(), &raw mut request) }?;
    Ok(())
}

/// Sets the form of the header before each frame: its length in bytes, and little-endian fields.
///
/// A persistent interface remembers what its last holder set.
pub(crate) fn set_header(queue: BorrowedFd<'_>, len: libc::c_int) -> io::Result<()> {
    let is_little_endian: libc::c_int = 1;
    // SAFETY: the descriptor is open as long as it is borrowed; each ioctl reads one int that lives until it returns.
    unsafe {
        tun_set_header_len(queue.as_raw_fd(), &raw const len)?;
        tun_set_little_endian(queue.as_raw_fd(), &raw const is_little_endian)?;
    }
    Ok(())
}
