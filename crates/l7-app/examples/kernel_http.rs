//! The HTTP service on the kernel's own sockets: what `scripts/compare-with-kernel` measures netloom against.
//!
//! `cargo run --release -p netloom-l7-app --example kernel_http -- 10.9.0.2:80`
#![forbid(unsafe_code)]

use netloom_l7_app::CancellationToken;
use netloom_l7_app::http::{self, HttpOptions};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    http::serve(listener, http::router(HttpOptions::default()), CancellationToken::new()).await;
    Ok(())
}
