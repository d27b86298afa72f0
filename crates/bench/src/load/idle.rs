//! Idle connections: what each costs the server's memory, and round trips beside them.

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::figures::print;
use crate::load::rr;
use crate::process::Memory;
use crate::server::ports;
use crate::sockets;

/// Opens `count` connections, measures, and then round trips for `span`.
pub(crate) fn run(server: IpAddr, count: usize, memory: Memory, span: Duration) -> Result<()> {
    let holder = SocketAddr::from((server, ports::HOLD));
    // What a server makes once, it makes for the first.
    let first = open(holder, 1)?;
    let before = memory.bytes()?;
    let streams = open(holder, count)?;
    let held = f64::from(u32::try_from(streams.len()).unwrap_or(u32::MAX));
    print("bytes_each", (memory.bytes()? - before) / held.max(1.0));
    rr::run((server, ports::ECHO).into(), 1, span)?;
    drop((first, streams));
    Ok(())
}

/// Opens `count` connections, each of which is reset when it is closed.
pub(crate) fn open(server: SocketAddr, count: usize) -> Result<Vec<TcpStream>> {
    let streams = (0..count).map(|number| {
        let stream = sockets::connect(server).with_context(|| format!("{number} connections are open"))?;
        sockets::reset_on_close(&stream)?;
        Ok(stream)
    });
    streams.collect()
}
