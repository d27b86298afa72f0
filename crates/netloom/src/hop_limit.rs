//! The TTL, or hop limit, as sockets are told it.

use std::io::{self, ErrorKind};

/// The TTL of what no socket asks another for.
pub(crate) const DEFAULT_TTL: u32 = 64;

/// A TTL as the kernel takes it.
pub(crate) fn hop_limit(ttl: u32) -> io::Result<u8> {
    u8::try_from(ttl).ok().filter(|&hops| hops > 0).ok_or_else(|| ErrorKind::InvalidInput.into())
}
