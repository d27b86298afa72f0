//! HTTP requests over connections that are open already, one under way on each: what wrk does, which opens its own.
//!
//! # Theory of operation
//! One thread asks on all connections, and then waits for answers (epoll); whoever has answered is asked again. When the time is over
//! nobody is asked any more, and the last answers are waited for, so that the connections can be used again and none was silent.

mod answer;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use crate::figures::per_second;
use answer::Answer;

/// Before what is measured, so that buffers, caches and the scheduler have settled.
const WARM_UP: Duration = Duration::from_millis(200);
/// The longest wait for the next answer of any connection, and for the last answers of all.
const PATIENCE: Duration = Duration::from_secs(5);
/// What a read asks for, in bytes: more than an answer.
const BUFFER_LEN: usize = 4096;
/// How many connections one wait tells of.
const EVENTS: usize = 64;

/// Requests a second for `span` on all the connections.
///
/// # Errors
/// An answer that is not the one to `/hello`, more than was asked for, a connection that ends, or silence.
pub(super) fn rate(streams: &[&TcpStream], span: Duration) -> Result<f64> {
    let mut load = Load::new(streams)?;
    load.ask_all()?;
    load.go_on(WARM_UP)?;
    let begin = Instant::now();
    let count = load.go_on(span)?;
    let elapsed = begin.elapsed();
    load.finish()?;
    Ok(per_second(count, elapsed))
}

/// What whoever has answered does next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Ask,
    Rest,
}

struct Load<'a> {
    connections: Vec<Connection<'a>>,
    epoll: Epoll,
    request: Vec<u8>,
    buffer: Vec<u8>,
    /// Requests without their answer.
    under_way: usize,
}

struct Connection<'a> {
    stream: &'a TcpStream,
    answer: Answer,
}

impl<'a> Load<'a> {
    fn new(streams: &[&'a TcpStream]) -> Result<Self> {
        let first = streams.first().context("no connection to make requests on")?;
        let request = format!("GET /hello HTTP/1.1\r\nHost: {}\r\n\r\n", first.peer_addr()?).into_bytes();
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        for (place, stream) in (0..).zip(streams) {
            // Neither a read nor a write waits if this works as it should.
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            epoll.add(stream, EpollEvent::new(EpollFlags::EPOLLIN, place))?;
        }
        let connections =
            streams.iter().map(|&stream| Connection { stream, answer: Answer::default() }).collect();
        Ok(Self { connections, epoll, request, buffer: vec![0; BUFFER_LEN], under_way: 0 })
    }

    fn ask_all(&mut self) -> Result<()> {
        for connection in &self.connections {
            let mut stream = connection.stream;
            stream.write_all(&self.request)?;
        }
        self.under_way = self.connections.len();
        Ok(())
    }

    /// Asks whoever has answered, for `span`; how many answers there were.
    fn go_on(&mut self, span: Duration) -> Result<u64> {
        let begin = Instant::now();
        let mut count = 0;
        while begin.elapsed() < span {
            count += self.turn(Next::Ask, PATIENCE)?;
        }
        Ok(count)
    }

    /// Waits for the last answers.
    fn finish(&mut self) -> Result<()> {
        let begin = Instant::now();
        while self.under_way > 0 {
            self.turn(Next::Rest, PATIENCE.saturating_sub(begin.elapsed()))?;
        }
        Ok(())
    }

    /// Takes what has come, for which it waits no longer than `limit`; how many answers there were.
    fn turn(&mut self, next: Next, limit: Duration) -> Result<u64> {
        let mut events = [EpollEvent::empty(); EVENTS];
        let ready = match self.epoll.wait(&mut events, EpollTimeout::try_from(limit)?) {
            Ok(0) => bail!("{} requests are not answered", self.under_way),
            Ok(ready) => ready,
            Err(Errno::EINTR) => 0,
            Err(error) => return Err(error.into()),
        };
        let mut count = 0;
        for event in events.iter().take(ready) {
            let place = usize::try_from(event.data())?;
            let connection = self.connections.get_mut(place).context("an event of nobody")?;
            let len = connection.stream.read(&mut self.buffer)?;
            ensure!(len > 0, "a connection was closed");
            if !connection.answer.take(self.buffer.get(..len).unwrap_or_default())? {
                continue;
            }
            count += 1;
            match next {
                Next::Ask => connection.stream.write_all(&self.request)?,
                Next::Rest => self.under_way -= 1,
            }
        }
        Ok(count)
    }
}
