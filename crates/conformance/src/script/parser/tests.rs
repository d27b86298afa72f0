//! What the grammar accepts, and how it refuses the rest.

use netloom_stack::transport::Congestion;
use netloom_wire::TcpFlags;

use super::super::ast::{Call, SocketOption};
use super::super::option::TcpOption;
use super::*;

fn events(text: &str) -> Vec<Event> {
    parse("test.pkt", text).unwrap().1
}

fn error(text: &str) -> String {
    parse("test.pkt", text).unwrap_err().to_string()
}

#[test]
fn a_packet_is_read_whole() {
    let script = "0 < [ect0] 1 > 2 SPUEW. 1:101(100) ack 7 win 300 urg 5 \
                  <mss 1460,sackOK,TS val 100 ecr 0,nop,wscale 7>";
    let parsed = events(script);
    let [Event { action: Action::Inbound(packet), .. }] = &parsed[..] else {
        panic!("one packet: {parsed:?}")
    };
    assert_eq!(packet.ports, Some((1, 2)));
    let segment = &packet.segment;
    assert_eq!((segment.start, segment.len, segment.ack), (1, 100, 7));
    assert_eq!((segment.window, segment.urgent, segment.ecn), (Some(300), 5, Some(2)));
    let flags = TcpFlags::SYN | TcpFlags::PSH | TcpFlags::ACK | TcpFlags::URG | TcpFlags::ECE | TcpFlags::CWR;
    assert_eq!(segment.flags, flags);
    let options = [
        TcpOption::MaxSegmentSize(1460),
        TcpOption::SackPermitted,
        TcpOption::Timestamps { value: 100, echo: 0 },
        TcpOption::NoOperation,
        TcpOption::WindowScale(7),
    ];
    assert_eq!(segment.options.as_deref(), Some(&options[..]));
}

#[test]
fn a_printed_segment_reads_as_itself() {
    for text in [
        "S 0:0(0) win 65535 <mss 1460,nop,wscale 7>",
        "S. 0:0(0) ack 1 win 100 <...>",
        "FPU. 1:11(10) ack 5 win 0 urg 10",
        ". 1:1(0) ack 1 win 1 <nop,nop,sack 1:2 5:9>",
        "[ce] R 3:3(0) win 0",
        "- 1:2(1) win 9",
    ] {
        let parsed = events(&format!("0 > {text}"));
        let [Event { action: Action::Outbound(packet), .. }] = &parsed[..] else { panic!("{text}") };
        assert_eq!(packet.segment.to_string(), text);
    }
}

#[test]
fn times_have_five_forms() {
    let ms = Duration::from_millis;
    let text = "0 close(3) = 0 0.25 close(3) = 0 +.5 close(3) = 0 \
                1~2 > R 1:1(0) +.1~+.2 > R 1:1(0) * > R 1:1(0)";
    let times: Vec<_> = events(text).into_iter().map(|event| event.time).collect();
    assert_eq!(
        times,
        [
            EventTime::Absolute(ms(0)),
            EventTime::Absolute(ms(250)),
            EventTime::Relative(ms(500)),
            EventTime::AbsoluteRange(ms(1000), ms(2000)),
            EventTime::RelativeRange(ms(100), ms(200)),
            EventTime::Any,
        ]
    );
}

#[test]
fn a_blocking_call_has_its_end() {
    let parsed = events("0...0.2 connect(3, ..., ...) = -1 ECONNREFUSED (Connection refused)");
    let [Event { action: Action::Call(call), .. }] = &parsed[..] else { panic!("one call") };
    assert_eq!(call.returns_at, Some(Duration::from_millis(200)));
    assert_eq!(call.outcome.to_string(), "-1 ECONNREFUSED");
}

#[test]
fn congestion_control_is_named_as_linux_names_it() {
    for (name, congestion) in [("reno", Congestion::NewReno), ("cubic", Congestion::Cubic)] {
        let parsed = events(&format!("0 setsockopt(3, SOL_TCP, TCP_CONGESTION, \"{name}\", 5) = 0"));
        let [Event { action: Action::Call(call), .. }] = &parsed[..] else { panic!("one call") };
        let option = SocketOption::Congestion(congestion);
        assert_eq!(call.call, Call::SetOption { fd: 3, option });
    }
    let unknown = error("0 setsockopt(3, SOL_TCP, TCP_CONGESTION, \"westwood\", 8) = 0");
    assert_eq!(unknown, "test.pkt:1: setsockopt: westwood is not in the subset");
}

#[test]
fn assertions_are_compared_by_their_sign() {
    let code = "0 %{ assert tcpi_snd_cwnd == 10, tcpi_snd_cwnd\n assert tcpi_state <= TCP_CLOSING; assert tcpi_rto != 5 }%";
    let parsed = events(code);
    let [Event { action: Action::Assert(assertions), .. }] = &parsed[..] else { panic!("assertions") };
    let seen: Vec<_> = assertions.iter().map(|it| (it.field, it.comparison, it.value)).collect();
    assert_eq!(
        seen,
        [
            (InfoField::SndCwnd, Comparison::Equal, 10),
            (InfoField::State, Comparison::LessOrEqual, 11),
            (InfoField::Rto, Comparison::NotEqual, 5),
        ]
    );
}

#[test]
fn mistakes_are_named_with_their_line() {
    for (text, message) in [
        ("+1 close(3) = 0", "test.pkt:1: the first step is at time 0"),
        ("0 close(3) = 0\n+0 < S 0:1(0) win 1", "test.pkt:2: 0:1 are not 0 bytes"),
        ("0 < X 0:0(0) win 1", "test.pkt:1: `X` in `X` is no TCP flag: F S R P U E W ."),
        ("0 < . 0:0(0) win 1", "test.pkt:1: the flag `.` needs `ack N`"),
        ("0 < S 0:0(0)", "test.pkt:1: what arrives needs its window: `win N`"),
        (
            "0 < S 0:0(0) win 1 <mss 1460,nop>",
            "test.pkt:1: options of 5 bytes: they are at most 40, and a multiple of 4",
        ),
        ("0 < S 0:0(0) win 70000", "test.pkt:1: 70000 is out of range"),
        ("0 frob(3) = 0", "test.pkt:1: frob: this system call is not in the subset"),
        ("0 bind(3) = 0", "test.pkt:1: bind: these arguments are not in the subset"),
        ("0 read(3, ..., 1) = -1", "test.pkt:1: -1 needs its errno"),
        ("* close(3) = 0", "test.pkt:1: only what the host sends may have a range of time, or any"),
        ("0 `ls`", "test.pkt:1: commands come before the first step"),
        ("--mss=1\n0 close(3) = 0", "test.pkt:2: --mss is not in the subset"),
        ("0 %{ print(1) }%", "test.pkt:1: `print(1)` is not `assert tcpi_... == number`"),
    ] {
        assert_eq!(error(text), message, "{text}");
    }
}
