//! The sans-IO TCP/IP stack: the link, internet and transport layers composed into one host.
//!
//! A [`Stack`] is one shard: everything that a set of flows touches, owned by one caller, without a lock, clock, thread
//! or file. Whoever drives it keeps to quinn's contract:
//!
//! 1. hand in what happened: [`Stack::handle_frame`], [`Stack::handle_timeout`], or a socket call;
//! 2. drain [`Stack::poll_transmit`] into the device, then [`Stack::poll_event`] into whoever waits;
//! 3. call again no later than [`Stack::poll_timeout`] says.
//!
//! # Theory of operation
//! A frame goes up by plain calls: `LinkLayer::input`, `Internet::input`, `Tcp::input` or `Udp::input`. The layers do not
//! know each other. What one has to tell another is a value that it hands out as an event, and that `exchange.rs`
//! carries over: a neighbour's address that NDP learned, an ICMP error for a connection, a packet that no neighbour
//! took.
//!
//! On the way down a transport's header is written into the caller's [`HeadBuf`], the internet and link headers in
//! front of it, and the payload stays in the socket's ring until the device has sent it.
#![forbid(unsafe_code)]

mod config;
mod counters;
mod event;
mod exchange;
mod handover;
mod input;
mod interface;
mod output;
#[cfg(test)]
mod packets;
mod sockets;
mod stack;
mod steering;
mod turn;

pub use config::{InterfaceSetup, StackConfig};
pub use counters::StackCounters;
pub use event::Event;
pub use handover::Handover;
pub use netloom_base::*;
pub use netloom_l2_link as link;
pub use netloom_l3_internet as internet;
pub use netloom_l4_transport as transport;
pub use netloom_wire::{Cidr, EthernetAddress, HeadBuf, IcmpErrorKind};
pub use output::Transmit;
pub use sockets::{IcmpSockets, TcpSockets, UdpSockets};
pub use stack::Stack;
