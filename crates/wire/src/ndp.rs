//! Messages and options of IPv6 neighbour discovery (RFC 4861 4).

use core::net::Ipv6Addr;

use crate::{Checksum, EthernetAddress, ParseError};

const ROUTER_SOLICITATION: u8 = 133;
const ROUTER_ADVERTISEMENT: u8 = 134;
const NEIGHBOR_SOLICITATION: u8 = 135;
const NEIGHBOR_ADVERTISEMENT: u8 = 136;
const REDIRECT: u8 = 137;

const SOURCE_LINK_ADDRESS: u8 = 1;
const TARGET_LINK_ADDRESS: u8 = 2;
const PREFIX_INFORMATION: u8 = 3;
const MTU: u8 = 5;

/// Bytes in a unit of an option's length field.
const OPTION_UNIT: usize = 8;

/// A message of neighbour discovery. Its code was zero and its options were walked, so that none has length zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NdpMessage<'a> {
    /// Type 133: which routers are there?
    RouterSolicitation {
        /// Source link address.
        options: NdpOptions<'a>,
    },
    /// Type 134: I am a router.
    RouterAdvertisement {
        /// Hop limit to send with; zero says nothing.
        hop_limit: u8,
        /// How long it may be a default router, in seconds; zero: not at all.
        router_lifetime_secs: u16,
        /// How long a neighbour counts as reachable, in milliseconds; zero says nothing.
        reachable_time_millis: u32,
        /// Time between solicitations, in milliseconds; zero says nothing.
        retransmit_millis: u32,
        /// Source link address, MTU, prefixes.
        options: NdpOptions<'a>,
    },
    /// Type 135: who has the target?
    NeighborSolicitation {
        /// The address asked for.
        target: Ipv6Addr,
        /// Source link address.
        options: NdpOptions<'a>,
    },
    /// Type 136: here is the target.
    NeighborAdvertisement {
        /// The address told about.
        target: Ipv6Addr,
        /// R: the sender is a router.
        router: bool,
        /// S: it answers a question.
        solicited: bool,
        /// O: it may replace what is known.
        override_: bool,
        /// Target link address.
        options: NdpOptions<'a>,
    },
    /// Type 137: there is a better first hop.
    Redirect {
        /// The better first hop, or the destination itself if it is a neighbour.
        target: Ipv6Addr,
        /// What the better way leads to.
        destination: Ipv6Addr,
        /// Target link address, the packet that took the longer way.
        options: NdpOptions<'a>,
    },
}

/// The options of a message, walked once: every length is beyond zero and inside the message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NdpOptions<'a> {
    bytes: &'a [u8],
}

/// A prefix that a router advertises (RFC 4861 4.6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NdpPrefix {
    /// The prefix; bits beyond its length mean nothing.
    pub prefix: Ipv6Addr,
    /// Its length in bits, up to 128.
    pub prefix_len: u8,
    /// L: addresses in it are neighbours.
    pub on_link: bool,
    /// A: hosts may make themselves addresses in it.
    pub autonomous: bool,
    /// How long it is valid, in seconds; all ones: for ever.
    pub valid_secs: u32,
    /// How long addresses in it are preferred, in seconds.
    pub preferred_secs: u32,
}

impl<'a> NdpOptions<'a> {
    /// None.
    pub const EMPTY: Self = Self { bytes: &[] };

    fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let len = usize::from(*rest.get(1).ok_or(ParseError::Truncated)?) * OPTION_UNIT;
            if len == 0 {
                // [4861-01]
                return Err(ParseError::BadOption);
            }
            rest = rest.get(len..).ok_or(ParseError::Truncated)?;
        }
        Ok(Self { bytes })
    }

    /// Each option's type and its bytes after type and length. Those of unknown type are there for the caller to skip
    /// [4861-02].
    pub fn iter(self) -> impl Iterator<Item = (u8, &'a [u8])> {
        let mut rest = self.bytes;
        core::iter::from_fn(move || {
            let (&[kind, units], _) = rest.split_first_chunk::<2>()?;
            let (option, after) = rest.split_at_checked((usize::from(units) * OPTION_UNIT).max(2))?;
            rest = after;
            Some((kind, option.get(2..)?))
        })
    }

    /// The sender's link address.
    pub fn source_link(self) -> Option<EthernetAddress> {
        self.link_address(SOURCE_LINK_ADDRESS)
    }

    /// The target's link address.
    pub fn target_link(self) -> Option<EthernetAddress> {
        self.link_address(TARGET_LINK_ADDRESS)
    }

    /// The link's MTU.
    pub fn mtu(self) -> Option<u32> {
        self.iter().find(|&(kind, _)| kind == MTU).and_then(|(_, body)| {
            let bytes = body.get(2..)?.first_chunk::<4>()?;
            Some(u32::from_be_bytes(*bytes))
        })
    }

    /// The prefixes; malformed ones are left out.
    pub fn prefixes(self) -> impl Iterator<Item = NdpPrefix> + 'a {
        self.iter().filter(|&(kind, _)| kind == PREFIX_INFORMATION).filter_map(|(_, body)| {
            let (&[prefix_len, flags], rest) = body.split_first_chunk::<2>()?;
            let (valid, rest) = rest.split_first_chunk::<4>()?;
            let (preferred, rest) = rest.split_first_chunk::<4>()?;
            let prefix = rest.get(4..)?.first_chunk::<16>()?;
            (prefix_len <= 128).then_some(NdpPrefix {
                prefix: Ipv6Addr::from(*prefix),
                prefix_len,
                on_link: flags & 0x80 != 0,
                autonomous: flags & 0x40 != 0,
                valid_secs: u32::from_be_bytes(*valid),
                preferred_secs: u32::from_be_bytes(*preferred),
            })
        })
    }

    /// An Ethernet address has one unit exactly; another length is another kind of link's.
    fn link_address(self, wanted: u8) -> Option<EthernetAddress> {
        let (_, body) = self.iter().find(|&(kind, _)| kind == wanted)?;
        <[u8; 6]>::try_from(body).ok().map(EthernetAddress)
    }
}

impl<'a> NdpMessage<'a> {
    /// Reads what follows type, code and checksum: four bytes and the rest.
    pub(crate) fn parse(
        message_type: u8,
        code: u8,
        [first, second, third, fourth]: [u8; 4],
        tail: &'a [u8],
    ) -> Result<Self, ParseError> {
        if code != 0 {
            return Err(ParseError::BadValue);
        }
        let (target, after_target) = match tail.split_first_chunk::<16>() {
            Some((target, rest)) => (Ok(Ipv6Addr::from(*target)), rest),
            None => (Err(ParseError::Truncated), tail),
        };
        match message_type {
            ROUTER_SOLICITATION => Ok(Self::RouterSolicitation { options: NdpOptions::parse(tail)? }),
            ROUTER_ADVERTISEMENT => {
                let (reachable, rest) = tail.split_first_chunk::<4>().ok_or(ParseError::Truncated)?;
                let (retransmit, rest) = rest.split_first_chunk::<4>().ok_or(ParseError::Truncated)?;
                // `second` holds the flags M and O, which ask for DHCPv6.
                let _ = second;
                Ok(Self::RouterAdvertisement {
                    hop_limit: first,
                    router_lifetime_secs: u16::from_be_bytes([third, fourth]),
                    reachable_time_millis: u32::from_be_bytes(*reachable),
                    retransmit_millis: u32::from_be_bytes(*retransmit),
                    options: NdpOptions::parse(rest)?,
                })
            }
            NEIGHBOR_SOLICITATION => {
                Ok(Self::NeighborSolicitation { target: target?, options: NdpOptions::parse(after_target)? })
            }
            NEIGHBOR_ADVERTISEMENT => Ok(Self::NeighborAdvertisement {
                target: target?,
                router: first & 0x80 != 0,
                solicited: first & 0x40 != 0,
                override_: first & 0x20 != 0,
                options: NdpOptions::parse(after_target)?,
            }),
            REDIRECT => {
                let (destination, rest) =
                    after_target.split_first_chunk::<16>().ok_or(ParseError::Truncated)?;
                Ok(Self::Redirect {
                    target: target?,
                    destination: Ipv6Addr::from(*destination),
                    options: NdpOptions::parse(rest)?,
                })
            }
            _ => Err(ParseError::BadValue),
        }
    }

