//! TCP headers (RFC 9293 3.1).

use core::fmt;
use core::net::IpAddr;
use core::ops::BitOr;

use etherparse::TcpHeaderSlice;
use etherparse::err::tcp::HeaderSliceError;

use crate::tcp_options::{TCP_OPTIONS_MAX_LEN, TcpOptions};
use crate::{Checksum, HeadBuf, ParseError, Protocol, SeqNumber};

/// Bytes of a TCP header without options.
pub const TCP_HEADER_LEN: usize = 20;

/// The control bits, in wire order.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// None set.
    pub const NONE: Self = Self(0);
    /// The sender has no more data.
    pub const FIN: Self = Self(0x01);
    /// Synchronize sequence numbers.
    pub const SYN: Self = Self(0x02);
    /// Reset the connection.
    pub const RST: Self = Self(0x04);
    /// Push.
    pub const PSH: Self = Self(0x08);
    /// The acknowledgment field counts.
    pub const ACK: Self = Self(0x10);
    /// The urgent pointer counts.
    pub const URG: Self = Self(0x20);
    /// ECN echo (RFC 3168).
    pub const ECE: Self = Self(0x40);
    /// Congestion window reduced (RFC 3168).
    pub const CWR: Self = Self(0x80);

    /// Whether all of `flags` are set.
    pub const fn contains(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// Whether any of `flags` is set.
    pub const fn intersects(self, flags: Self) -> bool {
        self.0 & flags.0 != 0
    }

    /// These without `flags`.
    #[must_use]
    pub const fn without(self, flags: Self) -> Self {
        Self(self.0 & !flags.0)
    }
}

impl BitOr for TcpFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Debug for TcpFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// As tcpdump writes them: `[S.]` is SYN and ACK.
impl fmt::Display for TcpFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LETTERS: [(TcpFlags, char); 8] = [
            (TcpFlags::FIN, 'F'),
            (TcpFlags::SYN, 'S'),
            (TcpFlags::RST, 'R'),
            (TcpFlags::PSH, 'P'),
            (TcpFlags::ACK, '.'),
            (TcpFlags::URG, 'U'),
            (TcpFlags::ECE, 'E'),
            (TcpFlags::CWR, 'W'),
        ];
        let text: String =
            LETTERS.iter().filter(|(flag, _)| self.contains(*flag)).map(|&(_, letter)| letter).collect();
        write!(f, "[{}]", if text.is_empty() { "none" } else { &text })
    }
}

/// A TCP header with its options.
///
/// ```text
/// |          Source Port          |       Destination Port        |
/// |                        Sequence Number                        |
/// |                    Acknowledgment Number                      |
/// | Offset|Rsrvd|   Control Bits  |            Window             |
/// |           Checksum            |         Urgent Pointer        |
/// |                           [Options]                           |
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpHeader {
    /// The sender's port.
    pub source_port: u16,
    /// The receiver's port.
    pub destination_port: u16,
    /// SEG.SEQ.
    pub sequence: SeqNumber,
    /// SEG.ACK; meaningful only with the ACK bit.
    pub acknowledgment: SeqNumber,
    /// The control bits.
    pub flags: TcpFlags,
    /// SEG.WND as on the wire, not scaled. [9293 MUST-1]
    pub window: u16,
    /// SEG.UP; meaningful only with the URG bit.
    pub urgent_pointer: u16,
    /// The options.
    pub options: TcpOptions,
}

/// A received segment.
#[derive(Clone, Copy, Debug)]
pub struct TcpSegment<'a> {
    /// Its header.
    pub header: TcpHeader,
    /// Its text.
    pub payload: &'a [u8],
}

impl<'a> TcpSegment<'a> {
    /// Reads a segment. The checksum is the caller's to verify ([`checksum_is_valid`](Self::checksum_is_valid)),
    /// before anything else is believed.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let slice = TcpHeaderSlice::from_slice(bytes).map_err(|error| match error {
            HeaderSliceError::Len(_) => ParseError::Truncated,
            HeaderSliceError::Content(_) => ParseError::BadLength,
        })?;
        let header_bytes = slice.slice();
        let payload = bytes.get(header_bytes.len()..).ok_or(ParseError::Truncated)?;
        let options = TcpOptions::parse(header_bytes.get(TCP_HEADER_LEN..).unwrap_or_default())?;
        let header = TcpHeader {
            source_port: slice.source_port(),
            destination_port: slice.destination_port(),
            sequence: SeqNumber(slice.sequence_number()),
            acknowledgment: SeqNumber(slice.acknowledgment_number()),
            flags: TcpFlags(header_bytes.get(13).copied().unwrap_or_default()),
            window: slice.window_size(),
            urgent_pointer: slice.urgent_pointer(),
            options,
        };
        Ok(Self { header, payload })
    }

    /// Whether the checksum of a segment's `bytes` adds up. [9293 MUST-3]
    pub fn checksum_is_valid(bytes: &[u8], source: IpAddr, destination: IpAddr) -> bool {
        let mut checksum = Checksum::pseudo_header(source, destination, Protocol::TCP, bytes.len());
        checksum.add(bytes);
        checksum.is_valid()
    }

    /// SEG.LEN: the segment's length in sequence space, SYN and FIN included.
    pub fn sequence_len(&self) -> u32 {
        let controls = u32::from(self.header.flags.contains(TcpFlags::SYN))
            + u32::from(self.header.flags.contains(TcpFlags::FIN));
        u32::try_from(self.payload.len()).unwrap_or(u32::MAX).saturating_add(controls)
    }
}

impl TcpHeader {
    /// Bytes of the header, options included.
    pub fn header_len(&self) -> usize {
        TCP_HEADER_LEN + self.options.emitted_len()
    }

    /// Puts the header, with the checksum over `payload`, in front of `head`, which must be empty.
    /// With `partial` only the pseudo-header is summed, and a device does the rest. [9293 MUST-2]
    pub fn emit(
        &self,
        head: &mut HeadBuf,
        source: IpAddr,
        destination: IpAddr,
        payload: &[&[u8]],
        partial: bool,
    ) {
        let mut buffer = [0; TCP_HEADER_LEN + TCP_OPTIONS_MAX_LEN];
        let options_len = self.options.emit(&mut buffer[TCP_HEADER_LEN..]);
        let (bytes, _) = buffer.split_at_mut(TCP_HEADER_LEN + options_len);
        bytes[..2].copy_from_slice(&self.source_port.to_be_bytes());
        bytes[2..4].copy_from_slice(&self.destination_port.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.sequence.0.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.acknowledgment.0.to_be_bytes());
        bytes[12] = u8::try_from(bytes.len() / 4).unwrap_or(15) << 4;
        bytes[13] = self.flags.0;
        bytes[14..16].copy_from_slice(&self.window.to_be_bytes());
        bytes[18..20].copy_from_slice(&self.urgent_pointer.to_be_bytes());
        let len = bytes.len() + payload.iter().map(|piece| piece.len()).sum::<usize>();
        let mut checksum = Checksum::pseudo_header(source, destination, Protocol::TCP, len);
        let field = if partial {
            checksum.partial()
        } else {
            checksum.add(bytes);
            for piece in payload {
                checksum.add(piece);
            }
            checksum.finish()
        };
        bytes[16..18].copy_from_slice(&field);
        head.prepend(bytes);
    }
}

#[cfg(test)]
mod tests;
