//! Tests of reassembly: against a map of bytes, and by hand for each rule.

use core::net::Ipv4Addr;

use netloom_base::Rng;
use netloom_wire::{Ipv4Header, Ipv4Packet, Ipv6Header, Ipv6Packet, Protocol};
use proptest::prelude::*;

use super::*;

/// The family of a scenario; both run through the same tests.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Family {
    V4,
    V6,
}

const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

impl Family {
    fn source(self, host: u16) -> IpAddr {
        let [high, low] = host.to_be_bytes();
        match self {
            Self::V4 => Ipv4Addr::new(192, 0, high, low).into(),
            Self::V6 => Ipv6Addr::new(0x2001, 0xdb8, 0, host, 0, 0, 0, 1).into(),
        }
    }

    fn key(self, host: u16, identification: u32) -> FragmentKey {
        FragmentKey {
            source: self.source(host),
            destination: self.source(0xffff),
            protocol: (self == Self::V4).then_some(Protocol::UDP),
            identification,
            scope: None,
        }
    }

    /// The packet of a fragment, with a hop limit of its own so that headers can be told apart.
    fn packet(self, offset: u16, more: bool, ecn: u8, data: &[u8]) -> Vec<u8> {
        let hops = if offset == 0 { 11 } else { 22 };
        match (self.source(1), self.source(0xffff)) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let header = Ipv4Header {
                    source,
                    destination,
                    protocol: Protocol::UDP,
                    ttl: hops,
                    traffic_class: 0x80 | ecn,
                    identification: 7,
                    dont_fragment: false,
                    more_fragments: more,
                    fragment_offset: offset & !7,
                };
                [&header.to_bytes(data.len())[..], data].concat()
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let header = Ipv6Header {
                    source,
                    destination,
                    next_header: Protocol::FRAGMENT,
                    hop_limit: hops,
                    traffic_class: 0x80 | ecn,
                    flow_label: 5,
                };
                let [high, low] = (offset & !7 | u16::from(more)).to_be_bytes();
                let extension = [Protocol::UDP.0, 0, high, low, 0, 0, 0, 7];
                [&header.to_bytes(data.len() + 8)[..], &extension, data].concat()
            }
            (_, _) => unreachable!("addresses of one family"),
        }
    }

    fn fragment<'a>(self, packet: &'a [u8], offset: u16, more: bool) -> Fragment<'a> {
        let (header_len, data_start, header) = match self {
            Self::V4 => (20, 20, FragmentHeader::Ipv4),
            Self::V6 => (40, 48, FragmentHeader::Ipv6 { next_header_at: 6, next_header: Protocol::UDP }),
        };
        Fragment { packet, header_len, data_start, offset, more, header }
    }
}

/// A reassembler, and what goes into it.
struct Bench {
    family: Family,
    reassembler: Reassembler,
    now: Instant,
}

impl Bench {
    fn new(family: Family) -> Self {
        Self::with(family, ReassemblyConfig::default())
    }

    fn with(family: Family, config: ReassemblyConfig) -> Self {
        let key = Rng::from_number(1).hash_key();
        Self { family, reassembler: Reassembler::new(config, key), now: Instant::from_millis(5) }
    }

    fn offer_ecn(
        &mut self,
        key: FragmentKey,
        offset: u16,
        more: bool,
        ecn: u8,
        data: &[u8],
    ) -> Result<Option<Vec<u8>>, FragmentError> {
        let packet = self.family.packet(offset, more, ecn, data);
        let fragment = self.family.fragment(&packet, offset, more);
        self.reassembler.insert(self.now, key, &fragment)
    }

    /// Offers a fragment of host 1's datagram 7, and gives the data of the whole back.
    fn offer(&mut self, offset: u16, more: bool, data: &[u8]) -> Result<Option<Vec<u8>>, FragmentError> {
        let key = self.family.key(1, 7);
        let whole = self.offer_ecn(key, offset, more, 0, data)?;
        Ok(whole.map(|packet| self.checked(&packet).0))
    }

    /// The data and ECN codepoint of a whole packet, once its header is found right.
    fn checked(&self, packet: &[u8]) -> (Vec<u8>, u8) {
        match self.family {
            Family::V4 => {
                let packet = Ipv4Packet::parse(packet).unwrap();
                assert!(packet.checksum_is_valid() && !packet.header.is_fragment());
                assert_eq!((packet.header.ttl, packet.header.protocol), (11, Protocol::UDP));
                (packet.payload.to_vec(), packet.header.traffic_class & 3)
            }
            Family::V6 => {
                let packet = Ipv6Packet::parse(packet).unwrap();
                assert_eq!((packet.header.hop_limit, packet.header.next_header), (11, Protocol::UDP));
                (packet.payload.to_vec(), packet.header.traffic_class & 3)
            }
        }
    }
}