    /// The ICMPv6 type.
    pub const fn message_type(&self) -> u8 {
        match self {
            Self::RouterSolicitation { .. } => ROUTER_SOLICITATION,
            Self::RouterAdvertisement { .. } => ROUTER_ADVERTISEMENT,
            Self::NeighborSolicitation { .. } => NEIGHBOR_SOLICITATION,
            Self::NeighborAdvertisement { .. } => NEIGHBOR_ADVERTISEMENT,
            Self::Redirect { .. } => REDIRECT,
        }
    }
}

/// A neighbour solicitation, ready to be sent from `source` to `destination`. Without a `link` it has no source link
/// address, as it must when `source` is unspecified [4861-09].
pub fn neighbor_solicitation(
    source: Ipv6Addr,
    destination: Ipv6Addr,
    target: Ipv6Addr,
    link: Option<EthernetAddress>,
) -> Vec<u8> {
    emit(source, destination, NEIGHBOR_SOLICITATION, 0, target, link.map(|link| (SOURCE_LINK_ADDRESS, link)))
}

/// A neighbour advertisement of a host, not a router's, unless `router` says so.
pub fn neighbor_advertisement(
    source: Ipv6Addr,
    destination: Ipv6Addr,
    target: Ipv6Addr,
    flags: NeighborFlags,
    link: EthernetAddress,
) -> Vec<u8> {
    let NeighborFlags { router, solicited, override_ } = flags;
    let bits = (u8::from(router) << 7) | (u8::from(solicited) << 6) | (u8::from(override_) << 5);
    emit(source, destination, NEIGHBOR_ADVERTISEMENT, bits, target, Some((TARGET_LINK_ADDRESS, link)))
}

/// The flags of a neighbour advertisement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NeighborFlags {
    /// R: the sender is a router.
    pub router: bool,
    /// S: it answers a question.
    pub solicited: bool,
    /// O: it may replace what is known.
    pub override_: bool,
}

fn emit(
    source: Ipv6Addr,
    destination: Ipv6Addr,
    message_type: u8,
    flags: u8,
    target: Ipv6Addr,
    link: Option<(u8, EthernetAddress)>,
) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(32);
    bytes.extend([message_type, 0, 0, 0, flags, 0, 0, 0]);
    bytes.extend(target.octets());
    if let Some((kind, link)) = link {
        bytes.extend([kind, 1]);
        bytes.extend(link.0);
    }
    let sum = Checksum::icmpv6(source, destination, bytes.len(), &[&bytes]).finish();
    bytes[2..4].copy_from_slice(&sum);
    bytes
}

#[cfg(test)]
mod tests {
    use etherparse::icmpv6::Icmpv6PayloadSlice;
    use etherparse::{Icmpv6Slice, Icmpv6Type};
    use proptest::prelude::*;

    use super::*;
    use crate::Icmpv6Message;

    fn address() -> impl Strategy<Value = Ipv6Addr> {
        any::<u128>().prop_map(Ipv6Addr::from_bits)
    }

