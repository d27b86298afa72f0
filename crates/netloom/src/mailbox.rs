//! What the shards of a host send each other: frames that came to the wrong one, and news that concern all.
//!
//! *Theory of operation.* Each shard has a mailbox that the others post to, and from which its driver takes
//! [`FRAMES_PER_TURN`] frames at the beginning of a turn. A mailbox's lock is held for a push or for taking those, and taken
//! under a shard's own lock; never the other way round. Whoever posts rings the driver once its own lock is gone.
//!
//! *Limits.* [`FRAMES_MAX`] frames and [`BYTES_MAX`] bytes wait in a mailbox; one more is refused, and its shard counts it.
//! News are bounded by what they tell: the last list of addresses, and the groups that sockets joined meanwhile.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use netloom_stack::internet::LocalAddress;
use netloom_stack::{Handover, InterfaceId, Stack};
use tokio::sync::Notify;

use crate::batch::FRAMES_PER_TURN;

/// Frames that may wait for a shard.
const FRAMES_MAX: usize = 1024;
/// Bytes of their memory: a receive window of super-segments that fill a quarter of their buffers.
const BYTES_MAX: usize = 16 << 20;

/// A shard's mailbox, and its driver's bell.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    mail: Mutex<Mail>,
    /// Whether it is worth while to take the lock.
    has_mail: AtomicBool,
    /// Rings when there is mail, when the deadline has moved, and when the driver should end.
    pub(crate) driver: Notify,
}

/// What has been posted.
#[derive(Debug, Default)]
pub(crate) struct Mail {
    pub(crate) handovers: VecDeque<Handover>,
    byte_count: usize,
    /// The first shard's addresses.
    pub(crate) addresses: Option<Vec<LocalAddress>>,
    /// Groups that sockets of others joined or left.
    pub(crate) groups: Vec<GroupChange>,
}

/// A group that a socket joined or left.
#[derive(Clone, Copy, Debug)]
pub(crate) enum GroupChange {
    Joined(InterfaceId, IpAddr),
    Left(InterfaceId, IpAddr),
}

impl Mailbox {
    /// What has come since the last time, or as many frames of it as a turn takes.
    pub(crate) fn take(&self) -> Option<Mail> {
        if !self.has_mail.load(Ordering::Acquire) {
            return None;
        }
        let mut mail = self.lock();
        let is_more = mail.handovers.len() > FRAMES_PER_TURN;
        let taken = if is_more {
            let handovers: VecDeque<Handover> = mail.handovers.drain(..FRAMES_PER_TURN).collect();
            let byte_count = handovers.iter().map(Handover::memory_len).sum();
            mail.byte_count -= byte_count;
            let (addresses, groups) = (mail.addresses.take(), std::mem::take(&mut mail.groups));
            Mail { handovers, byte_count, addresses, groups }
        } else {
            std::mem::take(&mut *mail)
        };
        self.has_mail.store(is_more, Ordering::Release);
        Some(taken)
    }

    /// Takes a frame, or gives it back if there is no room.
    fn post(&self, handover: Handover) -> Result<(), Handover> {
        let mut mail = self.lock();
        if mail.handovers.len() >= FRAMES_MAX || mail.byte_count + handover.memory_len() > BYTES_MAX {
            return Err(handover);
        }
        mail.byte_count += handover.memory_len();
        mail.handovers.push_back(handover);
        self.has_mail.store(true, Ordering::Release);
        Ok(())
    }

    fn tell(&self, news: impl FnOnce(&mut Mail)) {
        news(&mut self.lock());
        self.has_mail.store(true, Ordering::Release);
    }

    /// Whatever panicked, a list of frames is whole.
    fn lock(&self) -> MutexGuard<'_, Mail> {
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A shard's way to the others.
#[derive(Debug)]
pub(crate) struct Post {
    mailboxes: Arc<[Mailbox]>,
    own: usize,
    /// Whose driver to ring when the lock is gone; each once.
    rings: Vec<usize>,
}

impl Post {
    /// Of the shard whose mailbox is number `own`.
    pub(crate) fn new(mailboxes: Arc<[Mailbox]>, own: usize) -> Self {
        Self { mailboxes, own, rings: Vec::new() }
    }

    /// What the others have sent.
    pub(crate) fn take(&self) -> Option<Mail> {
        self.mailboxes.get(self.own)?.take()
    }

