//! IPv4 options (RFC 791 3.1): what a packet asks of those who handle it.

use core::net::Ipv4Addr;

use crate::IPV4_HEADER_LEN;

const END: u8 = 0;
const NO_OPERATION: u8 = 1;
const RECORD_ROUTE: u8 = 7;
const TIMESTAMP: u8 = 68;
const LOOSE_SOURCE_ROUTE: u8 = 131;
const STRICT_SOURCE_ROUTE: u8 = 137;

/// The bit of an option's type that says that every fragment carries it.
const COPIED: u8 = 0x80;

/// A time that is not milliseconds since midnight UT has its highest bit set (RFC 791, RFC 1122 3.2.2.8).
const NONSTANDARD_TIME: u32 = 0x8000_0000;

/// What a header's options ask, as far as netloom heeds it; unknown ones are passed over [1122-I027] [9293 MUST-50].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ipv4Options {
    /// The packet names stations on its way, loosely or strictly.
    pub has_source_route: bool,
    /// The packet asks for addresses or times of those who handle it: see [`Ipv4Options::record`].
    pub has_record: bool,
}

/// Options that contradict themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadIpv4Option {
    /// Which byte of the header is wrong, for a parameter problem to point at.
    pub pointer: u8,
}

impl Ipv4Options {
    /// Reads the options of a header: the bytes after its first 20.
    pub fn parse(options: &[u8]) -> Result<Self, BadIpv4Option> {
        let mut found = Self::default();
        for option in walk(options) {
            let RawOption { at, kind, bytes } = option?;
            match kind {
                LOOSE_SOURCE_ROUTE | STRICT_SOURCE_ROUTE => {
                    // [1122-I036] nobody may send two.
                    if found.has_source_route {
                        return Err(bad(at));
                    }
                    check_pointer(bytes, at, 4)?;
                    found.has_source_route = true;
                }
                RECORD_ROUTE => {
                    check_pointer(bytes, at, 4)?;
                    found.has_record = true;
                }
                TIMESTAMP => {
                    check_pointer(bytes, at, 5)?;
                    found.has_record = true;
                }
                _ => {}
            }
        }
        Ok(found)
    }

    /// Puts `address`, and `millis` of a clock that starts anywhere, where the options ask for them and there is room;
    /// a full timestamp option counts the overflow. The header's checksum must be computed again.
    pub fn record(options: &mut [u8], address: Ipv4Addr, millis: u32) {
        let places: [Option<(usize, u8)>; 20] = {
            let mut places = [None; 20];
            let wanted = walk(options)
                .filter_map(Result::ok)
                .filter(|option| matches!(option.kind, RECORD_ROUTE | TIMESTAMP))
                .map(|option| (option.at, option.kind));
            for (slot, place) in places.iter_mut().zip(wanted) {
                *slot = Some(place);
            }
            places
        };
        for (at, kind) in places.into_iter().flatten() {
            let Some(option) = options.get_mut(at..) else { continue };
            let len = usize::from(option.get(1).copied().unwrap_or_default());
            let Some(option) = option.get_mut(..len) else { continue };
            // Without room the option stays as it is.
            let _ = match kind {
                RECORD_ROUTE => append(option, &[&address.octets()]),
                _ => record_time(option, address, (millis & !NONSTANDARD_TIME) | NONSTANDARD_TIME),
            };
        }
    }

    /// The options that every fragment but the first carries, padded to whole words [791-05].
    pub fn for_later_fragments(options: &[u8]) -> Vec<u8> {
        let mut kept = Vec::new();
        for RawOption { kind, bytes, .. } in walk(options).filter_map(Result::ok) {
            if kind & COPIED != 0 {
                kept.extend_from_slice(bytes);
            }
        }
        kept.resize(kept.len().next_multiple_of(4), END);
        kept
    }
}

/// One option, its type and length included.
struct RawOption<'a> {
    at: usize,
    kind: u8,
    bytes: &'a [u8],
}

/// Every option but padding, up to the end of the list or the first that is malformed.
fn walk(options: &[u8]) -> impl Iterator<Item = Result<RawOption<'_>, BadIpv4Option>> {
    let mut position = 0;
    core::iter::from_fn(move || {
        loop {
            let rest = options.get(position..)?;
            match *rest.first()? {
                END => {
                    position = options.len();
                    return None;
                }
                NO_OPERATION => position += 1,
                kind => {
                    let at = position;
                    let len = usize::from(rest.get(1).copied().unwrap_or_default());
                    let Some(bytes) = rest.get(..len).filter(|_| len >= 2) else {
                        position = options.len();
                        return Some(Err(bad(at + 1)));
                    };
                    position += len;
                    return Some(Ok(RawOption { at, kind, bytes }));
                }
            }
        }
    })
}

/// The pointer counts from 1, and never points into the option's own head.
fn check_pointer(option: &[u8], at: usize, smallest: u8) -> Result<(), BadIpv4Option> {
    match option.get(2) {
        Some(&pointer) if pointer >= smallest => Ok(()),
        Some(_) => Err(bad(at + 2)),
        None => Err(bad(at + 1)),
    }
}

