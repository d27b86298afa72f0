//! ICMP errors: believed as far as RFC 5927 advises.

use netloom_wire::{IcmpError, IcmpErrorKind, Protocol, TcpOptions};

use super::lab::*;
use super::pair::with_segmentation;
use super::traces::Traces;
use crate::tcp::*;

/// An error about our segment with this sequence number.
pub(super) fn report(lab: &mut Lab, kind: IcmpErrorKind, sequence: u32) {
    let mut quote = [0; 8];
    quote[..2].copy_from_slice(&LOCAL_PORT.to_be_bytes());
    quote[2..4].copy_from_slice(&lab.remote_port.to_be_bytes());
    quote[4..].copy_from_slice(&sequence.to_be_bytes());
    let (reporter, source, destination) = ("10.9.9.9".parse().unwrap(), lab.local, lab.remote);
    let error = IcmpError { kind, reporter, source, destination, protocol: Protocol::TCP, quote: &quote };
    lab.tcp.handle_icmp(lab.now, &error);
}

/// A router says about it that the path takes `mtu` bytes.
pub(super) fn report_too_big(lab: &mut Lab, mtu: u16, sequence: u32) {
    report(lab, IcmpErrorKind::PacketTooBig { mtu: Some(mtu) }, sequence);
}

#[test]
fn every_error_that_changes_nothing_has_its_reason() {
    // [9293 MUST-54]
    for &reason in IcmpIgnored::ALL {
        let traces = Traces::begin();
        let mut lab = Lab::plain();
        let flow = lab.accept();
        lab.send(flow, &[1; 3000]);
        lab.sent();
        match reason {
            IcmpIgnored::Truncated => {
                let (reporter, source, destination) = ("10.9.9.9".parse().unwrap(), lab.local, lab.remote);
                let kind = IcmpErrorKind::PortUnreachable;
                let (protocol, quote) = (Protocol::TCP, &[0, 80, 0, 80, 0, 0, 0][..]);
                let error = IcmpError { kind, reporter, source, destination, protocol, quote };
                lab.tcp.handle_icmp(lab.now, &error);
            }
            IcmpIgnored::NoConnection => {
                lab.remote_port += 1;
                report(&mut lab, IcmpErrorKind::PortUnreachable, flow.ours);
            }
            IcmpIgnored::NothingToLose => {
                lab.remote_port += 1;
                lab.inject(S, IRS, 0, &[]).unwrap();
                let syn_ack = lab.one();
                report(&mut lab, IcmpErrorKind::PortUnreachable, syn_ack.sequence());
            }
            IcmpIgnored::NotInFlight => {
                report(&mut lab, IcmpErrorKind::PortUnreachable, flow.ours.wrapping_add(3000));
            }
            IcmpIgnored::NotSmaller => report_too_big(&mut lab, 1500, flow.ours),
        }
        let counters = lab.tcp.counters();
        for &other in IcmpIgnored::ALL {
            assert_eq!(counters.icmp_ignored(other), u64::from(other == reason), "{reason}: {other}");
        }
        traces.assert_as_counted(counters);
        lab.none();
    }
}

#[test]
fn what_already_went_in_small_parts_is_not_lost_where_the_path_narrows() {
    for (told, lost_len) in [(1200, 0), (1040, 0), (1000, 4000)] {
        let mut lab = Lab::new(with_segmentation(plain_config()));
        // The peer takes 1000 bytes at a time, whatever the path does.
        let flow = lab.accept_with(TcpOptions { mss: Some(1000), ..TcpOptions::default() });
        lab.send(flow, &[1; 4000]);
        let flight = lab.sent();
        assert_eq!((flight.len(), flight[0].len()), (1, 4000), "one super-segment");
        report_too_big(&mut lab, told, flow.ours);
        let again: usize = lab.sent().iter().map(Sent::len).sum();
        assert_eq!(again, lost_len, "{told}");
    }
}

const SOFT: [IcmpErrorKind; 6] = [
    IcmpErrorKind::NetworkUnreachable,
    IcmpErrorKind::HostUnreachable,
    IcmpErrorKind::SourceRouteFailed,
    IcmpErrorKind::Prohibited,
    IcmpErrorKind::HopLimitExceeded,
    IcmpErrorKind::ParameterProblem { pointer: 0 },
];

#[test]
fn a_refused_port_ends_an_attempt_to_connect() {
    // [9293 MUST-54, SHLD-26] [1122-T087] [1122-T090]
    let mut lab = Lab::plain();
    let id = lab.begin_connect();
    let syn = lab.one();
    report(&mut lab, IcmpErrorKind::PortUnreachable, syn.sequence().wrapping_add(1));
    assert_eq!(lab.tcp.connected(id), Ok(false), "not of what is in flight");
    report(&mut lab, IcmpErrorKind::PortUnreachable, syn.sequence());
    assert_eq!(lab.tcp.connected(id), Err(TcpError::ConnectionRefused));
    assert!(lab.events().contains(&TcpEvent::Closed(id)));
}

