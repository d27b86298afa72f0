//! What an idle connection costs: the stack's state, the tables that lead there, the socket, and who waits to read.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use allocation_counter::measure;
use netloom::{Net, TcpListener, TcpStream};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

/// No test takes longer.
const LIMIT: Duration = Duration::from_secs(120);
/// What a connection may cost.
const BOUND: i64 = 1024;
/// What an allocator adds to a block at most: glibc 8 bytes, and up to 15 that make it sixteens.
const BLOCK_OVERHEAD: i64 = 23;
/// With the one before them as many as fill tables that double.
const CONNECTIONS: usize = (1 << 11) - 1;

/// A connection between `client` and `server`, both ends.
async fn open(client: &Net, listener: &mut TcpListener) -> [TcpStream; 2] {
    let address = listener.local_addr().unwrap();
    let (outgoing, incoming) = tokio::join!(client.tcp_connect(address), listener.accept());
    [outgoing.unwrap(), incoming.unwrap().0]
}

/// A request and its answer.
async fn converse([asking, answering]: &mut [TcpStream; 2]) {
    let mut text = [0; 100];
    asking.write_all(&[1; 100]).await.unwrap();
    answering.read_exact(&mut text).await.unwrap();
    answering.write_all(&text).await.unwrap();
    asking.read_exact(&mut text).await.unwrap();
}

/// Lists this task as the one that waits to read.
async fn wait_to_read(stream: &mut TcpStream) {
    let mut byte = [0; 1];
    poll_fn(|cx| {
        let polled = Pin::new(&mut *stream).poll_read(cx, &mut ReadBuf::new(&mut byte));
        assert!(polled.is_pending(), "nothing is there to be read");
        Poll::Ready(())
    })
    .await;
}

/// Nothing is held for a time only any more.
async fn settle(hosts: [&Net; 2]) {
    while hosts.iter().any(|host| host.usage().iter().any(|usage| usage.tcp.timers > 0)) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Opens so many connections that carry a request and its answer, and are idle then. Each end has a task that waits to read.
async fn open_all(
    [server, client]: [&Net; 2],
    listener: &mut TcpListener,
    count: usize,
    pairs: &mut Vec<[TcpStream; 2]>,
) {
    for _ in 0..count {
        let mut pair = open(client, listener).await;
        converse(&mut pair).await;
        for end in &mut pair {
            wait_to_read(end).await;
        }
        pairs.push(pair);
    }
    settle([server, client]).await;
}

/// Bytes that each end of a connection between hosts with these addresses takes.
fn cost_of_an_end(runtime: &Runtime, addresses: [&str; 2]) -> i64 {
    let (server, client) = runtime.block_on(async { Net::pair(addresses[0], addresses[1]).unwrap() });
    let hosts = [&server, &client];
    let mut pairs = Vec::with_capacity(CONNECTIONS + 1);
    // What a host makes once, it makes for the first.
    let address = (server.addresses()[0].address(), 80);
    let mut listener = runtime.block_on(server.tcp_listen(address)).unwrap();
    let mut open = |count| {
        let opened = async { timeout(LIMIT, open_all(hosts, &mut listener, count, &mut pairs)).await };
        runtime.block_on(opened).unwrap();
    };
    open(1);
    let taken = measure(|| open(CONNECTIONS));
    assert_eq!(pairs.len(), CONNECTIONS + 1);
    let bytes = taken.bytes_current + taken.count_current * BLOCK_OVERHEAD;
    bytes / i64::try_from(2 * CONNECTIONS).unwrap()
}

#[test]
fn an_idle_connection_takes_less_than_a_kilobyte() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    for addresses in [["10.0.0.1/24", "10.0.0.2/24"], ["fd00::1/64", "fd00::2/64"]] {
        let cost = cost_of_an_end(&runtime, addresses);
        assert!(cost < BOUND, "between {addresses:?}: {cost} bytes");
    }
}