/// Reassembly as a map from positions to bytes.
#[derive(Default)]
struct Model {
    bytes: std::collections::BTreeMap<usize, u8>,
    seen: Vec<(usize, bool, Vec<u8>)>,
    total: Option<usize>,
    is_dead: bool,
}

impl Model {
    fn offer(&mut self, start: usize, more: bool, data: &[u8]) -> Result<Option<Vec<u8>>, FragmentError> {
        if self.is_dead {
            return Err(FragmentError::Overlap);
        }
        let piece = (start, more, data.to_vec());
        if self.seen.contains(&piece) {
            return Ok(None);
        }
        let range = start..start + data.len();
        let claims_end = !more && (self.total.is_some() || self.bytes.keys().any(|&at| at >= range.end));
        let passes_end = self.total.is_some_and(|total| range.end > total || (more && range.end == total));
        if claims_end || passes_end || range.clone().any(|at| self.bytes.contains_key(&at)) {
            self.is_dead = true;
            return Err(FragmentError::Overlap);
        }
        self.seen.push(piece);
        self.bytes.extend(range.clone().zip(data.iter().copied()));
        if !more {
            self.total = Some(range.end);
        }
        if self.total == Some(self.bytes.len()) {
            return Ok(Some(core::mem::take(self).bytes.into_values().collect()));
        }
        Ok(None)
    }
}

/// Cuts a datagram, mixes the pieces, repeats some, and slips foreign ones in.
fn pieces() -> impl Strategy<Value = Vec<(u16, bool, Vec<u8>)>> {
    let cuts = prop::collection::btree_set(1usize..40, 1..8);
    let foreign = prop::collection::vec((0u16..45, any::<bool>(), 1usize..5, any::<u8>()), 0..2);
    (cuts, 1usize..9, foreign, prop::collection::vec(any::<prop::sample::Index>(), 0..6)).prop_flat_map(
        |(cuts, tail, foreign, repeats)| {
            let mut starts: Vec<usize> = core::iter::once(0).chain(cuts).map(|cut| cut * 8).collect();
            let len = starts.last().unwrap() + tail;
            starts.push(len);
            let data: Vec<u8> = (0..len).map(|at| u8::try_from(at % 251).unwrap()).collect();
            let mut pieces: Vec<_> = starts
                .windows(2)
                .map(|range| {
                    (u16::try_from(range[0]).unwrap(), range[1] < len, data[range[0]..range[1]].to_vec())
                })
                .collect();
            for index in repeats {
                pieces.push(index.get(&pieces).clone());
            }
            // Offset 0 without more is no fragment at all.
            pieces.extend(
                foreign.into_iter().map(|(offset, more, count, byte)| {
                    (offset * 8, more || offset == 0, vec![byte; count * 8])
                }),
            );
            Just(pieces).prop_shuffle()
        },
    )
}

proptest! {
    // [815-01] [815-02] [1122-I112] [8200-17]
    #[test]
    fn agrees_with_a_map_of_bytes(pieces in pieces(), is_v4: bool) {
        let mut bench = Bench::new(if is_v4 { Family::V4 } else { Family::V6 });
        let mut model = Model::default();
        for (offset, more, data) in pieces {
            prop_assert_eq!(
                bench.offer(offset, more, &data),
                model.offer(usize::from(offset), more, &data)
            );
        }
        let is_idle = model.bytes.is_empty() && !model.is_dead;
        prop_assert_eq!(bench.reassembler.is_empty(), is_idle);
        while bench.reassembler.handle_timeout(Instant::FAR_FUTURE).is_some() {}
        prop_assert_eq!((bench.reassembler.len(), bench.reassembler.used_bytes()), (0, 0));
        prop_assert!(bench.reassembler.by_source.is_empty());
        prop_assert_eq!(bench.reassembler.poll_timeout(), None);
    }

    #[test]
    fn any_fragment_is_taken_or_refused(
        packet in prop::collection::vec(any::<u8>(), 0..200),
        (header_len, data_start, next_header_at) in (0usize..80, 0usize..80, 0usize..80),
        (offset, more, is_v4) in any::<(u16, bool, bool)>(),
    ) {
        let mut bench = Bench::new(if is_v4 { Family::V4 } else { Family::V6 });
        let header = if is_v4 {
            FragmentHeader::Ipv4
        } else {
            FragmentHeader::Ipv6 { next_header_at, next_header: Protocol::TCP }
        };
        let fragment = Fragment { packet: &packet, header_len, data_start, offset, more, header };
        let key = bench.family.key(1, 1);
        let _ = bench.reassembler.insert(bench.now, key, &fragment);
        let _ = bench.reassembler.insert(bench.now, key, &Fragment { offset: 0, ..fragment });
    }
}

