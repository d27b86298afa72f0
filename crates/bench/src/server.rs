//! The measured services on netloom's sockets and on the kernel's: the same code on both.

mod bare_http;
pub(crate) mod ports;

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use anyhow::{Context as _, Result};
use netloom::{AddressDetection, Cidr, InterfaceConfig, Net, StackConfig};
use netloom_base::Medium;
use netloom_device::{Offload, TunTap, TunTapConfig};
use netloom_l7_app::http::{self, HttpOptions};
use netloom_l7_app::iperf3::{self, Iperf3Options};
use netloom_l7_app::{CancellationToken, Datagrams, Listener};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::runtime::{Builder, Runtime};
use tokio::task::coop::consume_budget;

use crate::sockets;

pub(crate) use bare_http::{HeadCounter, RESPONSE};

/// What a read asks for, in bytes.
const BUFFER_LEN: usize = 16 << 10;
/// Room for a crowd and the connections beside it.
const MAX_CONNECTIONS: usize = 1 << 17;
/// The largest IP packet on the TAP, where this makes it.
const MTU: u16 = 1500;

/// A stream of either stack.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {
    /// Sends what is written at once.
    fn send_at_once(&self) -> io::Result<()>;
}

impl Stream for netloom::TcpStream {
    fn send_at_once(&self) -> io::Result<()> {
        self.set_nodelay(true)
    }
}

impl Stream for tokio::net::TcpStream {
    fn send_at_once(&self) -> io::Result<()> {
        self.set_nodelay(true)
    }
}

/// Serves on netloom's stack until the process is killed; `spin` is how long it looks for the next frame before it sleeps, if it is
/// not to be what it is by itself.
pub(crate) fn on_netloom(tap: &str, address: Cidr, spin: Option<Duration>) -> Result<()> {
    let config = TunTapConfig { kind: Medium::Ethernet, name: tap.to_owned(), mtu: MTU };
    let device = TunTap::open_offloading(&config, Offload::Full).context("the TAP cannot be opened")?;
    runtime(1)?.block_on(async {
        let config = InterfaceConfig {
            addresses: vec![address],
            // Nobody but the load is on the other end.
            detection: AddressDetection::Off,
            ..InterfaceConfig::default()
        };
        let mut stack = StackConfig::default();
        stack.tcp.max_connections = MAX_CONNECTIONS;
        let mut builder = Net::builder().config(stack).interface(Box::new(device), config);
        if let Some(spin) = spin {
            builder = builder.spin(spin);
        }
        let net = builder.start()?;
        let at = |port: u16| SocketAddr::from((address.address(), port));
        tokio::spawn(echo(net.tcp_listen(at(ports::ECHO)).await?));
        for port in ports::HOLD..ports::HOLD + ports::HOLD_COUNT {
            tokio::spawn(hold(net.tcp_listen(at(port)).await?));
        }
        tokio::spawn(bare_http(net.tcp_listen(at(ports::BARE_HTTP)).await?));
        tokio::spawn(axum_http(net.tcp_listen(at(ports::HTTP)).await?));
        tokio::spawn(echo_datagrams(net.udp_bind(at(ports::ECHO)).await?));
        let (streams, datagrams) =
            (net.tcp_listen(at(ports::IPERF3)).await?, net.udp_bind(at(ports::IPERF3)).await?);
        tokio::spawn(iperf3::serve(streams, datagrams, Iperf3Options::default(), CancellationToken::new()));
        println!("ready");
        net.ended().await.context("the TAP is gone")
    })
}

