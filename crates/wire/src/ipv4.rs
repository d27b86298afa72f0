//! IPv4 headers (RFC 791).

use core::net::Ipv4Addr;

use etherparse::Ipv4HeaderSlice;
use etherparse::err::ipv4::{HeaderError, HeaderSliceError};

use crate::{Checksum, HeadBuf, ParseError, Protocol};

/// Bytes of an IPv4 header without options.
pub const IPV4_HEADER_LEN: usize = 20;

/// An IPv4 header without its options.
///
/// ```text
///  0                   1                   2                   3
/// |Version|  IHL  |DSCP       |ECN|         Total Length          |
/// |        Identification         |Flags|     Fragment Offset     |
/// | Time to Live  |   Protocol    |        Header Checksum        |
/// |                        Source Address                         |
/// |                     Destination Address                       |
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv4Header {
    /// Who sent it.
    pub source: Ipv4Addr,
    /// Whom it is for.
    pub destination: Ipv4Addr,
    /// What it carries.
    pub protocol: Protocol,
    /// Hops it may still make.
    pub ttl: u8,
    /// DSCP (6 bits) and ECN (2 bits).
    pub traffic_class: u8,
    /// Which fragments belong together (RFC 6864: only meaningful for fragments).
    pub identification: u16,
    /// Routers may not fragment it.
    pub dont_fragment: bool,
    /// It is not the last fragment.
    pub more_fragments: bool,
    /// Where the fragment belongs, in bytes; a multiple of 8.
    pub fragment_offset: u16,
}

/// A received IPv4 packet.
#[derive(Clone, Copy, Debug)]
pub struct Ipv4Packet<'a> {
    /// The header.
    pub header: Ipv4Header,
    /// The options' bytes, unparsed.
    pub options: &'a [u8],
    /// What follows the header, cut to the header's total length.
    pub payload: &'a [u8],
    /// The header's own bytes, options included.
    pub header_bytes: &'a [u8],
}

impl<'a> Ipv4Packet<'a> {
    /// Reads a packet and verifies its lengths, but not the checksum (see [`checksum_is_valid`](Self::checksum_is_valid)).
    /// Bytes after the total length are link padding, and are cut off.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let slice = Ipv4HeaderSlice::from_slice(bytes).map_err(|error| match error {
            HeaderSliceError::Len(_) => ParseError::Truncated,
            HeaderSliceError::Content(HeaderError::UnexpectedVersion { .. }) => ParseError::BadVersion,
            HeaderSliceError::Content(HeaderError::HeaderLengthSmallerThanHeader { .. }) => {
                ParseError::BadLength
            }
        })?;
        let header_len = slice.slice().len();
        let total_len = usize::from(slice.total_len());
        if total_len < header_len {
            return Err(ParseError::BadLength);
        }
        let payload = bytes.get(header_len..total_len).ok_or(ParseError::Truncated)?;
        Ok(Self {
            header: Self::header(&slice),
            options: slice.options(),
            payload,
            header_bytes: slice.slice(),
        })
    }

    /// Reads the packet that an ICMP error quotes: its payload may have been cut short, and is then what there is.
    pub fn parse_quoted(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let slice = Ipv4HeaderSlice::from_slice(bytes).map_err(|_| ParseError::Truncated)?;
        let header_len = slice.slice().len();
        let end = usize::from(slice.total_len()).clamp(header_len, bytes.len().max(header_len));
        let payload = bytes.get(header_len..end).ok_or(ParseError::Truncated)?;
        Ok(Self {
            header: Self::header(&slice),
            options: slice.options(),
            payload,
            header_bytes: slice.slice(),
        })
    }

    /// Whether the header's checksum adds up.
    pub fn checksum_is_valid(&self) -> bool {
        let mut checksum = Checksum::new();
        checksum.add(self.header_bytes);
        checksum.is_valid()
    }

    fn header(slice: &Ipv4HeaderSlice<'_>) -> Ipv4Header {
        Ipv4Header {
            source: slice.source_addr(),
            destination: slice.destination_addr(),
            protocol: Protocol(slice.protocol().0),
            ttl: slice.ttl(),
            traffic_class: (slice.dcp().value() << 2) | slice.ecn().value(),
            identification: slice.identification(),
            dont_fragment: slice.dont_fragment(),
            more_fragments: slice.more_fragments(),
            // 13 bits of 8 bytes fit 16 bits.
            fragment_offset: slice.fragments_offset().value() << 3,
        }
    }
}

