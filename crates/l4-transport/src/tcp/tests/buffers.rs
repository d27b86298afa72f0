//! How much is buffered: windows that follow their readers, buffers that follow the path, memory that all share.

use core::time::Duration;

use netloom_base::DropReason;
use netloom_wire::{TcpHeader, TcpOptions};

use super::lab::*;
use super::pair::{Pair, Script, pattern, with_segmentation};
use super::traces::Traces;
use crate::tcp::*;

fn scaled() -> TcpOptions {
    TcpOptions { mss: Some(1460), window_scale: Some(9), ..TcpOptions::default() }
}

/// A connection whose handshake took 100 ms.
fn tuning() -> (Lab, Flow) {
    let mut lab = Lab::new(TcpConfig { window_scaling: true, ..plain_config() });
    let id = lab.begin_connect();
    let ours = lab.one().sequence().wrapping_add(1);
    lab.advance(ms(100));
    let answer = TcpHeader { options: scaled(), ..lab.header(S | A, IRS, ours) };
    lab.inject_header(&answer, &[]).unwrap();
    lab.one();
    (lab, Flow { id, ours, theirs: IRS.wrapping_add(1) })
}

/// The peer sends `len` bytes of text from `offset` on, and gets its acknowledgments.
fn feed(lab: &mut Lab, flow: Flow, offset: &mut u32, len: u32) -> Result<(), DropReason> {
    let text = [7; 50_000];
    let end = *offset + len;
    while *offset < end {
        let part = (end - *offset).min(text.len() as u32);
        lab.inject(A, flow.theirs.wrapping_add(*offset), flow.ours, &text[..part as usize])?;
        *offset += part;
        lab.sent();
    }
    Ok(())
}

#[test]
fn the_window_begins_with_a_megabyte_and_follows_a_fast_reader() {
    let (mut lab, flow) = tuning();
    let mut offset = 0;
    feed(&mut lab, flow, &mut offset, 2 * MSS as u32).unwrap();
    lab.read(flow);
    let widest = |lab: &Lab| lab.info(flow).rcv_wnd;
    assert!((1_000_000..=(1 << 20) + 512).contains(&widest(&lab)), "{}", widest(&lab));
    // As much as was granted, again and again: the window keeps ahead.
    let mut last = widest(&lab);
    for round in 0..12 {
        lab.advance(ms(100));
        let granted = last;
        feed(&mut lab, flow, &mut offset, granted).unwrap();
        lab.read(flow);
        lab.sent();
        last = widest(&lab);
        assert!(last >= granted.saturating_sub(2 * MSS as u32), "round {round}: {last} after {granted}");
    }
    assert!(last >= (16 << 20) - 2 * MSS as u32, "{last}");
}

#[test]
fn a_narrow_first_window_grows_with_its_reader_up_to_the_buffer() {
    for first_window in [2048, 4096, 20_000] {
        let config =
            TcpConfig { window_scaling: true, first_window, receive_buffer: 300_000, ..plain_config() };
        let mut lab = Lab::new(config);
        let id = lab.begin_connect();
        let syn = lab.one();
        assert_eq!(usize::from(syn.header.window), first_window);
        let ours = syn.sequence().wrapping_add(1);
        lab.advance(ms(100));
        let answer = TcpHeader { options: scaled(), ..lab.header(S | A, IRS, ours) };
        lab.inject_header(&answer, &[]).unwrap();
        lab.one();
        let flow = Flow { id, ours, theirs: IRS.wrapping_add(1) };
        let mut offset = 0;
        for _ in 0..12 {
            let granted = lab.info(flow).rcv_wnd;
            feed(&mut lab, flow, &mut offset, granted).unwrap();
            lab.advance(ms(100));
            lab.read(flow);
            lab.sent();
            // Rounded up to its scale.
            assert!(lab.info(flow).rcv_wnd <= 300_000 + 8, "{}", lab.info(flow).rcv_wnd);
        }
        assert!(lab.info(flow).rcv_wnd > 290_000, "{first_window}: {}", lab.info(flow).rcv_wnd);
    }
}

