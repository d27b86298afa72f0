//! Several stacks that are one host, behind a device that steers every frame to the next of them.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use netloom_conformance::{Host, Plan, Sharded, World};
use netloom_stack::transport::{ListenOptions, Recv, SocketOptions, TcpBind, TcpSocketId, UdpBind};
use netloom_stack::{AddressDetection, DropReason};
use netloom_wire::{ArpOperation, ArpPacket, EtherType, EthernetFrame, Ipv4Packet, Ipv6Packet, Protocol};

const COUNT: u16 = 3;
const LIMIT: Duration = Duration::from_secs(60);

type Hosts = World<Sharded, Sharded>;

/// A whole host, and one of shards at 10.0.0.2 and fd00::2.
fn world(detection: AddressDetection) -> Hosts {
    let peer = Sharded::new(1, &["10.0.0.1/24", "fd00::1/64"], &Plan::default());
    let plan = Plan { shard_count: COUNT, detection, ..Plan::default() };
    World::new(peer, Sharded::new(2, &["10.0.0.2/24", "fd00::2/64"], &plan), "none")
}

fn sharded(port: u16, family: u8) -> SocketAddr {
    let address = if family == 4 { "10.0.0.2" } else { "fd00::2" };
    SocketAddr::new(address.parse().unwrap(), port)
}

/// What was sent since the last time, by its kind.
fn sent(world: &mut Hosts) -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    for (_, frame) in world.b.sent.drain(..) {
        *kinds.entry(kind(&frame)).or_default() += 1;
    }
    kinds
}

fn kind(frame: &[u8]) -> String {
    let frame = EthernetFrame::parse(frame).unwrap();
    let (protocol, payload) = match frame.header.ether_type {
        EtherType::ARP => {
            let packet = ArpPacket::parse(frame.payload).unwrap();
            return match packet.operation {
                ArpOperation::Reply => "arp reply".into(),
                ArpOperation::Request if packet.sender_ip == Ipv4Addr::UNSPECIFIED => "arp probe".into(),
                ArpOperation::Request if packet.sender_ip == packet.target_ip => "announcement".into(),
                ArpOperation::Request => "arp request".into(),
            };
        }
        EtherType::IPV4 => {
            let packet = Ipv4Packet::parse(frame.payload).unwrap();
            (packet.header.protocol, packet.payload)
        }
        _ => {
            let packet = Ipv6Packet::parse(frame.payload).unwrap();
            // A report of groups is behind a header of options.
            if packet.header.next_header == Protocol::HOP_BY_HOP {
                return "mld report".into();
            }
            (packet.header.next_header, packet.payload)
        }
    };
    match protocol {
        Protocol::TCP => if payload[13] & 4 != 0 { "reset" } else { "segment" }.into(),
        Protocol::UDP => "datagram".into(),
        Protocol::ICMP => format!("icmp {}", payload[0]),
        _ => format!("icmp6 {}", payload[0]),
    }
}

fn count(kinds: &BTreeMap<String, usize>, kind: &str) -> usize {
    kinds.get(kind).copied().unwrap_or(0)
}

fn listen(world: &mut Hosts, port: u16) {
    for stack in &mut world.b.shards.stacks {
        stack.tcp().listen(TcpBind { address: None, port }, ListenOptions::default()).unwrap();
    }
}

fn connect(world: &mut Hosts, to: SocketAddr) -> TcpSocketId {
    let now = world.now();
    world.a.first().tcp().connect(now, TcpBind::default(), to, &SocketOptions::default()).unwrap()
}