// [1122-I113] [8200-20] [815-02]
#[test]
fn the_largest_packet_is_reassembled_from_its_smallest_pieces() {
    for family in FAMILIES {
        let mut bench = Bench::new(family);
        let len: u16 = if family == Family::V4 { 65_515 } else { 65_535 };
        let data: Vec<u8> = (0..len).map(|at| u8::try_from(at % 249).unwrap()).collect();
        let mut whole = None;
        for (piece, start) in data.chunks(48).zip((0u16..).step_by(48)) {
            assert_eq!(whole, None);
            whole = bench.offer(start, usize::from(start) + piece.len() < data.len(), piece).unwrap();
        }
        assert_eq!(whole, Some(data));
        assert_eq!(bench.reassembler.counters().reassembled.get(), 1);
    }
}

// [8200-13] [1122-I116] [1122-I117] [792-04]
#[test]
fn a_datagram_is_given_up_sixty_seconds_after_its_first_piece() {
    for (family, has_first) in FAMILIES.into_iter().flat_map(|family| [(family, true), (family, false)]) {
        let mut bench = Bench::new(family);
        let (start, offset) = (bench.now, if has_first { 0 } else { 16 });
        bench.offer(offset, true, &[1; 8]).unwrap();
        bench.now += Duration::from_secs(59);
        bench.offer(8, true, &[2; 8]).unwrap();
        let deadline = start + Duration::from_secs(60);
        assert_eq!(bench.reassembler.poll_timeout(), Some(deadline));
        assert_eq!(bench.reassembler.handle_timeout(deadline - Duration::from_nanos(1)), None);
        let expired = bench.reassembler.handle_timeout(deadline).unwrap();
        assert_eq!(expired.key, family.key(1, 7));
        assert_eq!(expired.first, has_first.then(|| family.packet(0, true, 0, &[1; 8])));
        assert_eq!(bench.reassembler.handle_timeout(deadline), None);
        assert_eq!(bench.reassembler.counters().timed_out.get(), 1);
    }
}

// [8200-17]
#[test]
fn what_still_comes_after_an_overlap_is_dropped() {
    for (family, shunned_for) in [(Family::V4, 1), (Family::V6, 60)] {
        let mut bench = Bench::new(family);
        let start = bench.now;
        bench.offer(0, true, &[1; 16]).unwrap();
        assert_eq!(bench.offer(8, true, &[2; 8]), Err(FragmentError::Overlap));
        assert_eq!(bench.offer(0, true, &[1; 16]), Err(FragmentError::Overlap));
        assert_eq!(bench.offer(16, false, &[3; 8]), Err(FragmentError::Overlap));
        bench.now = start + Duration::from_secs(shunned_for);
        // No ICMP error about it, and then the identification is free again.
        assert_eq!(bench.reassembler.handle_timeout(bench.now), None);
        bench.offer(0, true, &[1; 16]).unwrap();
        assert_eq!(bench.offer(16, false, &[3; 2]).unwrap().unwrap().len(), 18);
        assert_eq!(bench.reassembler.counters().abandoned.get(), 1);
    }
}

// [8200-14] [8200-15] [791-06]
#[test]
fn impossible_fragments_are_refused_and_leave_the_others_alone() {
    for family in FAMILIES {
        let mut bench = Bench::new(family);
        bench.offer(0, true, &[1; 8]).unwrap();
        assert_eq!(bench.offer(8, true, &[2; 7]), Err(FragmentError::UnevenLength));
        assert_eq!(bench.offer(65_528, false, &[2; 8]), Err(FragmentError::TooLong));
        assert_eq!(bench.offer(8, false, &[]), Err(FragmentError::Malformed));
        assert_eq!(bench.offer(8, false, &[3; 3]).unwrap().unwrap(), [&[1; 8][..], &[3; 3]].concat());
    }
}

// [8200-12]
#[test]
fn a_fragment_that_is_all_is_whole_at_once() {
    for family in FAMILIES {
        let mut bench = Bench::new(family);
        bench.offer(8, true, &[1; 8]).unwrap();
        assert_eq!(bench.offer(0, false, &[9; 20]).unwrap(), Some(vec![9; 20]));
        assert_eq!(bench.reassembler.len(), 1);
    }
}

