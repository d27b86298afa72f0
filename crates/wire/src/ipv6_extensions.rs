//! IPv6 extension headers (RFC 8200 4): a walk over their chain, and their options.

use etherparse::Ipv6FragmentHeaderSlice;

use crate::{IPV6_HEADER_LEN, ParseError, Protocol};

/// Bytes of a fragment header.
pub const IPV6_FRAGMENT_HEADER_LEN: usize = 8;

/// Where the fixed header says what follows it, in bytes from the start of the packet.
const FIRST_NEXT_HEADER_AT: usize = 6;

/// Bytes in a unit of an extension header's length field.
const LENGTH_UNIT: usize = 8;

/// One extension header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ipv6Extension<'a> {
    /// Options for every node on the way.
    HopByHop(Ipv6Options<'a>),
    /// Options for the destination.
    DestinationOptions(Ipv6Options<'a>),
    /// Stations on the way.
    Routing {
        /// Which kind; type 0 is withdrawn (RFC 5095).
        routing_type: u8,
        /// Stations still ahead.
        segments_left: u8,
        /// Where the type stands, in bytes from the start of the packet.
        type_at: usize,
    },
    /// The packet is a part of a larger one.
    Fragment(Ipv6FragmentHeader),
}

/// A fragment header (RFC 8200 4.5).
///
/// ```text
/// |  Next Header  |   Reserved    |      Fragment Offset    |Res|M|
/// |                         Identification                        |
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv6FragmentHeader {
    /// What the whole packet's fragmentable part begins with.
    pub next_header: Protocol,
    /// Where the fragment belongs, in bytes; a multiple of 8.
    pub offset: u16,
    /// It is not the last.
    pub more_fragments: bool,
    /// Which fragments belong together.
    pub identification: u32,
}

impl Ipv6FragmentHeader {
    /// Whether it holds a whole packet (RFC 6946).
    pub const fn is_atomic(&self) -> bool {
        self.offset == 0 && !self.more_fragments
    }

    /// The header's bytes.
    pub fn to_bytes(&self) -> [u8; IPV6_FRAGMENT_HEADER_LEN] {
        let [high, low] = ((self.offset & !7) | u16::from(self.more_fragments)).to_be_bytes();
        let [a, b, c, d] = self.identification.to_be_bytes();
        [self.next_header.0, 0, high, low, a, b, c, d]
    }
}

/// A walk along the chain of headers, in the order in which they stand [8200-02].
#[derive(Clone, Copy, Debug)]
pub struct Ipv6Chain<'a> {
    packet: &'a [u8],
    /// What comes next.
    next_header: Protocol,
    /// Where that is said, in bytes from the start of the packet.
    next_header_at: usize,
    /// Where it begins.
    offset: usize,
}

impl<'a> Ipv6Chain<'a> {
    /// Begins behind the fixed header of `packet`, which was read already.
    pub fn new(packet: &'a [u8], first: Protocol) -> Self {
        Self { packet, next_header: first, next_header_at: FIRST_NEXT_HEADER_AT, offset: IPV6_HEADER_LEN }
    }

    /// What comes next: an extension header, or what they lead to.
    pub const fn next_header(&self) -> Protocol {
        self.next_header
    }

    /// Where the header before says so, in bytes from the start of the packet.
    pub const fn next_header_at(&self) -> usize {
        self.next_header_at
    }

    /// Where it begins, in bytes from the start of the packet.
    pub const fn offset(&self) -> usize {
        self.offset
    }

