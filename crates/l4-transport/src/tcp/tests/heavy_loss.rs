//! Bulk over links that lose a tenth of all packets: how long it takes, and what of it is waiting for timers.

use core::time::Duration;

use super::pair::*;
use crate::tcp::*;

/// How much each sender sends.
const LEN: usize = 2_000_000;

/// Sends `LEN` bytes from the client, and as much back if `both`, over a short link that loses a tenth.
fn run(seed: u64, both: bool) -> (Duration, TcpCounters) {
    let back = if both { pattern(LEN, 2) } else { Vec::new() };
    let scripts = [Script::sending(pattern(LEN, 1)), Script::sending(back)];
    let mut pair = Pair::new(seed, [TcpConfig::default(), TcpConfig::default()], scripts);
    pair.faults =
        Faults { loss: 100, delay: Duration::from_micros(50), rate: 125_000_000, ..Faults::default() };
    pair.open();
    let start = pair.now;
    while pair.sides.iter().any(|side| !side.has_end) && pair.step() {}
    let took = pair.now.saturating_since(start);
    let counters = pair.sides[0].tcp.counters().clone();
    pair.run_and_check(Duration::from_secs(600));
    (took, counters)
}

fn median<T: Ord + Copy>(mut figures: Vec<T>) -> T {
    figures.sort_unstable();
    figures[figures.len() / 2]
}

#[test]
fn a_window_that_is_lost_whole_is_found_without_a_timeout() {
    // Without a probe in recovery there are more than three times as many timeouts, each of 200 ms at least.
    for both in [false, true] {
        let runs: Vec<_> = (0..9).map(|seed| run(seed, both)).collect();
        let timeouts = median(runs.iter().map(|(_, counters)| counters.timeouts_total()).collect());
        let took = median(runs.iter().map(|(took, _)| *took).collect());
        assert!(timeouts <= 8, "{timeouts} timeouts, both ways: {both}");
        assert!(took <= Duration::from_millis(2500), "{took:?}, both ways: {both}");
        // Four losses of one segment in a row look like a black hole, and are rare; two are not.
        let falls: u64 = runs.iter().map(|(_, counters)| counters.black_holes.get()).sum();
        assert!(falls <= 1, "{falls} black holes");
    }
}
