//! The HTTP/1.1 server loop: hyper on each connection, with bounds on everything a client can hold.
//!
//! # Theory of operation
//! hyper reads requests one after another, however many came in one segment, and answers them in order (RFC 9112,
//! section 9.3.2). A request that does not parse, or does not say once for which host it is, is answered with 400 and the
//! connection closed; so it is with 414 and 431 for what is too long, and silently when a head does not arrive in time.
//!
//! # Limits
//! [`HttpLimits`]. The head's time limit runs while a connection waits for its next request too, so it also bounds
//! how long one stays open between requests.

use std::future::ready;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::{Request, StatusCode, Version, header};
use axum::response::{IntoResponse, Response};
use axum::serve::Listener;
use futures_util::future::Either;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use tracing::debug;

use crate::accept::{ConnectionLimits, serve_connections};
use crate::activity::with_idle_limit;
use crate::http::peer::Peer;
use crate::http::plain::plain;

/// The bounds of the HTTP server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpLimits {
    /// How many connections, how long in silence, and how long after the shutdown.
    pub connections: ConnectionLimits,
    /// How long a request's head may take, counted from the moment the server waits for it.
    pub head_timeout: Duration,
    /// The longest head, request line included, in bytes; a longer one gets 431.
    pub max_head_len: usize,
    /// What a connection buffers in each direction, in bytes (at least 8192).
    pub buffer_len: usize,
}

impl Default for HttpLimits {
    /// 1024 connections, five minutes of silence, ten seconds at the end; 30 s for a head of at most 32 KiB; buffers of
    /// 64 KiB.
    fn default() -> Self {
        Self {
            connections: ConnectionLimits {
                max_connections: 1024,
                idle: Duration::from_secs(300),
                grace: Duration::from_secs(10),
            },
            head_timeout: Duration::from_secs(30),
            max_head_len: 32 << 10,
            buffer_len: 64 << 10,
        }
    }
}

/// Serves `router` with [`HttpLimits::default`]; see [`serve_with`].
pub async fn serve<L>(listener: L, router: Router, shutdown: CancellationToken)
where
    L: Listener<Addr = SocketAddr>,
{
    serve_with(listener, router, HttpLimits::default(), shutdown).await;
}

/// Serves `router` on `listener` until `shutdown`; then no connection is accepted and no further request read, and the
/// responses that are under way may finish within [`ConnectionLimits::grace`].
///
/// Each request carries `ConnectInfo<Peer>`.
pub async fn serve_with<L>(listener: L, router: Router, limits: HttpLimits, shutdown: CancellationToken)
where
    L: Listener<Addr = SocketAddr>,
{
    let bound_to = listener.local_addr().ok();
    let connection = Connection { builder: builder(&limits), router, shutdown: shutdown.clone() };
    serve_connections(listener, limits.connections, &shutdown, move |stream, address| {
        let connection = connection.clone();
        let peer = Peer { address, listener: bound_to };
        async move {
            let served =
                with_idle_limit(stream, limits.connections.idle, |stream| connection.serve(stream, peer))
                    .await;
            match served {
                Some(Ok(())) => {}
                Some(Err(error)) => debug!(peer = %address, %error, "http: connection failed"),
                None => debug!(peer = %address, "http: idle for too long"),
            }
        }
    })
    .await;
}

fn builder(limits: &HttpLimits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_header_size(limits.max_head_len)
        .max_buf_size(limits.buffer_len.max(8192))
        // A client that has sent its FIN still gets its answer.
        .half_close(true);
    builder
}

/// What every connection shares.
#[derive(Clone)]
struct Connection {
    builder: http1::Builder,
    router: Router,
    shutdown: CancellationToken,
}

impl Connection {
    async fn serve<S>(self, stream: S, peer: Peer) -> hyper::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let Self { builder, router, shutdown } = self;
        let service = service_fn(|mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            match host_refusal(&request) {
                None => Either::Left(router.clone().oneshot(request)),
                Some(refusal) => Either::Right(ready(Ok(refusal))),
            }
        });
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        tokio::select! {
            result = connection.as_mut() => return result,
            () = shutdown.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        connection.await
    }
}

/// The answer to a request that does not have one Host header: 400 and the end of the connection (RFC 9112, section
/// 3.2). HTTP/1.0 knows none.
fn host_refusal<B>(request: &Request<B>) -> Option<Response> {
    let count = request.headers().get_all(header::HOST).iter().count();
    if count == 1 || (count == 0 && request.version() < Version::HTTP_11) {
        return None;
    }
    let line = format_args!("a request has one Host header, and this has {count}");
    Some(([(header::CONNECTION, "close")], plain(StatusCode::BAD_REQUEST, line)).into_response())
}
