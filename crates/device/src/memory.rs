//! A cable inside the process: two queues, each of which receives what the other sends.
//!
//! *Theory of operation.* A pair of connected sockets that keep the borders of messages. So each end has a descriptor
//! to wait for, as a real device has, and the two may be driven by different threads.
//!
//! *Limits.* What waits in one direction is bounded by the kernel's socket buffer (about 200 KB by default, each
//! frame charged with its overhead: some 90 full frames of 1500 bytes); then `send` would block. Nothing is lost.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use netloom_base::{DeviceCaps, Medium, TxMeta};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, recv, sendmsg, socketpair};

use crate::queue::{check_meta, find_frame, queue_error};
use crate::{Offload, Queue, RECEIVE_BUFFER_LEN, RxFrame, vnet_hdr};

/// One end of a cable inside the process.
#[derive(Debug)]
pub struct MemoryQueue {
    fd: OwnedFd,
    name: &'static str,
    offload: Offload,
    caps: DeviceCaps,
}

impl MemoryQueue {
    /// Both ends of a new cable, named `memory0` and `memory1`. The MTU is what the caps tell; as on a wire, longer
    /// frames are carried all the same, up to [`RECEIVE_BUFFER_LEN`]; they may fill the buffer.
    ///
    /// # Errors
    ///
    /// The kernel's, when it has no descriptors left.
    pub fn pair(medium: Medium, mtu: u16) -> io::Result<(Self, Self)> {
        Self::pair_offloading(medium, mtu, Offload::Plain)
    }

    /// The same for ends that leave work to each other, as a TAP and the kernel do: a super-segment is carried as it
    /// is, and an unfinished checksum is trusted. The header that says so counts as part of the frame.
    ///
    /// # Errors
    ///
    /// As [`pair`](Self::pair).
    pub fn pair_offloading(medium: Medium, mtu: u16, offload: Offload) -> io::Result<(Self, Self)> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let (first, second) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?;
        let end = |fd, name| Self { fd, name, offload, caps: offload.caps(medium, mtu) };
        Ok((end(first, "memory0"), end(second, "memory1")))
    }

    fn receive(&self, buffer: &mut [u8]) -> io::Result<RxFrame> {
        // With the flag, how long a frame is that was cut short, too.
        match recv(self.fd.as_raw_fd(), buffer, MsgFlags::MSG_TRUNC).map_err(queue_error)? {
            // No frame is empty: this is the end, with all frames read.
            0 => Err(io::ErrorKind::NotConnected.into()),
            len if len > buffer.len() => Err(io::ErrorKind::InvalidData.into()),
            len => find_frame(self.offload, buffer, len),
        }
    }
}

impl AsFd for MemoryQueue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Queue for MemoryQueue {
    fn caps(&self) -> DeviceCaps {
        self.caps
    }

    fn name(&self) -> &str {
        self.name
    }

    fn recv(&mut self, buffer: &mut [u8]) -> io::Result<RxFrame> {
        match self.receive(buffer) {
            // Said once, when the other end left frames of ours unread; frames for us may still wait behind it.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => self.receive(buffer),
            other => other,
        }
    }