    /// All that has not been walked over.
    pub fn rest(&self) -> &'a [u8] {
        self.packet.get(self.offset..).unwrap_or_default()
    }

    /// Steps over one extension header; `None` if none comes next.
    pub fn advance(&mut self) -> Result<Option<Ipv6Extension<'a>>, ParseError> {
        let rest = self.rest();
        let kind = self.next_header;
        let extension = match kind {
            Protocol::FRAGMENT => {
                let slice = Ipv6FragmentHeaderSlice::from_slice(rest).map_err(|_| ParseError::Truncated)?;
                let header = Ipv6FragmentHeader {
                    next_header: Protocol(slice.next_header().0),
                    // 13 bits of 8 bytes fit 16 bits.
                    offset: slice.fragment_offset().value() << 3,
                    more_fragments: slice.more_fragments(),
                    identification: slice.identification(),
                };
                self.step(header.next_header, IPV6_FRAGMENT_HEADER_LEN);
                Ipv6Extension::Fragment(header)
            }
            Protocol::HOP_BY_HOP | Protocol::DESTINATION_OPTIONS | Protocol::ROUTING => {
                let &[next, units, third, fourth] = rest.first_chunk::<4>().ok_or(ParseError::Truncated)?;
                let len = (usize::from(units) + 1) * LENGTH_UNIT;
                let header = rest.get(..len).ok_or(ParseError::Truncated)?;
                let at = self.offset;
                self.step(Protocol(next), len);
                let options = Ipv6Options { bytes: header, position: 2, header_at: at };
                match kind {
                    Protocol::HOP_BY_HOP => Ipv6Extension::HopByHop(options),
                    Protocol::ROUTING => {
                        Ipv6Extension::Routing { routing_type: third, segments_left: fourth, type_at: at + 2 }
                    }
                    Protocol(_) => Ipv6Extension::DestinationOptions(options),
                }
            }
            Protocol(_) => return Ok(None),
        };
        Ok(Some(extension))
    }

    fn step(&mut self, next: Protocol, len: usize) {
        self.next_header = next;
        self.next_header_at = self.offset;
        self.offset += len;
    }
}

/// The options of a hop-by-hop or destination options header, padding left out; an iterator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv6Options<'a> {
    /// The whole header.
    bytes: &'a [u8],
    position: usize,
    /// Where the header begins, in bytes from the start of the packet.
    header_at: usize,
}

/// One option (RFC 8200 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv6Option<'a> {
    /// Its type, the action bits included.
    pub kind: u8,
    /// Its data.
    pub data: &'a [u8],
    /// Where its type stands, in bytes from the start of the packet.
    pub at: usize,
}

/// What a node does with a packet that has an option it does not know: the two highest bits of the type [8200-05].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownOptionAction {
    /// 00: go on.
    Skip,
    /// 01: drop it.
    Discard,
    /// 10: drop it and tell the sender.
    Report,
    /// 11: drop it and tell the sender, unless it was sent to a group.
    ReportUnlessMulticast,
}

impl Ipv6Option<'_> {
    /// What to do if the option is not known.
    pub const fn unknown_action(&self) -> UnknownOptionAction {
        match self.kind >> 6 {
            0 => UnknownOptionAction::Skip,
            1 => UnknownOptionAction::Discard,
            2 => UnknownOptionAction::Report,
            _ => UnknownOptionAction::ReportUnlessMulticast,
        }
    }
}

impl<'a> Ipv6Options<'a> {
    /// Pad1: one byte without a length.
    const PAD_1: u8 = 0;
    /// PadN.
    const PAD_N: u8 = 1;
}

impl<'a> Iterator for Ipv6Options<'a> {
    type Item = Result<Ipv6Option<'a>, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        // [8200-06] padding is recognised; every turn moves on, so this ends.
        loop {
            let at = self.position;
            let rest = self.bytes.get(at..)?;
            let &kind = rest.first()?;
            if kind == Self::PAD_1 {
                self.position += 1;
                continue;
            }
            let data = rest.get(1).and_then(|&len| rest.get(2..2 + usize::from(len)));
            let Some(data) = data else {
                self.position = self.bytes.len();
                return Some(Err(ParseError::BadOption));
            };
            self.position += 2 + data.len();
            if kind != Self::PAD_N {
                return Some(Ok(Ipv6Option { kind, data, at: self.header_at + at }));
            }
        }
    }
}

/// A hop-by-hop header that asks routers to look at the packet, for listener reports (RFC 2711, RFC 3810 5).
pub const fn router_alert_header(next: Protocol) -> [u8; 8] {
    [next.0, 0, 5, 2, 0, 0, Ipv6Options::PAD_N, 0]
}

#[cfg(test)]
mod tests {
    use etherparse::{IpNumber, Ipv6ExtensionsSlice};
    use proptest::prelude::*;

    use super::*;

    /// A packet whose fixed header is zeros.
    fn packet(extensions: &[&[u8]]) -> Vec<u8> {
        [&[0; IPV6_HEADER_LEN][..], &extensions.concat()].concat()
    }

    /// Walks the whole chain; where it ends and what comes then.
    fn walk(packet: &[u8], first: Protocol) -> Result<(usize, Protocol), ParseError> {
        let mut chain = Ipv6Chain::new(packet, first);
        while let Some(extension) = chain.advance()? {
            // etherparse does not look behind a fragment header that is no first one.
            if matches!(extension, Ipv6Extension::Fragment(header) if header.offset != 0) {
                break;
            }
        }
        Ok((chain.offset(), chain.next_header()))
    }

