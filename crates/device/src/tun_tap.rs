//! A TUN or TAP interface: one descriptor, or several, into the kernel's network stack.
//!
//! *Theory of operation.* [`TunTap::open`] creates the interface, or attaches to one that an administrator made
//! persistent for this user (`ip tuntap add`). An interface that it created lives as long as the descriptor: the
//! kernel removes it when the queue is dropped or the process ends, however it ends. (A child that is being forked just
//! then holds the descriptor too, until it execs.)
//!
//! A queue without offloads is opened through the tun-tap package; that sets neither `IFF_VNET_HDR` nor
//! `IFF_MULTI_QUEUE`, so the others ([`TunTap::open_queues`]) are opened by ioctls of our own. With offloads each
//! frame is read and written behind a virtio header, which becomes [`RxMeta`](netloom_base::RxMeta) and is made of
//! [`TxMeta`].
//!
//! *Limits.* One frame a system call: at most an MTU long without offloads, 64 KiB with them, which is ten to twenty
//! times as much a second. The kernel keeps 500 frames for the reader (`txqueuelen`) and drops what comes above that.
//!
//! *Not here.* Addresses, MTU, `txqueuelen` and raising the interface: rtnetlink, in the command.

use std::fs::{File, OpenOptions};
use std::io;
use std::num::NonZeroU16;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;

use netloom_base::{DeviceCaps, Medium, TxMeta};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::read;
use tun_tap::{Iface, Mode};

use crate::link_info::{self, LinkInfo};
use crate::queue::{check_meta, find_frame, queue_error, write_frame, write_parts};
use crate::vnet_hdr::{self, VNET_HDR_LEN};
use crate::{Offload, OpenError, Queue, RxFrame, check_name, sys};

/// The file behind every TUN and TAP.
const TUN_FILE: &str = "/dev/net/tun";

/// Which interface to open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TunTapConfig {
    /// [`Medium::Ethernet`] for a TAP, [`Medium::Ip`] for a TUN.
    pub kind: Medium,
    /// Its name, judged by [`check_name`]. What the kernel calls it is always exactly this.
    pub name: String,
    /// Largest IP packet in bytes. Whoever opens the interface gives it this MTU if it is [new](TunTap::created);
    /// one that was there keeps its own, and the [caps](Queue::caps) tell it.
    pub mtu: u16,
}

/// One queue of a TUN or TAP interface.
#[derive(Debug)]
pub struct TunTap {
    fd: OwnedFd,
    name: String,
    offload: Offload,
    caps: DeviceCaps,
    created: bool,
}

impl TunTap {
    /// Opens the interface in the calling thread's network namespace, with one queue and without offloads. It is not
    /// raised yet.
    ///
    /// Creating one needs `CAP_NET_ADMIN`. Attaching to one that is persistent and idle needs none, if it was made
    /// for this user.
    ///
    /// # Errors
    ///
    /// An [`OpenError`] that tells the usual mistakes apart. Nothing is left behind.
    pub fn open(config: &TunTapConfig) -> Result<Self, OpenError> {
        let before = look_before(config)?;
        Self::open_plain(config, before)
    }

