//! tungstenite at both ends, over netloom and over the kernel's sockets.

use futures_util::{SinkExt, StreamExt};
use netloom::{Net, TcpListener};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, accept_async, client_async};

use crate::hosts::{pattern, run};
use crate::namespace::{self, FAMILIES};

/// Of the largest message, in bytes: less than what tungstenite takes without being told.
const LEN: usize = 4_000_000;

/// Sends back what comes on one connection, until it is closed.
fn echo_once(listener: TcpListener) -> JoinHandle<()> {
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut socket = accept_async(stream).await.unwrap();
        while let Some(message) = socket.next().await {
            let message = message.unwrap();
            if message.is_text() || message.is_binary() {
                socket.send(message).await.unwrap();
            }
        }
    })
}

/// Says hello on one connection and closes it, without waiting for an answer.
pub(crate) fn greet_once(listener: TcpListener) -> JoinHandle<()> {
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut socket = accept_async(stream).await.unwrap();
        socket.send(Message::text("hello")).await.unwrap();
        socket.close(None).await.unwrap();
    })
}

/// Text, bytes, pings, and the end.
async fn converse(mut socket: WebSocketStream<impl AsyncRead + AsyncWrite + Unpin>) {
    let large = pattern(LEN, 1);
    for message in [
        Message::text("Hello, world!"),
        Message::text(""),
        Message::binary(pattern(126, 2)),
        Message::binary(pattern(65_536, 3)),
        Message::binary(large),
    ] {
        socket.send(message.clone()).await.unwrap();
        let echoed = socket.next().await.unwrap().unwrap();
        assert!(echoed == message, "a message of {} bytes comes back changed", message.len());
    }
    socket.send(Message::Ping("still there?".into())).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::Pong("still there?".into()));
    socket.close(None).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::Close(None));
    assert!(socket.next().await.is_none());
}

#[test]
fn messages_are_echoed_until_either_closes() {
    run(|hosts| async move {
        let (listener, address) = hosts.listen().await;
        let server = echo_once(listener);
        let stream = hosts.client.tcp_connect(address).await.unwrap();
        let (socket, _) = client_async(format!("ws://{address}/"), stream).await.unwrap();
        converse(socket).await;
        server.await.unwrap();
    });
}

#[test]
fn both_halves_are_used_at_once() {
    const COUNT: u32 = 200;
    run(|hosts| async move {
        let (listener, address) = hosts.listen().await;
        let server = echo_once(listener);
        let stream = hosts.client.tcp_connect(address).await.unwrap();
        let (socket, _) = client_async(format!("ws://{address}/"), stream).await.unwrap();
        let (mut sink, mut messages) = socket.split();
        let send = async {
            for seed in 0..COUNT {
                sink.feed(Message::binary(pattern(10_000, seed))).await.unwrap();
            }
            sink.flush().await.unwrap();
        };
        let receive = async {
            for seed in 0..COUNT {
                let message = messages.next().await.unwrap().unwrap();
                assert!(message.into_data() == pattern(10_000, seed), "message {seed}");
            }
        };
        tokio::join!(send, receive);
        sink.close().await.unwrap();
        assert!(messages.next().await.unwrap().unwrap().is_close());
        server.await.unwrap();
    });
}

#[test]
fn a_peer_that_goes_without_a_word_is_an_error() {
    run(|hosts| async move {
        let (listener, address) = hosts.listen().await;
        let stream = hosts.client.tcp_connect(address).await.unwrap();
        let uri = format!("ws://{address}/");
        let client = client_async(uri, stream);
        let server = async { accept_async(listener.accept().await.unwrap().0).await.unwrap() };
        let (client, mut server) = tokio::join!(client, server);
        drop(client.unwrap());
        assert!(matches!(server.next().await, Some(Err(Error::Protocol(_)))));
    });
}

#[test]
fn the_kernels_sockets_understand_us_both_ways() {
    namespace::run(&[], |net: Net| async move {
        for family in FAMILIES {
            let address = family.ours(80);
            let server = echo_once(net.tcp_listen(address).await.unwrap());
            let stream = tokio::net::TcpStream::connect(address).await.unwrap();
            let (socket, _) = client_async(format!("ws://{address}/"), stream).await.unwrap();
            converse(socket).await;
            server.await.unwrap();
        }
    });
}
