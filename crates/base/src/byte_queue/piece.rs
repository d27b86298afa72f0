//! The pieces that bytes wait in, and the memory that they are made of.

use std::fmt;

/// Bytes of a full piece: a buffer that holds every frame of every device.
pub const PIECE_LEN: usize = 65_600;

/// Bytes from which on a piece of somebody else's memory is kept as it is, instead of being copied. No super-segment is
/// longer: it spans two pieces at most.
pub const SHARED_LEN_MIN: usize = 64 << 10;

/// The fewest bytes that a buffer is kept for: with fewer, what its piece is noted with would be more.
const KEPT_LEN_MIN: usize = 128;
/// As much of a full piece as counts where it is asked whether it is mostly empty.
const REACHED: usize = 64 << 10;

/// Bytes of the smallest piece: allocators have such at hand for each thread, glibc's up to 1032 bytes.
pub(super) const SMALLEST_PIECE: usize = 512;
/// Bytes of the largest piece that is not a full one.
pub(super) const LARGEST_PART: usize = 32 << 10;

/// Buffers that a [`BufferPool`] keeps: as many as a driver may have on loan, which come back together.
pub(super) const POOL_BUFFERS: usize = 64;

/// Memory that is somebody else's and does not change.
pub type SharedBytes = Box<dyn AsRef<[u8]> + Send + Sync>;

/// Full pieces that are free, the one that was used last first: its bytes are still in a cache. Besides, shorter buffers for the
/// frames of a device, all of one size.
///
/// *Limits.* 64 buffers of [`PIECE_LEN`] bytes, and 64 of the size that was asked for last.
#[derive(Debug, Default)]
pub struct BufferPool {
    pub(super) free: Vec<Box<[u8]>>,
    short: Vec<Box<[u8]>>,
    /// Bytes of each of those; 0 before any was asked for.
    short_len: usize,
}

impl BufferPool {
    /// A buffer of [`PIECE_LEN`] bytes, whatever is in it.
    pub fn take(&mut self) -> Box<[u8]> {
        self.take_of(PIECE_LEN)
    }

    /// A buffer of `size` bytes, whatever is in it.
    pub fn take_of(&mut self, size: usize) -> Box<[u8]> {
        self.try_take(size).unwrap_or_else(|| vec![0; size].into())
    }

    /// A buffer of `size` bytes if one is free, whatever is in it.
    pub fn try_take(&mut self, size: usize) -> Option<Box<[u8]>> {
        if size != PIECE_LEN && size != self.short_len {
            (self.short, self.short_len) = (Vec::new(), size);
        }
        self.kept(size)?.pop()
    }

    /// Takes a buffer back, if it is of a size that is kept and there are not enough of them.
    pub fn put(&mut self, buffer: Box<[u8]>) {
        if let Some(kept) = self.kept(buffer.len()).filter(|kept| kept.len() < POOL_BUFFERS) {
            kept.push(buffer);
        }
    }

    fn kept(&mut self, size: usize) -> Option<&mut Vec<Box<[u8]>>> {
        if size == PIECE_LEN {
            Some(&mut self.free)
        } else {
            (size == self.short_len && size > 0).then_some(&mut self.short)
        }
    }
}

/// A run of bytes, and the memory that it lies in.
#[derive(Debug)]
pub(super) struct Piece {
    /// Position of its first byte.
    pub(super) at: u64,
    pub(super) storage: Storage,
    /// Where in the storage that byte lies.
    pub(super) offset: usize,
    pub(super) len: usize,
}

/// Whose memory that is, and whether more goes into it.
pub(super) enum Storage {
    /// A piece that may still grow. As many bytes are in it as were copied in, so that none is written for nothing.
    Part(Vec<u8>),
    Full(Box<[u8]>),
    /// A buffer with so few bytes that it may be called back.
    Lent(Box<[u8]>),
    Shared(SharedBytes),
    /// A buffer of this many bytes that will be handed in.
    Promised(usize),
}

impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Part(_) => "Part",
            Self::Full(_) => "Full",
            Self::Lent(_) => "Lent",
            Self::Shared(_) => "Shared",
            Self::Promised(_) => "Promised",
        };
        write!(f, "{name}({})", self.bytes().len())
    }
}

