//! One queue of a device: whole frames in, whole frames out, and a descriptor to wait for.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::AsFd;

use netloom_base::{DeviceCaps, GsoKind, RxMeta, TxChecksum, TxMeta};
use nix::errno::Errno;
use nix::sys::uio::{readv, writev};
use nix::unistd::write;

use crate::vnet_hdr::{self, VNET_HDR_LEN};

/// A receive buffer of this many bytes holds every frame of every device: an IP packet of 65,535 bytes behind an
/// Ethernet header with a VLAN tag, rounded up.
pub const RECEIVE_BUFFER_LEN: usize = 65_600;

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
/// use netloom_base::{DeviceCaps, Medium, RxMeta, TxMeta};
/// use netloom_device::{MemoryQueue, Queue, RECEIVE_BUFFER_LEN};
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
///     fn recv(&mut self, buffer: &mut [u8]) -> io::Result<(usize, RxMeta)> {
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
/// let (len, _) = theirs.recv(&mut buffer)?;
/// assert_eq!(&buffer[..len], b"headone");
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

    /// Receives one frame to the start of `buffer`, and says how many bytes it has and what the device knows of it.
    ///
    /// A buffer of [`RECEIVE_BUFFER_LEN`] is never too short.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) when no frame waits; the others in the [table](Queue).
    fn recv(&mut self, buffer: &mut [u8]) -> io::Result<(usize, RxMeta)>;

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

    fn recv(&mut self, buffer: &mut [u8]) -> io::Result<(usize, RxMeta)> {
        (**self).recv(buffer)
    }

    fn send(&mut self, meta: TxMeta, head: &[u8], payload: [&[u8]; 2]) -> io::Result<()> {
        (**self).send(meta, head, payload)
    }

    fn flush(&mut self) -> io::Result<()> {
        (**self).flush()
    }
}

/// Reads one frame from a descriptor that gives whole frames and cuts a long one short without a word: a spare byte
/// behind the buffer shows that it did.
pub(crate) fn read_frame<F: AsFd>(fd: F, buffer: &mut [u8]) -> io::Result<usize> {
    let room = buffer.len();
    let mut spare = [0; 1];
    let len = readv(fd, &mut [IoSliceMut::new(buffer), IoSliceMut::new(&mut spare)]).map_err(queue_error)?;
    if len > room {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(len)
}

/// The same for a descriptor that puts a virtio header before each frame. Nothing at all is a frame of length 0.
pub(crate) fn read_described_frame<F: AsFd>(fd: F, buffer: &mut [u8]) -> io::Result<(usize, RxMeta)> {
    let room = buffer.len();
    let (mut header, mut spare) = ([0; VNET_HDR_LEN], [0; 1]);
    let mut parts = [IoSliceMut::new(&mut header), IoSliceMut::new(buffer), IoSliceMut::new(&mut spare)];
    match readv(fd, &mut parts).map_err(queue_error)? {
        0 => Ok((0, RxMeta::default())),
        len if (VNET_HDR_LEN..=VNET_HDR_LEN + room).contains(&len) => {
            Ok((len - VNET_HDR_LEN, vnet_hdr::parse(header)?))
        }
        _ => Err(io::ErrorKind::InvalidData.into()),
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
