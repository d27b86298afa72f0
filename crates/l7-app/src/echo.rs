//! The echo service: what comes in goes out again (RFC 862).
//!
//! # Limits
//! 64 KiB a connection. While the peer does not read, nothing is read from it either, so its own window closes.
//! Datagrams are answered one to one, so echo amplifies nothing; but not to the sources that would make a loop:
//! other services' ports, and the service's own.

use std::borrow::Cow;
use std::io;
use std::net::SocketAddr;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::task::coop::consume_budget;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::accept::{ConnectionLimits, serve_connections};
use crate::activity::with_idle_limit;
use crate::datagrams::{Datagrams, answer_datagrams, may_answer};

const BUFFER_LEN: usize = 64 << 10;

/// Serves echo over TCP until `shutdown`.
///
/// The peer's FIN ends one direction only: what it sent before is still sent back, and then comes our FIN.
pub async fn serve_tcp<L>(listener: L, limits: ConnectionLimits, shutdown: CancellationToken)
where
    L: Listener<Addr = SocketAddr>,
{
    let ended = shutdown.clone();
    serve_connections(listener, limits, &shutdown, move |stream, peer| {
        let ended = ended.clone();
        async move {
            let served = with_idle_limit(stream, limits.idle, echo);
            match ended.run_until_cancelled(served).await {
                Some(Some(Ok(byte_count))) => debug!(%peer, byte_count, "echo: finished"),
                Some(Some(Err(error))) => debug!(%peer, %error, "echo: failed"),
                Some(None) => debug!(%peer, "echo: idle for too long"),
                None => debug!(%peer, "echo: service stops"),
            }
        }
    })
    .await;
}

/// Serves echo over UDP until `shutdown`.
///
/// # Errors
/// The socket's own, when it can no longer be used.
pub async fn serve_udp<D: Datagrams>(socket: D, shutdown: CancellationToken) -> io::Result<()> {
    let local_port = socket.local_addr()?.port();
    answer_datagrams(&socket, &shutdown, |bytes, peer| {
        may_answer(peer, local_port).then_some(Cow::Borrowed(bytes))
    })
    .await
}

/// Sends back what it reads up to the peer's FIN, then its own; returns the number of bytes.
async fn echo<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) -> io::Result<u64> {
    let mut buffer = vec![0; BUFFER_LEN];
    let mut byte_count = 0;
    loop {
        let len = stream.read(&mut buffer).await?;
        if len == 0 {
            stream.shutdown().await?;
            return Ok(byte_count);
        }
        stream.write_all(buffer.get(..len).unwrap_or_default()).await?;
        stream.flush().await?;
        byte_count += len as u64;
        consume_budget().await;
    }
}
