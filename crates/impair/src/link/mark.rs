//! The mark of a queue that grows: congestion experienced (RFC 3168 5), set in a frame's IP header.

use netloom_base::Medium;

/// Bytes in front of an IP header on Ethernet.
const ETHERNET_HEADER_LEN: usize = 14;

/// Marks a frame whose sender says that it understands marks; whether it carries one now.
pub(super) fn mark(medium: Medium, frame: &mut [u8]) -> bool {
    let skipped = match medium {
        Medium::Ethernet => ETHERNET_HEADER_LEN,
        Medium::Ip => 0,
    };
    let Some(packet) = frame.get_mut(skipped..) else { return false };
    match packet {
        [first, class, rest @ ..] if *first >> 4 == 4 => {
            let before = [*first, *class];
            if *class & 3 == 0 {
                return false;
            }
            *class |= 3;
            let after = [*first, *class];
            // The header's checksum, by the difference (RFC 1624 3).
            if let Some([high, low]) = rest.get_mut(8..10) {
                let words = [u16::from_be_bytes([*high, *low]), u16::from_be_bytes(before)].map(|it| !it);
                let sum =
                    words.iter().map(|&it| u32::from(it)).sum::<u32>() + u32::from(u16::from_be_bytes(after));
                let once = (sum & 0xffff) + (sum >> 16);
                let [_, _, top, bottom] = (!((once & 0xffff) + (once >> 16))).to_be_bytes();
                [*high, *low] = [top, bottom];
            }
            true
        }
        [first, second, ..] if *first >> 4 == 6 => {
            // The traffic class lies across two bytes; its last two bits are these.
            let can_be_marked = *second & 0x30 != 0;
            if can_be_marked {
                *second |= 0x30;
            }
            can_be_marked
        }
        _ => false,
    }
}
