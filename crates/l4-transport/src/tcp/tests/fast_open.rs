//! Fast Open against hand-made segments: each side's half of RFC 7413.

use core::net::SocketAddr;
use core::time::Duration;

use netloom_wire::{FastOpenCookie, IcmpError, IcmpErrorKind, OptionTail, Protocol, SeqNumber, TcpOptions};

use super::lab::*;
use crate::tcp::*;

const OTHER_PORT: u16 = 40_001;

fn fast_listener() -> ListenOptions {
    ListenOptions { fast_open: 2, ..ListenOptions::default() }
}

fn syn_options(cookie: Option<FastOpenCookie>) -> TcpOptions {
    let tail = cookie.map_or(OptionTail::None, OptionTail::FastOpen);
    TcpOptions { mss: Some(1460), tail, ..TcpOptions::default() }
}

/// The peer's SYN with this cookie and text.
fn inject_syn(lab: &mut Lab, cookie: Option<FastOpenCookie>, text: &[u8]) {
    let header = netloom_wire::TcpHeader { options: syn_options(cookie), ..lab.header(S, IRS, 0) };
    lab.inject_header(&header, text).unwrap();
}

/// The cookie that the stack gives the peer, by a connection that comes to nothing.
fn fetch_cookie(lab: &mut Lab) -> FastOpenCookie {
    let port = core::mem::replace(&mut lab.remote_port, 39_999);
    inject_syn(lab, Some(FastOpenCookie::REQUEST), &[]);
    let syn_ack = lab.one();
    lab.inject(R, IRS.wrapping_add(1), 0, &[]).unwrap();
    lab.remote_port = port;
    syn_ack.header.options.fast_open().expect("a cookie")
}

/// A stack that listens, and the peer's cookie.
fn server() -> (Lab, TcpListenerId, FastOpenCookie) {
    let mut lab = Lab::plain();
    let listener = lab.listen_with(fast_listener());
    let cookie = fetch_cookie(&mut lab);
    (lab, listener, cookie)
}

fn after_irs(len: u32) -> u32 {
    IRS.wrapping_add(1).wrapping_add(len)
}

#[track_caller]
fn check_plain(lab: &mut Lab, listener: TcpListenerId, fallback: FastOpenFallback) {
    let before = lab.tcp.counters().fast_open_fallbacks(fallback);
    let syn_ack = lab.one();
    assert_eq!((syn_ack.flags(), syn_ack.acknowledgment()), (S | A, after_irs(0)), "only the SYN");
    assert!(lab.tcp.accept(listener).is_none(), "there is no connection before the handshake is done");
    assert_eq!(before, 1, "{fallback}");
}

#[test]
fn the_data_of_a_syn_with_a_cookie_is_read_before_the_handshake_is_done() {
    // [7413-03] [7413-23] [7413-25]
    let (mut lab, listener, cookie) = server();
    inject_syn(&mut lab, Some(cookie), b"hello");
    assert!(lab.events().contains(&TcpEvent::Acceptable(listener)));
    let accepted = lab.tcp.accept(listener).expect("it is accepted at once");
    let syn_ack = lab.one();
    assert_eq!((syn_ack.flags(), syn_ack.acknowledgment()), (S | A, after_irs(5)));
    assert_eq!(syn_ack.header.options.fast_open(), None, "the cookie is as new as any");
    assert_eq!(syn_ack.header.window, 65_530, "the data takes its part of the window");
    let flow = Flow { id: accepted.id, ours: syn_ack.sequence().wrapping_add(1), theirs: after_irs(5) };
    assert_eq!(lab.read(flow), b"hello");
    assert_eq!(lab.state(flow), TcpState::SynReceived);
    assert_eq!(lab.tcp.connected(flow.id), Ok(true));

    // The answer does not wait for the handshake either.
    lab.send(flow, b"world");
    let answer = lab.one();
    assert_eq!(
        (answer.flags(), answer.sequence(), answer.acknowledgment()),
        (P | A, flow.ours, after_irs(5))
    );
    assert_eq!(answer.text, b"world");
    assert_eq!(lab.tcp.listeners().next().unwrap().fast_open, 1);

    lab.ack(flow, 5);
    assert_eq!(lab.state(flow), TcpState::Established);
    assert_eq!(lab.tcp.listeners().next().unwrap().fast_open, 0);
    let info = lab.info(flow);
    assert!(info.syn_data && info.outstanding_len == 0 && info.bytes_received == 5);
    let counters = lab.tcp.counters();
    assert_eq!((counters.fast_opens_received.get(), counters.passive_opens.get()), (1, 1));
    assert_eq!((counters.fast_open_cookies_sent.get(), counters.retransmits_total()), (1, 0));
    assert!(!lab.events().contains(&TcpEvent::Connected(flow.id)), "it was accepted, not connected");
}

