//! smoltcp as peer, in both roles, in virtual time: of a whole host and of one of two shards, each with all of its work on segments
//! and checksums left to the device, with checksums only, and with nothing.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use netloom_base::Instant;
use netloom_conformance::{Device, Offload, Plan, Sharded, Smoltcp, World};
use netloom_stack::transport::{
    ListenOptions, Recv, SocketOptions, TcpBind, TcpListenerId, TcpSocketId, UdpBind,
};
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

/// What we are on bad cables, which take their time.
const MODES: [Mode; 4] = [
    Mode::new(Offload::Plain, 1),
    Mode::new(Offload::Checksum, 2),
    Mode::new(Offload::Full, 1),
    Mode::new(Offload::Full, 2),
];

type Cable = World<Sharded, Smoltcp>;

/// A connection of ours: its shard, and what that calls it.
type Ours = (usize, TcpSocketId);

/// What we are: what is left to the device, and how many shards.
#[derive(Clone, Copy, Debug)]
struct Mode {
    offload: Offload,
    shard_count: u16,
}

impl Mode {
    const fn new(offload: Offload, shard_count: u16) -> Self {
        Self { offload, shard_count }
    }

    /// Each with each.
    fn all() -> impl Iterator<Item = Self> {
        Offload::ALL.into_iter().flat_map(|offload| [1, 2].map(|count| Self::new(offload, count)))
    }

    fn cable(self) -> Cable {
        self.cable_with("delay=1ms", 1500)
    }

    /// A cable with faults between interfaces with this MTU.
    fn cable_with(self, faults: &str, mtu: u16) -> Cable {
        let Self { offload, shard_count } = self;
        let plan = Plan { offload, shard_count, mtu, ..Plan::default() };
        let ours = Sharded::new(1, &["10.0.0.1/24", "fd00::1/64"], &plan);
        let theirs = Smoltcp::with_mtu(2, &["10.0.0.2/24", "fd00::2/64"], mtu);
        World::new(ours, theirs, faults)
    }

    /// Whether the device has had to do what is its part, and nothing else, in an exchange of many segments. `joins`: whether some
    /// arrive together.
    fn check(self, cable: &Cable, joins: bool) {
        let Device { cut, joined, finished, verified, .. } = cable.a.device;
        let done = [cut, joined, finished, verified].map(|count| count > 0);
        match self.offload {
            Offload::Plain => assert_eq!(done, [false, false, false, false], "{self:?}"),
            Offload::Checksum => assert_eq!(done, [false, false, true, true], "{self:?}"),
            Offload::Full => assert_eq!(done, [true, joins, true, true], "{self:?}"),
        }
        // Some came to the shard that they do not belong to.
        let (handed_over, taken_over) = cable.a.handovers();
        assert_eq!((handed_over > 0, taken_over), (self.shard_count > 1, handed_over), "{self:?}");
    }
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
        // Nobody asks.
        a.sent.clear();
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
}

/// A listener's part at each shard.
fn listen(cable: &mut Cable, port: u16) -> Vec<TcpListenerId> {
    let bind = TcpBind { address: None, port };
    let stacks = cable.a.shards.stacks.iter_mut();
    stacks.map(|stack| stack.tcp().listen(bind, ListenOptions::default()).expect("a listener")).collect()
}

/// What one of the shards has accepted.
fn accept(ours: &mut Sharded, listeners: &[TcpListenerId]) -> Option<Ours> {
    let parts = ours.shards.stacks.iter_mut().zip(listeners).enumerate();
    parts.into_iter().find_map(|(shard, (stack, &listener))| Some((shard, stack.tcp().accept(listener)?.id)))
}

/// The last shard begins a connection.
fn connect(cable: &mut Cable, remote: SocketAddr) -> Ours {
    let now = cable.now();
    let (shard, stack) = cable.a.shards.stacks.iter_mut().enumerate().next_back().expect("a shard");
    let options = SocketOptions::default();
    (shard, stack.tcp().connect(now, TcpBind::default(), remote, &options).expect("begun"))
}

/// smoltcp connects to `address`, and both exchange `len` bytes.
fn exchange_as_server(cable: &mut Cable, len: usize, address: IpAddr) {
    let listener = listen(cable, 80);
    let socket = cable.b.add_tcp();
    cable.b.connect(socket, (address.into(), 80), 50_000);
    exchange(cable, len, |a| accept(a, &listener), socket);
}

