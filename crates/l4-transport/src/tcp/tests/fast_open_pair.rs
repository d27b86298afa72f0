//! Fast Open between two stacks: what it saves, and that no link makes it lose or repeat a byte of a connection.

use core::time::Duration;

use netloom_base::Rng;

use super::lab::ms;
use super::pair::*;
use crate::tcp::*;

fn below(rng: &mut Rng, bound: u64) -> usize {
    usize::try_from(rng.below(bound)).unwrap()
}

fn scripts(seed: u64, lens: [usize; 2]) -> [Script; 2] {
    [0, 1].map(|side: u64| Script::sending(pattern(lens[usize::from(side == 1)], seed * 2 + side)))
}

#[test]
fn the_second_connection_saves_a_round_trip() {
    let exchange = |fast_open| {
        let mut pair = Pair::new(1, [TcpConfig::default(), TcpConfig::default()], scripts(1, [100, 2000]));
        pair.fast_open = fast_open;
        pair.open();
        pair.run_and_check(Duration::from_secs(600));
        pair.open_again(scripts(2, [100, 2000]));
        let begun_at = pair.now;
        while pair.sides[0].received.len() < 2000 {
            assert!(pair.step());
        }
        (pair.now.saturating_since(begun_at), pair)
    };
    let ((plain, _), (fast, mut pair)) = (exchange(false), exchange(true));
    assert_eq!(plain.saturating_sub(fast), ms(20), "a round trip, {plain:?} and {fast:?}");
    pair.run_and_check(Duration::from_secs(600));
    let counters = pair.sides.each_ref().map(|side| side.tcp.counters());
    assert_eq!((counters[0].fast_opens_sent.get(), counters[1].fast_opens_received.get()), (1, 1));
    assert_eq!(counters.map(TcpCounters::retransmits_total), [0, 0]);
}

/// A client and a server that have met before, so that there is a cookie.
fn acquainted(seed: u64, rng: &mut Rng) -> Pair {
    let configs = [0, 1].map(|_| {
        let config = TcpConfig {
            timestamps: rng.below(10) < 7,
            sack: rng.below(10) < 7,
            receive_buffer: 4096 << rng.below(7),
            ecn: [EcnMode::Accept, EcnMode::Request][below(rng, 2)],
            ..TcpConfig::default()
        };
        if rng.below(10) < 4 { with_segmentation(config) } else { config }
    });
    let mut pair = Pair::new(seed, configs, scripts(seed, [1, 1]));
    pair.fast_open = true;
    pair.mtu = [1500, 1280, 9000][below(rng, 3)];
    pair.open();
    pair.run_and_check(Duration::from_secs(600));
    pair
}

#[test]
fn every_byte_arrives_once_whatever_the_link_does_to_the_syn() {
    let (mut fast, mut lost, mut resent) = (0, 0, 0);
    for seed in 0..1500 {
        let mut rng = Rng::from_number(seed ^ 0xfa57);
        let mut pair = acquainted(seed, &mut rng);
        pair.merges = rng.below(10) < 3;
        pair.faults = Faults {
            loss: [0, 50, 300][below(&mut rng, 3)],
            reorder: [0, 300][below(&mut rng, 2)],
            corrupt: [0, 10][below(&mut rng, 2)],
            mark: [0, 50][below(&mut rng, 2)],
            delay: Duration::from_micros(50 + rng.below(40_000)),
            late: ms(1 + rng.below(60)),
            path_mtu: [u16::MAX, u16::MAX, 1400, 600][below(&mut rng, 4)],
            ..Faults::default()
        };
        let lens = [0, 1].map(|_| match rng.below(4) {
            0 => 0,
            1 => below(&mut rng, 3000),
            2 => below(&mut rng, 30_000),
            _ => below(&mut rng, 150_000),
        });
        pair.open_again(scripts(seed + 10_000, lens));
        pair.run_and_check(Duration::from_secs(24 * 3600));
        let counters = pair.sides.each_ref().map(|side| side.tcp.counters());
        fast += counters[1].fast_opens_received.get();
        lost += counters[0].fast_open_fallbacks(FastOpenFallback::SynLost);
        resent += counters[0].retransmits(RetransmitCause::FastOpen);
    }
    assert!(fast > 700 && lost > 30 && resent > 30, "all of it happens: {fast} {lost} {resent}");
}
