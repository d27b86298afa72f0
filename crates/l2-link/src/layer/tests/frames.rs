//! What a frame must be to be taken.

use super::*;

const GROUP: &str = "224.0.0.251";

// [1122-L013]
#[test]
fn the_internet_layer_learns_whom_a_frame_was_for() {
    let mut bench = Bench::ready();
    bench.link.join_group(ip(GROUP));
    for (destination, expected) in [
        (OURS, CastKind::Unicast),
        (EthernetAddress::BROADCAST, CastKind::Broadcast),
        (EthernetAddress::of_group(ip(GROUP)), CastKind::Multicast),
    ] {
        for ether_type in [EtherType::IPV4, EtherType::IPV6] {
            let bytes = frame(destination, PEER, ether_type, b"packet");
            let input = bench.link.input(bench.now, &bytes).unwrap();
            let expected = LinkInput::Ip { packet: b"packet", cast: expected, source: PEER, ether_type };
            assert_eq!(input, expected);
        }
    }
    bench.link.leave_group(ip(GROUP));
    let bytes = frame(EthernetAddress::of_group(ip(GROUP)), PEER, EtherType::IPV4, b"packet");
    assert_eq!(bench.link.input(bench.now, &bytes), Err(DropReason::LinkNotForUs));
}

#[test]
fn a_frame_that_is_not_taken_says_why() {
    let mut bench = Bench::ready();
    let mut check = |destination, source, ether_type, reason| {
        let bytes = frame(destination, source, EtherType(ether_type), &[0; 46]);
        assert_eq!(bench.link.input(bench.now, &bytes), Err(reason), "{ether_type:#x}");
    };
    check(OTHER, PEER, 0x0800, DropReason::LinkNotForUs);
    check(EthernetAddress([1, 0, 0x5e, 1, 2, 3]), PEER, 0x0800, DropReason::LinkNotForUs);
    check(OURS, EthernetAddress([3, 0, 0, 0, 0, 2]), 0x0800, DropReason::LinkBadSource);
    check(OURS, EthernetAddress::BROADCAST, 0x0806, DropReason::LinkBadSource);
    check(OURS, PEER, 0x8100, DropReason::LinkUnexpectedVlan);
    check(OURS, PEER, 0x88a8, DropReason::LinkUnexpectedVlan);
    // IEEE 802.3 lengths, and a type that nobody handles.
    check(OURS, PEER, 46, DropReason::LinkUnknownEtherType);
    check(OURS, PEER, 0x05ff, DropReason::LinkUnknownEtherType);
    check(OURS, PEER, 0x88cc, DropReason::LinkUnknownEtherType);
    // Zeros are no ARP.
    check(OURS, PEER, 0x0806, DropReason::ArpMalformed);
    for len in 0..netloom_wire::ETHERNET_HEADER_LEN {
        assert_eq!(bench.link.input(bench.now, &[0xff; 14][..len]), Err(DropReason::LinkTruncated));
    }
}

// [826-03]
#[test]
fn arp_that_no_station_may_send_is_malformed() {
    let mut bench = Bench::ready();
    let malformed = Err(DropReason::ArpMalformed);
    for sender in ["127.0.0.1", "224.0.0.1", "255.255.255.255", "10.0.0.255", "0.1.2.3", "240.0.0.1"] {
        assert_eq!(bench.hear_request(sender, "10.0.0.2"), malformed, "{sender}");
    }
    // A probe is a request.
    assert_eq!(bench.hear_reply("0.0.0.0", "10.0.0.2"), malformed);
    for link in
        [EthernetAddress::UNSPECIFIED, EthernetAddress::BROADCAST, EthernetAddress([1, 0, 0, 0, 0, 9])]
    {
        let bytes = request(link, "10.0.0.1", "10.0.0.2").to_bytes();
        let bytes = frame(OURS, PEER, EtherType::ARP, &bytes);
        assert_eq!(bench.link.input(bench.now, &bytes), Err(DropReason::ArpMalformed));
    }
    let bytes = request(PEER, "10.0.0.1", "10.0.0.2").to_bytes();
    for len in 0..bytes.len() {
        let bytes = frame(OURS, PEER, EtherType::ARP, &bytes[..len]);
        assert_eq!(bench.link.input(bench.now, &bytes), Err(DropReason::LinkTruncated));
    }
    assert_eq!(bench.frames(), []);
    assert_eq!(bench.link.neighbors().count(), 0);
}

// [5227-07]
#[test]
fn our_own_arp_sent_back_is_ignored() {
    let mut bench = Bench::ready();
    let echo = request(OURS, "10.0.0.2", "10.0.0.2");
    assert_eq!(bench.hear(EthernetAddress::BROADCAST, echo), Err(DropReason::ArpEchoed));
    assert_eq!(bench.events(), []);
}
