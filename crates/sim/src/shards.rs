//! The stacks of one host, and what they send each other: frames that came to the wrong one, and news that concern all.
//!
//! *Theory of operation.* Each shard has a mailbox, as on a live host, and all of this stands where its threads and locks
//! stand there: whoever has called a stack [posts](Shards::post) what it hands over and [tells](Shards::tell) what it says of
//! addresses and groups, and then has everybody [take](Shards::take_next) what has come. A letter may lie in its box for a
//! while, as the thread of its owner is busy; then it is overtaken by what the device gives its owner meanwhile.
//!
//! *Limits.* [`MailPlan::room`] letters wait in a mailbox; one more is refused, and its shard counts it.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::VecDeque;

use netloom_base::{Instant, InterfaceId, Rng, RxMeta};
use netloom_stack::internet::{AddressError, LocalAddress};
use netloom_stack::transport::FastOpenSecret;
use netloom_stack::{
    AddressDetection, Cidr, Event, Handover, InterfaceSetup, PIECE_LEN, Sharding, Stack, StackConfig,
};

/// Bytes of a buffer before the frame in it, as where a TAP gives its virtio header too.
const HEADER_LEN: usize = 10;

/// Bytes of a buffer for the frames of a device without offloads, with an MTU of 1500.
const SHORT_BUFFER_LEN: usize = 2048;

/// How the shards of a host send each other mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MailPlan {
    /// How long a letter lies in its box.
    pub delay: Duration,
    /// How many letters a box has room for.
    pub room: usize,
}

impl Default for MailPlan {
    /// At once, and as many as on a live host.
    fn default() -> Self {
        Self { delay: Duration::ZERO, room: 1024 }
    }
}

/// What became of what the shards handed over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MailTally {
    /// Taken out of the stacks.
    pub posted: u64,
    /// Of those, taken over by their owners.
    pub taken: u64,
    /// Of those, refused by a full mailbox.
    pub refused: u64,
    /// Of those, still in their box.
    pub waiting: u64,
}

/// Something that one shard handed over to another.
#[derive(Clone, Debug)]
pub struct Letter {
    /// The number of the frame that it came of, as the device gave them.
    pub number: u64,
    /// What it is.
    pub handover: Handover,
    due: Instant,
}

/// The stacks of a host.
#[derive(Debug)]
pub struct Shards {
    /// One a shard, in order; the first speaks for the host.
    pub stacks: Vec<Stack>,
    mail: MailPlan,
    boxes: Vec<VecDeque<Letter>>,
    /// Frames that the device has given.
    frame_count: u64,
    tally: MailTally,
    /// Where the next frame goes: to one for any frame, or one for those of a device without offloads.
    buffers: [Box<[u8]>; 2],
}

impl Shards {
    /// A host of `count` shards, at least one, without interfaces. What `config` has of [`Sharding`] is replaced.
    pub fn new(count: u16, config: &StackConfig, mail: MailPlan, rng: &mut Rng) -> Self {
        let count = count.max(1);
        let key = rng.hash_key();
        let mut config = config.clone();
        if count > 1 {
            // A client's next connection may belong to another shard: each has to know its cookie.
            config.tcp.fast_open_secret.get_or_insert_with(|| FastOpenSecret::random(rng));
        }
        let stack = |index| {
            let sharding = Sharding::new(key, index, count).unwrap_or_default();
            Stack::new(StackConfig { sharding, ..config.clone() }, rng.fork())
        };
        Self {
            stacks: (0..count).map(stack).collect(),
            mail,
            boxes: (0..count).map(|_| VecDeque::new()).collect(),
            frame_count: 0,
            tally: MailTally::default(),
            buffers: [PIECE_LEN, SHORT_BUFFER_LEN].map(|len| vec![0; len].into()),
        }
    }

    /// Adds an interface with a queue for each shard.
    pub fn add_interface(&mut self, setup: InterfaceSetup) -> InterfaceId {
        let ids = self.stacks.iter_mut().map(|stack| stack.add_interface(setup));
        ids.last().unwrap_or(InterfaceId::new(0))
    }

    /// Gives the host an address, of which the first shard tells the others.
    ///
    /// # Errors
    /// What the first shard says.
    pub fn add_address(
        &mut self,
        now: Instant,
        interface: InterfaceId,
        address: Cidr,
        detection: AddressDetection,
    ) -> Result<(), AddressError> {
        if let Some(first) = self.stacks.first_mut() {
            first.add_address(now, interface, address, detection)?;
        }
        self.publish_addresses(now);
        Ok(())
    }

    /// Whether there is only one.
    pub fn is_whole(&self) -> bool {
        self.stacks.len() == 1
    }

    /// The shard of a TCP connection between these ends.
    pub fn owner_of_flow(&self, one: SocketAddr, other: SocketAddr) -> usize {
        self.stacks.first().map_or(0, |stack| stack.sharding().owner_of_flow(one, other).into())
    }

