//! How connections end: half-close, shutdown, resets, and what is left.

use std::io::ErrorKind;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::Hosts;
use crate::net::{TcpListener, TcpSocket, TcpStream};
use crate::world::{World, listen, pair, run};

#[test]
fn either_way_closes_by_itself() {
    run(|world: Arc<Hosts>| async move {
        for server_first in [false, true] {
            let (incoming, outgoing) = pair(&*world).await;
            let (mut first, mut second) =
                if server_first { (incoming, outgoing) } else { (outgoing, incoming) };
            first.write_all(b"question").await.unwrap();
            first.shutdown().await.unwrap();
            let mut text = String::new();
            second.read_to_string(&mut text).await.unwrap();
            assert_eq!(text, "question");
            second.write_all(b"answer").await.unwrap();
            second.shutdown().await.unwrap();
            text.clear();
            first.read_to_string(&mut text).await.unwrap();
            assert_eq!(text, "answer");
        }
    });
}

#[test]
fn nothing_is_written_after_shutdown() {
    run(|world: Arc<Hosts>| async move {
        let (_incoming, mut outgoing) = pair(&*world).await;
        outgoing.shutdown().await.unwrap();
        outgoing.shutdown().await.unwrap();
        assert_eq!(outgoing.write(b"late").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn what_was_written_arrives_after_the_writer_is_dropped() {
    const LEN: usize = 2_000_000;
    run(|world: Arc<Hosts>| async move {
        let (mut incoming, mut outgoing) = pair(&*world).await;
        let writer = tokio::spawn(async move {
            outgoing.write_all(&vec![3; LEN]).await.unwrap();
        });
        let mut all = Vec::new();
        incoming.read_to_end(&mut all).await.unwrap();
        writer.await.unwrap();
        assert_eq!(all.len(), LEN);
    });
}

#[test]
fn a_reset_is_told_once_to_a_reader() {
    run(|world: Arc<Hosts>| async move {
        let (incoming, mut outgoing) = pair(&*world).await;
        incoming.set_zero_linger().unwrap();
        drop(incoming);
        let mut buffer = [0; 8];
        assert_eq!(outgoing.read(&mut buffer).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(outgoing.read(&mut buffer).await.unwrap(), 0);
        assert_eq!(outgoing.write(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        outgoing.shutdown().await.unwrap();
    });
}

#[test]
fn a_reset_is_told_once_to_a_writer() {
    run(|world: Arc<Hosts>| async move {
        let (incoming, mut outgoing) = pair(&*world).await;
        incoming.set_zero_linger().unwrap();
        drop(incoming);
        outgoing.readable().await.unwrap();
        assert_eq!(outgoing.write(b"x").await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(outgoing.write(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn take_error_takes_it() {
    run(|world: Arc<Hosts>| async move {
        let (incoming, mut outgoing) = pair(&*world).await;
        assert!(outgoing.take_error().unwrap().is_none());
        incoming.set_zero_linger().unwrap();
        drop(incoming);
        outgoing.readable().await.unwrap();
        assert_eq!(outgoing.take_error().unwrap().unwrap().kind(), ErrorKind::ConnectionReset);
        assert!(outgoing.take_error().unwrap().is_none());
        assert_eq!(outgoing.read(&mut [0; 8]).await.unwrap(), 0);
    });
}

#[test]
fn data_that_nobody_read_becomes_a_reset() {
    run(|world: Arc<Hosts>| async move {
        let (incoming, mut outgoing) = pair(&*world).await;
        outgoing.write_all(b"unread").await.unwrap();
        incoming.readable().await.unwrap();
        drop(incoming);
        assert_eq!(outgoing.read(&mut [0; 8]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn writing_to_who_has_gone_breaks_the_pipe() {
    run(|world: Arc<Hosts>| async move {
        let (incoming, mut outgoing) = pair(&*world).await;
        drop(incoming);
        assert_eq!(outgoing.read(&mut [0; 8]).await.unwrap(), 0);
        // The first is answered by a reset, whenever that comes.
        let error = loop {
            if let Err(error) = outgoing.write(b"x").await {
                break error;
            }
            tokio::task::yield_now().await;
        };
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn a_listener_takes_those_with_it_that_nobody_accepted() {
    run(|world: Arc<Hosts>| async move {
        let (listener, address) = listen(&*world).await;
        let mut outgoing = world.client(TcpStream::connect(address)).await.unwrap();
        // The last acknowledgment has come when the second connection can be accepted.
        drop(listener);
        assert_eq!(outgoing.read(&mut [0; 8]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn nobody_listening_is_a_refusal() {
    run(|world: Arc<Hosts>| async move {
        let (listener, address) = listen(&*world).await;
        drop(listener);
        let error = world.client(TcpStream::connect(address)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn time_wait_keeps_its_port_from_those_who_do_not_allow_reuse() {
    run(|world: Arc<Hosts>| async move {
        let (listener, address) = listen(&*world).await;
        let mut outgoing = world.client(TcpStream::connect(address)).await.unwrap();
        let mut incoming = listener.accept().await.unwrap().0;
        drop(listener);
        // The server is the first to finish: TIME-WAIT is its own.
        incoming.shutdown().await.unwrap();
        assert_eq!(outgoing.read(&mut [0; 8]).await.unwrap(), 0);
        drop(outgoing);
        assert_eq!(incoming.read(&mut [0; 8]).await.unwrap(), 0);
        drop(incoming);
        world
            .server(async {
                let socket = TcpSocket::new_v4().unwrap();
                let refused = socket.bind(address).and_then(|()| socket.listen(8)).unwrap_err();
                assert_eq!(refused.kind(), ErrorKind::AddrInUse);
                let socket = TcpSocket::new_v4().unwrap();
                socket.set_reuseaddr(true).unwrap();
                socket.bind(address).unwrap();
                drop(socket.listen(8).unwrap());
                drop(TcpListener::bind(address).await.unwrap());
            })
            .await;
    });
}
