//! Two hosts and a cable, in virtual time.

use std::collections::VecDeque;
use std::time::Duration;

use netloom_base::Instant;

/// Something with an Ethernet port that is told what time it is.
pub trait Host {
    /// Takes a frame from the cable.
    fn handle_frame(&mut self, now: Instant, frame: &[u8]);
    /// Does what is due and hands out the frames that came of it.
    fn poll(&mut self, now: Instant) -> Vec<Vec<u8>>;
    /// When it wants to be polled next.
    fn poll_timeout(&mut self, now: Instant) -> Option<Instant>;
}

/// A cable with a delay between two hosts; nothing is lost unless [`World::lose`] says so.
#[derive(Debug)]
pub struct World<A, B> {
    /// One end.
    pub a: A,
    /// The other.
    pub b: B,
    now: Instant,
    delay: Duration,
    to_a: VecDeque<(Instant, Vec<u8>)>,
    to_b: VecDeque<(Instant, Vec<u8>)>,
    /// Frames carried so far, for [`World::lose`].
    carried: u64,
    lose_every: Option<u64>,
}

impl<A: Host, B: Host> World<A, B> {
    /// Joins both by a cable that takes `delay` each way.
    pub fn new(a: A, b: B, delay: Duration) -> Self {
        Self {
            a,
            b,
            now: Instant::ZERO,
            delay,
            to_a: VecDeque::new(),
            to_b: VecDeque::new(),
            carried: 0,
            lose_every: None,
        }
    }

    /// Loses every `count`th frame from now on.
    pub fn lose(&mut self, count: u64) {
        self.lose_every = Some(count);
    }

    /// What time it is.
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// Runs until `done` says so.
    ///
    /// # Panics
    /// If it is not done after `limit` of virtual time, or if nothing is going to happen any more.
    pub fn run_until(&mut self, limit: Duration, mut done: impl FnMut(&mut A, &mut B, Instant) -> bool) {
        let deadline = self.now + limit;
        loop {
            self.exchange();
            if done(&mut self.a, &mut self.b, self.now) {
                // What the check itself set going.
                self.exchange();
                return;
            }
            self.exchange();
            let Some(next) = self.next() else { panic!("nothing is going to happen after {}", self.now) };
            assert!(next <= deadline, "not done after {limit:?}: it is {} and next comes {next}", self.now);
            self.now = next.max(self.now);
        }
    }

    /// Lets `duration` pass.
    pub fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            self.exchange();
            match self.next() {
                Some(next) if next <= end => self.now = next.max(self.now),
                Some(_) | None => break,
            }
        }
        self.now = end;
        self.exchange();
    }

    /// When something happens next; never now, so that time goes on.
    fn next(&mut self) -> Option<Instant> {
        let soonest = self.now + Duration::from_micros(1);
        let cable = [&self.to_a, &self.to_b].into_iter().filter_map(|queue| queue.front()).map(|(at, _)| *at);
        let hosts = [self.a.poll_timeout(self.now), self.b.poll_timeout(self.now)].into_iter().flatten();
        cable.chain(hosts).min().map(|next| next.max(soonest))
    }

    /// Delivers what has arrived and takes what is sent, at this instant.
    fn exchange(&mut self) {
        while self.to_a.front().is_some_and(|(at, _)| *at <= self.now) {
            let Some((_, frame)) = self.to_a.pop_front() else { break };
            self.a.handle_frame(self.now, &frame);
        }
        while self.to_b.front().is_some_and(|(at, _)| *at <= self.now) {
            let Some((_, frame)) = self.to_b.pop_front() else { break };
            self.b.handle_frame(self.now, &frame);
        }
        for frame in self.a.poll(self.now) {
            if !self.is_lost() {
                self.to_b.push_back((self.now + self.delay, frame));
            }
        }
        for frame in self.b.poll(self.now) {
            if !self.is_lost() {
                self.to_a.push_back((self.now + self.delay, frame));
            }
        }
    }

    fn is_lost(&mut self) -> bool {
        self.carried += 1;
        self.lose_every.is_some_and(|count| self.carried.is_multiple_of(count))
    }
}
