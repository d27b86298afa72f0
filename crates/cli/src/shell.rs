//! `netloom shell`: a command in a private network namespace, with the stack beside it.
//!
//! *Theory of operation.* Three processes, each in the terminal's foreground group:
//!
//! ```text
//!   netloom shell ............ the stack and its services; moved itself into the namespace first
//!     netloom __supervise .... one thread; passes signals on, ends what the command leaves behind
//!       COMMAND .............. became so from netloom __exec
//! ```
//!
//! The supervisor is told of netloom's death by the kernel (PR_SET_PDEATHSIG) and then kills every descendant, so
//! also after SIGKILL no process holds the namespace, and it goes with its interface. The command is told of the
//! supervisor's death the same way. The control socket is in a private folder, which netloom removes, and after its SIGKILL
//! the supervisor.
//!
//! *Signals.* What is typed at the terminal (Ctrl-C, Ctrl-\) reaches the command by itself, and netloom ignores
//! it. What `kill` sends to netloom is passed on: SIGTERM, SIGHUP, SIGQUIT and SIGINT as they are, to an interactive
//! shell as SIGHUP, because it ignores the others. The second SIGINT becomes a SIGKILL. How they are told
//! apart stands in [`crate::signals`]. Whoever signals the whole process group reaches the command twice.

use std::ffi::OsString;
use std::io::{IsTerminal, Write, stderr, stdin, stdout};
use std::net::IpAddr;
use std::process::{ExitCode, ExitStatus};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep_until};
use tracing::Level;

use crate::args::ShellOptions;
use crate::control::place::SOCKET_VARIABLE;
use crate::control::private_folder::PrivateFolder;
use crate::control::socket::ControlSocket;
use crate::endpoint::Endpoint;
use crate::failure::Failure;
use crate::host::Host;
use crate::settings::Settings;
use crate::shell_supervisor::{SELF_EXECUTABLE, exit_code_of_signal};
use crate::signals::{Origin, Received, Requests};
use crate::{device_access, logging, namespace, runtime, shell_supervisor, signals};

/// What is run when neither COMMAND nor `$SHELL` says.
const SHELL_FALLBACK: &str = "/bin/sh";

/// After this an interactive shell that was hung up on and goes on is told again: bash notices a signal that comes
/// between its prompt and its wait for keys only with the next one.
const HANG_UP_INTERVAL: Duration = Duration::from_secs(1);

/// What to run.
struct Job {
    command: Vec<OsString>,
    /// A shell at a terminal, rather than a command to be left alone with its output.
    is_interactive: bool,
    /// Whether the banner goes to stderr although a command was given.
    is_verbose: bool,
}

/// Runs the command; its exit status is the result.
pub(crate) fn run(shell: ShellOptions) -> Result<ExitCode, Failure> {
    let ShellOptions { options, command } = shell;
    let settings = Settings::load(options)?;
    logging::init(Level::WARN, settings.verbosity);
    let job = Job {
        is_interactive: command.is_empty() && stdin().is_terminal(),
        is_verbose: settings.verbosity > 0,
        command: if command.is_empty() { vec![login_shell()] } else { command },
    };
    device_access::check_node().map_err(Failure::new)?;
    namespace::enter_private_network()?;
    signals::block_requests()?;
    let runtime = runtime::build()?;
    let code = runtime.block_on(serve(settings, job))?;
    runtime.shutdown_background();
    Ok(code)
}

fn login_shell() -> OsString {
    std::env::var_os("SHELL").filter(|shell| !shell.is_empty()).unwrap_or_else(|| SHELL_FALLBACK.into())
}

async fn serve(settings: Settings, job: Job) -> Result<ExitCode, Failure> {
    let requests = Requests::new()?;
    let folder = PrivateFolder::make()?;
    let socket = ControlSocket::claim(&folder.socket()).map_err(|error| {
        Failure::new(format_args!("{error}: name another place for it: TMPDIR=PATH netloom shell"))
    })?;
    let opening = async {
        let host = Host::connect()?;
        host.raise_loopback().await?;
        Endpoint::open(&host, settings).await
    };
    let endpoint = tokio::select! {
        opened = opening => opened?,
        received = requests.recv() => return Ok(exit_code_of_signal(received?.signal)),
    };
    let _control = socket.serve(endpoint.answerer());
    greet(&endpoint, &job);
    let child = spawn(&endpoint, &job, &folder)?;
    let status = attend(child, &requests, job.is_interactive).await?;
    endpoint.close().await;
    Ok(shell_supervisor::exit_code(status))
}

