//! What becomes of a host whose address another host takes, and of one of two shards.

use std::time::Duration;

use netloom_base::Instant;
use netloom_conformance::{Host, Plan, Sharded, World};
use netloom_stack::transport::{ListenOptions, SocketOptions, TcpBind, TcpError};
use netloom_stack::{Event, Stack};
use netloom_wire::{ArpOperation, ArpPacket, EtherType, EthernetAddress, EthernetHeader, HeadBuf};

const LIMIT: Duration = Duration::from_secs(10);
const THIEF: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 9]);

/// A frame in which the thief claims `10.0.0.1`.
fn claim() -> Vec<u8> {
    let address = "10.0.0.1".parse().expect("an address");
    let packet = ArpPacket {
        operation: ArpOperation::Request,
        sender_link: THIEF,
        sender_ip: address,
        target_link: EthernetAddress::UNSPECIFIED,
        target_ip: address,
    };
    let mut head = HeadBuf::new();
    let header =
        EthernetHeader { destination: EthernetAddress::BROADCAST, source: THIEF, ether_type: EtherType::ARP };
    header.emit(&mut head);
    [head.as_slice(), &packet.to_bytes()].concat()
}

#[test]
fn connections_of_a_lost_address_end() {
    for shard_count in [1, 2] {
        let plan = Plan { shard_count, ..Plan::default() };
        let ours = Sharded::new(1, &["10.0.0.1/24"], &plan);
        let other = Sharded::new(2, &["10.0.0.2/24"], &Plan::default());
        let mut world = World::new(ours, other, "delay=1ms");
        let bind = TcpBind { address: None, port: 80 };
        world.b.first().tcp().listen(bind, ListenOptions::default()).expect("a listener");
        let remote = "10.0.0.2:80".parse().expect("an address");
        // One of each shard's, though only the first hears of the address.
        let connect = |stack: &mut Stack| {
            let options = SocketOptions::default();
            stack.tcp().connect(Instant::ZERO, TcpBind::default(), remote, &options).expect("begun")
        };
        let ids: Vec<_> = world.a.shards.stacks.iter_mut().map(connect).collect();
        let ends = |host: &mut Sharded| {
            let ends = host.shards.stacks.iter_mut().zip(&ids);
            ends.map(|(stack, &id)| stack.tcp().error(id)).collect::<Vec<_>>()
        };
        world.run_until(LIMIT, |a, _, _| {
            let mut ends = a.shards.stacks.iter_mut().zip(&ids);
            ends.all(|(stack, &id)| stack.tcp().connected(id).expect("no refusal"))
        });

        // The first claim is answered by a defence and changes nothing (RFC 5227 2.4 (b)).
        let now = world.now();
        world.a.handle_frame(now, &claim());
        world.run_for(Duration::from_secs(1));
        assert!(ends(&mut world.a).iter().all(Option::is_none));

        // The second, within ten seconds, wins.
        let now = world.now();
        world.a.handle_frame(now, &claim());
        world.run_for(Duration::from_millis(1));
        assert!(ends(&mut world.a).iter().all(|&end| end == Some(TcpError::ConnectionAborted)));
        let address = "10.0.0.1".parse().expect("an address");
        assert!(!world.a.shards.stacks.iter().any(|stack| stack.internet().is_local(address)));
        assert!(world.a.take_event(|event| matches!(event, Event::AddressConflict { .. })));
    }
}
