//! An HTTP server: axum on a host of its own, at the other end of a TAP. In a network namespace that goes with its shell:
//!
//! ```console
//! $ cargo build -p netloom --features axum --example http_server
//! $ sudo unshare --net
//! # ip tuntap add nl0 mode tap; ip addr add 10.0.0.1/24 dev nl0; ip link set nl0 up
//! # target/debug/examples/http_server nl0 10.0.0.2/24 &
//! # curl http://10.0.0.2/
//! ```

use std::error::Error;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use netloom::{InterfaceConfig, Net};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [tap, address] = arguments.as_slice() else {
        return Err("usage: http_server TAP ADDRESS/LEN".into());
    };
    let net = Net::builder().tap(tap, InterfaceConfig::optimistic(address.parse()?))?.start()?;

    let listener = net.tcp_listen("[::]:80".parse()?).await?;
    println!("ready");
    let router = Router::new().route("/", get(|| async { "Hello from a stack of my own!\n" }));
    let interrupted = async { drop(tokio::signal::ctrl_c().await) };
    axum::serve(listener, router).with_graceful_shutdown(interrupted).await?;

    // What was answered is still to be acknowledged.
    net.shutdown(Duration::from_secs(1)).await;
    Ok(())
}
