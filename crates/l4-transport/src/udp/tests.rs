//! Tests of UDP, for both families where it matters.

use core::net::{IpAddr, SocketAddr};
use core::num::NonZeroU16;

use netloom_base::{DropReason, Gso, GsoKind, Instant, InterfaceId, Rng, RxChecksum, RxMeta};
use netloom_wire::{CastKind, Datagram, HeadBuf, IcmpError, IcmpErrorKind, Protocol, UdpHeader};
use proptest::prelude::*;

use super::*;

mod buffers;
mod trains;

const NOW: Instant = Instant::ZERO;
const IF0: InterfaceId = InterfaceId::new(0);
const IF1: InterfaceId = InterfaceId::new(1);

/// Our address, another of ours, a peer, another peer, a group: of one family.
#[derive(Clone, Copy)]
struct Cast {
    ours: IpAddr,
    second: IpAddr,
    peer: IpAddr,
    stranger: IpAddr,
    group: IpAddr,
    any: IpAddr,
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn casts() -> [Cast; 2] {
    [
        Cast {
            ours: ip("10.0.0.2"),
            second: ip("10.0.0.3"),
            peer: ip("10.0.0.1"),
            stranger: ip("10.0.0.9"),
            group: ip("239.1.1.1"),
            any: ip("0.0.0.0"),
        },
        Cast {
            ours: ip("fd00::2"),
            second: ip("fd00::3"),
            peer: ip("fd00::1"),
            stranger: ip("fd00::9"),
            group: ip("ff05::1"),
            any: ip("::"),
        },
    ]
}

fn udp() -> Udp {
    Udp::new(UdpConfig::default(), Rng::from_number(1))
}

fn at(address: IpAddr, port: u16) -> SocketAddr {
    SocketAddr::new(address, port)
}

fn bytes(from: SocketAddr, to: SocketAddr, data: &[u8]) -> Vec<u8> {
    let mut head = HeadBuf::new();
    let header = UdpHeader { source_port: from.port(), destination_port: to.port() };
    header.emit(&mut head, from.ip(), to.ip(), &[data], false);
    [head.as_slice(), data].concat()
}

fn datagram<'a>(from: SocketAddr, to: SocketAddr, payload: &'a [u8]) -> Datagram<'a> {
    Datagram {
        interface: IF0,
        source: from.ip(),
        destination: to.ip(),
        cast: if to.ip().is_multicast() { CastKind::Multicast } else { CastKind::Unicast },
        protocol: Protocol::UDP,
        hop_limit: 61,
        traffic_class: 0xb8,
        mtu: 1500,
        payload,
        packet: payload,
        meta: RxMeta::default(),
    }
}

fn arrive(udp: &mut Udp, from: SocketAddr, to: SocketAddr, data: &[u8]) -> Result<(), DropReason> {
    udp.input(NOW, &datagram(from, to, &bytes(from, to, data)))
}

fn read(udp: &mut Udp, id: UdpSocketId) -> Result<Vec<u8>, UdpRecvError> {
    let mut buffer = [0; 2048];
    udp.recv_from(id, &mut buffer).map(|received| buffer[..received.len].to_vec())
}

fn events(udp: &mut Udp) -> Vec<UdpEvent> {
    core::iter::from_fn(|| udp.poll_event()).collect()
}

fn bind(udp: &mut Udp, address: Option<IpAddr>, port: u16) -> UdpSocketId {
    udp.bind(UdpBind::new(address, port)).unwrap()
}

fn refused(from: SocketAddr, to: SocketAddr, kind: IcmpErrorKind, udp: &mut Udp) {
    let quote = bytes(from, to, b"");
    let error = IcmpError {
        kind,
        reporter: to.ip(),
        source: from.ip(),
        destination: to.ip(),
        protocol: Protocol::UDP,
        quote: &quote,
    };
    udp.handle_icmp(&error);
}

// [768-01] [768-03] [1122-U011] [1122-U014] [1122-U019] [1122-I150]
#[test]
fn a_datagram_arrives_with_all_that_is_known_about_it() {
    for Cast { ours, peer, .. } in casts() {
        let mut udp = udp();
        let id = bind(&mut udp, None, 7);
        let (from, to) = (at(peer, 5000), at(ours, 7));
        arrive(&mut udp, from, to, b"hello").unwrap();
        assert_eq!(events(&mut udp), [UdpEvent::Readable(id)]);
        let mut buffer = [0; 3];
        let expected = UdpReceived {
            len: 5,
            remote: from,
            local: to,
            interface: IF0,
            hop_limit: 61,
            traffic_class: 0xb8,
        };
        assert_eq!(udp.peek_with(id, |about, data| (about, data.len())), Ok((expected, 5)));
        assert_eq!(udp.recv_from(id, &mut buffer), Ok(expected));
        assert_eq!(&buffer, b"hel");
        assert!(expected.is_truncated(buffer.len()) && !expected.is_truncated(5));
        assert_eq!(read(&mut udp, id), Err(UdpRecvError::WouldBlock));
        // An empty one counts too, and so does one that wants no answer.
        arrive(&mut udp, at(peer, 0), to, b"").unwrap();
        assert_eq!(read(&mut udp, id), Ok(vec![]));
    }
}

