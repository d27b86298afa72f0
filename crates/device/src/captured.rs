//! A queue that wraps a queue and records what crosses it, in both directions.

use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use netloom_base::{DeviceCaps, TxMeta};

use crate::{CaptureInterface, CaptureWriter, CapturedFrame, Direction, Queue, RxFrame};

/// A capture that several queues write: two hosts, or the shards of one, in one file and one order.
pub type SharedCapture<W> = Arc<Mutex<CaptureWriter<W>>>;

/// A queue that records the frames it carries.
///
/// A frame is recorded once the device has given or taken it, as the stack sees it: a super-segment is one frame, and
/// a checksum left to the device is unfinished. The capture is flushed whenever the queue has been read empty, at
/// [`Queue::flush`], and on drop. When writing fails (a full disk), traffic goes on and recording ends.
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// use std::sync::{Arc, Mutex};
///
/// use netloom_base::{Medium, TxMeta};
/// use netloom_device::{CaptureWriter, Captured, MemoryQueue, Queue};
///
/// let capture = Arc::new(Mutex::new(CaptureWriter::new(Vec::new())?)); // or a File
/// let (left, _right) = MemoryQueue::pair(Medium::Ethernet, 1500)?;
/// let mut left = Captured::new(left, Arc::clone(&capture))?;
/// left.send(TxMeta::default(), &[0; 14], [b"payload", b""])?;
/// left.flush()?;
/// assert!(left.failure().is_none());
/// # Ok(())
/// # }
/// ```
pub struct Captured<Q: Queue, W: Write + Send> {
    queue: Q,
    capture: SharedCapture<W>,
    interface: CaptureInterface,
    failure: Option<io::Error>,
}

impl<Q: Queue, W: Write + Send> Captured<Q, W> {
    /// Wraps `queue`, and describes it to the capture as an interface of the queue's name and medium.
    ///
    /// # Errors
    ///
    /// What writing the description gave.
    pub fn new(queue: Q, capture: SharedCapture<W>) -> io::Result<Self> {
        let interface = lock(&capture).add_interface(queue.name(), queue.caps().medium)?;
        Ok(Self { queue, capture, interface, failure: None })
    }

    /// Wraps all queues of one device, which are one interface to the capture.
    ///
    /// # Errors
    ///
    /// What writing the description gave.
    pub fn of_queues(queues: Vec<Q>, capture: &SharedCapture<W>) -> io::Result<Vec<Self>> {
        let Some(first) = queues.first() else { return Ok(Vec::new()) };
        let interface = lock(capture).add_interface(first.name(), first.caps().medium)?;
        let wrap = |queue| Self { queue, capture: Arc::clone(capture), interface, failure: None };
        Ok(queues.into_iter().map(wrap).collect())
    }

    /// Why recording ended, if it has.
    pub fn failure(&self) -> Option<&io::Error> {
        self.failure.as_ref()
    }

    /// The queue inside.
    pub fn get_ref(&self) -> &Q {
        &self.queue
    }

    fn record(&mut self, direction: Direction, parts: &[&[u8]]) {
        let interface = self.interface;
        self.write(|capture| {
            // Asked under the lock, so that the file's order is the clock's.
            let timestamp = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
            capture.record(&CapturedFrame { interface, timestamp, direction, parts, comment: None })
        });
    }

    fn write(&mut self, write: impl FnOnce(&mut CaptureWriter<W>) -> io::Result<()>) {
        if self.failure.is_some() {
            return;
        }
        let result = write(&mut lock(&self.capture));
        if let Err(error) = result {
            tracing::warn!(interface = self.queue.name(), %error, "the capture ends: writing it failed");
            self.failure = Some(error);
        }
    }
}

impl<Q: Queue, W: Write + Send> AsFd for Captured<Q, W> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.queue.as_fd()
    }
}

impl<Q: Queue, W: Write + Send> Queue for Captured<Q, W> {
    fn caps(&self) -> DeviceCaps {
        self.queue.caps()
    }

    fn name(&self) -> &str {
        self.queue.name()
    }

    fn recv(&mut self, buffer: &mut [u8]) -> io::Result<RxFrame> {
        let result = self.queue.recv(buffer);
        match &result {
            Ok(received) => self.record(Direction::Inbound, &[received.bytes_in(buffer)]),
            Err(_) => self.write(CaptureWriter::flush),
        }
        result
    }

    fn send(&mut self, meta: TxMeta, head: &[u8], payload: [&[u8]; 2]) -> io::Result<()> {
        self.queue.send(meta, head, payload)?;
        let [first, second] = payload;
        self.record(Direction::Outbound, &[head, first, second]);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.write(CaptureWriter::flush);
        self.queue.flush()
    }
}

impl<Q: Queue, W: Write + Send> Drop for Captured<Q, W> {
    fn drop(&mut self) {
        self.write(CaptureWriter::flush);
    }
}

/// A panic elsewhere leaves whole blocks behind: the capture can be written on.
fn lock<W: Write>(capture: &Mutex<CaptureWriter<W>>) -> MutexGuard<'_, CaptureWriter<W>> {
    capture.lock().unwrap_or_else(PoisonError::into_inner)
}