#[test]
fn nothing_ends_an_established_connection() {
    // [9293 MUST-56] [1122-T089] [1122-T092] [1122-T093]
    let mut lab = Lab::plain();
    let flow = lab.accept();
    lab.send(flow, b"x");
    lab.sent();
    for kind in SOFT.into_iter().chain([IcmpErrorKind::PortUnreachable, IcmpErrorKind::ProtocolUnreachable]) {
        report(&mut lab, kind, flow.ours);
        assert_eq!(lab.state(flow), TcpState::Established, "{kind:?}");
    }
}

#[test]
fn soft_errors_are_told_and_explain_a_later_end() {
    // [9293 SHLD-25, MUST-47] [9293-u11] [1122-T088] [1122-T097]
    let mut lab = Lab::plain();
    let id = lab.begin_connect();
    let syn = lab.one();
    for kind in SOFT {
        report(&mut lab, kind, syn.sequence());
        assert_eq!(lab.tcp.connected(id), Ok(false), "{kind:?}");
        assert_eq!(lab.events(), [TcpEvent::Report(id)]);
    }
    assert_eq!(lab.tcp.info(id).unwrap().soft_error, Some(TcpError::HostUnreachable));
    lab.advance(ms(400_000));
    assert_eq!(lab.tcp.connected(id), Err(TcpError::HostUnreachable));
}

#[test]
fn a_smaller_path_means_smaller_segments_at_once() {
    // [5681-07] [7323-45] RFC 1191 6.4
    let mut lab = Lab::plain();
    let flow = lab.accept();
    lab.send(flow, &[1; 5000]);
    assert_eq!(lab.sent().len(), 4);
    report(&mut lab, IcmpErrorKind::PacketTooBig { mtu: Some(1280) }, flow.ours.wrapping_add(1460));
    let again = lab.sent();
    assert_eq!(again.iter().map(Sent::len).collect::<Vec<_>>(), [1240, 1240, 1240, 660]);
    assert_eq!(again[0].sequence(), flow.ours);
    let info = lab.info(flow);
    assert_eq!((info.mss, info.path_mtu, info.cwnd), (1240, 1280, 12_400));
    assert_eq!(lab.tcp.counters().retransmits(RetransmitCause::PathMtu), 4, "the last one was small enough");
}

#[test]
fn a_router_that_does_not_tell_gets_the_next_plateau() {
    let mut lab = Lab::plain();
    let flow = lab.accept();
    lab.send(flow, &[1; 1460]);
    lab.sent();
    report(&mut lab, IcmpErrorKind::PacketTooBig { mtu: None }, flow.ours);
    assert_eq!(lab.info(flow).path_mtu, 1492);
    report(&mut lab, IcmpErrorKind::PacketTooBig { mtu: Some(0) }, flow.ours);
    assert_eq!(lab.info(flow).path_mtu, 1006);
}

#[test]
fn nobody_can_talk_segments_down_to_nothing_or_up() {
    for (lab, least) in [(Lab::plain(), 552), (Lab::plain().over_six(), 1280)] {
        let mut lab = lab;
        let flow = lab.accept();
        lab.send(flow, &[1; 3000]);
        lab.sent();
        report(&mut lab, IcmpErrorKind::PacketTooBig { mtu: Some(9000) }, flow.ours);
        report(&mut lab, IcmpErrorKind::PacketTooBig { mtu: Some(1280) }, flow.ours.wrapping_sub(1));
        report(&mut lab, IcmpErrorKind::PacketTooBig { mtu: Some(1280) }, flow.ours.wrapping_add(3000));
        assert_eq!(lab.info(flow).path_mtu, 1500);
        report(&mut lab, IcmpErrorKind::PacketTooBig { mtu: Some(68) }, flow.ours);
        assert_eq!(lab.info(flow).path_mtu, least);
    }
}

#[test]
fn errors_about_others_are_ignored() {
    let mut lab = Lab::plain();
    let flow = lab.accept();
    lab.send(flow, b"x");
    lab.sent();
    lab.remote_port += 1;
    report(&mut lab, IcmpErrorKind::HostUnreachable, flow.ours);
    lab.remote_port -= 1;
    let quote = [0; 7];
    let (reporter, source, destination) = (lab.remote, lab.local, lab.remote);
    let kind = IcmpErrorKind::HostUnreachable;
    let short = IcmpError { kind, reporter, source, destination, protocol: Protocol::TCP, quote: &quote };
    lab.tcp.handle_icmp(lab.now, &short);
    assert_eq!(lab.info(flow).soft_error, None);
}
