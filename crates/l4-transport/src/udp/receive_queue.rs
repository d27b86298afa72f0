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

use super::config::{DATAGRAM_COST, KEPT_ENTRIES};

// A datagram alone costs no more than it is counted for.
const _: () = assert!(size_of::<Incoming>() <= DATAGRAM_COST);

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

/// What came as one packet.
#[derive(Debug)]
struct Incoming {
    /// What is known of each datagram, but for its length.
    about: UdpReceived,
    memory: Memory,
    /// Where in the memory lies what was not read yet.
    begin: u32,
    end: u32,
    /// What it costs, each datagram by itself.
    cost: u32,
    /// Bytes of each datagram; the last may have fewer.
    segment_size: u16,
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
        in_memory(self.begin, self.end.min(self.begin.saturating_add(self.segment_size.into())))
    }

    /// Where all that lies that was not read yet.
    fn rest(&self) -> Range<usize> {
        in_memory(self.begin, self.end)
    }
}

fn in_memory(begin: u32, end: u32) -> Range<usize> {
    let place = |at| usize::try_from(at).unwrap_or(usize::MAX);
    place(begin)..place(end)
}

fn narrow(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
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
        segment_size: u16,
        most_bytes: usize,
        most_count: usize,
    ) -> (usize, usize) {
        let count = count_of(len, segment_size);
        if count <= most_count && cost_of(len, count) <= most_bytes {
            return (len, count);
        }
        let each = usize::from(segment_size);
        let fitting = most_count.min(most_bytes / cost_of(each, 1)).min(count - 1);
        (fitting * each, fitting)
    }

    /// Queues a copy of `data`, which is one datagram or a train of them.
    pub(super) fn push_copy(&mut self, about: UdpReceived, segment_size: u16, data: &[u8]) {
        self.push(about, segment_size, Memory::Own(data.into()), data.len());
    }

    /// Queues such data whose buffer will be handed in by [`fulfil`](Self::fulfil), before anything else is done with the queue.
    pub(super) fn promise(&mut self, about: UdpReceived, segment_size: u16, len: usize) {
        self.push(about, segment_size, Memory::Promised, len);
    }

    fn push(&mut self, about: UdpReceived, segment_size: u16, memory: Memory, len: usize) {
        let count = count_of(len, segment_size);
        let cost = cost_of(len, count);
        let (begin, end, cost_of_entry) = (0, narrow(len), narrow(cost));
        self.entries.push_back(Incoming { about, memory, begin, end, cost: cost_of_entry, segment_size });
        self.datagram_count += count;
        self.bytes += cost;
    }

    /// The buffer that was promised; its data begins at `offset`. Returns the entry that it is in if it is on
    /// loan, for [`call_back`](Self::call_back).
    pub(super) fn fulfil(&mut self, buffer: Box<[u8]>, offset: usize) -> Option<u64> {
        let last = self.entries.back_mut().filter(|last| matches!(last.memory, Memory::Promised));
        debug_assert!(last.is_some(), "a buffer was promised");
        let last = last?;
        (last.begin, last.end) = (narrow(offset), narrow(offset).saturating_add(last.end));
        debug_assert!(last.rest().end <= buffer.len(), "the buffer holds what was promised");
        let is_lent = narrow(buffer.len()) > last.cost;
        last.memory = if is_lent { Memory::Lent(buffer) } else { Memory::Own(buffer) };
        is_lent.then(|| self.first + self.entries.len() as u64 - 1)
    }

    /// Copies what is left of the entry `at`, and gives its buffer to the pool. If it was read, nothing happens.
    pub(super) fn call_back(&mut self, at: u64, pool: &mut BufferPool) {
        let index = at.checked_sub(self.first).and_then(|index| usize::try_from(index).ok());
        let Some(entry) = index.and_then(|index| self.entries.get_mut(index)) else { return };
        if matches!(entry.memory, Memory::Lent(_)) {
            let copy: Box<[u8]> = entry.memory.bytes().get(entry.rest()).unwrap_or_default().into();
            (entry.begin, entry.end) = (0, narrow(copy.len()));
            core::mem::replace(&mut entry.memory, Memory::Own(copy)).give_back(pool);
        }
    }

    /// The oldest datagram.
    pub(super) fn front(&self) -> Option<(UdpReceived, &[u8])> {
        let entry = self.entries.front()?;
        let data = entry.memory.bytes().get(entry.next()).unwrap_or_default();
        debug_assert_eq!(data.len(), entry.next().len(), "what was promised comes first");
        Some((UdpReceived { len: data.len(), ..entry.about }, data))
    }

    /// Drops the oldest datagram, and says what costs nothing more.
    pub(super) fn pop(&mut self, pool: &mut BufferPool) -> usize {
        let Some(entry) = self.entries.front_mut() else { return 0 };
        entry.begin = narrow(entry.next().end);
        self.datagram_count -= 1;
        if entry.begin < entry.end {
            return 0;
        }
        let Some(Incoming { memory, cost, .. }) = self.entries.pop_front() else { return 0 };
        let cost = usize::try_from(cost).unwrap_or(usize::MAX);
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

/// Datagrams that `len` bytes in pieces of `segment_size` are.
fn count_of(len: usize, segment_size: u16) -> usize {
    len.div_ceil(segment_size.max(1).into()).max(1)
}

/// What `count` datagrams with `len` bytes together cost.
const fn cost_of(len: usize, count: usize) -> usize {
    len + count * DATAGRAM_COST
}
