//! Two shards over a cable in memory, with their drivers' turns taken by hand.

use std::os::fd::{AsFd, BorrowedFd};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use netloom_device::{MemoryQueue, Offload, RxFrame};
use netloom_stack::link::AddressDetection;
use netloom_stack::transport::{
    ListenOptions, Recv, SendBlockedBy, SocketOptions, TcpBind, TcpInfo, TcpListenerId, TcpSocketId,
};
use netloom_stack::{
    DeviceCaps, EthernetAddress, InterfaceSetup, Medium, OwnedBytes, Rng, StackConfig, TxMeta,
};

use super::*;

/// The text of a super-segment: 45 parts with timestamps.
const LIMIT: usize = 45 * 1448;

fn shared(device: impl Queue + 'static, address: &str) -> Shared {
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

    /// Fills the room there is for text, until the window has room for a few super-segments.
    fn widen(&self) {
        for _ in 0..8 {
            let written = self.write(4 << 20);
            assert!(written < 4 << 20, "there is no room for more");
            self.read(written);
        }
    }

    fn info(&self) -> TcpInfo {
        self.server.with(|shard, _| shard.stack.tcp().info(self.incoming)).unwrap()
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
    pair.widen();
    assert_eq!(pair.write(LIMIT), LIMIT);
    pair.server.turn(Look::Nowhere);
    pair.is_rung();
    let before = pair.frames_sent();
    pair.write(1000);
    assert_eq!(pair.frames_sent(), before, "it waits for more");
    assert_eq!(pair.info().blocked_by, SendBlockedBy::AutoCork);
    assert!(pair.is_rung(), "the driver may be asleep");
    pair.write(1000);
    assert!(!pair.is_rung(), "once a round");
    let turn = pair.server.turn(Look::Nowhere);
    assert_eq!(pair.frames_sent(), before + 1);
    assert!(!turn.is_unfinished);
    pair.read(LIMIT + 2000);
}

#[test]
fn what_waits_behind_a_frame_that_the_device_does_not_take_is_blocked_by_the_device() {
    let pair = Pair::new();
    let is_full = Arc::new(AtomicBool::new(true));
    let is_shut = Arc::clone(&is_full);
    meddle(&pair.server, move |_| {
        if is_shut.load(Ordering::Relaxed) { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
    });
    let blocked = || pair.server.take(|shard| shard.stack.tcp().counters().blocked(SendBlockedBy::Device));
    pair.server.with(|shard, now| shard.stack.tcp().set_nodelay(now, pair.incoming, true)).unwrap();
    pair.write(100);
    assert_eq!(pair.info().blocked_by, SendBlockedBy::Application, "it counts as sent");
    pair.write(200);
    assert_eq!((pair.info().blocked_by, blocked()), (SendBlockedBy::Device, 1));
    let turn = pair.server.turn(Look::Nowhere);
    assert_eq!(turn.stalled, Some(InterfaceId::new(0)));
    assert!(!turn.is_unfinished, "the driver waits for the device");
    assert_eq!(blocked(), 1, "it is the same time");
    is_full.store(false, Ordering::Relaxed);
    pair.read(300);
    assert_eq!(pair.info().blocked_by, SendBlockedBy::Application);
}

/// Asked before each frame that is sent, of whose payload it is shown both parts.
type OnSend = Box<dyn FnMut([&[u8]; 2]) -> io::Result<()> + Send>;

/// A device that somebody meddles with.
struct Meddled {
    inner: Box<dyn Queue>,
    on_send: OnSend,
    /// How it fails to receive, every time: the frame is taken, and gone.
    fails: Option<io::ErrorKind>,
}

impl AsFd for Meddled {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}

impl Queue for Meddled {
    fn caps(&self) -> DeviceCaps {
        self.inner.caps()
    }

    fn recv(&mut self, buffer: &mut [u8]) -> io::Result<RxFrame> {
        let received = self.inner.recv(buffer)?;
        self.fails.map_or(Ok(received), |kind| Err(kind.into()))
    }

    fn send(&mut self, meta: TxMeta, head: &[u8], payload: [&[u8]; 2]) -> io::Result<()> {
        (self.on_send)(payload)?;
        self.inner.send(meta, head, payload)
    }
}

/// Has `on_send` meddle with what a shard sends.
fn meddle(shared: &Shared, on_send: impl FnMut([&[u8]; 2]) -> io::Result<()> + Send + 'static) {
    shared.take(|shard| {
        let inner = shard.devices.remove(0);
        shard.devices.push(Box::new(Meddled { inner, on_send: Box::new(on_send), fails: None }));
    });
}

/// Nothing is copied between the application and the device.
#[test]
fn what_is_lent_reaches_the_device_where_it_lies() {
    const LEN: usize = 1 << 20;
    let pair = Pair::new();
    let block = Arc::new(vec![7; LEN]);
    let lies = block.as_ptr_range();
    let (begin, end) = (lies.start.addr(), lies.end.addr());
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&sent);
    meddle(&pair.server, move |payload| {
        for part in payload.into_iter().filter(|part| !part.is_empty()) {
            let at = part.as_ptr().addr();
            assert!(at >= begin && at + part.len() <= end, "a part of it lies elsewhere");
            counted.fetch_add(part.len(), Ordering::Relaxed);
        }
        Ok(())
    });
    struct Block(Arc<Vec<u8>>);
    impl AsRef<[u8]> for Block {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    let written = pair.server.with(|shard, now| {
        shard.stack.tcp().send_shared(now, pair.incoming, Box::new(Block(Arc::clone(&block))))
    });
    assert_eq!(written, Ok(LEN));
    pair.read(LEN);
    assert_eq!(sent.load(Ordering::Relaxed), LEN, "each byte once");
}

#[test]
fn a_buffer_that_its_reader_has_dropped_comes_back_before_the_next_frame() {
    let pair = Pair::new();
    let tray = pair.client.take(|shard| shard.tray.clone());
    let back = |count: usize| (0..count).for_each(|_| drop(tray.lend(OwnedBytes::from(vec![0; PIECE_LEN]))));
    back(3);
    assert!(tray.take().is_some(), "they lie in the tray");
    pair.client.turn(Look::Everywhere);
    assert_eq!(tray.take(), None, "the stack has them");
}

#[test]
fn what_a_device_has_said_is_heard_though_it_takes_nothing_any_more() {
    let pair = Pair::new();
    meddle(&pair.server, |_| Err(io::ErrorKind::NotConnected.into()));
    let received = || pair.server.look(|shard| shard.stack.counters().frames_received.get());
    let before = received();
    for _ in 0..100 {
        pair.client.with(|shard, now| shard.stack.tcp().send(now, pair.outgoing, b"a")).unwrap();
    }
    pair.client.with(|shard, now| shard.stack.tcp().abort(now, pair.outgoing));
    pair.write(1);
    assert!(received() > before, "what it had sent before");
    assert!(pair.server.look(Shard::check_open).is_err());
    assert_eq!(pair.server.take(|shard| shard.stack.tcp().usage().active), 0, "it was reset");
}

#[test]
fn a_frame_that_is_longer_than_the_mtu_is_lost_and_the_next_one_is_not() {
    let (left, mut right) = MemoryQueue::pair(Medium::Ip, 1500).unwrap();
    let server = shared(left, "10.0.0.1/24");
    let bytes_received = || server.look(|shard| shard.stack.counters().bytes_received.get());
    for (frame_len, received, lost) in
        [(2000, 2000, 0), (3000, 2000, 1), (3000, 5000, 1), (65_535, 70_535, 1)]
    {
        right.send(TxMeta::default(), &vec![0; frame_len], [&[], &[]]).unwrap();
        assert_eq!(server.turn(Look::Everywhere).frame_count, 1);
        let bad = server.look(|shard| shard.stack.counters().drops.get(DropReason::DeviceBadFrame));
        assert_eq!((bytes_received(), bad), (received, lost), "{frame_len}");
    }
}

#[test]
fn a_frame_that_a_device_loses_is_counted_with_its_reason() {
    let failing = |kind: io::ErrorKind| {
        let (inner, other) = MemoryQueue::pair(Medium::Ip, 1500).unwrap();
        let on_send = Box::new(move |_: [&[u8]; 2]| Err(kind.into()));
        let device = Meddled { inner: Box::new(inner), on_send, fails: Some(kind) };
        (shared(device, "10.0.0.1/24"), other)
    };
    for (kind, reason) in [
        (io::ErrorKind::OutOfMemory, DropReason::DeviceNoMemory),
        (io::ErrorKind::NetworkDown, DropReason::DeviceDown),
        (io::ErrorKind::InvalidInput, DropReason::DeviceRefused),
    ] {
        let (shared, _other) = failing(kind);
        let bind = TcpBind { address: None, port: 0 };
        let remote = "10.0.0.2:80".parse().unwrap();
        shared
            .with(|shard, now| shard.stack.tcp().connect(now, bind, remote, &SocketOptions::default()))
            .unwrap();
        assert_eq!(shared.look(|shard| shard.stack.counters().drops.get(reason)), 1, "{kind}");
        assert!(!shared.turn(Look::Nowhere).has_ended, "{kind}");
    }
    let (shared, mut other) = failing(io::ErrorKind::InvalidData);
    other.send(TxMeta::default(), &[0; 100], [&[], &[]]).unwrap();
    assert_eq!(shared.turn(Look::Everywhere).frame_count, 1);
    assert_eq!(shared.look(|shard| shard.stack.counters().drops.get(DropReason::DeviceBadFrame)), 1);
}
