//! The device between a host and its cable, by how much of the work on segments and checksums is left to it.
//!
//! *Theory of operation.* On the cable every frame fits the MTU and is finished: other stacks know nothing else. The device
//! finishes checksums and cuts super-segments on the way out; on the way in it joins what has arrived together, and vouches for
//! the checksums that it has verified. Those it unfinishes, as the kernel leaves them behind a TAP: a stack that looked at them
//! all the same would drop what it gets.
//!
//! *Not here.* UDP goes in single datagrams, as only an application that asks for it sends trains.

use netloom_base::{DeviceCaps, Medium, RxChecksum, RxMeta, TxChecksum, TxMeta};
use netloom_sim::offload;
use netloom_wire::{
    Checksum, ETHERNET_HEADER_LEN, EtherType, EthernetFrame, IPV4_HEADER_LEN, IPV6_HEADER_LEN, Ipv4Packet,
    Ipv6Packet, Protocol,
};

/// The longest super-segment, in bytes of IP packet.
const SUPER_SEGMENT_LEN: u32 = 65_535;

/// What a stack leaves to its device, and the device to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Offload {
    /// Nothing.
    #[default]
    Plain,
    /// The checksums of TCP and UDP.
    Checksum,
    /// These, and cutting and joining TCP's segments.
    Full,
}

impl Offload {
    /// Each of them.
    pub const ALL: [Self; 3] = [Self::Plain, Self::Checksum, Self::Full];
}

/// The device, and what it has had to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Device {
    offload: Offload,
    arrived: Vec<Vec<u8>>,
    /// Super-segments that it has cut.
    pub cut: u64,
    /// Super-segments that it has joined.
    pub joined: u64,
    /// Checksums that it has finished, those of what it has cut included.
    pub finished: u64,
    /// Frames for whose checksums it has vouched.
    pub verified: u64,
}

impl Device {
    pub(crate) fn new(offload: Offload) -> Self {
        Self { offload, ..Self::default() }
    }

    /// What such a device can do, beyond what a plain one can.
    pub(crate) fn caps(&self, plain: DeviceCaps) -> DeviceCaps {
        let segmentation = (self.offload == Offload::Full).then_some(SUPER_SEGMENT_LEN);
        DeviceCaps {
            transmit_checksum: self.offload != Offload::Plain,
            tcp4_segmentation: segmentation,
            tcp6_segmentation: segmentation,
            ..plain
        }
    }

    /// The frames for the cable.
    pub(crate) fn send(&mut self, meta: TxMeta, frame: Vec<u8>) -> Vec<Vec<u8>> {
        self.cut += u64::from(meta.gso.is_some());
        self.finished += u64::from(meta.checksum != TxChecksum::Complete);
        offload::cut(Medium::Ethernet, meta, frame)
    }

    /// A frame from the cable.
    pub(crate) fn receive(&mut self, frame: Vec<u8>) {
        self.arrived.push(frame);
    }

    /// What has arrived, as the host gets it.
    pub(crate) fn take_received(&mut self) -> Vec<(Vec<u8>, RxMeta)> {
        let arrived = std::mem::take(&mut self.arrived);
        let mut frames = match self.offload {
            Offload::Plain | Offload::Checksum => {
                arrived.into_iter().map(|frame| (frame, RxMeta::default())).collect()
            }
            Offload::Full => offload::join(Medium::Ethernet, arrived),
        };
        for (frame, meta) in &mut frames {
            self.joined += u64::from(meta.gso.is_some());
            if self.offload != Offload::Plain && meta.gso.is_none() {
                meta.checksum = if unfinish(frame) { RxChecksum::Trusted } else { RxChecksum::Unknown };
            }
            self.verified += u64::from(meta.checksum == RxChecksum::Trusted);
        }
        frames
    }
}

/// Verifies the checksum of a frame's TCP or UDP, and leaves the sum of the pseudo-header in its place. False, and nothing
/// done, if it is wrong, or there is none.
fn unfinish(frame: &mut [u8]) -> bool {
    let Some((place, sum)) = verify(frame) else { return false };
    let Some(field) = frame.get_mut(place..place + 2) else { return false };
    field.copy_from_slice(&sum);
    true
}

/// Where the checksum of a frame's TCP or UDP is, if it is right, and the sum of the pseudo-header.
fn verify(frame: &[u8]) -> Option<(usize, [u8; 2])> {
    let frame = EthernetFrame::parse(frame).ok()?;
    let (ends, protocol, ip_header_len, bytes) = match frame.header.ether_type {
        EtherType::IPV4 => {
            let Ipv4Packet { header, options, payload, .. } = Ipv4Packet::parse(frame.payload).ok()?;
            if header.more_fragments || header.fragment_offset > 0 {
                return None;
            }
            let ends = (header.source.into(), header.destination.into());
            (ends, header.protocol, IPV4_HEADER_LEN + options.len(), payload)
        }
        EtherType::IPV6 => {
            let Ipv6Packet { header, payload, .. } = Ipv6Packet::parse(frame.payload).ok()?;
            let ends = (header.source.into(), header.destination.into());
            (ends, header.next_header, IPV6_HEADER_LEN, payload)
        }
        _ => return None,
    };
    let offset = match protocol {
        Protocol::TCP => 16,
        Protocol::UDP => 6,
        _ => return None,
    };
    let pseudo_header = Checksum::pseudo_header(ends.0, ends.1, protocol, bytes.len());
    let mut whole = pseudo_header;
    whole.add(bytes);
    // UDP's zero says that there is none.
    let is_right = whole.is_valid() && bytes.get(offset..offset + 2)? != [0, 0];
    let place = ETHERNET_HEADER_LEN + ip_header_len + offset;
    is_right.then(|| (place, pseudo_header.finish().map(|byte| !byte)))
}
