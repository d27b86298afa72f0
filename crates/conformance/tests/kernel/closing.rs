//! What the other side sees when one goes away.

use std::io::ErrorKind;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::lab::{self, FAMILIES, from_kernel, pattern, read_all, to_kernel};

#[test]
fn what_was_written_before_the_drop_is_delivered() {
    lab::run(async |net| {
        for family in FAMILIES {
            let bytes = pattern(10_000_000, 1);
            let (theirs, mut ours) = from_kernel(&net, family).await;
            // Nobody reads: the socket takes what it has room for beyond what the kernel's window took.
            let mut written = 0;
            while let Ok(count) = timeout(Duration::from_millis(100), ours.write(&bytes[written..])).await {
                written += count.expect("written");
            }
            let info = ours.info().expect("a connection");
            assert!(info.unsent_len > 0, "something is still to be sent");
            drop(ours);
            assert!(read_all(theirs).await == bytes[..written]);
        }
    });
}

#[test]
fn a_drop_with_unread_data_resets() {
    lab::run(async |net| {
        let (mut theirs, ours) = from_kernel(&net, FAMILIES[0]).await;
        theirs.write_all(b"nobody reads this").await.expect("written");
        let mut byte = [0];
        assert_eq!(ours.peek(&mut byte).await.expect("it has arrived"), 1);
        drop(ours);
        let error = theirs.read(&mut byte).await.expect_err("a reset");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn the_kernels_reset_is_seen() {
    lab::run(async |net| {
        let (theirs, mut ours) = to_kernel(&net, FAMILIES[0]).await;
        ours.write_all(b"nobody reads this").await.expect("written");
        let mut byte = [0];
        theirs.peek(&mut byte).await.expect("it has arrived");
        // The kernel resets a connection that is closed with unread data.
        drop(theirs);
        let error = ours.read(&mut byte).await.expect_err("a reset");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        let error = ours.write_all(&[0; 10]).await.expect_err("broken");
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn an_abort_resets() {
    lab::run(async |net| {
        let (mut theirs, ours) = from_kernel(&net, FAMILIES[1]).await;
        ours.abort();
        let error = theirs.read(&mut [0]).await.expect_err("a reset");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_closed_port_of_the_kernel_refuses() {
    lab::run(async |net| {
        for family in FAMILIES {
            let error = net.tcp_connect(family.kernels(9)).await.expect_err("refused");
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        }
    });
}

#[test]
fn a_closed_port_of_ours_refuses() {
    lab::run(async |net| {
        let _net = net;
        for family in FAMILIES {
            let error = tokio::net::TcpStream::connect(family.ours(9)).await.expect_err("refused");
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        }
    });
}

#[test]
fn a_destination_without_a_route_is_unreachable() {
    lab::run(async |net| {
        let error = net.tcp_connect("192.0.2.1:80").await.expect_err("no route");
        assert_eq!(error.kind(), ErrorKind::NetworkUnreachable);
    });
}

#[test]
fn the_end_of_the_stack_ends_its_sockets() {
    lab::run(async |net| {
        let (mut theirs, mut ours) = from_kernel(&net, FAMILIES[0]).await;
        let listener = net.tcp_listen(FAMILIES[0].ours(0)).await.expect("a listener");
        net.abort();
        assert_eq!(ours.read(&mut [0]).await.expect_err("ended").kind(), ErrorKind::NotConnected);
        assert_eq!(listener.accept().await.expect_err("ended").kind(), ErrorKind::NotConnected);
        assert_eq!(theirs.read(&mut [0]).await.expect_err("reset").kind(), ErrorKind::ConnectionReset);
    });
}
