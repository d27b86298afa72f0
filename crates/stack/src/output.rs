//! A packet's way down.
//!
//! [`Stack::poll_transmit`] decides first (whose turn, which path, which neighbour) and borrows second: the payload of a
//! TCP segment is lent from its socket's ring, everything else from the one packet or datagram that was taken off a queue.

#[cfg(test)]
mod tests;

use core::net::IpAddr;

use netloom_base::{DropReason, Gso, GsoKind, Instant, InterfaceId, NextHop, PathInfo, TxChecksum, TxMeta};
use netloom_l2_link::{LinkOutput, QueuedPacket, Resolution};
use netloom_l3_internet::{Arrival, InternetOutput, IpSend};
use netloom_l4_transport::{SegmentPlan, UdpOutput};
use netloom_wire::{
    CastKind, ETHERNET_HEADER_LEN, EtherType, EthernetAddress, EthernetHeader, HeadBuf, Protocol,
    UDP_HEADER_LEN, UdpHeader, ip_header_len,
};
use tracing::trace;

use crate::Stack;
use crate::handover::{Kind, Memory};
use crate::steering::{Share, looped_meta};
use crate::turn::{LoopedPacket, Turn};

/// Where the checksum is in UDP's header (RFC 768).
const UDP_CHECKSUM_AT: u16 = 6;

/// A frame to send: `head`, then both pieces of `payload`, in one write.
#[derive(Clone, Copy, Debug)]
pub struct Transmit<'a> {
    /// The interface to send on.
    pub interface: InterfaceId,
    /// What the device must still do.
    pub meta: TxMeta,
    /// The headers.
    pub head: &'a [u8],
    /// What follows them.
    pub payload: [&'a [u8]; 2],
}

impl Transmit<'_> {
    /// Bytes of the frame.
    pub fn len(&self) -> usize {
        self.head.len() + self.payload.iter().map(|piece| piece.len()).sum::<usize>()
    }

    /// Whether there is nothing to send, which never happens.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The frame as one run of bytes: for tests and devices that need it so.
    pub fn to_vec(&self) -> Vec<u8> {
        [self.head, self.payload[0], self.payload[1]].concat()
    }
}

/// What the next frame is, its headers already in the caller's buffer.
enum Ready {
    /// What follows the headers is `Stack::outgoing`.
    Packet { interface: InterfaceId, meta: TxMeta },
    /// The payload is in the socket's ring.
    Segment { interface: InterfaceId, meta: TxMeta, plan: SegmentPlan },
}

/// A packet that can leave now.
#[derive(Clone, Copy)]
struct Departure {
    interface: InterfaceId,
    /// The link header, if the medium has one.
    link: Option<EthernetHeader>,
}

/// Why a packet does not go to a device now.
#[derive(Clone, Copy)]
enum Detour {
    /// Its neighbour has to answer first.
    Wait { interface: InterfaceId, neighbor: IpAddr },
    /// It is for this host itself.
    Local,
    /// There is no way.
    Drop(DropReason),
}

impl Stack {
    /// The next frame to send, if any. Its headers are written into `head`; the rest is borrowed from the stack.
    ///
    /// A frame that was handed out counts as sent: if the device does not take it now, the caller keeps a copy and
    /// tries again, or drops it as a link would.
    pub fn poll_transmit<'a>(&'a mut self, now: Instant, head: &'a mut HeadBuf) -> Option<Transmit<'a>> {
        self.exchange_groups(now);
        let ready = self.next_ready(now, head)?;
        let (interface, meta, payload) = match &ready {
            Ready::Packet { interface, meta } => (*interface, *meta, [&self.outgoing[..], &[]]),
            Ready::Segment { interface, meta, plan } => (*interface, *meta, self.tcp.payload(plan)),
        };
        let transmit = Transmit { interface, meta, head: head.as_slice(), payload };
        self.counters.frames_sent.increment();
        self.counters.bytes_sent.add(transmit.len() as u64);
        Some(transmit)
    }

    /// The device did not take the last frame: until it does, the caller asks for no other, and connections that would have sent
    /// are blocked by it. Whether there are more of them: then call it again.
    pub fn note_stall(&mut self, now: Instant) -> bool {
        self.tcp.note_stall(now)
    }