#[test]
fn a_peer_is_told_a_narrow_first_window_in_the_answer_to_its_syn() {
    for syn_cookies in [SynCookieMode::Off, SynCookieMode::Always] {
        let config = TcpConfig { window_scaling: true, first_window: 5000, syn_cookies, ..plain_config() };
        let mut lab = Lab::new(config);
        lab.listen();
        lab.inject_header(&TcpHeader { options: scaled(), ..lab.header(S, IRS, 0) }, &[]).unwrap();
        assert_eq!(lab.one().header.window, 5000);
    }
}

#[test]
fn a_slow_reader_does_not_get_more_than_the_first_window() {
    let (mut lab, flow) = tuning();
    let mut offset = 0;
    for _ in 0..100 {
        let window = lab.info(flow).rcv_wnd;
        feed(&mut lab, flow, &mut offset, window).unwrap();
        lab.advance(ms(100));
        lab.tcp.recv(lab.now, flow.id, &mut [0; 4000]).unwrap();
        lab.sent();
        assert!(lab.info(flow).receive_queue_len <= (1 << 20) + 512);
    }
    assert!(lab.tcp.usage().buffer_bytes <= 2 << 20);
}

#[test]
fn sizes_that_were_asked_for_are_not_tuned() {
    let mut lab = Lab::new(TcpConfig { window_scaling: true, ..plain_config() });
    let socket = SocketOptions {
        receive_buffer: Some(3 << 20),
        send_buffer: Some(3 << 20),
        ..SocketOptions::default()
    };
    lab.listen_with(ListenOptions { socket, ..ListenOptions::default() });
    let flow = lab.accept_with(scaled());
    lab.inject(A, flow.theirs, flow.ours, &[7; 2 * MSS]).unwrap();
    assert_eq!(lab.read(flow).len(), 2 * MSS);
    lab.sent();
    let window = lab.info(flow).rcv_wnd;
    assert!(window > (3 << 20) - 3 * MSS as u32 && window <= (3 << 20) + 512, "{window}");
    assert_eq!(lab.send(flow, &vec![1; 5 << 20]), 3 << 20);
}

/// One end sends as fast as it may over 1 Gbit/s with a round trip of 100 ms: no buffer may be what limits it.
#[test]
fn a_long_fat_path_is_filled_either_way_by_default() {
    const RATE: u64 = 125_000_000;
    let config = || with_segmentation(TcpConfig::default());
    for from in 0..2 {
        let script = |side| Script::sending(if side == from { pattern(300_000_000, 3) } else { Vec::new() });
        let mut pair = Pair::new(1, [config(), config()], [script(0), script(1)]);
        pair.faults.delay = ms(50);
        pair.faults.rate = RATE;
        pair.open();
        let begin = pair.now;
        let mut run_until = |at: u64| {
            while pair.now < begin + ms(at) && pair.step() {}
            pair.sides[1 - from].received.len()
        };
        // Ten segments double in each of about ten round trips.
        let before = run_until(1700);
        let goodput = (run_until(2200) - before) as u64 * 2;
        assert!(goodput >= RATE / 10 * 9, "from {from}: {goodput} bytes a second of {RATE}");
    }
}

