//! The TAP as smoltcp's device: one buffer for what comes and one for what goes, none made anew.
//!
//! What the TAP does for netloom it does for smoltcp: it finishes transport checksums, vouches for those of what comes, and cuts
//! super-segments, which smoltcp makes since 0.14 where a device cuts them, and takes whole.

use std::io;
use std::net::IpAddr;
use std::num::{NonZeroU16, NonZeroUsize};
use std::os::fd::{AsFd, BorrowedFd};

use netloom_base::{DeviceCaps, Gso, GsoKind, TxChecksum, TxMeta};
use netloom_device::{Queue, RECEIVE_BUFFER_LEN};
use smoltcp::phy::{self, Checksum, DeviceCapabilities, PacketMeta};
use smoltcp::time::Instant;
use smoltcp::wire::{
    EthernetFrame, EthernetProtocol, IPV4_HEADER_LEN, IPV6_HEADER_LEN, IpAddress, IpProtocol, Ipv4Packet,
    Ipv6Packet, checksum,
};

/// An Ethernet header, which smoltcp's MTU includes.
const HEADER_LEN: usize = 14;

/// A TAP.
pub(super) struct TapDevice<Q> {
    tap: Q,
    received: Vec<u8>,
    sent: Vec<u8>,
    failure: Option<io::ErrorKind>,
}

impl<Q: Queue> TapDevice<Q> {
    pub(super) fn new(tap: Q) -> Self {
        let buffer = || vec![0; RECEIVE_BUFFER_LEN];
        Self { tap, received: buffer(), sent: buffer(), failure: None }
    }

    /// Why the TAP can no longer be used.
    pub(super) fn failure(&self) -> Option<io::ErrorKind> {
        self.failure
    }
}

impl<Q: AsFd> AsFd for TapDevice<Q> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.tap.as_fd()
    }
}

impl<Q: Queue> phy::Device for TapDevice<Q> {
    type RxToken<'a>
        = Received<'a>
    where
        Self: 'a;
    type TxToken<'a>
        = Sender<'a, Q>
    where
        Self: 'a;

    fn receive(&mut self, _: Instant) -> Option<(Received<'_>, Sender<'_, Q>)> {
        match self.tap.recv(&mut self.received) {
            Ok(received) => {
                let frame = received.bytes_in(&self.received);
                Some((Received { frame }, Sender::new(&mut self.tap, &mut self.sent)))
            }
            Err(error) => {
                if error.kind() == io::ErrorKind::NotConnected {
                    self.failure = Some(error.kind());
                }
                None
            }
        }
    }

    fn transmit(&mut self, _: Instant) -> Option<Sender<'_, Q>> {
        Some(Sender::new(&mut self.tap, &mut self.sent))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let DeviceCaps { mtu, transmit_checksum, tcp4_segmentation, tcp6_segmentation, .. } = self.tap.caps();
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = phy::Medium::Ethernet;
        capabilities.max_transmission_unit = usize::from(mtu) + HEADER_LEN;
        if transmit_checksum {
            (capabilities.checksum.tcp, capabilities.checksum.udp) = (Checksum::None, Checksum::None);
        }
        let frame_len = |packet_len: u32| NonZeroUsize::new(usize::try_from(packet_len).ok()? + HEADER_LEN);
        capabilities.segmentation.tcpv4 = tcp4_segmentation.and_then(frame_len);
        capabilities.segmentation.tcpv6 = tcp6_segmentation.and_then(frame_len);
        capabilities
    }
}

/// A frame that has come.
pub(super) struct Received<'a> {
    frame: &'a [u8],
}

impl phy::RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(self.frame)
    }
}

/// The chance to send one frame.
pub(super) struct Sender<'a, Q> {
    tap: &'a mut Q,
    buffer: &'a mut Vec<u8>,
    segment_size: Option<NonZeroU16>,
}

impl<'a, Q> Sender<'a, Q> {
    fn new(tap: &'a mut Q, buffer: &'a mut Vec<u8>) -> Self {
        Self { tap, buffer, segment_size: None }
    }
}

impl<Q: Queue> phy::TxToken for Sender<'_, Q> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, write: F) -> R {
        let Self { tap, buffer, segment_size } = self;
        if buffer.len() < len {
            buffer.resize(len, 0);
        }
        let frame = buffer.get_mut(..len).unwrap_or_default();
        let result = write(frame);
        let meta =
            if tap.caps().transmit_checksum { describe(frame, segment_size) } else { TxMeta::default() };
        // A frame for which there is no room is lost, as with smoltcp's own devices.
        let _ = tap.send(meta, frame, [&[], &[]]);
        result
    }

    fn set_meta(&mut self, meta: PacketMeta) {
        self.segment_size = meta.segmentation_offload_size;
    }
}

