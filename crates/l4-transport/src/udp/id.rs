//! The name of a UDP socket.

use core::fmt;

use netloom_base::SlabId;

/// The id of a UDP socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UdpSocketId(pub(super) SlabId);

impl UdpSocketId {
    /// The id as one number, for keys of tables outside.
    pub const fn as_u64(self) -> u64 {
        self.0.as_u64()
    }
}

impl fmt::Display for UdpSocketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "udp{}", self.0)
    }
}
