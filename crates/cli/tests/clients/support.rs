//! One script in one fresh namespace with a stack in it.

use std::process::{Command, Output, Stdio};

/// What a script did.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    /// The script's output, if it ended well.
    #[track_caller]
    pub(crate) fn success(self) -> String {
        assert_eq!(self.status, 0, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self.stdout
    }
}

/// How `--offload` is given to the stack, by which of the test programs this is.
fn offload() -> &'static str {
    match env!("CARGO_CRATE_NAME") {
        "clients_plain" => "off",
        "clients_checksum" => "checksum",
        _ => "on",
    }
}

/// The same for `--queues`.
fn queues() -> &'static str {
    match env!("CARGO_CRATE_NAME") {
        "clients_queues" => "2",
        _ => "1",
    }
}

/// Longest that any script may take.
const LIMIT_SECONDS: &str = "120";

/// Runs `script` by bash inside `netloom shell`, with `options` for the stack. `None`, said loudly, where neither root
/// nor user namespaces allow that, or where one of `tools` is missing.
pub(crate) fn shell(tools: &[&str], options: &[&str], script: &str) -> Option<Outcome> {
    for tool in tools {
        if !has_tool(tool) {
            eprintln!("SKIPPED: {tool} is not installed");
            return None;
        }
    }
    let probe = netloom(&[], "true");
    if !probe.status.success() {
        eprintln!("SKIPPED: no private namespace: {}", String::from_utf8_lossy(&probe.stderr).trim());
        return None;
    }
    let output = netloom(options, script);
    Some(Outcome {
        status: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

fn netloom(options: &[&str], script: &str) -> Output {
    Command::new("timeout")
        .args(["--kill-after=5", LIMIT_SECONDS, env!("CARGO_BIN_EXE_netloom"), "shell"])
        .args(["--offload", offload(), "--queues", queues()])
        .args(options)
        .args(["--", "bash", "-c", script])
        .stdin(Stdio::null())
        .output()
        .expect("coreutils' timeout runs")
}

fn has_tool(tool: &str) -> bool {
    let found = Command::new("sh").args(["-c", &format!("command -v {tool}")]).stdout(Stdio::null()).status();
    found.is_ok_and(|status| status.success())
}