// [3168-14]
#[test]
fn congestion_marks_survive_and_do_not_appear_from_nowhere() {
    let (not_ect, ect1, ect0, ce) = (0, 1, 2, 3);
    for family in FAMILIES {
        for (first, second, expected) in [
            (not_ect, not_ect, Ok(not_ect)),
            (ect0, ect0, Ok(ect0)),
            (ect1, ce, Ok(ce)),
            (ce, ect0, Ok(ce)),
            (ce, not_ect, Err(FragmentError::MixedEcn)),
        ] {
            let mut bench = Bench::new(family);
            let key = family.key(1, 7);
            bench.offer_ecn(key, 0, true, first, &[1; 8]).unwrap();
            let whole = bench.offer_ecn(key, 8, false, second, &[1; 8]);
            assert_eq!(whole.map(|packet| bench.checked(&packet.unwrap()).1), expected);
            assert!(bench.reassembler.is_empty());
        }
    }
}

// [791-07]
#[test]
fn pieces_of_different_datagrams_are_never_mixed() {
    for family in FAMILIES {
        let mut bench = Bench::new(family);
        let key = family.key(1, 7);
        let mut keys = vec![
            key,
            FragmentKey { identification: 8, ..key },
            FragmentKey { source: family.source(2), ..key },
            FragmentKey { destination: family.source(2), ..key },
            FragmentKey { scope: Some(netloom_base::InterfaceId::new(1)), ..key },
        ];
        if family == Family::V4 {
            keys.push(FragmentKey { protocol: Some(Protocol::TCP), ..key });
        }
        for (&key, byte) in keys.iter().zip(0..) {
            assert_eq!(bench.offer_ecn(key, 0, true, 0, &[byte; 8]), Ok(None));
        }
        for (&key, byte) in keys.iter().zip(0..) {
            let whole = bench.offer_ecn(key, 8, false, 0, &[byte; 1]).unwrap().unwrap();
            assert_eq!(bench.checked(&whole).0, [byte; 9]);
        }
    }
}

#[test]
fn a_flood_stays_within_the_bounds_and_the_oldest_goes() {
    let config = ReassemblyConfig {
        max_datagrams: 100,
        max_datagrams_per_source: 20,
        max_bytes: 300_000,
        max_bytes_per_source: 0,
        ..ReassemblyConfig::default()
    };
    for family in FAMILIES {
        let mut bench = Bench::with(family, config);
        let mut rng = Rng::from_number(3);
        for step in 0..20_000u64 {
            let host = u16::try_from(rng.below(8)).unwrap();
            let key = family.key(host, u32::try_from(rng.below(64)).unwrap());
            let offset = u16::try_from(rng.below(8000)).unwrap() * 8;
            let len = 8 * (1 + usize::try_from(rng.below(180)).unwrap());
            let _ = bench.offer_ecn(key, offset, step % 7 != 0, 0, &vec![1; len]);
            bench.now += Duration::from_micros(50);
            let reassembler = &bench.reassembler;
            assert!(reassembler.used_bytes() <= 300_000 && reassembler.len() <= 100);
            for source in reassembler.by_source.values() {
                assert!(source.datagrams <= 20 && source.bytes <= MIN_SHARE);
            }
            let cost: usize = reassembler.partials.iter().map(|(_, partial)| partial.cost).sum();
            assert_eq!(cost, reassembler.used_bytes());
        }
        assert!(bench.reassembler.counters().evicted.get() > 1000);
    }
}

#[test]
fn one_sender_cannot_starve_another() {
    for family in FAMILIES {
        let mut bench = Bench::new(family);
        bench.offer(0, true, &[1; 8]).unwrap();
        for identification in 0..5_000 {
            let key = family.key(2, identification);
            bench.offer_ecn(key, 0, true, 0, &[0; 1400]).unwrap();
        }
        assert_eq!(bench.offer(8, false, &[2; 8]).unwrap().unwrap().len(), 16);
        assert!(bench.reassembler.used_bytes() <= ReassemblyConfig::default().max_bytes_per_source);
    }
}

#[test]
fn addresses_of_one_ipv6_network_share_its_part() {
    let mut bench = Bench::new(Family::V6);
    for host in 0..1000u128 {
        let source = Ipv6Addr::from_bits((0x2001_0db8 << 96) | host).into();
        let key = FragmentKey { source, ..bench.family.key(1, 1) };
        bench.offer_ecn(key, 0, true, 0, &[0; 8]).unwrap();
    }
    assert_eq!(bench.reassembler.len(), ReassemblyConfig::default().max_datagrams_per_source);
}

#[test]
fn a_datagram_in_too_many_pieces_is_dropped() {
    let mut bench = Bench::new(Family::V6);
    let mut result = Ok(None);
    for piece in 0..2000u16 {
        result = bench.offer(piece * 16, true, &[0; 8]);
        if result.is_err() {
            assert_eq!(piece, 1366);
            break;
        }
    }
    assert_eq!(result, Err(FragmentError::Limit));
    assert_eq!(bench.reassembler.used_bytes(), PARTIAL_COST);
}