    /// The shard of a UDP port.
    pub fn owner_of_port(&self, port: u16) -> usize {
        self.stacks.first().map_or(0, |stack| stack.sharding().owner_of_port(port).into())
    }

    /// Gives a shard a frame that its queue of the device has, as the driver does: the stack may keep the buffer. Every second
    /// short one lies in a short buffer. The frame's number.
    pub fn handle_frame(
        &mut self,
        now: Instant,
        shard: usize,
        interface: InterfaceId,
        frame: &[u8],
        meta: RxMeta,
    ) -> u64 {
        self.frame_count += 1;
        if let Some(stack) = self.stacks.get_mut(shard) {
            let range = HEADER_LEN..HEADER_LEN + frame.len();
            let [long, short] = &mut self.buffers;
            let is_short = range.end <= short.len() && self.frame_count.is_multiple_of(2);
            let buffer = if is_short { short } else { long };
            buffer[range.clone()].copy_from_slice(frame);
            stack.handle_buffer(now, interface, buffer, range, meta);
        }
        self.frame_count
    }

    /// Does what is due in any of them.
    pub fn handle_timeout(&mut self, now: Instant) {
        for stack in &mut self.stacks {
            if stack.poll_timeout().is_some_and(|deadline| deadline <= now) {
                stack.handle_timeout(now);
            }
        }
    }

    /// When one of them wants to be called next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.stacks.iter().filter_map(Stack::poll_timeout).min()
    }

    /// When the next letter is due.
    pub fn mail_due(&self) -> Option<Instant> {
        self.boxes.iter().filter_map(VecDeque::front).map(|letter| letter.due).min()
    }

    /// Puts what the shards hand over into the boxes of its owners.
    pub fn post(&mut self, now: Instant) {
        if self.is_whole() {
            return;
        }
        for stack in &mut self.stacks {
            while let Some(handover) = stack.poll_handover() {
                self.tally.posted += 1;
                match self.boxes.get_mut(usize::from(handover.to())) {
                    Some(letters) if letters.len() < self.mail.room => {
                        letters.push_back(Letter {
                            number: self.frame_count,
                            handover,
                            due: now + self.mail.delay,
                        });
                    }
                    Some(_) | None => {
                        stack.drop_handover(&handover);
                        self.tally.refused += 1;
                    }
                }
            }
        }
    }

    /// Has an owner take over the next letter that is due; what it was. What comes of it is to be [posted](Self::post).
    pub fn take_next(&mut self, now: Instant) -> Option<Letter> {
        for (letters, stack) in self.boxes.iter_mut().zip(&mut self.stacks) {
            if let Some(letter) = letters.pop_front_if(|letter| letter.due <= now) {
                stack.take_over(now, letter.handover.clone());
                self.tally.taken += 1;
                return Some(letter);
            }
        }
        None
    }

    /// Tells the others what a shard says of addresses and groups.
    pub fn tell(&mut self, now: Instant, event: &Event) {
        match *event {
            Event::AddressReady { .. } | Event::AddressConflict { .. } | Event::TrialPassed { .. } => {
                self.publish_addresses(now);
            }
            Event::GroupJoined { interface, group } => {
                if let Some(first) = self.stacks.first_mut() {
                    first.join_group(now, interface, group);
                }
            }
            Event::GroupLeft { interface, group } => {
                if let Some(first) = self.stacks.first_mut() {
                    first.leave_group(now, interface, group);
                }
            }
            Event::Tcp(_) | Event::Udp(_) | Event::Icmp(_) => {}
        }
    }

    /// Brings the shards what they have for each other, until there is nothing more at this time; their events meanwhile.
    pub fn settle(&mut self, now: Instant) -> Vec<Event> {
        let mut all = Vec::new();
        loop {
            self.post(now);
            let has_mail = self.take_next(now).is_some();
            let mut events = Vec::new();
            for stack in &mut self.stacks {
                events.extend(std::iter::from_fn(|| stack.poll_event()));
            }
            if !has_mail && events.is_empty() {
                return all;
            }
            for event in &events {
                self.tell(now, event);
            }
            all.extend(events);
        }
    }

    /// What became of what was handed over.
    pub fn mail_tally(&self) -> MailTally {
        let waiting = self.boxes.iter().map(|letters| letters.len() as u64).sum();
        MailTally { waiting, ..self.tally }
    }

    /// Loses a letter, if there is one.
    #[cfg(test)]
    pub(crate) fn lose_letter(&mut self) -> bool {
        self.boxes.iter_mut().any(|letters| letters.pop_front().is_some())
    }

    fn publish_addresses(&mut self, now: Instant) {
        let Some((first, others)) = self.stacks.split_first_mut().filter(|(_, others)| !others.is_empty())
        else {
            return;
        };
        let addresses: Vec<LocalAddress> = first.internet().addresses().copied().collect();
        for stack in others {
            stack.adopt_addresses(now, &addresses);
        }
    }
}
