//! One direction of a link: what becomes of each frame between two devices.
//!
//! *Theory of operation.* [`Link::offer`] takes a frame and decides its whole fate there and then: in this order the
//! partition, the MTU, the queue and its mark, the time at the transmitter, loss, a flipped bit, a second copy, delay. The frame waits
//! in the link until [`Link::poll`] is called at or after its time of arrival; [`Link::poll_timeout`] says when that is.
//! Time is an argument and must not run backwards. Everything random comes from one generator, so the same seed and the
//! same calls give the same fates.
//!
//! ```text
//!            +-------+   +-------------+   +------------------------+
//!  offer --> | queue |-->| transmitter |-->| loss, bit flip, copy   |--> poll
//!            +-------+   |  (rate)     |   | delay +- jitter (+late)|
//!                        +-------------+   +------------------------+
//! ```
//!
//! A device with several queues has one link: what its frames meet, they meet together. [`Link::offer_from`] notes the
//! queue that a frame comes from, and [`Link::poll_any`] tells it.
//!
//! *State.* The queue is not held: a frame's departure is known when it is offered, so `departures` holds the times of
//! those that have not left. `in_flight` holds the frames by arrival.
//!
//! *Limits.* [`LinkConfig::queue`] frames at the transmitter, [`LinkConfig::max_in_flight`] bytes in all.
//!
//! *Not here.* A super-segment (GSO) must be cut into what would really cross a wire before it is offered: the model
//! counts, times and loses frames. Nor is there ICMP: a frame too big for the MTU vanishes.

mod config;
mod counters;
mod loss;
mod mark;
#[cfg(test)]
mod tests;

use core::cmp::Reverse;
use core::num::NonZeroU64;
use core::time::Duration;
use std::collections::{BinaryHeap, VecDeque};

use netloom_base::{Instant, Medium, Rng};

pub use config::LinkConfig;
pub use counters::{LinkCounters, LinkDrop};
use loss::LossModel;

/// Bytes of an Ethernet header, which the MTU does not count.
const ETHERNET_HEADER_LEN: usize = 14;
/// What a frame in flight costs beside its bytes.
const FRAME_COST: usize = 64;

/// One direction of a link.
#[derive(Debug)]
pub struct Link {
    medium: Medium,
    config: LinkConfig,
    rng: Rng,
    loss: LossModel,
    /// When the transmitter is done with all that it has.
    idle_at: Instant,
    /// When each frame leaves the transmitter that has not left yet.
    departures: VecDeque<Instant>,
    /// The latest arrival of a frame that is not late: the next one does not overtake it.
    last_arrival: Instant,
    in_flight: BinaryHeap<Reverse<InFlight>>,
    in_flight_len: usize,
    next_order: u64,
    counters: LinkCounters,
}

/// A frame on its way, ordered by arrival and then by the order of offering.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct InFlight {
    arrival: Instant,
    order: u64,
    frame: Vec<u8>,
    queue: u16,
}

impl Link {
    /// A link of frames of `medium` in which nothing is under way.
    pub fn new(medium: Medium, config: LinkConfig, rng: Rng) -> Self {
        Self {
            medium,
            config,
            rng,
            loss: LossModel::default(),
            idle_at: Instant::ZERO,
            departures: VecDeque::new(),
            last_arrival: Instant::ZERO,
            in_flight: BinaryHeap::new(),
            in_flight_len: 0,
            next_order: 0,
            counters: LinkCounters::default(),
        }
    }

    /// Takes a frame that a device sends at `now`. Look at [`poll_timeout`](Self::poll_timeout) again afterwards.
    ///
    /// # Errors
    /// Why it will not arrive. A sender on a real link does not learn of [`LinkDrop::Lost`]; it is told here so that the
    /// caller can trace it.
    pub fn offer(&mut self, now: Instant, frame: Vec<u8>) -> Result<(), LinkDrop> {
        self.offer_from(0, now, frame)
    }

    /// The same, of a device with several queues: `queue` is told again when the frame [arrives](Self::poll_any).
    ///
    /// # Errors
    /// As [`offer`](Self::offer).
    pub fn offer_from(&mut self, queue: u16, now: Instant, mut frame: Vec<u8>) -> Result<(), LinkDrop> {
        self.counters.frames_offered.increment();
        self.counters.bytes_offered.add(frame.len() as u64);
        if let Err(reason) = self.check_admission(now, &frame) {
            self.counters.count_drop(reason);
            return Err(reason);
        }
        self.maybe_mark(&mut frame);
        let departure = self.transmit(now, frame.len());
        let copy = self.config.duplicate.happens(&mut self.rng).then(|| frame.clone());
        let outcome = if self.is_lost() {
            Err(LinkDrop::Lost)
        } else {
            self.maybe_corrupt(&mut frame);
            self.carry(queue, departure, frame);
            Ok(())
        };
        if let Some(mut copy) = copy {
            self.counters.duplicated.increment();
            if !self.is_lost() {
                self.maybe_corrupt(&mut copy);
                self.carry(queue, departure, copy);
            }
        }
        self.assert_invariants();
        outcome
    }

    /// The next frame that has arrived by `now`, if any. Call it until there is none.
    pub fn poll(&mut self, now: Instant) -> Option<Vec<u8>> {
        self.poll_any(now).map(|(_, frame)| frame)
    }

