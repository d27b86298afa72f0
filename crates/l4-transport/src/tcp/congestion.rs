//! Congestion control: how much may be in flight.
//!
//! # Theory of operation
//! Loss detection (`recovery.rs`) says *what* was lost; this says how much may fly. It is told of acknowledgments by an
//! [`AckSample`] and of losses by a [`LossSample`], and answers with a window in bytes. What all algorithms share stands
//! here once: slow start with HyStart++ (`hystart.rs`), whether the window is used at all and what becomes of one that is
//! not (`validation.rs`), taking a reduction back. The algorithms differ in how the window grows after slow start and in
//! how far it falls; they are known, so they are an enum and not a box.
//!
//! ```text
//!            ACK ──▶ validation ──used──▶ below ssthresh? ──▶ HyStart++        cwnd grows by what was acknowledged,
//!                        │                                                     a quarter of it in the conservative phase
//!                        └──not used─▶ no growth;            ──▶ NewReno       a segment a window (RFC 5681)
//!                           decay after a timeout            ──▶ CUBIC         towards W(t + RTT) (RFC 9438)
//! ```
//!
//! # State
//! | RFC | field |
//! |---|---|
//! | cwnd, ssthresh, in bytes | [`Window`] |
//! | what they were before the last reduction (RFC 9438 4.9) | `prior` |
//!
//! # Not here
//! The window while fast recovery lasts: that is `recovery.rs`. How a window is spread over a round trip: `pacing.rs`.

use self::cubic::Cubic;
use self::hystart::{HyStart, SlowStart};
pub use self::name::{Congestion, UnknownCongestion};
use self::newreno::NewReno;
pub(super) use self::sample::{AckSample, IdleSample, LossSample};
use self::validation::WindowUse;
pub(super) use self::window::initial_window;
use self::window::{LARGEST_WINDOW, Window};

mod cubic;
mod hystart;
mod name;
mod newreno;
mod sample;
mod validation;
mod window;

/// Congestion avoidance: how the window grows past ssthresh, and how far it falls.
#[derive(Clone, Debug)]
enum Algorithm {
    NewReno(NewReno),
    Cubic(Cubic),
}

impl Algorithm {
    const fn new(which: Congestion) -> Self {
        match which {
            Congestion::NewReno => Self::NewReno(NewReno::new()),
            Congestion::Cubic => Self::Cubic(Cubic::new()),
        }
    }

    /// The window after `acked_len` bytes more were acknowledged.
    fn grow(&mut self, cwnd: u32, acked_len: u32, sample: &AckSample) -> u32 {
        match self {
            Self::NewReno(it) => it.grow(cwnd, acked_len, sample.smss),
            Self::Cubic(it) => it.grow(cwnd, acked_len, sample),
        }
    }

    /// Time in which the window did not grow, up to `now`, does not count.
    fn skip_to(&mut self, now: netloom_base::Instant) {
        match self {
            Self::NewReno(_) => {}
            Self::Cubic(it) => it.skip_to(now),
        }
    }

    /// Something was lost: what is left of the window, not less than nothing.
    fn reduce(&mut self, cwnd: u32, used: WindowUse, sample: &LossSample) -> u32 {
        match self {
            Self::NewReno(it) => it.reduce(cwnd, sample),
            Self::Cubic(it) => it.reduce(cwnd, used, sample),
        }
    }

    /// The timer ran out: growth begins anew after slow start.
    fn restart(&mut self) {
        match self {
            Self::NewReno(it) => it.restart(),
            Self::Cubic(it) => it.restart(),
        }
    }
}

/// What a reduction changed.
#[derive(Clone, Debug)]
struct Prior {
    window: Window,
    algorithm: Algorithm,
}

/// The congestion control of one connection.
#[derive(Clone, Debug)]
pub(super) struct CongestionControl {
    window: Window,
    algorithm: Algorithm,
    hystart: HyStart,
    used: WindowUse,
    /// Exists from a reduction until it is taken back or the flow has been idle.
    prior: Option<Box<Prior>>,
}

impl CongestionControl {
    /// For a connection that begins to send segments of `smss` bytes.
    pub(super) fn new(which: Congestion, smss: u32) -> Self {
        Self {
            // [5681-08]
            window: Window { cwnd: initial_window(smss), ssthresh: u32::MAX },
            algorithm: Algorithm::new(which),
            hystart: HyStart::new(),
            used: WindowUse::new(),
            prior: None,
        }
    }

    pub(super) const fn which(&self) -> Congestion {
        match self.algorithm {
            Algorithm::NewReno(_) => Congestion::NewReno,
            Algorithm::Cubic(_) => Congestion::Cubic,
        }
    }

    /// Goes on with another algorithm from the window as it is.
    pub(super) fn switch(&mut self, which: Congestion) {
        if which != self.which() {
            self.algorithm = Algorithm::new(which);
            self.prior = None;
        }
    }

    /// New data was acknowledged outside fast recovery.
    pub(super) fn on_ack(&mut self, sample: &AckSample) {
        let is_used = self.used.on_ack(&mut self.window, sample);
        let window = self.window;
        let mut acked_len = sample.acked_len;
        if window.is_in_slow_start() {
            let growth = self.slow_start(sample);
            // [9438-18]: no growth in what is not used, and time does not count.
            self.algorithm.skip_to(sample.now);
            if !is_used {
                return;
            }
            // [5681-03]
            let grown = growth.min(window.ssthresh - window.cwnd);
            self.set_cwnd(window.cwnd.saturating_add(grown), sample.smss);
            if window.is_in_first_slow_start() || self.window.is_in_slow_start() {
                return;
            }
            acked_len = acked_len.saturating_sub(grown);
        }
        if is_used {
            let grown = self.algorithm.grow(self.window.cwnd, acked_len, sample);
            self.set_cwnd(grown, sample.smss);
        } else {
            self.algorithm.skip_to(sample.now);
        }
    }

