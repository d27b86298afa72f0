//! A host of several shards, as a host of a [`World`](crate::World).

use netloom_base::{DeviceCaps, Instant, InterfaceId, Medium, Rng, RxMeta};
use netloom_sim::check_frame;
use netloom_stack::{
    AddressDetection, Cidr, EthernetAddress, Event, HeadBuf, InterfaceSetup, Sharding, Stack, StackConfig,
};

use crate::Host;

/// Several stacks with one Ethernet interface. Its device steers as badly as it can: each frame goes to the next shard.
#[derive(Debug)]
pub struct Sharded {
    /// The stacks.
    pub shards: Vec<Stack>,
    /// What was sent, by which shard.
    pub sent: Vec<(usize, Vec<u8>)>,
    interface: InterfaceId,
    head: HeadBuf,
    turn: usize,
}

impl Sharded {
    /// A host of `count` shards; the last byte of its Ethernet address and its seed are `number`.
    ///
    /// # Panics
    /// If an address makes no sense, or without a shard.
    pub fn new(number: u8, count: u16, addresses: &[&str], detection: AddressDetection) -> Self {
        let mut rng = Rng::from_number(number.into());
        let key = rng.hash_key();
        let mut interface = InterfaceId::new(0);
        let mut shards = Vec::new();
        for index in 0..count {
            let sharding = Sharding::new(key, index, count).expect("one of them");
            let mut stack = Stack::new(StackConfig { sharding, ..StackConfig::default() }, rng.fork());
            interface = stack.add_interface(InterfaceSetup {
                caps: DeviceCaps::plain(Medium::Ethernet, 1500),
                link_address: EthernetAddress([2, 0, 0, 0, 0, number]),
            });
            shards.push(stack);
        }
        for address in addresses {
            let address: Cidr = address.parse().expect("a CIDR");
            shards[0].add_address(Instant::ZERO, interface, address, detection).expect("an address");
        }
        let mut host = Self { shards, sent: Vec::new(), interface, head: HeadBuf::new(), turn: 0 };
        host.settle(Instant::ZERO);
        host
    }

    /// Brings the shards what they have for each other, until there is nothing more.
    fn settle(&mut self, now: Instant) {
        loop {
            let handovers: Vec<_> = self
                .shards
                .iter_mut()
                .flat_map(|stack| std::iter::from_fn(move || stack.poll_handover()))
                .collect();
            let events: Vec<_> = self
                .shards
                .iter_mut()
                .flat_map(|stack| std::iter::from_fn(move || stack.poll_event()))
                .collect();
            if handovers.is_empty() && events.is_empty() {
                return;
            }
            for handover in handovers {
                self.shards[usize::from(handover.to())].take_over(now, &handover);
            }
            for event in events {
                self.carry(now, &event);
            }
        }
    }

    fn carry(&mut self, now: Instant, event: &Event) {
        match *event {
            Event::AddressReady { .. } | Event::AddressConflict { .. } | Event::TrialPassed { .. } => {
                let addresses: Vec<_> = self.shards[0].internet().addresses().copied().collect();
                for stack in self.shards.iter_mut().skip(1) {
                    stack.adopt_addresses(now, &addresses);
                }
            }
            Event::GroupJoined { interface, group } => self.shards[0].join_group(now, interface, group),
            Event::GroupLeft { interface, group } => self.shards[0].leave_group(now, interface, group),
            Event::Tcp(_) | Event::Udp(_) | Event::Icmp(_) => {}
        }
    }
}

impl Host for Sharded {
    fn handle_frame(&mut self, now: Instant, frame: &[u8]) {
        let shard = self.turn % self.shards.len();
        self.turn += 1;
        self.shards[shard].handle_frame(now, self.interface, frame, RxMeta::default());
        self.settle(now);
    }

    fn poll(&mut self, now: Instant) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        for shard in 0..self.shards.len() {
            if self.shards[shard].poll_timeout().is_some_and(|deadline| deadline <= now) {
                self.shards[shard].handle_timeout(now);
            }
        }
        self.settle(now);
        for shard in 0..self.shards.len() {
            while let Some(transmit) = self.shards[shard].poll_transmit(now, &mut self.head) {
                let frame = transmit.to_vec();
                if let Err(error) = check_frame(Medium::Ethernet, &frame) {
                    panic!("emitted a frame that etherparse does not accept: {error}: {frame:02x?}");
                }
                self.sent.push((shard, frame.clone()));
                frames.push(frame);
            }
        }
        self.settle(now);
        frames
    }

    fn poll_timeout(&mut self, _: Instant) -> Option<Instant> {
        self.shards.iter().filter_map(Stack::poll_timeout).min()
    }
}
