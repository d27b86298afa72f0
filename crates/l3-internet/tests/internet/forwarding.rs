//! A router between two links (RFC 1812 5, RFC 8200).

use core::net::IpAddr;
use core::num::NonZeroU16;

use netloom_base::{DeviceCaps, DropReason, Gso, GsoKind, Medium, RxChecksum, RxMeta, TxChecksum};
use netloom_l3_internet::{Arrival, Forward, Input};
use netloom_wire::{CastKind, IcmpErrorKind, Ipv4Packet, Protocol, TcpFlags, UdpDatagram};

use crate::support::*;

fn forwarded(host: &mut Host, bytes: &[u8]) -> Forward {
    match host.input(bytes) {
        Ok(Outcome::Forwarded(forward)) => forward,
        other => panic!("not forwarded: {other:?}"),
    }
}

both_families! {
    // [1122-I004] [1122-I005] [791-03] [791-04] [1812-17]
    fn a_packet_for_another_link_goes_there_one_hop_older(family) {
        let mut host = Host::router();
        let bytes = udp(family.peer(), family.other_peer(), b"through");
        let forward = forwarded(&mut host, &bytes);
        assert_eq!((forward.arrived_on, forward.interface, forward.mtu), (IF0, IF1, 1400));
        host.internet.queue_forward(host.now, forward).unwrap();
        let output = host.sent_one();
        assert_eq!(output.next_hop, neighbor(IF1, family.other_peer()));
        let (before, after) = (read(&bytes), read(&output.packet));
        assert_eq!(after, Read { hop_limit: 63, ..before });
        assert_eq!(host.internet.counters().packets_forwarded.get(), 1);
    }

    fn a_packet_for_nowhere_near_goes_to_the_gateway(family) {
        let mut host = Host::router();
        let bytes = udp(family.other_peer(), family.far(), b"out");
        let input = host.input_on(IF1, CastKind::Unicast, &bytes);
        let Ok(Outcome::Forwarded(forward)) = input else { panic!("{input:?}") };
        assert_eq!((forward.interface, forward.next_hop), (IF0, family.peer()));
    }

    // [1812-03] [1812-17] [4443-14] [1812-08]
    fn a_packet_that_is_too_old_is_told(family) {
        let mut host = Host::router();
        for hop_limit in [0, 1] {
            let bytes = packet(family.far(), family.other_peer(), Protocol::UDP, hop_limit, b"12345678");
            assert_eq!(host.input(&bytes), Err(DropReason::IpTtlExceeded));
            let output = host.sent_one();
            assert_eq!(read_error(&output.packet), (IcmpErrorKind::HopLimitExceeded, bytes));
            // From the interface that the error leaves by.
            assert_eq!(read(&output.packet).source, family.us());
        }
    }

    // [1812-16]
    fn a_packet_for_nowhere_is_told(family) {
        let mut host = Host::router();
        let default = match family { Family::V4 => "0.0.0.0/0", Family::V6 => "::/0" }.parse().unwrap();
        host.internet.routes_mut().remove(default, Some(family.peer()), IF0).unwrap();
        let bytes = udp(family.peer(), family.far(), b"where");
        assert_eq!(host.input(&bytes), Err(DropReason::IpNoRoute));
        assert_eq!(read_error(&host.sent_one().packet).0, IcmpErrorKind::NetworkUnreachable);
    }

    // [1812-18] [1812-19]
    fn what_routers_do_not_forward(family) {
        let mut host = Host::router();
        let bytes = udp(family.peer(), family.other_peer(), b"x");
        assert_eq!(host.input_on(IF0, CastKind::Broadcast, &bytes), Err(DropReason::IpLinkBroadcast));
        let (link_local, group): (IpAddr, IpAddr) = match family {
            Family::V4 => ("169.254.1.1".parse().unwrap(), "239.1.1.1".parse().unwrap()),
            Family::V6 => ("fe80::1".parse().unwrap(), "ff0e::1".parse().unwrap()),
        };
        assert_eq!(host.input(&udp(link_local, family.other_peer(), b"x")), Err(DropReason::IpBadSource));
        assert_eq!(host.input(&udp(family.peer(), link_local, b"x")), Err(DropReason::IpBadDestination));
        assert_eq!(host.input(&udp(family.peer(), group, b"x")), Err(DropReason::IpNotForUs));
        assert!(host.sent().is_empty());
    }

    // [4861-14]
    fn a_next_hop_that_does_not_answer_is_told_to_the_sender(family) {
        let mut host = Host::router();
        let bytes = udp(family.peer(), family.other_peer(), b"x");
        let forward = forwarded(&mut host, &bytes);
        host.internet.host_unreachable(host.now, &forward.packet);
        let output = host.sent_one();
        assert_eq!(read_error(&output.packet).0, IcmpErrorKind::HostUnreachable);
        assert_eq!(read(&output.packet).destination, family.peer());
        assert!(host.events().is_empty());
    }

    fn a_trusted_checksum_is_finished_on_the_way(family) {
        let mut host = Host::router();
        let mut bytes = udp(family.peer(), family.other_peer(), b"only begun");
        let at = family.header_len() + 6;
        bytes[at] ^= 0x55;
        let meta = RxMeta { checksum: RxChecksum::Trusted, gso: None };
        let arrival =
            Arrival { interface: IF0, packet: &bytes, cast: CastKind::Unicast, link_source: None, meta };
        let Ok(Input::Forward(forward)) = host.internet.input(host.now, arrival) else { panic!("not forwarded") };
        assert_eq!(forward.meta, netloom_base::TxMeta::default());
        let datagram = UdpDatagram::parse(&forward.packet[family.header_len()..]).unwrap();
        assert!(datagram.checksum_is_valid(family.peer(), family.other_peer()));
    }

    fn a_super_segment_stays_one_if_its_parts_fit(family) {
        let mut host = Host::router();
        let header = netloom_wire::TcpHeader {
            source_port: 1,
            destination_port: 2,
            sequence: netloom_wire::SeqNumber(1),
            acknowledgment: netloom_wire::SeqNumber(1),
            flags: TcpFlags::ACK,
            window: 1,
            urgent_pointer: 0,
            options: netloom_wire::TcpOptions::default(),
        };
        let mut head = netloom_wire::HeadBuf::new();
        let data = vec![7; 6000];
        header.emit(&mut head, family.peer(), family.other_peer(), &[&data, &[]], true);
        let payload = [head.as_slice(), &data].concat();
        let bytes = packet(family.peer(), family.other_peer(), Protocol::TCP, 64, &payload);
        let mut check = |segment_size: u16| {
            let gso = Gso { kind: GsoKind::Tcp4, segment_size: NonZeroU16::new(segment_size).unwrap(), ecn: false };
            let meta = RxMeta { checksum: RxChecksum::Trusted, gso: Some(gso) };
            let arrival =
                Arrival { interface: IF0, packet: &bytes, cast: CastKind::Unicast, link_source: None, meta };
            match host.internet.input(host.now, arrival) {
                Ok(Input::Forward(forward)) => Some(forward),
                Ok(other) => panic!("{other:?}"),
                Err(_) => None,
            }
        };
        let fits = 1400 - u16::try_from(family.header_len()).unwrap() - 20;
        let forward = check(fits).unwrap();
        let start = u16::try_from(family.header_len()).unwrap();
        assert_eq!(forward.meta.checksum, TxChecksum::Partial { start, offset: 16 });
        assert!(forward.meta.gso.is_some());
        if family == Family::V6 {
            assert_eq!(check(fits + 1), None);
            assert_eq!(host.sent().len(), 1);
        }
        host.internet.queue_forward(host.now, forward).unwrap();
        assert_eq!(host.internet.poll_transmit(host.now).unwrap().packet.len(), bytes.len());
    }

    fn a_super_segment_is_cut_for_a_device_that_does_not(family) {
        let mut host = Host::router();
        let (source, destination) = (family.peer(), family.other_peer());
        let header = netloom_wire::TcpHeader {
            source_port: 1,
            destination_port: 2,
            sequence: netloom_wire::SeqNumber(u32::MAX - 500),
            acknowledgment: netloom_wire::SeqNumber(1),
            flags: TcpFlags::ACK | TcpFlags::PSH | TcpFlags::FIN | TcpFlags::CWR,
            window: 1,
            urgent_pointer: 0,
            options: netloom_wire::TcpOptions::default(),
        };
        let data: Vec<u8> = (0..2500_u32).map(|index| index.to_le_bytes()[0]).collect();
        let mut head = netloom_wire::HeadBuf::new();
        header.emit(&mut head, source, destination, &[&data, &[]], true);
        let payload = [head.as_slice(), &data].concat();
        let bytes = packet(source, destination, Protocol::TCP, 64, &payload);
        let kind = GsoKind::tcp(destination);
        let gso = Gso { kind, segment_size: NonZeroU16::new(1000).unwrap(), ecn: true };
        let meta = RxMeta { checksum: RxChecksum::Trusted, gso: Some(gso) };
        let arrival =
            Arrival { interface: IF0, packet: &bytes, cast: CastKind::Unicast, link_source: None, meta };
        let Ok(Input::Forward(forward)) = host.internet.input(host.now, arrival) else { panic!("not forwarded") };
        let plain = DeviceCaps::plain(Medium::Ethernet, 1400);
        let cuts = DeviceCaps { tcp4_segmentation: Some(65_535), tcp6_segmentation: Some(65_535), ..plain };
        assert!(forward.must_be_cut(&plain) && !forward.must_be_cut(&cuts));
        let parts = forward.into_segments();
        let mut text = Vec::new();
        for (index, part) in (0..).zip(&parts) {
            assert!(!part.must_be_cut(&plain));
            let part = read(&part.packet);
            assert!(netloom_wire::TcpSegment::checksum_is_valid(&part.payload, source, destination));
            let segment = netloom_wire::TcpSegment::parse(&part.payload).unwrap();
            assert_eq!(segment.header.sequence, header.sequence + 1000 * index);
            let flags = match index {
                0 => TcpFlags::ACK | TcpFlags::CWR,
                1 => TcpFlags::ACK,
                _ => TcpFlags::ACK | TcpFlags::PSH | TcpFlags::FIN,
            };
            assert_eq!(segment.header.flags, flags);
            text.extend_from_slice(segment.payload);
        }
        assert_eq!((parts.len(), text), (3, data));
    }
}

