//! The Internet checksum (RFC 1071).

use core::net::{IpAddr, Ipv6Addr};

use crate::Protocol;

/// A running one's-complement sum.
///
/// Pieces may have any length: an odd one shifts the next by a byte, as if all had been one run of bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Checksum {
    /// Sum of native-endian words: byte order does not matter until the end (RFC 1071 2(B)).
    sum: u64,
    odd: bool,
}

impl Checksum {
    /// Nothing summed yet.
    pub const fn new() -> Self {
        Self { sum: 0, odd: false }
    }

    /// The sum of the pseudo-header of TCP, UDP and ICMPv6 (RFC 9293 3.1, RFC 8200 8.1).
    ///
    /// Both addresses must be of one family; the protocols above never mix them.
    pub fn pseudo_header(source: IpAddr, destination: IpAddr, protocol: Protocol, len: usize) -> Self {
        let of_address = |address| match address {
            IpAddr::V4(address) => u64::from(u32::from_ne_bytes(address.octets())),
            IpAddr::V6(address) => sum_words(&address.octets()),
        };
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        let small =
            u64::from(u32::from_ne_bytes(len.to_be_bytes())) + u64::from(u16::from_ne_bytes([0, protocol.0]));
        let sum = [of_address(source), of_address(destination)].into_iter().fold(small, add_around);
        Self { sum, odd: false }
    }

    /// The sum of an ICMPv6 message of `len` bytes, in `pieces`, and its pseudo-header (RFC 4443 2.3).
    pub(crate) fn icmpv6(source: Ipv6Addr, destination: Ipv6Addr, len: usize, pieces: &[&[u8]]) -> Self {
        let mut checksum = Self::pseudo_header(source.into(), destination.into(), Protocol::ICMPV6, len);
        for piece in pieces {
            checksum.add(piece);
        }
        checksum
    }

    /// Adds `bytes`.
    pub fn add(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let sum = sum_words(bytes);
        // Bytes that begin at an odd place count with their halves swapped.
        let sum = if self.odd { u64::from(fold(sum).swap_bytes()) } else { sum };
        self.sum = add_around(self.sum, sum);
        self.odd ^= bytes.len() % 2 == 1;
    }

    /// What goes into a header's checksum field.
    pub fn finish(self) -> [u8; 2] {
        (!fold(self.sum)).to_ne_bytes()
    }

    /// The sum without the final complement: what the field holds when a device is to finish it.
    pub fn partial(self) -> [u8; 2] {
        fold(self.sum).to_ne_bytes()
    }

    /// Whether bytes that include their checksum field add up.
    pub fn is_valid(self) -> bool {
        fold(self.sum) == u16::MAX
    }
}

/// Adds with end-around carry.
const fn add_around(one: u64, other: u64) -> u64 {
    let (sum, carries) = one.overflowing_add(other);
    sum + carries as u64
}

/// The sum of `bytes` as native-endian 16-bit words, the last padded with zero, not folded to 16 bits. Longer words are
/// sums of shorter ones in their places (RFC 1071 2(C)).
fn sum_words(bytes: &[u8]) -> u64 {
    // Four sums that do not wait for each other.
    let mut lanes = [0; 4];
    let (blocks, rest) = bytes.as_chunks::<32>();
    for block in blocks {
        let (words, _) = block.as_chunks::<8>();
        for (lane, word) in lanes.iter_mut().zip(words) {
            *lane = add_around(*lane, u64::from_ne_bytes(*word));
        }
    }
    let mut sum = lanes.into_iter().fold(0, add_around);
    let (words, rest) = rest.as_chunks::<4>();
    for word in words {
        sum = add_around(sum, u32::from_ne_bytes(*word).into());
    }
    let last = match *rest {
        [first, second, third] => {
            u64::from(u16::from_ne_bytes([first, second])) + u64::from(u16::from_ne_bytes([third, 0]))
        }
        [first, second] => u16::from_ne_bytes([first, second]).into(),
        [first] => u16::from_ne_bytes([first, 0]).into(),
        _ => 0,
    };
    add_around(sum, last)
}

/// Folds a sum to 16 bits with end-around carry.
#[expect(clippy::cast_possible_truncation, reason = "four folds leave 16 bits")]
const fn fold(sum: u64) -> u16 {
    let sum = (sum >> 32) + (sum & 0xffff_ffff);
    let sum = (sum >> 32) + (sum & 0xffff_ffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    sum as u16
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// RFC 1071 1 as written: big-endian words, carries folded at the end.
    fn reference(bytes: &[u8]) -> u16 {
        let mut sum = 0u32;
        for pair in bytes.chunks(2) {
            sum += u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
            sum = (sum >> 16) + (sum & 0xffff);
        }
        !u16::try_from(sum).unwrap()
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(bytes in prop::collection::vec(any::<u8>(), 0..300), cuts in prop::collection::vec(0usize..300, 0..4)) {
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.push(0);
            cuts.push(bytes.len());
            cuts.sort_unstable();
            let mut checksum = Checksum::new();
            for pair in cuts.windows(2) {
                checksum.add(&bytes[pair[0]..pair[1]]);
            }
            prop_assert_eq!(u16::from_be_bytes(checksum.finish()), reference(&bytes));
        }
    }

    #[test]
    fn a_long_run_of_ones_loses_no_carry() {
        let bytes = vec![0xff; 1 << 20];
        let mut checksum = Checksum::new();
        checksum.add(&bytes);
        assert_eq!(checksum.finish(), [0, 0]);
        assert!(checksum.is_valid());
    }
}
