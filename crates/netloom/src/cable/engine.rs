//! The thread that moves frames along a cable.
//!
//! *Theory of operation.* One loop: read what has come, at both ends, up to a batch; hand out what has arrived; wait in
//! `ppoll` for more or for the next arrival. The model says when each frame arrives, down to the nanosecond, and paces by
//! the time at which the transmitter is done; so the loop need not wake for each frame, and does not: it sleeps for
//! [`PAUSE_MIN`] at least, and then hands out all that came due. A frame is late by that and the time to wake up.
//!
//! *Limits.* What is under way is bounded by the model. A device that does not take a frame now stops its direction, whose
//! source is then not read: what is to be dropped is dropped in the source's own queue.

use std::io::{self, PipeReader, Read};
use std::os::fd::AsFd;
use std::sync::mpsc::{Receiver, Sender, TryRecvError};
use std::time::Duration;

use netloom_base::{Instant, TxMeta};
use netloom_device::{Queue, RECEIVE_BUFFER_LEN};
use netloom_impair::{ImpairSpec, Link};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::prctl;
use nix::sys::time::TimeSpec;

use super::counters::CableCounters;

/// Frames that are read from one end before the other is looked at.
const FRAMES_PER_TURN: usize = 32;
/// Shortest sleep: what comes due meanwhile is handed out together.
const PAUSE_MIN: Duration = Duration::from_micros(20);
/// Longest time for what is under way when one end has gone.
const DRAIN_LIMIT: Duration = Duration::from_secs(1);
/// The kernel may wake a thread later than asked by this many nanoseconds; by default it is 50,000.
const TIMER_SLACK_NANOS: u64 = 1;

/// What the thread is told to do.
pub(super) enum Order {
    /// Other faults from now on.
    Change(Box<ImpairSpec>),
    /// Tell what was counted.
    Report(Sender<[CableCounters; 2]>),
    /// End now.
    Stop,
}

/// One direction.
struct Way {
    link: Link,
    /// A frame that the far end did not take yet.
    stalled: Option<Vec<u8>>,
    refused: u64,
}

/// One end.
struct End {
    device: Box<dyn Queue>,
    /// There may be frames to read.
    is_readable: bool,
    gone: Option<io::ErrorKind>,
}

/// The state of the thread. Way 0 leads from end 0 to end 1.
pub(super) struct Engine {
    ends: [End; 2],
    ways: [Way; 2],
    orders: Receiver<Order>,
    ring: PipeReader,
    origin: std::time::Instant,
    buffer: Box<[u8]>,
    /// When to give up on what is under way, once an end has gone.
    drained_by: Option<Instant>,
}

impl Engine {
    pub(super) fn new(
        devices: [Box<dyn Queue>; 2],
        links: [Link; 2],
        orders: Receiver<Order>,
        ring: PipeReader,
    ) -> Self {
        Self {
            ends: devices.map(|device| End { device, is_readable: true, gone: None }),
            ways: links.map(|link| Way { link, stalled: None, refused: 0 }),
            orders,
            ring,
            origin: std::time::Instant::now(),
            buffer: vec![0; RECEIVE_BUFFER_LEN].into_boxed_slice(),
            drained_by: None,
        }
    }

    /// Runs until it is stopped or an end has gone; why it ended, and what was counted.
    pub(super) fn run(mut self) -> (io::ErrorKind, [CableCounters; 2]) {
        // Without it frames are late by 50 us more; no reason not to carry them.
        let _ = prctl::set_timerslack(TIMER_SLACK_NANOS);
        let why = loop {
            if self.obey() {
                break io::ErrorKind::Interrupted;
            }
            let is_busy = self.receive(0) | self.receive(1);
            self.deliver(0);
            self.deliver(1);
            if let Some(why) = self.is_over() {
                break why;
            }
            if !is_busy && let Err(error) = self.wait() {
                break error.kind();
            }
        };
        (why, self.counters())
    }