#[test]
fn without_the_applications_word_the_option_is_ignored() {
    // [7413-11]
    let (mut other, _, cookie) = server();
    let mut lab = Lab::plain();
    lab.tcp.fast_open_secret = other.tcp.fast_open_secret;
    let listener = lab.listen();
    for cookie in [cookie, FastOpenCookie::REQUEST] {
        inject_syn(&mut lab, Some(cookie), b"hello");
        let syn_ack = lab.one();
        assert_eq!((syn_ack.acknowledgment(), syn_ack.header.options.fast_open()), (after_irs(0), None));
        assert!(lab.tcp.accept(listener).is_none());
        lab.remote_port += 1;
    }
    let total: u64 = FastOpenFallback::ALL.iter().map(|&it| lab.tcp.counters().fast_open_fallbacks(it)).sum();
    assert_eq!(total, 0);
    inject_syn(&mut other, Some(cookie), b"hello");
    assert_eq!(other.one().acknowledgment(), after_irs(5), "the cookie was good");
}

#[test]
fn a_bad_cookie_makes_a_plain_handshake_that_brings_a_new_one() {
    // [7413-03] [7413-23]
    let (mut lab, listener, cookie) = server();
    let bad = FastOpenCookie::new(&[1; 8]).unwrap();
    inject_syn(&mut lab, Some(bad), b"hello");
    let sent = lab.one();
    assert_eq!((sent.flags(), sent.acknowledgment()), (S | A, after_irs(0)));
    assert_eq!(sent.header.options.fast_open(), Some(cookie));
    assert!(lab.tcp.accept(listener).is_none());
    assert_eq!(lab.tcp.counters().fast_open_fallbacks(FastOpenFallback::BadCookie), 1);
    // The data comes again, as any.
    lab.inject(A | P, after_irs(0), sent.sequence().wrapping_add(1), b"hello").unwrap();
    let id = lab.tcp.accept(listener).unwrap().id;
    let flow = Flow { id, ours: sent.sequence().wrapping_add(1), theirs: after_irs(5) };
    assert_eq!(lab.read(flow), b"hello");
    assert!(!lab.info(flow).syn_data);
}

#[test]
fn a_cookie_of_the_last_period_is_good_and_replaced() {
    // [7413-04]
    let (mut lab, listener, old) = server();
    lab.advance(Duration::from_secs(12 * 3600));
    inject_syn(&mut lab, Some(old), b"hello");
    let syn_ack = lab.one();
    let new = syn_ack.header.options.fast_open().expect("a new one");
    assert_ne!(new, old);
    assert_eq!(syn_ack.acknowledgment(), after_irs(5));
    assert!(lab.tcp.accept(listener).is_some());
    lab.inject(A, after_irs(5), syn_ack.sequence().wrapping_add(1), &[]).unwrap();
    lab.advance(Duration::from_secs(12 * 3600));
    lab.remote_port = OTHER_PORT;
    inject_syn(&mut lab, Some(old), b"hello");
    check_plain(&mut lab, listener, FastOpenFallback::BadCookie);
}

#[test]
fn beyond_the_bound_handshakes_are_plain_until_one_is_done() {
    // [7413-12]
    let (mut lab, listener, cookie) = server();
    let mut first = None;
    for _ in 0..2 {
        inject_syn(&mut lab, Some(cookie), b"hello");
        let syn_ack = lab.one();
        assert_eq!(syn_ack.acknowledgment(), after_irs(5));
        first.get_or_insert((lab.remote_port, syn_ack));
        assert!(lab.tcp.accept(listener).is_some());
        lab.remote_port += 1;
    }
    inject_syn(&mut lab, Some(cookie), b"hello");
    check_plain(&mut lab, listener, FastOpenFallback::QueueFull);
    let (port, syn_ack) = first.unwrap();
    lab.remote_port = port;
    lab.inject(A, after_irs(5), syn_ack.sequence().wrapping_add(1), &[]).unwrap();
    lab.remote_port = 50_000;
    inject_syn(&mut lab, Some(cookie), b"hello");
    assert_eq!(lab.one().acknowledgment(), after_irs(5));
    assert!(lab.tcp.accept(listener).is_some());
}

