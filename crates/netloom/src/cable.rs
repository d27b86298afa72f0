//! A cable with faults between two devices, carried by a thread of its own.
//!
//! *Theory of operation.* [`Cable::start`] joins any two [`Queue`]s; [`Cable::before`] puts itself between a device and a
//! stack, and [`Cable::before_queues`] before one with several queues. What each direction does to frames is [`netloom_impair::Link`]'s business, the same model that the simulator
//! runs in virtual time; here a thread ([`engine`]) tells it the time. A thread and not a task, because a runtime's
//! timer ticks once a millisecond, and a millisecond is 83 full frames at a gigabit.
//!
//! *Not here.* Devices with offloads: a super-segment is not what crosses a wire, so it is refused at the start.

mod counters;
mod engine;
#[cfg(test)]
mod tests;

use std::io::{self, PipeWriter, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use netloom_base::{DeviceCaps, Medium, Rng};
use netloom_device::{MemoryQueue, Queue};
use netloom_impair::{ImpairSpec, Link};
use tokio::sync::watch;

pub use counters::CableCounters;
use engine::{Engine, Order};

/// A cable that is plugged in. It is pulled when this is dropped; both devices are closed then.
///
/// # Examples
/// ```
/// use netloom::Cable;
/// use netloom::device::MemoryQueue;
/// use netloom::impair::ImpairSpec;
/// use netloom::stack::Medium;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (_host, end) = MemoryQueue::pair(Medium::Ip, 1500)?;
/// // The same in front of one device: what is sent into `device` meets the faults.
/// let (cable, device) = Cable::before(Box::new(end), &"loss=1%,seed=7".parse::<ImpairSpec>()?)?;
/// cable.set_faults(&"delay=50ms".parse()?);
/// let [there, back] = cable.stop();
/// println!("{there:?} {back:?}");
/// # drop(device);
/// # Ok(())
/// # }
/// ```
pub struct Cable {
    orders: Sender<Order>,
    /// A byte in this pipe makes the thread look at its orders; one at a time.
    bell: Mutex<PipeWriter>,
    is_rung: Arc<AtomicBool>,
    ended: watch::Receiver<Option<io::ErrorKind>>,
    thread: Option<JoinHandle<[CableCounters; 2]>>,
}

impl std::fmt::Debug for Cable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cable").field("ended", &*self.ended.borrow()).finish_non_exhaustive()
    }
}

