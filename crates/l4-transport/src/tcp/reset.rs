//! The reset that answers a segment for which there is no connection (RFC 9293 3.5.2, group 1).

use netloom_wire::{SeqNumber, TcpFlags, TcpHeader, TcpOptions, TcpTimestamps};

use super::segment::{Reply, Segment};

/// The reset for `segment`; a reset itself gets none.
pub(super) fn reset_for(segment: &Segment<'_>) -> Option<Reply> {
    if segment.has(TcpFlags::RST) {
        return None;
    }
    let (sequence, acknowledgment, flags) = if segment.has(TcpFlags::ACK) {
        (segment.header.acknowledgment, SeqNumber(0), TcpFlags::RST)
    } else {
        (SeqNumber(0), segment.end(), TcpFlags::RST | TcpFlags::ACK)
    };
    // [7323-36]
    let timestamps = segment
        .header
        .options
        .timestamps
        .filter(|_| !segment.has(TcpFlags::SYN))
        .map(|theirs| TcpTimestamps { value: 0, echo_reply: theirs.value });
    let header = TcpHeader {
        source_port: segment.tuple.local_port,
        destination_port: segment.tuple.remote_port,
        sequence,
        acknowledgment,
        flags,
        window: 0,
        urgent_pointer: 0,
        options: TcpOptions { timestamps, ..TcpOptions::default() },
    };
    Some(Reply { tuple: segment.tuple, header, traffic_class: 0 })
}
