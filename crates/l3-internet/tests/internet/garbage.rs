//! A million packets that nobody should send: nothing panics, and no table grows beyond its bound.

use core::time::Duration;

use netloom_base::{Gso, GsoKind, Rng, RxChecksum, RxMeta};
use netloom_l3_internet::{Arrival, Input, InternetConfig};
use netloom_wire::{CastKind, Checksum, IcmpErrorKind, Icmpv4Message, Protocol};

use crate::support::*;

/// Sound packets of many kinds, to be damaged.
fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for family in [Family::V4, Family::V6] {
        let (peer, us) = (family.peer(), family.us());
        seeds.push(udp(peer, us, &[1; 60]));
        seeds.push(udp(peer, family.other_peer(), &[1; 60]));
        seeds.push(udp(peer, family.all_nodes(), &[1; 8]));
        seeds.push(echo_request(peer, us, &[2; 40]));
        let quote = udp(us, family.far(), &[0; 100]);
        for kind in [
            IcmpErrorKind::PortUnreachable,
            IcmpErrorKind::PacketTooBig { mtu: Some(1300) },
            IcmpErrorKind::HopLimitExceeded,
        ] {
            seeds.push(icmp_error(peer, us, kind, &quote));
        }
    }
    let quote = udp(Family::V4.us(), Family::V4.far(), b"12345678");
    let redirect = Icmpv4Message::Redirect { gateway: [10, 0, 0, 7].into(), quote: &quote };
    seeds.push(icmp4(Family::V4.peer(), Family::V4.us(), &redirect));
    for message_type in [130, 133, 134, 135, 136, 137] {
        let mut body = vec![message_type, 0, 0, 0, 0, 0, 0, 0];
        body.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
        body.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]);
        body.extend([1, 1, 2, 0, 0, 0, 0, 1]);
        seeds.push(crate::neighbors::finish("fe80::1", "fd00::2", 255, body));
    }
    let chain = [
        &[60, 0, 5, 2, 0, 0, 1, 0][..],
        &[43, 0, 1, 4, 0, 0, 0, 0],
        &[44, 0, 7, 0, 0, 0, 0, 0],
        &[17, 0, 0, 1, 0, 0, 0, 5],
        &[3; 40],
    ]
    .concat();
    seeds.push(packet(Family::V6.peer(), Family::V6.us(), Protocol::HOP_BY_HOP, 64, &chain));
    seeds
}

/// Makes the checksums right again, so that damage reaches what lies behind them.
fn repair(bytes: &mut [u8]) {
    match bytes.first().map(|first| first >> 4) {
        Some(4) => {
            let header_len = usize::from(bytes[0] & 0xf) * 4;
            if header_len >= 20 && bytes.len() >= header_len {
                bytes[10..12].fill(0);
                let mut checksum = Checksum::new();
                checksum.add(&bytes[..header_len]);
                let sum = checksum.finish();
                bytes[10..12].copy_from_slice(&sum);
                if bytes[9] == 1 && bytes.len() >= header_len + 8 {
                    let message = &mut bytes[header_len..];
                    message[2..4].fill(0);
                    let mut checksum = Checksum::new();
                    checksum.add(message);
                    let sum = checksum.finish();
                    message[2..4].copy_from_slice(&sum);
                }
            }
        }
        Some(6) if bytes.len() >= 48 && bytes[6] == 58 => {
            let source = <[u8; 16]>::try_from(&bytes[8..24]).unwrap();
            let destination = <[u8; 16]>::try_from(&bytes[24..40]).unwrap();
            let message = &mut bytes[40..];
            message[2..4].fill(0);
            let mut checksum =
                Checksum::pseudo_header(source.into(), destination.into(), Protocol::ICMPV6, message.len());
            checksum.add(message);
            let sum = checksum.finish();
            message[2..4].copy_from_slice(&sum);
        }
        _ => {}
    }
}

fn number(rng: &mut Rng, below: usize) -> usize {
    usize::try_from(rng.below(below as u64)).unwrap()
}

