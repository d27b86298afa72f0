//! Trains of datagrams, as devices of different kinds are given them.

use core::net::SocketAddr;
use core::num::NonZeroU16;

use netloom_base::{
    AddressDetection, DeviceCaps, Gso, GsoKind, Instant, Medium, Rng, Sharding, TxChecksum, TxMeta,
};
use netloom_l4_transport::{UdpBind, UdpSocketId};
use netloom_wire::{EthernetAddress, HeadBuf, Ipv4Packet};

use crate::{InterfaceSetup, Stack, StackConfig};

const NOW: Instant = Instant::ZERO;

/// A host with this device, and a socket.
fn host(config: StackConfig, caps: DeviceCaps) -> (Stack, UdpSocketId) {
    let mut stack = Stack::new(config, Rng::from_seed([1; 32]));
    let interface = stack.add_interface(InterfaceSetup { caps, link_address: EthernetAddress([2; 6]) });
    for address in ["10.0.0.2/24", "fd00::2/64"] {
        let address = address.parse().unwrap();
        stack.add_address(NOW, interface, address, AddressDetection::Off).unwrap();
    }
    let mut head = HeadBuf::new();
    while stack.poll_transmit(NOW, &mut head).is_some() {}
    let socket = stack.udp().bind(UdpBind { address: None, port: 7, share: false }).unwrap();
    (stack, socket)
}

/// Lengths and what the device is told of each frame that a train of `len` bytes in parts of 1000 to `to` makes.
fn frames(caps: DeviceCaps, to: &str, len: usize) -> Vec<(usize, TxMeta)> {
    let (mut stack, socket) = host(StackConfig::default(), caps);
    let mut head = HeadBuf::new();
    let remote: SocketAddr = to.parse().unwrap();
    stack.udp().send_train(socket, Some(remote), None, 1000, &vec![1; len]).unwrap();
    let mut frames = Vec::new();
    while let Some(transmit) = stack.poll_transmit(NOW, &mut head) {
        frames.push((transmit.len(), transmit.meta));
    }
    frames
}

#[test]
fn a_train_is_one_packet_for_a_device_that_cuts_it() {
    let plain = DeviceCaps::plain(Medium::Ip, 1500);
    let cutting = DeviceCaps { transmit_checksum: true, udp_segmentation: true, ..plain };
    for (to, header_len) in [("10.0.0.1:9", 20), ("[fd00::1]:9", 40)] {
        let segment_size = NonZeroU16::new(1000).unwrap();
        let checksum = TxChecksum::Partial { start: header_len, offset: 6 };
        let train = TxMeta { checksum, gso: Some(Gso { kind: GsoKind::Udp, segment_size, ecn: false }) };
        let header_len = usize::from(header_len) + 8;
        assert_eq!(frames(cutting, to, 2500), [(header_len + 2500, train)]);
        assert_eq!(frames(cutting, to, 900), [(header_len + 900, TxMeta { checksum, gso: None })]);
        assert_eq!(frames(plain, to, 900), [(header_len + 900, TxMeta::default())]);
        let parts = [1000, 1000, 500].map(|len| (header_len + len, TxMeta::default()));
        assert_eq!(frames(plain, to, 2500), parts);
    }
}

#[test]
fn a_train_is_cut_here_if_it_is_for_many_or_its_parts_are_too_long() {
    let cutting =
        DeviceCaps { transmit_checksum: true, udp_segmentation: true, ..DeviceCaps::plain(Medium::Ip, 1280) };
    assert_eq!(frames(cutting, "239.1.2.3:9", 2500).len(), 3);
    let narrow = DeviceCaps { mtu: 576, ..cutting };
    let fragments = frames(narrow, "10.0.0.1:9", 2500);
    assert!(fragments.len() > 3 && fragments.iter().all(|(len, meta)| *len <= 576 && meta.gso.is_none()));
}

/// Identifications of the packets, and how long their data is, that three datagrams make which wait together, and one after them.
fn waiting(config: StackConfig, caps: DeviceCaps) -> Vec<(u16, usize)> {
    let (mut stack, socket) = host(config, caps);
    let remote: SocketAddr = "10.0.0.1:9".parse().unwrap();
    let mut head = HeadBuf::new();
    let mut packets = Vec::new();
    for count in [3, 1] {
        for _ in 0..count {
            stack.udp().send_to(socket, remote, None, b"data").unwrap();
        }
        while let Some(transmit) = stack.poll_transmit(NOW, &mut head) {
            let packet = transmit.to_vec();
            let packet = Ipv4Packet::parse(&packet).unwrap();
            packets.push((packet.header.identification, packet.payload.len() - 8));
        }
    }
    packets
}

#[test]
fn what_a_device_cuts_of_waiting_datagrams_has_identifications_of_its_own() {
    // [791-02]
    let plain = DeviceCaps::plain(Medium::Ip, 1500);
    let cutting = DeviceCaps { transmit_checksum: true, udp_segmentation: true, ..plain };
    let packets = waiting(StackConfig::default(), cutting);
    let [(train, 12), (after, 4)] = packets[..] else { panic!("{packets:?}") };
    assert_eq!(after, train.wrapping_add(3), "the device gives the two between away");
    assert_eq!(waiting(StackConfig::default(), plain).len(), 4);
    // Of several shards each has numbers in a row, too.
    let sharding = Sharding::new(Rng::from_number(1).hash_key(), 1, 4).unwrap();
    let packets = waiting(StackConfig { sharding, ..StackConfig::default() }, cutting);
    let [(train, 12), (after, 4)] = packets[..] else { panic!("{packets:?}") };
    assert!(train >> 14 == 1 && after >> 14 == 1, "the second quarter of the numbers is the second shard's");
}

#[test]
fn waiting_datagrams_stay_apart_if_any_device_does_not_cut_trains() {
    let plain = DeviceCaps::plain(Medium::Ip, 1500);
    let cutting = DeviceCaps { transmit_checksum: true, udp_segmentation: true, ..plain };
    let (mut stack, _) = host(StackConfig::default(), cutting);
    assert!(stack.udp().makes_trains());
    stack.add_interface(InterfaceSetup { caps: plain, link_address: EthernetAddress([2; 6]) });
    assert!(!stack.udp().makes_trains());
}
