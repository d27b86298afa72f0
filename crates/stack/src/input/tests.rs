//! Who keeps a frame's buffer.

use netloom_base::{AddressDetection, DeviceCaps, Medium, PIECE_LEN, Rng};
use netloom_l4_transport::{UdpBind, UdpSocketId};
use netloom_wire::{EthernetAddress, HeadBuf};

use super::*;
use crate::packets::{datagram, fragment, packet};
use crate::{InterfaceSetup, StackConfig};

fn stack() -> (Stack, InterfaceId, UdpSocketId) {
    let mut stack = Stack::new(StackConfig::default(), Rng::from_number(1));
    let caps = DeviceCaps::plain(Medium::Ip, 1500);
    let interface = stack.add_interface(InterfaceSetup { caps, link_address: EthernetAddress([2; 6]) });
    stack
        .add_address(Instant::ZERO, interface, "10.0.0.2/24".parse().unwrap(), AddressDetection::Off)
        .unwrap();
    let socket = stack.udp().bind(UdpBind::new(None, 7)).unwrap();
    (stack, interface, socket)
}

/// Hands in a packet in a buffer of its own. Says where that was, and whether there is another one for the next.
fn hand_in(stack: &mut Stack, interface: InterfaceId, packet: &[u8]) -> (Range<usize>, bool) {
    let mut buffer = vec![0; PIECE_LEN].into_boxed_slice();
    let range = 10..10 + packet.len();
    buffer[range.clone()].copy_from_slice(packet);
    let begin = buffer.as_ptr().addr();
    stack.handle_buffer(Instant::ZERO, interface, &mut buffer, range, RxMeta::default());
    assert_eq!(buffer.len(), PIECE_LEN);
    (begin..begin + PIECE_LEN, buffer.as_ptr().addr() != begin)
}

#[test]
fn a_datagram_stays_in_the_buffer_that_the_device_has_filled() {
    let (mut stack, interface, socket) = stack();
    for data in [&[1; 10][..], &[2; 1400]] {
        let (buffer, is_kept) = hand_in(&mut stack, interface, &packet(7, data));
        assert!(is_kept);
        let read = |_, part: &[u8]| (part.to_vec(), buffer.contains(&part.as_ptr().addr()));
        assert_eq!(stack.udp().recv_with(socket, read), Ok((data.to_vec(), true)));
    }
}

#[test]
fn a_datagram_that_was_put_together_lies_elsewhere_and_its_last_buffer_stays_the_caller_s() {
    let (mut stack, interface, socket) = stack();
    let data = [3; 2000];
    let bytes = datagram(7, &data);
    let (first, last) = bytes.split_at(1200);
    for packet in [fragment(first, 0, true), fragment(last, 1200, false)] {
        let (_, is_kept) = hand_in(&mut stack, interface, &packet);
        assert!(!is_kept);
    }
    let read = |_, part: &[u8]| part.to_vec();
    assert_eq!(stack.udp().recv_with(socket, read), Ok(data.to_vec()));
}

#[test]
fn a_datagram_of_this_host_to_itself_stays_where_it_was_made() {
    let (mut stack, _, socket) = stack();
    let to = "10.0.0.2:7".parse().unwrap();
    stack.udp().send_to(socket, to, None, b"to myself").unwrap();
    assert!(stack.poll_transmit(Instant::ZERO, &mut HeadBuf::new()).is_none());
    let read = |_, part: &[u8]| part.to_vec();
    assert_eq!(stack.udp().recv_with(socket, read), Ok(b"to myself".to_vec()));
}

#[test]
fn what_was_read_is_the_next_frame_s_buffer() {
    let (mut stack, interface, socket) = stack();
    let (first, _) = hand_in(&mut stack, interface, &packet(7, b"x"));
    stack.udp().recv_with(socket, |_, _| ()).unwrap();
    let mut buffer = vec![0; PIECE_LEN].into_boxed_slice();
    let packet = packet(7, b"y");
    buffer[..packet.len()].copy_from_slice(&packet);
    stack.handle_buffer(Instant::ZERO, interface, &mut buffer, 0..packet.len(), RxMeta::default());
    assert_eq!(buffer.as_ptr().addr(), first.start);
}

#[test]
fn a_buffer_that_nobody_keeps_stays_the_caller_s() {
    let (mut stack, interface, _) = stack();
    let (_, is_kept) = hand_in(&mut stack, interface, &packet(8, b"nobody listens"));
    assert!(!is_kept);
}
