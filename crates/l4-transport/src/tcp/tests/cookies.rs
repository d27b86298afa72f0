//! SYN cookies: floods, what survives in a cookie, and what is none.

use core::net::IpAddr;
use core::num::NonZeroU16;

use netloom_base::{DropReason, RxChecksum, RxMeta};
use netloom_wire::{TcpFlags, TcpHeader, TcpOptions, TcpTimestamps};

use super::lab::*;
use crate::tcp::*;

const E: TcpFlags = TcpFlags::ECE;
const W: TcpFlags = TcpFlags::CWR;
/// The peer's clock.
const TSVAL: u32 = 77_000;

fn always() -> TcpConfig {
    TcpConfig { syn_cookies: SynCookieMode::Always, ..TcpConfig::default() }
}

fn rich() -> TcpOptions {
    TcpOptions {
        mss: Some(1460),
        window_scale: Some(5),
        sack_permitted: true,
        timestamps: Some(TcpTimestamps { value: TSVAL, echo_reply: 0 }),
        ..TcpOptions::default()
    }
}

/// What a SYN with these options is answered.
fn ask(lab: &mut Lab, flags: TcpFlags, options: TcpOptions) -> Sent {
    let syn = TcpHeader { options, ..lab.header(flags, IRS, 0) };
    lab.inject_header(&syn, &[]).unwrap();
    lab.one()
}

/// The acknowledgment of a SYN-ACK.
fn answer(lab: &Lab, syn_ack: &Sent) -> TcpHeader {
    let mut ack = lab.header(A, IRS.wrapping_add(1), syn_ack.sequence().wrapping_add(1));
    ack.options.timestamps = syn_ack
        .header
        .options
        .timestamps
        .map(|ours| TcpTimestamps { value: TSVAL + 1, echo_reply: ours.value });
    ack
}

fn accept(lab: &mut Lab, listener: TcpListenerId, syn_ack: &Sent, text: &[u8]) -> Flow {
    let ack = answer(lab, syn_ack);
    lab.inject_header(&ack, text).unwrap();
    let id = lab.tcp.accept(listener).unwrap().id;
    Flow { id, ours: syn_ack.sequence().wrapping_add(1), theirs: IRS.wrapping_add(1) }
}

#[test]
fn a_handshake_by_cookie_leaves_nothing_until_it_is_done() {
    for lab in [Lab::new(always()), Lab::new(always()).over_six()] {
        let mut lab = lab;
        let listener = lab.listen();
        let syn_ack = ask(&mut lab, S, TcpOptions { mss: Some(1400), ..TcpOptions::default() });
        assert_eq!((syn_ack.flags(), syn_ack.acknowledgment()), (S | A, IRS.wrapping_add(1)));
        assert_eq!(lab.tcp.usage(), TcpUsage { listeners: 1, ..TcpUsage::default() });
        lab.advance(ms(30_000));
        let flow = accept(&mut lab, listener, &syn_ack, b"hello");
        assert_eq!(lab.read(flow), b"hello");
        let info = lab.info(flow);
        assert_eq!((info.mss, info.state, info.retransmits), (1360, TcpState::Established, 0));
        assert_eq!((info.srtt, info.cwnd), (None, 13_600), "nobody knows when the SYN-ACK left");
        lab.send(flow, &[1; 2000]);
        assert_eq!(lab.sent().iter().map(Sent::len).collect::<Vec<_>>(), [1360, 640]);
        let counters = lab.tcp.counters();
        assert_eq!((counters.syn_cookies_sent.get(), counters.syn_cookies_accepted.get()), (1, 1));
        assert_eq!(counters.passive_opens.get(), 1);
    }
}