    fn next_ready(&mut self, now: Instant, head: &mut HeadBuf) -> Option<Ready> {
        loop {
            head.clear();
            self.deliver_looped(now);
            if let Some(ready) = self.next_link_output(now, head) {
                return Some(ready);
            }
            if let Some(output) = self.internet.poll_transmit(now) {
                if let Some(ready) = self.send_packet(now, head, output) {
                    return Some(ready);
                }
                continue;
            }
            let turns = match self.turn {
                Turn::Tcp => [Turn::Tcp, Turn::Udp],
                Turn::Udp => [Turn::Udp, Turn::Tcp],
            };
            let mut idle = true;
            for turn in turns {
                match turn {
                    Turn::Tcp => {
                        let Some(plan) = self.tcp.poll_transmit(now) else { continue };
                        self.turn = Turn::Udp;
                        idle = false;
                        if let Some(ready) = self.send_segment(now, head, plan) {
                            return Some(ready);
                        }
                    }
                    Turn::Udp => {
                        let Some(output) = self.udp.poll_transmit() else { continue };
                        self.turn = Turn::Tcp;
                        idle = false;
                        if let Some(ready) = self.send_datagrams(now, head, output) {
                            return Some(ready);
                        }
                    }
                }
                break;
            }
            if idle && self.loopback.is_empty() {
                return None;
            }
        }
    }

    /// ARP, and packets whose neighbour has answered.
    fn next_link_output(&mut self, now: Instant, head: &mut HeadBuf) -> Option<Ready> {
        for interface in &mut self.interfaces {
            let Some(link) = &mut interface.link else { continue };
            if let Some(LinkOutput { header, meta, payload }) = link.poll_transmit(now) {
                self.outgoing = payload;
                let meta = with_link_header(head, header, meta);
                return Some(Ready::Packet { interface: interface.id, meta });
            }
        }
        None
    }

    /// A whole packet of the internet layer's own, or one that it forwards.
    fn send_packet(&mut self, now: Instant, head: &mut HeadBuf, output: InternetOutput) -> Option<Ready> {
        let InternetOutput { next_hop, link_destination, meta, packet } = output;
        let exit = match (next_hop, link_destination) {
            (NextHop::Neighbor { interface, .. }, Some(destination)) => {
                let link = self.link_header(interface, destination, ether_type(&packet));
                Ok(Departure { interface, link })
            }
            (next_hop, _) => self.exit(now, next_hop, ether_type(&packet)),
        };
        match exit {
            Ok(Departure { interface, link }) => {
                self.outgoing = packet;
                let meta = link.map_or(meta, |link| with_link_header(head, link, meta));
                Some(Ready::Packet { interface, meta })
            }
            Err(detour) => {
                self.divert(now, detour, QueuedPacket { meta, bytes: packet });
                None
            }
        }
    }

    /// One segment: headers into `head`, payload where it is.
    fn send_segment(&mut self, now: Instant, head: &mut HeadBuf, plan: SegmentPlan) -> Option<Ready> {
        let Ok(path) = self.internet.packet_path(Some(plan.source), plan.destination) else {
            // As good as lost on the way: the connection's own timers decide what becomes of it.
            self.counters.drops.increment(DropReason::IpNoRoute);
            return None;
        };
        let exit = self.exit(now, path.next_hop, EtherType::of_ip(plan.destination));
        let meta = self.emit_segment_headers(head, &plan, path.next_hop);
        match exit {
            Ok(Departure { interface, link }) => {
                let meta = link.map_or(meta, |link| with_link_header(head, link, meta));
                Some(Ready::Segment { interface, meta, plan })
            }
            Err(detour) => {
                let [first, second] = self.tcp.payload(&plan);
                let bytes = [head.as_slice(), first, second].concat();
                self.divert(now, detour, QueuedPacket { meta, bytes });
                None
            }
        }
    }

    /// TCP's and IP's headers; says what is left for the device to do.
    fn emit_segment_headers(&mut self, head: &mut HeadBuf, plan: &SegmentPlan, next_hop: NextHop) -> TxMeta {
        let is_partial = match next_hop {
            // It never crosses a wire.
            NextHop::Local => true,
            NextHop::Neighbor { interface, .. } => {
                self.interfaces.get(interface.index()).is_some_and(|it| it.caps.transmit_checksum)
            }
        };
        let payload = self.tcp.payload(plan);
        plan.header.emit(head, plan.source, plan.destination, &payload, is_partial);
        let tcp_len = head.len();
        let send = IpSend {
            source: plan.source,
            destination: plan.destination,
            protocol: Protocol::TCP,
            hop_limit: plan.hop_limit,
            traffic_class: plan.traffic_class,
            // Every segment takes part in path MTU discovery (RFC 1191 2).
            dont_fragment: true,
        };
        self.internet.emit_header(head, &send, tcp_len + payload[0].len() + payload[1].len());
        let start = u16::try_from(head.len() - tcp_len).unwrap_or(u16::MAX);
        let checksum =
            if is_partial { TxChecksum::Partial { start, offset: 16 } } else { TxChecksum::Complete };
        TxMeta { checksum, gso: plan.gso }
    }

