//! Two hosts and a cable, in virtual time.

use std::time::Duration;

use netloom_base::{Instant, Medium};
use netloom_impair::{ImpairSpec, Link};

/// Something with an Ethernet port that is told what time it is.
pub trait Host {
    /// Takes a frame from the cable.
    fn handle_frame(&mut self, now: Instant, frame: &[u8]);
    /// Does what is due and hands out the frames that came of it.
    fn poll(&mut self, now: Instant) -> Vec<Vec<u8>>;
    /// When it wants to be polled next.
    fn poll_timeout(&mut self, now: Instant) -> Option<Instant>;
}

/// Two hosts and an Ethernet cable between them, with the faults that it was made with.
#[derive(Debug)]
pub struct World<A, B> {
    /// One end.
    pub a: A,
    /// The other.
    pub b: B,
    now: Instant,
    to_a: Link,
    to_b: Link,
}

impl<A: Host, B: Host> World<A, B> {
    /// Joins both by a cable with `faults`, in the language of [`ImpairSpec`]; "in" is towards `a`.
    ///
    /// # Panics
    /// If those are no faults.
    pub fn new(a: A, b: B, faults: &str) -> Self {
        let faults: ImpairSpec = faults.parse().unwrap_or_else(|error| panic!("{faults}: {error}"));
        let [to_a, to_b] = faults.links(Medium::Ethernet, 1);
        Self { a, b, now: Instant::ZERO, to_a, to_b }
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
        let cable = [&self.to_a, &self.to_b].into_iter().filter_map(Link::poll_timeout);
        let hosts = [self.a.poll_timeout(self.now), self.b.poll_timeout(self.now)].into_iter().flatten();
        cable.chain(hosts).min().map(|next| next.max(soonest))
    }

    /// Delivers what has arrived and takes what is sent, at this instant.
    fn exchange(&mut self) {
        while let Some(frame) = self.to_a.poll(self.now) {
            self.a.handle_frame(self.now, &frame);
        }
        while let Some(frame) = self.to_b.poll(self.now) {
            self.b.handle_frame(self.now, &frame);
        }
        for frame in self.a.poll(self.now) {
            // The cable counts what it drops; nobody here asks.
            let _ = self.to_b.offer(self.now, frame);
        }
        for frame in self.b.poll(self.now) {
            let _ = self.to_a.offer(self.now, frame);
        }
    }
}
