//! A TUN or TAP interface opened through the tun-tap package: plain frames, one queue, no offloads.
//!
//! *Theory of operation.* [`TunTap::open`] creates the interface, or attaches to one that an administrator made
//! persistent for this user (`ip tuntap add`). An interface that it created lives as long as the descriptor: the
//! kernel removes it when the queue is dropped or the process ends, however it ends. (A child that is being forked just
//! then holds the descriptor too, until it execs.)
//!
//! *Limits.* One frame a system call, each at most an MTU long: about a tenth of what super-segments reach. The
//! kernel keeps 500 frames for the reader (`txqueuelen`) and drops what comes above that.
//!
//! *Not here.* Addresses, MTU, `txqueuelen` and raising the interface: rtnetlink, in `netloom`.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use netloom_base::{DeviceCaps, Medium, RxMeta, TxMeta};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use tun_tap::{Iface, Mode};

use crate::link_info::{self, LinkInfo};
use crate::queue::{check_plain, read_frame, write_frame};
use crate::{OpenError, Queue, check_name, sys};

/// The file behind every TUN and TAP, which the tun-tap package opens.
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

/// The queue of a TUN or TAP interface without offloads.
#[derive(Debug)]
pub struct TunTap {
    fd: OwnedFd,
    name: String,
    caps: DeviceCaps,
    created: bool,
}

impl TunTap {
    /// Opens the interface in the calling thread's network namespace. It is not raised yet.
    ///
    /// Creating one needs `CAP_NET_ADMIN`. Attaching to one that is persistent and idle needs none, if it was made
    /// for this user.
    ///
    /// # Errors
    ///
    /// An [`OpenError`] that tells the usual mistakes apart. Nothing is left behind.
    pub fn open(config: &TunTapConfig) -> Result<Self, OpenError> {
        let TunTapConfig { kind, name, mtu } = config;
        check_name(name).map_err(|reason| OpenError::BadName { name: name.clone(), reason })?;
        // tun-tap gives one error for opening the file and for the ioctl after it; what a try of the first step
        // passes, fails in the second.
        probe_tun_file()?;
        let before = link_info::query(name).map_err(os_error("asking the kernel about", name))?;
        let mode = match kind {
            Medium::Ethernet => Mode::Tap,
            Medium::Ip => Mode::Tun,
        };
        let interface =
            Iface::without_packet_info(name, mode).map_err(|error| refusal(config, before, error))?;
        let name = interface.name().to_owned();
        let fd = sys::into_owned_fd(interface);
        set_nonblocking(&fd).map_err(os_error("making a non-blocking queue of", &name))?;
        sys::clear_offload(fd.as_fd()).map_err(os_error("switching off the offloads of", &name))?;
        let after = link_info::query(&name)
            .and_then(|link| link.ok_or_else(|| io::ErrorKind::NotConnected.into()))
            .map_err(os_error("asking the kernel about", &name))?;
        // A new interface is never persistent, and one that was there idle always is.
        let created = match after.tun.and_then(|tun| tun.persistent) {
            Some(is_persistent) => !is_persistent,
            None => before.is_none(),
        };
        let mtu = if created { *mtu } else { u16::try_from(after.mtu).unwrap_or(u16::MAX) };
        tracing::debug!(name, ?kind, mtu, created, "interface opened");
        Ok(Self { fd, name, caps: DeviceCaps::plain(*kind, mtu), created })
    }

    /// Whether opening created the interface, so that its kernel side is ours to set up and it goes with us; if not,
    /// it was an administrator's persistent one, which is left as it was set and stays.
    pub fn created(&self) -> bool {
        self.created
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

    fn recv(&mut self, buffer: &mut [u8]) -> io::Result<(usize, RxMeta)> {
        // The kernel has cut the segments and finished the checksums; it knows nothing worth telling.
        read_frame(&self.fd, buffer).map(|len| (len, RxMeta::default()))
    }

    fn send(&mut self, meta: TxMeta, head: &[u8], payload: [&[u8]; 2]) -> io::Result<()> {
        check_plain(meta)?;
        write_frame(&self.fd, head, payload)
    }
}

fn probe_tun_file() -> Result<(), OpenError> {
    let Err(error) = OpenOptions::new().read(true).write(true).open(TUN_FILE) else { return Ok(()) };
    Err(match error.raw_os_error() {
        Some(libc::ENOENT | libc::ENOTDIR) => OpenError::NoTunFile,
        Some(libc::ENODEV | libc::ENXIO) => OpenError::NoDriver,
        Some(libc::EACCES | libc::EPERM) => OpenError::FilePermission,
        Some(_) | None => OpenError::Os { doing: format!("opening {TUN_FILE}"), source: error },
    })
}

/// What the kernel's refusal of `TUNSETIFF` means, given what the name stood for before.
fn refusal(config: &TunTapConfig, before: Option<LinkInfo>, source: io::Error) -> OpenError {
    let kind = config.kind;
    let name = config.name.clone();
    match (source.raw_os_error(), before) {
        (Some(libc::EPERM), None) => OpenError::NotPermitted { name, kind },
        (Some(libc::EPERM), Some(_)) => OpenError::NotOwner { name, kind },
        (Some(libc::EBUSY), _) => OpenError::Busy { name },
        (Some(libc::EINVAL), Some(LinkInfo { tun: None, .. })) => OpenError::NotTunTap { name },
        (Some(libc::EINVAL), Some(LinkInfo { tun: Some(tun), .. })) => match tun.medium {
            Some(found) if found != kind => OpenError::OtherKind { name, found },
            Some(_) if tun.multi_queue == Some(true) => OpenError::MultiQueue { name, kind },
            Some(_) | None => OpenError::Os { doing: format!("attaching to {name}"), source },
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
        let mut packet = vec![0; RECEIVE_BUFFER_LEN];
        loop {
            match device.recv(&mut packet) {
                Ok((40, _)) if packet[0] == 0x45 && packet[9] == 17 => break,
                Ok(_) => {}
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                    let mut readable = [PollFd::new(device.as_fd(), PollFlags::POLLIN)];
                    assert_eq!(poll(&mut readable, PollTimeout::from(10_000_u16)), Ok(1), "nothing came");
                }
            }
        }
        // Addresses and UDP as 16-bit words, and the rest of the pseudo-header: protocol 17, length 20.
        let sum: u32 =
            packet[12..40].chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
        let sum = sum + 17 + 20;
        (sum & 0xffff) + (sum >> 16) == 0xffff
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
