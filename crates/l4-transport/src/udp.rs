//! UDP: sockets that send and receive datagrams (RFC 768, RFC 1122 4.1).
//!
//! # Theory of operation
//! A datagram in: [`Udp::input`] verifies length and checksum, finds the socket (the one that is connected to the
//! sender first, then one bound to the address, then one bound to any), and queues it; [`Udp::poll_event`] then says
//! `Readable`, and [`Udp::recv_from`] takes it. What was queued lies in the buffer that the device has filled, where the caller
//! [offers](Udp::offer_buffer) that, until a reader copies it, or the 65th such buffer calls the oldest back; else in a copy. A
//! group's or broadcast datagram goes to every socket that it matches.
//!
//! A datagram out: [`Udp::send_to`] queues a copy, and [`Udp::poll_transmit`] hands out one datagram of each socket in
//! turn. Path, source address and checksum are added by whoever polls. A socket that is closed with datagrams in its
//! queue lives on, unseen, until they are sent.
//!
//! # Limits
//! Sockets, bytes and datagrams in each queue, and bytes in all receive queues together are bounded by [`UdpConfig`], buffers on
//! loan by 64. A full receive queue drops the newest; a full send queue refuses it.
//!
//! # Not here
//! Routes, and which addresses are ours: `stack` asks the internet layer before it binds or sends. IP options
//! are neither passed up nor sent (RFC 1122 4.1.3.2 wants both): nobody has used them for decades, and most routers drop
//! packets that carry them. A checksum is always sent (RFC 1122 4.1.3.4 makes doing without an option).

mod config;
mod demux;
mod error;
mod groups;
mod id;
mod input;
mod layer;
mod receive_queue;
mod receiving;
mod socket;

pub use config::{UdpBind, UdpConfig, UdpCounters, UdpOptions};
pub use error::{UdpBindError, UdpConnectError, UdpGroupError, UdpRecvError, UdpSendError, UdpSocketError};
pub use groups::UdpGroupChange;
pub use id::UdpSocketId;
pub use layer::{Udp, UdpEvent};
pub use receive_queue::UdpReceived;
pub use socket::{MAX_TRAIN_LEN, UdpIcmpReport, UdpOutput, UdpSocketInfo};

#[cfg(test)]
mod tests;
