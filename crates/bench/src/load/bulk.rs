//! Bytes in bulk, by iperf3.

use std::net::IpAddr;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use serde_json::Value;

use crate::figures::{jain, print};
use crate::interfaces::traffic;
use crate::process;
use crate::program::output_of;

/// Which way the bytes go.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Direction {
    /// To the server.
    Up,
    /// From the server.
    Down,
}

/// Measures for `seconds`; `server_pid` is whose processor time counts beside iperf3's own.
pub(crate) fn run(
    server: IpAddr,
    streams: usize,
    direction: Direction,
    server_pid: u32,
    seconds: u64,
) -> Result<()> {
    let address = server.to_string();
    let (streams, seconds) = (streams.to_string(), seconds.to_string());
    let mut arguments = vec!["-c", &address, "-C", "cubic", "-J", "-t", &seconds, "-P", &streams];
    if direction == Direction::Down {
        arguments.push("-R");
    }
    let carried = traffic()?;
    let before = process::cpu_seconds(server_pid)?;
    let text = output_of("iperf3", &arguments)?;
    let server_cpu = process::cpu_seconds(server_pid)? - before;
    let client_cpu = process::children_cpu_seconds()?;
    let frames = match direction {
        Direction::Up => traffic()?.sent.since(carried.sent),
        Direction::Down => traffic()?.received.since(carried.received),
    };
    let received = received(&text)?;
    let bytes: f64 = received.iter().map(|stream| stream.bytes).sum();
    let bits_per_second: f64 = received.iter().map(|stream| stream.bits_per_second).sum();
    let rates: Vec<f64> = received.iter().map(|stream| stream.bits_per_second).collect();
    ensure!(bytes > 0.0, "iperf3 moved nothing");
    print("mbps", bits_per_second / 1e6);
    print("jain", jain(&rates));
    print("server_cpu_s_per_gb", server_cpu / (bytes / 1e9));
    print("cpu_s_per_gb", (server_cpu + client_cpu) / (bytes / 1e9));
    print("frame_bytes", frames.bytes / frames.count);
    print("dropped_frames", frames.dropped);
    Ok(())
}

/// What the receiver of one stream has got.
struct Received {
    bytes: f64,
    bits_per_second: f64,
}

fn received(text: &str) -> Result<Vec<Received>> {
    let report: Value = serde_json::from_str(text).context("iperf3's report is not understood")?;
    if let Some(error) = report.get("error") {
        anyhow::bail!("iperf3: {error}");
    }
    let streams =
        report.pointer("/end/streams").and_then(Value::as_array).context("iperf3 tells no streams")?;
    let received = streams.iter().map(|stream| {
        let number = |name: &str| stream.pointer(&format!("/receiver/{name}")).and_then(Value::as_f64);
        Some(Received { bytes: number("bytes")?, bits_per_second: number("bits_per_second")? })
    });
    received.collect::<Option<Vec<_>>>().context("iperf3 does not tell what each stream received")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_received_counts() {
        let report = r#"{"end": {"streams": [
            {"sender": {"bytes": 900, "bits_per_second": 9}, "receiver": {"bytes": 100, "bits_per_second": 8.5}},
            {"sender": {"bytes": 900, "bits_per_second": 9}, "receiver": {"bytes": 300, "bits_per_second": 4}}]}}"#;
        let received = received(report).unwrap();
        assert_eq!(received.len(), 2);
        assert!((received[1].bytes - 300.0).abs() < 1e-9);
        assert!((received[0].bits_per_second - 8.5).abs() < 1e-9);
    }

    #[test]
    fn a_failed_test_is_an_error() {
        assert!(
            received(r#"{"error": "refused"}"#).is_err_and(|error| error.to_string().contains("refused"))
        );
        assert!(received("iperf3: error").is_err());
    }
}
