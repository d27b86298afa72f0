//! A chat: what one says all hear, oneself included. The server is a host of its own, 10.0.0.2, at the other end of the TAP
//! `nl0`; `nc` is a client. The server outlives its clients; a client ends when the server does, and can come back to the
//! next one. In a network namespace that goes with its shell:
//!
//! ```console
//! $ cargo build -p netloom --example chat
//! $ sudo unshare --net
//! # ip tuntap add nl0 mode tap; ip addr add 10.0.0.1/24 dev nl0; ip link set nl0 up
//! # target/debug/examples/chat &
//! # nc 10.0.0.2 7000
//! ```

use std::io;
use std::net::SocketAddr;

use netloom::{Net, TcpStream};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::signal::ctrl_c;
use tokio::sync::broadcast::Sender;

#[tokio::main]
async fn main() -> io::Result<()> {
    let net = Net::tap("nl0", "10.0.0.2/24")?;
    let listener = net.tcp_listen("[::]:7000").await?;
    let room = Sender::new(256);
    println!("ready");
    loop {
        tokio::select! {
            accepted = listener.accept() => drop(tokio::spawn(attend(accepted?, room.clone()))),
            // The clients are told: the stack, which would have to, does not outlive the program.
            interrupted = ctrl_c() => { net.abort(); return interrupted }
        }
    }
}

/// One client, until it goes, or is more than 256 lines behind.
async fn attend((mut stream, peer): (TcpStream, SocketAddr), room: Sender<String>) -> io::Result<()> {
    let (reader, mut writer) = stream.split();
    let (mut said, mut heard) = (BufReader::new(reader).lines(), room.subscribe());
    loop {
        tokio::select! {
            line = said.next_line() => {
                let Some(line) = line? else { return Ok(()) };
                let _ = room.send(format!("{peer}: {line}\n"));
            }
            line = heard.recv() => writer.write_all(line.map_err(io::Error::other)?.as_bytes()).await?,
        }
    }
}
