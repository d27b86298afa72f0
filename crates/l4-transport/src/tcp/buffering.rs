//! How much a connection may hold: its windows and buffers between the path, the reader, the writer and the memory that
//! all connections share.
//!
//! # Not here
//! What a reader is worth (`window_tuner.rs`), what all hold together (`memory.rs`).

use core::time::Duration;

use netloom_base::Instant;
use netloom_wire::SeqNumber;
use tracing::trace;

use super::connection::{Connection, Context};
use super::isn::timestamp;
use super::memory::Memory;
use super::segment::Segment;

/// Bytes that a socket takes for sending while memory is short, if the congestion window is smaller.
const SHORT_SEND_BUFFER: u32 = 16 * 1024;

/// Echoes that are older say that they are not ours.
const OLDEST_ECHO_MILLIS: u32 = 120_000;

impl Connection {
    /// Text came in order: the tuner learns the round trip from it.
    pub(super) fn tune_window_on_text(&mut self, now: Instant, segment: &Segment<'_>) {
        let echo = segment
            .header
            .options
            .timestamps
            .filter(|theirs| self.negotiated.timestamps && theirs.echo_reply != 0)
            .map(|theirs| timestamp(now, self.ts_offset).wrapping_sub(theirs.echo_reply))
            .filter(|&millis| millis <= OLDEST_ECHO_MILLIS)
            .map(|millis| Duration::from_millis(u64::from(millis.max(1))));
        self.receiver.tune_on_text(now, self.rtt.srtt(), echo);
    }

    /// By how many bytes the buffer may grow that text at `start` goes to: what waits for a hole to be filled never takes the
    /// reserve of what fills it.
    pub(super) fn receive_growth(&self, memory: &Memory, start: SeqNumber) -> usize {
        memory.growth_of(self.receiver.allocated_for(start))
    }

    /// How many of `len` bytes the memory of the stack allows the socket to take for sending.
    pub(super) fn send_allowance(&self, cx: &mut Context<'_>, len: usize) -> usize {
        let queue = &self.sender.queue;
        let most = if cx.memory.is_short() {
            let wanted = self.congestion.window().max(SHORT_SEND_BUFFER) as usize;
            len.min(wanted.saturating_sub(queue.len()))
        } else {
            len
        };
        let allowed = queue.fitting(most, cx.memory.growth_of(queue.allocated()));
        if allowed < most {
            trace!(tuple = %self.tuple, len, allowed, "no memory");
            cx.counters.memory_refusals.increment();
        }
        allowed
    }
}
