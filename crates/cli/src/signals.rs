//! Signals read as values, with the one question that matters answered: did a person type it?
//!
//! Ctrl-C makes the kernel send SIGINT to every process of the terminal's foreground group, so the command that runs
//! in a `netloom shell` gets it by itself and must not get it twice. A SIGINT that `kill` sent went to netloom
//! alone. signalfd tells them apart by `ssi_code`: SI_KERNEL for what the terminal sent, SI_USER, SI_QUEUE or
//! SI_TKILL for what a process sent (sigaction(2)).
//!
//! The signals are blocked in the thread that asks, and threads and programs started later inherit that.

use std::io;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd, siginfo};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::failure::Failure;

/// `si_code` of a signal that the kernel sent on its own account; a constant of Linux's ABI on every architecture.
const SI_KERNEL: i32 = 0x80;

/// What ends or interrupts a command.
const REQUESTS: [Signal; 4] = [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGHUP];

/// Who sent a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The kernel: a key at the terminal, or the terminal's end.
    Kernel,
    /// A process.
    Process {
        /// Its id, 0 if it is in a pid namespace that this process cannot see.
        pid: u32,
    },
}

/// One signal received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    /// Which.
    pub(crate) signal: Signal,
    /// From whom.
    pub(crate) origin: Origin,
}

impl Received {
    /// What the kernel wrote into the signalfd; `None` for a signal without a name.
    pub(crate) fn from_siginfo(info: &siginfo) -> Option<Self> {
        let signal = i32::try_from(info.ssi_signo).ok().and_then(|number| Signal::try_from(number).ok())?;
        let origin = match info.ssi_code {
            SI_KERNEL => Origin::Kernel,
            _ => Origin::Process { pid: info.ssi_pid },
        };
        Some(Self { signal, origin })
    }
}

/// The signals that end or interrupt a command.
pub(crate) fn request_set() -> SigSet {
    REQUESTS.into_iter().collect()
}

/// Those signals as a stream; blocked for this thread, its later threads and its children.
pub(crate) struct Requests(AsyncFd<SignalFd>);

/// Blocks the signals; to be called while the process has one thread.
pub(crate) fn block_requests() -> Result<(), Failure> {
    request_set().thread_block().map_err(signal_failure)
}

impl Requests {
    /// Begins to read the signals that [`block_requests`] has blocked. Needs a runtime.
    pub(crate) fn new() -> Result<Self, Failure> {
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        let fd = SignalFd::with_flags(&request_set(), flags).map_err(signal_failure)?;
        #[expect(
            deprecated,
            reason = "its successor is unsafe and asks that the descriptor stays open and the same: a SignalFd owns its own"
        )]
        let fd = AsyncFd::with_interest(fd, Interest::READABLE).map_err(|error| unreadable(&error))?;
        Ok(Self(fd))
    }

    /// The next signal. Cancel safe.
    pub(crate) async fn recv(&self) -> Result<Received, Failure> {
        loop {
            let mut guard = self.0.readable().await.map_err(|error| unreadable(&error))?;
            match guard.get_inner().read_signal().map_err(signal_failure)? {
                Some(info) => {
                    if let Some(received) = Received::from_siginfo(&info) {
                        return Ok(received);
                    }
                }
                None => guard.clear_ready(),
            }
        }
    }
}

/// A call about signals or processes that cannot fail as it is made, and did.
pub(crate) fn signal_failure(error: nix::Error) -> Failure {
    unreadable(&error.into())
}

fn unreadable(error: &io::Error) -> Failure {
    Failure::new(format_args!("cannot watch signals and processes: {error}"))
}
