//! The hidden command that becomes the command of a `netloom shell`.
//!
//! It exists because two things must happen in the new process before the command's program is loaded, and no safe
//! code can run between fork and exec: the kernel is asked to kill the command when its supervisor dies, and the
//! signals that netloom blocked are let through again.

use std::io::{ErrorKind, Write, stderr};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getppid};

use crate::args::ExecOptions;
use crate::failure::Failure;
use crate::shell_supervisor::blocked_set;
use crate::signals::signal_failure;

/// What shells answer when a command is not found, and when it cannot be run.
const NOT_FOUND: u8 = 127;
const NOT_RUNNABLE: u8 = 126;

/// Becomes the command; returns only if that failed.
pub(crate) fn run(options: &ExecOptions) -> Result<ExitCode, Failure> {
    let [program, arguments @ ..] = options.command.as_slice() else {
        return Err(Failure::usage("no command: type netloom shell --help"));
    };
    set_pdeathsig(Signal::SIGKILL).map_err(signal_failure)?;
    // The parent may have died before the kernel was asked.
    if getppid() != Pid::from_raw(options.parent) {
        return Ok(ExitCode::FAILURE);
    }
    blocked_set().thread_unblock().map_err(signal_failure)?;
    let error = Command::new(program).args(arguments).exec();
    let shown = program.display();
    let (code, reason) = if error.kind() == ErrorKind::NotFound {
        (NOT_FOUND, "command not found".to_owned())
    } else {
        (NOT_RUNNABLE, error.to_string())
    };
    // Without stderr the exit status says it.
    let _ = writeln!(stderr(), "netloom: {shown}: {reason}");
    Ok(ExitCode::from(code))
}
