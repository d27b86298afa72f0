//! A hostile link: a million frames, and memory that does not grow.

use super::*;

const FRAMES: u32 = 1_000_000;

fn small() -> NeighborConfig {
    NeighborConfig {
        max_entries: 64,
        max_incomplete: 16,
        queue_max_packets: 2,
        queue_total_bytes: 64 * 1024,
        max_pending: 32,
        ..NeighborConfig::default()
    }
}

/// A frame that is more or less like ARP to us.
fn noise(rng: &mut Rng) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(rng.below(80)).unwrap()];
    rng.fill(&mut bytes);
    let mut put = |at: usize, part: &[u8]| {
        for (slot, &byte) in bytes.iter_mut().skip(at).zip(part) {
            *slot = byte;
        }
    };
    let kind = rng.next_u32();
    if kind & 1 != 0 {
        put(0, if kind & 2 != 0 { &OURS.0 } else { &[0xff; 6] });
        put(6, &PEER.0);
    }
    if kind & 4 != 0 {
        put(12, &[8, 6, 0, 1, 8, 0, 6, 4, 0, 1 + ((kind >> 8) & 1) as u8]);
    }
    if kind & 8 != 0 {
        put(22, &PEER.0);
        let [_, _, c, d] = rng.next_u32().to_be_bytes();
        put(28, &[10, 0, c, d]);
        put(38, &[10, 0, 0, if kind & 16 != 0 { 2 } else { d }]);
    }
    bytes
}

fn update(rng: &mut Rng, number: u16) -> NeighborUpdate {
    let bits = rng.next_u32();
    let kind = match bits & 3 {
        0 => NeighborUpdateKind::Solicitation,
        1 => NeighborUpdateKind::RouterAdvertisement,
        2 => NeighborUpdateKind::Redirect,
        _ => NeighborUpdateKind::Advertisement {
            solicited: bits & 4 != 0,
            override_: bits & 8 != 0,
            router: bits & 16 != 0,
        },
    };
    let address = core::net::Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, number).into();
    let link_address = (bits & 32 != 0).then_some(EthernetAddress([2, 0, 0, 0, 1, bits.to_be_bytes()[0]]));
    NeighborUpdate { address, link_address, kind }
}

/// Drives everything at random. Whoever drains does so seldom, which the bounds must stand.
fn run(seed: u64, frames: u32) -> (LinkLayer, u64) {
    let mut rng = Rng::from_number(seed);
    let mut bench = Bench::with(small(), seed);
    bench.add("10.0.0.2/16", AddressDetection::Optimistic);
    let mut digest = 0;
    for _ in 0..frames {
        let bytes = noise(&mut rng);
        let _ = bench.link.input(bench.now, &bytes);
        let dice = rng.next_u32();
        let number = rng.next_u16() & 0x7f;
        let [high, low] = number.to_be_bytes();
        let hop = if dice & 1 == 0 {
            core::net::Ipv4Addr::new(10, 0, high, low).into()
        } else {
            core::net::Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, number).into()
        };
        match (dice >> 8) % 16 {
            0..4 => {
                let _ = bench.link.enqueue(bench.now, hop, ip_packet(low));
            }
            4 => bench.link.confirm(bench.now, hop),
            5 | 6 => {
                let update = update(&mut rng, number);
                bench.link.update(bench.now, update);
            }
            7 => bench.advance(Duration::from_millis(rng.below(2000))),
            8 => {
                digest = digest * 31 + bench.frames().len() as u64;
                digest = digest * 31 + bench.events().len() as u64;
                digest %= 1 << 40;
            }
            _ => {}
        }
        if dice & 0xff == 0 {
            assert!(bench.link.neighbors().count() <= 64);
        }
        assert!(bench.link.events.len() <= 32 + 2 * Claims::MAX);
        assert!(bench.link.arp_pending_count <= 32);
        // All that is not ARP is charged to the queues' bound, and each costs its 40 bytes and more.
        assert!(bench.link.outputs.len() <= 32 + 64 * 1024 / 40);
    }
    assert!(bench.link.neighbors().count() <= 64);
    (bench.link, digest)
}

#[test]
fn a_million_random_frames_neither_panic_nor_grow_memory() {
    let (link, _) = run(7, FRAMES);
    // The noise reached the depths.
    let counters = link.counters();
    assert!(counters.arp_requests_received.get() > 10_000 && counters.arp_replies_received.get() > 10_000);
    assert!(counters.arp_replies_sent.get() > 1000);
    assert!(counters.arp_requests_sent.get() > 100 && counters.solicitations.get() > 100);
    let neighbors = link.neighbor_counters();
    assert!(neighbors.resolved.get() > 100 && neighbors.evicted.get() > 1000);
    assert!(neighbors.packets_queued.get() > 1000);
    assert!(counters.drops.get(DropReason::NeighborQueueFull) > 0);
    assert!(counters.drops.get(DropReason::TransmitQueueFull) > 0);
}

#[test]
fn the_same_seed_gives_the_same_run() {
    assert_eq!(run(3, 20_000).1, run(3, 20_000).1);
    assert_ne!(run(3, 20_000).1, run(4, 20_000).1);
}

#[test]
fn a_flood_of_requests_does_not_displace_neighbors_in_use() {
    let mut bench = Bench::with(small(), 1);
    bench.add("10.0.0.2/8", AddressDetection::Off);
    bench.resolve("10.0.0.1");
    bench.hear_reply("10.0.0.1", "10.0.0.2").unwrap();
    bench.resolve("10.0.0.3");
    for number in 0..100_000_u32 {
        let mut packet = request(OTHER, "10.9.9.9", "10.0.0.2");
        packet.sender_ip = core::net::Ipv4Addr::from_bits(0x0a10_0000 | number);
        bench.hear(OURS, packet).unwrap();
    }
    assert_eq!(bench.link.neighbors().count(), 64);
    assert_eq!(bench.state("10.0.0.1"), Some(NeighborState::Reachable));
    assert_eq!(bench.state("10.0.0.3"), Some(NeighborState::Incomplete));
    // Nobody took the answers: only so many wait.
    assert_eq!(bench.frames().len(), 32);
}
