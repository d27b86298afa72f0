//! How large packets the path takes, found by what becomes of them: path MTU discovery at the packetization layer
//! (RFC 4821; RFC 8899's numbers).
//!
//! # Theory of operation
//! A connection begins with packets as large as the interface takes, and as the peer's MSS allows. Two things make them
//! smaller: a router's word (`icmp.rs`), and a *black hole*, where large packets vanish and nobody says so: the second
//! timeout in a row of a segment that is larger than the base, or the fourth if the path has carried such before and may
//! only be losing much. Then the size becomes the base, which nearly every path takes, and after two timeouts more the least
//! there is.
//!
//! From there it grows again by probes: one segment of the stream, larger than the others. If it is acknowledged the path
//! takes its size. If it alone is lost the path does not, its text goes again in smaller segments, and congestion control
//! hears nothing of it; that is why a failure keeps the next probe back for as many round trips as the window has
//! segments.
//! ```text
//!            base            MTU          limit              ceiling
//!  ------------|--------------|-------------|------------------|-----
//!                 in use         may be so     known not to be
//! ```
//! The first probe after a fall is of the ceiling: an outage looks like a black hole, and then one probe makes good
//! what it did. After that each halves what is unknown. Once less than `WORTHWHILE` bytes are, or if a router said what
//! the path takes, the path is taken for known, for `RAISE_INTERVAL`; then it may have changed, and the search begins
//! anew.
//!
//! # State
//! | RFC 4821 7.1 | field |
//! |---|---|
//! | eff_pmtu, search_low | `Connection::mtu` |
//! | search_high | `limit`; at first, `ceiling` |
//!
//! # Limits
//! [`PathSearch`] takes about a hundred bytes, and exists from the first fall on until the MTU is the ceiling again and the
//! connection idle.
//!
//! # Not here
//! What a probe consists of and when it leaves: `output.rs`. What connections learn from each other: the internet layer's
//! destination cache, from routers only.

use core::time::Duration;

use netloom_base::Instant;
use netloom_wire::{SeqNumber, every_hosts_mtu};
use tracing::debug;

use super::congestion::Congestion;
use super::connection::{Connection, Context};
use super::negotiation::{effective_mss, mtu_of_mss};
use super::path_search::{MtuProbe, PathMtuSearch, PathSearch, RAISE_INTERVAL};
use super::reason::RetransmitCause;
use super::recovery::RecoveryPhase;

/// A size that fails this soon after a probe had found it good never was good for all packets (RFC 4821 7.8).
const TRIAL_TIME: Duration = Duration::from_secs(60);
/// Full segments behind a probe that tell soon whether it was lost. [4821-05]
const FOLLOWERS: u32 = 3;
/// Timeouts in a row of large segments that make a black hole, on a path that has not carried any.
const BLACK_HOLE_TIMEOUTS: u8 = 2;
/// The same on a path that has. There a loss of each of several transmissions is likelier than that the path has changed.
const BLACK_HOLE_TIMEOUTS_IN_USE: u8 = 4;
/// By how much longer the next probe waits after one whose loss cost a timeout. [4821-08]
const TIMEOUT_PENALTY: u32 = 5;
/// The least MTU that is ever used over the version of IP that does not ask for more: Linux's, too.
const LEAST_MTU: u16 = 552;

/// The seconds that CUBIC takes to come back to a window of so many segments after a loss: K of RFC 9438 4.2, rounded up.
fn cubic_period_secs(segments: u32) -> u64 {
    let lost = u64::from(segments) * 3 / 4;
    (1..).find(|&secs: &u64| secs * secs * secs >= lost).unwrap_or(1)
}

impl Connection {
    /// The largest packet, in bytes, that is sent now: the peer may take no more than that.
    fn used_mtu(&self) -> u16 {
        self.mtu.min(mtu_of_mss(self.peer_mss, self.tuple.remote_address))
    }

    /// What of the search a tool is shown.
    pub(super) fn mtu_search(&self) -> Option<PathMtuSearch> {
        let PathSearch { ceiling, limit, probe, not_before, .. } = **self.path_search.as_ref()?;
        Some(PathMtuSearch { ceiling, limit, probing: probe.map(|probe| probe.size), not_before })
    }

    /// The least that the MTU can be.
    pub(super) fn least_mtu(&self) -> u16 {
        let least = every_hosts_mtu(self.tuple.remote_address);
        if least < 1280 { LEAST_MTU } else { least }
    }

    /// The interface takes packets of `mtu` bytes. If the path is known to take less, that was a router's word to somebody
    /// else before: it is not believed for ever.
    pub(super) fn note_interface_mtu(&mut self, now: Instant, mtu: u16) {
        if mtu > self.mtu {
            let ceiling = mtu.min(mtu_of_mss(self.peer_mss, self.tuple.remote_address));
            self.path_search = Some(Box::new(PathSearch::new(ceiling, now + RAISE_INTERVAL)));
        }
    }

