//! What crosses the device between netloom and the kernel, and in what shape.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, PoisonError};

use netloom::device::{Queue, RxFrame};
use netloom::stack::{DeviceCaps, Medium, RxChecksum, TxChecksum, TxMeta};

/// Which way a frame goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// From the kernel to netloom.
    In,
    /// From netloom to the kernel.
    Out,
}

/// The packets of one way, one family and one transport protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shapes {
    /// All of them; a super-segment or a train is one.
    pub(crate) packets: u64,
    /// Those that stand for several.
    pub(crate) trains: u64,
    /// Those whose checksum is left to the other side.
    pub(crate) unfinished: u64,
    /// Bytes of the longest, from its IP header on.
    pub(crate) longest: usize,
}

/// IP's numbers of TCP and UDP.
const PROTOCOLS: [u8; 2] = [6, 17];

/// The longer of the two headers that IP may have, without options.
const IPV6_HEADER_LEN: usize = 40;

/// By way, family and protocol.
type Table = [[[Shapes; PROTOCOLS.len()]; 2]; 2];

/// The shapes of all that has crossed since it was last asked. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Crossing(Arc<Mutex<Table>>);

impl Crossing {
    /// What TCP sent.
    pub(crate) fn take_tcp(&self, way: Way, is_ipv4: bool) -> Shapes {
        self.take(way, is_ipv4, 0)
    }

    /// What UDP sent.
    pub(crate) fn take_udp(&self, way: Way, is_ipv4: bool) -> Shapes {
        self.take(way, is_ipv4, 1)
    }

    fn take(&self, way: Way, is_ipv4: bool, protocol: usize) -> Shapes {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut table[way as usize][usize::from(!is_ipv4)][protocol])
    }

    /// A packet of `len` bytes that begins with `header`. What has neither of the protocols is none of ours.
    fn count(&self, way: Way, header: &[u8], len: usize, is_train: bool, is_unfinished: bool) {
        let (family, protocol) = match header {
            [0x40..=0x4f, ..] => (0, header.get(9)),
            [0x60..=0x6f, ..] => (1, header.get(6)),
            _ => return,
        };
        let Some(protocol) = PROTOCOLS.iter().position(|it| Some(it) == protocol) else { return };
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let shapes = &mut table[way as usize][family][protocol];
        shapes.packets += 1;
        shapes.trains += u64::from(is_train);
        shapes.unfinished += u64::from(is_unfinished);
        shapes.longest = shapes.longest.max(len);
    }
}

/// A queue whose frames are counted.
pub(super) struct Watched {
    inner: Box<dyn Queue>,
    link_header_len: usize,
    crossing: Crossing,
}

impl Watched {
    pub(super) fn new(inner: Box<dyn Queue>, crossing: Crossing) -> Self {
        let link_header_len = match inner.caps().medium {
            Medium::Ethernet => 14,
            Medium::Ip => 0,
        };
        Self { inner, link_header_len, crossing }
    }
}

impl AsFd for Watched {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}

impl Queue for Watched {
    fn caps(&self) -> DeviceCaps {
        self.inner.caps()
    }

    fn name(&self) -> &str {
        self.inner.name()
    }

    fn recv(&mut self, buffer: &mut [u8]) -> io::Result<RxFrame> {
        let received = self.inner.recv(buffer)?;
        let packet = received.bytes_in(buffer).get(self.link_header_len..).unwrap_or_default();
        let is_unfinished = received.meta.checksum == RxChecksum::Trusted;
        self.crossing.count(Way::In, packet, packet.len(), received.meta.gso.is_some(), is_unfinished);
        Ok(received)
    }

    fn send(&mut self, meta: TxMeta, head: &[u8], payload: [&[u8]; 2]) -> io::Result<()> {
        self.inner.send(meta, head, payload)?;
        let parts = [head, payload[0], payload[1]];
        let len = parts.iter().map(|part| part.len()).sum::<usize>().saturating_sub(self.link_header_len);
        let bytes = parts.into_iter().flatten().skip(self.link_header_len);
        let header: Vec<u8> = bytes.take(IPV6_HEADER_LEN).copied().collect();
        let is_unfinished = meta.checksum != TxChecksum::Complete;
        self.crossing.count(Way::Out, &header, len, meta.gso.is_some(), is_unfinished);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
