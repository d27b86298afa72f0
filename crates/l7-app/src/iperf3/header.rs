//! The head of a test datagram: when it was sent, and its number.
//!
//! ```text
//! 0        4        8                 12 or 16
//! | second | micro- | number, from 1,  | filler
//! |        | second | 32 or 64 bits    |
//! ```
//! All big-endian. The clock is the sender's own; only differences are used.

use std::time::Duration;

/// A datagram's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DatagramHeader {
    /// The sender's clock, to the microsecond.
    pub(crate) sent_at: Duration,
    /// The datagram's number on its stream.
    pub(crate) number: u64,
}

/// The head's length in bytes.
pub(crate) const fn header_len(wide: bool) -> usize {
    if wide { 16 } else { 12 }
}

impl DatagramHeader {
    /// Reads the head of `bytes`; nothing if they are too short.
    pub(crate) fn parse(bytes: &[u8], wide: bool) -> Option<Self> {
        let (second, rest) = bytes.split_first_chunk()?;
        let (microsecond, rest) = rest.split_first_chunk()?;
        let number = if wide {
            u64::from_be_bytes(*rest.first_chunk()?)
        } else {
            u64::from(u32::from_be_bytes(*rest.first_chunk()?))
        };
        let second = Duration::from_secs(u64::from(u32::from_be_bytes(*second)));
        let microsecond = Duration::from_micros(u64::from(u32::from_be_bytes(*microsecond)));
        Some(Self { sent_at: second + microsecond, number })
    }

    /// Writes the head into the first bytes of `datagram`, as far as there are any.
    ///
    /// A narrow number wraps around.
    pub(crate) fn emit(&self, wide: bool, datagram: &mut [u8]) {
        let second = u32::try_from(self.sent_at.as_secs()).unwrap_or_default().to_be_bytes();
        let microsecond = self.sent_at.subsec_micros().to_be_bytes();
        let number = self.number.to_be_bytes();
        let number = number.iter().skip(if wide { 0 } else { 4 });
        let head = second.iter().chain(&microsecond).chain(number);
        datagram.iter_mut().zip(head).for_each(|(byte, head)| *byte = *head);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{DatagramHeader, header_len};

    #[test]
    fn parse_of_emit_is_the_identity() {
        let header = DatagramHeader { sent_at: Duration::new(77, 123_456_000), number: 0xdead_beef };
        for wide in [false, true] {
            let mut datagram = [0xaa; 20];
            header.emit(wide, &mut datagram);
            assert_eq!(DatagramHeader::parse(&datagram, wide), Some(header));
            assert_eq!(datagram[header_len(wide)..], [0xaa; 20][header_len(wide)..]);
            assert_eq!(DatagramHeader::parse(&datagram[..header_len(wide) - 1], wide), None);
        }
    }

    #[test]
    fn the_layout_is_big_endian() {
        let header = DatagramHeader { sent_at: Duration::new(1, 2_000), number: 3 };
        let mut datagram = [0; 16];
        header.emit(true, &mut datagram);
        assert_eq!(datagram, [0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3]);
    }
}
