//! ICMP messages for IPv4 (RFC 792).

use core::net::Ipv4Addr;

use etherparse::Icmpv4Slice;

use crate::{Checksum, IcmpErrorKind, ParseError};

/// Bytes of every ICMP message before its data or quote.
pub const ICMPV4_HEADER_LEN: usize = 8;

const ECHO_REPLY: u8 = 0;
const DESTINATION_UNREACHABLE: u8 = 3;
const SOURCE_QUENCH: u8 = 4;
const REDIRECT: u8 = 5;
const ECHO_REQUEST: u8 = 8;
const TIME_EXCEEDED: u8 = 11;
const PARAMETER_PROBLEM: u8 = 12;
/// Timestamp, information and address-mask requests and replies.
const QUERIES: core::ops::RangeInclusive<u8> = 13..=18;

/// An ICMP message.
///
/// ```text
/// |     Type      |     Code      |          Checksum             |
/// |     Identifier and Sequence, MTU, Pointer or Gateway          |
/// |     Data, or the beginning of the packet it is about ...
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Icmpv4Message<'a> {
    /// Type 8: please send this back.
    EchoRequest {
        /// Tells one asker from another.
        identifier: u16,
        /// Tells one question from another.
        sequence: u16,
        /// What is to come back unchanged.
        data: &'a [u8],
    },
    /// Type 0: here it is.
    EchoReply {
        /// As asked.
        identifier: u16,
        /// As asked.
        sequence: u16,
        /// As asked.
        data: &'a [u8],
    },
    /// Types 3, 11 and 12: something went wrong with a packet.
    Error {
        /// What went wrong.
        kind: IcmpErrorKind,
        /// The beginning of the packet: its header and at least 8 bytes.
        quote: &'a [u8],
    },
    /// Type 5: there is a better first hop.
    Redirect {
        /// The better gateway.
        gateway: Ipv4Addr,
        /// The beginning of the packet that took the longer way.
        quote: &'a [u8],
    },
    /// Anything else, source quench (RFC 6633) included.
    Other {
        /// The type.
        message_type: u8,
        /// The code.
        code: u8,
    },
}

impl<'a> Icmpv4Message<'a> {
    /// Reads a message and verifies its checksum.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let slice = Icmpv4Slice::from_slice(bytes).map_err(|_| ParseError::Truncated)?;
        let mut checksum = Checksum::new();
        checksum.add(bytes);
        if !checksum.is_valid() {
            return Err(ParseError::BadChecksum);
        }
        let (message_type, code, rest) = (slice.type_u8(), slice.code_u8(), slice.bytes5to8());
        let tail = bytes.get(ICMPV4_HEADER_LEN..).ok_or(ParseError::Truncated)?;
        let [a, b, c, d] = rest;
        let (identifier, sequence) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        let other = Self::Other { message_type, code };
        Ok(match (message_type, code) {
            (ECHO_REQUEST, 0) => Self::EchoRequest { identifier, sequence, data: tail },
            (ECHO_REPLY, 0) => Self::EchoReply { identifier, sequence, data: tail },
            (REDIRECT, 0..=3) => Self::Redirect { gateway: rest.into(), quote: tail },
            _ => match error_kind(message_type, code, rest) {
                Some(kind) => Self::Error { kind, quote: tail },
                None => other,
            },
        })
    }

    /// The first 8 bytes, with the checksum over the whole message; [`tail`](Self::tail) follows them.
    /// A parameter problem's pointer beyond 255 cannot be expressed and saturates.
    pub fn to_header(&self) -> [u8; ICMPV4_HEADER_LEN] {
        let echo = |identifier: u16, sequence: u16| {
            let ([a, b], [c, d]) = (identifier.to_be_bytes(), sequence.to_be_bytes());
            [a, b, c, d]
        };
        let (message_type, code, rest) = match *self {
            Self::EchoRequest { identifier, sequence, .. } => (ECHO_REQUEST, 0, echo(identifier, sequence)),
            Self::EchoReply { identifier, sequence, .. } => (ECHO_REPLY, 0, echo(identifier, sequence)),
            Self::Error { kind, .. } => error_fields(kind),
            // Network redirects are as good as obsolete (RFC 1812 5.2.7.2).
            Self::Redirect { gateway, .. } => (REDIRECT, 1, gateway.octets()),
            Self::Other { message_type, code } => (message_type, code, [0; 4]),
        };
        let mut bytes = [0; ICMPV4_HEADER_LEN];
        bytes[0] = message_type;
        bytes[1] = code;
        bytes[4..].copy_from_slice(&rest);
        let mut checksum = Checksum::new();
        checksum.add(&bytes);
        checksum.add(self.tail());
        bytes[2..4].copy_from_slice(&checksum.finish());
        bytes
    }

    /// What follows the first 8 bytes.
    pub const fn tail(&self) -> &'a [u8] {
        match *self {
            Self::EchoRequest { data, .. } | Self::EchoReply { data, .. } => data,
            Self::Error { quote, .. } | Self::Redirect { quote, .. } => quote,
            Self::Other { .. } => &[],
        }
    }

    /// Whether a message that begins with these bytes is a question or an answer, and no error; one whose type is
    /// unknown, or cut off, may be an error (RFC 1122 3.2.2).
    pub fn is_query(bytes: &[u8]) -> bool {
        match bytes.first() {
            Some(&message_type) => {
                message_type == ECHO_REQUEST || message_type == ECHO_REPLY || QUERIES.contains(&message_type)
            }
            None => false,
        }
    }

    /// Whether it is a source quench, which everybody ignores (RFC 6633).
    pub const fn is_source_quench(&self) -> bool {
        matches!(self, Self::Other { message_type: SOURCE_QUENCH, .. })
    }
}