#[test]
fn a_reset_makes_no_room_for_a_minute() {
    // [7413-24]
    let (mut lab, listener, cookie) = server();
    for _ in 0..2 {
        inject_syn(&mut lab, Some(cookie), b"hello");
        lab.one();
        lab.inject(R, after_irs(5), 0, &[]).unwrap();
        let id = lab.tcp.accept(listener).unwrap().id;
        assert_eq!(lab.tcp.error(id), Some(TcpError::ConnectionReset));
        lab.tcp.close(lab.now, id);
        lab.remote_port += 1;
    }
    assert_eq!(lab.tcp.listeners().next().unwrap().fast_open, 2);
    lab.advance(Duration::from_secs(59));
    inject_syn(&mut lab, Some(cookie), b"hello");
    check_plain(&mut lab, listener, FastOpenFallback::QueueFull);
    lab.advance(Duration::from_secs(1));
    lab.remote_port = 50_000;
    inject_syn(&mut lab, Some(cookie), b"hello");
    assert!(lab.tcp.accept(listener).is_some());
}

#[test]
fn handshakes_that_come_to_nothing_make_room_again() {
    // [7413-12]
    let (mut lab, listener, cookie) = server();
    inject_syn(&mut lab, Some(cookie), b"hello");
    let aborted = lab.tcp.accept(listener).unwrap().id;
    lab.tcp.abort(lab.now, aborted);
    assert_eq!(lab.sent().last().unwrap().flags(), R | A, "the peer knows of it");
    assert_eq!(lab.tcp.listeners().next().unwrap().fast_open, 0);
    lab.remote_port += 1;
    inject_syn(&mut lab, Some(cookie), b"hello");
    let silent = lab.tcp.accept(listener).unwrap().id;
    lab.advance(Duration::from_secs(600));
    assert_eq!(lab.tcp.error(silent), Some(TcpError::TimedOut));
    assert_eq!(lab.tcp.listeners().next().unwrap().fast_open, 0);
    lab.tcp.close(lab.now, silent);
    assert_eq!(lab.tcp.usage().connections, 0);
}

#[test]
fn what_is_sent_early_stays_within_both_windows() {
    // [7413-20]
    let check = |window: u16, expected: usize| {
        let (mut lab, listener, cookie) = server();
        lab.window = window;
        inject_syn(&mut lab, Some(cookie), b"hello");
        let id = lab.tcp.accept(listener).unwrap().id;
        let syn_ack = lab.one();
        let flow = Flow { id, ours: syn_ack.sequence().wrapping_add(1), theirs: after_irs(5) };
        lab.send(flow, &[7; 100_000]);
        let early: usize = lab.sent().iter().map(Sent::len).sum();
        assert_eq!(early, expected, "window {window}");
        // The rest follows the acknowledgment.
        lab.window = 65_535;
        lab.ack(flow, u32::try_from(early).unwrap());
        assert!(!lab.sent().is_empty());
    };
    check(65_535, 10 * MSS);
    check(3000, 2 * MSS);
    check(0, 0);
}

#[test]
fn a_syn_ack_that_goes_again_goes_alone_and_data_follows_the_handshake() {
    // [7413-14] [7413-19]
    let (mut lab, listener, old) = server();
    lab.advance(Duration::from_secs(12 * 3600));
    inject_syn(&mut lab, Some(old), b"hello");
    let id = lab.tcp.accept(listener).unwrap().id;
    let syn_ack = lab.one();
    assert!(syn_ack.header.options.fast_open().is_some());
    let flow = Flow { id, ours: syn_ack.sequence().wrapping_add(1), theirs: after_irs(5) };
    lab.send(flow, b"world");
    assert_eq!(lab.one().text, b"world");
    let again = lab.advance(ms(1000));
    assert_eq!(again.len(), 1, "{again:?}");
    assert_eq!((again[0].flags(), again[0].acknowledgment(), again[0].len()), (S | A, after_irs(5), 0));
    assert_eq!(again[0].header.options.fast_open(), None);
    lab.send(flow, b"more");
    lab.none();
    lab.ack(flow, 0);
    let sent = lab.one();
    assert_eq!((sent.sequence(), &sent.text[..]), (flow.ours, &b"worldmore"[..]));
    assert_eq!(lab.info(flow).cwnd, 1460, "the SYN-ACK was lost: RFC 5681 3.1");
    lab.ack(flow, 9);
    lab.none();
}