#[test]
fn connections_reach_their_owner_and_carry_bytes_both_ways() {
    let mut world = world(AddressDetection::Off);
    listen(&mut world, 80);
    let ids: Vec<_> =
        [4, 6].into_iter().cycle().take(30).map(|family| connect(&mut world, sharded(80, family))).collect();
    world.run_until(LIMIT, |a, _, _| ids.iter().all(|&id| a.first().tcp().connected(id) == Ok(true)));
    for &id in &ids {
        let now = world.now();
        assert_eq!(world.a.first().tcp().send(now, id, &[7; 9000]), Ok(9000));
    }
    // Each shard sends back what its connections got.
    let mut back = vec![0; ids.len()];
    world.run_until(LIMIT, |a, b, now| {
        for stack in &mut b.shards.stacks {
            let held: Vec<_> = stack.tcp().connections().map(|(id, _)| id).collect();
            let listeners: Vec<_> = stack.tcp().listeners().map(|listener| listener.id).collect();
            for listener in listeners {
                while stack.tcp().accept(listener).is_some() {}
            }
            for id in held {
                let mut buffer = [0; 2000];
                if let Ok(Recv::Data(len)) = stack.tcp().recv(now, id, &mut buffer) {
                    assert_eq!(stack.tcp().send(now, id, &buffer[..len]), Ok(len));
                }
            }
        }
        for (&id, back) in ids.iter().zip(&mut back) {
            let mut buffer = [0; 2000];
            while let Ok(Recv::Data(len)) = a.first().tcp().recv(now, id, &mut buffer) {
                *back += len;
            }
        }
        back.iter().all(|&len| len == 9000)
    });
    let owned: Vec<_> =
        world.b.shards.stacks.iter_mut().map(|stack| stack.tcp().usage().connections).collect();
    assert_eq!(owned.iter().sum::<usize>(), ids.len());
    assert!(owned.iter().all(|&count| count > 0), "{owned:?}");
    assert_eq!(count(&sent(&mut world), "reset"), 0);
    for stack in &world.b.shards.stacks {
        assert_eq!(stack.counters().drops.get(DropReason::HandoverFull), 0);
    }
}

#[test]
fn a_shard_connects_from_ports_that_make_the_connection_its_own() {
    let mut world = world(AddressDetection::Off);
    world.a.first().tcp().listen(TcpBind { address: None, port: 80 }, ListenOptions::default()).unwrap();
    let now = world.now();
    let mut ids = Vec::new();
    for shard in 0..usize::from(COUNT) {
        for address in ["10.0.0.1:80", "[fd00::1]:80"] {
            let mut tcp = world.b.shards.stacks[shard].tcp();
            let to = address.parse().unwrap();
            ids.push((shard, tcp.connect(now, TcpBind::default(), to, &SocketOptions::default()).unwrap()));
        }
    }
    world.run_until(LIMIT, |_, b, _| {
        ids.iter().all(|&(shard, id)| b.shards.stacks[shard].tcp().connected(id) == Ok(true))
    });
    // One question for each address of each shard's cache, and no answer that nobody asked for.
    let kinds = sent(&mut world);
    assert_eq!(count(&kinds, "reset"), 0);
    assert!(count(&kinds, "arp request") <= usize::from(COUNT), "{kinds:?}");
}

#[test]
fn what_nobody_wants_is_refused_once() {
    for turn in 0..usize::from(COUNT) {
        for family in [4, 6] {
            let mut world = world(AddressDetection::Off);
            for _ in 0..turn {
                world.b.handle_frame(world.now(), &[0; 60]);
            }
            world.run_for(Duration::from_secs(5));
            sent(&mut world);
            let id = connect(&mut world, sharded(9, family));
            world.run_until(LIMIT, |a, _, _| a.first().tcp().connected(id).is_err());
            world.run_for(Duration::from_secs(5));
            let kinds = sent(&mut world);
            assert_eq!(count(&kinds, "reset"), 1, "{family} {kinds:?}");
            // A datagram in one piece, and one in three, which one shard puts together for the port's.
            for len in [10, 3500] {
                for port in 9..14 {
                    let now = world.now();
                    let socket = world.a.first().udp().bind(UdpBind::new(None, 0)).unwrap();
                    let to = sharded(port, family);
                    world.a.first().udp().send_to(socket, to, None, &vec![1; len]).unwrap();
                    world.run_for(Duration::from_millis(100));
                    let kinds = sent(&mut world);
                    let unreachable = if family == 4 { "icmp 3" } else { "icmp6 1" };
                    assert_eq!(count(&kinds, unreachable), 1, "{now} {to} {len} {kinds:?}");
                }
            }
        }
    }
}

