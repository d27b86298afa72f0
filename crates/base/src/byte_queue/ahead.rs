//! Bytes that came before their turn: pieces beyond the end of a queue, apart from each other or one behind the other.

use std::collections::BTreeMap;
use std::ops::Range;

use super::piece::{BufferPool, PIECE_LEN, Piece, Storage, size_for, storage_of};

/// Bytes of memory that may lie idle before small pieces are put together, which copies them.
const IDLE_MAX: usize = 64 << 10;

/// The pieces.
///
/// # Theory of operation
/// A tree by position. Bytes that are copied go on in the piece before them as long as that has room; the next piece is
/// twice as large then, so that none is copied again because it grows. Whoever sends in an order that fills pieces badly is put
/// up with until three quarters of the memory and [`IDLE_MAX`] lie idle: from then on a new piece is joined with its neighbours,
/// if the three need no more memory together. So two neighbours are half full together, and the memory is bounded by four times
/// the bytes, `IDLE_MAX`, and a piece for each run of bytes.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    pieces: BTreeMap<u64, Piece>,
    /// Bytes of memory of all of them.
    allocated: usize,
    /// Bytes in all of them.
    len: usize,
}

impl Ahead {
    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Bytes in all pieces.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Bytes of memory of all pieces.
    pub(super) const fn allocated(&self) -> usize {
        self.allocated
    }

    /// The piece that begins at `at`.
    pub(super) fn get_mut(&mut self, at: u64) -> Option<&mut Piece> {
        self.pieces.get_mut(&at)
    }

    /// The piece before position `at`, or at it.
    fn up_to(&self, at: u64) -> Option<&Piece> {
        self.pieces.range(..=at).next_back().map(|(_, piece)| piece)
    }

    /// Which of the `len` bytes from position `at` on are behind the piece that `at` lies in, and before the one that goes on behind
    /// them.
    pub(super) fn missing(&self, at: u64, len: usize) -> Range<usize> {
        if self.pieces.is_empty() {
            return 0..len;
        }
        let within = |position: u64| usize::try_from(position.saturating_sub(at)).unwrap_or(len).min(len);
        let begin = self.up_to(at).map_or(0, |piece| within(piece.end()));
        let end = at + len as u64;
        let last = self.up_to(end.saturating_sub(1)).filter(|piece| piece.at >= at && piece.end() > end);
        begin..last.map_or(len, |piece| within(piece.at)).max(begin)
    }

    /// Adds a piece in the place of those that lie in its range, which it covers whole.
    pub(super) fn insert(&mut self, piece: Piece) {
        self.drop_covered(piece.at, piece.end());
        debug_assert!(
            self.up_to(piece.at).is_none_or(|before| before.end() <= piece.at),
            "what is here stays as it is"
        );
        self.allocated += piece.size();
        self.len += piece.len;
        self.pieces.insert(piece.at, piece);
    }

    fn remove(&mut self, at: u64) -> Option<Piece> {
        let piece = self.pieces.remove(&at)?;
        self.allocated -= piece.size();
        self.len -= piece.len;
        Some(piece)
    }

    /// Drops the pieces that begin from `from` on, and before `to`.
    fn drop_covered(&mut self, from: u64, to: u64) {
        while let Some((&at, _)) = self.pieces.range(from..to).next() {
            self.remove(at);
        }
    }

    /// Takes out the piece at position `end`. Those that lie before it have been written once more elsewhere.
    pub(super) fn next(&mut self, end: u64) -> Option<Piece> {
        loop {
            let (&at, _) = self.pieces.first_key_value()?;
            if at > end {
                return None;
            }
            let piece = self.remove(at)?;
            if at == end {
                return Some(piece);
            }
            debug_assert!(piece.end() <= end, "no piece is written over in part");
        }
    }

    /// Copies `bytes` to position `at`; see [`ByteQueue::write_ahead`](super::ByteQueue::write_ahead).
    pub(super) fn write(&mut self, at: u64, bytes: &[u8], growth: usize, pool: &mut BufferPool) {
        self.drop_covered(at, at + bytes.len() as u64);
        let (mut bytes, mut at, mut size) = (bytes, at, size_for(bytes.len()));
        let before = self.pieces.range_mut(..at).next_back();
        if let Some((_, before)) = before.filter(|(_, before)| before.end() == at) {
            let count = before.fill(bytes);
            self.len += count;
            at += count as u64;
            bytes = bytes.get(count..).unwrap_or_default();
            if bytes.is_empty() {
                return;
            }
            let doubled = size_for(2 * before.size());
            size = size_for(bytes.len());
            if doubled <= growth {
                size = size.max(doubled);
            }
        }
        let mut piece = Piece { at, storage: storage_of(size, pool), offset: 0, len: 0 };
        piece.fill(bytes);
        self.insert(piece);
        self.save_memory_at(at, pool);
    }

    /// Copies the bytes of the piece at `at`, if it is on loan, and gives its buffer to the pool. Says whether it was.
    pub(super) fn call_back(&mut self, at: u64, pool: &mut BufferPool) -> bool {
        let Some(lent) = self.pieces.get_mut(&at).filter(|it| matches!(it.storage, Storage::Lent(_))) else {
            return false;
        };
        let mut copy = Piece { at, storage: storage_of(size_for(lent.len), pool), offset: 0, len: 0 };
        copy.fill(lent.slice(at, usize::MAX));
        let (counted, counts) = (lent.size(), copy.size());
        std::mem::replace(lent, copy).storage.give_back(pool);
        self.allocated = self.allocated - counted + counts;
        self.save_memory_at(at, pool);
        true
    }

    /// Joins the piece at `at` with its neighbours, if much memory lies idle and that saves some.
    fn save_memory_at(&mut self, at: u64, pool: &mut BufferPool) {
        if self.allocated <= 4 * self.len + IDLE_MAX {
            return;
        }
        let before = self.pieces.range(..at).next_back().map(|(&before, _)| before);
        self.join_with_next(at, pool);
        if let Some(before) = before {
            self.join_with_next(before, pool);
        }
    }

    /// Puts the bytes of the piece at `at` and of the one right behind it in one, if both are copies and that takes no more memory.
    fn join_with_next(&mut self, at: u64, pool: &mut BufferPool) {
        let mut two = self.pieces.range(at..).map(|(_, piece)| piece);
        let (Some(first), Some(second)) = (two.next(), two.next()) else { return };
        let (Some(sizes), len) = (
            first.part_len().zip(second.part_len()).map(|(first, second)| first + second),
            first.len + second.len,
        ) else {
            return;
        };
        if first.end() != second.at || len > PIECE_LEN || size_for(len) > sizes {
            return;
        }
        let mut joined = Piece { at, storage: storage_of(size_for(len), pool), offset: 0, len: 0 };
        joined.fill(first.slice(at, usize::MAX));
        joined.fill(second.slice(second.at, usize::MAX));
        self.insert(joined);
    }
}

#[cfg(test)]
mod tests;
