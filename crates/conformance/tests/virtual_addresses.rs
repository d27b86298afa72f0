//! What becomes of a host whose address another host takes.

use std::time::Duration;

use netloom_base::Instant;
use netloom_conformance::{Host, Ours, World};
use netloom_stack::transport::{ListenOptions, SocketOptions, TcpBind, TcpError};
use netloom_stack::{Event, StackConfig};
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
    let ours = Ours::new(1, &["10.0.0.1/24"], StackConfig::default());
    let other = Ours::new(2, &["10.0.0.2/24"], StackConfig::default());
    let mut world = World::new(ours, other, "delay=1ms");
    let bind = TcpBind { address: None, port: 80 };
    world.b.stack.tcp().listen(bind, ListenOptions::default()).expect("a listener");
    let remote = "10.0.0.2:80".parse().expect("an address");
    let local = TcpBind { address: None, port: 0 };
    let mut tcp = world.a.stack.tcp();
    let id = tcp.connect(Instant::ZERO, local, remote, &SocketOptions::default()).expect("begun");
    world.run_until(LIMIT, |a, _, _| a.stack.tcp().connected(id).expect("no refusal"));

    // The first claim is answered by a defence and changes nothing (RFC 5227 2.4 (b)).
    let now = world.now();
    world.a.handle_frame(now, &claim());
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.a.stack.tcp().error(id), None);

    // The second, within ten seconds, wins.
    let now = world.now();
    world.a.handle_frame(now, &claim());
    world.run_for(Duration::from_millis(1));
    assert_eq!(world.a.stack.tcp().error(id), Some(TcpError::ConnectionAborted));
    assert!(!world.a.stack.internet().is_local("10.0.0.1".parse().expect("an address")));
    assert!(world.a.take_event(|event| matches!(event, Event::AddressConflict { .. })));
}
