//! The suite of sockets over two stacks of two shards each, and what only they can show.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use netloom::device::{MemoryQueue, Queue, RxFrame};
use netloom::stack::{DeviceCaps, Medium, TxMeta};
use netloom::{InterfaceConfig, Net, NetBuilder, net};
use netloom_hosts::NetloomHosts;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[path = "sockets/leaks.rs"]
mod leaks;
#[path = "sockets/netloom_hosts.rs"]
mod netloom_hosts;
#[path = "sockets/suite.rs"]
mod suite;
#[path = "sockets/world.rs"]
mod world;

use world::World;

type Hosts = NetloomHosts<2>;

/// Connections enough for both shards to have some.
const COUNT: usize = 40;

fn connections(net: &Net) -> Vec<usize> {
    net.inspect(|stack| stack.tcp().usage().connections)
}

#[test]
fn a_listener_accepts_what_all_shards_own() {
    world::run(|world: Arc<Hosts>| async move {
        let (listener, address) = world::listen(&*world).await;
        let mut ends = Vec::new();
        for number in 0..COUNT {
            let mut outgoing = world.client.tcp_connect(address).await.unwrap();
            let (mut incoming, _) = listener.accept().await.unwrap();
            outgoing.write_u64(number as u64).await.unwrap();
            assert_eq!(incoming.read_u64().await.unwrap(), number as u64);
            ends.push((outgoing, incoming));
        }
        let served = connections(&world.server);
        assert_eq!(served.iter().sum::<usize>(), COUNT);
        assert!(served.iter().all(|&count| count > 0), "{served:?}");
        // Whoever connects on the first shard's thread gets connections of that shard.
        assert_eq!(connections(&world.client), [COUNT, 0]);
        let handed_over = world.server.inspect(|stack| stack.counters().handed_over.get());
        assert!(handed_over[0] > 0, "the client sends by its first queue: {handed_over:?}");
        let taken_over = world.server.inspect(|stack| stack.counters().taken_over.get());
        assert!(taken_over[1] > 0);
    });
}

#[test]
fn each_shard_serves_its_own_on_its_thread() {
    world::run(|world: Arc<Hosts>| async move {
        let (listener, address) = world::listen(&*world).await;
        let mut tasks = Vec::new();
        for (shard, part) in listener.into_shards().into_iter().enumerate() {
            tasks.push(world.server.spawn_on(shard, async move {
                let mut count = 0;
                loop {
                    let (mut stream, _) = part.accept().await.unwrap();
                    match stream.read_u8().await.unwrap() {
                        0 => return (std::thread::current().id(), count),
                        byte => stream.write_all(&[byte]).await.unwrap(),
                    }
                    count += 1;
                }
            }));
        }
        for _ in 0..COUNT {
            let mut stream = world.client.tcp_connect(address).await.unwrap();
            stream.write_all(&[7]).await.unwrap();
            assert_eq!(stream.read_u8().await.unwrap(), 7);
        }
        // One ends each: the first that it gets.
        let mut served = 0;
        let mut threads = BTreeSet::new();
        while tasks.iter().any(|task| !task.is_finished()) {
            if let Ok(mut stream) = world.client.tcp_connect(address).await {
                let _ = stream.write_all(&[0]).await;
                let _ = stream.read_u8().await;
            }
        }
        for task in tasks {
            let (thread, count) = task.await.unwrap();
            threads.insert(format!("{thread:?}"));
            served += count;
            assert!(count > 0);
        }
        assert_eq!((served, threads.len()), (COUNT, 2));
    });
}

#[test]
fn a_cookie_of_one_shard_is_good_at_every_other() {
    world::run(|world: Arc<Hosts>| async move {
        let socket = world.server.tcp_socket_v4();
        socket.bind("10.0.0.1:0".parse().unwrap()).unwrap();
        socket.set_fastopen(1024).unwrap();
        let listener = socket.listen(1024).unwrap();
        for number in 0..COUNT {
            let socket = world.client.tcp_socket_v4();
            socket.set_fastopen_connect(true).unwrap();
            let mut outgoing = socket.connect(listener.local_addr().unwrap()).await.unwrap();
            outgoing.write_u64(number as u64).await.unwrap();
            let (mut incoming, _) = listener.accept().await.unwrap();
            assert_eq!(incoming.read_u64().await.unwrap(), number as u64);
            assert_eq!(incoming.info().unwrap().syn_data, number > 0, "connection {number}");
        }
        let opened = world.server.inspect(|stack| stack.tcp().counters().fast_opens_received.get());
        assert_eq!(opened.iter().sum::<u64>(), COUNT as u64 - 1);
        assert!(opened.iter().all(|&count| count > 0), "{opened:?}");
    });
}