// [1122-U006] [1122-U007] [768-02] [8200-22] [8200-21]
#[test]
fn checksums_are_verified_unless_the_device_has() {
    for Cast { ours, peer, .. } in casts() {
        let mut udp = udp();
        bind(&mut udp, None, 7);
        let (from, to) = (at(peer, 5000), at(ours, 7));
        let mut broken = bytes(from, to, b"hello");
        broken[9] ^= 1;
        assert_eq!(udp.input(NOW, &datagram(from, to, &broken)), Err(DropReason::UdpBadChecksum));
        let trusted = RxMeta { checksum: RxChecksum::Trusted, gso: None };
        let frame = Datagram { meta: trusted, ..datagram(from, to, &broken) };
        assert_eq!(udp.input(NOW, &frame), Ok(()));
        let mut absent = bytes(from, to, b"hello");
        absent[6..8].fill(0);
        let expected = if ours.is_ipv4() { Ok(()) } else { Err(DropReason::UdpBadChecksum) };
        assert_eq!(udp.input(NOW, &datagram(from, to, &absent)), expected);
        assert_eq!(udp.input(NOW, &datagram(from, to, &broken[..7])), Err(DropReason::UdpTruncated));
    }
}

// [1122-U001] [1122-U015] [1122-U012] [1122-U013]
#[test]
fn the_most_exact_socket_gets_it() {
    for Cast { ours, second, peer, stranger, any, group } in casts() {
        let mut udp = udp();
        let share = |address| UdpBind { address, port: 7, share: true };
        let family = udp.bind(share(Some(any))).unwrap();
        let to = at(ours, 7);
        let got_by = |udp: &mut Udp, from: SocketAddr, to: SocketAddr| {
            arrive(udp, from, to, b"x")?;
            let [UdpEvent::Readable(id)] = events(udp)[..] else { panic!("one socket, one event") };
            read(udp, id).unwrap();
            Ok(id)
        };
        assert_eq!(got_by(&mut udp, at(peer, 9), to), Ok(family));
        let everywhere = udp.bind(share(None)).unwrap();
        assert_eq!(got_by(&mut udp, at(peer, 9), to), Ok(family));
        let exact = udp.bind(share(Some(ours))).unwrap();
        assert_eq!(got_by(&mut udp, at(peer, 9), to), Ok(exact));
        assert_eq!(got_by(&mut udp, at(peer, 9), at(second, 7)), Ok(family));
        let connected = udp.bind(share(None)).unwrap();
        udp.connect(connected, at(peer, 9), Some(ours)).unwrap();
        assert_eq!(got_by(&mut udp, at(peer, 9), to), Ok(connected));
        assert_eq!(got_by(&mut udp, at(peer, 10), to), Ok(exact));
        assert_eq!(got_by(&mut udp, at(stranger, 9), to), Ok(exact));
        udp.close(family);
        assert_eq!(got_by(&mut udp, at(peer, 9), at(second, 7)), Ok(everywhere));
        assert_eq!(got_by(&mut udp, at(peer, 9), at(ours, 8)), Err(DropReason::UdpNoSocket));
        assert_eq!(got_by(&mut udp, at(group, 9), to), Err(DropReason::IpBadSource));
        for id in [everywhere, exact, connected] {
            udp.close(id);
        }
        assert!(udp.is_clean());
    }
}

#[test]
fn a_connected_socket_hears_its_peer_alone() {
    for Cast { ours, peer, stranger, .. } in casts() {
        let mut udp = udp();
        let id = bind(&mut udp, None, 7);
        udp.connect(id, at(peer, 9), Some(ours)).unwrap();
        assert_eq!(udp.peer_addr(id), Some(at(peer, 9)));
        assert_eq!(udp.local_addr(id).unwrap().address, Some(ours));
        assert_eq!(arrive(&mut udp, at(stranger, 9), at(ours, 7), b"x"), Err(DropReason::UdpNoSocket));
        udp.connect(id, at(stranger, 9), Some(ours)).unwrap();
        assert_eq!(arrive(&mut udp, at(peer, 9), at(ours, 7), b"x"), Err(DropReason::UdpNoSocket));
        arrive(&mut udp, at(stranger, 9), at(ours, 7), b"x").unwrap();
        udp.disconnect(id);
        arrive(&mut udp, at(peer, 9), at(ours, 7), b"x").unwrap();
        assert_eq!(udp.local_addr(id).unwrap().address, None);
        udp.close(id);
        assert!(udp.is_clean());
    }
}

