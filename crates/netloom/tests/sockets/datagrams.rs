//! UDP: truncation, peers, errors that come back, broadcast and groups.

use std::future::poll_fn;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use tokio::io::{Interest, ReadBuf};

use crate::Hosts;
use crate::net::UdpSocket;
use crate::world::{World, assert_has_run, run};

/// `linux/errno.h`.
const EDESTADDRREQ: i32 = 89;
/// `linux/errno.h`.
const EMSGSIZE: i32 = 90;
/// `linux/errno.h`.
const ENOPROTOOPT: i32 = 92;

/// The server's socket and one of the client's.
async fn sockets(world: &Hosts) -> (UdpSocket, UdpSocket) {
    let server = world.server(UdpSocket::bind((Hosts::SERVER, 0))).await.unwrap();
    (server, world.client(UdpSocket::bind("0.0.0.0:0")).await.unwrap())
}

#[test]
fn a_datagram_is_cut_to_the_buffer_and_the_rest_is_gone() {
    run(|world: Arc<Hosts>| async move {
        let (server, client) = sockets(&world).await;
        let address = server.local_addr().unwrap();
        assert_eq!(client.send_to(b"first datagram", address).await.unwrap(), 14);
        client.send_to(b"", address).await.unwrap();
        client.send_to(b"third", address).await.unwrap();
        let mut five = [0; 5];
        let (count, from) = server.peek_from(&mut five).await.unwrap();
        assert_eq!((count, from.port()), (5, client.local_addr().unwrap().port()));
        assert_eq!(server.recv_from(&mut five).await.unwrap(), (5, from));
        assert_eq!(&five, b"first");
        assert_eq!(server.recv_from(&mut five).await.unwrap().0, 0);
        assert_eq!(server.recv(&mut five).await.unwrap(), 5);
        assert_eq!(&five, b"third");
        assert_eq!(server.try_recv_from(&mut five).unwrap_err().kind(), ErrorKind::WouldBlock);
    });
}