    /// The same, with as much of `most` as the kernel knows: see [`offload`](Self::offload).
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open). A kernel without offloads is no error.
    pub fn open_offloading(config: &TunTapConfig, most: Offload) -> Result<Self, OpenError> {
        let before = look_before(config)?;
        let is_multi_queue = before.and_then(|link| link.tun).and_then(|tun| tun.multi_queue) == Some(true);
        if most == Offload::Plain {
            return Self::open_plain(config, before);
        }
        match Self::open_directly(config, before, most, is_multi_queue)? {
            Some(device) => Ok(device),
            None => Self::open_plain(config, before),
        }
    }

    /// Opens an interface with `count` queues, the first of which comes first. A flow's frames come to the queue that
    /// last sent some of it.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), and [`OpenError::SingleQueue`] for an interface that was made for one.
    pub fn open_queues(
        config: &TunTapConfig,
        most: Offload,
        count: NonZeroU16,
    ) -> Result<Vec<Self>, OpenError> {
        if count == NonZeroU16::MIN {
            return Ok(vec![Self::open_offloading(config, most)?]);
        }
        let before = look_before(config)?;
        let first = match Self::open_directly(config, before, most, true)? {
            Some(first) => first,
            None => Self::open_directly(config, before, Offload::Plain, true)?
                .ok_or_else(|| unsupported(&config.name))?,
        };
        let (offload, created) = (first.offload, first.created);
        let mut queues = vec![first];
        for _ in 1..count.get() {
            let next = Self::open_directly(config, link_of(&config.name)?, offload, true)?
                .ok_or_else(|| unsupported(&config.name))?;
            let caps = queues.first().map_or(next.caps, |first| first.caps);
            queues.push(Self { caps, created, ..next });
        }
        Ok(queues)
    }

    /// Opens the interface through tun-tap.
    fn open_plain(config: &TunTapConfig, before: Option<LinkInfo>) -> Result<Self, OpenError> {
        let mode = match config.kind {
            Medium::Ethernet => Mode::Tap,
            Medium::Ip => Mode::Tun,
        };
        let interface = Iface::without_packet_info(&config.name, mode)
            .map_err(|error| refusal(config, before, false, error))?;
        let fd = sys::into_owned_fd(interface);
        set_nonblocking(&fd).map_err(os_error("making a non-blocking queue of", &config.name))?;
        sys::clear_offload(fd.as_fd()).map_err(os_error("switching off the offloads of", &config.name))?;
        Self::opened(config, before, fd, Offload::Plain)
    }

    /// Opens the interface by ioctls of our own; `None` if the kernel does not know offloads and some are asked for.
    fn open_directly(
        config: &TunTapConfig,
        before: Option<LinkInfo>,
        most: Offload,
        is_multi_queue: bool,
    ) -> Result<Option<Self>, OpenError> {
        let name = &config.name;
        let fd = OwnedFd::from(open_tun_file()?);
        let known =
            sys::features(fd.as_fd()).map_err(os_error("asking the kernel about TUN and TAP for", name))?;
        if most > Offload::Plain && known & libc::IFF_VNET_HDR.unsigned_abs() == 0 {
            return Ok(None);
        }
        let kind = match config.kind {
            Medium::Ethernet => libc::IFF_TAP,
            Medium::Ip => libc::IFF_TUN,
        };
        let header = if most > Offload::Plain { libc::IFF_VNET_HDR } else { 0 };
        let queues = if is_multi_queue { libc::IFF_MULTI_QUEUE } else { 0 };
        let flags = libc::c_short::try_from(kind | libc::IFF_NO_PI | header | queues);
        let flags = flags.map_err(|_| unsupported(name))?;
        sys::set_interface(fd.as_fd(), name, flags)
            .map_err(|error| refusal(config, before, is_multi_queue, error))?;
        let Some(offload) = negotiate(fd.as_fd(), most, name)? else { return Ok(None) };
        Self::opened(config, before, fd, offload).map(Some)
    }

    /// What became of opening, for every way to open.
    fn opened(
        config: &TunTapConfig,
        before: Option<LinkInfo>,
        fd: OwnedFd,
        offload: Offload,
    ) -> Result<Self, OpenError> {
        let TunTapConfig { kind, name, mtu } = config;
        let after = link_of(name)?.ok_or_else(|| io::ErrorKind::NotConnected.into());
        let after = after.map_err(os_error("asking the kernel about", name))?;
        // A new interface is never persistent, and one that was there idle always is.
        let created = match after.tun.and_then(|tun| tun.persistent) {
            Some(is_persistent) => !is_persistent,
            None => before.is_none(),
        };
        let mtu = if created { *mtu } else { u16::try_from(after.mtu).unwrap_or(u16::MAX) };
        tracing::debug!(name, ?kind, mtu, created, %offload, "interface opened");
        Ok(Self { fd, name: name.clone(), offload, caps: offload.caps(*kind, mtu), created })
    }

    /// Whether opening created the interface, so that its kernel side is ours to set up and it goes with us; if not,
    /// it was an administrator's persistent one, which is left as it was set and stays.
    pub fn created(&self) -> bool {
        self.created
    }

    /// What the kernel and we leave to each other. It does not change while the queue lives.
    pub fn offload(&self) -> Offload {
        self.offload
    }
}