#[test]
fn options_survive_in_the_timestamp() {
    // [7323-03] [7323-42] [3168-02]
    let mut lab = Lab::new(always());
    lab.now += ms(37);
    let listener = lab.listen();
    let syn_ack = ask(&mut lab, S | E | W, rich());
    assert_eq!(syn_ack.flags(), S | A | E);
    let options = syn_ack.header.options;
    assert_eq!((options.window_scale, options.sack_permitted, options.mss), (Some(9), true, Some(1460)));
    let stamp = options.timestamps.unwrap();
    assert_eq!(stamp.echo_reply, TSVAL);
    lab.advance(ms(1));
    let flow = accept(&mut lab, listener, &syn_ack, b"hello");
    let info = lab.info(flow);
    assert_eq!((info.window_scales, info.timestamps, info.sack, info.ecn), ((5, 9), true, true, true));
    assert_eq!((info.snd_wnd, info.srtt), (65_535 << 5, None), "the echo was not the time");
    lab.send(flow, b"text");
    let sent = lab.one();
    let after = sent.header.options.timestamps.unwrap();
    assert!(after.value.wrapping_sub(stamp.value) < 200, "the clock does not go back");
    assert_eq!((after.echo_reply, sent.traffic_class), (TSVAL + 1, 2));
    lab.advance(ms(20));
    let mut ack = lab.header(A, flow.theirs.wrapping_add(5), flow.ours.wrapping_add(4));
    ack.options.timestamps = Some(TcpTimestamps { value: TSVAL + 20, echo_reply: after.value });
    lab.inject_header(&ack, &[]).unwrap();
    assert_eq!(lab.info(flow).srtt, Some(ms(20)), "measured from the first data on");
}

#[test]
fn a_peer_without_timestamps_gets_a_segment_size_and_nothing_else() {
    let mut lab = Lab::new(always());
    let listener = lab.listen();
    let syn_ack = ask(&mut lab, S | E | W, TcpOptions { timestamps: None, ..rich() });
    assert_eq!(syn_ack.flags(), S | A);
    assert_eq!(syn_ack.header.options, TcpOptions { mss: Some(1460), ..TcpOptions::default() });
    let flow = accept(&mut lab, listener, &syn_ack, &[]);
    let info = lab.info(flow);
    assert_eq!((info.window_scales, info.timestamps, info.sack, info.ecn), ((0, 0), false, false, false));
    assert_eq!(info.mss, 1460);
}

#[test]
fn what_the_configuration_forbids_does_not_come_back_by_a_cookie() {
    let plain = TcpConfig { sack: false, window_scaling: false, ecn: EcnMode::Off, ..always() };
    for (config, timestamps) in [(plain.clone(), true), (TcpConfig { timestamps: false, ..plain }, false)] {
        let mut lab = Lab::new(config);
        let listener = lab.listen();
        let syn_ack = ask(&mut lab, S | E | W, rich());
        let flow = accept(&mut lab, listener, &syn_ack, &[]);
        let info = lab.info(flow);
        assert_eq!((info.window_scales, info.sack, info.ecn), ((0, 0), false, false));
        assert_eq!(info.timestamps, timestamps);
    }
}

#[test]
fn an_acknowledgment_of_no_cookie_is_refused() {
    let mut lab = Lab::new(always());
    lab.listen();
    let syn_ack = ask(&mut lab, S, TcpOptions::default());
    let good = answer(&lab, &syn_ack);
    for bad in [
        TcpHeader { acknowledgment: good.acknowledgment + 1, ..good },
        TcpHeader { acknowledgment: good.acknowledgment + (1 << 28), ..good },
        TcpHeader { sequence: good.sequence + 1, ..good },
        TcpHeader { source_port: good.source_port + 1, ..good },
    ] {
        assert_eq!(lab.inject_header(&bad, b"text"), Err(DropReason::TcpBadCookie));
        let reset = lab.one();
        assert_eq!((reset.flags(), reset.header.sequence), (R, bad.acknowledgment));
    }
    let mut elsewhere = good;
    elsewhere.flags = S | A;
    assert_eq!(lab.inject_header(&elsewhere, &[]), Err(DropReason::TcpNoConnection));
    assert_eq!(lab.one().flags(), R);
    elsewhere.flags = R | A;
    assert_eq!(lab.inject_header(&elsewhere, &[]), Err(DropReason::TcpNoConnection));
    lab.none();
    assert_eq!(lab.tcp.counters().syn_cookies_refused.get(), 4);
    assert_eq!(lab.tcp.usage().connections, 0);
}

#[test]
fn a_cookie_grows_old() {
    let mut lab = Lab::new(always());
    lab.listen();
    let old = ask(&mut lab, S, TcpOptions::default());
    lab.advance(ms(128_000));
    let ack = answer(&lab, &old);
    assert_eq!(lab.inject_header(&ack, &[]), Err(DropReason::TcpNoConnection), "none is expected any more");
    assert_eq!(lab.one().flags(), R);
    lab.remote_port = 9;
    ask(&mut lab, S, TcpOptions::default());
    assert_eq!(lab.inject_header(&ack, &[]), Err(DropReason::TcpBadCookie), "one is, but not this");
}

