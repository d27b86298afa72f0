//! That what is cut joins to what it was.

use netloom_wire::{HeadBuf, Ipv4Header, SeqNumber, TcpHeader, TcpOptions};

use super::*;
use crate::frame_check::check_frame;

/// A super-segment of `len` bytes, its checksum left to the device.
fn super_segment(len: usize, flags: TcpFlags) -> (Vec<u8>, TxMeta) {
    let (source, destination) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
    let payload: Vec<u8> = (0..len).map(|at| u8::try_from(at % 251).unwrap()).collect();
    let header = TcpHeader {
        source_port: 1,
        destination_port: 2,
        sequence: SeqNumber(u32::MAX - 100),
        acknowledgment: SeqNumber(7),
        flags,
        window: 1000,
        urgent_pointer: 0,
        options: TcpOptions::default(),
    };
    let mut head = HeadBuf::new();
    header.emit(&mut head, IpAddr::V4(source), IpAddr::V4(destination), &[&payload], true);
    let tcp_len = head.len() + len;
    let ip = Ipv4Header {
        source,
        destination,
        protocol: Protocol::TCP,
        ttl: 64,
        traffic_class: 0,
        identification: u16::MAX,
        dont_fragment: true,
        more_fragments: false,
        fragment_offset: 0,
    };
    ip.emit(&mut head, tcp_len);
    let segment_size = NonZeroU16::new(1460).unwrap();
    let gso = Some(Gso { kind: GsoKind::Tcp4, segment_size, ecn: flags.contains(TcpFlags::CWR) });
    let meta = TxMeta { checksum: TxChecksum::Partial { start: 20, offset: 16 }, gso };
    ([head.as_slice(), &payload].concat(), meta)
}

#[test]
fn what_is_cut_reads_well_and_joins_to_what_it_was() {
    for len in [1461, 2920, 10_000, 65_000] {
        let (frame, meta) = super_segment(len, TcpFlags::ACK | TcpFlags::PSH | TcpFlags::CWR);
        let parts = cut(Medium::Ip, meta, frame.clone());
        assert_eq!(parts.len(), len.div_ceil(1460));
        for (index, part) in parts.iter().enumerate() {
            assert_eq!(check_frame(Medium::Ip, part), Ok(()));
            let flags = Layout::of(Medium::Ip, part).unwrap().flags;
            assert_eq!(flags.contains(TcpFlags::CWR), index == 0);
            assert_eq!(flags.contains(TcpFlags::PSH), index + 1 == parts.len());
        }
        let [(joined, meta)] = <[_; 1]>::try_from(join(Medium::Ip, parts)).unwrap();
        assert_eq!(meta.gso.map(|gso| (gso.segment_count(len), gso.ecn)), Some((len.div_ceil(1460), true)));
        // But for the checksum, which nobody looks at.
        let sums = 36..38;
        let differs = |(at, (one, other)): (usize, (&u8, &u8))| one != other && !sums.contains(&at);
        assert!(!joined.iter().zip(&frame).enumerate().any(differs));
        assert_eq!(joined.len(), frame.len());
    }
}

#[test]
fn what_does_not_follow_is_not_joined() {
    let (frame, meta) = super_segment(5 * 1460, TcpFlags::ACK);
    let mut parts = cut(Medium::Ip, meta, frame);
    // One missing, and one damaged.
    parts.remove(1);
    *parts[2].last_mut().unwrap() ^= 1;
    let joined = join(Medium::Ip, parts);
    let counts: Vec<_> = joined.iter().map(|(frame, meta)| (frame.len(), meta.gso.is_some())).collect();
    assert_eq!(counts, [(1500, false), (1500, false), (1500, false), (1500, false)]);
    assert_eq!(joined[2].1, RxMeta::default());
}

#[test]
fn an_unfinished_checksum_is_finished() {
    let (frame, meta) = super_segment(1000, TcpFlags::ACK);
    let frames = cut(Medium::Ip, TxMeta { gso: None, ..meta }, frame);
    assert_eq!(check_frame(Medium::Ip, &frames[0]), Ok(()));
}