    /// The MTU falls to `mtu`; the search for a larger one may begin at `not_before`.
    pub(super) fn lower_mtu(&mut self, mtu: u16, not_before: Instant) {
        let used = self.used_mtu();
        let search = self.path_search.get_or_insert_with(|| Box::new(PathSearch::new(used, not_before)));
        search.restart(not_before);
        self.mtu = mtu;
        self.update_mss();
    }

    /// A router says that the probe, which holds number `sequence`, was too large; `told`: what the path takes. Whether it
    /// was the probe. (RFC 4821 7.6.2)
    pub(super) fn is_probe_too_big(&mut self, now: Instant, sequence: SeqNumber, told: Option<u16>) -> bool {
        let wait = self.failure_wait();
        let mtu = self.mtu;
        let Some(search) = self.path_search.as_mut() else { return false };
        let Some(probe) = search.probe.filter(|probe| probe.start == sequence) else { return false };
        search.on_failure(now, mtu, probe.size, wait);
        if let Some(told) = told.filter(|told| (mtu + 1..probe.size).contains(told)) {
            search.limit = told;
            search.is_hopeful = true;
            search.not_before = now + wait;
        }
        self.lose_probe(probe);
        true
    }

    /// The timer ran out `attempts` times in a row. Large segments that nobody acknowledges may be too large. [4821-10]
    pub(super) fn suspect_black_hole(&mut self, cx: &mut Context<'_>, attempts: u8) {
        if !cx.config.mtu_probing {
            return;
        }
        self.fail_probe_by_timeout(cx.now);
        let needed = if self.carries_mtu { BLACK_HOLE_TIMEOUTS_IN_USE } else { BLACK_HOLE_TIMEOUTS };
        if !attempts.is_multiple_of(needed) {
            return;
        }
        let (used, least) = (self.used_mtu(), self.least_mtu());
        // [4821-12]
        let trial = self
            .path_search
            .as_ref()
            .and_then(|search| search.raised)
            .filter(|&(_, at)| cx.now.saturating_since(at) < TRIAL_TIME)
            .map(|(before, _)| before);
        let base = cx.config.base_path_mtu.max(least);
        let last = (attempts > BLACK_HOLE_TIMEOUTS).then_some(least);
        let lost_len = self.next_repair_len();
        let is_smaller = |&mtu: &u16| {
            let len = effective_mss(self.peer_mss, mtu, self.tuple.remote_address, self.negotiated);
            mtu < used && len < lost_len
        };
        let Some(target) = [trial, Some(base), last].into_iter().flatten().find(is_smaller) else { return };
        debug!(tuple = %self.tuple, mtu = used, lowered_to = target, "black hole");
        cx.counters.black_holes.increment();
        let ssthresh = self.congestion.ssthresh_before_reduction();
        let not_before = if trial == Some(target) { cx.now + RAISE_INTERVAL } else { cx.now };
        self.lower_mtu(target, not_before);
        if let Some(search) = self.path_search.as_mut() {
            search.raised = None;
            search.ssthresh = search.ssthresh.max(ssthresh);
        }
    }

    /// Bytes of text in the segment that goes again next. What was lost may have been smaller: the timer sends small segments
    /// again in a large one, with new text behind them as far as there is room.
    fn next_repair_len(&self) -> u32 {
        let sender = &self.sender;
        let Some(lost) = sender.scoreboard.next_lost(sender.mss) else { return 0 };
        let until = if lost.end == sender.snd_nxt { sender.data_end() } else { lost.end };
        lost.start.distance_to(until).min(sender.mss)
    }

    /// How long the next probe waits after one that failed: as long as the window would last without a loss. [4821-07]
    fn failure_wait(&self) -> Duration {
        let segments = self.congestion.window() / self.sender.mss.max(1);
        let of_reno = self.rtt.srtt().unwrap_or(self.rtt.rto()).saturating_mul(segments.max(1));
        match self.congestion.which() {
            Congestion::NewReno => of_reno,
            Congestion::Cubic => of_reno.min(Duration::from_secs(cubic_period_secs(segments))),
        }
    }

    /// A timeout, where the probe is what is missing first. [4821-08]
    fn fail_probe_by_timeout(&mut self, now: Instant) {
        let wait = self.failure_wait().saturating_mul(TIMEOUT_PENALTY);
        let (mtu, snd_una) = (self.mtu, self.sender.snd_una);
        if let Some(search) = self.path_search.as_mut()
            && let Some(probe) = search.probe.filter(|probe| probe.start == snd_una)
        {
            search.on_failure(now, mtu, probe.size, wait);
        }
    }

