//! The iperf3 server against the real client in every mode, and against clients that misbehave.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use netloom_l7_app::CancellationToken;
use netloom_l7_app::iperf3::{self, Iperf3Options};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::process::Command;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::support::{PATIENCE, is_installed, run};

struct Server {
    address: SocketAddr,
    shutdown: CancellationToken,
    task: JoinHandle<std::io::Result<()>>,
}

impl Server {
    async fn start() -> Self {
        Self::with(Iperf3Options::default()).await
    }

    async fn with(options: Iperf3Options) -> Self {
        // The same port for both: a free one of the first may be taken on the other.
        let (listener, socket) = loop {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            if let Ok(socket) = UdpSocket::bind(listener.local_addr().unwrap()).await {
                break (listener, socket);
            }
        };
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(iperf3::serve(listener, socket, options, shutdown.clone()));
        Self { address, shutdown, task }
    }

    fn arguments<'a>(&self, port: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        [&["-c", "127.0.0.1", "-p", port, "-J", "--connect-timeout", "5000"], more].concat()
    }

    /// What the client reports with `-J`, when it succeeds.
    async fn report(&self, more: &[&str]) -> Value {
        let report = self.any_report(more).await;
        assert_eq!(report.get("error"), None, "{more:?}: {report:#}");
        report
    }

    async fn any_report(&self, more: &[&str]) -> Value {
        let port = self.address.port().to_string();
        let output = run("iperf3", &self.arguments(&port, more)).await;
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{more:?}: {error}: {}", String::from_utf8_lossy(&output.stderr)))
    }

    async fn connect(&self, cookie: u8) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(&[cookie; 37]).await.unwrap();
        stream
    }
}

fn bytes(report: &Value, sum: &str) -> u64 {
    report["end"][sum]["bytes"].as_u64().unwrap_or_else(|| panic!("no {sum} in {report:#}"))
}

