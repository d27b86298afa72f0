//! Bounds and counters of what is handed over; what comes of it is tested in `conformance`.

use netloom_base::{AddressDetection, DeviceCaps, Rng};
use netloom_wire::{EthernetAddress, HeadBuf, IPV4_HEADER_LEN, Ipv4Packet};

use super::*;
use crate::packets::packet;
use crate::{InterfaceSetup, StackConfig};

fn stack(index: ShardIndex) -> (Stack, InterfaceId) {
    let sharding = Sharding::new(Rng::from_number(5).hash_key(), index, 2).unwrap();
    let config = StackConfig { sharding, handovers: 10, ..StackConfig::default() };
    let mut stack = Stack::new(config, Rng::from_number(index.into()));
    let caps = DeviceCaps::plain(Medium::Ip, 1500);
    let id = stack.add_interface(InterfaceSetup { caps, link_address: EthernetAddress([2; 6]) });
    (stack, id)
}

/// A packet with one byte.
fn datagram(port: u16) -> Vec<u8> {
    packet(port, b"x")
}

/// A port of each shard.
fn ports(sharding: &Sharding) -> [u16; 2] {
    [0, 1].map(|index| (1..).find(|&port| sharding.owner_of_port(port) == index).unwrap())
}

#[test]
fn what_is_others_is_counted_and_no_more_than_the_bound_waits() {
    let (mut first, id) = stack(0);
    let [own, other] = ports(first.sharding());
    for _ in 0..15 {
        first.handle_frame(Instant::ZERO, id, &datagram(other), RxMeta::default());
    }
    first.handle_frame(Instant::ZERO, id, &datagram(own), RxMeta::default());
    let counters = first.counters().clone();
    assert_eq!((counters.frames_received.get(), counters.handed_over.get()), (16, 10));
    assert_eq!(counters.drops.get(DropReason::HandoverFull), 5);
    let handover = first.poll_handover().unwrap();
    assert_eq!((handover.to(), handover.len()), (1, IPV4_HEADER_LEN + 9));
    assert_eq!(
        (handover.interface(), handover.frame()),
        (id, Some((&datagram(other)[..], RxMeta::default())))
    );
    first.drop_handover(&handover);
    assert_eq!(first.counters().drops.get(DropReason::HandoverFull), 6);
    assert_eq!(std::iter::from_fn(|| first.poll_handover()).count(), 9);
    // There is room again.
    first.handle_frame(Instant::ZERO, id, &datagram(other), RxMeta::default());
    assert_eq!(first.counters().handed_over.get(), 11);
}

/// What fills its buffer is handed over with it, and copied no more than what is not handed over.
#[test]
fn a_frame_that_fills_its_buffer_is_handed_over_in_it() {
    let (mut first, id) = stack(0);
    let [_, other] = ports(first.sharding());
    let short = datagram(other);
    for (frame, is_moved) in [(short.clone(), false), ([short, vec![0; 600]].concat(), true)] {
        let mut buffer = vec![0; 2048].into_boxed_slice();
        let range = 10..10 + frame.len();
        buffer[range.clone()].copy_from_slice(&frame);
        let address = buffer[10..].as_ptr();
        first.handle_buffer(Instant::ZERO, id, &mut buffer, range, RxMeta::default());
        assert_eq!(buffer.len(), 2048, "there is one for the next frame");
        let handover = first.poll_handover().unwrap();
        let (bytes, _) = handover.frame().unwrap();
        assert_eq!((bytes, bytes.as_ptr() == address), (&frame[..], is_moved));
        assert_eq!(handover.memory_len(), if is_moved { 2048 } else { frame.len() });
    }
}

#[test]
fn a_further_shard_has_the_first_ones_addresses_and_answers_what_it_owns() {
    let (mut first, id) = stack(0);
    let (mut further, _) = stack(1);
    let now = Instant::ZERO;
    first.add_address(now, id, "10.0.0.2/24".parse().unwrap(), AddressDetection::Off).unwrap();
    let addresses: Vec<_> = first.internet().addresses().copied().collect();
    let [_, port] = ports(first.sharding());
    first.handle_frame(now, id, &datagram(port), RxMeta::default());
    let handover = first.poll_handover().unwrap();
    further.take_over(now, handover.clone());
    assert_eq!(further.counters().drops.get(DropReason::IpNotForUs), 1, "it has no address yet");
    further.adopt_addresses(now, &addresses);
    further.take_over(now, handover);
    let mut head = HeadBuf::new();
    let refusal = further.poll_transmit(now, &mut head).unwrap().to_vec();
    assert_eq!(Ipv4Packet::parse(&refusal).unwrap().header.protocol, Protocol::ICMP);
    assert!(further.poll_transmit(now, &mut head).is_none() && further.poll_handover().is_none());
    assert!(first.poll_transmit(now, &mut head).is_none(), "one answer is enough");
    assert_eq!(further.counters().taken_over.get(), 2);
    further.adopt_addresses(now, &[]);
    assert_eq!(further.internet().addresses().count(), 0);
    assert!(further.routes().lookup([10, 0, 0, 7].into()).is_none());
}
