//! A packet's way down: its header, and its fragments if it is too long for the path.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netloom_base::{Instant, PathInfo, TxMeta};
use netloom_wire::{
    Checksum, HeadBuf, IPV4_HEADER_LEN, IPV6_FRAGMENT_HEADER_LEN, IPV6_HEADER_LEN, Ipv4Header, Ipv4Options,
    Ipv6FragmentHeader, Ipv6Header, Protocol,
};

use crate::internet::Internet;
use crate::packet::{IpSend, SendError};

/// What an IPv4 total length and an IPv6 payload length can say.
const MAX_LENGTH_FIELD: usize = u16::MAX as usize;

impl Internet {
    /// Puts the IP header in front of `head`, which begins with the transport's; `payload_len` counts all that follows
    /// the IP header, what is in `head` included. For a packet that the path takes whole, or that a device cuts.
    ///
    /// Nothing is written if source and destination are of different families.
    pub fn emit_header(&mut self, head: &mut HeadBuf, send: &IpSend, payload_len: usize) {
        self.emit_train_header(head, send, payload_len, 1);
    }

    /// The same for what a device makes `count` packets of, which it numbers from this one's identification on: no other packet
    /// gets those numbers.
    pub fn emit_train_header(&mut self, head: &mut HeadBuf, send: &IpSend, payload_len: usize, count: u64) {
        match (send.source, send.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                self.ipv4_header(send, source, destination, count).emit(head, payload_len);
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let ports = head.as_slice().first_chunk().copied().unwrap_or_default();
                self.ipv6_header(send, source, destination, ports).emit(head, payload_len);
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {}
        }
    }

    /// Queues a datagram: as one packet, or as fragments if the path takes less [1122-I119]. It is sent whole or not at
    /// all. Drain [`poll_transmit`](Self::poll_transmit) next.
    pub fn send(
        &mut self,
        _now: Instant,
        send: &IpSend,
        path: &PathInfo,
        payload: &[&[u8]],
    ) -> Result<(), SendError> {
        self.send_with_options(send, path, &[], payload)
    }

    /// The same, with IPv4 options, whose length is a multiple of four.
    pub(crate) fn send_with_options(
        &mut self,
        send: &IpSend,
        path: &PathInfo,
        options: &[u8],
        payload: &[&[u8]],
    ) -> Result<(), SendError> {
        let payload_len: usize = payload.iter().map(|piece| piece.len()).sum();
        let (header_len, counted) = match send.destination {
            IpAddr::V4(_) => (IPV4_HEADER_LEN + options.len(), IPV4_HEADER_LEN + options.len() + payload_len),
            IpAddr::V6(_) => (IPV6_HEADER_LEN, payload_len),
        };
        if counted > MAX_LENGTH_FIELD {
            return Err(SendError::TooLong);
        }
        let fits = header_len + payload_len <= usize::from(path.mtu);
        if !fits && send.dont_fragment {
            return Err(SendError::TooBig { mtu: path.mtu });
        }
        let mtu = usize::from(path.mtu);
        let packets = match (send.source, send.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let header = self.ipv4_header(send, source, destination, 1);
                if fits {
                    vec![concat(
                        header_len + payload_len,
                        &ipv4_bytes(&header, options, payload_len),
                        payload,
                    )]
                } else {
                    fragment_v4(&header, options, &payload.concat(), mtu)
                }
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let ports = first_bytes(payload);
                let header = self.ipv6_header(send, source, destination, ports);
                if fits {
                    vec![concat(header_len + payload_len, &header.to_bytes(payload_len), payload)]
                } else {
                    let id = self.identifications.next(send.source, send.destination, send.protocol, 1);
                    fragment_v6(&header, id, &payload.concat(), mtu)
                }
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {
                return Err(SendError::FamilyMismatch);
            }
        };
        let bytes = packets.iter().map(Vec::len).sum();
        if !self.outbox.has_room(packets.len(), bytes) {
            return Err(SendError::QueueFull);
        }
        if !fits {
            self.counters.fragments_sent.add(packets.len() as u64);
        }
        for packet in packets {
            self.transmit(path.next_hop, None, TxMeta::default(), packet)
                .map_err(|_| SendError::QueueFull)?;
        }
        Ok(())
    }

