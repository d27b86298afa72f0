//! netloom's own stack as a host of a [`World`](crate::World).

use netloom_base::{DeviceCaps, Instant, InterfaceId, Medium, Rng, RxMeta};

use netloom_sim::check_frame;
use netloom_stack::{
    AddressDetection, Cidr, EthernetAddress, Event, HeadBuf, InterfaceSetup, Stack, StackConfig,
};

use crate::Host;

/// A stack with one Ethernet interface.
#[derive(Debug)]
pub struct Ours {
    /// The stack.
    pub stack: Stack,
    /// What it had to tell, in order.
    pub events: Vec<Event>,
    interface: InterfaceId,
    head: HeadBuf,
}

impl Ours {
    /// A host with these addresses, usable at once; the last byte of its Ethernet address and its seed are `number`.
    ///
    /// # Panics
    /// If an address makes no sense.
    pub fn new(number: u8, addresses: &[&str], config: StackConfig) -> Self {
        Self::with_mtu(number, addresses, config, 1500)
    }

    /// As [`new`](Self::new), on an interface with this MTU.
    ///
    /// # Panics
    /// If an address makes no sense.
    pub fn with_mtu(number: u8, addresses: &[&str], config: StackConfig, mtu: u16) -> Self {
        let mut stack = Stack::new(config, Rng::from_number(number.into()));
        let interface = stack.add_interface(InterfaceSetup {
            caps: DeviceCaps::plain(Medium::Ethernet, mtu),
            link_address: EthernetAddress([2, 0, 0, 0, 0, number]),
        });
        for address in addresses {
            let address: Cidr = address.parse().expect("a CIDR");
            stack.add_address(Instant::ZERO, interface, address, AddressDetection::Off).expect("an address");
        }
        Self { stack, events: Vec::new(), interface, head: HeadBuf::new() }
    }

    /// Drops the events so far, and says whether there was one that `is_wanted`.
    pub fn take_event(&mut self, mut is_wanted: impl FnMut(&Event) -> bool) -> bool {
        self.events.drain(..).any(|event| is_wanted(&event))
    }
}

impl Host for Ours {
    fn handle_frame(&mut self, now: Instant, frame: &[u8]) {
        self.stack.handle_frame(now, self.interface, frame, RxMeta::default());
    }

    fn poll(&mut self, now: Instant) -> Vec<Vec<u8>> {
        if self.stack.poll_timeout().is_some_and(|deadline| deadline <= now) {
            self.stack.handle_timeout(now);
        }
        let mut frames = Vec::new();
        while let Some(transmit) = self.stack.poll_transmit(now, &mut self.head) {
            let frame = transmit.to_vec();
            if let Err(error) = check_frame(Medium::Ethernet, &frame) {
                panic!("emitted a frame that etherparse does not accept: {error}: {frame:02x?}");
            }
            frames.push(frame);
        }
        while let Some(event) = self.stack.poll_event() {
            self.events.push(event);
        }
        frames
    }

    fn poll_timeout(&mut self, _: Instant) -> Option<Instant> {
        self.stack.poll_timeout()
    }
}
