//! UDP headers (RFC 768).

use core::net::IpAddr;

use etherparse::UdpHeaderSlice;

use crate::{Checksum, HeadBuf, IPV4_HEADER_LEN, ParseError, Protocol};

/// Bytes of a UDP header.
pub const UDP_HEADER_LEN: usize = 8;

/// A UDP header.
///
/// ```text
/// |          Source Port          |       Destination Port        |
/// |            Length             |           Checksum            |
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UdpHeader {
    /// The sender's port; zero if it wants no answer.
    pub source_port: u16,
    /// The receiver's port.
    pub destination_port: u16,
}

/// A received datagram.
#[derive(Clone, Copy, Debug)]
pub struct UdpDatagram<'a> {
    /// Its header.
    pub header: UdpHeader,
    /// The checksum field; zero means that the sender did not compute one (IPv4 only).
    pub checksum: u16,
    /// Its data, cut to the length field.
    pub payload: &'a [u8],
    /// Header and data: what the checksum covers.
    bytes: &'a [u8],
}

impl<'a> UdpDatagram<'a> {
    /// Reads a datagram and verifies its length.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let slice = UdpHeaderSlice::from_slice(bytes).map_err(|_| ParseError::Truncated)?;
        let len = usize::from(slice.length());
        if len < UDP_HEADER_LEN {
            return Err(ParseError::BadLength);
        }
        let bytes = bytes.get(..len).ok_or(ParseError::Truncated)?;
        let payload = bytes.get(UDP_HEADER_LEN..).ok_or(ParseError::Truncated)?;
        let header =
            UdpHeader { source_port: slice.source_port(), destination_port: slice.destination_port() };
        Ok(Self { header, checksum: slice.checksum(), payload, bytes })
    }

    /// Whether the checksum adds up, or is absent where that is allowed: over IPv4 (RFC 768), not over IPv6
    /// (RFC 8200 8.1).
    pub fn checksum_is_acceptable(&self, source: IpAddr, destination: IpAddr) -> bool {
        if self.checksum == 0 { source.is_ipv4() } else { self.checksum_is_valid(source, destination) }
    }

    /// Whether the checksum adds up. One that is absent (zero) does not: the caller knows where that is allowed.
    pub fn checksum_is_valid(&self, source: IpAddr, destination: IpAddr) -> bool {
        let mut checksum = Checksum::pseudo_header(source, destination, Protocol::UDP, self.bytes.len());
        checksum.add(self.bytes);
        self.checksum != 0 && checksum.is_valid()
    }
}

impl UdpHeader {
    /// Largest data of one datagram to `destination`, in bytes: 65,507 over IPv4, whose length field counts the IP
    /// header, and 65,527 over IPv6.
    pub const fn max_payload_len(destination: IpAddr) -> usize {
        let ip_header = if destination.is_ipv4() { IPV4_HEADER_LEN } else { 0 };
        u16::MAX as usize - UDP_HEADER_LEN - ip_header
    }

    /// Puts the header, with the checksum over `payload`, in front of `head`, which must be empty.
    /// With `partial` only the pseudo-header is summed, and a device does the rest.
    pub fn emit(
        &self,
        head: &mut HeadBuf,
        source: IpAddr,
        destination: IpAddr,
        payload: &[&[u8]],
        partial: bool,
    ) {
        let len = UDP_HEADER_LEN + payload.iter().map(|piece| piece.len()).sum::<usize>();
        let mut bytes = [0; UDP_HEADER_LEN];
        bytes[..2].copy_from_slice(&self.source_port.to_be_bytes());
        bytes[2..4].copy_from_slice(&self.destination_port.to_be_bytes());
        bytes[4..6].copy_from_slice(&u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes());
        let mut checksum = Checksum::pseudo_header(source, destination, Protocol::UDP, len);
        let field = if partial {
            checksum.partial()
        } else {
            checksum.add(&bytes);
            for piece in payload {
                checksum.add(piece);
            }
            // A sum of zero is sent as ones: zero means "none" (RFC 768).
            match checksum.finish() {
                [0, 0] => [0xff, 0xff],
                sum => sum,
            }
        };
        bytes[6..].copy_from_slice(&field);
        head.prepend(&bytes);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn parse_of_emit_is_the_identity(source_port: u16, destination_port: u16, (source, destination) in any::<(u128, u128)>(), is_v4: bool, payload in prop::collection::vec(any::<u8>(), 0..100), cut in 0usize..100) {
            let address = |bits: u128| -> IpAddr {
                if is_v4 { core::net::Ipv4Addr::from_bits(u32::try_from(bits >> 96).unwrap()).into() } else { core::net::Ipv6Addr::from_bits(bits).into() }
            };
            let (source, destination) = (address(source), address(destination));
            let header = UdpHeader { source_port, destination_port };
            let mut head = HeadBuf::new();
            let (first, second) = payload.split_at(cut.min(payload.len()));
            header.emit(&mut head, source, destination, &[first, second], false);
            let bytes = [head.as_slice(), &payload].concat();
            let datagram = UdpDatagram::parse(&bytes).unwrap();
            prop_assert_eq!(datagram.header, header);
            prop_assert_eq!(datagram.payload, &payload[..]);
            prop_assert!(datagram.checksum_is_valid(source, destination));
            let mut broken = bytes.clone();
            broken[0] ^= 0x40;
            prop_assert!(!UdpDatagram::parse(&broken).unwrap().checksum_is_valid(source, destination));
        }

        #[test]
        fn any_bytes_parse_or_fail(bytes: Vec<u8>) {
            let _ = UdpDatagram::parse(&bytes);
        }
    }

    #[test]
    fn the_families_differ_in_length_and_in_doing_without_a_checksum() {
        let (v4, v6) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, 1]));
        assert_eq!((UdpHeader::max_payload_len(v4), UdpHeader::max_payload_len(v6)), (65_507, 65_527));
        let absent = UdpDatagram::parse(&[0, 7, 0, 9, 0, 8, 0, 0]).unwrap();
        assert!(absent.checksum_is_acceptable(v4, v4) && !absent.checksum_is_acceptable(v6, v6));
    }
}
