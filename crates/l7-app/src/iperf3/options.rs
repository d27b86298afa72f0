//! How long the iperf3 server waits for its client.

use std::time::Duration;

/// Bounds of the iperf3 server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Iperf3Options {
    /// How long any single step of the conversation may take: the cookie, the parameters, all streams together, the
    /// results.
    pub step: Duration,
    /// How long a running test may move no byte on any stream.
    pub silence: Duration,
    /// How long a test whose length the client leaves open (`-n`, `-k`, `-t 0`) may run.
    pub longest_test: Duration,
}

impl Default for Iperf3Options {
    /// 30 seconds, two minutes, a day.
    fn default() -> Self {
        Self {
            step: Duration::from_secs(30),
            silence: Duration::from_secs(120),
            longest_test: Duration::from_secs(86_400),
        }
    }
}
