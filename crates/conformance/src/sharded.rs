//! A host of one or several shards behind a device with or without offloads, as a host of a [`World`](crate::World).

use netloom_base::{DeviceCaps, Instant, InterfaceId, Medium, Rng, RxChecksum, RxMeta};
use netloom_sim::{MailPlan, Shards, check_frame, cut, join};
use netloom_stack::{AddressDetection, Cidr, EthernetAddress, HeadBuf, InterfaceSetup, StackConfig};

use crate::Host;

/// What a device does for the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offloads {
    /// Nothing.
    Plain,
    /// It finishes checksums, and looks at those of what it hands over.
    Checksum,
    /// It also cuts super-segments, and joins the segments of one instant.
    Full,
}

impl Offloads {
    /// From none to all.
    pub const ALL: [Self; 3] = [Self::Plain, Self::Checksum, Self::Full];

    /// What a device with them says of itself.
    pub fn caps(self, medium: Medium, mtu: u16) -> DeviceCaps {
        /// The longest packet.
        const SUPER_SEGMENT_LEN: u32 = 65_535;
        let segmentation = (self == Self::Full).then_some(SUPER_SEGMENT_LEN);
        DeviceCaps {
            transmit_checksum: self != Self::Plain,
            tcp4_segmentation: segmentation,
            tcp6_segmentation: segmentation,
            ..DeviceCaps::plain(medium, mtu)
        }
    }

    /// What it hands over that finds these frames, whole ones, at once.
    pub fn receive(self, medium: Medium, frames: Vec<Vec<u8>>) -> Vec<(Vec<u8>, RxMeta)> {
        let meta_of = |frame: &[u8]| {
            let is_checked = self == Self::Checksum && check_frame(medium, frame).is_ok();
            let checksum = if is_checked { RxChecksum::Trusted } else { RxChecksum::Unknown };
            RxMeta { checksum, gso: None }
        };
        match self {
            Self::Full => join(medium, frames),
            Self::Plain | Self::Checksum => frames
                .into_iter()
                .map(|frame| (meta_of(&frame), frame))
                .map(|(meta, frame)| (frame, meta))
                .collect(),
        }
    }
}

/// Several stacks with one Ethernet interface. Its device steers as badly as it can: each frame goes to the next shard.
#[derive(Debug)]
pub struct Sharded {
    /// The shards, and what they have for each other.
    pub shards: Shards,
    /// What was sent, by which shard.
    pub sent: Vec<(usize, Vec<u8>)>,
    /// Super-segments that its device has cut, and those that it has joined.
    pub super_segments: [usize; 2],
    offloads: Offloads,
    /// What has come since the last time that the host was polled.
    arrived: Vec<Vec<u8>>,
    interface: InterfaceId,
    head: HeadBuf,
    turn: usize,
}

impl Sharded {
    /// A host of `count` shards without offloads; the last byte of its Ethernet address and its seed are `number`.
    ///
    /// # Panics
    /// If an address makes no sense.
    pub fn new(number: u8, count: u16, addresses: &[&str], detection: AddressDetection) -> Self {
        Self::behind((Offloads::Plain, 1500), number, count, addresses, detection)
    }

    /// As [`new`](Self::new), behind a device with these offloads and this MTU.
    ///
    /// # Panics
    /// If an address makes no sense.
    pub fn behind(
        (offloads, mtu): (Offloads, u16),
        number: u8,
        count: u16,
        addresses: &[&str],
        detection: AddressDetection,
    ) -> Self {
        let mut rng = Rng::from_number(number.into());
        let mut shards = Shards::new(count, &StackConfig::default(), MailPlan::default(), &mut rng);
        let interface = shards.add_interface(InterfaceSetup {
            caps: offloads.caps(Medium::Ethernet, mtu),
            link_address: EthernetAddress([2, 0, 0, 0, 0, number]),
        });
        for address in addresses {
            let address: Cidr = address.parse().expect("a CIDR");
            shards.add_address(Instant::ZERO, interface, address, detection).expect("an address");
        }
        let (sent, arrived, head) = (Vec::new(), Vec::new(), HeadBuf::new());
        let super_segments = [0; 2];
        let mut host = Self { shards, sent, super_segments, offloads, arrived, interface, head, turn: 0 };
        host.settle(Instant::ZERO);
        host
    }

    /// What its device does.
    pub const fn offloads(&self) -> Offloads {
        self.offloads
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
    fn handle_frame(&mut self, _: Instant, frame: &[u8]) {
        self.arrived.push(frame.to_vec());
    }

    fn poll(&mut self, now: Instant) -> Vec<Vec<u8>> {
        for (frame, meta) in self.offloads.receive(Medium::Ethernet, std::mem::take(&mut self.arrived)) {
            let shard = self.turn % self.shards.stacks.len();
            self.turn += 1;
            self.super_segments[1] += usize::from(meta.gso.is_some());
            self.shards.handle_frame(now, shard, self.interface, &frame, meta);
            self.settle(now);
        }
        let mut frames = Vec::new();
        self.shards.handle_timeout(now);
        self.settle(now);
        for (shard, stack) in self.shards.stacks.iter_mut().enumerate() {
            while let Some(transmit) = stack.poll_transmit(now, &mut self.head) {
                self.super_segments[0] += usize::from(transmit.meta.gso.is_some());
                for frame in cut(Medium::Ethernet, transmit.meta, transmit.to_vec()) {
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