impl Storage {
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Part(bytes) => bytes,
            Self::Full(bytes) | Self::Lent(bytes) => bytes,
            Self::Shared(bytes) => (**bytes).as_ref(),
            Self::Promised(_) => &[],
        }
    }

    /// Gives its memory to the pool, if that is of use there.
    pub(super) fn give_back(self, pool: &mut BufferPool) {
        match self {
            Self::Full(buffer) | Self::Lent(buffer) => pool.put(buffer),
            Self::Part(_) | Self::Shared(_) | Self::Promised(_) => {}
        }
    }
}

impl Piece {
    pub(super) fn end(&self) -> u64 {
        self.at + self.len as u64
    }

    /// Its bytes from position `from` on, at most `count`.
    pub(super) fn slice(&self, from: u64, count: usize) -> &[u8] {
        let skipped = usize::try_from(from.saturating_sub(self.at)).unwrap_or(usize::MAX).min(self.len);
        let count = count.min(self.len - skipped);
        let begin = self.offset + skipped;
        self.storage.bytes().get(begin..begin + count).unwrap_or_default()
    }

    /// Bytes of memory that it counts for.
    pub(super) fn size(&self) -> usize {
        match &self.storage {
            Storage::Part(bytes) => bytes.capacity(),
            Storage::Full(bytes) => bytes.len(),
            Storage::Lent(buffer) => handed_in_size(buffer.len(), self.len),
            Storage::Promised(size) => handed_in_size(*size, self.len),
            Storage::Shared(bytes) => (**bytes).as_ref().len(),
        }
    }

    /// Bytes that still fit behind what is in it.
    pub(super) fn room(&self) -> usize {
        match &self.storage {
            Storage::Part(_) | Storage::Full(_) => self.size() - (self.offset + self.len),
            Storage::Lent(_) | Storage::Shared(_) | Storage::Promised(_) => 0,
        }
    }

    /// The size of a piece that may still grow.
    pub(super) fn part_len(&self) -> Option<usize> {
        match &self.storage {
            Storage::Part(_) => Some(self.size()),
            Storage::Full(_) | Storage::Lent(_) | Storage::Shared(_) | Storage::Promised(_) => None,
        }
    }

    /// Copies as much of `bytes` as fits, and says how much that was.
    pub(super) fn fill(&mut self, bytes: &[u8]) -> usize {
        let (begin, room) = (self.offset + self.len, self.room());
        let fitting = bytes.get(..room).unwrap_or(bytes);
        match &mut self.storage {
            Storage::Part(storage) => storage.extend_from_slice(fitting),
            Storage::Full(storage) => {
                if let Some(target) = storage.get_mut(begin..begin + fitting.len()) {
                    target.copy_from_slice(fitting);
                }
            }
            Storage::Lent(_) | Storage::Shared(_) | Storage::Promised(_) => {}
        }
        self.len += fitting.len();
        fitting.len()
    }

    /// Puts the buffer that was promised in its place; whether it is on loan.
    pub(super) fn fulfil(&mut self, buffer: Box<[u8]>, offset: usize) -> bool {
        let is_lent = is_mostly_empty(buffer.len(), self.len);
        self.storage = if is_lent { Storage::Lent(buffer) } else { Storage::Full(buffer) };
        self.offset = offset;
        is_lent
    }
}

/// The size of the last piece if it holds `needed` bytes.
pub(super) fn size_for(needed: usize) -> usize {
    if needed > LARGEST_PART { PIECE_LEN } else { needed.next_power_of_two().max(SMALLEST_PIECE) }
}

/// Whether a buffer of `size` bytes with `len` bytes in it is better lent, or copied, than kept: they are less than a quarter, or
/// few.
pub fn is_mostly_empty(size: usize, len: usize) -> bool {
    len < KEPT_LEN_MIN || 4 * len < size.min(REACHED)
}

/// What a buffer of `size` bytes with `len` bytes in it counts for that is handed in: one on loan as much as a copy of them.
pub fn handed_in_size(size: usize, len: usize) -> usize {
    if is_mostly_empty(size, len) { size_for(len) } else { size }
}

/// The largest size of a piece that is at most `most`; 0 if there is none.
pub(super) fn largest_within(most: usize) -> usize {
    if most >= PIECE_LEN {
        PIECE_LEN
    } else if most < SMALLEST_PIECE {
        0
    } else {
        (1 << most.ilog2()).min(LARGEST_PART)
    }
}

/// Room for `size` bytes.
pub(super) fn storage_of(size: usize, pool: &mut BufferPool) -> Storage {
    if size == PIECE_LEN { Storage::Full(pool.take()) } else { Storage::Part(Vec::with_capacity(size)) }
}
