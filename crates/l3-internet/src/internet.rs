//! The internet layer itself: its parts, its interfaces, its timers and its queues.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netloom_base::{DropReason, Instant, InterfaceId, NextHop, PathInfo, Rng, TxMeta};
use netloom_wire::{EthernetAddress, is_same_family};

use crate::address_table::{AddressTable, LocalAddress};
use crate::config::{InterfaceConfig, InternetConfig};
use crate::counters::InternetCounters;
use crate::destination_cache::DestinationCache;
use crate::echo_table::EchoSockets;
use crate::event::{EventQueue, InternetEvent};
use crate::group_table::GroupTable;
use crate::identification::Identifications;
use crate::outbox::Outbox;
use crate::packet::{InternetOutput, NoRoute};
use crate::path_cache::PathCache;
use crate::rate_limit::TokenBucket;
use crate::reassembly::Reassembler;
use crate::routing_table::RoutingTable;
use crate::source_selection::{CandidateState, SourceCandidate, SourceQuery, select_source};

/// What a packet to this host itself may be as long as.
const LOCAL_MTU: u16 = u16::MAX;

/// The internet layer of one host, or one shard of it.
///
/// After every call that takes `now` drain [`poll_event`](Self::poll_event), then
/// [`poll_transmit`](Self::poll_transmit), then look at [`poll_timeout`](Self::poll_timeout) again.
#[derive(Debug)]
pub struct Internet {
    pub(crate) config: InternetConfig,
    pub(crate) rng: Rng,
    pub(crate) interfaces: Vec<InterfaceConfig>,
    /// Interfaces that take packets for any destination.
    pub(crate) accepting: Vec<InterfaceId>,
    pub(crate) addresses: AddressTable,
    pub(crate) groups: GroupTable,
    pub(crate) routes: RoutingTable,
    pub(crate) destinations: DestinationCache,
    pub(crate) paths: PathCache,
    pub(crate) reassembler: Reassembler,
    pub(crate) echo: EchoSockets,
    pub(crate) error_limit: TokenBucket,
    pub(crate) identifications: Identifications,
    pub(crate) outbox: Outbox,
    pub(crate) events: EventQueue,
    pub(crate) counters: InternetCounters,
}

impl Internet {
    /// A layer without interfaces. `rng` must be secret: identifications and hash keys come from it.
    pub fn new(config: InternetConfig, mut rng: Rng) -> Self {
        let (lifetime, burst) = (config.destination_lifetime, config.icmp_error_burst);
        let address_key = rng.hash_key();
        Self {
            interfaces: Vec::new(),
            accepting: Vec::new(),
            addresses: AddressTable::new(config.max_addresses, address_key),
            echo: EchoSockets::new(address_key),
            groups: GroupTable::new(config.max_groups, rng.hash_key()),
            routes: RoutingTable::new(config.max_routes),
            destinations: DestinationCache::new(config.max_destinations, lifetime, rng.hash_key()),
            paths: PathCache::new(),
            reassembler: Reassembler::new(config.reassembly, rng.hash_key()),
            error_limit: TokenBucket::new(config.icmp_errors_per_second, burst),
            identifications: Identifications::new(&mut rng, config.sharding),
            outbox: Outbox::new(config.max_queued_packets, config.max_queued_bytes),
            events: EventQueue::new(config.max_events),
            counters: InternetCounters::default(),
            config,
            rng,
        }
    }

    /// Adds an interface; the first is 0, and so on. It has no address yet: see [`add_address`](Self::add_address).
    ///
    /// # Panics
    /// At the 256th interface: the last number stands for the host itself.
    pub fn add_interface(&mut self, config: InterfaceConfig) -> InterfaceId {
        let index = u8::try_from(self.interfaces.len()).unwrap_or(u8::MAX);
        let id = InterfaceId::new(index);
        assert!(id != InterfaceId::LOOPBACK, "at most 255 interfaces");
        self.interfaces.push(config);
        self.paths.forget();
        id
    }

    /// Own addresses, those on trial and duplicates included.
    pub fn addresses(&self) -> impl Iterator<Item = &LocalAddress> {
        self.addresses.iter()
    }

    /// Whether the address is this host's and may be used: one of [`addresses`](Self::addresses), or loopback.
    pub fn is_local(&self, address: IpAddr) -> bool {
        address.is_loopback() || self.addresses.is_usable(address)
    }

    /// The routing table.
    pub const fn routes(&self) -> &RoutingTable {
        &self.routes
    }

    /// The routing table, to change it.
    pub fn routes_mut(&mut self) -> &mut RoutingTable {
        self.paths.forget();
        &mut self.routes
    }