#[test]
fn a_syn_that_comes_again_gets_the_same_syn_ack() {
    let (mut lab, listener, cookie) = server();
    inject_syn(&mut lab, Some(cookie), b"hello");
    let id = lab.tcp.accept(listener).unwrap().id;
    let first = lab.one();
    // With its data, and as a client sends it that gives up on Fast Open.
    for (cookie, text) in [(Some(cookie), &b"hello"[..]), (None, &[])] {
        inject_syn(&mut lab, cookie, text);
        let again = lab.one();
        assert_eq!(
            (again.flags(), again.sequence(), again.acknowledgment()),
            (S | A, first.sequence(), after_irs(5))
        );
    }
    let flow = Flow { id, ours: first.sequence().wrapping_add(1), theirs: after_irs(5) };
    assert_eq!(lab.read(flow), b"hello", "once");
    lab.ack(flow, 0);
    assert_eq!(lab.state(flow), TcpState::Established);
    // From now on it is a SYN of somebody else.
    let header = netloom_wire::TcpHeader { options: syn_options(Some(cookie)), ..lab.header(S, IRS, 0) };
    assert!(lab.inject_header(&header, b"hello").is_err());
    assert_eq!(lab.one().flags(), A);
}

#[test]
fn a_plain_handshake_offers_its_cookie_once() {
    // [7413-14]
    let mut lab = Lab::plain();
    lab.listen_with(fast_listener());
    inject_syn(&mut lab, Some(FastOpenCookie::REQUEST), &[]);
    assert!(lab.one().header.options.fast_open().is_some());
    let again = lab.advance(ms(1000));
    assert_eq!(again.len(), 1);
    assert_eq!(again[0].header.options.fast_open(), None, "somebody on the way may not like it");
    lab.remote_port += 1;
    inject_syn(&mut lab, Some(FastOpenCookie::REQUEST), &[]);
    assert!(lab.one().header.options.fast_open().is_some());
    inject_syn(&mut lab, None, &[]);
    assert_eq!(lab.one().header.options.fast_open(), None, "the peer has given up on it");
}

#[test]
fn a_flood_of_syns_ends_it_for_a_while() {
    let config = TcpConfig { max_half_open: 4, ..plain_config() };
    let mut lab = Lab::new(config);
    let listener = lab.listen_with(fast_listener());
    let cookie = fetch_cookie(&mut lab);
    for _ in 0..4 {
        inject_syn(&mut lab, None, &[]);
        lab.one();
        lab.remote_port += 1;
    }
    inject_syn(&mut lab, Some(cookie), b"hello");
    check_plain(&mut lab, listener, FastOpenFallback::SynFlood);
    assert_eq!(lab.tcp.counters().syn_cookies_sent.get(), 1);
}

#[test]
fn without_room_for_a_connection_the_handshake_is_plain() {
    let mut lab = Lab::new(TcpConfig { max_connections: 1, ..plain_config() });
    let listener = lab.listen_with(fast_listener());
    let cookie = fetch_cookie(&mut lab);
    inject_syn(&mut lab, Some(cookie), b"hello");
    assert!(lab.tcp.accept(listener).is_some());
    lab.one();
    lab.remote_port += 1;
    inject_syn(&mut lab, Some(cookie), b"hello");
    check_plain(&mut lab, listener, FastOpenFallback::TableFull);
}

#[test]
fn a_closed_listener_resets_what_a_cookie_has_opened_and_nobody_accepted() {
    let (mut lab, listener, cookie) = server();
    inject_syn(&mut lab, Some(cookie), b"hello");
    lab.one();
    lab.tcp.close_listener(lab.now, listener);
    assert_eq!(lab.one().flags(), R | A);
    assert_eq!(lab.tcp.usage(), TcpUsage::default());
}

