//! What one shard of a host gives to another.

use netloom_base::{InterfaceId, RxMeta, ShardIndex};
use netloom_l3_internet::IpSend;
use netloom_wire::{CastKind, EthernetAddress};

/// A frame or packet for another shard.
#[derive(Clone, Debug)]
pub struct Handover {
    pub(crate) to: ShardIndex,
    pub(crate) interface: InterfaceId,
    pub(crate) bytes: Vec<u8>,
    pub(crate) kind: Kind,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// As the device gave it.
    Frame(RxMeta),
    /// An IP packet that was put together, or sent by the host to itself.
    Packet { cast: CastKind, link_source: Option<EthernetAddress>, meta: RxMeta },
    /// A datagram, from its transport's header on, that the host itself has sent to a group or by broadcast.
    Overheard(IpSend),
}

impl Handover {
    /// The shard that owns it.
    pub fn to(&self) -> ShardIndex {
        self.to
    }

    /// The interface that it came by.
    pub fn interface(&self) -> InterfaceId {
        self.interface
    }

    /// The frame and what the device said of it, if it is as the device gave it.
    pub fn frame(&self) -> Option<(&[u8], RxMeta)> {
        match self.kind {
            Kind::Frame(meta) => Some((&self.bytes, meta)),
            Kind::Packet { .. } | Kind::Overheard(_) => None,
        }
    }

    /// Bytes of the frame or packet.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}