#[test]
fn ten_thousand_slow_readers_stay_within_the_bound() {
    const COUNT: u16 = 10_000;
    const BOUND: usize = 64 << 20;
    let config = TcpConfig { max_buffer_bytes: BOUND, window_scaling: true, ..plain_config() };
    let mut lab = Lab::new(config);
    let options = ListenOptions { backlog: 20_000, ..ListenOptions::default() };
    lab.listen_with(options);
    let traces = Traces::begin();
    let flows: Vec<Flow> = (0..COUNT)
        .map(|n| {
            lab.remote_port = 20_000 + n;
            lab.accept_with(scaled())
        })
        .collect();
    let mut sent = vec![0u32; flows.len()];
    let mut refused = 0;
    for _ in 0..8 {
        for ((n, flow), offset) in (0..).zip(&flows).zip(&mut sent) {
            lab.remote_port = 20_000 + n;
            if let Err(reason) = lab.inject(A, flow.theirs.wrapping_add(*offset), flow.ours, &[7; MSS]) {
                assert!(matches!(reason, DropReason::TcpReceiveBufferFull | DropReason::TcpOutOfWindow));
                refused += 1;
            }
            lab.sent();
            *offset = lab.info(*flow).bytes_received as u32;
        }
        assert!(lab.tcp.usage().buffer_bytes <= BOUND, "{}", lab.tcp.usage().buffer_bytes);
    }
    assert!(refused > 0);
    assert_eq!(lab.tcp.counters().memory_shortages.get(), 1);
    assert!(lab.tcp.counters().memory_refusals.get() > 0);
    traces.assert_as_counted(lab.tcp.counters());
    assert_eq!(lab.tcp.usage().connections, flows.len(), "nobody is ended");
    // Everybody who reads goes on; and when all have, there is no shortage any more.
    let mut total = 0;
    for ((n, flow), offset) in (0..).zip(&flows).zip(&mut sent) {
        lab.remote_port = 20_000 + n;
        let held = lab.read(*flow).len();
        assert!(held > 0, "each has something");
        total += held;
        lab.sent();
        lab.inject(A, flow.theirs.wrapping_add(*offset), flow.ours, &[7; MSS]).unwrap();
        lab.sent();
    }
    assert!(total > BOUND / 2);
    for flow in &flows {
        assert_eq!(lab.read(*flow).len(), MSS);
    }
    lab.advance(Duration::from_secs(3));
    assert_eq!(lab.tcp.usage().buffer_bytes, 0);
    assert_eq!(lab.tcp.counters().memory_shortages.get(), 1, "it ended once");
}

/// What fills a hole does not make room for as much behind the next one.
#[test]
fn a_peer_that_fills_holes_one_by_one_stays_within_the_bound() {
    const BOUND: usize = 256 << 10;
    let mut lab = Lab::new(TcpConfig { max_buffer_bytes: BOUND, window_scaling: true, ..plain_config() });
    let ports = [REMOTE_PORT, REMOTE_PORT + 1];
    let [other, peer] = ports.map(|port| {
        lab.remote_port = port;
        lab.accept_with(scaled())
    });
    // Both have been told of a wide window when the first fills the memory.
    lab.remote_port = ports[0];
    for at in (0..BOUND as u32).step_by(MSS) {
        lab.inject(A, other.theirs.wrapping_add(at), other.ours, &[7; MSS]).unwrap_or_default();
        lab.sent();
    }
    lab.remote_port = ports[1];
    let mut at = 0;
    for _ in 0..100 {
        let behind = lab.inject(A, peer.theirs.wrapping_add(at + 1), peer.ours, &[7; 4095]);
        let filler = lab.inject(A, peer.theirs.wrapping_add(at), peer.ours, b"a");
        lab.sent();
        if behind.is_ok() && filler.is_ok() {
            at += 4096;
        }
    }
    assert!(lab.tcp.usage().buffer_bytes <= BOUND + 2 * 4096, "{}", lab.tcp.usage().buffer_bytes);
    assert!(!lab.read(peer).is_empty(), "it has its reserve");
}

#[test]
fn a_stream_goes_on_without_any_memory_but_the_reserve() {
    for seed in 0..4 {
        let config = || TcpConfig { max_buffer_bytes: 0, ..TcpConfig::default() };
        let scripts = [Script::sending(pattern(200_000, 1)), Script::sending(pattern(200_000, 2))];
        let mut pair = Pair::new(seed, [config(), config()], scripts);
        pair.faults.loss = 10;
        pair.faults.reorder = 10;
        pair.open();
        pair.run_and_check(Duration::from_secs(3600));
    }
}

