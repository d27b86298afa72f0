//! TUN and TAP: how they open and vanish, what crosses them, and every refusal.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsFd as _;
use std::process::Stdio;

use netloom_base::{DeviceCaps, Medium, TxChecksum, TxMeta};
use netloom_device::{Offload, OpenError, Queue, RECEIVE_BUFFER_LEN, TunTap, TunTapConfig};
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};

use crate::support::{
    NOBODY, arp_request, become_nobody, child_command, hide_dev_net, in_private_netns,
    in_private_netns_and_mounts, internet_checksum, ip, is_arp, is_child, kernel_socket, link_exists, open,
    open_raised, raise, receive_until, replace_dev_net_tun, run_as_child, rx_packets, udp_checksummed,
    udp_headers,
};

const MEDIA: [Medium; 2] = [Medium::Ethernet, Medium::Ip];
const KERNEL: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);

#[test]
fn an_interface_is_created_and_vanishes_on_drop() {
    // In a process of its own: what another test forks holds all descriptors until it execs.
    if !is_child() {
        return run_as_child("tun_tap::an_interface_is_created_and_vanishes_on_drop");
    }
    in_private_netns(|| {
        for kind in MEDIA {
            let device = TunTap::open(&TunTapConfig { kind, name: "loom0".to_owned(), mtu: 9000 }).unwrap();
            assert!(device.created());
            assert!(link_exists("loom0"));
            assert_eq!(device.name(), "loom0");
            assert_eq!(device.caps(), DeviceCaps::plain(kind, 9000));
            drop(device);
            assert!(!link_exists("loom0"));
        }
    });
}

#[test]
fn the_descriptor_never_blocks_and_is_closed_on_exec() {
    in_private_netns(|| {
        let mut device = open(Medium::Ethernet, "loom0").unwrap();
        let status = OFlag::from_bits_retain(fcntl(device.as_fd(), FcntlArg::F_GETFL).unwrap());
        assert!(status.contains(OFlag::O_NONBLOCK));
        let flags = FdFlag::from_bits_retain(fcntl(device.as_fd(), FcntlArg::F_GETFD).unwrap());
        assert!(flags.contains(FdFlag::FD_CLOEXEC));
        let nothing = device.recv(&mut [0; 64]).unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
    });
}

#[test]
fn an_interface_vanishes_when_its_process_is_killed() {
    const NAME: &str = "tun_tap::an_interface_vanishes_when_its_process_is_killed";
    if is_child() {
        // Already in the parent's private namespace.
        let _device = open(Medium::Ethernet, "loom0").unwrap();
        writeln!(io::stdout(), "device is open").unwrap();
        io::stdin().read_to_end(&mut Vec::new()).unwrap();
        return;
    }
    in_private_netns(|| {
        let mut child = child_command(NAME).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains("device is open")));
        assert!(link_exists("loom0"));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!link_exists("loom0"));
    });
}

#[test]
fn frames_of_the_kernel_are_received_from_a_tap() {
    in_private_netns(|| {
        let mut device = open_raised(Medium::Ethernet, "loom0");
        kernel_socket("10.9.0.1:0").send_to(b"hello", "10.9.0.2:7").unwrap();
        let request = receive_until(&mut device, |frame| is_arp(frame, 1));
        assert_eq!(request[..6], [0xff; 6]);
        assert_eq!(request[38..42], [10, 9, 0, 2]);
    });
}

#[test]
fn frames_to_a_tap_reach_the_kernel() {
    in_private_netns(|| {
        let mut device = open_raised(Medium::Ethernet, "loom0");
        let before = rx_packets("loom0").unwrap();
        let request = arp_request(KERNEL);
        device.send(TxMeta::default(), &request[..14], [&request[14..20], &request[20..]]).unwrap();
        assert_eq!(rx_packets("loom0").unwrap(), before + 1);
        let reply = receive_until(&mut device, |frame| is_arp(frame, 2));
        assert_eq!(reply[..6], request[6..12]);
        assert_eq!(reply[28..32], KERNEL.octets());
    });
}

