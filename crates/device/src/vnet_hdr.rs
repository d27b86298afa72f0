//! The virtio network header: ten bytes that go with every frame of a queue with offloads.
//!
//! ```text
//!   byte   0      1          2..4      4..6       6..8         8..10
//!        flags  gso_type   hdr_len   gso_size   csum_start   csum_offset
//! ```
//!
//! All fields are little-endian: the queue asks the kernel for that (`TUNSETVNETLE`) whatever the machine's order is.
//! `csum_start` counts from the start of the frame, not of this header.
//!
//! *Not here.* Anything that the header does not say. A flag of 1 from the kernel means that the checksum field holds
//! the pseudo-header's sum; the frame never crossed a wire, and nothing is there to verify.
//!
//! Source: Virtual I/O Device (VIRTIO) 1.2, section 5.1.6; `linux/virtio_net.h`.

use std::io;
use std::num::NonZeroU16;

use netloom_base::{Gso, GsoKind, RxChecksum, RxMeta, TxChecksum, TxMeta};

/// Bytes of the header.
pub(crate) const VNET_HDR_LEN: usize = 10;

const FLAG_NEEDS_CHECKSUM: u8 = 1;
const FLAG_DATA_VALID: u8 = 2;

const GSO_NONE: u8 = 0;
const GSO_TCP4: u8 = 1;
const GSO_TCP6: u8 = 4;
const GSO_UDP: u8 = 5;
/// Beside a TCP type: the first segment alone carries CWR.
const GSO_ECN: u8 = 0x80;

/// Where a TCP checksum lies in its header, in bytes; the other transports have theirs elsewhere.
const TCP_CHECKSUM_AT: u16 = 16;
/// Where a TCP header says how long it is, in the upper half of the byte, in words of four bytes.
const TCP_DATA_OFFSET_AT: usize = 12;
const UDP_HEADER_LEN: usize = 8;

/// What the header says of a frame that was received.
pub(crate) fn parse(header: [u8; VNET_HDR_LEN]) -> io::Result<RxMeta> {
    let [flags, gso_type, _, _, size_low, size_high, ..] = header;
    let checksum = if flags & (FLAG_NEEDS_CHECKSUM | FLAG_DATA_VALID) == 0 {
        RxChecksum::Unknown
    } else {
        RxChecksum::Trusted
    };
    let kind = match gso_type & !GSO_ECN {
        GSO_NONE => return Ok(RxMeta { checksum, gso: None }),
        GSO_TCP4 => GsoKind::Tcp4,
        GSO_TCP6 => GsoKind::Tcp6,
        GSO_UDP => GsoKind::Udp,
        // A kind that nobody asked for: how to count it is unknown.
        _ => return Err(io::ErrorKind::InvalidData.into()),
    };
    let segment_size =
        NonZeroU16::new(u16::from_le_bytes([size_low, size_high])).ok_or(io::ErrorKind::InvalidData)?;
    Ok(RxMeta { checksum, gso: Some(Gso { kind, segment_size, ecn: gso_type & GSO_ECN != 0 }) })
}

