//! The datagrams that have come for a socket.
//!
//! *Theory of operation.* What came as one packet, a datagram or a train of them, waits as one entry, in the buffer that a device
//! has filled if that is handed in, else in a copy. A reader takes one datagram after the other out of it, and when the last was read
//! the entry costs nothing more. A buffer that is larger than what its data costs is on loan: it may be called back, and what was
//! not read yet is copied then.

use core::fmt;
use core::net::SocketAddr;
use core::ops::Range;
use std::collections::VecDeque;

use netloom_base::{BufferPool, InterfaceId};

/// What a queued datagram costs beside its data.
const DATAGRAM_COST: usize = 128;

/// Entries that an empty queue keeps room for.
const KEPT_ENTRIES: usize = 32;

/// What came with a datagram's data.
// [768-03] [1122-U011] [1122-U014] [1122-U019] [1122-I150]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UdpReceived {
    /// Bytes of data that the datagram had, however many of them fitted.
    pub len: usize,
    /// Who sent it; port 0 if it wants no answer.
    pub remote: SocketAddr,
    /// To which of our addresses, or which group, it was sent, and our port. An answer goes out from here.
    pub local: SocketAddr,
    /// Where it came in.
    pub interface: InterfaceId,
    /// TTL or hop limit as received.
    pub hop_limit: u8,
    /// DSCP (6 bits) and ECN (2 bits).
    pub traffic_class: u8,
}

impl UdpReceived {
    /// Whether a buffer of `capacity` bytes did not hold all of it. What did not fit is gone, as with `recvfrom`.
    pub const fn is_truncated(&self, capacity: usize) -> bool {
        self.len > capacity
    }
}

/// What a datagram of `len` bytes of data costs in a queue.
pub(super) const fn cost_of(len: usize) -> usize {
    len + DATAGRAM_COST
}

/// What came as one packet.
#[derive(Debug)]
struct Incoming {
    /// What is known of each datagram, but for its length.
    about: UdpReceived,
    /// Bytes of each datagram; the last may have fewer.
    segment_size: usize,
    memory: Memory,
    /// Where in the memory lies what was not read yet.
    range: Range<usize>,
    /// What it costs, each datagram by itself.
    cost: usize,
}

/// Whose memory the data lies in.
enum Memory {
    Own(Box<[u8]>),
    /// A buffer that may be called back.
    Lent(Box<[u8]>),
    /// A buffer that will be handed in.
    Promised,
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Own(_) => "Own",
            Self::Lent(_) => "Lent",
            Self::Promised => "Promised",
        };
        write!(f, "{name}({})", self.bytes().len())
    }
}

impl Memory {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Own(bytes) | Self::Lent(bytes) => bytes,
            Self::Promised => &[],
        }
    }

    fn give_back(self, pool: &mut BufferPool) {
        match self {
            Self::Own(buffer) | Self::Lent(buffer) => pool.put(buffer),
            Self::Promised => {}
        }
    }
}

impl Incoming {
    /// Where the next datagram lies.
    fn next(&self) -> Range<usize> {
        self.range.start..self.range.end.min(self.range.start.saturating_add(self.segment_size))
    }

    fn data(&self) -> &[u8] {
        self.memory.bytes().get(self.next()).unwrap_or_default()
    }
}

/// The datagrams, in the order they came, and what they cost.
#[derive(Debug, Default)]
pub(super) struct ReceiveQueue {
    entries: VecDeque<Incoming>,
    /// Which of all entries that there ever were the first one is.
    first: u64,
    datagram_count: usize,
    /// What they cost together.
    bytes: usize,
}

