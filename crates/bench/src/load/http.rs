//! HTTP requests over connections that stay open, by wrk.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};

use crate::figures::print;
use crate::program::output_of;

/// Measures for `seconds` on 64 connections of one thread.
pub(crate) fn run(server: SocketAddr, seconds: u64) -> Result<()> {
    let span = format!("-d{seconds}s");
    let text = output_of("wrk", &["-t1", "-c64", &span, "--latency", &format!("http://{server}/hello")])?;
    // An answer other than 200, or a connection that broke, is not a request that was served.
    ensure!(!text.contains("Non-2xx") && !text.contains("Socket errors"), "wrk met errors:\n{text}");
    print("rate", reported_rate(&text).context("wrk's report is not understood")?);
    Ok(())
}

fn reported_rate(report: &str) -> Option<f64> {
    report.lines().find_map(|line| line.trim().strip_prefix("Requests/sec:"))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_found() {
        assert_eq!(
            reported_rate("Running 3s test\nRequests/sec: 123456.78\nTransfer/sec: 1MB\n"),
            Some(123_456.78)
        );
        assert_eq!(reported_rate("unable to connect"), None);
    }
}
