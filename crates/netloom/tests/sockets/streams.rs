//! Bytes that come and go: readiness, peeking, halves, cancellation, back-pressure.

use std::future::{Future, poll_fn};
use std::io::{ErrorKind, IoSlice, IoSliceMut};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, Interest, ReadBuf};

use crate::Hosts;
use crate::net::TcpStream;
use crate::world::{World, assert_has_run, listen, pair, run};

/// Polls once, and drops the future if it is not done.
async fn poll_once<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

#[test]
fn both_ends_agree_on_their_addresses() {
    run(|world: Arc<Hosts>| async move {
        let (listener, address) = listen(&*world).await;
        let outgoing = world.client(TcpStream::connect(address)).await.unwrap();
        let (incoming, from) = listener.accept().await.unwrap();
        assert_eq!(outgoing.peer_addr().unwrap(), address);
        assert_eq!(incoming.local_addr().unwrap(), address);
        assert_eq!(outgoing.local_addr().unwrap(), from);
        assert_eq!(incoming.peer_addr().unwrap(), from);
    });
}

#[test]
fn who_always_finds_something_ready_lets_others_run() {
    run(|world: Arc<Hosts>| async move {
        let (mut incoming, mut outgoing) = pair(&*world).await;
        incoming.write_all(&[7; 10_000]).await.unwrap();
        while outgoing.peek(&mut [0; 10_000]).await.unwrap() < 10_000 {
            tokio::task::yield_now().await;
        }
        // It runs only when this task pauses.
        let other = tokio::spawn(async {});
        for _ in 0..10_000 {
            outgoing.read_u8().await.unwrap();
        }
        assert_has_run(other).await;
    });
}

#[test]
fn who_always_finds_a_connection_to_accept_lets_others_run() {
    /// What reading takes of a task's turn; together with the connections it is more than a turn.
    const READS: usize = 100;
    /// As many as any backlog holds.
    const CONNECTIONS: usize = 100;
    run(|world: Arc<Hosts>| async move {
        let (mut incoming, mut outgoing) = pair(&*world).await;
        incoming.write_all(&[7; READS]).await.unwrap();
        while outgoing.peek(&mut [0; READS]).await.unwrap() < READS {
            tokio::task::yield_now().await;
        }
        let (listener, address) = listen(&*world).await;
        let mut streams = Vec::new();
        for _ in 0..CONNECTIONS {
            streams.push(world.client(TcpStream::connect(address)).await.unwrap());
        }
        let other = tokio::spawn(async {});
        for _ in 0..READS {
            outgoing.read_u8().await.unwrap();
        }
        for _ in 0..CONNECTIONS {
            listener.accept().await.unwrap();
        }
        assert_has_run(other).await;
    });
}

