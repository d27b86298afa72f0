//! Datagrams to the echo service, a fixed number of them under way.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::figures::{per_second, print};

/// Silence after which what is under way counts as lost, and as many are sent anew.
const SILENCE: Duration = Duration::from_millis(20);

/// Measures for `span` with `window` datagrams of `size` bytes under way.
pub(crate) fn run(server: SocketAddr, size: usize, window: usize, span: Duration) -> Result<()> {
    let any: SocketAddr = if server.is_ipv4() { ([0; 4], 0).into() } else { ([0_u16; 8], 0).into() };
    let socket = UdpSocket::bind(any)?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(SILENCE))?;
    let message = vec![b'x'; size];
    let mut echo = vec![0; size + 1];
    let (mut echoed, mut lost, mut under_way) = (0_u64, 0_u64, 0_usize);
    let started = Instant::now();
    while started.elapsed() < span {
        while under_way < window {
            socket.send(&message)?;
            under_way += 1;
        }
        match socket.recv(&mut echo) {
            Ok(len) => {
                ensure!(len == size, "an echo of {len} bytes instead of {size}");
                echoed += 1;
                // One that counted as lost may come after all.
                under_way = under_way.saturating_sub(1);
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                lost += under_way as u64;
                under_way = 0;
            }
            Err(error) => return Err(error.into()),
        }
    }
    ensure!(echoed > 0, "nothing was echoed");
    print("rate", per_second(echoed, started.elapsed()));
    print("lost", lost);
    Ok(())
}
