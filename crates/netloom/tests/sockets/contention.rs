//! Many at once, and givers-up at every step: ports, listeners, cancellation.

use std::collections::BTreeSet;
use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::Hosts;
use crate::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};
use crate::world::{World, listen, pair, run};

/// Polls up to `times` times, lets others run in between, and drops the future if it is not done then.
async fn poll_up_to<F: Future>(times: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    for _ in 0..times {
        let polled = poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => Poll::Ready(None),
        });
        if let Some(output) = polled.await {
            return Some(output);
        }
        tokio::task::yield_now().await;
    }
    None
}

#[test]
fn many_tasks_accept_each_connection_once() {
    const CLIENTS: usize = 24;
    run(|world: Arc<Hosts>| async move {
        let (listener, address) = listen(&*world).await;
        let listener = Arc::new(listener);
        let acceptors: Vec<_> = (0..6)
            .map(|_| {
                let listener = Arc::clone(&listener);
                tokio::spawn(async move {
                    let mut peers = Vec::new();
                    for _ in 0..CLIENTS / 6 {
                        peers.push(listener.accept().await.unwrap());
                    }
                    peers
                })
            })
            .collect();
        let mut ports = BTreeSet::new();
        let mut streams = Vec::new();
        for _ in 0..CLIENTS {
            let stream = world.client(TcpStream::connect(address)).await.unwrap();
            assert!(ports.insert(stream.local_addr().unwrap().port()), "an ephemeral port twice");
            streams.push(stream);
        }
        let mut accepted = BTreeSet::new();
        for acceptor in acceptors {
            for (stream, from) in acceptor.await.unwrap() {
                assert_eq!(stream.peer_addr().unwrap(), from);
                assert!(accepted.insert(from.port()));
            }
        }
        assert_eq!(accepted, ports);
    });
}

#[test]
fn an_accept_that_is_given_up_at_any_step_loses_no_connection() {
    const CLIENTS: usize = 10;
    run(|world: Arc<Hosts>| async move {
        let (listener, address) = listen(&*world).await;
        let mut streams = Vec::new();
        let mut accepted = Vec::new();
        for round in 0..CLIENTS {
            accepted.extend(poll_up_to(round, listener.accept()).await);
            streams.push(world.client(TcpStream::connect(address)).await.unwrap());
            accepted.extend(poll_up_to(round % 3, listener.accept()).await);
        }
        while accepted.len() < CLIENTS {
            accepted.push(listener.accept().await);
        }
        let ports: BTreeSet<u16> = accepted.iter().map(|it| it.as_ref().unwrap().1.port()).collect();
        assert_eq!(ports, streams.iter().map(|it| it.local_addr().unwrap().port()).collect());
    });
}

#[test]
fn a_connect_that_is_given_up_at_any_step_leaves_a_listener_that_works() {
    run(|world: Arc<Hosts>| async move {
        let (listener, address) = listen(&*world).await;
        for polls in 0..8 {
            drop(poll_up_to(polls, world.client(TcpStream::connect(address))).await);
        }
        let mut outgoing = world.client(TcpStream::connect(address)).await.unwrap();
        let port = outgoing.local_addr().unwrap().port();
        outgoing.write_all(b"x").await.unwrap();
        loop {
            let (mut stream, from) = listener.accept().await.unwrap();
            if from.port() == port {
                stream.read_exact(&mut [0]).await.unwrap();
                break;
            }
        }
    });
}

#[test]
fn reads_and_writes_that_are_given_up_at_any_step_keep_the_stream_whole() {
    const LEN: usize = 400_000;
    run(|world: Arc<Hosts>| async move {
        let (mut incoming, mut outgoing) = pair(&*world).await;
        let bytes: Vec<u8> = (0..LEN).map(|at| (at % 251).to_le_bytes()[0]).collect();
        let sent = bytes.clone();
        let writer = tokio::spawn(async move {
            let mut rest = &sent[..];
            let mut round = 0;
            while !rest.is_empty() {
                round += 1;
                // What a write did not say that it took, it did not take.
                let piece = &rest[..rest.len().min(10_000)];
                if let Some(count) = poll_up_to(round % 4, outgoing.write(piece)).await {
                    rest = &rest[count.unwrap()..];
                }
                tokio::task::yield_now().await;
            }
            outgoing.shutdown().await.unwrap();
        });
        let mut received = Vec::new();
        let mut buffer = [0; 7000];
        let mut round = 0;
        loop {
            round += 1;
            match poll_up_to(round % 4, incoming.read(&mut buffer)).await.transpose().unwrap() {
                Some(0) => break,
                Some(count) => received.extend_from_slice(&buffer[..count]),
                None => tokio::task::yield_now().await,
            }
        }
        assert!(received == bytes);
        writer.await.unwrap();
    });
}

#[test]
fn a_read_that_times_out_can_be_tried_again() {
    run(|world: Arc<Hosts>| async move {
        let (mut incoming, mut outgoing) = pair(&*world).await;
        let mut buffer = [0; 8];
        assert!(timeout(Duration::from_millis(20), outgoing.read(&mut buffer)).await.is_err());
        incoming.write_all(b"late").await.unwrap();
        outgoing.read_exact(&mut buffer[..4]).await.unwrap();
        assert_eq!(&buffer[..4], b"late");
    });
}