fn error_kind(message_type: u8, code: u8, [pointer, _, high, low]: [u8; 4]) -> Option<IcmpErrorKind> {
    Some(match (message_type, code) {
        (DESTINATION_UNREACHABLE, 0 | 6 | 11) => IcmpErrorKind::NetworkUnreachable,
        (DESTINATION_UNREACHABLE, 1 | 7 | 8 | 12) => IcmpErrorKind::HostUnreachable,
        (DESTINATION_UNREACHABLE, 2) => IcmpErrorKind::ProtocolUnreachable,
        (DESTINATION_UNREACHABLE, 3) => IcmpErrorKind::PortUnreachable,
        (DESTINATION_UNREACHABLE, 4) => {
            // A router from before RFC 1191 leaves the field zero.
            let mtu = u16::from_be_bytes([high, low]);
            IcmpErrorKind::PacketTooBig { mtu: (mtu != 0).then_some(mtu) }
        }
        (DESTINATION_UNREACHABLE, 5) => IcmpErrorKind::SourceRouteFailed,
        (DESTINATION_UNREACHABLE, 9 | 10 | 13..=15) => IcmpErrorKind::Prohibited,
        (TIME_EXCEEDED, 0) => IcmpErrorKind::HopLimitExceeded,
        (TIME_EXCEEDED, 1) => IcmpErrorKind::ReassemblyTimeExceeded,
        (PARAMETER_PROBLEM, 0) => IcmpErrorKind::ParameterProblem { pointer: u32::from(pointer) },
        // An option is missing, or a length is wrong: no pointer.
        (PARAMETER_PROBLEM, 1 | 2) => IcmpErrorKind::ParameterProblem { pointer: 0 },
        _ => return None,
    })
}

const fn error_fields(kind: IcmpErrorKind) -> (u8, u8, [u8; 4]) {
    match kind {
        IcmpErrorKind::NetworkUnreachable => (DESTINATION_UNREACHABLE, 0, [0; 4]),
        IcmpErrorKind::HostUnreachable => (DESTINATION_UNREACHABLE, 1, [0; 4]),
        IcmpErrorKind::ProtocolUnreachable => (DESTINATION_UNREACHABLE, 2, [0; 4]),
        IcmpErrorKind::PortUnreachable => (DESTINATION_UNREACHABLE, 3, [0; 4]),
        IcmpErrorKind::PacketTooBig { mtu } => {
            let [high, low] = match mtu {
                Some(mtu) => mtu.to_be_bytes(),
                None => [0; 2],
            };
            (DESTINATION_UNREACHABLE, 4, [0, 0, high, low])
        }
        IcmpErrorKind::SourceRouteFailed => (DESTINATION_UNREACHABLE, 5, [0; 4]),
        IcmpErrorKind::Prohibited => (DESTINATION_UNREACHABLE, 13, [0; 4]),
        IcmpErrorKind::HopLimitExceeded => (TIME_EXCEEDED, 0, [0; 4]),
        IcmpErrorKind::ReassemblyTimeExceeded => (TIME_EXCEEDED, 1, [0; 4]),
        IcmpErrorKind::ParameterProblem { pointer } => {
            let [.., low] = pointer.to_be_bytes();
            (PARAMETER_PROBLEM, 0, [if pointer > 0xff { 0xff } else { low }, 0, 0, 0])
        }
    }
}

#[cfg(test)]
mod tests {
    use etherparse::{Icmpv4Header, Icmpv4Type};
    use proptest::prelude::*;

    use super::*;

