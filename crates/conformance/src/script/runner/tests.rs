//! The runner has to fail: each of these scripts is a good one with one thing wrong.

use super::super::Script;
use super::super::settings::Family;

const GOOD: &str = "`sysctl -q net.ipv4.tcp_timestamps=0 net.ipv4.tcp_sack=0`
   0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
  +0 bind(3, ..., ...) = 0
  +0 listen(3, 1) = 0
  +0 < S 0:0(0) win 32792 <mss 1000,nop,wscale 7>
  +0 > S. 0:0(0) ack 1 win 65535 <mss 1460,nop,wscale 7>
 +.1 < . 1:1(0) ack 1 win 257
  +0 accept(3, ..., ...) = 4
  +0 < P. 1:1001(1000) ack 1 win 257
  +0 > . 1:1(0) ack 1001
  +0 read(4, ..., 2000) = 1000
  +0 write(4, ..., 3000) = 3000
  +0 > P. 1:3001(3000) ack 1001
+.01 < . 1001:1001(0) ack 3001 win 257
  +0 %{ assert tcpi_snd_mss == 1000 }%
";

fn run(text: &str) -> Result<(), String> {
    let script = Script::parse("test.pkt", text).map_err(|error| error.to_string())?;
    for family in [Family::V4, Family::V6] {
        for shard_count in [1, 2] {
            script.run(family, shard_count).map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}

/// Puts `new` in the place of `old` in the good script, and expects it to fail with `message` in `line`.
fn check(old: &str, new: &str, line: u32, message: &str) {
    assert!(GOOD.contains(old), "{old}");
    let error = run(&GOOD.replacen(old, new, 1)).expect_err(new);
    let place = format!("test.pkt:{line}: ");
    assert!(error.starts_with(&place) && error.contains(message), "{new}: {error}");
}

#[test]
fn a_good_script_passes() {
    assert_eq!(run(GOOD), Ok(()));
}

#[test]
fn another_field_is_named_and_both_segments_are_shown() {
    let expected = "> . 1:1(0) ack 1001\n";
    for (wrong, field) in [
        ("> . 2:2(0) ack 1001\n", "sequence number"),
        ("> . 1:1(0) ack 1000\n", "acknowledgment number"),
        ("> P. 1:1(0) ack 1001\n", "flags"),
        ("> . 1:1(0) ack 1001 win 5\n", "window"),
        ("> . 1:1(0) ack 1001 urg 5\n", "urgent pointer"),
        ("> [ect0] . 1:1(0) ack 1001\n", "ECN bits"),
        ("> . 1:1(0) ack 1001 <nop,nop,sack 1:2>\n", "options"),
    ] {
        check(expected, wrong, 10, &format!("another {field}\nexpected: "));
    }
    check("> . 1:1(0) ack 1001\n", "> . 2:2(0) ack 1001\n", 10, "\nactual:   . 1:1(0) ack 1001 win ");
    check("nop,wscale 7>\n +.1", "nop,wscale 8>\n +.1", 6, "another options");
    check("> P. 1:3001(3000)", "> P. 1:2001(2000)", 13, "another flags");
    check("> P. 1:3001(3000)", "> P. 1:4001(4000)", 13, "another length");
}

#[test]
fn strict_segments_are_not_joined() {
    let error = run(&format!("--strict_segments\n{GOOD}")).unwrap_err();
    assert!(error.starts_with("test.pkt:14: another flags"), "{error}");
}

#[test]
fn a_missing_segment_is_an_error() {
    check("  +0 read(4", "  +0 > . 1:1(0) ack 1001\n  +0 read(4", 11, "the host sent nothing by 0.104000");
}

#[test]
fn an_unexpected_segment_is_an_error() {
    check("  +0 > . 1:1(0) ack 1001\n", "", 12, "another flags");
    let quiet = "  +0 > P. 1:3001(3000) ack 1001\n+.01 <";
    check(quiet, "+.01 <", 13, "does not expect\nactual:   0.100000 . 1:1001(1000) ack 1001 win ");
}

#[test]
fn what_is_left_at_the_end_is_an_error() {
    let error = run(&format!("{GOOD}+0 write(4, ..., 1) = 1\n")).unwrap_err();
    assert!(error.starts_with("test.pkt:16: the host sent what the script does not expect"), "{error}");
}

#[test]
fn another_time_is_an_error() {
    check("+0 > . 1:1(0) ack 1001\n", "+.01 > . 1:1(0) ack 1001\n", 10, "at another time than 0.110000");
    check(
        "+0 > . 1:1(0) ack 1001\n",
        "+.1~+.2 > . 1:1(0) ack 1001\n",
        10,
        "at another time than 0.200000 to 0.300000",
    );
    check(" +.1 <", " .1 close(4) = 0\n .05 <", 7, "returned -1 EBADF");
    check("+.01 <", ".05 <", 14, "it is 0.100000 already");
    let patient = GOOD.replace("+0 > . 1:1(0) ack 1001", "* > . 1:1(0) ack 1001");
    assert_eq!(run(&patient), Ok(()));
}

#[test]
fn another_result_is_an_error() {
    check("read(4, ..., 2000) = 1000", "read(4, ..., 2000) = 999", 11, "returned 1000, expected 999");
    check(
        "read(4, ..., 2000) = 1000",
        "read(4, ..., 2000) = -1 ECONNRESET",
        11,
        "returned 1000, expected -1 ECONNRESET",
    );
    check(
        "tcpi_snd_mss == 1000",
        "tcpi_snd_mss == 1001",
        15,
        "`tcpi_snd_mss == 1001` does not hold: it is 1000",
    );
}

#[test]
fn a_call_that_blocks_needs_its_end() {
    check("  +0 < P.", "  +0 read(4, ..., 1) = 1\n  +0 < P.", 9, "it blocks");
    let blocking = |end: &str| {
        GOOD.replace("  +0 < P.", &format!("  +0...{end} read(4, ..., 1) = 1\n +.05 < P."))
            .replace(") = 1000", ") = 999")
    };
    assert_eq!(run(&blocking("0.05")), Ok(()));
    let error = run(&blocking("0.06")).unwrap_err();
    assert!(error.contains("must return at 0.160000, and returned at 0.150000"), "{error}");
    let error = run(&blocking("0.01")).unwrap_err();
    assert!(error.contains("the call in line 9 must return by 0.110000"), "{error}");
}
