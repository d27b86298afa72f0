//! Opening connections: both sides, both at once, and everything that goes wrong on the way.

use netloom_base::DropReason;
use netloom_wire::{SeqNumber, TcpHeader, TcpOptions};

use super::lab::*;
use super::traces::Traces;
use crate::tcp::*;

#[test]
fn three_segments_open_an_active_connection() {
    // [9293 MUST-44, MUST-45, SHLD-5]
    for lab in [Lab::plain(), Lab::plain().over_six()] {
        let mut lab = lab;
        let id = lab.begin_connect();
        assert_eq!(lab.tcp.connected(id), Ok(false));
        let syn = lab.one();
        assert_eq!((syn.flags(), syn.acknowledgment(), syn.header.window), (S, 0, 65_535));
        let mss = if lab.remote.is_ipv6() { 1440 } else { 1460 };
        // [9293 MUST-14, MUST-67, MAY-3]
        assert_eq!(syn.header.options.mss, Some(mss));
        assert!(!syn.header.options.sack_permitted, "not offered before it is used");
        lab.inject(S | A, IRS, syn.sequence().wrapping_add(1), &[]).unwrap();
        let ack = lab.one();
        assert_eq!((ack.flags(), ack.sequence()), (A, syn.sequence().wrapping_add(1)));
        assert_eq!(ack.acknowledgment(), IRS.wrapping_add(1));
        assert_eq!(lab.events(), [TcpEvent::Connected(id), TcpEvent::Writable(id)]);
        assert_eq!(lab.tcp.connected(id), Ok(true));
        assert_eq!(lab.tcp.local_addr(id).unwrap().ip(), lab.local);
        assert_eq!(lab.tcp.peer_addr(id).unwrap().port(), REMOTE_PORT);
    }
}

#[test]
fn three_segments_open_a_passive_connection() {
    for lab in [Lab::plain(), Lab::plain().over_six()] {
        let mut lab = lab;
        let listener = lab.listen();
        lab.inject(S, IRS, 0, &[]).unwrap();
        let syn_ack = lab.one();
        assert_eq!((syn_ack.flags(), syn_ack.acknowledgment()), (S | A, IRS.wrapping_add(1)));
        assert_eq!(lab.tcp.usage().half_open, 1);
        assert_eq!(lab.tcp.accept(listener), None);
        lab.inject(A, IRS.wrapping_add(1), syn_ack.sequence().wrapping_add(1), b"hello").unwrap();
        assert_eq!(lab.events(), [TcpEvent::Acceptable(listener)]);
        let accepted = lab.tcp.accept(listener).unwrap();
        assert_eq!((accepted.local.port(), accepted.remote.port()), (LOCAL_PORT, REMOTE_PORT));
        let usage = lab.tcp.usage();
        assert_eq!((usage.half_open, usage.connections), (0, 1));
        let mut buffer = [0; 10];
        assert_eq!(
            lab.tcp.recv(lab.now, accepted.id, &mut buffer),
            Ok(Recv::Data(5)),
            "text may ride on the ACK"
        );
        assert_eq!(lab.tcp.info(accepted.id).unwrap().origin, Origin::Passive);
    }
}

#[test]
fn both_ends_may_open_at_once() {
    // [9293 MUST-10] [1122-T033]: RFC 9293 figure 8.
    let mut lab = Lab::plain();
    let id = lab.begin_connect();
    let syn = lab.one();
    lab.inject(S, IRS, 0, &[]).unwrap();
    let syn_ack = lab.one();
    assert_eq!((syn_ack.flags(), syn_ack.sequence()), (S | A, syn.sequence()));
    assert_eq!(lab.tcp.info(id).unwrap().state, TcpState::SynReceived);
    lab.inject(S | A, IRS, syn.sequence().wrapping_add(1), &[]).unwrap();
    assert_eq!(lab.tcp.info(id).unwrap().state, TcpState::Established);
    assert_eq!(lab.tcp.info(id).unwrap().origin, Origin::Active, "[9293 MUST-11]");
    assert_eq!(lab.events(), [TcpEvent::Connected(id), TcpEvent::Writable(id)]);
}

