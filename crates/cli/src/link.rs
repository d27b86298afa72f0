//! `netloom link`: a cable with faults between two TAPs.
//!
//! *Theory of operation.* Two TAPs are made (or attached to), raised, and joined by a [`Cable`], whose thread carries
//! frames. Nothing else is touched: neither TAP gets an address. They may be moved to other network namespaces
//! meanwhile: the descriptors stay valid. What was made is not persistent and goes with the process.

use std::fmt;
use std::io::{Write, stdout};
use std::process::ExitCode;
use std::time::Duration;

use netloom::impair::{ImpairSpec, LinkDrop};
use netloom::{Cable, CableCounters};
use netloom_base::Medium;
use netloom_device::{OpenError, Queue, TunTap, TunTapConfig, check_name};
use tokio::runtime::Builder;
use tokio::time::{MissedTickBehavior, interval};
use tracing::Level;

use crate::args::LinkOptions;
use crate::failure::Failure;
use crate::host::Host;
use crate::settings::{InterfaceChoice, check_mtu_of, parse_faults};
use crate::signals::{Requests, block_requests};
use crate::{device_access, logging};

/// Pause between two reports with `-v`.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// Runs until SIGINT or SIGTERM.
pub(crate) fn run(options: LinkOptions) -> Result<ExitCode, Failure> {
    let LinkOptions { tap, impair, mtu, verbose } = options;
    let names: [String; 2] =
        tap.try_into().map_err(|_| Failure::usage("a cable has two ends: type --tap NAME --tap NAME"))?;
    if names[0] == names[1] {
        return Err(Failure::usage(format_args!("both ends are {}: type two names", names[0])));
    }
    for name in &names {
        check_name(name)
            .map_err(|reason| Failure::usage(OpenError::BadName { name: name.clone(), reason }))?;
    }
    let faults = parse_faults(&impair)?;
    let mtu = check_mtu_of(mtu, Medium::Ethernet)?;
    logging::init(Level::WARN, verbose);
    device_access::check_node().map_err(Failure::new)?;
    // Before the first thread, so that every thread inherits it.
    block_requests()?;
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format_args!("cannot start: {error}")))?;
    runtime.block_on(serve(&names, mtu, &faults, verbose > 0))
}

async fn serve(
    names: &[String; 2],
    mtu: u16,
    faults: &ImpairSpec,
    is_verbose: bool,
) -> Result<ExitCode, Failure> {
    let requests = Requests::new()?;
    let host = Host::connect()?;
    let ends: [Box<dyn Queue>; 2] = tokio::select! {
        opened = async {
            let first = open(&host, &names[0], mtu).await?;
            Ok::<_, Failure>([Box::new(first) as Box<dyn Queue>, Box::new(open(&host, &names[1], mtu).await?)])
        } => opened?,
        received = requests.recv() => return received.map(|_| ExitCode::SUCCESS),
    };
    let cable = Cable::start(ends, faults)
        .map_err(|error| Failure::new(format_args!("cannot start the cable: {error}")))?;
    say("ready\n");
    let mut reports = interval(REPORT_INTERVAL);
    reports.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let outcome = loop {
        tokio::select! {
            received = requests.recv() => break received.map(|_| ExitCode::SUCCESS),
            _ = cable.ended() => break Err(Failure::new(format_args!(
                "{} or {} is gone: start netloom again", names[0], names[1]
            ))),
            _ = reports.tick(), if is_verbose => say(Report { names, counters: &cable.counters() }),
        }
    };
    say(Report { names, counters: &cable.stop() });
    outcome
}

/// Makes a TAP and raises it, or attaches to one that exists, which is left as it was set.
async fn open(host: &Host, name: &str, mtu: u16) -> Result<TunTap, Failure> {
    let choice = InterfaceChoice { medium: Medium::Ethernet, name: name.to_owned() };
    if host.snapshot().await?.link_named(name).is_none() {
        device_access::check_privilege(&choice).map_err(Failure::new)?;
    }
    let config = TunTapConfig { kind: Medium::Ethernet, name: name.to_owned(), mtu };
    let device = TunTap::open(&config).map_err(Failure::new)?;
    if device.created() {
        host.set_up(name, mtu, &[]).await?;
    } else if !host.link(name).await?.is_up {
        tracing::warn!("{name} is down, and stays so until you type, as root: ip link set {name} up");
    }
    Ok(device)
}

/// Prints and flushes. A reader who has gone does not end the cable.
fn say(text: impl fmt::Display) {
    let mut out = stdout().lock();
    if let Err(error) = write!(out, "{text}").and_then(|()| out.flush()) {
        tracing::debug!("cannot print: {error}");
    }
}

/// What was counted, a line a direction.
struct Report<'a> {
    names: &'a [String; 2],
    counters: &'a [CableCounters; 2],
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second] = self.names;
        let [there, back] = self.counters;
        write_way(f, (first, second), there)?;
        write_way(f, (second, first), back)
    }
}

fn write_way(f: &mut fmt::Formatter<'_>, (from, to): (&str, &str), counters: &CableCounters) -> fmt::Result {
    let CableCounters { link, refused } = counters;
    let dropped = |reason| link.dropped(reason);
    writeln!(
        f,
        "{from} -> {to}: frames {} bytes {} delivered {} lost {} queue-full {} too-big {} memory-full {} reordered {} \
         duplicated {} corrupted {} refused {refused}",
        link.frames_offered.get(),
        link.bytes_offered.get(),
        link.frames_delivered.get(),
        dropped(LinkDrop::Lost),
        dropped(LinkDrop::QueueFull),
        dropped(LinkDrop::TooBig),
        dropped(LinkDrop::InFlightFull),
        link.reordered.get(),
        link.duplicated.get(),
        link.corrupted.get(),
    )
}
