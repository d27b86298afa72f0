//! Reading into a buffer that grows.

use std::io;
use std::net::SocketAddr;

use bytes::BufMut;

/// Reads through `read` into the next chunk of `buffer`, up to 64 KiB of it.
pub(crate) fn fill<R: Count>(
    buffer: &mut impl BufMut,
    read: impl FnOnce(&mut [u8]) -> io::Result<R>,
) -> io::Result<R> {
    const MOST: usize = 64 * 1024;
    let mut chunk = vec![0; buffer.chunk_mut().len().min(MOST)];
    let result = read(&mut chunk)?;
    buffer.put_slice(chunk.get(..result.count()).unwrap_or(&chunk));
    Ok(result)
}

/// What a read returns: how many bytes, and maybe from where.
pub(crate) trait Count {
    /// How many bytes.
    fn count(&self) -> usize;
}

impl Count for usize {
    fn count(&self) -> usize {
        *self
    }
}

impl Count for (usize, SocketAddr) {
    fn count(&self) -> usize {
        self.0
    }
}
