//! What programs meet seldom: peers that are gone before they are accepted, ports between families, what is inherited.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};

use crate::Hosts;
use crate::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};
use crate::world::{World, listen, pair, run};

#[test]
fn who_has_gone_before_he_is_accepted_is_accepted_with_what_he_left() {
    run(|world: Arc<Hosts>| async move {
        let (listener, address) = listen(&*world).await;
        let mut finished = world.client(TcpStream::connect(address)).await.unwrap();
        let port = finished.local_addr().unwrap().port();
        finished.write_all(b"last words").await.unwrap();
        drop(finished);
        let (mut incoming, from) = listener.accept().await.unwrap();
        assert_eq!(from.port(), port);
        let mut text = String::new();
        incoming.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "last words");
    });
}

#[test]
fn who_has_reset_before_he_is_accepted_is_accepted_all_the_same() {
    run(|world: Arc<Hosts>| async move {
        let (listener, address) = listen(&*world).await;
        let reset = world.client(TcpStream::connect(address)).await.unwrap();
        let port = reset.local_addr().unwrap().port();
        // Another that comes later: when it can be accepted, the reset has come.
        reset.set_zero_linger().unwrap();
        drop(reset);
        let _later = world.client(TcpStream::connect(address)).await.unwrap();
        let mut incoming = loop {
            // Of several shards any may be the first to be asked.
            let (incoming, from) = listener.accept().await.unwrap();
            if from.port() == port {
                break incoming;
            }
        };
        let error = incoming.read(&mut [0; 8]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_connected_datagram_socket_still_sends_where_it_is_told_and_connects_again() {
    run(|world: Arc<Hosts>| async move {
        let bind = || world.server(UdpSocket::bind((Hosts::SERVER, 0)));
        let (one, other) = (bind().await.unwrap(), bind().await.unwrap());
        let client = world.client(UdpSocket::bind("0.0.0.0:0")).await.unwrap();
        let (to_one, to_other) = (one.local_addr().unwrap(), other.local_addr().unwrap());
        client.connect(to_one).await.unwrap();
        client.send_to(b"aside", to_other).await.unwrap();
        let mut buffer = [0; 16];
        assert_eq!(other.recv_from(&mut buffer).await.unwrap().0, 5);
        client.connect(to_other).await.unwrap();
        assert_eq!(client.peer_addr().unwrap(), to_other);
        client.send(b"again").await.unwrap();
        assert_eq!(other.recv_from(&mut buffer).await.unwrap().0, 5);
        assert_eq!(one.try_recv(&mut buffer).unwrap_err().kind(), ErrorKind::WouldBlock);
    });
}

#[test]
fn a_port_of_both_families_is_taken_in_both() {
    let [every_v4, every_v6] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
    run(|world: Arc<Hosts>| async move {
        world
            .server(async {
                for (first, second) in [(every_v6, every_v4), (every_v4, every_v6), (every_v6, Hosts::SERVER)]
                {
                    let socket = UdpSocket::bind((first, 0)).await.unwrap();
                    let taken = SocketAddr::new(second, socket.local_addr().unwrap().port());
                    let in_use = UdpSocket::bind(taken).await.unwrap_err();
                    assert_eq!(in_use.kind(), ErrorKind::AddrInUse, "{first} {second}");
                    let listener = TcpListener::bind((first, 0)).await.unwrap();
                    let taken = SocketAddr::new(second, listener.local_addr().unwrap().port());
                    let in_use = TcpListener::bind(taken).await.unwrap_err();
                    assert_eq!(in_use.kind(), ErrorKind::AddrInUse, "{first} {second}");
                }
            })
            .await;
    });
}

#[test]
fn who_is_bound_and_does_not_listen_refuses() {
    run(|world: Arc<Hosts>| async move {
        let socket = world.server(async { TcpSocket::new_v4().unwrap() }).await;
        socket.bind(SocketAddr::new(Hosts::SERVER, 0)).unwrap();
        let address = socket.local_addr().unwrap();
        let refused = world.client(TcpStream::connect(address)).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn a_connection_inherits_what_its_listener_was_told() {
    run(|world: Arc<Hosts>| async move {
        let listener = world
            .server(async {
                let socket = TcpSocket::new_v4().unwrap();
                socket.set_nodelay(true).unwrap();
                socket.set_zero_linger().unwrap();
                socket.bind(SocketAddr::new(Hosts::SERVER, 0)).unwrap();
                socket.listen(8).unwrap()
            })
            .await;
        let address = listener.local_addr().unwrap();
        let _outgoing = world.client(TcpStream::connect(address)).await.unwrap();
        let (incoming, _) = listener.accept().await.unwrap();
        assert!(incoming.nodelay().unwrap());
        assert_eq!(incoming.linger().unwrap(), Some(Duration::ZERO));
    });
}

#[test]
fn nothing_listens_at_port_zero() {
    run(|world: Arc<Hosts>| async move {
        let nobody = SocketAddr::new(Hosts::SERVER, 0);
        let refused = world.client(TcpStream::connect(nobody)).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        let client = world.client(UdpSocket::bind("0.0.0.0:0")).await.unwrap();
        assert_eq!(client.send_to(b"x", nobody).await.unwrap_err().kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn a_writer_that_waits_for_room_is_told_of_a_reset() {
    run(|world: Arc<Hosts>| async move {
        let (incoming, mut outgoing) = pair(&*world).await;
        let writer = tokio::spawn(async move {
            let block = vec![1; 1 << 16];
            loop {
                if let Err(error) = outgoing.write_all(&block).await {
                    return error.kind();
                }
            }
        });
        incoming.readable().await.unwrap();
        incoming.set_zero_linger().unwrap();
        drop(incoming);
        assert_eq!(writer.await.unwrap(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn halves_end_apart() {
    run(|world: Arc<Hosts>| async move {
        let (mut incoming, outgoing) = pair(&*world).await;
        let (read, mut write) = outgoing.into_split();
        drop(read);
        write.write_all(b"one way").await.unwrap();
        write.shutdown().await.unwrap();
        let mut text = String::new();
        incoming.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "one way");
        assert_eq!(write.write(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        let (mut incoming, outgoing) = pair(&*world).await;
        let (mut read, write) = outgoing.into_split();
        write.forget();
        incoming.write_all(b"other way").await.unwrap();
        let mut buffer = [0; 9];
        read.read_exact(&mut buffer).await.unwrap();
        // Nothing has ended the stream.
        assert_eq!(incoming.try_read(&mut buffer).unwrap_err().kind(), ErrorKind::WouldBlock);
    });
}

#[test]
fn after_shutdown_there_is_nothing_to_wait_for_and_nothing_to_write() {
    run(|world: Arc<Hosts>| async move {
        let (_incoming, mut outgoing) = pair(&*world).await;
        outgoing.shutdown().await.unwrap();
        outgoing.writable().await.unwrap();
        assert_eq!(outgoing.try_write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert_eq!(outgoing.try_write(b"").unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert_eq!(outgoing.write(b"").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn a_reset_is_told_once_to_whoever_peeks() {
    run(|world: Arc<Hosts>| async move {
        let (incoming, outgoing) = pair(&*world).await;
        incoming.set_zero_linger().unwrap();
        drop(incoming);
        let mut buffer = [0; 8];
        assert_eq!(outgoing.peek(&mut buffer).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(outgoing.peek(&mut buffer).await.unwrap(), 0);
        let ready = outgoing.ready(Interest::READABLE | Interest::WRITABLE).await.unwrap();
        assert!(ready.is_read_closed() && ready.is_write_closed());
    });
}

#[test]
fn no_connection_goes_to_many() {
    run(|world: Arc<Hosts>| async move {
        for many in [Hosts::BROADCAST, Ipv4Addr::new(239, 1, 2, 3)] {
            let error = world.client(TcpStream::connect((many, 9))).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NetworkUnreachable, "{many}");
        }
    });
}

#[test]
fn a_listener_comes_back_while_its_connections_live() {
    run(|world: Arc<Hosts>| async move {
        let (listener, address) = listen(&*world).await;
        let mut old = world.client(TcpStream::connect(address)).await.unwrap();
        let (mut old_incoming, _) = listener.accept().await.unwrap();
        drop(listener);
        let listener = world.server(TcpListener::bind(address)).await.unwrap();
        let _new = world.client(TcpStream::connect(address)).await.unwrap();
        listener.accept().await.unwrap();
        old.write_all(b"still here").await.unwrap();
        let mut buffer = [0; 10];
        old_incoming.read_exact(&mut buffer).await.unwrap();
    });
}

#[test]
fn two_connections_do_not_share_both_ends() {
    run(|world: Arc<Hosts>| async move {
        let (listener, address) = listen(&*world).await;
        world
            .client(async {
                let bound = |address: SocketAddr| {
                    let socket = TcpSocket::new_v4().unwrap();
                    socket.set_reuseaddr(true).unwrap();
                    socket.bind(address).unwrap();
                    socket
                };
                let first = bound("0.0.0.0:0".parse().unwrap());
                let own = first.local_addr().unwrap();
                let _connected = first.connect(address).await.unwrap();
                let twice = bound(own).connect(address).await.unwrap_err();
                assert_eq!(twice.kind(), ErrorKind::AddrNotAvailable);
            })
            .await;
        listener.accept().await.unwrap();
    });
}