fn bad(at: usize) -> BadIpv4Option {
    BadIpv4Option { pointer: u8::try_from(IPV4_HEADER_LEN + at).unwrap_or(u8::MAX) }
}

/// Writes `pieces` at the option's pointer and moves that on; `None` if there is no room.
fn append(option: &mut [u8], pieces: &[&[u8]]) -> Option<()> {
    let pointer = usize::from(*option.get(2)?);
    let len: usize = pieces.iter().map(|piece| piece.len()).sum();
    let start = pointer.checked_sub(1)?;
    let mut target = option.get_mut(start..start + len)?;
    for piece in pieces {
        let (place, rest) = target.split_at_mut_checked(piece.len())?;
        place.copy_from_slice(piece);
        target = rest;
    }
    *option.get_mut(2)? = u8::try_from(pointer + len).ok()?;
    Some(())
}

fn record_time(option: &mut [u8], address: Ipv4Addr, time: u32) -> Option<()> {
    const TIMES_ONLY: u8 = 0;
    const WITH_ADDRESSES: u8 = 1;
    const IF_NAMED: u8 = 3;
    let flags = *option.get(3)?;
    let time = time.to_be_bytes();
    let done = match flags & 0x0f {
        TIMES_ONLY => append(option, &[&time]),
        WITH_ADDRESSES => append(option, &[&address.octets(), &time]),
        IF_NAMED => {
            let start = usize::from(*option.get(2)?).checked_sub(1)?;
            if option.get(start..start + 4)? != address.octets() {
                return None;
            }
            append(option, &[&address.octets(), &time])
        }
        _ => return None,
    };
    if done.is_none() {
        // The upper half counts those who found no room, up to 15.
        let overflow = (flags >> 4).saturating_add(1).min(15);
        *option.get_mut(3)? = (overflow << 4) | (flags & 0x0f);
    }
    done
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HERE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

    proptest! {
        #[test]
        fn any_bytes_parse_or_fail(mut options in prop::collection::vec(prop_oneof![Just(7u8), Just(68u8), Just(131u8), 0u8..12, any::<u8>()], 0..41)) {
            let parsed = Ipv4Options::parse(&options);
            let len = options.len();
            if let Err(error) = parsed {
                prop_assert!(usize::from(error.pointer) >= IPV4_HEADER_LEN);
                prop_assert!(usize::from(error.pointer) <= IPV4_HEADER_LEN + len + 2);
            }
            Ipv4Options::record(&mut options, HERE, 5);
            prop_assert_eq!(options.len(), len);
            if parsed.is_ok() {
                prop_assert_eq!(Ipv4Options::parse(&options), parsed);
            }
            let later = Ipv4Options::for_later_fragments(&options);
            prop_assert!(later.len() <= len.next_multiple_of(4) && later.len().is_multiple_of(4));
        }
    }

    #[test]
    fn a_route_is_recorded_until_it_is_full() {
        let mut options = vec![7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        Ipv4Options::record(&mut options, HERE, 0);
        assert_eq!(options, [7, 11, 8, 10, 0, 0, 2, 0, 0, 0, 0, 0]);
        Ipv4Options::record(&mut options, HERE, 0);
        Ipv4Options::record(&mut options, Ipv4Addr::BROADCAST, 0);
        assert_eq!(options, [7, 11, 12, 10, 0, 0, 2, 10, 0, 0, 2, 0]);
    }

    #[test]
    fn times_are_recorded_and_their_overflow_counted() {
        let mut options = vec![68, 12, 5, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        Ipv4Options::record(&mut options, HERE, 3);
        assert_eq!(options, [68, 12, 13, 1, 10, 0, 0, 2, 0x80, 0, 0, 3]);
        Ipv4Options::record(&mut options, HERE, 3);
        assert_eq!(options[3], 0x11);
    }

    #[test]
    fn malformed_options_are_pointed_at() {
        let check = |options: &[u8], pointer: u8| {
            assert_eq!(Ipv4Options::parse(options), Err(BadIpv4Option { pointer }), "{options:?}");
        };
        check(&[7, 1, 0, 0], 21);
        check(&[1, 7, 9, 4], 22);
        check(&[7, 7, 3, 0, 0, 0, 0, 0], 22);
        check(&[131, 7, 4, 0, 0, 0, 0, 131, 7, 4, 0, 0, 0, 0], 27);
        assert!(Ipv4Options::parse(&[131, 3, 4, 0]).unwrap().has_source_route);
        // [1122-I030] the stream identifier and whatever else is unknown.
        assert_eq!(Ipv4Options::parse(&[136, 4, 0, 0, 200, 2, 0, 255]), Ok(Ipv4Options::default()));
    }

    #[test]
    fn only_copied_options_go_into_later_fragments() {
        let options = [7, 7, 4, 0, 0, 0, 0, 148, 4, 0, 0, 0];
        assert_eq!(Ipv4Options::for_later_fragments(&options), [148, 4, 0, 0]);
    }
}
