//! Options: what is read back, what is refused, and what a connection inherits.

use std::io::ErrorKind;
use std::sync::Arc;

use crate::Hosts;
use crate::net::{TcpSocket, TcpStream, UdpSocket};
use crate::world::{World, listen, run};

/// `linux/errno.h`.
const ENOPROTOOPT: i32 = 92;

#[test]
fn connections_inherit_the_ttl_of_their_listener() {
    run(|world: Arc<Hosts>| async move {
        let (listener, address) = listen(&*world).await;
        assert_eq!(listener.ttl().unwrap(), 64);
        for refused in [0, 256] {
            assert_eq!(listener.set_ttl(refused).unwrap_err().kind(), ErrorKind::InvalidInput);
        }
        listener.set_ttl(9).unwrap();
        assert_eq!(listener.ttl().unwrap(), 9);
        let outgoing = world.client(TcpStream::connect(address)).await.unwrap();
        let (incoming, _) = listener.accept().await.unwrap();
        assert_eq!((incoming.ttl().unwrap(), outgoing.ttl().unwrap()), (9, 64));
        listener.set_ttl(255).unwrap();
        assert_eq!(incoming.ttl().unwrap(), 9);
    });
}

#[test]
fn traffic_classes_are_bytes_and_a_connection_s_have_no_ecn() {
    run(|world: Arc<Hosts>| async move {
        world
            .client(async {
                let socket = TcpSocket::new_v4().unwrap();
                let datagrams = UdpSocket::bind("0.0.0.0:0").await.unwrap();
                assert_eq!((socket.tos_v4().unwrap(), datagrams.tos_v4().unwrap()), (0, 0));
                for (set, of_tcp, of_udp) in [(0xb8, 0xb8, 0xb8), (0xbb, 0xb8, 0xbb), (0x1_04, 0x04, 0x04)] {
                    socket.set_tos_v4(set).unwrap();
                    datagrams.set_tos_v4(set).unwrap();
                    assert_eq!((socket.tos_v4().unwrap(), datagrams.tos_v4().unwrap()), (of_tcp, of_udp));
                }
                for error in [socket.tclass_v6().unwrap_err(), datagrams.tclass_v6().unwrap_err()] {
                    assert_eq!(error.kind(), ErrorKind::Unsupported);
                }
                for error in [socket.set_tclass_v6(4).unwrap_err(), datagrams.set_tclass_v6(4).unwrap_err()] {
                    assert_eq!(error.raw_os_error(), Some(ENOPROTOOPT));
                }
                let socket = TcpSocket::new_v6().unwrap();
                let datagrams = UdpSocket::bind("[::]:0").await.unwrap();
                socket.set_tclass_v6(0xbb).unwrap();
                datagrams.set_tclass_v6(0xbb).unwrap();
                assert_eq!((socket.tclass_v6().unwrap(), datagrams.tclass_v6().unwrap()), (0xb8, 0xbb));
                assert_eq!(socket.set_tclass_v6(256).unwrap_err().kind(), ErrorKind::InvalidInput);
                assert_eq!(datagrams.set_tclass_v6(256).unwrap_err().kind(), ErrorKind::InvalidInput);
            })
            .await;
    });
}

#[test]
#[expect(deprecated, reason = "who still uses them is to find them")]
fn options_go_by_their_former_names_too() {
    run(|world: Arc<Hosts>| async move {
        world
            .client(async {
                let socket = TcpSocket::new_v4().unwrap();
                socket.set_tos(0x10).unwrap();
                assert_eq!((socket.tos().unwrap(), socket.tos_v4().unwrap()), (0x10, 0x10));
                let datagrams = UdpSocket::bind("0.0.0.0:0").await.unwrap();
                datagrams.set_tos(0x11).unwrap();
                assert_eq!((datagrams.tos().unwrap(), datagrams.tos_v4().unwrap()), (0x11, 0x11));
            })
            .await;
    });
}
