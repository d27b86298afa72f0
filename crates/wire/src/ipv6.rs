//! IPv6 headers (RFC 8200).

use core::net::Ipv6Addr;

use etherparse::Ipv6HeaderSlice;
use etherparse::err::ipv6::HeaderSliceError;

use crate::{HeadBuf, ParseError, Protocol};

/// Bytes of the fixed IPv6 header.
pub const IPV6_HEADER_LEN: usize = 40;

/// The fixed IPv6 header.
///
/// ```text
/// |Version| Traffic Class |           Flow Label                  |
/// |         Payload Length        |  Next Header  |   Hop Limit   |
/// |                     Source Address (16)                       |
/// |                   Destination Address (16)                    |
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv6Header {
    /// Who sent it.
    pub source: Ipv6Addr,
    /// Whom it is for.
    pub destination: Ipv6Addr,
    /// The first header after this one.
    pub next_header: Protocol,
    /// Hops it may still make.
    pub hop_limit: u8,
    /// DSCP (6 bits) and ECN (2 bits).
    pub traffic_class: u8,
    /// Flow label, 20 bits (RFC 6437).
    pub flow_label: u32,
}

/// A received IPv6 packet.
#[derive(Clone, Copy, Debug)]
pub struct Ipv6Packet<'a> {
    /// The fixed header.
    pub header: Ipv6Header,
    /// What follows it, extension headers included, cut to the header's payload length.
    pub payload: &'a [u8],
    /// The fixed header's own bytes.
    pub header_bytes: &'a [u8],
}

impl<'a> Ipv6Packet<'a> {
    /// Reads a packet and verifies its length. Bytes after the payload length are link padding, and are cut off.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let (slice, rest) = Self::split(bytes)?;
        let payload = rest.get(..usize::from(slice.payload_length())).ok_or(ParseError::Truncated)?;
        Ok(Self { header: Self::header(&slice), payload, header_bytes: slice.slice() })
    }

    /// Reads the packet that an ICMPv6 error quotes: its payload may have been cut short, and is then what there is.
    pub fn parse_quoted(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let (slice, rest) = Self::split(bytes)?;
        let payload = rest.get(..usize::from(slice.payload_length())).unwrap_or(rest);
        Ok(Self { header: Self::header(&slice), payload, header_bytes: slice.slice() })
    }

    fn split(bytes: &'a [u8]) -> Result<(Ipv6HeaderSlice<'a>, &'a [u8]), ParseError> {
        let slice = Ipv6HeaderSlice::from_slice(bytes).map_err(|error| match error {
            HeaderSliceError::Len(_) => ParseError::Truncated,
            HeaderSliceError::Content(_) => ParseError::BadVersion,
        })?;
        let rest = bytes.get(IPV6_HEADER_LEN..).ok_or(ParseError::Truncated)?;
        Ok((slice, rest))
    }

    fn header(slice: &Ipv6HeaderSlice<'_>) -> Ipv6Header {
        Ipv6Header {
            source: slice.source_addr(),
            destination: slice.destination_addr(),
            next_header: Protocol(slice.next_header().0),
            hop_limit: slice.hop_limit(),
            traffic_class: slice.traffic_class(),
            flow_label: slice.flow_label().value(),
        }
    }
}

impl Ipv6Header {
    /// Puts the header in front of `head`; `payload_len` counts all that follows it.
    /// A `payload_len` beyond 65,535 cannot be expressed and saturates.
    pub fn emit(&self, head: &mut HeadBuf, payload_len: usize) {
        head.prepend(&self.to_bytes(payload_len));
    }

    /// The header's bytes.
    pub fn to_bytes(&self, payload_len: usize) -> [u8; IPV6_HEADER_LEN] {
        let payload_len = u16::try_from(payload_len).unwrap_or(u16::MAX);
        let first = 0x6000_0000 | (u32::from(self.traffic_class) << 20) | (self.flow_label & 0x000f_ffff);
        let mut bytes = [0; IPV6_HEADER_LEN];
        bytes[..4].copy_from_slice(&first.to_be_bytes());
        bytes[4..6].copy_from_slice(&payload_len.to_be_bytes());
        bytes[6] = self.next_header.0;
        bytes[7] = self.hop_limit;
        bytes[8..24].copy_from_slice(&self.source.octets());
        bytes[24..].copy_from_slice(&self.destination.octets());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    prop_compose! {
        fn header()(
            (source, destination) in any::<(u128, u128)>(),
            (next_header, hop_limit, traffic_class) in any::<(u8, u8, u8)>(),
            flow_label in 0u32..0x10_0000,
        ) -> Ipv6Header {
            Ipv6Header {
                source: source.into(),
                destination: destination.into(),
                next_header: Protocol(next_header),
                hop_limit,
                traffic_class,
                flow_label,
            }
        }
    }

    proptest! {
        #[test]
        fn parse_of_emit_is_the_identity(header in header(), payload in prop::collection::vec(any::<u8>(), 0..100), padding in 0usize..20) {
            let mut head = HeadBuf::new();
            header.emit(&mut head, payload.len());
            let mut bytes = [head.as_slice(), &payload].concat();
            bytes.resize(bytes.len() + padding, 0);
            let packet = Ipv6Packet::parse(&bytes).unwrap();
            prop_assert_eq!(packet.header, header);
            prop_assert_eq!(packet.payload, &payload[..]);
            if !payload.is_empty() {
                let cut = &bytes[..IPV6_HEADER_LEN + payload.len() - 1];
                prop_assert_eq!(Ipv6Packet::parse(cut).err(), Some(ParseError::Truncated));
                prop_assert_eq!(Ipv6Packet::parse_quoted(cut).unwrap().payload, &payload[..payload.len() - 1]);
            }
        }

        #[test]
        fn any_bytes_parse_or_fail(bytes: Vec<u8>) {
            let _ = Ipv6Packet::parse(&bytes);
            let _ = Ipv6Packet::parse_quoted(&bytes);
        }
    }
}