    /// The same with the queue that the frame came from.
    pub fn poll_any(&mut self, now: Instant) -> Option<(u16, Vec<u8>)> {
        if self.in_flight.peek().is_none_or(|Reverse(next)| next.arrival > now) {
            return None;
        }
        let Reverse(InFlight { arrival: _, order: _, frame, queue }) = self.in_flight.pop()?;
        self.in_flight_len -= frame.len() + FRAME_COST;
        self.counters.frames_delivered.increment();
        self.counters.bytes_delivered.add(frame.len() as u64);
        self.assert_invariants();
        Some((queue, frame))
    }

    /// When the next frame arrives, if one is under way.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.in_flight.peek().map(|Reverse(next)| next.arrival)
    }

    /// Changes what becomes of frames that are offered from now on; those under way keep their fate.
    pub fn set_config(&mut self, config: LinkConfig) {
        self.config = config;
    }

    /// The model's numbers.
    pub const fn config(&self) -> &LinkConfig {
        &self.config
    }

    /// What was counted.
    pub const fn counters(&self) -> &LinkCounters {
        &self.counters
    }

    /// Frames under way.
    pub fn in_flight_count(&self) -> usize {
        self.in_flight.len()
    }

    fn check_admission(&mut self, now: Instant, frame: &[u8]) -> Result<(), LinkDrop> {
        if self.config.is_partitioned {
            return Err(LinkDrop::Partitioned);
        }
        let header_len = match self.medium {
            Medium::Ethernet => ETHERNET_HEADER_LEN,
            Medium::Ip => 0,
        };
        if self.config.mtu.is_some_and(|mtu| frame.len() > usize::from(mtu) + header_len) {
            return Err(LinkDrop::TooBig);
        }
        while self.departures.front().is_some_and(|departure| *departure <= now) {
            self.departures.pop_front();
        }
        if self.config.rate.is_some() && self.departures.len() >= self.config.queue {
            return Err(LinkDrop::QueueFull);
        }
        // Room for a copy, too.
        if self.in_flight_len + 2 * (frame.len() + FRAME_COST) > self.config.max_in_flight {
            return Err(LinkDrop::InFlightFull);
        }
        Ok(())
    }

    /// Marks a frame that can be, if enough others wait.
    fn maybe_mark(&mut self, frame: &mut [u8]) {
        let is_long = self.config.mark_from.is_some_and(|from| self.departures.len() >= from);
        if self.config.rate.is_some() && is_long && mark::mark(self.medium, frame) {
            self.counters.marked.increment();
        }
    }

    /// Puts a frame in the transmitter's queue; when it has left.
    fn transmit(&mut self, now: Instant, len: usize) -> Instant {
        let start = self.idle_at.max(now);
        let Some(rate) = self.config.rate else { return start };
        let departure = start + serialisation(len, rate);
        self.idle_at = departure;
        self.departures.push_back(departure);
        departure
    }

    fn is_lost(&mut self) -> bool {
        let is_lost = self.loss.is_lost(self.config.loss, self.config.burst, &mut self.rng);
        if is_lost {
            self.counters.count_drop(LinkDrop::Lost);
        }
        is_lost
    }

    /// Flips one bit of a frame, if it is its turn.
    fn maybe_corrupt(&mut self, frame: &mut [u8]) {
        if frame.is_empty() || !self.config.corrupt.happens(&mut self.rng) {
            return;
        }
        let bit = self.rng.below(frame.len() as u64 * 8);
        let place = usize::try_from(bit / 8).unwrap_or(usize::MAX);
        if let Some(byte) = frame.get_mut(place) {
            *byte ^= 1 << (bit % 8);
            self.counters.corrupted.increment();
        }
    }

    /// Puts a frame on the wire.
    fn carry(&mut self, queue: u16, departure: Instant, frame: Vec<u8>) {
        let mut arrival = (departure + self.delay()).max(self.last_arrival);
        if self.config.reorder.happens(&mut self.rng) {
            self.counters.reordered.increment();
            arrival += self.config.reorder_by;
        } else {
            self.last_arrival = arrival;
        }
        self.in_flight_len += frame.len() + FRAME_COST;
        self.in_flight.push(Reverse(InFlight { arrival, order: self.next_order, frame, queue }));
        self.next_order += 1;
    }

    /// The delay of this frame: evenly drawn around the configured one, and never negative.
    fn delay(&mut self) -> Duration {
        let LinkConfig { delay, jitter, .. } = self.config;
        if jitter.is_zero() {
            return delay;
        }
        let swing = u64::try_from(jitter.as_nanos()).unwrap_or(u64::MAX / 4).min(u64::MAX / 4);
        let drawn = Duration::from_nanos(self.rng.below(2 * swing + 1));
        (delay + drawn).saturating_sub(Duration::from_nanos(swing))
    }

    fn assert_invariants(&self) {
        debug_assert_eq!(self.in_flight.is_empty(), self.in_flight_len == 0);
        debug_assert!(self.departures.back().is_none_or(|last| *last == self.idle_at));
    }
}

/// How long `len` bytes keep a transmitter of `rate` bits a second, rounded up to the nanosecond.
fn serialisation(len: usize, rate: NonZeroU64) -> Duration {
    let nanos = (len as u128 * 8 * 1_000_000_000).div_ceil(u128::from(rate.get()));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}
