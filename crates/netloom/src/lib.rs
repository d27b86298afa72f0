//! A TCP/IP stack in user space, with sockets for tokio, and for programs without.
//!
//! A [`Net`] is a host of its own: it answers ARP and ping, and its sockets work as tokio's do. Where they differ, and why, is
//! a table in `docs/sockets.md`.
//!
//! # A host, three ways
//!
//! *Behind an interface of the kernel's.* [`Net::tap`] and [`Net::tun`] make or open one; its kernel side is raised and
//! addressed with `ip`, as any interface's.
//!
//! ```no_run
//! # async fn start() -> std::io::Result<()> {
//! let net = netloom::Net::tap("nl0", ["10.0.0.2/24", "fd00::2/64"])?;
//! # Ok(())
//! # }
//! ```
//!
//! An [`InterfaceConfig`] in the place of the addresses says more, and [`Net::builder`] takes what concerns the whole stack:
//!
//! ```no_run
//! # async fn start() -> std::io::Result<()> {
//! use netloom::{AddressDetection, InterfaceConfig, Net};
//!
//! let config = InterfaceConfig {
//!     addresses: vec!["10.0.0.2/24".parse().expect("a CIDR")],
//!     gateways: vec![("0.0.0.0/0".parse().expect("a CIDR"), "10.0.0.1".parse().expect("an address"))],
//!     // The address is used when it is known that nobody else has it.
//!     detection: AddressDetection::default(),
//!     ..InterfaceConfig::default()
//! };
//! let net = Net::builder().connection_memory(256 << 10).tap("nl0", config)?.start()?;
//! net.addresses_ready().await;
//! # Ok(())
//! # }
//! ```
//!
//! *Behind anything that carries packets.* [`Net::tunnel`] starts a stack whose packets tasks of yours carry; the page of
//! [`Tunnel`] shows a VPN over UDP. Whoever has a descriptor implements [`Queue`](device::Queue):
//!
//! ```
//! use std::io;
//! use std::net::UdpSocket;
//! use std::os::fd::{AsFd, BorrowedFd};
//!
//! use netloom::device::{Queue, RxFrame};
//! use netloom::stack::{DeviceCaps, Medium, RxMeta, TxMeta};
//!
//! /// A tunnel whose other end is the socket's peer: a datagram is an IP packet.
//! struct UdpTunnel(UdpSocket);
//!
//! impl AsFd for UdpTunnel {
//!     fn as_fd(&self) -> BorrowedFd<'_> {
//!         self.0.as_fd()
//!     }
//! }
//!
//! impl Queue for UdpTunnel {
//!     fn caps(&self) -> DeviceCaps {
//!         DeviceCaps::plain(Medium::Ip, 1400)
//!     }
//!
//!     fn recv(&mut self, buffer: &mut [u8]) -> io::Result<RxFrame> {
//!         Ok(RxFrame { range: 0..self.0.recv(buffer)?, meta: RxMeta::default() })
//!     }
//!
//!     fn send(&mut self, _: TxMeta, head: &[u8], [first, second]: [&[u8]; 2]) -> io::Result<()> {
//!         self.0.send(&[head, first, second].concat()).map(drop)
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> io::Result<()> {
//! let socket = UdpSocket::bind("127.0.0.1:0")?;
//! socket.connect(socket.local_addr()?)?;
//! socket.set_nonblocking(true)?;
//! let net = netloom::Net::builder().interface(Box::new(UdpTunnel(socket)), "10.0.0.2/24").start()?;
//! # net.abort();
//! # Ok(())
//! # }
//! ```
//!
//! *In memory*, with another host at the other end: [`Net::pair`], for tests. So begin the examples below.
//!
//! # Listen and connect
//!
//! ```
//! use netloom::Net;
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let (server, client) = Net::pair("10.0.0.1/24", "10.0.0.2/24")?;
//! let listener = server.tcp_listen("10.0.0.1:80").await?;
//! let mut outgoing = client.tcp_connect("10.0.0.1:80").await?;
//! let (mut incoming, _) = listener.accept().await?;
//!
//! outgoing.write_all(b"hello").await?;
//! outgoing.shutdown().await?;
//! let mut text = String::new();
//! incoming.read_to_string(&mut text).await?;
//! assert_eq!(text, "hello");
//!
//! // Datagrams.
//! let socket = server.udp_bind("10.0.0.1:53").await?;
//! let other = client.udp_bind("0.0.0.0:0").await?;
//! other.send_to(b"question", socket.local_addr()?).await?;
//! let mut buffer = [0; 100];
//! let (len, _) = socket.recv_from(&mut buffer).await?;
//! assert_eq!(&buffer[..len], b"question");
//!
//! // The end: connections are given some time to finish, then the devices are closed.
//! drop((outgoing, incoming, listener));
//! client.shutdown(std::time::Duration::from_secs(1)).await;
//! server.abort();
//! # Ok(())
//! # }
//! ```
//!
//! # Code that was written for tokio
//!
//! [`net`](mod@net) has the names of `tokio::net`. Which stack they mean, [`Net::scope`] says for a task, and
//! [`Net::set_default`] for the process.
//!
//! ```
//! use netloom::net::{TcpListener, TcpStream}; // was: tokio::net
//!
//! # async fn run(net: netloom::Net) -> std::io::Result<()> {
//! net.scope(async {
//!     let listener = TcpListener::bind("10.0.0.1:80").await?;
//!     let stream = TcpStream::connect("10.0.0.2:80").await?;
//! #   let _ = (listener, stream);
//!     Ok(())
//! })
//! .await
//! # }
//! ```
//!
//! # For any address and port
//!
//! An interface with [`InterfaceConfig::accept_any`] takes what is for anybody, as VPN clients, proxies and sandboxes must.
//! [`Net::tcp_listen_any`] and [`Net::udp_bind_any`] say whom it was for and answer from there;
//! [`Net::tcp_incoming_any`] answers a SYN only when that is decided, for instance when the destination has been reached.
//!
//! # Tests with a bad network
//!
//! A [`Cable`] joins two devices with loss, delay, reordering, duplicates and a seed:
//!
//! ```
//! use netloom::device::MemoryQueue;
//! use netloom::impair::ImpairSpec;
//! use netloom::stack::Medium;
//! use netloom::Cable;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (server_end, one) = MemoryQueue::pair(Medium::Ethernet, 1500)?;
//! let (client_end, other) = MemoryQueue::pair(Medium::Ethernet, 1500)?;
//! let faults: ImpairSpec = "delay=10ms,loss=1%,seed=7".parse()?;
//! let cable = Cable::start([Box::new(one), Box::new(other)], &faults)?;
//! // `server_end` and `client_end` are interfaces of two hosts, as above.
//! # let _ = (server_end, client_end, cable);
//! # Ok(())
//! # }
//! ```
//!
//! # Without tokio
//!
//! [`blocking`] has the shape of `std::net`.
#![forbid(unsafe_code)]
#![warn(clippy::missing_errors_doc, clippy::missing_panics_doc)]

mod accept_any;
mod address;
mod alarm;
mod any_udp_socket;
mod batch;
mod binding;
pub mod blocking;
mod builder;
mod burst;
mod cable;
mod current;
mod driver;
mod error;
mod handle;
mod hold;
mod hop_limit;
mod host;
mod icmp_socket;
mod integrations;
mod interface_config;
mod interface_info;
mod keepalive;
mod mailbox;
mod names;
pub mod net;
mod owned;
mod quick_start;
mod receive_buffer;
mod report;
mod reservations;
mod rhythm;
mod send_failure;
mod shard;
mod spin;
mod split;
mod tcp_listener;
mod tcp_socket;
mod tcp_stream;
mod timer_fd;
mod tunnel;
mod udp_socket;
mod usage;
mod wakers;

pub use accept_any::{PendingConnection, TcpIncoming};
pub use any_udp_socket::AnyUdpSocket;
pub use builder::NetBuilder;
pub use cable::{Cable, CableCounters};
pub use icmp_socket::IcmpSocket;
pub use interface_config::{InterfaceConfig, IntoInterface};
pub use interface_info::InterfaceInfo;
pub use keepalive::TcpKeepalive;
pub use net::Net;
pub use netloom_device as device;
pub use netloom_impair as impair;
pub use netloom_stack as stack;
pub use netloom_stack::internet::EchoMessage as IcmpMessage;
pub use netloom_stack::{AddressDetection, Cidr, EthernetAddress, StackConfig};
pub use report::Report;
pub use split::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf};
pub use tcp_listener::TcpListener;
pub use tcp_socket::TcpSocket;
pub use tcp_stream::TcpStream;
pub use tunnel::Tunnel;
pub use udp_socket::UdpSocket;
pub use usage::Usage;