    fn ipv4_header(
        &mut self,
        send: &IpSend,
        source: Ipv4Addr,
        destination: Ipv4Addr,
        count: u64,
    ) -> Ipv4Header {
        let identification = if send.dont_fragment {
            // RFC 6864 4.1: that of an atomic datagram means nothing.
            0
        } else {
            let [_, _, high, low] = self
                .identifications
                .next(source.into(), destination.into(), send.protocol, count)
                .to_be_bytes();
            u16::from_be_bytes([high, low])
        };
        Ipv4Header {
            source,
            destination,
            protocol: send.protocol,
            ttl: self.hop_limit(send),
            traffic_class: send.traffic_class,
            identification,
            dont_fragment: send.dont_fragment,
            more_fragments: false,
            fragment_offset: 0,
        }
    }

    fn ipv6_header(
        &self,
        send: &IpSend,
        source: Ipv6Addr,
        destination: Ipv6Addr,
        ports: [u8; 4],
    ) -> Ipv6Header {
        let flow_label =
            self.identifications.flow_label(source.into(), destination.into(), send.protocol, ports);
        Ipv6Header {
            source,
            destination,
            next_header: send.protocol,
            hop_limit: self.hop_limit(send),
            traffic_class: send.traffic_class,
            flow_label,
        }
    }

    pub(crate) fn hop_limit(&self, send: &IpSend) -> u8 {
        let chosen = match send.hop_limit {
            Some(chosen) => chosen,
            None if send.destination.is_multicast() => 1,
            None => self.config.hop_limit,
        };
        // [1122-I021] [1812-03]
        chosen.max(1)
    }
}

/// An IPv4 header with options, which are padded to whole words already.
pub(crate) fn ipv4_bytes(header: &Ipv4Header, options: &[u8], payload_len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(IPV4_HEADER_LEN + options.len());
    bytes.extend(header.to_bytes(options.len() + payload_len));
    if !options.is_empty() {
        bytes.extend(options);
        let words = u8::try_from(bytes.len() / 4).unwrap_or(0xf).min(0xf);
        if let Some(first) = bytes.first_mut() {
            *first = 0x40 | words;
        }
        refresh_ipv4_checksum(&mut bytes);
    }
    bytes
}

/// Computes the checksum of an IPv4 header again.
pub(crate) fn refresh_ipv4_checksum(header: &mut [u8]) {
    if let Some(field) = header.get_mut(10..12) {
        field.fill(0);
    }
    let mut checksum = Checksum::new();
    checksum.add(header);
    if let Some(field) = header.get_mut(10..12) {
        field.copy_from_slice(&checksum.finish());
    }
}

/// Cuts `payload`, which `header` describes and which may be a fragment itself, into packets of at most `mtu` bytes
/// [791-06]. Later fragments carry only the options that must be copied [791-05]. Nothing if no data fits.
pub(crate) fn fragment_v4(header: &Ipv4Header, options: &[u8], payload: &[u8], mtu: usize) -> Vec<Vec<u8>> {
    let later_options = Ipv4Options::for_later_fragments(options);
    let mut packets = Vec::with_capacity(payload.len() / mtu.max(1) + 1);
    let mut options = options;
    let mut rest = payload;
    let mut offset = header.fragment_offset;
    while !rest.is_empty() {
        let room = mtu.saturating_sub(IPV4_HEADER_LEN + options.len());
        let (data, after) = split_fragment(rest, room);
        if data.is_empty() {
            return Vec::new();
        }
        let part = Ipv4Header {
            more_fragments: header.more_fragments || !after.is_empty(),
            fragment_offset: offset,
            ..*header
        };
        let bytes = ipv4_bytes(&part, options, data.len());
        packets.push(concat(bytes.len() + data.len(), &bytes, &[data]));
        offset = offset.saturating_add(u16::try_from(data.len()).unwrap_or(u16::MAX));
        options = &later_options;
        rest = after;
    }
    packets
}

