//! A chat: what one says all others hear. The server outlives its clients; a client ends when the server does, and can come
//! back. Server and clients are hosts of their own, on a bridge. In a network namespace that goes with its shell:
//!
//! ```console
//! $ cargo build -p netloom --example chat
//! $ sudo unshare --net
//! # ip link add br0 type bridge; ip link set br0 up
//! # for tap in nl0 nl1 nl2; do ip tuntap add $tap mode tap; ip link set $tap master br0 up; done
//! # target/debug/examples/chat nl0 10.0.0.1/24 &
//! # target/debug/examples/chat nl1 10.0.0.2/24 10.0.0.1:7000
//! ```
//!
//! Any client of lines will do as well, such as `nc` at the kernel's end of the bridge.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use netloom::{InterfaceConfig, Net, TcpStream};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc};
use tokio::task::JoinSet;

/// How many lines a client may be behind before it misses some.
const BACKLOG: usize = 256;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (tap, address, server) = match arguments.as_slice() {
        [tap, address] => (tap, address, None),
        [tap, address, server] => (tap, address, Some(server.parse()?)),
        _ => return Err("usage: chat TAP ADDRESS/LEN [SERVER:PORT]".into()),
    };
    let net = Net::builder().tap(tap, InterfaceConfig::optimistic(address.parse()?))?.start()?;
    let chat = async {
        match server {
            None => serve(&net).await,
            Some(server) => join(&net, server).await,
        }
    };
    tokio::select! {
        result = chat => result?,
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    net.shutdown(Duration::from_secs(1)).await;
    Ok(())
}

/// The server: a task for each client, and a channel that all of them hear.
async fn serve(net: &Net) -> io::Result<()> {
    let listener = net.tcp_listen("[::]:7000".parse().expect("an address")).await?;
    let (room, _) = broadcast::channel(BACKLOG);
    // When the server is interrupted they are dropped, which closes each connection in order.
    let mut clients = JoinSet::new();
    println!("ready");
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, peer) = accepted?;
                clients.spawn(attend(stream, peer, room.clone()));
            }
            // One has gone; why is its own affair.
            Some(_) = clients.join_next() => {}
        }
    }
}

/// One client of the server, until it goes, or breaks.
async fn attend(
    stream: TcpStream,
    peer: SocketAddr,
    room: broadcast::Sender<(SocketAddr, String)>,
) -> io::Result<()> {
    let (said, mut heard) = stream.into_split();
    let (mut said, mut others) = (BufReader::new(said).lines(), room.subscribe());
    heard.write_all(format!("you are {peer}\n").as_bytes()).await?;
    loop {
        tokio::select! {
            line = said.next_line() => match line? {
                // There is always one who hears: this task.
                Some(line) => drop(room.send((peer, line))),
                None => return Ok(()),
            },
            other = others.recv() => match other {
                Ok((who, line)) if who != peer => heard.write_all(format!("{who}: {line}\n").as_bytes()).await?,
                Ok(_) => {}
                Err(RecvError::Lagged(count)) => heard.write_all(format!("({count} lines missed)\n").as_bytes()).await?,
                Err(RecvError::Closed) => return Ok(()),
            },
        }
    }
}

/// A client, until the server ends or nothing more is typed.
async fn join(net: &Net, server: SocketAddr) -> io::Result<()> {
    let (heard, mut said) = net.tcp_connect(server).await?.into_split();
    let (mut heard, mut typed) = (BufReader::new(heard).lines(), typed_lines());
    loop {
        tokio::select! {
            line = heard.next_line() => match line? {
                Some(line) => println!("{line}"),
                None => return Ok(()),
            },
            Some(line) = typed.recv() => said.write_all(format!("{line}\n").as_bytes()).await?,
            else => return Ok(()),
        }
    }
}

/// Standard input by a thread that ends with the process: tokio's own would keep the process until the next line.
fn typed_lines() -> mpsc::Receiver<String> {
    let (lines, typed) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in io::stdin().lines().map_while(Result::ok) {
            if lines.blocking_send(line).is_err() {
                return;
            }
        }
    });
    typed
}
