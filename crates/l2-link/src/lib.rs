//! The link layer: Ethernet II, ARP, and one neighbour cache for ARP and neighbour discovery.
//!
//! # Theory of operation
//! A [`LinkLayer`] stands on each Ethernet interface; an interface of bare IP packets (TUN) has none.
//!
//! *In:* [`LinkLayer::input`] takes a frame and gives back the IP packet inside, or consumes it: ARP is learnt from
//! and answered here. *Out:* the caller asks [`LinkLayer::resolve`] for the next hop's link address and writes the
//! Ethernet header itself; while the address is not known it hands the packet to [`LinkLayer::enqueue`], and gets it
//! back from [`LinkLayer::poll_transmit`] once the neighbour has answered, in the order of their arrival. So the first
//! packet to a new neighbour is delayed and never lost.
//!
//! The cache keeps RFC 4861's states for both families. For IPv4 it asks by ARP itself. For IPv6 it does not know how:
//! it tells by [`LinkEvent::SolicitNeighbor`] whom to solicit, and the internet layer tells by
//! [`NeighborUpdate`](netloom_wire::NeighborUpdate), given to [`LinkLayer::update`], what it heard.
//!
//! After any call that takes `now`: drain [`poll_transmit`](LinkLayer::poll_transmit), then
//! [`poll_event`](LinkLayer::poll_event), then look at [`poll_timeout`](LinkLayer::poll_timeout) again.
//!
//! # Limits
//! All bounds are in [`NeighborConfig`]. A flood of ARP requests or solicitations from invented addresses displaces
//! only entries that were learnt the same way and never used, then unused ones; never one that is in use.
//!
//! # Not here
//! Neighbour discovery's messages and duplicate address detection for IPv6 (`netloom-l3-internet`); padding to 60
//! bytes, which is the device's matter and which a TAP does not need; VLAN tags, IEEE 802.3 and RFC 1042 frames, which
//! are dropped by name; proxy ARP.
#![forbid(unsafe_code)]

mod claims;
mod config;
mod counters;
mod groups;
mod layer;
mod neighbor;
mod value;

pub use config::{AddressDefence, LinkConfig, NeighborConfig};
pub use counters::{LinkCounters, NeighborCounters};
pub use layer::LinkLayer;
pub use neighbor::state::NeighborState;
pub use netloom_base::AddressDetection;
pub use value::{LinkEvent, LinkInput, LinkOutput, NeighborEntry, QueuedPacket, Resolution};
