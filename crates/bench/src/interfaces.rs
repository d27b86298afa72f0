//! What this namespace's interfaces have carried, from `/proc/net/dev`.

use std::fs;

use anyhow::{Context, Result};

/// Of all interfaces but the loopback.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Traffic {
    pub(crate) received: Frames,
    pub(crate) sent: Frames,
}

/// In one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Frames {
    pub(crate) count: f64,
    pub(crate) bytes: f64,
    /// Those that found no room.
    pub(crate) dropped: f64,
}

impl Frames {
    /// What has come since `before`.
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            count: self.count - before.count,
            bytes: self.bytes - before.bytes,
            dropped: self.dropped - before.dropped,
        }
    }

    fn add(&mut self, other: Self) {
        self.count += other.count;
        self.bytes += other.bytes;
        self.dropped += other.dropped;
    }
}

/// What was carried until now.
pub(crate) fn traffic() -> Result<Traffic> {
    let text = fs::read_to_string("/proc/net/dev").context("/proc/net/dev cannot be read")?;
    parse(&text).context("/proc/net/dev is not understood")
}

fn parse(text: &str) -> Option<Traffic> {
    let mut all = Traffic::default();
    for (name, numbers) in text.lines().filter_map(|line| line.split_once(':')) {
        if name.trim() == "lo" {
            continue;
        }
        let numbers: Vec<f64> =
            numbers.split_whitespace().map(|number| number.parse().ok()).collect::<Option<_>>()?;
        let frames = |first: usize| {
            let &[bytes, count, _, dropped] = numbers.get(first..first + 4)? else { return None };
            Some(Frames { count, bytes, dropped })
        };
        all.received.add(frames(0)?);
        all.sent.add(frames(8)?);
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Inter-|   Receive                                                |  Transmit\n \
        face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n    \
        lo:     999       9    9    9    9     9          9         9      999       9    9    9    9     9       9          9\n    \
        t0:    1000      10    0    1    0     0          0         0    64000       4    0    2    0     0       0          0\n";

    #[test]
    fn the_loopback_does_not_count() {
        let traffic = parse(TEXT).unwrap();
        assert_eq!(traffic.received, Frames { count: 10.0, bytes: 1000.0, dropped: 1.0 });
        assert_eq!(traffic.sent, Frames { count: 4.0, bytes: 64000.0, dropped: 2.0 });
        let since = traffic.sent.since(Frames { count: 1.0, bytes: 4000.0, dropped: 2.0 });
        assert_eq!(since, Frames { count: 3.0, bytes: 60000.0, dropped: 0.0 });
    }

    #[test]
    fn other_words_are_refused() {
        assert_eq!(parse(" t0: 1 2 3\n"), None);
        assert_eq!(parse(" t0: 1 2 many\n"), None);
    }
}