    /// The groups that the host listens to.
    pub fn groups(&self) -> impl Iterator<Item = (InterfaceId, IpAddr)> {
        self.groups.iter()
    }

    /// Bytes of datagrams that are not complete.
    pub fn reassembly_bytes(&self) -> usize {
        self.reassembler.used_bytes()
    }

    /// What was counted.
    pub const fn counters(&self) -> &InternetCounters {
        &self.counters
    }

    /// The datagrams of which some fragments have come.
    pub const fn reassembler(&self) -> &Reassembler {
        &self.reassembler
    }

    /// How many destinations something was learned about: a path MTU, a better first hop.
    pub fn learned_destinations(&self) -> usize {
        self.destinations.len()
    }

    /// The way to `destination` from `source`, or from the address that RFC 6724 prefers. A source that is not ours needs
    /// an [interface that takes any destination](Self::set_accept_any).
    ///
    /// Own addresses and loopback lead to [`NextHop::Local`]. Groups and broadcasts are their own next hop, which the
    /// link knows how to reach; without a route to them they leave by the source's interface, or the first that has
    /// an address of the family. One look-up in the routing trie, and one in the destination cache if there is anything
    /// in it.
    pub fn path(&self, source: Option<IpAddr>, destination: IpAddr) -> Result<PathInfo, NoRoute> {
        if let Some(foreign) = source.filter(|&source| !self.is_local(source)) {
            return self.path_from_foreign(foreign, destination);
        }
        if source.is_some_and(|source| source.is_ipv4() != destination.is_ipv4()) {
            return Err(NoRoute::ForeignSource);
        }
        if self.is_local(destination) {
            let source = source.unwrap_or(destination);
            return Ok(PathInfo { next_hop: NextHop::Local, source, mtu: LOCAL_MTU });
        }
        if source.is_some_and(|source| source.is_loopback()) || destination.is_unspecified() {
            // [1122-I013] a loopback address never leaves the host.
            return Err(NoRoute::Destination);
        }
        let learned = self.destinations.get(destination);
        let (interface, address, route_source) = match learned.and_then(|entry| entry.first_hop) {
            Some((interface, gateway)) => (interface, gateway, None),
            None => self.first_hop(source, destination).ok_or(NoRoute::Destination)?,
        };
        let link_mtu = self.interface(interface).ok_or(NoRoute::Destination)?.mtu;
        let usable = |preferred: &IpAddr| self.addresses.is_usable(*preferred);
        let source = source
            .or(route_source.filter(usable))
            .or_else(|| self.select_source(interface, address, destination))
            .ok_or(NoRoute::NoSource)?;
        let mtu = learned.and_then(|entry| entry.mtu).map_or(link_mtu, |mtu| mtu.min(link_mtu));
        Ok(PathInfo { next_hop: NextHop::Neighbor { interface, address }, source, mtu })
    }

    /// The same for a packet that is about to be sent: a path that was taken lately is not looked up again.
    pub fn packet_path(&mut self, source: Option<IpAddr>, destination: IpAddr) -> Result<PathInfo, NoRoute> {
        let version = self.addresses.version() + self.destinations.version();
        if let Some(path) = self.paths.get(version, source, destination) {
            return Ok(*path);
        }
        let path = self.path(source, destination)?;
        self.paths.put(version, source, destination, path);
        Ok(path)
    }

    /// The way to `destination` from an address that is not ours: only where such addresses may be used [1122-I013].
    fn path_from_foreign(&self, source: IpAddr, destination: IpAddr) -> Result<PathInfo, NoRoute> {
        let is_possible = self.may_send_from(source)
            && is_same_family(source, destination)
            && !self.is_local(destination)
            && !destination.is_unspecified();
        let hop = if is_possible { self.impersonal_hop(source, destination) } else { None };
        let (interface, address) = hop.ok_or(NoRoute::ForeignSource)?;
        let link_mtu = self.interface(interface).ok_or(NoRoute::Destination)?.mtu;
        let learned = self.destinations.get(destination).and_then(|entry| entry.mtu);
        let mtu = learned.map_or(link_mtu, |mtu| mtu.min(link_mtu));
        Ok(PathInfo { next_hop: NextHop::Neighbor { interface, address }, source, mtu })
    }

    /// The way back to whoever sent a packet that came in on `interface`, from the address `asked` if that is given. A
    /// link-local sender is on that very link; others are wherever the routes say.
    pub(crate) fn path_back(
        &self,
        interface: Option<InterfaceId>,
        asked: Option<IpAddr>,
        sender: IpAddr,
    ) -> Result<PathInfo, NoRoute> {
        match interface.and_then(|id| self.interface(id).map(|config| (id, config))) {
            Some((interface, config)) if is_link_local(sender) && !self.is_local(sender) => {
                let source = asked.or_else(|| self.select_source(interface, sender, sender));
                let next_hop = NextHop::Neighbor { interface, address: sender };
                Ok(PathInfo { next_hop, source: source.ok_or(NoRoute::NoSource)?, mtu: config.mtu })
            }
            Some(_) | None => self.path(asked, sender),
        }
    }