#[test]
fn a_syn_and_its_answer_in_one_turn_are_acknowledged() {
    // [9293 MUST-10]: the peer's SYN waited for a neighbour, and its answer to ours came with it.
    let mut lab = Lab::plain();
    let id = lab.begin_connect();
    let syn = lab.one();
    lab.inject(S, IRS, 0, &[]).unwrap();
    lab.inject(S | A, IRS, syn.sequence().wrapping_add(1), &[]).unwrap();
    assert_eq!(lab.tcp.info(id).unwrap().state, TcpState::Established);
    let ack = lab.one();
    assert_eq!((ack.flags(), ack.acknowledgment()), (A, IRS.wrapping_add(1)), "the peer waits for it");
}

#[test]
fn a_refused_connection_says_so() {
    let mut lab = Lab::plain();
    let id = lab.begin_connect();
    let syn = lab.one();
    assert_eq!(lab.inject(R, 0, 0, &[]), Err(DropReason::TcpBadReset), "anybody could have sent it");
    assert_eq!(lab.inject(R | A, 0, syn.sequence(), &[]), Err(DropReason::TcpBadAck));
    lab.none();
    assert_eq!(lab.tcp.connected(id), Ok(false));
    // [9293-u01]
    lab.inject(R | A, 0, syn.sequence().wrapping_add(1), &[]).unwrap();
    assert_eq!(lab.tcp.connected(id), Err(TcpError::ConnectionRefused));
    assert_eq!(lab.tcp.send(lab.now, id, b"x"), Err(SendError::Failed(TcpError::ConnectionRefused)));
    assert!(lab.events().contains(&TcpEvent::Closed(id)));
    lab.tcp.close(lab.now, id);
    assert_eq!(lab.tcp.usage(), TcpUsage::default());
}

#[test]
fn an_acknowledgment_that_is_not_of_our_syn_is_reset() {
    let mut lab = Lab::plain();
    let id = lab.begin_connect();
    let syn = lab.one();
    for wrong in [syn.sequence(), syn.sequence().wrapping_add(2)] {
        assert_eq!(lab.inject(S | A, IRS, wrong, &[]), Err(DropReason::TcpBadAck));
        let reset = lab.one();
        assert_eq!((reset.flags(), reset.sequence()), (R, wrong));
    }
    assert_eq!(lab.inject(A, IRS, syn.sequence().wrapping_add(1), &[]), Err(DropReason::TcpUnacceptable));
    lab.none();
    assert_eq!(lab.tcp.connected(id), Ok(false));
}

#[test]
fn a_syn_is_sent_again_for_three_minutes() {
    // [9293 MUST-22, MUST-23] [1122-T053] [1122-T071] [1122-T072] [6298-01] [6298-14]
    let mut lab = Lab::plain();
    let start = lab.now;
    let id = lab.begin_connect();
    let first = lab.one();
    let mut at = Vec::new();
    while lab.tcp.connected(id).is_ok() {
        let deadline = lab.tcp.poll_timeout().unwrap();
        lab.now = deadline;
        lab.tcp.handle_timeout(deadline);
        for syn in lab.sent() {
            assert_eq!((syn.flags(), syn.sequence()), (S, first.sequence()));
            at.push(lab.now.saturating_since(start).as_secs());
        }
    }
    assert_eq!(at, [1, 3, 7, 15, 31, 63, 123]);
    assert!(lab.now.saturating_since(start).as_secs() >= 180);
    assert_eq!(lab.tcp.connected(id), Err(TcpError::TimedOut));
    assert_eq!(lab.tcp.counters().retransmits(RetransmitCause::SynTimeout), 7);
    assert_eq!(lab.tcp.counters().ended(EndReason::HandshakeTimeout), 1);
}

#[test]
fn a_lost_syn_costs_the_initial_window() {
    // [5681-06] [6298-16]
    let mut lab = Lab::plain();
    let id = lab.begin_connect();
    let syn = lab.one();
    assert_eq!(lab.advance(ms(1000)).len(), 1);
    lab.inject(S | A, IRS, syn.sequence().wrapping_add(1), &[]).unwrap();
    lab.sent();
    let info = lab.tcp.info(id).unwrap();
    assert_eq!((info.cwnd, info.rto), (536, ms(3000)));
}

