//! smoltcp as peer, in both roles, in virtual time.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use netloom_base::Instant;
use netloom_conformance::{Ours, Smoltcp, World};
use netloom_stack::StackConfig;
use netloom_stack::transport::{
    ListenOptions, Recv, SocketOptions, TcpBind, TcpListenerId, TcpSocketId, UdpBind,
};
use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp;
use smoltcp::wire::IpAddress;

const LEN: usize = 300_000;
const LIMIT: Duration = Duration::from_secs(300);

type Cable = World<Ours, Smoltcp>;

fn cable() -> Cable {
    let ours = Ours::new(1, &["10.0.0.1/24", "fd00::1/64"], StackConfig::default());
    let theirs = Smoltcp::new(2, &["10.0.0.2/24", "fd00::2/64"]);
    World::new(ours, theirs, Duration::from_millis(1))
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
    fn drive_ours(&mut self, ours: &mut Ours, now: Instant, id: TcpSocketId) {
        let mut tcp = ours.stack.tcp();
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
fn exchange(cable: &mut Cable, ours: impl Fn(&mut Ours) -> Option<TcpSocketId>, theirs: SocketHandle) {
    let (mut left, mut right) = (Side::new(pattern(LEN, 1)), Side::new(pattern(LEN, 2)));
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
    let id = id.expect("a connection");
    let now = cable.now();
    cable.a.stack.tcp().close(now, id);
    cable.run_for(Duration::from_secs(130));
    assert_eq!(cable.a.stack.tcp().usage().live(), 0, "nothing is left");
}

fn listen(cable: &mut Cable, port: u16) -> TcpListenerId {
    let bind = TcpBind { address: None, port };
    cable.a.stack.tcp().listen(bind, ListenOptions::default()).expect("a listener")
}

#[test]
fn smoltcp_connects_to_us() {
    for (ours, _) in families() {
        for loss in [None, Some(50)] {
            let mut cable = cable();
            if let Some(every) = loss {
                cable.lose(every);
            }
            let listener = listen(&mut cable, 80);
            let socket = cable.b.add_tcp();
            cable.b.connect(socket, (ours.into(), 80), 50_000);
            exchange(&mut cable, |a| a.stack.tcp().accept(listener).map(|accepted| accepted.id), socket);
        }
    }
}

#[test]
fn we_connect_to_smoltcp() {
    for (_, theirs) in families() {
        for loss in [None, Some(50)] {
            let mut cable = cable();
            if let Some(every) = loss {
                cable.lose(every);
            }
            let socket = cable.b.add_tcp();
            cable.b.tcp(socket).listen(80).expect("listening");
            let now = cable.now();
            let local = TcpBind { address: None, port: 0 };
            let remote = SocketAddr::new(theirs.into(), 80);
            let id =
                cable.a.stack.tcp().connect(now, local, remote, &SocketOptions::default()).expect("begun");
            cable.run_until(LIMIT, |a, _, _| a.stack.tcp().connected(id).expect("no refusal"));
            exchange(&mut cable, |_| Some(id), socket);
        }
    }
}

#[test]
fn smoltcp_refuses_on_a_closed_port() {
    let mut cable = cable();
    let local = TcpBind { address: None, port: 0 };
    let remote = "10.0.0.2:81".parse().expect("an address");
    let id =
        cable.a.stack.tcp().connect(Instant::ZERO, local, remote, &SocketOptions::default()).expect("begun");
    cable.run_until(LIMIT, |a, _, _| a.stack.tcp().connected(id).is_err());
}

#[test]
fn smoltcp_is_refused_on_a_closed_port() {
    let mut cable = cable();
    let socket = cable.b.add_tcp();
    cable.b.connect(socket, ("10.0.0.1".parse().expect("an address"), 81), 50_000);
    cable.run_until(LIMIT, |_, b, _| b.tcp(socket).state() == tcp::State::Closed);
}

#[test]
fn datagrams_are_echoed_by_smoltcp() {
    for (_, theirs) in families() {
        let mut cable = cable();
        let socket = cable.b.add_udp();
        cable.b.udp(socket).bind(7).expect("bound");
        let id = cable.a.stack.udp().bind(UdpBind::new(None, 0)).expect("bound");
        let remote = SocketAddr::new(theirs.into(), 7);
        for len in [0, 1, 1000, 1400] {
            let bytes = pattern(len, 3);
            cable.a.stack.udp().send_to(id, remote, None, &bytes).expect("queued");
            let mut buffer = [0; 2000];
            let mut answer = None;
            cable.run_until(LIMIT, |a, b, _| {
                let echo = b.udp(socket);
                if let Ok((data, meta)) = echo.recv() {
                    let data = data.to_vec();
                    echo.send_slice(&data, meta.endpoint).expect("queued");
                }
                answer = a.stack.udp().recv_from(id, &mut buffer).ok();
                answer.is_some()
            });
            let answer = answer.expect("an answer");
            assert_eq!(answer.remote, remote);
            assert!(buffer[..answer.len] == bytes[..]);
        }
    }
}
