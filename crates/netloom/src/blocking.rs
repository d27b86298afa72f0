//! Sockets of `std::net`'s shape, for programs without tokio.
//!
//! *Theory of operation.* Each call polls the socket that tokio's programs use and parks its thread until that wakes it; so
//! both kinds can be mixed on one stack. The stack itself runs on a runtime: on a thread of its own
//! ([`Net::start`]), or on whichever the program has ([`From`] a [`netloom::Net`](crate::Net)).
//!
//! Names, errors and time-outs are std's; a call that takes longer than its time-out fails with `WouldBlock`, as std's do on
//! Linux. `as_fd` and the like are absent: there is no descriptor.
//!
//! *Not here.* Calling these on the thread that drives the stack: it would wait for itself.
//!
//! ```
//! use std::io::{Read, Write};
//!
//! use netloom::blocking::Net;
//!
//! # fn main() -> std::io::Result<()> {
//! let (server, client) = Net::pair("10.0.0.1/24", "10.0.0.2/24")?;
//! let listener = server.tcp_listen("10.0.0.1:80")?;
//! let mut outgoing = client.tcp_connect("10.0.0.1:80")?;
//! let (mut incoming, _) = listener.accept()?;
//! outgoing.write_all(b"hello")?;
//! let mut text = [0; 5];
//! incoming.read_exact(&mut text)?;
//! assert_eq!(&text, b"hello");
//! # Ok(())
//! # }
//! ```

mod net;
mod setup;
mod tcp_listener;
mod tcp_stream;
mod udp_socket;
mod wait;

pub use net::Net;
pub use tcp_listener::{Incoming, TcpListener};
pub use tcp_stream::TcpStream;
pub use udp_socket::UdpSocket;
pub use wait::wait;