/// Serves the same on the kernel's stack until the process is killed.
pub(crate) fn on_kernel(address: IpAddr, threads: usize) -> Result<()> {
    runtime(threads)?.block_on(async {
        tokio::spawn(echo(kernel_listener(address, ports::ECHO).await?));
        for port in ports::HOLD..ports::HOLD + ports::HOLD_COUNT {
            tokio::spawn(hold(kernel_listener(address, port).await?));
        }
        tokio::spawn(bare_http(kernel_listener(address, ports::BARE_HTTP).await?));
        tokio::spawn(axum_http(kernel_listener(address, ports::HTTP).await?));
        let datagrams = tokio::net::UdpSocket::bind((address, ports::ECHO)).await?;
        tokio::spawn(echo_datagrams(datagrams));
        let streams = kernel_listener(address, ports::IPERF3).await?;
        let datagrams = tokio::net::UdpSocket::bind((address, ports::IPERF3)).await?;
        tokio::spawn(iperf3::serve(streams, datagrams, Iperf3Options::default(), CancellationToken::new()));
        println!("ready");
        std::future::pending().await
    })
}

/// As many threads as the stack that is measured has.
fn runtime(threads: usize) -> Result<Runtime> {
    let mut builder = if threads > 1 { Builder::new_multi_thread() } else { Builder::new_current_thread() };
    builder.worker_threads(threads.max(1)).enable_all().build().context("the runtime cannot be started")
}

async fn kernel_listener(address: IpAddr, port: u16) -> Result<tokio::net::TcpListener> {
    let listener = tokio::net::TcpListener::bind((address, port)).await?;
    sockets::use_cubic(&listener)?;
    Ok(listener)
}

async fn axum_http<L: Listener<Addr = SocketAddr>>(listener: L) {
    http::serve(listener, http::router(HttpOptions::default()), CancellationToken::new()).await;
}

/// Sends back what comes.
async fn echo<L: Listener<Io: Stream>>(mut listener: L) {
    loop {
        let (mut stream, _) = listener.accept().await;
        tokio::spawn(async move {
            stream.send_at_once()?;
            let mut buffer = vec![0; BUFFER_LEN];
            loop {
                let len = stream.read(&mut buffer).await?;
                if len == 0 {
                    return stream.shutdown().await;
                }
                stream.write_all(buffer.get(..len).unwrap_or_default()).await?;
            }
        });
    }
}

/// Answers every head of a request with the same response.
async fn bare_http<L: Listener<Io: Stream>>(mut listener: L) {
    loop {
        let (mut stream, _) = listener.accept().await;
        tokio::spawn(async move {
            stream.send_at_once()?;
            let mut heads = HeadCounter::default();
            while let Some(count) = poll_fn(|cx| poll_heads(Pin::new(&mut stream), cx, &mut heads)).await? {
                for _ in 0..count {
                    stream.write_all(RESPONSE).await?;
                }
            }
            stream.shutdown().await
        });
    }
}

/// How many heads end in what comes next; `None` at the end. A connection that waits has no buffer: thousands may be idle.
fn poll_heads(
    stream: Pin<&mut impl Stream>,
    cx: &mut Context<'_>,
    heads: &mut HeadCounter,
) -> Poll<io::Result<Option<usize>>> {
    let mut room = [const { MaybeUninit::uninit() }; BUFFER_LEN];
    let mut buffer = ReadBuf::uninit(&mut room);
    ready!(stream.poll_read(cx, &mut buffer))?;
    let filled = buffer.filled();
    Poll::Ready(Ok((!filled.is_empty()).then(|| heads.count(filled))))
}

/// Keeps every connection open, and does nothing with it.
async fn hold<L: Listener>(mut listener: L) {
    let mut streams = Vec::new();
    loop {
        streams.push(listener.accept().await);
    }
}

/// Sends back what comes.
async fn echo_datagrams<D: Datagrams>(socket: D) {
    let mut buffer = vec![0; BUFFER_LEN];
    loop {
        // A datagram that was refused concerns one peer only.
        if let Ok((len, peer)) = socket.recv_from(&mut buffer).await {
            let _ = socket.send_to(buffer.get(..len).unwrap_or_default(), peer).await;
        }
        consume_budget().await;
    }
}
