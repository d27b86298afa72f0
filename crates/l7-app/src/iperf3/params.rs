//! What the client asks for, and whether it can have it.

use std::time::Duration;

use serde::Deserialize;

use crate::iperf3::error::Refusal;
use crate::iperf3::header::header_len;
use crate::iperf3::options::Iperf3Options;
use crate::iperf3::protocol::{Direction, MAX_PARALLEL};

/// The longest block over TCP, in bytes.
const MAX_BLOCK_LEN: u64 = 1 << 20;
/// The longest datagram, in bytes: what IPv4 has room for.
const MAX_DATAGRAM_LEN: u64 = 65_507;
const DEFAULT_BLOCK_LEN: u64 = 128 << 10;
const DEFAULT_DATAGRAM_LEN: u64 = 1460;
/// The longest test and the longest omitted start, in seconds.
const MAX_SECONDS: f64 = 86_400.0;
const MAX_OMIT_SECONDS: f64 = 600.0;
/// What a test may take beyond its own length before it is ended.
const OVERTIME: Duration = Duration::from_secs(30);

/// The client's JSON, of which the unknown is skipped. Numbers are floats, as the client writes large ones so.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RawParams {
    tcp: bool,
    udp: bool,
    omit: f64,
    time: f64,
    num: f64,
    blockcount: f64,
    parallel: Option<f64>,
    reverse: bool,
    bidirectional: bool,
    len: f64,
    bandwidth: f64,
    get_server_output: f64,
    udp_counters_64bit: f64,
}

/// What carries the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Tcp,
    /// With counters of 64 bits where `wide`, else of 32.
    Udp {
        wide: bool,
    },
}

/// A test that can be run.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Params {
    pub(crate) protocol: Protocol,
    pub(crate) direction: Direction,
    /// Streams a direction.
    pub(crate) parallel: usize,
    /// The start that does not count.
    pub(crate) omit: Duration,
    /// How long the client will go on, unless it stops after a number of bytes or blocks.
    pub(crate) duration: Option<Duration>,
    /// After how many bytes the client stops.
    pub(crate) total_len: Option<u64>,
    /// What is written at once, or a datagram's length, in bytes.
    pub(crate) block_len: usize,
    /// Bits a second on each stream.
    pub(crate) rate: Option<u64>,
    /// Whether the client wants to see what the server prints.
    pub(crate) wants_output: bool,
}

impl RawParams {
    /// Checks every number against what is served.
    pub(crate) fn check(&self) -> Result<Params, Refusal> {
        let protocol = match (self.tcp, self.udp) {
            (true, false) => Protocol::Tcp,
            (false, true) => Protocol::Udp { wide: self.udp_counters_64bit != 0.0 },
            (true, true) | (false, false) => return Err(Refusal::Protocol),
        };
        let parallel = usize::try_from(whole(self.parallel.unwrap_or(1.0))).unwrap_or(usize::MAX);
        if !(1..=MAX_PARALLEL).contains(&parallel) {
            return Err(Refusal::StreamCount);
        }
        let is_counted = self.num > 0.0 || self.blockcount > 0.0;
        let duration = seconds(self.time, MAX_SECONDS).ok_or(Refusal::Duration)?;
        Ok(Params {
            protocol,
            direction: match (self.bidirectional, self.reverse) {
                (true, _) => Direction::Both,
                (false, true) => Direction::FromServer,
                (false, false) => Direction::ToServer,
            },
            parallel,
            omit: seconds(self.omit, MAX_OMIT_SECONDS).ok_or(Refusal::Omit)?,
            duration: (!is_counted && !duration.is_zero()).then_some(duration),
            total_len: (self.num > 0.0).then(|| whole(self.num)),
            block_len: self.block_len(protocol)?,
            rate: (self.bandwidth >= 1.0).then(|| whole(self.bandwidth)),
            wants_output: self.get_server_output != 0.0,
        })
    }

