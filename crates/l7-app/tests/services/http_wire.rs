//! HTTP/1.1 as bytes: framing, order, limits, and how connections end.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::serve::ListenerExt;
use netloom_l7_app::ConnectionLimits;
use netloom_l7_app::http::{self, HttpLimits, HttpOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::support::{HttpServer, PATIENCE, read_to_end, read_until};

fn request(method: &str, path: &str, rest: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: h\r\n{rest}\r\n")
}

#[tokio::test]
async fn requests_in_one_segment_are_answered_in_order() {
    let server = HttpServer::start().await;
    let pipelined = [
        request("GET", "/delay/0.2", ""),
        request("GET", "/range/3", ""),
        request("POST", "/discard", "Content-Length: 5\r\n") + "12345",
        request("HEAD", "/range/9", ""),
        request("GET", "/status/418", ""),
        request("GET", "/hello", ""),
    ];
    let answer = server.raw(&pipelined.concat()).await;
    let positions: Vec<_> =
        ["/delay/0.2", "abc", "{\"bytes\": 5}", "content-length: 9", " 418 ", "Hello, world!"]
            .iter()
            .map(|part| answer.find(part).unwrap_or_else(|| panic!("no {part} in {answer}")))
            .collect();
    assert!(positions.is_sorted(), "{positions:?}: {answer}");
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 6, "{answer}");
}

#[tokio::test]
async fn a_connection_takes_one_request_after_another() {
    let server = HttpServer::start().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    for _ in 0..100 {
        stream.write_all(request("GET", "/hello", "").as_bytes()).await.unwrap();
        read_until(&mut stream, "Hello, world!").await;
    }
    stream.write_all(request("GET", "/hello", "Connection: close\r\n").as_bytes()).await.unwrap();
    assert!(read_to_end(&mut stream).await.contains("connection: close"));
}

#[tokio::test]
async fn http_1_0_is_closed_after_its_answer() {
    let server = HttpServer::start().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET /stream/2 HTTP/1.0\r\n\r\n").await.unwrap();
    let answer = read_to_end(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.0 200") && !answer.contains("chunked"), "{answer}");
    assert_eq!(answer.split_once("\r\n\r\n").unwrap().1.lines().count(), 2);
}

#[tokio::test]
async fn head_has_the_headers_of_get_and_no_body() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("f.txt"), "some text").unwrap();
    let server = HttpServer::with_root(directory.path().to_owned()).await;
    for path in [
        "/",
        "/hello",
        "/get",
        "/anything",
        "/headers",
        "/ip",
        "/status/404",
        "/bytes/70000?seed=1",
        "/range/70000",
        "/stream/2",
        "/delay/0",
        "/redirect/2",
        "/cookies",
        "/cookies/set?a=b",
        "/basic-auth/a/b",
        "/files/f.txt",
        "/nothing",
    ] {
        let get = server.raw(&request("GET", path, "Connection: close\r\n")).await;
        let head = server.raw(&request("HEAD", path, "Connection: close\r\n")).await;
        let (headers, body) = head.split_once("\r\n\r\n").unwrap();
        assert_eq!(body, "", "{path}");
        let (get_headers, get_body) = get.split_once("\r\n\r\n").unwrap();
        let has_no_body = ["/status", "/redirect", "/cookies/set", "/basic-auth"]
            .iter()
            .any(|start| path.starts_with(start));
        assert_eq!(get_body.is_empty(), has_no_body, "{path}");
        // `/anything` shows its method, so its lengths differ; RFC 9110, section 9.3.2 lets HEAD leave out what is
        // known only while the content is made.
        let comparable = |headers: &str| {
            let may_differ = |line: &str| {
                line.starts_with("date:")
                    || line.starts_with("transfer-encoding:")
                    || (line.starts_with("content-length:") && path == "/anything")
            };
            let mut lines: Vec<_> =
                headers.lines().filter(|line| !may_differ(line)).map(str::to_owned).collect();
            lines.sort();
            lines
        };
        assert_eq!(comparable(headers), comparable(get_headers), "{path}");
        assert!(!(path == "/stream/2" && headers.contains("content-length")), "{headers}");
    }
}

#[tokio::test]
async fn chunks_and_trailers_are_a_body_like_any_other() {
    let server = HttpServer::start().await;
    let chunked = request("POST", "/discard", "Transfer-Encoding: chunked\r\nConnection: close\r\n");
    for (body, count) in [
        ("5\r\nhello\r\n0\r\n\r\n", 5),
        ("5;ext=1\r\nhello\r\nA\r\n0123456789\r\n0\r\nX-Trailer: t\r\n\r\n", 15),
        ("0\r\n\r\n", 0),
    ] {
        let answer = server.raw(&format!("{chunked}{body}")).await;
        assert!(answer.ends_with(&format!("{{\"bytes\": {count}}}\n")), "{answer}");
    }
}

