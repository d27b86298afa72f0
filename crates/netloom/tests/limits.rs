//! What a connection may hold, and that nothing is left of it.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::future::{Future, poll_fn};
use std::io::ErrorKind;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use netloom::device::{MemoryQueue, Queue};
use netloom::stack::transport::ProbeCause;
use netloom::stack::{Medium, PIECE_LEN};
use netloom::{AddressDetection, InterfaceConfig, Net, TcpStream, Usage};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::timeout;

#[path = "sockets/leaks.rs"]
mod leaks;

/// No test takes longer.
const LIMIT: Duration = Duration::from_secs(60);
/// What one connection may hold: half of it in each direction.
const CAP: usize = 128 << 10;
const CONNECTIONS: usize = 8;

/// Two hosts of so many shards, the queues of one wired to those of the other.
fn hosts(shard_count: usize) -> [Net; 2] {
    let wires = (0..shard_count).map(|_| MemoryQueue::pair(Medium::Ethernet, 1500).unwrap());
    let (lefts, rights): (Vec<_>, Vec<_>) = wires.unzip();
    [(lefts, "10.0.0.1/24"), (rights, "10.0.0.2/24")].map(|(queues, address)| {
        let config = InterfaceConfig {
            addresses: vec![address.parse().unwrap()],
            detection: AddressDetection::Off,
            ..InterfaceConfig::default()
        };
        let queues = queues.into_iter().map(|queue| Box::new(queue) as Box<dyn Queue>).collect();
        let builder = Net::builder().connection_memory(CAP).interface_queues(queues, config);
        builder.spin(Duration::ZERO).start().unwrap()
    })
}

/// Runs the test with hosts of one shard and of two.
fn run(test: impl AsyncFn([Net; 2])) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for shard_count in [1, 2] {
        let test = async { timeout(LIMIT, test(hosts(shard_count))).await };
        runtime.block_on(test).unwrap_or_else(|_| panic!("of {shard_count} shards it does not end in time"));
    }
}

/// The sum over all shards.
fn sum(net: &Net, count: impl Fn(&Usage) -> usize) -> usize {
    net.usage().iter().map(count).sum()
}

fn waits(net: &Net) -> usize {
    sum(net, |usage| usage.waits)
}

fn held(net: &Net) -> usize {
    sum(net, |usage| usage.tcp.buffer_bytes)
}