/// The next piece of garbage: noise, or a sound packet damaged, cut, and perhaps repaired.
fn garbage(rng: &mut Rng, seeds: &[Vec<u8>]) -> Vec<u8> {
    if rng.below(8) == 0 {
        let mut bytes = vec![0; number(rng, 200)];
        rng.fill(&mut bytes);
        return bytes;
    }
    let mut bytes = seeds[number(rng, seeds.len())].clone();
    for _ in 0..rng.below(4) {
        let at = number(rng, bytes.len());
        bytes[at] = [0, 1, 0xff, rng.next_u16().to_be_bytes()[0]][number(rng, 4)];
    }
    if rng.below(4) == 0 {
        bytes.truncate(number(rng, bytes.len() + 1));
        let len = bytes.len();
        match bytes.first().map(|first| first >> 4) {
            // A length that agrees with the cut lets the rest be looked at.
            Some(4) if len >= 20 => bytes[2..4].copy_from_slice(&u16::try_from(len).unwrap().to_be_bytes()),
            Some(6) if len >= 40 => {
                bytes[4..6].copy_from_slice(&u16::try_from(len - 40).unwrap().to_be_bytes());
            }
            _ => {}
        }
    }
    if rng.below(4) != 0 {
        repair(&mut bytes);
    }
    bytes
}

#[test]
fn a_million_bad_packets_do_no_harm() {
    let config = InternetConfig { forwarding: true, max_destinations: 64, ..InternetConfig::default() };
    let mut hosts = [
        Host::with(config, None, netloom_base::AddressDetection::Off),
        Host::with(InternetConfig::default(), Some(OUR_LINK), netloom_base::AddressDetection::Optimistic),
    ];
    hosts[0].internet.add_interface(netloom_l3_internet::InterfaceConfig { mtu: 1400, link_address: None });
    hosts[0].add_address(IF1, Family::V4.us_too(), netloom_base::AddressDetection::Off);
    hosts[0].add_address(IF1, Family::V6.us_too(), netloom_base::AddressDetection::Off);
    let mut rng = Rng::from_number(2024);
    let seeds = seeds();
    let mut outcomes = [0u32; 2];
    for round in 0..1_000_000u32 {
        let bytes = garbage(&mut rng, &seeds);
        let host = &mut hosts[number(&mut rng, 2)];
        let cast = [CastKind::Unicast, CastKind::Multicast, CastKind::Broadcast][number(&mut rng, 8).min(2)];
        let segment_size = core::num::NonZeroU16::new(9).unwrap();
        let gso = (rng.below(8) == 0).then_some(Gso { kind: GsoKind::Udp, segment_size, ecn: false });
        let checksum = if rng.below(2) == 0 { RxChecksum::Trusted } else { RxChecksum::Unknown };
        let meta = RxMeta { checksum, gso };
        let arrival = Arrival { interface: IF0, packet: &bytes, cast, link_source: None, meta };
        match host.internet.input(host.now, arrival) {
            Ok(Input::Deliver(datagram)) => {
                outcomes[0] += 1;
                let _ = host.internet.send_error(host.now, IcmpErrorKind::ProtocolUnreachable, &datagram);
            }
            Ok(Input::Reassembled(whole)) => {
                let arrival = Arrival { packet: &whole, ..arrival };
                let _ = host.internet.input_reassembled(host.now, arrival);
            }
            Ok(Input::Forward(forward)) => {
                let _ = host.internet.queue_forward(host.now, forward);
            }
            Ok(Input::Consumed) => {}
            Err(_) => outcomes[1] += 1,
        }
        host.internet.host_unreachable(host.now, &bytes);
        if round % 64 == 0 {
            host.now += Duration::from_millis(10);
            host.internet.handle_timeout(host.now);
            assert!(host.internet.poll_timeout().is_none_or(|deadline| deadline > host.now));
            let events = host.events().len();
            assert!(events <= 256, "{events} events");
            let mut sent = 0;
            while let Some(output) = host.internet.poll_transmit(host.now) {
                sent += output.packet.len();
            }
            assert!(sent <= 4 << 20);
            assert!(host.internet.reassembler().used_bytes() <= 4 << 20);
            assert!(host.internet.learned_destinations() <= 4096);
        }
    }
    // The garbage was good enough to get somewhere, and bad enough to be refused.
    assert!(outcomes.iter().all(|&count| count > 50_000), "{outcomes:?}");
    assert!(hosts[0].internet.learned_destinations() <= 64);
}
