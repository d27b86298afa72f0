//! Ethernet II frames (RFC 894, RFC 2464).

use core::fmt;
use core::net::IpAddr;

use etherparse::Ethernet2HeaderSlice;

use crate::{EthernetAddress, HeadBuf, ParseError};

/// Bytes of an Ethernet II header without tags.
pub const ETHERNET_HEADER_LEN: usize = 14;

/// What an Ethernet frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EtherType(pub u16);

impl EtherType {
    /// IPv4.
    pub const IPV4: Self = Self(0x0800);
    /// ARP.
    pub const ARP: Self = Self(0x0806);
    /// An IEEE 802.1Q tag.
    pub const VLAN: Self = Self(0x8100);
    /// IPv6.
    pub const IPV6: Self = Self(0x86dd);
    /// An IEEE 802.1ad service tag.
    pub const SERVICE_VLAN: Self = Self(0x88a8);

    /// The type of frames that carry the version of IP of `address`.
    pub const fn of_ip(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::IPV4,
            IpAddr::V6(_) => Self::IPV6,
        }
    }

    /// Whether the field is in fact an IEEE 802.3 length.
    pub const fn is_length(self) -> bool {
        self.0 < 0x0600
    }
}

impl fmt::Display for EtherType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#06x}", self.0)
    }
}

/// An Ethernet II header.
///
/// ```text
/// | destination (6) | source (6) | type (2) |
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EthernetHeader {
    /// Whom it is for.
    pub destination: EthernetAddress,
    /// Who sent it.
    pub source: EthernetAddress,
    /// What follows.
    pub ether_type: EtherType,
}

/// A received frame.
#[derive(Clone, Copy, Debug)]
pub struct EthernetFrame<'a> {
    /// Its header.
    pub header: EthernetHeader,
    /// What follows the header; frames below 60 bytes were padded, so it may be longer than its content.
    pub payload: &'a [u8],
}

impl<'a> EthernetFrame<'a> {
    /// Reads a frame.
    pub fn parse(frame: &'a [u8]) -> Result<Self, ParseError> {
        let header = Ethernet2HeaderSlice::from_slice(frame).map_err(|_| ParseError::Truncated)?;
        let payload = frame.get(ETHERNET_HEADER_LEN..).ok_or(ParseError::Truncated)?;
        let header = EthernetHeader {
            destination: EthernetAddress(header.destination()),
            source: EthernetAddress(header.source()),
            ether_type: EtherType(header.ether_type().0),
        };
        Ok(Self { header, payload })
    }
}

impl EthernetHeader {
    /// Puts the header in front of `head`.
    pub fn emit(&self, head: &mut HeadBuf) {
        let mut bytes = [0; ETHERNET_HEADER_LEN];
        bytes[..6].copy_from_slice(&self.destination.0);
        bytes[6..12].copy_from_slice(&self.source.0);
        bytes[12..].copy_from_slice(&self.ether_type.0.to_be_bytes());
        head.prepend(&bytes);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn parse_of_emit_is_the_identity(destination: [u8; 6], source: [u8; 6], ether_type: u16, payload: Vec<u8>) {
            let header = EthernetHeader {
                destination: EthernetAddress(destination),
                source: EthernetAddress(source),
                ether_type: EtherType(ether_type),
            };
            let mut head = HeadBuf::new();
            header.emit(&mut head);
            let frame = [head.as_slice(), &payload].concat();
            let parsed = EthernetFrame::parse(&frame).unwrap();
            prop_assert_eq!(parsed.header, header);
            prop_assert_eq!(parsed.payload, &payload[..]);
        }

        #[test]
        fn any_bytes_parse_or_fail(bytes: Vec<u8>) {
            prop_assert_eq!(EthernetFrame::parse(&bytes).is_ok(), bytes.len() >= ETHERNET_HEADER_LEN);
        }
    }
}
