//! What TCP counts.

use netloom_base::Counter;

use super::reason::{EndReason, RetransmitCause, SendBlockedBy};

/// Numbers of one [`Tcp`](super::Tcp). Drops are counted by whoever called `input`, which returns their reason.
#[derive(Clone, Debug, Default)]
pub struct TcpCounters {
    /// Segments that came in whole and with a good checksum; a super-segment counts as what it stands for.
    pub segments_received: Counter,
    /// Segments sent, resets and retransmissions included; a super-segment counts as what it stands for.
    pub segments_sent: Counter,
    /// Bytes of text that came in order and were new.
    pub bytes_received: Counter,
    /// Bytes of text sent for the first time.
    pub bytes_sent: Counter,
    /// Connections begun by a user here.
    pub active_opens: Counter,
    /// Connections begun by peers that finished their handshake.
    pub passive_opens: Counter,
    /// Handshakes begun by peers.
    pub syns_received: Counter,
    /// Half-open handshakes that made room for newer ones.
    pub half_open_evicted: Counter,
    /// Half-open handshakes whose SYN-ACK was never answered.
    pub half_open_expired: Counter,
    /// Connections that left TIME-WAIT early because its table was full.
    pub time_wait_evicted: Counter,
    /// Connections that left TIME-WAIT for a new one between the same ends (RFC 6191).
    pub time_wait_reused: Counter,
    /// Resets sent.
    pub resets_sent: Counter,
    /// Challenge acknowledgments sent (RFC 5961).
    pub challenge_acks_sent: Counter,
    /// Challenge acknowledgments that the limit kept back.
    pub challenge_acks_limited: Counter,
    /// Answers without a connection that were not sent because too many waited.
    pub replies_dropped: Counter,
    /// Acknowledgments that repeated the last one.
    pub duplicate_acks_received: Counter,
    /// Segments that came out of order and were kept.
    pub out_of_order_segments: Counter,
    /// Duplicates that peers were told of (D-SACK, RFC 2883).
    pub duplicates_reported: Counter,
    /// Retransmission timers that ran out.
    pub retransmission_timeouts: Counter,
    /// Probes of shut windows.
    pub window_probes_sent: Counter,
    /// Keep-alive probes.
    pub keepalives_sent: Counter,
    retransmits: [Counter; RetransmitCause::ALL.len()],
    blocked: [Counter; SendBlockedBy::ALL.len()],
    ends: [Counter; EndReason::ALL.len()],
}

impl TcpCounters {
    /// Segments sent again for `cause`.
    pub fn retransmits(&self, cause: RetransmitCause) -> u64 {
        self.retransmits.get(cause as usize).map_or(0, |counter| counter.get())
    }

    /// How often a sender began to be blocked by `reason`.
    pub fn blocked(&self, reason: SendBlockedBy) -> u64 {
        self.blocked.get(reason as usize).map_or(0, |counter| counter.get())
    }

    /// Connections that ended for `reason`.
    pub fn ended(&self, reason: EndReason) -> u64 {
        self.ends.get(reason as usize).map_or(0, |counter| counter.get())
    }

    /// Segments sent again for any cause.
    pub fn retransmits_total(&self) -> u64 {
        self.retransmits.iter().map(|counter| counter.get()).fold(0, u64::wrapping_add)
    }

    pub(super) fn count_retransmit(&mut self, cause: RetransmitCause, segments: u64) {
        if let Some(counter) = self.retransmits.get_mut(cause as usize) {
            counter.add(segments);
        }
    }

    pub(super) fn count_blocked(&mut self, reason: SendBlockedBy) {
        if let Some(counter) = self.blocked.get_mut(reason as usize) {
            counter.increment();
        }
    }

    pub(super) fn count_end(&mut self, reason: EndReason) {
        if let Some(counter) = self.ends.get_mut(reason as usize) {
            counter.increment();
        }
    }
}