    fn now(&self) -> Instant {
        Instant::from_nanos(u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    fn counters(&self) -> [CableCounters; 2] {
        self.ways
            .each_ref()
            .map(|way| CableCounters { link: way.link.counters().clone(), refused: way.refused })
    }

    /// Does what was asked; true if that was to stop.
    fn obey(&mut self) -> bool {
        loop {
            match self.orders.try_recv() {
                Ok(Order::Change(faults)) => {
                    let ImpairSpec { inbound, outbound, seed: _ } = *faults;
                    for (way, config) in self.ways.iter_mut().zip([inbound, outbound]) {
                        way.link.set_config(config);
                    }
                }
                Ok(Order::Report(reply)) => {
                    // Whoever asked may have gone.
                    let _ = reply.send(self.counters());
                }
                Ok(Order::Stop) | Err(TryRecvError::Disconnected) => return true,
                Err(TryRecvError::Empty) => return false,
            }
        }
    }

    /// Reads a batch from the end where way `index` begins; true if there may be more.
    fn receive(&mut self, index: usize) -> bool {
        for _ in 0..FRAMES_PER_TURN {
            let now = self.now();
            let (Some(way), Some(end)) = (self.ways.get_mut(index), self.ends.get_mut(index)) else {
                return false;
            };
            if way.stalled.is_some() || !end.is_readable || end.gone.is_some() {
                return false;
            }
            match end.device.recv(&mut self.buffer) {
                Ok(received) => {
                    let frame = received.bytes_in(&self.buffer).to_vec();
                    let len = frame.len();
                    if let Err(reason) = way.link.offer(now, frame) {
                        tracing::trace!(device = end.device.name(), %reason, len, "frame dropped on the cable");
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    end.is_readable = false;
                    return false;
                }
                // Longer than any frame, or a signal: there may be more.
                Err(error)
                    if [io::ErrorKind::InvalidData, io::ErrorKind::Interrupted].contains(&error.kind()) => {}
                Err(error) => {
                    end.gone = Some(error.kind());
                    return false;
                }
            }
        }
        true
    }

    /// Hands out what has arrived at the far end of way `index`.
    fn deliver(&mut self, index: usize) {
        let now = self.now();
        let (Some(way), Some(end)) = (self.ways.get_mut(index), self.ends.get_mut(1 - index)) else { return };
        while end.gone.is_none()
            && let Some(frame) = way.stalled.take().or_else(|| way.link.poll(now))
        {
            let Err(error) = end.device.send(TxMeta::default(), &frame, [&[], &[]]) else { continue };
            let kind = error.kind();
            if kind == io::ErrorKind::WouldBlock {
                way.stalled = Some(frame);
                return;
            } else if kind == io::ErrorKind::NotConnected {
                end.gone = Some(kind);
            } else {
                way.refused += 1;
            }
        }
    }

    /// Why it is over, if an end has gone and nothing is under way to the other any more.
    fn is_over(&mut self) -> Option<io::ErrorKind> {
        let [first, second] = self.ends.each_ref().map(|end| end.gone);
        let why = first.or(second)?;
        let now = self.now();
        let deadline = *self.drained_by.get_or_insert(now + DRAIN_LIMIT);
        let is_through =
            |way: &Way, is_gone: bool| is_gone || (way.stalled.is_none() && way.link.in_flight_count() == 0);
        let [out, back] = &self.ways;
        let is_through = is_through(out, second.is_some()) && is_through(back, first.is_some());
        (is_through || now >= deadline).then_some(why)
    }

    /// Sleeps until a frame has come or is due, a stalled device takes frames again, or somebody rings.
    fn wait(&mut self) -> io::Result<()> {
        let now = self.now();
        let due =
            self.ways.iter().filter(|way| way.stalled.is_none()).filter_map(|way| way.link.poll_timeout());
        let pause = due.chain(self.drained_by).min().map(|at| at.saturating_since(now).max(PAUSE_MIN));
        let wanted = |index: usize| {
            let mut flags = PollFlags::empty();
            if self.ways.get(index).is_some_and(|way| way.stalled.is_none()) {
                flags |= PollFlags::POLLIN;
            }
            if self.ways.get(1 - index).is_some_and(|way| way.stalled.is_some()) {
                flags |= PollFlags::POLLOUT;
            }
            flags
        };
        let [first, second] = &self.ends;
        // A descriptor whose other side has gone is always ready: it is asked no more.
        let watched = |end: &End, index| (end.gone.is_none(), wanted(index));
        let watch = [watched(first, 0), watched(second, 1)];
        let mut descriptors = vec![PollFd::new(self.ring.as_fd(), PollFlags::POLLIN)];
        for (end, (is_watched, flags)) in self.ends.iter().zip(watch) {
            if is_watched {
                descriptors.push(PollFd::new(end.device.as_fd(), flags));
            }
        }
        match ppoll(&mut descriptors, pause.map(TimeSpec::from_duration), None) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut happened = descriptors.iter().map(|it| it.any().unwrap_or(true));
        let is_rung = happened.next() == Some(true);
        let mut readable = [false; 2];
        for (slot, (is_watched, _)) in readable.iter_mut().zip(watch) {
            *slot = is_watched && happened.next() == Some(true);
        }
        drop(descriptors);
        for (end, is_readable) in self.ends.iter_mut().zip(readable) {
            end.is_readable = is_readable;
        }
        if is_rung {
            // One read takes all rings so far, and finds nothing when the handle has gone.
            let mut rings = [0; 64];
            let _ = self.ring.read(&mut rings)?;
        }
        Ok(())
    }
}
