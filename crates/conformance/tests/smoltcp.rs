//! smoltcp as peer, in both roles, in virtual time: of a host of one shard or two, behind devices with and without offloads.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use netloom_base::Instant;
use netloom_conformance::{Offloads, Sharded, Smoltcp, World};
use netloom_stack::transport::{
    ListenOptions, Recv, SocketOptions, TcpBind, TcpListenerId, TcpSocketId, UdpBind,
};
use netloom_stack::{AddressDetection, Stack};
use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp;
use smoltcp::wire::IpAddress;

/// What each end sends over a good cable.
const LEN: usize = 300_000;
/// What each end sends over a bad one.
const LONG: usize = 10_000_000;
/// Virtual time. smoltcp has no SACK, and after a few losses in a row its timer stands at a minute for a long time.
const LIMIT: Duration = Duration::from_secs(36_000);

/// Bad cables, with the MTU of the interfaces. Below 1280 bytes there is no IPv6.
const FAULTS: &[(&str, u16)] = &[
    ("loss=0.1%,seed=1", 1500),
    ("loss=1%,seed=2", 1500),
    ("loss=3%,seed=3", 1500),
    ("loss=10%,seed=4", 1500),
    ("delay=1ms,loss=1%,burst=4,seed=5", 1500),
    ("delay=2ms,reorder=1%,reorder-by=2ms,seed=6", 1500),
    ("delay=1ms,dup=1%,seed=7", 1500),
    ("delay=1ms,corrupt=1%,seed=8", 1500),
    ("delay=10ms", 1500),
    ("delay=50ms", 1500),
    ("delay=1ms,jitter=1ms,seed=9", 1500),
    // Without congestion control smoltcp sends its whole window at once: a shorter queue loses some of each.
    ("delay=1ms,rate=100mbit,queue=100", 1500),
    ("delay=1ms", 576),
    ("delay=1ms,loss=1%,seed=10", 576),
];

type Cable = World<Sharded, Smoltcp>;
/// Of which shard it is.
type Ours = (usize, TcpSocketId);

/// Every kind of host: how many shards it has, behind which device.
fn kinds() -> impl Iterator<Item = (u16, Offloads)> + Clone {
    Offloads::ALL.into_iter().flat_map(|offloads| [(1, offloads), (2, offloads)])
}

/// Good cables to hosts of every kind.
fn cables() -> impl Iterator<Item = Cable> {
    kinds().map(|kind| cable_with("delay=1ms", 1500, kind))
}

/// A cable with faults between interfaces with this MTU.
fn cable_with(faults: &str, mtu: u16, (shards, offloads): (u16, Offloads)) -> Cable {
    let addresses = ["10.0.0.1/24", "fd00::1/64"];
    let ours = Sharded::behind((offloads, mtu), 1, shards, &addresses, AddressDetection::Off);
    let theirs = Smoltcp::with_mtu(2, &["10.0.0.2/24", "fd00::2/64"], mtu);
    World::new(ours, theirs, faults)
}

/// Both families: `(ours, smoltcp's)`.
fn families() -> [(IpAddr, IpAddress); 2] {
    [
        ("10.0.0.1".parse().expect("an address"), "10.0.0.2".parse().expect("an address")),
        ("fd00::1".parse().expect("an address"), "fd00::2".parse().expect("an address")),
    ]
}

fn pattern(len: usize, seed: usize) -> Vec<u8> {
    (0..len)
        .map(|place| u8::try_from((place * 31 + place / 256 * 7 + seed) % 251).expect("below 251"))
        .collect()
}

/// One side's end of a transfer.
struct Side {
    outgoing: Vec<u8>,
    sent: usize,
    received: Vec<u8>,
    ended: bool,
    closed: bool,
}

impl Side {
    fn new(outgoing: Vec<u8>) -> Self {
        Self { outgoing, sent: 0, received: Vec::new(), ended: false, closed: false }
    }

    /// Moves what can be moved on netloom's side.
    fn drive_ours(&mut self, ours: &mut Sharded, now: Instant, (shard, id): Ours) {
        let mut tcp = ours.shards.stacks[shard].tcp();
        if self.sent < self.outgoing.len() {
            self.sent += tcp.send(now, id, &self.outgoing[self.sent..]).expect("open");
        } else if !self.closed {
            tcp.shutdown_write(now, id).expect("open");
            self.closed = true;
        }
        let mut buffer = [0; 4096];
        while !self.ended {
            match tcp.recv(now, id, &mut buffer).expect("no reset") {
                Recv::Data(count) => self.received.extend_from_slice(&buffer[..count]),
                Recv::EndOfStream => self.ended = true,
                Recv::WouldBlock => break,
            }
        }
    }

