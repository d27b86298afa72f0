//! What is counted on one stream, by whoever moves its data, and read by the session.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::iperf3::header::DatagramHeader;
use crate::iperf3::reception::Reception;

/// Locks what a panicked holder cannot have left half done: plain counters.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The counters of one stream.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) server_sends: bool,
    len: AtomicU64,
    sent_datagrams: AtomicU64,
    reception: Mutex<Reception>,
    retransmits: Mutex<Option<u32>>,
    is_omitting: AtomicBool,
    omitted: Mutex<Count>,
}

/// What had been counted at some moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Count {
    /// Bytes.
    pub(crate) len: u64,
    /// Datagrams sent, as far as this side knows.
    pub(crate) datagrams: u64,
    /// Datagrams lost.
    pub(crate) lost: u64,
    /// Seconds.
    pub(crate) jitter: f64,
    /// Segments sent again; `None` where that is not counted.
    pub(crate) retransmits: Option<u32>,
}

impl Tally {
    /// Counts nothing yet; `omits` says whether the start will not count.
    pub(crate) fn new(server_sends: bool, omits: bool) -> Self {
        Self {
            server_sends,
            len: AtomicU64::new(0),
            sent_datagrams: AtomicU64::new(0),
            reception: Mutex::default(),
            retransmits: Mutex::default(),
            is_omitting: AtomicBool::new(omits),
            omitted: Mutex::default(),
        }
    }

    /// Bytes of a TCP stream, either way.
    pub(crate) fn on_bytes(&self, len: usize) {
        self.len.fetch_add(len as u64, Ordering::Relaxed);
    }

    /// A datagram that was sent; returns nothing, its number was asked for before.
    pub(crate) fn on_datagram_sent(&self, len: usize) {
        self.on_bytes(len);
        self.sent_datagrams.fetch_add(1, Ordering::Relaxed);
    }

    /// A datagram that arrived `now`, of `len` bytes.
    pub(crate) fn on_datagram_received(&self, header: DatagramHeader, len: usize, now: Duration) {
        self.on_bytes(len);
        lock(&self.reception).on_datagram(header, now);
    }

    /// How many segments were sent again since the start; `None` leaves what was known before.
    pub(crate) fn on_retransmits(&self, count: Option<u32>) {
        if count.is_some() {
            *lock(&self.retransmits) = count;
        }
    }

    /// Whether what is counted will not count.
    pub(crate) fn is_omitting(&self) -> bool {
        self.is_omitting.load(Ordering::Relaxed)
    }

    /// Everything since the start, the omitted part included.
    pub(crate) fn total(&self) -> Count {
        let reception = lock(&self.reception);
        Count {
            len: self.len.load(Ordering::Relaxed),
            datagrams: self.sent_datagrams.load(Ordering::Relaxed) + reception.highest,
            lost: reception.lost,
            jitter: reception.jitter,
            retransmits: *lock(&self.retransmits),
        }
    }

    /// Ends the omitted start: what was counted so far does not count.
    pub(crate) fn end_omitted(&self) {
        let total = self.total();
        *lock(&self.omitted) = total;
        self.is_omitting.store(false, Ordering::Relaxed);
        lock(&self.reception).restart_jitter();
    }

    /// What was counted in the omitted start.
    pub(crate) fn omitted(&self) -> Count {
        *lock(&self.omitted)
    }
}
