//! Connections that are open and carry nothing.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::sockets;

/// How long it may take to open all of them.
const OPEN_DEADLINE: Duration = Duration::from_secs(60);
/// The longest wait for an echo.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many are reset in a row: fewer than the frames that wait in the interface to the server.
const BATCH: usize = 500;

/// Opens `count` connections, each of which is reset when it is closed.
pub(super) fn open(server: SocketAddr, count: usize) -> Result<Vec<TcpStream>> {
    let begin = Instant::now();
    let streams = (0..count).map(|number| {
        let left = OPEN_DEADLINE.saturating_sub(begin.elapsed()).max(Duration::from_millis(1));
        let stream = sockets::connect_within(server, left)
            .with_context(|| format!("{number} connections of {count} are open"))?;
        sockets::reset_on_close(&stream)?;
        Ok(stream)
    });
    streams.collect()
}

/// An error if one of them is open no more.
pub(super) fn check(streams: &[TcpStream]) -> Result<()> {
    streams.iter().try_for_each(sockets::ensure_silent)
}

/// Resets them; the server has read all that when this returns.
///
/// A reset that finds no room on its way is not sent again, and the server would keep its connection. So after some of them a byte
/// goes to the server's echo service and back, behind the resets.
pub(super) fn leave(echo: SocketAddr, mut streams: Vec<TcpStream>) -> Result<()> {
    let mut behind = sockets::connect_within(echo, PATIENCE)?;
    behind.set_read_timeout(Some(PATIENCE))?;
    while !streams.is_empty() {
        streams.truncate(streams.len().saturating_sub(BATCH));
        behind.write_all(b"x")?;
        behind.read_exact(&mut [0]).context("no echo after connections were reset")?;
    }
    Ok(())
}
