//! ICMPv6 messages (RFC 4443), but for those of neighbour discovery and listener discovery.

use core::net::Ipv6Addr;

use etherparse::Icmpv6Slice;

use crate::{Checksum, IcmpErrorKind, MldQuery, NdpMessage, ParseError};

/// Bytes of every ICMPv6 message before its data, quote or body.
pub const ICMPV6_HEADER_LEN: usize = 8;

const DESTINATION_UNREACHABLE: u8 = 1;
const PACKET_TOO_BIG: u8 = 2;
const TIME_EXCEEDED: u8 = 3;
const PARAMETER_PROBLEM: u8 = 4;
const ECHO_REQUEST: u8 = 128;
const ECHO_REPLY: u8 = 129;
const LISTENER_QUERY: u8 = 130;
const NEIGHBOR_DISCOVERY: core::ops::RangeInclusive<u8> = 133..=137;
const REDIRECT: u8 = 137;

/// What a parameter problem complains about: its code (RFC 4443 3.4, RFC 7112 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Icmpv6Parameter {
    /// Code 0: a field with a wrong value.
    HeaderField,
    /// Code 1: a next header that the host does not know.
    NextHeader,
    /// Code 2: an option that the host does not know.
    Option,
    /// Code 3: the first fragment ends before the transport's header.
    IncompleteHeaderChain,
}

/// An ICMPv6 message.
///
/// ```text
/// |     Type      |     Code      |          Checksum             |
/// |     Identifier and Sequence, MTU, or Pointer                  |
/// |     Data, or the beginning of the packet it is about ...
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Icmpv6Message<'a> {
    /// Type 128: please send this back.
    EchoRequest {
        /// Tells one asker from another.
        identifier: u16,
        /// Tells one question from another.
        sequence: u16,
        /// What is to come back unchanged.
        data: &'a [u8],
    },
    /// Type 129: here it is.
    EchoReply {
        /// As asked.
        identifier: u16,
        /// As asked.
        sequence: u16,
        /// As asked.
        data: &'a [u8],
    },
    /// Types 1 to 3: something went wrong with a packet.
    Error {
        /// What went wrong; a parameter problem has a variant of its own.
        kind: IcmpErrorKind,
        /// The beginning of the packet.
        quote: &'a [u8],
    },
    /// Type 4: something in a packet's headers was not understood.
    ParameterProblem {
        /// What kind of thing.
        parameter: Icmpv6Parameter,
        /// Where it is, in bytes from the start of the packet.
        pointer: u32,
        /// The beginning of the packet.
        quote: &'a [u8],
    },
    /// Types 133 to 137.
    Ndp(NdpMessage<'a>),
    /// Type 130.
    MldQuery(MldQuery),
    /// Anything else; types below 128 are errors.
    Other {
        /// The type.
        message_type: u8,
        /// The code.
        code: u8,
    },
}

impl<'a> Icmpv6Message<'a> {
    /// Reads a message and verifies its checksum, which covers the addresses of the packet that carried it.
    pub fn parse(bytes: &'a [u8], source: Ipv6Addr, destination: Ipv6Addr) -> Result<Self, ParseError> {
        let slice = Icmpv6Slice::from_slice(bytes).map_err(|_| ParseError::Truncated)?;
        // [4443-03]
        if !Checksum::icmpv6(source, destination, bytes.len(), &[bytes]).is_valid() {
            return Err(ParseError::BadChecksum);
        }
        let (message_type, code, rest) = (slice.type_u8(), slice.code_u8(), slice.bytes5to8());
        let tail = bytes.get(ICMPV6_HEADER_LEN..).ok_or(ParseError::Truncated)?;
        let [a, b, c, d] = rest;
        let (identifier, sequence) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        if NEIGHBOR_DISCOVERY.contains(&message_type) {
            return NdpMessage::parse(message_type, code, rest, tail).map(Self::Ndp);
        }
        Ok(match (message_type, code) {
            (ECHO_REQUEST, 0) => Self::EchoRequest { identifier, sequence, data: tail },
            (ECHO_REPLY, 0) => Self::EchoReply { identifier, sequence, data: tail },
            (LISTENER_QUERY, 0) => Self::MldQuery(MldQuery::parse(rest, tail)?),
            (PARAMETER_PROBLEM, _) => match parameter(code) {
                Some(parameter) => {
                    Self::ParameterProblem { parameter, pointer: u32::from_be_bytes(rest), quote: tail }
                }
                None => Self::Other { message_type, code },
            },
            _ => match error_kind(message_type, code, rest) {
                Some(kind) => Self::Error { kind, quote: tail },
                None => Self::Other { message_type, code },
            },
        })
    }