#[test]
fn a_syn_ack_is_sent_again_and_then_forgotten() {
    // [9293 MUST-22, MUST-23]
    let traces = Traces::begin();
    let mut lab = Lab::plain();
    lab.listen();
    lab.inject(S, IRS, 0, &[]).unwrap();
    let first = lab.one();
    let again = lab.advance(ms(400_000));
    assert_eq!(again.len(), 7);
    assert!(again.iter().all(|it| (it.flags(), it.sequence()) == (S | A, first.sequence())));
    let usage = lab.tcp.usage();
    assert_eq!((usage.half_open, usage.timers), (0, 0));
    let counters = lab.tcp.counters();
    assert_eq!((counters.half_open_expired.get(), counters.ended(EndReason::HandshakeTimeout)), (1, 1));
    traces.assert_as_counted(lab.tcp.counters());
}

#[test]
fn a_syn_that_comes_again_gets_the_same_answer() {
    let mut lab = Lab::plain();
    lab.listen();
    lab.inject(S, IRS, 0, &[]).unwrap();
    let first = lab.one();
    lab.now += ms(100);
    lab.inject(S, IRS, 0, &[]).unwrap();
    assert_eq!(lab.one().header, first.header);
    assert_eq!(lab.tcp.usage().half_open, 1);
}

#[test]
fn another_syn_for_a_half_open_connection_is_challenged() {
    // [5961-07] [5961-09]
    let mut lab = Lab::plain();
    lab.listen();
    lab.inject(S, IRS, 0, &[]).unwrap();
    let syn_ack = lab.one();
    assert_eq!(lab.inject(S, IRS.wrapping_add(5000), 0, &[]), Err(DropReason::TcpUnexpectedSyn));
    let challenge = lab.one();
    assert_eq!((challenge.flags(), challenge.sequence()), (A, syn_ack.sequence().wrapping_add(1)));
    // The peer in SYN-SENT answers that by a reset, and its next SYN finds LISTEN.
    lab.inject(R, challenge.acknowledgment(), 0, &[]).unwrap();
    assert_eq!(lab.tcp.usage().half_open, 0);
    lab.inject(S, IRS.wrapping_add(5000), 0, &[]).unwrap();
    assert_eq!(lab.one().acknowledgment(), IRS.wrapping_add(5001));
}

#[test]
fn only_the_right_acknowledgment_finishes_a_handshake() {
    let mut lab = Lab::plain();
    let listener = lab.listen();
    lab.inject(S, IRS, 0, &[]).unwrap();
    let syn_ack = lab.one();
    let ours = syn_ack.sequence().wrapping_add(1);
    let theirs = IRS.wrapping_add(1);
    assert_eq!(lab.inject(A, theirs, ours.wrapping_add(1), &[]), Err(DropReason::TcpBadAck));
    let reset = lab.one();
    assert_eq!((reset.flags(), reset.sequence()), (R, ours.wrapping_add(1)));
    assert_eq!(lab.inject(A, theirs.wrapping_add(70_000), ours, &[]), Err(DropReason::TcpOutOfWindow));
    assert_eq!(lab.one().flags(), A);
    assert_eq!(lab.inject(P, theirs, 0, b"x"), Err(DropReason::TcpNoAck));
    assert_eq!(lab.inject(R, theirs.wrapping_add(1), 0, &[]), Err(DropReason::TcpBadReset));
    assert_eq!(lab.one().flags(), A);
    assert_eq!(lab.tcp.accept(listener), None);
    lab.inject(A, theirs, ours, &[]).unwrap();
    assert!(lab.tcp.accept(listener).is_some());
}

#[test]
fn a_syn_with_other_controls_is_dropped() {
    let mut lab = Lab::plain();
    lab.listen();
    assert_eq!(lab.inject(S | F, IRS, 0, &[]), Err(DropReason::TcpMalformed));
    lab.none();
    assert_eq!(lab.inject(S | R, IRS, 0, &[]), Err(DropReason::TcpNoConnection));
    lab.none();
    assert_eq!(lab.inject(A, IRS, 5, &[]), Err(DropReason::TcpNoConnection));
    assert_eq!(lab.one().flags(), R);
    assert_eq!(lab.tcp.usage().half_open, 0);
}

