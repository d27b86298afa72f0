//! One queue of a device: whole frames in, whole frames out, and a descriptor to wait for.

use std::io::{self, IoSlice};
use std::ops::Range;
use std::os::fd::AsFd;

use netloom_base::{DeviceCaps, GsoKind, RxMeta, TxChecksum, TxMeta};
use nix::errno::Errno;
use nix::sys::uio::writev;
use nix::unistd::write;

use crate::Offload;
use crate::vnet_hdr::{self, VNET_HDR_LEN};

/// A receive buffer of this many bytes holds every frame of every device, and is not filled by it: an IP packet of 65,535
/// bytes behind an Ethernet header with a VLAN tag (18) and a virtio header (10), rounded up.
pub const RECEIVE_BUFFER_LEN: usize = 65_600;

const _: () =
    assert!(RECEIVE_BUFFER_LEN > VNET_HDR_LEN + 18 + 65_535, "a full buffer shows that a frame was cut");

/// A frame that was received to a buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RxFrame {
    /// Where in the buffer it lies. Not always at the start: a TUN or TAP with offloads puts its virtio header of 10 bytes
    /// before each frame (VIRTIO 1.2, section 5.1.6), and one read takes both.
    pub range: Range<usize>,
    /// What the device knows of it.
    pub meta: RxMeta,
}

impl RxFrame {
    /// Its bytes in `buffer`, which is the one that it was received to.
    pub fn bytes_in<'a>(&self, buffer: &'a [u8]) -> &'a [u8] {
        buffer.get(self.range.clone()).unwrap_or_default()
    }
}

/// One queue of a device. It never blocks; wait for its descriptor ([`AsFd`]) to become readable or writable.
///
/// # Errors of `recv` and `send`
///
/// | kind | from | meaning | what to do |
/// |---|---|---|---|
/// | [`WouldBlock`](io::ErrorKind::WouldBlock) | both | nothing is there; there is no room and the frame was not taken | wait for the descriptor |
/// | [`InvalidData`](io::ErrorKind::InvalidData) | `recv` | a frame was longer than the buffer; it is gone | count it, receive on |
/// | [`OutOfMemory`](io::ErrorKind::OutOfMemory) | `send` | `ENOBUFS` or `ENOMEM`: the kernel had no memory and lost the frame; nothing will signal that it has some again | count it, send on |
/// | [`NetworkDown`](io::ErrorKind::NetworkDown) | `send` | the interface is not up; the frame is lost | count it, send on |
/// | [`InvalidInput`](io::ErrorKind::InvalidInput) | `send` | not a frame for this device: empty, too long, not what its medium begins with, or it needs an offload that the caps do not name | count it: a mistake of the sender |
/// | [`NotConnected`](io::ErrorKind::NotConnected) | both | the device is gone for good: its interface was deleted, or the other end was dropped | stop |
///
/// Any other kind is the kernel's own error, and as final.
///
/// # Why a descriptor
///
/// The driver waits with the runtime's poller for all devices of a shard at once, which takes a descriptor of each; a device
/// that is nothing but memory has none. It is carried by `netloom::Tunnel::pair`: one end is a queue already, at the other
/// tasks call `recv` and `send`, at the price of a copy through the kernel. Its page has a VPN for an example.
///
/// # A queue of one's own
///
/// ```
/// use std::io;
/// use std::os::fd::{AsFd, BorrowedFd};
///
/// use netloom_base::{DeviceCaps, Medium, TxMeta};
/// use netloom_device::{MemoryQueue, Queue, RECEIVE_BUFFER_LEN, RxFrame};
///
/// /// Loses every second frame that is sent.
/// struct Lossy<Q> {
///     inner: Q,
///     sent_count: u64,
/// }
///
/// impl<Q: AsFd> AsFd for Lossy<Q> {
///     fn as_fd(&self) -> BorrowedFd<'_> {
///         self.inner.as_fd()
///     }
/// }
///
/// impl<Q: Queue> Queue for Lossy<Q> {
///     fn caps(&self) -> DeviceCaps {
///         self.inner.caps()
///     }
///
///     fn name(&self) -> &str {
///         self.inner.name()
///     }
///
///     fn recv(&mut self, buffer: &mut [u8]) -> io::Result<RxFrame> {
///         self.inner.recv(buffer)
///     }
///
///     fn send(&mut self, meta: TxMeta, head: &[u8], payload: [&[u8]; 2]) -> io::Result<()> {
///         self.sent_count += 1;
///         if self.sent_count % 2 == 0 { Ok(()) } else { self.inner.send(meta, head, payload) }
///     }
///
///     fn flush(&mut self) -> io::Result<()> {
///         self.inner.flush()
///     }
/// }
///
/// # fn main() -> io::Result<()> {
/// let (ours, mut theirs) = MemoryQueue::pair(Medium::Ip, 1500)?;
/// let mut ours = Lossy { inner: ours, sent_count: 0 };
/// ours.send(TxMeta::default(), b"head", [b"one", b""])?;
/// ours.send(TxMeta::default(), b"head", [b"two", b""])?;
/// let mut buffer = vec![0; RECEIVE_BUFFER_LEN];
/// let received = theirs.recv(&mut buffer)?;
/// assert_eq!(received.bytes_in(&buffer), b"headone");
/// assert_eq!(theirs.recv(&mut buffer).unwrap_err().kind(), io::ErrorKind::WouldBlock);
/// # Ok(())
/// # }
/// ```
pub trait Queue: AsFd + Send {
    /// What the device can do. It does not change while the queue lives.
    fn caps(&self) -> DeviceCaps;