    /// The first 8 bytes, with the checksum over the whole message; [`tail`](Self::tail) follows them. Messages of
    /// neighbour and listener discovery are written by their own types; here they come out empty.
    pub fn to_header(&self, source: Ipv6Addr, destination: Ipv6Addr) -> [u8; ICMPV6_HEADER_LEN] {
        let echo = |identifier: u16, sequence: u16| {
            let ([a, b], [c, d]) = (identifier.to_be_bytes(), sequence.to_be_bytes());
            [a, b, c, d]
        };
        let (message_type, code, rest) = match *self {
            Self::EchoRequest { identifier, sequence, .. } => (ECHO_REQUEST, 0, echo(identifier, sequence)),
            Self::EchoReply { identifier, sequence, .. } => (ECHO_REPLY, 0, echo(identifier, sequence)),
            Self::Error { kind, .. } => error_fields(kind),
            Self::ParameterProblem { parameter, pointer, .. } => {
                (PARAMETER_PROBLEM, parameter_code(parameter), pointer.to_be_bytes())
            }
            Self::Ndp(message) => (message.message_type(), 0, [0; 4]),
            Self::MldQuery(_) => (LISTENER_QUERY, 0, [0; 4]),
            Self::Other { message_type, code } => (message_type, code, [0; 4]),
        };
        let mut bytes = [0; ICMPV6_HEADER_LEN];
        bytes[0] = message_type;
        bytes[1] = code;
        bytes[4..].copy_from_slice(&rest);
        let tail = self.tail();
        let sum = Checksum::icmpv6(source, destination, bytes.len() + tail.len(), &[&bytes, tail]).finish();
        bytes[2..4].copy_from_slice(&sum);
        bytes
    }

    /// What follows the first 8 bytes.
    pub const fn tail(&self) -> &'a [u8] {
        match *self {
            Self::EchoRequest { data, .. } | Self::EchoReply { data, .. } => data,
            Self::Error { quote, .. } | Self::ParameterProblem { quote, .. } => quote,
            Self::Ndp(_) | Self::MldQuery(_) | Self::Other { .. } => &[],
        }
    }

    /// Whether a message that begins with these bytes may be answered by an error: it is neither an error itself nor
    /// a redirect, and it is not cut off before its type (RFC 4443 2.4 (e)).
    pub fn may_be_complained_about(bytes: &[u8]) -> bool {
        bytes.first().is_some_and(|&message_type| message_type >= 128 && message_type != REDIRECT)
    }
}

fn error_kind(message_type: u8, code: u8, rest: [u8; 4]) -> Option<IcmpErrorKind> {
    Some(match (message_type, code) {
        // Code 2: the destination lies beyond the source address's scope, so there is no way to it.
        (DESTINATION_UNREACHABLE, 0 | 2) => IcmpErrorKind::NetworkUnreachable,
        (DESTINATION_UNREACHABLE, 1 | 5 | 6) => IcmpErrorKind::Prohibited,
        (DESTINATION_UNREACHABLE, 3) => IcmpErrorKind::HostUnreachable,
        (DESTINATION_UNREACHABLE, 4) => IcmpErrorKind::PortUnreachable,
        (DESTINATION_UNREACHABLE, 7) => IcmpErrorKind::SourceRouteFailed,
        // The code is to be ignored (RFC 4443 3.2).
        (PACKET_TOO_BIG, _) => {
            let mtu = u32::from_be_bytes(rest);
            IcmpErrorKind::PacketTooBig { mtu: Some(u16::try_from(mtu).unwrap_or(u16::MAX)) }
        }
        (TIME_EXCEEDED, 0) => IcmpErrorKind::HopLimitExceeded,
        (TIME_EXCEEDED, 1) => IcmpErrorKind::ReassemblyTimeExceeded,
        _ => return None,
    })
}

fn error_fields(kind: IcmpErrorKind) -> (u8, u8, [u8; 4]) {
    match kind {
        IcmpErrorKind::NetworkUnreachable => (DESTINATION_UNREACHABLE, 0, [0; 4]),
        IcmpErrorKind::Prohibited => (DESTINATION_UNREACHABLE, 1, [0; 4]),
        IcmpErrorKind::HostUnreachable => (DESTINATION_UNREACHABLE, 3, [0; 4]),
        IcmpErrorKind::PortUnreachable => (DESTINATION_UNREACHABLE, 4, [0; 4]),
        IcmpErrorKind::SourceRouteFailed => (DESTINATION_UNREACHABLE, 7, [0; 4]),
        IcmpErrorKind::PacketTooBig { mtu } => {
            (PACKET_TOO_BIG, 0, u32::from(mtu.unwrap_or_default()).to_be_bytes())
        }
        IcmpErrorKind::HopLimitExceeded => (TIME_EXCEEDED, 0, [0; 4]),
        IcmpErrorKind::ReassemblyTimeExceeded => (TIME_EXCEEDED, 1, [0; 4]),
        IcmpErrorKind::ParameterProblem { pointer } => (PARAMETER_PROBLEM, 0, pointer.to_be_bytes()),
        // Without a pointer there is only the start of the packet's first next-header field to point to.
        IcmpErrorKind::ProtocolUnreachable => (PARAMETER_PROBLEM, 1, 6u32.to_be_bytes()),
    }
}

