//! Congestion control: how much may be in flight.
//!
//! # Theory of operation
//! Loss detection (`recovery.rs`) says *what* was lost; this says how much may fly. It is told of acknowledgments by an
//! [`AckSample`] and of losses by a [`LossSample`], and answers with a window in bytes. The algorithms are known, so
//! this is an enum of them and not a box.
//!
//! # Not here
//! The window while fast recovery lasts, which RFC 6582 inflates and deflates: that is `recovery.rs`.

use core::fmt;
use core::str::FromStr;

use self::newreno::NewReno;
pub(super) use self::sample::{AckSample, IdleSample, LossSample};

mod newreno;
mod sample;

/// Which congestion control a connection uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Congestion {
    /// Slow start and congestion avoidance of RFC 5681 with NewReno's recovery (RFC 6582).
    #[default]
    NewReno,
}

impl Congestion {
    /// All that there are.
    pub const ALL: &'static [Self] = &[Self::NewReno];

    /// The name that one types.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NewReno => "newreno",
        }
    }
}

impl fmt::Display for Congestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// No congestion control has this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownCongestion;

impl fmt::Display for UnknownCongestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unknown congestion control; there is:")?;
        Congestion::ALL.iter().try_for_each(|known| write!(f, " {known}"))
    }
}

impl core::error::Error for UnknownCongestion {}

impl FromStr for Congestion {
    type Err = UnknownCongestion;

    fn from_str(name: &str) -> Result<Self, UnknownCongestion> {
        Self::ALL.iter().copied().find(|known| known.name() == name).ok_or(UnknownCongestion)
    }
}

/// The congestion control of one connection.
#[derive(Clone, Copy, Debug)]
pub(super) enum CongestionControl {
    NewReno(NewReno),
}

impl CongestionControl {
    /// For a connection that begins to send segments of `smss` bytes.
    pub(super) fn new(which: Congestion, smss: u32) -> Self {
        match which {
            Congestion::NewReno => Self::NewReno(NewReno::new(smss)),
        }
    }

    pub(super) const fn which(&self) -> Congestion {
        match self {
            Self::NewReno(_) => Congestion::NewReno,
        }
    }

    /// New data was acknowledged outside fast recovery.
    pub(super) fn on_ack(&mut self, sample: &AckSample) {
        match self {
            Self::NewReno(it) => it.on_ack(sample),
        }
    }

    /// A loss was found by acknowledgments: the first of its window. ssthresh and the window fall; while recovery lasts,
    /// `recovery.rs` says how the flight gets there.
    pub(super) fn on_congestion_event(&mut self, sample: &LossSample) {
        match self {
            Self::NewReno(it) => it.on_congestion_event(sample),
        }
    }

    /// The peer echoes a router's mark (RFC 3168), for the first time in this window.
    pub(super) fn on_ecn_echo(&mut self, sample: &LossSample) {
        match self {
            Self::NewReno(it) => it.on_congestion_event(sample),
        }
    }

    /// The retransmission timer ran out; `is_first`: the segment had not been sent again by it before.
    pub(super) fn on_rto(&mut self, sample: &LossSample, is_first: bool) {
        match self {
            Self::NewReno(it) => it.on_rto(sample, is_first),
        }
    }

    /// Fast recovery is over, with `flight_len` bytes in flight.
    pub(super) fn on_recovery_exit(&mut self, flight_len: u32, smss: u32) {
        match self {
            Self::NewReno(it) => it.on_recovery_exit(flight_len, smss),
        }
    }

    /// The last reduction was spurious: the window and ssthresh become what they were before it, and never smaller than
    /// they are. Once: a second call changes nothing.
    #[expect(dead_code, reason = "CUBIC, HyStart++ and loss recovery by RACK use it")]
    pub(super) fn undo(&mut self) {
        match self {
            Self::NewReno(it) => it.undo(),
        }
    }

    /// Everything was acknowledged, and something is about to be sent. May be told again before it is.
    pub(super) fn on_idle(&mut self, sample: &IdleSample) {
        match self {
            Self::NewReno(it) => it.on_idle(sample),
        }
    }

    /// The SYN was lost.
    pub(super) fn on_syn_loss(&mut self, smss: u32) {
        match self {
            Self::NewReno(it) => it.on_syn_loss(smss),
        }
    }

    /// The size of a segment changed.
    pub(super) fn on_smss(&mut self, old: u32, new: u32) {
        match self {
            Self::NewReno(it) => it.on_smss(old, new),
        }
    }

    /// Bytes that may be in flight.
    pub(super) const fn window(&self) -> u32 {
        match self {
            Self::NewReno(it) => it.cwnd(),
        }
    }

    /// Whether the window is below ssthresh.
    #[expect(dead_code, reason = "CUBIC, HyStart++ and loss recovery by RACK use it")]
    pub(super) const fn is_in_slow_start(&self) -> bool {
        self.window() < self.ssthresh()
    }

    /// Where slow start ends, in bytes.
    pub(super) const fn ssthresh(&self) -> u32 {
        match self {
            Self::NewReno(it) => it.ssthresh(),
        }
    }
}
