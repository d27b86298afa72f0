//! The process between `netloom shell` and its command: it passes signals on, and leaves nobody behind.
//!
//! *Theory of operation.* One thread that reads a signalfd. It is the subreaper of everything below it, so a process
//! whose parent ends becomes its child and cannot get away by daemonising. It obeys signals of one sender, its
//! parent; what the terminal sends, the command gets by itself. When the command ends, what it left behind gets
//! SIGTERM, a second to obey, then SIGKILL. When the parent dies (the kernel then sends SIGTERM), all of it gets
//! SIGKILL at once, and what it left of its control socket is removed.

use std::fs::{read_dir, read_to_string};
use std::os::unix::process::CommandExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitCode, ExitStatus};
use std::time::{Duration, Instant};

use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl::{set_child_subreaper, set_pdeathsig};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getppid};

use crate::args::SuperviseOptions;
use crate::control::private_folder;
use crate::failure::Failure;
use crate::signals::{Origin, Received, request_set, signal_failure};

/// This program, whatever has become of its file.
pub(crate) const SELF_EXECUTABLE: &str = "/proc/self/exe";

/// What the parent sends to have the command killed.
pub(crate) const KILL_COMMAND: Signal = Signal::SIGUSR2;

/// How long what was left behind may take to obey SIGTERM.
const GRACE: Duration = Duration::from_secs(1);
/// How long the kernel may take to carry out SIGKILL (a process in the middle of a disk access waits for it).
const KILL_PATIENCE: Duration = Duration::from_secs(5);

/// Every signal that this process blocks; what it becomes the parent of unblocks them. SIGTSTP and its like are
/// among them because a stopped supervisor could not end anything; netloom itself stops, and its shell sees that.
pub(crate) fn blocked_set() -> SigSet {
    let mut set = request_set();
    set.extend([KILL_COMMAND, Signal::SIGCHLD, Signal::SIGTSTP, Signal::SIGTTIN, Signal::SIGTTOU]);
    set
}

/// Runs the command and returns its status as an exit code.
pub(crate) fn run(options: &SuperviseOptions) -> Result<ExitCode, Failure> {
    let parent = Pid::from_raw(options.parent);
    let signals = blocked_set();
    signals.thread_block().map_err(signal_failure)?;
    set_pdeathsig(Signal::SIGTERM).map_err(signal_failure)?;
    // The parent may have died before the kernel was asked.
    if getppid() != parent {
        return Ok(ExitCode::FAILURE);
    }
    set_child_subreaper(true).map_err(signal_failure)?;
    let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
    let events = SignalFd::with_flags(&signals, flags).map_err(signal_failure)?;
    let child = Command::new(SELF_EXECUTABLE)
        .arg0("netloom")
        .args(["__exec", "--parent", &std::process::id().to_string(), "--"])
        .args(&options.command)
        .spawn()
        .map_err(|error| Failure::new(format_args!("cannot start a process: {error}")))?;
    // Process ids fit: the kernel's type for them is an int.
    let command = Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX));
    let mut supervisor = Supervisor { parent, command, events };
    match supervisor.attend()? {
        End::Command(code) => {
            supervisor.end_descendants(Signal::SIGTERM, GRACE)?;
            supervisor.end_descendants(Signal::SIGKILL, KILL_PATIENCE)?;
            Ok(code)
        }
        End::Parent => {
            supervisor.end_descendants(Signal::SIGKILL, KILL_PATIENCE)?;
            private_folder::remove(&options.folder);
            Ok(exit_code_of_signal(Signal::SIGKILL))
        }
    }
}

/// 128 and the signal's number, as shells do it.
pub(crate) fn exit_code_of_signal(signal: Signal) -> ExitCode {
    ExitCode::from(u8::try_from(signal as i32).map_or(u8::MAX, |number| number.saturating_add(128)))
}

/// A process's status as an exit code.
pub(crate) fn exit_code(status: ExitStatus) -> ExitCode {
    match (status.code(), status.signal().and_then(|number| Signal::try_from(number).ok())) {
        (Some(code), _) => ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)),
        (None, Some(signal)) => exit_code_of_signal(signal),
        (None, None) => ExitCode::FAILURE,
    }
}

/// What ended first.
enum End {
    Command(ExitCode),
    Parent,
}

struct Supervisor {
    parent: Pid,
    command: Pid,
    events: SignalFd,
}