impl AsFd for TunTap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Queue for TunTap {
    fn caps(&self) -> DeviceCaps {
        self.caps
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn recv(&mut self, buffer: &mut [u8]) -> io::Result<RxFrame> {
        // One `read` of header and frame; a `readv` of parts costs 70 ns more.
        let len = read(&self.fd, buffer).map_err(queue_error)?;
        if len == buffer.len() {
            // The kernel cuts a long frame short without a word.
            return Err(io::ErrorKind::InvalidData.into());
        }
        find_frame(self.offload, buffer, len)
    }

    fn send(&mut self, meta: TxMeta, head: &[u8], payload: [&[u8]; 2]) -> io::Result<()> {
        check_meta(&self.caps, meta)?;
        if self.offload == Offload::Plain {
            return write_frame(&self.fd, head, payload);
        }
        let [first, second] = payload;
        let header = vnet_hdr::emit(meta, [head, first, second])?;
        write_parts(&self.fd, [&header[..], head, first, second])
    }
}

/// Agrees with the kernel on the header and on as much of `most` as it knows; `None` if that is nothing.
fn negotiate(queue: BorrowedFd<'_>, most: Offload, name: &str) -> Result<Option<Offload>, OpenError> {
    if most == Offload::Plain {
        sys::clear_offload(queue).map_err(os_error("switching off the offloads of", name))?;
        return Ok(Some(Offload::Plain));
    }
    let header_len = i32::try_from(VNET_HDR_LEN).unwrap_or_default();
    if let Err(error) = sys::set_header(queue, header_len) {
        tracing::debug!(name, %error, "no virtio header");
        return Ok(None);
    }
    Ok(most_that_is_taken(most, name, |features| sys::set_offload(queue, features)))
}

/// As much of `most` as `set` takes.
fn most_that_is_taken(
    most: Offload,
    name: &str,
    set: impl Fn(libc::c_int) -> io::Result<()>,
) -> Option<Offload> {
    most.downwards().find(|offload| {
        let features = i32::try_from(offload.features()).unwrap_or_default();
        set(features)
            .inspect_err(|error| tracing::debug!(name, %offload, %error, "the kernel does not offload this"))
            .is_ok()
    })
}

/// Checks the name, and that there is a file to open; says what the name stands for already.
fn look_before(config: &TunTapConfig) -> Result<Option<LinkInfo>, OpenError> {
    let TunTapConfig { kind: _, name, mtu: _ } = config;
    check_name(name).map_err(|reason| OpenError::BadName { name: name.clone(), reason })?;
    // tun-tap gives one error for opening the file and for the ioctl after it; what a try of the first step
    // passes, fails in the second.
    open_tun_file()?;
    let before = link_of(name)?;
    // Of one with several queues the kernel gives a second process some too, and the first's flows with them.
    let held = before.and_then(|link| link.tun).and_then(|tun| tun.held_queue_count);
    if held.is_some_and(|count| count > 0) {
        return Err(OpenError::Busy { name: name.clone() });
    }
    Ok(before)
}

fn link_of(name: &str) -> Result<Option<LinkInfo>, OpenError> {
    link_info::query(name).map_err(os_error("asking the kernel about", name))
}

/// A new descriptor that is no interface's queue yet: never blocking, closed on exec (as std opens all).
fn open_tun_file() -> Result<File, OpenError> {
    let opened = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(TUN_FILE);
    opened.map_err(|error| match error.raw_os_error() {
        Some(libc::ENOENT | libc::ENOTDIR) => OpenError::NoTunFile,
        Some(libc::ENODEV | libc::ENXIO) => OpenError::NoDriver,
        Some(libc::EACCES | libc::EPERM) => OpenError::FilePermission,
        Some(_) | None => OpenError::Os { doing: format!("opening {TUN_FILE}"), source: error },
    })
}

fn unsupported(name: &str) -> OpenError {
    os_error("opening several queues of", name)(io::ErrorKind::Unsupported.into())
}

/// What the kernel's refusal of `TUNSETIFF` means, given what the name stood for before.
fn refusal(
    config: &TunTapConfig,
    before: Option<LinkInfo>,
    asked_for_many: bool,
    source: io::Error,
) -> OpenError {
    let kind = config.kind;
    let name = config.name.clone();
    match (source.raw_os_error(), before) {
        (Some(libc::EPERM), None) => OpenError::NotPermitted { name, kind },
        (Some(libc::EPERM), Some(_)) => OpenError::NotOwner { name, kind },
        (Some(libc::EBUSY), _) => OpenError::Busy { name },
        (Some(libc::EINVAL), Some(LinkInfo { tun: None, .. })) => OpenError::NotTunTap { name },
        (Some(libc::EINVAL), Some(LinkInfo { tun: Some(tun), .. })) => match (tun.medium, tun.multi_queue) {
            (Some(found), _) if found != kind => OpenError::OtherKind { name, found },
            (Some(_), Some(true)) if !asked_for_many => OpenError::MultiQueue { name, kind },
            (Some(_), Some(false)) if asked_for_many => OpenError::SingleQueue { name, kind },
            (Some(_) | None, _) => OpenError::Os { doing: format!("attaching to {name}"), source },
        },
        (_, Some(_)) => OpenError::Os { doing: format!("attaching to {name}"), source },
        (_, None) => OpenError::Os { doing: format!("creating {name}"), source },
    }
}

fn os_error(doing: &'static str, name: &str) -> impl FnOnce(io::Error) -> OpenError {
    let doing = format!("{doing} {name}");
    move |source| OpenError::Os { doing, source }
}

fn set_nonblocking(fd: &OwnedFd) -> io::Result<()> {
    let flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?);
    fcntl(fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::UdpSocket;
    use std::process::Command;

    use nix::errno::Errno;
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use nix::sched::{CloneFlags, unshare};

    use super::*;
    use crate::RECEIVE_BUFFER_LEN;

    fn ip(words: &str) {
        assert!(Command::new("ip").args(words.split_whitespace()).status().unwrap().success(), "ip {words}");
    }

    fn open() -> TunTap {
        TunTap::open(&TunTapConfig { kind: Medium::Ip, name: "loom0".to_owned(), mtu: 1500 }).unwrap()
    }

    /// Whether the kernel hands out a datagram's checksum finished.
    fn is_checksum_finished(device: &mut TunTap) -> bool {
        let socket = UdpSocket::bind("10.9.0.1:4000").unwrap();
        socket.send_to(b"twelve bytes", "10.9.0.2:7").unwrap();
        let mut buffer = vec![0; RECEIVE_BUFFER_LEN];
        let packet = loop {
            match device.recv(&mut buffer) {
                Ok(received) => {
                    let packet = received.bytes_in(&buffer);
                    if packet.len() == 40 && packet[0] == 0x45 && packet[9] == 17 {
                        break packet;
                    }
                }
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                    let mut readable = [PollFd::new(device.as_fd(), PollFlags::POLLIN)];
                    assert_eq!(poll(&mut readable, PollTimeout::from(10_000_u16)), Ok(1), "nothing came");
                }
            }
        };
        // Addresses and UDP as 16-bit words, and the rest of the pseudo-header: protocol 17, length 20.
        let sum: u32 =
            packet[12..40].chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
        let sum = sum + 17 + 20;
        (sum & 0xffff) + (sum >> 16) == 0xffff
    }

