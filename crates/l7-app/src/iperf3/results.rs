//! What each side tells the other at the end.

use std::fmt::Write;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::iperf3::cpu::CpuUse;
use crate::iperf3::protocol::stream_id;
use crate::iperf3::tally::Tally;

/// The client's results; only that they are JSON matters, as nothing here prints them.
#[derive(Debug, Deserialize)]
pub(crate) struct ClientResults {}

/// Our results, under the protocol's names.
#[derive(Debug, Serialize)]
pub(crate) struct Results {
    cpu_util_total: f64,
    cpu_util_user: f64,
    cpu_util_system: f64,
    /// -1: retransmissions are not counted here.
    sender_has_retransmits: i8,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_output_text: Option<String>,
    streams: Vec<StreamResults>,
}

/// One stream's results. Datagrams include those of the omitted start, bytes do not.
#[derive(Debug, Serialize)]
struct StreamResults {
    id: u64,
    bytes: u64,
    retransmits: i8,
    jitter: f64,
    errors: u64,
    omitted_errors: u64,
    packets: u64,
    omitted_packets: u64,
    start_time: f64,
    end_time: f64,
}

impl Results {
    /// The results of the streams in their order, over `elapsed` without the omitted start.
    pub(crate) fn new<'a>(
        tallies: impl Iterator<Item = &'a Tally> + Clone,
        elapsed: Duration,
        cpu: CpuUse,
        wants_output: bool,
    ) -> Self {
        let streams = tallies.clone().enumerate().map(|(index, tally)| {
            let (total, omitted) = (tally.total(), tally.omitted());
            StreamResults {
                id: stream_id(index),
                bytes: total.len.saturating_sub(omitted.len),
                retransmits: -1,
                jitter: total.jitter,
                errors: total.lost,
                omitted_errors: omitted.lost,
                packets: total.datagrams,
                omitted_packets: omitted.datagrams,
                start_time: 0.0,
                end_time: elapsed.as_secs_f64(),
            }
        });
        Self {
            cpu_util_total: cpu.user + cpu.system,
            cpu_util_user: cpu.user,
            cpu_util_system: cpu.system,
            sender_has_retransmits: -1,
            server_output_text: wants_output.then(|| text(tallies, elapsed)),
            streams: streams.collect(),
        }
    }
}

/// A line a stream, for `--get-server-output`.
fn text<'a>(tallies: impl Iterator<Item = &'a Tally>, elapsed: Duration) -> String {
    let mut text = String::new();
    for (index, tally) in tallies.enumerate() {
        let (total, omitted) = (tally.total(), tally.omitted());
        let len = total.len.saturating_sub(omitted.len);
        let seconds = elapsed.as_secs_f64();
        let megabits = u128::from(len) * 8 / elapsed.as_micros().max(1);
        let role = if tally.server_sends { "sender" } else { "receiver" };
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "[{:3}]   0.00-{seconds:.2}  sec  {len} bytes  {megabits} Mbits/sec  {role}",
            stream_id(index)
        );
    }
    text
}
