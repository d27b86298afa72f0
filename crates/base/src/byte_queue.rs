//! A byte stream that waits, in pieces that are handed on and used again.

mod ahead;
mod piece;

use std::collections::VecDeque;
use std::ops::Range;

use ahead::Ahead;
pub use piece::{BufferPool, PIECE_LEN, SHARED_LEN_MIN, SharedBytes, handed_in_size, is_mostly_empty};
use piece::{Piece, Storage, largest_within, size_for, storage_of};

/// Bytes that left a queue with the memory that they lie in.
#[derive(Debug)]
pub struct OwnedBytes {
    memory: Vec<u8>,
    range: Range<usize>,
}

impl OwnedBytes {
    /// The memory that they lie in: a buffer of [`PIECE_LEN`] bytes is worth giving back to a [`BufferPool`].
    pub fn into_memory(self) -> Vec<u8> {
        self.memory
    }
}

impl From<Vec<u8>> for OwnedBytes {
    fn from(memory: Vec<u8>) -> Self {
        let range = 0..memory.len();
        Self { memory, range }
    }
}

impl AsRef<[u8]> for OwnedBytes {
    fn as_ref(&self) -> &[u8] {
        self.memory.get(self.range.clone()).unwrap_or_default()
    }
}

/// Pieces that a list keeps room for when it is empty.
const LIST_KEPT: usize = 64;

/// A FIFO of bytes that grows and shrinks by pieces.
///
/// # Theory of operation
/// Bytes are copied in once ([`append`](Self::append)), or a buffer that holds them already becomes part of the queue
/// ([`append_shared`](Self::append_shared), [`promise`](Self::promise) and [`fulfil`](Self::fulfil)). What was consumed gives
/// its pieces back to a pool, from which the next bytes take them, so that a stream in motion touches as much memory as it
/// has bytes waiting, and not all that it ever had.
///
/// A buffer that was handed in with little in it is on loan: it counts for as much memory as its bytes would take alone, and
/// whoever handed it in may [call it back](Self::call_back), so that they are copied after all.
///
/// Bytes that come before their turn wait [ahead](Self::write_ahead) of the end, in pieces of their own, and become part of the
/// queue, as they lie, when those before them are here.
///
/// The last piece grows by doubling from 512 bytes until it is a full one; only then another begins. So, if no buffers are handed
/// in, each piece but the first and the last has at least [`SHARED_LEN_MIN`] bytes.
///
/// An empty queue that was [released](Self::release_if_empty) is one pointer.
#[derive(Debug, Default)]
pub struct ByteQueue(Option<Box<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    pieces: VecDeque<Piece>,
    /// Positions of the first byte, and after the last one, counted from the first that ever was in it.
    start: u64,
    end: u64,
    /// Bytes of memory of these pieces.
    allocated: usize,
    /// What is beyond `end`.
    ahead: Ahead,
    /// Where the piece begins whose buffer will be handed in.
    promised: Option<u64>,
}

