//! Requests on 64 connections of a crowd whose others are idle, and on 64 alone before and after: what others do to the machine
//! meanwhile falls on both.
//!
//! # Theory of operation
//! One process may not have so many descriptors, so that the crowd is of several: this one, which makes the requests, and members that
//! only hold theirs (`netloom-bench hold`). This one opens its part by and by, some before the first member, some between two of them, and
//! some after the last; those that carry requests are taken from all of these alike.

use std::env;
use std::io::{self, BufRead, BufReader, Read};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::figures::print;
use crate::load::{held, requests};
use crate::process::{Memory, cpu_seconds};
use crate::server::ports;

/// How many connections carry requests.
const BUSY: usize = 64;
/// One of so many connections is this process's.
const OWN_SHARE: usize = 25;
/// What a member holds: as many descriptors as any process may have, with some to spare.
const MEMBER_LEN: usize = 15_000;
/// What it says when its connections are open.
const OPEN: &str = "open";

/// The server is at rest if it takes no measurable time of a processor for so long.
const REST: Duration = Duration::from_millis(200);
/// How long it may take to come to rest, when a crowd has left.
const REST_DEADLINE: Duration = Duration::from_secs(30);

/// Measures requests alone, within a crowd of `count` connections, and alone again, for `span` each.
pub(crate) fn run(server: IpAddr, count: usize, memory: Memory, span: Duration) -> Result<()> {
    let plan = Plan::new(count)?;
    let before = rate_alone(server, span)?;
    await_rest(memory.pid)?;
    let bytes = memory.bytes()?;
    let crowd = Crowd::open(server, &plan)?;
    print("bytes_each", (memory.bytes()? - bytes) / f64::from(u32::try_from(count)?));
    await_rest(memory.pid)?;
    let within = requests::rate(&crowd.busy(), span)?;
    crowd.leave(server)?;
    await_rest(memory.pid)?;
    let alone = f64::midpoint(before, rate_alone(server, span)?);
    print("rate_alone", alone);
    print("rate", within);
    print("share", within / alone);
    Ok(())
}

/// The same requests on as many connections when there are no others.
fn rate_alone(server: IpAddr, span: Duration) -> Result<f64> {
    let streams = held::open((server, ports::BARE_HTTP).into(), BUSY)?;
    let rate = requests::rate(&streams.iter().collect::<Vec<_>>(), span)?;
    held::check(&streams)?;
    held::leave((server, ports::ECHO).into(), streams)?;
    Ok(rate)
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
    let streams = held::open((server, port).into(), count)?;
    println!("{OPEN}");
    io::stdin().read_to_end(&mut Vec::new())?;
    held::check(&streams)?;
    held::leave((server, ports::ECHO).into(), streams)
}

/// How a crowd is opened: a part of this process's connections, a member's, the next part, and so on, and the last part.
struct Plan {
    members: Vec<usize>,
    /// One more than members.
    own: Vec<usize>,
}

impl Plan {
    fn new(count: usize) -> Result<Self> {
        ensure!(count >= BUSY, "a crowd has at least {BUSY} connections");
        let own = (count / OWN_SHARE).max(BUSY);
        let others = count - own;
        let members = others.div_ceil(MEMBER_LEN);
        Ok(Self { members: parts(others, members), own: parts(own, members + 1) })
    }
}

/// Cuts `len` into `count` parts that are as good as equal.
fn parts(len: usize, count: usize) -> Vec<usize> {
    (0..count).map(|part| len * (part + 1) / count - len * part / count).collect()
}

/// Which of `len` connections carry requests, in the order in which they were opened.
fn busy_places(len: usize) -> impl Iterator<Item = usize> {
    (0..BUSY).map(move |number| (2 * number + 1) * len / (2 * BUSY))
}

/// Connections of this process, and processes that hold others; dropped, these are ended.
struct Crowd {
    own: Vec<TcpStream>,
    members: Vec<Child>,
}

impl Crowd {
    /// Opens everything, one part after the other.
    fn open(server: IpAddr, plan: &Plan) -> Result<Self> {
        let mut crowd = Self { own: Vec::new(), members: Vec::new() };
        let mut ports = (ports::HOLD..ports::HOLD + ports::HOLD_COUNT).cycle();
        let mut members = plan.members.iter();
        for &own in &plan.own {
            crowd.own.append(&mut held::open((server, ports::BARE_HTTP).into(), own)?);
            if let Some(&len) = members.next() {
                crowd.join((server, ports.next().context("a port to hold connections on")?).into(), len)?;
            }
        }
        Ok(crowd)
    }

    /// Starts a member, and waits until all its connections are open.
    fn join(&mut self, server: SocketAddr, len: usize) -> Result<()> {
        let mut member = Command::new(env::current_exe()?)
            .args(["hold", "--address", &server.ip().to_string()])
            .args(["--port", &server.port().to_string(), "--count", &len.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("the crowd cannot be started")?;
        let output = member.stdout.take();
        self.members.push(member);
        let mut line = String::new();
        // It opens them or ends within a time of its own.
        BufReader::new(output.context("no standard output")?).read_line(&mut line)?;
        ensure!(line.trim() == OPEN, "the crowd is not connected");
        Ok(())
    }

    /// Those that carry requests.
    fn busy(&self) -> Vec<&TcpStream> {
        busy_places(self.own.len()).filter_map(|place| self.own.get(place)).collect()
    }

    /// Ends them all; an error if a connection broke meanwhile.
    fn leave(mut self, server: IpAddr) -> Result<()> {
        held::check(&self.own)?;
        while let Some(mut member) = self.members.pop() {
            drop(member.stdin.take());
            ensure!(member.wait()?.success(), "the crowd lost connections");
        }
        held::leave((server, ports::ECHO).into(), std::mem::take(&mut self.own))
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        for member in &mut self.members {
            // Whoever has ended already needs no end.
            let _ = member.kill();
            let _ = member.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_is_of_as_many_as_it_should_be() {
        for count in [64, 65, 1000, 15_064, 99_999, 100_000, 1_000_000] {
            let Plan { members, own } = Plan::new(count).unwrap();
            assert_eq!(own.iter().chain(&members).sum::<usize>(), count);
            assert_eq!(own.len(), members.len() + 1, "{count}");
            assert!(members.iter().all(|len| *len <= MEMBER_LEN), "{count}");
            assert!(own.iter().sum::<usize>() >= BUSY, "{count}");
        }
        assert!(Plan::new(63).is_err());
    }

    #[test]
    fn those_that_carry_requests_are_of_every_part() {
        let Plan { own, members } = Plan::new(100_000).unwrap();
        assert_eq!(members.len(), 7);
        let places: Vec<usize> = busy_places(own.iter().sum()).collect();
        assert_eq!(places.len(), BUSY);
        let mut end = 0;
        for part in own {
            let begin = end;
            end += part;
            assert_eq!(places.iter().filter(|place| (begin..end).contains(place)).count(), BUSY / 8);
        }
    }

    #[test]
    fn of_few_connections_each_carries_requests_once() {
        assert!(busy_places(BUSY).eq(0..BUSY));
        let mut places: Vec<usize> = busy_places(BUSY + 1).collect();
        places.dedup();
        assert_eq!(places.len(), BUSY);
        assert!(places.iter().all(|place| *place <= BUSY));
    }
}
