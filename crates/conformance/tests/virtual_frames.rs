//! Frames that nobody should send: a million of them, seeded.

use std::time::Duration;

use netloom_base::{DeviceCaps, Instant, Medium, Rng, RxMeta};
use netloom_conformance::Ours;

use netloom_stack::transport::{ListenOptions, TcpBind, UdpBind};
use netloom_stack::{AddressDetection, EthernetAddress, HeadBuf, InterfaceSetup, Stack, StackConfig};

const FRAMES: u64 = 1_000_000;

/// A host with everything open that a frame could reach.
fn host() -> Ours {
    let mut ours = Ours::new(1, &["10.0.0.1/24", "fd00::1/64"], StackConfig::default());
    let bind = TcpBind { address: None, port: 80 };
    ours.stack.tcp().listen(bind, ListenOptions::default()).expect("a listener");
    ours.stack.udp().bind(UdpBind::new(None, 53)).expect("a socket");
    ours
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

#[test]
fn a_million_hostile_frames_neither_panic_nor_grow_memory() {
    let mut ours = host();
    let mut rng = Rng::from_number(1);
    let mut now = Instant::ZERO;
    let mut head = HeadBuf::new();
    let mut before = 0;
    for count in 0..FRAMES {
        let frame = frame(&mut rng);
        let interface = netloom_base::InterfaceId::new(0);
        ours.stack.handle_frame(now, interface, &frame, RxMeta::default());
        while let Some(transmit) = ours.stack.poll_transmit(now, &mut head) {
            assert!(transmit.len() <= 1514);
        }
        while ours.stack.poll_event().is_some() {}
        now += Duration::from_micros(rng.below(2000));
        if ours.stack.poll_timeout().is_some_and(|deadline| deadline <= now) {
            ours.stack.handle_timeout(now);
        }
        // Tables fill up to their bounds in the first part; from then on nothing may grow.
        if count == FRAMES / 2 {
            before = resident_bytes();
        }
    }
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 4 << 20, "memory grew by {grown} bytes over the second half");
    let received = ours.stack.counters().frames_received.get();
    assert_eq!(received, FRAMES);
}

#[test]
fn truncated_frames_never_panic_on_either_medium() {
    for medium in [Medium::Ethernet, Medium::Ip] {
        let mut stack = Stack::new(StackConfig::default(), Rng::from_number(2));
        let interface = stack.add_interface(InterfaceSetup {
            caps: DeviceCaps::plain(medium, 1500),
            link_address: EthernetAddress([2, 0, 0, 0, 0, 1]),
        });
        for address in ["10.0.0.1/24", "fd00::1/64"] {
            let address = address.parse().expect("a CIDR");
            stack.add_address(Instant::ZERO, interface, address, AddressDetection::Off).expect("an address");
        }
        let mut rng = Rng::from_number(3);
        let mut head = HeadBuf::new();
        for _ in 0..2_000 {
            let frame = frame(&mut rng);
            let packet = match medium {
                Medium::Ethernet => &frame[..],
                Medium::Ip => frame.get(14..).unwrap_or_default(),
            };
            for len in 0..=packet.len() {
                stack.handle_frame(Instant::ZERO, interface, &packet[..len], RxMeta::default());
                while stack.poll_transmit(Instant::ZERO, &mut head).is_some() {}
                while stack.poll_event().is_some() {}
            }
        }
    }
}