/// The header of a frame to be sent, whose bytes are these parts.
///
/// # Errors
/// `InvalidInput` for what the kernel would refuse or misread: a place to sum beyond the frame's end, a super-segment
/// without one.
pub(crate) fn emit(meta: TxMeta, parts: [&[u8]; 3]) -> io::Result<[u8; VNET_HDR_LEN]> {
    let TxMeta { checksum, gso } = meta;
    let (start, offset) = match (checksum, gso) {
        (TxChecksum::Complete, None) => return Ok([0; VNET_HDR_LEN]),
        // Each segment gets a checksum of its own.
        (TxChecksum::Complete, Some(_)) => return Err(io::ErrorKind::InvalidInput.into()),
        (TxChecksum::Partial { start, offset }, _) => (start, offset),
    };
    let len: usize = parts.iter().map(|part| part.len()).sum();
    if usize::from(start) + usize::from(offset) + 2 > len {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let (gso_type, hdr_len, gso_size) = match gso {
        None => (GSO_NONE, 0, 0),
        Some(Gso { kind, segment_size, ecn }) => {
            let hdr_len = headers_len(parts, start.into(), offset).filter(|&headers| headers <= len);
            let hdr_len = hdr_len.and_then(|headers| u16::try_from(headers).ok());
            let ecn = if ecn { GSO_ECN } else { 0 };
            let gso_type = match kind {
                GsoKind::Tcp4 => GSO_TCP4 | ecn,
                GsoKind::Tcp6 => GSO_TCP6 | ecn,
                GsoKind::Udp => GSO_UDP,
            };
            (gso_type, hdr_len.ok_or(io::ErrorKind::InvalidInput)?, segment_size.get())
        }
    };
    let mut header = [0; VNET_HDR_LEN];
    let (first, fields) = header.split_at_mut(2);
    first.copy_from_slice(&[FLAG_NEEDS_CHECKSUM, gso_type]);
    for (field, value) in fields.as_chunks_mut::<2>().0.iter_mut().zip([hdr_len, gso_size, start, offset]) {
        *field = value.to_le_bytes();
    }
    Ok(header)
}

/// Bytes of a frame before its transport's payload.
fn headers_len(parts: [&[u8]; 3], transport_at: usize, checksum_at: u16) -> Option<usize> {
    if checksum_at != TCP_CHECKSUM_AT {
        return Some(transport_at + UDP_HEADER_LEN);
    }
    let words = byte_at(parts, transport_at + TCP_DATA_OFFSET_AT)? >> 4;
    Some(transport_at + usize::from(words) * 4)
}

fn byte_at(parts: [&[u8]; 3], mut index: usize) -> Option<u8> {
    for part in parts {
        if let Some(&byte) = part.get(index) {
            return Some(byte);
        }
        index -= part.len();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gso(kind: GsoKind, ecn: bool) -> Gso {
        Gso { kind, segment_size: NonZeroU16::new(1448).unwrap(), ecn }
    }

    #[test]
    fn every_header_of_the_kernel_is_understood() {
        let header = |flags, gso_type, size: u16| {
            let [low, high] = size.to_le_bytes();
            [flags, gso_type, 66, 0, low, high, 34, 0, 16, 0]
        };
        let trusted = |gso| RxMeta { checksum: RxChecksum::Trusted, gso };
        for (bytes, expected) in [
            (header(0, 0, 0), Some(RxMeta::default())),
            (header(1, 0, 0), Some(trusted(None))),
            (header(2, 0, 0), Some(trusted(None))),
            (header(1, 1, 1448), Some(trusted(Some(gso(GsoKind::Tcp4, false))))),
            (header(1, 4, 1448), Some(trusted(Some(gso(GsoKind::Tcp6, false))))),
            (header(1, 5, 1448), Some(trusted(Some(gso(GsoKind::Udp, false))))),
            (header(1, 0x81, 1448), Some(trusted(Some(gso(GsoKind::Tcp4, true))))),
            (header(1, 1, 0), None),
            (header(1, 3, 1448), None),
            (header(1, 9, 1448), None),
        ] {
            assert_eq!(parse(bytes).ok(), expected, "{bytes:?}");
        }
    }

    #[test]
    fn a_finished_frame_has_an_empty_header() {
        assert_eq!(emit(TxMeta::default(), [b"frame", b"", b""]).unwrap(), [0; VNET_HDR_LEN]);
    }

    #[test]
    fn what_is_left_to_do_is_said_in_the_header() {
        let mut head = [0; 66];
        head[34 + TCP_DATA_OFFSET_AT] = 0x80;
        let tcp = TxChecksum::Partial { start: 34, offset: 16 };
        let udp = TxChecksum::Partial { start: 34, offset: 6 };
        for (checksum, gso, expected) in [
            (tcp, None, [1, 0, 0, 0, 0, 0, 34, 0, 16, 0]),
            (tcp, Some(gso(GsoKind::Tcp4, false)), [1, 1, 66, 0, 0xa8, 5, 34, 0, 16, 0]),
            (tcp, Some(gso(GsoKind::Tcp6, true)), [1, 0x84, 66, 0, 0xa8, 5, 34, 0, 16, 0]),
            (udp, Some(gso(GsoKind::Udp, true)), [1, 5, 42, 0, 0xa8, 5, 34, 0, 6, 0]),
        ] {
            let meta = TxMeta { checksum, gso };
            assert_eq!(emit(meta, [&head, b"payload", b""]).unwrap(), expected, "{meta:?}");
            // The same frame in other pieces.
            assert_eq!(emit(meta, [&head[..14], &head[14..40], &head[40..]]).unwrap(), expected, "{meta:?}");
        }
    }

    #[test]
    fn what_the_kernel_would_refuse_or_misread_is_refused() {
        let tcp = TxChecksum::Partial { start: 34, offset: 16 };
        let segment = Some(gso(GsoKind::Tcp4, false));
        // The checksum field's second byte is missing; a header beyond the end; a train without checksums.
        let beyond = TxMeta { checksum: tcp, gso: None };
        assert!(emit(beyond, [&[0; 51], b"", b""]).is_err());
        assert!(emit(beyond, [&[0; 51], b"", b"x"]).is_ok());
        assert!(emit(TxMeta { checksum: tcp, gso: segment }, [&[0xff; 60], b"", b""]).is_err());
        assert!(emit(TxMeta { checksum: TxChecksum::Complete, gso: segment }, [&[0; 90], b"", b""]).is_err());
    }
}
