//! Closed ports.

use crate::support::shell;

#[test]
fn a_closed_tcp_port_refuses_at_once() {
    for address in ["10.0.0.2", "[fd00::2]"] {
        let script = format!("curl -s -o /dev/null -w '%{{time_total}}' --max-time 5 http://{address}:81/");
        let Some(outcome) = shell(&["curl"], &[], &script) else { return };
        assert_eq!(outcome.status, 7, "refused is curl's exit code 7: {outcome:?}");
        let seconds: f64 = outcome.stdout.trim().parse().expect("seconds");
        assert!(seconds < 1.0, "{seconds}");
    }
}

#[test]
fn a_closed_udp_port_is_unreachable() {
    for address in ["10.0.0.2", "fd00::2"] {
        // The second write reports the ICMP error that the first one caused.
        let script = format!(
            "exec 3<>/dev/udp/{address}/9999
             echo one >&3
             for _ in 1 2 3 4 5 6 7 8 9 10; do
                 read -t 0.3 -u 3 answer 2>/tmp/netloom-$$ || grep -q refused /tmp/netloom-$$ && {{ rm /tmp/netloom-$$; echo refused; exit; }}
                 echo more >&3 || {{ echo refused; exit; }}
             done"
        );
        let Some(outcome) = shell(&["bash"], &[], &script) else { return };
        assert!(outcome.stdout.contains("refused") || outcome.stderr.contains("refused"), "{outcome:?}");
    }
}

#[test]
fn nothing_is_served_without_services() {
    let script = "nc -z -w 1 10.0.0.2 80; echo $?; ping -n -c 1 -W 1 10.0.0.2 >/dev/null; echo $?";
    let Some(outcome) = shell(&["nc", "ping"], &["--no-services"], script) else { return };
    assert_eq!(outcome.success(), "1\n0\n");
}
