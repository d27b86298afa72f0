//! An iperf3 server: the real `iperf3 -c` measures the stack with it, in every mode.
//!
//! # Theory of operation
//! A client opens a control connection and sends a cookie; both sides then walk through the protocol's
//! states one byte at a time, with JSON where something is to be said. The streams are further connections
//! to the same port that begin with the same cookie, or datagrams to the port of the same number, told apart by their
//! sender ([`serve`] takes both sockets). At the end each side tells the other what it counted, which is how the
//! client prints a sender's and a receiver's line.
//!
//! ```text
//! accept -> Desk: whose cookie? -+-> nobody is being served: Session
//!                                +-> the session's own:      one of its streams
//!                                +-> another's:              ACCESS_DENIED
//! datagrams -> UdpPort: whose address? -> tally of that stream
//! ```
//!
//! Understood: TCP and UDP, `-R`, `--bidir`, `-P`, `-n`, `-k`, `-t`, `-l`, `-b`, `-O`, `-J`, `--get-server-output`,
//! 32-bit and 64-bit UDP counters. What sets options of the kernel's sockets (`-w`, `-M`, `-C`, `-S`, `-Z`) concerns
//! the client's side only.
//!
//! # Limits
//! One test at a time, of at most 256 streams (`-P 128 --bidir`), each with a buffer of the length that the client
//! asked for, at most 1 MiB. [`Iperf3Options`] bounds every wait. A client that vanishes at any point takes its
//! streams with it, and the next one is served.
//!
//! # Not here
//! SCTP and authentication: a client that asks for the first is told so, one that sends credentials is served.

mod control;
mod cpu;
mod desk;
mod error;
mod header;
mod options;
mod pacing;
mod params;
mod protocol;
mod reception;
mod results;
mod server;
mod session;
mod streams;
mod tally;
mod udp;

pub use options::Iperf3Options;
pub use server::serve;
