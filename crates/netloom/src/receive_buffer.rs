//! How long a device's frames may be, and so the buffers that they are received to.
//!
//! *Theory of operation.* A frame's buffer becomes part of a connection's or a socket's queue, or is lent to it. So it is no longer
//! than the frames of its device should be: super-segments where the device cuts ours, packets of the MTU else. If a
//! longer one comes all the same, as somebody has raised the interface's MTU, it is lost, and there are buffers for any
//! frame from then on.

use netloom_base::DeviceCaps;
use netloom_stack::PIECE_LEN;

/// What may stand before a packet: a virtio header (10), an Ethernet header with a VLAN tag (18), and the byte by which a buffer
/// must be longer to show that nothing was cut off.
const BEFORE_PACKET: usize = 10 + 18 + 1;

/// The shortest buffer, which holds a packet of 1500 bytes.
const SHORTEST: usize = 2048;

/// A buffer for the frames of a device that should not be longer than `caps` say.
pub(crate) fn fitting(caps: &DeviceCaps) -> Box<[u8]> {
    let joins = caps.tcp4_segmentation.is_some() || caps.tcp6_segmentation.is_some() || caps.udp_segmentation;
    let len = (BEFORE_PACKET + usize::from(caps.mtu)).next_power_of_two().clamp(SHORTEST, PIECE_LEN);
    vec![0; if joins { PIECE_LEN } else { len }].into()
}

/// Makes it a buffer for any frame.
pub(crate) fn make_long(buffer: &mut Box<[u8]>) {
    if buffer.len() < PIECE_LEN {
        *buffer = vec![0; PIECE_LEN].into();
    }
}

#[cfg(test)]
mod tests {
    use netloom_base::Medium;

    use super::*;

    #[test]
    fn a_buffer_holds_a_packet_of_the_mtu_or_what_the_device_may_join() {
        let plain = |mtu| DeviceCaps::plain(Medium::Ethernet, mtu);
        let cases =
            [(576, 2048), (1500, 2048), (2019, 2048), (2020, 4096), (9000, 16_384), (65_535, PIECE_LEN)];
        for (mtu, len) in cases {
            assert_eq!(fitting(&plain(mtu)).len(), len, "{mtu}");
        }
        assert_eq!(fitting(&DeviceCaps { udp_segmentation: true, ..plain(1500) }).len(), PIECE_LEN);
        assert_eq!(fitting(&DeviceCaps { tcp6_segmentation: Some(65_535), ..plain(1500) }).len(), PIECE_LEN);
    }
}