#[test]
fn only_the_first_shard_tries_out_announces_and_answers() {
    let mut world = world(AddressDetection::Probe);
    assert!(world.b.shards.stacks.iter().skip(1).all(|stack| stack.internet().addresses().count() == 0));
    world.run_for(Duration::from_secs(20));
    let shards: Vec<_> = world.b.sent.iter().map(|&(shard, _)| shard).collect();
    let kinds = sent(&mut world);
    assert!(shards.iter().all(|&shard| shard == 0), "{kinds:?}");
    assert_eq!((count(&kinds, "arp probe"), count(&kinds, "announcement")), (3, 2));
    // fd00::2 and the link-local address, once each: tried out, and told.
    assert_eq!((count(&kinds, "icmp6 135"), count(&kinds, "icmp6 136")), (2, 2));
    let usable = |stack: &netloom_stack::Stack| -> BTreeSet<IpAddr> {
        let addresses = stack.internet().addresses().filter(|address| address.state.is_usable());
        addresses.map(|address| address.cidr.address()).collect()
    };
    assert_eq!(usable(&world.b.shards.stacks[0]).len(), 3);
    for stack in &world.b.shards.stacks {
        assert_eq!(usable(stack), usable(&world.b.shards.stacks[0]));
    }
    // A question comes to each shard in turn; the first answers.
    for _ in 0..6 {
        let peer = Sharded::new(7, &["10.0.0.7/24", "fd00::7/64"], &Plan::default());
        let mut other =
            World::new(peer, std::mem::replace(&mut world.b, Sharded::new(9, &[], &Plan::default())), "none");
        for family in [4, 6] {
            let socket = other.a.first().udp().bind(UdpBind::new(None, 0)).unwrap();
            other.a.first().udp().send_to(socket, sharded(53, family), None, b"x").unwrap();
        }
        other.run_for(Duration::from_millis(500));
        let kinds = sent(&mut other);
        assert_eq!((count(&kinds, "arp reply"), count(&kinds, "icmp6 136")), (1, 1), "{kinds:?}");
        world.b = other.b;
    }
}

#[test]
fn a_group_is_reported_by_the_first_shard_for_all() {
    let mut world = world(AddressDetection::Off);
    world.run_for(Duration::from_secs(20));
    sent(&mut world);
    let group: IpAddr = "ff05::1234".parse().unwrap();
    let mut sockets = Vec::new();
    for stack in &mut world.b.shards.stacks {
        let socket = stack.udp().bind(UdpBind::new(None, 0)).unwrap();
        stack.udp().join_group(socket, group, None).unwrap();
        sockets.push((socket, stack.udp().local_addr(socket).unwrap().port));
    }
    world.run_for(Duration::from_secs(20));
    let shards: Vec<_> = world.b.sent.iter().map(|&(shard, _)| shard).collect();
    assert!(shards.iter().all(|&shard| shard == 0) && count(&sent(&mut world), "mld report") > 0);
    for &(_, port) in &sockets {
        let socket = world.a.first().udp().bind(UdpBind::new(None, 0)).unwrap();
        world.a.first().udp().send_to(socket, SocketAddr::new(group, port), None, b"x").unwrap();
    }
    world.run_for(Duration::from_secs(1));
    for (stack, &(socket, _)) in world.b.shards.stacks.iter_mut().zip(&sockets) {
        assert!(stack.udp().is_readable(socket));
        stack.udp().close(socket);
    }
    // The last has left.
    world.run_for(Duration::from_secs(20));
    assert!(!world.b.shards.stacks[0].internet().groups().any(|(_, joined)| joined == group));
}