#[test]
fn a_connection_from_a_port_of_ones_choice_finds_its_shard() {
    world::run(|world: Arc<Hosts>| async move {
        let (listener, address) = world::listen(&*world).await;
        let mut ends = Vec::new();
        for port in 20_000..20_020 {
            let socket = world.client.tcp_socket_v4();
            socket.bind(format!("10.0.0.2:{port}").parse().unwrap()).unwrap();
            ends.push((socket.connect(address).await.unwrap(), listener.accept().await.unwrap()));
        }
        assert!(connections(&world.client).iter().all(|&count| count > 0));
    });
}

#[test]
fn a_datagram_socket_hears_all_whatever_queue_they_come_by() {
    world::run(|world: Arc<Hosts>| async move {
        for _ in 0..8 {
            let server = world.server(net::UdpSocket::bind((Hosts::SERVER, 0))).await.unwrap();
            let port = server.local_addr().unwrap().port();
            for port_of_client in 30_000..30_004 {
                let client = world.client.udp_bind(("0.0.0.0", port_of_client));
                let client = client.await.unwrap();
                // Three kilobytes go in fragments, which one shard puts together for whoever owns them.
                for len in [10, 3000] {
                    client.send_to(&vec![1; len], (Hosts::SERVER, port)).await.unwrap();
                    let mut buffer = vec![0; 4000];
                    let (count, from) = server.recv_from(&mut buffer).await.unwrap();
                    assert_eq!((count, from.port()), (len, port_of_client));
                    server.send_to(&buffer[..count], from).await.unwrap();
                    assert_eq!(client.recv(&mut buffer).await.unwrap(), len);
                }
            }
        }
    });
}

#[test]
fn a_host_of_shards_reaches_itself() {
    world::run(|world: Arc<Hosts>| async move {
        let (listener, address) = world::listen(&*world).await;
        let mut outgoing = world.server.tcp_connect(address).await.unwrap();
        let (mut incoming, _) = listener.accept().await.unwrap();
        outgoing.write_all(b"self").await.unwrap();
        let mut buffer = [0; 4];
        incoming.read_exact(&mut buffer).await.unwrap();
        for port in 30_000..30_008 {
            let bind = |port: u16| world.server.udp_bind(("10.0.0.1", port));
            let (one, other) = (bind(port).await.unwrap(), bind(port + 100).await.unwrap());
            one.send_to(b"self", other.local_addr().unwrap()).await.unwrap();
            assert_eq!(other.recv(&mut buffer).await.unwrap(), 4);
        }
    });
}

/// A queue that no runtime can watch: epoll takes no files.
struct Unwatchable(MemoryQueue, File);

impl AsFd for Unwatchable {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.1.as_fd()
    }
}

impl Queue for Unwatchable {
    fn caps(&self) -> DeviceCaps {
        self.0.caps()
    }

    fn name(&self) -> &str {
        self.0.name()
    }

    fn recv(&mut self, buffer: &mut [u8]) -> io::Result<RxFrame> {
        self.0.recv(buffer)
    }

    fn send(&mut self, meta: TxMeta, head: &[u8], payload: [&[u8]; 2]) -> io::Result<()> {
        self.0.send(meta, head, payload)
    }
}

#[test]
fn a_start_that_fails_half_way_is_an_error_and_nothing_more() {
    world::run(|_: Arc<Hosts>| async {
        let pair = || MemoryQueue::pair(Medium::Ip, 1500).unwrap().0;
        let file = File::open(std::env::current_exe().unwrap()).unwrap();
        let queues: Vec<Box<dyn Queue>> = vec![Box::new(pair()), Box::new(Unwatchable(pair(), file))];
        let builder = Net::builder().interface_queues(queues, InterfaceConfig::default());
        assert_eq!(builder.start().unwrap_err().kind(), ErrorKind::PermissionDenied);
    });
}

#[test]
fn queues_of_another_number_are_refused() {
    world::run(|_: Arc<Hosts>| async {
        let pair = || MemoryQueue::pair(Medium::Ip, 1500).unwrap().0;
        let queues = |count: usize| (0..count).map(|_| -> Box<dyn Queue> { Box::new(pair()) }).collect();
        for counts in [&[0][..], &[2, 1]] {
            let add = |builder: NetBuilder, &count: &usize| {
                builder.interface_queues(queues(count), InterfaceConfig::default())
            };
            let refused = counts.iter().fold(Net::builder(), add).start().unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::InvalidInput, "{counts:?}");
        }
    });
}
