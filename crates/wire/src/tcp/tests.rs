//! Segments: emitted and read again, by us and by etherparse.

use etherparse::TcpOptionReadError;
use proptest::prelude::*;

use super::*;
use crate::{FastOpenCookie, OptionTail, SackBlocks, TcpTimestamps};

prop_compose! {
    fn options()(
        mss in prop::option::of(any::<u16>()),
        window_scale in prop::option::of(0u8..15),
        sack_permitted: bool,
        timestamps in prop::option::of((any::<u32>(), any::<u32>())),
        blocks in prop::collection::vec((any::<u32>(), any::<u32>()), 0..4),
        cookie in prop::option::of(prop::collection::vec(any::<u8>(), 0..20)),
        is_syn: bool,
    ) -> TcpOptions {
        let timestamps = timestamps.map(|(value, echo_reply)| TcpTimestamps { value, echo_reply });
        if is_syn {
            let cookie = cookie.and_then(|bytes| FastOpenCookie::new(&bytes));
            let tail = cookie.map_or(OptionTail::None, OptionTail::FastOpen);
            TcpOptions { mss, window_scale, sack_permitted, timestamps, tail }
        } else {
            let mut sack = SackBlocks::default();
            for (start, end) in blocks {
                sack.push((SeqNumber(start), SeqNumber(end)));
            }
            let tail = if sack.is_empty() { OptionTail::None } else { OptionTail::Sack(sack) };
            TcpOptions { timestamps, tail, ..TcpOptions::default() }
        }
    }
}

proptest! {
    #[test]
    fn parse_of_emit_is_the_identity(
        (source_port, destination_port, sequence, acknowledgment) in any::<(u16, u16, u32, u32)>(),
        (flags, window, urgent_pointer) in any::<(u8, u16, u16)>(),
        options in options(),
        (source, destination) in any::<(u128, u128)>(),
        payload in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let (source, destination) = (IpAddr::from(source.to_be_bytes()), IpAddr::from(destination.to_be_bytes()));
        let header = TcpHeader {
            source_port, destination_port,
            sequence: SeqNumber(sequence), acknowledgment: SeqNumber(acknowledgment),
            flags: TcpFlags(flags), window, urgent_pointer, options,
        };
        let mut head = HeadBuf::new();
        let (first, second) = payload.split_at(payload.len() / 3);
        header.emit(&mut head, source, destination, &[first, second], false);
        prop_assert_eq!(head.len(), header.header_len());
        let bytes = [head.as_slice(), &payload].concat();
        let segment = TcpSegment::parse(&bytes).unwrap();
        prop_assert_eq!(segment.header, header);
        prop_assert_eq!(segment.payload, &payload[..]);
        prop_assert!(TcpSegment::checksum_is_valid(&bytes, source, destination));

        let theirs = etherparse::TcpSlice::from_slice(&bytes).unwrap();
        let (IpAddr::V6(source), IpAddr::V6(destination)) = (source, destination) else { unreachable!() };
        prop_assert_eq!(theirs.calc_checksum_ipv6(source.octets(), destination.octets()).unwrap(), theirs.checksum());
        // It knows all of them but Fast Open's, which comes last in a SYN.
        let is_known = |option| matches!(option, Ok(_) | Err(TcpOptionReadError::UnknownId(34)));
        prop_assert!(theirs.options_iterator().all(is_known));
    }

    #[test]
    fn any_bytes_parse_or_fail(bytes: Vec<u8>) {
        let _ = TcpSegment::parse(&bytes);
    }
}

#[test]
fn flags_read_as_tcpdump_writes_them() {
    assert_eq!((TcpFlags::SYN | TcpFlags::ACK).to_string(), "[S.]");
    assert_eq!(TcpFlags::NONE.to_string(), "[none]");
}