impl Ipv4Header {
    /// Whether the packet is a part of a larger one.
    pub const fn is_fragment(&self) -> bool {
        self.more_fragments || self.fragment_offset != 0
    }

    /// Puts the header, with its checksum, in front of `head`; `payload_len` counts all that follows it.
    /// A `payload_len` beyond 65,515 cannot be expressed: a super-segment that the device cuts is sent with the length
    /// saturated.
    pub fn emit(&self, head: &mut HeadBuf, payload_len: usize) {
        head.prepend(&self.to_bytes(payload_len));
    }

    /// The header's bytes, with its checksum.
    pub fn to_bytes(&self, payload_len: usize) -> [u8; IPV4_HEADER_LEN] {
        let total_len = u16::try_from(payload_len + IPV4_HEADER_LEN).unwrap_or(u16::MAX);
        let flags = (u16::from(self.dont_fragment) << 14) | (u16::from(self.more_fragments) << 13);
        let mut bytes = [0; IPV4_HEADER_LEN];
        bytes[0] = 0x45;
        bytes[1] = self.traffic_class;
        bytes[2..4].copy_from_slice(&total_len.to_be_bytes());
        bytes[4..6].copy_from_slice(&self.identification.to_be_bytes());
        bytes[6..8].copy_from_slice(&(flags | (self.fragment_offset >> 3)).to_be_bytes());
        bytes[8] = self.ttl;
        bytes[9] = self.protocol.0;
        bytes[12..16].copy_from_slice(&self.source.octets());
        bytes[16..20].copy_from_slice(&self.destination.octets());
        let mut checksum = Checksum::new();
        checksum.add(&bytes);
        bytes[10..12].copy_from_slice(&checksum.finish());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    prop_compose! {
        fn header()(
            (source, destination) in any::<(u32, u32)>(),
            (protocol, ttl, traffic_class) in any::<(u8, u8, u8)>(),
            identification: u16,
            (dont_fragment, more_fragments) in any::<(bool, bool)>(),
            offset in 0u16..0x2000,
        ) -> Ipv4Header {
            Ipv4Header {
                source: source.into(),
                destination: destination.into(),
                protocol: Protocol(protocol),
                ttl,
                traffic_class,
                identification,
                dont_fragment,
                more_fragments,
                fragment_offset: offset << 3,
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
            let packet = Ipv4Packet::parse(&bytes).unwrap();
            prop_assert_eq!(packet.header, header);
            prop_assert_eq!(packet.payload, &payload[..]);
            prop_assert!(packet.checksum_is_valid());
            let theirs = etherparse::Ipv4Header::from_slice(&bytes).unwrap().0;
            prop_assert_eq!(theirs.calc_header_checksum(), theirs.header_checksum);
            prop_assert!(Ipv4Packet::parse(&bytes[..IPV4_HEADER_LEN + payload.len()]).is_ok());
            if !payload.is_empty() {
                let cut = &bytes[..IPV4_HEADER_LEN + payload.len() - 1];
                prop_assert_eq!(Ipv4Packet::parse(cut).err(), Some(ParseError::Truncated));
                prop_assert_eq!(Ipv4Packet::parse_quoted(cut).unwrap().payload, &payload[..payload.len() - 1]);
            }
        }

        #[test]
        fn any_bytes_parse_or_fail(bytes: Vec<u8>) {
            let _ = Ipv4Packet::parse(&bytes);
            let _ = Ipv4Packet::parse_quoted(&bytes);
        }
    }
}
