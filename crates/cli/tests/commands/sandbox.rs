//! A network and mount namespace for one test, with everything in it.

use std::fs::{OpenOptions, copy};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use nix::unistd::{Uid, geteuid};

use crate::process::{Finished, Running};

/// The user without privilege.
pub(crate) const NOBODY: &str = "65534";

/// Puts a fresh device directory over `/dev/net`, seen by this sandbox alone.
const OWN_DEV_NET: &str = "mount -t tmpfs tmpfs /dev/net";

/// The same for `/run`, where control sockets are: other daemons on the machine have theirs.
const OWN_RUN: &str = "mount -t tmpfs -o mode=755 tmpfs /run";

/// How many queues the stacks of this test program have.
pub(crate) fn queues() -> usize {
    match env!("CARGO_CRATE_NAME") {
        "commands_queues" => 2,
        _ => 1,
    }
}

/// What `netloom` is given for these arguments: with as many queues as the stacks here have, unless they say so themselves.
pub(crate) fn with_queues(arguments: &[&str]) -> Vec<String> {
    let mut all: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
    let starts_stack = matches!(arguments.first(), Some(&("up" | "shell")));
    if queues() > 1 && starts_stack && !arguments.contains(&"--queues") && !arguments.contains(&"--help") {
        all.splice(1..1, ["--queues".to_owned(), queues().to_string()]);
    }
    all
}

/// The flag of `ip tuntap add` for an interface that such a stack attaches to.
pub(crate) fn queues_flag() -> &'static str {
    if queues() > 1 { "multi_queue" } else { "" }
}

/// A namespace of a network of its own. It goes with the process that holds it, which ends when this is dropped
/// or the test dies.
pub(crate) struct Sandbox {
    holder: Child,
}

impl Sandbox {
    /// Makes one; `None`, said loudly, where that is not possible.
    pub(crate) fn new(test: &str) -> Option<Self> {
        if geteuid() != Uid::from_raw(0) {
            skip(test, "needs root to make a network namespace");
            return None;
        }
        if !PathBuf::from("/dev/net/tun").exists() {
            skip(test, "needs /dev/net/tun");
            return None;
        }
        let mut holder = Command::new("unshare")
            .args([
                "--net",
                "--mount",
                "sh",
                "-c",
                &format!("{OWN_RUN} && ip link set lo up && echo made && exec cat"),
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(holder.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let sandbox = Self { holder };
        if line != "made\n" {
            // It says why itself, on stderr.
            skip(test, "cannot make a network namespace here");
            return None;
        }
        Some(sandbox)
    }

    /// The process that holds the namespace: what `ip link set ... netns` takes.
    pub(crate) fn holder(&self) -> u32 {
        self.holder.id()
    }

    /// A command in the sandbox. Its process is the command itself.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.holder().to_string(), "--net", "--mount", program]);
        command.env_remove("XDG_RUNTIME_DIR").env_remove("NETLOOM_SOCKET");
        command
    }

    /// Runs a script, which must succeed, and returns what it printed.
    pub(crate) fn sh(&self, script: &str) -> String {
        let finished = Running::start(self.command("sh").args(["-ec", script])).finish();
        assert!(finished.status.success(), "{script}: {finished:?}");
        finished.stdout
    }

    /// `netloom` with these arguments, as root.
    pub(crate) fn netloom(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(binary());
        command.args(with_queues(arguments));
        command
    }

    /// `netloom` with these arguments, as a user without any privilege.
    pub(crate) fn netloom_as_nobody(&self, arguments: &[&str]) -> Command {
        let mut command = self.command("setpriv");
        let (user, group) = (format!("--reuid={NOBODY}"), format!("--regid={NOBODY}"));
        command.args([&user, &group, "--clear-groups", binary()]).args(with_queues(arguments));
        command
    }

    /// Runs `netloom` to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Finished {
        Running::start(&mut self.netloom(arguments)).finish()
    }

    /// What there is in `/run`, a name a line.
    pub(crate) fn run_folder(&self) -> String {
        self.sh("ls -A /run")
    }

    /// Hides `/dev/net/tun` from this sandbox.
    pub(crate) fn hide_tun(&self) {
        self.sh(OWN_DEV_NET);
    }

    /// Gives this sandbox a `/dev/net/tun` with these permissions.
    pub(crate) fn set_tun_mode(&self, mode: &str) {
        self.sh(&format!(
            "{OWN_DEV_NET} && mknod /dev/net/tun c 10 200 && chmod {mode} /dev/net/tun && chmod 755 /dev/net"
        ));
    }

    /// Every link, address, route and rule, to be compared.
    pub(crate) fn state(&self) -> String {
        self.sh("ip -o link; ip -o address; ip route show table all; ip -6 route show table all; ip rule")
    }

    /// Whether there is an interface of this name.
    pub(crate) fn has_link(&self, name: &str) -> bool {
        self.sh("ip -o link").contains(&format!(": {name}: "))
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        let _ = self.holder.wait();
    }
}

/// The binary, where every user may run it: a checkout below a closed home directory is not such a place.
pub(crate) fn binary() -> &'static str {
    static COPY: OnceLock<(tempfile::TempDir, String)> = OnceLock::new();
    let (_folder, path) = COPY.get_or_init(|| {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let path = folder.path().join("netloom");
        copy(env!("CARGO_BIN_EXE_netloom"), &path).unwrap();
        (folder, path.to_str().unwrap().to_owned())
    });
    path
}

/// Says loudly that a test proves nothing here.
pub(crate) fn skip(test: &str, reason: &str) {
    let line = format!("SKIPPED: {test}: {reason}\n");
    eprint!("{line}");
    if let Some(path) = std::env::var_os("NETLOOM_SKIP_LOG") {
        let log = OpenOptions::new().append(true).create(true).open(path);
        log.and_then(|mut log| log.write_all(line.as_bytes())).unwrap();
    }
}
