//! Whether a datagram leaves at once or with those that follow it.
//!
//! *Theory of operation.* A device that cuts trains takes several datagrams for little more than the price of one, but a socket
//! call has sent what it was given when it returns. So a service that answers one request after the other holds an answer back
//! while the next request is in its socket's queue already and the one before was answered just now; the answer to the last
//! request takes all others with it. Whoever answers a single request, or takes long over each, does not wait.
//!
//! *Limits.* [`HELD_MAX`] datagrams, each of which came at most [`GAP`] after the one before. The driver is told of the first,
//! and sends what is held when it has its turn: the stack's next call is the latest moment, unless the application computes
//! on the driver's thread with a request in its queue.
//!
//! *Not here.* How a train is made of what waits: that is UDP's (`UdpOutput`).

use std::time::Duration;

use netloom_stack::Instant;

/// Datagrams that are held before one takes them all with it.
const HELD_MAX: usize = 7;
/// How soon an answer must follow the one before for more to be expected.
const GAP: Duration = Duration::from_micros(10);

/// What is known of the datagrams that were sent last.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Hold {
    /// A datagram was queued by this call, and what is expected after it.
    offered: Option<Outlook>,
    last: Instant,
    held_count: usize,
}

/// What follows a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outlook {
    /// Nothing that is known of, or no device would make anything of it.
    Nothing,
    /// The socket has something to read, which may be answered too.
    More,
}

impl Hold {
    /// A datagram was queued.
    pub(crate) fn offer(&mut self, outlook: Outlook) {
        self.offered = Some(outlook);
    }

    /// Whether this call, at `now`, has queued a datagram that waits for the next.
    pub(crate) fn decide(&mut self, now: Instant) -> bool {
        let Some(outlook) = self.offered.take() else { return false };
        let is_quick = now.saturating_since(self.last) <= GAP;
        self.last = now;
        let holds = outlook == Outlook::More && is_quick && self.held_count < HELD_MAX;
        self.held_count += usize::from(holds);
        holds
    }

    /// All that was held is sent.
    pub(crate) fn end(&mut self) {
        self.held_count = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Datagrams so many microseconds after each other, with what follows them; which of them are held.
    fn held(datagrams: &[(u64, Outlook)]) -> Vec<bool> {
        let mut hold = Hold::default();
        let mut now = Instant::ZERO + Duration::from_secs(1);
        let decide = |&(gap, outlook)| {
            now += Duration::from_micros(gap);
            hold.offer(outlook);
            let holds = hold.decide(now);
            if !holds {
                hold.end();
            }
            holds
        };
        datagrams.iter().map(decide).collect()
    }

    #[test]
    fn an_answer_waits_for_the_next_only_if_that_comes_soon() {
        let (more, last) = (Outlook::More, Outlook::Nothing);
        for (datagrams, expected) in [
            (&[(0, last)][..], &[false][..]),
            // The first leaves at once: nothing is known of what follows.
            (&[(0, more), (1, more), (1, more), (1, last)], &[false, true, true, false]),
            (&[(0, more), (11, more), (11, more), (11, last)], &[false; 4]),
            (&[(0, more), (10, more), (11, more), (1, more)], &[false, true, false, true]),
            (&[(0, last), (1, last)], &[false; 2]),
        ] {
            assert_eq!(held(datagrams), expected, "{datagrams:?}");
        }
        let many = held(&[(1, more); 18]);
        assert_eq!(
            many.iter().filter(|&&holds| !holds).count(),
            3,
            "the first, and one behind each seven: {many:?}"
        );
    }

    #[test]
    fn calls_that_send_no_datagram_hold_nothing() {
        let mut hold = Hold::default();
        let now = Instant::ZERO;
        hold.offer(Outlook::More);
        assert!(hold.decide(now));
        assert!(!hold.decide(now));
    }
}
