//! Options of the kernel's sockets that the standard library does not set.

use std::ffi::OsString;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, setsockopt, sockopt};

/// The congestion control of every connection that is measured.
const CONGESTION: &str = "cubic";

/// Makes the socket, and what a listener accepts, use CUBIC.
pub(crate) fn use_cubic(socket: &impl AsFd) -> Result<()> {
    setsockopt(socket, sockopt::TcpCongestion, &OsString::from(CONGESTION)).context("no CUBIC here")
}

/// Connects, without Nagle's delay and with CUBIC.
pub(crate) fn connect(server: SocketAddr) -> Result<TcpStream> {
    prepared(TcpStream::connect(server), server)
}

/// The same, for no longer than `limit`, which takes more system calls.
pub(crate) fn connect_within(server: SocketAddr, limit: Duration) -> Result<TcpStream> {
    prepared(TcpStream::connect_timeout(&server, limit), server)
}

fn prepared(stream: io::Result<TcpStream>, server: SocketAddr) -> Result<TcpStream> {
    let stream = stream.with_context(|| format!("no connection to {server}"))?;
    stream.set_nodelay(true)?;
    use_cubic(&stream)?;
    Ok(stream)
}

/// An error if the connection has ended in either direction, or if something has come on it.
pub(crate) fn ensure_silent(stream: &TcpStream) -> Result<()> {
    match recv(stream.as_raw_fd(), &mut [0], MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT) {
        Err(Errno::EAGAIN) => Ok(()),
        Err(error) => bail!("a connection broke: {error}"),
        Ok(0) => bail!("a connection was closed"),
        Ok(_) => bail!("something came that nobody asked for"),
    }
}

/// Makes closing reset the connection, so that nothing of it lingers and no port stays taken.
pub(crate) fn reset_on_close(stream: &TcpStream) -> Result<()> {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    setsockopt(stream, sockopt::Linger, &linger).context("SO_LINGER cannot be set")
}
