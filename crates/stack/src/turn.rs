//! What a stack remembers between two frames that it sends.

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
}
