//! One fragment as it came, and what can be wrong with it.

use core::fmt;
use core::net::IpAddr;

use netloom_base::{DropReason, InterfaceId};
use netloom_wire::{Checksum, IPV4_HEADER_LEN, IPV6_HEADER_LEN, Protocol};

/// Largest total length of IPv4 and largest payload length of IPv6.
const MAX_LENGTH_FIELD: usize = 65_535;

/// The ECN codepoint "congestion experienced" (RFC 3168 5).
const CE: u8 = 0b11;
/// The ECN codepoint "not ECN-capable".
const NOT_ECT: u8 = 0b00;

/// Which fragments belong together.
// [791-07]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FragmentKey {
    /// Who sent them.
    pub source: IpAddr,
    /// Whom they are for.
    pub destination: IpAddr,
    /// What they carry, in IPv4. `None` in IPv6, where fragments may differ in it (RFC 8200 4.5).
    pub protocol: Option<Protocol>,
    /// The sender's number: 16 bits in IPv4, 32 in IPv6.
    pub identification: u32,
    /// The interface, for addresses that mean something only there (link-local ones); `None` for all others, whose
    /// fragments may come by several ways.
    pub scope: Option<InterfaceId>,
}

/// The family's part of a fragment: what must change in its header when the fragments are one packet again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FragmentHeader {
    /// Total length, more-fragments flag, offset and checksum.
    Ipv4,
    /// Payload length, and the field that announced the Fragment header.
    Ipv6 {
        /// Where in the packet the next-header field is that says 44.
        next_header_at: usize,
        /// What it says in the whole packet: the Fragment header's own next-header field.
        next_header: Protocol,
    },
}

/// A fragment: a packet, and where things are in it.
#[derive(Clone, Copy, Debug)]
pub struct Fragment<'a> {
    /// The packet, cut to the length that its header tells.
    pub packet: &'a [u8],
    /// Bytes of the headers that the whole packet keeps: with options in IPv4, up to the Fragment header in IPv6.
    pub header_len: usize,
    /// Where the fragment's data begins: at `header_len` in IPv4, after the Fragment header in IPv6.
    pub data_start: usize,
    /// Where the data belongs in the whole, in bytes.
    pub offset: u16,
    /// Whether more follows.
    pub more: bool,
    /// The family's part.
    pub header: FragmentHeader,
}

/// Why a fragment, and perhaps those that came before it, was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FragmentError {
    /// Without data, or with a header beyond its end.
    Malformed,
    /// Not the last one, and yet not a multiple of 8 bytes. In IPv6 to be answered with a parameter problem, code 0, that
    /// points at the payload length (RFC 8200 4.5).
    UnevenLength,
    /// It ends where no packet can. In IPv6 to be answered with a parameter problem, code 0, that points at the fragment
    /// offset (RFC 8200 4.5).
    TooLong,
    /// It overlaps another, or contradicts it about where the datagram ends; the datagram is dropped, without an answer
    /// (RFC 5722 4).
    Overlap,
    /// Some fragments met congestion and others did not know ECN, so the whole has no right mark (RFC 3168 5.3). [3168-14]
    MixedEcn,
    /// No room, or too many pieces.
    Limit,
}

impl From<FragmentError> for DropReason {
    fn from(error: FragmentError) -> Self {
        match error {
            FragmentError::Malformed
            | FragmentError::UnevenLength
            | FragmentError::TooLong
            | FragmentError::MixedEcn => Self::FragmentMalformed,
            FragmentError::Overlap => Self::FragmentOverlap,
            FragmentError::Limit => Self::FragmentLimit,
        }
    }
}

impl fmt::Display for FragmentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "malformed fragment",
            Self::UnevenLength => "fragment length is not a multiple of 8",
            Self::TooLong => "fragment ends beyond the largest packet",
            Self::Overlap => "fragments overlap",
            Self::MixedEcn => "fragments with and without ECN under congestion",
            Self::Limit => "no room for fragments",
        })
    }
}

impl core::error::Error for FragmentError {}