#[test]
fn an_accepted_one_outlives_its_listener() {
    let (mut lab, listener, cookie) = server();
    inject_syn(&mut lab, Some(cookie), b"hello");
    let id = lab.tcp.accept(listener).unwrap().id;
    let syn_ack = lab.one();
    lab.tcp.close_listener(lab.now, listener);
    let flow = Flow { id, ours: syn_ack.sequence().wrapping_add(1), theirs: after_irs(5) };
    lab.ack(flow, 0);
    assert_eq!((lab.state(flow), &lab.read(flow)[..]), (TcpState::Established, &b"hello"[..]));
}

#[test]
fn a_server_that_closes_at_once_delivers_and_then_ends() {
    let (mut lab, listener, cookie) = server();
    inject_syn(&mut lab, Some(cookie), b"hello");
    let id = lab.tcp.accept(listener).unwrap().id;
    let syn_ack = lab.one();
    let flow = Flow { id, ours: syn_ack.sequence().wrapping_add(1), theirs: after_irs(5) };
    lab.read(flow);
    lab.send(flow, b"world");
    lab.tcp.close(lab.now, id);
    let sent = lab.one();
    assert_eq!((sent.flags(), &sent.text[..]), (P | A, &b"world"[..]), "the FIN waits for the handshake");
    lab.ack(flow, 5);
    let fin = lab.one();
    assert_eq!((fin.flags(), fin.sequence()), (F | A, flow.ours.wrapping_add(5)));
}

#[test]
fn a_syn_with_a_cookie_reopens_a_connection_in_time_wait() {
    // [9293 MAY-2]
    let (mut lab, listener, cookie) = server();
    let flow = lab.accept();
    lab.tcp.close(lab.now, flow.id);
    lab.one();
    lab.inject(F | A, flow.theirs, flow.ours.wrapping_add(1), &[]).unwrap();
    lab.one();
    assert_eq!(lab.tcp.usage().time_wait, 1);
    let sequence = flow.theirs.wrapping_add(1000);
    let header = netloom_wire::TcpHeader { options: syn_options(Some(cookie)), ..lab.header(S, sequence, 0) };
    lab.inject_header(&header, b"hello").unwrap();
    let syn_ack = lab.one();
    assert_eq!(syn_ack.acknowledgment(), sequence.wrapping_add(6));
    assert!(SeqNumber(syn_ack.sequence()).after(SeqNumber(flow.ours) + 65_535));
    assert!(lab.tcp.accept(listener).is_some());
    assert_eq!(lab.tcp.usage().time_wait, 0);
}

// The client.

fn cookie() -> FastOpenCookie {
    FastOpenCookie::new(&[9; 8]).unwrap()
}

pub(super) fn connect(lab: &mut Lab) -> TcpSocketId {
    let (remote, path) = (SocketAddr::new(lab.remote, lab.remote_port), lab.path());
    let options = SocketOptions { fast_open: true, ..SocketOptions::default() };
    let local = TcpBind { address: None, port: 0 };
    lab.tcp.connect(lab.now, local, &path, remote, &options).unwrap()
}

/// The server's answer to a SYN of ours.
pub(super) fn answer(lab: &mut Lab, syn: &Sent, acked: u32, cookie: Option<FastOpenCookie>) {
    let mut header = lab.header(S | A, IRS, syn.sequence().wrapping_add(1 + acked));
    header.destination_port = syn.header.source_port;
    header.options = syn_options(cookie);
    lab.inject_header(&header, &[]).unwrap();
}

/// A stack that knows the server's cookie.
pub(super) fn client() -> Lab {
    let mut lab = Lab::plain();
    lab.remote_port = 443;
    let id = connect(&mut lab);
    assert_eq!(lab.tcp.connected(id), Ok(false), "without a cookie the handshake comes first");
    // [7413-13]
    let syn = lab.one();
    assert_eq!(syn.header.options.fast_open(), Some(FastOpenCookie::REQUEST));
    assert_eq!(syn.text, b"");
    answer(&mut lab, &syn, 0, Some(cookie()));
    lab.tcp.abort(lab.now, id);
    lab.sent();
    assert_eq!(lab.tcp.counters().fast_open_cookies_received.get(), 1);
    assert_eq!(lab.tcp.counters().fast_open_fallbacks(FastOpenFallback::NoCookie), 1);
    lab
}

