//! Urgent data: the kernel takes its last byte out of the stream unless it is told otherwise, netloom leaves all in it (RFC 6093).

use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sys::socket::sockopt::OobInline;
use nix::sys::socket::{MsgFlags, recv, send, setsockopt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::lab::{self, FAMILIES, from_kernel, to_kernel};

/// The byte that the kernel has put aside, once it has come.
async fn out_of_band(stream: &tokio::net::TcpStream) -> u8 {
    let mut byte = [0];
    loop {
        match recv(stream.as_raw_fd(), &mut byte, MsgFlags::MSG_OOB) {
            Ok(count) => {
                assert_eq!(count, 1);
                return byte[0];
            }
            // It is announced and not here, or not even announced.
            Err(Errno::EAGAIN | Errno::EINVAL) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    }
}

async fn read(stream: &mut (impl AsyncReadExt + Unpin), len: usize) -> String {
    let mut text = vec![0; len];
    stream.read_exact(&mut text).await.expect("read");
    String::from_utf8(text).expect("letters")
}

#[test]
fn what_we_call_urgent_is_urgent_to_the_kernel() {
    // [9293 MUST-30, MUST-31, MUST-62]
    lab::run(async |net| {
        for family in FAMILIES {
            let (mut theirs, mut ours) = from_kernel(&net, family).await;
            ours.write_all(b"calm").await.expect("written");
            assert_eq!(ours.send_urgent(b"now!").await.expect("written"), 4);
            ours.write_all(b"and on").await.expect("written");
            assert_eq!(read(&mut theirs, 7).await, "calmnow");
            assert_eq!(out_of_band(&theirs).await, b'!');
            assert_eq!(read(&mut theirs, 6).await, "and on");

            let (mut theirs, ours) = to_kernel(&net, family).await;
            setsockopt(&theirs, OobInline, &true).expect("in line");
            assert_eq!(ours.send_urgent(b"now!").await.expect("written"), 4);
            assert_eq!(read(&mut theirs, 4).await, "now!");
        }
    });
}

#[test]
fn what_the_kernel_calls_urgent_is_told_and_read_in_line() {
    // [9293 MUST-30, MUST-32, MUST-33]
    lab::run(async |net| {
        for family in FAMILIES {
            let (mut theirs, mut ours) = to_kernel(&net, family).await;
            assert_eq!(ours.urgent_remaining().expect("it lives"), None);
            let sent = send(theirs.as_raw_fd(), b"stop", MsgFlags::MSG_OOB);
            assert_eq!(sent, Ok(4));
            theirs.write_all(b"go on").await.expect("written");
            assert_eq!(ours.reported().await.expect("it lives").urgent_remaining, Some(4));
            assert_eq!(read(&mut ours, 3).await, "sto");
            assert!(ours.is_at_mark().expect("it lives"));
            assert_eq!(read(&mut ours, 1).await, "p");
            assert!(!ours.is_at_mark().expect("it lives"));
            assert_eq!(read(&mut ours, 5).await, "go on");
            assert_eq!(ours.urgent_remaining().expect("it lives"), None);
        }
    });
}
