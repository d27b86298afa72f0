//! The one connection that is filled.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU16;

use netloom_base::{Gso, GsoKind, TxChecksum, TxMeta};
use netloom_device::Queue;
use netloom_wire::{
    ETHERNET_HEADER_LEN, EtherType, EthernetAddress, HeadBuf, IPV4_HEADER_LEN, Protocol, SeqNumber, TcpFlags,
    TcpHeader, TcpOptions,
};

use super::headers::{ISS, MSS, ip_header, link_header};

/// As many full segments as fit one packet's length field.
const TEXT: &[u8] = &[b'x'; 44 * MSS as usize];
/// Super-segments in a row, after which acknowledgments are looked at.
const BURST: usize = 4;
/// Where the checksum field is in a TCP header.
const CHECKSUM_OFFSET: u16 = 16;

/// What is known of it: the newest that its peer has said, and how far it is filled.
pub(super) struct Source {
    peer: EthernetAddress,
    us: Ipv4Addr,
    them: Ipv4Addr,
    /// As our segments have it.
    header: TcpHeader,
    shift: u8,
    acknowledged: SeqNumber,
    window: u32,
}

impl Source {
    /// Takes what a segment of the peer says: a SYN begins anew, and what ends the connection ends the filling.
    pub(super) fn hear(
        source: &mut Option<Self>,
        theirs: &TcpHeader,
        peer: EthernetAddress,
        (us, them): (Ipv4Addr, Ipv4Addr),
    ) {
        if theirs.flags.contains(TcpFlags::SYN) {
            let header = TcpHeader {
                source_port: theirs.destination_port,
                destination_port: theirs.source_port,
                sequence: ISS + 1,
                acknowledgment: theirs.sequence + 1,
                flags: TcpFlags::ACK,
                window: u16::MAX,
                urgent_pointer: 0,
                options: TcpOptions::default(),
            };
            let shift = theirs.options.window_scale.unwrap_or(0).min(14);
            *source = Some(Self { peer, us, them, header, shift, acknowledged: header.sequence, window: 0 });
            return;
        }
        if theirs.flags.contains(TcpFlags::FIN) || theirs.flags.contains(TcpFlags::RST) {
            *source = None;
        } else if let Some(source) = source
            && source.header.destination_port == theirs.source_port
        {
            source.acknowledged = source.acknowledged.later_of(theirs.acknowledgment);
            source.window = u32::from(theirs.window) << source.shift;
        }
    }

    /// Sends a burst, as far as the window goes; whether there was room for something.
    pub(super) fn fill(&mut self, queue: &mut impl Queue, head: &mut HeadBuf) -> io::Result<bool> {
        let len = u32::try_from(TEXT.len()).unwrap_or(u32::MAX);
        let start = u16::try_from(ETHERNET_HEADER_LEN + IPV4_HEADER_LEN).unwrap_or(u16::MAX);
        let gso =
            NonZeroU16::new(MSS).map(|segment_size| Gso { kind: GsoKind::Tcp4, segment_size, ecn: false });
        let meta = TxMeta { checksum: TxChecksum::Partial { start, offset: CHECKSUM_OFFSET }, gso };
        for sent in 0..BURST {
            if self.header.sequence.distance_to(self.acknowledged + self.window) < len {
                return Ok(sent > 0);
            }
            head.clear();
            self.header.emit(head, IpAddr::from(self.us), IpAddr::from(self.them), &[TEXT], true);
            let payload_len = head.len() + TEXT.len();
            ip_header(self.us, self.them, Protocol::TCP).emit(head, payload_len);
            link_header(self.peer, EtherType::IPV4).emit(head);
            match queue.send(meta, head.as_slice(), [TEXT, &[]]) {
                Ok(()) => self.header.sequence += len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(sent > 0),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use netloom_base::Medium;
    use netloom_device::{MemoryQueue, Offload, RECEIVE_BUFFER_LEN};
    use netloom_wire::{EthernetFrame, Ipv4Packet, TcpSegment};

    use super::*;

    fn theirs(flags: TcpFlags, acknowledgment: SeqNumber, window: u16) -> TcpHeader {
        TcpHeader {
            source_port: 40_000,
            destination_port: 19,
            sequence: SeqNumber(0),
            acknowledgment,
            flags,
            window,
            urgent_pointer: 0,
            options: TcpOptions { window_scale: Some(7), ..TcpOptions::default() },
        }
    }

    /// The numbers of what is sent until there is no room.
    fn filled(source: &mut Source) -> Vec<u32> {
        let (mut ours, mut theirs) =
            MemoryQueue::pair_offloading(Medium::Ethernet, 1500, Offload::Full).unwrap();
        let mut buffer = vec![0; RECEIVE_BUFFER_LEN];
        let mut numbers = Vec::new();
        loop {
            let has_sent = source.fill(&mut ours, &mut HeadBuf::new()).unwrap();
            while let Ok(received) = theirs.recv(&mut buffer) {
                let frame = EthernetFrame::parse(received.bytes_in(&buffer)).unwrap();
                let packet = Ipv4Packet::parse(frame.payload).unwrap();
                let segment = TcpSegment::parse(packet.payload).unwrap();
                assert_eq!(segment.payload.len(), TEXT.len());
                numbers.push(segment.header.sequence.0.wrapping_sub(ISS.0 + 1) / 64_240);
            }
            if !has_sent {
                break;
            }
        }
        numbers
    }

    #[test]
    fn it_fills_the_window_and_goes_on_with_each_acknowledgment() {
        let (mut slot, peer) = (None, EthernetAddress([2; 6]));
        let addresses = (Ipv4Addr::new(10, 0, 0, 2), Ipv4Addr::new(10, 0, 0, 1));
        let hear = |slot: &mut _, header| Source::hear(slot, &header, peer, addresses);
        hear(&mut slot, theirs(TcpFlags::SYN, SeqNumber(0), 1000));
        assert!(filled(slot.as_mut().unwrap()).is_empty(), "the handshake has not ended");
        hear(&mut slot, theirs(TcpFlags::ACK, ISS + 1, 3011));
        assert_eq!(filled(slot.as_mut().unwrap()), [0, 1, 2, 3, 4]);
        hear(&mut slot, theirs(TcpFlags::ACK, ISS + 1 + 2 * 64_240, 3011));
        assert_eq!(filled(slot.as_mut().unwrap()), [5, 6]);
        hear(&mut slot, theirs(TcpFlags::RST, SeqNumber(0), 0));
        assert!(slot.is_none());
    }
}
