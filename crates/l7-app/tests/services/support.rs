//! What the tests share: servers on free ports, real clients as child processes, raw exchanges.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use netloom_l7_app::CancellationToken;
use netloom_l7_app::http::{self, HttpLimits, HttpOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// No single step of a test takes longer, however slow the machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A running HTTP service.
pub(crate) struct HttpServer {
    pub(crate) address: SocketAddr,
    pub(crate) shutdown: CancellationToken,
    pub(crate) task: JoinHandle<()>,
}

impl HttpServer {
    pub(crate) async fn start() -> Self {
        Self::with(HttpOptions::default(), HttpLimits::default()).await
    }

    pub(crate) async fn with_root(root: PathBuf) -> Self {
        Self::with(HttpOptions { root: Some(root), ..HttpOptions::default() }, HttpLimits::default()).await
    }

    pub(crate) async fn with(options: HttpOptions, limits: HttpLimits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(http::serve_with(listener, http::router(options), limits, shutdown.clone()));
        Self { address, shutdown, task }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// curl's standard output for `path`, with further arguments in front.
    pub(crate) async fn curl(&self, arguments: &[&str], path: &str) -> String {
        let url = self.url(path);
        let output = run("curl", &[&["-sS", "--max-time", "50"], arguments, &[&url]].concat()).await;
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The JSON that curl gets for `path`.
    pub(crate) async fn json(&self, arguments: &[&str], path: &str) -> serde_json::Value {
        let text = self.curl(arguments, path).await;
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}: {text}"))
    }

    /// Sends `request`, then our FIN, and returns all that comes back.
    pub(crate) async fn raw(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        read_to_end(&mut stream).await
    }
}

/// Everything up to the peer's FIN.
pub(crate) async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("the peer did not close").unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads until `end` was read.
pub(crate) async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    while !text.contains(end) {
        let mut buffer = [0; 4096];
        let len = timeout(PATIENCE, stream.read(&mut buffer)).await.expect("nothing came").unwrap();
        assert!(len > 0, "closed before {end:?}: {text:?}");
        text.push_str(&String::from_utf8_lossy(&buffer[..len]));
    }
    text
}

/// Runs a program to its end.
pub(crate) async fn run(program: &str, arguments: &[&str]) -> Output {
    let child = Command::new(program).args(arguments).stdin(Stdio::null()).kill_on_drop(true).output();
    let output =
        timeout(PATIENCE, child).await.unwrap_or_else(|_| panic!("{program} {arguments:?} does not end"));
    output.unwrap_or_else(|error| panic!("{program} cannot be run, the tests need it: {error}"))
}

/// Runs a line of shell to its successful end; returns what it printed.
pub(crate) async fn shell(line: &str) -> String {
    let output = run("bash", &["-o", "pipefail", "-c", line]).await;
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {}: {stderr}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Whether a program is there; says so loudly if it is not.
pub(crate) fn is_installed(program: &str) -> bool {
    let is_there = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
        .any(|directory| directory.join(program).is_file());
    if !is_there {
        eprintln!("\n*** SKIPPED: {program} is not installed, so nothing is tested with it ***\n");
    }
    is_there
}
