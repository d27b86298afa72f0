//! Sockets that ask for echoes.

use std::net::IpAddr;

use netloom_l3_internet::{EchoId, EchoMessage, EchoOpenError, EchoSendError};
use netloom_wire::{IcmpErrorKind, Icmpv4Message, Icmpv6Message, Protocol};

use crate::support::*;

fn unspecified(family: Family) -> IpAddr {
    match family {
        Family::V4 => "0.0.0.0".parse().unwrap(),
        Family::V6 => "::".parse().unwrap(),
    }
}

/// An ICMP message from `from` to the host.
fn message(from: IpAddr, to: IpAddr, v4: &Icmpv4Message<'_>, v6: &Icmpv6Message<'_>, tail: &[u8]) -> Vec<u8> {
    let (protocol, header) = match (from, to) {
        (IpAddr::V6(from), IpAddr::V6(to)) => (Protocol::ICMPV6, v6.to_header(from, to)),
        _ => (Protocol::ICMP, v4.to_header()),
    };
    packet(from, to, protocol, 60, &[&header[..], tail].concat())
}

fn reply(from: IpAddr, to: IpAddr, identifier: u16, sequence: u16, data: &[u8]) -> Vec<u8> {
    let v4 = Icmpv4Message::EchoReply { identifier, sequence, data };
    let v6 = Icmpv6Message::EchoReply { identifier, sequence, data };
    message(from, to, &v4, &v6, data)
}

fn open(host: &mut Host, local: IpAddr) -> (EchoId, u16) {
    let id = host.internet.open_echo(local, None).unwrap();
    (id, host.internet.echo_addr(id).unwrap().1)
}

both_families! {
    // [1122-I069] [4443-20]
    fn a_reply_finds_the_socket_that_asked(family) {
        let mut host = Host::tun();
        let (id, identifier) = open(&mut host, unspecified(family));
        let (other, _) = open(&mut host, unspecified(family));
        host.internet.send_echo(host.now, id, family.peer(), 7, b"data").unwrap();
        let request = host.sent_one().packet;
        assert_eq!(request[family.header_len() + 4..][..4], [identifier.to_be_bytes(), [0, 7]].concat());
        assert_eq!(request[family.header_len() + 8..], *b"data");
        host.input(&reply(family.peer(), family.us(), identifier, 7, b"data")).unwrap();
        assert_eq!((host.internet.poll_echo_event(), host.internet.poll_echo_event()), (Some(id), None));
        assert_eq!(host.internet.recv_echo(other), None);
        let expected =
            EchoMessage::Reply { from: family.peer(), sequence: 7, hop_limit: 60, data: b"data".to_vec() };
        assert!(host.internet.has_echo(id));
        assert_eq!(host.internet.recv_echo(id), Some(expected));
        assert_eq!(host.internet.recv_echo(id), None);
        assert!(host.events().is_empty(), "nobody else is told");
    }

    // [1122-I040] [4443-12]
    fn an_error_about_a_request_is_told_with_the_hop_limit_that_led_to_it(family) {
        let mut host = Host::tun();
        let (id, _) = open(&mut host, family.us());
        assert!(host.internet.set_echo_hop_limit(id, Some(1)));
        assert_eq!(host.internet.echo_hop_limit(id), Some(1));
        host.internet.send_echo(host.now, id, family.far(), 3, b"probe").unwrap();
        let request = host.sent_one().packet;
        let hop_limit_at = if family == Family::V4 { 8 } else { 7 };
        assert_eq!(request[hop_limit_at], 1);
        let kind = IcmpErrorKind::HopLimitExceeded;
        let v4 = Icmpv4Message::Error { kind, quote: &request };
        let v6 = Icmpv6Message::Error { kind, quote: &request };
        host.input(&message(family.peer(), family.us(), &v4, &v6, &request)).unwrap();
        let expected = EchoMessage::Error { from: family.peer(), sequence: 3, remote: family.far(), kind };
        assert_eq!(host.internet.recv_echo(id), Some(expected));
    }

    fn a_socket_hears_only_what_is_for_its_address_and_its_version_of_ip(family) {
        let mut host = Host::tun();
        host.internet.add_interface(netloom_l3_internet::InterfaceConfig { mtu: 1500, link_address: None });
        host.add_address(IF1, family.us_too(), netloom_base::AddressDetection::Off);
        host.events();
        let (id, identifier) = open(&mut host, family.us_too());
        host.input(&reply(family.peer(), family.us(), identifier, 1, b"")).unwrap();
        assert_eq!(host.internet.recv_echo(id), None);
        let stranger = if family == Family::V4 { Family::V6 } else { Family::V4 };
        let error = host.internet.send_echo(host.now, id, stranger.peer(), 1, b"");
        assert_eq!(error, Err(EchoSendError::InvalidRemote));
        // The other version has identifiers of its own.
        assert!(host.internet.open_echo(unspecified(stranger), Some(identifier)).is_ok());
        let taken = host.internet.open_echo(unspecified(family), Some(identifier));
        assert_eq!(taken, Err(EchoOpenError::IdentifierInUse));
        host.internet.close_echo(id);
        assert!(host.internet.open_echo(unspecified(family), Some(identifier)).is_ok());
        assert_eq!(host.internet.send_echo(host.now, id, family.peer(), 1, b""), Err(EchoSendError::NoSocket));
    }

    fn sockets_and_what_waits_in_them_are_bounded(family) {
        let mut host = Host::tun();
        let (id, identifier) = open(&mut host, unspecified(family));
        for sequence in 0..1000 {
            host.input(&reply(family.peer(), family.us(), identifier, sequence, b"x")).unwrap();
            host.events();
        }
        let waiting = std::iter::from_fn(|| host.internet.recv_echo(id)).count();
        assert_eq!(waiting, 256);
        host.input(&reply(family.peer(), family.us(), identifier, 0, b"again")).unwrap();
        assert!(host.internet.recv_echo(id).is_some());
        let mut ids = vec![id];
        let full = loop {
            match host.internet.open_echo(unspecified(family), None) {
                Ok(id) => ids.push(id),
                Err(error) => break error,
            }
        };
        assert_eq!((full, ids.len()), (EchoOpenError::Full, 256));
        assert_eq!(host.internet.echo_count(), 256);
        ids.into_iter().for_each(|id| host.internet.close_echo(id));
        assert_eq!(host.internet.echo_count(), 0);
        assert_eq!(host.internet.poll_echo_event(), None);
    }
}
