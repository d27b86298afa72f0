//! The examples, as a person runs them: each a process of its own, those with a TAP in a network namespace.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::io::ErrorKind;
use std::process::{Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

#[path = "interfaces/namespace.rs"]
mod namespace;

use namespace::{in_namespace, run};

/// What the kernel's end of every TAP here is.
const TAP: [&str; 3] = ["tuntap add nl0 mode tap", "addr add 10.0.0.1/24 dev nl0", "link set nl0 up"];

/// An example. It ends when the test does.
fn example(name: &str) -> Command {
    let test = std::env::current_exe().unwrap();
    let path = test.parent().unwrap().parent().unwrap().join("examples").join(name);
    assert!(path.exists(), "not built: cargo build -p netloom --features axum --example {name}");
    driven(Command::new(path))
}

/// A command whose input and output are the test's, which it does not outlive.
fn driven(mut command: Command) -> Command {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    command
}

/// Runs a command to its end, which must be good; what it printed.
async fn printed(mut command: Command) -> String {
    let Output { status, stdout, .. } = command.stdin(Stdio::null()).output().await.unwrap();
    assert!(status.success(), "{command:?}: {status}");
    String::from_utf8(stdout).unwrap()
}

/// A program that runs, and what it says.
struct Running {
    child: Child,
    typed: ChildStdin,
    said: Lines<BufReader<ChildStdout>>,
}

impl Running {
    fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let said = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { typed: child.stdin.take().unwrap(), said, child }
    }

    /// Starts an example that serves, and waits until it does.
    async fn serve(name: &str) -> Self {
        let mut server = Self::start(example(name));
        assert_eq!(server.line().await, "ready");
        server
    }

    /// Joins the chat, and waits until the server has heard it.
    async fn chat() -> Self {
        let mut netcat = Command::new("nc");
        netcat.args(["10.0.0.2", "7000"]);
        let mut client = Self::start(driven(netcat));
        client.type_line("here I am").await;
        client.hears("here I am").await;
        client
    }

    /// Waits until the chat says this, after who knows what else.
    async fn hears(&mut self, said: &str) {
        loop {
            let line = self.line().await;
            assert!(line.starts_with("10.0.0.1:"), "{line}");
            if line.ends_with(&format!(": {said}")) {
                return;
            }
        }
    }

    async fn line(&mut self) -> String {
        self.said.next_line().await.unwrap().expect("it says something")
    }

    async fn type_line(&mut self, line: &str) {
        self.typed.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    /// Waits until it ends by itself, which must be a good end.
    async fn ends(mut self) {
        let status = self.child.wait().await.unwrap();
        assert!(status.success(), "{status}");
    }

    /// Types Ctrl-C.
    async fn interrupt(self) {
        let pid = i32::try_from(self.child.id().unwrap()).unwrap();
        kill(Pid::from_raw(pid), Signal::SIGINT).unwrap();
        self.ends().await;
    }

    /// Ends it as nobody can prepare for.
    async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }
}

#[test]
fn two_hosts_talk() {
    run(async {
        let said = printed(example("two_hosts")).await;
        assert!(
            said.starts_with("10.0.0.2:") && said.ends_with(" says: hello from the other host\n"),
            "{said}"
        );
    });
}

#[test]
fn a_custom_device_carries_packets() {
    run(async {
        let said = printed(example("custom_device")).await;
        let lines: Vec<&str> = said.lines().collect();
        let is_packet = |line: &str| line.starts_with("a packet of ") && line.ends_with(" bytes");
        assert!(lines.iter().any(|line| is_packet(line)), "{said}");
        assert!(lines.iter().any(|line| line.ends_with(" says: hello through the tunnel")), "{said}");
    });
}

#[test]
fn the_http_server_serves_until_it_is_interrupted() {
    in_namespace(&TAP, || async {
        let server = Running::serve("http_server").await;
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "http://10.0.0.2/"]);
        assert_eq!(printed(curl).await, "Hello from a stack of my own!\n");
        server.interrupt().await;
    });
}

#[test]
fn the_http_client_prints_what_a_server_says() {
    in_namespace(&TAP, || async {
        let listener = TcpListener::bind("10.0.0.1:8000").await.unwrap();
        let serve = async {
            let (mut stream, peer) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nwelcome\n").await.unwrap();
            assert_eq!(stream.read(&mut [0]).await.unwrap(), 0, "the client ends the connection");
            (peer.ip().to_string(), String::from_utf8(request).unwrap())
        };
        let (said, (peer, request)) = tokio::join!(printed(example("http_client")), serve);
        assert_eq!((said.as_str(), peer.as_str()), ("200 OK\nwelcome\n", "10.0.0.2"));
        assert!(request.starts_with("GET / HTTP/1.1\r\nhost: 10.0.0.1:8000\r\n"), "{request}");
    });
}

#[test]
fn the_forwarder_carries_what_is_meant_for_anybody() {
    let commands = [&["link set lo up"], &TAP[..], &["route add default via 10.0.0.2"]].concat();
    in_namespace(&commands, || async {
        let listener = TcpListener::bind("127.0.0.1:8000").await.unwrap();
        let mut forwarder = Running::serve("forward").await;
        // Addresses that are nobody's (RFC 5737).
        for wanted in ["192.0.2.1:80", "198.51.100.7:443"] {
            let mut here = TcpStream::connect(wanted).await.unwrap();
            let (mut there, _) = listener.accept().await.unwrap();
            here.write_all(b"a question").await.unwrap();
            here.shutdown().await.unwrap();
            let mut text = String::new();
            there.read_to_string(&mut text).await.unwrap();
            there.write_all(b"an answer").await.unwrap();
            drop(there);
            here.read_to_string(&mut text).await.unwrap();
            assert_eq!(text, "a questionan answer");
            let ours = here.local_addr().unwrap();
            assert_eq!(forwarder.line().await, format!("{ours} wants {wanted}"));
        }
        drop(listener);
        let refused = TcpStream::connect("192.0.2.1:80").await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        forwarder.kill().await;
    });
}

#[test]
fn the_chat_server_outlives_its_clients_and_they_can_come_back() {
    in_namespace(&TAP, || async {
        let server = Running::serve("chat").await;
        let (mut a, mut b) = (Running::chat().await, Running::chat().await);
        a.type_line("hello").await;
        b.hears("hello").await;
        a.hears("hello").await;

        // One client goes without a word, which ends no other, and comes back.
        a.kill().await;
        let mut a = Running::chat().await;
        b.type_line("welcome back").await;
        a.hears("welcome back").await;

        // The server goes: so do its clients, and they find the next one.
        server.interrupt().await;
        a.ends().await;
        b.ends().await;
        let server = Running::serve("chat").await;
        let (mut a, mut b) = (Running::chat().await, Running::chat().await);
        b.type_line("again").await;
        a.hears("again").await;
        a.kill().await;
        b.kill().await;
        server.interrupt().await;
    });
}
