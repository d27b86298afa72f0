//! Asks the running daemon.
//!
//! Blocking, with a limit on each step: a daemon that was stopped (SIGSTOP) still accepts connections, as the kernel does that.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use nix::sys::socket::sockopt::SendTimeout;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, setsockopt, socket};
use nix::sys::time::{TimeVal, TimeValLike};

use super::place;
use super::protocol::{ANSWER_LEN_MAX, Answer, Request, emit_request, parse_answer};
use crate::failure::Failure;

/// How long the daemon may take for each step: longer than it lets a client take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks the first daemon of those that this environment may mean.
pub(crate) fn ask(request: Request) -> Result<Answer, Failure> {
    let paths = place::to_ask();
    for path in &paths {
        let failure = |what: &str| Failure::new(format_args!("the daemon at {}: {what}", path.display()));
        let error = match connect_to(path) {
            Ok(stream) => return converse(stream, request).map_err(|what| failure(&what)),
            Err(error) => error,
        };
        let kind = error.kind();
        if kind == ErrorKind::PermissionDenied {
            return Err(failure("it is another user's: type sudo and the same again"));
        } else if kind == ErrorKind::WouldBlock {
            return Err(failure("it does not answer"));
        } else if kind != ErrorKind::NotFound && kind != ErrorKind::ConnectionRefused {
            return Err(failure(&error.to_string()));
        }
        // Nobody has been here, or one who was killed.
    }
    let looked: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
    Err(Failure::new(format_args!(
        "no netloom runs here (nobody listens at {}): start one with sudo netloom up, or netloom shell",
        looked.join(" or ")
    )))
}

/// Connects; the kernel lets a connection wait while the daemon's queue is full, for as long as sending may take.
fn connect_to(path: &Path) -> io::Result<UnixStream> {
    let fd = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    let seconds = i64::try_from(PATIENCE.as_secs()).unwrap_or(i64::MAX);
    setsockopt(&fd, SendTimeout, &TimeVal::seconds(seconds))?;
    connect(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
    let stream = UnixStream::from(fd);
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// One request, one answer; the error is one line.
fn converse(mut stream: UnixStream, request: Request) -> Result<Answer, String> {
    let line = emit_request(request).map_err(|error| error.to_string())?;
    match stream.write_all(&line) {
        // A daemon that turns a client away says why before it closes.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => return Err(error.to_string()),
        Ok(()) | Err(_) => {}
    }
    let mut answer = Vec::new();
    match BufReader::new(stream.take(ANSWER_LEN_MAX)).read_until(b'\n', &mut answer) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            Err(format!("no answer within {} seconds", PATIENCE.as_secs()))
        }
        Err(error) => Err(error.to_string()),
        Ok(0) => Err("it has just ended".to_owned()),
        Ok(_) => parse_answer(&answer),
    }
}
