//! Trains of datagrams: what the kernel makes with `UDP_SEGMENT`, and what it makes of ours with and without `UDP_GRO`.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;

use netloom::device::Offload;
use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::sockopt::{UdpGroSegment, UdpGsoSegment};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use crate::lab::{self, Crossing, FAMILIES, Shapes, Way, pattern};

/// Bytes of a train and of its datagrams: the most datagrams that there may be, all of one length or with a shorter one behind
/// them; few; as many as one packet holds; datagrams that fill the MTU with either header.
const TRAINS: [(usize, usize); 8] = [
    (64 * 64, 64),
    (63 * 512 + 1, 512),
    (64_000, 1000),
    (64, 1),
    (2400, 1200),
    (46 * 1400 + 7, 1400),
    (10 * 1472, 1472),
    (44 * 1452 + 1451, 1452),
];

/// Those whose datagrams fit the MTU behind the headers of the family.
fn trains(is_ipv4: bool) -> impl Iterator<Item = (usize, usize)> {
    let largest = if is_ipv4 { 1472 } else { 1452 };
    TRAINS.into_iter().filter(move |&(_, size)| size <= largest)
}

/// What UDP's packets that went this way must have been like, for `train_count` trains that were `datagram_count` datagrams.
fn check_shapes(way: Way, shapes: Shapes, train_count: u64, datagram_count: u64) {
    let expected = match lab::offload() {
        Offload::Full => (train_count, train_count),
        Offload::Plain | Offload::Checksum | Offload::Tcp => (datagram_count, 0),
    };
    assert_eq!((shapes.packets, shapes.trains), expected, "{shapes:?}");
    assert_eq!(shapes.longest > 1500, lab::offload() == Offload::Full, "{shapes:?}");
    let unfinished = match (lab::offload(), way) {
        (Offload::Full | Offload::Tcp, _) | (Offload::Checksum, Way::In) => shapes.packets,
        // Where we cut a train ourselves we also sum.
        (Offload::Checksum, Way::Out) | (Offload::Plain, _) => 0,
    };
    assert_eq!(shapes.unfinished, unfinished, "{shapes:?}");
}

/// Has the kernel send `bytes` in datagrams of `size`, the last with what is left.
async fn send_train(socket: &UdpSocket, bytes: &[u8], size: usize, to: SocketAddr) -> io::Result<()> {
    setsockopt(socket, UdpGsoSegment, &i32::try_from(size).expect("a length"))?;
    assert_eq!(socket.send_to(bytes, to).await?, bytes.len());
    Ok(())
}

#[test]
fn a_train_of_the_kernel_s_arrives_as_datagrams() {
    lab::run_watching(async |net, crossing| {
        let counted =
            |count: fn(&mut netloom::stack::Stack) -> u64| net.inspect(count).into_iter().sum::<u64>();
        let frames = || counted(|stack| stack.counters().frames_received.get());
        let datagrams = || counted(|stack| stack.udp().counters().received.get());
        for family in FAMILIES {
            let ours = net.udp_bind(family.ours(0)).await.expect("a socket");
            let address = ours.local_addr().expect("an address");
            let theirs = UdpSocket::bind(family.kernels(0)).await.expect("a socket");
            let (frames_before, datagrams_before) = (frames(), datagrams());
            let (mut train_count, mut datagram_count) = (0, 0);
            let mut buffer = vec![0; 65_535];
            for (len, size) in trains(address.is_ipv4()) {
                let bytes = pattern(len, 7);
                match send_train(&theirs, &bytes, size, address).await {
                    Err(error) if is_too_old(&error) => {
                        eprintln!("SKIPPED: this kernel cuts no trains for a device without checksums");
                        return;
                    }
                    sent => sent.expect("sent"),
                }
                for part in bytes.chunks(size) {
                    let (len, from) = ours.recv_from(&mut buffer).await.expect("received");
                    assert!(buffer[..len] == *part, "{len} bytes for {} of {size}", part.len());
                    assert_eq!(from, theirs.local_addr().expect("an address"));
                    datagram_count += 1;
                }
                train_count += 1;
            }
            assert_eq!(datagrams() - datagrams_before, datagram_count);
            check_shapes(Way::In, crossing.take_udp(Way::In, address.is_ipv4()), train_count, datagram_count);
            // Some are of ARP or NDP.
            let frames = frames() - frames_before;
            assert_eq!(frames < datagram_count / 4, lab::offload() == Offload::Full, "{frames} frames");
        }
    });
}

/// Whether the kernel is one that refuses `UDP_SEGMENT` where the device leaves checksums to it, as all were before Linux 6.11.
fn is_too_old(error: &io::Error) -> bool {
    lab::offload() == Offload::Plain && error.raw_os_error() == Some(Errno::EIO as i32)
}

