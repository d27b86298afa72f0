//! Two shards over a cable in memory, with their drivers' turns taken by hand.

use std::pin::pin;
use std::task::{Context, Poll};

use netloom_device::{MemoryQueue, Offload};
use netloom_stack::link::AddressDetection;
use netloom_stack::transport::{
    ListenOptions, Recv, SendBlockedBy, SocketOptions, TcpBind, TcpListenerId, TcpSocketId,
};
use netloom_stack::{EthernetAddress, InterfaceSetup, Medium, Rng, StackConfig};

use super::*;

/// The text of a super-segment: 45 parts with timestamps.
const LIMIT: usize = 45 * 1448;

fn shared(device: MemoryQueue, address: &str) -> Shared {
    let mut stack = Stack::new(StackConfig::default(), Rng::from_number(1));
    let setup = InterfaceSetup { caps: device.caps(), link_address: EthernetAddress([2; 6]) };
    let interface = stack.add_interface(setup);
    stack.add_address(Instant::ZERO, interface, address.parse().unwrap(), AddressDetection::Off).unwrap();
    Shared::new(stack, vec![Box::new(device)], Arc::new([Mailbox::default()]), Arc::default())
}

/// A server's connection and its client's.
struct Pair {
    server: Shared,
    client: Shared,
    incoming: TcpSocketId,
    outgoing: TcpSocketId,
}

impl Pair {
    fn new() -> Self {
        let (left, right) = MemoryQueue::pair_offloading(Medium::Ip, 1500, Offload::Full).unwrap();
        let (server, client) = (shared(left, "10.0.0.1/24"), shared(right, "10.0.0.2/24"));
        let bind = |port| TcpBind { address: None, port };
        let listener: TcpListenerId =
            server.with(|shard, _| shard.stack.tcp().listen(bind(80), ListenOptions::default())).unwrap();
        let remote = "10.0.0.1:80".parse().unwrap();
        let outgoing = client
            .with(|shard, now| shard.stack.tcp().connect(now, bind(0), remote, &SocketOptions::default()))
            .unwrap();
        for _ in 0..2 {
            server.turn(Look::Everywhere);
            client.turn(Look::Everywhere);
        }
        server.turn(Look::Everywhere);
        let incoming = server.with(|shard, _| shard.stack.tcp().accept(listener)).unwrap().id;
        Self { server, client, incoming, outgoing }
    }

    fn write(&self, len: usize) -> usize {
        let text = vec![1; len];
        self.server.with(|shard, now| shard.stack.tcp().send(now, self.incoming, &text)).unwrap()
    }

    /// Reads so many bytes.
    fn read(&self, len: usize) {
        let mut buffer = vec![0; 1 << 20];
        let mut rest = len;
        while rest > 0 {
            self.server.turn(Look::Everywhere);
            self.client.turn(Look::Everywhere);
            let received =
                self.client.with(|shard, now| shard.stack.tcp().recv(now, self.outgoing, &mut buffer));
            match received.unwrap() {
                Recv::Data(count) => rest -= count,
                Recv::WouldBlock => {}
                Recv::EndOfStream => panic!("{rest} bytes are missing"),
            }
        }
    }

    fn frames_sent(&self) -> u64 {
        self.server.look(|shard| shard.stack.counters().frames_sent.get())
    }

    /// Whether the server's driver was rung for.
    fn is_rung(&self) -> bool {
        let rung = pin!(self.server.rung());
        rung.poll(&mut Context::from_waker(Waker::noop())) == Poll::Ready(())
    }
}

#[test]
fn what_waits_for_its_writer_rings_for_the_driver_and_leaves_with_its_next_turn() {
    let pair = Pair::new();
    // A writer that fills the room there is, until the window has room for a few super-segments.
    for _ in 0..8 {
        let written = pair.write(4 << 20);
        assert!(written < 4 << 20, "there is no room for more");
        pair.read(written);
    }
    assert_eq!(pair.write(LIMIT), LIMIT);
    pair.server.turn(Look::Nowhere);
    pair.is_rung();
    let before = pair.frames_sent();
    pair.write(1000);
    assert_eq!(pair.frames_sent(), before, "it waits for more");
    let info = pair.server.with(|shard, _| shard.stack.tcp().info(pair.incoming)).unwrap();
    assert_eq!(info.blocked_by, SendBlockedBy::AutoCork);
    assert!(pair.is_rung(), "the driver may be asleep");
    pair.write(1000);
    assert!(!pair.is_rung(), "once a round");
    let turn = pair.server.turn(Look::Nowhere);
    assert_eq!(pair.frames_sent(), before + 1);
    assert!(!turn.is_unfinished);
    pair.read(LIMIT + 2000);
}
