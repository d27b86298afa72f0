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
    /// An acknowledgment is held back (RFC 9293 3.8.6.3).
    DelayedAck,
    /// Nothing was heard for long (RFC 9293 3.8.4).
    Keepalive,
    /// Memory of empty buffers is kept for what may follow at once.
    Release,
    /// The user holds back what does not fill a segment. The first of the [rare](RareDeadlines) ones.
    Cork,
    /// The peer's window is shut, or too small (RFC 9293 3.8.6.1, 3.8.6.2.1).
    Persist,
    /// The user's own patience (RFC 5482).
    UserTimeout,
    /// The socket is closed; how long what is left of the connection may take.
    Lifetime,
}

impl Timer {
    /// In the order in which those that are due at the same time have their turn.
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

const FIRST_RARE: usize = Timer::Cork as usize;

/// Deadlines of timers that few connections ever have.
type RareDeadlines = [Instant; Timer::ALL.len() - FIRST_RARE];

/// The deadlines, by timer, `FAR_FUTURE` where none is armed; and when the connection wants to be woken.
#[derive(Clone, Debug)]
pub(super) struct Timers {
    deadlines: [Instant; FIRST_RARE],
    /// Exists from the first that is armed until a wake-up finds none.
    rare: Option<Box<RareDeadlines>>,
    /// No deadline is earlier. One that is cleared or moves further away leaves it behind: it wakes us once for nothing,
    /// which costs less than looking for the next one with each acknowledgment.
    wake_up: WakeUp,
}

/// When to wake up, and whether that was told: the highest bit, where no time of the next 292 years has one.
#[derive(Clone, Copy, Debug)]
struct WakeUp(u64);

impl WakeUp {
    const UNTOLD: u64 = 1 << 63;
    const NEVER: Self = Self(Self::UNTOLD - 1);

    fn untold(at: Instant) -> Self {
        Self(at.as_nanos().min(Self::NEVER.0) | Self::UNTOLD)
    }

    /// Nothing is later than `NEVER`.
    const fn at(self) -> Instant {
        Instant::from_nanos(self.0 & Self::NEVER.0)
    }

    /// Tells it, if it was not told.
    fn take(&mut self) -> Option<Instant> {
        let is_untold = self.0 & Self::UNTOLD != 0;
        self.0 &= Self::NEVER.0;
        is_untold.then_some(self.at())
    }
}

impl Timers {
    pub(super) const fn new() -> Self {
        Self { deadlines: [Instant::FAR_FUTURE; FIRST_RARE], rare: None, wake_up: WakeUp::NEVER }
    }

    #[inline]
    pub(super) fn set(&mut self, timer: Timer, deadline: Instant) {
        match self.slot(timer) {
            Some(slot) => *slot = deadline,
            None => self.set_first_rare(timer, deadline),
        }
        if deadline < self.wake_up.at() {
            self.wake_up = WakeUp::untold(deadline);
        }
    }

    #[inline]
    pub(super) fn clear(&mut self, timer: Timer) {
        if let Some(slot) = self.slot(timer) {
            *slot = Instant::FAR_FUTURE;
        }
    }

    /// Where its deadline is, if there is room for that.
    #[inline]
    fn slot(&mut self, timer: Timer) -> Option<&mut Instant> {
        let index = timer as usize;
        if index < FIRST_RARE {
            self.deadlines.get_mut(index)
        } else {
            self.rare.as_mut()?.get_mut(index - FIRST_RARE)
        }
    }

    /// The same, for one that is rare while none of them is armed.
    #[cold]
    fn set_first_rare(&mut self, timer: Timer, deadline: Instant) {
        let mut rare = Box::new([Instant::FAR_FUTURE; _]);
        if let Some(slot) = rare.get_mut((timer as usize).saturating_sub(FIRST_RARE)) {
            *slot = deadline;
        }
        self.rare = Some(rare);
    }

    pub(super) fn clear_all(&mut self) {
        *self = Self::new();
    }

    #[inline]
    pub(super) fn get(&self, timer: Timer) -> Option<Instant> {
        let index = timer as usize;
        let deadline = if index < FIRST_RARE {
            self.deadlines.get(index)
        } else {
            self.rare.as_ref()?.get(index - FIRST_RARE)
        };
        deadline.copied().filter(|&deadline| deadline != Instant::FAR_FUTURE)
    }

    pub(super) fn is_armed(&self, timer: Timer) -> bool {
        self.get(timer).is_some()
    }

    /// The earliest deadline.
    pub(super) fn next(&self) -> Option<Instant> {
        let rare = self.rare.iter().flat_map(|rare| rare.iter());
        self.deadlines.iter().chain(rare).copied().min().filter(|&it| it != Instant::FAR_FUTURE)
    }

    /// When to call [`pop_due`](Self::pop_due), if that is earlier than what was told before.
    pub(super) fn take_wake_up(&mut self) -> Option<Instant> {
        self.wake_up.take()
    }

    /// Disarms and returns a timer that is due. To be called until there is none.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<Timer> {
        let due =
            Timer::ALL.into_iter().find(|&timer| self.get(timer).is_some_and(|deadline| deadline <= now));
        match due {
            Some(due) => self.clear(due),
            // What was told is over.
            None => {
                self.wake_up = self.next().map_or(WakeUp::NEVER, WakeUp::untold);
                self.rare.take_if(|rare| rare.iter().all(|&it| it == Instant::FAR_FUTURE));
            }
        }
        due
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

    #[test]
    fn rare_timers_take_memory_while_they_run() {
        let at = Instant::from_millis;
        let mut timers = Timers::new();
        timers.clear(Timer::Persist);
        assert!(timers.rare.is_none());
        timers.set(Timer::UserTimeout, at(5));
        timers.set(Timer::Cork, at(3));
        assert_eq!((timers.next(), timers.get(Timer::UserTimeout)), (Some(at(3)), Some(at(5))));
        assert_eq!((timers.pop_due(at(3)), timers.pop_due(at(3))), (Some(Timer::Cork), None));
        assert!(timers.rare.is_some());
        timers.clear(Timer::UserTimeout);
        // Cleared, it wakes us once more.
        assert_eq!((timers.take_wake_up(), timers.pop_due(at(5))), (Some(at(5)), None));
        assert!(timers.rare.is_none());
    }

    #[test]
    fn only_a_deadline_that_comes_closer_is_told() {
        let at = Instant::from_millis;
        let mut timers = Timers::new();
        assert_eq!(timers.take_wake_up(), None);
        timers.set(Timer::Retransmit, at(5));
        assert_eq!((timers.take_wake_up(), timers.take_wake_up()), (Some(at(5)), None));
        timers.set(Timer::Retransmit, at(9));
        timers.set(Timer::Keepalive, at(7));
        timers.clear(Timer::Keepalive);
        assert_eq!(timers.take_wake_up(), None, "it wakes us early enough");
        timers.set(Timer::DelayedAck, at(4));
        assert_eq!(timers.take_wake_up(), Some(at(4)));
        timers.clear(Timer::DelayedAck);
        // Woken for nothing, it says what it waits for now.
        assert_eq!((timers.pop_due(at(4)), timers.take_wake_up()), (None, Some(at(9))));
        assert_eq!((timers.pop_due(at(9)), timers.pop_due(at(9))), (Some(Timer::Retransmit), None));
        assert_eq!(timers.take_wake_up(), None);
        timers.set(Timer::Release, at(20));
        timers.clear_all();
        assert_eq!(timers.take_wake_up(), None);
    }
}
