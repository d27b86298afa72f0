//! The loads against servers of the standard library, on the loopback.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;

use super::{connect, rr, udp_echo};

const SPAN: Duration = Duration::from_millis(20);

/// A server that sends back what `change` makes of it; it ends with the process.
fn echo(change: fn(&mut [u8])) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let mut buffer = [0; 256];
                while let Ok(len @ 1..) = stream.read(&mut buffer) {
                    change(&mut buffer[..len]);
                    if stream.write_all(&buffer[..len]).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

#[test]
fn round_trips_are_measured() {
    rr::run(echo(|_| {}), 100, SPAN).unwrap();
}

#[test]
fn an_echo_of_something_else_is_an_error() {
    let error = rr::run(echo(|bytes| bytes.fill(b'y')), 1, SPAN).unwrap_err();
    assert_eq!(error.to_string(), "the echo is not what was sent");
}

#[test]
fn connections_are_measured() {
    connect::run(echo(|_| {}), 2, SPAN).unwrap();
}

#[test]
fn a_server_that_is_not_there_is_an_error() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert!(rr::run(gone, 1, SPAN).is_err());
    assert!(connect::run(gone, 1, SPAN).is_err());
}

#[test]
fn datagrams_are_measured_and_silence_is_an_error() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    assert!(udp_echo::run(address, 64, 4, SPAN).is_err());
    std::thread::spawn(move || {
        let mut buffer = [0; 256];
        while let Ok((len, peer)) = server.recv_from(&mut buffer) {
            // The peers of the silent time are gone.
            let _ = server.send_to(&buffer[..len], peer);
        }
    });
    udp_echo::run(address, 64, 4, SPAN).unwrap();
}
