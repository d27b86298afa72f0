//! A program under test: its lines as they come, its end by a deadline.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Longest that anything may take; far beyond what it does take, for machines under load.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// How a program ended, and what it said.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Finished {
    /// The exit status; -1 if a signal ended it.
    pub(crate) fn code(&self) -> i32 {
        self.status.code().unwrap_or(-1)
    }
}

/// A program that runs; killed when dropped.
pub(crate) struct Running {
    pid: Pid,
    ended: Receiver<ExitStatus>,
    status: Option<ExitStatus>,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
    seen: String,
    warned: String,
}

impl Running {
    /// Starts it with no input.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (line_out, stdout) = channel();
        let (line_err, stderr) = channel();
        read_lines(child.stdout.take().unwrap(), line_out);
        read_lines(child.stderr.take().unwrap(), line_err);
        let pid = Pid::from_raw(child.id().cast_signed());
        Self {
            pid,
            ended: watch(child),
            status: None,
            stdout,
            stderr,
            seen: String::new(),
            warned: String::new(),
        }
    }

    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    /// Reads stdout to the line that `wanted` accepts, and returns it.
    pub(crate) fn wait_for_line(&mut self, wanted: impl Fn(&str) -> bool) -> String {
        let line = read_to(&self.stdout, &mut self.seen, wanted);
        line.unwrap_or_else(|| {
            panic!("no such line in {:?}; stderr {:?}", self.seen, self.warned.clone() + &drain(&self.stderr))
        })
    }

    /// Reads stderr to the line with these words, and returns it.
    pub(crate) fn wait_for_warning(&mut self, words: &str) -> String {
        let line = read_to(&self.stderr, &mut self.warned, |line| line.contains(words));
        line.unwrap_or_else(|| panic!("no {words:?} in {:?}", self.warned))
    }

    /// What `wait_for_line` has read so far.
    pub(crate) fn seen(&self) -> &str {
        &self.seen
    }

    /// Sends it, and nobody else, a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid, signal).unwrap();
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        if self.status.is_none() {
            self.status = self.ended.recv_timeout(DEADLINE).ok();
        }
        self.status.expect("it ends by the deadline")
    }

    /// Waits for its end, and gathers what it said.
    pub(crate) fn finish(mut self) -> Finished {
        let status = self.wait();
        let stdout = self.seen.clone() + &drain(&self.stdout);
        let stderr = self.warned.clone() + &drain(&self.stderr);
        Finished { status, stdout, stderr }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Not yet waited for, so the id is still its own.
        if self.status.is_none() && self.ended.try_recv().is_err() {
            let _ = kill(self.pid, Signal::SIGKILL);
        }
    }
}

/// The numbers by which shells say what signal ended a program.
pub(crate) fn ended_by(finished: &Finished) -> Option<i32> {
    finished.status.signal()
}

/// Runs a program to its end.
pub(crate) fn run<S: AsRef<OsStr>>(program: &str, arguments: &[S]) -> Finished {
    Running::start(Command::new(program).args(arguments)).finish()
}

/// Asks until `condition` holds, or panics.
pub(crate) fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        thread::park_timeout(Duration::from_millis(2));
    }
}

/// Reads to the line that `wanted` accepts, and keeps what was read; `None` if there is no such line by the deadline.
fn read_to(lines: &Receiver<String>, seen: &mut String, wanted: impl Fn(&str) -> bool) -> Option<String> {
    let deadline = Instant::now() + DEADLINE;
    while let Ok(line) = lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        seen.push_str(&line);
        if wanted(line.trim_end()) {
            return Some(line.trim_end().to_owned());
        }
    }
    None
}

/// Everything up to the end of the stream, which is there once the program and its children have gone.
fn drain(lines: &Receiver<String>) -> String {
    let mut text = String::new();
    let deadline = Instant::now() + DEADLINE;
    while let Ok(line) = lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        text.push_str(&line);
    }
    text
}

fn read_lines(stream: impl Read + Send + 'static, lines: Sender<String>) {
    thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        while reader.read_line(&mut line).is_ok_and(|len| len > 0) {
            if lines.send(std::mem::take(&mut line)).is_err() {
                return;
            }
        }
    });
}

fn watch(mut child: Child) -> Receiver<ExitStatus> {
    let (sender, ended) = channel();
    thread::spawn(move || {
        let status = child.wait();
        // The other end is gone if the test has failed already.
        let _ = status.map(|status| sender.send(status));
    });
    ended
}