    #[test]
    fn what_the_kernel_does_not_know_is_left_out_step_by_step() {
        // Kernels that know: all, no trains of datagrams (before 6.2), checksums only, nothing.
        for known in [Offload::Full, Offload::Tcp, Offload::Checksum, Offload::Plain] {
            let set = |features: libc::c_int| {
                let is_known = features.cast_unsigned() & !known.features() == 0 && known != Offload::Plain;
                if is_known { Ok(()) } else { Err(Errno::EINVAL.into()) }
            };
            for most in [Offload::Full, Offload::Checksum] {
                let expected = most.min(known);
                let taken = most_that_is_taken(most, "loom0", set);
                assert_eq!(taken, Some(expected).filter(|&it| it != Offload::Plain), "{most} of {known}");
            }
        }
        // And one without the header at all.
        let null = File::open("/dev/null").unwrap();
        assert_eq!(negotiate(null.as_fd(), Offload::Full, "loom0").unwrap(), None);
    }

    fn check_inherited_offload() {
        ip("tuntap add dev loom0 mode tun");
        ip("address add 10.9.0.1/24 dev loom0");
        ip("link set loom0 up");
        let mut before = open();
        assert!(is_checksum_finished(&mut before));
        sys::set_offload(before.as_fd(), libc::TUN_F_CSUM.try_into().unwrap()).unwrap();
        assert!(!is_checksum_finished(&mut before), "this is what an earlier holder may have asked for");
        drop(before);
        assert!(is_checksum_finished(&mut open()), "and what the next one must not inherit");
    }

    #[test]
    fn offloads_of_an_earlier_holder_are_switched_off() {
        // Not `eprintln!`, which the test runner captures.
        let skip =
            |why| writeln!(&mut io::stderr(), "SKIPPED: offloads of an earlier holder: {why}").unwrap();
        let thread = std::thread::spawn(move || match unshare(CloneFlags::CLONE_NEWNET) {
            Ok(()) if std::path::Path::new(TUN_FILE).exists() => check_inherited_offload(),
            Ok(()) => skip("there is no /dev/net/tun"),
            Err(Errno::EPERM) => skip("making a namespace needs root"),
            Err(error) => panic!("unshare: {error}"),
        });
        thread.join().unwrap();
    }
}
