//! The timers of one connection: a small table of deadlines.

use netloom_base::Instant;

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Timer {
    /// An acknowledgment is overdue, and the end of the flight may be lost (RFC 8985 7.2).
    LossProbe,
    /// Something may be late or lost (RFC 8985 6.2).
    Reorder,
    /// Sent and not acknowledged (RFC 6298).
    Retransmit,
    /// What may go is spread over time.
    Pacing,
    /// The user holds back what does not fill a segment.
    Cork,
    /// The peer's window is shut, or too small (RFC 9293 3.8.6.1, 3.8.6.2.1).
    Persist,
    /// An acknowledgment is held back (RFC 9293 3.8.6.3).
    DelayedAck,
    /// Nothing was heard for long (RFC 9293 3.8.4).
    Keepalive,
    /// The user's own patience (RFC 5482).
    UserTimeout,
    /// The socket is closed; how long what is left of the connection may take.
    Lifetime,
    /// Memory of empty buffers is kept for what may follow at once.
    Release,
}

impl Timer {
    pub(super) const ALL: [Self; 11] = [
        Self::LossProbe,
        Self::Reorder,
        Self::Retransmit,
        Self::Pacing,
        Self::Cork,
        Self::Persist,
        Self::DelayedAck,
        Self::Keepalive,
        Self::UserTimeout,
        Self::Lifetime,
        Self::Release,
    ];
}

/// The deadlines, by timer; `FAR_FUTURE` where none is armed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timers([Instant; Timer::ALL.len()]);

impl Timers {
    pub(super) const fn new() -> Self {
        Self([Instant::FAR_FUTURE; Timer::ALL.len()])
    }

    pub(super) fn set(&mut self, timer: Timer, deadline: Instant) {
        if let Some(slot) = self.0.get_mut(timer as usize) {
            *slot = deadline;
        }
    }

    pub(super) fn clear(&mut self, timer: Timer) {
        self.set(timer, Instant::FAR_FUTURE);
    }

    pub(super) fn clear_all(&mut self) {
        *self = Self::new();
    }

    pub(super) fn get(&self, timer: Timer) -> Option<Instant> {
        self.0.get(timer as usize).copied().filter(|&deadline| deadline != Instant::FAR_FUTURE)
    }

    pub(super) fn is_armed(&self, timer: Timer) -> bool {
        self.get(timer).is_some()
    }

    /// The earliest deadline.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.iter().copied().min().filter(|&deadline| deadline != Instant::FAR_FUTURE)
    }

    /// Disarms and returns a timer that is due.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<Timer> {
        let due =
            Timer::ALL.into_iter().find(|&timer| self.get(timer).is_some_and(|deadline| deadline <= now))?;
        self.clear(due);
        Some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_timers_come_out_once() {
        let mut timers = Timers::new();
        assert_eq!(timers.next(), None);
        timers.set(Timer::Keepalive, Instant::from_millis(5));
        timers.set(Timer::Retransmit, Instant::from_millis(3));
        assert_eq!(timers.next(), Some(Instant::from_millis(3)));
        assert_eq!(timers.pop_due(Instant::from_millis(2)), None);
        assert_eq!(timers.pop_due(Instant::from_millis(5)), Some(Timer::Retransmit));
        assert_eq!(timers.pop_due(Instant::from_millis(5)), Some(Timer::Keepalive));
        assert_eq!(timers.pop_due(Instant::from_millis(5)), None);
        assert!(!timers.is_armed(Timer::Keepalive));
    }
}
