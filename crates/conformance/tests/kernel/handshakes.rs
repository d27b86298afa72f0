//! What SYNs agree on with the kernel, ECN in use, and floods of SYNs.

use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};

use etherparse::PacketBuilder;
use netloom::stack::transport::{EcnMode, RetransmitCause, SynCookieMode, TcpConfig, TcpCounters};
use netloom::stack::{Counter, Medium};
use netloom::{Net, StackConfig};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, sendto, socket,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::lab::{self, FAMILIES, Setup, connect_kernel, exchange, from_kernel, pattern, to_kernel};

/// What all shards counted.
fn sum(net: &Net, counter: impl Fn(&TcpCounters) -> Counter) -> u64 {
    net.inspect(|stack| counter(stack.tcp().counters()).get()).into_iter().sum()
}

fn with_tcp(tcp: TcpConfig) -> StackConfig {
    StackConfig { tcp, ..StackConfig::default() }
}

/// A counter of the kernel's, in this thread's namespace.
fn kernels(group: &str, counter: &str) -> u64 {
    let table = std::fs::read_to_string("/proc/thread-self/net/netstat").expect("the kernel's counters");
    let rows: Vec<Vec<&str>> = table
        .lines()
        .filter(|line| line.starts_with(group))
        .map(|line| line.split_whitespace().collect())
        .collect();
    let column = rows[0].iter().position(|&name| name == counter).expect("the kernel counts it");
    rows[1][column].parse().expect("a number")
}

/// Packets with this mark (`ECT0`, `CE`) that the kernel of this thread's namespace has received.
fn packets_with(mark: &str) -> u64 {
    let over_four = kernels("IpExt:", &format!("In{mark}Pkts"));
    let table = std::fs::read_to_string("/proc/thread-self/net/snmp6").expect("the kernel's counters");
    let name = format!("Ip6In{mark}Pkts");
    let over_six = table.lines().find_map(|line| line.strip_prefix(&name)).expect("the kernel counts it");
    over_four + over_six.trim().parse::<u64>().expect("a number")
}

#[test]
fn ecn_is_agreed_on_by_whoever_asks() {
    // [3168-02] [3168-03]
    lab::run_with(&with_tcp(TcpConfig { ecn: EcnMode::Request, ..TcpConfig::default() }), async |net| {
        // The kernel asks too.
        std::fs::write("/proc/sys/net/ipv4/tcp_ecn", "1").expect("a setting of this namespace");
        let mut expected = 0;
        for family in FAMILIES {
            let before = packets_with("ECT0");
            let (theirs, ours) = from_kernel(&net, family).await;
            exchange(theirs, ours, 300_000).await;
            let (theirs, ours) = to_kernel(&net, family).await;
            exchange(theirs, ours, 300_000).await;
            expected += 2;
            assert_eq!(sum(&net, |counters| counters.ecn_negotiated), expected);
            assert!(packets_with("ECT0") > before, "{family:?}: what we send is ECN-capable");
        }
    });
}

/// Sends `bytes` and waits until they are there.
async fn send_over(mut from: impl AsyncWriteExt + Unpin, mut to: impl AsyncReadExt + Unpin, bytes: &[u8]) {
    let mut received = vec![0; bytes.len()];
    let (written, read) = tokio::join!(from.write_all(bytes), to.read_exact(&mut received));
    written.expect("written");
    read.expect("read");
    assert!(received == bytes);
}

/// What has been sent again by either side because it was taken for lost.
fn repairs(net: &Net) -> u64 {
    let ours = [RetransmitCause::FastRetransmit, RetransmitCause::Rack, RetransmitCause::PartialAck];
    let ours = net.inspect(|stack| {
        let tcp = stack.tcp();
        ours.map(|cause| tcp.counters().retransmits(cause)).into_iter().sum::<u64>()
    });
    let kernels = ["TCPFastRetrans", "TCPSlowStartRetrans"].map(|counter| kernels("TcpExt:", counter));
    ours.into_iter().chain(kernels).sum()
}

/// One connection through a queue that marks, to either side.
async fn send_through_marks(net: Net) {
    const LEN: usize = 4_000_000;
    std::fs::write("/proc/sys/net/ipv4/tcp_ecn", "1").expect("a setting of this namespace");
    let bytes = pattern(LEN, 5);
    for family in FAMILIES {
        let echoes = kernels("TcpExt:", "TCPDeliveredCE");
        let (mut theirs, mut ours) = from_kernel(&net, family).await;
        assert!(ours.info().expect("it lives").ecn);
        send_over(&mut theirs, &mut ours, &bytes).await;
        assert!(ours.info().expect("it lives").ce_received > 0, "{family:?}: the way in marks");
        assert!(kernels("TcpExt:", "TCPDeliveredCE") > echoes, "{family:?}: we echo it");

        let (marks, reductions) = (packets_with("CE"), sum(&net, |counters| counters.ecn_reductions));
        send_over(&mut ours, &mut theirs, &bytes).await;
        assert!(packets_with("CE") > marks, "{family:?}: the way out marks");
        assert!(ours.info().expect("it lives").ece_received > 0, "{family:?}: the kernel echoes it");
        assert!(sum(&net, |counters| counters.ecn_reductions) > reductions, "{family:?}: we slow down");
        assert_eq!(repairs(&net), 0, "{family:?}: nothing was lost");
    }
}

