//! What TCP counts.

use netloom_base::Counter;

use super::reason::{
    ChallengeCause, EndReason, FastOpenFallback, IcmpIgnored, ProbeCause, ResetCause, RetransmitCause,
    RtoCause, SendBlockedBy,
};

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
    /// SYNs answered with a cookie (RFC 4987).
    pub syn_cookies_sent: Counter,
    /// Cookies that came back and became connections.
    pub syn_cookies_accepted: Counter,
    /// Acknowledgments that should have been of a cookie and were not, or not of one that is still good.
    pub syn_cookies_refused: Counter,
    /// Half-open handshakes whose SYN-ACK was never answered.
    pub half_open_expired: Counter,
    /// SYNs that nobody decided about in time.
    pub decisions_expired: Counter,
    /// Connections that left TIME-WAIT early because its table was full.
    pub time_wait_evicted: Counter,
    /// Connections that left TIME-WAIT for a new one between the same ends (RFC 6191).
    pub time_wait_reused: Counter,
    /// Challenges that the limit kept back.
    pub challenge_acks_limited: Counter,
    /// Answers without a connection that were not sent because too many waited.
    pub replies_dropped: Counter,
    /// Acknowledgments that repeated the last one.
    pub duplicate_acks_received: Counter,
    /// Segments that came out of order and were kept.
    pub out_of_order_segments: Counter,
    /// Connections that use explicit congestion notification (RFC 3168).
    pub ecn_negotiated: Counter,
    /// Segments of theirs that came marked: congestion on the way here.
    pub ce_received: Counter,
    /// Acknowledgments of theirs with ECE: congestion on the way to the peer.
    pub ece_received: Counter,
    /// Congestion windows that were reduced because of ECE.
    pub ecn_reductions: Counter,
    /// Duplicates that peers were told of (D-SACK, RFC 2883).
    pub duplicates_reported: Counter,
    /// Times that the memory of all buffers began to be short.
    pub memory_shortages: Counter,
    /// Times that text, of a peer or a writer, was not taken because all buffers together were full.
    pub memory_refusals: Counter,
    /// Duplicates that peers reported (D-SACK, RFC 2883).
    pub dsacks_received: Counter,
    /// Losses found by acknowledgments: fast recoveries begun.
    pub fast_recoveries: Counter,
    /// Fast recoveries that were for nothing, and undone (RFC 3522, RFC 2883).
    pub spurious_recoveries: Counter,
    /// Retransmission timeouts that were for nothing, and undone (RFC 5682).
    pub spurious_timeouts: Counter,
    /// Black holes found: large packets vanished, and the path MTU was taken for smaller (RFC 4821 7.7).
    pub black_holes: Counter,
    /// Times that a probe found that the path takes larger packets than were sent (RFC 4821 7.6.1).
    pub path_mtu_raised: Counter,
    /// Connections from here whose SYN carried data that the server took (RFC 7413).
    pub fast_opens_sent: Counter,
    /// Connections from peers that a cookie opened before their handshake was done (RFC 7413).
    pub fast_opens_received: Counter,
    /// SYN-ACKs that carried a cookie for a later connection (RFC 7413).
    pub fast_open_cookies_sent: Counter,
    /// Cookies that servers gave us for later connections (RFC 7413).
    pub fast_open_cookies_received: Counter,
    retransmits: Tally<{ RetransmitCause::ALL.len() }>,
    timeouts: Tally<{ RtoCause::ALL.len() }>,
    probes: Tally<{ ProbeCause::ALL.len() }>,
    blocked: Tally<{ SendBlockedBy::ALL.len() }>,
    resets: Tally<{ ResetCause::ALL.len() }>,
    challenges: Tally<{ ChallengeCause::ALL.len() }>,
    ends: Tally<{ EndReason::ALL.len() }>,
    icmp_ignored: Tally<{ IcmpIgnored::ALL.len() }>,
    fallbacks: Tally<{ FastOpenFallback::ALL.len() }>,
}

