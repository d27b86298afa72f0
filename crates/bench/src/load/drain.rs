//! Bytes in bulk from a server that sends without end: read and forgotten, as iperf3 does.

use std::io::Read;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::figures::print;
use crate::process;
use crate::sockets;

/// What one read takes at most, as in iperf3.
const BLOCK_LEN: usize = 128 << 10;
/// The longest wait for bytes.
const PATIENCE: Duration = Duration::from_secs(5);

/// Measures for `span`; `server_pid` is whose processor time is told.
pub(crate) fn run(server: SocketAddr, server_pid: u32, span: Duration) -> Result<()> {
    let mut stream = sockets::connect(server)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut block = vec![0; BLOCK_LEN];
    let before = process::cpu_seconds(server_pid)?;
    let started = Instant::now();
    let mut bytes = 0.0;
    while started.elapsed() < span {
        let len = stream.read(&mut block)?;
        ensure!(len > 0, "the server has ended the stream");
        bytes += len as f64;
    }
    let seconds = started.elapsed().as_secs_f64();
    sockets::reset_on_close(&stream)?;
    print("mbps", bytes * 8.0 / seconds / 1e6);
    print("server_cpu_s_per_gb", (process::cpu_seconds(server_pid)? - before) / (bytes / 1e9));
    Ok(())
}
