//! Proportional rate reduction: how much leaves while a recovery lasts (RFC 6937).
//!
//! # Theory of operation
//! What arrives pays for what leaves. While more is in flight than the new window, `ssthresh / RecoverFS` of each byte
//! delivered may be sent, so that at the end of the recovery the flight is the window. If less is in flight, it is filled
//! up, by what was delivered and one segment more as long as the recovery makes progress (slow start reduction bound),
//! and by no more than what was delivered if it does not (conservative reduction bound).
//!
//! # State
//! | RFC 6937 3 | field |
//! |---|---|
//! | prr_delivered | `delivered_len` |
//! | prr_out | `sent_len` |
//! | RecoverFS | `flight_at_start` |
//! | cwnd while it lasts | `window` |

/// One recovery's account, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Prr {
    delivered_len: u32,
    sent_len: u32,
    flight_at_start: u32,
    window: u32,
    /// Whether the first segment leaves at once: it repairs a loss.
    is_repair: bool,
}

impl Prr {
    /// A recovery begins with `flight_len` bytes outstanding that were not SACKed; `is_repair`: to repair a loss.
    pub(super) fn new(flight_len: u32, is_repair: bool) -> Self {
        Self { delivered_len: 0, sent_len: 0, flight_at_start: flight_len.max(1), window: 0, is_repair }
    }

    /// Bytes that may be in flight.
    pub(super) const fn window(&self) -> u32 {
        self.window
    }

    /// Bytes were sent, again or for the first time.
    pub(super) const fn on_sent(&mut self, len: u32) {
        self.sent_len = self.sent_len.saturating_add(len);
    }

    /// An acknowledgment delivered `delivered_len` bytes; `pipe` are in flight now. `makes_progress`: it advanced SND.UNA
    /// and told of no new loss.
    pub(super) fn on_ack(
        &mut self,
        delivered_len: u32,
        pipe: u32,
        ssthresh: u32,
        smss: u32,
        makes_progress: bool,
    ) {
        self.delivered_len = self.delivered_len.saturating_add(delivered_len);
        let budget = if pipe > ssthresh {
            let share = u64::from(self.delivered_len) * u64::from(ssthresh);
            let allowed = share.div_ceil(self.flight_at_start.into());
            u32::try_from(allowed).unwrap_or(u32::MAX).saturating_sub(self.sent_len)
        } else {
            let owed = self.delivered_len.saturating_sub(self.sent_len).max(delivered_len);
            let limit = if makes_progress { owed.saturating_add(smss) } else { owed };
            limit.min(ssthresh - pipe)
        };
        // The first retransmission leaves at once.
        let budget = if self.is_repair && self.sent_len == 0 { budget.max(smss) } else { budget };
        self.window = pipe.saturating_add(budget);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMSS: u32 = 1000;

    /// Sends what the account allows, in whole segments.
    fn send(prr: &mut Prr, pipe: &mut u32) -> u32 {
        let count = prr.window().saturating_sub(*pipe) / SMSS;
        prr.on_sent(count * SMSS);
        *pipe += count * SMSS;
        count
    }

    #[test]
    fn the_flight_shrinks_in_proportion() {
        // RFC 6937 4: 20 segments, one lost, to 14: of each ten acknowledgments seven let a segment go.
        let mut prr = Prr::new(20 * SMSS, true);
        let mut pipe = 19 * SMSS;
        let mut sent = 0;
        for ack in 0..19 {
            pipe -= SMSS;
            prr.on_ack(SMSS, pipe, 14 * SMSS, SMSS, ack > 0);
            sent += send(&mut prr, &mut pipe);
        }
        assert_eq!((sent, pipe), (14, 14 * SMSS));
    }

    #[test]
    fn a_flight_below_the_window_is_filled_as_far_as_data_arrives() {
        let mut prr = Prr::new(20 * SMSS, true);
        // Fifteen were lost at once: four are in flight.
        let mut pipe = 4 * SMSS;
        prr.on_ack(SMSS, pipe, 10 * SMSS, SMSS, false);
        assert_eq!(send(&mut prr, &mut pipe), 1, "what was delivered, and no more");
        pipe -= SMSS;
        prr.on_ack(SMSS, pipe, 10 * SMSS, SMSS, true);
        assert_eq!(send(&mut prr, &mut pipe), 2, "one segment more with progress");
        pipe -= SMSS;
        prr.on_ack(SMSS, pipe, 6 * SMSS, SMSS, true);
        assert_eq!(send(&mut prr, &mut pipe), 1, "never beyond ssthresh");
    }
}