#[test]
fn buffers_grow_by_one_datagram() {
    run(|world: Arc<Hosts>| async move {
        let (server, client) = sockets(&world).await;
        let address = server.local_addr().unwrap();
        let mut buffer = Vec::with_capacity(64);
        let waiting = server.recv_buf_from(&mut buffer);
        let sending = async {
            tokio::task::yield_now().await;
            client.send_to(b"first", address).await.unwrap();
            client.send_to(b"second", address).await.unwrap();
        };
        let (received, ()) = tokio::join!(waiting, sending);
        let (count, from) = received.unwrap();
        assert_eq!((count, from.port()), (5, client.local_addr().unwrap().port()));
        assert_eq!(server.recv_buf(&mut buffer).await.unwrap(), 6);
        assert_eq!(buffer, b"firstsecond");
        client.send_to(b"third", address).await.unwrap();
        let mut no_room = [0; 2];
        assert_eq!(server.recv_buf(&mut &mut no_room[..]).await.unwrap(), 2);
        assert_eq!(&no_room, b"th");
        assert_eq!(server.try_recv_buf(&mut buffer).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert_eq!(server.try_recv_buf_from(&mut buffer).unwrap_err().kind(), ErrorKind::WouldBlock);
    });
}

#[test]
fn peeking_leaves_the_datagram_where_it_is() {
    run(|world: Arc<Hosts>| async move {
        let (server, client) = sockets(&world).await;
        let would_block = [
            server.try_peek(&mut [0; 4]).unwrap_err(),
            server.try_peek_from(&mut [0; 4]).unwrap_err(),
            server.try_peek_sender().unwrap_err(),
        ];
        assert!(would_block.iter().all(|error| error.kind() == ErrorKind::WouldBlock));
        let port = client.local_addr().unwrap().port();
        let mut array = [0; 4];
        let mut target = ReadBuf::new(&mut array);
        let sending = async {
            tokio::task::yield_now().await;
            client.send_to(b"peeked", server.local_addr().unwrap()).await.unwrap();
        };
        // All of them wait, and all of them find it.
        let (sender, peeked, ()) =
            tokio::join!(server.peek_sender(), poll_fn(|cx| server.poll_peek(cx, &mut target)), sending);
        assert_eq!(sender.unwrap().port(), port);
        peeked.unwrap();
        assert_eq!(target.filled(), b"peek");
        assert_eq!(poll_fn(|cx| server.poll_peek_sender(cx)).await.unwrap().port(), port);
        assert_eq!(server.try_peek_sender().unwrap().port(), port);
        assert_eq!(server.try_peek(&mut array).unwrap(), 4);
        assert_eq!(server.peek(&mut array).await.unwrap(), 4);
        assert_eq!(server.try_peek_from(&mut array).unwrap().1.port(), port);
        let mut target = ReadBuf::new(&mut array[..3]);
        assert_eq!(poll_fn(|cx| server.poll_peek_from(cx, &mut target)).await.unwrap().port(), port);
        assert_eq!(target.filled(), b"pee");
        let mut all = [0; 8];
        assert_eq!(server.try_recv(&mut all).unwrap(), 6);
        assert_eq!(server.try_peek(&mut all).unwrap_err().kind(), ErrorKind::WouldBlock);
    });
}

#[test]
fn work_is_tried_until_it_does_not_block() {
    run(|world: Arc<Hosts>| async move {
        let (server, client) = sockets(&world).await;
        let address = server.local_addr().unwrap();
        let (mut buffer, mut tries) = ([0; 8], 0);
        let received = server.async_io(Interest::READABLE, || {
            tries += 1;
            server.try_recv(&mut buffer)
        });
        let sending = async {
            tokio::task::yield_now().await;
            client.async_io(Interest::WRITABLE, || client.try_send_to(b"work", address)).await.unwrap()
        };
        let (received, sent) = tokio::join!(received, sending);
        assert_eq!((received.unwrap(), sent, tries), (4, 4, 1));
        let failed =
            client.async_io(Interest::WRITABLE, || Err::<(), _>(ErrorKind::Unsupported.into())).await;
        assert_eq!(failed.unwrap_err().kind(), ErrorKind::Unsupported);
    });
}

#[test]
fn a_connected_socket_hears_its_peer_alone() {
    run(|world: Arc<Hosts>| async move {
        let (server, client) = sockets(&world).await;
        let address = server.local_addr().unwrap();
        assert_eq!(client.peer_addr().unwrap_err().kind(), ErrorKind::NotConnected);
        assert_eq!(client.send(b"x").await.unwrap_err().raw_os_error(), Some(EDESTADDRREQ));
        client.connect(address).await.unwrap();
        assert_eq!(client.peer_addr().unwrap(), address);
        client.send(b"hello").await.unwrap();
        let mut buffer = [0; 16];
        let (_, from) = server.recv_from(&mut buffer).await.unwrap();
        assert_eq!(from, client.local_addr().unwrap());
        let stranger = world.server(UdpSocket::bind((Hosts::SERVER, 0))).await.unwrap();
        stranger.send_to(b"stranger", from).await.unwrap();
        server.send_to(b"peer", from).await.unwrap();
        assert_eq!(client.recv(&mut buffer).await.unwrap(), 4);
        assert_eq!(&buffer[..4], b"peer");
    });
}

#[test]
fn a_connected_socket_learns_that_nobody_is_there() {
    run(|world: Arc<Hosts>| async move {
        let (server, client) = sockets(&world).await;
        client.connect(server.local_addr().unwrap()).await.unwrap();
        drop(server);
        client.send(b"anybody?").await.unwrap();
        let mut buffer = [0; 16];
        assert_eq!(client.recv(&mut buffer).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
        assert_eq!(client.try_recv(&mut buffer).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert!(client.take_error().unwrap().is_none());
    });
}

#[test]
fn what_no_packet_holds_is_refused() {
    run(|world: Arc<Hosts>| async move {
        let (server, client) = sockets(&world).await;
        let address = server.local_addr().unwrap();
        let too_long = client.send_to(&vec![0; 65_508], address).await.unwrap_err();
        assert_eq!(too_long.raw_os_error(), Some(EMSGSIZE));
        client.send_to(&vec![7; 65_507], address).await.unwrap();
        let mut buffer = vec![0; 70_000];
        assert_eq!(server.recv_from(&mut buffer).await.unwrap().0, 65_507);
    });
}

#[test]
fn broadcast_asks_for_leave() {
    run(|world: Arc<Hosts>| async move {
        let (_server, client) = sockets(&world).await;
        assert!(!client.broadcast().unwrap());
        let forbidden = client.send_to(b"all", (Hosts::BROADCAST, 9)).await.unwrap_err();
        assert_eq!(forbidden.kind(), ErrorKind::PermissionDenied);
        let forbidden = client.connect((Hosts::BROADCAST, 9)).await.unwrap_err();
        assert_eq!(forbidden.kind(), ErrorKind::PermissionDenied);
        client.set_broadcast(true).unwrap();
        assert!(client.broadcast().unwrap());
        assert_eq!(client.send_to(b"all", (Hosts::BROADCAST, 9)).await.unwrap(), 3);
    });
}

#[test]
fn groups_are_joined_once_and_left_once() {
    let group = Ipv4Addr::new(239, 1, 2, 3);
    run(|world: Arc<Hosts>| async move {
        let (server, _client) = sockets(&world).await;
        let IpAddr::V4(interface) = Hosts::SERVER else { return };
        let not_joined = server.leave_multicast_v4(group, interface).unwrap_err();
        assert_eq!(not_joined.kind(), ErrorKind::AddrNotAvailable);
        server.join_multicast_v4(group, interface).unwrap();
        let twice = server.join_multicast_v4(group, interface).unwrap_err();
        assert_eq!(twice.kind(), ErrorKind::AddrInUse);
        server.leave_multicast_v4(group, interface).unwrap();
        let no_group = server.join_multicast_v4(Ipv4Addr::new(10, 1, 1, 1), interface).unwrap_err();
        assert_eq!(no_group.kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn who_always_finds_a_datagram_lets_others_run() {
    const COUNT: usize = 200;
    run(|world: Arc<Hosts>| async move {
        let (server, client) = sockets(&world).await;
        // Until the neighbour is known only a few can wait.
        client.send_to(b"x", server.local_addr().unwrap()).await.unwrap();
        server.recv(&mut [0; 8]).await.unwrap();
        for _ in 0..COUNT {
            client.send_to(b"x", server.local_addr().unwrap()).await.unwrap();
        }
        let other = tokio::spawn(async {});
        for _ in 0..COUNT {
            server.recv(&mut [0; 8]).await.unwrap();
        }
        assert_has_run(other).await;
        let other = tokio::spawn(async {});
        for _ in 0..COUNT {
            client.send_to(b"x", server.local_addr().unwrap()).await.unwrap();
        }
        assert_has_run(other).await;
    });
}

#[test]
fn a_host_s_own_members_of_a_group_hear_what_it_sends_there() {
    let group = Ipv4Addr::new(239, 1, 2, 3);
    run(|world: Arc<Hosts>| async move {
        let IpAddr::V4(interface) = Hosts::SERVER else { return };
        let (member, sender) = world
            .server(async {
                let member = UdpSocket::bind("0.0.0.0:0").await.unwrap();
                member.join_multicast_v4(group, interface).unwrap();
                (member, UdpSocket::bind((Hosts::SERVER, 0)).await.unwrap())
            })
            .await;
        let port = member.local_addr().unwrap().port();
        assert!(sender.multicast_loop_v4().unwrap());
        let mut buffer = [0; 16];
        // With 0 it does not even leave the host.
        for ttl in [1, 0] {
            sender.set_multicast_ttl_v4(ttl).unwrap();
            sender.send_to(b"all", (group, port)).await.unwrap();
            assert_eq!(member.recv_from(&mut buffer).await.unwrap(), (3, sender.local_addr().unwrap()));
            assert_eq!(&buffer[..3], b"all");
        }
        sender.set_multicast_loop_v4(false).unwrap();
        assert!(!sender.multicast_loop_v4().unwrap());
        assert!(member.multicast_loop_v4().unwrap(), "whoever sends says it");
        assert_eq!(sender.multicast_loop_v6().unwrap_err().kind(), ErrorKind::Unsupported);
        assert_eq!(sender.set_multicast_loop_v6(true).unwrap_err().raw_os_error(), Some(ENOPROTOOPT));
        let ipv6 = world.server(UdpSocket::bind("[::]:0")).await.unwrap();
        assert!(ipv6.multicast_loop_v6().unwrap());
        ipv6.set_multicast_loop_v6(false).unwrap();
        assert!(!ipv6.multicast_loop_v6().unwrap());
    });
}

#[test]
fn many_tasks_share_a_datagram_socket() {
    const COUNT: usize = 40;
    run(|world: Arc<Hosts>| async move {
        let (server, client) = sockets(&world).await;
        let (address, server) = (server.local_addr().unwrap(), Arc::new(server));
        let readers: Vec<_> = (0..COUNT)
            .map(|_| {
                let server = Arc::clone(&server);
                tokio::spawn(async move {
                    loop {
                        assert!(server.ready(Interest::READABLE).await.unwrap().is_readable());
                        match server.try_recv(&mut [0; 16]) {
                            Ok(count) => return count,
                            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
                        }
                    }
                })
            })
            .collect();
        for _ in 0..COUNT {
            client.writable().await.unwrap();
            client.send_to(b"one each", address).await.unwrap();
        }
        for reader in readers {
            assert_eq!(reader.await.unwrap(), 8);
        }
    });
}