    /// Moves what can be moved on smoltcp's side.
    fn drive_theirs(&mut self, socket: &mut tcp::Socket<'_>) {
        if socket.may_send() && self.sent < self.outgoing.len() {
            self.sent += socket.send_slice(&self.outgoing[self.sent..]).expect("open");
        }
        if self.sent == self.outgoing.len()
            && !self.closed
            && socket.state() != tcp::State::Listen
            && socket.may_send()
        {
            socket.close();
            self.closed = true;
        }
        let mut buffer = [0; 4096];
        while socket.can_recv() {
            let count = socket.recv_slice(&mut buffer).expect("data");
            self.received.extend_from_slice(&buffer[..count]);
        }
        let is_opening =
            matches!(socket.state(), tcp::State::Listen | tcp::State::SynSent | tcp::State::SynReceived);
        if !socket.may_recv() && !is_opening {
            self.ended = true;
        }
    }
}

/// Both send everything, close their half, and get everything.
fn exchange(
    cable: &mut Cable,
    len: usize,
    ours: impl Fn(&mut Sharded) -> Option<Ours>,
    theirs: SocketHandle,
) {
    let (mut left, mut right) = (Side::new(pattern(len, 1)), Side::new(pattern(len, 2)));
    let mut id = None;
    cable.run_until(LIMIT, |a, b, now| {
        id = id.or_else(|| ours(a));
        if let Some(id) = id {
            left.drive_ours(a, now, id);
        }
        right.drive_theirs(b.tcp(theirs));
        left.ended && right.ended && left.closed && right.closed
    });
    assert!(left.received == right.outgoing, "netloom got what smoltcp sent");
    assert!(right.received == left.outgoing, "smoltcp got what netloom sent");
    let (shard, id) = id.expect("a connection");
    let now = cable.now();
    cable.a.shards.stacks[shard].tcp().close(now, id);
    cable.run_for(Duration::from_secs(130));
    for stack in &mut cable.a.shards.stacks {
        assert_eq!(stack.tcp().usage().live(), 0, "nothing is left");
    }
    assert_eq!(cable.a.super_segments[0] > 0, cable.a.offloads() == Offloads::Full);
    let tally = cable.a.shards.mail_tally();
    assert_eq!(
        tally.taken > 0,
        cable.a.shards.stacks.len() > 1,
        "what the device steers wrongly is handed over"
    );
}

/// A listener at every shard, as a host has.
fn listen(cable: &mut Cable, port: u16) -> Vec<TcpListenerId> {
    let bind = TcpBind { address: None, port };
    let listen = |stack: &mut Stack| stack.tcp().listen(bind, ListenOptions::default()).expect("a listener");
    cable.a.shards.stacks.iter_mut().map(listen).collect()
}

/// The next connection of any of them.
fn accept(host: &mut Sharded, listeners: &[TcpListenerId]) -> Option<Ours> {
    let mut shards = host.shards.stacks.iter_mut().zip(listeners).enumerate();
    shards.find_map(|(shard, (stack, &listener))| Some((shard, stack.tcp().accept(listener)?.id)))
}

/// Begins a connection at the last shard.
fn connect(cable: &mut Cable, remote: SocketAddr) -> Ours {
    let now = cable.now();
    let shard = cable.a.shards.stacks.len() - 1;
    let mut tcp = cable.a.shards.stacks[shard].tcp();
    let options = SocketOptions::default();
    (shard, tcp.connect(now, TcpBind::default(), remote, &options).expect("begun"))
}

/// smoltcp connects to `address`, and both exchange `len` bytes.
fn exchange_as_server(cable: &mut Cable, len: usize, address: IpAddr) {
    let listeners = listen(cable, 80);
    let socket = cable.b.add_tcp();
    cable.b.connect(socket, (address.into(), 80), 50_000);
    exchange(cable, len, |host| accept(host, &listeners), socket);
}