/// What one call has received: its length, and that of the datagrams in it if the kernel has joined several.
async fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> (usize, Option<usize>) {
    let mut control = cmsg_space!(i32);
    let received = socket.async_io(Interest::READABLE, || {
        let mut parts = [IoSliceMut::new(buffer)];
        let fd = socket.as_raw_fd();
        let message = recvmsg::<SockaddrStorage>(fd, &mut parts, Some(&mut control), MsgFlags::MSG_DONTWAIT)?;
        let size = message.cmsgs()?.find_map(|message| {
            let ControlMessageOwned::UdpGroSegments(size) = message else { return None };
            usize::try_from(size).ok()
        });
        Ok((message.bytes, size))
    });
    received.await.expect("received")
}

/// Receives datagrams of `size` that make up `expected`; in how many calls, and how many of these brought several.
async fn receive_datagrams(socket: &UdpSocket, expected: &[u8], size: usize) -> [u64; 2] {
    let mut buffer = vec![0; 65_535];
    let mut rest = expected;
    let mut calls = [0; 2];
    while !rest.is_empty() {
        let (len, joined) = receive(socket, &mut buffer).await;
        match joined {
            None => assert_eq!(len, size.min(rest.len()), "one datagram"),
            Some(joined) => {
                assert!(joined == size && (len % size == 0 || len == rest.len()), "{len} {joined}");
            }
        }
        assert!(buffer[..len] == rest[..len], "{len} bytes of {size}, {} are left", rest.len());
        rest = &rest[len..];
        calls[0] += 1;
        calls[1] += u64::from(len > size);
    }
    calls
}

#[test]
fn a_train_of_ours_arrives_whether_the_kernel_s_socket_takes_it_whole_or_not() {
    lab::run_watching(async |net, crossing| {
        for family in FAMILIES {
            let ours = net.udp_bind(family.ours(0)).await.expect("a socket");
            let theirs = UdpSocket::bind(family.kernels(0)).await.expect("a socket");
            let address = theirs.local_addr().expect("an address");
            // The kernel speaks first, so that we need not ask where it is: from an IPv6 address that is still being tried out we may
            // not (RFC 4429 3.2), and that takes a second.
            theirs.send_to(b"here", ours.local_addr().expect("an address")).await.expect("sent");
            assert_eq!(ours.recv(&mut [0; 8]).await.expect("received"), 4);
            for takes_trains in [false, true] {
                setsockopt(&theirs, UdpGroSegment, &takes_trains).expect("set");
                let (mut train_count, mut datagram_count) = (0, 0);
                for (len, size) in trains(address.is_ipv4()) {
                    let bytes = pattern(len, 8);
                    ours.send_train_to(&bytes, size, address).await.expect("sent");
                    let [calls, of_several] = receive_datagrams(&theirs, &bytes, size).await;
                    let parts = len.div_ceil(size) as u64;
                    match (takes_trains, lab::offload()) {
                        (false, _) => assert_eq!([calls, of_several], [parts, 0]),
                        (true, Offload::Full) => assert_eq!([calls, of_several], [1, 1]),
                        // Whether it joins what came one by one is the kernel's affair.
                        (true, _) => assert!(calls <= parts),
                    }
                    train_count += 1;
                    datagram_count += parts;
                }
                check_shapes(
                    Way::Out,
                    crossing.take_udp(Way::Out, address.is_ipv4()),
                    train_count,
                    datagram_count,
                );
            }
        }
    });
}

/// Rounds of answers where none of them may be a train.
const ROUNDS: u64 = 5;

/// Sends trains to `service`, which answers each datagram, until some of the answers were trains too; where there are to be none, a few
/// times.
async fn ask_in_trains(service: &netloom::UdpSocket, theirs: &UdpSocket, crossing: &Crossing) {
    const SIZE: usize = 200;
    let makes_trains = lab::offload() == Offload::Full;
    let address = service.local_addr().expect("an address");
    let mut buffer = [0; 2 * SIZE];
    for round in 0.. {
        let bytes = pattern(50 * SIZE + 3, round);
        match send_train(theirs, &bytes, SIZE, address).await {
            Err(error) if is_too_old(&error) => return,
            sent => sent.expect("sent"),
        }
        for _ in bytes.chunks(SIZE) {
            let (len, from) = service.recv_from(&mut buffer).await.expect("received");
            service.send_to(&buffer[..len], from).await.expect("sent");
        }
        receive_datagrams(theirs, &bytes, SIZE).await;
        let shapes = crossing.take_udp(Way::Out, address.is_ipv4());
        assert!(makes_trains || shapes.trains == 0, "{shapes:?}");
        if shapes.trains > 0 || (!makes_trains && round > ROUNDS) {
            return;
        }
    }
}

#[test]
fn answers_that_become_trains_arrive_whether_the_kernel_s_socket_takes_them_whole_or_not() {
    lab::run_watching(async |net, crossing| {
        for family in FAMILIES {
            let ours = net.udp_bind(family.ours(0)).await.expect("a socket");
            let theirs = UdpSocket::bind(family.kernels(0)).await.expect("a socket");
            for takes_trains in [false, true] {
                setsockopt(&theirs, UdpGroSegment, &takes_trains).expect("set");
                ask_in_trains(&ours, &theirs, &crossing).await;
            }
        }
    });
}
