//! A forwarder as tun2proxy is: takes every connection that enters the TAP `nl0`, whomever it is meant for, and carries it on
//! by the kernel's sockets to one server. It connects there first: who cannot be carried on is refused, not accepted and cut.
//! In a network namespace that goes with its shell:
//!
//! ```console
//! $ cargo build -p netloom --example forward
//! $ sudo unshare --net
//! # ip link set lo up; python3 -m http.server --bind 127.0.0.1 8000 &
//! # ip tuntap add nl0 mode tap; ip addr add 10.0.0.1/24 dev nl0; ip link set nl0 up
//! # ip route add default via 10.0.0.2
//! # target/debug/examples/forward &
//! # curl http://192.0.2.1/
//! ```

use std::io;

use netloom::{InterfaceConfig, IntoInterface, Net};
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;

#[tokio::main]
async fn main() -> io::Result<()> {
    let anybody = InterfaceConfig { accept_any: true, .."10.0.0.2/24".into_interface()? };
    let incoming = Net::tap("nl0", anybody)?.tcp_incoming_any().await?;
    println!("ready");
    loop {
        let pending = incoming.next().await?;
        println!("{} wants {}", pending.peer_addr(), pending.local_addr());
        tokio::spawn(async move {
            // If this fails, `pending` is dropped, which refuses the client.
            let mut there = TcpStream::connect("127.0.0.1:8000").await?;
            copy_bidirectional(&mut pending.accept().await?, &mut there).await
        });
    }
}