    /// Whether there is something to [`take`](Self::take).
    pub(crate) fn has_mail(&self) -> bool {
        self.mailboxes.get(self.own).is_some_and(|mailbox| mailbox.has_mail.load(Ordering::Acquire))
    }

    /// Sends what the stack hands over.
    pub(crate) fn hand_over(&mut self, stack: &mut Stack) {
        while let Some(handover) = stack.poll_handover() {
            let to = usize::from(handover.to());
            let Some(mailbox) = self.mailboxes.get(to) else { continue };
            match mailbox.post(handover) {
                Ok(()) => self.ring(to),
                Err(refused) => stack.drop_handover(&refused),
            }
        }
    }

    /// Tells all others which addresses the host has.
    pub(crate) fn tell_addresses(&mut self, addresses: &[LocalAddress]) {
        let own = self.own;
        for to in (0..self.mailboxes.len()).filter(|&to| to != own) {
            self.tell(to, |mail| mail.addresses = Some(addresses.to_vec()));
        }
    }

    /// Tells the first shard what a socket of this one listens to.
    pub(crate) fn tell_group(&mut self, change: GroupChange) {
        self.tell(0, |mail| mail.groups.push(change));
    }

    fn tell(&mut self, to: usize, news: impl FnOnce(&mut Mail)) {
        if let Some(mailbox) = self.mailboxes.get(to) {
            mailbox.tell(news);
            self.ring(to);
        }
    }

    fn ring(&mut self, to: usize) {
        if !self.rings.contains(&to) {
            self.rings.push(to);
        }
    }

    /// Whom to ring, once the lock is gone.
    pub(crate) fn take_rings(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.rings)
    }
}

#[cfg(test)]
mod tests {
    use netloom_stack::{
        DeviceCaps, DropReason, EthernetAddress, Instant, InterfaceSetup, Medium, Rng, RxMeta, Sharding,
        StackConfig,
    };

    use super::*;

    /// The first of two shards, and a datagram of `len` bytes that belongs to the second.
    fn shard(len: usize) -> (Stack, InterfaceId, Vec<u8>) {
        let sharding = Sharding::new(Rng::from_number(1).hash_key(), 0, 2).unwrap();
        let mut stack = Stack::new(StackConfig { sharding, ..StackConfig::default() }, Rng::from_number(2));
        let caps = DeviceCaps::plain(Medium::Ip, 1500);
        let id = stack.add_interface(InterfaceSetup { caps, link_address: EthernetAddress([2; 6]) });
        let port = (1..).find(|&port| sharding.owner_of_port(port) == 1).unwrap();
        let mut packet = vec![0; len];
        (packet[0], packet[9]) = (0x45, 17);
        packet[22..24].copy_from_slice(&u16::to_be_bytes(port));
        (stack, id, packet)
    }

    #[test]
    fn a_mailbox_takes_so_many_frames_and_bytes_and_what_is_refused_is_counted() {
        /// Takes all, a turn's worth at a time; how many frames.
        fn empty(post: &Post) -> usize {
            let mut count = 0;
            while let Some(mail) = post.take() {
                assert!(mail.handovers.len() <= FRAMES_PER_TURN);
                count += mail.handovers.len();
            }
            count
        }
        for (len, room) in [(28, FRAMES_MAX), (60_000, BYTES_MAX / 60_000)] {
            let mailboxes: Arc<[Mailbox]> = (0..2).map(|_| Mailbox::default()).collect();
            let [mut first, second] = [0, 1].map(|own| Post::new(Arc::clone(&mailboxes), own));
            let (mut stack, id, packet) = shard(len);
            let mut send = |stack: &mut Stack, count: usize| {
                for _ in 0..count {
                    stack.handle_frame(Instant::ZERO, id, &packet, RxMeta::default());
                    first.hand_over(stack);
                }
                first.take_rings()
            };
            assert_eq!(send(&mut stack, room + 5), [1], "rung once");
            assert_eq!(stack.counters().drops.get(DropReason::HandoverFull), 5);
            assert!(second.has_mail());
            assert_eq!(empty(&second), room);
            assert!(!second.has_mail());
            assert_eq!(send(&mut stack, 1), [1], "there is room again");
            assert_eq!(empty(&second), 1);
            assert_eq!(stack.counters().drops.get(DropReason::HandoverFull), 5);
        }
    }
}
