//! New connections: opened, used for a byte there and back, and reset.
//!
//! The byte proves that the server's application has accepted; the reset leaves no TIME-WAIT behind, which would use up
//! the client's ports within a second.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use crate::figures::{per_second, print};
use crate::sockets;

/// The longest wait for an echo.
const PATIENCE: Duration = Duration::from_secs(5);

/// Measures for `span` with `parallel` connections at the same time.
pub(crate) fn run(server: SocketAddr, parallel: usize, span: Duration) -> Result<()> {
    let started = Instant::now();
    let workers: Vec<_> =
        (0..parallel).map(|_| std::thread::spawn(move || worker(server, started, span))).collect();
    let mut count = 0;
    for worker in workers {
        count += worker.join().map_err(|_| anyhow!("a thread has panicked"))??;
    }
    print("rate", per_second(count, started.elapsed()));
    Ok(())
}

fn worker(server: SocketAddr, started: Instant, span: Duration) -> Result<u64> {
    let mut count = 0;
    while started.elapsed() < span {
        let mut stream = sockets::connect(server)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        sockets::reset_on_close(&stream)?;
        stream.write_all(b"x")?;
        stream.read_exact(&mut [0])?;
        count += 1;
    }
    Ok(count)
}
