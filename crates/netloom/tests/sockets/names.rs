//! Addresses, ports and options: who may have which.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::Hosts;
use crate::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};
use crate::world::{World, listen, pair, run};

#[test]
fn one_address_has_one_listener() {
    run(|world: Arc<Hosts>| async move {
        let (_listener, address) = listen(&*world).await;
        let everywhere = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port());
        let foreign = SocketAddr::new(IpAddr::from([192, 0, 2, 7]), 0);
        world
            .server(async {
                let in_use = TcpListener::bind(address).await.unwrap_err();
                assert_eq!(in_use.kind(), ErrorKind::AddrInUse);
                let in_use = TcpListener::bind(everywhere).await.unwrap_err();
                assert_eq!(in_use.kind(), ErrorKind::AddrInUse);
                let not_ours = TcpListener::bind(foreign).await.unwrap_err();
                assert_eq!(not_ours.kind(), ErrorKind::AddrNotAvailable);
                let not_ours = UdpSocket::bind(foreign).await.unwrap_err();
                assert_eq!(not_ours.kind(), ErrorKind::AddrNotAvailable);
                let socket = UdpSocket::bind((Hosts::SERVER, 0)).await.unwrap();
                let in_use = UdpSocket::bind(socket.local_addr().unwrap()).await.unwrap_err();
                assert_eq!(in_use.kind(), ErrorKind::AddrInUse);
            })
            .await;
    });
}

#[test]
fn a_socket_has_its_port_from_bind_on() {
    run(|world: Arc<Hosts>| async move {
        let any = SocketAddr::new(Hosts::SERVER, 0);
        world
            .server(async {
                let socket = TcpSocket::new_v4().unwrap();
                assert_eq!(socket.local_addr().unwrap().port(), 0);
                socket.bind(any).unwrap();
                let address = socket.local_addr().unwrap();
                assert_ne!(address.port(), 0);
                assert_eq!(socket.bind(any).unwrap_err().kind(), ErrorKind::InvalidInput);
                let rival = TcpSocket::new_v4().unwrap();
                assert_eq!(rival.bind(address).unwrap_err().kind(), ErrorKind::AddrInUse);
                let listener = socket.listen(16).unwrap();
                assert_eq!(listener.local_addr().unwrap(), address);
                drop(listener);
                rival.bind(address).unwrap();
                drop(rival);
                drop(TcpSocket::new_v4().unwrap().listen(1).unwrap());
            })
            .await;
    });
}

#[test]
fn a_connection_comes_from_where_its_socket_was_bound() {
    run(|world: Arc<Hosts>| async move {
        let (listener, address) = listen(&*world).await;
        let outgoing = world
            .client(async {
                let socket = TcpSocket::new_v4().unwrap();
                socket.set_nodelay(true).unwrap();
                socket.bind(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0)).unwrap();
                let port = socket.local_addr().unwrap().port();
                let stream = socket.connect(address).await.unwrap();
                assert_eq!(stream.local_addr().unwrap().port(), port);
                stream
            })
            .await;
        let (_incoming, from) = listener.accept().await.unwrap();
        assert_eq!(outgoing.local_addr().unwrap(), from);
        assert!(outgoing.nodelay().unwrap());
    });
}

/// `address` as an IPv6 socket may write it (RFC 4291 2.5.5.2).
fn mapped(address: SocketAddr) -> SocketAddr {
    let IpAddr::V4(ip) = address.ip() else { return address };
    SocketAddr::new(ip.to_ipv6_mapped().into(), address.port())
}

/// `address` as it is, whoever wrote it.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[test]
fn a_listener_at_every_ipv6_address_hears_ipv4_as_well() {
    run(|world: Arc<Hosts>| async move {
        let every = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 0);
        let listener = world
            .server(async {
                let socket = TcpSocket::new_v6().unwrap();
                socket.bind(every).unwrap();
                socket.listen(16).unwrap()
            })
            .await;
        let listens_at = listener.local_addr().unwrap();
        assert_eq!(listens_at.ip(), every.ip());
        let address = SocketAddr::new(Hosts::SERVER, listens_at.port());
        let mut outgoing = world.client(TcpStream::connect(address)).await.unwrap();
        let (mut incoming, from) = listener.accept().await.unwrap();
        assert_eq!(canonical(from), outgoing.local_addr().unwrap());
        assert_eq!(incoming.peer_addr().unwrap(), from);
        assert_eq!(canonical(incoming.local_addr().unwrap()), address);
        outgoing.write_all(b"four to six").await.unwrap();
        outgoing.shutdown().await.unwrap();
        let mut text = String::new();
        incoming.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "four to six");
    });
}

