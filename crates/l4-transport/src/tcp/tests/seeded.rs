//! Hundreds of seeded runs over links that lose, duplicate, reorder and corrupt.

use core::time::Duration;

use netloom_base::Rng;

use super::lab::ms;
use super::pair::*;
use crate::tcp::*;

/// Draws a whole world from one number.
fn world(seed: u64) -> Pair {
    let mut rng = Rng::from_number(seed ^ 0x5eed);
    let mut flip = |share| rng.below(1000) < share;
    let configs = [0, 1].map(|_| {
        let config = TcpConfig { timestamps: flip(700), window_scaling: flip(700), ..TcpConfig::default() };
        if flip(400) { with_segmentation(config) } else { config }
    });
    let merges = flip(300);
    let mut below = |bound| rng.below(bound);
    let configs = configs.map(|config| TcpConfig {
        receive_buffer: 4096 << below(7),
        send_buffer: 8192 << below(6),
        max_out_of_order_ranges: 1 << below(8),
        ..config
    });
    let configs = configs.map(|config| TcpConfig {
        ecn: [EcnMode::Off, EcnMode::Accept, EcnMode::Request][usize::try_from(below(3)).unwrap()],
        ..config
    });
    let mut len = || {
        usize::try_from(match below(4) {
            0 => below(3),
            1 => below(3000),
            2 => below(60_000),
            _ => below(250_000),
        })
        .unwrap()
    };
    let lens = [len(), len()];
    let mut number = 0;
    let scripts = lens.map(|len| {
        number += 1;
        Script {
            to_send: pattern(len, seed * 2 + number),
            write_len: usize::MAX,
            write_count: u32::MAX,
            half_closes: true,
            read_len: 1 + usize::try_from(below(20_000)).unwrap(),
            read_pause: if below(4) == 0 { Duration::from_micros(below(20_000)) } else { Duration::ZERO },
        }
    });
    let mut pair = Pair::new(seed, configs, scripts);
    pair.merges = merges;
    pair.faults = Faults {
        loss: [0, 5, 50, 200][usize::try_from(below(4)).unwrap()],
        duplicate: [0, 100][usize::try_from(below(2)).unwrap()],
        reorder: [0, 20, 300][usize::try_from(below(3)).unwrap()],
        corrupt: [0, 10][usize::try_from(below(2)).unwrap()],
        mark: [0, 50][usize::try_from(below(2)).unwrap()],
        delay: Duration::from_micros(50 + below(40_000)),
        late: ms(1 + below(60)),
        rate: 0,
        path_mtu: [u16::MAX, u16::MAX, 1400, 600][usize::try_from(below(4)).unwrap()],
    };
    pair.mtu = [1500, 1280, 9000][usize::try_from(below(3)).unwrap()];
    pair
}

fn run(seeds: core::ops::Range<u64>) {
    for seed in seeds {
        let mut pair = world(seed);
        pair.open();
        pair.run_and_check(Duration::from_secs(24 * 3600));
    }
}

#[test]
fn every_byte_arrives_whatever_the_link_does_a() {
    run(0..1000);
}

#[test]
fn every_byte_arrives_whatever_the_link_does_b() {
    run(1000..2000);
}

#[test]
fn a_run_repeats_by_its_seed() {
    let trace = |seed| {
        let mut pair = world(seed);
        pair.open();
        let mut times = Vec::new();
        while pair.step() {
            times.push(pair.now);
        }
        times
    };
    assert_eq!(trace(4), trace(4));
}
