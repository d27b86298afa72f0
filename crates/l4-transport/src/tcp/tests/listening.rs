//! Listeners: backlog, floods, several on one port, closing them.

use netloom_base::DropReason;

use super::lab::*;
use super::traces::Traces;
use crate::tcp::*;

fn syn_from(lab: &mut Lab, port: u16) -> Result<Option<Sent>, DropReason> {
    lab.remote_port = port;
    lab.inject(S, IRS, 0, &[])?;
    Ok(lab.sent().pop())
}

fn finish(lab: &mut Lab, port: u16, syn_ack: &Sent) -> Result<(), DropReason> {
    lab.remote_port = port;
    lab.inject(A, IRS.wrapping_add(1), syn_ack.sequence().wrapping_add(1), &[])
}

#[test]
fn a_full_accept_queue_drops_syns_and_keeps_handshakes_waiting() {
    let mut lab = Lab::plain();
    let listener = lab.listen_with(ListenOptions { backlog: 2, ..ListenOptions::default() });
    let mut syn_acks = Vec::new();
    for port in 1000..1003 {
        syn_acks.push((port, syn_from(&mut lab, port).unwrap().unwrap()));
    }
    assert_eq!(finish(&mut lab, 1000, &syn_acks[0].1), Ok(()));
    assert_eq!(finish(&mut lab, 1001, &syn_acks[1].1), Ok(()));
    assert_eq!(finish(&mut lab, 1002, &syn_acks[2].1), Err(DropReason::TcpAcceptQueueFull));
    assert_eq!(syn_from(&mut lab, 1003), Err(DropReason::TcpAcceptQueueFull));
    lab.none();
    let info = lab.tcp.listeners().next().unwrap();
    assert_eq!((info.waiting, info.half_open, info.backlog), (2, 1, 2));
    let first = lab.tcp.accept(listener).unwrap();
    assert_eq!(first.remote.port(), 1000, "in order");
    // The SYN-ACK, sent again, asks for the acknowledgment once more.
    let again = lab.advance(ms(1000));
    assert_eq!(again[0].flags(), S | A);
    assert_eq!(finish(&mut lab, 1002, &syn_acks[2].1), Ok(()));
    assert_eq!(lab.tcp.accept(listener).unwrap().remote.port(), 1001);
    assert_eq!(lab.tcp.accept(listener).unwrap().remote.port(), 1002);
    assert_eq!(lab.tcp.accept(listener), None);
}

#[test]
fn a_flood_of_syns_is_bounded_and_does_not_shut_others_out() {
    let traces = Traces::begin();
    let mut lab =
        Lab::new(TcpConfig { max_half_open: 100, syn_cookies: SynCookieMode::Off, ..plain_config() });
    let listener = lab.listen();
    for round in 0..20_000u32 {
        lab.remote = core::net::IpAddr::V4(core::net::Ipv4Addr::from_bits(0x0b00_0000 + round));
        lab.inject(S, round, 0, &[]).unwrap();
        lab.sent();
    }
    let usage = lab.tcp.usage();
    assert_eq!((usage.half_open, usage.timers, usage.connections), (100, 100, 0));
    let counters = lab.tcp.counters();
    assert_eq!((counters.half_open_evicted.get(), counters.ended(EndReason::Evicted)), (19_900, 19_900));
    lab.remote = "10.0.0.1".parse().unwrap();
    let syn_ack = syn_from(&mut lab, 5).unwrap().unwrap();
    finish(&mut lab, 5, &syn_ack).unwrap();
    assert!(lab.tcp.accept(listener).is_some());
    lab.advance(ms(400_000));
    assert_eq!(lab.tcp.usage().half_open, 0);
    traces.assert_as_counted(lab.tcp.counters());
}

#[test]
fn a_flood_on_one_listener_leaves_anothers_handshakes_alone() {
    let mut lab =
        Lab::new(TcpConfig { max_half_open: 100, syn_cookies: SynCookieMode::Off, ..plain_config() });
    lab.listen();
    let other = lab.tcp.listen(TcpBind { address: None, port: 81 }, ListenOptions::default()).unwrap();
    let mut quiet = lab.header(S, IRS, 0);
    quiet.destination_port = 81;
    lab.inject_header(&quiet, &[]).unwrap();
    let syn_ack = lab.one();
    for port in 1000..3000 {
        syn_from(&mut lab, port).unwrap();
    }
    lab.remote_port = REMOTE_PORT;
    let mut ack = lab.header(A, IRS.wrapping_add(1), syn_ack.sequence().wrapping_add(1));
    ack.destination_port = 81;
    lab.inject_header(&ack, &[]).unwrap();
    assert!(lab.tcp.accept(other).is_some());
}