    fn kind() -> impl Strategy<Value = IcmpErrorKind> {
        prop_oneof![
            Just(IcmpErrorKind::NetworkUnreachable),
            Just(IcmpErrorKind::HostUnreachable),
            Just(IcmpErrorKind::ProtocolUnreachable),
            Just(IcmpErrorKind::PortUnreachable),
            prop::option::of(1u16..).prop_map(|mtu| IcmpErrorKind::PacketTooBig { mtu }),
            Just(IcmpErrorKind::SourceRouteFailed),
            Just(IcmpErrorKind::Prohibited),
            Just(IcmpErrorKind::HopLimitExceeded),
            Just(IcmpErrorKind::ReassemblyTimeExceeded),
            (0u32..256).prop_map(|pointer| IcmpErrorKind::ParameterProblem { pointer }),
        ]
    }

    fn whole(message: &Icmpv4Message<'_>) -> Vec<u8> {
        [&message.to_header(), message.tail()].concat()
    }

    proptest! {
        #[test]
        fn parse_of_emit_is_the_identity(which in 0usize..5, kind in kind(), (identifier, sequence) in any::<(u16, u16)>(), gateway: u32, tail in prop::collection::vec(any::<u8>(), 0..100)) {
            let message = match which {
                0 => Icmpv4Message::EchoRequest { identifier, sequence, data: &tail },
                1 => Icmpv4Message::EchoReply { identifier, sequence, data: &tail },
                2 => Icmpv4Message::Error { kind, quote: &tail },
                3 => Icmpv4Message::Redirect { gateway: gateway.into(), quote: &tail },
                _ => Icmpv4Message::Other { message_type: 200, code: 3 },
            };
            let bytes = whole(&message);
            prop_assert_eq!(Icmpv4Message::parse(&bytes), Ok(message));
            // An independent reader finds the same type and agrees with the checksum [792-02].
            let (theirs, rest) = Icmpv4Header::from_slice(&bytes).unwrap();
            prop_assert_eq!(theirs.icmp_type.calc_checksum(rest), theirs.checksum);
            match message {
                Icmpv4Message::EchoRequest { .. } => prop_assert!(matches!(theirs.icmp_type, Icmpv4Type::EchoRequest(echo) if echo.id == identifier && echo.seq == sequence)),
                Icmpv4Message::EchoReply { .. } => prop_assert!(matches!(theirs.icmp_type, Icmpv4Type::EchoReply(echo) if echo.id == identifier && echo.seq == sequence)),
                Icmpv4Message::Redirect { .. } => prop_assert!(matches!(theirs.icmp_type, Icmpv4Type::Redirect(redirect) if redirect.gateway_internet_address == gateway.to_be_bytes())),
                Icmpv4Message::Error { .. } | Icmpv4Message::Other { .. } => {}
            }
            let mut broken = bytes;
            broken[1] ^= 0x20;
            prop_assert_eq!(Icmpv4Message::parse(&broken), Err(ParseError::BadChecksum));
        }

        #[test]
        fn any_bytes_parse_or_fail(mut bytes: Vec<u8>) {
            let _ = Icmpv4Message::parse(&bytes);
            if bytes.len() >= ICMPV4_HEADER_LEN {
                bytes[2..4].fill(0);
                let mut checksum = Checksum::new();
                checksum.add(&bytes);
                let sum = checksum.finish();
                bytes[2..4].copy_from_slice(&sum);
                let ours = Icmpv4Message::parse(&bytes);
                prop_assert_eq!(ours.is_ok(), Icmpv4Slice::from_slice(&bytes).is_ok());
            }
        }
    }

    #[test]
    fn codes_have_their_kinds() {
        let check = |message_type: u8, code: u8, rest: [u8; 4], expected: Option<IcmpErrorKind>| {
            assert_eq!(error_kind(message_type, code, rest), expected, "{message_type}/{code}");
        };
        check(3, 0, [0; 4], Some(IcmpErrorKind::NetworkUnreachable));
        check(3, 7, [0; 4], Some(IcmpErrorKind::HostUnreachable));
        check(3, 4, [0, 0, 5, 0xdc], Some(IcmpErrorKind::PacketTooBig { mtu: Some(1500) }));
        check(3, 4, [0; 4], Some(IcmpErrorKind::PacketTooBig { mtu: None }));
        check(3, 10, [0; 4], Some(IcmpErrorKind::Prohibited));
        check(3, 16, [0; 4], None);
        check(11, 2, [0; 4], None);
        check(12, 0, [20, 0, 0, 0], Some(IcmpErrorKind::ParameterProblem { pointer: 20 }));
        check(4, 0, [0; 4], None);
    }
}
