//! Frames that nobody should send: a million of them, seeded, to a whole host and to the shards of one in turn.

use std::time::Duration;

use netloom_base::{DeviceCaps, Instant, InterfaceId, Medium, Rng, RxMeta};
use netloom_conformance::{Plan, Sharded};
use netloom_sim::{MailPlan, Shards};
use netloom_stack::transport::{ListenOptions, TcpBind, UdpBind};
use netloom_stack::{
    AddressDetection, EthernetAddress, HeadBuf, InterfaceSetup, Stack, StackConfig, StackCounters,
};

const FRAMES: usize = 1_000_000;

/// A host with everything open that a frame could reach, at each of its shards.
fn host(shard_count: u16) -> Sharded {
    let plan = Plan { shard_count, ..Plan::default() };
    let mut host = Sharded::new(1, &["10.0.0.1/24", "fd00::1/64"], &plan);
    for stack in &mut host.shards.stacks {
        let bind = TcpBind { address: None, port: 80 };
        stack.tcp().listen(bind, ListenOptions::default()).expect("a listener");
    }
    let owner = host.shards.owner_of_port(53);
    host.shards.stacks[owner].udp().bind(UdpBind::new(None, 53)).expect("a socket");
    host
}

/// A frame that gets further the more of its fields are plausible: pure noise would all end at the first check.
fn frame(rng: &mut Rng) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(rng.below(200)).expect("small")];
    rng.fill(&mut bytes);
    let destination: [u8; 6] = match rng.below(4) {
        0 => [0xff; 6],
        1 => [0x33, 0x33, 0, 0, 0, 1],
        _ => [2, 0, 0, 0, 0, 1],
    };
    put(&mut bytes, 0, &destination);
    put(&mut bytes, 6, &[2, 0, 0, 0, 0, 2]);
    match rng.below(5) {
        0 => put(&mut bytes, 12, &[0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1]),
        1 | 2 => {
            put(&mut bytes, 12, &[0x08, 0x00, 0x45]);
            let len = u16::try_from(bytes.len().saturating_sub(14)).expect("small").to_be_bytes();
            put(&mut bytes, 16, &len);
            if rng.below(3) > 0 {
                put(&mut bytes, 20, &[0x40, 0]);
            }
            let protocol = [1, 6, 17][usize::try_from(rng.below(3)).expect("small")];
            put(&mut bytes, 23, &[protocol]);
            put(&mut bytes, 26, &[10, 0, 0, 2, 10, 0, 0, 1]);
            fix_checksum(&mut bytes);
            if protocol == 6 {
                put(&mut bytes, 36, &[0, 80]);
            }
        }
        3 => {
            put(&mut bytes, 12, &[0x86, 0xdd, 0x60]);
            let len = u16::try_from(bytes.len().saturating_sub(54)).expect("small").to_be_bytes();
            put(&mut bytes, 18, &len);
            let next = [0, 6, 17, 43, 44, 58, 60][usize::try_from(rng.below(7)).expect("small")];
            put(&mut bytes, 20, &[next, 255]);
            put(&mut bytes, 22, &[0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
            put(&mut bytes, 38, &[0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        }
        _ => {}
    }
    bytes
}

fn put(bytes: &mut [u8], at: usize, values: &[u8]) {
    for (slot, &value) in bytes.iter_mut().skip(at).zip(values) {
        *slot = value;
    }
}

/// Makes the IPv4 header's checksum right, so that the frame gets past it.
fn fix_checksum(bytes: &mut [u8]) {
    let Some(header) = bytes.get_mut(14..34) else { return };
    header[10] = 0;
    header[11] = 0;
    let mut checksum = netloom_wire::Checksum::new();
    checksum.add(header);
    let sum = checksum.finish();
    header[10..12].copy_from_slice(&sum);
}

/// Bytes of memory that this process holds, from the kernel.
fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").expect("proc");
    let pages: usize = status.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("a number");
    pages * 4096
}

/// Gives a host of shards a frame, that of number `turn`, and takes what comes of it.
fn exchange(shards: &mut Shards, head: &mut HeadBuf, now: Instant, turn: usize, frame: &[u8]) {
    let shard = turn % shards.stacks.len();
    shards.handle_frame(now, shard, InterfaceId::new(0), frame, RxMeta::default());
    shards.settle(now);
    for stack in &mut shards.stacks {
        while let Some(transmit) = stack.poll_transmit(now, head) {
            assert!(transmit.len() <= 1514);
        }
    }
    shards.settle(now);
}

#[test]
fn a_million_hostile_frames_neither_panic_nor_grow_memory() {
    for shard_count in [1, 2] {
        let mut shards = host(shard_count).shards;
        let mut rng = Rng::from_number(1);
        let mut now = Instant::ZERO;
        let mut head = HeadBuf::new();
        let mut before = 0;
        for count in 0..FRAMES {
            let frame = frame(&mut rng);
            exchange(&mut shards, &mut head, now, count, &frame);
            now += Duration::from_micros(rng.below(2000));
            shards.handle_timeout(now);
            shards.settle(now);
            // Tables fill up to their bounds in the first part; from then on nothing may grow.
            if count == FRAMES / 2 {
                before = resident_bytes();
            }
        }
        let grown = resident_bytes().saturating_sub(before);
        assert!(grown < 4 << 20, "memory grew by {grown} bytes over the second half");
        let counters = || shards.stacks.iter().map(Stack::counters);
        let received: u64 = counters().map(|it| it.frames_received.get()).sum();
        assert_eq!(received, FRAMES as u64);
        let is_handed_over = |it: &StackCounters| it.handed_over.get() > 0 && it.taken_over.get() > 0;
        assert!(counters().all(|it| is_handed_over(it) == (shard_count > 1)));
    }
}

#[test]
fn truncated_frames_never_panic_on_either_medium() {
    for (medium, shard_count) in
        [(Medium::Ethernet, 1), (Medium::Ip, 1), (Medium::Ethernet, 2), (Medium::Ip, 2)]
    {
        let mut rng = Rng::from_number(2);
        let mut shards = Shards::new(shard_count, &StackConfig::default(), MailPlan::default(), &mut rng);
        let interface = shards.add_interface(InterfaceSetup {
            caps: DeviceCaps::plain(medium, 1500),
            link_address: EthernetAddress([2, 0, 0, 0, 0, 1]),
        });
        for address in ["10.0.0.1/24", "fd00::1/64"] {
            let address = address.parse().expect("a CIDR");
            let added = shards.add_address(Instant::ZERO, interface, address, AddressDetection::Off);
            added.expect("an address");
        }
        let mut rng = Rng::from_number(3);
        let mut head = HeadBuf::new();
        let mut turn = 0;
        for _ in 0..2_000 {
            let frame = frame(&mut rng);
            let packet = match medium {
                Medium::Ethernet => &frame[..],
                Medium::Ip => frame.get(14..).unwrap_or_default(),
            };
            for len in 0..=packet.len() {
                exchange(&mut shards, &mut head, Instant::ZERO, turn, &packet[..len]);
                turn += 1;
            }
        }
    }
}
