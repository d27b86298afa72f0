//! Trains of datagrams, as devices of different kinds are given them.

use core::net::SocketAddr;
use core::num::NonZeroU16;

use netloom_base::{AddressDetection, DeviceCaps, Gso, GsoKind, Instant, Medium, Rng, TxChecksum, TxMeta};
use netloom_l4_transport::UdpBind;
use netloom_wire::{EthernetAddress, HeadBuf};

use crate::{InterfaceSetup, Stack, StackConfig};

/// Lengths and what the device is told of each frame that a train of `len` bytes in parts of 1000 to `to` makes.
fn frames(caps: DeviceCaps, to: &str, len: usize) -> Vec<(usize, TxMeta)> {
    let now = Instant::ZERO;
    let mut stack = Stack::new(StackConfig::default(), Rng::from_seed([1; 32]));
    let interface = stack.add_interface(InterfaceSetup { caps, link_address: EthernetAddress([2; 6]) });
    for address in ["10.0.0.2/24", "fd00::2/64"] {
        let address = address.parse().unwrap();
        stack.add_address(now, interface, address, AddressDetection::Off).unwrap();
    }
    let mut head = HeadBuf::new();
    while stack.poll_transmit(now, &mut head).is_some() {}
    let socket = stack.udp().bind(UdpBind { address: None, port: 7, share: false }).unwrap();
    let remote: SocketAddr = to.parse().unwrap();
    stack.udp().send_train(socket, Some(remote), None, 1000, &vec![1; len]).unwrap();
    let mut frames = Vec::new();
    while let Some(transmit) = stack.poll_transmit(now, &mut head) {
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
