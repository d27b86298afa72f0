//! HTTP/1.1 as a service: the endpoints that a person knows from httpbin, static files, and an index of them all.
//!
//! # Theory of operation
//! [`router()`] makes an axum [`Router`](axum::Router) of every endpoint; [`serve`] runs it on a listener, with the
//! bounds of [`HttpLimits`] that `axum::serve` does not have. Both ways work:
//!
//! ```no_run
//! # async fn example(listener: tokio::net::TcpListener) -> std::io::Result<()> {
//! use netloom_l7_app::{CancellationToken, http};
//!
//! let router = http::router(http::HttpOptions::default());
//! # if true {
//! http::serve(listener, router, CancellationToken::new()).await;
//! # } else {
//! axum::serve(listener, router).await?;
//! # }
//! # Ok(())
//! # }
//! ```
//!
//! # Limits
//! Bodies that are echoed are held in memory up to [`HttpOptions::max_echo_len`]; all others are streamed, at about
//! 200 KiB a connection. Generated bodies end at [`MAX_GENERATED_LEN`].

mod auth;
mod byte_range;
mod cookies;
mod endpoints;
mod files;
mod generated;
mod index;
mod inspect;
mod options;
mod payload;
mod peer;
mod plain;
mod router;
mod server;
mod status;
mod upload;

pub use generated::MAX_GENERATED_LEN;
pub use options::HttpOptions;
pub use peer::Peer;
pub use router::router;
pub use server::{HttpLimits, serve, serve_with};
