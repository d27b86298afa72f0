//! What an ICMP error complains about, and of what.

use netloom_base::InterfaceId;
use netloom_wire::{CastKind, IcmpErrorKind, Icmpv6Parameter};

/// The packet that an ICMP error is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Culprit<'a> {
    /// The packet as it came, from its IP header on.
    pub(crate) packet: &'a [u8],
    /// Whom it was sent to: not [`CastKind::Unicast`] if either its link or its IP destination was a group.
    pub(crate) cast: CastKind,
    /// Where it came in, if that is still known.
    pub(crate) interface: Option<InterfaceId>,
}

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// What both families can say.
    Kind(IcmpErrorKind),
    /// What only ICMPv6 tells so precisely.
    Parameter {
        /// What kind of thing is wrong.
        parameter: Icmpv6Parameter,
        /// Where it stands, in bytes from the start of the packet.
        pointer: usize,
    },
}

impl From<IcmpErrorKind> for Problem {
    fn from(kind: IcmpErrorKind) -> Self {
        Self::Kind(kind)
    }
}

/// The stricter of what the link and the IP header say about whom a packet was sent to.
pub(crate) const fn strictest(link: CastKind, ip: CastKind) -> CastKind {
    match link {
        CastKind::Unicast => ip,
        CastKind::Broadcast | CastKind::Multicast => link,
    }
}
