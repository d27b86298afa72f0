//! The routing table: which way a destination lies.
//!
//! # Theory of operation
//! Routes of both families stand in one [`RoutingTable`]. The longest prefix that contains the destination decides, and
//! among routes to the same prefix the smallest metric, then the one that was there first. Each family has a trie from
//! prefixes to *groups*, a group being the routes to one prefix in order of preference.
//!
//! # Limits
//! The number of routes is bounded by [`RoutingTable::new`]; a route costs about 100 bytes and its share of the trie,
//! which is less than that. A look-up neither allocates nor recurses; it visits at most one node for each six bits of
//! the prefix that it finds. Among 100,000 routes it takes 15 to 50 nanoseconds for a destination that is asked for again
//! and again, 200 (IPv4) to 400 (IPv6) for random ones, where every visit misses the caches.
//!
//! # Not here
//! Which gateway is dead: that is the neighbour cache's knowledge, and [`RoutingTable::lookup_where`] takes it into
//! account. What path MTU a destination has: that is the path cache's.

mod blocks;
mod trie;

use core::fmt;
use core::net::IpAddr;

use netloom_base::{InterfaceId, Slab, SlabId};
use netloom_wire::Cidr;

use trie::Trie;

/// One way to some destinations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The destinations. Host bits are cleared on insertion.
    pub prefix: Cidr,
    /// The router to hand packets to; `None` where the destinations are neighbours themselves.
    pub gateway: Option<IpAddr>,
    /// The interface to send on.
    pub interface: InterfaceId,
    /// The smaller the better, among routes to the same prefix.
    pub metric: u32,
    /// The address to send from, if it should not be chosen by RFC 6724.
    pub source: Option<IpAddr>,
}

impl Route {
    /// A route to neighbours: the prefix of an address on `interface`.
    pub const fn on_link(prefix: Cidr, interface: InterfaceId) -> Self {
        Self { prefix, gateway: None, interface, metric: 0, source: None }
    }

    /// Who takes a packet to `destination` next: the gateway, or the destination itself.
    pub fn next_hop(&self, destination: IpAddr) -> IpAddr {
        self.gateway.unwrap_or(destination)
    }

    /// Whether both are one route: the same way to the same prefix, whatever its metric.
    fn is_same_way(&self, prefix: Cidr, gateway: Option<IpAddr>, interface: InterfaceId) -> bool {
        self.prefix == prefix && self.gateway == gateway && self.interface == interface
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.prefix)?;
        if let Some(gateway) = self.gateway {
            write!(f, " via {gateway}")?;
        }
        write!(f, " dev {}", self.interface)?;
        if let Some(source) = self.source {
            write!(f, " src {source}")?;
        }
        if self.metric != 0 {
            write!(f, " metric {}", self.metric)?;
        }
        Ok(())
    }
}

/// Why a route was not taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RouteError {
    /// The table holds as many routes as it may.
    Full,
    /// There is a route to this prefix by the same gateway and interface already.
    Exists,
    /// The gateway or source address is not of the prefix's family.
    FamilyMismatch,
}

impl fmt::Display for RouteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "the routing table is full",
            Self::Exists => "such a route exists already",
            Self::FamilyMismatch => "gateway, source and prefix are not of one family",
        })
    }
}

impl core::error::Error for RouteError {}

/// What became of a route that contains a destination, for `route get`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Its prefix is the longest, and no other route to it has a smaller metric or came first.
    Wins,
    /// Another route to the same prefix has a smaller metric.
    LargerMetric,
    /// Another route to the same prefix with the same metric was there first.
    CameLater,
    /// A longer prefix contains the destination too.
    ShorterPrefix,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Wins => "wins: the longest prefix that contains the destination",
            Self::LargerMetric => "loses: larger metric than another route to the same prefix",
            Self::CameLater => "loses: another route to the same prefix was there first",
            Self::ShorterPrefix => "loses: a longer prefix contains the destination",
        })
    }
}

