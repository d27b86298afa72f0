//! What the device allows at most: a server that answers frames as they come and remembers nothing.
//!
//! # Theory of operation
//! An echo request or a datagram is sent back with its addresses exchanged. A TCP segment is answered from what stands in it:
//! its acknowledgment is our number, its end is our acknowledgment. Nothing is queued, ordered, timed or sent again, so that
//! this works only where nothing is lost; what a stack is slower than this is what it costs. One connection at a time is
//! filled with super-segments as far as its window goes ([`Source`]), without congestion control.

mod headers;
mod source;

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use netloom_base::{Medium, TxMeta};
use netloom_device::{Offload, Queue, RECEIVE_BUFFER_LEN, TunTap, TunTapConfig};
use netloom_wire::{
    ArpOperation, ArpPacket, EtherType, EthernetFrame, HeadBuf, Icmpv4Message, Ipv4Packet, Protocol,
    TcpFlags, TcpHeader, TcpOptions, TcpSegment, UdpDatagram, UdpHeader,
};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::server::{RESPONSE, ports};
use headers::{ISS, MSS, OUR_LINK, ip_header, link_header};
use source::Source;

const WINDOW_SCALE: u8 = 7;
/// How long it looks for the next frame before it sleeps: as long as netloom does.
const SPIN: Duration = Duration::from_micros(50);
/// Frames that are answered before a connection is filled.
const FRAMES_PER_TURN: usize = 64;

/// Serves behind `tap` as `address` until the process is killed; `spin` is how long it looks for the next frame before it sleeps, if
/// not as long as netloom.
pub(crate) fn serve(tap: &str, address: Ipv4Addr, spin: Option<Duration>) -> Result<()> {
    let config = TunTapConfig { kind: Medium::Ethernet, name: tap.to_owned(), mtu: 1500 };
    let tap = TunTap::open_offloading(&config, Offload::Full).context("the TAP cannot be opened")?;
    let is_alone = std::thread::available_parallelism()?.get() == 1;
    let spin = spin.unwrap_or(if is_alone { Duration::ZERO } else { SPIN });
    let mut mirror = Mirror { tap, address, head: HeadBuf::new(), source: None };
    let mut buffer = vec![0; RECEIVE_BUFFER_LEN];
    println!("ready");
    let mut last_frame = Instant::now();
    loop {
        let mut has_news = false;
        for _ in 0..FRAMES_PER_TURN {
            match mirror.tap.recv(&mut buffer) {
                Ok(received) => {
                    has_news = true;
                    mirror.answer(received.bytes_in(&buffer))?;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error).context("the TAP is gone"),
            }
        }
        if let Some(source) = &mut mirror.source {
            has_news |= source.fill(&mut mirror.tap, &mut mirror.head)?;
        }
        if has_news {
            last_frame = Instant::now();
        } else if last_frame.elapsed() >= spin {
            poll(&mut [PollFd::new(mirror.tap.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE)?;
        }
    }
}

struct Mirror {
    tap: TunTap,
    address: Ipv4Addr,
    head: HeadBuf,
    source: Option<Source>,
}

/// What to send back over TCP.
struct Answer<'a> {
    header: TcpHeader,
    text: &'a [u8],
}

impl Mirror {
    /// Answers one frame, if it is one to answer.
    fn answer(&mut self, frame: &[u8]) -> io::Result<()> {
        let Ok(frame) = EthernetFrame::parse(frame) else { return Ok(()) };
        let peer = frame.header.source;
        if frame.header.ether_type == EtherType::ARP {
            return self.answer_arp(frame.payload);
        }
        let Ok(packet) = Ipv4Packet::parse(frame.payload) else { return Ok(()) };
        if packet.header.destination != self.address {
            return Ok(());
        }
        let (us, them) = (IpAddr::from(self.address), IpAddr::from(packet.header.source));
        self.head.clear();
        let text: &[u8] = match packet.header.protocol {
            Protocol::ICMP => {
                let Ok(Icmpv4Message::EchoRequest { identifier, sequence, data }) =
                    Icmpv4Message::parse(packet.payload)
                else {
                    return Ok(());
                };
                let reply = Icmpv4Message::EchoReply { identifier, sequence, data };
                self.head.prepend(&reply.to_header());
                data
            }
            Protocol::UDP => {
                let Ok(datagram) = UdpDatagram::parse(packet.payload) else { return Ok(()) };
                let UdpHeader { source_port, destination_port } = datagram.header;
                let header = UdpHeader { source_port: destination_port, destination_port: source_port };
                header.emit(&mut self.head, us, them, &[datagram.payload], false);
                datagram.payload
            }
            Protocol::TCP => {
                let Ok(segment) = TcpSegment::parse(packet.payload) else { return Ok(()) };
                if segment.header.destination_port == ports::SOURCE {
                    Source::hear(
                        &mut self.source,
                        &segment.header,
                        peer,
                        (self.address, packet.header.source),
                    );
                }
                let Some(Answer { header, text }) = answer_to(&segment) else { return Ok(()) };
                header.emit(&mut self.head, us, them, &[text], false);
                text
            }
            _ => return Ok(()),
        };
        let payload_len = self.head.len() + text.len();
        ip_header(self.address, packet.header.source, packet.header.protocol)
            .emit(&mut self.head, payload_len);
        link_header(peer, EtherType::IPV4).emit(&mut self.head);
        self.tap.send(TxMeta::default(), self.head.as_slice(), [text, &[]])
    }

    fn answer_arp(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Ok(request) = ArpPacket::parse(bytes) else { return Ok(()) };
        if request.operation != ArpOperation::Request || request.target_ip != self.address {
            return Ok(());
        }
        self.head.clear();
        ArpPacket {
            operation: ArpOperation::Reply,
            sender_link: OUR_LINK,
            sender_ip: self.address,
            target_link: request.sender_link,
            target_ip: request.sender_ip,
        }
        .emit(&mut self.head);
        link_header(request.sender_link, EtherType::ARP).emit(&mut self.head);
        self.tap.send(TxMeta::default(), self.head.as_slice(), [&[], &[]])
    }
}

/// What a segment is answered with, from what stands in it alone; nothing to a bare acknowledgment or a reset.
fn answer_to<'a>(segment: &TcpSegment<'a>) -> Option<Answer<'a>> {
    let TcpSegment { header: theirs, payload } = segment;
    if theirs.flags.contains(TcpFlags::RST) || segment.sequence_len() == 0 {
        return None;
    }
    let header = TcpHeader {
        source_port: theirs.destination_port,
        destination_port: theirs.source_port,
        sequence: theirs.acknowledgment,
        acknowledgment: theirs.sequence + segment.sequence_len(),
        flags: TcpFlags::ACK,
        window: u16::MAX,
        urgent_pointer: 0,
        options: TcpOptions::default(),
    };
    if theirs.flags.contains(TcpFlags::SYN) {
        let window_scale = theirs.options.window_scale.map(|_| WINDOW_SCALE);
        let options = TcpOptions { mss: Some(MSS), window_scale, ..TcpOptions::default() };
        let header = TcpHeader { sequence: ISS, flags: TcpFlags::SYN | TcpFlags::ACK, options, ..header };
        return Some(Answer { header, text: &[] });
    }
    let text: &[u8] = match theirs.destination_port {
        ports::BARE_HTTP if payload.ends_with(b"\r\n\r\n") => RESPONSE,
        ports::ECHO => payload,
        _ => &[],
    };
    let mut flags = TcpFlags::ACK;
    if !text.is_empty() {
        flags = flags | TcpFlags::PSH;
    }
    if theirs.flags.contains(TcpFlags::FIN) {
        flags = flags | TcpFlags::FIN;
    }
    Some(Answer { header: TcpHeader { flags, ..header }, text })
}

