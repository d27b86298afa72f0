//! netloom against the kernel and against smoltcp over a cable with faults, which is the program itself: `netloom link --impair`.
//!
//! Each case is in network namespaces of its own, with real time: 10 MB each way with the peer as client, and at the
//! same time as much with the peer as server, in both families of addresses, byte for byte. Most of a case's time is spent waiting,
//! for what is under way or for a timer, so several run side by side.

mod conversation;
mod ground;
mod shrinking;
mod smoltcp_peer;
#[path = "../kernel/lab/transfer.rs"]
mod transfer;

use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Failed, Trial};
use netloom::device::Offload;

use conversation::{Effort, LEN, both_roles, with_kernel, with_smoltcp};
use ground::{Device, Ground, Link, beside_us};
use smoltcp_peer::Site;

/// Longest that the bytes of a case may take; the runner kills it after five minutes.
const LIMIT: Duration = Duration::from_secs(240);

/// A cable.
struct Case {
    faults: &'static str,
    /// The MTU of all interfaces. Below 1280 bytes there is no IPv6.
    mtu: u16,
    /// What the cable must have counted each way at the end, or else the case has shown nothing.
    counted: &'static [&'static str],
    smoltcps_effort: Effort,
}

const fn case(faults: &'static str, counted: &'static [&'static str]) -> Case {
    Case { faults, mtu: 1500, counted, smoltcps_effort: Effort::USUAL }
}

/// The cables. The slowest come first, so that they do not run alone at the end.
const CASES: &[Case] = &[
    // smoltcp has no SACK, and a timer of a second at least, which doubles whenever something is lost again: in virtual time one
    // connection takes three to five minutes for 10 MB where a tenth is lost, and 40 seconds where it is 3%. A connection all of whose
    // bytes fit the window needs that timer about once for each tenfold of its segments.
    Case {
        smoltcps_effort: Effort { streams: 10, buffer_len: 1_000_000 },
        ..case("loss=10%,seed=4", &["lost"])
    },
    Case { smoltcps_effort: Effort { streams: 4, ..Effort::USUAL }, ..case("loss=3%,seed=3", &["lost"]) },
    case("loss=1%,seed=2", &["lost"]),
    Case { mtu: 576, ..case("loss=1%,seed=8", &["lost"]) },
    Case { smoltcps_effort: Effort { streams: 1, buffer_len: 500_000 }, ..case("delay=100ms", &[]) },
    case("delay=20ms", &[]),
    case("loss=0.1%,seed=1", &["lost"]),
    case("delay=2ms,reorder=1%,reorder-by=2ms,seed=5", &["reordered"]),
    case("dup=1%,seed=6", &["duplicated"]),
    case("corrupt=0.1%,seed=7", &["corrupted"]),
    case("none", &[]),
    Case { mtu: 576, ..case("none", &[]) },
];

/// Who is at the far end.
#[derive(Clone, Copy, Debug)]
enum Peer {
    Kernel,
    Smoltcp,
}

/// A case by its name.
type Named = (String, Box<dyn FnOnce() + Send>);

/// How many cases run at a time.
const SIDE_BY_SIDE: usize = 4;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let exchanges = |peer: Peer, offload: Offload| -> Vec<Named> {
        // Each cable with one queue for one of the peers, and with two for the other.
        let first = match peer {
            Peer::Kernel => 1,
            Peer::Smoltcp => 0,
        };
        CASES
            .iter()
            .zip(first..)
            .map(|(case, number)| {
                let Case { faults, mtu, .. } = case;
                let device = Device::of_case(number, offload);
                let name = format!("{peer:?} {faults} mtu={mtu} {device}");
                let run: Box<dyn FnOnce() + Send> = Box::new(move || exchange(case, peer, device));
                (name.to_lowercase(), run)
            })
            .collect()
    };
    let modes = [("full", Offload::Full), ("checksum", Offload::Checksum), ("plain", Offload::Plain)];
    let trials = modes.into_iter().flat_map(|(mode, offload)| {
        [
            ("every_byte_arrives_at_and_from_the_kernel", exchanges(Peer::Kernel, offload)),
            ("every_byte_arrives_at_and_from_smoltcp", exchanges(Peer::Smoltcp, offload)),
            ("every_byte_arrives_while_the_mtu_shrinks", shrinking::cases(offload)),
        ]
        .map(|(name, cases)| Trial::test(format!("{mode}::{name}"), move || side_by_side(cases)))
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

/// Runs the cases, each in a thread of its own: the namespace is the thread's, and goes with it. Tells what each took.
fn side_by_side(cases: Vec<Named>) -> Result<(), Failed> {
    let cases = Mutex::new(cases.into_iter());
    let next = || cases.lock().expect("a case fails in its own thread").next();
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE {
            scope.spawn(|| {
                while let Some((name, run)) = next() {
                    let started = Instant::now();
                    let is_well = std::thread::spawn(run).join().is_ok();
                    eprintln!("{name}: {:?}", started.elapsed());
                    if !is_well {
                        failures.lock().expect("nobody fails with it").push(name);
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().expect("nobody fails with it");
    if failures.is_empty() { Ok(()) } else { Err(format!("failed: {}", failures.join(", ")).into()) }
}

/// Runs what has to do with netloom's sockets, by the deadline.
fn block_on<F: Future<Output = ()>>(test: F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { tokio::time::timeout(LIMIT, test).await }).expect("the bytes arrive in time");
}

/// 10 MB each way in both roles and families, over one cable.
fn exchange(case: &Case, peer: Peer, device: Device) {
    let &Case { faults, mtu, counted, smoltcps_effort } = case;
    let Some(ground) = Ground::new(mtu, device) else { return };
    let link = Link::start(faults);
    let plan = both_roles(&beside_us(mtu));
    block_on(async {
        match peer {
            Peer::Kernel => {
                let far = ground.far_namespace();
                let net = ground.start().expect("a stack");
                with_kernel(&net, &far, &plan, None).await;
                conversation::end(net).await;
            }
            Peer::Smoltcp => {
                let smoltcp = (ground.far_tap(), Site::near());
                let net = ground.start().expect("a stack");
                let smoltcp = with_smoltcp(&net, smoltcp, &plan, smoltcps_effort, None).await;
                conversation::end(net).await;
                drop(smoltcp);
            }
        }
    });
    for way in link.stop() {
        assert!(way["bytes"] >= (plan.len() * LEN) as u64, "all of it went over the cable: {way:?}");
        for &name in counted {
            assert!(way[name] > 0, "{faults}: {way:?}");
        }
    }
}
