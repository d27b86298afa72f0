//! What a device can do, and what it knows about one frame.
//!
//! The metadata is netloom's own; only the device that speaks the virtio header translates to and from it.

use core::fmt;
use core::net::IpAddr;
use core::num::NonZeroU16;

/// Which of a stack's interfaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InterfaceId(u8);

impl InterfaceId {
    /// This host itself: where packets that it sends to its own addresses come from. No device has this id.
    pub const LOOPBACK: Self = Self(u8::MAX);

    /// The interface at this position of the stack's table.
    pub const fn new(index: u8) -> Self {
        Self(index)
    }

    /// Its position in the stack's table.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for InterfaceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "if{}", self.0)
    }
}

/// What a frame of the device begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// An Ethernet header (TAP).
    Ethernet,
    /// An IPv4 or IPv6 header (TUN).
    Ip,
}

/// What a device can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceCaps {
    /// What a frame begins with.
    pub medium: Medium,
    /// Largest IP packet in bytes, without the Ethernet header.
    pub mtu: u16,
    /// Whether the device finishes a transport checksum that we have only begun ([`TxChecksum::Partial`]).
    pub transmit_checksum: bool,
    /// Largest TCP super-segment, in bytes of IP packet, that the device cuts for us over IPv4; `None`: it does not.
    pub tcp4_segmentation: Option<u32>,
    /// The same over IPv6.
    pub tcp6_segmentation: Option<u32>,
    /// Whether the device cuts a train of UDP datagrams.
    pub udp_segmentation: bool,
}

impl DeviceCaps {
    /// A device without any offload.
    pub const fn plain(medium: Medium, mtu: u16) -> Self {
        Self {
            medium,
            mtu,
            transmit_checksum: false,
            tcp4_segmentation: None,
            tcp6_segmentation: None,
            udp_segmentation: false,
        }
    }
}

/// What is known about a received frame's transport checksum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RxChecksum {
    /// Nothing: verify it.
    #[default]
    Unknown,
    /// It was verified, or the frame never crossed a wire and carries only the pseudo-header's sum: do not verify.
    Trusted,
}

/// What kind of train a super-segment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GsoKind {
    /// TCP over IPv4.
    Tcp4,
    /// TCP over IPv6.
    Tcp6,
    /// UDP over either.
    Udp,
}

impl GsoKind {
    /// The kind of a TCP train to `address`.
    pub const fn tcp(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::Tcp4,
            IpAddr::V6(_) => Self::Tcp6,
        }
    }
}

/// One packet that stands for several: all parts carry `segment_size` bytes of payload but the last, which may
/// carry fewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gso {
    /// What it is a train of.
    pub kind: GsoKind,
    /// Payload bytes in each part.
    pub segment_size: NonZeroU16,
    /// Whether only the first part may carry CWR (RFC 3168 6.1.2).
    pub ecn: bool,
}

impl Gso {
    /// How many segments `payload_len` bytes stand for; at least one.
    pub fn segment_count(&self, payload_len: usize) -> usize {
        payload_len.div_ceil(usize::from(self.segment_size.get())).max(1)
    }
}

/// What the device told about a received frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RxMeta {
    /// What is known about the transport checksum.
    pub checksum: RxChecksum,
    /// Set if the frame is a super-segment.
    pub gso: Option<Gso>,
}

/// How finished the transport checksum of a frame to be sent is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TxChecksum {
    /// The frame is complete.
    #[default]
    Complete,
    /// The checksum field holds the pseudo-header's sum; the device adds the rest.
    Partial {
        /// Where summing begins, in bytes from the start of the frame.
        start: u16,
        /// Where the checksum field is, in bytes from `start`.
        offset: u16,
    },
}

/// What the device must do with a frame to be sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TxMeta {
    /// How finished the transport checksum is.
    pub checksum: TxChecksum,
    /// Set if the device must cut the frame into segments.
    pub gso: Option<Gso>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_train_counts_its_parts() {
        let gso = Gso { kind: GsoKind::Tcp4, segment_size: NonZeroU16::new(1460).unwrap(), ecn: false };
        assert_eq!(gso.segment_count(0), 1);
        assert_eq!(gso.segment_count(1460), 1);
        assert_eq!(gso.segment_count(1461), 2);
    }
}
