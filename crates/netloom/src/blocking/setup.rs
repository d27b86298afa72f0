//! What the handles of one blocking socket share: whether it waits, and for how long.

use std::io::{self, ErrorKind};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::wait::wait_until;

/// Which of a socket's two time-outs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Read,
    Write,
}

/// How a socket waits.
#[derive(Debug, Default)]
pub(super) struct Patience(Mutex<Settings>);

#[derive(Clone, Copy, Debug, Default)]
struct Settings {
    is_nonblocking: bool,
    read: Option<Duration>,
    write: Option<Duration>,
}

impl Patience {
    fn settings(&self) -> MutexGuard<'_, Settings> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_nonblocking(&self, nonblocking: bool) {
        self.settings().is_nonblocking = nonblocking;
    }

    pub(super) fn timeout(&self, side: Side) -> Option<Duration> {
        match side {
            Side::Read => self.settings().read,
            Side::Write => self.settings().write,
        }
    }

    /// `InvalidInput` for no time at all, as std has it.
    pub(super) fn set_timeout(&self, side: Side, timeout: Option<Duration>) -> io::Result<()> {
        if timeout == Some(Duration::ZERO) {
            return Err(io::Error::new(ErrorKind::InvalidInput, "cannot set a 0 duration timeout"));
        }
        match side {
            Side::Read => self.settings().read = timeout,
            Side::Write => self.settings().write = timeout,
        }
        Ok(())
    }

    /// Waits for `poll` as long as the socket's settings say; `WouldBlock` when that was not long enough.
    pub(super) fn wait<R>(
        &self,
        side: Side,
        poll: impl FnMut(&mut Context<'_>) -> Poll<io::Result<R>>,
    ) -> io::Result<R> {
        let now = Instant::now();
        let deadline = if self.settings().is_nonblocking {
            Some(now)
        } else {
            // A time that the clock cannot reach is for ever.
            self.timeout(side).and_then(|timeout| now.checked_add(timeout))
        };
        wait_until(deadline, poll).unwrap_or_else(|| Err(ErrorKind::WouldBlock.into()))
    }
}

/// Tries each of `addresses`; the last error if none will do.
pub(super) fn first_of<R>(
    addresses: impl std::net::ToSocketAddrs,
    mut attempt: impl FnMut(std::net::SocketAddr) -> io::Result<R>,
) -> io::Result<R> {
    let mut last = None;
    for address in addresses.to_socket_addrs()? {
        match attempt(address) {
            Ok(result) => return Ok(result),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(crate::error::no_address))
}
