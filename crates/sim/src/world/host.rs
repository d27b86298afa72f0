//! One host of a world: a stack and its place on the cables.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::BTreeMap;

use netloom_base::{DeviceCaps, DropReason, Instant, InterfaceId, Medium, Rng, RxMeta};
use netloom_stack::internet::{AddressError, Route, RouteError};
use netloom_stack::link::AddressDetection;
use netloom_stack::transport::UdpSocketId;
use netloom_stack::{Cidr, EthernetAddress, HeadBuf, InterfaceSetup, Stack, StackConfig};
use netloom_wire::CidrError;

use super::steering::Steering;
use crate::scenario::{CablePlan, Scenario};
use crate::shards::Shards;

/// One host.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) shards: Shards,
    /// The stacks whose memory it has lost: what they have counted has happened.
    pub(super) former_shards: Vec<Shards>,
    /// Which queue of its devices a frame goes to.
    pub(super) steering: Steering,
    /// Whose turn it is where any shard will do.
    turn: usize,
    /// The last frame of each way of a connection that has come to its owner.
    last_of_path: BTreeMap<(SocketAddr, SocketAddr), u64>,
    /// Those that came after a later one.
    pub(super) overtaken_count: u64,
    pub(super) head: HeadBuf,
    /// For each interface the cable and which of its ends this is.
    pub(super) ports: Vec<(usize, usize)>,
    /// How long its devices collect frames; `None`: they do not.
    pub(super) moderation: Option<Duration>,
    /// The socket that sends datagrams back, and its shard.
    pub(super) echo: Option<(usize, UdpSocketId)>,
    /// Whether something was done to it after which it may have frames or events, or another deadline.
    pub(super) is_touched: bool,
    /// Its stacks' next deadline, as it was when nothing was left to take out of it: it has to be asked only then.
    pub(super) wakes_at: Option<Instant>,
}

/// What became of a frame that a device has given.
#[derive(Clone, Copy, Debug)]
pub(super) struct Receipt {
    /// To which shard.
    pub(super) shard: usize,
    /// Its number among those that the devices gave.
    pub(super) number: u64,
    /// How often that shard has handed it on, or dropped it for want of room.
    pub(super) handed_on: u64,
}

/// A scenario that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SetupError {
    /// An address is none.
    Cidr(CidrError),
    /// The stack does not take an address.
    Address(AddressError),
    /// The stack does not take a route.
    Route(RouteError),
    /// More hosts, cables or interfaces than there are numbers for.
    TooMany,
}

/// The Ethernet address of a host on a cable.
pub(super) fn link_address(cable: usize, host: usize) -> Result<EthernetAddress, SetupError> {
    let byte = |number: usize| u8::try_from(number).map_err(|_| SetupError::TooMany);
    Ok(EthernetAddress([2, 0, 0, 0, byte(cable)?, byte(host)?]))
}

/// The address of a host on a cable: `10.0.CABLE.(HOST + 1)` or `fd00:0:0:CABLE::(HOST + 1)`.
pub(super) fn address(cable: usize, host: usize, is_ipv6: bool) -> Result<Cidr, SetupError> {
    let number = host + 1;
    let text = if is_ipv6 {
        format!("fd00:0:0:{cable:x}::{number:x}/64")
    } else {
        format!("10.0.{cable}.{number}/24")
    };
    text.parse().map_err(SetupError::Cidr)
}

impl Host {
    pub(super) fn new(
        now: Instant,
        scenario: &Scenario,
        number: usize,
        mut rng: Rng,
    ) -> Result<Self, SetupError> {
        let plan = scenario.hosts.get(number).ok_or(SetupError::TooMany)?;
        let mut config = StackConfig { tcp: plan.tcp.clone(), ..StackConfig::default() };
        config.internet.forwarding = plan.is_router;
        let mut host = Self {
            shards: Shards::new(plan.shards.count, &config, plan.shards.mail, &mut rng),
            former_shards: Vec::new(),
            steering: Steering::new(plan.shards.steering, plan.shards.count, &mut rng),
            turn: 0,
            last_of_path: BTreeMap::new(),
            overtaken_count: 0,
            head: HeadBuf::new(),
            ports: Vec::new(),
            moderation: plan.offload.moderation,
            echo: None,
            is_touched: true,
            wakes_at: None,
        };
        for (cable, plan) in scenario.cables.iter().enumerate() {
            for (side, &end) in plan.ends.iter().enumerate() {
                if end == number {
                    host.plug_in(now, scenario, number, cable, side)?;
                }
            }
        }
        Ok(host)
    }

