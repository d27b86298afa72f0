//! Room for the headers of one frame, filled from the inside out.

/// Where a frame's headers are put together: transport first, then internet, then link, each in front of the last.
///
/// The payload stays where it is; the device sends head and payload with one call.
#[derive(Clone, Debug)]
pub struct HeadBuf {
    bytes: [u8; Self::CAPACITY],
    start: usize,
}

impl HeadBuf {
    /// Enough for Ethernet (14) + IPv4 with options or IPv6 with a fragment header (60) + TCP with options (60),
    /// with room for a VLAN tag.
    pub const CAPACITY: usize = 160;

    /// Empty.
    pub const fn new() -> Self {
        Self { bytes: [0; Self::CAPACITY], start: Self::CAPACITY }
    }

    /// Forgets what is in it.
    pub fn clear(&mut self) {
        self.start = Self::CAPACITY;
    }

    /// Bytes in it.
    pub const fn len(&self) -> usize {
        Self::CAPACITY - self.start
    }

    /// Whether nothing is in it.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All headers so far, outermost first.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// The same, to fill in a checksum.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..]
    }

    /// Puts `header` in front of what is there.
    ///
    /// # Panics
    /// If the headers together pass [`CAPACITY`](Self::CAPACITY), which no combination that netloom sends does.
    pub fn prepend(&mut self, header: &[u8]) {
        let end = self.start;
        self.start = end.checked_sub(header.len()).expect("headers fit their buffer");
        self.bytes[self.start..end].copy_from_slice(header);
    }
}

impl Default for HeadBuf {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_stack_up_in_front() {
        let mut head = HeadBuf::new();
        head.prepend(b"tcp");
        head.prepend(b"ip.");
        assert_eq!(head.as_slice(), b"ip.tcp");
        assert_eq!(head.len(), 6);
        head.clear();
        assert!(head.is_empty());
    }
}
