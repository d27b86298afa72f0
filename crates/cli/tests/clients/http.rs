//! Every HTTP endpoint, by curl.

use crate::support::shell;

/// Runs each command and wants `expected` somewhere in its output.
#[track_caller]
fn each(cases: &[(&str, &str)]) {
    let script: String =
        cases.iter().map(|(command, _)| format!("{command}\nprintf '\\n--next--\\n'\n")).collect();
    let Some(outcome) = shell(&["curl"], &[], &format!("base=http://10.0.0.2\n{script}")) else { return };
    let text = outcome.success();
    for ((command, expected), found) in cases.iter().zip(text.split("\n--next--\n")) {
        assert!(found.contains(expected), "{command}\nwants {expected:?}, got {found}");
    }
}

#[test]
fn methods_are_echoed() {
    each(&[
        ("curl -sS $base/get?a=1", r#""a": "1""#),
        ("curl -sS -d b=2 $base/post", r#""b": "2""#),
        ("curl -sS -X PUT -H 'Content-Type: application/json' -d '{\"c\":3}' $base/put", r#""c": 3"#),
        ("curl -sS -X PATCH -d x=1 $base/patch", r#""x": "1""#),
        ("curl -sS -X DELETE $base/delete", r#""url": "http://10.0.0.2/delete""#),
        ("curl -sS -X PUT $base/anything/there", r#""method": "PUT""#),
        ("curl -sS -H 'X-Loom: warp' $base/headers", "warp"),
        ("curl -sS $base/ip", r#""origin": "10.0.0.1""#),
        ("curl -sS -g 'http://[fd00::2]/ip'", r#""origin": "fd00::1""#),
        ("curl -sS -o /dev/null -w '%{http_code} %header{allow}' -X POST $base/get", "405 "),
    ]);
}

#[test]
fn responses_are_what_was_asked_for() {
    each(&[
        ("curl -sS $base/hello", "Hello, world!"),
        ("curl -sS -o /dev/null -w '%{http_code}' $base/status/418", "418"),
        ("curl -sS -o /dev/null -w '%{http_code}' $base/status/204", "204"),
        ("curl -sS $base/bytes/12345 | wc -c", "12345"),
        ("curl -sS $base/stream/7 | wc -l", "7"),
        ("curl -sS -o /dev/null -w '%{time_total}' $base/delay/1", "1."),
        ("curl -sS -L -o /dev/null -w '%{num_redirects} %{http_code}' $base/redirect/5", "5 200"),
        ("curl -sS -L -c /dev/null $base/cookies/set?k=v", r#""k": "v""#),
        ("curl -sS -b a=b $base/cookies", r#""a": "b""#),
        ("curl -sS -u me:secret $base/basic-auth/me/secret", r#""authenticated": true"#),
        ("curl -sS -o /dev/null -w '%{http_code}' -u me:wrong $base/basic-auth/me/secret", "401"),
        ("curl -sS -r 10-19 -w ' %{http_code}' $base/range/100", "klmnopqrst 206"),
        ("curl -sS -r 200-300 -o /dev/null -w '%{http_code}' $base/range/100", "416"),
        ("head -c 5000000 /dev/zero | curl -sS -T - -X POST $base/discard", "5000000"),
        ("curl -sS -o /dev/null -w '%{http_code}' $base/nothing-here", "404"),
        ("curl -sS $base/", "<html"),
    ]);
}

#[test]
fn http_1_1_is_whole() {
    each(&[
        // One connection for both.
        ("curl -sS -o /dev/null -o /dev/null -w '%{num_connects} ' $base/hello $base/hello", "1 0"),
        // Pipelined: three requests in one write, answers in order.
        (
            "printf 'GET /status/201 HTTP/1.1\\r\\nHost: a\\r\\n\\r\\nGET /hello HTTP/1.1\\r\\nHost: a\\r\\n\\r\\nGET /status/202 HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\n\\r\\n' | nc 10.0.0.2 80 | grep -a -o -E 'HTTP/1.1 ...|Hello' | tr '\\n' ' '",
            "HTTP/1.1 201 HTTP/1.1 200 Hello HTTP/1.1 202",
        ),
        (
            "echo chunked body | curl -sS -H 'Transfer-Encoding: chunked' -H 'Content-Type: text/plain' -d @- $base/post",
            "chunked body",
        ),
        ("curl -sS -v -H 'Expect: 100-continue' -d x=y $base/post 2>&1", "100 Continue"),
        ("curl -sS -I $base/hello", "ontent-length: 13"),
        ("curl -sS -I $base/bytes/99", "ontent-length: 99"),
        ("printf 'NONSENSE\\r\\n\\r\\n' | nc 10.0.0.2 80", "400 Bad Request"),
    ]);
}

#[test]
fn a_hundred_curls_at_once_are_served() {
    let script = "seq 100 | xargs -P 100 -I{} curl -sS --max-time 30 -o /dev/null -w '%{http_code}\\n' http://10.0.0.2/bytes/100000?seed={} | sort | uniq -c";
    let Some(outcome) = shell(&["curl"], &[], script) else { return };
    assert_eq!(outcome.success().trim(), "100 200");
}