impl ByteQueue {
    /// Bytes in it, those that are promised too.
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |inner| usize::try_from(inner.end - inner.start).unwrap_or(usize::MAX))
    }

    /// Whether no byte is in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory that its pieces hold, without what waits [ahead](Self::allocated_ahead).
    pub fn allocated(&self) -> usize {
        self.0.as_ref().map_or(0, |inner| inner.allocated)
    }

    /// Whether it holds no memory at all, what it keeps its pieces in included.
    pub fn is_released(&self) -> bool {
        self.0.is_none()
    }

    /// How many of `count` bytes can be appended if the memory may grow by at most `growth` bytes.
    pub fn fitting(&self, count: usize, growth: usize) -> usize {
        let (mut fits, mut growth) = (0, growth);
        if let Some((inner, last)) = self.0.as_ref().and_then(|inner| Some((inner, inner.pieces.back()?))) {
            fits = last.room();
            if fits >= count {
                return count;
            }
            if let Some(size) = last.part_len() {
                let largest = largest_within(size.saturating_add(growth)).max(size);
                fits = fits.max(largest - inner.waiting_in(last));
                if largest < PIECE_LEN {
                    return count.min(fits);
                }
                growth -= largest - size;
            }
        }
        let more = (growth / PIECE_LEN).saturating_mul(PIECE_LEN) + largest_within(growth % PIECE_LEN);
        count.min(fits.saturating_add(more))
    }

    /// Appends a copy of `bytes`, and what waited for them. Of pieces that they cover what is appended counts.
    pub fn append(&mut self, bytes: &[u8], pool: &mut BufferPool) {
        self.extend(bytes, pool);
        if let Some(inner) = &mut self.0 {
            inner.join();
        }
    }

    fn extend(&mut self, mut bytes: &[u8], pool: &mut BufferPool) {
        if bytes.is_empty() {
            return;
        }
        let inner = self.0.get_or_insert_default();
        debug_assert_eq!(inner.promised, None, "what was promised comes first");
        inner.end += bytes.len() as u64;
        if let Some(last) = inner.pieces.back_mut() {
            if last.room() >= bytes.len() {
                last.fill(bytes);
                return;
            }
            if last.part_len().is_some() {
                inner.grow_last(bytes.len(), pool);
            }
        }
        loop {
            if let Some(last) = inner.pieces.back_mut() {
                let count = last.fill(bytes);
                bytes = bytes.get(count..).unwrap_or_default();
            }
            if bytes.is_empty() {
                return;
            }
            let at = inner.end - bytes.len() as u64;
            inner.push(Piece { at, storage: storage_of(size_for(bytes.len()), pool), offset: 0, len: 0 });
        }
    }

    /// Appends `bytes` without a copy, unless they are fewer than [`SHARED_LEN_MIN`]. What they follow in a piece that is not
    /// full is made a full one by a copy.
    pub fn append_shared(&mut self, bytes: SharedBytes, pool: &mut BufferPool) {
        let len = (*bytes).as_ref().len();
        let copied = match &self.0 {
            Some(inner) if inner.end > inner.start => inner.pieces.back().map_or(0, |last| {
                if last.part_len().is_some() { PIECE_LEN - inner.waiting_in(last) } else { last.room() }
            }),
            Some(_) | None => 0,
        };
        if len < SHARED_LEN_MIN.saturating_add(copied) {
            self.append((*bytes).as_ref(), pool);
            return;
        }
        self.append((*bytes).as_ref().get(..copied).unwrap_or_default(), pool);
        let inner = self.0.get_or_insert_default();
        let at = inner.end;
        inner.end += (len - copied) as u64;
        inner.push(Piece { at, storage: Storage::Shared(bytes), offset: copied, len: len - copied });
    }

    /// The `len` bytes from `offset` beyond the end on will be handed in by [`fulfil`](Self::fulfil) in a buffer of `size` bytes,
    /// before anything else is done with the queue; they are [missing](Self::missing). From now on they count for as much memory as
    /// [`handed_in_size`] says.
    pub fn promise(&mut self, offset: usize, len: usize, size: usize) {
        let inner = self.0.get_or_insert_default();
        debug_assert_eq!(inner.promised, None, "one promise at a time");
        let at = inner.end + offset as u64;
        inner.promised = Some(at);
        let piece = Piece { at, storage: Storage::Promised(size), offset: 0, len };
        if offset > 0 {
            inner.ahead.insert(piece);
            return;
        }
        if inner.pieces.back().is_some_and(|last| last.len == 0) {
            inner.pop_back();
        }
        inner.end += len as u64;
        inner.push(piece);
        inner.join();
    }

    /// The buffer with the promised bytes, which begin at `offset` of it. One of another size is not what was promised: zeros stand
    /// for it. Returns the position of the bytes if the buffer is on loan, for
    /// [`call_back`](Self::call_back).
    pub fn fulfil(&mut self, buffer: Box<[u8]>, offset: usize) -> Option<u64> {
        let inner = self.0.as_mut()?;
        let at = inner.promised.take()?;
        let is_ahead = at >= inner.end;
        let piece = if is_ahead {
            inner.ahead.get_mut(at)?
        } else {
            let index = inner.pieces.partition_point(|piece| piece.at < at);
            inner.pieces.get_mut(index)?
        };
        let Storage::Promised(size) = piece.storage else { return None };
        let holds_them = buffer.len() == size && offset.checked_add(piece.len).is_some_and(|end| end <= size);
        debug_assert!(holds_them, "the buffer holds what was promised");
        let (buffer, offset) = if holds_them { (buffer, offset) } else { (vec![0; size].into(), 0) };
        piece.fulfil(buffer, offset).then_some(at)
    }

    /// Copies the bytes that lie in the buffer that was lent at position `at`, and in those that were lent behind it in the queue,
    /// and gives the buffers to the pool. Says whether that one was still here; if not, nothing happens.
    pub fn call_back(&mut self, at: u64, pool: &mut BufferPool) -> bool {
        let Some(inner) = &mut self.0 else { return false };
        if at < inner.start && inner.pieces.front().is_none_or(|first| first.at > at) {
            // That it was read is what happens mostly.
            return false;
        }
        debug_assert_eq!(inner.promised, None, "what was promised comes first");
        if at >= inner.end {
            return inner.ahead.call_back(at, pool);
        }
        let index = inner.pieces.partition_point(|piece| piece.at < at);
        if !inner.pieces.get(index).is_some_and(|it| it.at == at && matches!(it.storage, Storage::Lent(_))) {
            return false;
        }
        let start = inner.start;
        let later = inner.pieces.split_off(index);
        inner.allocated -= later.iter().map(Piece::size).sum::<usize>();
        inner.end = at.max(start);
        for piece in later {
            if matches!(piece.storage, Storage::Lent(_)) {
                self.extend(piece.slice(start, usize::MAX), pool);
                piece.storage.give_back(pool);
            } else if let Some(inner) = &mut self.0 {
                inner.end = piece.end();
                inner.push(piece);
            }
        }
        true
    }

    /// Bytes that wait ahead.
    pub fn len_ahead(&self) -> usize {
        self.0.as_ref().map_or(0, |inner| inner.ahead.len())
    }

    /// Bytes of memory that what waits ahead holds.
    pub fn allocated_ahead(&self) -> usize {
        self.0.as_ref().map_or(0, |inner| inner.ahead.allocated())
    }

    /// Which of the `len` bytes from `offset` beyond the end on are to be written: from behind those that are here already, up to
    /// the next piece that reaches beyond them all. What lies between is written once more.
    pub fn missing(&self, offset: usize, len: usize) -> Range<usize> {
        let Some(inner) = &self.0 else { return 0..len };
        inner.ahead.missing(inner.end + offset as u64, len)
    }

    /// Whether [`write_ahead`](Self::write_ahead) takes `len` bytes if the memory may grow by at most `growth` bytes.
    pub fn fits_ahead(len: usize, growth: usize) -> bool {
        len == 0 || size_for(len) <= growth
    }

    /// Writes `bytes` at `offset` beyond the end, where they are [missing](Self::missing), and takes at most `growth` bytes of
    /// memory for them, which they must [fit](Self::fits_ahead) in.
    pub fn write_ahead(&mut self, offset: usize, bytes: &[u8], growth: usize, pool: &mut BufferPool) {
        if bytes.is_empty() {
            return;
        }
        let inner = self.0.get_or_insert_default();
        debug_assert!(offset > 0, "what is next is appended");
        inner.ahead.write(inner.end + offset as u64, bytes, growth, pool);
    }

    /// Drops what waits ahead.
    pub fn drop_ahead(&mut self) {
        if let Some(inner) = &mut self.0 {
            inner.ahead = Ahead::default();
        }
    }

    /// The first bytes, at most `count` of them, as far as they lie in one piece.
    pub fn first(&self, count: usize) -> &[u8] {
        let Some(inner) = &self.0 else { return &[] };
        inner.pieces.front().map_or(&[], |piece| piece.slice(inner.start, count))
    }

    /// The bytes from `offset` on, at most `count` of them, as far as they lie in two pieces: see the type's own words.
    pub fn slices(&self, offset: usize, count: usize) -> [&[u8]; 2] {
        let Some(inner) = &self.0 else { return [&[], &[]] };
        let from = inner.start.saturating_add(offset as u64).min(inner.end);
        let index = inner.index_of(from);
        let first = inner.pieces.get(index).map_or(&[][..], |piece| piece.slice(from, count));
        let left = count - first.len();
        if left == 0 {
            return [first, &[]];
        }
        [first, inner.pieces.get(index + 1).map_or(&[], |piece| piece.slice(piece.at, left))]
    }

    /// The bytes from `offset` on, at most `count` of them, piece by piece.
    pub fn parts(&self, offset: usize, count: usize) -> impl Iterator<Item = &[u8]> {
        let (pieces, from, count) = match &self.0 {
            Some(inner) => {
                let from = inner.start.saturating_add(offset as u64).min(inner.end);
                let available = usize::try_from(inner.end - from).unwrap_or(usize::MAX);
                (inner.pieces.range(inner.index_of(from)..), from, count.min(available))
            }
            None => (Default::default(), 0, 0),
        };
        let mut left = count;
        pieces
            .map_while(move |piece| {
                let part = piece.slice(from, left);
                left -= part.len();
                (!part.is_empty()).then_some(part)
            })
            .fuse()
    }

    /// Copies from the start into `target` without dropping it; says how much that was.
    pub fn peek(&self, target: &mut [u8]) -> usize {
        let mut copied = 0;
        for part in self.parts(0, target.len()) {
            if let Some(place) = target.get_mut(copied..copied + part.len()) {
                place.copy_from_slice(part);
            }
            copied += part.len();
        }
        copied
    }

    /// Drops the first `count` bytes, or all if there are fewer.
    pub fn consume(&mut self, count: usize, pool: &mut BufferPool) {
        let Some(inner) = &mut self.0 else { return };
        inner.start = inner.start.saturating_add(count as u64).min(inner.end);
        loop {
            let is_last = inner.pieces.len() == 1;
            let Some(first) = inner.pieces.front_mut() else { return };
            if first.end() > inner.start {
                return;
            }
            if is_last && let Storage::Part(storage) = &mut first.storage {
                // What comes next begins in it.
                storage.clear();
                (first.at, first.len) = (inner.end, 0);
                inner.shorten_list();
                return;
            }
            inner.pop_front(pool);
            inner.shorten_list();
        }
    }

    /// Takes out the first piece with its memory, if at most `most` bytes wait in it, and they fill a quarter of it or more.
    pub fn take_first(&mut self, most: usize) -> Option<OwnedBytes> {
        let inner = self.0.as_mut()?;
        debug_assert_eq!(inner.promised, None, "what was promised comes first");
        let piece = inner.pieces.pop_front()?;
        let waiting = inner.waiting_in(&piece);
        let end = piece.offset + piece.len;
        let is_worth_while = waiting > 0 && waiting <= most && waiting >= piece.size() / 4;
        let memory = match piece.storage {
            Storage::Part(memory) if is_worth_while => memory,
            Storage::Full(memory) if is_worth_while => memory.into_vec(),
            storage @ (Storage::Part(_)
            | Storage::Full(_)
            | Storage::Lent(_)
            | Storage::Shared(_)
            | Storage::Promised(_)) => {
                inner.pieces.push_front(Piece { storage, ..piece });
                return None;
            }
        };
        inner.allocated -= memory.capacity();
        inner.start += waiting as u64;
        inner.shorten_list();
        Some(OwnedBytes { memory, range: end - waiting..end })
    }

    /// Gives the memory back if no byte is in it, or ahead of it.
    pub fn release_if_empty(&mut self) {
        if self.is_empty() && self.0.as_ref().is_some_and(|inner| inner.ahead.is_empty()) {
            self.0 = None;
        }
    }

    /// Drops everything and gives the memory back.
    pub fn clear(&mut self) {
        self.0 = None;
    }
}