    /// The device's name, as a person knows it: `netloom0`. It stands in messages and captures.
    fn name(&self) -> &str {
        "device"
    }

    /// Receives one frame to `buffer`, and says where it lies there and what the device knows of it.
    ///
    /// A buffer of [`RECEIVE_BUFFER_LEN`] is never too short. Any other must be longer than the frame and what stands before
    /// it: one that is filled may hold a frame that was cut, and counts as too short where the device does not tell. A driver
    /// may take the [caps](Self::caps) at their word: where they name no segmentation, its buffers hold an IP packet of the MTU
    /// and 28 bytes before it, until a frame was longer.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) when no frame waits; the others in the [table](Queue).
    fn recv(&mut self, buffer: &mut [u8]) -> io::Result<RxFrame>;

    /// Sends one frame, whose bytes are `head` and then both parts of `payload`, any of which may be empty.
    ///
    /// The frame goes as a whole or not at all, and none but a short one is copied on our side of the kernel.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) when the frame was not taken and should be offered again once the
    /// descriptor is writable; the others in the [table](Queue).
    fn send(&mut self, meta: TxMeta, head: &[u8], payload: [&[u8]; 2]) -> io::Result<()>;

    /// Ends a batch: hands on what this queue may have held back. A driver calls it before it waits.
    ///
    /// Frames are never held back by a device; a wrapper may hold what it writes about them ([`Captured`]).
    ///
    /// [`Captured`]: crate::Captured
    ///
    /// # Errors
    ///
    /// What the writing gave. The queue goes on working.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<Q: Queue + ?Sized> Queue for Box<Q> {
    fn caps(&self) -> DeviceCaps {
        (**self).caps()
    }

    fn name(&self) -> &str {
        (**self).name()
    }

    fn recv(&mut self, buffer: &mut [u8]) -> io::Result<RxFrame> {
        (**self).recv(buffer)
    }

    fn send(&mut self, meta: TxMeta, head: &[u8], payload: [&[u8]; 2]) -> io::Result<()> {
        (**self).send(meta, head, payload)
    }

    fn flush(&mut self) -> io::Result<()> {
        (**self).flush()
    }
}

/// Finds the frame in the `len` bytes that came with it: it is all of them, or with offloads what follows the virtio header.
pub(crate) fn find_frame(offload: Offload, buffer: &[u8], len: usize) -> io::Result<RxFrame> {
    match offload {
        // Segments are cut and checksums are finished; nothing is known that is worth telling.
        Offload::Plain => Ok(RxFrame { range: 0..len, meta: RxMeta::default() }),
        Offload::Checksum | Offload::Tcp | Offload::Full => {
            let header =
                buffer.first_chunk().filter(|_| len >= VNET_HDR_LEN).ok_or(io::ErrorKind::InvalidData)?;
            Ok(RxFrame { range: VNET_HDR_LEN..len, meta: vnet_hdr::parse(*header)? })
        }
    }
}

/// Writes one frame to a descriptor that takes whole frames.
pub(crate) fn write_frame<F: AsFd>(fd: F, head: &[u8], payload: [&[u8]; 2]) -> io::Result<()> {
    let [first, second] = payload;
    if head.is_empty() && first.is_empty() && second.is_empty() {
        // The kernel would take it for no write at all, and be content.
        return Err(io::ErrorKind::InvalidInput.into());
    }
    write_parts(fd, [head, first, second])
}

