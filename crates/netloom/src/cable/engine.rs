//! The thread that moves frames along a cable.
//!
//! *Theory of operation.* One loop: read what has come, at both ends, up to a batch; hand out what has arrived; wait in
//! `ppoll` for more or for the next arrival. The model says when each frame arrives, down to the nanosecond, and paces by
//! the time at which the transmitter is done; so the loop need not wake for each frame, and does not: it sleeps for
//! [`PAUSE_MIN`] at least, and then hands out all that came due. A frame is late by that and the time to wake up.
//!
//! Ends with several queues are joined queue by queue, and their frames meet the faults together: there is one model a
//! direction.
//!
//! *Limits.* What is under way is bounded by the model. A queue that does not take a frame now is not sent another, and the
//! one at the other end is not read: what is to be dropped is dropped there. The frames that are under way to it already wait, in
//! order, and those of other queues pass by: so each queue that is stuck holds once more at most what the model may.

use std::collections::VecDeque;
use std::io::{self, PipeReader, Read};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError};
use std::time::Duration;

use netloom_base::{Instant, TxMeta};
use netloom_device::{Queue, RECEIVE_BUFFER_LEN};
use netloom_impair::{ImpairSpec, Link};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::prctl;
use nix::sys::time::TimeSpec;

use super::counters::CableCounters;

/// Frames that are read from one queue before the next is looked at.
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
    /// Frames that have arrived, and that the queue at the far end has not taken: none but while it takes none.
    arrived: Vec<VecDeque<Vec<u8>>>,
    refused: u64,
}

impl Way {
    fn is_stalled(&self, queue: usize) -> bool {
        self.arrived.get(queue).is_some_and(|arrived| !arrived.is_empty())
    }

    /// Whether nothing is under way.
    fn is_idle(&self) -> bool {
        self.link.in_flight_count() == 0 && self.arrived.iter().all(VecDeque::is_empty)
    }
}

/// One queue of an end.
struct Port {
    device: Box<dyn Queue>,
    /// There may be frames to read.
    is_readable: bool,
    /// Nobody is at its other side any more, as sending or waiting has shown; what was sent there may be left to read.
    is_deaf: bool,
    /// Why nothing more can be read.
    gone: Option<io::ErrorKind>,
}

impl Port {
    fn new(device: Box<dyn Queue>) -> Self {
        Self { device, is_readable: true, is_deaf: false, gone: None }
    }

    /// Why it is about to end, or has.
    fn why_it_ends(&self) -> Option<io::ErrorKind> {
        self.gone.or(self.is_deaf.then_some(io::ErrorKind::NotConnected))
    }

    /// Sends a frame; gives it back if none is taken now. Says whether it was refused.
    fn send(&mut self, frame: Vec<u8>) -> Result<bool, Vec<u8>> {
        if self.why_it_ends().is_some() {
            return Ok(false);
        }
        let Err(error) = self.device.send(TxMeta::default(), &frame, [&[], &[]]) else { return Ok(false) };
        if error.kind() == io::ErrorKind::WouldBlock {
            return Err(frame);
        }
        self.is_deaf = error.kind() == io::ErrorKind::NotConnected;
        Ok(!self.is_deaf)
    }
}

/// One end: a device.
struct End {
    ports: Vec<Port>,
}

impl End {
    /// Why it is about to end, or has: one of its queues does, and the others follow.
    fn why_it_ends(&self) -> Option<io::ErrorKind> {
        self.ports.iter().find_map(Port::why_it_ends)
    }

    /// Whether all that was sent to it has been read.
    fn is_read_up(&self) -> bool {
        self.ports.iter().all(|port| port.gone.is_some())
    }
}

/// The state of the thread. Way 0 leads from end 0 to end 1.
pub(super) struct Engine {
    ends: [End; 2],
    ways: [Way; 2],
    orders: Receiver<Order>,
    ring: PipeReader,
    /// Whether there is a byte in it, or about to be.
    is_rung: Arc<AtomicBool>,
    origin: std::time::Instant,
    buffer: Box<[u8]>,
    /// When to give up on what is under way, once an end has gone.
    drained_by: Option<Instant>,
}

