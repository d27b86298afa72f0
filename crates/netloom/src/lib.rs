//! A TCP/IP stack in user space, with sockets for tokio.
//!
//! A [`Net`] is a host of its own: it answers ARP and ping, and its [`TcpListener`], [`TcpStream`] and [`UdpSocket`] work
//! as tokio's do, over a TUN or TAP interface or any other [`Queue`](netloom_device::Queue).
//!
//! ```
//! use netloom::{AddressDetection, InterfaceConfig, Net};
//! use netloom::device::MemoryQueue;
//! use netloom::stack::Medium;
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! // Two hosts in one process, joined by a cable.
//! let (left, right) = MemoryQueue::pair(Medium::Ethernet, 1500)?;
//! let config = |cidr: &str| InterfaceConfig {
//!     addresses: vec![cidr.parse().expect("a CIDR")],
//!     // Nobody else is on this cable: no need to ask before using the address.
//!     detection: AddressDetection::Off,
//!     ..InterfaceConfig::default()
//! };
//! let server = Net::builder().interface(Box::new(left), config("10.0.0.1/24")).start()?;
//! let client = Net::builder().interface(Box::new(right), config("10.0.0.2/24")).start()?;
//!
//! let listener = server.tcp_listen("10.0.0.1:80".parse().expect("an address")).await?;
//! let mut outgoing = client.tcp_connect(listener.local_addr()?).await?;
//! let (mut incoming, _) = listener.accept().await?;
//!
//! outgoing.write_all(b"hello").await?;
//! outgoing.shutdown().await?;
//! let mut text = String::new();
//! incoming.read_to_string(&mut text).await?;
//! assert_eq!(text, "hello");
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod binding;
mod cable;
mod current;
mod driver;
mod error;
mod handle;
mod integrations;
pub mod net;
mod reservations;
mod shard;
mod spin;
mod split;
mod tcp_listener;
mod tcp_socket;
mod tcp_stream;
mod udp_socket;
mod wakers;

pub use cable::{Cable, CableCounters};
pub use net::{InterfaceConfig, Net, NetBuilder};
pub use netloom_device as device;
pub use netloom_impair as impair;
pub use netloom_stack as stack;
pub use netloom_stack::{AddressDetection, Cidr, EthernetAddress, StackConfig};
pub use split::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf};
pub use tcp_listener::TcpListener;
pub use tcp_socket::TcpSocket;
pub use tcp_stream::TcpStream;
pub use udp_socket::UdpSocket;