/// What the TAP must do with a frame of smoltcp's. Puts the sum of the pseudo-header where the TAP finishes the checksum.
fn describe(frame: &mut [u8], segment_size: Option<NonZeroU16>) -> TxMeta {
    let link = EthernetFrame::new_unchecked(&*frame);
    let (header_len, source, destination, protocol): (_, IpAddress, IpAddress, _) = match link.ethertype() {
        EthernetProtocol::Ipv4 => {
            let packet = Ipv4Packet::new_unchecked(link.payload());
            let (source, destination) = (packet.src_addr().into(), packet.dst_addr().into());
            (IPV4_HEADER_LEN, source, destination, packet.next_header())
        }
        EthernetProtocol::Ipv6 => {
            let packet = Ipv6Packet::new_unchecked(link.payload());
            let (source, destination) = (packet.src_addr().into(), packet.dst_addr().into());
            (IPV6_HEADER_LEN, source, destination, packet.next_header())
        }
        EthernetProtocol::Arp | EthernetProtocol::Unknown(_) => return TxMeta::default(),
    };
    let offset = if protocol == IpProtocol::Tcp {
        16
    } else if protocol == IpProtocol::Udp {
        6
    } else {
        return TxMeta::default();
    };
    let start = HEADER_LEN + header_len;
    let len = u32::try_from(frame.len() - start).unwrap_or(0);
    let sum = checksum::pseudo_header(&source, &destination, protocol, len).to_be_bytes();
    if let Some(field) = frame.get_mut(start + offset..).and_then(|rest| rest.first_chunk_mut()) {
        *field = sum;
    }
    let part = |len| u16::try_from(len).unwrap_or(u16::MAX);
    TxMeta {
        checksum: TxChecksum::Partial { start: part(start), offset: part(offset) },
        gso: segment_size.map(|segment_size| Gso {
            kind: GsoKind::tcp(IpAddr::from(source)),
            segment_size,
            ecn: false,
        }),
    }
}

#[cfg(test)]
mod tests {
    use netloom_base::{Medium, RxChecksum, RxMeta};
    use netloom_device::{MemoryQueue, Offload, RxFrame};
    use smoltcp::phy::{ChecksumCapabilities, Device, TxToken};
    use smoltcp::wire::{
        EthernetAddress, EthernetRepr, Ipv4Address, Ipv4Repr, TcpControl, TcpPacket, TcpRepr, TcpSeqNumber,
    };

    use super::*;

    const HEADERS_LEN: usize = HEADER_LEN + IPV4_HEADER_LEN + 20;
    const SOURCE: Ipv4Address = Ipv4Address::new(10, 0, 0, 2);
    const DESTINATION: Ipv4Address = Ipv4Address::new(10, 0, 0, 1);

    /// A segment of so much text behind its headers, as smoltcp writes it for such a device.
    fn write_segment(frame: &mut [u8], payload: &[u8], checksums: &ChecksumCapabilities) {
        let tcp = TcpRepr {
            src_port: 7,
            dst_port: 9,
            control: TcpControl::None,
            seq_number: TcpSeqNumber(1),
            ack_number: Some(TcpSeqNumber(1)),
            window_len: 9,
            window_scale: None,
            max_seg_size: None,
            sack_permitted: false,
            sack_ranges: [None; 3],
            timestamp: None,
            payload,
        };
        let ip = Ipv4Repr {
            src_addr: SOURCE,
            dst_addr: DESTINATION,
            next_header: IpProtocol::Tcp,
            payload_len: tcp.buffer_len(),
            hop_limit: 64,
        };
        let link = EthernetRepr {
            src_addr: EthernetAddress([2; 6]),
            dst_addr: EthernetAddress([4; 6]),
            ethertype: EthernetProtocol::Ipv4,
        };
        link.emit(&mut EthernetFrame::new_unchecked(&mut *frame));
        ip.emit(&mut Ipv4Packet::new_unchecked(&mut frame[HEADER_LEN..]), checksums);
        let segment = &mut frame[HEADER_LEN + IPV4_HEADER_LEN..];
        tcp.emit(&mut TcpPacket::new_unchecked(segment), &SOURCE.into(), &DESTINATION.into(), checksums);
    }

    /// What the other end of a device with these offloads is told of a segment, and the checksum in it, finished where it is
    /// not, beside the right one.
    fn sent(offload: Offload, payload: &[u8], segment_size: Option<NonZeroU16>) -> (RxMeta, [u16; 2]) {
        let (ours, mut theirs) = MemoryQueue::pair_offloading(Medium::Ethernet, 1500, offload).unwrap();
        let mut device = TapDevice::new(ours);
        let checksums = device.capabilities().checksum;
        let mut token = device.transmit(Instant::ZERO).unwrap();
        let mut meta = PacketMeta::default();
        meta.segmentation_offload_size = segment_size;
        token.set_meta(meta);
        token.consume(HEADERS_LEN + payload.len(), |frame| write_segment(frame, payload, &checksums));
        let mut buffer = vec![0; RECEIVE_BUFFER_LEN];
        let RxFrame { range, meta } = theirs.recv(&mut buffer).unwrap();
        let segment = &mut buffer[range][HEADER_LEN + IPV4_HEADER_LEN..];
        let finished = !checksum::data(segment);
        let mut segment = TcpPacket::new_unchecked(segment);
        let told = if meta.checksum == RxChecksum::Trusted { finished } else { segment.checksum() };
        segment.fill_checksum(&SOURCE.into(), &DESTINATION.into());
        (meta, [told, segment.checksum()])
    }

    #[test]
    fn a_plain_tap_gets_finished_segments() {
        let (meta, [told, right]) = sent(Offload::Plain, b"text", None);
        assert_eq!((meta, told), (RxMeta::default(), right));
    }

    #[test]
    fn a_tap_finishes_checksums_and_cuts_super_segments() {
        let (meta, [told, right]) = sent(Offload::Tcp, b"text", None);
        assert_eq!((meta, told), (RxMeta { checksum: RxChecksum::Trusted, gso: None }, right));
        let segment_size = NonZeroU16::new(1460).unwrap();
        let (meta, [told, right]) = sent(Offload::Tcp, &[b'x'; 4000], Some(segment_size));
        let gso = Some(Gso { kind: GsoKind::Tcp4, segment_size, ecn: false });
        assert_eq!((meta, told), (RxMeta { checksum: RxChecksum::Trusted, gso }, right));
    }
}
