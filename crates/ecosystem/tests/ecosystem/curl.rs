//! The kernel's curl as peer of every server: axum's, tungstenite's and tonic's.

use std::process::Output;

use crate::hosts::pattern;
use crate::http::Server;
use crate::namespace::{self, FAMILIES};
use crate::tls::{Identity, TlsListener};
use crate::{grpc, websocket};

/// Of a body, in bytes.
const LEN: usize = 4_000_000;

/// How often an upload is tried that curl itself may spoil.
const UPLOADS_MAX: usize = 5;

async fn curl(arguments: &[&str]) -> Output {
    checked(arguments, try_curl(arguments).await)
}

fn checked(arguments: &[&str], output: Output) -> Output {
    assert!(output.status.success(), "curl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

async fn try_curl(arguments: &[&str]) -> Output {
    namespace::output("curl", &[&["--silent", "--show-error"], arguments].concat()).await
}

/// Sends a large body. Over HTTP/2 curl before 8.2 may send a part of it twice when its socket is full (curl/curl#11342), which the
/// server refuses as more than the header told of: then it is tried again.
async fn upload(arguments: &[&str], version: &str) -> Output {
    for _ in 1..UPLOADS_MAX {
        let output = try_curl(arguments).await;
        if version != "2" || !String::from_utf8_lossy(&output.stderr).contains("PROTOCOL_ERROR") {
            return checked(arguments, output);
        }
    }
    curl(arguments).await
}

/// A large body there and back.
async fn echo(options: &[&str], version: &str, base: &str) {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (sent, received) = (path("sent"), path("received"));
    let body = pattern(LEN, 1);
    std::fs::write(&sent, &body).unwrap();
    let url = format!("{base}/echo");
    let data = format!("@{sent}");
    let post = [
        "--header",
        "Expect:",
        "--data-binary",
        &data,
        "--output",
        &received,
        "--write-out",
        "%{http_version}",
        &url,
    ];
    let told = upload(&[options, &post].concat(), version).await.stdout;
    assert_eq!(String::from_utf8(told).unwrap(), version);
    assert!(std::fs::read(&received).unwrap() == body, "the body comes back changed over {version}");
}

/// Many small requests, one after the other on one connection and all at once.
async fn ask_often(options: &[&str], base: &str) {
    let peer = format!("{base}/peer?[1-20]");
    let one_by_one = curl(&[options, &["--write-out", "\n", &peer]].concat()).await.stdout;
    let one_by_one = String::from_utf8(one_by_one).unwrap();
    let mut peers: Vec<&str> = one_by_one.lines().collect();
    assert_eq!(peers.len(), 20);
    peers.dedup();
    assert_eq!(peers.len(), 1, "one connection for all");

    let hello = format!("{base}/hello?[1-40]");
    let at_once = curl(&[options, &["--parallel", "--parallel-max", "40", &hello]].concat()).await.stdout;
    assert_eq!(String::from_utf8(at_once).unwrap(), "Hello, world!".repeat(40));
}

#[test]
fn axum_answers_curl() {
    namespace::run(&["curl"], |net| async move {
        for family in FAMILIES {
            let address = family.ours(80);
            let server = Server::start(net.tcp_listen(address).await.unwrap());
            let base = format!("http://{address}");
            echo(&["--http1.1"], "1.1", &base).await;
            ask_often(&["--http1.1"], &base).await;
            // Not often: curl 7.88 uses no connection twice this way (curl/curl#10634).
            echo(&["--http2-prior-knowledge"], "2", &base).await;
            server.stop().await;
        }
    });
}

#[test]
fn axum_answers_curl_over_tls() {
    namespace::run(&["curl"], |net| async move {
        let identity = Identity::new();
        let directory = tempfile::tempdir().unwrap();
        let [certificate, _] = identity.write(&directory);
        for family in FAMILIES {
            let address = family.ours(443);
            let acceptor = identity.acceptor(&[b"h2", b"http/1.1"]);
            let server = Server::start(TlsListener::new(net.tcp_listen(address).await.unwrap(), acceptor));
            for (option, version) in [("--http1.1", "1.1"), ("--http2", "2")] {
                let options = [option, "--cacert", &certificate];
                let base = format!("https://{address}");
                echo(&options, version, &base).await;
                ask_often(&options, &base).await;
            }
            server.stop().await;
        }
    });
}

#[test]
fn tungstenite_upgrades_curl() {
    namespace::run(&["curl"], |net| async move {
        for family in FAMILIES {
            let address = family.ours(80);
            let server = websocket::greet_once(net.tcp_listen(address).await.unwrap());
            let url = format!("http://{address}/");
            let arguments = [
                "--http1.1",
                "--include",
                "--no-buffer",
                "--header",
                "Connection: Upgrade",
                "--header",
                "Upgrade: websocket",
                "--header",
                "Sec-WebSocket-Version: 13",
                "--header",
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
                &url,
            ];
            let answer = curl(&arguments).await.stdout;
            let text = String::from_utf8_lossy(&answer).to_ascii_lowercase();
            assert!(text.starts_with("http/1.1 101 switching protocols\r\n"), "{text}");
            // The answer to that key in RFC 6455, section 1.3.
            assert!(text.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n"), "{text}");
            // A whole text message from a server (RFC 6455 5.2), and the closing one (5.5.1).
            assert!(answer.ends_with(b"\r\n\r\n\x81\x05hello\x88\x00"), "{text}");
            server.await.unwrap();
        }
    });
}

#[test]
fn tonic_answers_curl() {
    namespace::run(&["curl"], |net| async move {
        let directory = tempfile::tempdir().unwrap();
        let sent = directory.path().join("sent");
        // A message that is not compressed, its length, and its bytes.
        let message = [&b"\0\0\0\x03\xe8"[..], &pattern(1_000, 1)].concat();
        std::fs::write(&sent, &message).unwrap();
        let data = format!("@{}", sent.to_str().unwrap());
        for family in FAMILIES {
            let address = family.ours(50051);
            let server = grpc::Server::start(net.tcp_listen(address).await.unwrap());
            let url = format!("http://{address}{}", grpc::ECHO);
            let arguments = [
                "--http2-prior-knowledge",
                "--header",
                "Content-Type: application/grpc",
                "--header",
                "TE: trailers",
                "--data-binary",
                &data,
                &url,
            ];
            assert!(curl(&arguments).await.stdout == message, "the message comes back changed");
            server.stop().await;
        }
    });
}
