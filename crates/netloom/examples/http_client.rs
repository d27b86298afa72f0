//! An HTTP client: hyper on a host of its own, at the other end of a TAP. In a network namespace that goes with its shell:
//!
//! ```console
//! $ cargo build -p netloom --example http_client
//! $ sudo unshare --net
//! # ip tuntap add nl0 mode tap; ip addr add 10.0.0.1/24 dev nl0; ip link set nl0 up
//! # python3 -m http.server --bind 10.0.0.1 8000 &
//! # target/debug/examples/http_client nl0 10.0.0.2/24 10.0.0.1:8000 /
//! ```

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper_util::rt::TokioIo;
use netloom::{InterfaceConfig, Net};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [tap, address, server, path] = arguments.as_slice() else {
        return Err("usage: http_client TAP ADDRESS/LEN SERVER:PORT PATH".into());
    };
    let net = Net::builder().tap(tap, InterfaceConfig::optimistic(address.parse()?))?.start()?;
    let server: SocketAddr = server.parse()?;

    let stream = net.tcp_connect(server).await?;
    let (mut requests, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::get(path.as_str()).header(HOST, server.to_string()).body(Empty::<Bytes>::new())?;
    let response = requests.send_request(request).await?;
    eprintln!("{}", response.status());
    print!("{}", String::from_utf8_lossy(&response.into_body().collect().await?.to_bytes()));

    drop(requests);
    net.shutdown(Duration::from_secs(1)).await;
    Ok(())
}
