//! What a client gets, and when it is let go.

use std::path::PathBuf;

use tokio::io::AsyncReadExt as _;

use super::*;
use crate::control::protocol::{emit_request, parse_answer};
use crate::interface_report::samples;

/// A server in a folder of its own, which goes with it.
fn server() -> (tempfile::TempDir, PathBuf, ControlServer) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("netloom.sock");
    let answer = |request| match request {
        Request::Addr => Answer::Addr(vec![samples::tap()]),
    };
    let server = ControlSocket::claim(&path).unwrap().serve(answer);
    (folder, path, server)
}

/// Everything that is answered until the server closes, or to `count` lines.
async fn answers(stream: &mut UnixStream, count: usize) -> Vec<Answer> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    while bytes.iter().filter(|&&byte| byte == b'\n').count() < count {
        // A server that closes with something unread resets; what it has said comes first.
        let read = timeout(PATIENCE * 6, stream.read(&mut buffer)).await.expect("it answers, or closes");
        let Ok(len @ 1..) = read else { break };
        bytes.extend_from_slice(&buffer[..len]);
    }
    bytes.split_inclusive(|&byte| byte == b'\n').map(|line| parse_answer(line).unwrap()).collect()
}

/// The kind of each refusal; `None` for an answer that is none.
fn kinds(answers: &[Answer]) -> Vec<Option<RefusalKind>> {
    let kind = |answer: &Answer| match answer {
        Answer::Addr(_) => None,
        Answer::Refused(refusal) => Some(refusal.kind),
    };
    answers.iter().map(kind).collect()
}

#[tokio::test]
async fn each_line_is_answered_and_a_bad_one_ends_nothing() {
    let (_folder, path, _server) = server();
    let mut stream = UnixStream::connect(&path).await.unwrap();
    let good = emit_request(Request::Addr).unwrap();
    stream.write_all(&[b"nonsense\n", &good[..], b"\n", &good[..good.len() - 1]].concat()).await.unwrap();
    // The last line has no end but the stream's.
    stream.shutdown().await.unwrap();
    let answers = answers(&mut stream, usize::MAX).await;
    let bad = Some(RefusalKind::BadRequest);
    assert_eq!(kinds(&answers), [bad, None, bad, None]);
    assert_eq!(answers[1], Answer::Addr(vec![samples::tap()]));
}

#[tokio::test]
async fn a_request_is_as_long_as_it_may_be_and_no_longer() {
    let (_folder, path, _server) = server();
    for (len, expected) in [
        (REQUEST_LEN_MAX - 1, vec![Some(RefusalKind::BadRequest)]),
        (REQUEST_LEN_MAX, vec![Some(RefusalKind::RequestTooLong)]),
        (1 << 20, vec![Some(RefusalKind::RequestTooLong)]),
    ] {
        let mut stream = UnixStream::connect(&path).await.unwrap();
        // Which may find that nobody reads on.
        let _ = stream.write_all(&[&vec![b'x'; len][..], b"\n"].concat()).await;
        let _ = stream.shutdown().await;
        assert_eq!(kinds(&answers(&mut stream, usize::MAX).await), expected, "{len}");
    }
}

#[tokio::test]
async fn who_is_slow_is_let_go() {
    let (_folder, path, _server) = server();
    let mut stream = UnixStream::connect(&path).await.unwrap();
    stream.write_all(b"{\"version\":1,").await.unwrap();
    assert_eq!(kinds(&answers(&mut stream, usize::MAX).await), [Some(RefusalKind::TooSlow)]);
}

#[tokio::test]
async fn who_does_not_read_is_let_go() {
    let (_folder, path, _server) = server();
    let mut stream = UnixStream::connect(&path).await.unwrap();
    let requests = emit_request(Request::Addr).unwrap().repeat(1000);
    // More than both directions hold: the server stops to read when nobody reads, and closes in the end.
    let sent = async { while stream.write_all(&requests).await.is_ok() {} };
    timeout(PATIENCE * 3, sent).await.unwrap();
}

#[tokio::test]
async fn one_client_too_many_is_told_and_there_is_room_again() {
    let (_folder, path, _server) = server();
    let good = emit_request(Request::Addr).unwrap();
    let mut clients = Vec::new();
    for _ in 0..CLIENTS_MAX {
        let mut stream = UnixStream::connect(&path).await.unwrap();
        stream.write_all(&good).await.unwrap();
        assert_eq!(kinds(&answers(&mut stream, 1).await), [None]);
        clients.push(stream);
    }
    let mut late = UnixStream::connect(&path).await.unwrap();
    assert_eq!(kinds(&answers(&mut late, usize::MAX).await), [Some(RefusalKind::TooManyClients)]);
    // Those who say nothing more are let go.
    for stream in &mut clients {
        assert_eq!(kinds(&answers(stream, usize::MAX).await), [Some(RefusalKind::TooSlow)]);
    }
    let mut next = UnixStream::connect(&path).await.unwrap();
    next.write_all(&good).await.unwrap();
    assert_eq!(kinds(&answers(&mut next, 1).await), [None]);
}

#[tokio::test]
async fn the_file_goes_with_the_server() {
    let (folder, path, server) = server();
    let mut stream = UnixStream::connect(&path).await.unwrap();
    drop(server);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    assert_eq!(answers(&mut stream, usize::MAX).await, []);
}