    /// Bytes of text of the probe that should leave now, if one should: it is time, the path is in order, and there is
    /// enough behind it to tell soon what became of it. [4821-03] [4821-04] [4821-05]
    pub(super) fn mtu_probe_len(&self, cx: &Context<'_>) -> Option<u32> {
        let search = self.path_search.as_ref().filter(|_| cx.config.mtu_probing)?;
        let size = search.due(cx.now, self.mtu)?;
        let sender = &self.sender;
        let len = effective_mss(self.peer_mss, size, self.tuple.remote_address, self.negotiated);
        let reserve = len + FOLLOWERS * sender.mss;
        let is_in_order = self.recovery.phase == RecoveryPhase::Open
            && self.recovery.duplicate_acks == 0
            && sender.scoreboard.sacked_len() == 0
            && sender.scoreboard.lost_len() == 0
            && self.loss_probe.end().is_none()
            && sender.urgent_end.is_none();
        let is_followed = sender.unsent_len() >= reserve
            && sender.window_from(sender.snd_nxt) >= reserve
            && self.congestion.window() >= reserve;
        (len > sender.mss && is_in_order && is_followed).then_some(len)
    }

    /// The probe leaves as `start .. end`.
    pub(super) fn note_mtu_probe_sent(&mut self, now: Instant, start: SeqNumber, end: SeqNumber) {
        let mtu = self.mtu;
        if let Some(search) = self.path_search.as_mut()
            && let Some(size) = search.due(now, mtu)
        {
            debug!(tuple = %self.tuple, size, mtu, "path MTU probe");
            search.probe = Some(MtuProbe { start, end, size });
        }
    }

    /// `start .. end` is sent again: whether the probe arrived is not to be told any more, and the same size is tried
    /// again. [4821-06]
    pub(super) fn note_sent_again(&mut self, start: SeqNumber, end: SeqNumber) {
        if let Some(search) = self.path_search.as_mut()
            && search.probe.is_some_and(|probe| probe.start.before(end) && start.before(probe.end))
        {
            search.probe = None;
        }
    }

    /// Whether what was just found to be lost is the probe and nothing else: that is no congestion. Its text goes again at
    /// once. [4821-02]
    pub(super) fn excuse_lost_probe(&mut self, cx: &Context<'_>) -> bool {
        let wait = self.failure_wait();
        let (mtu, has_sack) = (self.mtu, self.negotiated.sack);
        let Some(search) = self.path_search.as_mut() else { return false };
        let Some(probe) = search.probe else { return false };
        let scoreboard = &self.sender.scoreboard;
        let lost_len = scoreboard.lost_len_in(probe.start, probe.end);
        // Without SACK it is the beginning of what is missing, and nothing is known of the rest.
        let is_alone = lost_len > 0
            && lost_len == scoreboard.lost_len()
            && (has_sack || self.sender.snd_una == probe.start);
        if self.recovery.phase != RecoveryPhase::Open || !is_alone {
            return false;
        }
        debug!(tuple = %self.tuple, size = probe.size, "path MTU probe lost");
        search.on_failure(cx.now, mtu, probe.size, wait);
        self.lose_probe(probe);
        true
    }

    /// All that is left of a probe goes again.
    fn lose_probe(&mut self, probe: MtuProbe) {
        self.sender.stop_timing();
        self.sender.scoreboard.lose_range(probe.start, probe.end, RetransmitCause::MtuProbe);
        self.recovery.is_forced = true;
        self.membership.wants_output = true;
    }

    /// SND.UNA has moved on. What went in smaller packets arrives; a probe may have. [4821-01]
    pub(super) fn follow_path_search(&mut self, cx: &mut Context<'_>) {
        let snd_una = self.sender.snd_una;
        let mtu = self.mtu;
        let Some(search) = self.path_search.as_mut() else { return };
        if let Some(ssthresh) = search.ssthresh.take() {
            // The size was what was wrong: the timeouts told nothing of congestion.
            self.congestion.raise_ssthresh(ssthresh);
        }
        let Some(probe) = search.probe.filter(|probe| probe.end.at_or_before(snd_una)) else { return };
        debug!(tuple = %self.tuple, from = mtu, to = probe.size, "path MTU raised");
        search.probe = None;
        search.raised = Some((mtu, cx.now));
        search.conclude(cx.now, probe.size);
        cx.counters.path_mtu_raised.increment();
        self.mtu = probe.size;
        self.update_mss();
    }

    /// Forgets a search that has come to its end.
    pub(super) fn release_path_search(&mut self) {
        if self.path_search.as_ref().is_some_and(|search| search.ceiling <= self.mtu) {
            self.path_search = None;
        }
    }
}