macro_rules! need_iperf3 {
    () => {
        if !is_installed("iperf3") {
            return;
        }
    };
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tcp_in_all_directions() {
    need_iperf3!();
    let server = Server::start().await;
    for mode in [
        &["-t", "1"][..],
        &["-t", "1", "-R"],
        &["-t", "1", "--bidir"],
        &["-t", "1", "-P", "8"],
        &["-t", "1", "-P", "8", "-R"],
        &["-t", "1", "-P", "4", "--bidir"],
        &["-t", "1", "-l", "1K"],
        &["-t", "1", "-l", "1M", "-R"],
        &["-t", "1", "-Z"],
        &["-t", "2", "-O", "1"],
        &["-t", "2", "-O", "1", "-R"],
    ] {
        let report = server.report(mode).await;
        let (sent, received) = (bytes(&report, "sum_sent"), bytes(&report, "sum_received"));
        assert!(sent > 1_000_000 && received > 1_000_000, "{mode:?}: {sent} {received}");
        let ratio = sent as f64 / received as f64;
        assert!((0.8..1.25).contains(&ratio), "{mode:?}: {sent} sent, {received} received");
        let seconds = report["end"]["sum_received"]["seconds"].as_f64().unwrap();
        assert!((0.8..3.0).contains(&seconds), "{mode:?}: {seconds}");
        // The kernel's sockets are not asked: the client is told that there is no count, and shows none.
        let server_sends_alone = mode.contains(&"-R");
        assert_eq!(report["end"]["sum_sent"].get("retransmits").is_none(), server_sends_alone, "{report:#}");
        if mode.contains(&"--bidir") {
            let (sent, received) =
                (bytes(&report, "sum_sent_bidir_reverse"), bytes(&report, "sum_received_bidir_reverse"));
            assert!(sent > 1_000_000 && received > 1_000_000, "{mode:?}: {sent} {received}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tcp_by_number_of_bytes_and_blocks() {
    need_iperf3!();
    let server = Server::start().await;
    for (mode, least) in [
        (&["-n", "50M"][..], 50 << 20),
        (&["-n", "50M", "-R"], 50 << 20),
        (&["-n", "8M", "-P", "4", "-R"], 8 << 20),
        (&["-n", "8M", "--bidir"], 1),
        (&["-k", "100"], 100 * (128 << 10)),
        (&["-k", "100", "-R"], 1),
    ] {
        let report = server.report(mode).await;
        assert!(bytes(&report, "sum_sent") >= least, "{mode:?}: {report:#}");
    }
    // What the server sent is what was asked for, and no more.
    let report = server.report(&["-n", "50M", "-R"]).await;
    assert_eq!(bytes(&report, "sum_sent"), 50 << 20);
    assert_eq!(bytes(&report, "sum_received"), 50 << 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn udp_in_all_directions() {
    need_iperf3!();
    let server = Server::start().await;
    for mode in [
        &["-u", "-t", "1"][..],
        &["-u", "-t", "1", "-R"],
        &["-u", "-t", "1", "--bidir"],
        &["-u", "-t", "1", "-P", "4"],
        &["-u", "-t", "1", "-P", "4", "-R"],
        &["-u", "-t", "1", "-b", "20M", "-l", "1000"],
        &["-u", "-t", "1", "-b", "20M", "-l", "1000", "-R"],
        &["-u", "-t", "1", "--udp-counters-64bit"],
        &["-u", "-t", "1", "--udp-counters-64bit", "-R"],
        &["-u", "-t", "2", "-O", "1", "-b", "5M"],
        &["-u", "-t", "2", "-O", "1", "-b", "5M", "-R"],
        &["-u", "-n", "100K"],
        &["-u", "-n", "100K", "-R"],
        &["-u", "-k", "50"],
    ] {
        let report = server.report(mode).await;
        let sum = &report["end"]["sum"];
        let (packets, lost) = (sum["packets"].as_u64().unwrap(), sum["lost_packets"].as_i64().unwrap());
        assert!(packets >= 3 && lost.unsigned_abs() * 10 <= packets, "{mode:?}: {sum:#}");
        let jitter = sum["jitter_ms"].as_f64().unwrap();
        assert!((0.0..100.0).contains(&jitter), "{mode:?}: {sum:#}");
        for stream in report["end"]["streams"].as_array().unwrap() {
            assert!(stream["udp"]["packets"].as_u64().unwrap() > 1, "{mode:?}: {stream:#}");
        }
        if mode.contains(&"20M") {
            let rate = sum["bits_per_second"].as_f64().unwrap();
            assert!((15e6..25e6).contains(&rate), "{mode:?}: {rate}");
        }
    }
}

/// On one thread, where a sender that never waits could keep the control connection from being read.
#[tokio::test]
async fn udp_as_fast_as_it_goes_ends_in_time() {
    need_iperf3!();
    let server = Server::start().await;
    for mode in [&["-u", "-t", "1", "-b", "0"][..], &["-u", "-t", "1", "-b", "0", "-R", "-P", "2"]] {
        let report = server.report(mode).await;
        assert!(report["end"]["sum"]["packets"].as_u64().unwrap() > 1000, "{report:#}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rates_hold_in_both_directions() {
    need_iperf3!();
    let server = Server::start().await;
    for mode in [&["-t", "1", "-b", "40M", "-l", "16K"][..], &["-t", "1", "-b", "40M", "-l", "16K", "-R"]] {
        let report = server.report(mode).await;
        let rate = report["end"]["sum_received"]["bits_per_second"].as_f64().unwrap();
        assert!((30e6..50e6).contains(&rate), "{mode:?}: {rate}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_client_can_see_what_the_server_counted() {
    need_iperf3!();
    let server = Server::start().await;
    let report = server.report(&["-n", "1M", "--get-server-output"]).await;
    let text = report["server_output_text"].as_str().unwrap();
    assert!(text.contains("receiver") && text.contains("bytes"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_client_is_told_that_the_server_is_busy() {
    need_iperf3!();
    let server = Server::start().await;
    let mut first = server.connect(b'a').await;
    assert_eq!(first.read_u8().await.unwrap(), 9);
    let report = server.any_report(&["-t", "1"]).await;
    assert!(report["error"].as_str().unwrap().contains("busy running a test"), "{report:#}");
    drop(first);
    server.report(&["-n", "1M"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tests_follow_each_other_without_a_pause() {
    need_iperf3!();
    let server = Server::start().await;
    for round in 0..20 {
        let mode: &[&str] = if round % 2 == 0 { &["-n", "1M"] } else { &["-u", "-n", "20K", "-b", "0"] };
        server.report(mode).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_client_makes_room_for_the_next() {
    need_iperf3!();
    let server = Server::start().await;
    let port = server.address.port().to_string();
    for mode in [
        &["-t", "30"][..],
        &["-t", "30", "-R"],
        &["-t", "30", "-u", "-R", "-b", "50M"],
        &["-t", "30", "--bidir"],
    ] {
        for signal in ["-KILL", "-INT"] {
            let mut command = Command::new("iperf3");
            command.args(["-c", "127.0.0.1", "-p", &port, "-i", "0.1", "--forceflush"]).args(mode);
            let mut child =
                command.stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true).spawn().unwrap();
            // It runs once it has printed an interval.
            let mut output = child.stdout.take().unwrap();
            let mut printed = Vec::new();
            while !String::from_utf8_lossy(&printed).contains("bits/sec") {
                let len =
                    timeout(PATIENCE, output.read_buf(&mut printed)).await.expect("no interval").unwrap();
                assert!(len > 0, "{mode:?}: {}", String::from_utf8_lossy(&printed));
            }
            run("kill", &[signal, &child.id().unwrap().to_string()]).await;
            let mut rest = Vec::new();
            timeout(PATIENCE, output.read_to_end(&mut rest)).await.expect("the client does not end").unwrap();
            timeout(PATIENCE, child.wait()).await.expect("the client does not end").unwrap();
            server.report(&["-n", "1M"]).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_misbehave_do_not_hold_the_server() {
    need_iperf3!();
    let options = Iperf3Options {
        step: Duration::from_millis(400),
        silence: Duration::from_millis(400),
        ..Iperf3Options::default()
    };
    let server = Server::with(options).await;
    let json = |text: &str| [&u32::try_from(text.len()).unwrap().to_be_bytes(), text.as_bytes()].concat();
    let plain = json(r#"{"tcp":true,"parallel":1,"time":1}"#);
    for (name, bytes) in [
        ("says nothing more", Vec::new()),
        ("half a length", vec![0, 0]),
        ("a huge length", vec![0xff; 4]),
        ("no JSON", json("nonsense")),
        ("the wrong type", json(r#"{"tcp":"yes"}"#)),
        ("no streams", plain.clone()),
        ("a state too early", [&plain[..], &[4]].concat()),
        ("a state that is none", [&plain[..], &[77]].concat()),
        ("gives up", [&plain[..], &[12]].concat()),
    ] {
        let mut stream = server.connect(b'x').await;
        assert_eq!(stream.read_u8().await.unwrap(), 9, "{name}");
        stream.write_all(&bytes).await.unwrap();
        let mut rest = Vec::new();
        let ended = timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
        assert!(ended.is_ok(), "{name}");
        server.report(&["-n", "100K"]).await;
    }
    // Streams that stay silent.
    let mut stream = server.connect(b'y').await;
    stream.write_all(&plain).await.unwrap();
    let mut states = [0; 2];
    stream.read_exact(&mut states).await.unwrap();
    assert_eq!(states, [9, 10]);
    let _data = server.connect(b'y').await;
    let mut rest = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("silence goes on").unwrap();
    assert_eq!(rest, [1, 2, 11]);
    drop(stream);
    server.report(&["-n", "100K"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_that_is_not_served_is_refused_with_its_reason() {
    let server = Server::start().await;
    let mut stream = server.connect(b'z').await;
    let json = r#"{"sctp":true,"parallel":1}"#;
    stream.write_u32(u32::try_from(json.len()).unwrap()).await.unwrap();
    stream.write_all(json.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("no end").unwrap();
    assert_eq!(answer, [9, 0xfe, 0, 0, 0, 18, 0, 0, 0, 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn datagrams_without_a_test_are_not_answered() {
    let server = Server::start().await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(server.address).await.unwrap();
    for bytes in [&b"9876"[..], b"6789", b"", &[0; 1000]] {
        socket.send(bytes).await.unwrap();
    }
    assert!(timeout(Duration::from_millis(200), socket.recv(&mut [0; 16])).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutdown_ends_a_running_test() {
    need_iperf3!();
    let server = Server::start().await;
    let port = server.address.port().to_string();
    let mut command = Command::new("iperf3");
    command.args(["-c", "127.0.0.1", "-p", &port, "-t", "30", "-i", "0.1", "--forceflush"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut printed = Vec::new();
    let output = child.stdout.as_mut().unwrap();
    while !String::from_utf8_lossy(&printed).contains("bits/sec") {
        assert!(output.read_buf(&mut printed).await.unwrap() > 0);
    }
    server.shutdown.cancel();
    timeout(PATIENCE, server.task).await.expect("serve does not return").unwrap().unwrap();
    let ended = timeout(PATIENCE, child.wait_with_output()).await.expect("the client goes on").unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(said.contains("the server has terminated"), "{said}");
}