impl Cable {
    /// Joins two devices of the same medium. [`ImpairSpec::inbound`] is the way from the first to the second. Where the
    /// faults name no seed, the operating system gives one.
    ///
    /// # Errors
    /// `InvalidInput` if the media differ or a device has offloads; else what the operating system refused: a pipe, a
    /// thread, randomness.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use netloom::{Cable, device::MemoryQueue, stack::Medium};
    /// # let (host, end) = MemoryQueue::pair(Medium::Ip, 1500)?;
    /// # let (other_host, other_end) = MemoryQueue::pair(Medium::Ip, 1500)?;
    /// // Half a second each way, and one frame in a hundred is lost.
    /// let faults = "delay=500ms,loss=1%,seed=7".parse()?;
    /// let cable = Cable::start([Box::new(end), Box::new(other_end)], &faults)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn start(devices: [Box<dyn Queue>; 2], faults: &ImpairSpec) -> io::Result<Self> {
        Self::join_queues(devices.map(|device| vec![device]), faults)
    }

    fn join_queues(devices: [Vec<Box<dyn Queue>>; 2], faults: &ImpairSpec) -> io::Result<Self> {
        let medium = check_devices(&devices)?;
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(io::Error::other)?;
        let links = faults.links(medium, Rng::from_seed(seed).next_u64());
        Self::spawn(devices, links)
    }

    /// Puts a cable before `device`, and returns the queue at its other end, for a stack. Inbound is the way to the stack.
    ///
    /// When the stack drops its queue, what is under way to the device still arrives, for a second at most.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    ///
    /// # Examples
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use netloom::{Cable, device::MemoryQueue, stack::Medium};
    /// # let (host, end) = MemoryQueue::pair(Medium::Ip, 1500)?;
    /// let (cable, device) = Cable::before(Box::new(end), &"loss=1%".parse()?)?;
    /// // `device` is an interface of a `Net` now.
    /// # drop(device);
    /// # Ok(())
    /// # }
    /// ```
    pub fn before(device: Box<dyn Queue>, faults: &ImpairSpec) -> io::Result<(Self, Box<dyn Queue>)> {
        let (near, far) = far_end(&*device)?;
        Ok((Self::start([device, far], faults)?, near))
    }

    /// The same before a device with several queues: frames of one come out of the one in its place. They meet the faults together,
    /// so that a rate, and the queue before it, is that of them all. What the seed does to which frame follows from the order in
    /// which they come, and with several queues nobody has that in hand.
    ///
    /// # Errors
    /// As [`start`](Self::start); and `InvalidInput` if there is no queue.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use netloom::{Cable, device::{MemoryQueue, Queue}, stack::Medium};
    /// # let (_one_host, one) = MemoryQueue::pair(Medium::Ip, 1500)?;
    /// # let (_other_host, other) = MemoryQueue::pair(Medium::Ip, 1500)?;
    /// let queues: Vec<Box<dyn Queue>> = vec![Box::new(one), Box::new(other)];
    /// let (cable, queues) = Cable::before_queues(queues, &"rate=10mbit".parse()?)?;
    /// // They are the queues of an interface of a `Net` now.
    /// assert_eq!(queues.len(), 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn before_queues(
        queues: Vec<Box<dyn Queue>>,
        faults: &ImpairSpec,
    ) -> io::Result<(Self, Vec<Box<dyn Queue>>)> {
        let ends: io::Result<Vec<_>> = queues.iter().map(|queue| far_end(&**queue)).collect();
        let (near, far) = ends?.into_iter().unzip();
        Ok((Self::join_queues([queues, far], faults)?, near))
    }

    fn spawn(devices: [Vec<Box<dyn Queue>>; 2], links: [Link; 2]) -> io::Result<Self> {
        let (ring, bell) = io::pipe()?;
        let (orders, inbox) = channel();
        let (tell, ended) = watch::channel(None);
        let is_rung = Arc::new(AtomicBool::new(false));
        let engine = Engine::new(devices, links, inbox, (ring, Arc::clone(&is_rung)));
        let thread = std::thread::Builder::new().name("netloom-cable".to_owned()).spawn(move || {
            let (kind, counters) = engine.run();
            tell.send_replace(Some(kind));
            counters
        })?;
        Ok(Self { orders, bell: Mutex::new(bell), is_rung, ended, thread: Some(thread) })
    }

    /// Changes what happens to frames from now on; those under way keep their fate. The seed is what it was.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use netloom::{Cable, device::MemoryQueue, stack::Medium};
    /// # let (host, end) = MemoryQueue::pair(Medium::Ip, 1500)?;
    /// let (cable, device) = Cable::before(Box::new(end), &"loss=1%".parse()?)?;
    /// // Somebody steps on it.
    /// cable.set_faults(&"loss=100%".parse()?);
    /// # drop(device);
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_faults(&self, faults: &ImpairSpec) {
        self.order(Order::Change(Box::new(faults.clone())));
    }

    /// What was counted: the way from the first device to the second, then the way back.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use netloom::{Cable, device::MemoryQueue, stack::Medium};
    /// # let (host, end) = MemoryQueue::pair(Medium::Ip, 1500)?;
    /// let (cable, device) = Cable::before(Box::new(end), &"loss=1%".parse()?)?;
    /// let [in_, out] = cable.counters();
    /// assert_eq!((in_.refused, out.refused), (0, 0));
    /// # drop(device);
    /// # Ok(())
    /// # }
    /// ```
    pub fn counters(&self) -> [CableCounters; 2] {
        let (reply, answer) = channel();
        self.order(Order::Report(reply));
        answer.recv().unwrap_or_default()
    }

    /// Waits until the cable has ended because a device did, and returns why. Cancel safe.
    ///
    /// # Examples
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use netloom::{Cable, device::MemoryQueue, stack::Medium};
    /// # let (host, end) = MemoryQueue::pair(Medium::Ip, 1500)?;
    /// let (cable, device) = Cable::before(Box::new(end), &"loss=1%".parse()?)?;
    /// drop(device);
    /// assert_eq!(cable.ended().await, std::io::ErrorKind::NotConnected);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn ended(&self) -> io::ErrorKind {
        let mut ended = self.ended.clone();
        // The sender goes with the thread: both mean the same.
        ended
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|kind| *kind)
            .unwrap_or(io::ErrorKind::NotConnected)
    }

    /// Pulls the cable, and returns what was counted. What is under way is lost.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use netloom::{Cable, device::MemoryQueue, stack::Medium};
    /// # let (host, end) = MemoryQueue::pair(Medium::Ip, 1500)?;
    /// let (cable, device) = Cable::before(Box::new(end), &"loss=1%".parse()?)?;
    /// let [in_, out] = cable.stop();
    /// println!("in: {in_:?}, out: {out:?}");
    /// # drop(device);
    /// # Ok(())
    /// # }
    /// ```
    pub fn stop(mut self) -> [CableCounters; 2] {
        self.order(Order::Stop);
        self.join()
    }

    /// Waits until both directions are through after a device has gone (see [`before`](Self::before)).
    ///
    /// # Examples
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use netloom::{Cable, device::MemoryQueue, stack::Medium};
    /// # let (host, end) = MemoryQueue::pair(Medium::Ip, 1500)?;
    /// let (cable, device) = Cable::before(Box::new(end), &"delay=10ms".parse()?)?;
    /// drop(device);
    /// let [in_, out] = cable.finish();
    /// println!("in: {in_:?}, out: {out:?}");
    /// # Ok(())
    /// # }
    /// ```
    pub fn finish(mut self) -> [CableCounters; 2] {
        self.join()
    }

    /// A thread that has ended takes no orders, and nobody needs it to.
    fn order(&self, order: Order) {
        if self.orders.send(order).is_ok() && !self.is_rung.swap(true, Ordering::SeqCst) {
            let mut bell = self.bell.lock().unwrap_or_else(PoisonError::into_inner);
            // Fails if the thread has just ended.
            let _ = bell.write_all(&[0]);
        }
    }

    fn join(&mut self) -> [CableCounters; 2] {
        self.thread.take().and_then(|thread| thread.join().ok()).unwrap_or_default()
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.order(Order::Stop);
            self.join();
        }
    }
}

/// Two ends of memory for what `device` carries: for a stack, and for the cable.
fn far_end(device: &dyn Queue) -> io::Result<(Box<dyn Queue>, Box<dyn Queue>)> {
    let caps = device.caps();
    let (near, far) = MemoryQueue::pair(caps.medium, caps.mtu)?;
    Ok((Box::new(near), Box::new(far)))
}

/// The medium of all, if a cable can join them.
fn check_devices(devices: &[Vec<Box<dyn Queue>>; 2]) -> io::Result<Medium> {
    let refuse = |why| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    let [first, second] = devices;
    let Some(medium) = first.first().map(|queue| queue.caps().medium) else {
        return refuse("a cable needs a queue at each end");
    };
    if first.len() != second.len() {
        return refuse("a cable joins as many queues as there are at the other end");
    }
    for queue in first.iter().chain(second) {
        let caps = queue.caps();
        if caps.medium != medium {
            return refuse("a cable joins two devices of the same medium");
        }
        if caps != DeviceCaps::plain(medium, caps.mtu) {
            return refuse("a cable carries whole frames: open the device without offloads");
        }
    }
    Ok(medium)
}