/// A counter for each of `N` reasons, by their discriminants.
#[derive(Clone, Debug)]
struct Tally<const N: usize>([Counter; N]);

impl<const N: usize> Default for Tally<N> {
    fn default() -> Self {
        Self([Counter::default(); N])
    }
}

impl<const N: usize> Tally<N> {
    fn add(&mut self, index: usize, count: u64) {
        if let Some(counter) = self.0.get_mut(index) {
            counter.add(count);
        }
    }

    fn get(&self, index: usize) -> u64 {
        self.0.get(index).map_or(0, |counter| counter.get())
    }

    fn total(&self) -> u64 {
        self.0.iter().map(|counter| counter.get()).fold(0, u64::wrapping_add)
    }
}

impl TcpCounters {
    /// Segments sent again for `cause`.
    pub fn retransmits(&self, cause: RetransmitCause) -> u64 {
        self.retransmits.get(cause as usize)
    }

    /// Segments sent again for any cause.
    pub fn retransmits_total(&self) -> u64 {
        self.retransmits.total()
    }

    /// Retransmission timers that ran out while `cause` was outstanding.
    pub fn timeouts(&self, cause: RtoCause) -> u64 {
        self.timeouts.get(cause as usize)
    }

    /// Retransmission timers that ran out.
    pub fn timeouts_total(&self) -> u64 {
        self.timeouts.total()
    }

    /// Probes sent for `cause`.
    pub fn probes(&self, cause: ProbeCause) -> u64 {
        self.probes.get(cause as usize)
    }

    /// How often a sender began to be blocked by `reason`.
    pub fn blocked(&self, reason: SendBlockedBy) -> u64 {
        self.blocked.get(reason as usize)
    }

    /// Resets sent for `cause`.
    pub fn resets(&self, cause: ResetCause) -> u64 {
        self.resets.get(cause as usize)
    }

    /// Resets sent.
    pub fn resets_total(&self) -> u64 {
        self.resets.total()
    }

    /// Challenges sent for `cause`.
    pub fn challenges(&self, cause: ChallengeCause) -> u64 {
        self.challenges.get(cause as usize)
    }

    /// Challenges sent.
    pub fn challenges_total(&self) -> u64 {
        self.challenges.total()
    }

    /// Connections, half-open ones included, that ended for `reason`.
    pub fn ended(&self, reason: EndReason) -> u64 {
        self.ends.get(reason as usize)
    }

    /// ICMP errors that changed nothing because of `reason`.
    pub fn icmp_ignored(&self, reason: IcmpIgnored) -> u64 {
        self.icmp_ignored.get(reason as usize)
    }

    /// Handshakes that could have carried data and did not because of `fallback`.
    pub fn fast_open_fallbacks(&self, fallback: FastOpenFallback) -> u64 {
        self.fallbacks.get(fallback as usize)
    }

    pub(super) fn count_fallback(&mut self, fallback: FastOpenFallback) {
        self.fallbacks.add(fallback as usize, 1);
    }

    pub(super) fn count_retransmit(&mut self, cause: RetransmitCause, segments: u64) {
        self.retransmits.add(cause as usize, segments);
    }

    pub(super) fn count_timeout(&mut self, cause: RtoCause) {
        self.timeouts.add(cause as usize, 1);
    }

    pub(super) fn count_probe(&mut self, cause: ProbeCause) {
        self.probes.add(cause as usize, 1);
    }

    pub(super) fn count_blocked(&mut self, reason: SendBlockedBy) {
        self.blocked.add(reason as usize, 1);
    }

    pub(super) fn count_reset(&mut self, cause: ResetCause) {
        self.resets.add(cause as usize, 1);
    }

    pub(super) fn count_challenge(&mut self, cause: ChallengeCause) {
        self.challenges.add(cause as usize, 1);
    }

    pub(super) fn count_icmp_ignored(&mut self, reason: IcmpIgnored) {
        self.icmp_ignored.add(reason as usize, 1);
    }

    pub(super) fn count_end(&mut self, reason: EndReason) {
        self.ends.add(reason as usize, 1);
    }
}
