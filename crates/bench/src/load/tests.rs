//! The loads against servers of the standard library, on the loopback.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use super::{connect, held, requests, rr, udp_echo};

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
    rr::measure(echo(|_| {}), 100, SPAN).unwrap();
}

#[test]
fn an_echo_of_something_else_is_an_error() {
    let error = rr::measure(echo(|bytes| bytes.fill(b'y')), 1, SPAN).unwrap_err();
    assert_eq!(error.to_string(), "the echo is not what was sent");
}

#[test]
fn connections_are_measured() {
    connect::run(echo(|_| {}), 2, SPAN).unwrap();
}

#[test]
fn a_server_that_is_not_there_is_an_error() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert!(rr::measure(gone, 1, SPAN).is_err());
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

/// A server that answers each read with `answers`, a write each; without any it closes.
fn http(answers: &'static [&[u8]]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            stream.set_nodelay(true).unwrap();
            std::thread::spawn(move || {
                while let Ok(1..) = stream.read(&mut [0; 256]) {
                    if answers.is_empty() || answers.iter().any(|answer| stream.write_all(answer).is_err()) {
                        return;
                    }
                }
            });
        }
    });
    address
}

fn request_rate(server: SocketAddr) -> anyhow::Result<f64> {
    let streams = held::open(server, 3)?;
    let rate = requests::rate(&streams.iter().collect::<Vec<_>>(), SPAN)?;
    // No answer is left: the connections can be used again.
    held::check(&streams)?;
    Ok(rate)
}

#[test]
fn requests_are_measured_whose_answers_come_in_parts() {
    let server = http(&[b"HTTP/1.1 200 OK\r\nContent-Len", b"gth: 13\r\n\r\nHello,", b" world!"]);
    assert!(request_rate(server).unwrap() > 0.0);
}

#[test]
fn an_answer_that_is_wrong_or_missing_is_an_error() {
    let check = |answers, expected: &str| {
        let error = request_rate(http(answers)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    check(&[b"HTTP/1.1 500 No\r\nContent-Length: 13\r\n\r\nHello, world!"], "500");
    check(&[], "a connection was closed");
}

#[test]
fn connections_that_are_held_are_found_broken() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let streams = held::open(listener.local_addr().unwrap(), 3).unwrap();
    let mut accepted: Vec<TcpStream> = (0..3).map(|_| listener.accept().unwrap().0).collect();
    held::check(&streams).unwrap();
    accepted.pop();
    let begin = Instant::now();
    while held::check(&streams).is_ok() {
        assert!(begin.elapsed() < Duration::from_secs(10), "the end of a connection is not seen");
    }
}

#[test]
fn connections_that_leave_are_reset() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let streams = held::open(listener.local_addr().unwrap(), 3).unwrap();
    let mut accepted: Vec<TcpStream> = (0..3).map(|_| listener.accept().unwrap().0).collect();
    held::leave(echo(|_| {}), streams).unwrap();
    for stream in &mut accepted {
        let error = stream.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
}
