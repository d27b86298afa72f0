//! The discard service: what comes in is thrown away, and nothing goes out (RFC 863).
//!
//! # Limits
//! 64 KiB a connection, whatever it sends.

use std::io;
use std::net::SocketAddr;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::task::coop::consume_budget;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::accept::{ConnectionLimits, serve_connections};
use crate::activity::with_idle_limit;
use crate::datagrams::{Datagrams, answer_datagrams};

const BUFFER_LEN: usize = 64 << 10;

/// Serves discard over TCP until `shutdown`; the peer's FIN is answered with ours.
pub async fn serve_tcp<L>(listener: L, limits: ConnectionLimits, shutdown: CancellationToken)
where
    L: Listener<Addr = SocketAddr>,
{
    let ended = shutdown.clone();
    serve_connections(listener, limits, &shutdown, move |stream, peer| {
        let ended = ended.clone();
        async move {
            let served = with_idle_limit(stream, limits.idle, discard);
            match ended.run_until_cancelled(served).await {
                Some(Some(Ok(byte_count))) => debug!(%peer, byte_count, "discard: finished"),
                Some(Some(Err(error))) => debug!(%peer, %error, "discard: failed"),
                Some(None) => debug!(%peer, "discard: idle for too long"),
                None => debug!(%peer, "discard: service stops"),
            }
        }
    })
    .await;
}

/// Serves discard over UDP until `shutdown`: takes datagrams, so that nobody is told the port is unreachable.
///
/// # Errors
/// The socket's own, when it can no longer be used.
pub async fn serve_udp<D: Datagrams>(socket: D, shutdown: CancellationToken) -> io::Result<()> {
    answer_datagrams(&socket, &shutdown, |_, _| None).await
}

/// Reads up to the peer's FIN, then sends its own; returns the number of bytes.
async fn discard<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) -> io::Result<u64> {
    let mut buffer = vec![0; BUFFER_LEN];
    let mut byte_count = 0;
    loop {
        let len = stream.read(&mut buffer).await?;
        if len == 0 {
            stream.shutdown().await?;
            return Ok(byte_count);
        }
        byte_count += len as u64;
        consume_budget().await;
    }
}
