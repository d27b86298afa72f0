//! A host of one or more shards, as a host of a [`World`](crate::World).

use netloom_base::{DeviceCaps, Instant, InterfaceId, Medium, Rng};
use netloom_sim::{MailPlan, Shards, check_frame};
use netloom_stack::{
    AddressDetection, Cidr, EthernetAddress, Event, HeadBuf, InterfaceSetup, Stack, StackConfig,
};

use crate::Host;
use crate::offload::{Device, Offload};

/// What a [`Sharded`] host is made of.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How many shards, and queues of its device.
    pub shard_count: u16,
    /// What they leave to the device.
    pub offload: Offload,
    /// The MTU.
    pub mtu: u16,
    /// How addresses are tried out.
    pub detection: AddressDetection,
    /// What each shard is told.
    pub config: StackConfig,
}

impl Default for Plan {
    /// A whole host on a plain device with an MTU of 1500, whose addresses are usable at once.
    fn default() -> Self {
        Self {
            shard_count: 1,
            offload: Offload::Plain,
            mtu: 1500,
            detection: AddressDetection::Off,
            config: StackConfig::default(),
        }
    }
}

/// Stacks with one Ethernet interface. Its device steers as badly as it can: each frame goes to the next shard.
#[derive(Debug)]
pub struct Sharded {
    /// The shards, and what they have for each other.
    pub shards: Shards,
    /// What they left to the device.
    pub device: Device,
    /// What was sent, by which shard.
    pub sent: Vec<(usize, Vec<u8>)>,
    /// What the shards had to tell, in order.
    pub events: Vec<Event>,
    interface: InterfaceId,
    head: HeadBuf,
    turn: usize,
}

impl Sharded {
    /// A host as planned, with these addresses; the last byte of its Ethernet address and its seed are `number`.
    ///
    /// # Panics
    /// If an address makes no sense.
    pub fn new(number: u8, addresses: &[&str], plan: &Plan) -> Self {
        let mut rng = Rng::from_number(number.into());
        let mut shards = Shards::new(plan.shard_count, &plan.config, MailPlan::default(), &mut rng);
        let device = Device::new(plan.offload);
        let interface = shards.add_interface(InterfaceSetup {
            caps: device.caps(DeviceCaps::plain(Medium::Ethernet, plan.mtu)),
            link_address: EthernetAddress([2, 0, 0, 0, 0, number]),
        });
        for address in addresses {
            let address: Cidr = address.parse().expect("a CIDR");
            shards.add_address(Instant::ZERO, interface, address, plan.detection).expect("an address");
        }
        let events = shards.settle(Instant::ZERO);
        Self { shards, device, sent: Vec::new(), events, interface, head: HeadBuf::new(), turn: 0 }
    }

    /// The first shard, which is all of a whole host.
    ///
    /// # Panics
    /// Never: there is one.
    pub fn first(&mut self) -> &mut Stack {
        self.shards.stacks.first_mut().expect("a shard")
    }

    /// Its interface.
    pub const fn interface(&self) -> InterfaceId {
        self.interface
    }

    /// Drops the events so far, and says whether there was one that `is_wanted`.
    pub fn take_event(&mut self, mut is_wanted: impl FnMut(&Event) -> bool) -> bool {
        self.events.drain(..).any(|event| is_wanted(&event))
    }

    /// Has the shards bring each other what they have, and keeps what they tell.
    pub fn settle(&mut self, now: Instant) {
        self.events.extend(self.shards.settle(now));
    }

    /// How many frames and packets came to a shard that is not their owner: handed over, and taken over.
    pub fn handovers(&self) -> (u64, u64) {
        let counters = || self.shards.stacks.iter().map(Stack::counters);
        (counters().map(|it| it.handed_over.get()).sum(), counters().map(|it| it.taken_over.get()).sum())
    }

    /// Gives the shards in turn what the device has received.
    fn receive(&mut self, now: Instant) {
        for (frame, meta) in self.device.take_received() {
            let shard = self.turn % self.shards.stacks.len();
            self.turn += 1;
            self.shards.handle_frame(now, shard, self.interface, &frame, meta);
            self.settle(now);
        }
    }
}

impl Host for Sharded {
    fn handle_frame(&mut self, _: Instant, frame: &[u8]) {
        self.device.receive(frame.to_vec());
    }

    fn poll(&mut self, now: Instant) -> Vec<Vec<u8>> {
        self.receive(now);
        self.shards.handle_timeout(now);
        self.settle(now);
        let mut frames = Vec::new();
        for (shard, stack) in self.shards.stacks.iter_mut().enumerate() {
            while let Some(transmit) = stack.poll_transmit(now, &mut self.head) {
                for frame in self.device.send(transmit.meta, transmit.to_vec()) {
                    if let Err(error) = check_frame(Medium::Ethernet, &frame) {
                        panic!("emitted a frame that etherparse does not accept: {error}: {frame:02x?}");
                    }
                    self.sent.push((shard, frame.clone()));
                    frames.push(frame);
                }
            }
        }
        self.settle(now);
        frames
    }

    fn poll_timeout(&mut self, _: Instant) -> Option<Instant> {
        self.shards.poll_timeout()
    }
}