    proptest! {
        #[test]
        fn solicitations_are_read_back(source in address(), destination in address(), wanted in address(), link in prop::option::of(any::<[u8; 6]>())) {
            let link = link.map(EthernetAddress);
            let bytes = neighbor_solicitation(source, destination, wanted, link);
            let parsed = Icmpv6Message::parse(&bytes, source, destination).unwrap();
            let Icmpv6Message::Ndp(NdpMessage::NeighborSolicitation { target, options }) = parsed else { panic!("{parsed:?}") };
            prop_assert_eq!((target, options.source_link(), options.target_link()), (wanted, link, None));
            let theirs = Icmpv6Slice::from_slice(&bytes).unwrap();
            prop_assert_eq!(theirs.icmp_type(), Icmpv6Type::NeighborSolicitation);
            let Ok(Icmpv6PayloadSlice::NeighborSolicitation(payload)) = theirs.payload_slice() else { panic!("not read") };
            prop_assert_eq!(payload.target_address(), wanted);
        }

        #[test]
        fn advertisements_are_read_back(source in address(), destination in address(), wanted in address(), link: [u8; 6], (router, solicited, override_) in any::<(bool, bool, bool)>()) {
            let link = EthernetAddress(link);
            let flags = NeighborFlags { router, solicited, override_ };
            let bytes = neighbor_advertisement(source, destination, wanted, flags, link);
            let parsed = Icmpv6Message::parse(&bytes, source, destination).unwrap();
            let Icmpv6Message::Ndp(NdpMessage::NeighborAdvertisement { target, router: r, solicited: s, override_: o, options }) = parsed else { panic!("{parsed:?}") };
            prop_assert_eq!((target, r, s, o, options.target_link()), (wanted, router, solicited, override_, Some(link)));
            let theirs = Icmpv6Slice::from_slice(&bytes).unwrap();
            let Icmpv6Type::NeighborAdvertisement(header) = theirs.icmp_type() else { panic!("not read") };
            prop_assert_eq!((header.router, header.solicited, header.r#override), (router, solicited, override_));
        }

        #[test]
        fn any_bytes_parse_or_fail(message_type in 130u8..140, code in 0u8..2, rest: [u8; 4], tail: Vec<u8>) {
            if let Ok(message) = NdpMessage::parse(message_type, code, rest, &tail) {
                let (NdpMessage::RouterSolicitation { options }
                | NdpMessage::RouterAdvertisement { options, .. }
                | NdpMessage::NeighborSolicitation { options, .. }
                | NdpMessage::NeighborAdvertisement { options, .. }
                | NdpMessage::Redirect { options, .. }) = message;
                let walked: usize = options.iter().map(|(_, body)| body.len() + 2).sum();
                prop_assert_eq!(walked, options.bytes.len());
                let _ = (options.source_link(), options.mtu(), options.prefixes().count());
            }
        }
    }

    #[test]
    fn options_of_length_zero_are_refused() {
        // [4861-01]
        assert_eq!(NdpOptions::parse(&[1, 0, 0, 0, 0, 0, 0, 0]), Err(ParseError::BadOption));
        assert_eq!(NdpOptions::parse(&[1, 2, 0, 0, 0, 0, 0, 0]), Err(ParseError::Truncated));
        assert_eq!(NdpOptions::parse(&[1]), Err(ParseError::Truncated));
    }

    #[test]
    fn unknown_options_are_walked_over() {
        // [4861-02]
        let options = [&[250, 1, 0, 0, 0, 0, 0, 0][..], &[1, 1, 2, 0, 0, 0, 0, 9]].concat();
        let options = NdpOptions::parse(&options).unwrap();
        assert_eq!(options.source_link(), Some(EthernetAddress([2, 0, 0, 0, 0, 9])));
    }

    #[test]
    fn a_router_advertisement_tells_its_prefixes() {
        let mut prefix = vec![3, 4, 64, 0xc0, 0, 0, 0x0e, 0x10, 0, 0, 7, 8, 0, 0, 0, 0];
        prefix.extend("fd00::".parse::<Ipv6Addr>().unwrap().octets());
        let tail = [&[0, 0, 0x75, 0x30, 0, 0, 3, 0xe8][..], &prefix, &[5, 1, 0, 0, 0, 0, 5, 0xdc]].concat();
        let message = NdpMessage::parse(134, 0, [64, 0, 7, 8], &tail).unwrap();
        let NdpMessage::RouterAdvertisement { hop_limit: 64, router_lifetime_secs: 1800, options, .. } =
            message
        else {
            panic!("{message:?}")
        };
        assert_eq!(options.mtu(), Some(1500));
        let prefixes: Vec<_> = options.prefixes().collect();
        assert_eq!(
            prefixes,
            [NdpPrefix {
                prefix: "fd00::".parse().unwrap(),
                prefix_len: 64,
                on_link: true,
                autonomous: true,
                valid_secs: 3600,
                preferred_secs: 1800
            }]
        );
    }
}
