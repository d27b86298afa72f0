//! ARP packets for IPv4 on Ethernet (RFC 826, RFC 5227).

use core::net::Ipv4Addr;

use etherparse::ArpPacketSlice;

use crate::{EtherType, EthernetAddress, HeadBuf, ParseError};

/// Bytes of an ARP packet for IPv4 on Ethernet.
pub const ARP_PACKET_LEN: usize = 28;

const HARDWARE_ETHERNET: u16 = 1;
const LINK_ADDRESS_LEN: u8 = 6;
const IP_ADDRESS_LEN: u8 = 4;

/// What an ARP packet does. RFC 826's `ar$op`; the other numbers belong to RARP, InARP and experiments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArpOperation {
    /// Asks for the link address of the target.
    Request,
    /// Tells the link address of the sender.
    Reply,
}

impl ArpOperation {
    const fn number(self) -> u16 {
        match self {
            Self::Request => 1,
            Self::Reply => 2,
        }
    }
}

/// An ARP packet.
///
/// ```text
/// |    hardware type (1: Ethernet)    |    protocol type (0x0800: IPv4)   |
/// | hardware len (6) | protocol len (4) |        operation               |
/// |                     sender's link address (6)                         |
/// |                     sender's IP address (4)                           |
/// |                     target's link address (6)                         |
/// |                     target's IP address (4)                           |
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArpPacket {
    /// Request or reply: `ar$op`.
    pub operation: ArpOperation,
    /// `ar$sha`.
    pub sender_link: EthernetAddress,
    /// `ar$spa`; unspecified in a probe (RFC 5227 2.1.1).
    pub sender_ip: Ipv4Addr,
    /// `ar$tha`; says nothing in a request.
    pub target_link: EthernetAddress,
    /// `ar$tpa`.
    pub target_ip: Ipv4Addr,
}

impl ArpPacket {
    /// Reads a packet. What follows it is link padding, and ignored.
    ///
    /// [`ParseError::BadValue`] is a packet for other hardware, another protocol or another operation;
    /// [`ParseError::BadLength`] one whose address lengths contradict its types.
    // [826-03]
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let slice = ArpPacketSlice::from_slice(bytes).map_err(|_| ParseError::Truncated)?;
        if slice.hw_addr_type().0 != HARDWARE_ETHERNET || slice.proto_addr_type().0 != EtherType::IPV4.0 {
            return Err(ParseError::BadValue);
        }
        let operation = match slice.operation().0 {
            1 => ArpOperation::Request,
            2 => ArpOperation::Reply,
            _ => return Err(ParseError::BadValue),
        };
        let link =
            |address: &[u8]| address.try_into().map(EthernetAddress).map_err(|_| ParseError::BadLength);
        let ip = |address: &[u8]| {
            <[u8; 4]>::try_from(address).map(Ipv4Addr::from).map_err(|_| ParseError::BadLength)
        };
        Ok(Self {
            operation,
            sender_link: link(slice.sender_hw_addr())?,
            sender_ip: ip(slice.sender_protocol_addr())?,
            target_link: link(slice.target_hw_addr())?,
            target_ip: ip(slice.target_protocol_addr())?,
        })
    }

    /// The packet's bytes.
    // [826-02]
    pub fn to_bytes(&self) -> [u8; ARP_PACKET_LEN] {
        let mut bytes = [0; ARP_PACKET_LEN];
        bytes[..2].copy_from_slice(&HARDWARE_ETHERNET.to_be_bytes());
        bytes[2..4].copy_from_slice(&EtherType::IPV4.0.to_be_bytes());
        bytes[4] = LINK_ADDRESS_LEN;
        bytes[5] = IP_ADDRESS_LEN;
        bytes[6..8].copy_from_slice(&self.operation.number().to_be_bytes());
        bytes[8..14].copy_from_slice(&self.sender_link.0);
        bytes[14..18].copy_from_slice(&self.sender_ip.octets());
        bytes[18..24].copy_from_slice(&self.target_link.0);
        bytes[24..].copy_from_slice(&self.target_ip.octets());
        bytes
    }

    /// Puts the packet in front of `head`.
    pub fn emit(&self, head: &mut HeadBuf) {
        head.prepend(&self.to_bytes());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packet() -> impl Strategy<Value = ArpPacket> {
        any::<(bool, [u8; 6], [u8; 4], [u8; 6], [u8; 4])>().prop_map(|(reply, sha, spa, tha, tpa)| {
            ArpPacket {
                operation: if reply { ArpOperation::Reply } else { ArpOperation::Request },
                sender_link: EthernetAddress(sha),
                sender_ip: spa.into(),
                target_link: EthernetAddress(tha),
                target_ip: tpa.into(),
            }
        })
    }

    proptest! {
        #[test]
        fn parse_of_emit_is_the_identity(packet in packet(), padding: Vec<u8>) {
            let mut head = HeadBuf::new();
            packet.emit(&mut head);
            prop_assert_eq!(head.as_slice(), packet.to_bytes());
            prop_assert_eq!(ArpPacket::parse(&[head.as_slice(), &padding].concat()), Ok(packet));
        }

        // [826-02]
        #[test]
        fn etherparse_reads_what_we_emit(packet in packet()) {
            let bytes = packet.to_bytes();
            let slice = ArpPacketSlice::from_slice(&bytes).unwrap();
            prop_assert_eq!(slice.slice().len(), ARP_PACKET_LEN);
            let theirs = slice.to_packet().try_eth_ipv4().unwrap();
            prop_assert_eq!(theirs.operation.0, packet.operation.number());
            prop_assert_eq!(theirs.sender_mac, packet.sender_link.0);
            prop_assert_eq!(theirs.sender_ipv4, packet.sender_ip.octets());
            prop_assert_eq!(theirs.target_mac, packet.target_link.0);
            prop_assert_eq!(theirs.target_ipv4, packet.target_ip.octets());
        }

        #[test]
        fn any_bytes_parse_or_fail(bytes: Vec<u8>) {
            let _ = ArpPacket::parse(&bytes);
        }

        #[test]
        fn a_cut_packet_is_truncated(packet in packet(), len in 0..ARP_PACKET_LEN) {
            prop_assert_eq!(ArpPacket::parse(&packet.to_bytes()[..len]), Err(ParseError::Truncated));
        }
    }

    // [826-03]
    #[test]
    fn other_networks_and_operations_are_refused() {
        let packet = ArpPacket {
            operation: ArpOperation::Request,
            sender_link: EthernetAddress([2, 0, 0, 0, 0, 1]),
            sender_ip: Ipv4Addr::new(10, 0, 0, 1),
            target_link: EthernetAddress::UNSPECIFIED,
            target_ip: Ipv4Addr::new(10, 0, 0, 2),
        };
        let check = |position: usize, value: u8, expected: ParseError| {
            let mut bytes = [0; 2 * ARP_PACKET_LEN];
            bytes[..ARP_PACKET_LEN].copy_from_slice(&packet.to_bytes());
            bytes[position] = value;
            assert_eq!(ArpPacket::parse(&bytes), Err(expected), "byte {position} = {value}");
        };
        check(1, 6, ParseError::BadValue);
        check(3, 6, ParseError::BadValue);
        check(4, 8, ParseError::BadLength);
        check(5, 16, ParseError::BadLength);
        check(7, 0, ParseError::BadValue);
        check(7, 3, ParseError::BadValue);
        check(7, 8, ParseError::BadValue);
    }
}
