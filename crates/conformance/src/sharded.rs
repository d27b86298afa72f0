//! A host of several shards, as a host of a [`World`](crate::World).

use netloom_base::{DeviceCaps, Instant, InterfaceId, Medium, Rng, RxMeta};
use netloom_sim::{MailPlan, Shards, check_frame};
use netloom_stack::{AddressDetection, Cidr, EthernetAddress, HeadBuf, InterfaceSetup, StackConfig};

use crate::Host;

/// Several stacks with one Ethernet interface. Its device steers as badly as it can: each frame goes to the next shard.
#[derive(Debug)]
pub struct Sharded {
    /// The shards, and what they have for each other.
    pub shards: Shards,
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
    /// If an address makes no sense.
    pub fn new(number: u8, count: u16, addresses: &[&str], detection: AddressDetection) -> Self {
        let mut rng = Rng::from_number(number.into());
        let mut shards = Shards::new(count, &StackConfig::default(), MailPlan::default(), &mut rng);
        let interface = shards.add_interface(InterfaceSetup {
            caps: DeviceCaps::plain(Medium::Ethernet, 1500),
            link_address: EthernetAddress([2, 0, 0, 0, 0, number]),
        });
        for address in addresses {
            let address: Cidr = address.parse().expect("a CIDR");
            shards.add_address(Instant::ZERO, interface, address, detection).expect("an address");
        }
        let mut host = Self { shards, sent: Vec::new(), interface, head: HeadBuf::new(), turn: 0 };
        host.settle(Instant::ZERO);
        host
    }

    /// Brings the shards what they have for each other, until there is nothing more.
    fn settle(&mut self, now: Instant) {
        loop {
            self.shards.post(now);
            let has_mail = self.shards.take_next(now).is_some();
            let events: Vec<_> = self
                .shards
                .stacks
                .iter_mut()
                .flat_map(|stack| std::iter::from_fn(move || stack.poll_event()))
                .collect();
            if !has_mail && events.is_empty() {
                return;
            }
            for event in events {
                self.shards.tell(now, &event);
            }
        }
    }
}

impl Host for Sharded {
    fn handle_frame(&mut self, now: Instant, frame: &[u8]) {
        let shard = self.turn % self.shards.stacks.len();
        self.turn += 1;
        self.shards.handle_frame(now, shard, self.interface, frame, RxMeta::default());
        self.settle(now);
    }

    fn poll(&mut self, now: Instant) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        self.shards.handle_timeout(now);
        self.settle(now);
        for (shard, stack) in self.shards.stacks.iter_mut().enumerate() {
            while let Some(transmit) = stack.poll_transmit(now, &mut self.head) {
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
        self.shards.poll_timeout()
    }
}
