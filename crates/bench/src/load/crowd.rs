//! Requests on 64 connections, beside a crowd of idle ones, and alone before and after: what others do to the machine meanwhile
//! falls on both.

use std::env;
use std::io::{self, BufRead, BufReader, Read};
use std::net::IpAddr;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::figures::print;
use crate::load::{http, idle};
use crate::process::{Memory, cpu_seconds};
use crate::server::ports;

/// What one process of the crowd holds: as many descriptors as any process may have, with some to spare.
const MEMBER_LEN: usize = 15_000;
/// What it says when its connections are open.
const OPEN: &str = "open";

/// The server is at rest if it takes no measurable time of a processor for so long.
const REST: Duration = Duration::from_millis(200);
/// How long it may take to come to rest, when a crowd has left.
const REST_DEADLINE: Duration = Duration::from_secs(30);

/// Measures requests alone, beside `count` idle connections, and alone again.
pub(crate) fn run(server: IpAddr, count: usize, memory: Memory, seconds: u64) -> Result<()> {
    let requests = || http::rate((server, ports::BARE_HTTP).into(), seconds);
    let before = requests()?;
    let bytes = memory.bytes()?;
    let crowd = Crowd::open(server, count)?;
    print("bytes_each", (memory.bytes()? - bytes) / f64::from(u32::try_from(count)?));
    await_rest(memory.pid)?;
    let beside = requests()?;
    crowd.check()?;
    await_rest(memory.pid)?;
    let alone = f64::midpoint(before, requests()?);
    print("rate_alone", alone);
    print("rate", beside);
    print("share", beside / alone);
    Ok(())
}

/// Waits until the process does nothing.
fn await_rest(pid: u32) -> Result<()> {
    let begin = Instant::now();
    let mut used = cpu_seconds(pid)?;
    loop {
        thread::sleep(REST);
        let now = cpu_seconds(pid)?;
        if now <= used {
            return Ok(());
        }
        used = now;
        ensure!(begin.elapsed() < REST_DEADLINE, "the server does not come to rest");
    }
}

/// Opens `count` connections and keeps them until the standard input ends.
pub(crate) fn hold(server: IpAddr, port: u16, count: usize) -> Result<()> {
    let streams = idle::open((server, port).into(), count)?;
    println!("{OPEN}");
    io::stdin().read_to_end(&mut Vec::new())?;
    for stream in &streams {
        let error = stream.take_error()?;
        ensure!(error.is_none(), "a connection broke: {error:?}");
    }
    Ok(())
}

/// Processes that hold connections; dropped, they are ended.
struct Crowd(Vec<Child>);

impl Crowd {
    /// Starts them, and waits until all are connected.
    fn open(server: IpAddr, count: usize) -> Result<Self> {
        let mut crowd = Self(Vec::new());
        let mut ports = (ports::HOLD..ports::HOLD + ports::HOLD_COUNT).cycle();
        let mut left = count;
        while left > 0 {
            let len = left.min(MEMBER_LEN);
            let port = ports.next().context("a port to hold connections on")?;
            let member = Command::new(env::current_exe()?)
                .args(["hold", "--address", &server.to_string()])
                .args(["--port", &port.to_string(), "--count", &len.to_string()])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .context("the crowd cannot be started")?;
            crowd.0.push(member);
            left -= len;
        }
        for member in &mut crowd.0 {
            let output = member.stdout.as_mut().context("no standard output")?;
            let mut line = String::new();
            BufReader::new(output).read_line(&mut line)?;
            ensure!(line.trim() == OPEN, "the crowd is not connected");
        }
        Ok(crowd)
    }

    /// Ends them; an error if a connection broke meanwhile.
    fn check(mut self) -> Result<()> {
        for mut member in std::mem::take(&mut self.0) {
            drop(member.stdin.take());
            ensure!(member.wait()?.success(), "the crowd lost connections");
        }
        Ok(())
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        for member in &mut self.0 {
            // Whoever has ended already needs no end.
            let _ = member.kill();
            let _ = member.wait();
        }
    }
}
