//! What congestion control is told.

/// An acknowledgment of new data.
#[derive(Clone, Copy, Debug)]
pub(in crate::tcp) struct AckSample {
    /// Bytes that it acknowledged for the first time.
    pub(in crate::tcp) acked_len: u32,
    /// Bytes that were in flight before it.
    pub(in crate::tcp) flight_len: u32,
    /// Whether the congestion window, and not the application or the peer, limited what was in flight.
    pub(in crate::tcp) is_window_limited: bool,
    /// Bytes of a full segment.
    pub(in crate::tcp) smss: u32,
}

/// A loss.
#[derive(Clone, Copy, Debug)]
pub(in crate::tcp) struct LossSample {
    /// Bytes that were in flight, without what limited transmit added.
    pub(in crate::tcp) flight_len: u32,
    /// Bytes of a full segment.
    pub(in crate::tcp) smss: u32,
}