#[test]
fn readiness_is_what_the_try_calls_find() {
    run(|world: Arc<Hosts>| async move {
        let (mut incoming, outgoing) = pair(&*world).await;
        let mut buffer = [0; 8];
        assert_eq!(outgoing.try_read(&mut buffer).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert!(poll_once(outgoing.readable()).await.is_none());
        assert!(outgoing.ready(Interest::READABLE | Interest::WRITABLE).await.unwrap().is_writable());
        outgoing.writable().await.unwrap();
        assert_eq!(outgoing.try_write(b"ab").unwrap(), 2);
        assert_eq!(outgoing.try_write_vectored(&[IoSlice::new(b"cd"), IoSlice::new(b"ef")]).unwrap(), 4);
        let mut six = [0; 6];
        incoming.read_exact(&mut six).await.unwrap();
        assert_eq!(&six, b"abcdef");
        incoming.write_all(b"12345").await.unwrap();
        outgoing.readable().await.unwrap();
        let (mut first, mut second) = ([0; 2], [0; 8]);
        let mut targets = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
        assert_eq!(outgoing.try_read_vectored(&mut targets).unwrap(), 5);
        assert_eq!((&first, &second[..3]), (b"12", &b"345"[..]));
        assert!(outgoing.is_write_vectored());
        let idle = outgoing.try_io(Interest::READABLE, || outgoing.try_read(&mut buffer));
        assert_eq!(idle.unwrap_err().kind(), ErrorKind::WouldBlock);
        incoming.shutdown().await.unwrap();
        outgoing.readable().await.unwrap();
        assert!(outgoing.ready(Interest::READABLE).await.unwrap().is_read_closed());
        assert_eq!(outgoing.try_read(&mut buffer).unwrap(), 0);
        let mut growing = Vec::with_capacity(16);
        assert_eq!(outgoing.try_read_buf(&mut growing).unwrap(), 0);
    });
}

#[test]
fn peeking_leaves_what_it_shows() {
    run(|world: Arc<Hosts>| async move {
        let (mut incoming, mut outgoing) = pair(&*world).await;
        outgoing.write_all(b"hello").await.unwrap();
        let mut two = [0; 2];
        for _ in 0..2 {
            assert_eq!(incoming.peek(&mut two).await.unwrap(), 2);
            assert_eq!(&two, b"he");
        }
        let mut buffer = [0; 3];
        let mut buffer = ReadBuf::new(&mut buffer);
        assert_eq!(poll_fn(|cx| incoming.poll_peek(cx, &mut buffer)).await.unwrap(), 3);
        assert_eq!(buffer.filled(), b"hel");
        let mut all = [0; 5];
        incoming.read_exact(&mut all).await.unwrap();
        assert_eq!(&all, b"hello");
        outgoing.shutdown().await.unwrap();
        assert_eq!(incoming.peek(&mut two).await.unwrap(), 0);
    });
}

#[test]
fn halves_work_apart_and_together_again() {
    run(|world: Arc<Hosts>| async move {
        let (incoming, outgoing) = pair(&*world).await;
        let (other, _outgoing) = pair(&*world).await;
        let (mut read, mut write) = outgoing.into_split();
        let (other_read, other_write) = other.into_split();
        let error = read.reunite(other_write).unwrap_err();
        read = error.0;
        drop((error.1, other_read));
        let echo = tokio::spawn(async move {
            let mut incoming = incoming;
            let (mut from, mut to) = incoming.split();
            tokio::io::copy(&mut from, &mut to).await.unwrap()
        });
        write.write_all(b"there").await.unwrap();
        let mut back = [0; 5];
        read.read_exact(&mut back).await.unwrap();
        assert_eq!(&back, b"there");
        let whole = write.reunite(read).unwrap();
        let (mut read, write) = whole.into_split();
        // The write half's drop is the end of the stream to the peer, and reading goes on.
        drop(write);
        assert_eq!(read.read(&mut back).await.unwrap(), 0);
        assert_eq!(echo.await.unwrap(), 5);
    });
}

#[test]
fn what_is_cancelled_loses_nothing() {
    run(|world: Arc<Hosts>| async move {
        let (listener, address) = listen(&*world).await;
        assert!(poll_once(listener.accept()).await.is_none());
        let _ = poll_once(world.client(TcpStream::connect(address))).await;
        let mut outgoing = world.client(TcpStream::connect(address)).await.unwrap();
        let port = outgoing.local_addr().unwrap().port();
        let mut incoming = loop {
            // The connection that was given up may come first.
            let (stream, from) = listener.accept().await.unwrap();
            if from.port() == port {
                break stream;
            }
        };
        let mut buffer = [0; 64];
        assert!(poll_once(incoming.read(&mut buffer)).await.is_none());
        assert!(poll_once(incoming.peek(&mut buffer)).await.is_none());
        assert!(poll_once(incoming.readable()).await.is_none());
        outgoing.write_all(b"whole").await.unwrap();
        let mut five = [0; 5];
        incoming.read_exact(&mut five).await.unwrap();
        assert_eq!(&five, b"whole");
        // A write is taken whole or not at all each time it is polled.
        let block = vec![7; 1 << 16];
        let mut written = 0;
        while let Some(count) = poll_once(outgoing.write(&block)).await {
            written += count.unwrap();
        }
        outgoing.shutdown().await.unwrap();
        let mut all = Vec::new();
        incoming.read_to_end(&mut all).await.unwrap();
        assert_eq!(all.len(), written);
    });
}

#[test]
fn a_slow_reader_holds_the_writer_back() {
    run(|world: Arc<Hosts>| async move {
        let (mut incoming, outgoing) = pair(&*world).await;
        let block = vec![1; 1 << 16];
        let mut written = 0;
        // As long as there is room within a while, the peer's buffer is not full yet.
        let while_it_moves = std::time::Duration::from_millis(300);
        while tokio::time::timeout(while_it_moves, outgoing.writable()).await.is_ok() {
            match outgoing.try_write(&block) {
                Ok(count) => written += count,
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
        assert!(written < 128 << 20, "{written} bytes are no bound");
        let reader = tokio::spawn(async move {
            let mut all = Vec::new();
            incoming.read_to_end(&mut all).await.unwrap();
            all.len()
        });
        outgoing.writable().await.unwrap();
        drop(outgoing);
        assert_eq!(reader.await.unwrap(), written);
    });
}

#[test]
fn many_tasks_share_a_socket() {
    const TASKS: usize = 8;
    run(|world: Arc<Hosts>| async move {
        let (mut incoming, outgoing) = pair(&*world).await;
        let outgoing = Arc::new(outgoing);
        let readers: Vec<_> = (0..TASKS)
            .map(|_| {
                let stream = Arc::clone(&outgoing);
                tokio::spawn(async move {
                    let mut total = 0;
                    loop {
                        stream.readable().await.unwrap();
                        match stream.try_read(&mut [0; 100]) {
                            Ok(0) => return total,
                            Ok(count) => total += count,
                            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
                        }
                    }
                })
            })
            .collect();
        incoming.write_all(&[5; 100_000]).await.unwrap();
        incoming.shutdown().await.unwrap();
        let mut total = 0;
        for reader in readers {
            total += reader.await.unwrap();
        }
        assert_eq!(total, 100_000);
    });
}