/// The routes to one prefix. The best one is kept inline: almost every prefix has no other.
#[derive(Clone, Debug)]
struct Group {
    best: Route,
    /// The others in order of preference.
    others: Vec<Route>,
}

impl Group {
    fn routes(&self) -> impl Iterator<Item = &Route> {
        core::iter::once(&self.best).chain(&self.others)
    }

    /// Puts `route` behind those that are as good.
    fn insert(&mut self, route: Route) {
        if route.metric < self.best.metric {
            self.others.insert(0, core::mem::replace(&mut self.best, route));
        } else {
            let place = self.others.partition_point(|other| other.metric <= route.metric);
            self.others.insert(place, route);
        }
    }
}

/// Routes of both families, found by longest prefix.
#[derive(Clone, Debug)]
pub struct RoutingTable {
    v4: Trie<u32>,
    v6: Trie<u128>,
    /// What the tries' values name, by position.
    groups: Slab<Group>,
    route_count: usize,
    max_routes: usize,
}

impl RoutingTable {
    /// An empty table for at most `max_routes` routes.
    pub fn new(max_routes: usize) -> Self {
        // Positions in the tries are 31 bits, far more than memory holds.
        let max_routes = max_routes.min(1 << 30);
        Self { v4: Trie::new(), v6: Trie::new(), groups: Slab::new(max_routes), route_count: 0, max_routes }
    }

    /// How many routes there are.
    pub const fn len(&self) -> usize {
        self.route_count
    }

    /// Whether there is no route at all.
    pub const fn is_empty(&self) -> bool {
        self.route_count == 0
    }

    /// How many routes there may be.
    pub const fn max_routes(&self) -> usize {
        self.max_routes
    }

    /// Adds a route. Several routes to one prefix stand side by side if gateway or interface differ.
    ///
    /// # Errors
    /// When the table is full, the same way is known already, or families are mixed.
    // [1122-I099] [1122-I100] several default gateways, and routes that an administrator gives.
    pub fn insert(&mut self, mut route: Route) -> Result<(), RouteError> {
        route.prefix = normalized(route.prefix);
        let is_v4 = route.prefix.address().is_ipv4();
        let mut others = [route.gateway, route.source].into_iter().flatten();
        if others.any(|address| address.is_ipv4() != is_v4) {
            return Err(RouteError::FamilyMismatch);
        }
        if self.route_count >= self.max_routes {
            return Err(RouteError::Full);
        }
        if let Some(id) = self.group_of(route.prefix) {
            let Some(group) = self.groups.get_mut(id) else { return Err(RouteError::Full) };
            if group.routes().any(|it| it.is_same_way(route.prefix, route.gateway, route.interface)) {
                return Err(RouteError::Exists);
            }
            group.insert(route);
        } else {
            let group = Group { best: route, others: Vec::new() };
            let id = self.groups.insert(group).map_err(|_| RouteError::Full)?;
            let len = u32::from(route.prefix.prefix_len());
            match route.prefix.address() {
                IpAddr::V4(address) => self.v4.insert(address.to_bits(), len, id.index()),
                IpAddr::V6(address) => self.v6.insert(address.to_bits(), len, id.index()),
            };
        }
        self.route_count += 1;
        Ok(())
    }

    /// Takes out the route to `prefix` by this gateway and interface.
    pub fn remove(&mut self, prefix: Cidr, gateway: Option<IpAddr>, interface: InterfaceId) -> Option<Route> {
        let prefix = normalized(prefix);
        let id = self.group_of(prefix)?;
        let group = self.groups.get_mut(id)?;
        let position = group.routes().position(|it| it.is_same_way(prefix, gateway, interface))?;
        let removed = match position.checked_sub(1) {
            Some(position) => group.others.remove(position),
            None if group.others.is_empty() => {
                self.forget_prefix(prefix);
                self.groups.remove(id)?.best
            }
            None => core::mem::replace(&mut group.best, group.others.remove(0)),
        };
        self.route_count -= 1;
        Some(removed)
    }

