//! What the tests share: private namespaces, `ip`, waiting with a deadline, hand-made packets.

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use netloom_base::{Medium, RxMeta};
use netloom_device::{OpenError, Queue, RECEIVE_BUFFER_LEN, TunTap, TunTapConfig};
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use nix::unistd::{Gid, Uid, setgid, setgroups, setuid};

/// Set in a test that was started again as a process of its own.
const CHILD_VARIABLE: &str = "NETLOOM_DEVICE_TEST_CHILD";
/// No test waits longer than this for anything.
const PATIENCE: Duration = Duration::from_secs(10);
/// `nobody`: a user without any right.
pub(crate) const NOBODY: u32 = 65_534;

/// Says that a test did not run, past the test runner's capturing.
pub(crate) fn skip(why: &str) {
    let test = std::thread::current().name().unwrap_or("a device test").to_owned();
    tell(&format!("SKIPPED: {test}: {why}"));
}

/// Not `eprintln!`, which the test runner captures.
fn tell(line: &str) {
    let mut stderr = io::stderr();
    writeln!(stderr, "{line}").unwrap();
}

/// Runs `body` on a thread of its own in a network namespace of its own, or skips loudly.
pub(crate) fn in_private_netns(body: impl FnOnce() + Send) {
    in_private_namespaces(CloneFlags::CLONE_NEWNET, body);
}

/// The same with a mount namespace, so that `/dev/net` can be replaced.
pub(crate) fn in_private_netns_and_mounts(body: impl FnOnce() + Send) {
    in_private_namespaces(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS, || {
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        match mount::<str, str, str, str>(None, "/", None, private, None) {
            Ok(()) => body(),
            Err(error) => skip(&format!("mounts cannot be made private: {error}")),
        }
    });
}

fn in_private_namespaces(flags: CloneFlags, body: impl FnOnce() + Send) {
    let name = std::thread::current().name().unwrap_or("a device test").to_owned();
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name(name).spawn_scoped(scope, || {
            if !Path::new("/dev/net/tun").exists() {
                return skip("there is no /dev/net/tun");
            }
            match unshare(flags) {
                Ok(()) => body(),
                Err(Errno::EPERM) => skip("making a namespace needs root"),
                Err(error) => panic!("unshare: {error}"),
            }
        });
        if let Err(panic) = thread.unwrap().join() {
            std::panic::resume_unwind(panic);
        }
    });
}

/// Whether this is the process that [`run_as_child`] started.
pub(crate) fn is_child() -> bool {
    std::env::var_os(CHILD_VARIABLE).is_some()
}

/// The test of this full name, to be started again as a process of its own.
pub(crate) fn child_command(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env(CHILD_VARIABLE, "1");
    command
}

/// Runs the test of this full name as a process of its own, which may give up its rights.
pub(crate) fn run_as_child(test: &str) {
    let output = child_command(test).output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && stdout.contains("1 passed"), "child {test}:\n{stdout}{stderr}");
    for line in stderr.lines().filter(|line| line.starts_with("SKIPPED")) {
        tell(line);
    }
}

/// Puts an empty `/dev/net` over the real one, for this thread only.
pub(crate) fn hide_dev_net() {
    mount::<str, str, str, str>(None, "/dev/net", Some("tmpfs"), MsFlags::empty(), None).unwrap();
}

