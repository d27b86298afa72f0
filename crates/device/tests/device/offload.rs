//! Queues with offloads: what the kernel leaves to us, what we leave to it, and what is agreed on.

use std::io;
use std::net::{SocketAddr, SocketAddrV4};
use std::num::NonZeroU16;
use std::time::{Duration, Instant};

use netloom_base::{Gso, GsoKind, Medium, RxChecksum, RxMeta, TxChecksum, TxMeta};
use netloom_device::{Offload, OpenError, Queue, RECEIVE_BUFFER_LEN, TunTap, TunTapConfig};
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::UdpGsoSegment;

use crate::support::{
    NOBODY, arp_request, become_nobody, in_private_netns, in_private_netns_and_mounts, internet_checksum, ip,
    is_child, kernel_socket, link_exists, raise, replace_dev_net_tun, run_as_child, rx_packets,
    udp_checksummed, udp_headers, wait_readable,
};

const PEER: &str = "10.9.0.2:7";

fn config(kind: Medium, name: &str) -> TunTapConfig {
    TunTapConfig { kind, name: name.to_owned(), mtu: 1500 }
}

fn open(kind: Medium, name: &str, most: Offload) -> TunTap {
    TunTap::open_offloading(&config(kind, name), most).unwrap()
}

/// Receives the next UDP packet of a TUN.
fn receive_udp(device: &mut TunTap) -> (Vec<u8>, RxMeta) {
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut buffer = vec![0; RECEIVE_BUFFER_LEN];
    loop {
        match device.recv(&mut buffer) {
            Ok(received) => {
                let packet = received.bytes_in(&buffer);
                if packet[0] >> 4 == 4 && packet[9] == 17 {
                    return (packet.to_vec(), received.meta);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait_readable(device, deadline),
            Err(error) => panic!("recv: {error}"),
        }
    }
}

fn train(segment_size: u16) -> Gso {
    Gso { kind: GsoKind::Udp, segment_size: NonZeroU16::new(segment_size).unwrap(), ecn: false }
}

/// Headers of a datagram whose checksum field holds the sum of the pseudo-header.
fn half_summed_headers(from: &str, to: SocketAddrV4, payload_len: usize) -> Vec<u8> {
    let mut head = udp_headers(from.parse().unwrap(), to, payload_len);
    let pseudo_header = udp_checksummed(&head)[..12].to_vec();
    let sum = !internet_checksum(&pseudo_header);
    head[26..28].copy_from_slice(&sum.to_be_bytes());
    head
}

#[test]
fn the_kernel_grants_what_is_asked_for() {
    in_private_netns(|| {
        for kind in [Medium::Ethernet, Medium::Ip] {
            for most in [Offload::Plain, Offload::Checksum, Offload::Tcp, Offload::Full] {
                let device = open(kind, "loom0", most);
                assert!(device.created());
                assert_eq!(device.offload(), most);
                let caps = device.caps();
                assert_eq!(caps.transmit_checksum, most >= Offload::Checksum);
                assert_eq!(caps.tcp6_segmentation.is_some(), most >= Offload::Tcp);
                assert_eq!((caps.udp_segmentation, caps.mtu), (most == Offload::Full, 1500));
                // Not by dropping it: what another test forks holds all descriptors until it execs.
                ip("link delete loom0");
            }
        }
    });
}

#[test]
fn a_train_of_datagrams_of_the_kernel_comes_as_one() {
    in_private_netns(|| {
        let mut device = open(Medium::Ip, "loom0", Offload::Full);
        raise("loom0");
        let socket = kernel_socket("10.9.0.1:0");
        setsockopt(&socket, UdpGsoSegment, &1000).unwrap();
        let bytes: Vec<u8> = (0..2500_u32).map(|index| index.to_le_bytes()[0]).collect();
        socket.send_to(&bytes, PEER).unwrap();
        let (packet, meta) = receive_udp(&mut device);
        assert_eq!(meta, RxMeta { checksum: RxChecksum::Trusted, gso: Some(train(1000)) });
        assert_eq!(packet[28..], bytes);
    });
}

#[test]
fn a_train_of_ours_reaches_the_kernel_in_its_parts() {
    in_private_netns(|| {
        for (kind, link_len) in [(Medium::Ip, 0), (Medium::Ethernet, 14)] {
            let mut device = open(kind, "loom0", Offload::Full);
            raise("loom0");
            let socket = kernel_socket("10.9.0.1:0");
            let SocketAddr::V4(local) = socket.local_addr().unwrap() else { panic!("not IPv4") };
            let mut head = half_summed_headers(PEER, local, 2500);
            if link_len > 0 {
                // To everybody: the kernel looks at the IP address.
                head.splice(..0, [[0xff; 6], [2, 0, 0, 0, 0, 1]].concat().into_iter().chain([8, 0]));
            }
            let bytes: Vec<u8> = (0..2500_u32).map(|index| index.to_le_bytes()[0]).collect();
            let checksum = TxChecksum::Partial { start: 20 + link_len, offset: 6 };
            let meta = TxMeta { checksum, gso: Some(train(1000)) };
            device.send(meta, &head, [&bytes[..1700], &bytes[1700..]]).unwrap();
            for part in bytes.chunks(1000) {
                let mut buffer = [0; 2000];
                let len = socket.recv(&mut buffer).unwrap();
                assert_eq!(buffer[..len], *part, "{kind:?}");
            }
            ip("link delete loom0");
        }
    });
}

#[test]
fn an_unfinished_checksum_is_left_to_the_reader_and_the_kernel_finishes_ours() {
    in_private_netns(|| {
        let mut device = open(Medium::Ip, "loom0", Offload::Checksum);
        raise("loom0");
        let socket = kernel_socket("10.9.0.1:0");
        let SocketAddr::V4(local) = socket.local_addr().unwrap() else { panic!("not IPv4") };
        socket.send_to(b"unfinished", PEER).unwrap();
        let (packet, meta) = receive_udp(&mut device);
        assert_eq!(meta, RxMeta { checksum: RxChecksum::Trusted, gso: None });
        assert_ne!(internet_checksum(&udp_checksummed(&packet)), 0);

        let head = half_summed_headers(PEER, local, 4);
        let checksum = TxChecksum::Partial { start: 20, offset: 6 };
        device.send(TxMeta { checksum, gso: None }, &head, [b"ou", b"rs"]).unwrap();
        let mut buffer = [0; 64];
        let len = socket.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..len], b"ours");
        // And what it was not asked for is refused.
        let refused = device.send(TxMeta { checksum, gso: Some(train(2)) }, &head, [b"ou", b"rs"]);
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::InvalidInput);
    });
}