    fn plug_in(
        &mut self,
        now: Instant,
        scenario: &Scenario,
        number: usize,
        cable: usize,
        side: usize,
    ) -> Result<(), SetupError> {
        let offload = scenario.hosts.get(number).map(|host| host.offload).unwrap_or_default();
        let CablePlan { medium, mtu, ends, ways: _ } =
            scenario.cables.get(cable).ok_or(SetupError::TooMany)?;
        let interface = self.shards.add_interface(InterfaceSetup {
            caps: DeviceCaps {
                transmit_checksum: offload.segmentation.is_some(),
                tcp4_segmentation: offload.segmentation,
                tcp6_segmentation: offload.segmentation,
                ..DeviceCaps::plain(*medium, *mtu)
            },
            link_address: link_address(cable, number)?,
        });
        self.ports.push((cable, side));
        let other = ends.get(1 - side).copied().unwrap_or(number);
        let families: &[bool] = if scenario.has_ipv6 { &[false, true] } else { &[false] };
        for &is_ipv6 in families {
            let own = address(cable, number, is_ipv6)?;
            self.shards
                .add_address(now, interface, own, AddressDetection::Off)
                .map_err(SetupError::Address)?;
            let is_leaf = scenario.hosts.get(number).is_some_and(|host| !host.is_router);
            if is_leaf && scenario.hosts.get(other).is_some_and(|host| host.is_router) {
                let everything = if is_ipv6 { "::/0" } else { "0.0.0.0/0" };
                let route = Route {
                    prefix: everything.parse().map_err(SetupError::Cidr)?,
                    gateway: Some(address(cable, other, is_ipv6)?.address()),
                    interface,
                    metric: 0,
                    source: None,
                };
                for stack in &mut self.shards.stacks {
                    stack.routes_mut().insert(route).map_err(SetupError::Route)?;
                }
            }
        }
        Ok(())
    }

    /// What it has for a past once it begins again as `self`.
    pub(super) fn remember(&mut self, former: Self) {
        self.overtaken_count = former.overtaken_count;
        self.former_shards = former.former_shards;
        self.former_shards.push(former.shards);
    }

    /// Its stacks, and those that it has lost.
    pub(super) fn all_stacks(&self) -> impl Iterator<Item = &Stack> {
        self.former_shards.iter().chain([&self.shards]).flat_map(|shards| &shards.stacks)
    }

    /// The next shard in turn.
    pub(super) fn take_turn(&mut self) -> usize {
        self.turn += 1;
        self.turn % self.shards.stacks.len()
    }

    /// Hands a frame to the shard whose queue the device chooses.
    pub(super) fn receive(
        &mut self,
        now: Instant,
        interface: InterfaceId,
        medium: Medium,
        frame: &[u8],
        meta: RxMeta,
    ) -> Receipt {
        let shard = self.steering.queue_of(medium, frame);
        let before = self.handed_on(shard);
        let number = self.shards.handle_frame(now, shard, interface, frame, meta);
        Receipt { shard, number, handed_on: self.handed_on(shard) - before }
    }

    /// How many frames a shard has handed on, or dropped as there was no room for them.
    fn handed_on(&self, shard: usize) -> u64 {
        if self.shards.is_whole() {
            return 0;
        }
        self.shards.stacks.get(shard).map_or(0, |stack| {
            let counters = stack.counters();
            counters.handed_over.get() + counters.drops.get(DropReason::HandoverFull)
        })
    }

    /// A segment from `path.0` to `path.1` comes to its owner: frame `number` of its device.
    pub(super) fn note_order(&mut self, path: (SocketAddr, SocketAddr), number: u64) {
        let last = self.last_of_path.entry(path).or_default();
        self.overtaken_count += u64::from(number < *last);
        *last = number.max(*last);
    }

    /// Letters that full mailboxes have refused.
    pub(super) fn refused_count(&self) -> u64 {
        if self.shards.is_whole() {
            return 0;
        }
        self.former_shards.iter().chain([&self.shards]).map(|shards| shards.mail_tally().refused).sum()
    }

    /// The interface on this end of a cable.
    pub(super) fn interface(&self, cable: usize, side: usize) -> Option<InterfaceId> {
        let index = self.ports.iter().position(|&port| port == (cable, side))?;
        u8::try_from(index).ok().map(InterfaceId::new)
    }
}

/// A cable: both ways of a link, and who is at its ends.
#[derive(Debug)]
pub(super) struct Cable {
    pub(super) medium: Medium,
    pub(super) hosts: [usize; 2],
    pub(super) interfaces: [InterfaceId; 2],
    pub(super) ways: [netloom_impair::Link; 2],
    /// Numbers of both ends in the capture.
    pub(super) captured_as: [u32; 2],
}

impl Cable {
    /// When the device at the end of each way hands over what has arrived there.
    pub(super) fn due(&self, hosts: &[Host]) -> [Option<Instant>; 2] {
        let due = |way: usize| {
            let moderation = hosts.get(self.hosts[1 - way]).and_then(|host| host.moderation);
            self.ways[way].poll_timeout().map(|first| first + moderation.unwrap_or_default())
        };
        [due(0), due(1)]
    }
}