#[test]
fn a_port_is_refused_where_addresses_overlap() {
    let [v4, v6] = casts();
    for (first, second, is_refused) in [
        (Some(v4.ours), Some(v4.ours), true),
        (Some(v4.ours), Some(v4.second), false),
        (Some(v4.ours), Some(v4.any), true),
        (Some(v4.any), Some(v4.ours), true),
        (Some(v4.any), Some(v6.any), false),
        (None, Some(v6.ours), true),
        (Some(v6.any), None, true),
        (Some(v4.ours), Some(v6.ours), false),
    ] {
        let mut udp = udp();
        bind(&mut udp, first, 7);
        let result = udp.bind(UdpBind::new(second, 7));
        assert_eq!(result == Err(UdpBindError::AddressInUse), is_refused, "{first:?} {second:?}");
        // Sharing needs both to want it.
        let result = udp.bind(UdpBind { address: first, port: 7, share: true });
        assert_eq!(result, Err(UdpBindError::AddressInUse));
        assert!(udp.bind(UdpBind::new(first, 8)).is_ok());

        // Those that share are in nobody's way but of who does not.
        let mut udp = self::udp();
        let shared = udp.bind(UdpBind { address: first, port: 7, share: true }).unwrap();
        udp.bind(UdpBind { address: second, port: 7, share: true }).unwrap();
        let result = udp.bind(UdpBind::new(second, 7));
        assert_eq!(result, Err(UdpBindError::AddressInUse), "{second:?} is there, and shared");
        udp.close(shared);
        let result = udp.bind(UdpBind::new(first, 7));
        assert_eq!(result == Err(UdpBindError::AddressInUse), is_refused);
    }
}

// [1122-I145]
#[test]
fn a_group_s_datagram_reaches_every_member_and_nobody_else() {
    for Cast { ours, peer, group, .. } in casts() {
        let mut udp = udp();
        let mut share = |address| udp.bind(UdpBind { address, port: 7, share: true }).unwrap();
        let (one, two, outsider, elsewhere) =
            (share(None), share(Some(group)), share(None), share(Some(ours)));
        let to = at(group, 7);
        assert_eq!(arrive(&mut udp, at(peer, 9), to, b"x"), Err(DropReason::UdpNoSocket));
        for (id, interface) in [(one, None), (two, Some(IF0)), (elsewhere, None), (outsider, Some(IF1))] {
            udp.join_group(id, group, interface).unwrap();
        }
        arrive(&mut udp, at(peer, 9), to, b"x").unwrap();
        assert_eq!(read(&mut udp, one), Ok(b"x".to_vec()));
        assert_eq!(read(&mut udp, two), Ok(b"x".to_vec()));
        assert_eq!(read(&mut udp, outsider), Err(UdpRecvError::WouldBlock));
        assert_eq!(read(&mut udp, elsewhere), Err(UdpRecvError::WouldBlock));
    }
}

#[test]
fn a_broadcast_reaches_every_socket_of_the_port() {
    let [Cast { ours, peer, .. }, _] = casts();
    let mut udp = udp();
    let mut share = |address| udp.bind(UdpBind { address, port: 67, share: true }).unwrap();
    let (one, two, bound) = (share(None), share(None), share(Some(ours)));
    let (from, to) = (at(peer, 68), at(ip("255.255.255.255"), 67));
    let payload = bytes(from, to, b"x");
    udp.input(NOW, &Datagram { cast: CastKind::Broadcast, ..datagram(from, to, &payload) }).unwrap();
    assert!(udp.is_readable(one) && udp.is_readable(two) && !udp.is_readable(bound));
}

#[test]
fn the_layers_below_learn_of_the_first_and_the_last_member() {
    let [Cast { group, ours, .. }, _] = casts();
    let mut udp = udp();
    let (one, two) = (bind(&mut udp, None, 1), bind(&mut udp, None, 2));
    let interface = None;
    assert_eq!(udp.join_group(one, ours, None), Err(UdpGroupError::NotMulticast));
    udp.join_group(one, group, interface).unwrap();
    udp.join_group(two, group, interface).unwrap();
    assert_eq!(udp.join_group(two, group, interface), Err(UdpGroupError::AlreadyJoined));
    assert_eq!(udp.poll_group_change(), Some(UdpGroupChange::Join { group, interface }));
    assert_eq!(udp.poll_group_change(), None);
    udp.leave_group(one, group, interface).unwrap();
    assert_eq!(udp.leave_group(one, group, interface), Err(UdpGroupError::NotJoined));
    assert_eq!(udp.poll_group_change(), None);
    udp.close(two);
    assert_eq!(udp.poll_group_change(), Some(UdpGroupChange::Leave { group, interface }));
    // Joined and left before anybody looked: nothing to tell.
    udp.join_group(one, group, interface).unwrap();
    udp.leave_group(one, group, interface).unwrap();
    assert_eq!(udp.poll_group_change(), None);
    for low in 0..=255 {
        udp.join_group(one, [239, 0, 0, low].into(), None).unwrap();
    }
    assert_eq!(udp.join_group(one, group, None), Err(UdpGroupError::TooManyGroups));
}