    /// By how many bytes slow start would grow the window. Ends the first one if HyStart++ says so. [9438-14] [9438-15]
    fn slow_start(&mut self, sample: &AckSample) -> u32 {
        if !self.window.is_in_first_slow_start() {
            return hystart::growth(sample);
        }
        match self.hystart.on_ack(sample) {
            SlowStart::Standard(growth) | SlowStart::Conservative(growth) => growth,
            SlowStart::Over => {
                self.window.ssthresh = self.window.cwnd;
                0
            }
        }
    }

    fn set_cwnd(&mut self, cwnd: u32, smss: u32) {
        self.window.cwnd = cwnd.min(LARGEST_WINDOW).max(smss);
    }

    /// A loss was found by acknowledgments: the first of its window. ssthresh and the window fall; while recovery lasts,
    /// `recovery.rs` says how the flight gets there. [5681-09] [9438-08]
    pub(super) fn on_congestion_event(&mut self, sample: &LossSample) {
        let reduced = self.reduce(sample);
        self.window.cwnd = reduced.max(2 * sample.smss);
    }

    /// The peer echoes a router's mark (RFC 3168), for the first time in this window. Here the window falls down to a
    /// single segment. [9438-10]
    pub(super) fn on_ecn_echo(&mut self, sample: &LossSample) {
        let reduced = self.reduce(sample);
        self.window.cwnd = reduced.max(sample.smss);
    }

    fn reduce(&mut self, sample: &LossSample) -> u32 {
        let prior = Prior { window: self.window, algorithm: self.algorithm.clone() };
        self.prior = Some(Box::new(prior));
        let reduced = self.algorithm.reduce(self.window.cwnd, self.used, sample);
        // [9406-04]: losses end every slow start.
        self.window.ssthresh = reduced.max(2 * sample.smss);
        self.hystart = HyStart::new();
        reduced
    }

    /// The retransmission timer ran out; `is_first`: the segment had not been sent again by it before.
    pub(super) fn on_rto(&mut self, sample: &LossSample, is_first: bool) {
        // [5681-14] [9438-13]
        if is_first {
            self.reduce(sample);
        }
        self.algorithm.restart();
        // [5681-15]
        self.window.cwnd = sample.smss;
    }

    /// Fast recovery is over, with `flight_len` bytes in flight.
    pub(super) fn on_recovery_exit(&mut self, flight_len: u32, smss: u32) {
        // RFC 6582 3.2 step 3, option 1: no burst. [5681-27] [5681-35]
        let most = flight_len.max(smss).saturating_add(smss);
        self.set_cwnd(self.window.ssthresh.min(most), smss);
    }

    /// The last reduction was spurious: the window and ssthresh become what they were before it, and never smaller than
    /// they are. Once: a second call changes nothing. [9438-16]
    pub(super) fn undo(&mut self) {
        let Some(prior) = self.prior.take() else { return };
        let Prior { window, algorithm } = *prior;
        if self.window.cwnd < window.cwnd {
            self.window.cwnd = window.cwnd;
            self.algorithm = algorithm;
        }
        self.window.ssthresh = self.window.ssthresh.max(window.ssthresh);
    }

    /// Everything was acknowledged, and something is about to be sent. May be told again before it is.
    pub(super) fn on_idle(&mut self, sample: &IdleSample) {
        self.algorithm.skip_to(sample.now);
        if self.used.on_idle(&mut self.window, sample) {
            self.prior = None;
        }
    }

    /// Nothing was sent for a while, nor is anything in flight: what was reduced is not taken back any more.
    pub(super) fn release(&mut self) {
        self.prior = None;
    }

    /// The SYN was lost.
    pub(super) fn on_syn_loss(&mut self, smss: u32) {
        // [5681-06]
        self.window.cwnd = smss;
    }

    /// The size of a segment changed.
    pub(super) fn on_smss(&mut self, old: u32, new: u32) {
        // [5681-07]: as many segments as before.
        if new < old {
            let scaled = u64::from(self.window.cwnd) * u64::from(new) / u64::from(old.max(1));
            self.window.cwnd = u32::try_from(scaled).unwrap_or(self.window.cwnd).max(new);
            self.prior = None;
        }
    }

    /// Where slow start ended before the last reduction, while that can be taken back.
    pub(super) fn ssthresh_before_reduction(&self) -> Option<u32> {
        self.prior.as_ref().map(|prior| prior.window.ssthresh)
    }

    /// Slow start goes on up to `ssthresh` at least: what reduced it was no congestion.
    pub(super) fn raise_ssthresh(&mut self, ssthresh: u32) {
        self.window.ssthresh = self.window.ssthresh.max(ssthresh);
    }

    /// Bytes that may be in flight.
    pub(super) const fn window(&self) -> u32 {
        self.window.cwnd
    }

    /// Where slow start ends, in bytes.
    pub(super) const fn ssthresh(&self) -> u32 {
        self.window.ssthresh
    }

    /// Bytes a second that arrived in the last whole round trip; `None` before the first.
    pub(super) const fn delivery_rate(&self) -> Option<u64> {
        self.used.delivery_rate()
    }
}

#[cfg(test)]
mod tests;