/// We connect to smoltcp at `address`, and both exchange `len` bytes.
fn exchange_as_client(cable: &mut Cable, len: usize, address: IpAddress) {
    let socket = cable.b.add_tcp();
    cable.b.tcp(socket).listen(80).expect("listening");
    let (shard, id) = connect(cable, SocketAddr::new(address.into(), 80));
    cable.run_until(LIMIT, |a, _, _| a.shards.stacks[shard].tcp().connected(id).expect("no refusal"));
    exchange(cable, len, |_| Some((shard, id)), socket);
}

/// Over a good cable what smoltcp sends at once also arrives at once.
fn assert_joins_what_comes(cable: &Cable) {
    assert_eq!(cable.a.super_segments[1] > 0, cable.a.offloads() == Offloads::Full);
}

#[test]
fn smoltcp_connects_to_us() {
    for (ours, _) in families() {
        for mut cable in cables() {
            exchange_as_server(&mut cable, LEN, ours);
            assert_joins_what_comes(&cable);
        }
    }
}

#[test]
fn we_connect_to_smoltcp() {
    for (_, theirs) in families() {
        for mut cable in cables() {
            exchange_as_client(&mut cable, LEN, theirs);
            assert_joins_what_comes(&cable);
        }
    }
}

/// Runs `exchange` over every bad cable, side by side on all processors; each cable leads to another kind of host, from the one
/// at `first` on.
fn over_bad_cables(first: usize, exchange: impl Fn(&mut Cable, usize, (IpAddr, IpAddress)) + Sync) {
    let next = AtomicUsize::new(0);
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some((index, &(faults, mtu))) =
                    FAULTS.iter().enumerate().nth(next.fetch_add(1, Ordering::Relaxed))
                {
                    let kind = kinds().cycle().nth(first + index).expect("it never ends");
                    eprintln!("{faults} at {mtu} bytes, shards and device {kind:?}");
                    let family = if mtu < 1280 { 0 } else { index % 2 };
                    exchange(&mut cable_with(faults, mtu, kind), LONG, families()[family]);
                }
            });
        }
    });
}

#[test]
fn smoltcp_connects_to_us_over_bad_cables() {
    over_bad_cables(0, |cable, len, (ours, _)| exchange_as_server(cable, len, ours));
}

#[test]
fn we_connect_to_smoltcp_over_bad_cables() {
    over_bad_cables(3, |cable, len, (_, theirs)| exchange_as_client(cable, len, theirs));
}

#[test]
fn smoltcp_refuses_on_a_closed_port() {
    for mut cable in cables() {
        let (shard, id) = connect(&mut cable, "10.0.0.2:81".parse().expect("an address"));
        cable.run_until(LIMIT, |a, _, _| a.shards.stacks[shard].tcp().connected(id).is_err());
    }
}

#[test]
fn smoltcp_is_refused_on_a_closed_port() {
    for mut cable in cables() {
        let socket = cable.b.add_tcp();
        cable.b.connect(socket, ("10.0.0.1".parse().expect("an address"), 81), 50_000);
        cable.run_until(LIMIT, |_, b, _| b.tcp(socket).state() == tcp::State::Closed);
    }
}

#[test]
fn datagrams_are_echoed_by_smoltcp() {
    for (_, theirs) in families() {
        for cable in cables() {
            echo_datagrams(cable, SocketAddr::new(theirs.into(), 7));
        }
    }
}

fn echo_datagrams(mut cable: Cable, remote: SocketAddr) {
    let socket = cable.b.add_udp();
    cable.b.udp(socket).bind(7).expect("bound");
    let shard = cable.a.shards.stacks.len() - 1;
    let id = cable.a.shards.stacks[shard].udp().bind(UdpBind::new(None, 0)).expect("bound");
    for len in [0, 1, 1000, 1400] {
        let bytes = pattern(len, 3);
        cable.a.shards.stacks[shard].udp().send_to(id, remote, None, &bytes).expect("queued");
        let mut buffer = [0; 2000];
        let mut answer = None;
        cable.run_until(LIMIT, |a, b, _| {
            let echo = b.udp(socket);
            if let Ok((data, meta)) = echo.recv() {
                let data = data.to_vec();
                echo.send_slice(&data, meta.endpoint).expect("queued");
            }
            answer = a.shards.stacks[shard].udp().recv_from(id, &mut buffer).ok();
            answer.is_some()
        });
        let answer = answer.expect("an answer");
        assert_eq!(answer.remote, remote);
        assert!(buffer[..answer.len] == bytes[..]);
    }
}