#[test]
fn a_cookie_is_one_connection_as_long_as_that_lives() {
    let mut lab = Lab::new(always());
    let listener = lab.listen();
    let syn_ack = ask(&mut lab, S, TcpOptions::default());
    let flow = accept(&mut lab, listener, &syn_ack, b"once");
    let again = answer(&lab, &syn_ack);
    for _ in 0..3 {
        let _ = lab.inject_header(&again, b"once");
    }
    assert_eq!((lab.read(flow).as_slice(), lab.tcp.usage().connections), (&b"once"[..], 1));
    assert_eq!(lab.tcp.accept(listener), None);
}

#[test]
fn without_cookies_in_flight_an_acknowledgment_is_not_looked_at() {
    let mut lab = Lab::new(TcpConfig { syn_cookies: SynCookieMode::WhenFull, ..plain_config() });
    lab.listen();
    assert_eq!(lab.inject(A, IRS, 5, &[]), Err(DropReason::TcpNoConnection));
    assert_eq!(lab.tcp.counters().resets(ResetCause::AckInListen), 1);
    assert_eq!(lab.tcp.counters().syn_cookies_refused.get(), 0);
}

#[test]
fn a_full_accept_queue_lets_the_peer_try_again() {
    let mut lab = Lab::new(always());
    let listener = lab.listen_with(ListenOptions { backlog: 1, ..ListenOptions::default() });
    let first = ask(&mut lab, S, TcpOptions::default());
    lab.remote_port = 9;
    let second = ask(&mut lab, S, TcpOptions::default());
    let ack = answer(&lab, &second);
    lab.remote_port = REMOTE_PORT;
    let flow = {
        let ack = answer(&lab, &first);
        lab.inject_header(&ack, &[]).unwrap();
        assert_eq!(
            lab.inject_header(&TcpHeader { source_port: 9, ..ack }, b"?"),
            Err(DropReason::TcpBadCookie)
        );
        lab.one()
    };
    assert_eq!(flow.flags(), R);
    assert_eq!(lab.inject_header(&ack, &[]), Err(DropReason::TcpAcceptQueueFull));
    lab.none();
    lab.tcp.accept(listener).unwrap();
    let asked = lab.advance(ms(1000));
    assert_eq!(
        asked.iter().map(Sent::flags).collect::<Vec<_>>(),
        [S | A],
        "its acknowledgment is asked for again"
    );
    assert_eq!(
        (asked[0].header.sequence, asked[0].header.options),
        (second.header.sequence, second.header.options)
    );
    lab.inject_header(&ack, b"what it sent meanwhile").unwrap();
    let accepted = lab.tcp.accept(listener).unwrap();
    assert_eq!(accepted.remote.port(), 9);
    let mut buffer = [0; 100];
    assert_eq!(lab.tcp.recv(lab.now, accepted.id, &mut buffer), Ok(Recv::Data(22)));
}

#[test]
fn a_full_table_of_connections_lets_the_peer_try_again() {
    let mut lab = Lab::new(TcpConfig { max_connections: 1, ..always() });
    let listener = lab.listen();
    let first = ask(&mut lab, S, TcpOptions::default());
    let flow = accept(&mut lab, listener, &first, &[]);
    lab.remote_port = 9;
    let second = ask(&mut lab, S, TcpOptions::default());
    let ack = answer(&lab, &second);
    assert_eq!(lab.inject_header(&ack, &[]), Err(DropReason::TcpTableFull));
    lab.tcp.abort(lab.now, flow.id);
    lab.sent();
    assert_eq!(lab.inject_header(&ack, &[]), Ok(()));
}