#[tokio::test]
async fn expectations_are_met_before_the_body_is_sent() {
    let server = HttpServer::start().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head =
        request("POST", "/discard", "Content-Length: 5\r\nExpect: 100-continue\r\nConnection: close\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let interim = read_until(&mut stream, "\r\n\r\n").await;
    assert_eq!(interim, "HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"12345").await.unwrap();
    assert!(read_to_end(&mut stream).await.ends_with("{\"bytes\": 5}\n"));

    // A body that would not be taken is not asked for.
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = request("POST", "/post", "Content-Length: 99999999999\r\nExpect: 100-continue\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let answer = read_until(&mut stream, "any length\n").await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test]
async fn an_echoed_body_ends_at_its_limit_in_either_framing() {
    let options = HttpOptions { max_echo_len: 10, ..HttpOptions::default() };
    let server = HttpServer::with(options, HttpLimits::default()).await;
    for (rest, status) in [
        ("Content-Length: 10\r\n\r\n0123456789", "200"),
        ("Content-Length: 11\r\n\r\n0123456789a", "413"),
        ("Transfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n0\r\n\r\n", "200"),
        ("Transfer-Encoding: chunked\r\n\r\nb\r\n0123456789a\r\n0\r\n\r\n", "413"),
    ] {
        let answer = server.raw(&format!("POST /post HTTP/1.1\r\nHost: h\r\n{rest}")).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{rest}: {answer}");
    }
}

#[tokio::test]
async fn what_is_no_request_gets_400_and_the_end() {
    let server = HttpServer::start().await;
    for bytes in [
        "nonsense\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "GET / HTTP/1.1\r\nHost h\r\n\r\n",
        "GET / HTTP/1.1\r\nBad Name: x\r\n\r\n",
        "POST /discard HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n",
        "POST /discard HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "\u{1}\u{2}\u{3}\u{4}\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(bytes.as_bytes()).await.unwrap();
        let answer = read_to_end(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{bytes:?}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
    }
}

#[tokio::test]
async fn a_request_has_one_host() {
    let server = HttpServer::start().await;
    for (head, status) in [
        ("GET /hello HTTP/1.1\r\n", "400"),
        ("GET http://h/hello HTTP/1.1\r\n", "400"),
        ("GET /hello HTTP/1.1\r\nHost: a\r\nHost: a\r\n", "400"),
        ("GET /hello HTTP/1.0\r\nHost: a\r\nHost: b\r\n", "400"),
        ("POST /discard HTTP/1.1\r\nContent-Length: 0\r\n", "400"),
        ("GET /nothing HTTP/1.1\r\n", "400"),
        ("GET /hello HTTP/1.1\r\nHost: a\r\n", "200"),
        ("GET /hello HTTP/1.1\r\nhost:\r\n", "200"),
        ("GET /hello HTTP/1.0\r\n", "200"),
        ("GET /hello HTTP/1.0\r\nHost: a\r\n", "200"),
    ] {
        let answer = server.raw(&format!("{head}\r\n")).await;
        assert_eq!(answer.split(' ').nth(1), Some(status), "{head:?}: {answer}");
        if status == "400" {
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            assert!(head.contains("connection: close") && body.contains("one Host"), "{answer}");
        }
    }
    // Whatever else was sent with it is not read as a request.
    let answer = server.raw(&format!("GET /hello HTTP/1.1\r\n\r\n{}", request("GET", "/hello", ""))).await;
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused() {
    let server = HttpServer::start().await;
    let many = (0..200).map(|index| format!("X-{index}: v\r\n")).collect::<String>();
    for (bytes, statuses) in [
        (request("GET", "/hello", &format!("X-Long: {}\r\n", "x".repeat(40_000))), &["431"][..]),
        (request("GET", "/hello", &many), &["431"]),
        (request("GET", &format!("/{}", "x".repeat(70_000)), ""), &["414", "431"]),
    ] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(bytes.as_bytes()).await.unwrap();
        let answer = read_to_end(&mut stream).await;
        assert!(statuses.iter().any(|status| answer.starts_with(&format!("HTTP/1.1 {status}"))), "{answer}");
    }
}

#[tokio::test]
async fn a_head_that_does_not_end_is_given_up() {
    let limits = HttpLimits { head_timeout: Duration::from_millis(300), ..HttpLimits::default() };
    let server = HttpServer::with(HttpOptions::default(), limits).await;
    for bytes in ["GET /hello HTTP/1.1\r\nHo", ""] {
        let start = Instant::now();
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(bytes.as_bytes()).await.unwrap();
        let answer = read_to_end(&mut stream).await;
        assert!(!answer.contains("200"), "{answer}");
        assert!(start.elapsed() >= Duration::from_millis(250), "{:?}", start.elapsed());
    }
}

#[tokio::test]
async fn a_client_that_neither_reads_nor_sends_is_given_up() {
    let connections =
        ConnectionLimits { max_connections: 1, idle: Duration::from_millis(300), ..Default::default() };
    let server =
        HttpServer::with(HttpOptions::default(), HttpLimits { connections, ..HttpLimits::default() }).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    // A body that never comes.
    stream.write_all(request("POST", "/discard", "Content-Length: 9\r\n").as_bytes()).await.unwrap();
    assert_eq!(read_to_end(&mut stream).await, "");
    // An answer that is never read: the next connection is served, so this one was ended.
    let mut stalled = TcpStream::connect(server.address).await.unwrap();
    stalled.write_all(request("GET", "/bytes/1000000000", "").as_bytes()).await.unwrap();
    let mut next = TcpStream::connect(server.address).await.unwrap();
    next.write_all(request("GET", "/hello", "").as_bytes()).await.unwrap();
    read_until(&mut next, "Hello, world!").await;
}

#[tokio::test]
async fn connections_beyond_the_bound_wait() {
    let connections = ConnectionLimits { max_connections: 2, ..ConnectionLimits::default() };
    let server =
        HttpServer::with(HttpOptions::default(), HttpLimits { connections, ..HttpLimits::default() }).await;
    let open = || async {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(request("GET", "/hello", "").as_bytes()).await.unwrap();
        stream
    };
    let (mut first, mut second, mut third) = (open().await, open().await, open().await);
    read_until(&mut first, "Hello, world!").await;
    read_until(&mut second, "Hello, world!").await;
    let mut byte = [0];
    assert!(
        timeout(Duration::from_millis(300), third.read(&mut byte)).await.is_err(),
        "the third was served"
    );
    drop(first);
    read_until(&mut third, "Hello, world!").await;
}

#[tokio::test]
async fn a_client_that_has_sent_its_fin_still_gets_its_answer() {
    let server = HttpServer::start().await;
    let answer = server.raw(&request("GET", "/delay/0.3", "")).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"origin\": \"127.0.0.1\""), "{answer}");
}

#[tokio::test]
async fn an_answer_is_not_lost_because_the_body_was_not_wanted() {
    let server = HttpServer::start().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let body = vec![b'x'; 8 << 20];
    let head = request("POST", "/get", &format!("Content-Length: {}\r\n", body.len()));
    stream.write_all(head.as_bytes()).await.unwrap();
    // All of it is taken, although nobody reads it as a request.
    timeout(PATIENCE, stream.write_all(&body)).await.expect("the body is not taken").unwrap();
    let answer = read_to_end(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 405"), "{answer}");
}

#[tokio::test]
async fn shutdown_finishes_what_was_begun_and_takes_nothing_new() {
    let server = HttpServer::start().await;
    let mut busy = TcpStream::connect(server.address).await.unwrap();
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    idle.write_all(request("GET", "/hello", "").as_bytes()).await.unwrap();
    read_until(&mut idle, "Hello, world!").await;
    // The interim response shows that the request is being handled.
    let head = request("POST", "/discard", "Content-Length: 5\r\nExpect: 100-continue\r\n");
    busy.write_all(head.as_bytes()).await.unwrap();
    read_until(&mut busy, "100 Continue\r\n\r\n").await;
    server.shutdown.cancel();
    assert_eq!(read_to_end(&mut idle).await, "");
    drop(idle);
    assert!(TcpStream::connect(server.address).await.is_err());
    busy.write_all(b"12345").await.unwrap();
    let answer = read_to_end(&mut busy).await;
    assert!(answer.contains("connection: close") && answer.ends_with("{\"bytes\": 5}\n"), "{answer}");
    drop(busy);
    timeout(PATIENCE, server.task).await.expect("serve does not return").unwrap();
}

#[tokio::test]
async fn shutdown_drops_what_does_not_end_in_time() {
    let connections = ConnectionLimits { grace: Duration::from_millis(200), ..ConnectionLimits::default() };
    let server =
        HttpServer::with(HttpOptions::default(), HttpLimits { connections, ..HttpLimits::default() }).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = request("POST", "/discard", "Content-Length: 5\r\nExpect: 100-continue\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    read_until(&mut stream, "100 Continue\r\n\r\n").await;
    server.shutdown.cancel();
    timeout(PATIENCE, server.task).await.expect("serve does not return").unwrap();
    assert_eq!(read_to_end(&mut stream).await, "");
}

#[tokio::test]
async fn axum_serve_takes_the_router_too() {
    for knows_peer in [false, true] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = http::router(HttpOptions::default());
        let task = tokio::spawn(async move {
            if knows_peer {
                let router = router.into_make_service_with_connect_info::<SocketAddr>();
                axum::serve(listener.tap_io(|_| {}), router).await
            } else {
                axum::serve(listener, router).await
            }
        });
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request("GET", "/ip", "Connection: close\r\n").as_bytes()).await.unwrap();
        let origin = if knows_peer { "127.0.0.1" } else { "unknown" };
        let answer = read_to_end(&mut stream).await;
        assert!(answer.contains(&format!("\"origin\": \"{origin}\"")), "{answer}");
        task.abort();
    }
}