/// Cuts `payload` into packets of at most `mtu` bytes that do not overlap [8200-10]; all headers after IPv6's own stand
/// at its beginning, so they are in the first [8200-11]. Nothing if no data fits.
fn fragment_v6(header: &Ipv6Header, identification: u32, payload: &[u8], mtu: usize) -> Vec<Vec<u8>> {
    let room = mtu.saturating_sub(IPV6_HEADER_LEN + IPV6_FRAGMENT_HEADER_LEN);
    let mut packets = Vec::with_capacity(payload.len() / room.max(1) + 1);
    let mut rest = payload;
    let mut offset = 0u16;
    while !rest.is_empty() {
        let (data, after) = split_fragment(rest, room);
        if data.is_empty() {
            return Vec::new();
        }
        let fragment = Ipv6FragmentHeader {
            next_header: header.next_header,
            offset,
            more_fragments: !after.is_empty(),
            identification,
        };
        let fixed = Ipv6Header { next_header: Protocol::FRAGMENT, ..*header };
        let len = IPV6_FRAGMENT_HEADER_LEN + data.len();
        packets.push(concat(IPV6_HEADER_LEN + len, &fixed.to_bytes(len), &[&fragment.to_bytes(), data]));
        offset = offset.saturating_add(u16::try_from(data.len()).unwrap_or(u16::MAX));
        rest = after;
    }
    packets
}

/// As much as fits in `room`: all of it, or a multiple of eight bytes [8200-09].
fn split_fragment(rest: &[u8], room: usize) -> (&[u8], &[u8]) {
    if rest.len() <= room {
        return (rest, &[]);
    }
    rest.split_at_checked(room & !7).unwrap_or((&[], rest))
}

fn concat(len: usize, header: &[u8], pieces: &[&[u8]]) -> Vec<u8> {
    let mut packet = Vec::with_capacity(len);
    packet.extend_from_slice(header);
    for piece in pieces {
        packet.extend_from_slice(piece);
    }
    packet
}

/// The first four bytes of a payload in pieces.
fn first_bytes(payload: &[&[u8]]) -> [u8; 4] {
    let mut bytes = [0; 4];
    for (slot, &byte) in bytes.iter_mut().zip(payload.iter().copied().flatten()) {
        *slot = byte;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use netloom_wire::Ipv4Packet;

    use super::*;

    fn header() -> Ipv4Header {
        Ipv4Header {
            source: Ipv4Addr::new(10, 0, 0, 1),
            destination: Ipv4Addr::new(10, 0, 0, 2),
            protocol: Protocol::UDP,
            ttl: 3,
            traffic_class: 0,
            identification: 77,
            dont_fragment: false,
            more_fragments: false,
            fragment_offset: 0,
        }
    }

    #[test]
    fn fragments_cover_the_payload_and_copy_what_must_be_copied() {
        // [791-05] [791-06]
        let options = [7, 7, 4, 0, 0, 0, 0, 148, 4, 0, 0, 0];
        let payload: Vec<u8> = (0..500u16).map(|n| n.to_be_bytes()[1]).collect();
        let packets = fragment_v4(&header(), &options, &payload, 100);
        let mut covered: Vec<u8> = Vec::new();
        for (index, bytes) in packets.iter().enumerate() {
            assert!(bytes.len() <= 100);
            let packet = Ipv4Packet::parse(bytes).unwrap();
            assert!(packet.checksum_is_valid());
            assert_eq!(usize::from(packet.header.fragment_offset), covered.len());
            assert_eq!(packet.header.more_fragments, index + 1 < packets.len());
            assert_eq!(packet.options, if index == 0 { &options[..] } else { &[148, 4, 0, 0] });
            covered.extend(packet.payload);
        }
        assert_eq!(covered, payload);
    }

    #[test]
    fn fragments_of_a_fragment_keep_its_place() {
        let middle = Ipv4Header { more_fragments: true, fragment_offset: 1480, ..header() };
        let packets = fragment_v4(&middle, &[], &[1; 160], 100);
        let places: Vec<_> = packets
            .iter()
            .map(|bytes| Ipv4Packet::parse(bytes).unwrap().header)
            .map(|header| (header.fragment_offset, header.more_fragments))
            .collect();
        assert_eq!(places, [(1480, true), (1560, true)]);
    }
}
