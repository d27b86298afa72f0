//! Echo requests, by ping.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::figures::{percentile_us, print};
use crate::program::output_of;

/// How many, 2 ms apart.
const COUNT: &str = "1000";

/// Measures.
pub(crate) fn run(server: IpAddr) -> Result<()> {
    let text = output_of("ping", &["-n", "-i", "0.002", "-c", COUNT, &server.to_string()])?;
    let mut times = times(&text);
    ensure!(!times.is_empty(), "ping got no answer");
    times.sort_unstable();
    print("p50_us", percentile_us(&times, 50));
    print("p99_us", percentile_us(&times, 99));
    Ok(())
}

fn times(text: &str) -> Vec<Duration> {
    let time = |line: &str| {
        let (_, rest) = line.split_once("time=")?;
        let milliseconds: f64 = rest.strip_suffix(" ms")?.parse().ok()?;
        Duration::try_from_secs_f64(milliseconds / 1e3).ok()
    };
    text.lines().filter_map(time).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_tells_its_time() {
        let text =
            "PING\n64 bytes from 10.0.0.2: icmp_seq=1 ttl=64 time=0.223 ms\n\nrtt min/avg/max/mdev = 1\n";
        assert_eq!(times(text), [Duration::from_micros(223)]);
    }
}
