//! The stack itself: its parts, its interfaces, its timers.

use core::net::IpAddr;
use std::collections::VecDeque;

use netloom_base::{AddressDetection, DeviceCaps, Instant, InterfaceId, Medium, Rng, Sharding};
use netloom_l3_internet::{AddressError, InterfaceConfig, Internet, LocalAddress, RoutingTable};
use netloom_l4_transport::{Tcp, TcpUsage, TxSegmentation, Udp};
use netloom_wire::Cidr;
use tracing::warn;

use crate::handover::Handover;
use crate::interface::Interface;
use crate::turn::{LoopedPacket, Turn};
use crate::{Event, IcmpSockets, InterfaceSetup, StackConfig, StackCounters, TcpSockets, UdpSockets};

/// One host, or one shard of it.
#[derive(Debug)]
pub struct Stack {
    pub(crate) config: StackConfig,
    pub(crate) rng: Rng,
    pub(crate) interfaces: Vec<Interface>,
    pub(crate) internet: Internet,
    pub(crate) tcp: Tcp,
    pub(crate) udp: Udp,
    pub(crate) counters: StackCounters,
    /// What the caller has not taken yet: addresses' fates; the sockets' events stay with their layers.
    pub(crate) events: VecDeque<Event>,
    /// Packets from this host to itself.
    pub(crate) loopback: VecDeque<LoopedPacket>,
    /// What belongs to other shards.
    pub(crate) handovers: VecDeque<Handover>,
    /// The owned packet that the last [`Transmit`](crate::Transmit) borrows.
    pub(crate) outgoing: Vec<u8>,
    /// Whose turn it is to send.
    pub(crate) turn: Turn,
}

/// Events about addresses that may wait; there are few addresses, so this is never reached by honest traffic.
const MAX_EVENTS: usize = 256;

impl Stack {
    /// A host without interfaces. `rng` must be secret: initial sequence numbers and hash keys come from it.
    pub fn new(mut config: StackConfig, mut rng: Rng) -> Self {
        config.internet.sharding = config.sharding;
        config.tcp.sharding = config.sharding;
        config.udp.sharding = config.sharding;
        let internet = Internet::new(config.internet.clone(), rng.fork());
        let tcp = Tcp::new(config.tcp.clone(), rng.fork());
        let udp = Udp::new(config.udp, rng.fork());
        Self {
            config,
            rng,
            interfaces: Vec::new(),
            internet,
            tcp,
            udp,
            counters: StackCounters::default(),
            events: VecDeque::new(),
            loopback: VecDeque::new(),
            handovers: VecDeque::new(),
            outgoing: Vec::new(),
            turn: Turn::Tcp,
        }
    }

    /// Adds an interface. It has no address yet: see [`add_address`](Self::add_address).
    pub fn add_interface(&mut self, setup: InterfaceSetup) -> InterfaceId {
        let link_address = match setup.caps.medium {
            Medium::Ethernet => Some(setup.link_address),
            Medium::Ip => None,
        };
        let id = self.internet.add_interface(InterfaceConfig { mtu: setup.caps.mtu, link_address });
        let interface = Interface::new(
            id,
            setup,
            self.config.neighbors.clone(),
            self.config.sharding.is_first(),
            self.rng.fork(),
        );
        self.interfaces.push(interface);
        self.tcp.set_tx_segmentation(self.common_segmentation());
        self.udp.set_makes_trains(self.are_trains_cut());
        id
    }

    /// Whether every device cuts trains of datagrams.
    fn are_trains_cut(&self) -> bool {
        self.interfaces.iter().all(|it| it.caps.udp_segmentation)
    }

    /// The super-segments that every device takes: which one a segment leaves by is known only after it was made.
    fn common_segmentation(&self) -> TxSegmentation {
        let least = |limit: fn(&DeviceCaps) -> Option<u32>| {
            self.interfaces.iter().map(|it| limit(&it.caps)).min().flatten()
        };
        TxSegmentation {
            tcp4: least(|caps| caps.tcp4_segmentation),
            tcp6: least(|caps| caps.tcp6_segmentation),
        }
    }

    /// Gives an interface an address and the on-link route of its prefix. Depending on `detection` it is usable at
    /// once or after [`Event::AddressReady`]. Drain [`poll_transmit`](Self::poll_transmit) next: announcements or
    /// probes are waiting.
    pub fn add_address(
        &mut self,
        now: Instant,
        interface: InterfaceId,
        address: Cidr,
        detection: AddressDetection,
    ) -> Result<(), AddressError> {
        self.internet.add_address(now, interface, address, detection)?;
        if let Some(link) = self.interfaces.get_mut(interface.index()).and_then(|it| it.link.as_mut()) {
            link.add_address(now, address, detection);
        }
        self.exchange(now);
        Ok(())
    }