#[test]
fn one_port_may_have_a_listener_for_an_address_and_one_for_any() {
    // [9293 MUST-41, MUST-42, MUST-43] [1122-T035] [1122-T036]
    let mut lab = Lab::plain();
    let any = lab.listen();
    let bind = TcpBind { address: Some(lab.local), port: LOCAL_PORT };
    let exact = lab.tcp.listen(bind, ListenOptions::default()).unwrap();
    assert_eq!(lab.tcp.listen(bind, ListenOptions::default()), Err(ListenError::AddressInUse));
    let syn_ack = syn_from(&mut lab, 1).unwrap().unwrap();
    finish(&mut lab, 1, &syn_ack).unwrap();
    assert!(lab.tcp.accept(exact).is_some());
    lab.local = "10.0.0.3".parse().unwrap();
    let syn_ack = syn_from(&mut lab, 1).unwrap().unwrap();
    finish(&mut lab, 1, &syn_ack).unwrap();
    let accepted = lab.tcp.accept(any).unwrap();
    assert_eq!(accepted.local.ip(), lab.local);
}

#[test]
fn a_closed_listener_resets_what_nobody_accepted() {
    let mut lab = Lab::plain();
    let listener = lab.listen();
    let accepted = lab.accept();
    let syn_ack = syn_from(&mut lab, 1000).unwrap().unwrap();
    finish(&mut lab, 1000, &syn_ack).unwrap();
    syn_from(&mut lab, 1001).unwrap();
    lab.tcp.close_listener(lab.now, listener);
    let reset = lab.one();
    assert_eq!((reset.flags(), reset.header.destination_port), (R | A, 1000));
    assert_eq!(lab.tcp.counters().ended(EndReason::ListenerClosed), 2, "the half-open one too");
    assert_eq!(lab.state(accepted), TcpState::Established, "what was accepted lives on");
    let usage = lab.tcp.usage();
    assert_eq!((usage.connections, usage.half_open, usage.listeners), (1, 0, 0));
    assert_eq!(syn_from(&mut lab, 1002), Err(DropReason::TcpNoConnection));
    assert_eq!(lab.one().flags(), R | A);
    assert!(lab.tcp.listen(TcpBind { address: None, port: LOCAL_PORT }, ListenOptions::default()).is_ok());
}

#[test]
fn port_zero_is_an_ephemeral_one() {
    let mut lab = Lab::plain();
    let first = lab.tcp.listen(TcpBind::default(), ListenOptions::default()).unwrap();
    let second = lab.tcp.listen(TcpBind::default(), ListenOptions::default()).unwrap();
    let ports = [first, second].map(|id| lab.tcp.listener_port(id).unwrap());
    assert!(ports.iter().all(|port| crate::PortRange::default().contains(*port)) && ports[0] != ports[1]);
}

#[test]
fn each_connection_that_waits_is_told_of() {
    let mut lab = Lab::plain();
    let listener = lab.listen();
    for port in 1000..1003 {
        let syn_ack = syn_from(&mut lab, port).unwrap().unwrap();
        finish(&mut lab, port, &syn_ack).unwrap();
    }
    for _ in 0..3 {
        assert_eq!(lab.events(), [TcpEvent::Acceptable(listener)]);
        let accepted = lab.tcp.accept(listener).unwrap();
        lab.tcp.abort(lab.now, accepted.id);
    }
    assert_eq!(lab.events(), []);
}

#[test]
fn a_connection_that_was_reset_before_it_was_accepted_says_so_when_read() {
    let mut lab = Lab::plain();
    let listener = lab.listen();
    let syn_ack = syn_from(&mut lab, 1000).unwrap().unwrap();
    finish(&mut lab, 1000, &syn_ack).unwrap();
    lab.inject(R, IRS.wrapping_add(1), 0, &[]).unwrap();
    let id = lab.tcp.accept(listener).unwrap().id;
    let flow = Flow { id, ours: 0, theirs: 0 };
    assert_eq!(lab.recv(flow), Err(RecvError::Failed(TcpError::ConnectionReset)));
    lab.tcp.close(lab.now, id);
    assert_eq!(lab.tcp.usage(), TcpUsage { listeners: 1, ..TcpUsage::default() });
}

#[test]
fn sockets_begin_with_what_their_listener_was_told() {
    let mut lab = Lab::plain();
    let socket = SocketOptions { nodelay: true, receive_buffer: Some(5000), ..SocketOptions::default() };
    lab.listen_with(ListenOptions { backlog: 1, socket, ..ListenOptions::default() });
    let flow = lab.accept();
    assert_eq!(lab.tcp.options(flow.id), Some(socket));
    assert_eq!(lab.info(flow).rcv_wnd, 5000);
}

#[test]
fn the_full_table_of_listeners_says_so() {
    let mut lab = Lab::new(TcpConfig { max_listeners: 1, ..plain_config() });
    lab.listen();
    assert_eq!(
        lab.tcp.listen(TcpBind { address: None, port: 81 }, ListenOptions::default()),
        Err(ListenError::TableFull)
    );
}
