//! An HTTP server: axum on a host of its own, 10.0.0.2, at the other end of the TAP `nl0`. In a network namespace that goes
//! with its shell:
//!
//! ```console
//! $ cargo build -p netloom --features axum --example http_server
//! $ sudo unshare --net
//! # ip tuntap add nl0 mode tap; ip addr add 10.0.0.1/24 dev nl0; ip link set nl0 up
//! # target/debug/examples/http_server &
//! # curl http://10.0.0.2/
//! ```

use std::io;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use netloom::Net;
use tokio::signal::ctrl_c;

#[tokio::main]
async fn main() -> io::Result<()> {
    let net = Net::tap("nl0", "10.0.0.2/24")?;
    let listener = net.tcp_listen("[::]:80").await?;
    println!("ready");

    let router = Router::new().route("/", get(async || "Hello from a stack of my own!\n"));
    let interrupted = async { drop(ctrl_c().await) };
    axum::serve(listener, router).with_graceful_shutdown(interrupted).await?;

    // What was answered is still to be acknowledged.
    net.shutdown(Duration::from_secs(1)).await;
    Ok(())
}
