//! What one shard of a host gives to another.

use std::ops::Range;

use netloom_base::{InterfaceId, RxMeta, ShardIndex};
use netloom_l3_internet::IpSend;
use netloom_wire::{CastKind, EthernetAddress};

/// A frame or packet for another shard.
#[derive(Clone, Debug)]
pub struct Handover {
    pub(crate) to: ShardIndex,
    pub(crate) interface: InterfaceId,
    pub(crate) memory: Memory,
    pub(crate) kind: Kind,
}

/// Where the bytes of a frame or packet lie, for whoever gets it to keep.
#[derive(Clone, Debug)]
pub(crate) struct Memory {
    pub(crate) buffer: Box<[u8]>,
    pub(crate) range: Range<usize>,
}

impl Memory {
    pub(crate) fn bytes(&self) -> &[u8] {
        self.buffer.get(self.range.clone()).unwrap_or_default()
    }
}

impl From<Vec<u8>> for Memory {
    fn from(bytes: Vec<u8>) -> Self {
        let range = 0..bytes.len();
        Self { buffer: bytes.into(), range }
    }
}

impl From<&[u8]> for Memory {
    fn from(bytes: &[u8]) -> Self {
        Self { buffer: bytes.into(), range: 0..bytes.len() }
    }
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
            Kind::Frame(meta) => Some((self.memory.bytes(), meta)),
            Kind::Packet { .. } | Kind::Overheard(_) => None,
        }
    }

    /// Bytes of the frame or packet.
    pub fn len(&self) -> usize {
        self.memory.range.len()
    }

    /// Bytes of memory that it holds: more than [`len`](Self::len), if it lies in the buffer that a device has filled.
    pub fn memory_len(&self) -> usize {
        self.memory.buffer.len()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.memory.range.is_empty()
    }
}
