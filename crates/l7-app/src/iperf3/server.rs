//! The server's two sockets, and what becomes of a connection before it has a session.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::serve::Listener;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use crate::accept::{ConnectionLimits, serve_connections};
use crate::connection::Connection;
use crate::datagrams::Datagrams;
use crate::iperf3::control::Control;
use crate::iperf3::desk::{Desk, Opened, Visit};
use crate::iperf3::options::Iperf3Options;
use crate::iperf3::protocol::{COOKIE_LEN, State};
use crate::iperf3::session::Session;
use crate::iperf3::udp::UdpPort;

/// Connections that are read from before it is known what they are, and the session's control connection.
const MAX_CONNECTIONS: usize = 320;

/// Serves iperf3 clients until `shutdown`: control and TCP streams on `listener`, UDP streams on `socket`, which is
/// bound to the same port.
///
/// # Errors
/// The UDP socket's own, when it can no longer be used.
pub async fn serve<L, D>(
    listener: L,
    socket: D,
    options: Iperf3Options,
    shutdown: CancellationToken,
) -> io::Result<()>
where
    L: Listener<Addr = SocketAddr, Io: Connection>,
    D: Datagrams,
{
    let udp = Arc::new(UdpPort::new(socket));
    let reception =
        Reception { desk: Arc::new(Desk::new()), udp: Arc::clone(&udp), options, shutdown: shutdown.clone() };
    let limits = ConnectionLimits { max_connections: MAX_CONNECTIONS, ..ConnectionLimits::default() };
    let mut order = 0;
    let connections = serve_connections(listener, limits, &shutdown, |stream, peer| {
        order += 1;
        reception.clone().receive(Opened { order, stream }, peer)
    });
    let ((), datagrams) = tokio::join!(connections, udp.run(&shutdown));
    datagrams
}

/// What a connection needs to find its place.
#[derive(Debug)]
struct Reception<S, D> {
    desk: Arc<Desk<S>>,
    udp: Arc<UdpPort<D>>,
    options: Iperf3Options,
    shutdown: CancellationToken,
}

impl<S, D> Clone for Reception<S, D> {
    fn clone(&self) -> Self {
        Self {
            desk: Arc::clone(&self.desk),
            udp: Arc::clone(&self.udp),
            options: self.options,
            shutdown: self.shutdown.clone(),
        }
    }
}

impl<S, D> Reception<S, D>
where
    S: Connection,
    D: Datagrams,
{
    /// Reads the cookie, and goes where it belongs.
    async fn receive(self, mut opened: Opened<S>, peer: SocketAddr) {
        let mut cookie = [0; COOKIE_LEN];
        match timeout(self.options.step, opened.stream.read_exact(&mut cookie)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return debug!(%peer, %error, "iperf3: no cookie"),
            Err(_) => return debug!(%peer, "iperf3: no cookie in time"),
        }
        match self.desk.receive(cookie, opened).await {
            Visit::PassedOn => {}
            Visit::Refused(stream) => {
                debug!(%peer, "iperf3: refused, another test is running");
                let mut control = Control::new(stream);
                if control.write_state(State::AccessDenied).await.is_ok() {
                    // The client may be gone, which is as well.
                    let _ = control.finish().await;
                }
            }
            Visit::Seated(seat, stream) => {
                info!(%peer, "iperf3: test begins");
                let Self { desk: _, udp, options, shutdown } = self;
                let control = Control::new(stream);
                let session = Session { control, seat, client: peer, udp, options, shutdown };
                match session.run().await {
                    Ok(byte_count) => info!(%peer, byte_count, "iperf3: test done"),
                    Err(error) => info!(%peer, %error, "iperf3: test broken off"),
                }
            }
        }
    }
}