/// Puts a `/dev/net/tun` with this mode over the real one, for this thread only.
pub(crate) fn replace_dev_net_tun(mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    hide_dev_net();
    mknod("/dev/net/tun", SFlag::S_IFCHR, Mode::empty(), makedev(10, 200)).unwrap();
    std::fs::set_permissions("/dev/net/tun", std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Becomes `nobody`, for good and in all threads.
pub(crate) fn become_nobody() {
    setgroups(&[]).unwrap();
    setgid(Gid::from_raw(NOBODY)).unwrap();
    setuid(Uid::from_raw(NOBODY)).unwrap();
}

/// Runs `ip` with these words in this thread's network namespace.
pub(crate) fn ip(words: &str) {
    let output = Command::new("ip").args(words.split_whitespace()).output().unwrap();
    assert!(output.status.success(), "ip {words}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Whether this thread's network namespace has such an interface.
pub(crate) fn link_exists(name: &str) -> bool {
    rx_packets(name).is_some()
}

/// How many packets the kernel has received from an interface.
pub(crate) fn rx_packets(name: &str) -> Option<u64> {
    let table = std::fs::read_to_string("/proc/thread-self/net/dev").unwrap();
    let row = table.lines().find_map(|line| line.trim_start().strip_prefix(name)?.strip_prefix(':'))?;
    Some(row.split_whitespace().nth(1).unwrap().parse().unwrap())
}

/// Opens an interface with an MTU of 1500.
pub(crate) fn open(kind: Medium, name: &str) -> Result<TunTap, OpenError> {
    TunTap::open(&TunTapConfig { kind, name: name.to_owned(), mtu: 1500 })
}

/// Opens an interface and [raises](raise) it.
pub(crate) fn open_raised(kind: Medium, name: &str) -> TunTap {
    let device = open(kind, name).unwrap();
    raise(name);
    device
}

/// Gives the kernel's end of an interface `10.9.0.1/24` and raises it.
pub(crate) fn raise(name: &str) {
    ip(&format!("address add 10.9.0.1/24 dev {name}"));
    ip(&format!("link set {name} up"));
}

/// Waits until a descriptor can be read.
pub(crate) fn wait_readable(fd: &impl AsFd, deadline: Instant) {
    let rest = deadline.saturating_duration_since(Instant::now());
    let timeout = PollTimeout::try_from(rest).unwrap();
    let ready_count = poll(&mut [PollFd::new(fd.as_fd(), PollFlags::POLLIN)], timeout).unwrap();
    assert!(ready_count > 0, "nothing came in time");
}

/// Receives until a frame is `wanted`; the kernel sends others of its own accord.
pub(crate) fn receive_until(queue: &mut impl Queue, wanted: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let deadline = Instant::now() + PATIENCE;
    let mut buffer = vec![0; RECEIVE_BUFFER_LEN];
    loop {
        match queue.recv(&mut buffer) {
            Ok(received) => {
                assert_eq!(received.meta, RxMeta::default());
                let frame = received.bytes_in(&buffer);
                if wanted(frame) {
                    return frame.to_vec();
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait_readable(queue, deadline),
            Err(error) => panic!("recv: {error}"),
        }
    }
}

/// A socket of the kernel's in this thread's network namespace, which gives up in the end.
pub(crate) fn kernel_socket(address: &str) -> UdpSocket {
    let socket = UdpSocket::bind(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// The Internet checksum (RFC 1071) of these bytes.
pub(crate) fn internet_checksum(bytes: &[u8]) -> u16 {
    let sum: u32 = bytes
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)])))
        .sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !u16::try_from((folded & 0xffff) + (folded >> 16)).unwrap()
}

/// The bytes over which a UDP checksum in this IPv4 packet is made; their own checksum is 0 if it is right.
pub(crate) fn udp_checksummed(packet: &[u8]) -> Vec<u8> {
    let udp = &packet[20..];
    let mut bytes = packet[12..20].to_vec();
    bytes.extend([0, 17]);
    bytes.extend(u16::try_from(udp.len()).unwrap().to_be_bytes());
    bytes.extend(udp);
    bytes
}

/// IPv4 and UDP headers of a datagram that carries `payload`, without UDP checksum.
pub(crate) fn udp_headers(from: SocketAddrV4, to: SocketAddrV4, payload_len: usize) -> Vec<u8> {
    let udp_len = u16::try_from(8 + payload_len).unwrap();
    let mut packet = vec![0x45, 0];
    packet.extend((20 + udp_len).to_be_bytes());
    packet.extend([0, 0, 0, 0, 64, 17, 0, 0]);
    packet.extend(from.ip().octets());
    packet.extend(to.ip().octets());
    let checksum = internet_checksum(&packet);
    packet[10..12].copy_from_slice(&checksum.to_be_bytes());
    packet.extend(from.port().to_be_bytes());
    packet.extend(to.port().to_be_bytes());
    packet.extend(udp_len.to_be_bytes());
    packet.extend([0, 0]);
    packet
}

/// An Ethernet broadcast that carries an ARP request for `target`.
pub(crate) fn arp_request(target: Ipv4Addr) -> Vec<u8> {
    const OURS: [u8; 6] = [0x02, 0, 0, 0, 0, 1];
    let mut frame = vec![0xff; 6];
    frame.extend(OURS);
    frame.extend([0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1]);
    frame.extend(OURS);
    frame.extend([10, 9, 0, 2, 0, 0, 0, 0, 0, 0]);
    frame.extend(target.octets());
    frame
}

/// Whether an Ethernet frame is an ARP packet with this operation.
pub(crate) fn is_arp(frame: &[u8], operation: u8) -> bool {
    frame.len() >= 42 && frame[12..14] == [0x08, 0x06] && frame[20..22] == [0, operation]
}
