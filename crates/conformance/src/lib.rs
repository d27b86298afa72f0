//! Independent peers for netloom, for its tests only.
//!
//! [`World`] joins two [`Host`]s by a cable in virtual time. One host is netloom's own, whole or of several shards, behind a
//! device with or without offloads ([`Sharded`]), the other the same or smoltcp ([`Smoltcp`]); every frame that ours emits is
//! read again by etherparse ([`check_frame`](netloom_sim::check_frame)). [`script`] runs packetdrill's language against a stack,
//! also in virtual time.
#![forbid(unsafe_code)]

mod offload;
pub mod script;
mod sharded;
mod smoltcp_host;
mod world;

pub use offload::{Device, Offload};
pub use sharded::{Plan, Sharded};
pub use smoltcp_host::Smoltcp;
pub use world::{Host, World};