/// A write of up to so many bytes is put together before: that costs less than the kernel's look at each part.
const GATHERED_LEN: usize = 256;

/// Writes the parts of a frame, the virtio header among them where there is one, by one system call.
pub(crate) fn write_parts<F: AsFd, const N: usize>(fd: F, parts: [&[u8]; N]) -> io::Result<()> {
    let mut gathered = [0; GATHERED_LEN];
    let mut place = &mut gathered[..];
    for part in parts {
        let Some((head, rest)) = std::mem::take(&mut place).split_at_mut_checked(part.len()) else {
            return writev(fd, &parts.map(IoSlice::new)).map(drop).map_err(queue_error);
        };
        head.copy_from_slice(part);
        place = rest;
    }
    let room = place.len();
    let frame = gathered.get(..GATHERED_LEN - room).unwrap_or(&gathered);
    write(fd, frame).map(drop).map_err(queue_error)
}

/// Refuses a frame that a device with these abilities cannot send.
pub(crate) fn check_meta(caps: &DeviceCaps, meta: TxMeta) -> io::Result<()> {
    let TxMeta { checksum, gso } = meta;
    let checksum_is_ours = match checksum {
        TxChecksum::Complete => true,
        TxChecksum::Partial { .. } => caps.transmit_checksum,
    };
    let segmentation_is_ours = match gso.map(|gso| gso.kind) {
        None => true,
        Some(GsoKind::Tcp4) => caps.tcp4_segmentation.is_some(),
        Some(GsoKind::Tcp6) => caps.tcp6_segmentation.is_some(),
        Some(GsoKind::Udp) => caps.udp_segmentation,
    };
    if checksum_is_ours && segmentation_is_ours { Ok(()) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

/// The kernel's error as the kind that [`Queue`] promises.
pub(crate) fn queue_error(errno: Errno) -> io::Error {
    const KINDS: [(Errno, io::ErrorKind); 9] = [
        (Errno::EAGAIN, io::ErrorKind::WouldBlock),
        (Errno::ENOBUFS, io::ErrorKind::OutOfMemory),
        (Errno::ENOMEM, io::ErrorKind::OutOfMemory),
        (Errno::EIO, io::ErrorKind::NetworkDown),
        (Errno::EINVAL, io::ErrorKind::InvalidInput),
        (Errno::EMSGSIZE, io::ErrorKind::InvalidInput),
        (Errno::EBADFD, io::ErrorKind::NotConnected),
        (Errno::EPIPE, io::ErrorKind::NotConnected),
        (Errno::ECONNRESET, io::ErrorKind::NotConnected),
    ];
    KINDS.iter().find(|&&(known, _)| known == errno).map_or_else(|| errno.into(), |&(_, kind)| kind.into())
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use netloom_base::{Gso, Medium};

    use super::*;
    use crate::Offload;

    #[test]
    fn a_device_takes_only_what_its_caps_name() {
        let gso = |kind| Some(Gso { kind, segment_size: NonZeroU16::MIN, ecn: false });
        let partial = TxChecksum::Partial { start: 34, offset: 16 };
        for (meta, least) in [
            (TxMeta::default(), Offload::Plain),
            (TxMeta { checksum: partial, gso: None }, Offload::Checksum),
            (TxMeta { checksum: partial, gso: gso(GsoKind::Tcp4) }, Offload::Tcp),
            (TxMeta { checksum: partial, gso: gso(GsoKind::Tcp6) }, Offload::Tcp),
            (TxMeta { checksum: partial, gso: gso(GsoKind::Udp) }, Offload::Full),
        ] {
            for offload in [Offload::Plain, Offload::Checksum, Offload::Tcp, Offload::Full] {
                let caps = offload.caps(Medium::Ethernet, 1500);
                assert_eq!(check_meta(&caps, meta).is_ok(), offload >= least, "{offload} {meta:?}");
            }
        }
    }

    #[test]
    fn an_error_without_a_promise_stays_the_kernels() {
        assert_eq!(queue_error(Errno::EFAULT).raw_os_error(), Some(Errno::EFAULT as i32));
        assert_eq!(queue_error(Errno::EAGAIN).kind(), io::ErrorKind::WouldBlock);
    }
}
