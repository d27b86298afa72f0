//! Sending at a rate: how long to wait before the next write.

use std::time::Duration;

/// The wait until `sent_len` bytes are due at `rate` bits a second, when `elapsed` has passed since the start.
///
/// Zero where the stream is behind its schedule. A sender that asks before each write keeps the mean rate of the whole
/// test, and makes up for a stall.
pub(crate) fn wait(sent_len: u64, rate: u64, elapsed: Duration) -> Duration {
    let bits = u128::from(sent_len) * 8;
    let nanoseconds = bits * 1_000_000_000 / u128::from(rate.max(1));
    let due = Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX));
    due.saturating_sub(elapsed)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::wait;

    #[test]
    fn a_sender_waits_for_what_it_is_ahead() {
        for (sent_len, rate, elapsed_ms, wait_ms) in [
            (0, 1_000_000, 0, 0),
            (125_000, 1_000_000, 0, 1000),
            (125_000, 1_000_000, 400, 600),
            (125_000, 1_000_000, 2000, 0),
            (1, 0, 0, 8_000),
        ] {
            let elapsed = Duration::from_millis(elapsed_ms);
            assert_eq!(wait(sent_len, rate, elapsed), Duration::from_millis(wait_ms));
        }
        assert_eq!(wait(u64::MAX, 1, Duration::ZERO), Duration::from_nanos(u64::MAX));
    }
}