    /// The interface and neighbour that packets to `destination` leave by, and the source that the route names.
    pub(crate) fn first_hop(
        &self,
        source: Option<IpAddr>,
        destination: IpAddr,
    ) -> Option<(InterfaceId, IpAddr, Option<IpAddr>)> {
        if !is_link_scoped(destination)
            && let Some(route) = self.routes.lookup(destination)
        {
            // A group is no router's to take: it is its own next hop on the route's link.
            let next_hop = if destination.is_multicast() { destination } else { route.next_hop(destination) };
            return Some((route.interface, next_hop, route.source));
        }
        if !is_link_scoped(destination) && !destination.is_multicast() {
            return None;
        }
        // The address alone does not say on which link: the source does, or the first that has addresses.
        let interface = match source.and_then(|source| self.addresses.get(source)) {
            Some(entry) => entry.interface,
            None => {
                let is_usable = |entry: &&LocalAddress| {
                    entry.state.is_usable() && entry.cidr.address().is_ipv4() == destination.is_ipv4()
                };
                self.addresses.iter().find(is_usable)?.interface
            }
        };
        Some((interface, destination, None))
    }

    /// The address to send from, by RFC 6724 5.
    pub(crate) fn select_source(
        &self,
        interface: InterfaceId,
        next_hop: IpAddr,
        destination: IpAddr,
    ) -> Option<IpAddr> {
        let candidates =
            self.addresses.iter().filter(|entry| entry.state.is_usable()).map(|entry| SourceCandidate {
                address: entry.cidr,
                interface: entry.interface,
                state: CandidateState::Preferred,
            });
        select_source(&SourceQuery { destination, interface, next_hop }, candidates)
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let deadlines = [
            self.addresses.next_step(),
            self.groups.next_report(),
            self.destinations.next_deadline(),
            self.reassembler.poll_timeout(),
        ];
        deadlines.into_iter().flatten().min()
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.continue_trials(now);
        self.send_reports(now);
        self.destinations.expire(now);
        self.give_up_reassembly(now);
    }

    /// The next packet of this layer to send.
    pub fn poll_transmit(&mut self, _now: Instant) -> Option<InternetOutput> {
        self.outbox.pop()
    }

    /// The next thing that another layer should know.
    pub fn poll_event(&mut self) -> Option<InternetEvent> {
        self.events.pop()
    }

    pub(crate) fn interface(&self, id: InterfaceId) -> Option<&InterfaceConfig> {
        self.interfaces.get(id.index())
    }

    /// Largest packet on an interface, the host itself included.
    pub(crate) fn mtu_of(&self, id: InterfaceId) -> u16 {
        self.interface(id).map_or(LOCAL_MTU, |interface| interface.mtu)
    }

    pub(crate) fn link_address_of(&self, id: InterfaceId) -> Option<EthernetAddress> {
        self.interface(id).and_then(|interface| interface.link_address)
    }

    pub(crate) fn push_event(&mut self, event: InternetEvent) {
        if !self.events.push(event) {
            self.counters.events_dropped.increment();
        }
    }

    /// Queues a finished packet.
    pub(crate) fn transmit(
        &mut self,
        next_hop: NextHop,
        link_destination: Option<EthernetAddress>,
        meta: TxMeta,
        packet: Vec<u8>,
    ) -> Result<(), DropReason> {
        self.outbox.push(InternetOutput { next_hop, link_destination, meta, packet })?;
        self.counters.packets_sent.increment();
        Ok(())
    }

    /// Counts an answer of our own that could not be sent.
    pub(crate) fn count_drop(&mut self, result: Result<(), DropReason>) {
        if let Err(reason) = result {
            self.counters.drops.increment(reason);
        }
    }
}

/// Whether an address means something on one link only, so that no route but that link leads to it.
pub(crate) fn is_link_scoped(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address == Ipv4Addr::BROADCAST || matches!(address.octets(), [224, 0, 0, _]),
        IpAddr::V6(address) => address.is_unicast_link_local() || is_link_group(address),
    }
}

/// Whether an address means something on its link only.
pub(crate) fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

/// Interface-local and link-local groups.
fn is_link_group(address: Ipv6Addr) -> bool {
    matches!(address.octets(), [0xff, scope, ..] if scope & 0xf <= 2)
}
