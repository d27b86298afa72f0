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
    /// 1 if we send and count retransmissions, 0 if we send and do not, -1 if we do not send.
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
    /// -1: not counted, or not ours to count.
    retransmits: i64,
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
                retransmits: total
                    .retransmits
                    .map_or(-1, |count| i64::from(count.saturating_sub(omitted.retransmits.unwrap_or(0)))),
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
            sender_has_retransmits: sender_has_retransmits(tallies.clone()),
            server_output_text: wants_output.then(|| text(tallies, elapsed)),
            streams: streams.collect(),
        }
    }
}

fn sender_has_retransmits<'a>(tallies: impl Iterator<Item = &'a Tally>) -> i8 {
    let mut sending = tallies.filter(|tally| tally.server_sends).peekable();
    match sending.peek() {
        None => -1,
        Some(_) => i8::from(sending.all(|tally| tally.total().retransmits.is_some())),
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::Results;
    use crate::iperf3::cpu::CpuUse;
    use crate::iperf3::tally::Tally;

    /// What the client is told of streams: whether there are retransmissions, and how many on each.
    fn told(tallies: &[Tally]) -> (serde_json::Value, Vec<serde_json::Value>) {
        let results = Results::new(tallies.iter(), Duration::from_secs(1), CpuUse::default(), false);
        let json = serde_json::to_value(results).unwrap();
        let streams = json["streams"].as_array().unwrap().iter();
        (json["sender_has_retransmits"].clone(), streams.map(|it| it["retransmits"].clone()).collect())
    }

    fn sender(counts: &[u32]) -> Tally {
        let tally = Tally::new(true, false);
        counts.iter().for_each(|&count| tally.on_retransmits(Some(count)));
        tally
    }

    #[test]
    fn only_a_sender_that_counts_its_retransmissions_tells_them() {
        let receiver = || Tally::new(false, false);
        assert_eq!(told(&[receiver()]), (json!(-1), vec![json!(-1)]));
        assert_eq!(told(&[sender(&[])]), (json!(0), vec![json!(-1)]));
        assert_eq!(told(&[receiver(), sender(&[0, 7])]), (json!(1), vec![json!(-1), json!(7)]));
    }

    #[test]
    fn retransmissions_of_the_omitted_start_do_not_count() {
        let tally = sender(&[5]);
        tally.end_omitted();
        tally.on_retransmits(Some(8));
        // A connection that has gone tells nothing more.
        tally.on_retransmits(None);
        assert_eq!(told(&[tally]), (json!(1), vec![json!(3)]));
    }
}