#[test]
fn packets_cross_a_tun_in_both_directions() {
    in_private_netns(|| {
        let mut device = open_raised(Medium::Ip, "loom0");
        let socket = kernel_socket("10.9.0.1:0");
        let SocketAddr::V4(local) = socket.local_addr().unwrap() else { panic!("not IPv4") };

        socket.send_to(b"to the stack", "10.9.0.2:7").unwrap();
        let packet = receive_until(&mut device, |packet| packet[0] >> 4 == 4 && packet[9] == 17);
        assert_eq!(packet[28..], *b"to the stack");
        assert_eq!(internet_checksum(&udp_checksummed(&packet)), 0, "the kernel finishes its checksums");

        let before = rx_packets("loom0").unwrap();
        let head = udp_headers("10.9.0.2:7".parse().unwrap(), local, 13);
        device.send(TxMeta::default(), &head, [b"to the ", b"kernel"]).unwrap();
        assert_eq!(rx_packets("loom0").unwrap(), before + 1);
        let mut buffer = [0; 64];
        let (len, from) = socket.recv_from(&mut buffer).unwrap();
        assert_eq!((&buffer[..len], from), (&b"to the kernel"[..], "10.9.0.2:7".parse().unwrap()));
    });
}

#[test]
fn a_frame_longer_than_the_buffer_is_told_and_gone() {
    in_private_netns(|| {
        for (offload, header_len) in [(Offload::Plain, 0), (Offload::Full, 10)] {
            let config = TunTapConfig { kind: Medium::Ip, name: "loom0".to_owned(), mtu: 1500 };
            let mut device = TunTap::open_offloading(&config, offload).unwrap();
            raise("loom0");
            let socket = kernel_socket("10.9.0.1:0");
            // Two bytes too long, one, and then one that leaves the buffer's last byte free; the kernel's own packets are longer
            // than the three.
            for len in [4, 3, 2] {
                socket.send_to(&vec![0; len], "10.9.0.2:7").unwrap();
            }
            let mut buffer = vec![0; header_len + 31];
            let mut long_count = 0;
            let received = loop {
                match device.recv(&mut buffer) {
                    Ok(received) => break received,
                    Err(error) => assert_eq!(error.kind(), io::ErrorKind::InvalidData),
                }
                long_count += 1;
            };
            assert_eq!(received.range, header_len..header_len + 30);
            assert_eq!(received.bytes_in(&buffer)[9], 17, "UDP");
            assert!(long_count >= 2, "{offload}");
        }
    });
}