#[test]
fn a_writer_takes_less_while_memory_is_short() {
    let mut lab = Lab::new(TcpConfig { max_buffer_bytes: 600_000, ..plain_config() });
    let [first, second, third] = [0, 1, 2].map(|n| {
        lab.remote_port = REMOTE_PORT + n;
        lab.accept()
    });
    lab.events();
    assert_eq!(lab.send(first, &vec![1; 1 << 20]), 256 * 1024);
    assert_eq!(lab.send(second, &vec![1; 1 << 20]), 256 * 1024, "three quarters were free before it");
    assert_eq!(lab.send(third, &vec![1; 1 << 20]), 16 * 1024);
    assert_eq!(lab.send(third, b"x"), 0);
    assert!(lab.tcp.usage().buffer_bytes <= 600_000);
    // What is acknowledged makes room, and the writer hears of it.
    lab.sent();
    lab.events();
    lab.ack(third, 10 * MSS as u32);
    lab.sent();
    lab.ack(third, 16 * 1024);
    assert_eq!(lab.events(), [TcpEvent::Writable(third.id)]);
    assert!(lab.send(third, &[1; 4096]) > 0);
}

#[test]
fn a_connection_that_rests_holds_nothing_beside_itself() {
    let mut lab = Lab::new(TcpConfig { sack: true, window_scaling: true, ..plain_config() });
    let flow = lab.accept_with(TcpOptions { sack_permitted: true, ..scaled() });
    // Text with a hole, and a part of it twice.
    for offset in [0, 2000, 1000, 1000, 3000] {
        lab.inject(A, flow.theirs.wrapping_add(offset), flow.ours, &[7; 1000]).unwrap_or_default();
        lab.sent();
    }
    assert_eq!(lab.read(flow).len(), 4000);
    // And a loss.
    let theirs = flow.theirs.wrapping_add(4000);
    assert_eq!(lab.send(flow, &[7; 10 * MSS]), 10 * MSS);
    assert_eq!(lab.sent().len(), 10);
    lab.advance(ms(3000));
    assert!(lab.info(flow).timeouts > 0);
    lab.inject(A, theirs, flow.ours.wrapping_add(10 * MSS as u32), &[]).unwrap();

    let rests = |lab: &Lab| {
        let connection = lab.tcp.connections.get(flow.id.0).unwrap();
        connection.sender.queue.is_released()
            && connection.sender.scoreboard.allocated() == 0
            && connection.recovery.allocated() == 0
            && connection.congestion.ssthresh_before_reduction().is_none()
            && connection.receiver.is_released()
    };
    lab.advance(ms(900));
    assert!(!rests(&lab), "it may go on at once");
    lab.advance(ms(1200));
    assert!(rests(&lab), "{:?}", lab.tcp.connections.get(flow.id.0));
    assert_eq!(lab.tcp.usage().timers, 0);
}

#[test]
fn thousands_of_connections_that_idle_again_take_less_than_970_bytes_each() {
    // As many as fill the table that doubles.
    const COUNT: u16 = 8192;
    let mut lab = Lab::new(TcpConfig::default());
    for port in 1..=COUNT {
        lab.remote_port = port;
        let flow = lab.accept_with(scaled());
        lab.inject(A, flow.theirs, flow.ours, b"a word").unwrap();
        assert_eq!(lab.read(flow), b"a word");
        lab.sent();
    }
    lab.advance(ms(2000));
    let usage = lab.tcp.usage();
    assert_eq!((usage.connections, usage.timers, usage.buffer_bytes), (COUNT.into(), 0, 0));
    let each = lab.tcp.table_bytes() / usize::from(COUNT);
    assert!(each < 970, "{each} bytes each, of 1024 with what the sockets above keep");
}