/// We connect to smoltcp at `address`, and both exchange `len` bytes.
fn exchange_as_client(cable: &mut Cable, len: usize, address: IpAddress) {
    let socket = cable.b.add_tcp();
    cable.b.tcp(socket).listen(80).expect("listening");
    let (shard, id) = connect(cable, SocketAddr::new(address.into(), 80));
    cable.run_until(LIMIT, |a, _, _| a.shards.stacks[shard].tcp().connected(id).expect("no refusal"));
    exchange(cable, len, |_| Some((shard, id)), socket);
}

#[test]
fn smoltcp_connects_to_us() {
    for mode in Mode::all() {
        for (ours, _) in families() {
            let mut cable = mode.cable();
            exchange_as_server(&mut cable, LEN, ours);
            mode.check(&cable, true);
        }
    }
}

#[test]
fn we_connect_to_smoltcp() {
    for mode in Mode::all() {
        for (_, theirs) in families() {
            let mut cable = mode.cable();
            exchange_as_client(&mut cable, LEN, theirs);
            mode.check(&cable, true);
        }
    }
}

/// Runs `exchange` over every bad cable, side by side on all processors.
fn over_bad_cables(exchange: impl Fn(&mut Cable, usize, (IpAddr, IpAddress)) + Sync) {
    let cases: Vec<_> = FAULTS
        .iter()
        .enumerate()
        .flat_map(|(index, &(faults, mtu))| MODES.map(|mode| (index, faults, mtu, mode)))
        .collect();
    let next = AtomicUsize::new(0);
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(&(index, faults, mtu, mode)) = cases.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    eprintln!("{faults} at {mtu} bytes, {mode:?}");
                    let family = if mtu < 1280 { 0 } else { index % 2 };
                    let mut cable = mode.cable_with(faults, mtu);
                    exchange(&mut cable, LONG, families()[family]);
                    // What waits its turn on the cable comes alone.
                    mode.check(&cable, !faults.contains("rate="));
                }
            });
        }
    });
}

#[test]
fn smoltcp_connects_to_us_over_bad_cables() {
    over_bad_cables(|cable, len, (ours, _)| exchange_as_server(cable, len, ours));
}

#[test]
fn we_connect_to_smoltcp_over_bad_cables() {
    over_bad_cables(|cable, len, (_, theirs)| exchange_as_client(cable, len, theirs));
}

#[test]
fn smoltcp_refuses_on_a_closed_port() {
    for mode in Mode::all() {
        let mut cable = mode.cable();
        let (shard, id) = connect(&mut cable, "10.0.0.2:81".parse().expect("an address"));
        cable.run_until(LIMIT, |a, _, _| a.shards.stacks[shard].tcp().connected(id).is_err());
    }
}

#[test]
fn smoltcp_is_refused_on_a_closed_port() {
    for mode in Mode::all() {
        let mut cable = mode.cable();
        // Ports enough for each shard to refuse, and to get what the other is to refuse.
        for port in 50_000..50_010 {
            let socket = cable.b.add_tcp();
            cable.b.connect(socket, ("10.0.0.1".parse().expect("an address"), 81), port);
            cable.run_until(LIMIT, |_, b, _| b.tcp(socket).state() == tcp::State::Closed);
        }
        for stack in &mut cable.a.shards.stacks {
            assert!(stack.tcp().counters().resets_total() > 0, "{mode:?}");
        }
    }
}

#[test]
fn datagrams_are_echoed_by_smoltcp() {
    for mode in Mode::all() {
        for (_, theirs) in families() {
            let mut cable = mode.cable();
            let socket = cable.b.add_udp();
            cable.b.udp(socket).bind(7).expect("bound");
            for shard in 0..usize::from(mode.shard_count) {
                exchange_datagrams(&mut cable, shard, socket, SocketAddr::new(theirs.into(), 7));
            }
            let Device { finished, verified, .. } = cable.a.device;
            let is_left = mode.offload != Offload::Plain;
            assert_eq!((finished > 0, verified > 0), (is_left, is_left), "{mode:?}");
            let (handed_over, taken_over) = cable.a.handovers();
            assert_eq!((handed_over > 0, taken_over), (mode.shard_count > 1, handed_over), "{mode:?}");
        }
    }
}

/// A socket of one of our shards sends to `remote`, which is `echo`, and hears it again.
fn exchange_datagrams(cable: &mut Cable, shard: usize, echo: SocketHandle, remote: SocketAddr) {
    let id = cable.a.shards.stacks[shard].udp().bind(UdpBind::new(None, 0)).expect("bound");
    for len in [0, 1, 1000, 1400] {
        let bytes = pattern(len, 3);
        cable.a.shards.stacks[shard].udp().send_to(id, remote, None, &bytes).expect("queued");
        let mut buffer = [0; 2000];
        let mut answer = None;
        cable.run_until(LIMIT, |a, b, _| {
            let echo = b.udp(echo);
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
