//! The host under test: a stack with one interface of bare IP packets, in virtual time.

use core::net::IpAddr;
use core::time::Duration;

use netloom_base::{DeviceCaps, Instant, InterfaceId, Medium, Rng, RxMeta};
use netloom_sim::check_frame;
use netloom_stack::link::AddressDetection;
use netloom_stack::transport::TcpConfig;
use netloom_stack::{Cidr, EthernetAddress, HeadBuf, InterfaceSetup, Stack, StackConfig};

use super::settings::Family;

/// The host and its clock.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) stack: Stack,
    pub(super) now: Instant,
    pub(super) local: IpAddr,
    pub(super) remote: IpAddr,
    interface: InterfaceId,
    head: HeadBuf,
}

impl Host {
    /// A host whose clock has run for a while.
    pub(super) fn new(family: Family, mtu: Option<u16>, tcp: TcpConfig) -> Result<Self, String> {
        let (local, remote, prefix_len, default_mtu) = match family {
            Family::V4 => (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]), 24, 1500),
            Family::V6 => {
                let address = |last| IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, last]);
                (address(1), address(2), 64, 1520)
            }
        };
        let mut stack = Stack::new(StackConfig { tcp, ..StackConfig::default() }, Rng::from_number(1));
        let interface = stack.add_interface(InterfaceSetup {
            caps: DeviceCaps::plain(Medium::Ip, mtu.unwrap_or(default_mtu)),
            link_address: EthernetAddress([2, 0, 0, 0, 0, 1]),
        });
        let now = Instant::from_millis(100_000);
        let cidr: Cidr = format!("{local}/{prefix_len}").parse().map_err(|error| format!("{error}"))?;
        stack
            .add_address(now, interface, cidr, AddressDetection::Off)
            .map_err(|error| format!("{error:?}"))?;
        Ok(Self { stack, now, local, remote, interface, head: HeadBuf::new() })
    }

    /// Gives it a packet.
    pub(super) fn receive(&mut self, packet: &[u8]) {
        self.stack.handle_frame(self.now, self.interface, packet, RxMeta::default());
    }

    /// Does what is due now, and takes what it sends; etherparse checks each packet.
    pub(super) fn exchange(&mut self) -> Result<Vec<Vec<u8>>, String> {
        if self.stack.poll_timeout().is_some_and(|deadline| deadline <= self.now) {
            self.stack.handle_timeout(self.now);
        }
        let mut packets = Vec::new();
        while let Some(transmit) = self.stack.poll_transmit(self.now, &mut self.head) {
            let packet = transmit.to_vec();
            check_frame(Medium::Ip, &packet)
                .map_err(|error| format!("etherparse does not accept {packet:02x?}: {error}"))?;
            packets.push(packet);
        }
        while self.stack.poll_event().is_some() {}
        Ok(packets)
    }

    /// When it wants to be asked next; never now, so that time goes on.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        let soonest = self.now + Duration::from_micros(1);
        self.stack.poll_timeout().map(|deadline| deadline.max(soonest))
    }
}