impl ReceiveQueue {
    /// Datagrams in it.
    pub(super) const fn len(&self) -> usize {
        self.datagram_count
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.datagram_count == 0
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// How much of `len` bytes in datagrams of `segment_size` fits, whole datagrams that are, if all may cost `most_bytes` more and be
    /// `most_count` more; and how many datagrams that is.
    pub(super) fn fitting(
        len: usize,
        segment_size: usize,
        most_bytes: usize,
        most_count: usize,
    ) -> (usize, usize) {
        let count = len.div_ceil(segment_size).max(1);
        if count <= most_count && len + count * cost_of(0) <= most_bytes {
            return (len, count);
        }
        let fitting = most_count.min(most_bytes / cost_of(segment_size)).min(count - 1);
        (fitting * segment_size, fitting)
    }

    /// Queues a copy of `data`, which is one datagram or a train of them.
    pub(super) fn push_copy(&mut self, about: UdpReceived, segment_size: usize, data: &[u8]) {
        self.push(about, segment_size, Memory::Own(data.into()), data.len());
    }

    /// Queues such data whose buffer will be handed in by [`fulfil`](Self::fulfil), before anything else is done with the queue.
    pub(super) fn promise(&mut self, about: UdpReceived, segment_size: usize, len: usize) {
        self.push(about, segment_size, Memory::Promised, len);
    }

    fn push(&mut self, about: UdpReceived, segment_size: usize, memory: Memory, len: usize) {
        let count = len.div_ceil(segment_size).max(1);
        let cost = len + count * cost_of(0);
        self.entries.push_back(Incoming { about, segment_size, memory, range: 0..len, cost });
        self.datagram_count += count;
        self.bytes += cost;
    }

    /// The buffer that was promised; its data begins at `offset`. Returns the entry that it is in if it is on
    /// loan, for [`call_back`](Self::call_back).
    pub(super) fn fulfil(&mut self, buffer: Box<[u8]>, offset: usize) -> Option<u64> {
        let last = self.entries.back_mut().filter(|last| matches!(last.memory, Memory::Promised))?;
        let range = offset..offset + last.range.len();
        debug_assert!(range.end <= buffer.len(), "the buffer holds what was promised");
        let is_lent = buffer.len() > last.cost;
        (last.memory, last.range) = (if is_lent { Memory::Lent(buffer) } else { Memory::Own(buffer) }, range);
        is_lent.then(|| self.first + self.entries.len() as u64 - 1)
    }

    /// Copies what is left of the entry `at`, and gives its buffer to the pool. If it was read, nothing happens.
    pub(super) fn call_back(&mut self, at: u64, pool: &mut BufferPool) {
        let index = at.checked_sub(self.first).and_then(|index| usize::try_from(index).ok());
        let Some(entry) = index.and_then(|index| self.entries.get_mut(index)) else { return };
        if matches!(entry.memory, Memory::Lent(_)) {
            let copy: Box<[u8]> = entry.memory.bytes().get(entry.range.clone()).unwrap_or_default().into();
            entry.range = 0..copy.len();
            core::mem::replace(&mut entry.memory, Memory::Own(copy)).give_back(pool);
        }
    }

    /// The oldest datagram.
    pub(super) fn front(&self) -> Option<(UdpReceived, &[u8])> {
        let entry = self.entries.front()?;
        Some((UdpReceived { len: entry.next().len(), ..entry.about }, entry.data()))
    }

    /// Drops the oldest datagram, and says what costs nothing more.
    pub(super) fn pop(&mut self, pool: &mut BufferPool) -> usize {
        let Some(entry) = self.entries.front_mut() else { return 0 };
        let next = entry.next();
        entry.range.start = next.end;
        self.datagram_count -= 1;
        if !entry.range.is_empty() {
            return 0;
        }
        let Some(Incoming { memory, cost, .. }) = self.entries.pop_front() else { return 0 };
        self.first += 1;
        self.bytes -= cost;
        memory.give_back(pool);
        if self.entries.is_empty() {
            debug_assert_eq!((self.datagram_count, self.bytes), (0, 0), "an empty queue costs nothing");
            if self.entries.capacity() > KEPT_ENTRIES {
                self.entries = VecDeque::new();
            }
        }
        cost
    }

    /// Drops everything, and says what it has cost.
    pub(super) fn clear(&mut self, pool: &mut BufferPool) -> usize {
        self.first += self.entries.len() as u64;
        for entry in core::mem::take(&mut self.entries) {
            entry.memory.give_back(pool);
        }
        self.datagram_count = 0;
        core::mem::take(&mut self.bytes)
    }
}
