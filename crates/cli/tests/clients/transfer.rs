//! Much data, byte for byte.

use crate::support::shell;

/// Bytes of a transfer: 100 MB.
const LEN: usize = 100_000_000;

/// A directory with a file of random bytes, and its digest in `$sum`.
fn with_file(script: &str) -> String {
    format!(
        "set -euo pipefail
         dir=$(mktemp -d); trap 'rm -rf \"$dir\"' EXIT
         head -c {LEN} /dev/urandom > $dir/big
         sum=$(sha256sum < $dir/big)
         {script}"
    )
}

#[test]
fn curl_uploads_every_byte() {
    let script = with_file(
        "answer=$(curl -sS --fail -T $dir/big -X POST 'http://10.0.0.2/discard?sha256')
         echo $answer
         [[ $answer == *100000000* && $answer == *${sum%% *}* ]]",
    );
    let Some(outcome) = shell(&["curl"], &[], &script) else { return };
    outcome.success();
}

#[test]
fn curl_downloads_every_byte() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("big");
    let script = format!(
        "set -euo pipefail
         head -c {LEN} /dev/urandom > {path}
         for address in 10.0.0.2 '[fd00::2]'; do
             [[ $(curl -sS --fail http://$address/files/big | sha256sum) == $(sha256sum < {path}) ]]
         done",
        path = path.display()
    );
    let root = dir.path().display().to_string();
    let Some(outcome) = shell(&["curl"], &["--root", &root], &script) else { return };
    outcome.success();
}

#[test]
fn nc_sends_and_receives_every_byte_and_closes_its_half_first() {
    let script = with_file("[[ $(nc -N 10.0.0.2 7 < $dir/big | sha256sum) == $sum ]]");
    let Some(outcome) = shell(&["nc"], &[], &script) else { return };
    outcome.success();
}

#[test]
fn nc_over_ipv6_sends_and_receives_every_byte() {
    let script = with_file("[[ $(nc -N fd00::2 7 < $dir/big | sha256sum) == $sum ]]");
    let Some(outcome) = shell(&["nc"], &[], &script) else { return };
    outcome.success();
}

#[test]
fn nc_over_tun_sends_and_receives_every_byte() {
    let script = with_file("[[ $(nc -N 10.0.0.2 7 < $dir/big | sha256sum) == $sum ]]");
    let Some(outcome) = shell(&["nc"], &["--tun"], &script) else { return };
    outcome.success();
}

/// Whatever queue a connection has, one link is what they share.
#[test]
fn what_crosses_faults_is_whole_and_keeps_to_one_rate() {
    let script = "set -euo pipefail
         dir=$(mktemp -d); trap 'rm -rf \"$dir\"' EXIT
         head -c 1500000 /dev/urandom > $dir/big
         begun=$(date +%s%N)
         for client in 1 2 3 4; do { nc -N 10.0.0.2 7 < $dir/big | cmp - $dir/big && echo whole; } & done
         wait
         echo $((($(date +%s%N) - begun) / 1000000))";
    let faults = "delay=2ms,rate=50mbit,queue=200,loss=0.3%,dup=0.3%,reorder=0.3%";
    let Some(outcome) = shell(&["nc", "cmp"], &["--impair", faults], script) else { return };
    let told = outcome.success();
    let lines: Vec<_> = told.lines().collect();
    assert_eq!(lines[..lines.len() - 1], ["whole"; 4], "{told}");
    // 6 MB at 50 Mbit/s, headers and all.
    let millis: u32 = lines[lines.len() - 1].parse().expect("a number");
    assert!(millis >= 960, "{millis} ms");
}

#[test]
fn nc_uploads_to_discard_until_its_own_end() {
    // discard closes its half only after ours: nc ends by itself, and quickly.
    let script = with_file("timeout 60 nc -N 10.0.0.2 9 < $dir/big; echo done");
    let Some(outcome) = shell(&["nc"], &[], &script) else { return };
    assert_eq!(outcome.success(), "done\n");
}

#[test]
fn nc_downloads_what_chargen_sends() {
    // RFC 864's pattern is known in advance: 95 characters, 72 a line, each line one further.
    let expected = r#"
import sys
chars = bytes(range(32, 127))
lines = b"".join(bytes(chars[(start + i) % 95] for i in range(72)) + b"\r\n" for start in range(95))
sys.stdout.buffer.write((lines * (100000000 // len(lines) + 1))[:100000000])
"#;
    let script = format!(
        "got=$(nc 10.0.0.2 19 < /dev/null | head -c {LEN} | sha256sum)
         want=$(python3 -c '{expected}' | sha256sum)
         [[ $got == $want ]]"
    );
    let Some(outcome) = shell(&["nc", "python3"], &[], &script) else { return };
    outcome.success();
}

#[test]
fn the_server_closes_first() {
    let script = "nc 10.0.0.2 13 < /dev/null; nc -N 10.0.0.2 13 < /dev/null; nc -d fd00::2 13";
    let Some(outcome) = shell(&["nc"], &[], script) else { return };
    let text = outcome.success();
    assert_eq!(text.lines().filter(|line| line.contains("20")).count(), 3, "{text}");
}

#[test]
fn udp_echo_returns_what_it_got() {
    let script = "for address in 10.0.0.2 fd00::2; do echo hello | timeout 5 nc -u -W 1 $address 7; done";
    let Some(outcome) = shell(&["nc"], &[], script) else { return };
    assert_eq!(outcome.success(), "hello\nhello\n");
}

#[test]
fn a_fragmented_udp_datagram_is_echoed() {
    // From a file: a pipe may hand nc the bytes in two reads, which it would send as two datagrams.
    let script = "datagram=$(mktemp) && trap 'rm -f $datagram' EXIT
         head -c 8000 /dev/zero > $datagram && timeout 5 nc -u -W 1 10.0.0.2 7 < $datagram | wc -c";
    let Some(outcome) = shell(&["nc"], &[], script) else { return };
    assert_eq!(outcome.success().trim(), "8000");
}