    fn send(&mut self, meta: TxMeta, head: &[u8], payload: [&[u8]; 2]) -> io::Result<()> {
        check_meta(&self.caps, meta)?;
        let [first, second] = payload;
        let header = vnet_hdr::emit(meta, [head, first, second])?;
        let header = match self.offload {
            Offload::Plain => &[][..],
            Offload::Checksum | Offload::Tcp | Offload::Full => &header,
        };
        let frame_len = head.len() + first.len() + second.len();
        if frame_len == 0 || header.len() + frame_len > RECEIVE_BUFFER_LEN {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let slices = [header, head, first, second].map(IoSlice::new);
        // Not writev: it would raise SIGPIPE once the other end is gone.
        sendmsg::<UnixAddr>(self.fd.as_raw_fd(), &slices, &[], MsgFlags::MSG_NOSIGNAL, None)
            .map(drop)
            .map_err(queue_error)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use netloom_base::{Gso, GsoKind, RxChecksum, RxMeta, TxChecksum};

    use super::*;

    fn receive(queue: &mut MemoryQueue) -> io::Result<Vec<u8>> {
        let mut buffer = vec![0; RECEIVE_BUFFER_LEN];
        let received = queue.recv(&mut buffer)?;
        assert_eq!(received.meta, RxMeta::default());
        Ok(received.bytes_in(&buffer).to_vec())
    }

    #[test]
    fn frames_keep_their_borders_in_both_directions() {
        let (mut left, mut right) = MemoryQueue::pair(Medium::Ethernet, 1500).unwrap();
        left.send(TxMeta::default(), b"a", [b"b", b"c"]).unwrap();
        left.send(TxMeta::default(), b"", [b"", b"d"]).unwrap();
        right.send(TxMeta::default(), b"e", [b"", b""]).unwrap();
        assert_eq!(receive(&mut right).unwrap(), b"abc");
        assert_eq!(receive(&mut right).unwrap(), b"d");
        assert_eq!(receive(&mut left).unwrap(), b"e");
        assert_eq!(receive(&mut left).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert_eq!((left.name(), right.name()), ("memory0", "memory1"));
        assert_eq!(left.caps(), DeviceCaps::plain(Medium::Ethernet, 1500));
    }

    #[test]
    fn what_is_known_of_a_frame_crosses_with_it() {
        let (mut left, mut right) =
            MemoryQueue::pair_offloading(Medium::Ethernet, 1500, Offload::Full).unwrap();
        let gso = Gso { kind: GsoKind::Tcp6, segment_size: NonZeroU16::new(1000).unwrap(), ecn: false };
        let checksum = TxChecksum::Partial { start: 54, offset: 16 };
        let mut frame = vec![0; 60_000];
        frame[54 + 12] = 0x50;
        left.send(TxMeta { checksum, gso: Some(gso) }, &frame[..74], [&frame[74..], b""]).unwrap();
        left.send(TxMeta::default(), b"plain", [b"", b""]).unwrap();
        let mut buffer = vec![0; RECEIVE_BUFFER_LEN];
        let trusted = RxMeta { checksum: RxChecksum::Trusted, gso: Some(gso) };
        let received = right.recv(&mut buffer).unwrap();
        assert_eq!((received.meta, received.bytes_in(&buffer)), (trusted, &frame[..]));
        assert_eq!(receive(&mut right).unwrap(), b"plain");
        drop(left);
        assert_eq!(right.recv(&mut buffer).unwrap_err().kind(), io::ErrorKind::NotConnected);
    }

    #[test]
    fn the_longest_frame_passes_and_others_are_refused() {
        for (offload, header_len) in [(Offload::Plain, 0), (Offload::Full, 10)] {
            let (mut left, mut right) = MemoryQueue::pair_offloading(Medium::Ip, 65_535, offload).unwrap();
            let longest = vec![7; RECEIVE_BUFFER_LEN - header_len];
            left.send(TxMeta::default(), &longest, [b"", b""]).unwrap();
            assert_eq!(receive(&mut right).unwrap(), longest);
            for head in [&longest[..], b""] {
                let tail: &[u8] = if head.is_empty() { b"" } else { b"x" };
                let refused = left.send(TxMeta::default(), head, [tail, b""]).unwrap_err();
                assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
            }
            assert_eq!(receive(&mut right).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        }
    }

    #[test]
    fn a_frame_longer_than_the_buffer_is_told_and_gone() {
        for (offload, header_len) in [(Offload::Plain, 0), (Offload::Full, 10)] {
            let (mut left, mut right) = MemoryQueue::pair_offloading(Medium::Ip, 1500, offload).unwrap();
            left.send(TxMeta::default(), b"12345", [b"", b""]).unwrap();
            left.send(TxMeta::default(), b"1234", [b"", b""]).unwrap();
            let mut short = vec![0; header_len + 4];
            assert_eq!(right.recv(&mut short).unwrap_err().kind(), io::ErrorKind::InvalidData);
            let received = right.recv(&mut short).unwrap();
            assert_eq!(received.bytes_in(&short), b"1234");
        }
    }

    #[test]
    fn a_full_cable_blocks_and_loses_nothing() {
        let (mut left, mut right) = MemoryQueue::pair(Medium::Ip, 1500).unwrap();
        let mut sent_count = 0_u32;
        let blocked = loop {
            match left.send(TxMeta::default(), &sent_count.to_be_bytes(), [&[0; 1400], b""]) {
                Ok(()) => sent_count += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(blocked.kind(), io::ErrorKind::WouldBlock);
        assert!((16..100_000).contains(&sent_count), "{sent_count} frames");
        for expected in 0..sent_count {
            assert_eq!(receive(&mut right).unwrap()[..4], expected.to_be_bytes());
        }
        left.send(TxMeta::default(), b"room again", [b"", b""]).unwrap();
    }

    #[test]
    fn a_dropped_end_is_told_after_the_last_frame() {
        let (mut left, mut right) = MemoryQueue::pair(Medium::Ip, 1500).unwrap();
        left.send(TxMeta::default(), b"last", [b"", b""]).unwrap();
        right.send(TxMeta::default(), b"never read", [b"", b""]).unwrap();
        drop(left);
        assert_eq!(receive(&mut right).unwrap(), b"last");
        for _ in 0..2 {
            assert_eq!(receive(&mut right).unwrap_err().kind(), io::ErrorKind::NotConnected);
            let refused = right.send(TxMeta::default(), b"x", [b"", b""]).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::NotConnected);
        }
    }
}
