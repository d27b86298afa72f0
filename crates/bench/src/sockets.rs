//! Options of the kernel's sockets that the standard library does not set.

use std::ffi::OsString;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;

use anyhow::{Context, Result};
use nix::sys::socket::{setsockopt, sockopt};

/// The congestion control of every connection that is measured.
const CONGESTION: &str = "cubic";

/// Makes the socket, and what a listener accepts, use CUBIC.
pub(crate) fn use_cubic(socket: &impl AsFd) -> Result<()> {
    setsockopt(socket, sockopt::TcpCongestion, &OsString::from(CONGESTION)).context("no CUBIC here")
}

/// Connects, without Nagle's delay and with CUBIC.
pub(crate) fn connect(server: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(server).with_context(|| format!("no connection to {server}"))?;
    stream.set_nodelay(true)?;
    use_cubic(&stream)?;
    Ok(stream)
}

/// Makes closing reset the connection, so that nothing of it lingers and no port stays taken.
pub(crate) fn reset_on_close(stream: &TcpStream) -> Result<()> {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    setsockopt(stream, sockopt::Linger, &linger).context("SO_LINGER cannot be set")
}