#[test]
fn a_full_receive_queue_drops_the_newest() {
    for by_bytes in [true, false] {
        let config = UdpConfig {
            receive_queue_bytes: if by_bytes { 2 * (100 + 128) } else { usize::MAX },
            queue_datagrams: if by_bytes { usize::MAX } else { 2 },
            ..UdpConfig::default()
        };
        let mut udp = Udp::new(config, Rng::from_number(1));
        let [Cast { ours, peer, .. }, _] = casts();
        let id = bind(&mut udp, None, 7);
        for byte in 0..2 {
            arrive(&mut udp, at(peer, 9), at(ours, 7), &[byte; 100]).unwrap();
        }
        assert_eq!(arrive(&mut udp, at(peer, 9), at(ours, 7), &[2; 100]), Err(DropReason::UdpQueueFull));
        assert_eq!((udp.info(id).unwrap().dropped, udp.counters().queue_full.get()), (1, 1));
        assert_eq!(read(&mut udp, id), Ok(vec![0; 100]));
        arrive(&mut udp, at(peer, 9), at(ours, 7), &[3; 100]).unwrap();
        assert_eq!(read(&mut udp, id), Ok(vec![1; 100]));
        assert_eq!(read(&mut udp, id), Ok(vec![3; 100]));
        assert_eq!(udp.receive_bytes(), 0);
    }
}

#[test]
fn all_receive_queues_together_are_bounded() {
    let config = UdpConfig { max_receive_bytes: 10_000, ..UdpConfig::default() };
    let mut udp = Udp::new(config, Rng::from_number(1));
    let [Cast { ours, peer, .. }, _] = casts();
    for port in 1..=100 {
        bind(&mut udp, None, port);
        let _ = arrive(&mut udp, at(peer, 9), at(ours, port), &[0; 500]);
        assert!(udp.receive_bytes() <= 10_000);
    }
    assert_eq!(udp.counters().received.get(), 10_000 / 628);
    let ids: Vec<UdpSocketId> = udp.sockets().map(|socket| socket.id).collect();
    for id in ids {
        udp.close(id);
    }
    assert!(udp.is_clean());
}

#[test]
fn a_train_is_queued_as_one_within_its_bounds() {
    for Cast { ours, peer, .. } in casts() {
        let mut udp = udp();
        let id = bind(&mut udp, None, 7);
        let to = Some(at(peer, 53));
        let queued = |udp: &mut Udp, size: usize, len: usize| {
            udp.send_train(id, to, None, size, &vec![1; len])?;
            let output = udp.poll_transmit().unwrap();
            assert_eq!(output.data.len(), len);
            Ok(output.segment_size.map(NonZeroU16::get))
        };
        assert_eq!(queued(&mut udp, 100, 201), Ok(Some(100)));
        assert_eq!(queued(&mut udp, 100, 6400), Ok(Some(100)));
        assert_eq!(queued(&mut udp, 100, 6401), Err(UdpSendError::TrainTooLong));
        assert_eq!(queued(&mut udp, 0, 1), Err(UdpSendError::TrainTooLong));
        assert_eq!(queued(&mut udp, 60_000, 65_528), Err(UdpSendError::MessageTooLong));
        // One datagram is no train.
        assert_eq!(queued(&mut udp, 100, 100), Ok(None));
        assert_eq!(queued(&mut udp, usize::MAX, 100), Ok(None));
        assert_eq!(queued(&mut udp, 0, 0), Ok(None));
        assert_eq!(udp.send_train(id, None, None, 1, b"ab"), Err(UdpSendError::NotConnected));
        udp.connect(id, at(peer, 53), Some(ours)).unwrap();
        udp.send_train(id, None, None, 1, b"ab").unwrap();
        assert_eq!(udp.poll_transmit().unwrap().source, Some(ours));
    }
}