#[test]
fn a_mapped_address_is_the_ipv4_host() {
    run(|world: Arc<Hosts>| async move {
        let (listener, address) = listen(&*world).await;
        let outgoing = world.client(TcpStream::connect(mapped(address))).await.unwrap();
        assert_eq!(canonical(outgoing.peer_addr().unwrap()), address);
        listener.accept().await.unwrap();
        let socket = world.client(async { TcpSocket::new_v6().unwrap() }).await;
        socket.connect(mapped(address)).await.unwrap();
        listener.accept().await.unwrap();
        let own = mapped(SocketAddr::new(Hosts::SERVER, 0));
        let listener = world.server(TcpListener::bind(own)).await.unwrap();
        let address = canonical(listener.local_addr().unwrap());
        assert_eq!(address.ip(), Hosts::SERVER);
        let _outgoing = world.client(TcpStream::connect(address)).await.unwrap();
        listener.accept().await.unwrap();
    });
}

#[test]
fn a_mapped_address_is_the_ipv4_host_for_datagrams() {
    run(|world: Arc<Hosts>| async move {
        let own = mapped(SocketAddr::new(Hosts::SERVER, 0));
        let server = world.server(UdpSocket::bind(own)).await.unwrap();
        let client = world.client(UdpSocket::bind("[::]:0")).await.unwrap();
        let mut buffer = [0; 8];
        let address = canonical(server.local_addr().unwrap());
        client.send_to(b"mapped", mapped(address)).await.unwrap();
        let (_, from) = server.recv_from(&mut buffer).await.unwrap();
        server.send_to(b"back", from).await.unwrap();
        let (_, answerer) = client.recv_from(&mut buffer).await.unwrap();
        assert_eq!(canonical(answerer), address);
        client.send_to(b"again", answerer).await.unwrap();
        server.recv_from(&mut buffer).await.unwrap();
        client.connect(mapped(address)).await.unwrap();
        assert_eq!(canonical(client.peer_addr().unwrap()), address);
        client.send(b"last").await.unwrap();
        assert_eq!(server.recv_from(&mut buffer).await.unwrap().0, 4);
    });
}

#[test]
fn an_ipv4_socket_takes_no_ipv6_address() {
    run(|world: Arc<Hosts>| async move {
        let ipv6: SocketAddr = "[::1]:9".parse().unwrap();
        let client = world.client(UdpSocket::bind("0.0.0.0:0")).await.unwrap();
        for address in [ipv6, mapped(SocketAddr::new(Hosts::SERVER, 9))] {
            let refused = client.send_to(b"x", address).await.unwrap_err();
            assert_eq!(refused.raw_os_error(), Some(EAFNOSUPPORT), "{refused}");
            let refused = client.connect(address).await.unwrap_err();
            assert_eq!(refused.raw_os_error(), Some(EAFNOSUPPORT), "{refused}");
            let socket = world.client(async { TcpSocket::new_v4().unwrap() }).await;
            let refused = socket.connect(address).await.unwrap_err();
            assert_eq!(refused.raw_os_error(), Some(EAFNOSUPPORT), "{refused}");
        }
    });
}

#[test]
fn options_are_what_was_set() {
    run(|world: Arc<Hosts>| async move {
        let (_incoming, outgoing) = pair(&*world).await;
        assert!(!outgoing.nodelay().unwrap());
        outgoing.set_nodelay(true).unwrap();
        assert!(outgoing.nodelay().unwrap());
        assert_eq!(
            outgoing.set_zero_linger().and_then(|()| linger(&outgoing)).unwrap(),
            Some(Duration::ZERO)
        );
        world
            .client(async {
                let socket = TcpSocket::new_v4().unwrap();
                assert!(!socket.keepalive().unwrap() && !socket.reuseaddr().unwrap());
                socket.set_keepalive(true).unwrap();
                socket.set_reuseaddr(true).unwrap();
                socket.set_send_buffer_size(65_536).unwrap();
                socket.set_recv_buffer_size(65_536).unwrap();
                assert!(socket.keepalive().unwrap() && socket.reuseaddr().unwrap());
                // The kernel doubles it.
                assert!(socket.send_buffer_size().unwrap() >= 65_536);
                assert!(socket.recv_buffer_size().unwrap() >= 65_536);
                let ipv6: SocketAddr = "[::1]:0".parse().unwrap();
                assert_eq!(socket.bind(ipv6).unwrap_err().raw_os_error(), Some(EAFNOSUPPORT));
                let datagrams = UdpSocket::bind("0.0.0.0:0").await.unwrap();
                assert_eq!(datagrams.ttl().unwrap(), 64);
                datagrams.set_ttl(7).unwrap();
                datagrams.set_multicast_ttl_v4(3).unwrap();
                assert_eq!((datagrams.ttl().unwrap(), datagrams.multicast_ttl_v4().unwrap()), (7, 3));
                assert_eq!(datagrams.set_ttl(256).unwrap_err().kind(), ErrorKind::InvalidInput);
            })
            .await;
    });
}

/// `linux/errno.h`.
const EAFNOSUPPORT: i32 = 97;

fn linger(stream: &TcpStream) -> std::io::Result<Option<Duration>> {
    stream.linger()
}
