//! Whether the rates, times and shares of a link come out as configured.

use core::num::NonZeroU32;

use netloom_base::Medium;

use super::*;
use crate::share::Share;

const LEN: usize = 1000;

fn link(config: LinkConfig) -> Link {
    Link::new(Medium::Ethernet, config, Rng::from_number(1))
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A frame that knows its number.
fn frame(number: u64) -> Vec<u8> {
    let mut frame = vec![0; LEN];
    frame[..8].copy_from_slice(&number.to_be_bytes());
    frame
}

fn number(frame: &[u8]) -> u64 {
    u64::from_be_bytes(frame[..8].try_into().unwrap())
}

/// Offers `count` frames, one each `interval`, and gives what comes out: when, and which.
fn run(link: &mut Link, count: u64, interval: Duration) -> Vec<(Instant, Vec<u8>)> {
    let mut arrived = Vec::new();
    let mut now = Instant::ZERO;
    for it in 0..count {
        let _ = link.offer(now, frame(it));
        now += interval;
        drain(link, now, &mut arrived);
    }
    drain(link, Instant::FAR_FUTURE, &mut arrived);
    arrived
}

/// Takes out what arrives until `end`, each at its time.
fn drain(link: &mut Link, end: Instant, arrived: &mut Vec<(Instant, Vec<u8>)>) {
    while let Some(at) = link.poll_timeout().filter(|at| *at <= end) {
        assert!(
            at == Instant::ZERO || link.poll(at - Duration::from_nanos(1)).is_none(),
            "not before its time"
        );
        arrived.push((at, link.poll(at).unwrap()));
    }
}

#[test]
fn a_perfect_cable_changes_nothing() {
    let mut link = link(LinkConfig::default());
    let arrived = run(&mut link, 1000, millis(1));
    assert_eq!(arrived.len(), 1000);
    for (it, (at, bytes)) in (0..).zip(&arrived) {
        assert_eq!((*at, bytes), (Instant::from_millis(it), &frame(it)));
    }
    assert_eq!(link.counters().bytes_delivered.get(), 1_000_000);
    assert_eq!(link.in_flight_count(), 0);
}

#[test]
fn frames_leave_at_the_rate_and_arrive_after_the_delay() {
    // 8 Mbit/s: a frame of 1000 bytes takes a millisecond.
    let config = LinkConfig { rate: NonZeroU64::new(8_000_000), delay: millis(20), ..LinkConfig::default() };
    let arrived = run(&mut link(config), 100, Duration::ZERO);
    for (it, (at, _)) in (0..).zip(&arrived) {
        assert_eq!(*at, Instant::from_millis(21 + it));
    }
}

#[test]
fn a_transmitter_that_was_idle_saves_no_time_up() {
    let config = LinkConfig { rate: NonZeroU64::new(8_000_000), ..LinkConfig::default() };
    let mut link = link(config);
    link.offer(Instant::ZERO, frame(0)).unwrap();
    link.offer(Instant::from_millis(10), frame(1)).unwrap();
    link.offer(Instant::from_millis(10), frame(2)).unwrap();
    let mut arrived = Vec::new();
    drain(&mut link, Instant::FAR_FUTURE, &mut arrived);
    let times: Vec<_> = arrived.iter().map(|(at, _)| at.as_millis()).collect();
    assert_eq!(times, [1, 11, 12]);
}

#[test]
fn a_full_queue_drops_the_newest() {
    let config = LinkConfig { rate: NonZeroU64::new(8_000_000), queue: 10, ..LinkConfig::default() };
    let mut link = link(config);
    for it in 0..10 {
        assert_eq!(link.offer(Instant::ZERO, frame(it)), Ok(()));
    }
    assert_eq!(link.offer(Instant::ZERO, frame(10)), Err(LinkDrop::QueueFull));
    // One has left: there is room for one.
    assert_eq!(link.offer(Instant::from_millis(1), frame(11)), Ok(()));
    assert_eq!(link.offer(Instant::from_millis(1), frame(12)), Err(LinkDrop::QueueFull));
    assert_eq!(link.counters().dropped(LinkDrop::QueueFull), 2);
}

#[test]
fn jitter_swings_around_the_delay_and_does_not_reorder() {
    let config = LinkConfig { delay: millis(20), jitter: millis(5), ..LinkConfig::default() };
    // Far enough apart that none has to wait for the one before it.
    let arrived = run(&mut link(config.clone()), 10_000, millis(50));
    let delays: Vec<u64> = (0..).zip(&arrived).map(|(it, (at, _))| at.as_micros() - it * 50_000).collect();
    assert!(delays.iter().all(|delay| (15_000..=25_000).contains(delay)));
    let mean = delays.iter().sum::<u64>() / delays.len() as u64;
    assert!((19_900..20_100).contains(&mean), "{mean}");
    assert!(delays.iter().any(|delay| *delay < 15_100) && delays.iter().any(|delay| *delay > 24_900));

    let arrived = run(&mut link(config), 10_000, Duration::from_micros(100));
    assert!(arrived.is_sorted_by_key(|(_, bytes)| number(bytes)));
}

#[test]
fn jitter_beyond_the_delay_does_not_go_back_in_time() {
    let config = LinkConfig { delay: millis(1), jitter: millis(5), ..LinkConfig::default() };
    for (it, (at, _)) in (0..).zip(run(&mut link(config), 1000, millis(50))) {
        assert!(at >= Instant::from_millis(it * 50));
    }
}

#[test]
fn single_losses_come_at_their_rate() {
    let config = LinkConfig { loss: Share::from_percent(3), ..LinkConfig::default() };
    let mut link = link(config);
    let arrived = run(&mut link, 100_000, millis(1));
    let lost = link.counters().dropped(LinkDrop::Lost);
    assert_eq!(arrived.len() as u64 + lost, 100_000);
    assert!((2_850..3_150).contains(&lost), "{lost}");
}

/// How many frames were lost, and in how many runs.
fn losses(arrived: &[(Instant, Vec<u8>)], count: u64) -> (u64, u64) {
    let numbers: Vec<u64> = arrived.iter().map(|(_, bytes)| number(bytes)).collect();
    let gaps = numbers.windows(2).filter(|pair| pair[1] > pair[0] + 1).count() as u64;
    (count - numbers.len() as u64, gaps)
}

#[test]
fn bursts_have_their_length_and_the_loss_holds() {
    for (percent, burst) in [(1, 4), (5, 4), (10, 20), (30, 2)] {
        let config = LinkConfig {
            loss: Share::from_percent(percent),
            burst: NonZeroU32::new(burst).unwrap(),
            ..LinkConfig::default()
        };
        let count = 400_000;
        let arrived = run(&mut link(config), count, millis(1));
        let (lost, runs) = losses(&arrived, count);
        let (expected, burst) = (count * u64::from(percent) / 100, u64::from(burst));
        assert!(lost * 100 > expected * 90 && lost * 100 < expected * 110, "{percent}%/{burst}: {lost} lost");
        let (low, high) = (lost * 90 / (runs * burst), lost * 110 / (runs * burst));
        assert!(low <= 100 && high >= 100, "{percent}%/{burst}: {lost} lost in {runs} runs");
    }
}

#[test]
fn a_loss_too_high_for_the_burst_lengthens_the_bursts() {
    let burst = NonZeroU32::new(2).unwrap();
    let config = LinkConfig { loss: Share::from_percent(90), burst, ..LinkConfig::default() };
    let arrived = run(&mut link(config), 100_000, millis(1));
    assert!((9_500..10_500).contains(&arrived.len()), "{}", arrived.len());
}

#[test]
fn late_frames_are_overtaken() {
    let config = LinkConfig {
        delay: millis(10),
        reorder: Share::from_percent(2),
        reorder_by: millis(3),
        ..LinkConfig::default()
    };
    let mut link = link(config);
    let arrived = run(&mut link, 50_000, millis(1));
    assert_eq!(arrived.len(), 50_000);
    let late = arrived.iter().filter(|(at, bytes)| at.as_millis() == number(bytes) + 13).count();
    let on_time = arrived.iter().filter(|(at, bytes)| at.as_millis() == number(bytes) + 10).count();
    assert_eq!(late + on_time, 50_000);
    assert!((900..1_100).contains(&late), "{late}");
    assert_eq!(link.counters().reordered.get(), late as u64);
}

#[test]
fn some_frames_come_twice() {
    let config = LinkConfig { duplicate: Share::from_percent(5), ..LinkConfig::default() };
    let mut link = link(config);
    let arrived = run(&mut link, 50_000, millis(1));
    let copies = arrived.windows(2).filter(|pair| pair[0].1 == pair[1].1).count();
    assert_eq!(arrived.len(), 50_000 + copies);
    assert!((2_350..2_650).contains(&copies), "{copies}");
}

#[test]
fn some_frames_have_one_bit_wrong() {
    let config = LinkConfig { corrupt: Share::from_percent(5), ..LinkConfig::default() };
    let mut link = link(config);
    let arrived = run(&mut link, 20_000, millis(1));
    let mut wrong = 0;
    for (it, (_, bytes)) in (0..).zip(&arrived) {
        let bits: u32 = frame(it).iter().zip(bytes).map(|(sent, came)| (sent ^ came).count_ones()).sum();
        assert!(bits <= 1);
        wrong += u64::from(bits);
    }
    assert_eq!(link.counters().corrupted.get(), wrong);
    assert!((920..1_080).contains(&wrong), "{wrong}");
}

#[test]
fn the_mtu_counts_ip_packets_on_both_media() {
    for (medium, fits) in [(Medium::Ethernet, 1414), (Medium::Ip, 1400)] {
        let config = LinkConfig { mtu: Some(1400), ..LinkConfig::default() };
        let mut link = Link::new(medium, config, Rng::from_number(1));
        assert_eq!(link.offer(Instant::ZERO, vec![0; fits]), Ok(()));
        assert_eq!(link.offer(Instant::ZERO, vec![0; fits + 1]), Err(LinkDrop::TooBig));
    }
}

#[test]
fn a_pulled_cable_takes_nothing_new_and_delivers_what_is_under_way() {
    let config = LinkConfig { delay: millis(10), ..LinkConfig::default() };
    let mut link = link(config.clone());
    link.offer(Instant::ZERO, frame(0)).unwrap();
    link.set_config(LinkConfig { is_partitioned: true, ..config.clone() });
    assert_eq!(link.offer(Instant::ZERO, frame(1)), Err(LinkDrop::Partitioned));
    assert_eq!(link.poll(Instant::from_millis(10)), Some(frame(0)));
    link.set_config(config);
    assert_eq!(link.offer(Instant::from_millis(10), frame(2)), Ok(()));
}

#[test]
fn a_shorter_delay_does_not_let_frames_overtake() {
    let mut link = link(LinkConfig { delay: millis(10), ..LinkConfig::default() });
    link.offer(Instant::ZERO, frame(0)).unwrap();
    link.set_config(LinkConfig::default());
    link.offer(Instant::ZERO, frame(1)).unwrap();
    let mut arrived = Vec::new();
    drain(&mut link, Instant::FAR_FUTURE, &mut arrived);
    assert!(arrived.is_sorted_by_key(|(_, bytes)| number(bytes)));
}

#[test]
fn memory_has_a_bound() {
    let config = LinkConfig {
        delay: millis(1000),
        duplicate: Share::ALL,
        max_in_flight: 100_000,
        ..LinkConfig::default()
    };
    let mut link = link(config);
    for it in 0..1000 {
        let _ = link.offer(Instant::ZERO, frame(it));
        assert!(link.in_flight_len <= 100_000);
    }
    assert!(link.counters().dropped(LinkDrop::InFlightFull) > 900);
}

#[test]
fn the_same_seed_gives_the_same_fates() {
    let config = LinkConfig {
        rate: NonZeroU64::new(10_000_000),
        queue: 30,
        delay: millis(10),
        jitter: millis(5),
        loss: Share::from_percent(5),
        burst: NonZeroU32::new(3).unwrap(),
        reorder: Share::from_percent(5),
        duplicate: Share::from_percent(5),
        corrupt: Share::from_percent(5),
        ..LinkConfig::default()
    };
    let fates = |seed| {
        let mut link = Link::new(Medium::Ethernet, config.clone(), Rng::from_number(seed));
        run(&mut link, 2000, Duration::from_micros(700))
    };
    assert_eq!(fates(1), fates(1));
    assert_ne!(fates(1), fates(2));
}

/// An IPv4 header with ECT(0) and a good checksum.
const CAPABLE: [u8; 20] = [0x45, 2, 0, 20, 0, 1, 0, 0, 64, 6, 0x66, 0xdf, 10, 0, 0, 1, 10, 0, 0, 2];

#[test]
fn a_long_queue_marks_what_can_be_marked() {
    let config = LinkConfig { rate: NonZeroU64::new(8_000_000), mark_from: Some(2), ..LinkConfig::default() };
    let mut link = Link::new(Medium::Ip, config, Rng::from_number(1));
    let mut incapable = CAPABLE;
    incapable[1] = 0;
    let mut six = [0; 40];
    six[..2].copy_from_slice(&[0x60, 0x10]);
    for frame in [&CAPABLE[..], &CAPABLE, &CAPABLE, &incapable, &six] {
        link.offer(Instant::ZERO, frame.to_vec()).unwrap();
    }
    let late = Instant::ZERO + millis(1_000);
    let mut classes = Vec::new();
    while let Some(frame) = link.poll(late) {
        if frame[0] == 0x45 && frame[1] != 0 {
            let words = frame.chunks(2).map(|it| u32::from(u16::from_be_bytes([it[0], it[1]])));
            let sum: u32 = words.sum();
            assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff, "the checksum stays right");
        }
        classes.push(frame[1]);
    }
    assert_eq!(classes, [2, 2, 3, 0, 0x30]);
    assert_eq!(link.counters().marked.get(), 2);
}
