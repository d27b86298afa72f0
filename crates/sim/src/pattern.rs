//! The bytes that applications send: known at every position, so that each byte that arrives can be checked.

use std::sync::LazyLock;

use netloom_base::Rng;

/// Length after which a stream repeats: a prime, so that no power of two maps it onto itself.
const PERIOD: usize = 65_521;
/// Longest run that [`Stream::at`] hands out.
pub(crate) const MAX_RUN: usize = 16_384;

static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut bytes = vec![0; PERIOD];
    Rng::from_number(0x6e65_746c_6f6f_6d00).fill(&mut bytes);
    bytes.extend_from_within(..MAX_RUN);
    bytes
});

/// One direction of one conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stream {
    shift: usize,
}

impl Stream {
    /// The stream with this number; others look different at every position.
    pub(crate) const fn new(number: usize) -> Self {
        Self { shift: number.wrapping_mul(7919) % PERIOD }
    }

    /// Up to [`MAX_RUN`] bytes from `position` on.
    pub(crate) fn at(self, position: u64, len: usize) -> &'static [u8] {
        let period = PERIOD as u64;
        let start = usize::try_from((position % period + self.shift as u64) % period).unwrap_or(0);
        BYTES.get(start..start + len.min(MAX_RUN)).unwrap_or_default()
    }

    /// The first position at or after `position` where `bytes` differ from the stream.
    pub(crate) fn mismatch(self, position: u64, bytes: &[u8]) -> Option<u64> {
        let mut position = position;
        for run in bytes.chunks(MAX_RUN) {
            let expected = self.at(position, run.len());
            if run != expected {
                let same = run.iter().zip(expected).take_while(|(came, sent)| came == sent).count();
                return Some(position + same as u64);
            }
            position += run.len() as u64;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_byte_is_found_where_it_is() {
        let stream = Stream::new(3);
        for start in [0, 1, PERIOD as u64 - 1, 10_000_000_000] {
            let mut bytes: Vec<u8> =
                (0..3u64).flat_map(|run| stream.at(start + run * MAX_RUN as u64, MAX_RUN).to_vec()).collect();
            assert_eq!(stream.mismatch(start, &bytes), None);
            bytes[MAX_RUN + 7] ^= 1;
            assert_eq!(stream.mismatch(start, &bytes), Some(start + MAX_RUN as u64 + 7));
        }
    }

    #[test]
    fn streams_differ() {
        assert!(Stream::new(0).mismatch(0, Stream::new(1).at(0, 100)).is_some());
    }
}
