//! A device of one's own: two hosts whose packets this program carries, as a VPN does.
//!
//! ```console
//! $ cargo run -p netloom --example custom_device
//! ```

use std::io;

use netloom::{Net, Tunnel};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::main]
async fn main() -> io::Result<()> {
    let (server, left) = Net::tunnel(1400, "10.0.0.1/24")?;
    let (client, right) = Net::tunnel(1400, "10.0.0.2/24")?;
    tokio::spawn(carry(left, right));

    let listener = server.tcp_listen("10.0.0.1:7").await?;
    let mut outgoing = client.tcp_connect("10.0.0.1:7").await?;
    outgoing.write_all(b"hello through the tunnel").await?;
    outgoing.shutdown().await?;
    let (mut text, (mut incoming, peer)) = (String::new(), listener.accept().await?);
    incoming.read_to_string(&mut text).await?;
    println!("{peer} says: {text}");
    Ok(())
}

/// The device: carries packets both ways until either host ends. A VPN would encrypt them, and send them over a network.
async fn carry(left: Tunnel, right: Tunnel) -> io::Result<()> {
    let (mut there, mut back) = ([0; 1400], [0; 1400]);
    loop {
        let (to, packet) = tokio::select! {
            len = left.recv(&mut there) => (&right, &there[..len?]),
            len = right.recv(&mut back) => (&left, &back[..len?]),
        };
        println!("a packet of {} bytes", packet.len());
        to.send(packet).await?;
    }
}
