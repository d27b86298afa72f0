//! The search for the largest packet that a path takes: which sizes to try, and when (RFC 4821 7.1 to 7.3).
//!
//! # Not here
//! What makes a search begin, and what its probes consist of: `path_mtu.rs`, which tells the whole story.

use core::time::Duration;

use netloom_base::Instant;
use netloom_wire::SeqNumber;

/// How long a search's result, or a router's word, is believed: PMTU_RAISE_TIMER. [8899-02] [4821-09] [1191-02] [8201-02]
pub(super) const RAISE_INTERVAL: Duration = Duration::from_secs(600);
/// Bytes more that are worth another probe.
const WORTHWHILE: u16 = 8;
/// What most of the links of the internet carry: tried before its neighbours are.
const USUAL_MTU: u16 = 1500;

/// A probe that was not acknowledged yet: `start .. end` in one packet of `size` bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MtuProbe {
    pub(super) start: SeqNumber,
    pub(super) end: SeqNumber,
    pub(super) size: u16,
}

/// The search for the path MTU of a connection whose MTU has fallen. Sizes are those of IP packets, in bytes.
#[derive(Clone, Debug)]
pub(super) struct PathSearch {
    /// What the interface and the peer take.
    pub(super) ceiling: u16,
    /// The largest size that may turn out to be good.
    pub(super) limit: u16,
    /// Whether there is reason to try the limit itself first.
    pub(super) is_hopeful: bool,
    pub(super) probe: Option<MtuProbe>,
    /// No probe before.
    pub(super) not_before: Instant,
    /// The size in use before the last raise, and when that was.
    pub(super) raised: Option<(u16, Instant)>,
    /// Where slow start ended before the timeouts that made the black hole.
    pub(super) ssthresh: Option<u32>,
}

impl PathSearch {
    pub(super) fn new(ceiling: u16, not_before: Instant) -> Self {
        Self {
            ceiling,
            limit: ceiling,
            is_hopeful: true,
            probe: None,
            not_before,
            raised: None,
            ssthresh: None,
        }
    }

    /// The size to try next, if `mtu` is good; `None`: it is not worth it.
    fn next_size(&self, mtu: u16) -> Option<u16> {
        let unknown = self.limit.checked_sub(mtu).filter(|&unknown| unknown > 0)?;
        if self.is_hopeful {
            return Some(self.limit);
        }
        if (mtu + 1..=self.limit).contains(&USUAL_MTU) {
            return Some(USUAL_MTU);
        }
        (unknown >= WORTHWHILE).then(|| (mtu + unknown.div_ceil(2)) & !3)
    }

    /// The size to try now.
    pub(super) fn due(&self, now: Instant, mtu: u16) -> Option<u16> {
        if self.probe.is_some() || now < self.not_before { None } else { self.next_size(mtu) }
    }

    /// Begins anew, not before `at`.
    pub(super) fn restart(&mut self, at: Instant) {
        *self = Self { raised: self.raised, ssthresh: self.ssthresh, ..Self::new(self.ceiling, at) };
    }

    /// Starts the long wait if nothing is worth a probe any more. [4821-09]
    pub(super) fn conclude(&mut self, now: Instant, mtu: u16) {
        if self.next_size(mtu).is_none() {
            self.restart(now + RAISE_INTERVAL);
        }
    }

    /// The probe of `size` was lost, and no other reason than its size is known.
    pub(super) fn on_failure(&mut self, now: Instant, mtu: u16, size: u16, wait: Duration) {
        self.probe = None;
        self.limit = size - 1;
        self.is_hopeful = false;
        self.not_before = now + wait;
        self.conclude(now, mtu);
    }
}

/// What of the search a tool is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathMtuSearch {
    /// The largest packet, in bytes, that the interface and the peer take.
    pub ceiling: u16,
    /// The largest that the path may take, as far as is known.
    pub limit: u16,
    /// The size of the probe in flight, if there is one.
    pub probing: Option<u16>,
    /// No probe leaves before.
    pub not_before: Instant,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Searches on a path that takes `real` bytes; the sizes tried.
    fn search(from: u16, ceiling: u16, real: u16) -> (u16, Vec<u16>) {
        let (now, mut mtu, mut tried) = (Instant::from_millis(5), from, Vec::new());
        let mut search = PathSearch::new(ceiling, now);
        while let Some(size) = search.due(now, mtu) {
            tried.push(size);
            assert!(size > mtu && size <= ceiling, "{tried:?}");
            if size <= real {
                mtu = size;
                search.conclude(now, mtu);
            } else {
                search.on_failure(now, mtu, size, Duration::ZERO);
            }
        }
        assert!(mtu == ceiling || search.not_before == now + RAISE_INTERVAL);
        (mtu, tried)
    }

    #[test]
    fn a_search_finds_what_the_path_takes_in_few_steps() {
        // [4821-09]
        for (from, ceiling) in [(1200, 1500), (552, 1500), (1280, 9000), (1280, 65_535), (1000, 1200)] {
            for real in from..=ceiling.min(9100) {
                let (mtu, tried) = search(from, ceiling, real);
                assert!(mtu <= real && real - mtu < WORTHWHILE + 4, "{real}: {mtu}, {tried:?}");
                assert!(tried.len() <= 18, "{real}: {tried:?}");
            }
        }
        assert_eq!(search(1200, 1500, 1500), (1500, vec![1500]), "an outage");
        assert_eq!(search(1280, 9000, 1500).1[..2], [9000, 1500], "the internet");
    }
}