#[test]
fn data_written_before_the_handshake_follows_it() {
    // [9293-u02]
    let mut lab = Lab::plain();
    let id = lab.begin_connect();
    assert_eq!(lab.tcp.send(lab.now, id, b"early"), Ok(5));
    lab.tcp.shutdown_write(lab.now, id).unwrap();
    let syn = lab.one();
    assert!(syn.text.is_empty());
    lab.inject(S | A, IRS, syn.sequence().wrapping_add(1), &[]).unwrap();
    let data = lab.one();
    assert_eq!((data.flags(), &data.text[..]), (F | P | A, &b"early"[..]));
    assert_eq!(data.acknowledgment(), IRS.wrapping_add(1));
    assert_eq!(lab.tcp.info(id).unwrap().state, TcpState::FinWait1);
}

#[test]
fn text_on_the_syn_ack_is_taken() {
    let mut lab = Lab::plain();
    let id = lab.begin_connect();
    let syn = lab.one();
    lab.inject(S | A | F, IRS, syn.sequence().wrapping_add(1), b"banner").unwrap();
    let ack = lab.one();
    assert_eq!(ack.acknowledgment(), IRS.wrapping_add(8));
    let flow = Flow { id, ours: 0, theirs: 0 };
    assert_eq!(lab.read(flow), b"banner");
    assert_eq!(lab.recv(flow), Ok(Recv::EndOfStream));
    assert_eq!(lab.state(flow), TcpState::CloseWait);
}

#[test]
fn closing_during_the_handshake_leaves_nothing() {
    let mut lab = Lab::plain();
    let id = lab.begin_connect();
    let syn = lab.one();
    lab.tcp.close(lab.now, id);
    assert_eq!(lab.tcp.usage(), TcpUsage::default());
    assert_eq!(lab.inject(S | A, IRS, syn.sequence().wrapping_add(1), &[]), Err(DropReason::TcpNoConnection));
    assert_eq!(lab.one().flags(), R);
}

#[test]
fn addresses_that_nobody_has_are_not_connected_to() {
    // [9293 MUST-46] [1122-T039] [1122-T094]
    let mut lab = Lab::plain();
    let path = lab.path();
    for remote in ["224.0.0.1:80", "255.255.255.255:80", "0.0.0.0:80", "10.0.0.1:0"] {
        let remote = remote.parse().unwrap();
        let outcome = lab.tcp.connect(lab.now, TcpBind::default(), &path, remote, &SocketOptions::default());
        assert_eq!(outcome, Err(ConnectError::InvalidAddress), "{remote}");
    }
}

#[test]
fn segments_from_or_to_groups_are_dropped() {
    // [9293 MUST-57, MUST-63] [1122-T040] [1122-T095] [1122-T096]
    let mut lab = Lab::plain();
    lab.listen();
    for source in ["224.0.0.1", "255.255.255.255", "0.0.0.0", "240.0.0.1"] {
        lab.remote = source.parse().unwrap();
        assert_eq!(lab.inject(S, IRS, 0, &[]), Err(DropReason::TcpNotUnicast), "{source}");
    }
    lab.remote = "10.0.0.1".parse().unwrap();
    let header = lab.header(S, IRS, 0);
    let bytes = bytes_of(lab.remote, lab.local, &header, &[]);
    let datagram = netloom_wire::Datagram {
        interface: netloom_base::InterfaceId::new(0),
        source: lab.remote,
        destination: lab.local,
        cast: netloom_wire::CastKind::Broadcast,
        protocol: netloom_wire::Protocol::TCP,
        hop_limit: 64,
        traffic_class: 0,
        mtu: 1500,
        payload: &bytes,
        packet: &bytes,
        meta: netloom_base::RxMeta::default(),
    };
    assert_eq!(lab.tcp.input(lab.now, &datagram), Err(DropReason::TcpNotUnicast));
    lab.none();
}

#[test]
fn four_tuples_are_not_used_twice() {
    // [9293 MUST-42]
    let mut lab = Lab::plain();
    lab.begin_connect();
    lab.sent();
    let (path, remote) = (lab.path(), core::net::SocketAddr::new(lab.remote, REMOTE_PORT));
    let again = TcpBind { address: None, port: LOCAL_PORT };
    let options = SocketOptions::default();
    assert_eq!(lab.tcp.connect(lab.now, again, &path, remote, &options), Err(ConnectError::AddressInUse));
    let other = core::net::SocketAddr::new(lab.remote, REMOTE_PORT + 1);
    assert!(lab.tcp.connect(lab.now, again, &path, other, &options).is_ok());
}