#[test]
fn a_queue_that_marks_slows_either_side_down_and_loses_nothing() {
    // [3168-01] [3168-06]
    if !lab::tries_faults() {
        return;
    }
    std::thread::scope(|scope| {
        let runs = [Medium::Ethernet, Medium::Ip].map(|kind| {
            let faults = "rate=100mbit,queue=2000,delay=10ms,mark=50".parse().expect("faults");
            let setup = Setup { kind, mtu: 1500, faults: Some(faults) };
            scope.spawn(move || lab::run_here(&setup, &send_through_marks))
        });
        for run in runs {
            if let Err(panic) = run.join() {
                std::panic::resume_unwind(panic);
            }
        }
    });
}

#[test]
fn cookies_become_connections_with_all_options() {
    lab::run_with(
        &with_tcp(TcpConfig { syn_cookies: SynCookieMode::Always, ..TcpConfig::default() }),
        async |net| {
            for family in FAMILIES {
                for _ in 0..20 {
                    let (theirs, ours) = from_kernel(&net, family).await;
                    net.inspect(|stack| {
                        for (_, info) in
                            stack.tcp().connections().filter(|(_, info)| info.is_held && info.error.is_none())
                        {
                            assert!(info.timestamps && info.window_scales.0 > 0 && info.window_scales.1 > 0);
                            assert!(info.sack);
                        }
                    });
                    exchange(theirs, ours, 100_000).await;
                }
            }
            assert_eq!(sum(&net, |counters| counters.syn_cookies_accepted), 40);
        },
    );
}

/// Sends SYNs that nobody follows up, from addresses that are nobody's, until `is_over`, and no more than a million.
fn flood(port: u16, is_over: &AtomicBool) {
    let raw = socket(AddressFamily::Inet, SockType::Raw, SockFlag::empty(), SockProtocol::Raw)
        .expect("a raw socket in a namespace of our own");
    let target = SockaddrIn::new(10, 0, 0, 2, port);
    for round in 0..1_000_000u32 {
        if is_over.load(Ordering::Relaxed) {
            return;
        }
        let source = Ipv4Addr::from_bits(0x0a09_0000 | (round & 0xffff));
        let mut packet = Vec::new();
        let source_port = u16::try_from(1024 + round % 60_000).unwrap_or(1024);
        PacketBuilder::ipv4(source.octets(), [10, 0, 0, 2], 64)
            .tcp(source_port, port, round.wrapping_mul(2_654_435_761), 65_535)
            .syn()
            .write(&mut packet, &[])
            .expect("a packet");
        // What the device has no room for is lost, as in any flood.
        let _ = sendto(raw.as_raw_fd(), &packet, &target, MsgFlags::empty());
        if round % 64 == 0 {
            std::thread::yield_now();
        }
    }
}

#[test]
fn a_flood_of_syns_keeps_no_client_out() {
    lab::run_with(&with_tcp(TcpConfig { max_half_open: 64, ..TcpConfig::default() }), async |net| {
        let listener = net.tcp_listen(FAMILIES[0].ours(0)).await.expect("a listener");
        let port = listener.local_addr().expect("an address").port();
        let is_over = std::sync::Arc::new(AtomicBool::new(false));
        let flooder = {
            let is_over = is_over.clone();
            // A thread begins in its parent's namespace.
            std::thread::spawn(move || flood(port, &is_over))
        };
        while sum(&net, |counters| counters.syn_cookies_sent) < 1000 {
            tokio::task::yield_now().await;
        }
        for round in 0..50u32 {
            let (mut theirs, mut ours) = connect_kernel(&listener).await;
            theirs.write_all(&round.to_be_bytes()).await.expect("written");
            assert_eq!(ours.read_u32().await.expect("read"), round);
            ours.write_all(b"done").await.expect("written");
            let mut answer = [0; 4];
            theirs.read_exact(&mut answer).await.expect("read");
        }
        is_over.store(true, Ordering::Relaxed);
        flooder.join().expect("the flood ends");
        net.inspect(|stack| {
            let tcp = stack.tcp();
            let counters = tcp.counters();
            assert!(tcp.usage().half_open <= 64);
            assert_eq!(counters.half_open_evicted.get(), 0);
            assert_eq!(counters.syn_cookies_refused.get(), 0);
        });
        assert_eq!(sum(&net, |counters| counters.syn_cookies_accepted), 50);
    });
}
