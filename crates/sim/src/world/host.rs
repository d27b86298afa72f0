//! One host of a world: a stack and its place on the cables.

use core::time::Duration;

use netloom_base::{DeviceCaps, Instant, InterfaceId, Medium, Rng};
use netloom_stack::internet::{AddressError, Route, RouteError};
use netloom_stack::link::AddressDetection;
use netloom_stack::transport::UdpSocketId;
use netloom_stack::{Cidr, EthernetAddress, HeadBuf, InterfaceSetup, PIECE_LEN, Stack, StackConfig};
use netloom_wire::CidrError;

use crate::scenario::{CablePlan, Scenario};

/// One host.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) stack: Stack,
    /// The stacks whose memory it has lost: what they have counted has happened.
    pub(super) former_stacks: Vec<Stack>,
    pub(super) head: HeadBuf,
    /// Where its next frame goes.
    pub(super) buffer: Box<[u8]>,
    /// For each interface the cable and which of its ends this is.
    pub(super) ports: Vec<(usize, usize)>,
    /// How long its devices collect frames; `None`: they do not.
    pub(super) moderation: Option<Duration>,
    /// The socket that sends datagrams back.
    pub(super) echo: Option<UdpSocketId>,
    /// Whether something was done to it after which it may have frames or events, or another deadline.
    pub(super) is_touched: bool,
    /// Its stack's next deadline, as it was when nothing was left to take out of it: it has to be asked only then.
    pub(super) wakes_at: Option<Instant>,
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
            stack: Stack::new(config, rng.fork()),
            former_stacks: Vec::new(),
            head: HeadBuf::new(),
            buffer: vec![0; PIECE_LEN].into_boxed_slice(),
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
        let interface = self.stack.add_interface(InterfaceSetup {
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
            self.stack
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
                self.stack.routes_mut().insert(route).map_err(SetupError::Route)?;
            }
        }
        Ok(())
    }

    /// What it has for a past once it begins again as `self`.
    pub(super) fn remember(&mut self, former: Self) {
        self.former_stacks = former.former_stacks;
        self.former_stacks.push(former.stack);
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
