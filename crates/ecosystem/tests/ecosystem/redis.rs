//! The redis client over netloom, against a real server of the kernel's side.

use std::net::SocketAddr;

use futures_util::StreamExt;
use futures_util::future::join_all;
use netloom::Net;
use redis::aio::{MultiplexedConnection, PubSub};
use redis::{AsyncCommands, AsyncConnectionConfig, RedisConnectionInfo};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;

use crate::hosts::pattern;
use crate::namespace::{self, FAMILIES};

/// Of the largest value, in bytes.
const LEN: usize = 4_000_000;

/// A server that keeps nothing, on both addresses of the kernel's.
async fn serve() -> Child {
    let [v4, v6] = FAMILIES.map(|family| family.kernels(0).ip().to_string());
    let arguments = ["--bind", &v4, &v6, "--protected-mode", "no", "--save", "", "--appendonly", "no"];
    let mut server = namespace::program("redis-server", &arguments).spawn().unwrap();
    let mut said = BufReader::new(server.stdout.take().unwrap()).lines();
    let is_ready = |line: &str| line.contains("Ready to accept connections");
    while !is_ready(&said.next_line().await.unwrap().expect("it says when it is ready")) {}
    // It goes on talking, and must not wait for a reader.
    tokio::spawn(async move { while let Ok(Some(_)) = said.next_line().await {} });
    server
}

/// A connection that a task of its own drives.
async fn connect(net: &Net, address: SocketAddr) -> MultiplexedConnection {
    let stream = net.tcp_connect(address).await.unwrap();
    // The test has a deadline; no answer is too late before it.
    let config = AsyncConnectionConfig::new().set_response_timeout(None);
    let info = RedisConnectionInfo::default();
    let (connection, driver) = MultiplexedConnection::new_with_config(&info, stream, config).await.unwrap();
    tokio::spawn(driver);
    connection
}

#[test]
fn a_real_server_answers_our_client() {
    namespace::run(&["redis-server"], |net| async move {
        let mut server = serve().await;
        for family in FAMILIES {
            let address = family.kernels(6379);
            let mut connection = connect(&net, address).await;
            let value = pattern(LEN, 1);
            let () = connection.set("large", &value).await.unwrap();
            let read: Vec<u8> = connection.get("large").await.unwrap();
            assert!(read == value, "a value comes back changed");

            // One connection for all of them.
            let () = connection.del("count").await.unwrap();
            let added = join_all((0..1_000).map(|_| {
                let mut connection = connection.clone();
                async move { connection.incr::<_, _, u64>("count", 1).await.unwrap() }
            }));
            let mut added = added.await;
            added.sort_unstable();
            assert!(added.into_iter().eq(1..=1_000));

            let mut waiting = connect(&net, address).await;
            let push = async { connection.rpush::<_, _, usize>("queue", "job").await.unwrap() };
            let (popped, _) = tokio::join!(waiting.blpop::<_, (String, String)>("queue", 0.0), push);
            assert_eq!(popped.unwrap(), ("queue".to_owned(), "job".to_owned()));

            let stream = net.tcp_connect(address).await.unwrap();
            let mut subscriber = PubSub::new(&RedisConnectionInfo::default(), stream).await.unwrap();
            subscriber.subscribe("news").await.unwrap();
            assert_eq!(connection.publish::<_, _, usize>("news", "hello").await.unwrap(), 1);
            let message = subscriber.on_message().next().await.unwrap();
            assert_eq!(message.get_payload_bytes(), b"hello");

            let id: u64 = redis::cmd("CLIENT").arg("ID").query_async(&mut waiting).await.unwrap();
            let kill = redis::cmd("CLIENT").arg("KILL").arg("ID").arg(id).to_owned();
            assert_eq!(kill.query_async::<u64>(&mut connection).await.unwrap(), 1);
            assert!(waiting.get::<_, Option<String>>("queue").await.unwrap_err().is_connection_dropped());
        }
        server.kill().await.unwrap();
    });
}