#[cfg(test)]
mod tests {
    use netloom_wire::SeqNumber;

    use super::*;

    fn theirs(flags: TcpFlags, port: u16) -> TcpHeader {
        TcpHeader {
            source_port: 40_000,
            destination_port: port,
            sequence: SeqNumber(u32::MAX),
            acknowledgment: SeqNumber(7),
            flags,
            window: 1000,
            urgent_pointer: 0,
            options: TcpOptions::default(),
        }
    }

    fn answer(
        flags: TcpFlags,
        port: u16,
        payload: &[u8],
    ) -> Option<(SeqNumber, SeqNumber, TcpFlags, Vec<u8>)> {
        let segment = TcpSegment { header: theirs(flags, port), payload };
        answer_to(&segment).map(|Answer { header, text }| {
            assert_eq!((header.source_port, header.destination_port), (port, 40_000));
            (header.sequence, header.acknowledgment, header.flags, text.to_vec())
        })
    }

    #[test]
    fn a_segment_says_what_it_is_answered_with() {
        let (syn, ack, psh, fin) = (TcpFlags::SYN, TcpFlags::ACK, TcpFlags::PSH, TcpFlags::FIN);
        for (flags, port, payload, expected) in [
            (syn, ports::ECHO, &b""[..], Some((ISS, SeqNumber(0), syn | ack, &b""[..]))),
            (ack, ports::ECHO, b"", None),
            (ack | TcpFlags::RST, ports::ECHO, b"", None),
            (ack | psh, ports::ECHO, b"abc", Some((SeqNumber(7), SeqNumber(2), ack | psh, b"abc"))),
            (ack | fin, ports::ECHO, b"a", Some((SeqNumber(7), SeqNumber(1), ack | psh | fin, b"a"))),
            (ack, ports::BARE_HTTP, b"GET / HTTP/1.1\r\n", Some((SeqNumber(7), SeqNumber(15), ack, b""))),
            (ack, ports::BARE_HTTP, b"\r\n\r\n", Some((SeqNumber(7), SeqNumber(3), ack | psh, RESPONSE))),
        ] {
            let expected = expected.map(|(sequence, ack, flags, text)| (sequence, ack, flags, text.to_vec()));
            assert_eq!(answer(flags, port, payload), expected, "{flags:?} {port} {payload:?}");
        }
    }
}
