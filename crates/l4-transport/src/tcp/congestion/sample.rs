//! What congestion control is told.

use core::time::Duration;

use netloom_base::Instant;
use netloom_wire::SeqNumber;

/// An acknowledgment of new data.
#[derive(Clone, Copy, Debug)]
pub(in crate::tcp) struct AckSample {
    /// When it came.
    pub(in crate::tcp) now: Instant,
    /// Bytes that it acknowledged for the first time.
    pub(in crate::tcp) acked_len: u32,
    /// Bytes that were in flight before it.
    pub(in crate::tcp) flight_len: u32,
    /// Whether the congestion window, and not the application or the peer, limited what was in flight.
    pub(in crate::tcp) is_window_limited: bool,
    /// Whether what leaves is paced, so that a window that grows much at once makes no burst.
    pub(in crate::tcp) is_paced: bool,
    /// Bytes of a full segment.
    pub(in crate::tcp) smss: u32,
    /// The newest round trip that it measured, if it measured one.
    pub(in crate::tcp) rtt: Option<Duration>,
    /// Smoothed round-trip time, with it.
    pub(in crate::tcp) srtt: Option<Duration>,
    /// The shortest round trip, with it.
    #[expect(dead_code, reason = "BBR reads it")]
    pub(in crate::tcp) min_rtt: Option<Duration>,
    /// The retransmission timeout, with it.
    pub(in crate::tcp) rto: Duration,
    /// SND.UNA after it.
    pub(in crate::tcp) snd_una: SeqNumber,
    /// SND.NXT after it.
    pub(in crate::tcp) snd_nxt: SeqNumber,
}

/// A loss, or a router's mark that stands for one.
#[derive(Clone, Copy, Debug)]
pub(in crate::tcp) struct LossSample {
    /// When it was noticed.
    #[expect(dead_code, reason = "BBR reads it")]
    pub(in crate::tcp) now: Instant,
    /// Bytes that were in flight, without what limited transmit added.
    pub(in crate::tcp) flight_len: u32,
    /// Bytes of a full segment.
    pub(in crate::tcp) smss: u32,
}

/// A flow that begins to send again after everything was acknowledged.
#[derive(Clone, Copy, Debug)]
pub(in crate::tcp) struct IdleSample {
    /// Now.
    pub(in crate::tcp) now: Instant,
    /// When it last sent something.
    pub(in crate::tcp) last_sent_at: Instant,
    /// The retransmission timeout.
    pub(in crate::tcp) rto: Duration,
    /// Bytes of a full segment.
    pub(in crate::tcp) smss: u32,
}

#[cfg(test)]
impl AckSample {
    /// `acked_len` bytes of a flow that the window limits, at the beginning of time, without a round trip.
    pub(in crate::tcp) fn example(acked_len: u32, flight_len: u32, smss: u32) -> Self {
        Self {
            now: Instant::ZERO,
            acked_len,
            flight_len,
            is_window_limited: true,
            is_paced: false,
            smss,
            rtt: None,
            srtt: None,
            min_rtt: None,
            rto: Duration::from_secs(1),
            snd_una: SeqNumber(acked_len),
            snd_nxt: SeqNumber(flight_len),
        }
    }
}

#[cfg(test)]
impl LossSample {
    /// A loss at the beginning of time.
    pub(in crate::tcp) fn example(flight_len: u32, smss: u32) -> Self {
        Self { now: Instant::ZERO, flight_len, smss }
    }
}
