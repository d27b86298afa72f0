//! Interfaces that take packets for any destination.

use netloom_base::{DropReason, NextHop};
use netloom_l3_internet::{InterfaceConfig, NoRoute};
use netloom_wire::{CastKind, IcmpErrorKind, Icmpv4Message, Icmpv6Message, Ipv4Packet, Ipv6Packet, Protocol};

use crate::support::*;

both_families! {
    fn a_packet_for_anybody_is_ours_only_where_that_was_asked_for(family) {
        let mut host = Host::tun();
        host.internet.add_interface(InterfaceConfig { mtu: 1500, link_address: None });
        let bytes = udp(family.peer(), family.far(), b"x");
        assert_eq!(host.input(&bytes), Err(DropReason::IpNotForUs));
        host.internet.set_accept_any(IF0, true);
        let outcome = host.input(&bytes);
        assert!(matches!(outcome, Ok(Outcome::Delivered { cast: CastKind::Unicast, .. })), "{outcome:?}");
        assert_eq!(host.input_on(IF1, CastKind::Unicast, &bytes), Err(DropReason::IpNotForUs));
        // What no host can have stays nobody's.
        let loopback = udp(family.peer(), family.loopback(), b"x");
        assert_eq!(host.input(&loopback), Err(DropReason::IpBadDestination));
        host.internet.set_accept_any(IF0, false);
        assert_eq!(host.input(&bytes), Err(DropReason::IpNotForUs));
    }

    fn nothing_is_forwarded_from_where_everything_is_taken(family) {
        let mut host = Host::router();
        let bytes = udp(family.peer(), family.other_peer(), b"x");
        assert!(matches!(host.input(&bytes), Ok(Outcome::Forwarded(_))));
        host.internet.set_accept_any(IF0, true);
        assert!(matches!(host.input(&bytes), Ok(Outcome::Delivered { .. })));
    }

    // [1122-I013]
    fn a_foreign_source_leaves_only_where_foreign_destinations_come_in(family) {
        let mut host = Host::tun();
        host.internet.add_interface(InterfaceConfig { mtu: 1400, link_address: None });
        host.add_address(IF1, family.us_too(), netloom_base::AddressDetection::Off);
        let (foreign, peer) = (Some(family.far()), family.peer());
        assert_eq!(host.internet.path(foreign, peer), Err(NoRoute::ForeignSource));
        host.internet.set_accept_any(IF0, true);
        let path = host.internet.path(foreign, peer).unwrap();
        assert_eq!((path.source, path.next_hop), (family.far(), NextHop::Neighbor { interface: IF0, address: peer }));
        assert_eq!(path.mtu, 1500);
        // The route leads to another interface: what is answered goes back all the same.
        let back = host.internet.path(foreign, family.other_peer()).unwrap();
        assert_eq!(back.next_hop, NextHop::Neighbor { interface: IF0, address: family.other_peer() });
        // Nobody else's address reaches this host itself, nor is a group or a loopback address a source.
        assert_eq!(host.internet.path(foreign, family.us()), Err(NoRoute::ForeignSource));
        assert_eq!(host.internet.path(Some(family.all_nodes()), peer), Err(NoRoute::ForeignSource));
    }

    fn who_is_asked_answers_and_complains(family) {
        let mut host = Host::tun();
        host.internet.set_accept_any(IF0, true);
        let source_of = |bytes: &[u8]| match family {
            Family::V4 => std::net::IpAddr::V4(Ipv4Packet::parse(bytes).unwrap().header.source),
            Family::V6 => Ipv6Packet::parse(bytes).unwrap().header.source.into(),
        };
        let payload = match (family.peer(), family.far()) {
            (std::net::IpAddr::V6(from), std::net::IpAddr::V6(to)) => {
                Icmpv6Message::EchoRequest { identifier: 1, sequence: 2, data: b"" }.to_header(from, to).to_vec()
            }
            _ => Icmpv4Message::EchoRequest { identifier: 1, sequence: 2, data: b"" }.to_header().to_vec(),
        };
        host.input(&packet(family.peer(), family.far(), family.icmp(), 64, &payload)).unwrap();
        assert_eq!(source_of(&host.sent_one().packet), family.far());
        let bytes = udp(family.peer(), family.far(), b"x");
        host.refuse(CastKind::Unicast, IcmpErrorKind::PortUnreachable, &bytes).unwrap();
        assert_eq!(source_of(&host.sent_one().packet), family.far());
    }

    fn errors_about_what_left_from_a_foreign_address_are_heard(family) {
        let mut host = Host::tun();
        let sent = udp(family.far(), family.peer(), b"x");
        let error = error_about(family, &sent);
        assert_eq!(host.input(&error), Err(DropReason::IpNotForUs));
        host.internet.set_accept_any(IF0, true);
        assert_eq!(host.input(&error), Ok(Outcome::Consumed));
        assert_eq!(host.events().len(), 1);
    }
}

/// A "port unreachable" from the peer to whoever sent `quote`.
fn error_about(family: Family, quote: &[u8]) -> Vec<u8> {
    let kind = IcmpErrorKind::PortUnreachable;
    let (peer, far) = (family.peer(), family.far());
    let (protocol, payload) = match (peer, far) {
        (std::net::IpAddr::V6(from), std::net::IpAddr::V6(to)) => {
            let message = Icmpv6Message::Error { kind, quote };
            (Protocol::ICMPV6, [&message.to_header(from, to)[..], quote].concat())
        }
        _ => (Protocol::ICMP, [&Icmpv4Message::Error { kind, quote }.to_header()[..], quote].concat()),
    };
    packet(peer, far, protocol, 64, &payload)
}