    /// One datagram, or a train of them.
    fn send_datagrams(&mut self, now: Instant, head: &mut HeadBuf, output: UdpOutput) -> Option<Ready> {
        if let Some((path, meta)) = self.way_of_one_packet(&output) {
            return self.send_as_one(now, head, output, &path, meta);
        }
        match output.segment_size {
            None => self.send_datagram(now, &output, &output.data),
            Some(size) => {
                for part in output.data.chunks(size.get().into()) {
                    self.send_datagram(now, &output, part);
                }
            }
        }
        None
    }

    /// The way of what one packet takes to one other host: a datagram that needs no fragments, or a train that the device
    /// cuts. Besides, what is left for the device to do.
    fn way_of_one_packet(&mut self, output: &UdpOutput) -> Option<(PathInfo, TxMeta)> {
        let remote = output.remote.ip();
        let path = self.internet.packet_path(output.source, remote).ok()?;
        let NextHop::Neighbor { interface, .. } = path.next_hop else { return None };
        let caps = &self.interfaces.get(interface.index())?.caps;
        let ip_header_len = ip_header_len(remote);
        let data_len = output.segment_size.map_or(output.data.len(), |size| size.get().into());
        let fits = usize::from(ip_header_len) + UDP_HEADER_LEN + data_len <= usize::from(path.mtu);
        // What this host may have to hear itself is made one by one.
        let is_for_many = remote.is_multicast() || self.internet.is_broadcast(interface, remote);
        if !fits || is_for_many || (output.segment_size.is_some() && !caps.udp_segmentation) {
            return None;
        }
        let checksum = if caps.transmit_checksum || output.segment_size.is_some() {
            TxChecksum::Partial { start: ip_header_len, offset: UDP_CHECKSUM_AT }
        } else {
            TxChecksum::Complete
        };
        let gso =
            output.segment_size.map(|segment_size| Gso { kind: GsoKind::Udp, segment_size, ecn: false });
        Some((path, TxMeta { checksum, gso }))
    }

    /// Headers into `head`; the data stays where it is.
    fn send_as_one(
        &mut self,
        now: Instant,
        head: &mut HeadBuf,
        output: UdpOutput,
        path: &PathInfo,
        meta: TxMeta,
    ) -> Option<Ready> {
        let remote = output.remote;
        let exit = self.exit(now, path.next_hop, EtherType::of_ip(remote.ip()));
        let header = UdpHeader { source_port: output.source_port, destination_port: remote.port() };
        let is_partial = meta.checksum != TxChecksum::Complete;
        header.emit(head, path.source, remote.ip(), &[&output.data], is_partial);
        let payload_len = head.len() + output.data.len();
        let send = ip_send(&output, path.source);
        self.internet.emit_train_header(head, &send, payload_len, output.datagram_count());
        match exit {
            Ok(Departure { interface, link }) => {
                self.outgoing = output.data;
                let meta = link.map_or(meta, |link| with_link_header(head, link, meta));
                Some(Ready::Packet { interface, meta })
            }
            Err(detour) => {
                let bytes = [head.as_slice(), &output.data].concat();
                self.divert(now, detour, QueuedPacket { meta, bytes });
                None
            }
        }
    }

    /// One datagram: to the internet layer, which cuts it into fragments if it must.
    fn send_datagram(&mut self, now: Instant, output: &UdpOutput, data: &[u8]) {
        let remote = output.remote;
        let Ok(path) = self.internet.path(output.source, remote.ip()) else {
            self.counters.drops.increment(DropReason::IpNoRoute);
            return;
        };
        let header = UdpHeader { source_port: output.source_port, destination_port: remote.port() };
        let mut head = HeadBuf::new();
        header.emit(&mut head, path.source, remote.ip(), &[data], false);
        let send = ip_send(output, path.source);
        let is_group = remote.ip().is_multicast();
        if let NextHop::Neighbor { interface, .. } = path.next_hop
            && if is_group {
                output.loops_to_groups
            } else {
                self.internet.is_broadcast(interface, remote.ip())
            }
        {
            self.share_overheard(now, interface, &send, &[head.as_slice(), data].concat());
        }
        if is_group && output.hop_limit == Some(0) {
            // It was for this host alone.
            return;
        }
        if let Err(error) = self.internet.send(now, &send, &path, &[head.as_slice(), data]) {
            trace!(?error, "datagram not sent");
            self.counters.drops.increment(DropReason::TransmitQueueFull);
        }
    }

