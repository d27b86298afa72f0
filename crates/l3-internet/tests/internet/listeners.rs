//! Reports about groups (RFC 3810).

use core::net::IpAddr;
use core::time::Duration;

use netloom_base::{AddressDetection, DropReason};
use netloom_l3_internet::InternetConfig;
use netloom_wire::{CastKind, Protocol};

use crate::neighbors::finish;
use crate::support::*;

/// The records of every report sent since the last time: type and group.
fn reports(host: &mut Host) -> Vec<(u8, IpAddr)> {
    let mut records = Vec::new();
    for output in host.sent() {
        let packet = read(&output.packet);
        if packet.protocol != Protocol::HOP_BY_HOP {
            continue;
        }
        assert_eq!((packet.hop_limit, packet.destination), (1, "ff02::16".parse().unwrap()));
        // A router alert, then the report.
        assert_eq!(packet.payload[..8], [58, 0, 5, 2, 0, 0, 1, 0]);
        let report = &packet.payload[8..];
        assert_eq!(report[0], 143);
        for record in report[8..].chunks(20) {
            let group: [u8; 16] = record[4..].try_into().unwrap();
            records.push((record[0], group.into()));
        }
    }
    records.sort();
    records
}

fn group(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn the_groups_of_an_address_are_reported_twice() {
    // [4862-03]
    let mut host = Host::with(InternetConfig::default(), Some(OUR_LINK), AddressDetection::Probe);
    host.internet.handle_timeout(host.now);
    // The address and the link-local one that comes with it end alike: one group. All-nodes is never reported.
    assert_eq!(reports(&mut host), [(4, group("ff02::1:ff00:2"))]);
    host.advance(Duration::from_secs(1));
    assert_eq!(reports(&mut host), [(4, group("ff02::1:ff00:2"))]);
    host.advance(Duration::from_secs(60));
    assert_eq!(reports(&mut host), []);
}

#[test]
fn leaving_is_reported_when_nobody_listens_any_more() {
    let mut host = Host::ethernet();
    let joined = group("ff05::1234");
    assert!(host.internet.join_group(host.now, IF0, joined));
    assert!(host.internet.join_group(host.now, IF0, joined));
    host.advance(Duration::from_secs(2));
    assert_eq!(reports(&mut host), [(4, joined), (4, joined)]);
    host.internet.leave_group(host.now, IF0, joined);
    assert_eq!(reports(&mut host), []);
    host.internet.leave_group(host.now, IF0, joined);
    assert_eq!(reports(&mut host), [(3, joined)]);
}

#[test]
fn a_querier_is_answered_in_its_time() {
    let mut host = Host::ethernet();
    let query = |source: &str, hop_limit: u8, of: &str| {
        let mut body = vec![130, 0, 0, 0, 0x13, 0x88, 0, 0];
        body.extend(of.parse::<core::net::Ipv6Addr>().unwrap().octets());
        body.extend([2, 125, 0, 0]);
        finish(source, "ff02::1", hop_limit, body)
    };
    let all = query("fe80::1", 1, "::");
    assert_eq!(host.input_on(IF0, CastKind::Multicast, &all), Ok(Outcome::Consumed));
    host.advance(Duration::from_secs(5));
    assert_eq!(reports(&mut host), [(2, group("ff02::1:ff00:2"))]);
    let another = query("fe80::1", 1, "ff05::9");
    assert_eq!(host.input_on(IF0, CastKind::Multicast, &another), Ok(Outcome::Consumed));
    host.advance(Duration::from_secs(5));
    assert_eq!(reports(&mut host), []);
    for bad in [query("fd00::1", 1, "::"), query("fe80::1", 64, "::")] {
        assert_eq!(host.input_on(IF0, CastKind::Multicast, &bad), Err(DropReason::NdpMalformed));
    }
}

#[test]
fn groups_are_bounded() {
    let config = InternetConfig { max_groups: 20, ..InternetConfig::default() };
    let mut host = Host::with(config, Some(OUR_LINK), AddressDetection::Off);
    let joined = (0..100u16).filter(|&last| {
        let group = IpAddr::from([0xff05, 0, 0, 0, 0, 0, 0, last]);
        host.internet.join_group(host.now, IF0, group)
    });
    assert!(joined.count() < 20);
    assert_eq!(host.internet.groups().count(), 20);
}
