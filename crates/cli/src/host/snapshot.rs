//! Links, addresses and routes of this host at one moment, as far as a new interface can collide with them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use futures_util::TryStreamExt;
use netloom_wire::Cidr;
use rtnetlink::RouteMessageBuilder;
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteType};

use super::{Host, netlink_failure};
use crate::failure::Failure;

/// The table of addresses that are this host's own (RT_TABLE_LOCAL).
const TABLE_LOCAL: u32 = 255;

/// One interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    /// The kernel's number for it.
    pub(crate) index: u32,
    /// Its name.
    pub(crate) name: String,
    /// Its MTU in bytes.
    pub(crate) mtu: u32,
    /// Whether an administrator raised it.
    pub(crate) is_up: bool,
    /// Whether it is up and someone holds the other end.
    pub(crate) is_running: bool,
}

/// One address of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostAddress {
    /// Index of the interface.
    pub(crate) link: u32,
    /// The address with its network.
    pub(crate) cidr: Cidr,
    /// Whether it may be used yet: duplicate address detection is over, or was not asked for.
    pub(crate) is_usable: bool,
}

/// What becomes of packets to a route's destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RouteAction {
    /// They are sent on.
    Forward,
    /// They are dropped, with or without a word.
    Drop,
}

/// One route out of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    /// Where to.
    pub(crate) destination: Cidr,
    /// Indexes of the interfaces it leaves by.
    pub(crate) links: Vec<u32>,
    /// What becomes of the packets.
    pub(crate) action: RouteAction,
}

/// This host's network at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// Its interfaces.
    pub(crate) links: Vec<Link>,
    /// Their addresses.
    pub(crate) addresses: Vec<HostAddress>,
    /// The routes of all tables but the local one.
    pub(crate) routes: Vec<Route>,
}

impl Snapshot {
    /// The interface of this name.
    pub(crate) fn link_named(&self, name: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.name == name)
    }

    /// The name of the interface of this index.
    pub(crate) fn link_name(&self, index: u32) -> &str {
        self.links.iter().find(|link| link.index == index).map_or("an unknown interface", |link| &link.name)
    }

    /// The addresses of one interface.
    pub(crate) fn addresses_of(&self, index: u32) -> impl Iterator<Item = &HostAddress> {
        self.addresses.iter().filter(move |address| address.link == index)
    }
}

impl Host {
    /// Reads everything.
    pub(crate) async fn snapshot(&self) -> Result<Snapshot, Failure> {
        Ok(Snapshot {
            links: self.links().await?,
            addresses: self.addresses().await?,
            routes: self.routes().await?,
        })
    }

    /// The interfaces.
    pub(crate) async fn links(&self) -> Result<Vec<Link>, Failure> {
        let messages: Vec<_> = self
            .handle
            .link()
            .get()
            .execute()
            .try_collect()
            .await
            .map_err(|error| netlink_failure("reading this host's interfaces", &error))?;
        Ok(messages.iter().map(read_link).collect())
    }

    /// Their addresses.
    pub(crate) async fn addresses(&self) -> Result<Vec<HostAddress>, Failure> {
        let messages: Vec<_> = self
            .handle
            .address()
            .get()
            .execute()
            .try_collect()
            .await
            .map_err(|error| netlink_failure("reading this host's addresses", &error))?;
        Ok(messages.iter().filter_map(read_address).collect())
    }

    async fn routes(&self) -> Result<Vec<Route>, Failure> {
        let four = RouteMessageBuilder::<Ipv4Addr>::new().build();
        let six = RouteMessageBuilder::<Ipv6Addr>::new().build();
        let mut routes = Vec::new();
        for request in [four, six] {
            let messages: Vec<_> = self
                .handle
                .route()
                .get(request)
                .execute()
                .try_collect()
                .await
                .map_err(|error| netlink_failure("reading this host's routes", &error))?;
            routes.extend(messages.iter().filter_map(read_route));
        }
        Ok(routes)
    }
}

fn read_link(message: &LinkMessage) -> Link {
    let mut link = Link {
        index: message.header.index,
        name: String::new(),
        mtu: 0,
        is_up: message.header.flags.contains(LinkFlags::Up),
        is_running: message.header.flags.contains(LinkFlags::Up | LinkFlags::Running | LinkFlags::LowerUp),
    };
    for attribute in &message.attributes {
        if let LinkAttribute::IfName(name) = attribute {
            link.name.clone_from(name);
        } else if let LinkAttribute::Mtu(mtu) = attribute {
            link.mtu = *mtu;
        }
    }
    link
}

fn read_address(message: &AddressMessage) -> Option<HostAddress> {
    let (mut local, mut address, mut flags) = (None, None, AddressFlags::empty());
    for attribute in &message.attributes {
        if let AddressAttribute::Local(ip) = attribute {
            local = Some(*ip);
        } else if let AddressAttribute::Address(ip) = attribute {
            address = Some(*ip);
        } else if let AddressAttribute::Flags(bits) = attribute {
            flags = *bits;
        }
    }
    // On a point-to-point link the second is the peer's, and the first ours.
    let cidr = Cidr::new(local.or(address)?, message.header.prefix_len).ok()?;
    let is_usable = !flags.intersects(AddressFlags::Tentative | AddressFlags::Dadfailed)
        || flags.contains(AddressFlags::Optimistic);
    Some(HostAddress { link: message.header.index, cidr, is_usable })
}

fn read_route(message: &RouteMessage) -> Option<Route> {
    let action = if message.header.kind == RouteType::Unicast {
        RouteAction::Forward
    } else if [RouteType::BlackHole, RouteType::Unreachable, RouteType::Prohibit]
        .contains(&message.header.kind)
    {
        RouteAction::Drop
    } else {
        return None;
    };
    let mut table = u32::from(message.header.table);
    let mut destination: Option<IpAddr> = None;
    let mut links = Vec::new();
    for attribute in &message.attributes {
        if let RouteAttribute::Table(wide) = attribute {
            table = *wide;
        } else if let RouteAttribute::Destination(RouteAddress::Inet(four)) = attribute {
            destination = Some((*four).into());
        } else if let RouteAttribute::Destination(RouteAddress::Inet6(six)) = attribute {
            destination = Some((*six).into());
        } else if let RouteAttribute::Oif(index) = attribute {
            links.push(*index);
        } else if let RouteAttribute::MultiPath(hops) = attribute {
            links.extend(hops.iter().map(|hop| hop.interface_index));
        }
    }
    if table == TABLE_LOCAL {
        return None;
    }
    // A default route has no destination: it collides with nothing.
    let destination = Cidr::new(destination?, message.header.destination_prefix_length).ok()?;
    Some(Route { destination, links, action })
}
