//! `netloom up`: the stack as a daemon in the present network namespace.

use std::fmt::Display;
use std::io::{Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::Level;

use crate::args::Options;
use crate::control::place;
use crate::control::socket::{ClaimError, ControlSocket};
use crate::endpoint::Endpoint;
use crate::failure::Failure;
use crate::host::Host;
use crate::settings::Settings;
use crate::{device_access, logging, runtime};

/// What a second Ctrl-C ends with: 128 and the number of SIGINT.
const INTERRUPTED: i32 = 130;

/// Runs until SIGINT or SIGTERM, or SIGHUP where there is no file to read again.
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
    let mut stop = StopSignals::new(&settings)?;
    let mut faults = FaultsFile::of(&settings)?;
    // First, as it is the least to undo; served when there is something to say.
    let socket = claim_socket()?;
    let host = Host::connect()?;
    let endpoint = tokio::select! {
        opened = Endpoint::open(&host, settings) => opened?,
        () = stop.recv() => return Ok(()),
    };
    let control = match socket {
        Ok(socket) => Some(socket.serve(endpoint.answerer())),
        Err(error) => {
            tracing::warn!(
                "netloom addr will not find this daemon: {error}; NETLOOM_SOCKET=PATH gives it a place"
            );
            None
        }
    };
    announce(&endpoint);
    loop {
        tokio::select! {
            () = stop.recv() => break,
            failure = endpoint.failed() => return Err(failure),
            () = faults.asked() => faults.read(&endpoint),
        }
    }
    // While there is time: a second signal ends the process as it is.
    drop(control);
    notify(&NotifyState::Stopping);
    tokio::select! {
        () = endpoint.close() => Ok(()),
        // The kernel closes what is open, and takes the interface away, as on SIGKILL.
        () = stop.recv() => std::process::exit(INTERRUPTED),
    }
}

/// The control socket. Going without, for the reason given, is possible where nobody has named one: a user whom an
/// administrator gave an interface may have no directory for it, and another daemon, perhaps in another namespace, may have it.
fn claim_socket() -> Result<Result<ControlSocket, ClaimError>, Failure> {
    let place = place::to_listen();
    match ControlSocket::claim(&place.path) {
        Err(error) if !place.is_chosen => Ok(Err(error)),
        Err(error) => Err(Failure::new(format_args!(
            "{error}: name another control socket for this one: NETLOOM_SOCKET=PATH netloom up"
        ))),
        Ok(socket) => Ok(Ok(socket)),
    }
}

/// The file of `--config`, read again for its faults on SIGHUP. Without a file SIGHUP is one of [`StopSignals`].
struct FaultsFile(Option<(PathBuf, Signal)>);

impl FaultsFile {
    fn of(settings: &Settings) -> Result<Self, Failure> {
        let Some(path) = settings.config.clone() else { return Ok(Self(None)) };
        Ok(Self(Some((path, catch(SignalKind::hangup())?))))
    }

    /// Waits for SIGHUP.
    async fn asked(&mut self) {
        received(self.0.as_mut().map(|(_, hangup)| hangup)).await;
    }

    fn read(&self, endpoint: &Endpoint) {
        let Some((path, _)) = &self.0 else { return };
        match endpoint.settings().faults_now(path) {
            Ok(faults) => {
                tracing::info!("faults from now on: {faults}");
                endpoint.set_faults(&faults);
            }
            Err(failure) => tracing::warn!("the faults stay as they are: {failure}"),
        }
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

/// SIGINT and SIGTERM, caught from the moment this exists; and SIGHUP, unless it has another meaning or is ignored.
struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Option<Signal>,
}

impl StopSignals {
    fn new(settings: &Settings) -> Result<Self, Failure> {
        let hangup_stops = settings.config.is_none() && !is_hangup_ignored();
        Ok(Self {
            interrupt: catch(SignalKind::interrupt())?,
            terminate: catch(SignalKind::terminate())?,
            hangup: hangup_stops.then(|| catch(SignalKind::hangup())).transpose()?,
        })
    }

    async fn recv(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            () = received(self.hangup.as_mut()) => {}
        }
    }
}

fn catch(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|error| Failure::new(format_args!("cannot catch signals: {error}")))
}

/// Waits for a signal that may not be waited for.
async fn received(signal: Option<&mut Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

/// Whether whoever started netloom wants it to outlive the terminal, as nohup does.
fn is_hangup_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // A bit a signal, the lowest for 1, which is SIGHUP.
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}