/// Tells a person what to type: at an interactive shell on stdout, before a command only where it disturbs nothing.
fn greet(endpoint: &Endpoint, job: &Job) {
    let banner = endpoint.banner("");
    // A terminal that has gone is noticed by the command.
    let _ = if job.is_interactive {
        writeln!(stdout(), "{banner}Type exit to end it all.")
    } else if stderr().is_terminal() || job.is_verbose {
        write!(stderr(), "{banner}")
    } else {
        Ok(())
    };
}

/// Starts the supervisor. The kernel ties its life to this thread, the main one, which lives as long as netloom.
fn spawn(endpoint: &Endpoint, job: &Job, folder: &PrivateFolder) -> Result<Child, Failure> {
    let first = |wanted: fn(&IpAddr) -> bool| {
        endpoint
            .own_addresses()
            .iter()
            .map(|cidr| cidr.address())
            .find(wanted)
            .map(|address| address.to_string())
    };
    let mut command = Command::new(SELF_EXECUTABLE);
    command
        .arg0("netloom")
        .args(["__supervise", "--parent", &std::process::id().to_string(), "--folder"])
        .arg(folder.path())
        .arg("--")
        .args(&job.command)
        .env("NETLOOM_SHELL", "1")
        .env(SOCKET_VARIABLE, folder.socket())
        .env("NETLOOM_ADDRESS", first(|_| true).unwrap_or_default())
        .env_remove("NETLOOM_ADDRESS6");
    if let Some(address) = first(IpAddr::is_ipv6) {
        command.env("NETLOOM_ADDRESS6", address);
    }
    command.spawn().map_err(|error| Failure::new(format_args!("cannot start a process: {error}")))
}

/// Waits for the command's end, and passes on what it is asked meanwhile.
async fn attend(mut child: Child, requests: &Requests, is_interactive: bool) -> Result<ExitStatus, Failure> {
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw);
    let mut interrupt_count = 0u32;
    let mut hang_up_again = None;
    loop {
        tokio::select! {
            status = child.wait() => {
                return status.map_err(|error| Failure::new(format_args!("cannot wait for the command: {error}")));
            }
            received = requests.recv() => {
                let received = received?;
                if let Some(signal) = passed_on(received, is_interactive, &mut interrupt_count)
                    && let Some(pid) = pid
                {
                    tracing::debug!(?received, passed_on = %signal, "signal");
                    // It may have ended a moment ago: then there is nothing to pass on to.
                    let _ = kill(pid, signal);
                    hang_up_again = is_interactive.then(|| Instant::now() + HANG_UP_INTERVAL);
                }
            }
            () = sleep_until(hang_up_again.unwrap_or_else(Instant::now)), if hang_up_again.is_some() => {
                if let Some(pid) = pid {
                    let _ = kill(pid, Signal::SIGHUP);
                }
                hang_up_again = Some(Instant::now() + HANG_UP_INTERVAL);
            }
        }
    }
}

/// What the supervisor is sent for a signal that netloom got; `None` if the command has it already.
fn passed_on(received: Received, is_interactive: bool, interrupt_count: &mut u32) -> Option<Signal> {
    let Received { signal, origin } = received;
    let is_typed = origin == Origin::Kernel && matches!(signal, Signal::SIGINT | Signal::SIGQUIT);
    if is_typed {
        return None;
    }
    if signal == Signal::SIGINT {
        *interrupt_count = interrupt_count.saturating_add(1);
        if *interrupt_count > 1 {
            return Some(shell_supervisor::KILL_COMMAND);
        }
    }
    Some(if is_interactive { Signal::SIGHUP } else { signal })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPED: Origin = Origin::Kernel;
    const SENT: Origin = Origin::Process { pid: 1 };

    #[test]
    fn keys_are_left_to_the_terminal_and_requests_passed_on() {
        use Signal::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
        for (signal, origin, is_interactive, expected) in [
            (SIGINT, TYPED, false, None),
            (SIGINT, TYPED, true, None),
            (SIGQUIT, TYPED, false, None),
            (SIGHUP, TYPED, false, Some(SIGHUP)),
            (SIGINT, SENT, false, Some(SIGINT)),
            (SIGTERM, SENT, false, Some(SIGTERM)),
            (SIGTERM, SENT, true, Some(SIGHUP)),
            (SIGINT, SENT, true, Some(SIGHUP)),
        ] {
            let received = Received { signal, origin };
            assert_eq!(
                passed_on(received, is_interactive, &mut 0),
                expected,
                "{received:?} {is_interactive}"
            );
        }
    }

    #[test]
    fn the_second_interrupt_kills() {
        let mut count = 0;
        let interrupt = Received { signal: Signal::SIGINT, origin: SENT };
        assert_eq!(passed_on(interrupt, true, &mut count), Some(Signal::SIGHUP));
        assert_eq!(passed_on(interrupt, true, &mut count), Some(shell_supervisor::KILL_COMMAND));
    }
}
