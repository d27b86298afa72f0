//! Bytes both ways, byte for byte, over cables with faults.
//!
//! One test for the whole table: its cases run side by side, each in a namespace of its own, as most of the time of each is
//! spent waiting for a timer or for what is under way.

use std::num::NonZeroU16;
use std::sync::Mutex;
use std::time::Instant;

use netloom::Net;
use netloom::stack::Medium;

use crate::lab::{self, FAMILIES, Setup, exchange, from_kernel, to_kernel};

/// How many cases run at a time.
const SIDE_BY_SIDE: usize = 4;

/// What each end sends to the other, in each role. Over two queues it is the way of each frame that matters, and not how TCP fares in the
/// long run.
fn len() -> usize {
    if lab::queues() == NonZeroU16::MIN { 10_000_000 } else { 2_000_000 }
}

/// A cable: one for each queue of the device.
struct Case {
    faults: &'static str,
    mtu: u16,
}

const fn case(faults: &'static str) -> Case {
    Case { faults, mtu: 1500 }
}

/// The cables. The slowest come first, so that they do not run alone at the end.
const CASES: &[Case] = &[
    case("loss=10%,seed=4"),
    case("loss=3%,seed=3"),
    case("delay=10ms,loss=1%,seed=11"),
    case("loss=1%,seed=2"),
    case("delay=50ms"),
    case("delay=10ms"),
    case("loss=0.1%,seed=1"),
    case("delay=2ms,reorder=1%,reorder-by=2ms,seed=5"),
    case("dup=1%,seed=6"),
    case("corrupt=0.1%,seed=7"),
    case("delay=1ms,jitter=1ms,seed=8"),
    case("rate=200mbit,queue=100,seed=9"),
    Case { faults: "none", mtu: 576 },
    Case { faults: "loss=0.1%,seed=10", mtu: 576 },
    Case { faults: "delay=10ms", mtu: 576 },
];

/// The kernel as client and as server at the same time, of both families where the MTU lets them.
async fn both_roles(net: &Net, len: usize, has_ipv6: bool) {
    let [first, second] = FAMILIES;
    let second = if has_ipv6 { second } else { first };
    let as_client = async {
        let (theirs, ours) = from_kernel(net, first).await;
        exchange(theirs, ours, len).await;
    };
    let as_server = async {
        let (theirs, ours) = to_kernel(net, second).await;
        exchange(theirs, ours, len).await;
    };
    tokio::join!(as_client, as_server);
}

#[test]
fn every_byte_arrives_whatever_the_cable_does() {
    if !lab::tries_faults() {
        return;
    }
    // Frames that each queue has brought and taken, in all cases.
    let crossed = Mutex::new(vec![[0; 2]; lab::queues().get().into()]);
    let count = |net: &Net| {
        let of_shards = net.inspect(|stack| {
            let counters = stack.counters();
            [counters.frames_received.get(), counters.frames_sent.get()]
        });
        let mut crossed = crossed.lock().expect("no case has failed");
        for (sum, of_shard) in crossed.iter_mut().flatten().zip(of_shards.into_iter().flatten()) {
            *sum += of_shard;
        }
    };
    let cases = Mutex::new(CASES.iter().zip([Medium::Ethernet, Medium::Ip].into_iter().cycle()));
    let next = || cases.lock().expect("no case has failed").next();
    std::thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE {
            scope.spawn(|| {
                while let Some((case, kind)) = next() {
                    let started = Instant::now();
                    let setup =
                        Setup { kind, mtu: case.mtu, faults: Some(case.faults.parse().expect("faults")) };
                    eprintln!("{} over a {kind:?} link of {} bytes begins", case.faults, case.mtu);
                    lab::run_here(&setup, &async |net| {
                        both_roles(&net, len(), case.mtu >= 1280).await;
                        count(&net);
                    });
                    eprintln!("{} at {} bytes: {:?}", case.faults, case.mtu, started.elapsed());
                }
            });
        }
    });
    let crossed = crossed.into_inner().expect("no case has failed");
    eprintln!("frames received and sent, by queue: {crossed:?}");
    assert!(crossed.iter().flatten().all(|&count| count > 0), "each queue has a cable of its own");
}
