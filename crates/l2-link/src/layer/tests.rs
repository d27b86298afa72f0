//! A link layer beside a scripted link, in virtual time.

use netloom_wire::{ArpOperation, ArpPacket, NeighborUpdateKind};

use super::*;
use crate::config::NeighborConfig;
use crate::neighbor::state::NeighborState;

mod address;
mod flood;
mod frames;
mod neighbors;

const OURS: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 1]);
const PEER: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 2]);
const OTHER: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 3]);

pub(super) struct Bench {
    link: LinkLayer,
    now: Instant,
}

impl Bench {
    fn with(neighbors: NeighborConfig, seed: u64) -> Self {
        let config = LinkConfig { address: OURS, neighbors, speaks_for_host: true };
        Self { link: LinkLayer::new(config, Rng::from_number(seed)), now: Instant::from_millis(5000) }
    }

    /// With 10.0.0.2/24, ready, nothing left to send or to tell.
    fn ready() -> Self {
        let mut bench = Self::with(NeighborConfig::default(), 1);
        bench.add("10.0.0.2/24", AddressDetection::Off);
        bench.advance(Duration::from_secs(10));
        bench.frames();
        bench.events();
        bench
    }

    fn add(&mut self, cidr: &str, detection: AddressDetection) {
        self.link.add_address(self.now, cidr.parse().unwrap(), detection);
    }

    fn advance(&mut self, by: Duration) {
        let end = self.now + by;
        while let Some(deadline) = self.link.poll_timeout().filter(|&deadline| deadline <= end) {
            self.now = self.now.max(deadline);
            self.link.handle_timeout(self.now);
        }
        self.now = end;
    }

    /// Runs for `by` and notes when each frame was ready, in milliseconds from now.
    fn watch(&mut self, by: Duration) -> Vec<(u64, ArpPacket)> {
        let (start, end) = (self.now, self.now + by);
        let mut seen = Vec::new();
        loop {
            let after = u64::try_from(self.now.saturating_since(start).as_millis()).unwrap();
            seen.extend(self.arp().into_iter().map(|packet| (after, packet)));
            let Some(deadline) = self.link.poll_timeout().filter(|&deadline| deadline <= end) else { break };
            self.now = self.now.max(deadline);
            self.link.handle_timeout(self.now);
        }
        self.now = end;
        seen
    }

    fn frames(&mut self) -> Vec<LinkOutput> {
        core::iter::from_fn(|| self.link.poll_transmit(self.now)).collect()
    }

    /// All frames, which must be ARP.
    fn arp(&mut self) -> Vec<ArpPacket> {
        self.frames().iter().map(|output| ArpPacket::parse(&output.payload).unwrap()).collect()
    }

    fn events(&mut self) -> Vec<LinkEvent> {
        core::iter::from_fn(|| self.link.poll_event()).collect()
    }

    fn hear(&mut self, destination: EthernetAddress, packet: ArpPacket) -> Result<(), DropReason> {
        let frame = frame(destination, packet.sender_link, EtherType::ARP, &packet.to_bytes());
        self.link.input(self.now, &frame).map(|input| assert_eq!(input, LinkInput::Consumed))
    }

    /// PEER asks for `target` from `sender`, by broadcast.
    fn hear_request(&mut self, sender: &str, target: &str) -> Result<(), DropReason> {
        self.hear(EthernetAddress::BROADCAST, request(PEER, sender, target))
    }

    /// PEER answers us, by unicast.
    fn hear_reply(&mut self, sender: &str, target: &str) -> Result<(), DropReason> {
        self.hear(OURS, reply(PEER, sender, target))
    }

    fn resolve(&mut self, next_hop: &str) -> Resolution {
        self.link.resolve(self.now, ip(next_hop))
    }

    fn enqueue(&mut self, next_hop: &str, number: u8) {
        self.link.enqueue(self.now, ip(next_hop), ip_packet(number)).unwrap();
    }

    fn neighbor(&self, address: &str) -> Option<NeighborEntry> {
        self.link.neighbors().find(|entry| entry.address == ip(address))
    }

    fn state(&self, address: &str) -> Option<NeighborState> {
        self.neighbor(address).map(|entry| entry.state)
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn ip_packet(number: u8) -> QueuedPacket {
    QueuedPacket { meta: TxMeta::default(), bytes: vec![0x45, number] }
}

fn frame(
    destination: EthernetAddress,
    source: EthernetAddress,
    ether_type: EtherType,
    payload: &[u8],
) -> Vec<u8> {
    [&destination.0[..], &source.0, &ether_type.0.to_be_bytes(), payload].concat()
}

fn arp(operation: ArpOperation, sender_link: EthernetAddress, sender: &str, target: &str) -> ArpPacket {
    ArpPacket {
        operation,
        sender_link,
        sender_ip: sender.parse().unwrap(),
        target_link: EthernetAddress::UNSPECIFIED,
        target_ip: target.parse().unwrap(),
    }
}

fn request(sender_link: EthernetAddress, sender: &str, target: &str) -> ArpPacket {
    arp(ArpOperation::Request, sender_link, sender, target)
}

fn reply(sender_link: EthernetAddress, sender: &str, target: &str) -> ArpPacket {
    ArpPacket { target_link: OURS, ..arp(ArpOperation::Reply, sender_link, sender, target) }
}