    /// How a packet gets to `next_hop`.
    fn exit(&mut self, now: Instant, next_hop: NextHop, ether_type: EtherType) -> Result<Departure, Detour> {
        let NextHop::Neighbor { interface, address } = next_hop else { return Err(Detour::Local) };
        let Some(link) = self.link_mut(interface) else { return Ok(Departure { interface, link: None }) };
        match link.resolve(now, address) {
            Resolution::Known(destination) => {
                Ok(Departure { interface, link: self.link_header(interface, destination, ether_type) })
            }
            Resolution::Pending => Err(Detour::Wait { interface, neighbor: address }),
            Resolution::Unreachable => Err(Detour::Drop(DropReason::NeighborUnreachable)),
        }
    }

    /// The Ethernet header of a packet to a station; `None` where the medium has none.
    fn link_header(
        &self,
        interface: InterfaceId,
        destination: EthernetAddress,
        ether_type: EtherType,
    ) -> Option<EthernetHeader> {
        self.link(interface).map(|link| EthernetHeader { destination, source: link.address(), ether_type })
    }

    /// Takes care of a packet that does not go to a device now.
    fn divert(&mut self, now: Instant, detour: Detour, packet: QueuedPacket) {
        match detour {
            Detour::Local => return self.loop_back(packet),
            Detour::Wait { interface, neighbor } => {
                let len = packet.bytes.len();
                let queued = self.link_mut(interface).map(|link| link.enqueue(now, neighbor, packet));
                if let Some(Err(reason)) = queued {
                    self.drop_packet(reason, interface, len);
                }
            }
            Detour::Drop(reason) => {
                self.counters.drops.increment(reason);
                self.internet.host_unreachable(now, &packet.bytes);
            }
        }
        // The cache may want a solicitation sent, a connection may have to hear of an error.
        self.exchange(now);
    }

    fn loop_back(&mut self, packet: QueuedPacket) {
        if self.loopback.len() >= self.config.loopback_packets {
            self.counters.drops.increment(DropReason::TransmitQueueFull);
            return;
        }
        self.counters.packets_looped.increment();
        let QueuedPacket { meta, bytes } = packet;
        self.loopback.push_back(LoopedPacket { bytes, gso: meta.gso });
    }

    /// Hands packets from this host to itself back in; no more than were waiting, so that a packet that is answered by
    /// another does not keep the caller here.
    fn deliver_looped(&mut self, now: Instant) {
        for _ in 0..self.loopback.len() {
            let Some(LoopedPacket { bytes, gso }) = self.loopback.pop_front() else { return };
            let (interface, cast, link_source) = (InterfaceId::LOOPBACK, CastKind::Unicast, None);
            let meta = looped_meta(gso);
            let len = bytes.len();
            let memory = Memory::from(bytes);
            let arrival = Arrival { interface, packet: memory.bytes(), cast, link_source, meta };
            if let Share::Theirs(to) = self.share_packet(&arrival) {
                self.hand_over(to, interface, Kind::Packet { cast, link_source, meta }, |_| memory);
                continue;
            }
            let result = self.receive_memory(now, memory, |stack, packet| {
                stack.receive_packet(now, Arrival { interface, packet, cast, link_source, meta })
            });
            if let Err(reason) = result {
                self.drop_packet(reason, interface, len);
            }
            self.exchange(now);
        }
    }
}

/// What an Ethernet header moves the offsets of a packet by.
const LINK_HEADER_LEN: u16 = 14;
const _: () = assert!(LINK_HEADER_LEN as usize == ETHERNET_HEADER_LEN);

/// Puts the link header in front, and moves the place where a device begins to sum by its length.
fn with_link_header(head: &mut HeadBuf, header: EthernetHeader, meta: TxMeta) -> TxMeta {
    header.emit(head);
    let checksum = match meta.checksum {
        TxChecksum::Partial { start, offset } => {
            TxChecksum::Partial { start: start + LINK_HEADER_LEN, offset }
        }
        TxChecksum::Complete => TxChecksum::Complete,
    };
    TxMeta { checksum, gso: meta.gso }
}

/// What UDP asks of the internet layer.
fn ip_send(output: &UdpOutput, source: IpAddr) -> IpSend {
    IpSend {
        source,
        destination: output.remote.ip(),
        protocol: Protocol::UDP,
        hop_limit: output.hop_limit,
        traffic_class: output.traffic_class,
        dont_fragment: output.dont_fragment,
    }
}

/// What a packet of the internet layer is, by its first four bits.
fn ether_type(packet: &[u8]) -> EtherType {
    match packet.first() {
        Some(first) if first >> 4 == 6 => EtherType::IPV6,
        Some(_) | None => EtherType::IPV4,
    }
}