fn ours(id: TcpSocketId, syn: &Sent) -> Flow {
    Flow { id, ours: syn.sequence().wrapping_add(1), theirs: after_irs(0) }
}

#[test]
fn the_first_write_goes_with_the_syn_once_a_cookie_is_known() {
    // [7413-05] [7413-17] [7413-25]
    let mut lab = client();
    let id = connect(&mut lab);
    assert_eq!(lab.tcp.connected(id), Ok(true));
    lab.none();
    lab.tcp.send(lab.now, id, b"hello").unwrap();
    let syn = lab.one();
    assert_eq!((syn.flags(), &syn.text[..]), (S | P, &b"hello"[..]));
    assert_eq!(syn.header.options.fast_open(), Some(cookie()));
    answer(&mut lab, &syn, 5, None);
    let ack = lab.one();
    assert_eq!((ack.flags(), ack.sequence(), ack.len()), (A, syn.sequence().wrapping_add(6), 0));
    let flow = ours(id, &syn);
    let info = lab.info(flow);
    assert_eq!((info.state, info.outstanding_len, info.retransmits), (TcpState::Established, 0, 0));
    assert!(info.syn_data && info.fast_open_fallback.is_none() && info.srtt.is_some());
    assert_eq!((info.bytes_sent, lab.tcp.counters().fast_opens_sent.get()), (5, 1));
}

#[test]
fn a_syn_has_no_more_than_the_server_is_known_to_take_or_the_path() {
    // [7413-07] [7413-08] [7413-17]
    let check = |mss: u16, expected: usize| {
        let mut lab = Lab::plain();
        lab.remote_port = 443;
        let first = connect(&mut lab);
        let syn = lab.one();
        let mut header = lab.header(S | A, IRS, syn.sequence().wrapping_add(1));
        header.destination_port = syn.header.source_port;
        header.options = TcpOptions { mss: Some(mss), ..syn_options(Some(cookie())) };
        lab.inject_header(&header, &[]).unwrap();
        lab.tcp.abort(lab.now, first);
        lab.sent();
        let id = connect(&mut lab);
        lab.tcp.send(lab.now, id, &[7; 10_000]).unwrap();
        let syn = lab.one();
        // The options, 16 bytes here, count.
        assert_eq!((syn.len(), syn.flags()), (expected, S), "MSS {mss}");
        answer(&mut lab, &syn, u32::try_from(expected).unwrap(), None);
        assert!(lab.sent().iter().map(Sent::len).sum::<usize>() > 0, "the rest follows");
    };
    check(1460, 1444);
    check(1000, 984);
    check(9000, 1444);
}

#[test]
fn what_the_syn_ack_leaves_goes_with_the_first_acknowledgment() {
    // [7413-21] [7413-22]
    for acked in [0, 2] {
        let mut lab = client();
        let id = connect(&mut lab);
        lab.tcp.send(lab.now, id, b"hello").unwrap();
        let syn = lab.one();
        let newer = FastOpenCookie::new(&[8; 4]).unwrap();
        answer(&mut lab, &syn, acked, Some(newer));
        let rest = lab.one();
        assert_eq!(rest.sequence(), syn.sequence().wrapping_add(1 + acked));
        assert_eq!(rest.text, &b"hello"[acked as usize..]);
        let flow = ours(id, &syn);
        let info = lab.info(flow);
        let refused = (acked == 0).then_some(FastOpenFallback::DataRefused);
        assert_eq!((info.fast_open_fallback, info.syn_data), (refused, acked > 0));
        assert_eq!(info.cwnd, 10 * 1460, "nothing was lost");
        assert_eq!(lab.tcp.counters().retransmits(RetransmitCause::FastOpen), 1);
        let mut ack = lab.header(A, flow.theirs, flow.ours.wrapping_add(5));
        ack.destination_port = syn.header.source_port;
        lab.inject_header(&ack, &[]).unwrap();
        assert_eq!(lab.info(flow).outstanding_len, 0);
        // The newer cookie is used from now on.
        let id = connect(&mut lab);
        lab.tcp.send(lab.now, id, b"again").unwrap();
        assert_eq!(lab.one().header.options.fast_open(), Some(newer));
    }
}

