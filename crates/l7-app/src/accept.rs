//! The loop that accepts connections, bounded in number, and waits for them at the end.

use std::net::SocketAddr;
use std::time::Duration;

use axum::serve::Listener;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::debug;

/// What one listener lets its clients hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Connections served at a time. One more stays in the listener's backlog until another ends.
    pub max_connections: usize,
    /// A connection on which no byte moved either way for this long is ended (and before twice this long has passed).
    pub idle: Duration,
    /// How long connections may go on after the shutdown before they are dropped.
    pub grace: Duration,
}

impl Default for ConnectionLimits {
    /// 1024 connections, ten minutes of silence, five seconds at the end.
    fn default() -> Self {
        Self { max_connections: 1024, idle: Duration::from_secs(600), grace: Duration::from_secs(5) }
    }
}

/// Accepts until `shutdown`, runs `handle` for each connection, and then waits [`ConnectionLimits::grace`] for those
/// that are still open.
///
/// `handle` is called in the order in which connections were accepted. The listener is dropped before the wait, so
/// that its port refuses at once. Dropping the returned future ends every connection.
pub(crate) async fn serve_connections<L, F, Fut>(
    mut listener: L,
    limits: ConnectionLimits,
    shutdown: &CancellationToken,
    mut handle: F,
) where
    L: Listener<Addr = SocketAddr>,
    F: FnMut(L::Io, SocketAddr) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            Some(ended) = connections.join_next() => {
                if let Err(error) = ended {
                    debug!(%error, "a connection's task failed");
                }
            }
            (stream, peer) = listener.accept(), if connections.len() < limits.max_connections => {
                connections.spawn(handle(stream, peer));
            }
        }
    }
    drop(listener);
    let all_ended = async { while connections.join_next().await.is_some() {} };
    if timeout(limits.grace, all_ended).await.is_err() {
        debug!(left = connections.len(), "connections outlived the grace period and are dropped");
    }
}