impl Engine {
    pub(super) fn new(
        devices: [Vec<Box<dyn Queue>>; 2],
        links: [Link; 2],
        orders: Receiver<Order>,
        (ring, is_rung): (PipeReader, Arc<AtomicBool>),
    ) -> Self {
        let count = devices.iter().map(Vec::len).max().unwrap_or_default();
        Self {
            ends: devices.map(|queues| End { ports: queues.into_iter().map(Port::new).collect() }),
            ways: links.map(|link| Way { link, arrived: vec![VecDeque::new(); count], refused: 0 }),
            orders,
            ring,
            is_rung,
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

    /// Reads a batch from each queue of the end where way `index` begins; true if there may be more.
    fn receive(&mut self, index: usize) -> bool {
        let count = self.ends.get(index).map_or(0, |end| end.ports.len());
        (0..count).fold(false, |is_busy, queue| self.receive_from(index, queue) | is_busy)
    }

    fn receive_from(&mut self, index: usize, queue: usize) -> bool {
        for _ in 0..FRAMES_PER_TURN {
            let now = self.now();
            let (Some(way), Some(end)) = (self.ways.get_mut(index), self.ends.get_mut(index)) else {
                return false;
            };
            let Some(port) = end.ports.get_mut(queue) else { return false };
            if way.is_stalled(queue) || !port.is_readable || port.gone.is_some() {
                return false;
            }
            match port.device.recv(&mut self.buffer) {
                Ok(received) => {
                    let frame = received.bytes_in(&self.buffer).to_vec();
                    let (name, len) = (port.device.name(), frame.len());
                    let number = u16::try_from(queue).unwrap_or(u16::MAX);
                    if let Err(reason) = way.link.offer_from(number, now, frame) {
                        tracing::trace!(device = name, queue, %reason, len, "frame dropped on the cable");
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    port.is_readable = false;
                    return false;
                }
                // Longer than any frame, or a signal: there may be more.
                Err(error)
                    if [io::ErrorKind::InvalidData, io::ErrorKind::Interrupted].contains(&error.kind()) => {}
                Err(error) => {
                    port.gone = Some(error.kind());
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
        while let Some((queue, frame)) = way.link.poll_any(now) {
            if let Some(arrived) = way.arrived.get_mut(usize::from(queue)) {
                arrived.push_back(frame);
            }
        }
        for (arrived, port) in way.arrived.iter_mut().zip(&mut end.ports) {
            while let Some(frame) = arrived.pop_front() {
                match port.send(frame) {
                    Ok(is_refused) => way.refused += u64::from(is_refused),
                    Err(frame) => {
                        arrived.push_front(frame);
                        break;
                    }
                }
            }
        }
    }

    /// Why it is over, if an end has gone, and all that was sent to it has arrived at the other.
    fn is_over(&mut self) -> Option<io::ErrorKind> {
        let [first, second] = self.ends.each_ref().map(End::why_it_ends);
        let why = first.or(second)?;
        let now = self.now();
        let deadline = *self.drained_by.get_or_insert(now + DRAIN_LIMIT);
        let ([from_first, from_second], [one, other]) = (&self.ways, &self.ends);
        let is_through = (second.is_some() || (one.is_read_up() && from_first.is_idle()))
            && (first.is_some() || (other.is_read_up() && from_second.is_idle()));
        (is_through || now >= deadline).then_some(why)
    }

    /// Sleeps until a frame has come or is due, a stalled queue takes frames again, or somebody rings.
    fn wait(&mut self) -> io::Result<()> {
        let now = self.now();
        let due = self.ways.iter().filter_map(|way| way.link.poll_timeout());
        let pause = due.chain(self.drained_by).min().map(|at| at.saturating_since(now).max(PAUSE_MIN));
        let ways = &self.ways;
        let wanted = |index: usize, queue: usize| {
            let mut flags = PollFlags::empty();
            if ways.get(index).is_some_and(|way| !way.is_stalled(queue)) {
                flags |= PollFlags::POLLIN;
            }
            if ways.get(1 - index).is_some_and(|way| way.is_stalled(queue)) {
                flags |= PollFlags::POLLOUT;
            }
            flags
        };
        let mut descriptors = vec![PollFd::new(self.ring.as_fd(), PollFlags::POLLIN)];
        let mut asked = Vec::new();
        for (index, end) in self.ends.iter().enumerate() {
            for (queue, port) in end.ports.iter().enumerate() {
                let flags = wanted(index, queue);
                // A descriptor whose other side has gone is always ready, whatever it is asked.
                if port.gone.is_none() && !(port.is_deaf && flags.is_empty()) {
                    descriptors.push(PollFd::new(port.device.as_fd(), flags));
                    asked.push((index, queue));
                }
            }
        }
        match ppoll(&mut descriptors, pause.map(TimeSpec::from_duration), None) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut happened = descriptors.iter().map(|it| it.revents().unwrap_or(PollFlags::POLLIN));
        let is_rung = happened.next().is_some_and(|flags| !flags.is_empty());
        let happened: Vec<_> = happened.collect();
        drop(descriptors);
        for ((index, queue), flags) in asked.into_iter().zip(happened) {
            let Some(port) = self.ends.get_mut(index).and_then(|end| end.ports.get_mut(queue)) else {
                continue;
            };
            port.is_readable = !flags.is_empty();
            port.is_deaf |= flags.intersects(PollFlags::POLLHUP | PollFlags::POLLERR);
        }
        if is_rung {
            // Finds nothing when the handle has gone.
            let _ = self.ring.read(&mut [0])?;
            self.is_rung.store(false, Ordering::SeqCst);
        }
        Ok(())
    }
}