#[test]
fn a_syn_that_goes_again_goes_alone_and_the_path_rests() {
    // [7413-09] [7413-10] [7413-14] [7413-18]
    let mut lab = client();
    let id = connect(&mut lab);
    lab.tcp.send(lab.now, id, b"hello").unwrap();
    let first = lab.one();
    let again = lab.advance(ms(1000));
    assert_eq!(again.len(), 1);
    assert_eq!((again[0].flags(), again[0].len(), again[0].sequence()), (S, 0, first.sequence()));
    assert_eq!(again[0].header.options.fast_open(), None);
    answer(&mut lab, &first, 0, None);
    let rest = lab.one();
    assert_eq!((rest.flags(), &rest.text[..]), (P | A, &b"hello"[..]));
    assert_eq!(lab.info(ours(id, &first)).fast_open_fallback, Some(FastOpenFallback::SynLost));

    // For an hour nobody tries on this path; another port of the same server is another matter.
    let plain = connect(&mut lab);
    assert_eq!(lab.one().header.options.fast_open(), None);
    assert_eq!(lab.tcp.connected(plain), Ok(false));
    assert_eq!(lab.tcp.counters().fast_open_fallbacks(FastOpenFallback::PathFailing), 1);
    lab.remote_port = 80;
    let other = connect(&mut lab);
    assert_eq!(lab.tcp.connected(other), Ok(true));
    lab.remote_port = 443;
    lab.tcp.abort_all(lab.now);
    lab.advance(Duration::from_secs(3600));
    let later = connect(&mut lab);
    assert_eq!(lab.tcp.connected(later), Ok(true));
}

#[test]
fn a_late_answer_to_the_first_syn_is_no_failure() {
    // [7413-18]
    let mut lab = client();
    let id = connect(&mut lab);
    lab.tcp.send(lab.now, id, b"hello").unwrap();
    let first = lab.one();
    lab.advance(ms(1000));
    answer(&mut lab, &first, 5, None);
    assert_eq!(lab.one().len(), 0);
    let info = lab.info(ours(id, &first));
    assert!(info.syn_data && info.fast_open_fallback.is_none());
    let next = connect(&mut lab);
    assert_eq!(lab.tcp.connected(next), Ok(true));
}

#[test]
fn a_server_that_gives_no_cookie_is_not_asked_again_for_a_minute() {
    // [7413-16]
    let mut lab = Lab::plain();
    lab.remote_port = 443;
    for (pause, expected) in [(0, true), (59, false), (1, true), (60, false), (60, true)] {
        lab.advance(Duration::from_secs(pause));
        let id = connect(&mut lab);
        let syn = lab.one();
        assert_eq!(syn.header.options.fast_open().is_some(), expected, "after {pause} s");
        answer(&mut lab, &syn, 0, None);
        lab.tcp.abort(lab.now, id);
        lab.sent();
    }
}

#[test]
fn no_answer_and_icmp_errors_let_the_path_rest() {
    // [7413-09] [7413-10]
    let refuse = |lab: &mut Lab, syn: &Sent| {
        let quote = bytes_of(syn.source, syn.destination, &syn.header, &syn.text);
        let error = IcmpError {
            kind: IcmpErrorKind::PortUnreachable,
            reporter: lab.remote,
            source: syn.source,
            destination: syn.destination,
            protocol: Protocol::TCP,
            quote: &quote,
        };
        lab.tcp.handle_icmp(lab.now, &error);
    };
    let silence = |lab: &mut Lab, _: &Sent| drop(lab.advance(Duration::from_secs(600)));
    for fail in [&refuse as &dyn Fn(&mut Lab, &Sent), &silence] {
        let mut lab = client();
        let id = connect(&mut lab);
        lab.tcp.send(lab.now, id, b"hello").unwrap();
        let syn = lab.one();
        fail(&mut lab, &syn);
        assert!(lab.tcp.error(id).is_some());
        assert_eq!(lab.tcp.counters().fast_open_fallbacks(FastOpenFallback::SynLost), 1);
        let next = connect(&mut lab);
        assert_eq!(lab.tcp.connected(next), Ok(false));
        assert_eq!(lab.one().header.options.fast_open(), None);
    }
}