impl<'a> Fragment<'a> {
    /// The data, once what can be said of the fragment alone is found right.
    pub(super) fn checked_data(&self) -> Result<&'a [u8], FragmentError> {
        let data = self.packet.get(self.data_start..).ok_or(FragmentError::Malformed)?;
        if self.header_len > self.data_start || self.header_len < self.header.min_len() {
            return Err(FragmentError::Malformed);
        }
        if self.is_whole() {
            return Ok(data);
        }
        if data.is_empty() {
            return Err(FragmentError::Malformed);
        }
        // [8200-14] [791-06]
        if self.more && !data.len().is_multiple_of(8) {
            return Err(FragmentError::UnevenLength);
        }
        // [8200-15]
        if !self.header.fits(self.header_len, usize::from(self.offset) + data.len()) {
            return Err(FragmentError::TooLong);
        }
        Ok(data)
    }

    /// Whether it is all there is: an atomic fragment (RFC 8200 4.5).
    pub(super) const fn is_whole(&self) -> bool {
        self.offset == 0 && !self.more
    }

    /// The ECN codepoint.
    pub(super) fn ecn(&self) -> u8 {
        let Some(&byte) = self.packet.get(1) else { return NOT_ECT };
        match self.header {
            FragmentHeader::Ipv4 => byte & CE,
            FragmentHeader::Ipv6 { .. } => (byte >> 4) & CE,
        }
    }
}

impl FragmentHeader {
    const fn min_len(self) -> usize {
        match self {
            Self::Ipv4 => IPV4_HEADER_LEN,
            Self::Ipv6 { .. } => IPV6_HEADER_LEN,
        }
    }

    /// Whether a packet with headers of `header_len` bytes and `data_len` bytes after them has a length that its header
    /// can tell.
    pub(super) const fn fits(self, header_len: usize, data_len: usize) -> bool {
        let counted = match self {
            Self::Ipv4 => header_len,
            Self::Ipv6 { .. } => header_len - IPV6_HEADER_LEN,
        };
        counted + data_len <= MAX_LENGTH_FIELD
    }

    /// Makes `packet`, the first fragment's headers and all data, a packet that never was in pieces.
    /// `ecn_seen` has bit `1 << codepoint` for each ECN codepoint of its fragments.
    pub(super) fn finish(
        self,
        packet: &mut [u8],
        header_len: usize,
        ecn_seen: u8,
    ) -> Result<(), FragmentError> {
        let data_len = packet.len().saturating_sub(header_len);
        if !self.fits(header_len, data_len) {
            return Err(FragmentError::TooLong);
        }
        let is_marked = ecn_seen & (1 << CE) != 0;
        if is_marked && ecn_seen & (1 << NOT_ECT) != 0 {
            return Err(FragmentError::MixedEcn);
        }
        let len = packet.len();
        let header = packet.get_mut(..header_len).ok_or(FragmentError::Malformed)?;
        match self {
            Self::Ipv4 => finish_ipv4(header, len, is_marked),
            Self::Ipv6 { next_header_at, next_header } => {
                *header.get_mut(next_header_at).ok_or(FragmentError::Malformed)? = next_header.0;
                finish_ipv6(header, len, is_marked)
            }
        }
        .ok_or(FragmentError::Malformed)
    }
}

fn finish_ipv4(header: &mut [u8], len: usize, is_marked: bool) -> Option<()> {
    if is_marked {
        *header.get_mut(1)? |= CE;
    }
    put_u16(header, 2, len)?;
    // Neither the offset nor "more fragments"; "don't fragment" stays.
    *header.get_mut(6)? &= 0b1100_0000;
    *header.get_mut(7)? = 0;
    header.get_mut(10..12)?.copy_from_slice(&[0; 2]);
    let mut checksum = Checksum::new();
    checksum.add(header);
    header.get_mut(10..12)?.copy_from_slice(&checksum.finish());
    Some(())
}

fn finish_ipv6(header: &mut [u8], len: usize, is_marked: bool) -> Option<()> {
    if is_marked {
        *header.get_mut(1)? |= CE << 4;
    }
    put_u16(header, 4, len.checked_sub(IPV6_HEADER_LEN)?)
}

fn put_u16(header: &mut [u8], at: usize, value: usize) -> Option<()> {
    let value = u16::try_from(value).ok()?;
    header.get_mut(at..at + 2)?.copy_from_slice(&value.to_be_bytes());
    Some(())
}
