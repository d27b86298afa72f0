//! A forwarder as tun2proxy is: takes every connection that enters a TAP, whomever it is meant for, and carries it on by
//! the kernel's sockets to one server. It connects there first: who cannot be carried on is refused, not accepted and cut.
//! In a network namespace that goes with its shell:
//!
//! ```console
//! $ cargo build -p netloom --example forward
//! $ sudo unshare --net
//! # ip link set lo up; python3 -m http.server --bind 127.0.0.1 8000 &
//! # ip tuntap add nl0 mode tap; ip addr add 10.0.0.1/24 dev nl0; ip link set nl0 up
//! # ip route add default via 10.0.0.2
//! # target/debug/examples/forward nl0 10.0.0.2/24 127.0.0.1:8000 &
//! # curl http://192.0.2.1/
//! ```

use std::error::Error;
use std::io;

use netloom::{InterfaceConfig, Net, PendingConnection};
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [tap, address, server] = arguments.as_slice() else {
        return Err("usage: forward TAP ADDRESS/LEN SERVER:PORT".into());
    };
    let config = InterfaceConfig { accept_any: true, ..InterfaceConfig::optimistic(address.parse()?) };
    let net = Net::builder().tap(tap, config)?.start()?;

    let incoming = net.tcp_incoming_any().await?;
    println!("ready");
    loop {
        tokio::spawn(carry(incoming.next().await?, server.clone()));
    }
}

/// Carries one connection on, until both ways have ended.
async fn carry(pending: PendingConnection, server: String) -> io::Result<()> {
    println!("{} wants {}", pending.peer_addr(), pending.local_addr());
    match TcpStream::connect(server).await {
        Ok(mut there) => {
            let mut here = pending.accept().await?;
            copy_bidirectional(&mut here, &mut there).await?;
        }
        Err(_) => pending.refuse(),
    }
    Ok(())
}