impl Supervisor {
    /// Passes signals on until the command or the parent has ended.
    fn attend(&mut self) -> Result<End, Failure> {
        loop {
            self.wait_for_event(None)?;
            while let Some(info) = self.events.read_signal().map_err(signal_failure)? {
                if let Some(received) = Received::from_siginfo(&info) {
                    self.obey(received);
                }
            }
            if let Some(code) = self.reap()? {
                return Ok(End::Command(code));
            }
            if getppid() != self.parent {
                return Ok(End::Parent);
            }
        }
    }

    /// Does what the parent asks. Others are not heard: who signals the whole group has signalled the command too.
    fn obey(&self, received: Received) {
        let Received { signal, origin } = received;
        let Origin::Process { pid } = origin else { return };
        if u32::try_from(self.parent.as_raw()) != Ok(pid)
            || !(request_set().contains(signal) || signal == KILL_COMMAND)
        {
            return;
        }
        // It has not been waited for yet, so the id is its own, even if it has ended.
        let _ = kill(self.command, if signal == KILL_COMMAND { Signal::SIGKILL } else { signal });
        if matches!(signal, Signal::SIGTERM | Signal::SIGHUP) {
            // A stopped command would not hear it; a terminal that hangs up does the same.
            let _ = kill(self.command, Signal::SIGCONT);
        }
    }

    /// Waits for every process that has ended, and says how the command did if it is among them.
    fn reap(&self) -> Result<Option<ExitCode>, Failure> {
        let mut code = None;
        loop {
            match waitpid(Pid::from_raw(-1), Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, status)) if pid == self.command => {
                    code = Some(ExitCode::from(u8::try_from(status).unwrap_or(u8::MAX)));
                }
                Ok(WaitStatus::Signaled(pid, signal, _)) if pid == self.command => {
                    code = Some(exit_code_of_signal(signal));
                }
                Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(..)) | Err(Errno::EINTR) => {}
                Ok(_) | Err(Errno::ECHILD) => return Ok(code),
                Err(error) => return Err(signal_failure(error)),
            }
        }
    }

    /// Sends `signal` to every descendant and waits until there is none, for at most `patience`.
    ///
    /// Children alone are signalled: those of a child that ends become ours, and are found in the next round.
    fn end_descendants(&self, signal: Signal, patience: Duration) -> Result<(), Failure> {
        let deadline = Instant::now() + patience;
        let mut signalled: Vec<Pid> = Vec::new();
        loop {
            // Before the look, so that an id in it is not one that was waited for and given to another process.
            self.reap()?;
            let children = children_of(Pid::this());
            let left = deadline.saturating_duration_since(Instant::now());
            if children.is_empty() || left.is_zero() {
                return Ok(());
            }
            for &child in children.iter().filter(|child| !signalled.contains(child)) {
                let _ = kill(child, signal);
                let _ = kill(child, Signal::SIGCONT);
            }
            signalled = children;
            self.wait_for_event(Some(left))?;
            while self.events.read_signal().map_err(signal_failure)?.is_some() {}
        }
    }

    /// Waits for a signal, for at most `patience`.
    fn wait_for_event(&self, patience: Option<Duration>) -> Result<(), Failure> {
        let timeout = match patience {
            None => PollTimeout::NONE,
            Some(patience) => {
                let milliseconds = i32::try_from(patience.as_millis()).unwrap_or(i32::MAX).saturating_add(1);
                PollTimeout::try_from(milliseconds).unwrap_or(PollTimeout::MAX)
            }
        };
        match poll(&mut [PollFd::new(self.events.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(signal_failure(error)),
        }
    }
}

/// The live and the ended children of a process, by /proc.
fn children_of(parent: Pid) -> Vec<Pid> {
    let Ok(entries) = read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let is_child = |pid: &i32| {
        let stat = read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        parent_in(&stat) == Some(parent.as_raw())
    };
    pids.filter(is_child).map(Pid::from_raw).collect()
}

/// The parent's id in a /proc/PID/stat: the second field after the name, which ends at the last parenthesis.
fn parent_in(stat: &str) -> Option<i32> {
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_is_found_behind_any_name() {
        assert_eq!(parent_in("7 (a) b) S 3 7 7 0"), Some(3));
        assert_eq!(parent_in(""), None);
        let me = Pid::this();
        assert!(children_of(getppid()).contains(&me));
    }
}