// [1122-U018] [1122-U016]
#[test]
fn a_datagram_is_sent_with_the_socket_s_options() {
    for Cast { ours, second, peer, group, .. } in casts() {
        let mut udp = udp();
        let id = bind(&mut udp, None, 7);
        let options = UdpOptions { hop_limit: Some(9), traffic_class: 4, ..UdpOptions::default() };
        assert!(udp.set_options(id, options));
        udp.send_to(id, at(peer, 53), Some(second), b"query").unwrap();
        udp.send_to(id, at(group, 53), None, b"all").unwrap();
        let expected = UdpOutput {
            id,
            source: Some(second),
            source_port: 7,
            remote: at(peer, 53),
            hop_limit: Some(9),
            traffic_class: 4,
            dont_fragment: false,
            loops_to_groups: true,
            segment_size: None,
            data: b"query".to_vec(),
        };
        assert_eq!(udp.poll_transmit(), Some(expected));
        let to_group = udp.poll_transmit().unwrap();
        assert_eq!((to_group.source, to_group.hop_limit), (None, Some(1)));
        udp.connect(id, at(peer, 53), Some(ours)).unwrap();
        udp.send(id, b"x").unwrap();
        assert_eq!(udp.poll_transmit().unwrap().source, Some(ours));
        assert_eq!(udp.poll_transmit(), None);
    }
}

#[test]
fn what_cannot_be_sent_is_refused() {
    let [Cast { ours, peer, any, .. }, Cast { peer: other, .. }] = casts();
    let mut udp = udp();
    let id = bind(&mut udp, Some(ours), 7);
    assert_eq!(udp.send(id, b""), Err(UdpSendError::NotConnected));
    assert_eq!(udp.send_to(id, at(peer, 0), None, b""), Err(UdpSendError::InvalidRemote));
    assert_eq!(udp.send_to(id, at(any, 5), None, b""), Err(UdpSendError::InvalidRemote));
    assert_eq!(udp.send_to(id, at(other, 5), None, b""), Err(UdpSendError::FamilyMismatch));
    assert_eq!(udp.connect(id, at(other, 5), None), Err(UdpConnectError::FamilyMismatch));
    assert_eq!(udp.connect(id, at(peer, 0), None), Err(UdpConnectError::InvalidRemote));
    assert_eq!(udp.send_to(id, at(peer, 5), None, &[0; 65_508]), Err(UdpSendError::MessageTooLong));
    assert_eq!(udp.send_to(id, at(peer, 5), None, &[0; 65_507]), Ok(()));
    let everywhere = bind(&mut udp, None, 8);
    assert_eq!(udp.send_to(everywhere, at(other, 5), None, &[0; 65_528]), Err(UdpSendError::MessageTooLong));
    assert_eq!(udp.send_to(everywhere, at(other, 5), None, &[0; 65_527]), Ok(()));
    udp.close(id);
    assert_eq!(udp.send_to(id, at(peer, 5), None, b""), Err(UdpSendError::NoSocket));
    assert_eq!(read(&mut udp, id), Err(UdpRecvError::NoSocket));
}

#[test]
fn a_full_send_queue_refuses_and_tells_when_there_is_room() {
    let mut udp = Udp::new(UdpConfig { queue_datagrams: 4, ..UdpConfig::default() }, Rng::from_number(1));
    let [Cast { peer, .. }, _] = casts();
    let id = bind(&mut udp, None, 7);
    let send = |udp: &mut Udp| udp.send_to(id, at(peer, 9), None, b"x");
    for _ in 0..4 {
        send(&mut udp).unwrap();
    }
    assert_eq!(send(&mut udp), Err(UdpSendError::WouldBlock));
    assert_eq!(events(&mut udp), []);
    udp.poll_transmit().unwrap();
    udp.poll_transmit().unwrap();
    assert_eq!(events(&mut udp), []);
    udp.poll_transmit().unwrap();
    assert_eq!(events(&mut udp), [UdpEvent::Writable(id)]);
    udp.poll_transmit().unwrap();
    assert_eq!(events(&mut udp), []);
    // One that nobody refused has nothing to tell.
    send(&mut udp).unwrap();
    udp.poll_transmit().unwrap();
    assert_eq!((events(&mut udp), udp.poll_transmit()), (vec![], None));
}

#[test]
fn sockets_take_turns_in_sending() {
    let mut udp = udp();
    let [Cast { peer, .. }, _] = casts();
    let ids: Vec<UdpSocketId> = (1..=3).map(|port| bind(&mut udp, None, port)).collect();
    for (&id, count) in ids.iter().zip([5, 1, 2]) {
        for _ in 0..count {
            udp.send_to(id, at(peer, 9), None, b"x").unwrap();
        }
    }
    let order: Vec<u16> =
        core::iter::from_fn(|| udp.poll_transmit()).map(|output| output.source_port).collect();
    assert_eq!(order, [1, 2, 3, 1, 3, 1, 1, 1]);
}