#[test]
fn a_path_that_swallows_what_follows_the_syn_rests() {
    // [7413-09]
    let mut lab = client();
    let id = connect(&mut lab);
    lab.tcp.send(lab.now, id, b"hello").unwrap();
    let syn = lab.one();
    answer(&mut lab, &syn, 5, None);
    lab.one();
    lab.tcp.send(lab.now, id, b"more").unwrap();
    lab.advance(Duration::from_secs(5));
    assert_eq!(lab.tcp.counters().fast_open_fallbacks(FastOpenFallback::BlackHole), 1);
    let next = connect(&mut lab);
    assert_eq!(lab.tcp.connected(next), Ok(false));
}

#[test]
fn a_syn_does_not_wait_for_ever_for_its_data() {
    let mut lab = client();
    let id = connect(&mut lab);
    lab.none();
    let sent = lab.advance(ms(200));
    assert_eq!(sent.len(), 1);
    assert_eq!((sent[0].flags(), sent[0].header.options.fast_open()), (S, Some(cookie())));
    answer(&mut lab, &sent[0], 0, None);
    assert_eq!(lab.one().flags(), A);
    let flow = ours(id, &sent[0]);
    assert_eq!((lab.state(flow), lab.info(flow).fast_open_fallback), (TcpState::Established, None));
    // What is written meanwhile waits for the answer.
    let id = connect(&mut lab);
    let syn = lab.advance(ms(200)).remove(0);
    lab.tcp.send(lab.now, id, b"late").unwrap();
    lab.none();
    answer(&mut lab, &syn, 0, None);
    assert_eq!(lab.one().text, b"late");
}

#[test]
fn whoever_closes_before_writing_has_sent_nothing_and_after_it_everything() {
    let mut lab = client();
    let id = connect(&mut lab);
    lab.tcp.close(lab.now, id);
    lab.none();
    assert_eq!(lab.tcp.usage().connections, 0);

    let id = connect(&mut lab);
    lab.tcp.send(lab.now, id, b"hello").unwrap();
    lab.tcp.close(lab.now, id);
    let syn = lab.one();
    assert_eq!(syn.text, b"hello");
    answer(&mut lab, &syn, 5, None);
    let fin = lab.one();
    assert_eq!((fin.flags(), fin.sequence()), (F | A, syn.sequence().wrapping_add(6)));

    // Nothing but an end is to be sent, too.
    let id = connect(&mut lab);
    lab.tcp.shutdown_write(lab.now, id).unwrap();
    assert_eq!(lab.one().flags(), S);
}

#[test]
fn both_may_open_at_once_with_data() {
    let mut lab = client();
    let id = connect(&mut lab);
    lab.tcp.send(lab.now, id, b"hello").unwrap();
    let syn = lab.one();
    let mut header = lab.header(S, IRS, 0);
    header.destination_port = syn.header.source_port;
    header.options = syn_options(Some(FastOpenCookie::REQUEST));
    lab.inject_header(&header, b"theirs").unwrap();
    let syn_ack = lab.one();
    assert_eq!((syn_ack.flags(), syn_ack.sequence(), syn_ack.len()), (S | A, syn.sequence(), 0));
    let mut ack = lab.header(A, after_irs(0), syn.sequence().wrapping_add(1));
    ack.destination_port = syn.header.source_port;
    lab.inject_header(&ack, b"theirs").unwrap();
    let sent = lab.one();
    assert_eq!((sent.flags(), &sent.text[..]), (P | A, &b"hello"[..]));
    assert_eq!(lab.read(ours(id, &syn)), b"theirs");
}

#[test]
fn who_does_not_ask_for_it_neither_sends_nor_learns_anything_of_it() {
    let mut lab = client();
    let flow = {
        lab.remote_port = 443;
        let id = lab.begin_connect();
        let syn = lab.one();
        assert_eq!(syn.header.options.fast_open(), None);
        answer(&mut lab, &syn, 0, FastOpenCookie::new(&[1; 4]));
        ours(id, &syn)
    };
    lab.one();
    assert_eq!(lab.state(flow), TcpState::Established);
    let id = connect(&mut lab);
    lab.tcp.send(lab.now, id, b"hello").unwrap();
    assert_eq!(lab.one().header.options.fast_open(), Some(cookie()), "what nobody asked for is ignored");
}