#[test]
fn a_persistent_interface_takes_offloads_and_gives_them_up_again() {
    if !is_child() {
        return run_as_child("offload::a_persistent_interface_takes_offloads_and_gives_them_up_again");
    }
    in_private_netns_and_mounts(|| {
        replace_dev_net_tun(0o666);
        ip(&format!("tuntap add dev mine mode tap user {NOBODY}"));
        ip(&format!("tuntap add dev many mode tap multi_queue user {NOBODY}"));
        ip("link set mine up");
        ip("link set many up");
        become_nobody();
        let request = arp_request("10.9.0.1".parse().unwrap());
        for (most, count) in [(Offload::Full, 1), (Offload::Plain, 2), (Offload::Checksum, 3)] {
            let mut mine = open(Medium::Ethernet, "mine", most);
            assert!(!mine.created());
            assert_eq!(mine.offload(), most);
            mine.send(TxMeta::default(), &request, [b"", b""]).unwrap();
            assert_eq!(rx_packets("mine"), Some(count));
        }
        // One queue of an interface that could have many.
        assert_eq!(open(Medium::Ethernet, "many", Offload::Full).offload(), Offload::Full);
    });
}

#[test]
fn several_queues_open_together() {
    if !is_child() {
        return run_as_child("offload::several_queues_open_together");
    }
    in_private_netns(|| {
        let two = NonZeroU16::new(2).unwrap();
        for most in [Offload::Plain, Offload::Full] {
            let mut queues = TunTap::open_queues(&config(Medium::Ip, "loom0"), most, two).unwrap();
            raise("loom0");
            assert!(queues.iter().all(|queue| queue.created() && queue.offload() == most));
            let socket = kernel_socket("10.9.0.1:0");
            let SocketAddr::V4(local) = socket.local_addr().unwrap() else { panic!("not IPv4") };
            for (index, queue) in (0_u64..).zip(&mut queues) {
                let head = udp_headers(PEER.parse().unwrap(), local, 2);
                queue.send(TxMeta::default(), &head, [b"hi", b""]).unwrap();
                assert_eq!(rx_packets("loom0"), Some(index + 1));
                // The kernel answers on the queue that sent last.
                socket.send_to(b"hello", PEER).unwrap();
                receive_udp(queue);
            }
            // The kernel would let anybody have further queues, and flows of ours with them.
            for most in [Offload::Plain, Offload::Full] {
                let refused = TunTap::open_queues(&config(Medium::Ip, "loom0"), most, two).unwrap_err();
                assert!(matches!(refused, OpenError::Busy { .. }), "{refused:?}");
            }
            drop(queues);
            assert!(!link_exists("loom0"));
        }
        // One that stays is free again when nobody holds it.
        ip("tuntap add dev wide mode tun multi_queue");
        for _ in 0..2 {
            let queues = TunTap::open_queues(&config(Medium::Ip, "wide"), Offload::Full, two).unwrap();
            let refused = TunTap::open_queues(&config(Medium::Ip, "wide"), Offload::Full, two).unwrap_err();
            assert!(matches!(refused, OpenError::Busy { .. }), "{refused:?}");
            drop(queues);
        }
        ip("tuntap add dev narrow mode tun");
        let refused = TunTap::open_queues(&config(Medium::Ip, "narrow"), Offload::Full, two).unwrap_err();
        assert!(matches!(refused, OpenError::SingleQueue { kind: Medium::Ip, .. }), "{refused:?}");
    });
}