impl Inner {
    /// The piece that the byte at position `from` is in: mostly the first.
    fn index_of(&self, from: u64) -> usize {
        if self.pieces.front().is_some_and(|first| from < first.end()) {
            return 0;
        }
        self.pieces.partition_point(|piece| piece.end() <= from)
    }

    /// Bytes of a piece that were not consumed.
    fn waiting_in(&self, piece: &Piece) -> usize {
        usize::try_from(piece.end() - piece.at.max(self.start)).unwrap_or(usize::MAX)
    }

    fn push(&mut self, piece: Piece) {
        self.allocated += piece.size();
        self.pieces.push_back(piece);
    }

    /// Gives back the memory of a list that was long, once nothing is in it.
    fn shorten_list(&mut self) {
        if self.pieces.len() <= 1 && self.pieces.capacity() > LIST_KEPT {
            self.pieces.shrink_to(LIST_KEPT / 4);
        }
    }

    fn pop_front(&mut self, pool: &mut BufferPool) {
        let Some(piece) = self.pieces.pop_front() else { return };
        self.allocated -= piece.size();
        piece.storage.give_back(pool);
    }

    /// Makes what follows the end part of the queue.
    fn join(&mut self) {
        while let Some(piece) = self.ahead.next(self.end) {
            self.end = piece.end();
            self.push(piece);
        }
    }

    fn pop_back(&mut self) {
        if let Some(piece) = self.pieces.pop_back() {
            self.allocated -= piece.size();
        }
    }

    /// Makes room in the last piece, which is not a full one, for `more` bytes, or makes it a full one.
    fn grow_last(&mut self, more: usize, pool: &mut BufferPool) {
        let Some(last) = self.pieces.back() else { return };
        let size = last.part_len().unwrap_or(PIECE_LEN);
        let waiting = last.slice(self.start, usize::MAX);
        let (at, wanted) = (last.end() - waiting.len() as u64, size_for(waiting.len() + more).max(size));
        let mut grown = Piece { at, storage: storage_of(wanted, pool), offset: 0, len: 0 };
        grown.fill(waiting);
        self.pop_back();
        self.push(grown);
    }
}

#[cfg(test)]
mod tests;
