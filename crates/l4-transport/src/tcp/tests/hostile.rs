//! Anything at all as input: nothing panics, nothing grows.

use netloom_base::{Rng, RxChecksum, RxMeta};
use netloom_wire::{IcmpError, IcmpErrorKind, Protocol, SeqNumber, TcpFlags, TcpOptions, TcpTimestamps};

use super::lab::*;
use crate::tcp::*;

fn small_config() -> TcpConfig {
    TcpConfig {
        max_connections: 20,
        max_time_wait: 5,
        max_half_open: 10,
        max_replies: 50,
        max_out_of_order_ranges: 8,
        receive_buffer: 20_000,
        send_buffer: 20_000,
        ..TcpConfig::default()
    }
}

fn assert_bounded(lab: &Lab) {
    let usage = lab.tcp.usage();
    assert!(usage.connections <= 20 && usage.time_wait <= 5 && usage.half_open <= 10, "{usage:?}");
    assert!(usage.buffer_bytes <= 20 * 2 * 40_000, "{usage:?}");
}

#[test]
fn random_bytes_are_only_dropped() {
    let mut lab = Lab::new(small_config());
    lab.listen();
    let mut rng = Rng::from_number(5);
    for _ in 0..200_000 {
        let mut bytes = vec![0; usize::try_from(rng.below(80)).unwrap()];
        rng.fill(&mut bytes);
        let meta = RxMeta { checksum: RxChecksum::Trusted, gso: None };
        let _ = deliver(&mut lab.tcp, lab.now, lab.remote, lab.local, &bytes, meta);
        if rng.below(50) == 0 {
            lab.sent();
        }
    }
    assert_bounded(&lab);
}

/// A number near one that matters, or anywhere.
fn near(rng: &mut Rng, number: u32) -> u32 {
    match rng.below(4) {
        0 => number,
        1 => number.wrapping_add(u32::try_from(rng.below(4)).unwrap()).wrapping_sub(2),
        2 => number.wrapping_add(u32::try_from(rng.below(70_000)).unwrap()).wrapping_sub(30_000),
        _ => rng.next_u32(),
    }
}

/// Segments with any flags and numbers near those that matter, user calls and time in any order.
fn storm(seed: u64, rounds: u64) {
    let mut lab = Lab::new(small_config());
    let listener = lab.listen_with(ListenOptions { backlog: 4, ..ListenOptions::default() });
    let mut rng = Rng::from_number(seed);
    let mut ids: Vec<TcpSocketId> = Vec::new();
    // The last numbers seen from us on each port.
    let mut seen = [(0u32, 0u32); 4];
    for _ in 0..rounds {
        let pick = usize::try_from(rng.below(4)).unwrap();
        lab.remote_port = 1000 + u16::try_from(pick).unwrap();
        match rng.below(16) {
            0..=9 => {
                let (ours, theirs) = seen[pick];
                let mut header = lab.header(
                    TcpFlags(u8::try_from(rng.below(64)).unwrap()),
                    near(&mut rng, theirs),
                    near(&mut rng, ours),
                );
                header.window = rng.next_u16() >> rng.below(17).min(15);
                header.urgent_pointer = rng.next_u16();
                if rng.below(2) == 0 {
                    let (value, echo_reply) = (near(&mut rng, 1000), rng.next_u32());
                    header.options = TcpOptions {
                        timestamps: Some(TcpTimestamps { value, echo_reply }),
                        mss: (rng.below(2) == 0).then(|| rng.next_u16()),
                        window_scale: (rng.below(2) == 0).then(|| u8::try_from(rng.below(20)).unwrap()),
                        ..TcpOptions::default()
                    };
                }
                let text = vec![7; usize::try_from(rng.below(3) * rng.below(2000)).unwrap()];
                let _ = lab.inject_header(&header, &text);
            }
            10 => {
                ids.extend(lab.tcp.accept(listener).map(|accepted| accepted.id));
                if rng.below(4) == 0 {
                    let remote = core::net::SocketAddr::new(lab.remote, lab.remote_port);
                    let (path, local) = (lab.path(), TcpBind { address: None, port: LOCAL_PORT });
                    ids.extend(lab.tcp.connect(lab.now, local, &path, remote, &SocketOptions::default()));
                }
            }
            11 | 12 => use_socket(&mut lab, &mut rng, &mut ids),
            13 => {
                let deadline = lab.tcp.poll_timeout().unwrap_or(lab.now);
                lab.now = lab.now.max(deadline) + ms(rng.below(50));
                lab.tcp.handle_timeout(lab.now);
            }
            14 => complain(&mut lab, &mut rng, near_pick(&seen, pick)),
            _ => {
                for sent in lab.sent() {
                    let port = usize::from(sent.header.destination_port.saturating_sub(1000)).min(3);
                    seen[port] = (sent.sequence().wrapping_add(sent.len() as u32), sent.acknowledgment());
                }
                lab.events();
            }
        }
    }
    assert_bounded(&lab);
    lab.tcp.abort_all(lab.now);
    lab.tcp.close_listener(lab.now, listener);
    for id in ids {
        lab.tcp.close(lab.now, id);
    }
    lab.sent();
    assert_eq!(lab.tcp.usage(), TcpUsage::default(), "seed {seed}");
}

