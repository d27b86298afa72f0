//! An HTTP client: hyper on a host of its own, 10.0.0.2, at the other end of the TAP `nl0`. In a network namespace that goes
//! with its shell:
//!
//! ```console
//! $ cargo build -p netloom --example http_client
//! $ sudo unshare --net
//! # ip tuntap add nl0 mode tap; ip addr add 10.0.0.1/24 dev nl0; ip link set nl0 up
//! # python3 -m http.server --bind 10.0.0.1 8000 &
//! # target/debug/examples/http_client
//! ```

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use netloom::Net;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let net = Net::tap("nl0", "10.0.0.2/24")?;
    let stream = net.tcp_connect("10.0.0.1:8000").await?;
    let (mut requests, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);

    let request = Request::get("/").header("host", "10.0.0.1:8000").body(Empty::<Bytes>::new())?;
    let response = requests.send_request(request).await?;
    println!("{}", response.status());
    print!("{}", String::from_utf8_lossy(&response.into_body().collect().await?.to_bytes()));

    drop(requests);
    net.shutdown(Duration::from_secs(1)).await;
    Ok(())
}
