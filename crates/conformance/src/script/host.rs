//! The host under test: a stack, or several shards of one, with one interface of bare IP packets, in virtual time.
//!
//! The device of several shards steers as badly as it can: every packet comes to a shard that it does not belong to. All of a
//! script's clients belong to the last: what a script fills, such as a backlog, each shard has for itself.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use netloom_base::{DeviceCaps, Instant, InterfaceId, Medium, Rng, RxMeta, Sharding};
use netloom_sim::{MailPlan, Shards, check_frame};
use netloom_stack::link::AddressDetection;
use netloom_stack::transport::TcpConfig;
use netloom_stack::{Cidr, DropReason, EthernetAddress, HeadBuf, InterfaceSetup, Stack, StackConfig};

use super::settings::Family;

/// The port that `bind(3, ..., ...)` binds, as packetdrill's `--bind_port`.
pub(super) const BIND_PORT: u16 = 8080;
/// The peer's port for `connect(3, ..., ...)`, as packetdrill's `--connect_port`.
pub(super) const CONNECT_PORT: u16 = 8080;
/// The ports that the peer connects from, in the order in which it takes them. Scripts name some of them.
pub(super) const PEER_PORTS: core::ops::Range<u16> = 50_000..50_008;

/// The host and its clock.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) shards: Shards,
    pub(super) now: Instant,
    pub(super) local: IpAddr,
    pub(super) remote: IpAddr,
    interface: InterfaceId,
    head: HeadBuf,
    /// Packets that came to a shard that they do not belong to.
    astray: u64,
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
        let mut rng = Rng::from_number(seed_for(shard_count, local, remote)?);
        let mut shards = Shards::new(shard_count, &config, MailPlan::default(), &mut rng);
        let interface = shards.add_interface(InterfaceSetup {
            caps: DeviceCaps::plain(Medium::Ip, mtu.unwrap_or(default_mtu)),
            link_address: EthernetAddress([2, 0, 0, 0, 0, 1]),
        });
        let now = Instant::from_millis(100_000);
        let cidr: Cidr = format!("{local}/{prefix_len}").parse().map_err(|error| format!("{error}"))?;
        shards
            .add_address(now, interface, cidr, AddressDetection::Off)
            .map_err(|error| format!("{error:?}"))?;
        let host = Self { shards, now, local, remote, interface, head: HeadBuf::new(), astray: 0 };
        let mut owners = PEER_PORTS.map(|port| host.owner_of((BIND_PORT, port)));
        if owners.any(|owner| owner + 1 != usize::from(shard_count)) {
            return Err("the peer's connections belong to several shards".to_owned());
        }
        Ok(host)
    }

    /// The shard of the connection between these ports, the host's and the peer's.
    pub(super) fn owner_of(&self, ports: (u16, u16)) -> usize {
        let ends = (SocketAddr::new(self.local, ports.0), SocketAddr::new(self.remote, ports.1));
        self.shards.owner_of_flow(ends.0, ends.1)
    }

    /// Gives it a packet of, or about, the connection between these ports, the host's and the peer's.
    pub(super) fn receive(&mut self, packet: &[u8], ports: (u16, u16)) {
        let (owner, count) = (self.owner_of(ports), self.shards.stacks.len());
        let shard = (owner + 1) % count;
        self.astray += u64::from(shard != owner);
        self.shards.handle_frame(self.now, shard, self.interface, packet, RxMeta::default());
        self.shards.settle(self.now);
    }

    /// Does what is due now, and takes what it sends; etherparse checks each packet.
    pub(super) fn exchange(&mut self) -> Result<Vec<Vec<u8>>, String> {
        self.shards.handle_timeout(self.now);
        self.shards.settle(self.now);
        let mut packets = Vec::new();
        for stack in &mut self.shards.stacks {
            while let Some(transmit) = stack.poll_transmit(self.now, &mut self.head) {
                let packet = transmit.to_vec();
                check_frame(Medium::Ip, &packet)
                    .map_err(|error| format!("etherparse does not accept {packet:02x?}: {error}"))?;
                packets.push(packet);
            }
        }
        self.shards.settle(self.now);
        Ok(packets)
    }

    /// Whether every packet that came to the wrong shard, and nothing else, was handed over to its owner.
    pub(super) fn check_handovers(&self) -> Result<(), String> {
        let (mut handed, mut taken, mut dropped) = (0, 0, 0);
        for counters in self.shards.stacks.iter().map(Stack::counters) {
            handed += counters.handed_over.get();
            taken += counters.taken_over.get();
            dropped += counters.drops.get(DropReason::HandoverFull);
        }
        if (handed, taken, dropped) == (self.astray, self.astray, 0) {
            return Ok(());
        }
        Err(format!(
            "{} packets came to the wrong shard, {handed} were handed over, {taken} taken over, {dropped} dropped",
            self.astray
        ))
    }

    /// When it wants to be asked next; never now, so that time goes on.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        let soonest = self.now + Duration::from_micros(1);
        self.shards.poll_timeout().map(|deadline| deadline.max(soonest))
    }
}

/// The first number from which such shards draw a key that gives all connections from [`PEER_PORTS`] to the last of them.
fn seed_for(shard_count: u16, local: IpAddr, remote: IpAddr) -> Result<u64, String> {
    let has_them_all = |seed: &u64| {
        let key = Rng::from_number(*seed).hash_key();
        let Some(sharding) = Sharding::new(key, shard_count - 1, shard_count) else { return false };
        PEER_PORTS
            .into_iter()
            .all(|port| sharding.owns_flow(SocketAddr::new(local, BIND_PORT), SocketAddr::new(remote, port)))
    };
    (1..100_000).find(has_them_all).ok_or_else(|| format!("no key for {shard_count} shards"))
}