/// Writes until there is no room for a while; how much that was.
async fn fill(stream: &TcpStream, mut watch: impl FnMut()) -> usize {
    let block = vec![5; 10_000];
    let mut written = 0;
    while timeout(Duration::from_millis(300), stream.writable()).await.is_ok() {
        match stream.try_write(&block) {
            Ok(count) => written += count,
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
        watch();
    }
    written
}

#[test]
fn a_connection_holds_no_more_than_its_cap_and_slows_itspeer() {
    run(async |[server, client]| {
        let listener = server.tcp_listen("10.0.0.1:80").await.unwrap();
        let mut streams = Vec::new();
        for _ in 0..CONNECTIONS {
            let outgoing = client.tcp_connect(listener.local_addr().unwrap()).await.unwrap();
            streams.push((listener.accept().await.unwrap().0, outgoing));
        }
        let watch = || {
            for net in [&server, &client] {
                // Queues are made of pieces, the last of which is not full.
                assert!(held(net) <= CONNECTIONS * (CAP + 2 * PIECE_LEN), "{} bytes", held(net));
                net.inspect(|stack| {
                    for (_, info) in stack.tcp().connections() {
                        assert!(info.receive_queue_len <= CAP / 2 && info.send_queue_len <= CAP / 2);
                    }
                });
            }
        };
        // Nobody reads: each way holds a buffer's worth at either end, and then the writer waits.
        let mut written = Vec::new();
        for (incoming, outgoing) in &streams {
            written.push((fill(outgoing, watch).await, fill(incoming, watch).await));
        }
        assert!(written.iter().all(|&(up, down)| up <= CAP && down <= CAP), "{written:?}");
        assert!(written.iter().all(|&(up, down)| up > CAP / 4 && down > CAP / 4), "{written:?}");
        // Nothing of it was lost.
        for ((incoming, outgoing), (up, down)) in streams.into_iter().zip(written) {
            let mut pair = [(incoming, up), (outgoing, down)];
            for (stream, expected) in &mut pair {
                let mut rest = vec![0; *expected];
                stream.read_exact(&mut rest).await.unwrap();
                assert!(rest.iter().all(|&byte| byte == 5));
            }
        }
        drop(listener);
        leaks::end([server, client]).await;
    });
}

#[test]
fn at_the_cap_the_window_is_shut_until_the_application_reads() {
    run(async |[server, client]| {
        let listener = server.tcp_listen("10.0.0.1:80").await.unwrap();
        let outgoing = client.tcp_connect("10.0.0.1:80").await.unwrap();
        let (mut incoming, _) = listener.accept().await.unwrap();
        let written = fill(&outgoing, || {}).await;
        let (full, peer) = (|| incoming.info().unwrap(), || outgoing.info().unwrap());
        // What is offered is less than one segment, and the peer knows.
        assert!(full().rcv_wnd < peer().mss && peer().snd_wnd < peer().mss);
        let of_window = [ProbeCause::WindowShut, ProbeCause::WindowTooSmall];
        let probes = || -> u64 {
            let counted = |cause| client.inspect(|stack| stack.tcp().counters().probes(cause));
            of_window.into_iter().flat_map(counted).sum()
        };
        let (queued, in_buffers) = (full().receive_queue_len, held(&server));
        assert!(queued <= CAP / 2 && in_buffers <= CAP / 2 + PIECE_LEN, "{queued} bytes in {in_buffers}");
        // It has more, and asks again and again; nothing of it is taken.
        assert!(peer().send_queue_len > 0);
        let before = probes();
        while probes() < before + 2 {
            tokio::task::yield_now().await;
        }
        assert!(full().receive_queue_len - queued < usize::try_from(peer().mss).unwrap());
        assert_eq!(held(&server), in_buffers);
        assert!(full().rcv_wnd < peer().mss && peer().snd_wnd < peer().mss);
        // Once it is read, the window opens, the rest comes, and there is room to write again.
        let mut all = vec![0; written];
        incoming.read_exact(&mut all).await.unwrap();
        outgoing.writable().await.unwrap();
        while outgoing.info().unwrap().snd_wnd < 4 * outgoing.info().unwrap().mss {
            tokio::task::yield_now().await;
        }
        drop((listener, incoming, outgoing));
        leaks::end([server, client]).await;
    });
}

#[test]
fn a_task_is_listed_once_however_often_it_asks() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ask = async |net: Net| {
        let socket = net.udp_bind("10.0.0.1:0").await.unwrap();
        let mut buffer = [0; 8];
        let mut receiving = pin!(socket.recv(&mut buffer));
        for _ in 0..50 {
            assert!(poll_fn(|cx| Poll::Ready(receiving.as_mut().poll(cx))).await.is_pending());
            tokio::task::yield_now().await;
        }
        assert_eq!(net.usage()[0].waits, 1);
    };
    // The runtime's first task, whose waker is unlike its clones, and one that is spawned.
    let test = async {
        let (net, peer) = Net::pair("10.0.0.1/24", "10.0.0.2/24").unwrap();
        ask(net.clone()).await;
        tokio::spawn(ask(net.clone())).await.unwrap();
        leaks::end([net, peer]).await;
    };
    runtime.block_on(async { timeout(LIMIT, test).await }).expect("it ends in time");
}

/// A task that counts how often it is woken.
#[derive(Default)]
struct Counting(AtomicUsize);

