//! A device whose other end is the user's: what goes through it, how it fills, and how it ends.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::future::Future;
use std::io::ErrorKind;
use std::time::Duration;

use netloom::stack::{Medium, TxMeta};
use netloom::{InterfaceConfig, Net, Tunnel};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::timeout;

#[path = "sockets/leaks.rs"]
mod leaks;

/// No test takes longer.
const LIMIT: Duration = Duration::from_secs(30);

fn run<F: Future<Output = ()>>(test: impl FnOnce() -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { timeout(LIMIT, test()).await.expect("it ends in time") });
}

/// A stack at this address, and its tunnel's end.
fn start(address: &str) -> (Net, Tunnel) {
    let (device, tunnel) = Tunnel::pair(Medium::Ip, 1400).unwrap();
    let config = InterfaceConfig { addresses: vec![address.parse().unwrap()], ..InterfaceConfig::default() };
    (Net::builder().interface(device, config).spin(Duration::ZERO).start().unwrap(), tunnel)
}

/// Carries packets over channels, which have no descriptor, until the stack ends.
async fn carry(tunnel: Tunnel, out: mpsc::Sender<Vec<u8>>, mut back: mpsc::Receiver<Vec<u8>>) -> ErrorKind {
    let mut buffer = [0; 1400];
    loop {
        let result = tokio::select! {
            received = tunnel.recv(&mut buffer) => match received {
                Ok(len) => {
                    // The other side may have ended first.
                    let _ = out.send(buffer[..len].to_vec()).await;
                    Ok(())
                }
                Err(error) => Err(error),
            },
            Some(packet) = back.recv() => tunnel.send(&packet).await,
        };
        if let Err(error) = result {
            return error.kind();
        }
    }
}

#[test]
fn a_connection_crosses_a_tunnel_of_channels_and_both_ends_end_in_order() {
    run(async || {
        let ((server, one), (client, other)) = (start("10.9.0.1/24"), start("10.9.0.2/24"));
        let ((there, from_there), (back, from_back)) = (mpsc::channel(8), mpsc::channel(8));
        let carriers =
            [tokio::spawn(carry(one, there, from_back)), tokio::spawn(carry(other, back, from_there))];
        let listener = server.tcp_listen("10.9.0.1:80").await.unwrap();
        let mut outgoing = client.tcp_connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut incoming, _) = listener.accept().await.unwrap();
        let text = vec![7; 500_000];
        let (written, received) = tokio::join!(
            async {
                outgoing.write_all(&text).await.unwrap();
                outgoing.shutdown().await.unwrap();
            },
            async {
                let mut all = Vec::new();
                incoming.read_to_end(&mut all).await.unwrap();
                all
            }
        );
        let () = written;
        assert!(received == text);
        drop((listener, incoming, outgoing));
        leaks::end([client, server]).await;
        for carrier in carriers {
            assert_eq!(carrier.await.unwrap(), ErrorKind::NotConnected);
        }
    });
}

#[test]
fn who_always_finds_a_packet_or_room_lets_others_run() {
    /// More than tokio lets a task do in a turn, and no more than there is room for.
    const COUNT: usize = 200;
    run(async || {
        let (mut device, tunnel) = Tunnel::pair(Medium::Ip, 1400).unwrap();
        let other = tokio::spawn(async {});
        for _ in 0..COUNT {
            tunnel.send(&[0; 20]).await.unwrap();
        }
        assert!(other.is_finished());
        for _ in 0..COUNT {
            device.send(TxMeta::default(), &[0; 20], [&[], &[]]).unwrap();
        }
        let other = tokio::spawn(async {});
        for _ in 0..COUNT {
            tunnel.recv(&mut [0; 1400]).await.unwrap();
        }
        assert!(other.is_finished());
        drop((device, tunnel));
        leaks::end([]).await;
    });
}

#[test]
fn a_full_tunnel_makes_its_sender_wait_and_a_dropped_one_ends_the_stack() {
    run(async || {
        let (net, tunnel) = start("10.9.0.1/24");
        assert_eq!(tunnel.try_recv(&mut [0; 1400]).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert_eq!(tunnel.try_send(&[]).unwrap_err().kind(), ErrorKind::InvalidInput);
        // The stack does not run meanwhile: this task does not let it.
        let mut count = 0;
        let full = loop {
            match tunnel.try_send(&[0; 1000]) {
                Ok(()) => count += 1,
                Err(error) => break error,
            }
            assert!(count < 100_000);
        };
        assert_eq!(full.kind(), ErrorKind::WouldBlock);
        tunnel.send(&[0; 1000]).await.unwrap();
        let frames = || net.inspect(|stack| stack.counters().frames_received.get())[0];
        while frames() < count + 1 {
            tokio::task::yield_now().await;
        }
        drop(tunnel);
        assert_eq!(net.ended().await.unwrap_err().kind(), ErrorKind::NotConnected);
        assert_eq!(net.udp_bind("0.0.0.0:0").await.unwrap_err().kind(), ErrorKind::NotConnected);
        leaks::end([net]).await;
    });
}
