//! Addresses as those mean them who write them.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// The address to bind to: `[::]` stands for all of both families, as it does on Linux.
pub(crate) fn wildcard(address: IpAddr) -> Option<IpAddr> {
    (address != IpAddr::V6(Ipv6Addr::UNSPECIFIED)).then_some(address)
}

/// The address that is meant: an IPv6 socket may write an IPv4 address as `::ffff:10.0.0.1` (RFC 4291 2.5.5.2).
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        ip @ IpAddr::V4(_) => SocketAddr::new(ip, address.port()),
        IpAddr::V6(_) => address,
    }
}
