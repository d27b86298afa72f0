//! One flow of datagrams, and how it stands.

use core::net::SocketAddr;

use netloom_stack::transport::UdpSocketId;

use crate::pattern::Stream;

/// Datagrams from one socket that are sent back to it.
#[derive(Debug)]
pub(crate) struct Flow {
    /// It, and its shard.
    pub(super) socket: Option<(usize, UdpSocketId)>,
    pub(super) target: SocketAddr,
    pub(super) stream: Stream,
    /// The number of the next.
    pub(super) next: u32,
    /// How often each has come back.
    pub(crate) returned: Vec<u32>,
    /// Whether all were sent, and had their time to come back.
    pub(super) is_over: bool,
}

impl Flow {
    pub(super) const fn is_over(&self) -> bool {
        self.is_over
    }
}
