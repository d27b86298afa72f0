//! `netloom shell` at a terminal: the shell in it has the keys and the jobs.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::pty::openpty;
use nix::sys::signal::Signal;

use crate::process::DEADLINE;
use crate::sandbox::{binary, skip, with_queues};

const CTRL_C: &str = "\x03";
const CTRL_Z: &str = "\x1a";

/// A terminal with a `netloom shell` at it.
struct Terminal {
    child: std::process::Child,
    keys: File,
    output: Receiver<Vec<u8>>,
    screen: String,
}

impl Terminal {
    fn new(test: &str, arguments: &[&str]) -> Option<Self> {
        if !std::path::Path::new("/bin/bash").exists() {
            skip(test, "needs /bin/bash");
            return None;
        }
        if let Err(error) = File::options().read(true).write(true).open("/dev/net/tun") {
            skip(test, &format!("needs /dev/net/tun: {error}"));
            return None;
        }
        let pty = openpty(None, None).unwrap();
        let stdio = || Stdio::from(pty.slave.try_clone().unwrap());
        // A session of its own, with the terminal as its controlling terminal.
        let child = Command::new("setsid")
            .args(["--ctty", binary()])
            .args(with_queues(&[&["shell"], arguments].concat()))
            .env("SHELL", "/bin/bash")
            .env("HOME", "/nonexistent")
            .env("PS1", "prompt> ")
            .env("TERM", "dumb")
            .env_remove("PROMPT_COMMAND")
            .stdin(stdio())
            .stdout(stdio())
            .stderr(stdio())
            .spawn()
            .unwrap();
        let keys = File::from(pty.master);
        let mut screen = keys.try_clone().unwrap();
        let (sender, output) = channel();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            // EIO ends it: nobody has the other end open any more.
            while let Ok(len @ 1..) = screen.read(&mut buffer) {
                if sender.send(buffer[..len].to_vec()).is_err() {
                    return;
                }
            }
        });
        Some(Self { child, keys, output, screen: String::new() })
    }

    fn type_keys(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Reads until `text` has appeared after what was waited for before; returns what came before it.
    fn wait_for(&mut self, text: &str) -> String {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some((before, after)) = self.screen.split_once(text) {
                let before = before.to_owned();
                self.screen = after.to_owned();
                return before;
            }
            let bytes = self
                .output
                .recv_timeout(deadline.saturating_duration_since(Instant::now()))
                .unwrap_or_else(|_| panic!("no {text:?} in {:?}", self.screen));
            self.screen.push_str(&String::from_utf8_lossy(&bytes));
        }
    }

    /// Types Ctrl-C until bash shows its prompt again: one that comes in the moment between two of its waits for keys is
    /// noticed only with the next key.
    fn interrupt(&mut self) {
        for _ in 0..10 {
            self.type_keys(CTRL_C);
            let deadline = Instant::now() + Duration::from_secs(2);
            while let Ok(bytes) = self.output.recv_timeout(deadline.saturating_duration_since(Instant::now()))
            {
                self.screen.push_str(&String::from_utf8_lossy(&bytes));
                if let Some((_, after)) = self.screen.split_once("prompt> ") {
                    self.screen = after.to_owned();
                    return;
                }
            }
        }
        panic!("no prompt after Ctrl-C in {:?}", self.screen);
    }

    /// Starts `cat`, and waits until bash has given the terminal its lines back: what is typed before that ends no line.
    fn start_cat(&mut self) {
        self.type_keys("echo u\"\"p; cat\n");
        self.wait_for("up\r\n");
    }

    fn code(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn an_interactive_shell_has_keys_jobs_and_a_banner() {
    let Some(mut terminal) = Terminal::new("an_interactive_shell_has_keys_jobs_and_a_banner", &[]) else {
        return;
    };
    terminal.wait_for("  ping 10.0.0.2\r\n");
    terminal.wait_for("# ");
    // Ctrl-C ends the foreground job and nothing else. The job has spoken by then: bash itself loses a Ctrl-C that
    // comes while it starts one.
    terminal.type_keys("PS1='prompt''> '\n");
    terminal.wait_for("prompt> ");
    terminal.start_cat();
    terminal.type_keys("first\n");
    terminal.wait_for("first\r\nfirst\r\n");
    terminal.interrupt();
    terminal.type_keys("echo a\"\"live $NETLOOM_SHELL\n");
    terminal.wait_for("alive 1\r\nprompt> ");
    // A bare Ctrl-C leaves a prompt.
    terminal.interrupt();
    // Ctrl-Z stops the foreground job, fg goes on with it.
    terminal.start_cat();
    terminal.type_keys("echoed\n");
    terminal.wait_for("echoed\r\nechoed\r\n");
    terminal.type_keys(CTRL_Z);
    terminal.wait_for("Stopped");
    terminal.wait_for("prompt> ");
    terminal.type_keys("fg\n");
    terminal.wait_for("cat\r\n");
    terminal.type_keys("again\n");
    terminal.wait_for("again\r\nagain\r\n");
    terminal.interrupt();
    terminal.type_keys("exit 3\n");
    assert_eq!(terminal.code(), Some(3));
}

#[test]
fn ctrl_c_reaches_a_command_once() {
    // What comes in the moment before bash waits for a line it notices only after that: so it waits for a second at most.
    let script = "n=0; trap 'n=$((n+1)); echo heard $n' INT; echo up $$; \
                  while :; do read -r -t 1 line && test \"$line\" = end && exit $n; done";
    let arguments = ["--", "bash", "-c", script];
    let Some(mut terminal) = Terminal::new("ctrl_c_reaches_a_command_once", &arguments) else { return };
    terminal.wait_for("up ");
    terminal.type_keys(CTRL_C);
    terminal.wait_for("heard 1\r\n");
    terminal.type_keys("end\n");
    assert_eq!(terminal.code(), Some(1));
}

#[test]
fn a_request_ends_an_interactive_shell() {
    let test = "a_request_ends_an_interactive_shell";
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let Some(mut terminal) = Terminal::new(test, &[]) else { return };
        terminal.wait_for("# ");
        let pid = nix::unistd::Pid::from_raw(terminal.child.id().cast_signed());
        nix::sys::signal::kill(pid, signal).unwrap();
        // bash dies of the hangup that it is sent instead.
        assert_eq!(terminal.code(), Some(128 + Signal::SIGHUP as i32), "{signal}");
    }
}
