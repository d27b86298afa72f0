//! Whom a packet is for, and who may have sent it.

use core::net::IpAddr;

use netloom_base::{DropReason, InterfaceId};
use netloom_wire::CastKind;

use crate::address_table::AddressState;
use crate::internet::{Internet, is_link_local};

/// Whom a packet is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Addressee {
    /// This host, by an address of this kind.
    Us(CastKind),
    /// Somebody else.
    Other,
}

impl Internet {
    /// Whom a packet that came in on `interface` for `destination` is for [1122-I014].
    ///
    /// An address is ours whatever interface a packet for it comes in on (RFC 1122 3.3.4.2's weak model), but for
    /// link-local ones.
    pub(crate) fn addressee(
        &self,
        interface: InterfaceId,
        destination: IpAddr,
    ) -> Result<Addressee, DropReason> {
        if let Some(entry) = self.addresses.get(destination) {
            if !entry.state.is_usable() {
                return Err(DropReason::IpTentativeAddress);
            }
            let is_elsewhere = entry.interface != interface && interface != InterfaceId::LOOPBACK;
            if is_elsewhere && is_link_local(destination) {
                return Err(DropReason::IpNotForUs);
            }
            return Ok(Addressee::Us(CastKind::Unicast));
        }
        if destination.is_loopback() {
            return match interface {
                InterfaceId::LOOPBACK => Ok(Addressee::Us(CastKind::Unicast)),
                _ => Err(DropReason::IpBadDestination),
            };
        }
        if destination.is_multicast() {
            return if self.groups.contains(interface, destination) {
                Ok(Addressee::Us(CastKind::Multicast))
            } else {
                Err(DropReason::IpNotForUs)
            };
        }
        if self.is_broadcast(interface, destination) {
            return Ok(Addressee::Us(CastKind::Broadcast));
        }
        match destination {
            IpAddr::V4(address) if address.octets()[0] == 0 || address.octets()[0] >= 240 => {
                Err(DropReason::IpBadDestination)
            }
            IpAddr::V6(address) if address.is_unspecified() || address.to_ipv4_mapped().is_some() => {
                Err(DropReason::IpBadDestination)
            }
            IpAddr::V4(_) | IpAddr::V6(_) if self.accepts_any(interface) => {
                Ok(Addressee::Us(CastKind::Unicast))
            }
            IpAddr::V4(_) | IpAddr::V6(_) => Ok(Addressee::Other),
        }
    }

    /// Refuses a source that no other host may have [1122-I015] [1122-I137] [1812-04]. Unspecified ones are let through over
    /// IPv6: a host without an address has a few things to say (RFC 4861 7.1.1, RFC 3810 5.2.13).
    pub(crate) fn check_source(&self, interface: InterfaceId, source: IpAddr) -> Result<(), DropReason> {
        if interface == InterfaceId::LOOPBACK {
            return Ok(());
        }
        let is_impossible = match source {
            IpAddr::V4(address) => {
                address.octets()[0] == 0
                    || address.octets()[0] >= 224
                    || address.is_loopback()
                    || self.is_broadcast(interface, source)
            }
            IpAddr::V6(address) => {
                address.is_multicast() || address.is_loopback() || address.to_ipv4_mapped().is_some()
            }
        };
        // One of ours from outside is forged, unless it is on trial: then it is what the trial is to find.
        let is_forged =
            self.addresses.get(source).is_some_and(|entry| entry.state == AddressState::Preferred);
        if is_impossible || is_forged { Err(DropReason::IpBadSource) } else { Ok(()) }
    }

    /// Whether the address is an IPv4 broadcast on the interface, in the form of all ones or of all zeros
    /// [1122-I138] [1122-I141].
    pub fn is_broadcast(&self, interface: InterfaceId, address: IpAddr) -> bool {
        let IpAddr::V4(v4) = address else { return false };
        v4.is_broadcast() || v4.is_unspecified() || self.addresses.is_directed_broadcast(interface, address)
    }
}