#[test]
fn closing_frees_the_port_at_once_and_still_sends_what_is_queued() {
    let mut udp = udp();
    let [Cast { ours, peer, .. }, _] = casts();
    let id = bind(&mut udp, None, 7);
    arrive(&mut udp, at(peer, 9), at(ours, 7), b"unread").unwrap();
    udp.send_to(id, at(peer, 9), None, b"one").unwrap();
    udp.send_to(id, at(peer, 9), None, b"two").unwrap();
    udp.close(id);
    assert_eq!(events(&mut udp), []);
    assert_eq!(arrive(&mut udp, at(peer, 9), at(ours, 7), b"x"), Err(DropReason::UdpNoSocket));
    let next = bind(&mut udp, None, 7);
    udp.close(id);
    assert_eq!(udp.sockets().count(), 2);
    assert_eq!(udp.poll_transmit().unwrap().data, b"one");
    assert_eq!(udp.poll_transmit().unwrap().data, b"two");
    udp.close(next);
    assert!(udp.is_clean());
}

// [1122-U005] [1122-I049] [1122-I050] [1122-I051] [1122-I059] [1122-I061] [1122-I153] [1122-I154]
#[test]
fn a_refusal_fails_a_connected_socket_s_next_call_once() {
    for Cast { ours, peer, stranger, .. } in casts() {
        let mut udp = udp();
        let id = bind(&mut udp, None, 7);
        udp.connect(id, at(peer, 9), Some(ours)).unwrap();
        // Not about this socket's peer.
        refused(at(ours, 7), at(stranger, 9), IcmpErrorKind::PortUnreachable, &mut udp);
        refused(at(ours, 8), at(peer, 9), IcmpErrorKind::PortUnreachable, &mut udp);
        assert_eq!((udp.take_error(id), events(&mut udp)), (None, vec![]));
        // A hint only.
        refused(at(ours, 7), at(peer, 9), IcmpErrorKind::HostUnreachable, &mut udp);
        assert_eq!(read(&mut udp, id), Err(UdpRecvError::WouldBlock));
        refused(at(ours, 7), at(peer, 9), IcmpErrorKind::PortUnreachable, &mut udp);
        assert_eq!(events(&mut udp), [UdpEvent::Error(id)]);
        let error = UdpSocketError::ConnectionRefused;
        assert_eq!(udp.send(id, b"x"), Err(UdpSendError::Socket(error)));
        assert_eq!(udp.send(id, b"x"), Ok(()));
        refused(at(ours, 7), at(peer, 9), IcmpErrorKind::Prohibited, &mut udp);
        assert_eq!(read(&mut udp, id), Err(UdpRecvError::Socket(UdpSocketError::HostUnreachable)));
        assert_eq!(read(&mut udp, id), Err(UdpRecvError::WouldBlock));
        let kinds: Vec<IcmpErrorKind> =
            core::iter::from_fn(|| udp.poll_icmp_report(id)).map(|report| report.kind).collect();
        assert_eq!(
            kinds,
            [IcmpErrorKind::HostUnreachable, IcmpErrorKind::PortUnreachable, IcmpErrorKind::Prohibited]
        );
    }
}

// [1122-U005]
#[test]
fn a_socket_that_is_not_connected_can_read_of_errors_and_fails_nowhere() {
    let mut udp = udp();
    let [Cast { ours, peer, .. }, _] = casts();
    let id = bind(&mut udp, None, 7);
    for _ in 0..20 {
        refused(at(ours, 7), at(peer, 9), IcmpErrorKind::PortUnreachable, &mut udp);
    }
    assert_eq!(udp.send_to(id, at(peer, 9), None, b"x"), Ok(()));
    assert_eq!(core::iter::from_fn(|| udp.poll_icmp_report(id)).count(), 8);
    assert_eq!(udp.counters().icmp_errors.get(), 20);
}

#[test]
fn a_train_of_datagrams_is_taken_apart() {
    let mut udp = udp();
    let [Cast { ours, peer, .. }, _] = casts();
    let id = bind(&mut udp, None, 7);
    let (from, to) = (at(peer, 9), at(ours, 7));
    let payload = bytes(from, to, b"aaabbbc");
    let gso = Gso { kind: GsoKind::Udp, segment_size: NonZeroU16::new(3).unwrap(), ecn: false };
    let meta = RxMeta { checksum: RxChecksum::Trusted, gso: Some(gso) };
    udp.input(NOW, &Datagram { meta, ..datagram(from, to, &payload) }).unwrap();
    for expected in [&b"aaa"[..], b"bbb", b"c"] {
        assert_eq!(read(&mut udp, id), Ok(expected.to_vec()));
    }
    assert_eq!(events(&mut udp), [UdpEvent::Readable(id)]);
}