#[test]
fn ephemeral_ports_run_out_with_an_error() {
    let ports = crate::PortRange::new(50_000, 50_009).unwrap();
    let mut lab = Lab::new(TcpConfig { ports, ..plain_config() });
    let (path, remote) = (lab.path(), core::net::SocketAddr::new(lab.remote, REMOTE_PORT));
    let options = SocketOptions::default();
    let mut used = std::collections::BTreeSet::new();
    for _ in 0..10 {
        let id = lab.tcp.connect(lab.now, TcpBind::default(), &path, remote, &options).unwrap();
        used.insert(lab.tcp.local_addr(id).unwrap().port());
    }
    assert_eq!(used.len(), 10);
    assert_eq!(
        lab.tcp.connect(lab.now, TcpBind::default(), &path, remote, &options),
        Err(ConnectError::PortsExhausted)
    );
}

#[test]
fn a_full_table_refuses_and_recovers() {
    let mut lab = Lab::new(TcpConfig { max_connections: 1, ..plain_config() });
    let listener = lab.listen();
    let first = lab.begin_connect();
    lab.sent();
    lab.remote_port += 1;
    lab.inject(S, IRS, 0, &[]).unwrap();
    let syn_ack = lab.one();
    let ours = syn_ack.sequence().wrapping_add(1);
    assert_eq!(lab.inject(A, IRS.wrapping_add(1), ours, &[]), Err(DropReason::TcpTableFull));
    lab.tcp.abort(lab.now, first);
    lab.sent();
    lab.inject(A, IRS.wrapping_add(1), ours, &[]).unwrap();
    assert!(lab.tcp.accept(listener).is_some());
    let (path, remote) = (lab.path(), core::net::SocketAddr::new(lab.remote, 1));
    let outcome = lab.tcp.connect(lab.now, TcpBind::default(), &path, remote, &SocketOptions::default());
    assert_eq!(outcome, Err(ConnectError::TableFull));
}

#[test]
fn initial_sequence_numbers_follow_the_clock() {
    // [9293 MUST-8] [6528-01] [1122-T032]
    let mut lab = Lab::plain();
    let mut isn = || {
        let id = lab.begin_connect();
        let syn = lab.one();
        lab.tcp.abort(lab.now, id);
        lab.now += ms(10);
        syn.sequence()
    };
    let (first, second) = (isn(), isn());
    assert_eq!(SeqNumber(first).distance_to(SeqNumber(second)), 2500);
}

#[test]
fn the_mss_of_a_peer_that_says_nothing_is_the_default() {
    // [9293 MUST-14, MUST-15] [1122-T028]
    for (lab, default) in [(Lab::plain(), 536), (Lab::plain().over_six(), 1220)] {
        let mut lab = lab;
        let flow = lab.accept_with(TcpOptions::default());
        lab.send(flow, &[1; 2000]);
        assert_eq!(lab.sent()[0].len(), default);
    }
    let mut lab = Lab::plain();
    let flow = lab.connect_with(TcpOptions { mss: Some(700), ..TcpOptions::default() });
    lab.send(flow, &[1; 2000]);
    assert_eq!(lab.sent()[0].len(), 700);
}

#[test]
fn a_bad_checksum_is_believed_in_nothing() {
    // [9293 MUST-3] [1122-T031]
    let mut lab = Lab::plain();
    lab.listen();
    let header: TcpHeader = lab.header(S, IRS, 0);
    let mut bytes = bytes_of(lab.remote, lab.local, &header, &[]);
    bytes[4] ^= 1;
    let meta = netloom_base::RxMeta::default();
    let result = deliver(&mut lab.tcp, lab.now, lab.remote, lab.local, &bytes, meta);
    assert_eq!(result, Err(DropReason::TcpBadChecksum));
    let trusted = netloom_base::RxMeta { checksum: netloom_base::RxChecksum::Trusted, gso: None };
    let result = deliver(&mut lab.tcp, lab.now, lab.remote, lab.local, &bytes, trusted);
    assert_eq!(result, Ok(()), "the device vouches for it");
    let result = deliver(&mut lab.tcp, lab.now, lab.remote, lab.local, &bytes[..19], trusted);
    assert_eq!(result, Err(DropReason::TcpTruncated));
}
