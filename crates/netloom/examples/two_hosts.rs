//! Two hosts in one process, joined by a cable in memory: no privilege, no interface, nothing of the machine's network.
//!
//! ```console
//! $ cargo run -p netloom --example two_hosts
//! ```

use std::io;

use netloom::Net;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::main]
async fn main() -> io::Result<()> {
    let (server, client) = Net::pair("10.0.0.1/24", "10.0.0.2/24")?;
    let listener = server.tcp_listen("10.0.0.1:7").await?;
    let mut outgoing = client.tcp_connect("10.0.0.1:7").await?;
    let (mut incoming, peer) = listener.accept().await?;

    outgoing.write_all(b"hello from the other host").await?;
    outgoing.shutdown().await?;
    let mut text = String::new();
    incoming.read_to_string(&mut text).await?;
    println!("{peer} says: {text}");
    Ok(())
}
