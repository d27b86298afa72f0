//! What a TUN or TAP and its reader leave to each other.

use std::fmt;

use netloom_base::{DeviceCaps, Medium};

/// Largest IP packet that one super-segment may be, in bytes: what its length field holds.
const SUPER_SEGMENT_LEN: u32 = 65_535;

/// How much of the work on segments and checksums is left to the other side of a TUN or TAP, less to more. Each
/// includes those before it.
///
/// "Left" goes both ways: what we may hand over unfinished, the kernel may hand to us so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Offload {
    /// Nothing: every frame fits the MTU and is finished.
    Plain,
    /// Transport checksums.
    Checksum,
    /// And cutting TCP super-segments.
    Tcp,
    /// And cutting trains of UDP datagrams.
    #[default]
    Full,
}

impl Offload {
    /// This one, then all that ask for less, down to [`Checksum`](Self::Checksum): the order in which a kernel is asked.
    pub(crate) fn downwards(self) -> impl Iterator<Item = Self> {
        [Self::Full, Self::Tcp, Self::Checksum].into_iter().filter(move |&offload| offload <= self)
    }

    /// What `TUNSETOFFLOAD` is told (`linux/if_tun.h`). The kernel takes the two bits for UDP only together, and those
    /// for TCP only with the checksum's.
    pub(crate) const fn features(self) -> libc::c_uint {
        const CHECKSUM: libc::c_uint = libc::TUN_F_CSUM;
        const TCP: libc::c_uint = CHECKSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6 | libc::TUN_F_TSO_ECN;
        match self {
            Self::Plain => 0,
            Self::Checksum => CHECKSUM,
            Self::Tcp => TCP,
            Self::Full => TCP | libc::TUN_F_USO4 | libc::TUN_F_USO6,
        }
    }

    /// What a device that is left this much can do.
    pub(crate) const fn caps(self, medium: Medium, mtu: u16) -> DeviceCaps {
        let plain = DeviceCaps::plain(medium, mtu);
        let cut = Some(SUPER_SEGMENT_LEN);
        match self {
            Self::Plain => plain,
            Self::Checksum => DeviceCaps { transmit_checksum: true, ..plain },
            Self::Tcp => DeviceCaps {
                transmit_checksum: true,
                tcp4_segmentation: cut,
                tcp6_segmentation: cut,
                ..plain
            },
            Self::Full => DeviceCaps {
                transmit_checksum: true,
                tcp4_segmentation: cut,
                tcp6_segmentation: cut,
                udp_segmentation: true,
                ..plain
            },
        }
    }
}

impl fmt::Display for Offload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "none",
            Self::Checksum => "checksums",
            Self::Tcp => "checksums, TCP segments",
            Self::Full => "checksums, TCP and UDP segments",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_is_asked_for_less_and_less() {
        let features: Vec<_> = Offload::Full.downwards().map(Offload::features).collect();
        assert_eq!(features, [0x6f, 0x0f, 0x01]);
        assert_eq!(Offload::Checksum.downwards().collect::<Vec<_>>(), [Offload::Checksum]);
        assert_eq!(Offload::Plain.downwards().count(), 0);
    }

    #[test]
    fn without_offloads_a_device_is_plain() {
        for medium in [Medium::Ethernet, Medium::Ip] {
            assert_eq!(Offload::Plain.caps(medium, 1400), DeviceCaps::plain(medium, 1400));
            assert!(Offload::Full.caps(medium, 1400).udp_segmentation);
        }
    }
}
