//! What the datagrams of one stream tell about the path: loss, disorder, jitter.

use std::time::Duration;

use crate::iperf3::header::DatagramHeader;

/// The record of one receiving stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Reception {
    /// The highest number that arrived, which is how many were sent as far as is known.
    pub(crate) highest: u64,
    /// Numbers that were skipped and have not come since.
    pub(crate) lost: u64,
    /// Numbers that came after a higher one.
    pub(crate) late: u64,
    /// The mean deviation of the transit time, in seconds (RFC 1889, section 6.3.1 and appendix A.8).
    pub(crate) jitter: f64,
    /// The last datagram's arrival by our clock less its departure by the sender's, in seconds.
    transit: Option<f64>,
}

impl Reception {
    /// Takes a datagram that arrived at `now` of our clock.
    pub(crate) fn on_datagram(&mut self, header: DatagramHeader, now: Duration) {
        if header.number > self.highest {
            self.lost = self.lost.saturating_add(header.number - self.highest - 1);
            self.highest = header.number;
        } else {
            self.late += 1;
            self.lost = self.lost.saturating_sub(1);
        }
        let transit = now.as_secs_f64() - header.sent_at.as_secs_f64();
        let deviation = (transit - self.transit.unwrap_or(transit)).abs();
        self.jitter += (deviation - self.jitter) / 16.0;
        self.transit = Some(transit);
    }

    /// Forgets the jitter of the omitted start.
    pub(crate) fn restart_jitter(&mut self) {
        self.jitter = 0.0;
        self.transit = None;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Reception;
    use crate::iperf3::header::DatagramHeader;

    fn after(numbers: &[u64]) -> Reception {
        let mut reception = Reception::default();
        for &number in numbers {
            reception.on_datagram(DatagramHeader { sent_at: Duration::ZERO, number }, Duration::ZERO);
        }
        reception
    }

    #[test]
    fn gaps_are_losses_until_they_are_filled() {
        for (numbers, highest, lost, late) in [
            (&[1, 2, 3][..], 3, 0, 0),
            (&[1, 4], 4, 2, 0),
            (&[1, 4, 2], 4, 1, 1),
            (&[1, 4, 2, 3, 5], 5, 0, 2),
            (&[1, 1], 1, 0, 1),
            (&[u64::MAX], u64::MAX, u64::MAX - 1, 0),
        ] {
            let reception = after(numbers);
            assert_eq!(
                (reception.highest, reception.lost, reception.late),
                (highest, lost, late),
                "{numbers:?}"
            );
        }
    }

    #[test]
    fn jitter_follows_the_change_of_the_transit_time_only() {
        let mut reception = Reception::default();
        let mut arrive = |number, sent_ms, now_ms| {
            let sent_at = Duration::from_millis(sent_ms);
            reception.on_datagram(DatagramHeader { sent_at, number }, Duration::from_millis(now_ms));
            reception.jitter
        };
        // The clocks are an hour apart; that does not matter.
        assert!(arrive(1, 3_600_000, 5).abs() < 1e-9);
        assert!(arrive(2, 3_600_010, 15).abs() < 1e-9);
        assert!((arrive(3, 3_600_020, 41) - 0.001).abs() < 1e-9);
        assert!((arrive(4, 3_600_030, 51) - 0.001 * 15.0 / 16.0).abs() < 1e-9);
    }
}
