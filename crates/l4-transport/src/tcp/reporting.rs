//! Which segments carry SACK blocks (RFC 2018, RFC 2883).
//!
//! An acknowledgment that is due at once and has blocks goes alone, before any text: a full segment of text has no room
//! for them, and in a conversation both ways the peer would never hear of its losses. Besides, a segment with text
//! carries as many as fit into its MSS behind its text.
//!
//! # Not here
//! The blocks and their order: `sack.rs`.

use netloom_wire::{OptionTail, SackBlocks, TcpFlags, TcpOptions};

use super::connection::{Connection, Context};
use super::receiver::AckDue;
use super::segment::Segment;

/// Bytes that the option takes besides its blocks, padding included, and for each block.
const OPTION_LEN: u32 = 4;
const BLOCK_LEN: u32 = 8;
/// Blocks that fit beside timestamps.
const BLOCKS_BESIDE_TIMESTAMPS: usize = 3;

impl Connection {
    /// The options of a segment that acknowledges, and has `room` bytes left for SACK blocks. Without an agreement there
    /// are none, and none on a SYN or a reset. [2018-02] [2018-03] [2018-04]
    pub(super) fn ack_options(&mut self, cx: &mut Context<'_>, room: u32) -> TcpOptions {
        let options = self.segment_options(cx.now);
        if !self.receiver.has_blocks() {
            return options;
        }
        let most = if options.timestamps.is_some() { BLOCKS_BESIDE_TIMESTAMPS } else { SackBlocks::CAPACITY };
        let capacity = most.min((room.saturating_sub(OPTION_LEN) / BLOCK_LEN) as usize);
        let (sack, has_duplicate) = self.receiver.take_blocks(capacity);
        if has_duplicate {
            cx.counters.duplicates_reported.increment();
        }
        let tail = if sack.is_empty() { OptionTail::None } else { OptionTail::Sack(sack) };
        TcpOptions { tail, ..options }
    }

    /// Whether an acknowledgment is due at once that tells of more than RCV.NXT: it goes before text, which has no room.
    pub(super) fn is_report_due(&self) -> bool {
        self.receiver.has_blocks() && matches!(self.receiver.ack_due(), AckDue::Now(_))
    }

    /// Notes what of a segment has come before; whether there was any. A SYN is no text that came twice: it is
    /// challenged.
    pub(super) fn note_duplicate(&mut self, segment: &Segment<'_>) -> bool {
        let is_syn = segment.has(TcpFlags::SYN);
        !is_syn && self.receiver.note_duplicate(segment.header.sequence, segment.end())
    }
}
