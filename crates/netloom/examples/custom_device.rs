//! A device of one's own: two hosts whose packets cross a channel of this program, as they would cross a VPN's tunnel.
//!
//! ```console
//! $ cargo run -p netloom --example custom_device
//! ```

use std::io;

use netloom::stack::Medium;
use netloom::{AddressDetection, InterfaceConfig, Net, Tunnel};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

/// Of an IP packet, in bytes.
const MTU: u16 = 1400;

#[tokio::main]
async fn main() -> io::Result<()> {
    let ((to_right, from_left), (to_left, from_right)) = (mpsc::channel(64), mpsc::channel(64));
    let server = start("10.0.0.1/24", to_right, from_right)?;
    let client = start("10.0.0.2/24", to_left, from_left)?;

    let listener = server.tcp_listen("10.0.0.1:7".parse().expect("an address")).await?;
    let mut outgoing = client.tcp_connect(listener.local_addr()?).await?;
    let (mut incoming, peer) = listener.accept().await?;
    outgoing.write_all(b"hello through the tunnel").await?;
    outgoing.shutdown().await?;
    let mut text = String::new();
    incoming.read_to_string(&mut text).await?;
    println!("{peer} says: {text}");
    Ok(())
}

/// A host whose packets go into one channel and come out of another.
fn start(address: &str, to: mpsc::Sender<Vec<u8>>, from: mpsc::Receiver<Vec<u8>>) -> io::Result<Net> {
    let (device, tunnel) = Tunnel::pair(Medium::Ip, MTU)?;
    tokio::spawn(carry(tunnel, to, from));
    let config = InterfaceConfig {
        addresses: vec![address.parse().expect("a CIDR")],
        // Nobody else is in this tunnel: no need to ask before using the address.
        detection: AddressDetection::Off,
        ..InterfaceConfig::default()
    };
    Net::builder().interface(device, config).start()
}

/// Carries packets both ways until either end is gone. A real tunnel would encrypt them here.
async fn carry(
    tunnel: Tunnel,
    to: mpsc::Sender<Vec<u8>>,
    mut from: mpsc::Receiver<Vec<u8>>,
) -> io::Result<()> {
    let out = async {
        let mut buffer = vec![0; usize::from(MTU)];
        loop {
            let len = tunnel.recv(&mut buffer).await?;
            println!("a packet of {len} bytes");
            to.send(buffer[..len].to_vec()).await.map_err(io::Error::other)?;
        }
    };
    let back = async {
        while let Some(packet) = from.recv().await {
            tunnel.send(&packet).await?;
        }
        Ok(())
    };
    // Each way by itself: one that waits for room does not keep the other from making it.
    tokio::select! {
        ended = out => ended,
        ended = back => ended,
    }
}
