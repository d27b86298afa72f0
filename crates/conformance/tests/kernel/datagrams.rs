//! UDP.

use std::io::ErrorKind;
use std::time::Duration;

use crate::lab::{self, FAMILIES, pattern};

#[test]
fn datagrams_of_every_size_come_back() {
    lab::run(async |net| {
        for family in FAMILIES {
            let ours = net.udp_bind(family.ours(0)).await.expect("a socket");
            let theirs = tokio::net::UdpSocket::bind(family.kernels(0)).await.expect("a socket");
            let address = ours.local_addr().expect("an address");
            for len in [0, 1, 100, 1472, 1473, 8000, 60_000] {
                let bytes = pattern(len, 1);
                theirs.send_to(&bytes, address).await.expect("sent");
                let mut buffer = vec![0; 65_535];
                let (len, from) = ours.recv_from(&mut buffer).await.expect("received");
                assert!(buffer[..len] == bytes, "{len} of {}", bytes.len());
                ours.send_to(&buffer[..len], from).await.expect("sent");
                let (len, from) = theirs.recv_from(&mut buffer).await.expect("received");
                assert!(buffer[..len] == bytes);
                assert_eq!(from, address);
            }
        }
    });
}

/// Whatever the device does, cuts trains or is given each datagram, finished or not, the kernel gets these datagrams.
#[test]
fn a_train_arrives_as_datagrams() {
    lab::run(async |net| {
        for family in FAMILIES {
            let ours = net.udp_bind(family.ours(0)).await.expect("a socket");
            let theirs = tokio::net::UdpSocket::bind(family.kernels(0)).await.expect("a socket");
            let address = theirs.local_addr().expect("an address");
            // With the neighbour unknown at first; parts that fill the MTU, one with a short end, single bytes, and parts
            // that have to be fragmented.
            for (len, size) in
                [(3000, 1000), (14_720, 1472), (60_000, 1452), (64, 1), (63_001, 1000), (5000, 2000)]
            {
                let bytes = pattern(len, 3);
                ours.send_train_to(&bytes, size, address).await.expect("sent");
                let mut buffer = vec![0; 65_535];
                for part in bytes.chunks(size) {
                    let (len, from) = theirs.recv_from(&mut buffer).await.expect("received");
                    assert!(buffer[..len] == *part, "{len} bytes for {} of {size}", part.len());
                    assert_eq!(from, ours.local_addr().expect("an address"));
                }
            }
            ours.connect(address).await.expect("connected");
            let error = ours.send_train(&[0; 65], 1).await.expect_err("too many");
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            ours.send_train(b"ab", 1).await.expect("sent");
            let mut byte = [0; 2];
            assert_eq!(theirs.recv(&mut byte).await.expect("received"), 1);
        }
    });
}

#[test]
fn the_first_datagrams_to_a_new_neighbour_arrive_in_order() {
    lab::run(async |net| {
        for family in FAMILIES {
            let ours = net.udp_bind(family.ours(0)).await.expect("a socket");
            let theirs = tokio::net::UdpSocket::bind(family.kernels(0)).await.expect("a socket");
            for number in 0..3u8 {
                ours.send_to(&[number], theirs.local_addr().expect("an address")).await.expect("sent");
            }
            for number in 0..3u8 {
                let mut byte = [0];
                theirs.recv_from(&mut byte).await.expect("received");
                assert_eq!(byte, [number]);
            }
        }
    });
}

#[test]
fn a_closed_port_of_the_kernel_is_reported_to_a_connected_socket() {
    lab::run(async |net| {
        for family in FAMILIES {
            let ours = net.udp_bind(family.ours(0)).await.expect("a socket");
            ours.connect(family.kernels(9)).await.expect("connected");
            ours.send(b"anybody?").await.expect("sent");
            let error = ours.recv(&mut [0]).await.expect_err("refused");
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        }
    });
}

#[test]
fn a_closed_port_of_ours_is_reported_to_the_kernel() {
    lab::run(async |net| {
        let _net = net;
        for family in FAMILIES {
            let theirs = tokio::net::UdpSocket::bind(family.kernels(0)).await.expect("a socket");
            theirs.connect(family.ours(9)).await.expect("connected");
            theirs.send(b"anybody?").await.expect("sent");
            let answer =
                tokio::time::timeout(Duration::from_secs(5), theirs.recv(&mut [0])).await.expect("an answer");
            assert_eq!(answer.expect_err("refused").kind(), ErrorKind::ConnectionRefused);
        }
    });
}