#[test]
fn what_follows_a_connection_in_time_wait_goes_beyond_its_numbers() {
    // [9293 MAY-2, SHLD-4]
    let mut lab = Lab::new(TcpConfig { timestamps: false, ..always() });
    let listener = lab.listen();
    let syn_ack = ask(&mut lab, S, TcpOptions::default());
    let flow = accept(&mut lab, listener, &syn_ack, &[]);
    lab.tcp.close(lab.now, flow.id);
    let fin = lab.one();
    lab.inject(F | A, flow.theirs, fin.sequence().wrapping_add(1), &[]).unwrap();
    lab.sent();
    assert_eq!(lab.tcp.usage().time_wait, 1);
    let syn = lab.header(S, IRS.wrapping_add(100_000), 0);
    lab.inject_header(&syn, &[]).unwrap();
    let again = lab.one();
    assert!(again.header.sequence.after(fin.header.sequence), "beyond the old numbers");
    assert_eq!(lab.tcp.usage().half_open, 1, "a cookie could not be");
}

#[test]
fn a_flood_of_a_million_syns_stays_within_the_bound_and_keeps_nobody_out() {
    const FLOOD: u32 = 1_000_000;
    const KEPT: usize = 4096;
    /// What one that is kept may take with all that leads to it: see [`TcpConfig::max_half_open`].
    const BYTES_EACH: usize = 160;
    let mut lab = Lab::new(TcpConfig { max_half_open: KEPT, ..TcpConfig::default() });
    let listener = lab.listen_with(ListenOptions { backlog: 2 * KEPT, ..ListenOptions::default() });
    let (client, client_port) = (lab.remote, lab.remote_port);
    // What one connection takes, it takes for the first.
    let flow = lab.accept();
    lab.tcp.abort(lab.now, flow.id);
    lab.one();
    // One who begins before the flood, and is slow.
    let early = ask(&mut lab, S, rich());
    let empty = lab.tcp.table_bytes();
    // The sum need not be right where the device vouches for it.
    let syn = bytes_of(lab.remote, lab.local, &TcpHeader { options: rich(), ..lab.header(S, IRS, 0) }, &[]);
    let meta = RxMeta { checksum: RxChecksum::Trusted, gso: None };
    for round in 1..=FLOOD {
        let spoofed = IpAddr::from((0x1000_0000 + round).to_be_bytes());
        let mut bytes = syn.clone();
        bytes[..2]
            .copy_from_slice(&NonZeroU16::new(round as u16).unwrap_or(NonZeroU16::MIN).get().to_be_bytes());
        deliver(&mut lab.tcp, lab.now, spoofed, lab.local, &bytes, meta).unwrap();
        assert!(lab.tcp.poll_transmit(lab.now).is_some());
        if round % 100 == 0 {
            lab.now += ms(10);
            lab.tcp.handle_timeout(lab.now);
            while lab.tcp.poll_transmit(lab.now).is_some() {}
        }
        if round == 5_000 {
            (lab.remote, lab.remote_port) = (client, client_port);
            let flow = accept(&mut lab, listener, &early, b"at last");
            assert_eq!(lab.read(flow), b"at last");
            lab.tcp.abort(lab.now, flow.id);
            while lab.tcp.poll_transmit(lab.now).is_some() {}
        }
        if round % 50_000 == 0 {
            (lab.remote, lab.remote_port) = (client, client_port);
            let options = if round % 100_000 == 0 { rich() } else { TcpOptions::default() };
            let syn_ack = ask(&mut lab, S, options);
            let flow = accept(&mut lab, listener, &syn_ack, b"a real client");
            assert_eq!(lab.read(flow), b"a real client");
            lab.tcp.abort(lab.now, flow.id);
            while lab.tcp.poll_transmit(lab.now).is_some() {}
            let usage = lab.tcp.usage();
            assert_eq!((usage.half_open, usage.connections, usage.buffer_bytes), (KEPT, 0, 0));
            assert!(usage.timers <= KEPT);
            assert!(lab.tcp.table_bytes() - empty <= KEPT * BYTES_EACH, "{}", lab.tcp.table_bytes() - empty);
        }
    }
    let counters = lab.tcp.counters();
    assert_eq!(counters.half_open_evicted.get(), 0);
    assert_eq!((counters.syn_cookies_accepted.get(), counters.syn_cookies_refused.get()), (20, 0));
    assert!(counters.syn_cookies_sent.get() > 990_000);
    lab.advance(ms(400_000));
    assert_eq!(lab.tcp.usage(), TcpUsage { listeners: 1, ..TcpUsage::default() });
    ask(&mut lab, S, rich());
    assert_eq!(lab.tcp.usage().half_open, 1, "as before, when it is over");
}