    /// Has an interface take packets for any destination (or no longer): sockets see the address that was asked, and may
    /// answer from it. See [`Internet::set_accept_any`].
    pub fn set_accept_any(&mut self, interface: InterfaceId, accepts: bool) {
        self.internet.set_accept_any(interface, accepts);
    }

    /// The addresses of the first shard of this host, of which this is another: it has tried them out, and answers for
    /// them. What was usable and is no longer loses its connections. Tell again whenever the first shard's change.
    pub fn adopt_addresses(&mut self, now: Instant, addresses: &[LocalAddress]) {
        let is_usable =
            |known: &LocalAddress| addresses.iter().any(|it| it.cidr == known.cidr && it.state.is_usable());
        let lost: Vec<LocalAddress> =
            self.internet.addresses().filter(|known| !is_usable(known)).copied().collect();
        for LocalAddress { interface, cidr, .. } in lost {
            // It is there: it was just listed.
            let _ = self.internet.remove_address(now, cidr.address());
            if let Some(link) = self.link_mut(interface) {
                link.remove_address(cidr.address());
            }
            self.tcp.abort_local(now, cidr.address());
        }
        for &address in addresses {
            match self.internet.adopt_address(now, address) {
                Ok(true) => {
                    if let Some(link) = self.link_mut(address.interface) {
                        link.adopt_address(address.cidr);
                    }
                }
                Ok(false) => {}
                Err(error) => warn!(address = %address.cidr, %error, "address not adopted"),
            }
        }
        self.exchange(now);
    }

    /// Listens to a group, as a socket would: for what [`Event::GroupJoined`] of another shard tells.
    pub fn join_group(&mut self, now: Instant, interface: InterfaceId, group: IpAddr) {
        self.internet.join_group(now, interface, group);
        self.exchange(now);
    }

    /// Takes back one [`join_group`](Self::join_group).
    pub fn leave_group(&mut self, now: Instant, interface: InterfaceId, group: IpAddr) {
        self.internet.leave_group(now, interface, group);
        self.exchange(now);
    }

    /// Which shard of a host this is.
    pub fn sharding(&self) -> &Sharding {
        &self.config.sharding
    }

    /// The routing table.
    pub fn routes(&self) -> &RoutingTable {
        self.internet.routes()
    }

    /// The routing table, to change it.
    pub fn routes_mut(&mut self) -> &mut RoutingTable {
        self.internet.routes_mut()
    }

    /// The internet layer: addresses, paths, counters.
    pub fn internet(&self) -> &Internet {
        &self.internet
    }

    /// The link layer of an Ethernet interface: neighbours, counters.
    pub fn link(&self, interface: InterfaceId) -> Option<&netloom_l2_link::LinkLayer> {
        self.interfaces.get(interface.index()).and_then(|it| it.link.as_ref())
    }

    /// TCP's sockets. After a call that changes something drain [`poll_transmit`](Self::poll_transmit), then
    /// [`poll_event`](Self::poll_event), and look at [`poll_timeout`](Self::poll_timeout) again.
    pub fn tcp(&mut self) -> TcpSockets<'_> {
        TcpSockets::new(&mut self.tcp, &self.internet)
    }

    /// UDP's sockets; the same contract as [`tcp`](Self::tcp).
    pub fn udp(&mut self) -> UdpSockets<'_> {
        UdpSockets::new(&mut self.udp, &self.internet)
    }

    /// The sockets that ask for echoes; the same contract as [`tcp`](Self::tcp).
    pub fn icmp(&mut self) -> IcmpSockets<'_> {
        IcmpSockets::new(&mut self.internet)
    }

    /// How much of TCP is in use: connections, timers, bytes.
    pub fn transport_usage(&self) -> TcpUsage {
        self.tcp.usage()
    }

    /// What was counted.
    pub fn counters(&self) -> &StackCounters {
        &self.counters
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        for interface in &mut self.interfaces {
            interface.handle_timeout(now);
        }
        self.internet.handle_timeout(now);
        self.tcp.handle_timeout(now);
        self.exchange(now);
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called, unless something else happens first.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let links = self.interfaces.iter().filter_map(Interface::poll_timeout).min();
        [links, self.internet.poll_timeout(), self.tcp.poll_timeout()].into_iter().flatten().min()
    }

    /// The next thing that happened, if any.
    pub fn poll_event(&mut self) -> Option<Event> {
        if let Some(event) = self.events.pop_front() {
            return Some(event);
        }
        self.tcp
            .poll_event()
            .map(Event::Tcp)
            .or_else(|| self.udp.poll_event().map(Event::Udp))
            .or_else(|| self.internet.poll_echo_event().map(Event::Icmp))
    }

    pub(crate) fn push_event(&mut self, event: Event) {
        if self.events.len() < MAX_EVENTS {
            self.events.push_back(event);
        }
    }
}
