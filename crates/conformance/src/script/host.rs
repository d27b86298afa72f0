//! The host under test: a stack, or the shards of one, with one interface of bare IP packets, in virtual time.

use core::net::IpAddr;
use core::time::Duration;

use netloom_base::{DeviceCaps, Instant, InterfaceId, Medium, Rng, RxMeta};
use netloom_sim::{MailPlan, Shards, check_frame};
use netloom_stack::link::AddressDetection;
use netloom_stack::transport::TcpConfig;
use netloom_stack::{Cidr, EthernetAddress, HeadBuf, InterfaceSetup, StackConfig};

use super::settings::Family;

/// The host and its clock.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) shards: Shards,
    pub(super) now: Instant,
    pub(super) local: IpAddr,
    pub(super) remote: IpAddr,
    interface: InterfaceId,
    head: HeadBuf,
    /// Packets received, each by the next shard.
    received: usize,
}

impl Host {
    /// A host of so many shards whose clock has run for a while.
    pub(super) fn new(
        family: Family,
        mtu: Option<u16>,
        tcp: TcpConfig,
        shard_count: u16,
    ) -> Result<Self, String> {
        let (local, remote, prefix_len, default_mtu) = match family {
            Family::V4 => (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]), 24, 1500),
            Family::V6 => {
                let address = |last| IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, last]);
                (address(1), address(2), 64, 1520)
            }
        };
        let config = StackConfig { tcp, ..StackConfig::default() };
        let mut shards = Shards::new(shard_count, &config, MailPlan::default(), &mut Rng::from_number(1));
        let interface = shards.add_interface(InterfaceSetup {
            caps: DeviceCaps::plain(Medium::Ip, mtu.unwrap_or(default_mtu)),
            link_address: EthernetAddress([2, 0, 0, 0, 0, 1]),
        });
        let now = Instant::from_millis(100_000);
        let cidr: Cidr = format!("{local}/{prefix_len}").parse().map_err(|error| format!("{error}"))?;
        shards
            .add_address(now, interface, cidr, AddressDetection::Off)
            .map_err(|error| format!("{error:?}"))?;
        Ok(Self { shards, now, local, remote, interface, head: HeadBuf::new(), received: 0 })
    }

    /// Gives it a packet, by the queue of the next shard.
    pub(super) fn receive(&mut self, packet: &[u8]) {
        let shard = self.received % self.shards.stacks.len();
        self.received += 1;
        self.shards.handle_frame(self.now, shard, self.interface, packet, RxMeta::default());
        self.settle();
    }

    /// Has the shards take over what they have for each other, until there is nothing more.
    fn settle(&mut self) {
        loop {
            self.shards.post(self.now);
            let has_mail = self.shards.take_next(self.now).is_some();
            let has_news = self.shards.stacks.iter_mut().any(|stack| stack.poll_event().is_some());
            if !has_mail && !has_news {
                return;
            }
        }
    }

    /// Does what is due now, and takes what it sends; etherparse checks each packet.
    pub(super) fn exchange(&mut self) -> Result<Vec<Vec<u8>>, String> {
        self.shards.handle_timeout(self.now);
        self.settle();
        let mut packets = Vec::new();
        for stack in &mut self.shards.stacks {
            while let Some(transmit) = stack.poll_transmit(self.now, &mut self.head) {
                let packet = transmit.to_vec();
                check_frame(Medium::Ip, &packet)
                    .map_err(|error| format!("etherparse does not accept {packet:02x?}: {error}"))?;
                packets.push(packet);
            }
        }
        self.settle();
        Ok(packets)
    }

    /// When it wants to be asked next; never now, so that time goes on.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        let soonest = self.now + Duration::from_micros(1);
        self.shards.poll_timeout().map(|deadline| deadline.max(soonest))
    }
}