/// A listener that shares its port.
fn listen_beside(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    assert!(!socket.reuseport()?);
    socket.set_reuseport(true)?;
    assert!(socket.reuseport()?);
    socket.bind(address)?;
    socket.listen(64)
}

#[test]
fn listeners_that_share_a_port_share_its_connections() {
    const CLIENTS: usize = 40;
    run(|world: Arc<Hosts>| async move {
        let one = world.server(async { listen_beside((Hosts::SERVER, 0).into()).unwrap() }).await;
        let address = one.local_addr().unwrap();
        let (other, everywhere) = world
            .server(async {
                let everywhere = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port());
                (listen_beside(address).unwrap(), listen_beside(everywhere).unwrap())
            })
            .await;
        let mut taken = [0, 0];
        for _ in 0..CLIENTS {
            let mut outgoing = world.client(TcpStream::connect(address)).await.unwrap();
            let ((mut incoming, from), by) = tokio::select! {
                accepted = one.accept() => (accepted.unwrap(), 0),
                accepted = other.accept() => (accepted.unwrap(), 1),
                accepted = everywhere.accept() => panic!("{accepted:?}: the address was named exactly"),
            };
            taken[by] += 1;
            assert_eq!(outgoing.local_addr().unwrap(), from);
            incoming.write_u8(7).await.unwrap();
            assert_eq!(outgoing.read_u8().await.unwrap(), 7);
        }
        assert!(taken.iter().all(|&count| count > 0), "{taken:?}");
        // What one leaves, the other has.
        drop(one);
        for _ in 0..CLIENTS {
            let outgoing = world.client(TcpStream::connect(address)).await.unwrap();
            assert_eq!(other.accept().await.unwrap().1, outgoing.local_addr().unwrap());
        }
        drop(other);
        let outgoing = world.client(TcpStream::connect(address)).await.unwrap();
        assert_eq!(everywhere.accept().await.unwrap().1, outgoing.local_addr().unwrap());
    });
}

#[test]
fn a_port_is_shared_by_those_who_all_say_so() {
    run(|world: Arc<Hosts>| async move {
        let in_use = |result: io::Result<TcpListener>| {
            assert_eq!(result.unwrap_err().kind(), ErrorKind::AddrInUse);
        };
        world
            .server(async {
                let alone = TcpListener::bind((Hosts::SERVER, 0)).await.unwrap();
                in_use(listen_beside(alone.local_addr().unwrap()));
                let sharing = listen_beside((Hosts::SERVER, 0).into()).unwrap();
                let address = sharing.local_addr().unwrap();
                in_use(TcpListener::bind(address).await);
                let everywhere = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port());
                in_use(TcpListener::bind(everywhere).await);
                drop(sharing);
                drop(TcpListener::bind(address).await.unwrap());
                // The same before anybody listens.
                let [one, other, third] = [(); 3].map(|()| TcpSocket::new_v4().unwrap());
                one.set_reuseport(true).unwrap();
                one.bind((Hosts::SERVER, 0).into()).unwrap();
                let address = one.local_addr().unwrap();
                other.set_reuseaddr(true).unwrap();
                assert_eq!(other.bind(address).unwrap_err().kind(), ErrorKind::AddrInUse);
                third.set_reuseport(true).unwrap();
                third.bind(address).unwrap();
                drop((one.listen(8).unwrap(), third.listen(8).unwrap()));
            })
            .await;
    });
}

#[test]
fn a_datagram_socket_s_port_is_its_own() {
    run(|world: Arc<Hosts>| async move {
        let bind = |address| world.server(UdpSocket::bind(address));
        let first = bind((Hosts::SERVER, 0)).await.unwrap();
        let address = first.local_addr().unwrap();
        let taken = bind((Hosts::SERVER, address.port())).await.unwrap_err();
        assert_eq!(taken.kind(), ErrorKind::AddrInUse);
        let second = bind((Hosts::SERVER, 0)).await.unwrap();
        assert_ne!(second.local_addr().unwrap().port(), address.port());
        drop(first);
        assert_eq!(bind((Hosts::SERVER, address.port())).await.unwrap().local_addr().unwrap(), address);
    });
}

#[test]
fn a_backlog_that_is_full_keeps_clients_waiting_and_loses_none() {
    run(|world: Arc<Hosts>| async move {
        let listener = world
            .server(async {
                let socket = TcpSocket::new_v4().unwrap();
                socket.bind((Hosts::SERVER, 0).into()).unwrap();
                socket.listen(2).unwrap()
            })
            .await;
        let address = listener.local_addr().unwrap();
        let clients: Vec<_> = (0..6)
            .map(|_| {
                let world = Arc::clone(&world);
                tokio::spawn(async move {
                    let mut stream = world.client(TcpStream::connect(address)).await.unwrap();
                    stream.read_u8().await.unwrap()
                })
            })
            .collect();
        for number in 0..6 {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_u8(number).await.unwrap();
        }
        let mut numbers = BTreeSet::new();
        for client in clients {
            numbers.insert(client.await.unwrap());
        }
        assert_eq!(numbers, (0..6).collect());
    });
}