fn near_pick(seen: &[(u32, u32); 4], pick: usize) -> SeqNumber {
    SeqNumber(seen[pick].0)
}

fn use_socket(lab: &mut Lab, rng: &mut Rng, ids: &mut Vec<TcpSocketId>) {
    if ids.is_empty() {
        return;
    }
    let at = usize::try_from(rng.below(ids.len() as u64)).unwrap();
    let id = ids[at];
    let mut buffer = vec![0; usize::try_from(rng.below(5000)).unwrap()];
    match rng.below(10) {
        0 => {
            lab.tcp.close(lab.now, id);
            ids.swap_remove(at);
        }
        1 if rng.below(4) == 0 => {
            lab.tcp.abort(lab.now, id);
            ids.swap_remove(at);
        }
        2 => drop(lab.tcp.shutdown_write(lab.now, id)),
        3 if rng.below(4) == 0 => drop(lab.tcp.shutdown_read(lab.now, id)),
        4 => drop(lab.tcp.set_nodelay(lab.now, id, rng.below(2) == 0)),
        5 => drop(lab.tcp.send_urgent(lab.now, id, &buffer)),
        6 => drop(lab.tcp.set_keepalive(lab.now, id, Some(Keepalive::default()))),
        7 | 8 => drop(lab.tcp.send(lab.now, id, &buffer)),
        _ => drop(lab.tcp.recv(lab.now, id, &mut buffer)),
    }
}

fn complain(lab: &mut Lab, rng: &mut Rng, sequence: SeqNumber) {
    let kinds = [
        IcmpErrorKind::PacketTooBig { mtu: Some(rng.next_u16()) },
        IcmpErrorKind::PacketTooBig { mtu: None },
        IcmpErrorKind::PortUnreachable,
        IcmpErrorKind::HostUnreachable,
    ];
    let kind = kinds[usize::try_from(rng.below(4)).unwrap()];
    let mut quote = [0; 8];
    quote[..2].copy_from_slice(&LOCAL_PORT.to_be_bytes());
    quote[2..4].copy_from_slice(&lab.remote_port.to_be_bytes());
    quote[4..].copy_from_slice(&near(rng, sequence.0).to_be_bytes());
    let (reporter, source, destination) = (lab.remote, lab.local, lab.remote);
    let error = IcmpError { kind, reporter, source, destination, protocol: Protocol::TCP, quote: &quote };
    lab.tcp.handle_icmp(lab.now, &error);
}

#[test]
fn storms_of_segments_calls_and_time_break_nothing() {
    for seed in 0..200 {
        storm(seed, 3000);
    }
}