// [6056-03] [6056-02]
#[test]
fn ephemeral_ports_are_spread_and_run_out() {
    let ephemeral_ports = crate::ports::PortRange::new(40_000, 40_009).unwrap();
    let config = UdpConfig { ephemeral_ports, max_sockets: 11, ..UdpConfig::default() };
    let mut udp = Udp::new(config, Rng::from_number(1));
    let [Cast { ours, second, .. }, _] = casts();
    let ids: Vec<UdpSocketId> = (0..10).map(|_| bind(&mut udp, Some(ours), 0)).collect();
    let ports: std::collections::BTreeSet<u16> =
        ids.iter().map(|&id| udp.local_addr(id).unwrap().port).collect();
    assert_eq!(ports, (40_000..=40_009).collect());
    assert_eq!(udp.bind(UdpBind::new(Some(ours), 0)), Err(UdpBindError::PortsExhausted));
    // Another address has all of them left.
    bind(&mut udp, Some(second), 0);
    assert_eq!(udp.bind(UdpBind::new(Some(ours), 7)), Err(UdpBindError::TooManySockets));
}

#[test]
fn two_sockets_cannot_have_both_ends() {
    let mut udp = udp();
    let [Cast { ours, peer, stranger, .. }, _] = casts();
    let mut share = || udp.bind(UdpBind { address: Some(ours), port: 7, share: true }).unwrap();
    let (one, two) = (share(), share());
    udp.connect(one, at(peer, 9), None).unwrap();
    udp.connect(one, at(peer, 9), None).unwrap();
    assert_eq!(udp.connect(two, at(peer, 9), None), Err(UdpConnectError::AddressInUse));
    udp.connect(two, at(stranger, 9), None).unwrap();
    assert_eq!(udp.connect(two, at(peer, 9), None), Err(UdpConnectError::AddressInUse));
    assert_eq!(udp.peer_addr(two), Some(at(stranger, 9)));
    arrive(&mut udp, at(stranger, 9), at(ours, 7), b"x").unwrap();
    assert_eq!(read(&mut udp, two), Ok(b"x".to_vec()));
}

#[test]
fn of_those_that_share_the_one_that_was_bound_first_is_served() {
    let mut udp = udp();
    let [Cast { ours, peer, stranger, .. }, _] = casts();
    let mut share = || udp.bind(UdpBind { address: Some(ours), port: 7, share: true }).unwrap();
    let (first, second, third) = (share(), share(), share());
    let serves = |udp: &mut Udp, expected| {
        arrive(udp, at(stranger, 9), at(ours, 7), b"x").unwrap();
        for id in [first, second, third] {
            assert_eq!(read(udp, id).is_ok(), id == expected, "{id} and not {expected}");
        }
    };
    serves(&mut udp, first);
    udp.connect(first, at(peer, 9), None).unwrap();
    serves(&mut udp, second);
    udp.disconnect(first);
    serves(&mut udp, first);
    udp.close(first);
    udp.close(second);
    // It has the place of the first in memory, and is the last all the same.
    let fourth = udp.bind(UdpBind { address: Some(ours), port: 7, share: true }).unwrap();
    serves(&mut udp, third);
    udp.close(third);
    arrive(&mut udp, at(stranger, 9), at(ours, 7), b"x").unwrap();
    assert_eq!(read(&mut udp, fourth), Ok(b"x".to_vec()));
}

/// One step of a random life.
#[derive(Clone, Debug)]
enum Step {
    Bind { which: u8, port: u16, share: bool },
    Connect { socket: usize, peer: u8 },
    Disconnect { socket: usize },
    Close { socket: usize },
    Arrive { peer: u8, port: u16 },
    Read { socket: usize },
    Send { socket: usize },
    Transmit,
    Event,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0u8..4, 0u16..4, any::<bool>()).prop_map(|(which, port, share)| Step::Bind { which, port, share }),
        (0usize..8, 0u8..3).prop_map(|(socket, peer)| Step::Connect { socket, peer }),
        (0usize..8).prop_map(|socket| Step::Disconnect { socket }),
        (0usize..8).prop_map(|socket| Step::Close { socket }),
        (0u8..3, 1u16..4).prop_map(|(peer, port)| Step::Arrive { peer, port }),
        (0usize..8).prop_map(|socket| Step::Read { socket }),
        (0usize..8).prop_map(|socket| Step::Send { socket }),
        Just(Step::Transmit),
        Just(Step::Event),
    ]
}

