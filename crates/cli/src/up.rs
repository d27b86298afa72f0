//! `netloom up`: the stack as a daemon in the present network namespace.

use std::fmt::Display;
use std::io::{Write, stdout};
use std::process::ExitCode;

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::Level;

use crate::args::Options;
use crate::endpoint::Endpoint;
use crate::failure::Failure;
use crate::host::Host;
use crate::settings::Settings;
use crate::{device_access, logging, runtime};

/// What a second Ctrl-C ends with: 128 and the number of SIGINT.
const INTERRUPTED: i32 = 130;

/// Runs until SIGINT or SIGTERM.
pub(crate) fn run(options: Options) -> Result<ExitCode, Failure> {
    let settings = Settings::load(options)?;
    logging::init(Level::INFO, settings.verbosity);
    device_access::check_node().map_err(Failure::new)?;
    let runtime = runtime::build()?;
    runtime.block_on(serve(settings))?;
    // Whatever is still in a service's hands ends with the process.
    runtime.shutdown_background();
    Ok(ExitCode::SUCCESS)
}

async fn serve(settings: Settings) -> Result<(), Failure> {
    let mut stop = StopSignals::new()?;
    let host = Host::connect()?;
    let endpoint = tokio::select! {
        opened = Endpoint::open(&host, settings) => opened?,
        () = stop.recv() => return Ok(()),
    };
    announce(&endpoint);
    tokio::select! {
        () = stop.recv() => {}
        failure = endpoint.failed() => return Err(failure),
    }
    notify(&NotifyState::Stopping);
    tokio::select! {
        () = endpoint.close() => Ok(()),
        // The kernel closes what is open, and takes the interface away, as on SIGKILL.
        () = stop.recv() => std::process::exit(INTERRUPTED),
    }
}

fn announce(endpoint: &Endpoint) {
    say(endpoint.banner(", in another terminal"));
    say("ready\n");
    notify(&NotifyState::Ready);
}

/// Prints and flushes. A reader who has gone (`netloom up | head -1`) does not end the daemon.
fn say(text: impl Display) {
    let mut out = stdout().lock();
    if let Err(error) = write!(out, "{text}").and_then(|()| out.flush()) {
        tracing::debug!("cannot print: {error}");
    }
}

/// Tells the service manager, if there is one.
fn notify(state: &NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(std::slice::from_ref(state)) {
        tracing::warn!("cannot tell the service manager: {error}");
    }
}

/// SIGINT and SIGTERM, caught from the moment this exists.
struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
}

impl StopSignals {
    fn new() -> Result<Self, Failure> {
        let catch =
            |kind| signal(kind).map_err(|error| Failure::new(format_args!("cannot catch signals: {error}")));
        Ok(Self { interrupt: catch(SignalKind::interrupt())?, terminate: catch(SignalKind::terminate())? })
    }

    async fn recv(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
