//! Idle connections: what each costs the server's memory, and round trips beside them, and alone before and after.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::Result;

use crate::figures::print;
use crate::load::{held, rr};
use crate::process::Memory;
use crate::server::ports;

/// Measures for `span` before there are `count` connections, beside them, and when they are gone.
pub(crate) fn run(server: IpAddr, count: usize, memory: Memory, span: Duration) -> Result<()> {
    let (holder, echo) = (SocketAddr::from((server, ports::HOLD)), SocketAddr::from((server, ports::ECHO)));
    let round_trips = || rr::measure(echo, 1, span);
    let before = round_trips()?;
    // What a server makes once, it makes for the first.
    let mut streams = held::open(holder, 1)?;
    let bytes = memory.bytes()?;
    streams.append(&mut held::open(holder, count)?);
    print("bytes_each", (memory.bytes()? - bytes) / f64::from(u32::try_from(count)?).max(1.0));
    let beside = round_trips()?;
    held::check(&streams)?;
    held::leave(echo, streams)?;
    let alone = f64::midpoint(before.rate, round_trips()?.rate);
    print("rate_alone", alone);
    print("share", beside.rate / alone);
    beside.print();
    Ok(())
}