proptest! {
    #[test]
    fn any_life_leaves_nothing_behind(steps in prop::collection::vec(step(), 0..80)) {
        let [Cast { ours, second, any, .. }, _] = casts();
        let mut udp = udp();
        let mut ids: Vec<UdpSocketId> = Vec::new();
        let peer = |number: u8| at([10, 0, 1, number].into(), 9);
        let arrived = |udp: &Udp| udp.counters().received.get();
        for step in steps {
            let get = |socket: usize| ids.get(socket).copied();
            match step {
                Step::Bind { which, port, share } => {
                    let address = [None, Some(any), Some(ours), Some(second)][usize::from(which)];
                    ids.extend(udp.bind(UdpBind { address, port, share }));
                }
                Step::Connect { socket, peer: number } => {
                    if let Some(id) = get(socket) {
                        let _ = udp.connect(id, peer(number), Some(ours));
                    }
                }
                Step::Disconnect { socket } => {
                    if let Some(id) = get(socket) {
                        udp.disconnect(id);
                    }
                }
                Step::Close { socket } => {
                    if let Some(id) = get(socket) {
                        udp.close(id);
                        prop_assert_eq!(udp.local_addr(id), None);
                    }
                }
                Step::Arrive { peer: number, port } => {
                    // Whoever gets it is bound there, and to nobody else.
                    let before = arrived(&udp);
                    let result = arrive(&mut udp, peer(number), at(ours, port), b"x");
                    let is_wanted = |it: &UdpSocketInfo| {
                        !it.is_closing
                            && it.local.port == port
                            && it.local.address.is_none_or(|address| address == ours || address == any)
                            && it.remote.is_none_or(|remote| remote == peer(number))
                    };
                    prop_assert_eq!(result.is_ok(), udp.sockets().any(|it| is_wanted(&it)));
                    prop_assert_eq!(arrived(&udp) - before, u64::from(result.is_ok()));
                }
                Step::Read { socket } => {
                    if let Some(id) = get(socket) {
                        let _ = read(&mut udp, id);
                    }
                }
                Step::Send { socket } => {
                    if let Some(id) = get(socket) {
                        let _ = udp.send_to(id, peer(0), None, b"x");
                    }
                }
                Step::Transmit => drop(udp.poll_transmit()),
                Step::Event => drop(udp.poll_event()),
            }
        }
        for id in ids {
            udp.close(id);
        }
        while udp.poll_transmit().is_some() {}
        prop_assert!(udp.is_clean());
    }

    #[test]
    fn any_bytes_are_taken_or_dropped(payload: Vec<u8>, quote: Vec<u8>) {
        let [Cast { ours, peer, .. }, _] = casts();
        let mut udp = udp();
        bind(&mut udp, None, 7);
        let _ = udp.input(NOW, &datagram(at(peer, 0), at(ours, 0), &payload));
        let kind = IcmpErrorKind::PortUnreachable;
        let protocol = Protocol::UDP;
        udp.handle_icmp(&IcmpError { kind, reporter: peer, source: ours, destination: peer, protocol, quote: &quote });
    }
}

#[test]
fn the_socket_for_any_port_gets_what_no_other_takes_and_answers_from_there() {
    for Cast { ours, stranger, peer, group, .. } in casts() {
        let mut udp = udp();
        let any = udp.bind_any().unwrap();
        assert_eq!(udp.bind_any(), Err(UdpBindError::AddressInUse));
        let own = bind(&mut udp, Some(ours), 53);
        let from = at(peer, 5000);
        arrive(&mut udp, from, at(ours, 53), b"own").unwrap();
        assert_eq!(read(&mut udp, own).unwrap(), b"own");
        for asked in [at(ours, 54), at(stranger, 53), at(stranger, 7)] {
            arrive(&mut udp, from, asked, b"any").unwrap();
            let received = udp.recv_from(any, &mut [0; 10]).unwrap();
            assert_eq!((received.local, received.remote, received.len), (asked, from, 3));
            udp.send_from(any, asked, from, b"answer").unwrap();
            let sent = udp.poll_transmit().unwrap();
            assert_eq!((sent.source, sent.source_port, sent.remote), (Some(asked.ip()), asked.port(), from));
            assert_eq!(sent.data, b"answer");
        }
        // It is in no group, and has no port of its own.
        assert_eq!(arrive(&mut udp, from, at(group, 54), b"x"), Err(DropReason::UdpNoSocket));
        assert_eq!(udp.send_to(any, from, None, b"x"), Err(UdpSendError::InvalidRemote));
        assert_eq!(udp.connect(any, from, None), Err(UdpConnectError::InvalidRemote));
        assert_eq!(udp.send_from(any, at(group, 54), from, b"x"), Err(UdpSendError::InvalidRemote));
        assert_eq!(udp.send_from(any, at(ours, 0), from, b"x"), Err(UdpSendError::InvalidRemote));
        events(&mut udp);
        udp.close(any);
        udp.close(own);
        assert_eq!(arrive(&mut udp, from, at(stranger, 7), b"x"), Err(DropReason::UdpNoSocket));
        assert!(udp.is_clean());
    }
}