#[test]
fn a_router_cuts_ipv4_unless_forbidden_and_never_ipv6() {
    // [791-06] [1812-15] [792-03] [4443-13]
    let mut host = Host::router();
    let data = [3; 1450];
    let bytes = udp(Family::V4.peer(), Family::V4.other_peer(), &data);
    let forward = forwarded(&mut host, &bytes);
    host.internet.queue_forward(host.now, forward).unwrap();
    let parts = host.sent();
    assert_eq!(parts.len(), 2);
    let joined: Vec<u8> = parts.iter().flat_map(|output| read(&output.packet).payload).collect();
    assert_eq!(joined, read(&bytes).payload);
    assert!(parts.iter().all(|output| output.packet.len() <= 1400));

    let (IpAddr::V4(source), IpAddr::V4(destination)) = (Family::V4.peer(), Family::V4.other_peer()) else {
        panic!("not IPv4")
    };
    let mut header = v4_header(source, destination, Protocol::UDP, 64);
    header.dont_fragment = true;
    let whole = [&header.to_bytes(data.len())[..], &data].concat();
    assert_eq!(host.input(&whole), Err(DropReason::IpPacketTooBig));
    let (kind, _) = read_error(&host.sent_one().packet);
    assert_eq!(kind, IcmpErrorKind::PacketTooBig { mtu: Some(1400) });

    let bytes = udp(Family::V6.peer(), Family::V6.other_peer(), &data);
    assert_eq!(host.input(&bytes), Err(DropReason::IpPacketTooBig));
    let (kind, _) = read_error(&host.sent_one().packet);
    assert_eq!(kind, IcmpErrorKind::PacketTooBig { mtu: Some(1400) });
}

#[test]
fn fragments_pass_a_router_as_they_are() {
    // [1812-15]
    let mut host = Host::router();
    let (IpAddr::V4(source), IpAddr::V4(destination)) = (Family::V4.peer(), Family::V4.other_peer()) else {
        panic!("not IPv4")
    };
    let mut header = v4_header(source, destination, Protocol::UDP, 64);
    header.fragment_offset = 80;
    let bytes = [&header.to_bytes(40)[..], &[1; 40]].concat();
    let forward = forwarded(&mut host, &bytes);
    let packet = Ipv4Packet::parse(&forward.packet).unwrap();
    assert_eq!(packet.header.fragment_offset, 80);
    assert!(host.internet.reassembler().is_empty());
}

#[test]
fn a_directed_broadcast_is_not_forwarded() {
    let mut host = Host::router();
    let bytes = udp(Family::V4.peer(), "10.1.0.255".parse().unwrap(), b"x");
    assert_eq!(host.input(&bytes), Err(DropReason::IpBadDestination));
}
