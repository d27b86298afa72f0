//! Round trips over one connection: what is sent is echoed before the next is sent.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::figures::{per_second, percentile_us, print};
use crate::sockets;

/// Before what is measured, so that windows, caches and the scheduler have settled.
const WARM_UP: Duration = Duration::from_millis(200);
/// The longest wait for an echo.
const PATIENCE: Duration = Duration::from_secs(5);

/// What was measured.
#[derive(Debug)]
pub(crate) struct Measured {
    /// Round trips a second.
    pub(crate) rate: f64,
    p50_us: f64,
    p99_us: f64,
}

impl Measured {
    /// Prints its figures.
    pub(crate) fn print(&self) {
        let Self { rate, p50_us, p99_us } = self;
        print("rate", rate);
        print("p50_us", p50_us);
        print("p99_us", p99_us);
    }
}

/// Measures for `span` with `size` bytes each way, on a connection of its own.
pub(crate) fn measure(server: SocketAddr, size: usize, span: Duration) -> Result<Measured> {
    ensure!(size > 0, "a round trip takes a byte");
    let mut stream = sockets::connect(server)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    round_trips(&mut stream, size, WARM_UP)?;
    let started = Instant::now();
    let mut times = round_trips(&mut stream, size, span)?;
    let elapsed = started.elapsed();
    times.sort_unstable();
    Ok(Measured {
        rate: per_second(times.len() as u64, elapsed),
        p50_us: percentile_us(&times, 50),
        p99_us: percentile_us(&times, 99),
    })
}

fn round_trips(stream: &mut TcpStream, size: usize, span: Duration) -> Result<Vec<Duration>> {
    let message = vec![b'x'; size];
    let mut echo = vec![0; size];
    let mut times = Vec::new();
    let started = Instant::now();
    let mut before = started;
    while before.duration_since(started) < span {
        stream.write_all(&message)?;
        stream.read_exact(&mut echo)?;
        let now = Instant::now();
        times.push(now.duration_since(before));
        before = now;
    }
    ensure!(echo == message, "the echo is not what was sent");
    Ok(times)
}