    fn block_len(&self, protocol: Protocol) -> Result<usize, Refusal> {
        let (shortest, longest, default, refusal) = match protocol {
            Protocol::Tcp => (1, MAX_BLOCK_LEN, DEFAULT_BLOCK_LEN, Refusal::BlockLen),
            Protocol::Udp { wide } => {
                (header_len(wide) as u64, MAX_DATAGRAM_LEN, DEFAULT_DATAGRAM_LEN, Refusal::DatagramLen)
            }
        };
        let len = if self.len == 0.0 { default } else { whole(self.len) };
        let len = Some(len).filter(|len| (shortest..=longest).contains(len)).ok_or(refusal)?;
        usize::try_from(len).map_err(|_| refusal)
    }
}

impl Params {
    /// How long the test may run before the server ends it.
    pub(crate) fn deadline(&self, options: &Iperf3Options) -> Duration {
        self.duration.map_or(options.longest_test, |duration| self.omit + duration + OVERTIME)
    }

    /// After how many bytes on all streams together the server may stop sending, because the client then has what it
    /// wants. Datagrams can be lost, an omitted start does not count, and of two directions either can be the first:
    /// then the server sends until it is told to stop.
    pub(crate) fn sendable_len(&self) -> Option<u64> {
        let arrives_whole = self.protocol == Protocol::Tcp && self.direction == Direction::FromServer;
        self.total_len.filter(|_| arrives_whole && self.omit.is_zero())
    }
}

/// The whole part of a number from JSON, the nearest that fits where it does not.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast from a float saturates, and takes what is no number for 0"
)]
fn whole(number: f64) -> u64 {
    number as u64
}

fn seconds(number: f64, limit: f64) -> Option<Duration> {
    Some(number)
        .filter(|number| (0.0..=limit).contains(number))
        .and_then(|number| Duration::try_from_secs_f64(number).ok())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Params, Protocol, RawParams};
    use crate::iperf3::error::Refusal;
    use crate::iperf3::protocol::Direction;

    fn check(json: &str) -> Result<Params, Refusal> {
        serde_json::from_str::<RawParams>(json).unwrap().check()
    }

    #[test]
    fn a_plain_test_has_the_defaults() {
        let params =
            check(r#"{"tcp":true,"omit":0,"time":10,"parallel":1,"len":131072,"client_version":"3.12"}"#);
        let expected = Params {
            protocol: Protocol::Tcp,
            direction: Direction::ToServer,
            parallel: 1,
            omit: Duration::ZERO,
            duration: Some(Duration::from_secs(10)),
            total_len: None,
            block_len: 131_072,
            rate: None,
            wants_output: false,
        };
        assert_eq!(params, Ok(expected));
    }

    #[test]
    fn what_is_not_served_is_refused() {
        for (json, refusal) in [
            (r#"{"sctp":true}"#, Refusal::Protocol),
            (r#"{"tcp":true,"parallel":129}"#, Refusal::StreamCount),
            (r#"{"tcp":true,"parallel":0}"#, Refusal::StreamCount),
            (r#"{"tcp":true,"parallel":-3}"#, Refusal::StreamCount),
            (r#"{"tcp":true,"len":1048577}"#, Refusal::BlockLen),
            (r#"{"tcp":true,"len":-1}"#, Refusal::BlockLen),
            (r#"{"udp":true,"len":15,"udp_counters_64bit":1}"#, Refusal::DatagramLen),
            (r#"{"udp":true,"len":65508}"#, Refusal::DatagramLen),
            (r#"{"tcp":true,"time":1e99}"#, Refusal::Duration),
            (r#"{"tcp":true,"time":-1}"#, Refusal::Duration),
            (r#"{"tcp":true,"omit":601}"#, Refusal::Omit),
        ] {
            assert_eq!(check(json), Err(refusal), "{json}");
        }
    }

    #[test]
    fn numbers_may_be_large_and_written_as_floats() {
        let params =
            check(r#"{"udp":true,"bandwidth":1e+11,"num":1.5e+16,"time":10,"len":12,"reverse":true}"#)
                .unwrap();
        assert_eq!(params.rate, Some(100_000_000_000));
        assert_eq!(params.total_len, Some(15_000_000_000_000_000));
        assert_eq!(params.duration, None);
        assert_eq!(params.sendable_len(), None);
    }
}