impl Wake for Counting {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_stream_that_many_tasks_poll_in_turn_remembers_the_last_of_them() {
    const TASKS: usize = 100;
    run(async |[server, client]| {
        let listener = server.tcp_listen("10.0.0.1:80").await.unwrap();
        let mut outgoing = client.tcp_connect("10.0.0.1:80").await.unwrap();
        let (mut incoming, _) = listener.accept().await.unwrap();
        let written = fill(&outgoing, || {}).await;
        // Each drops what it polled, and leaves its place to the next: one that reads, and one that writes.
        let tasks: [Arc<Counting>; TASKS] = std::array::from_fn(|_| Arc::default());
        for task in &tasks {
            let waker = Waker::from(Arc::clone(task));
            let mut cx = Context::from_waker(&waker);
            let mut buffer = [0; 8];
            let mut buffer = ReadBuf::new(&mut buffer);
            assert!(Pin::new(&mut outgoing).poll_read(&mut cx, &mut buffer).is_pending());
            assert!(Pin::new(&mut outgoing).poll_write(&mut cx, &[1]).is_pending());
            // Nobody's turn is over.
            tokio::task::yield_now().await;
        }
        // One connection is waited for, and one more stands where this task has given up waiting for room.
        assert_eq!(waits(&client), 2);
        let woken = |task: usize| tasks[task].0.load(Ordering::Relaxed);
        let (last, others) = (TASKS - 1, 0..TASKS - 1);
        incoming.read_exact(&mut vec![0; written]).await.unwrap();
        incoming.try_write(b"x").unwrap();
        // Once for room, and once for what there is to read.
        while woken(last) < 2 {
            tokio::task::yield_now().await;
        }
        assert!(others.into_iter().all(|task| woken(task) == 0));
        drop((listener, incoming, outgoing));
        leaks::end([server, client]).await;
    });
}

#[test]
fn tasks_that_give_up_leave_nothing_with_a_socket_that_lives() {
    const TASKS: usize = 100;
    run(async |[server, client]| {
        let listener = Arc::new(server.tcp_listen("10.0.0.1:80").await.unwrap());
        let outgoing = client.tcp_connect(listener.local_addr().unwrap()).await.unwrap();
        let incoming = Arc::new(listener.accept().await.unwrap().0);
        let datagrams = Arc::new(server.udp_bind("10.0.0.1:0").await.unwrap());
        let any = Arc::new(server.udp_bind_any().await.unwrap());
        let echoes = Arc::new(server.icmp_bind("0.0.0.0".parse().unwrap()).await.unwrap());
        let tasks: Vec<_> = (0..TASKS)
            .map(|_| {
                let (listener, incoming) = (Arc::clone(&listener), Arc::clone(&incoming));
                let (datagrams, any, echoes) =
                    (Arc::clone(&datagrams), Arc::clone(&any), Arc::clone(&echoes));
                tokio::spawn(async move {
                    let (mut one, mut other) = ([0; 8], [0; 8]);
                    tokio::select! {
                        _ = listener.accept() => {}
                        _ = incoming.readable() => {}
                        _ = datagrams.recv_from(&mut one) => {}
                        _ = any.recv_from(&mut other) => {}
                        _ = echoes.recv() => {}
                    }
                })
            })
            .collect();
        while waits(&server) < 5 * TASKS {
            tokio::task::yield_now().await;
        }
        for task in tasks {
            task.abort();
            assert!(task.await.unwrap_err().is_cancelled());
        }
        // Each socket has a place at each shard that has something for it.
        assert!(waits(&server) <= 5 * server.shard_count(), "{} entries are left", waits(&server));
        drop((listener, incoming, outgoing, datagrams, any, echoes));
        leaks::end([server, client]).await;
    });
}

#[test]
fn who_gives_up_one_of_two_waits_is_still_told() {
    run(async |[server, client]| {
        let socket = Arc::new(server.udp_bind("10.0.0.1:0").await.unwrap());
        let address = socket.local_addr().unwrap();
        let wait_for = async |count: usize| {
            while waits(&server) < count {
                tokio::task::yield_now().await;
            }
        };
        let first = Arc::clone(&socket);
        let first = tokio::spawn(async move { first.recv(&mut [0; 8]).await.unwrap() });
        wait_for(1).await;
        let second = tokio::spawn(async move {
            let (mut one, mut other) = ([0; 8], [0; 8]);
            let mut kept = pin!(socket.recv(&mut one));
            let mut given_up = Some(Box::pin(socket.recv(&mut other)));
            poll_fn(|cx| {
                let polled = kept.as_mut().poll(cx);
                if let Some(mut other) = given_up.take() {
                    assert!(other.as_mut().poll(cx).is_pending());
                }
                polled
            })
            .await
            .unwrap()
        });
        wait_for(2).await;
        let sender = client.udp_bind("10.0.0.2:0").await.unwrap();
        for _ in 0..2 {
            sender.send_to(b"each", address).await.unwrap();
        }
        assert_eq!((first.await.unwrap(), second.await.unwrap()), (4, 4));
        drop(sender);
        leaks::end([server, client]).await;
    });
}
