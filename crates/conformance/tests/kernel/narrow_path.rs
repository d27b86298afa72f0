//! A path that gets narrower on the way: by a router that says so with ICMP, or by a black hole, where nobody says anything.
//!
//! ```text
//!   netloom  10.0.0.2 -- TAP -- 10.0.0.1  the router's  10.2.0.1 -- veth -- 10.2.0.2  the kernel that is
//!            MTU 1500           namespace (the kernel)                                 the peer, MTU 1500
//! ```
//! The interfaces carry 1500 bytes, the router's routes to both ends fewer: the first full packet of either end comes to a
//! router that may not pass it on. So both ends learn: ours from the router's message, the kernel from the same.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use netloom::stack::Medium;
use netloom::{Cidr, Net};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::gettid;

use crate::lab::{self, Setup, exchange, from_kernel, ip, pattern, read_all, to_kernel, write_and_finish};

/// What each end sends to the other, in each role.
const LEN: usize = 10_000_000;

/// One address family's path.
struct Family {
    ours: &'static str,
    /// The router's address on our side, and on the peer's.
    router: [&'static str; 2],
    peer: &'static str,
    /// Networks of both sides.
    networks: [&'static str; 2],
    prefix_len: u8,
    /// The largest packet that the router passes on to us, and to the peer.
    mtu: [u16; 2],
}

const FAMILIES: [Family; 2] = [
    Family {
        ours: "10.0.0.2",
        router: ["10.0.0.1", "10.2.0.1"],
        peer: "10.2.0.2",
        networks: ["10.0.0.0/24", "10.2.0.0/24"],
        prefix_len: 24,
        mtu: [1000, 800],
    },
    Family {
        ours: "fd00::2",
        router: ["fd00::1", "fd02::1"],
        peer: "fd02::2",
        networks: ["fd00::/64", "fd02::/64"],
        prefix_len: 64,
        mtu: [1400, 1300],
    },
];

/// What the peer's thread is asked for.
enum Request {
    Listen(SocketAddr, Sender<TcpListener>),
    Connect(SocketAddr, Sender<TcpStream>),
}

/// A thread in a namespace of its own, behind the router: sockets made by it stay there.
struct Peer {
    requests: Sender<Request>,
    thread: Option<JoinHandle<()>>,
}

impl Peer {
    /// Makes it, and the wire to it from the calling thread's namespace.
    fn new() -> Self {
        let (requests, inbox) = channel();
        let (tell_id, id) = channel();
        let (tell_wired, wired) = channel();
        let (tell_ready, ready) = channel();
        let thread = std::thread::spawn(move || peer(&tell_id, &wired, &tell_ready, &inbox));
        let id = id.recv().expect("a namespace");
        ip(&format!("link add v0 type veth peer name v1 netns {id}"));
        for family in &FAMILIES {
            ip(&format!("addr add {}/{} dev v0 nodad", family.router[1], family.prefix_len));
        }
        ip("link set v0 up");
        tell_wired.send(()).expect("the peer waits");
        ready.recv().expect("the peer is set up");
        Self { requests, thread: Some(thread) }
    }

    fn listen(&self, address: SocketAddr) -> tokio::net::TcpListener {
        let (reply, answer) = channel();
        self.requests.send(Request::Listen(address, reply)).expect("the peer lives");
        tokio::net::TcpListener::from_std(answer.recv().expect("a listener")).expect("non-blocking")
    }

    /// Connects to `address`, where somebody must be listening.
    async fn connect(&self, address: SocketAddr) -> tokio::net::TcpStream {
        let (reply, answer) = channel();
        self.requests.send(Request::Connect(address, reply)).expect("the peer lives");
        let answer = tokio::task::spawn_blocking(move || answer.recv()).await.expect("a thread");
        tokio::net::TcpStream::from_std(answer.expect("the kernel connects")).expect("non-blocking")
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let (gone, _) = channel();
        // The thread ends with its inbox.
        self.requests = gone;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn peer(tell_id: &Sender<i32>, wired: &Receiver<()>, tell_ready: &Sender<()>, inbox: &Receiver<Request>) {
    unshare(CloneFlags::CLONE_NEWNET).expect("a namespace, as the router has one");
    tell_id.send(gettid().as_raw()).expect("somebody waits");
    wired.recv().expect("a wire");
    for family in &FAMILIES {
        ip(&format!("addr add {}/{} dev v1 nodad", family.peer, family.prefix_len));
    }
    ip("link set v1 up");
    for family in &FAMILIES {
        ip(&format!("route add {} via {}", family.networks[0], family.router[1]));
    }
    tell_ready.send(()).expect("somebody waits");
    while let Ok(request) = inbox.recv() {
        match request {
            Request::Listen(address, reply) => {
                let listener = TcpListener::bind(address).expect("a listener");
                listener.set_nonblocking(true).expect("set");
                let _ = reply.send(listener);
            }
            Request::Connect(address, reply) => {
                let stream = TcpStream::connect(address).expect("the kernel connects");
                stream.set_nonblocking(true).expect("set");
                let _ = reply.send(stream);
            }
        }
    }
}

/// Makes the calling thread's namespace the router between `net` and a peer.
fn route(net: &Net) -> Peer {
    let peer = Peer::new();
    // A router asks for the neighbor of another's packet from a link-local address, or not at all.
    ip("addr add fe80::1/64 dev nl0 nodad");
    for (file, value) in [("ipv4/ip_forward", "1"), ("ipv6/conf/all/forwarding", "1")] {
        std::fs::write(format!("/proc/sys/net/{file}"), value).expect("forwarding");
    }
    for family in &FAMILIES {
        for ((network, mtu), device) in family.networks.iter().zip(family.mtu).zip(["nl0", "v0"]) {
            // Replaced by hand: IPv6's replace leaves a route of another metric where it is.
            ip(&format!("route del {network} dev {device}"));
            ip(&format!("route add {network} dev {device} mtu lock {mtu}"));
        }
        let gateway = family.router[0].parse().expect("an address");
        let network: Cidr = family.networks[1].parse().expect("a CIDR");
        net.inspect(|stack| {
            let interface = stack.internet().addresses().next().expect("an address").interface;
            let route = netloom::stack::internet::Route {
                prefix: network,
                gateway: Some(gateway),
                interface,
                metric: 0,
                source: None,
            };
            stack.routes_mut().insert(route).expect("room for a route");
        });
    }
    peer
}

fn socket_address(address: &str, port: u16) -> SocketAddr {
    SocketAddr::new(address.parse().expect("an address"), port)
}

/// The kernel as client and as server.
async fn both_roles(net: &Net, peer: &Peer, family: &Family) {
    let listener = net.tcp_listen(socket_address(family.ours, 0)).await.expect("a listener");
    let address = listener.local_addr().expect("an address");
    let (theirs, ours) = tokio::join!(peer.connect(address), listener.accept());
    exchange(theirs, ours.expect("we accept").0, LEN).await;
    let listener = peer.listen(socket_address(family.peer, 0));
    let address = listener.local_addr().expect("an address");
    let (theirs, ours) = tokio::join!(listener.accept(), net.tcp_connect(address));
    exchange(theirs.expect("the kernel accepts").0, ours.expect("we connect"), LEN).await;
}

/// What our stack knows of the way to the peer.
fn known_mtu(net: &Net, family: &Family) -> u16 {
    let peer = family.peer.parse().expect("an address");
    // Each shard learns it for itself, and not every one has had a connection.
    net.inspect(|stack| stack.internet().path(None, peer).expect("a route").mtu)
        .into_iter()
        .min()
        .expect("a shard")
}

#[test]
fn a_narrow_path_is_learned_from_icmp() {
    std::thread::scope(|scope| {
        for kind in [Medium::Ethernet, Medium::Ip] {
            scope.spawn(move || {
                let setup = Setup { kind, mtu: 1500, faults: None };
                lab::run_here(&setup, &async |net: Net| {
                    let peer = route(&net);
                    for family in &FAMILIES {
                        assert_eq!(known_mtu(&net, family), 1500, "nothing is known before");
                        both_roles(&net, &peer, family).await;
                        assert_eq!(known_mtu(&net, family), family.mtu[1]);
                    }
                });
            });
        }
    });
}

/// What is sent into a black hole: it is found by timeouts, whose time does not depend on this.
const INTO_BLACK_HOLE: usize = 1_000_000;

#[test]
fn the_kernel_finds_its_way_to_us_through_a_black_hole() {
    if !lab::tries_faults() {
        return;
    }
    std::thread::scope(|scope| {
        for (family, kind) in lab::FAMILIES.into_iter().zip([Medium::Ethernet, Medium::Ip]) {
            scope.spawn(move || {
                // Larger than the 1024 bytes at which the kernel begins to search, with the headers of either family.
                let faults = "in:mtu=1200".parse().expect("faults");
                let setup = Setup { kind, mtu: 1500, faults: Some(faults) };
                lab::run_here(&setup, &async |net: Net| {
                    std::fs::write("/proc/sys/net/ipv4/tcp_mtu_probing", "1").expect("probing");
                    let (theirs, mut ours) = from_kernel(&net, family).await;
                    let bytes = pattern(INTO_BLACK_HOLE, 5);
                    let ((), received) = tokio::join!(write_and_finish(theirs, &bytes), read_all(&mut ours));
                    assert!(received == bytes);
                });
            });
        }
    });
}

#[test]
fn we_find_our_way_to_the_kernel_through_a_black_hole() {
    // [4821-01] [4821-10]
    if !lab::tries_faults() {
        return;
    }
    std::thread::scope(|scope| {
        for family in lab::FAMILIES {
            for kind in [Medium::Ethernet, Medium::Ip] {
                scope.spawn(move || {
                    let faults = "out:mtu=1400".parse().expect("faults");
                    let setup = Setup { kind, mtu: 1500, faults: Some(faults) };
                    lab::run_here(&setup, &async |net: Net| {
                        for is_client in [true, false] {
                            let (mut theirs, ours) = if is_client {
                                to_kernel(&net, family).await
                            } else {
                                from_kernel(&net, family).await
                            };
                            let bytes = pattern(INTO_BLACK_HOLE, 6);
                            let ((), received) =
                                tokio::join!(write_and_finish(ours, &bytes), read_all(&mut theirs));
                            assert!(received == bytes);
                        }
                        let found = net.inspect(|stack| stack.tcp().counters().black_holes.get());
                        assert_eq!(found.iter().sum::<u64>(), 2, "each connection finds it once: {found:?}");
                    });
                });
            }
        }
    });
}
