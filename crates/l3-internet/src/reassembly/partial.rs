//! A datagram of which some fragments have come.

use netloom_base::SlabId;

use super::fragment::{Fragment, FragmentError, FragmentHeader, FragmentKey};

/// Pieces that a datagram may come in: what a 65,535-byte one needs over a link that takes 68 bytes, the least that IPv4
/// allows (RFC 791 3.2).
const MAX_FRAGMENTS: usize = 1_366;

/// Memory of a piece beside its bytes: its entry in the list, and the allocator's part.
const CHUNK_COST: usize = 64;

/// Memory of a datagram beside its pieces: itself, its key, its deadline, its source.
pub(super) const PARTIAL_COST: usize = 384;

/// A piece: the bytes of one fragment. Of the first fragment the whole packet is kept, so that its headers are there for
/// the result and all of it for an ICMP error.
#[derive(Clone, Debug)]
struct Chunk {
    /// Where its data belongs.
    start: usize,
    /// Bytes before its data.
    skip: usize,
    bytes: Box<[u8]>,
}

impl Chunk {
    fn data(&self) -> &[u8] {
        self.bytes.get(self.skip..).unwrap_or_default()
    }

    fn end(&self) -> usize {
        self.start + self.bytes.len() - self.skip
    }
}

/// What a fragment means for its datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// It is there already, byte for byte.
    Duplicate,
    /// It is new; so much memory is needed to keep it.
    New { cost: usize },
    /// It is the last that was missing.
    Completes,
}

/// The pieces of one datagram, sorted and disjoint. The holes of RFC 815 are what lies between them.
// [815-01]
#[derive(Clone, Debug)]
pub(super) struct Partial {
    pub(super) key: FragmentKey,
    chunks: Vec<Chunk>,
    /// Bytes of data in `chunks`.
    received: usize,
    /// Where the datagram ends, once its last fragment has come.
    total: Option<usize>,
    /// How to finish the header, once the first fragment has come, and how long that is.
    header: Option<(FragmentHeader, usize)>,
    /// A bit for each ECN codepoint that came.
    ecn_seen: u8,
    /// Memory that it accounts for.
    pub(super) cost: usize,
    /// Set when its fragments overlapped: whatever still comes of it is dropped.
    pub(super) is_abandoned: bool,
    /// The neighbours in its source's list, by age.
    pub(super) older: Option<SlabId>,
    pub(super) younger: Option<SlabId>,
}

impl Partial {
    pub(super) const fn new(key: FragmentKey) -> Self {
        Self {
            key,
            chunks: Vec::new(),
            received: 0,
            total: None,
            header: None,
            ecn_seen: 0,
            cost: PARTIAL_COST,
            is_abandoned: false,
            older: None,
            younger: None,
        }
    }

    /// What `fragment` means here.
    pub(super) fn fit(&self, fragment: &Fragment<'_>, data: &[u8]) -> Result<Fit, FragmentError> {
        let start = usize::from(fragment.offset);
        let end = start + data.len();
        self.check_end(end, fragment.more)?;
        let place = self.place(start);
        let before = place.checked_sub(1).and_then(|place| self.chunks.get(place));
        let after = self.chunks.get(place);
        if let Some(after) = after
            && (after.start, after.data()) == (start, data)
        {
            return Ok(Fit::Duplicate);
        }
        // [8200-17] RFC 5722 4
        if before.is_some_and(|before| before.end() > start) || after.is_some_and(|after| after.start < end) {
            return Err(FragmentError::Overlap);
        }
        let total = if fragment.more { self.total } else { Some(end) };
        if total == Some(self.received + data.len()) {
            return Ok(Fit::Completes);
        }
        if self.chunks.len() >= MAX_FRAGMENTS {
            return Err(FragmentError::Limit);
        }
        let kept = if start == 0 { fragment.packet.len() } else { data.len() };
        Ok(Fit::New { cost: kept + CHUNK_COST })
    }

    /// Whether fragments agree about where the datagram ends. Those that do not claim the same bytes.
    fn check_end(&self, end: usize, more: bool) -> Result<(), FragmentError> {
        let furthest = self.chunks.last().map_or(0, Chunk::end);
        let agrees = match (self.total, more) {
            (Some(total), true) => end < total,
            (Some(total), false) => end == total,
            (None, true) => true,
            // A fragment that ends there too, and is not the last, contradicts it as much.
            (None, false) => furthest < end,
        };
        if agrees { Ok(()) } else { Err(FragmentError::Overlap) }
    }

    /// Keeps a fragment that [`fit`](Self::fit) found new.
    pub(super) fn store(&mut self, fragment: &Fragment<'_>, data: &[u8], cost: usize) {
        let start = usize::from(fragment.offset);
        if !fragment.more {
            self.total = Some(start + data.len());
        }
        let (bytes, skip) = if start == 0 {
            self.header = Some((fragment.header, fragment.header_len));
            (fragment.packet, fragment.data_start)
        } else {
            (data, 0)
        };
        self.chunks.insert(self.place(start), Chunk { start, skip, bytes: bytes.into() });
        self.received += data.len();
        self.ecn_seen |= 1 << fragment.ecn();
        self.cost += cost;
        self.assert_invariants();
    }

    /// The whole packet, with the fragment that completes it.
    // [815-02] the first fragment's headers
    pub(super) fn assemble(&self, fragment: &Fragment<'_>, data: &[u8]) -> Result<Vec<u8>, FragmentError> {
        let start = usize::from(fragment.offset);
        let (header, header_len, first) = match (start, self.header) {
            (0, _) => (fragment.header, fragment.header_len, fragment.packet),
            (_, Some((header, header_len))) => {
                let first = self.chunks.first().ok_or(FragmentError::Malformed)?;
                (header, header_len, &*first.bytes)
            }
            (_, None) => return Err(FragmentError::Malformed),
        };
        let mut packet = Vec::with_capacity(header_len + self.received + data.len());
        packet.extend_from_slice(first.get(..header_len).ok_or(FragmentError::Malformed)?);
        let (before, after) = self.chunks.split_at(self.place(start));
        for chunk in before {
            packet.extend_from_slice(chunk.data());
        }
        packet.extend_from_slice(data);
        for chunk in after {
            packet.extend_from_slice(chunk.data());
        }
        header.finish(&mut packet, header_len, self.ecn_seen | 1 << fragment.ecn())?;
        Ok(packet)
    }

    /// Drops what has come and remembers only that.
    pub(super) fn abandon(&mut self) {
        self.chunks = Vec::new();
        self.received = 0;
        self.header = None;
        self.cost = PARTIAL_COST;
        self.is_abandoned = true;
    }

    /// The first fragment's packet, if it has come.
    pub(super) fn into_first(self) -> Option<Vec<u8>> {
        let has_first = self.header.is_some();
        self.chunks.into_iter().next().filter(|_| has_first).map(|chunk| chunk.bytes.into_vec())
    }

    /// The position of the first chunk that does not begin before `start`.
    fn place(&self, start: usize) -> usize {
        self.chunks.partition_point(|chunk| chunk.start < start)
    }

    fn assert_invariants(&self) {
        if cfg!(debug_assertions) {
            assert!(self.chunks.is_sorted_by(|a, b| a.end() <= b.start), "chunks are sorted and disjoint");
            assert_eq!(self.received, self.chunks.iter().map(|chunk| chunk.data().len()).sum::<usize>());
            assert_eq!(self.header.is_some(), self.chunks.first().is_some_and(|chunk| chunk.start == 0));
        }
    }
}
