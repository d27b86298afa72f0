//! Addresses, ports and options: who may have which.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::Hosts;
use crate::net::{TcpListener, TcpSocket, UdpSocket};
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

fn linger(stream: &crate::net::TcpStream) -> std::io::Result<Option<Duration>> {
    stream.linger()
}
