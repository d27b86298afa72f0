//! Two hosts in one process, joined by a cable in memory: no privilege, no interface, nothing of the machine's network.
//!
//! ```console
//! $ cargo run -p netloom --example two_hosts
//! ```

use std::io;

use netloom::device::MemoryQueue;
use netloom::stack::Medium;
use netloom::{AddressDetection, InterfaceConfig, Net};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::main]
async fn main() -> io::Result<()> {
    let (left, right) = MemoryQueue::pair(Medium::Ethernet, 1500)?;
    let (server, client) = (start(left, "10.0.0.1/24")?, start(right, "10.0.0.2/24")?);

    let listener = server.tcp_listen("10.0.0.1:7".parse().expect("an address")).await?;
    let mut outgoing = client.tcp_connect(listener.local_addr()?).await?;
    let (mut incoming, peer) = listener.accept().await?;
    outgoing.write_all(b"hello from the other host").await?;
    outgoing.shutdown().await?;
    let mut text = String::new();
    incoming.read_to_string(&mut text).await?;
    println!("{peer} says: {text}");
    Ok(())
}

/// A host with this address on one end of the cable.
fn start(device: MemoryQueue, address: &str) -> io::Result<Net> {
    let config = InterfaceConfig {
        addresses: vec![address.parse().expect("a CIDR")],
        // Nobody else is on this cable: no need to ask before using the address.
        detection: AddressDetection::Off,
        ..InterfaceConfig::default()
    };
    Net::builder().interface(Box::new(device), config).start()
}