#[test]
fn what_cannot_be_sent_is_refused_by_kind() {
    in_private_netns(|| {
        let mut tap = open(Medium::Ethernet, "tap0").unwrap();
        let frame = arp_request(KERNEL);
        let plain = TxMeta::default();
        let partial = TxMeta { checksum: TxChecksum::Partial { start: 34, offset: 6 }, gso: None };
        let down = tap.send(plain, &frame, [b"", b""]).unwrap_err();
        assert_eq!(down.kind(), io::ErrorKind::NetworkDown);

        ip("link set tap0 up");
        let mut tun = open_raised(Medium::Ip, "tun0");
        let refuse = |device: &mut TunTap, meta: TxMeta, head: &[u8]| {
            let before = rx_packets(device.name());
            let error = device.send(meta, head, [b"", b""]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{head:?}");
            assert_eq!(rx_packets(device.name()), before);
        };
        refuse(&mut tap, plain, b"");
        refuse(&mut tap, plain, &frame[..13]);
        refuse(&mut tap, partial, &frame);
        refuse(&mut tun, plain, b"");
        refuse(&mut tun, plain, &[0x55; 40]);
    });
}

#[test]
fn a_deleted_interface_is_told() {
    in_private_netns(|| {
        for kind in MEDIA {
            let mut device = open_raised(kind, "loom0");
            ip("link delete loom0");
            let read = device.recv(&mut [0; RECEIVE_BUFFER_LEN]).unwrap_err();
            assert_eq!(read.kind(), io::ErrorKind::NotConnected);
            let written = device.send(TxMeta::default(), &[0x45; 64], [b"", b""]).unwrap_err();
            assert_eq!(written.kind(), io::ErrorKind::NotConnected);
        }
    });
}

#[test]
fn a_persistent_interface_is_attached_to_and_left_as_it_was() {
    // In a process of its own: what another test forks holds all descriptors until it execs.
    if !is_child() {
        return run_as_child("tun_tap::a_persistent_interface_is_attached_to_and_left_as_it_was");
    }
    in_private_netns(|| {
        for (kind, mode) in [(Medium::Ethernet, "tap"), (Medium::Ip, "tun")] {
            ip(&format!("tuntap add dev loom0 mode {mode}"));
            ip("link set loom0 mtu 1400");
            for _ in 0..2 {
                let device = open(kind, "loom0").unwrap();
                assert!(!device.created());
                assert_eq!(device.caps(), DeviceCaps::plain(kind, 1400), "the kernel's MTU holds");
                assert!(matches!(open(kind, "loom0"), Err(OpenError::Busy { .. })));
                drop(device);
                assert!(link_exists("loom0"));
            }
            ip("link delete loom0");
        }
    });
}

#[test]
fn a_taken_name_is_refused_with_its_reason() {
    in_private_netns(|| {
        let _held = open(Medium::Ethernet, "held").unwrap();
        ip("link add name wire type veth peer name wire-peer");
        ip("tuntap add dev wide mode tap multi_queue");
        let check = |kind, name: &str, expected: fn(&OpenError) -> bool| {
            let error = open(kind, name).unwrap_err();
            assert!(expected(&error), "{name}: {error:?}");
        };
        check(Medium::Ethernet, "held", |error| matches!(error, OpenError::Busy { .. }));
        check(Medium::Ip, "held", |error| {
            matches!(error, OpenError::OtherKind { found: Medium::Ethernet, .. })
        });
        check(Medium::Ethernet, "wire", |error| matches!(error, OpenError::NotTunTap { .. }));
        check(Medium::Ip, "lo", |error| matches!(error, OpenError::NotTunTap { .. }));
        check(Medium::Ethernet, "wide", |error| {
            matches!(error, OpenError::MultiQueue { kind: Medium::Ethernet, .. })
        });
        check(Medium::Ethernet, "bad/name", |error| matches!(error, OpenError::BadName { .. }));
        check(Medium::Ethernet, "loom%d", |error| matches!(error, OpenError::BadName { .. }));
        assert!(!link_exists("loom0"));
    });
}

#[test]
fn a_missing_tun_file_is_told() {
    in_private_netns_and_mounts(|| {
        hide_dev_net();
        let error = open(Medium::Ethernet, "loom0").unwrap_err();
        assert!(matches!(error, OpenError::NoTunFile), "{error:?}");
        // A file of this name that is no device at all.
        std::fs::write("/dev/net/tun", b"").unwrap();
        let error = open(Medium::Ethernet, "loom0").unwrap_err();
        assert!(matches!(error, OpenError::Os { .. }), "{error:?}");
    });
}

#[test]
fn a_closed_tun_file_is_told() {
    if !is_child() {
        return run_as_child("tun_tap::a_closed_tun_file_is_told");
    }
    in_private_netns_and_mounts(|| {
        replace_dev_net_tun(0o600);
        become_nobody();
        let error = open(Medium::Ethernet, "loom0").unwrap_err();
        assert!(matches!(error, OpenError::FilePermission), "{error:?}");
    });
}

#[test]
fn without_privilege_only_ones_own_interface_opens() {
    if !is_child() {
        return run_as_child("tun_tap::without_privilege_only_ones_own_interface_opens");
    }
    in_private_netns_and_mounts(|| {
        replace_dev_net_tun(0o666);
        ip(&format!("tuntap add dev mine mode tap user {NOBODY}"));
        ip("tuntap add dev theirs mode tap user 1");
        ip("link set mine up");
        become_nobody();

        let mut mine = open(Medium::Ethernet, "mine").unwrap();
        assert!(!mine.created());
        mine.send(TxMeta::default(), &arp_request(KERNEL), [b"", b""]).unwrap();
        assert_eq!(rx_packets("mine"), Some(1));

        let error = open(Medium::Ethernet, "theirs").unwrap_err();
        assert!(matches!(error, OpenError::NotOwner { .. }), "{error:?}");
        let error = open(Medium::Ip, "loom0").unwrap_err();
        assert!(matches!(error, OpenError::NotPermitted { kind: Medium::Ip, .. }), "{error:?}");
        assert!(!link_exists("loom0"));
    });
}
