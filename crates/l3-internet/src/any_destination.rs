//! Interfaces that take packets for any destination: what a VPN client, a proxy or a sandbox has its applications talk to.
//!
//! # Theory of operation
//! What comes in on such an interface and has one host as its destination is this host's, whatever the address; nothing of
//! it is forwarded. What is sent in answer leaves from that same address, and only by an interface of this kind: by the
//! one that the routes name, or, where they name none or another, by the first whose medium has no neighbours to ask.
//!
//! # Not here
//! ARP and NDP answer for own addresses only: on Ethernet, whoever wants his packets taken names one of those as his
//! gateway. Groups, broadcasts and loopback addresses are what they are everywhere.

use core::net::IpAddr;

use netloom_base::InterfaceId;
use netloom_wire::is_global_unicast_candidate;

use crate::internet::Internet;

impl Internet {
    /// Has an interface take packets for any destination, or for own addresses only, which is how it begins.
    pub fn set_accept_any(&mut self, interface: InterfaceId, accepts: bool) {
        self.paths.forget();
        self.accepting.retain(|&it| it != interface);
        if accepts {
            self.accepting.push(interface);
        }
    }

    /// Whether the interface takes packets for any destination.
    pub fn accepts_any(&self, interface: InterfaceId) -> bool {
        self.accepting.contains(&interface)
    }

    /// Whether packets may be sent from `address`, and errors about them concern us: an own address, or, as soon as any
    /// interface takes packets for any destination, one that one host can have.
    pub fn may_send_from(&self, address: IpAddr) -> bool {
        self.is_local(address) || !self.accepting.is_empty() && is_global_unicast_candidate(address)
    }

    /// The interface and neighbour by which packets leave from an address that is not ours.
    pub(crate) fn impersonal_hop(
        &self,
        source: IpAddr,
        destination: IpAddr,
    ) -> Option<(InterfaceId, IpAddr)> {
        let by_route =
            self.first_hop(Some(source), destination).map(|(interface, address, _)| (interface, address));
        by_route.filter(|&(interface, _)| self.accepts_any(interface)).or_else(|| {
            let has_no_neighbors = |&&id: &&InterfaceId| self.link_address_of(id).is_none();
            self.accepting.iter().find(has_no_neighbors).map(|&interface| (interface, destination))
        })
    }
}
