//! What a stack remembers between two frames that it sends.

use netloom_base::Gso;

/// Which transport sends next: they alternate, so that neither starves the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    Tcp,
    Udp,
}

/// A packet from this host to itself.
#[derive(Debug)]
pub(crate) struct LoopedPacket {
    pub(crate) bytes: Vec<u8>,
    /// What kind of super-segment it is, if it is one.
    pub(crate) gso: Option<Gso>,
}