    fn extension() -> impl Strategy<Value = (u8, Vec<u8>)> {
        prop_oneof![
            (0u8..3, any::<[u8; 30]>()).prop_map(|(units, noise)| {
                let mut bytes = noise[..(usize::from(units) + 1) * 8].to_vec();
                bytes[1] = units;
                (60, bytes)
            }),
            any::<[u8; 8]>().prop_map(|mut bytes| {
                bytes[1] = 0;
                (43, bytes.to_vec())
            }),
        ]
    }

    proptest! {
        #[test]
        fn chains_agree_with_an_independent_reader(parts in prop::collection::vec(extension(), 0..4), payload in prop::collection::vec(any::<u8>(), 0..20)) {
            // At most one destination options header before and one after a routing header: etherparse stops at more.
            let mut kinds: Vec<u8> = parts.iter().map(|(kind, _)| *kind).collect();
            kinds.push(17);
            let mut bytes = vec![0; IPV6_HEADER_LEN];
            for ((_, part), next) in parts.iter().zip(&kinds[1..]) {
                let mut part = part.clone();
                part[0] = *next;
                bytes.extend(part);
            }
            let end = bytes.len();
            bytes.extend(payload);
            prop_assert_eq!(walk(&bytes, Protocol(kinds[0])), Ok((end, Protocol(17))));
            let distinct = kinds.iter().collect::<std::collections::BTreeSet<_>>().len() == kinds.len();
            if distinct {
                let (_, next, rest) = Ipv6ExtensionsSlice::from_slice(IpNumber(kinds[0]), &bytes[IPV6_HEADER_LEN..]).unwrap();
                prop_assert_eq!((next.0, rest), (17, &bytes[end..]));
            }
        }

        #[test]
        fn fragment_headers_are_read_back(next: u8, units in 0u16..0x2000, more_fragments: bool, identification: u32) {
            let header = Ipv6FragmentHeader { next_header: Protocol(next), offset: units << 3, more_fragments, identification };
            let bytes = packet(&[&header.to_bytes()]);
            let mut chain = Ipv6Chain::new(&bytes, Protocol::FRAGMENT);
            prop_assert_eq!(chain.advance(), Ok(Some(Ipv6Extension::Fragment(header))));
            prop_assert_eq!((chain.next_header(), chain.next_header_at()), (Protocol(next), IPV6_HEADER_LEN));
        }

        #[test]
        fn any_bytes_parse_or_fail(first: u8, bytes in prop::collection::vec(prop_oneof![Just(0u8), Just(60u8), any::<u8>()], 0..200)) {
            let mut chain = Ipv6Chain::new(&bytes, Protocol(first));
            let mut steps = 0;
            while let Ok(Some(extension)) = chain.advance() {
                steps += 1;
                prop_assert!(steps <= bytes.len() / 8);
                if let Ipv6Extension::HopByHop(options) | Ipv6Extension::DestinationOptions(options) = extension {
                    prop_assert!(options.count() <= 255 * 8);
                }
            }
        }
    }

    #[test]
    fn options_are_walked_with_their_places() {
        // Pad1, PadN, a router alert, an unknown option.
        let header = [17, 1, 0, 1, 2, 0, 0, 5, 2, 0, 0, 0xc9, 1, 7, 0, 0];
        let bytes = packet(&[&header]);
        let mut chain = Ipv6Chain::new(&bytes, Protocol::HOP_BY_HOP);
        let Ok(Some(Ipv6Extension::HopByHop(options))) = chain.advance() else { panic!("not walked") };
        let options: Vec<_> = options.map(Result::unwrap).collect();
        assert_eq!(
            options,
            [Ipv6Option { kind: 5, data: &[0, 0], at: 47 }, Ipv6Option { kind: 0xc9, data: &[7], at: 51 }]
        );
        assert_eq!(options[0].unknown_action(), UnknownOptionAction::Skip);
        assert_eq!(options[1].unknown_action(), UnknownOptionAction::ReportUnlessMulticast);
    }

    #[test]
    fn an_option_beyond_its_header_is_malformed() {
        let bytes = packet(&[&[17, 0, 5, 5, 0, 0, 0, 0]]);
        let mut chain = Ipv6Chain::new(&bytes, Protocol::DESTINATION_OPTIONS);
        let Ok(Some(Ipv6Extension::DestinationOptions(mut options))) = chain.advance() else {
            panic!("not walked")
        };
        assert_eq!(options.next(), Some(Err(ParseError::BadOption)));
        assert_eq!(options.next(), None);
    }
}
