//! Many connections.

use std::num::NonZeroU16;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

use crate::lab::{self, FAMILIES, connect_kernel};

#[test]
fn ten_thousand_connections_one_after_another() {
    lab::run(async |net| {
        let listener = net.tcp_listen(FAMILIES[0].ours(0)).await.expect("a listener");
        let rounds = if lab::queues() == NonZeroU16::MIN { 10_000 } else { 1000 };
        for round in 0..rounds {
            let (mut theirs, mut ours) = connect_kernel(&listener).await;
            theirs.write_all(&u32::to_be_bytes(round)).await.expect("written");
            assert_eq!(ours.read_u32().await.expect("read"), round);
            // Each side closes first in turn, so that both keep connections in TIME-WAIT.
            if round % 2 == 0 {
                drop(ours);
                assert_eq!(theirs.read(&mut [0]).await.expect("the end"), 0);
            } else {
                drop(theirs);
                assert_eq!(ours.read(&mut [0]).await.expect("the end"), 0);
            }
        }
    });
}

#[test]
fn two_hundred_connections_at_once() {
    lab::run(async |net| {
        let listener = net.tcp_listen(FAMILIES[1].ours(0)).await.expect("a listener");
        let address = listener.local_addr().expect("an address");
        let server = tokio::spawn(async move {
            let mut sessions = JoinSet::new();
            for _ in 0..200 {
                let (stream, _) = listener.accept().await.expect("accepted");
                sessions.spawn(async move {
                    let (mut read, mut write) = stream.into_split();
                    tokio::io::copy(&mut read, &mut write).await.expect("echoed")
                });
            }
            sessions.join_all().await.into_iter().sum::<u64>()
        });
        let mut clients = JoinSet::new();
        for client in 0..200u64 {
            clients.spawn(async move {
                let stream = tokio::net::TcpStream::connect(address).await.expect("connected");
                let bytes = lab::pattern(50_000, client);
                let (read, write) = stream.into_split();
                let ((), received) = tokio::join!(lab::write_and_finish(write, &bytes), lab::read_all(read));
                assert!(received == bytes);
            });
        }
        clients.join_all().await;
        assert_eq!(server.await.expect("the server ends"), 200 * 50_000);
        let of_shards = net.inspect(|stack| stack.tcp().counters().passive_opens.get());
        assert_eq!(of_shards.len(), usize::from(lab::queues().get()));
        assert_eq!(of_shards.iter().sum::<u64>(), 200);
        assert!(of_shards.iter().all(|&count| count > 0), "each has its share: {of_shards:?}");
        // The kernel knows nothing of owners: of the SYNs to two queues half come to the wrong one.
        let sum = |counts: Vec<u64>| counts.into_iter().sum::<u64>();
        let handed_over = sum(net.inspect(|stack| stack.counters().handed_over.get()));
        let taken_over = sum(net.inspect(|stack| stack.counters().taken_over.get()));
        assert_eq!(handed_over > 0, of_shards.len() > 1, "{handed_over} frames");
        assert_eq!(taken_over > 0, of_shards.len() > 1, "{taken_over} frames");
    });
}

#[test]
fn ours_connect_to_the_kernel_again_and_again() {
    lab::run(async |net| {
        let listener = tokio::net::TcpListener::bind(FAMILIES[0].kernels(0)).await.expect("a listener");
        let address = listener.local_addr().expect("an address");
        for _ in 0..1_000 {
            let (theirs, ours) = tokio::join!(listener.accept(), net.tcp_connect(address));
            let (mut theirs, ours) = (theirs.expect("accepted").0, ours.expect("connected"));
            drop(ours);
            assert_eq!(theirs.read(&mut [0]).await.expect("the end"), 0);
        }
    });
}