const fn parameter(code: u8) -> Option<Icmpv6Parameter> {
    Some(match code {
        0 => Icmpv6Parameter::HeaderField,
        1 => Icmpv6Parameter::NextHeader,
        2 => Icmpv6Parameter::Option,
        3 => Icmpv6Parameter::IncompleteHeaderChain,
        _ => return None,
    })
}

const fn parameter_code(parameter: Icmpv6Parameter) -> u8 {
    match parameter {
        Icmpv6Parameter::HeaderField => 0,
        Icmpv6Parameter::NextHeader => 1,
        Icmpv6Parameter::Option => 2,
        Icmpv6Parameter::IncompleteHeaderChain => 3,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kind() -> impl Strategy<Value = IcmpErrorKind> {
        prop_oneof![
            Just(IcmpErrorKind::NetworkUnreachable),
            Just(IcmpErrorKind::HostUnreachable),
            Just(IcmpErrorKind::PortUnreachable),
            Just(IcmpErrorKind::SourceRouteFailed),
            any::<u16>().prop_map(|mtu| IcmpErrorKind::PacketTooBig { mtu: Some(mtu) }),
            Just(IcmpErrorKind::Prohibited),
            Just(IcmpErrorKind::HopLimitExceeded),
            Just(IcmpErrorKind::ReassemblyTimeExceeded),
        ]
    }

    proptest! {
        #[test]
        fn parse_of_emit_is_the_identity(which in 0usize..5, kind in kind(), (identifier, sequence, pointer) in any::<(u16, u16, u32)>(), code in 0u8..4, (source, destination) in any::<(u128, u128)>(), tail in prop::collection::vec(any::<u8>(), 0..100)) {
            let (source, destination) = (Ipv6Addr::from_bits(source), Ipv6Addr::from_bits(destination));
            let message = match which {
                0 => Icmpv6Message::EchoRequest { identifier, sequence, data: &tail },
                1 => Icmpv6Message::EchoReply { identifier, sequence, data: &tail },
                2 => Icmpv6Message::Error { kind, quote: &tail },
                3 => Icmpv6Message::ParameterProblem { parameter: parameter(code).unwrap(), pointer, quote: &tail },
                _ => Icmpv6Message::Other { message_type: 200, code: 3 },
            };
            let bytes = [&message.to_header(source, destination), message.tail()].concat();
            prop_assert_eq!(Icmpv6Message::parse(&bytes, source, destination), Ok(message));
            let theirs = Icmpv6Slice::from_slice(&bytes).unwrap();
            prop_assert!(theirs.is_checksum_valid(source.octets(), destination.octets()));
            match (message, theirs.icmp_type()) {
                (Icmpv6Message::EchoRequest { .. }, etherparse::Icmpv6Type::EchoRequest(echo))
                | (Icmpv6Message::EchoReply { .. }, etherparse::Icmpv6Type::EchoReply(echo)) => {
                    prop_assert_eq!((echo.id, echo.seq), (identifier, sequence));
                }
                (Icmpv6Message::EchoRequest { .. } | Icmpv6Message::EchoReply { .. }, other) => {
                    prop_assert!(false, "{:?}", other);
                }
                _ => {}
            }
            let mut broken = bytes;
            broken[1] ^= 0x20;
            prop_assert_eq!(Icmpv6Message::parse(&broken, source, destination), Err(ParseError::BadChecksum));
        }

        #[test]
        fn any_bytes_parse_or_fail(mut bytes: Vec<u8>, message_type in 0u8..150, (source, destination) in any::<(u128, u128)>()) {
            let (source, destination) = (Ipv6Addr::from_bits(source), Ipv6Addr::from_bits(destination));
            let _ = Icmpv6Message::parse(&bytes, source, destination);
            if bytes.len() >= ICMPV6_HEADER_LEN {
                bytes[0] = message_type;
                bytes[2..4].fill(0);
                let sum = Checksum::icmpv6(source, destination, bytes.len(), &[&bytes]).finish();
                bytes[2..4].copy_from_slice(&sum);
                prop_assert_ne!(Icmpv6Message::parse(&bytes, source, destination), Err(ParseError::BadChecksum));
            }
        }
    }

    #[test]
    fn a_huge_mtu_saturates() {
        let expected = Some(IcmpErrorKind::PacketTooBig { mtu: Some(u16::MAX) });
        assert_eq!(error_kind(2, 7, [0, 1, 0, 0]), expected);
    }

    #[test]
    fn errors_and_redirects_are_not_complained_about() {
        // [4443-08]
        for (message_type, expected) in [(1, false), (127, false), (128, true), (135, true), (137, false)] {
            assert_eq!(Icmpv6Message::may_be_complained_about(&[message_type]), expected, "{message_type}");
        }
        assert!(!Icmpv6Message::may_be_complained_about(&[]));
    }
}