    /// Takes out every route over `interface`, and says how many those were. Walks the whole table.
    pub fn remove_interface(&mut self, interface: InterfaceId) -> usize {
        let doomed: Vec<Route> = self.iter().filter(|route| route.interface == interface).copied().collect();
        for route in &doomed {
            self.remove(route.prefix, route.gateway, interface);
        }
        doomed.len()
    }

    /// The route that packets to `destination` take.
    // [1122-I094] [1122-I098] the on-link prefix if it contains the destination, else what is most specific, at last
    // the default gateway.
    pub fn lookup(&self, destination: IpAddr) -> Option<&Route> {
        let index = match destination {
            IpAddr::V4(address) => self.v4.longest(address.to_bits()),
            IpAddr::V6(address) => self.v6.longest(address.to_bits()),
        }?;
        self.group(index).map(|group| &group.best)
    }

    /// The best route to `destination` among those that `is_usable` accepts: over one interface, or by a gateway that
    /// is not known to be dead.
    // [1122-I110]
    pub fn lookup_where(&self, destination: IpAddr, is_usable: impl Fn(&Route) -> bool) -> Option<&Route> {
        let pick = |index| self.group(index).and_then(|group| group.routes().find(|route| is_usable(route)));
        match destination {
            IpAddr::V4(address) => self.v4.matching(address.to_bits()).filter_map(pick).last(),
            IpAddr::V6(address) => self.v6.matching(address.to_bits()).filter_map(pick).last(),
        }
    }

    /// Every route that contains `destination`, the best first, and why each wins or loses. For tools: it allocates.
    pub fn explain(&self, destination: IpAddr) -> Vec<(&Route, Verdict)> {
        let mut indices: Vec<u32> = match destination {
            IpAddr::V4(address) => self.v4.matching(address.to_bits()).collect(),
            IpAddr::V6(address) => self.v6.matching(address.to_bits()).collect(),
        };
        indices.reverse();
        let mut explained: Vec<(&Route, Verdict)> = Vec::new();
        for group in indices.into_iter().filter_map(|index| self.group(index)) {
            let is_longest = explained.is_empty();
            for route in group.routes() {
                let verdict = if !is_longest {
                    Verdict::ShorterPrefix
                } else if explained.is_empty() {
                    Verdict::Wins
                } else if route.metric > group.best.metric {
                    Verdict::LargerMetric
                } else {
                    Verdict::CameLater
                };
                explained.push((route, verdict));
            }
        }
        explained
    }

    /// All routes: IPv4 before IPv6, by prefix, each prefix's best first. Walks the whole table.
    pub fn iter(&self) -> impl Iterator<Item = &Route> {
        let indices = self.v4.values().chain(self.v6.values());
        indices.filter_map(|index| self.group(index)).flat_map(Group::routes)
    }

    fn group(&self, index: u32) -> Option<&Group> {
        self.groups.get(self.groups.id_at(index)?)
    }

    fn group_of(&self, prefix: Cidr) -> Option<SlabId> {
        let len = u32::from(prefix.prefix_len());
        let index = match prefix.address() {
            IpAddr::V4(address) => self.v4.get(address.to_bits(), len),
            IpAddr::V6(address) => self.v6.get(address.to_bits(), len),
        }?;
        self.groups.id_at(index)
    }

    fn forget_prefix(&mut self, prefix: Cidr) {
        let len = u32::from(prefix.prefix_len());
        match prefix.address() {
            IpAddr::V4(address) => self.v4.remove(address.to_bits(), len),
            IpAddr::V6(address) => self.v6.remove(address.to_bits(), len),
        };
    }
}

/// The prefix with its host bits cleared.
fn normalized(prefix: Cidr) -> Cidr {
    Cidr::new(prefix.network(), prefix.prefix_len()).unwrap_or(prefix)
}

#[cfg(test)]
mod tests;
